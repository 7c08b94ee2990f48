/* Per-FedAvg: several meta-steps in the silo, then the change of the parameters as in FedAvg. */
#include "base/alloc.h"
#include "nn/optim.h"
#include "train/metaparts.h"

#include <string.h>

enum xf_rc xf_metawork_perfedavg(struct xf_metawork *w, struct xf_metawork_job *job,
                                 struct xf_diag *diag) {
  const size_t n_seg = w->layout.n_seg;
  struct xf_grad_piece *piece = xf_calloc(n_seg, sizeof *piece);
  float *grad = job->delta; /* until the end */
  enum xf_rc rc = XF_OK;
  memcpy(w->params, job->start, w->n * sizeof *w->params);
  xf_optim_reset(w->optim);
  for (size_t k = 0; k < n_seg; k++) {
    const struct xf_segment *seg = &w->layout.seg[k];
    piece[k] = (struct xf_grad_piece){.seg = seg, .n_row = seg->rows, .g = grad + seg->offset};
  }
  for (uint32_t s = 0; s < w->config.steps && !rc; s++) {
    for (size_t i = 0; i < w->n; i++) w->start[i] = (double)w->params[i];
    rc = xf_metawork_mean(w, job, diag);
    if (rc) break;
    for (size_t i = 0; i < w->n; i++) grad[i] = (float)w->sum[i];
    xf_optim_step(w->optim, w->params, piece, n_seg);
  }
  for (size_t i = 0; i < w->n; i++) job->delta[i] = w->params[i] - job->start[i];
  xf_free(piece);
  return rc;
}
