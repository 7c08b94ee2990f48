/* FedRep: the head learns on the body that came, then the body on that head. @source Collins et al. 2021, algorithm 1 */
#include "train/personalparts.h"

#include <string.h>

/* The segments of one half; the head is what stays in the silo. */
static void half(struct xf_personal *p, bool head) {
  const struct xf_layout *layout = xf_model_get_layout(p->model);
  for (size_t i = 0; i < layout->n_seg; i++)
    p->moves[i] = (layout->seg[i].role == XF_ROLE_DOMAIN) == head;
}

enum xf_rc xf_personal_rep(struct xf_personal *p, struct xf_train_job *job, struct xf_diag *diag) {
  struct xf_train_job phase = *job;
  struct xf_rng own = job->shuffle;
  xf_rng_init(&phase.shuffle, xf_rng_u64(&own), 1);
  xf_rng_init(&phase.negative, xf_rng_u64(&own), 1);
  phase.moves = p->moves;
  phase.epochs = p->config.head_epochs;
  half(p, true);
  enum xf_rc rc = xf_trainer_run(p->trainer, &phase, diag);
  if (rc) return rc;
  half(p, false);
  phase.shuffle = job->shuffle;
  phase.negative = job->negative;
  phase.start = job->out;
  phase.epochs = 0;
  rc = xf_trainer_run(p->trainer, &phase, diag);
  job->n_samples = phase.n_samples;
  job->n_steps = phase.n_steps;
  job->loss = phase.loss;
  return rc;
}
