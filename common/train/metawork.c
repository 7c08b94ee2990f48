/* A silo's meta-learning: planning, tasks, the mean over them. */
#include "train/metawork.h"

#include "base/alloc.h"
#include "nn/optim.h"
#include "param/vec.h"
#include "train/feed.h"
#include "train/metaparts.h"

#include <math.h>
#include <string.h>

#define PATH_MAX_BYTES 4e9 /* of a task's points and gradients (meta.c) */

/* First segment of the head; without hidden layers all is head. */
static size_t head_of(const struct xf_model *model) {
  const struct xf_segment *weight = NULL, *bias = NULL;
  const bool hidden = xf_model_get_head(model, &weight, &bias);
  return hidden ? (size_t)(weight - xf_model_get_layout(model)->seg) : 0;
}

static enum xf_rc check(const struct xf_model *model, const struct xf_metawork_config *c,
                        size_t n_train, struct xf_diag *diag) {
  const char *kind = xf_model_kind_name(xf_model_get_config(model)->kind);
  if (xf_model_get_data(model) != XF_DATASET_TABLE)
    return xf_diag_set(diag, XF_E_UNSUPPORTED,
                       "model %s: support and query are rows of a table or images; write "
                       "fed.algorithm: reptile, which needs neither",
                       kind);
  if (c->support < 1 || c->inner_steps < 1)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "local.meta: support is %u and steps %u; both must be at least 1",
                       c->support, c->inner_steps);
  const double path = 2.0 * sizeof(double) * c->inner_steps * (double)xf_model_get_layout(model)->n;
  if (path > PATH_MAX_BYTES)
    return xf_diag_set(diag, XF_E_LIMIT,
                       "local.meta.steps: %u steps of %llu parameters are %.0f MB to go back "
                       "through, at most %.0f; write fewer",
                       c->inner_steps, (unsigned long long)xf_model_get_layout(model)->n,
                       path / 1e6, PATH_MAX_BYTES / 1e6);
  const size_t query = c->tasks == 0 ? 0 : c->query ? c->query : 1;
  if (n_train < c->support + query)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "local.meta: support %u and query %u need %zu train rows, and there are "
                       "%zu; write smaller ones",
                       c->support, c->query, c->support + query, n_train);
  if (c->adapts == XF_METAWORK_BODY && head_of(model) == 0)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "model %s is all head: boil adapts nothing of it; write fed.algorithm: anil "
                       "or maml",
                       kind);
  return XF_OK;
}

/* Running statistics have no gradient and would stay at their first values. */
static enum xf_rc check_state(const struct xf_metawork *w, struct xf_diag *diag) {
  const char *state = xf_graph_get_update(w->net.graph);
  if (!state) return XF_OK;
  return xf_diag_set(diag, XF_E_UNSUPPORTED,
                     "model %s: segment \"%s\" of its batch norm follows the data without a "
                     "gradient, so no meta-gradient moves it; write model.kind: cnn-small, or "
                     "fed.algorithm: reptile",
                     xf_model_kind_name(xf_model_get_config(w->model)->kind), state);
}

static enum xf_rc build(struct xf_metawork *w, struct xf_diag *diag) {
  const struct xf_metawork_config *c = &w->config;
  const struct xf_model_loss loss = {.l2 = c->l2};
  const size_t head = head_of(w->model);
  uint8_t *adapts = xf_calloc(w->layout.n_seg, sizeof *adapts);
  for (size_t i = 0; i < w->layout.n_seg; i++)
    adapts[i] = c->adapts == XF_METAWORK_ALL || (c->adapts == XF_METAWORK_HEAD) == (i >= head);
  const struct xf_meta_spec spec = {.kind = c->kind,
                                    .inner_steps = c->inner_steps,
                                    .inner_lr = c->inner_lr,
                                    .adapts = adapts,
                                    .max_rows = (uint32_t)w->max_rows};
  enum xf_rc rc = xf_model_net_loss(&w->net, w->model, &loss, diag);
  if (!rc && c->tasks) rc = check_state(w, diag);
  if (!rc && c->kind == XF_META_MAML) rc = xf_model_net_loss(&w->twin, w->model, &loss, diag);
  if (!rc)
    rc = xf_meta_new(&w->meta, w->net.graph, w->twin.graph, w->net.loss, &w->layout, &spec, diag);
  if (!rc && c->steps) rc = xf_optim_new(&w->optim, &c->optimizer, &w->layout, diag);
  xf_free(adapts);
  return rc;
}

/* Zeros at *to; false when memory is short. */
static bool zeros(void *to, size_t n, size_t size) {
  void *p = xf_try_calloc(n, size);
  memcpy(to, &p, sizeof p);
  return p != NULL;
}

static bool reserve(struct xf_metawork *w, size_t n_train) {
  const bool classes = w->net.feed[XF_FEED_CLASS] != XF_NO_NODE;
  const size_t n = w->n, n_in = xf_model_get_config(w->model)->n_in;
  const size_t n_rate = w->rates ? n : 1;
  bool ok = zeros(&w->row, n_train, sizeof *w->row) &&
            zeros(&w->number, w->max_rows, sizeof *w->number) &&
            zeros(&w->x, w->max_rows, n_in * sizeof *w->x) &&
            (classes ? zeros(&w->class_, w->max_rows, sizeof *w->class_)
                     : zeros(&w->y, w->max_rows, sizeof *w->y)) &&
            zeros(&w->start, n, sizeof *w->start) && zeros(&w->grad, n, sizeof *w->grad) &&
            zeros(&w->sum, n, sizeof *w->sum) &&
            zeros(&w->params, w->config.steps ? n : 1, sizeof *w->params) &&
            zeros(&w->rate, n_rate, sizeof *w->rate) &&
            zeros(&w->rate_grad, n_rate, sizeof *w->rate_grad) &&
            zeros(&w->rate_sum, n_rate, sizeof *w->rate_sum);
  for (size_t i = 0; ok && i < w->max_rows; i++) w->number[i] = (uint32_t)i;
  return ok;
}

enum xf_rc xf_metawork_new(struct xf_metawork **out, const struct xf_model *model,
                           const struct xf_metawork_config *config, size_t n_train,
                           struct xf_diag *diag) {
  *out = NULL;
  enum xf_rc rc = check(model, config, n_train, diag);
  if (rc) return rc;
  struct xf_metawork *w = xf_calloc(1, sizeof *w);
  w->model = model;
  w->config = *config;
  xf_layout_copy(&w->layout, xf_model_get_layout(model));
  w->n_train = n_train;
  w->rates = xf_model_get_config(model)->rates > 0;
  const size_t base = xf_model_base(model);
  if (base < w->layout.n_seg) w->layout.n = w->layout.seg[base].offset;
  w->layout.n_seg = base;
  w->n = (size_t)w->layout.n;
  const bool all = config->tasks && !config->query;
  w->max_rows = all ? n_train : (size_t)config->support + (config->tasks ? config->query : 0);
  rc = build(w, diag);
  if (!rc && !reserve(w, n_train))
    rc = xf_diag_set(diag, XF_E_NOMEM, "not enough memory for tasks of %zu rows", w->max_rows);
  if (rc) {
    xf_metawork_free(w);
    return rc;
  }
  *out = w;
  return XF_OK;
}

void xf_metawork_free(struct xf_metawork *w) {
  if (!w) return;
  xf_meta_free(w->meta);
  xf_optim_free(w->optim);
  xf_model_net_deinit(&w->net);
  xf_model_net_deinit(&w->twin);
  xf_layout_deinit(&w->layout);
  void *const own[] = {w->row,  w->number, w->x,         w->y,   w->class_,   w->start,
                       w->rate, w->grad,   w->rate_grad, w->sum, w->rate_sum, w->params};
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) xf_free(own[i]);
  xf_free(w);
}

enum xf_rc xf_metawork_draw(struct xf_metawork *w, const struct xf_dataset *data, bool query,
                            struct xf_rng *rng, struct xf_meta_job *job, struct xf_diag *diag) {
  const struct xf_table *t = &data->table;
  uint32_t n = 0;
  for (size_t i = 0; i < t->n; i++) n += t->part[i] == XF_PART_TRAIN;
  const uint32_t want = w->config.support + (!query            ? 0
                                             : w->config.query ? w->config.query
                                                               : n - w->config.support);
  if (n > w->n_train)
    return xf_diag_set(diag, XF_E_SHAPE, "%u train rows; planned for %zu at most", n, w->n_train);
  if (n < want || want > w->max_rows)
    return xf_diag_set(diag, XF_E_SHAPE, "%u train rows are no task of %u, of %zu at most", n, want,
                       w->max_rows);
  n = 0;
  for (size_t i = 0; i < t->n; i++)
    if (t->part[i] == XF_PART_TRAIN) w->row[n++] = (uint32_t)i;
  for (uint32_t i = 0; i < want; i++) { /* @source Fisher & Yates, the first `want` places */
    const uint32_t k = i + (uint32_t)xf_rng_below(rng, n - i), first = w->row[i];
    w->row[i] = w->row[k];
    w->row[k] = first;
  }
  xf_table_gather(t, w->row, want, w->x);
  for (uint32_t i = 0; i < want; i++) {
    if (w->y) w->y[i] = t->y[w->row[i]];
    if (w->class_) w->class_[i] = (int32_t)t->y[w->row[i]];
  }
  job->n_rows = want;
  job->support = w->number;
  job->n_support = w->config.support;
  job->query = w->number + w->config.support;
  job->n_query = want - w->config.support;
  return XF_OK;
}

/* The feeds of a task, and learnt rates as they are used. @shape feed[2], params[layout.n] */
static struct xf_meta_job job_of(struct xf_metawork *w, struct xf_meta_feed *feed,
                                 const float *params) {
  const bool classes = w->class_ != NULL;
  feed[0] = (struct xf_meta_feed){w->net.feed[XF_FEED_X], w->x,
                                  xf_model_get_config(w->model)->n_in * sizeof(float)};
  feed[1] = classes
                ? (struct xf_meta_feed){w->net.feed[XF_FEED_CLASS], w->class_, sizeof *w->class_}
                : (struct xf_meta_feed){w->net.feed[XF_FEED_Y], w->y, sizeof *w->y};
  for (size_t i = 0; w->rates && i < w->n; i++)
    w->rate[i] = params[w->n + i] > 0 ? (double)params[w->n + i] : 0;
  return (struct xf_meta_job){.start = w->start,
                              .rate = w->rates ? w->rate : NULL,
                              .feed = feed,
                              .n_feed = 2,
                              .grad = w->grad,
                              .rate_grad = w->rates ? w->rate_grad : NULL};
}

static enum xf_rc diverged(const struct xf_metawork *w, struct xf_diag *diag) {
  return xf_diag_set(diag, XF_E_NAN,
                     "the loss of a task is not a number; lower local.meta.lr (now %g) or the "
                     "outer rate",
                     w->config.inner_lr);
}

enum xf_rc xf_metawork_mean(struct xf_metawork *w, struct xf_metawork_job *job,
                            struct xf_diag *diag) {
  struct xf_meta_feed feed[2];
  struct xf_meta_job task = job_of(w, feed, job->start);
  const uint32_t n = w->config.tasks;
  enum xf_rc rc = XF_OK;
  memset(w->sum, 0, w->n * sizeof *w->sum);
  if (w->rates) memset(w->rate_sum, 0, w->n * sizeof *w->rate_sum);
  for (uint32_t k = 0; k < n && !rc; k++) {
    if (job->cancel && atomic_load_explicit(job->cancel, memory_order_relaxed))
      return xf_diag_set(diag, XF_E_CANCELLED, "cancelled after %llu of %llu tasks",
                         (unsigned long long)w->done, (unsigned long long)w->n_tasks);
    rc = xf_metawork_draw(w, job->data, true, &job->task, &task, diag);
    if (!rc) rc = xf_meta_run(w->meta, &task, diag);
    if (rc == XF_E_NAN) return diverged(w, diag);
    for (size_t i = 0; i < w->n && !rc; i++) w->sum[i] += w->grad[i] / n;
    for (size_t i = 0; w->rates && i < w->n && !rc; i++) w->rate_sum[i] += w->rate_grad[i] / n;
    w->loss += task.query_loss;
    w->done++;
    job->n_samples = (uint64_t)n * task.n_query;
    job->loss = w->loss / (double)w->done;
    if (job->progress)
      job->progress(job->arg, &(struct xf_train_progress){w->done, w->n_tasks, job->loss});
  }
  return rc;
}

static enum xf_rc check_data(const struct xf_metawork *w, const struct xf_dataset *data,
                             struct xf_diag *diag) {
  if (data->kind != XF_DATASET_TABLE)
    return xf_diag_set(diag, XF_E_SHAPE, "tasks are drawn from tables, not from %s",
                       xf_dataset_name(data->kind));
  return xf_feed_check_table(xf_model_get_config(w->model), &data->table, diag);
}

enum xf_rc xf_metawork_run(struct xf_metawork *w, struct xf_metawork_job *job,
                           struct xf_diag *diag) {
  enum xf_rc rc = check_data(w, job->data, diag);
  if (rc) return rc;
  const size_t n_all = (size_t)xf_model_get_layout(w->model)->n;
  w->done = 0;
  w->n_tasks = (uint64_t)w->config.tasks * (w->config.steps ? w->config.steps : 1);
  w->loss = 0;
  job->n_samples = 0;
  for (size_t i = 0; i < w->n; i++) w->start[i] = (double)job->start[i];
  rc = w->config.steps ? xf_metawork_perfedavg(w, job, diag) : xf_metawork_send(w, job, diag);
  if (rc) return rc;
  return xf_vec_find_nonfinite(job->delta, n_all) == SIZE_MAX ? XF_OK : diverged(w, diag);
}

enum xf_rc xf_metawork_adapt(struct xf_metawork *w, const float *params,
                             const struct xf_dataset *data, const struct xf_rng *task,
                             uint32_t steps, float *out, struct xf_diag *diag) {
  struct xf_meta_feed feed[2];
  struct xf_meta_job job = job_of(w, feed, params);
  struct xf_rng rng = *task;
  job.adapted = w->grad;
  for (size_t i = 0; i < w->n; i++) w->start[i] = (double)params[i];
  enum xf_rc rc = check_data(w, data, diag);
  if (!rc) rc = xf_metawork_draw(w, data, false, &rng, &job, diag);
  if (!rc) rc = xf_meta_adapt(w->meta, &job, steps, diag);
  if (rc == XF_E_NAN) return diverged(w, diag);
  if (rc) return rc;
  if (out != params) memcpy(out, params, xf_model_get_layout(w->model)->n * sizeof *out);
  for (size_t i = 0; i < w->n; i++) out[i] = (float)w->grad[i];
  return XF_OK;
}
