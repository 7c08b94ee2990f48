/*
 * categories.h - the categories of items (genres, shelves, tags) from a file, with what is odd about the file.
 *
 * A line is an item's key, a tab, and its categories separated by '|'; plain or gzipped, no header. The spec names other
 * columns and separators (MovieLens' movies.dat: sep ':', column 3). Spaces around a category are removed, names are
 * compared byte by byte. Keys are looked up in the names of the data and never added: a file may know more items than a silo.
 * Not for: similarity of items (rec/itemsim.h). Owner: caller. Thread: immutable once built.
 */
#ifndef XF_DATA_CATEGORIES_H
#define XF_DATA_CATEGORIES_H

#include "data/csr.h"
#include "data/findings.h"

/* X(NAME, key in JSON, what is counted, what happens and the fix) */
#define XF_CATEGORY_FINDING_LIST(X)                                                            \
  X(UNKNOWN, "unknown_items", "lines whose item the data lack",                                \
    "they are left out; check that the keys are written as in the data")                       \
  X(REPEATS, "repeated_items", "lines whose item had a line already",                          \
    "the item gets the categories of all its lines; keep one line per item")                   \
  X(TWICE, "repeated_categories", "categories that their item has already",                    \
    "they count once; remove the others")                                                      \
  X(EMPTY, "empty_lists", "lines without a category",                                          \
    "the item is similar to no other by categories; give it one or remove the line")           \
  X(MISSING, "uncategorised_items", "items of the data without a category",                    \
    "they are similar to no other by categories and count in no distribution; add a line for " \
    "each")

enum xf_category_finding {
#define XF_CATEGORY_FINDING_ENUM(n, k, w, f) XF_CATEGORY_##n,
  XF_CATEGORY_FINDING_LIST(XF_CATEGORY_FINDING_ENUM)
#undef XF_CATEGORY_FINDING_ENUM
      XF_N_CATEGORY_FINDING
};

struct xf_categories_spec {
  uint32_t item, category; /* columns from 1; 0: 1 and 2 */
  char sep;                /* between columns, as xf_lines_open; 0: tab */
  char list_sep;           /* between categories; 0: '|' */
};

/* Item i has the categories of.item[of.start[i] .. of.start[i+1]), ascending ids below n. */
struct xf_categories {
  uint32_t n;
  struct xf_csr of; /* rows are items, those of the names when loaded */
  struct xf_names names;
  struct xf_finding finding[XF_N_CATEGORY_FINDING];
};

/* Reads. @own out: xf_categories_deinit, empty after an error @err those of lines.h; E_FORMAT (a column is missing, a category's
   name is too long, no item of the data has a category) E_INVAL (columns) E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_categories_load(struct xf_categories *out, const char *path,
                                             const struct xf_names *items,
                                             const struct xf_categories_spec *spec,
                                             struct xf_diag *diag);
/* Which categories each user has events in: rows of the users, columns of the categories, from rows of items.
   @own out: xf_csr_deinit @err E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_categories_profile(struct xf_csr *out,
                                                const struct xf_categories *categories,
                                                const struct xf_csr *items);
/* Releases; idempotent. @own categories */
void xf_categories_deinit(struct xf_categories *categories);
/* JSON key, what is counted, what happens and the fix. @own static */
const char *xf_category_finding_name(enum xf_category_finding kind);
const char *xf_category_finding_text(enum xf_category_finding kind);
const char *xf_category_finding_fix(enum xf_category_finding kind);

#endif
