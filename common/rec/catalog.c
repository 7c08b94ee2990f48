#include "rec/catalog.h"

#include "base/alloc.h"

#include <math.h>
#include <string.h>

static enum xf_rc copy_names(struct xf_names *out, const struct xf_names *from) {
  for (uint32_t i = 0; i < from->n; i++) {
    const char *text = xf_names_get(from, i);
    uint32_t id = 0;
    const enum xf_rc rc = xf_names_add(out, &id, text, strlen(text));
    if (rc) return rc;
  }
  return XF_OK;
}

static enum xf_rc check(const struct xf_csr *train, uint32_t n_users, uint32_t n_items,
                        struct xf_diag *diag) {
  if (train->n_row != n_users)
    return xf_diag_set(diag, XF_E_SHAPE, "histories of %u users, names of %u", train->n_row,
                       n_users);
  for (uint32_t u = 0; u < n_users; u++) {
    for (uint32_t at = train->start[u]; at < train->start[u + 1]; at++) {
      if (train->item[at] >= n_items)
        return xf_diag_set(diag, XF_E_SHAPE, "item %u in a history, names of %u", train->item[at],
                           n_items);
      if (at > train->start[u] && train->item[at] <= train->item[at - 1])
        return xf_diag_set(diag, XF_E_SHAPE, "the history of user %u is not ascending", u);
    }
  }
  return XF_OK;
}

static enum xf_rc fill(struct xf_catalog *c, const struct xf_csr *train) {
  const size_t n = xf_csr_count(train);
  c->start = xf_try_calloc((size_t)train->n_row + 1, sizeof *c->start);
  c->item = xf_try_calloc(n + 1, sizeof *c->item);
  c->popular = xf_try_calloc((size_t)c->items.n + 1, sizeof *c->popular);
  if (!c->start || !c->item || !c->popular) return XF_E_NOMEM;
  if (train->n_row) memcpy(c->start, train->start, ((size_t)train->n_row + 1) * sizeof *c->start);
  if (n) memcpy(c->item, train->item, n * sizeof *c->item);
  for (size_t i = 0; i < n; i++) c->popular[c->item[i]] += 1;
  for (uint32_t i = 0; i < c->items.n; i++) c->popular[i] = (float)log1p((double)c->popular[i]);
  return XF_OK;
}

enum xf_rc xf_catalog_new(struct xf_catalog **out, const struct xf_names *users,
                          const struct xf_names *items, const struct xf_csr *train,
                          struct xf_diag *diag) {
  *out = NULL;
  enum xf_rc rc = check(train, users->n, items->n, diag);
  if (rc) return rc;
  struct xf_catalog *c = xf_calloc(1, sizeof *c);
  atomic_init(&c->refs, 1);
  xf_names_init(&c->users);
  xf_names_init(&c->items);
  rc = copy_names(&c->users, users);
  if (!rc) rc = copy_names(&c->items, items);
  if (!rc) rc = fill(c, train);
  if (rc) {
    xf_catalog_unref(c);
    return xf_diag_set(diag, rc, "the names and histories of %u users cannot be kept: %s", users->n,
                       xf_rc_text(rc));
  }
  *out = c;
  return XF_OK;
}

enum xf_rc xf_catalog_categorise(struct xf_catalog *catalog, const char *path,
                                 struct xf_diag *diag) {
  const enum xf_rc rc = xf_categories_load(&catalog->categories, path, &catalog->items, NULL, diag);
  if (rc) return rc;
  catalog->has_categories = true;
  xf_itemsim_categories(&catalog->alike, &catalog->categories, catalog->items.n);
  return XF_OK;
}

enum xf_rc xf_catalog_cooccur(struct xf_catalog *catalog, uint64_t max_bytes,
                              struct xf_diag *diag) {
  const struct xf_csr train = {
      .n_row = catalog->users.n, .start = catalog->start, .item = catalog->item};
  const struct xf_rec_data data = {catalog->users.n, catalog->items.n, &train};
  const struct xf_gram_spec spec = {.max_bytes = max_bytes ? max_bytes : XF_CATALOG_GRAM_MAX};
  const enum xf_rc rc = xf_gram_build(&catalog->gram, &data, &spec, diag);
  if (rc) return rc;
  catalog->has_gram = true;
  xf_itemsim_gram(&catalog->taken, &catalog->gram);
  return XF_OK;
}

struct xf_catalog *xf_catalog_ref(struct xf_catalog *catalog) {
  atomic_fetch_add_explicit(&catalog->refs, 1, memory_order_relaxed);
  return catalog;
}

void xf_catalog_unref(struct xf_catalog *catalog) {
  if (!catalog || atomic_fetch_sub_explicit(&catalog->refs, 1, memory_order_acq_rel) > 1) return;
  xf_names_deinit(&catalog->users);
  xf_names_deinit(&catalog->items);
  xf_free(catalog->start);
  xf_free(catalog->item);
  xf_free(catalog->popular);
  xf_itemsim_deinit(&catalog->alike);
  xf_itemsim_deinit(&catalog->taken);
  if (catalog->has_gram) xf_gram_deinit(&catalog->gram);
  if (catalog->has_categories) xf_categories_deinit(&catalog->categories);
  xf_free(catalog);
}
