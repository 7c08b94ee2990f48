/* Personal tasks: memory, the walk over batches, from floats to doubles and back. */
#include "train/personal.h"

#include "base/alloc.h"
#include "train/personalparts.h"

#include <math.h>
#include <string.h>

static enum xf_rc check(const struct xf_personal *p, const struct xf_local_config *local,
                        struct xf_diag *diag) {
  const char *state = xf_graph_get_update(p->trainer->net.graph);
  if (p->config.rule == XF_PERSONAL_REP) return XF_OK;
  if (local->optimizer.kind != XF_OPTIM_SGD)
    return xf_diag_set(diag, XF_E_UNSUPPORTED,
                       "local.optimizer.kind: the steps of a second net are plain SGD, not %s",
                       xf_optim_name(local->optimizer.kind));
  if (!state) return XF_OK;
  return xf_diag_set(diag, XF_E_UNSUPPORTED,
                     "model %s: segment \"%s\" of its batch norm follows the data without a "
                     "gradient; write model.kind: cnn-small, or fed.algorithm: fedbn",
                     xf_model_kind_name(xf_model_get_config(p->model)->kind), state);
}

enum xf_rc xf_personal_new(struct xf_personal **out, const struct xf_model *model,
                           const struct xf_personal_config *config,
                           const struct xf_local_config *local, uint32_t max_samples,
                           struct xf_diag *diag) {
  const struct xf_layout *layout = xf_model_get_layout(model);
  const size_t n_base = xf_model_base(model);
  struct xf_local_config plain = *local;
  struct xf_personal *p = xf_calloc(1, sizeof *p);
  *out = NULL;
  plain.plain_grads = true;
  p->config = *config;
  p->model = model;
  p->n = (size_t)(n_base < layout->n_seg ? layout->seg[n_base].offset : layout->n);
  enum xf_rc rc = xf_trainer_new(&p->trainer, model, &plain, max_samples, diag);
  if (!rc) rc = check(p, local, diag);
  const bool rep = config->rule == XF_PERSONAL_REP;
  if (!rc && rep) {
    p->moves = xf_try_calloc(layout->n_seg, 1);
    if (!p->moves) rc = XF_E_NOMEM;
  } else if (!rc) {
    double **const own[] = {&p->w, &p->v, &p->g, &p->gv};
    p->at = xf_try_calloc((size_t)layout->n, sizeof *p->at);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
      *own[i] = xf_try_calloc(p->n, sizeof **own[i]);
      if (!p->at || !*own[i])
        rc = xf_diag_set(diag, XF_E_NOMEM, "no memory for a second net of %zu parameters", p->n);
    }
  }
  if (rc) {
    xf_personal_free(p);
    return rc;
  }
  *out = p;
  return XF_OK;
}

void xf_personal_free(struct xf_personal *p) {
  if (!p) return;
  xf_trainer_free(p->trainer);
  void *const own[] = {p->at, p->w, p->v, p->g, p->gv, p->moves};
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) xf_free(own[i]);
  xf_free(p);
}

enum xf_rc xf_personal_gradient(struct xf_personal *p, const double *x, uint32_t rows, double *g,
                                double *loss, struct xf_diag *diag) {
  for (size_t i = 0; i < p->n; i++) p->at[i] = (float)x[i];
  return xf_trainer_gradient(p->trainer, p->at, rows, p->step, g, p->n, loss, diag);
}

/* All batches of the task by a rule. */
static enum xf_rc walk(struct xf_personal *p, xf_personal_batch *batch, struct xf_train_job *job,
                       struct xf_diag *diag) {
  struct xf_trainer *t = p->trainer;
  struct xf_rng negative = job->negative;
  const struct xf_feed_task task = {.data = job->data, .negative = &negative};
  uint64_t n_steps = 0;
  double sum = 0, seen = 0;
  enum xf_rc rc = xf_trainer_begin(t, job, &n_steps, diag);
  p->lr = (double)t->lr;
  while (job->n_steps < n_steps && !rc) {
    uint32_t rows = 0;
    double loss = 0;
    if (job->cancel && atomic_load_explicit(job->cancel, memory_order_relaxed))
      return xf_diag_set(diag, XF_E_CANCELLED, "cancelled after %llu of %llu steps",
                         (unsigned long long)job->n_steps, (unsigned long long)n_steps);
    xf_trainer_draw(t, &task, &rows);
    p->step = job->n_steps + 1;
    rc = batch(p, rows, &loss, diag);
    sum += loss * rows;
    seen += rows;
    job->n_steps++;
    job->loss = sum / seen;
    xf_trainer_report(job, n_steps);
  }
  return rc;
}

/* DITTO: v beside w; its batches have a stream of their own, so that those of w are as without. */
static enum xf_rc beside(struct xf_personal *p, struct xf_trainer *trainer,
                         struct xf_train_job *job, struct xf_diag *diag) {
  struct xf_train_job own = *job;
  struct xf_rng rng = job->shuffle;
  xf_rng_init(&own.shuffle, xf_rng_u64(&rng), 1);
  xf_rng_init(&own.negative, xf_rng_u64(&rng), 1);
  enum xf_rc rc = walk(p, xf_personal_ditto, &own, diag);
  if (!rc) rc = xf_trainer_run(trainer, job, diag);
  return rc;
}

static enum xf_rc run(struct xf_personal *p, struct xf_trainer *trainer, struct xf_train_job *job,
                      struct xf_diag *diag) {
  switch (p->config.rule) {
  case XF_PERSONAL_DITTO: return beside(p, trainer, job, diag);
  case XF_PERSONAL_PFEDME: return walk(p, xf_personal_pfedme, job, diag);
  case XF_PERSONAL_APFL: return walk(p, xf_personal_apfl, job, diag);
  case XF_PERSONAL_PLAIN:
  case XF_PERSONAL_REP: break;
  }
  return xf_personal_rep(p, job, diag);
}

enum xf_rc xf_personal_run(struct xf_personal *p, struct xf_trainer *trainer,
                           struct xf_train_job *job, struct xf_diag *diag) {
  const struct xf_layout *layout = xf_model_get_layout(p->model);
  const enum xf_personal_rule rule = p->config.rule;
  const size_t n = p->n, n_all = (size_t)layout->n;
  if (rule == XF_PERSONAL_REP) return run(p, trainer, job, diag);
  const float *own = job->start + (rule == XF_PERSONAL_PFEDME ? 0 : n);
  for (size_t i = 0; i < n; i++) p->w[i] = (double)job->start[i];
  for (size_t i = 0; i < n; i++) p->v[i] = (double)own[i];
  if (rule == XF_PERSONAL_APFL) p->alpha = (double)job->start[n_all - 1];
  const enum xf_rc rc = run(p, trainer, job, diag);
  if (rc) return rc;
  for (size_t i = 0; i < n && rule != XF_PERSONAL_DITTO; i++) job->out[i] = (float)p->w[i];
  for (size_t i = 0; i < n; i++) job->out[n + i] = (float)p->v[i];
  if (rule == XF_PERSONAL_APFL) job->out[n_all - 1] = (float)p->alpha;
  return xf_trainer_check(p->trainer, job->out, job->n_steps, diag);
}

bool xf_personal_has_net(const struct xf_personal *p) { return p->config.rule != XF_PERSONAL_REP; }

void xf_personal_serve(const struct xf_model *model, float *x) {
  const struct xf_layout *layout = xf_model_get_layout(model);
  const enum xf_model_personal kind = xf_model_get_config(model)->personal;
  if (kind != XF_PERSONAL_COPY && kind != XF_PERSONAL_MIX) return;
  const size_t n = (size_t)layout->seg[xf_model_base(model)].offset;
  const double alpha = kind == XF_PERSONAL_MIX ? (double)x[layout->n - 1] : 1;
  for (size_t i = 0; i < n; i++)
    x[i] = (float)(alpha * (double)x[n + i] + (1 - alpha) * (double)x[i]);
}
