/* MAML, FOMAML, ANIL, BOIL, Meta-SGD: the silo sends minus its mean meta-gradient, and the coordinator's step is the outer one.
   They differ in what xf_metawork_new makes of their configuration. */
#include "train/metaparts.h"

enum xf_rc xf_metawork_send(struct xf_metawork *w, struct xf_metawork_job *job,
                            struct xf_diag *diag) {
  const enum xf_rc rc = xf_metawork_mean(w, job, diag);
  if (rc) return rc;
  for (size_t i = 0; i < w->n; i++) job->delta[i] = (float)-w->sum[i];
  for (size_t i = 0; w->rates && i < w->n; i++) {
    const double up = -w->rate_sum[i];
    job->delta[w->n + i] = job->start[w->n + i] <= 0 && up < 0 ? 0 : (float)up;
  }
  return XF_OK;
}
