/* pFedMe: theta approaches the minimum of f + lambda/2 |theta - w|^2 on a batch, then w follows it. theta goes on from batch to
   batch and starts each task at w. */
#include "train/personalparts.h"

void xf_pfedme_step(double *w, const double *theta, size_t n, double lr, double lambda) {
  for (size_t i = 0; i < n; i++) w[i] -= lr * lambda * (w[i] - theta[i]);
}

enum xf_rc xf_personal_pfedme(struct xf_personal *p, uint32_t rows, double *loss,
                              struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  for (uint32_t k = 0; k < p->config.steps && !rc; k++) {
    rc = xf_personal_gradient(p, p->v, rows, p->g, loss, diag);
    if (!rc) xf_ditto_step(p->v, p->g, p->w, p->n, p->config.lr, p->config.lambda);
  }
  if (!rc) xf_pfedme_step(p->w, p->v, p->n, p->lr, p->config.lambda);
  return rc;
}
