/* Held-out items against their negatives, users in blocks of 64. */
#include "rec/heldout.h"

#include "base/alloc.h"
#include "rec/expected.h"

#include <math.h>

uint32_t xf_heldout_rivals(const struct xf_heldout_spec *spec, uint32_t user, uint32_t *out) {
  const struct xf_split *s = spec->split;
  const struct xf_csr *list = spec->list;
  uint32_t n = 0;
  if (list) {
    for (uint32_t k = list->start[user]; k < list->start[user + 1]; k++)
      if (!xf_csr_find(&s->part[spec->part], user, list->item[k])) out[n++] = list->item[k];
    return n;
  }
  /* runs of items between the user's positives, which the parts give in ascending order */
  uint32_t at[XF_N_PART];
  for (int p = 0; p < XF_N_PART; p++) at[p] = s->part[p].start[user];
  for (uint32_t i = 0; i < s->n_items; i++) {
    uint32_t next = s->n_items;
    for (int p = 0; p < XF_N_PART; p++) {
      const struct xf_csr *csr = &s->part[p];
      while (at[p] < csr->start[user + 1] && csr->item[at[p]] < i) at[p]++;
      if (at[p] < csr->start[user + 1] && csr->item[at[p]] < next) next = csr->item[at[p]];
    }
    if (!spec->train_items)
      while (i < next) out[n++] = i++;
    for (; i < next; i++) { /* written whether it counts or not: no branch to guess */
      out[n] = i;
      n += s->item_count[i] != 0;
    }
  }
  return n;
}

size_t xf_heldout_most(const struct xf_heldout_spec *spec) {
  size_t most = spec->split->n_items;
  for (uint32_t u = 0; spec->list && u < spec->split->n_users; u++) {
    const size_t n = spec->list->start[u + 1] - spec->list->start[u];
    if (n > most) most = n;
  }
  return most;
}

struct xf_query xf_heldout_query(const struct xf_heldout_spec *spec, uint32_t user) {
  const struct xf_csr *train = &spec->split->part[XF_PART_TRAIN];
  const struct xf_csr *held = &spec->split->part[spec->part];
  const uint32_t from = train->start[user], h = held->start[user];
  const bool timed = held->time && h < held->start[user + 1];
  return (struct xf_query){user, train->item + from, train->start[user + 1] - from,
                           timed ? held->time[h] : (double)NAN};
}

/* As many draws with repetition from a short list as a long one gets would meet its first items again and again: only rank 1 would
   count. Who samples without repetition there (rank_eval.h) takes the whole list. */
double xf_heldout_rank(const struct xf_heldout_spec *spec, uint32_t above, uint32_t n, bool whole) {
  if (spec->n_neg && (n >= spec->n_neg || !whole))
    return xf_expected_rank(above, n, spec->n_neg, spec->k, false).ndcg;
  return above < spec->k ? 1 / log2(above + 2.0) : 0;
}

static float one_user(const struct xf_heldout_spec *spec, uint32_t u, const float *row,
                      const uint32_t *rival, uint32_t n) {
  const struct xf_csr *held = &spec->split->part[spec->part];
  double sum = 0;
  for (uint32_t h = held->start[u]; h < held->start[u + 1]; h++) {
    const float mine = row[held->item[h]];
    uint32_t above = 0;
    for (uint32_t r = 0; r < n; r++) above += row[rival[r]] >= mine;
    sum += xf_heldout_rank(spec, above, n, true);
  }
  return (float)(sum / (held->start[u + 1] - held->start[u]));
}

struct scratch {
  float *row; /* [BLOCK x n_items] */
  uint32_t *rival, user[XF_HELDOUT_BLOCK], n;
  struct xf_query q[XF_HELDOUT_BLOCK];
  bool served[XF_HELDOUT_BLOCK];
};

static enum xf_rc block(const struct xf_scorer *scorer, const struct xf_heldout_spec *spec,
                        struct scratch *s, float *figure, struct xf_diag *diag) {
  const size_t m = spec->split->n_items;
  const enum xf_rc rc =
      s->n ? xf_scorer_score_many(scorer, s->q, s->n, s->row, s->served, diag) : XF_OK;
  for (uint32_t i = 0; !rc && i < s->n; i++) {
    const float *row = s->row + i * m;
    for (uint32_t k = 0; k < m; k++)
      if (!isfinite(row[k]))
        return xf_diag_set(diag, XF_E_NAN, "\"%s\": the score of item %u for user %u is no number",
                           scorer->kind->name, k, s->user[i]);
    figure[s->user[i]] =
        one_user(spec, s->user[i], row, s->rival, xf_heldout_rivals(spec, s->user[i], s->rival));
  }
  s->n = 0;
  return rc;
}

enum xf_rc xf_heldout_eval(const struct xf_scorer *scorer, const struct xf_heldout_spec *spec,
                           const bool *user, float *figure, struct xf_diag *diag) {
  const struct xf_split *split = spec->split;
  const struct xf_csr *held = &split->part[spec->part];
  if (scorer->n_items != split->n_items)
    return xf_diag_set(diag, XF_E_SHAPE, "\"%s\" scores %u items, the data have %u",
                       scorer->kind->name, scorer->n_items, split->n_items);
  struct scratch s = {
      .row = xf_try_calloc((size_t)XF_HELDOUT_BLOCK * split->n_items + 1, sizeof *s.row),
      .rival = xf_try_calloc(xf_heldout_most(spec) + 1, sizeof *s.rival)};
  enum xf_rc rc = XF_OK;
  if (!s.row || !s.rival)
    rc = xf_diag_set(diag, XF_E_NOMEM, "not enough memory to rank %u items", split->n_items);
  for (uint32_t u = 0; u < split->n_users; u++) figure[u] = NAN;
  for (uint32_t u = 0; !rc && u < split->n_users; u++) {
    if (held->start[u] == held->start[u + 1] || (user && !user[u])) continue;
    s.user[s.n] = u;
    s.q[s.n++] = xf_heldout_query(spec, u);
    if (s.n == XF_HELDOUT_BLOCK) rc = block(scorer, spec, &s, figure, diag);
  }
  if (!rc) rc = block(scorer, spec, &s, figure, diag);
  xf_free(s.row);
  xf_free(s.rival);
  return rc;
}

double xf_heldout_mean(const float *figure, size_t n) {
  double sum = 0, count = 0;
  for (size_t i = 0; i < n; i++)
    if (!isnan(figure[i])) sum += (double)figure[i], count += 1;
  return count > 0 ? sum / count : (double)NAN;
}
