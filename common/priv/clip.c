#include "priv/clip.h"

#include "param/vec.h"

#include <math.h>

/* Each float is multiplied in double and rounded once. */
static void clip_one(float *x, size_t n, double clip, struct xf_clip_report *report) {
  const double norm = sqrt(xf_vec_norm2(x, n));
  if (norm > report->norm) report->norm = norm;
  if (!(clip > 0) || norm <= clip) return;
  const double factor = clip / norm;
  for (size_t i = 0; i < n; i++) x[i] = (float)((double)x[i] * factor);
  report->n_clipped++;
}

enum xf_rc xf_clip_rows(float *x, size_t n_rows, size_t cols, double clip,
                        struct xf_clip_report *report) {
  *report = (struct xf_clip_report){0};
  if (!(clip >= 0)) return XF_E_RANGE;
  if (xf_vec_find_nonfinite(x, n_rows * cols) != SIZE_MAX) return XF_E_NAN;
  for (size_t r = 0; r < n_rows; r++) clip_one(x + r * cols, cols, clip, report);
  return XF_OK;
}

enum xf_rc xf_clip_step(float *x, size_t n, double clip, struct xf_clip_report *report) {
  return xf_clip_rows(x, 1, n, clip, report);
}
