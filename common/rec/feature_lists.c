/* Lists of candidates as features: drawn for held-out items, or as given. */
#include "rec/features.h"

#include "base/alloc.h"
#include "data/sampler.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { N_NEG = 99 };

struct work {
  const struct xf_features *features;
  const struct xf_csr *history;
  bool catalogue;
  float *all;     /* [n_items x n_feature] with catalogue */
  uint32_t *list; /* [n_list] */
  uint32_t *mark; /* [n_items] */
};

static bool work_init(struct work *w, uint32_t n_list) {
  const struct xf_features *f = w->features;
  if (w->catalogue) w->all = xf_try_calloc((size_t)f->n_items * f->set->n_feature, sizeof *w->all);
  w->list = xf_try_calloc(n_list, sizeof *w->list);
  w->mark = xf_try_calloc(f->n_items, sizeof *w->mark);
  return (!w->catalogue || w->all) && w->list && w->mark;
}

static void work_deinit(struct work *w) {
  xf_free(w->all);
  xf_free(w->list);
  xf_free(w->mark);
}

static enum xf_rc no_memory(struct xf_diag *diag) {
  return xf_diag_set(diag, XF_E_NOMEM, "not enough memory to make lists of features");
}

/* Features of w->list into list k of out. */
static enum xf_rc fill(struct work *w, struct xf_listset *out, uint32_t k, uint32_t user,
                       struct xf_diag *diag) {
  const struct xf_csr *h = w->history;
  const size_t width = out->n_in;
  float *to = out->x + k * xf_listset_size(out);
  struct xf_query q = {.user = XF_NO_ID, .at = (double)NAN};
  out->user[k] = user;
  if (user < h->n_row) {
    q.user = user;
    q.item = h->item + h->start[user];
    q.n = h->start[user + 1] - h->start[user];
  }
  if (!w->catalogue) return xf_features_make(w->features, &q, w->list, out->n_list, to, NULL, diag);
  const enum xf_rc rc = xf_features_make(w->features, &q, NULL, 0, w->all, NULL, diag);
  for (uint32_t i = 0; !rc && i < out->n_list; i++)
    memcpy(to + i * width, w->all + w->list[i] * width, width * sizeof *to);
  return rc;
}

/* w->list[1 ..): items that are not marked `stamp`, n_marked of which are; round again when they are too few. false: there is
   none, the user has all items. */
static bool draw(struct work *w, struct xf_rng *rng, uint32_t n_list, uint32_t n_marked,
                 uint32_t stamp) {
  const uint32_t n_items = w->features->n_items;
  if (n_marked >= n_items) return false;
  const uint32_t got =
      xf_sampler_distinct(rng, w->list + 1, n_list - 1, n_items, n_marked, w->mark, stamp);
  for (uint32_t i = got; i + 1 < n_list; i++) w->list[1 + i] = w->list[1 + i % got];
  return true;
}

static uint32_t mark_row(struct work *w, const struct xf_csr *csr, uint32_t user, uint32_t stamp) {
  uint32_t n = 0;
  for (uint32_t k = csr->start[user]; k < csr->start[user + 1]; k++) {
    n += w->mark[csr->item[k]] != stamp;
    w->mark[csr->item[k]] = stamp;
  }
  return n;
}

static enum xf_rc check_items(const struct xf_csr *csr, uint32_t n_items, struct xf_diag *diag) {
  for (uint32_t k = 0; k < xf_csr_count(csr); k++)
    if (csr->item[k] >= n_items)
      return xf_diag_set(diag, XF_E_SHAPE,
                         "an event of item %" PRIu32 ", but the catalogue has %" PRIu32 " items",
                         csr->item[k], n_items);
  return XF_OK;
}

enum xf_rc xf_features_draw(struct xf_listset *out, const struct xf_features *features,
                            const struct xf_csr *history, const struct xf_csr *held,
                            const struct xf_features_draw *spec, struct xf_diag *diag) {
  struct work w = {.features = features, .history = history, .catalogue = spec->catalogue};
  const uint32_t n_list = 1 + (spec->n_neg ? spec->n_neg : N_NEG);
  *out = (struct xf_listset){0};
  if (history->n_row != held->n_row)
    return xf_diag_set(diag, XF_E_SHAPE,
                       "histories of %" PRIu32 " users, held-out items of %" PRIu32, history->n_row,
                       held->n_row);
  enum xf_rc rc = check_items(history, features->n_items, diag);
  if (!rc) rc = check_items(held, features->n_items, diag);
  if (!rc) rc = xf_listset_init(out, xf_csr_count(held), n_list, features->set->n_feature, diag);
  if (rc) return rc;
  if (!work_init(&w, n_list)) rc = no_memory(diag);
  uint32_t stamp = 0, at = 0;
  for (uint32_t u = 0; !rc && u < held->n_row; u++)
    for (uint32_t k = held->start[u]; !rc && k < held->start[u + 1]; k++) {
      struct xf_rng rng;
      xf_rng_init(&rng, spec->seed, (uint64_t)u << 32 | held->item[k]);
      stamp++;
      const uint32_t n = mark_row(&w, history, u, stamp) + mark_row(&w, held, u, stamp);
      w.list[0] = held->item[k];
      if (draw(&w, &rng, n_list, n, stamp)) rc = fill(&w, out, at++, u, diag);
    }
  work_deinit(&w);
  out->n = at;
  if (!rc && at == 0)
    rc = xf_diag_set(diag, XF_E_RANGE,
                     "no list to train on: nobody has a held-out item and an item they lack");
  if (rc) xf_listset_deinit(out);
  return rc;
}

/* The list of relevant item p of given list l: it, then the irrelevant ones. */
static enum xf_rc give(struct work *w, const struct xf_lists *l, uint32_t list, uint32_t p,
                       uint32_t n_list, struct xf_diag *diag) {
  uint32_t got = 0;
  w->list[0] = l->item[p];
  for (uint32_t k = l->start[list]; k < l->start[list + 1] && got + 1 < n_list; k++)
    if (!l->relevant[k]) w->list[1 + got++] = l->item[k];
  if (got == 0)
    return xf_diag_set(diag, XF_E_RANGE,
                       "the list of user %" PRIu32 " has no irrelevant item: there is nothing to "
                       "learn from it; leave it out",
                       l->user[list]);
  for (uint32_t i = got; i + 1 < n_list; i++) w->list[1 + i] = w->list[1 + i % got];
  return XF_OK;
}

enum xf_rc xf_features_given(struct xf_listset *out, const struct xf_features *features,
                             const struct xf_csr *history, const struct xf_lists *lists,
                             uint32_t n_list, bool catalogue, struct xf_diag *diag) {
  struct work w = {.features = features, .history = history, .catalogue = catalogue};
  uint32_t n = 0, at = 0;
  *out = (struct xf_listset){0};
  for (uint32_t k = 0; lists->n && k < lists->start[lists->n]; k++) n += lists->relevant[k] != 0;
  enum xf_rc rc = xf_listset_init(out, n, n_list, features->set->n_feature, diag);
  if (rc) return rc;
  if (!work_init(&w, n_list)) rc = no_memory(diag);
  for (uint32_t l = 0; !rc && l < lists->n; l++)
    for (uint32_t k = lists->start[l]; !rc && k < lists->start[l + 1]; k++) {
      if (!lists->relevant[k]) continue;
      rc = give(&w, lists, l, k, n_list, diag);
      if (!rc) rc = fill(&w, out, at++, lists->user[l], diag);
    }
  work_deinit(&w);
  if (rc) xf_listset_deinit(out);
  return rc;
}
