/* Split A out of a split's train part. */
#include "rec/inner.h"

#include "base/alloc.h"
#include "base/rng.h"

#include <string.h>

static uint32_t length(const struct xf_csr *csr, uint32_t u) {
  return csr->start[u + 1] - csr->start[u];
}

/* Index of the user's event that is taken. */
static uint32_t pick(const struct xf_csr *train, uint32_t u, uint64_t seed) {
  const uint32_t from = train->start[u], to = train->start[u + 1];
  if (!train->time) {
    struct xf_rng rng;
    xf_rng_init(&rng, seed, u);
    return from + xf_rng_below(&rng, to - from);
  }
  uint32_t last = from;
  for (uint32_t k = from; k < to; k++)
    if (train->time[k] >= train->time[last]) last = k;
  return last;
}

static bool csr_room(struct xf_csr *out, const struct xf_csr *like, size_t n) {
  *out = (struct xf_csr){.n_row = like->n_row};
  out->start = xf_try_calloc((size_t)like->n_row + 1, sizeof *out->start);
  out->item = xf_try_calloc(n + 1, sizeof *out->item);
  if (like->value) out->value = xf_try_calloc(n + 1, sizeof *out->value);
  if (like->time) out->time = xf_try_calloc(n + 1, sizeof *out->time);
  return out->start && out->item && (!like->value || out->value) && (!like->time || out->time);
}

static void csr_add(struct xf_csr *out, uint32_t u, const struct xf_csr *from, uint32_t k) {
  const uint32_t at = out->start[u + 1]++;
  out->item[at] = from->item[k];
  if (out->value) out->value[at] = from->value[k];
  if (out->time) out->time[at] = from->time[k];
}

static void deal(struct xf_split *out, const struct xf_csr *train, uint32_t min, uint64_t seed) {
  struct xf_csr *keep = &out->part[XF_PART_TRAIN], *held = &out->part[XF_PART_VALID];
  for (uint32_t u = 0; u < train->n_row; u++) {
    uint32_t taken = XF_NO_ID;
    keep->start[u + 1] = keep->start[u];
    held->start[u + 1] = held->start[u];
    if (length(train, u) >= min) {
      taken = pick(train, u, seed);
      if (out->item_count[train->item[taken]] < 2) taken = XF_NO_ID;
      else out->item_count[train->item[taken]]--;
    }
    for (uint32_t k = train->start[u]; k < train->start[u + 1]; k++) {
      if (k != taken) out->train_user[keep->start[u + 1]] = u;
      csr_add(k == taken ? held : keep, u, train, k);
    }
  }
}

static void count(struct xf_split *out) {
  for (int p = 0; p < XF_N_PART; p++) {
    out->count.n_events[p] = xf_csr_count(&out->part[p]);
    for (uint32_t u = 0; u < out->n_users; u++)
      out->count.n_users[p] += length(&out->part[p], u) > 0;
  }
  for (uint32_t i = 0; i < out->n_items; i++) out->count.n_items_train += out->item_count[i] > 0;
}

enum xf_rc xf_inner_init(struct xf_split *out, const struct xf_split *split, uint32_t min,
                         uint64_t seed, struct xf_diag *diag) {
  const struct xf_csr *train = &split->part[XF_PART_TRAIN], *valid = &split->part[XF_PART_VALID];
  const uint32_t least = min ? min : 3;
  *out = (struct xf_split){.n_users = split->n_users, .n_items = split->n_items};
  const size_t n = xf_csr_count(train), n_valid = xf_csr_count(valid);
  out->item_count = xf_try_calloc((size_t)split->n_items + 1, sizeof *out->item_count);
  out->train_user = xf_try_calloc(n + 1, sizeof *out->train_user);
  if (!out->item_count || !out->train_user || !csr_room(&out->part[XF_PART_TRAIN], train, n) ||
      !csr_room(&out->part[XF_PART_VALID], train, n) ||
      !csr_room(&out->part[XF_PART_TEST], valid, n_valid)) {
    xf_split_deinit(out);
    return xf_diag_set(diag, XF_E_NOMEM, "not enough memory to split %zu train events", n);
  }
  for (size_t k = 0; k < n; k++) out->item_count[train->item[k]]++;
  deal(out, train, least, seed);
  for (uint32_t u = 0; u < split->n_users; u++) {
    struct xf_csr *test = &out->part[XF_PART_TEST];
    test->start[u + 1] = test->start[u];
    for (uint32_t k = valid->start[u]; k < valid->start[u + 1]; k++) csr_add(test, u, valid, k);
  }
  count(out);
  if (out->count.n_users[XF_PART_VALID] > 0) return XF_OK;
  xf_split_deinit(out);
  return xf_diag_set(diag, XF_E_NOTFOUND,
                     "no user has %u train events, one of them of an item with another event; "
                     "there is nothing to tune on",
                     least);
}

uint32_t xf_inner_judges(const struct xf_split *inner, uint32_t most, uint64_t seed, bool *user) {
  const struct xf_csr *held = &inner->part[XF_PART_VALID];
  uint32_t left = (uint32_t)inner->count.n_users[XF_PART_VALID];
  uint32_t want = most && most < left ? most : left;
  const uint32_t n = want;
  struct xf_rng rng;
  xf_rng_init(&rng, seed, UINT64_MAX);
  for (uint32_t u = 0; u < inner->n_users; u++) { /* @source Knuth 1969, algorithm S */
    user[u] = false;
    if (length(held, u) == 0) continue;
    user[u] = want > 0 && xf_rng_below(&rng, left) < want;
    want -= user[u];
    left--;
  }
  return n;
}
