/* Serving what a stage left as soon as a task brings it, not only at the next evaluation. Work for the federation goes before: a
   decision under way is given up when a task comes, and made after that one's answer. */
#include "base/alloc.h"
#include "client/io/parts.h"

struct deciding {
  struct client_job base;
  struct xf_msg_task_offer offer;
  uint32_t brought;
};

static void deciding_work(struct client_job *job) {
  struct deciding *d = (struct deciding *)job;
  struct xf_client *c = job->client;
  const struct xf_msg_task_offer *o = &d->offer;
  if (atomic_load(&job->job.cancel)) {
    job->rc = XF_E_CANCELLED;
    return;
  }
  xf_silo_set_cancel(c->silo, &job->job.cancel);
  /* c->base is still this task's: jobs run one after the other, in order */
  job->rc = xf_silo_decide_early(c->silo, o->stage, o->committed, c->base, &job->diag);
  xf_silo_set_cancel(c->silo, NULL);
  if (!job->rc) client_serving_decided(c, o->committed);
}

static void deciding_done(struct client_job *job) {
  struct deciding *d = (struct deciding *)job;
  struct xf_client *c = job->client;
  c->early.job = NULL;
  if (!job->rc) c->early.served |= d->brought;
  else if (job->rc == XF_E_CANCELLED)
    xf_log(XF_LOG_INFO, "serving_postponed", XF_U("committed", d->offer.committed));
  else
    xf_log(XF_LOG_ERROR, "serving_not_renewed", XF_S("what", "task"),
           XF_S("reason", xf_diag_text(&job->diag, job->rc)));
  xf_free(d);
}

void client_early(struct xf_client *c, const struct xf_msg_task_offer *offer) {
  if (!c->serving.on || c->exiting || c->n_stop || c->early.adopting) return;
  if (offer->kind != XF_TASK_TRAIN || !c->silo || !xf_silo_recommends(c->silo)) return;
  c->early.offer = *offer;
  c->early.brought = xf_silo_brought(c->silo, offer->stage, offer->committed);
  if ((c->early.brought & ~c->early.served) == 0) c->early.brought = 0;
}

/* Not before: the verdict is noted by the same worker, and the next task waits for that. */
void client_early_settled(struct xf_client *c) {
  if (!c->early.brought || c->exiting || c->n_stop || c->early.job) return;
  struct deciding *d = xf_calloc(1, sizeof *d);
  d->offer = c->early.offer;
  d->brought = c->early.brought;
  c->early.brought = 0;
  c->early.job = &d->base;
  client_submit(c, &d->base, deciding_work, deciding_done);
}

void client_early_yield(struct xf_client *c) {
  c->early.brought = 0;
  if (c->early.job) atomic_store(&c->early.job->job.cancel, true);
}
