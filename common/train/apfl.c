/* APFL: the net that is shared by its own gradient, the silo's own and the weight of the mix by the gradient of the mix. */
#include "train/personalparts.h"

void xf_apfl_mix(double *vbar, const double *v, const double *w, size_t n, double alpha) {
  for (size_t i = 0; i < n; i++) vbar[i] = alpha * v[i] + (1 - alpha) * w[i];
}

void xf_apfl_step(double *w, double *v, double *alpha, const double *g, const double *gv, size_t n,
                  double lr, double lr_alpha) {
  double slope = 0;
  for (size_t i = 0; i < n; i++) {
    slope += (v[i] - w[i]) * gv[i];
    w[i] -= lr * g[i];
    v[i] -= lr * *alpha * gv[i];
  }
  *alpha -= lr_alpha * slope;
  if (*alpha < 0) *alpha = 0;
  if (*alpha > 1) *alpha = 1;
}

enum xf_rc xf_personal_apfl(struct xf_personal *p, uint32_t rows, double *loss,
                            struct xf_diag *diag) {
  double of_mix = 0;
  xf_apfl_mix(p->gv, p->v, p->w, p->n, p->alpha);
  enum xf_rc rc = xf_personal_gradient(p, p->gv, rows, p->gv, &of_mix, diag);
  if (!rc) rc = xf_personal_gradient(p, p->w, rows, p->g, loss, diag);
  if (!rc)
    xf_apfl_step(p->w, p->v, &p->alpha, p->g, p->gv, p->n, p->lr,
                 p->config.lr > 0 ? p->config.lr : p->lr);
  return rc;
}
