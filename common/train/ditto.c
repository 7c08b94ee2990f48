/* Ditto: the silo's own net is drawn to the round's model, which it does not touch. */
#include "train/personalparts.h"

void xf_ditto_step(double *v, const double *g, const double *w, size_t n, double lr,
                   double lambda) {
  for (size_t i = 0; i < n; i++) v[i] -= lr * (g[i] + lambda * (v[i] - w[i]));
}

enum xf_rc xf_personal_ditto(struct xf_personal *p, uint32_t rows, double *loss,
                             struct xf_diag *diag) {
  const enum xf_rc rc = xf_personal_gradient(p, p->v, rows, p->g, loss, diag);
  if (!rc) xf_ditto_step(p->v, p->g, p->w, p->n, p->lr, p->config.lambda);
  return rc;
}
