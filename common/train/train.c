/* The local procedure: batches through the plan into the optimiser, until the task's steps are done. */
#include "train/train.h"

#include "base/alloc.h"
#include "data/sampler.h"
#include "param/vec.h"
#include "tensor/kern.h"
#include "train/trainer.h"

#include <math.h>
#include <string.h>

enum { PROGRESS_PARTS = 100, MAX_BATCH = 1 << 24, PAIRS = 256 };

static uint32_t unit_batch(const struct xf_trainer *t) {
  return t->config.unit == XF_UNIT_SAMPLE ? 1 : XF_UNIT_CHUNKS;
}

static enum xf_rc check(const struct xf_local_config *c, struct xf_diag *diag) {
  if ((c->epochs > 0) == (c->steps > 0))
    return xf_diag_set(diag, XF_E_CONFIG,
                       "local.epochs is %u and local.steps %u; exactly one must be above 0",
                       c->epochs, c->steps);
  if (c->batch > MAX_BATCH)
    return xf_diag_set(diag, XF_E_CONFIG, "local.batch is %u; at most %d", c->batch, MAX_BATCH);
  if (!(c->optimizer.lr > 0) || !isfinite(c->optimizer.lr))
    return xf_diag_set(diag, XF_E_CONFIG, "local.optimizer.lr is %g; it must be above 0",
                       (double)c->optimizer.lr);
  if (c->optimizer.l2 != 0.0f)
    return xf_diag_set(diag, XF_E_CONFIG, "l2 belongs in local.l2, not in the optimizer");
  if (!(c->prox >= 0) || !isfinite(c->prox))
    return xf_diag_set(diag, XF_E_CONFIG, "local.prox is %g; it must be 0 or above", c->prox);
  if (c->unit != XF_UNIT_NONE && (!c->steps || c->l2 > 0 || c->prox > 0 || c->pull > 0))
    return xf_diag_set(diag, XF_E_CONFIG,
                       "clipping by unit counts local.steps and takes no local.l2 or local.prox");
  if (!(c->kappa >= 0 && c->kappa <= 1))
    return xf_diag_set(diag, XF_E_CONFIG, "rows.kappa is %g; it must be 0 to 1", c->kappa);
  return XF_OK;
}

/* Plain SGD on one pair after the other: the graph's steps, in place and without one (decision 33). */
static bool is_pairwise(const struct xf_trainer *t) {
  const struct xf_model_config *m = xf_model_get_config(t->model);
  const struct xf_local_config *c = &t->config;
  return m->kind == XF_MODEL_MF && m->loss == XF_LOSS_BPR && c->batch == 1 && c->negatives <= 1 &&
         c->pull <= 0 && c->prox <= 0 && !c->plain_grads && c->optimizer.kind == XF_OPTIM_SGD;
}

/* Graph, plan, optimiser and buffers; the trainer is freed by the caller after an error. */
static enum xf_rc build(struct xf_trainer *t, struct xf_diag *diag) {
  const struct xf_layout *layout = xf_model_get_layout(t->model);
  const struct xf_model_loss spec = {
      .negatives = t->config.negatives, .l2 = t->config.l2, .pull = t->config.pull};
  enum xf_rc rc = xf_model_net_loss(&t->net, t->model, &spec, diag);
  if (rc) return rc;
  const uint32_t samples = t->max_samples ? t->max_samples : 1;
  const bool by_unit = t->config.unit != XF_UNIT_NONE,
             dense = by_unit || t->config.prox > 0 || t->config.plain_grads;
  const uint32_t batch = by_unit                                        ? unit_batch(t)
                         : t->config.batch && t->config.batch < samples ? t->config.batch
                                                                        : samples;
  t->fused = t->config.optimizer.kind == XF_OPTIM_SGD && !dense;
  const struct xf_nnplan_spec plan = {.outputs = {t->net.data},
                                      .n_output = 1,
                                      .loss = t->net.loss,
                                      .has_loss = true,
                                      .train = true,
                                      .dense_grads = dense,
                                      .packed = !dense,
                                      .fuse_sgd = t->fused,
                                      .max = {[XF_SYM_B] = batch}};
  rc = xf_nnplan_new(&t->plan, t->net.graph, &plan, diag);
  if (!rc) rc = xf_optim_new(&t->optim, &t->config.optimizer, layout, diag);
  if (rc) return rc;
  t->grad = xf_try_calloc(layout->n + 1, sizeof *t->grad);
  const bool in_panels = xf_nnplan_get_packed(t->plan) > 0;
  if (in_panels) t->work = xf_try_pages(layout->n * sizeof *t->work);
  if (t->config.plain_grads) t->moved = xf_try_calloc(layout->n_seg, sizeof *t->moved);
  if (!t->grad || (in_panels && !t->work) || (t->config.plain_grads && !t->moved) ||
      (t->config.prox > 0 && xf_trainer_prox_init(t)) ||
      xf_feeder_init(&t->feeder, t->model, &t->net, is_pairwise(t) ? PAIRS : batch, t->max_samples))
    return xf_diag_set(diag, XF_E_NOMEM,
                       "not enough memory to train %llu parameters with batches "
                       "of %u",
                       (unsigned long long)layout->n, batch);
  xf_feeder_attach(&t->feeder, t->plan);
  return by_unit ? xf_trainer_units_init(t, diag) : XF_OK;
}

enum xf_rc xf_trainer_new(struct xf_trainer **out, const struct xf_model *model,
                          const struct xf_local_config *config, uint32_t max_samples,
                          struct xf_diag *diag) {
  *out = NULL;
  enum xf_rc rc = check(config, diag);
  if (rc) return rc;
  struct xf_trainer *t = xf_calloc(1, sizeof *t);
  t->model = model;
  t->config = *config;
  t->max_samples = max_samples;
  rc = build(t, diag);
  if (rc) {
    xf_trainer_free(t);
    return rc;
  }
  *out = t;
  return XF_OK;
}

void xf_trainer_free(struct xf_trainer *trainer) {
  if (!trainer) return;
  if (trainer->work)
    xf_free_pages(trainer->work, xf_model_get_layout(trainer->model)->n * sizeof *trainer->work);
  xf_batches_deinit(&trainer->batches);
  xf_feeder_deinit(&trainer->feeder);
  xf_optim_free(trainer->optim);
  xf_nnplan_free(trainer->plan);
  xf_model_net_deinit(&trainer->net);
  xf_trainer_units_deinit(trainer);
  xf_trainer_prox_deinit(trainer);
  xf_free(trainer->grad);
  xf_free(trainer->moved);
  xf_free(trainer);
}

void xf_trainer_set_steps(struct xf_trainer *trainer, uint32_t steps) {
  trainer->config.steps = steps;
}

size_t xf_trainer_get_bytes(const struct xf_trainer *trainer) {
  size_t n_state = 0;
  (void)xf_optim_get_state(trainer->optim, &n_state);
  const size_t n = xf_model_get_layout(trainer->model)->n;
  return xf_nnplan_get_bytes(trainer->plan, NULL) +
         ((trainer->work ? 2 : 1) * n + (trainer->anchor ? n : 0) + n_state) * sizeof(float) +
         (size_t)trainer->max_samples * sizeof(uint32_t);
}

/* Batches over n samples in the task's order; memory is kept while the number stays. */
static enum xf_rc start_batches(struct xf_trainer *t, uint32_t n, const struct xf_rng *rng) {
  if (t->batches.n == n) {
    xf_batches_reset(&t->batches, rng);
    return XF_OK;
  }
  xf_batches_deinit(&t->batches);
  return xf_batches_init(&t->batches, n, t->config.batch, rng);
}

enum xf_rc xf_trainer_check(const struct xf_trainer *t, const float *params, uint64_t step,
                            struct xf_diag *diag) {
  const struct xf_layout *layout = xf_model_get_layout(t->model);
  const size_t bad = xf_vec_find_nonfinite(params, layout->n);
  if (bad == SIZE_MAX) return XF_OK;
  size_t s = 0;
  while (s + 1 < layout->n_seg && layout->seg[s + 1].offset <= bad) s++;
  const struct xf_segment *seg = &layout->seg[s];
  const size_t at = bad - seg->offset;
  return xf_diag_set(diag, XF_E_NAN,
                     "after step %llu parameter %s[%zu][%zu] is %g; training diverged, lower "
                     "local.optimizer.lr (now %g)",
                     (unsigned long long)step, seg->name, at / seg->cols, at % seg->cols,
                     (double)params[bad], (double)t->lr);
}

static enum xf_rc diverged(const struct xf_trainer *t, uint64_t step, struct xf_diag *diag) {
  return xf_diag_set(diag, XF_E_NAN,
                     "the loss is not a number in step %llu; training diverged, lower "
                     "local.optimizer.lr (now %g)",
                     (unsigned long long)step, (double)t->lr);
}

void xf_trainer_draw(struct xf_trainer *t, const struct xf_feed_task *task, uint32_t *n) {
  const uint32_t *ids = NULL;
  xf_batches_next(&t->batches, &ids, n);
  xf_feeder_fill(&t->feeder, task, ids, *n);
  if (t->net.masks) xf_nnplan_set_seed(t->plan, xf_rng_u64(task->negative));
}

enum xf_rc xf_trainer_gradient(struct xf_trainer *t, const float *params, uint32_t rows,
                               uint64_t step, double *grad, size_t n, double *loss,
                               struct xf_diag *diag) {
  const uint32_t extent[XF_N_SYM] = {[XF_SYM_ONE] = 1, [XF_SYM_B] = rows};
  const enum xf_rc rc = xf_nnplan_run(t->plan, params, t->grad, extent, diag);
  if (rc == XF_E_NAN) return diverged(t, step, diag);
  if (rc) return rc;
  for (size_t i = 0; i < n; i++) grad[i] = (double)t->grad[i];
  *loss = (double)*(const float *)xf_nnplan_get(t->plan, t->net.data, NULL, NULL);
  return XF_OK;
}

/* The pieces of a step whose segments the job lets move. */
static const struct xf_grad_piece *moving(struct xf_trainer *t, const struct xf_train_job *job,
                                          const struct xf_grad_piece *piece, size_t *n) {
  const struct xf_layout *layout = xf_model_get_layout(t->model);
  size_t k = 0;
  for (size_t i = 0; i < *n; i++)
    if (job->moves[xf_layout_find(layout, piece[i].seg->name) - layout->seg])
      t->moved[k++] = piece[i];
  *n = k;
  return t->moved;
}

/* One step on params, as the plan has them. *loss = the batch's mean data loss. */
static enum xf_rc one_step(struct xf_trainer *t, float *params, const struct xf_train_job *job,
                           const struct xf_feed_task *task, uint32_t *n, double *loss,
                           struct xf_diag *diag) {
  xf_trainer_draw(t, task, n);
  const uint32_t extent[XF_N_SYM] = {[XF_SYM_ONE] = 1, [XF_SYM_B] = *n};
  xf_optim_touch(t->optim, params, t->plan, extent);
  const enum xf_rc rc = t->fused ? xf_nnplan_run_sgd(t->plan, params, t->grad, t->lr, extent, diag)
                                 : xf_nnplan_run(t->plan, params, t->grad, extent, diag);
  if (rc == XF_E_NAN) return diverged(t, job->n_steps + 1, diag);
  if (rc) return rc;
  const float *data = xf_nnplan_get(t->plan, t->net.data, NULL, NULL);
  *loss = (double)*data;
  if (t->anchor) xf_trainer_prox_add(t, params);
  if (job->shift) xf_trainer_shift_add(t, job->shift);
  size_t n_piece = 0;
  const struct xf_grad_piece *piece = xf_nnplan_get_pieces(t->plan, &n_piece);
  if (job->moves) piece = moving(t, job, piece, &n_piece);
  xf_optim_step(t->optim, params, piece, n_piece);
  if (!job->moves || job->moves[0]) /* statistics are the body's, where segments begin */
    xf_nnplan_apply(t->plan, params);
  return XF_OK;
}

void xf_trainer_report(const struct xf_train_job *job, uint64_t n_steps) {
  const uint64_t every = n_steps / PROGRESS_PARTS + 1;
  if (!job->progress || (job->n_steps % every != 0 && job->n_steps != n_steps)) return;
  job->progress(job->arg, &(struct xf_train_progress){job->n_steps, n_steps, job->loss});
}

static enum xf_rc run_steps(struct xf_trainer *t, float *params, struct xf_train_job *job,
                            uint64_t n_steps, struct xf_diag *diag) {
  struct xf_rng negative = job->negative;
  const struct xf_feed_task task = {.data = job->data,
                                    .negative = &negative,
                                    .prior = t->net.pulled ? job->prior : NULL,
                                    .held = job->held,
                                    .kappa = (float)t->config.kappa};
  double sum = 0, seen = 0;
  while (job->n_steps < n_steps) {
    if (job->cancel && atomic_load_explicit(job->cancel, memory_order_relaxed))
      return xf_diag_set(diag, XF_E_CANCELLED, "cancelled after %llu of %llu steps",
                         (unsigned long long)job->n_steps, (unsigned long long)n_steps);
    uint32_t n = 0;
    double loss = 0;
    const enum xf_rc rc = one_step(t, params, job, &task, &n, &loss, diag);
    if (rc) return rc;
    sum += loss * n;
    seen += n;
    job->n_steps++;
    job->loss = sum / seen;
    xf_trainer_report(job, n_steps);
  }
  return XF_OK;
}

/* The same for pairs: PAIRS steps between two looks at `cancel`. */
static enum xf_rc run_pairs(struct xf_trainer *t, struct xf_train_job *job, uint64_t n_steps,
                            struct xf_diag *diag) {
  struct xf_rng negative = job->negative;
  const struct xf_feed_task task = {.data = job->data, .negative = &negative};
  const struct xf_layout *layout = xf_model_get_layout(t->model);
  const struct xf_segment *bias = xf_layout_find(layout, "item_bias"),
                          *user = xf_layout_find(layout, "user");
  const uint64_t every = n_steps / PROGRESS_PARTS + 1;
  const int32_t *const id[3] = {t->feeder.user, t->feeder.item, t->feeder.neg};
  double sum = 0;
  while (job->n_steps < n_steps) {
    uint32_t ids[PAIRS], n = 0;
    if (job->cancel && atomic_load_explicit(job->cancel, memory_order_relaxed))
      return xf_diag_set(diag, XF_E_CANCELLED, "cancelled after %llu of %llu steps",
                         (unsigned long long)job->n_steps, (unsigned long long)n_steps);
    const uint64_t due = (job->n_steps / every + 1) * every,
                   left = (due < n_steps ? due : n_steps) - job->n_steps;
    for (; n < PAIRS && n < left; n++) {
      const uint32_t *next = NULL;
      uint32_t one = 0;
      xf_batches_next(&t->batches, &next, &one);
      ids[n] = *next;
    }
    xf_feeder_fill(&t->feeder, &task, ids, n);
    sum += xf_kern_get()->bpr(
        job->out + user->offset, job->out + xf_layout_find(layout, "item")->offset,
        bias ? job->out + bias->offset : NULL, id, n, user->cols, t->lr, (float)t->config.l2);
    job->n_steps += n;
    if (!isfinite(sum)) return diverged(t, job->n_steps, diag);
    job->loss = sum / (double)job->n_steps;
    xf_trainer_report(job, n_steps);
  }
  return XF_OK;
}

enum xf_rc xf_trainer_begin(struct xf_trainer *t, struct xf_train_job *job, uint64_t *n_steps,
                            struct xf_diag *diag) {
  const size_t n_param = xf_model_get_layout(t->model)->n;
  uint32_t n = 0;
  *n_steps = 0;
  job->n_steps = 0;
  job->n_samples = 0;
  job->loss = (double)NAN;
  enum xf_rc rc = xf_feeder_start(&t->feeder, job->data, t->max_samples, &n, diag);
  if (rc) return rc;
  if (job->out != job->start) memcpy(job->out, job->start, n_param * sizeof *job->out);
  if (n == 0) return XF_OK;
  t->lr = job->lr > 0 ? job->lr : t->config.optimizer.lr;
  rc = xf_trainer_check(t, job->out, 0, diag);
  if (rc) return rc;
  rc = start_batches(t, n, &job->shuffle);
  if (rc) return xf_diag_set(diag, rc, "not enough memory to order %u samples", n);
  xf_optim_reset(t->optim);
  xf_optim_set_lr(t->optim, job->out, t->lr);
  const uint32_t epochs = job->epochs ? job->epochs : t->config.epochs;
  job->n_samples = n;
  *n_steps = t->config.steps && !job->epochs ? t->config.steps
                                             : (uint64_t)epochs * xf_batches_count(&t->batches);
  return XF_OK;
}

enum xf_rc xf_trainer_run(struct xf_trainer *trainer, struct xf_train_job *job,
                          struct xf_diag *diag) {
  uint64_t n_steps = 0;
  enum xf_rc rc = xf_trainer_begin(trainer, job, &n_steps, diag);
  if (rc || n_steps == 0) return rc;
  /* weights lie in panels from here to the last step (decision 33) */
  float *params = trainer->work ? trainer->work : job->out;
  if (trainer->anchor) xf_trainer_prox_start(trainer, job->out);
  if (trainer->work) xf_nnplan_pack(trainer->plan, params, job->out);
  if (trainer->config.unit != XF_UNIT_NONE)
    rc = xf_trainer_run_units(trainer, params, job, (uint32_t)job->n_samples, diag);
  else
    rc = is_pairwise(trainer) ? run_pairs(trainer, job, n_steps, diag)
                              : run_steps(trainer, params, job, n_steps, diag);
  if (rc) return rc;
  xf_optim_catchup(trainer->optim, params);
  if (trainer->work) xf_nnplan_unpack(trainer->plan, job->out, params);
  return xf_trainer_check(trainer, job->out, job->n_steps, diag);
}

enum xf_rc xf_train_alone(struct xf_trainer *trainer, struct xf_train_job *job, uint32_t n_tasks,
                          void (*begin)(void *arg, uint32_t task, struct xf_train_job *job),
                          void *arg, struct xf_diag *diag) {
  struct xf_train_job one = *job;
  uint64_t n_steps = 0;
  enum xf_rc rc = XF_OK;
  one.prior = NULL;
  for (uint32_t t = 1; !rc && t <= n_tasks; t++) {
    begin(arg, t, &one);
    rc = xf_trainer_run(trainer, &one, diag);
    n_steps += one.n_steps;
    one.start = one.out;
  }
  job->n_samples = one.n_samples;
  job->n_steps = n_steps;
  job->loss = one.loss;
  return rc;
}

enum xf_rc xf_train_once(const struct xf_model *model, const struct xf_local_config *config,
                         struct xf_train_job *job, struct xf_diag *diag) {
  struct xf_trainer *t = NULL;
  const size_t n = xf_model_samples(model, job->data, XF_PART_TRAIN);
  if (n > UINT32_MAX) return xf_diag_set(diag, XF_E_LIMIT, "%zu train samples; at most 2^32-1", n);
  enum xf_rc rc = xf_trainer_new(&t, model, config, (uint32_t)n, diag);
  if (!rc) rc = xf_trainer_run(t, job, diag);
  xf_trainer_free(t);
  return rc;
}
