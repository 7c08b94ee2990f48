// The local procedure: learns, repeats to the byte, cancels, refuses, names what diverged, pulls rows to their prior.
#include "base/alloc.h"
#include "tensor/blas.h"
#include "train/train.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static struct xf_diag diag;

/* Four points of exclusive or, many times. */
static void xor_data(struct xf_dataset *d, size_t n) {
  xf_dataset_init(d, XF_DATASET_TABLE);
  struct xf_table *t = &d->table;
  t->n = t->cap = n;
  t->n_in = 2;
  t->n_class = 2;
  t->x = xf_calloc(n, 2 * sizeof *t->x);
  t->y = xf_calloc(n, sizeof *t->y);
  t->part = xf_calloc(n, 1);
  t->row = xf_calloc(n, sizeof *t->row);
  for (size_t i = 0; i < n; i++) {
    t->x[2 * i] = i & 1 ? 1.0f : -1.0f;
    t->x[2 * i + 1] = i & 2 ? 1.0f : -1.0f;
    t->y[i] = (float)((i & 1) ^ ((i >> 1) & 1));
  }
}

static const struct xf_model_config xor_net = {.kind = XF_MODEL_MLP,
                                               .loss = XF_LOSS_SOFTMAX,
                                               .bias = true,
                                               .n_in = 2,
                                               .n_out = 2,
                                               .hidden = {16},
                                               .n_hidden = 1,
                                               .activation = XF_ACT_TANH};

struct bench {
  struct xf_model *model;
  struct xf_trainer *trainer;
  struct xf_train_job job;
  float *start, *out;
};

static struct xf_local_config adam(float lr) {
  struct xf_local_config c = {
      .epochs = 1, .batch = 8, .optimizer = xf_optim_default(XF_OPTIM_ADAM, lr)};
  c.optimizer.l2 = 0;
  return c;
}

static void bench_init(struct bench *b, const struct xf_model_config *config,
                       struct xf_local_config local, const struct xf_dataset *data, uint32_t users,
                       uint32_t items) {
  *b = (struct bench){0};
  xf_diag_init(&diag);
  if (xf_model_new(&b->model, config, (struct xf_model_size){users, items}, &diag))
    fail_msg("%s", diag.text);
  if (xf_trainer_new(&b->trainer, b->model, &local, (uint32_t)xf_dataset_count(data, XF_PART_TRAIN),
                     &diag))
    fail_msg("%s", diag.text);
  const size_t n = xf_model_get_layout(b->model)->n;
  b->start = xf_calloc(n, sizeof *b->start);
  b->out = xf_calloc(n, sizeof *b->out);
  struct xf_rng shared, silo;
  xf_rng_init(&shared, 1, 1);
  xf_rng_init(&silo, 2, 2);
  struct xf_key *key = xf_calloc(users + 1, sizeof *key);
  for (uint32_t u = 0; u < users; u++) memcpy(key[u].b, &u, sizeof u);
  assert_int_equal(
      xf_model_init(b->model, b->start, &(struct xf_model_seed){&shared, &silo, key, key}, NULL),
      XF_OK);
  xf_free(key);
  b->job = (struct xf_train_job){.start = b->start, .out = b->out, .data = data};
  xf_rng_init(&b->job.shuffle, 3, 0);
  xf_rng_init(&b->job.negative, 4, 0);
}

static void bench_deinit(struct bench *b) {
  xf_trainer_free(b->trainer);
  xf_model_free(b->model);
  xf_free(b->start);
  xf_free(b->out);
}

static void test_learns_xor(void **state) {
  (void)state;
  struct xf_dataset d;
  struct bench b;
  xor_data(&d, 64);
  struct xf_local_config local = adam(.05f);
  local.epochs = 40;
  bench_init(&b, &xor_net, local, &d, 0, 0);
  if (xf_trainer_run(b.trainer, &b.job, &diag)) fail_msg("%s", diag.text);
  assert_int_equal(b.job.n_samples, 64);
  assert_int_equal(b.job.n_steps, 40 * 8);
  const struct xf_layout *l = xf_model_get_layout(b.model);
  const float *w1 = b.out + l->seg[0].offset, *b1 = b.out + l->seg[1].offset,
              *w2 = b.out + l->seg[2].offset, *b2 = b.out + l->seg[3].offset;
  for (size_t i = 0; i < 4; i++) {
    double z[2] = {(double)b2[0], (double)b2[1]};
    for (size_t h = 0; h < 16; h++) {
      const double a =
          tanh((double)(d.table.x[2 * i] * w1[h] + d.table.x[2 * i + 1] * w1[16 + h] + b1[h]));
      z[0] += a * (double)w2[2 * h];
      z[1] += a * (double)w2[2 * h + 1];
    }
    assert_int_equal(z[1] > z[0], d.table.y[i] > 0);
  }
  bench_deinit(&b);
  xf_dataset_deinit(&d);
}

/* Interactions of 30 users with 20 items in a pattern. */
static void pattern_data(struct xf_dataset *d) {
  xf_dataset_init(d, XF_DATASET_INTERACTIONS);
  for (unsigned u = 0; u < 30; u++)
    for (unsigned i = 0; i < 20; i++)
      if ((u + i) % 3 == 0 || (u * i) % 7 == 1) {
        char user[8], item[8];
        (void)snprintf(user, sizeof user, "%u", u);
        (void)snprintf(item, sizeof item, "%u", i);
        if (xf_interactions_add(&d->inter, user, item, NULL, 1 + (u + i) % 5, i)) fail_msg("add");
      }
  if (xf_split_init(&d->split, &d->inter, &(struct xf_split_spec){0}, NULL, NULL))
    fail_msg("split");
}

static const struct xf_model_config mf = {.kind = XF_MODEL_MF,
                                          .loss = XF_LOSS_BPR,
                                          .bias = true,
                                          .dim = 8,
                                          .users = XF_ROWS_ALIGNED,
                                          .user_ns = "people"};

static void test_every_mf_loss_learns(void **state) {
  (void)state;
  struct xf_dataset d;
  pattern_data(&d);
  for (int loss = 0; loss < XF_N_LOSS; loss++) {
    struct xf_model_config c = mf;
    c.loss = (enum xf_loss)loss;
    struct bench b;
    struct xf_local_config local = adam(.02f);
    local.negatives = loss == XF_LOSS_MSE ? 0 : 3;
    local.l2 = 1e-4;
    bench_init(&b, &c, local, &d, d.split.n_users, d.split.n_items);
    if (xf_trainer_run(b.trainer, &b.job, &diag)) fail_msg("%s", diag.text);
    const double first = b.job.loss;
    b.job.start = b.out;
    for (int i = 0; i < 30; i++) assert_int_equal(xf_trainer_run(b.trainer, &b.job, &diag), XF_OK);
    if (!(b.job.loss < .8 * first))
      fail_msg("%s: loss %g after %g", xf_loss_name(c.loss), b.job.loss, first);
    bench_deinit(&b);
  }
  xf_dataset_deinit(&d);
}

/* Plain SGD on single pairs runs without the graph; momentum 0 is the same and runs on it. */
static void test_pairs_equal_the_graph(void **state) {
  (void)state;
  struct xf_dataset d;
  pattern_data(&d);
  for (int i = 0; i < 4; i++) {
    struct bench fast, graph;
    struct xf_model_config c = mf;
    c.bias = i % 2 == 0;
    struct xf_local_config local = {
        .steps = 1500, .batch = 1, .optimizer = xf_optim_default(XF_OPTIM_SGD, .05f)};
    local.l2 = i < 2 ? .01 : 0;
    bench_init(&fast, &c, local, &d, d.split.n_users, d.split.n_items);
    local.optimizer = xf_optim_default(XF_OPTIM_MOMENTUM, .05f);
    local.optimizer.momentum = 0;
    bench_init(&graph, &c, local, &d, d.split.n_users, d.split.n_items);
    if (xf_trainer_run(fast.trainer, &fast.job, &diag)) fail_msg("%s", diag.text);
    if (xf_trainer_run(graph.trainer, &graph.job, &diag)) fail_msg("%s", diag.text);
    assert_int_equal(fast.job.n_steps, 1500);
    assert_int_equal(fast.job.n_samples, graph.job.n_samples);
    assert_true(fabs(fast.job.loss - graph.job.loss) < 1e-5);
    double moved = 0;
    for (size_t k = 0; k < xf_model_get_layout(fast.model)->n; k++) {
      assert_true(fabsf(fast.out[k] - graph.out[k]) < 1e-5f);
      moved = fmax(moved, (double)fabsf(fast.out[k] - fast.start[k]));
    }
    assert_true(moved > .1);
    bench_deinit(&fast);
    bench_deinit(&graph);
  }
  struct bench b;
  struct xf_local_config wild = {
      .steps = 5000, .batch = 1, .optimizer = xf_optim_default(XF_OPTIM_SGD, 1e30f), .l2 = 1};
  bench_init(&b, &mf, wild, &d, d.split.n_users, d.split.n_items);
  assert_int_equal(xf_trainer_run(b.trainer, &b.job, &diag), XF_E_NAN);
  assert_non_null(strstr(diag.text, "lower local.optimizer.lr"));
  bench_deinit(&b);
  xf_dataset_deinit(&d);
}

/* Same task, same bytes: again, from another trainer, in place; another stream, other bytes. */
static void test_repeats(void **state) {
  (void)state;
  struct xf_dataset d;
  pattern_data(&d);
  struct bench a, b;
  struct xf_local_config local = adam(.02f);
  local.epochs = 3;
  bench_init(&a, &mf, local, &d, d.split.n_users, d.split.n_items);
  bench_init(&b, &mf, local, &d, d.split.n_users, d.split.n_items);
  const size_t len = xf_model_get_layout(a.model)->n * sizeof *a.out;
  assert_int_equal(xf_trainer_run(a.trainer, &a.job, NULL), XF_OK);
  b.job.shuffle.ctr[2]++;
  assert_int_equal(xf_trainer_run(b.trainer, &b.job, NULL), XF_OK);
  assert_memory_not_equal(a.out, b.out, len);
  b.job = a.job;
  b.job.start = b.job.out = b.start; // in place, after another task on the same trainer
  assert_int_equal(xf_trainer_run(b.trainer, &b.job, NULL), XF_OK);
  assert_memory_equal(a.out, b.start, len);
  assert_true(a.job.loss == b.job.loss);
  bench_deinit(&a);
  bench_deinit(&b);
  xf_dataset_deinit(&d);
}

/* SGD on a one-row task against pencil and paper: logistic regression, two inputs. */
static void test_one_step_by_hand(void **state) {
  (void)state;
  struct xf_dataset d;
  xor_data(&d, 1); // x = -1 -1, y = 0
  const struct xf_model_config c = {
      .kind = XF_MODEL_LOGREG, .loss = XF_LOSS_BCE, .bias = true, .n_in = 2, .n_out = 1};
  struct xf_local_config local = {
      .steps = 1, .optimizer = xf_optim_default(XF_OPTIM_SGD, .5f), .l2 = .2};
  struct bench b;
  bench_init(&b, &c, local, &d, 0, 0);
  b.start[0] = .3f;
  b.start[1] = -.1f;
  b.start[2] = .4f;
  assert_int_equal(xf_trainer_run(b.trainer, &b.job, NULL), XF_OK);
  const double z = -.3 + .1 + .4, p = 1 / (1 + exp(-z));
  const double want[] = {.3 - .5 * (-p + .2 * .3), -.1 - .5 * (-p + .2 * -.1), .4 - .5 * p};
  for (int i = 0; i < 3; i++) assert_true(fabs((double)b.out[i] - want[i]) < 1e-6);
  assert_true(fabs(b.job.loss - log1p(exp(z))) < 1e-6);
  bench_deinit(&b);
  xf_dataset_deinit(&d);
}

/* A strong pull moves held rows to kappa times the prior and the others to 0. */
static void test_pull(void **state) {
  (void)state;
  struct xf_dataset d;
  pattern_data(&d);
  struct xf_local_config local = adam(.02f);
  local.epochs = 60;
  local.pull = 100;
  local.kappa = .5;
  struct bench b;
  bench_init(&b, &mf, local, &d, d.split.n_users, d.split.n_items);
  const size_t n = xf_model_get_layout(b.model)->n, dim = mf.dim;
  float *prior = xf_calloc(n, sizeof *prior);
  uint8_t held[64] = {0};
  for (size_t i = 0; i < n; i++) prior[i] = 1;
  for (uint32_t u = 0; u < d.split.n_users; u += 2) held[u] = 1;
  b.job.prior = prior;
  b.job.held = held;
  if (xf_trainer_run(b.trainer, &b.job, &diag)) fail_msg("%s", diag.text);
  double far_held = 0, far_free = 0;
  for (uint32_t u = 0; u < d.split.n_users; u++)
    for (size_t k = 0; k < dim; k++) {
      const double at = (double)b.out[u * dim + k];
      if (held[u]) far_held = fmax(far_held, fabs(at - .5));
      else far_free = fmax(far_free, fabs(at));
    }
  assert_true(far_held < .1 && far_free < .1);
  b.job.held = NULL;
  b.job.prior = NULL; // first round: no rows yet
  assert_int_equal(xf_trainer_run(b.trainer, &b.job, NULL), XF_OK);
  xf_free(prior);
  bench_deinit(&b);
  xf_dataset_deinit(&d);
}

static const struct xf_model_config scorer = {.kind = XF_MODEL_SCORER,
                                              .loss = XF_LOSS_SOFTMAX,
                                              .bias = true,
                                              .n_in = 3,
                                              .n_out = 1,
                                              .hidden = {8},
                                              .n_hidden = 1,
                                              .activation = XF_ACT_TANH};

/* Lists whose first candidate has the least |first number|: no linear net finds it. */
static void list_data(struct xf_dataset *d, uint32_t n) {
  xf_dataset_init(d, XF_DATASET_LISTS);
  if (xf_listset_init(&d->lists, n, 5, 3, &diag)) fail_msg("%s", diag.text);
  struct xf_rng rng;
  xf_rng_init(&rng, 6, 0);
  for (uint32_t k = 0; k < n; k++)
    for (uint32_t i = 0; i < 5; i++) {
      float *x = d->lists.x + (k * 5 + i) * 3;
      for (int j = 0; j < 3; j++) x[j] = (float)xf_rng_normal(&rng);
      x[0] = i == 0 ? .1f * x[0] : x[0] + (x[0] > 0 ? 1.0f : -1.0f);
    }
}

static void test_lists_learn(void **state) {
  (void)state;
  struct xf_dataset d;
  struct bench b;
  list_data(&d, 200);
  for (uint32_t k = 150; k < 200; k++) d.lists.part[k] = XF_PART_VALID;
  struct xf_local_config local = {
      .steps = 300, .batch = 32, .negatives = 4, .optimizer = xf_optim_default(XF_OPTIM_SGD, .3f)};
  bench_init(&b, &scorer, local, &d, 0, 0);
  if (xf_trainer_run(b.trainer, &b.job, &diag)) fail_msg("%s", diag.text);
  assert_int_equal(b.job.n_samples, 150);
  const double first = b.job.loss;
  b.job.start = b.out;
  assert_int_equal(xf_trainer_run(b.trainer, &b.job, &diag), XF_OK);
  if (!(b.job.loss < .1 && b.job.loss < first)) fail_msg("loss %g after %g", b.job.loss, first);
  // the same on its own trainer, in one call
  float *once = xf_calloc(xf_model_get_layout(b.model)->n, sizeof *once);
  float *start = xf_calloc(xf_model_get_layout(b.model)->n, sizeof *start);
  memcpy(start, b.start, xf_model_get_layout(b.model)->n * sizeof *start);
  struct xf_train_job job = b.job;
  b.job.start = job.start = start;
  job.out = once;
  assert_int_equal(xf_trainer_run(b.trainer, &b.job, &diag), XF_OK);
  assert_int_equal(xf_train_once(b.model, &local, &job, &diag), XF_OK);
  assert_memory_equal(once, b.out, xf_model_get_layout(b.model)->n * sizeof *once);
  xf_free(once);
  xf_free(start);
  bench_deinit(&b);
  // lists of another length or width, or another kind of data, are named
  local.negatives = 9;
  bench_init(&b, &scorer, local, &d, 0, 0);
  assert_int_equal(xf_trainer_run(b.trainer, &b.job, &diag), XF_E_SHAPE);
  assert_non_null(strstr(diag.text, "the lists have 5 candidates; with local.negatives 9"));
  d.lists.n_in = 2;
  assert_int_equal(xf_trainer_run(b.trainer, &b.job, &diag), XF_E_SHAPE);
  assert_non_null(strstr(diag.text, "model.n_in is 3"));
  struct xf_dataset table;
  xor_data(&table, 4);
  b.job.data = &table;
  assert_int_equal(xf_trainer_run(b.trainer, &b.job, &diag), XF_E_SHAPE);
  assert_non_null(strstr(diag.text, "eats lists of candidates, the silo's data are a table"));
  bench_deinit(&b);
  xf_dataset_deinit(&table);
  xf_dataset_deinit(&d);
}

static unsigned n_reports;
static atomic_bool cancel;
static void on_progress(void *arg, const struct xf_train_progress *p) {
  (void)arg;
  n_reports++;
  assert_true(p->step <= p->n_steps && p->loss > 0);
  if (p->step >= p->n_steps / 2) atomic_store(&cancel, true);
}

static void test_progress_and_cancel(void **state) {
  (void)state;
  struct xf_dataset d;
  struct bench b;
  xor_data(&d, 64);
  struct xf_local_config local = adam(.01f);
  local.epochs = 100;
  bench_init(&b, &xor_net, local, &d, 0, 0);
  b.job.progress = on_progress;
  assert_int_equal(xf_trainer_run(b.trainer, &b.job, &diag), XF_OK);
  assert_in_range(n_reports, 80, 120);
  b.job.cancel = &cancel;
  atomic_store(&cancel, false);
  assert_int_equal(xf_trainer_run(b.trainer, &b.job, &diag), XF_E_CANCELLED);
  assert_in_range(b.job.n_steps, 400, 420);
  bench_deinit(&b);
  xf_dataset_deinit(&d);
}

static void expect(enum xf_rc got, enum xf_rc want, const char *text) {
  assert_int_equal(got, want);
  if (!strstr(diag.text, text)) fail_msg("\"%s\" is not in \"%s\"", text, diag.text);
}

static void test_divergence(void **state) {
  (void)state;
  struct xf_dataset d;
  struct bench b;
  xor_data(&d, 64);
  const struct xf_model_config linear = {
      .kind = XF_MODEL_LOGREG, .loss = XF_LOSS_MSE, .n_in = 2, .n_out = 1};
  struct xf_local_config local = {
      .epochs = 200, .batch = 8, .optimizer = xf_optim_default(XF_OPTIM_SGD, 50.0f)};
  bench_init(&b, &linear, local, &d, 0, 0);
  expect(xf_trainer_run(b.trainer, &b.job, &diag), XF_E_NAN, "lower local.optimizer.lr (now 50)");
  b.start[1] = NAN;
  expect(xf_trainer_run(b.trainer, &b.job, &diag), XF_E_NAN,
         "after step 0 parameter w[1][0] is nan");
  bench_deinit(&b);
  xf_dataset_deinit(&d);
}

static void test_refusals(void **state) {
  (void)state;
  struct xf_dataset table, events;
  struct bench b;
  xor_data(&table, 8);
  pattern_data(&events);
  bench_init(&b, &mf, adam(.1f), &events, events.split.n_users, events.split.n_items);
  b.job.data = &table;
  expect(xf_trainer_run(b.trainer, &b.job, &diag), XF_E_SHAPE,
         "the model eats interactions, the silo's data are a table");
  bench_deinit(&b);
  bench_init(&b, &mf, adam(.1f), &events, 3, 4);
  expect(xf_trainer_run(b.trainer, &b.job, &diag), XF_E_SHAPE,
         "the data have 30 users and 20 items, the model 3 and 4");
  bench_deinit(&b);
  bench_init(&b, &xor_net, adam(.1f), &table, 0, 0);
  table.table.n_class = 5;
  expect(xf_trainer_run(b.trainer, &b.job, &diag), XF_E_SHAPE, "classes 0 .. 1; the table has 5");
  table.table.n_class = 2;
  bench_deinit(&b);
  struct xf_model_config yes_no = xor_net;
  yes_no.loss = XF_LOSS_BCE;
  yes_no.n_out = 1;
  bench_init(&b, &yes_no, adam(.1f), &table, 0, 0);
  table.table.n_class = 0; // as loaded when a label is no small integer
  table.table.y[0] = .25f; // a probability will do
  assert_int_equal(xf_trainer_run(b.trainer, &b.job, &diag), XF_OK);
  table.table.y[5] = -1;
  expect(xf_trainer_run(b.trainer, &b.job, &diag), XF_E_SHAPE,
         "loss bce needs labels 0 and 1; the table has -1");
  table.table.n_class = 2;
  table.table.y[0] = table.table.y[5] = 0;
  bench_deinit(&b);
  bench_init(&b, &xor_net, adam(.1f), &table, 0, 0);
  memset(table.table.part, XF_PART_TEST, 8); // nothing to train on: unchanged, weight 0
  assert_int_equal(xf_trainer_run(b.trainer, &b.job, &diag), XF_OK);
  assert_int_equal(b.job.n_samples, 0);
  assert_memory_equal(b.start, b.out, xf_model_get_layout(b.model)->n * sizeof *b.out);
  struct xf_trainer *t = NULL;
  struct xf_local_config bad = adam(.1f);
  bad.steps = 4;
  expect(xf_trainer_new(&t, b.model, &bad, 8, &diag), XF_E_CONFIG,
         "local.epochs is 1 and local.steps 4");
  bad = adam(0);
  expect(xf_trainer_new(&t, b.model, &bad, 8, &diag), XF_E_CONFIG, "local.optimizer.lr is 0");
  assert_null(t);
  bench_deinit(&b);
  xf_dataset_deinit(&table);
  xf_dataset_deinit(&events);
}

static void begin(void *arg, uint32_t task, struct xf_train_job *job) {
  (void)arg;
  xf_rng_init(&job->shuffle, 3, task);
  xf_rng_init(&job->negative, 4, task);
  job->lr = .02f / (float)task;
}

/* A task's own rate: that of another trainer's optimiser, for each way a trainer makes its steps; then the trainer's again. */
static void test_rate(void **state) {
  (void)state;
  struct xf_dataset d;
  pattern_data(&d);
  const enum xf_optim_kind kinds[] = {XF_OPTIM_SGD, XF_OPTIM_MOMENTUM, XF_OPTIM_ADAM};
  for (int k = 0; k < 4; k++) { /* the last: pair by pair */
    struct xf_local_config c = adam(.02f), other;
    c.optimizer = xf_optim_default(kinds[k % 3], .02f);
    if (k == 3) c.batch = 1;
    other = c;
    other.optimizer.lr = .005f;
    struct bench a, b;
    bench_init(&a, &mf, c, &d, d.split.n_users, d.split.n_items);
    bench_init(&b, &mf, other, &d, d.split.n_users, d.split.n_items);
    const size_t n = xf_model_get_layout(a.model)->n;
    for (int own = 0; own < 2; own++) {
      a.job.lr = own ? .005f : 0;
      b.job.lr = own ? 0 : .02f;
      assert_int_equal(xf_trainer_run(a.trainer, &a.job, NULL), XF_OK);
      assert_int_equal(xf_trainer_run(b.trainer, &b.job, NULL), XF_OK);
      assert_memory_equal(a.out, b.out, n * sizeof *a.out);
      assert_memory_not_equal(a.out, a.job.start, n * sizeof *a.out);
    }
    bench_deinit(&a);
    bench_deinit(&b);
  }
  xf_dataset_deinit(&d);
}

/* `alone` is the same tasks in a row. */
static void test_alone(void **state) {
  (void)state;
  struct xf_dataset d;
  pattern_data(&d);
  struct bench a, b;
  bench_init(&a, &mf, adam(.02f), &d, d.split.n_users, d.split.n_items);
  bench_init(&b, &mf, adam(.02f), &d, d.split.n_users, d.split.n_items);
  assert_int_equal(xf_train_alone(a.trainer, &a.job, 3, begin, NULL, NULL), XF_OK);
  for (uint32_t t = 1; t <= 3; t++) {
    begin(NULL, t, &b.job);
    assert_int_equal(xf_trainer_run(b.trainer, &b.job, NULL), XF_OK);
    b.job.start = b.out;
  }
  assert_memory_equal(a.out, b.out, xf_model_get_layout(a.model)->n * sizeof *a.out);
  assert_int_equal(a.job.n_steps, 3 * b.job.n_steps);
  assert_int_equal(a.job.n_samples, b.job.n_samples);
  assert_true(xf_trainer_get_bytes(a.trainer) > 1000);
  bench_deinit(&a);
  bench_deinit(&b);
  xf_dataset_deinit(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_learns_xor),
      cmocka_unit_test(test_every_mf_loss_learns),
      cmocka_unit_test(test_pairs_equal_the_graph),
      cmocka_unit_test(test_repeats),
      cmocka_unit_test(test_one_step_by_hand),
      cmocka_unit_test(test_lists_learn),
      cmocka_unit_test(test_pull),
      cmocka_unit_test(test_progress_and_cancel),
      cmocka_unit_test(test_divergence),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_rate),
      cmocka_unit_test(test_alone),
  };
  if (xf_blas_start(NULL, &diag)) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
