/* FedNova: what leaves is the delta over the norm of the silo's local steps, then that norm. */
#include "fed/nova.h"
#include "silo/parts.h"

void silo_nova_end(struct xf_silo *s, const struct xf_train_job *job) {
  const struct xf_local_config local = xf_resolve_local(s->cfg.plan, 0);
  const bool heavy = local.optimizer.kind == XF_OPTIM_MOMENTUM;
  const uint64_t n = s->map.n_shared - 1;
  const float norm = (float)xf_nova_norm(job->n_steps, heavy ? (double)local.optimizer.momentum : 0,
                                         local.prox * (double)job->lr);
  for (uint64_t i = 0; i < n; i++) s->wire[i] = (float)((double)s->wire[i] / (double)norm);
  s->wire[n] = norm;
}
