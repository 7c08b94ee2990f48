/* Starts: a net learned on the first users of a split, jointly or to be adapted (cold.h). */
#include "cold.h"

#include "base/alloc.h"
#include "nn/optim.h"
#include "train/meta.h"

#include <math.h>
#include <string.h>

enum { N_SEG = 6 }; /* w1 b1 w2 b2 w3 b3 */

static enum xf_rc plan(struct xf_nnplan **out, const struct xf_model_net *net, bool train,
                       struct xf_diag *diag) {
  struct xf_nnplan_spec spec = {.loss = net->loss, .train = train, .max = {[XF_SYM_B] = TASK}};
  spec.max[XF_SYM_ONE] = 1;
  if (!train) spec.outputs[spec.n_output++] = net->score;
  return xf_nnplan_new(out, net->graph, &spec, diag);
}

enum xf_rc learner_init(struct learner *l, struct xf_diag *diag) {
  *l = (struct learner){0};
  const struct xf_model_loss loss = {0};
  struct xf_model_config config = {.kind = XF_MODEL_MLP,
                                   .loss = XF_LOSS_MSE,
                                   .bias = true,
                                   .n_in = N_IN,
                                   .n_out = 1,
                                   .hidden = {WIDTH, WIDTH},
                                   .n_hidden = 2,
                                   .activation = XF_ACT_RELU};
  enum xf_rc rc = xf_model_new(&l->model, &config, (struct xf_model_size){0}, diag);
  config.loss = XF_LOSS_SOFTMAX; /* several outputs want it; it is not computed */
  config.n_out = WIDTH;
  config.n_hidden = 1;
  if (!rc) rc = xf_model_new(&l->trunk, &config, (struct xf_model_size){0}, diag);
  if (!rc) rc = xf_model_net_loss(&l->net, l->model, &loss, diag);
  if (!rc) rc = xf_model_net_loss(&l->twin, l->model, &loss, diag);
  if (!rc) rc = xf_model_net_score(&l->score, l->model, diag);
  if (!rc) rc = xf_model_net_score(&l->hidden, l->trunk, diag);
  if (!rc) rc = plan(&l->plan, &l->net, true, diag);
  if (!rc) rc = plan(&l->score_plan, &l->score, false, diag);
  if (!rc) rc = plan(&l->hidden_plan, &l->hidden, false, diag);
  if (rc) return rc;
  l->n = (size_t)xf_model_get_layout(l->model)->n;
  l->grad = xf_calloc(l->n, sizeof *l->grad);
  return XF_OK;
}

void learner_deinit(struct learner *l) {
  xf_nnplan_free(l->plan);
  xf_nnplan_free(l->score_plan);
  xf_nnplan_free(l->hidden_plan);
  xf_model_net_deinit(&l->net);
  xf_model_net_deinit(&l->twin);
  xf_model_net_deinit(&l->score);
  xf_model_net_deinit(&l->hidden);
  xf_model_free(l->model);
  xf_model_free(l->trunk);
  xf_free(l->grad);
}

static enum xf_rc gradient(struct learner *l, const float *params, const float *x, const float *y,
                           uint32_t n, struct xf_diag *diag) {
  const uint32_t extent[XF_N_SYM] = {[XF_SYM_ONE] = 1, [XF_SYM_B] = n};
  xf_nnplan_set_input(l->plan, l->net.feed[XF_FEED_X], x);
  xf_nnplan_set_input(l->plan, l->net.feed[XF_FEED_Y], y);
  return xf_nnplan_run(l->plan, params, l->grad, extent, diag);
}

enum xf_rc learner_step(struct learner *l, float *params, const float *x, const float *y,
                        uint32_t n, double lr, bool head, struct xf_diag *diag) {
  const enum xf_rc rc = gradient(l, params, x, y, n, diag);
  const size_t from = head ? (size_t)xf_model_get_layout(l->model)->seg[N_SEG - 2].offset : 0;
  for (size_t i = from; !rc && i < l->n; i++) params[i] -= (float)lr * l->grad[i];
  return rc;
}

enum xf_rc learner_hidden(struct learner *l, const float *params, const float *x, uint32_t n,
                          float *out, struct xf_diag *diag) {
  const uint32_t extent[XF_N_SYM] = {[XF_SYM_ONE] = 1, [XF_SYM_B] = n};
  xf_nnplan_set_input(l->hidden_plan, l->hidden.feed[XF_FEED_X], x);
  const enum xf_rc rc = xf_nnplan_run(l->hidden_plan, params, NULL, extent, diag);
  if (rc) return rc;
  const float *z = xf_nnplan_get(l->hidden_plan, l->hidden.score, NULL, NULL);
  for (size_t i = 0; i < (size_t)n * WIDTH; i++) out[i] = fmaxf(z[i], 0);
  return XF_OK;
}

/* l->mean, over a task of each learning user. */
static enum xf_rc mean_hidden(struct learner *l, const struct split *s, const float *w,
                              struct xf_rng *rng, struct task *t, struct xf_diag *diag) {
  float h[TASK * WIDTH];
  double rows = 0;
  enum xf_rc rc = XF_OK;
  memset(l->mean, 0, sizeof l->mean);
  for (uint32_t k = 0; !rc && k < META_USERS; k++) {
    split_task(s, s->user[k], rng, t);
    rc = learner_hidden(l, w, t->x, t->n, h, diag);
    rows += t->n;
    for (uint32_t i = 0; !rc && i < t->n * WIDTH; i++) l->mean[i % WIDTH] += (double)h[i];
  }
  for (uint32_t c = 0; c < WIDTH; c++) l->mean[c] /= rows;
  return rc;
}

/* Where a user's work of an iteration leaves what the outer step needs. */
struct outer {
  struct xf_meta *meta; /* of FOMAML, MAML, ANIL */
  struct xf_optim *adam;
  double *start, *grad, *sum; /* [n] */
  float *local;               /* [n] */
};

static enum xf_rc open_outer(struct outer *o, struct learner *l, enum start kind,
                             const struct recipe *r, struct xf_diag *diag) {
  const struct xf_layout *layout = xf_model_get_layout(l->model);
  const uint8_t head[N_SEG] = {[N_SEG - 2] = 1, [N_SEG - 1] = 1};
  const struct xf_meta_spec spec = {.kind = kind == START_FOMAML ? XF_META_FOMAML : XF_META_MAML,
                                    .inner_steps = r->meta_steps,
                                    .inner_lr = r->inner,
                                    .adapts = kind == START_ANIL ? head : NULL,
                                    .max_rows = TASK};
  const struct xf_optim_config adam = xf_optim_default(XF_OPTIM_ADAM, (float)r->outer);
  o->start = xf_calloc(l->n, sizeof *o->start);
  o->grad = xf_calloc(l->n, sizeof *o->grad);
  o->sum = xf_calloc(l->n, sizeof *o->sum);
  o->local = xf_calloc(l->n, sizeof *o->local);
  enum xf_rc rc = xf_optim_new(&o->adam, &adam, layout, diag);
  if (!rc && kind >= START_FOMAML)
    rc = xf_meta_new(&o->meta, l->net.graph, l->twin.graph, l->net.loss, layout, &spec, diag);
  return rc;
}

static void close_outer(struct outer *o) {
  xf_meta_free(o->meta);
  xf_optim_free(o->adam);
  xf_free(o->start);
  xf_free(o->grad);
  xf_free(o->sum);
  xf_free(o->local);
}

static enum xf_rc meta_gradient(struct outer *o, struct learner *l, const struct task *t,
                                struct xf_diag *diag) {
  uint32_t row[TASK];
  for (uint32_t i = 0; i < t->n; i++) row[i] = i;
  const struct xf_meta_feed feed[] = {{l->net.feed[XF_FEED_X], t->x, N_IN * sizeof *t->x},
                                      {l->net.feed[XF_FEED_Y], t->y, sizeof *t->y}};
  struct xf_meta_job job = {.start = o->start, .feed = feed, .n_feed = 2, .n_rows = t->n};
  job.support = row;
  job.query = row + t->n_support;
  job.n_support = t->n_support;
  job.n_query = t->n - t->n_support;
  job.grad = o->grad;
  return xf_meta_run(o->meta, &job, diag);
}

/* Adds a user's part to o->sum: a gradient (joint, meta) or the way its steps went. */
static enum xf_rc work(struct outer *o, struct learner *l, enum start kind, const struct recipe *r,
                       const float *w, const struct task *t, struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  if (kind >= START_FOMAML) {
    rc = meta_gradient(o, l, t, diag);
    for (size_t i = 0; i < l->n; i++) o->sum[i] += o->grad[i] / r->users;
  } else if (kind == START_JOINT) {
    rc = gradient(l, w, t->x, t->y, t->n, diag);
    for (size_t i = 0; i < l->n; i++) o->sum[i] += (double)l->grad[i] / r->users;
  } else {
    memcpy(o->local, w, l->n * sizeof *w);
    for (uint32_t k = 0, at = 0; !rc && k < r->local_steps; k++, at += r->batch) {
      if (at + r->batch > t->n) at = 0;
      rc = learner_step(l, o->local, t->x + (size_t)at * N_IN, t->y + at, r->batch, r->inner, false,
                        diag);
    }
    for (size_t i = 0; i < l->n; i++) o->sum[i] += (double)(o->local[i] - w[i]) / r->users;
  }
  return rc;
}

static void adam_step(struct outer *o, struct learner *l, float *w) {
  const struct xf_layout *layout = xf_model_get_layout(l->model);
  struct xf_grad_piece piece[N_SEG];
  for (size_t i = 0; i < l->n; i++) l->grad[i] = (float)o->sum[i];
  for (size_t s = 0; s < N_SEG; s++)
    piece[s] = (struct xf_grad_piece){
        .seg = &layout->seg[s], .n_row = layout->seg[s].rows, .g = l->grad + layout->seg[s].offset};
  xf_optim_step(o->adam, w, piece, N_SEG);
}

enum xf_rc learner_start(struct learner *l, const struct split *s, enum start kind,
                         const struct recipe *r, float *w, struct xf_diag *diag) {
  struct outer o = {0};
  struct xf_rng init, rng;
  struct task *t = xf_alloc(sizeof *t);
  xf_rng_init(&init, s->seed, 2);
  xf_rng_init(&rng, s->seed, 3);
  const struct xf_model_seed seed = {.shared = &init};
  enum xf_rc rc = xf_model_init(l->model, w, &seed, diag);
  if (!rc && kind != START_SCRATCH) rc = open_outer(&o, l, kind, r, diag);
  for (uint32_t it = 0; !rc && kind != START_SCRATCH && it < r->iterations; it++) {
    memset(o.sum, 0, l->n * sizeof *o.sum);
    for (size_t i = 0; i < l->n; i++) o.start[i] = (double)w[i];
    for (uint32_t k = 0; !rc && k < r->users; k++) {
      split_task(s, s->user[xf_rng_below(&rng, META_USERS)], &rng, t);
      rc = work(&o, l, kind, r, w, t, diag);
    }
    const double eps = kind == START_REPTILE ? 1 - (double)it / r->iterations : 1;
    if (kind == START_FEDAVG || kind == START_REPTILE)
      for (size_t i = 0; i < l->n; i++) w[i] += (float)(eps * o.sum[i]);
    else adam_step(&o, l, w);
  }
  if (!rc) rc = mean_hidden(l, s, w, &rng, t, diag);
  close_outer(&o);
  xf_free(t);
  return rc;
}
