// Starts learnt from the train alphabets, each the private data of one client: MAML and FOMAML, Reptile, FedAvg with heads of the
// clients' own. In a round of the first three as many clients as TASKS are drawn, each of which draws a task.
#include "omni.h"

#include "base/alloc.h"
#include "train/meta.h"
#include "train/train.h"

#include <stdio.h>
#include <string.h>

/* A client's task becomes w->task. */
static void draw(struct world *w, struct xf_rng *rng, uint32_t shots, uint32_t queries) {
  const struct xf_episode_spec spec = {WAYS, shots, queries};
  uint32_t support[ROWS_MAX], query[ROWS_MAX];
  xf_episodes_draw(&w->tasks[XF_PART_TRAIN], &spec,
                   xf_rng_below(rng, w->tasks[XF_PART_TRAIN].n_client), rng, support, query);
  put_task(w, &spec, support, query);
}

static void outer_step(struct world *w, struct xf_optim *adam, const double *sum, float *start) {
  struct xf_grad_piece piece[32];
  for (size_t i = 0; i < w->n; i++) w->grad[i] = (float)sum[i];
  for (size_t s = 0; s < w->layout->n_seg; s++)
    piece[s] = (struct xf_grad_piece){.seg = &w->layout->seg[s],
                                      .n_row = w->layout->seg[s].rows,
                                      .g = w->grad + w->layout->seg[s].offset};
  xf_optim_step(adam, start, piece, w->layout->n_seg);
}

int learn_maml(struct world *w, bool exact, uint32_t iters, float *start) {
  const uint32_t n_task = (uint32_t)setting("TASKS", 4), shots = 1, asked = 5, s = WAYS * shots,
                 q = WAYS * asked;
  const double outer = setting("OUTER", 2e-3);
  const struct xf_meta_spec spec = {.kind = exact ? XF_META_MAML : XF_META_FOMAML,
                                    .inner_steps = (uint32_t)setting("INNER", exact ? 1 : 3),
                                    .inner_lr = setting("ALPHA", .1),
                                    .max_rows = s + q};
  struct xf_meta *meta = NULL;
  struct xf_optim *adam = NULL;
  const struct xf_optim_config config = xf_optim_default(XF_OPTIM_ADAM, (float)outer);
  if (xf_meta_new(&meta, w->net.graph, exact ? w->twin.graph : NULL, w->net.loss, w->layout, &spec,
                  &diag) ||
      xf_optim_new(&adam, &config, w->layout, &diag)) {
    xf_meta_free(meta);
    return fail("meta-gradient");
  }
  double *from = xf_calloc(w->n, sizeof *from), *grad = xf_calloc(w->n, sizeof *grad),
         *sum = xf_calloc(w->n, sizeof *sum);
  const struct task *t = &w->task;
  const struct xf_meta_feed feed[] = {
      {w->net.feed[XF_FEED_X], t->x, PIXELS * sizeof *t->x},
      {w->net.feed[XF_FEED_CLASS], t->class_of, sizeof *t->class_of},
      {w->net.feed[XF_FEED_NORM], t->norm, sizeof *t->norm},
      {w->net.feed[XF_FEED_WEIGHT], t->weight, sizeof *t->weight}};
  uint32_t row[ROWS_MAX];
  for (uint32_t i = 0; i < ROWS_MAX; i++) row[i] = i;
  struct xf_meta_job job = {.start = from,
                            .feed = feed,
                            .n_feed = sizeof feed / sizeof *feed,
                            .n_rows = 2 * s + q,
                            .support = row,
                            .n_support = s,
                            .query = row + s, // the support's statistics, and what is asked
                            .n_query = s + q,
                            .grad = grad};
  struct xf_rng rng;
  xf_rng_init(&rng, w->seed, 2);
  int bad = 0;
  memcpy(start, w->init, w->n * sizeof *start);
  for (uint32_t k = 0; !bad && k < iters; k++) {
    memset(sum, 0, w->n * sizeof *sum);
    for (size_t i = 0; i < w->n; i++) from[i] = (double)start[i];
    for (uint32_t c = 0; !bad && c < n_task; c++) {
      draw(w, &rng, shots, asked);
      if (xf_meta_run(meta, &job, &diag)) bad = fail("task");
      for (size_t i = 0; i < w->n; i++) sum[i] += grad[i] / n_task;
    }
    xf_optim_set_lr(adam, start, (float)(outer * (1 - (double)k / iters)));
    outer_step(w, adam, sum, start);
  }
  xf_free(from);
  xf_free(grad);
  xf_free(sum);
  xf_optim_free(adam);
  xf_meta_free(meta);
  return bad;
}

int learn_reptile(struct world *w, uint32_t iters, float *start) {
  enum { EACH = 10, STEPS = 5 }; // shots of a task, which are two batches of each step's EACH rows
  const uint32_t n_task = (uint32_t)setting("TASKS", 4);
  struct xf_optim *optim = NULL;
  struct xf_rng rng;
  struct task *t = &w->task;
  int bad = task_optim(&optim, w, true, setting("INNER_LR", 5e-3));
  double *sum = xf_calloc(w->n, sizeof *sum);
  xf_rng_init(&rng, w->seed, 3);
  memcpy(start, w->init, w->n * sizeof *start);
  const struct xf_episode_spec spec = {WAYS, EACH, 1};
  for (uint32_t k = 0; !bad && k < iters; k++) {
    const double eps = setting("EPS", 1) * (1 - (double)k / iters);
    memset(sum, 0, w->n * sizeof *sum);
    for (uint32_t c = 0; !bad && c < n_task; c++) {
      uint32_t support[WAYS * EACH], query[WAYS], order[WAYS * EACH];
      xf_episodes_draw(&w->tasks[XF_PART_TRAIN], &spec,
                       xf_rng_below(&rng, w->tasks[XF_PART_TRAIN].n_client), &rng, support, query);
      for (uint32_t i = 0; i < WAYS * EACH; i++) order[i] = i;
      xf_rng_shuffle(&rng, order, WAYS * EACH);
      xf_optim_reset(optim);
      memcpy(w->theta, start, w->n * sizeof *start);
      for (uint32_t j = 0; !bad && j < STEPS; j++) {
        t->n_support = EACH;
        for (uint32_t i = 0; i < EACH; i++) {
          const uint32_t at = order[j * EACH + i];
          xf_table_gather(&w->table, &support[at], 1, t->x + (size_t)i * PIXELS);
          t->class_of[i] = (int32_t)(at / EACH);
          t->norm[i] = t->weight[i] = 1 / (float)EACH;
        }
        bad = step(w, w->theta, optim, false, NULL);
      }
      for (size_t i = 0; i < w->n; i++) sum[i] += (double)(w->theta[i] - start[i]) / n_task;
    }
    for (size_t i = 0; i < w->n; i++) start[i] += (float)(eps * sum[i]);
  }
  xf_free(sum);
  xf_optim_free(optim);
  return bad;
}

/* A client of FedAvg: its images, a model with a class for each of its characters, and all its parameters, whose body is
   replaced in each round and whose head stays. */
struct client {
  struct xf_dataset data;
  struct xf_model *model;
  float *params;
};

static int open_client(struct world *w, uint32_t which, struct client *c) {
  uint32_t *group = xf_calloc(w->table.n, sizeof *group);
  for (size_t i = 0; i < w->table.n; i++)
    group[i] = w->table.part[i] == XF_PART_TRAIN ? w->table.client[i] : XF_NO_ID;
  xf_dataset_init(&c->data, XF_DATASET_TABLE);
  const enum xf_rc rc =
      xf_table_select(&c->data.table, &w->table, group, w->tasks[XF_PART_TRAIN].client[which]);
  xf_free(group);
  if (rc) return fail("client");
  struct xf_table *t = &c->data.table;
  float least = t->y[0], most = t->y[0]; // the classes of an alphabet follow each other
  for (size_t i = 0; i < t->n; i++) {
    if (t->y[i] < least) least = t->y[i];
    if (t->y[i] > most) most = t->y[i];
  }
  for (size_t i = 0; i < t->n; i++) t->y[i] -= least;
  t->n_class = (uint32_t)(most - least) + 1;
  struct xf_model_config config = *xf_model_get_config(w->model);
  config.n_out = t->n_class;
  if (xf_model_new(&c->model, &config, (struct xf_model_size){0}, &diag)) return fail("model");
  c->params = xf_calloc((size_t)xf_model_get_layout(c->model)->n, sizeof *c->params);
  struct xf_rng rng;
  xf_rng_init(&rng, w->seed, 1000 + which);
  const struct xf_model_seed init = {.shared = &rng};
  return xf_model_init(c->model, c->params, &init, &diag) ? fail("initial values") : 0;
}

static void close_client(struct client *c) {
  xf_dataset_deinit(&c->data);
  xf_model_free(c->model);
  xf_free(c->params);
}

int learn_fedavg(struct world *w, uint32_t rounds, float *start) {
  const uint32_t n = w->tasks[XF_PART_TRAIN].n_client;
  const struct xf_local_config local = {
      .epochs = (uint32_t)setting("EPOCHS", 1),
      .batch = (uint32_t)setting("BATCH", 32),
      .optimizer = xf_optim_default(XF_OPTIM_ADAM, (float)setting("FED_LR", 2e-3))};
  struct client *client = xf_calloc(n, sizeof *client);
  double *sum = xf_calloc(w->body, sizeof *sum);
  int bad = 0;
  memcpy(start, w->init, w->n * sizeof *start);
  for (uint32_t c = 0; !bad && c < n; c++) bad = open_client(w, c, &client[c]);
  for (uint32_t r = 0; !bad && r < rounds; r++) {
    double weight = 0;
    memset(sum, 0, w->body * sizeof *sum);
    for (uint32_t c = 0; !bad && c < n; c++) {
      struct xf_train_job job = {
          .start = client[c].params, .out = client[c].params, .data = &client[c].data};
      xf_rng_init(&job.shuffle, w->seed, 2000 + (uint64_t)r * n + c);
      memcpy(client[c].params, start, w->body * sizeof *start);
      if (xf_train_once(client[c].model, &local, &job, &diag)) bad = fail("client");
      for (size_t i = 0; i < w->body; i++)
        sum[i] += (double)job.n_samples * (double)client[c].params[i];
      weight += (double)job.n_samples;
    }
    for (size_t i = 0; i < w->body; i++) start[i] = (float)(sum[i] / weight);
  }
  for (uint32_t c = 0; c < n; c++) close_client(&client[c]);
  xf_free(client);
  xf_free(sum);
  return bad;
}
