/* Steps unit by unit: each unit is a batch by itself, so that what it adds depends on nobody else. */
#include "nn/units.h"
#include "base/alloc.h"
#include "train/trainer.h"

#include <math.h>

enum { CANCEL_UNITS = 256 }; /* between looks at job->cancel */

enum xf_rc xf_trainer_units_init(struct xf_trainer *t, struct xf_diag *diag) {
  const struct xf_layout *layout = xf_model_get_layout(t->model);
  t->step = xf_try_calloc(layout->n + 1, sizeof *t->step);
  t->piece = xf_try_calloc(layout->n_seg + 1, sizeof *t->piece);
  if (!t->step || !t->piece) return xf_diag_set(diag, XF_E_NOMEM, "no memory for steps by unit");
  for (size_t i = 0; i < layout->n_seg; i++)
    t->piece[i] = (struct xf_grad_piece){&layout->seg[i], NULL, layout->seg[i].rows,
                                         t->step + layout->seg[i].offset};
  return xf_graph_check_units(t->net.graph, diag);
}

void xf_trainer_units_deinit(struct xf_trainer *t) {
  xf_free(t->step);
  xf_free(t->piece);
  t->step = NULL;
  t->piece = NULL;
}

/* How many samples, from the next one on, are one unit's. */
static uint32_t unit_size(const struct xf_trainer *t, const struct xf_seqset *set, uint32_t *seq) {
  if (t->config.unit == XF_UNIT_SAMPLE) return 1;
  while (set->part[*seq] != XF_PART_TRAIN || xf_seqset_len(set, *seq) == 0) ++*seq;
  const uint32_t steps = xf_model_get_config(t->model)->steps, len = xf_seqset_len(set, (*seq)++);
  return len / steps + (len % steps != 0);
}

static enum xf_rc check_sizes(const struct xf_trainer *t, const struct xf_dataset *data, uint32_t n,
                              struct xf_diag *diag) {
  uint32_t seq = 0;
  for (uint32_t at = 0, size = 0; at < n; at += size) {
    size = unit_size(t, &data->seqs, &seq);
    if (size > XF_UNIT_CHUNKS)
      return xf_diag_set(diag, XF_E_LIMIT,
                         "a sequence of the train part has more than %d times model.steps (%u) "
                         "steps; clipping by unit takes each whole: raise model.steps",
                         XF_UNIT_CHUNKS, xf_model_get_config(t->model)->steps);
  }
  return XF_OK;
}

enum xf_rc xf_trainer_check_units(const struct xf_trainer *t, const struct xf_dataset *data,
                                  struct xf_diag *diag) {
  return t->config.unit == XF_UNIT_SEQUENCE ? check_sizes(t, data, t->max_samples, diag) : XF_OK;
}

static bool cancelled(const struct xf_train_job *job) {
  return job->cancel && atomic_load_explicit(job->cancel, memory_order_relaxed);
}

/* The gradient of samples at .. at+size-1 as one batch, in t->grad. A loss that is no number gives a gradient that is none. */
static enum xf_rc one_unit(struct xf_trainer *t, const float *params,
                           const struct xf_feed_task *task, uint32_t at, uint32_t size,
                           double *loss, struct xf_diag *diag) {
  uint32_t ids[XF_UNIT_CHUNKS];
  for (uint32_t i = 0; i < size; i++) ids[i] = at + i;
  xf_feeder_fill(&t->feeder, task, ids, size);
  const uint32_t extent[XF_N_SYM] = {[XF_SYM_ONE] = 1, [XF_SYM_B] = size};
  const enum xf_rc rc = xf_nnplan_run(t->plan, params, t->grad, extent, diag);
  *loss = rc ? 0 : (double)*(const float *)xf_nnplan_get(t->plan, t->net.data, NULL, NULL);
  if (rc != XF_E_NAN) return rc;
  t->grad[0] = NAN;
  return XF_OK;
}

enum xf_rc xf_trainer_run_units(struct xf_trainer *t, float *params, struct xf_train_job *job,
                                uint32_t n, struct xf_diag *diag) {
  const struct xf_train_units *u = job->units;
  struct xf_rng negative = job->negative;
  const struct xf_feed_task task = {.data = job->data, .negative = &negative};
  const uint64_t n_steps = t->config.steps;
  double sum = 0, seen = 0;
  if (!u) return xf_diag_set(diag, XF_E_INVAL, "clipping by unit: the job says not how");
  enum xf_rc rc = t->config.unit == XF_UNIT_SEQUENCE ? check_sizes(t, job->data, n, diag) : XF_OK;
  while (job->n_steps < n_steps && !rc) {
    uint32_t seq = 0, n_units = 0;
    /* one mask for all units of a step: the number of units must not move it */
    if (t->net.masks) xf_nnplan_set_seed(t->plan, xf_rng_u64(&negative));
    rc = u->start(u->arg);
    for (uint32_t at = 0, size = 0; at < n && !rc; at += size) {
      if (n_units++ % CANCEL_UNITS == 0 && cancelled(job))
        return xf_diag_set(diag, XF_E_CANCELLED, "cancelled after %llu of %llu steps",
                           (unsigned long long)job->n_steps, (unsigned long long)n_steps);
      size = unit_size(t, &job->data->seqs, &seq);
      if (!u->takes(u->arg)) continue;
      double loss = 0;
      rc = one_unit(t, params, &task, at, size, &loss, diag);
      if (!rc) rc = u->add(u->arg, t->grad);
      t->grad[0] = 0; /* a NaN must not stay, were the first parameter unused */
      if (isfinite(loss)) sum += loss, seen++;
    }
    if (rc) return xf_diag_set(diag, rc, "a step by unit failed: %s", xf_rc_text(rc));
    u->get(u->arg, t->step);
    xf_optim_step(t->optim, params, t->piece, xf_model_get_layout(t->model)->n_seg);
    job->n_steps++;
    job->loss = seen > 0 ? sum / seen : (double)NAN;
    xf_trainer_report(job, n_steps);
  }
  return rc;
}
