/*
 * catalog.h - what a silo's answers are made of beside scores: names of users and items, train histories, popularity,
 * and what items are like.
 *
 * Made once per load of the data and shared by every snapshot (serving.h) made of them.
 * Owner: reference-counted; the last xf_catalog_unref releases. Thread: immutable; ref and unref from any thread.
 */
#ifndef XF_REC_CATALOG_H
#define XF_REC_CATALOG_H

#include "data/names.h"
#include "data/split.h"
#include "rec/itemsim.h"

#include <stdatomic.h>

enum { XF_CATALOG_GRAM_MAX = 256 << 20 }; /* bytes, unless told */

struct xf_catalog {
  atomic_uint refs;
  struct xf_names users, items;
  uint32_t *start;                 /* [users.n + 1] train histories as in data/split.h */
  uint32_t *item;                  /* [start[users.n]] ascending for each user */
  float *popular;                  /* [items.n] log(1 + train events) */
  struct xf_categories categories; /* of the items, with has_categories */
  struct xf_itemsim alike;         /* by these */
  struct xf_gram gram;             /* who was taken with whom, with has_gram */
  struct xf_itemsim taken;         /* by these */
  bool has_categories, has_gram;
};

/* Copies all it needs. @own out: xf_catalog_unref @err E_SHAPE (train against names) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_catalog_new(struct xf_catalog **out, const struct xf_names *users,
                                         const struct xf_names *items, const struct xf_csr *train,
                                         struct xf_diag *diag);
/* Reads the items' categories (data/categories.h). @thread the maker's, before anyone shares it @err xf_categories_load's */
XF_WARN_UNUSED enum xf_rc xf_catalog_categorise(struct xf_catalog *catalog, const char *path,
                                                struct xf_diag *diag);
/* Counts which items the same users took: what items are like where there are neither categories nor a model's rows. max_bytes
   0: 256 MiB. @thread the maker's, before anyone shares it @err E_LIMIT (larger: nothing is kept) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_catalog_cooccur(struct xf_catalog *catalog, uint64_t max_bytes,
                                             struct xf_diag *diag);
/* One more owner; returns catalog. @own shared @thread any */
struct xf_catalog *xf_catalog_ref(struct xf_catalog *catalog);
/* One owner less; NULL is legal. @own releases the last @thread any */
void xf_catalog_unref(struct xf_catalog *catalog);

#endif
