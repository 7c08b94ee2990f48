#include "nntest.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

void nntest_layout(struct xf_layout *out, const struct seg_spec *spec) {
  xf_layout_init(out);
  for (; spec->name; spec++)
    if (xf_layout_add(out, spec->name, XF_ROLE_SHARED, "", spec->rows, spec->cols, NULL))
      fail_msg("layout");
}

struct xf_nnplan *nntest_plan(const struct xf_graph *g, struct xf_nnplan_spec spec) {
  struct xf_nnplan *p;
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_nnplan_new(&p, g, &spec, &diag)) fail_msg("%s", diag.text);
  return p;
}

void nntest_run(struct xf_nnplan *p, const float *params, float *grad, uint32_t n) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_nnplan_run(p, params, grad, (uint32_t[XF_N_SYM]){[XF_SYM_B] = n}, &diag))
    fail_msg("%s", diag.text);
}

void nntest_run64(struct xf_nnplan *p, const double *params, double *grad, uint32_t n) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_nnplan_run64(p, params, grad, (uint32_t[XF_N_SYM]){[XF_SYM_B] = n}, &diag))
    fail_msg("%s", diag.text);
}

void nntest_close(const float *got, const double *want, size_t n, double tol, const char *what) {
  for (size_t i = 0; i < n; i++)
    if (!(fabs((double)got[i] - want[i]) <= tol * fmax(1, fabs(want[i]))))
      fail_msg("%s[%zu] = %.9g, want %.12g", what, i, (double)got[i], want[i]);
}

void nntest_close64(const double *got, const double *want, size_t n, double tol, const char *what) {
  for (size_t i = 0; i < n; i++)
    if (!(fabs(got[i] - want[i]) <= tol * fmax(1, fabs(want[i]))))
      fail_msg("%s[%zu] = %.17g, want %.17g", what, i, got[i], want[i]);
}
