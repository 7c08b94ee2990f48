/*
 * alssearch.h - the small search that ALS needs: its optimum in a and rho is narrow.
 *
 * Tries every (dim, a, rho) of a grid in that order, each a full local fit, and asks the caller for its figure on
 * validation data. Every try is reported; nothing is skipped. The first try with the largest figure wins.
 * Not for: other scorers' settings. Owner: caller. Thread: as als.h. @source docs/internals/rec.md "ALS"
 */
#ifndef XF_REC_ALSSEARCH_H
#define XF_REC_ALSSEARCH_H

#include "rec/als.h"

enum { XF_ALS_GRID = 8, XF_ALS_TRIES = 64 };

struct xf_als_grid {
  uint32_t dim[XF_ALS_GRID], n_dim;
  double a[XF_ALS_GRID], rho[XF_ALS_GRID]; /* ascending, so that `edge` means something */
  uint32_t n_a, n_rho;
};

struct xf_als_try {
  uint32_t dim;
  double a, rho, value, seconds;
};

struct xf_als_search {
  struct xf_als_try tries[XF_ALS_TRIES]; /* in the order tried */
  uint32_t n, best;
  bool edge; /* the best a or rho is the first or last of several: the grid may be too small */
};

/* The figure of a fitted model; larger is better, NaN is an error. */
typedef enum xf_rc (*xf_als_value)(void *arg, const struct xf_als *als, double *value,
                                   struct xf_diag *diag);

/* dim 96; a .006 .01 .02; rho .2 .3 .4. @own nothing taken */
struct xf_als_grid xf_als_grid_defaults(void);
/* Searches; spec gives what the grid does not (nu, sweeps, seed). After an error `out` holds the tries before it.
   @err E_INVAL (empty or too large grid) E_NAN (a figure) and those of fit and value */
XF_WARN_UNUSED enum xf_rc xf_als_search(struct xf_als_search *out, const struct xf_rec_data *data,
                                        const struct xf_als_spec *spec,
                                        const struct xf_als_grid *grid, struct xf_worker *pool,
                                        xf_als_value value, void *arg, struct xf_diag *diag);
/* The spec with the winning settings. @own nothing taken */
struct xf_als_spec xf_als_search_spec(const struct xf_als_search *search,
                                      const struct xf_als_spec *spec);

#endif
