#include "data/episode.h"

#include "base/alloc.h"

#include <stdlib.h>

/* A row on its way into order. */
struct entry {
  uint32_t client, class_id, row;
};

static int by_class(const void *a, const void *b) {
  const struct entry *x = a, *y = b;
  if (x->client != y->client) return x->client < y->client ? -1 : 1;
  if (x->class_id != y->class_id) return x->class_id < y->class_id ? -1 : 1;
  return (x->row > y->row) - (x->row < y->row);
}

static void fill(struct xf_episodes *out, const struct entry *entry, uint32_t n) {
  uint32_t n_class = 0;
  for (uint32_t i = 0; i < n; i++) {
    const bool client = i == 0 || entry[i].client != entry[i - 1].client;
    if (client) {
      out->client[out->n_client] = entry[i].client;
      out->first_class[out->n_client++] = n_class;
    }
    if (client || entry[i].class_id != entry[i - 1].class_id) out->first_row[n_class++] = i;
    out->row[i] = entry[i].row;
  }
  out->first_class[out->n_client] = n_class;
  out->first_row[n_class] = n;
}

enum xf_rc xf_episodes_init(struct xf_episodes *out, const struct xf_table *table,
                            enum xf_part part, struct xf_diag *diag) {
  size_t n = 0;
  *out = (struct xf_episodes){0};
  if (!table->client || table->n_class == 0)
    return xf_diag_set(diag, XF_E_STATE, "tasks need rows with a client and a class");
  uint32_t *row = xf_table_rows(table, part, &n);
  struct entry *entry = xf_try_calloc(n + 1, sizeof *entry);
  out->client = xf_try_calloc(n + 1, sizeof *out->client);
  out->first_class = xf_try_calloc(n + 1, sizeof *out->first_class);
  out->first_row = xf_try_calloc(n + 1, sizeof *out->first_row);
  out->row = xf_try_calloc(n + 1, sizeof *out->row);
  enum xf_rc rc = XF_OK;
  if (!entry || !out->client || !out->first_class || !out->first_row || !out->row)
    rc = xf_diag_set(diag, XF_E_NOMEM, "not enough memory for %zu rows", n);
  else if (n == 0) rc = xf_diag_set(diag, XF_E_STATE, "there are no rows to draw tasks from");
  if (!rc) {
    for (size_t i = 0; i < n; i++)
      entry[i] = (struct entry){table->client[row[i]], (uint32_t)table->y[row[i]], row[i]};
    qsort(entry, n, sizeof *entry, by_class);
    fill(out, entry, (uint32_t)n);
  }
  xf_free(entry);
  xf_free(row);
  if (rc) xf_episodes_deinit(out);
  return rc;
}

void xf_episodes_deinit(struct xf_episodes *e) {
  xf_free(e->client);
  xf_free(e->first_class);
  xf_free(e->first_row);
  xf_free(e->row);
  *e = (struct xf_episodes){0};
}

enum xf_rc xf_episodes_check(const struct xf_episodes *e, const struct xf_episode_spec *spec,
                             struct xf_diag *diag) {
  if (spec->ways < 1 || spec->shots < 1 || spec->queries < 1)
    return xf_diag_set(diag, XF_E_INVAL, "ways, shots and queries of a task must be at least 1");
  for (uint32_t k = 0; k < e->n_client; k++) {
    const uint32_t n = e->first_class[k + 1] - e->first_class[k];
    if (n < spec->ways)
      return xf_diag_set(diag, XF_E_RANGE, "client %u has %u classes; tasks of %u are asked for",
                         e->client[k], n, spec->ways);
  }
  for (uint32_t c = 0; c < e->first_class[e->n_client]; c++) {
    const uint32_t n = e->first_row[c + 1] - e->first_row[c];
    if (n < (uint64_t)spec->shots + spec->queries)
      return xf_diag_set(diag, XF_E_RANGE,
                         "a class has %u rows (row %u is the first); %u shots and %u queries are "
                         "asked for",
                         n, e->row[e->first_row[c]], spec->shots, spec->queries);
  }
  return XF_OK;
}

/* The first k of a shuffle of from .. to-1. @own caller: xf_free */
static uint32_t *choose(struct xf_rng *rng, uint32_t from, uint32_t to, uint32_t k) {
  const uint32_t n = to - from;
  uint32_t *id = xf_calloc(n, sizeof *id);
  for (uint32_t i = 0; i < n; i++) id[i] = from + i;
  for (uint32_t i = 0; i < k; i++) {
    const uint32_t j = i + xf_rng_below(rng, n - i), swap = id[i];
    id[i] = id[j];
    id[j] = swap;
  }
  return id;
}

void xf_episodes_draw(const struct xf_episodes *e, const struct xf_episode_spec *spec,
                      uint32_t which, struct xf_rng *rng, uint32_t *support, uint32_t *query) {
  const uint32_t each = spec->shots + spec->queries;
  uint32_t *of = choose(rng, e->first_class[which], e->first_class[which + 1], spec->ways);
  for (uint32_t w = 0; w < spec->ways; w++) {
    uint32_t *id = choose(rng, e->first_row[of[w]], e->first_row[of[w] + 1], each);
    for (uint32_t i = 0; i < spec->shots; i++) support[w * spec->shots + i] = e->row[id[i]];
    for (uint32_t i = 0; i < spec->queries; i++)
      query[w * spec->queries + i] = e->row[id[spec->shots + i]];
    xf_free(id);
  }
  xf_free(of);
}
