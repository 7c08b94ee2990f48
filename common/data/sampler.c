#include "data/sampler.h"

#include "base/alloc.h"

enum xf_rc xf_batches_init(struct xf_batches *batches, uint32_t n, uint32_t batch,
                           const struct xf_rng *rng) {
  *batches = (struct xf_batches){.n = n, .batch = batch && batch < n ? batch : n};
  if (n == 0) return XF_E_INVAL;
  batches->order = xf_try_calloc(n, sizeof *batches->order);
  if (!batches->order) return XF_E_NOMEM;
  xf_batches_reset(batches, rng);
  return XF_OK;
}

void xf_batches_reset(struct xf_batches *batches, const struct xf_rng *rng) {
  batches->rng = *rng;
  batches->pass = 0;
  batches->at = batches->n; /* the first call begins a pass */
  for (uint32_t i = 0; i < batches->n; i++) batches->order[i] = i;
}

void xf_batches_deinit(struct xf_batches *batches) {
  xf_free(batches->order);
  *batches = (struct xf_batches){0};
}

void xf_batches_next(struct xf_batches *batches, const uint32_t **ids, uint32_t *n) {
  if (batches->at == batches->n) {
    xf_rng_shuffle(&batches->rng, batches->order, batches->n);
    batches->at = 0;
    batches->pass++;
  }
  const uint32_t left = batches->n - batches->at;
  *ids = batches->order + batches->at;
  *n = left < batches->batch ? left : batches->batch;
  batches->at += *n;
}

uint32_t xf_batches_count(const struct xf_batches *batches) {
  return batches->batch ? (batches->n - 1) / batches->batch + 1 : 0;
}

uint32_t xf_sampler_negative(struct xf_rng *rng, const struct xf_csr *train, uint32_t n_items,
                             uint32_t user) {
  const uint32_t n_pos = train->start[user + 1] - train->start[user];
  if (n_pos >= n_items) return xf_rng_below(rng, n_items);
  if (n_pos < n_items / 2) {
    uint32_t item = 0;
    do item = xf_rng_below(rng, n_items);
    while (xf_csr_find(train, user, item));
    return item;
  }
  /* a user with most of the catalogue: the r-th item that is no positive (items ascend) */
  uint32_t item = xf_rng_below(rng, n_items - n_pos);
  for (uint32_t k = train->start[user]; k < train->start[user + 1] && train->item[k] <= item; k++)
    item++;
  return item;
}

uint32_t xf_sampler_distinct(struct xf_rng *rng, uint32_t *out, uint32_t n, uint32_t n_items,
                             uint32_t n_excluded, uint32_t *mark, uint32_t stamp) {
  const uint32_t room = n_items - n_excluded;
  uint32_t got = 0;
  if (n >=
      room / 2) { /* dense: a sequential draw over all items, each with probability left / room */
    uint32_t left = n < room ? n : room, todo = room;
    for (uint32_t i = 0; i < n_items && left > 0; i++) {
      if (mark[i] == stamp) continue;
      if (xf_rng_below(rng, todo--) >= left) continue;
      out[got++] = i;
      mark[i] = stamp;
      left--;
    }
    return got;
  }
  while (got < n) {
    const uint32_t item = xf_rng_below(rng, n_items);
    if (mark[item] == stamp) continue;
    mark[item] = stamp;
    out[got++] = item;
  }
  return got;
}
