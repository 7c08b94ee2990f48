/*
 * sweepgrid.h - the settings of a sweep: every combination of the values of some plan keys, each with every seed.
 * Owner: the caller's grid owns its texts. Thread: any.
 */
#ifndef XF_EXPER_SWEEPGRID_H
#define XF_EXPER_SWEEPGRID_H

#include "base/diag.h"

#include <stddef.h>
#include <stdint.h>

enum {
  XF_SWEEPGRID_AXES = 16,
  XF_SWEEPGRID_VALUES = 256,
  XF_SWEEPGRID_SEEDS = 1000,
  XF_SWEEPGRID_CELLS = 10000
};

struct xf_sweepgrid_axis {
  char *key, *value[XF_SWEEPGRID_VALUES];
  size_t n;
};
struct xf_sweepgrid {
  struct xf_sweepgrid_axis axis[XF_SWEEPGRID_AXES];
  size_t n_axis;
  uint64_t seed[XF_SWEEPGRID_SEEDS];
  size_t n_seed;
};

/* Adds an axis "KEY=V1,V2,...": commas inside brackets, braces or quotes belong to a value.
   @own grid: xf_sweepgrid_deinit @err E_INVAL (what is wrong, and how it is written) E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_sweepgrid_add(struct xf_sweepgrid *grid, const char *text,
                                           struct xf_diag *diag);
/* "1..5" (both ends), "1,2,7", "3". @err E_INVAL E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_sweepgrid_seeds(struct xf_sweepgrid *grid, const char *text,
                                             struct xf_diag *diag);
/* Combinations of values. @unit combinations; above XF_SWEEPGRID_CELLS: too many */
size_t xf_sweepgrid_combinations(const struct xf_sweepgrid *grid);
/* The value of an axis in a combination. @own grid */
const char *xf_sweepgrid_value(const struct xf_sweepgrid *grid, size_t combination, size_t axis);
/* "lr=0.1_batch=8": a folder's name, by the last word of each key; of letters, digits and "._=-". Cut to fit.
   @shape out[cap] */
void xf_sweepgrid_name(char *out, size_t cap, const struct xf_sweepgrid *grid, size_t combination);
/* Releases; idempotent. @own grid */
void xf_sweepgrid_deinit(struct xf_sweepgrid *grid);

#endif
