// A silo's round of meta-learning: the worked numbers through whole rounds, how tasks are drawn, adaptation, what is refused.
#include "base/alloc.h"
#include "tensor/blas.h"
#include "train/metaparts.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { N = 7, ROWS = 5, DRAWS = 200 };

static struct xf_diag diag;

// The net, data and start of meta_learning.json: rows 0 and 1 are its support.
static const float START[2 * N] = {.5F, -.3F, .1F,  .2F, .7F, -.4F, .05F,
                                   .1F, .2F,  .05F, .1F, .3F, .15F, .25F};
static const struct xf_model_config NET = {.kind = XF_MODEL_MLP,
                                           .loss = XF_LOSS_MSE,
                                           .bias = true,
                                           .n_in = 1,
                                           .n_out = 1,
                                           .hidden = {2},
                                           .n_hidden = 1,
                                           .activation = XF_ACT_TANH};
static const struct xf_metawork_config TASK = {
    .kind = XF_META_MAML, .support = 2, .query = 3, .inner_steps = 1, .inner_lr = .1, .tasks = 1};

static void make_table(struct xf_dataset *d) {
  static const float x[] = {.5F, -1, .2F, 1.5F, -.7F}, y[] = {1, .2F, .6F, 1.4F, .3F};
  xf_dataset_init(d, XF_DATASET_TABLE);
  struct xf_table *t = &d->table;
  t->n = t->cap = ROWS + 1; // the last row is held out
  t->n_in = 1;
  t->x = xf_calloc(t->n, sizeof *t->x);
  t->y = xf_calloc(t->n, sizeof *t->y);
  t->part = xf_calloc(t->n, sizeof *t->part);
  t->row = xf_calloc(t->n, sizeof *t->row);
  for (uint32_t i = 0; i < t->n; i++) {
    t->x[i] = i < ROWS ? x[i] : 99;
    t->y[i] = i < ROWS ? y[i] : -99;
    t->part[i] = i < ROWS ? XF_PART_TRAIN : XF_PART_TEST;
    t->row[i] = i;
  }
}

struct fixture {
  struct xf_model *model;
  struct xf_metawork *work;
  struct xf_dataset data;
};

static void open_work(struct fixture *f, struct xf_model_config net,
                      struct xf_metawork_config task) {
  assert_int_equal(xf_model_new(&f->model, &net, (struct xf_model_size){0}, &diag), XF_OK);
  if (xf_metawork_new(&f->work, f->model, &task, ROWS, &diag)) fail_msg("%s", diag.text);
  make_table(&f->data);
}

static void close_work(struct fixture *f) {
  xf_metawork_free(f->work);
  xf_model_free(f->model);
  xf_dataset_deinit(&f->data);
}

static struct xf_metawork_job job_of(struct fixture *f, uint64_t seed, float *delta) {
  struct xf_metawork_job job = {.start = START, .data = &f->data, .delta = delta};
  xf_rng_init(&job.task, seed, 1);
  return job;
}

static bool close_to(const float *got, const double *want, size_t n, double scale, double tol) {
  for (size_t i = 0; i < n; i++)
    if (!(fabs((double)got[i] - scale * want[i]) <= tol)) return false;
  return true;
}

static const struct {
  const char *name;
  struct xf_metawork_config task;
  double tol, grad[N];
} CASES[] = {
    {"maml_second_order_1_step",
     {.kind = XF_META_MAML},
     2e-6,
     {-0.10413810340370484, 0.1639692299890999, -0.3009021173159883, 0.19965536078322196,
      -0.3357514903678297, 0.09732871863435966, -0.5876923823808085}},
    {"maml_second_order_1_step, FOMAML",
     {.kind = XF_META_FOMAML},
     2e-6,
     {-0.1127219626981097, 0.16401372544174442, -0.40962397822192287, 0.27666023146897545,
      -0.3010611513037486, 0.017254300539574552, -0.8125781618349961}},
    {"maml_second_order_3_steps",
     {.kind = XF_META_MAML, .inner_steps = 3},
     2e-6,
     {-0.07075025790190403, 0.09766951618837802, -0.05838825954930875, 0.061330755725877824,
      -0.1787372678132334, 0.1086538500456457, -0.1527197238352867}},
    {"anil_and_boil_1_step, ANIL",
     {.kind = XF_META_MAML, .adapts = XF_METAWORK_HEAD},
     2e-6,
     {-0.14582360376820816, 0.1816294509825529, -0.41119671975340144, 0.24520547119080185,
      -0.2660025447956287, 0.006809269084765951, -0.7469213840390149}},
    {"anil_and_boil_1_step, BOIL",
     {.kind = XF_META_MAML, .adapts = XF_METAWORK_BODY},
     2e-6,
     {-0.10021469217344119, 0.20372757413529136, -0.4984568243196959, 0.3724097974421817,
      -0.42710073086606953, 0.0636965437468706, -0.9926577369460174}},
    {"perfedavg_hf", // one local step of .5; the difference of floats is coarser
     {.kind = XF_META_HF, .steps = 1},
     2e-4,
     {-0.10413812457065387, 0.16396923451629647, -0.30090213465234705, 0.19965536783890248,
      -0.33575149015953065, 0.09732871226854989, -0.5876923857429641}},
};

// Of ten sets of two rows one is the vector's: about a tenth of the rounds give its numbers, the others do not.
static void test_vectors(void **state) {
  (void)state;
  for (size_t k = 0; k < sizeof CASES / sizeof *CASES; k++) {
    struct xf_metawork_config task = TASK;
    task.kind = CASES[k].task.kind;
    task.adapts = CASES[k].task.adapts;
    task.steps = CASES[k].task.steps;
    task.optimizer = xf_optim_default(XF_OPTIM_SGD, .5F);
    if (CASES[k].task.inner_steps) task.inner_steps = CASES[k].task.inner_steps;
    struct fixture f;
    open_work(&f, NET, task);
    int hits = 0;
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
      float delta[N];
      struct xf_metawork_job job = job_of(&f, seed, delta);
      assert_int_equal(xf_metawork_run(f.work, &job, &diag), XF_OK);
      assert_int_equal(job.n_samples, 3);
      hits += close_to(delta, CASES[k].grad, N, task.steps ? -.5 : -1, CASES[k].tol);
    }
    if (hits < DRAWS / 20 || hits > DRAWS / 5) fail_msg("%s: %d of %d", CASES[k].name, hits, DRAWS);
    close_work(&f);
  }
}

// metasgd_1_step: the rates are the second half of the vector and learn like the rest.
static void test_metasgd(void **state) {
  (void)state;
  static const double GRAD[2 * N] = {
      -0.09503865854422008, 0.11441958559549581,  -0.1311780133652343,  0.0645533215041283,
      -0.1804511150338221,  0.09665187021860945,  -0.21441928957718118, 0.013603967287273777,
      0.004925656924475268, -0.17774351064769425, -0.07132263901084504, -0.0035301580768853052,
      0.010391836962108877, -0.6079036068789777};
  struct xf_model_config net = NET;
  net.rates = .25;
  struct fixture f;
  open_work(&f, net, TASK);
  const struct xf_layout *layout = xf_model_get_layout(f.model);
  assert_int_equal(layout->n, 2 * N);
  assert_int_equal(xf_model_base(f.model), 4);
  const struct xf_segment *weight = NULL, *bias = NULL; // the head is the net's, not the rates'
  assert_true(xf_model_get_head(f.model, &weight, &bias));
  assert_true(weight == &layout->seg[2] && bias == &layout->seg[3]);
  assert_string_equal(layout->seg[4].name, "rate.w1");
  float first[2 * N];
  struct xf_rng rng;
  xf_rng_init(&rng, 1, 1);
  const struct xf_model_seed seed = {.shared = &rng};
  assert_int_equal(xf_model_init(f.model, first, &seed, &diag), XF_OK);
  for (int i = N; i < 2 * N; i++) assert_true(first[i] == .25F);
  int hits = 0;
  uint64_t hit = 0;
  float delta[2 * N];
  for (uint64_t s = 0; s < DRAWS; s++) {
    struct xf_metawork_job job = job_of(&f, s, delta);
    assert_int_equal(xf_metawork_run(f.work, &job, &diag), XF_OK);
    if (!close_to(delta, GRAD, 2 * N, -1, 2e-6)) continue;
    hits++;
    hit = s;
  }
  assert_in_range(hits, DRAWS / 20, DRAWS / 5);
  // A rate below 0 counts as 0: same change of the parameters as with 0, and it goes up again but not further down.
  float low[2 * N], zero[2 * N], by_low[2 * N], by_zero[2 * N];
  memcpy(low, START, sizeof low);
  memcpy(zero, START, sizeof zero);
  for (int i = N; i < 2 * N; i++) low[i] = i % 2 ? -.5F : -1e-3F, zero[i] = 0;
  struct xf_metawork_job job = job_of(&f, hit, by_low);
  job.start = low;
  assert_int_equal(xf_metawork_run(f.work, &job, &diag), XF_OK);
  job = job_of(&f, hit, by_zero);
  job.start = zero;
  assert_int_equal(xf_metawork_run(f.work, &job, &diag), XF_OK);
  assert_memory_equal(by_low, by_zero, sizeof by_low);
  int up = 0, still = 0;
  for (int i = N; i < 2 * N; i++) {
    assert_true(by_zero[i] >= 0);
    up += by_zero[i] > 0;
    still += by_zero[i] == 0;
  }
  assert_true(up > 0 && still > 0);
  close_work(&f);
}

// Support and query never overlap, come from train only, and every row is in each as often as any other.
static void test_tasks(void **state) {
  (void)state;
  struct fixture f;
  struct xf_rng rng;
  struct xf_meta_job job = {0};
  int in_support[ROWS] = {0}, in_query[ROWS] = {0};
  struct xf_metawork_config task = TASK;
  task.query = 2;
  open_work(&f, NET, task);
  xf_rng_init(&rng, 5, 1);
  enum { TRIES = 5000 };
  for (int t = 0; t < TRIES; t++) {
    assert_int_equal(xf_metawork_draw(f.work, &f.data, true, &rng, &job, &diag), XF_OK);
    assert_int_equal(job.n_support, 2);
    assert_int_equal(job.n_query, 2);
    bool seen[ROWS] = {false};
    for (uint32_t i = 0; i < 4; i++) {
      const uint32_t row = f.work->row[i];
      assert_true(row < ROWS && !seen[row]);
      seen[row] = true;
      (i < 2 ? in_support : in_query)[row]++;
      assert_true(f.work->x[i] == f.data.table.x[row] && f.work->y[i] == f.data.table.y[row]);
    }
  }
  for (int i = 0; i < ROWS; i++) { // 2000 expected, deviation 35
    assert_in_range(in_support[i], 1840, 2160);
    assert_in_range(in_query[i], 1840, 2160);
  }
  close_work(&f);
}

// The mean over tasks is that of single ones from the same stream; query 0 takes all other rows.
static void test_mean(void **state) {
  (void)state;
  struct fixture one, many;
  float delta[N], sum[N] = {0}, all[N];
  struct xf_metawork_config task = TASK;
  task.query = 0;
  open_work(&one, NET, task);
  task.tasks = 4;
  open_work(&many, NET, task);
  struct xf_metawork_job job = job_of(&one, 9, delta);
  for (int t = 0; t < 4; t++) { // the stream goes on in the job
    assert_int_equal(xf_metawork_run(one.work, &job, &diag), XF_OK);
    assert_int_equal(job.n_samples, 3);
    for (int i = 0; i < N; i++) sum[i] += delta[i] / 4;
  }
  job = job_of(&many, 9, all);
  assert_int_equal(xf_metawork_run(many.work, &job, &diag), XF_OK);
  assert_int_equal(job.n_samples, 12);
  for (int i = 0; i < N; i++) assert_true(fabsf(all[i] - sum[i]) < 1e-6F);
  close_work(&one);
  close_work(&many);
}

// Per-FedAvg's second step starts where the first ended.
static void test_perfedavg(void **state) {
  (void)state;
  struct fixture one, two;
  struct xf_metawork_config task = TASK;
  task.kind = XF_META_FOMAML;
  task.optimizer = xf_optim_default(XF_OPTIM_SGD, .1F);
  task.steps = 1;
  open_work(&one, NET, task);
  task.steps = 2;
  open_work(&two, NET, task);
  float first[N], second[N], both[N], mid[N];
  struct xf_metawork_job job = job_of(&one, 3, first);
  assert_int_equal(xf_metawork_run(one.work, &job, &diag), XF_OK);
  for (int i = 0; i < N; i++) mid[i] = START[i] + first[i];
  job.start = mid;
  job.delta = second;
  assert_int_equal(xf_metawork_run(one.work, &job, &diag), XF_OK);
  job = job_of(&two, 3, both);
  assert_int_equal(xf_metawork_run(two.work, &job, &diag), XF_OK);
  for (int i = 0; i < N; i++) assert_true(fabsf(both[i] - (first[i] + second[i])) < 1e-6F);
  close_work(&one);
  close_work(&two);
}

// Adaptation is plain steps on the support alone; only what adapts moves, and learnt rates are the rates.
static void test_adapt(void **state) {
  (void)state;
  struct fixture f;
  struct xf_metawork_config task = TASK;
  struct xf_rng rng;
  float once[N], twice[N], held[N];
  task.tasks = 0;
  task.kind = XF_META_FOMAML;
  open_work(&f, NET, task);
  xf_rng_init(&rng, 4, 1);
  assert_int_equal(xf_metawork_adapt(f.work, START, &f.data, &rng, 1, once, &diag), XF_OK);
  assert_int_equal(xf_metawork_adapt(f.work, once, &f.data, &rng, 1, twice, &diag), XF_OK);
  assert_int_equal(xf_metawork_adapt(f.work, START, &f.data, &rng, 2, once, &diag), XF_OK);
  for (int i = 0; i < N; i++) assert_true(fabsf(once[i] - twice[i]) < 1e-6F && once[i] != START[i]);
  memcpy(held, START, sizeof held); // in place
  assert_int_equal(xf_metawork_adapt(f.work, held, &f.data, &rng, 2, held, &diag), XF_OK);
  assert_memory_equal(held, once, sizeof held);
  close_work(&f);
  task.adapts = XF_METAWORK_HEAD;
  open_work(&f, NET, task);
  assert_int_equal(xf_metawork_adapt(f.work, START, &f.data, &rng, 3, once, &diag), XF_OK);
  for (int i = 0; i < N; i++) assert_true((once[i] == START[i]) == (i < 4));
  close_work(&f);
  struct xf_model_config net = NET;
  float rated[2 * N], start[2 * N];
  net.rates = .1;
  task.adapts = XF_METAWORK_ALL;
  open_work(&f, net, task);
  memcpy(start, START, sizeof start);
  for (int i = N; i < 2 * N; i++) start[i] = i == N + 2 ? .1F : -1;
  assert_int_equal(xf_metawork_adapt(f.work, start, &f.data, &rng, 3, rated, &diag), XF_OK);
  for (int i = 0; i < 2 * N; i++) assert_true((rated[i] == start[i]) == (i != 2));
  close_work(&f);
}

static void refused(struct xf_model_config net, struct xf_metawork_config task, size_t rows,
                    const char *says) {
  struct xf_model *model;
  struct xf_metawork *work = NULL;
  assert_int_equal(xf_model_new(&model, &net, (struct xf_model_size){0}, &diag), XF_OK);
  assert_int_not_equal(xf_metawork_new(&work, model, &task, rows, &diag), XF_OK);
  assert_null(work);
  if (!strstr(diag.text, says)) fail_msg("\"%s\" lacks \"%s\"", diag.text, says);
  xf_model_free(model);
}

static void test_refusals(void **state) {
  (void)state;
  struct xf_metawork_config task = TASK;
  refused(NET, TASK, 4, "support 2 and query 3 need 5 train rows, and there are 4");
  task.query = 0;
  refused(NET, task, 2, "need 3 train rows");
  task.support = 0;
  refused(NET, task, 5, "support is 0");
  task = TASK;
  task.inner_steps = 1000000000;
  refused(NET, task, 5, "local.meta.steps: 1000000000 steps of");
  task = TASK;
  task.adapts = XF_METAWORK_BODY;
  refused(
      (struct xf_model_config){
          .kind = XF_MODEL_LOGREG, .loss = XF_LOSS_MSE, .bias = true, .n_in = 1, .n_out = 1},
      task, 5, "boil adapts nothing");
  refused(
      (struct xf_model_config){
          .kind = XF_MODEL_CONV4, .loss = XF_LOSS_SOFTMAX, .bias = true, .n_in = 784, .n_out = 5},
      TASK, 5, "segment \"mean1\" of its batch norm");
  refused((struct xf_model_config){.kind = XF_MODEL_MF, .loss = XF_LOSS_BCE, .dim = 2}, TASK, 5,
          "write fed.algorithm: reptile");
  // a divergence and a wrong table are errors of the round, and cancelling ends it
  struct fixture f;
  float delta[N];
  task = TASK;
  task.inner_lr = 1e30;
  open_work(&f, NET, task);
  struct xf_metawork_job job = job_of(&f, 1, delta);
  assert_int_equal(xf_metawork_run(f.work, &job, &diag), XF_E_NAN);
  assert_non_null(strstr(diag.text, "lower local.meta.lr"));
  atomic_bool stop = true;
  job = job_of(&f, 1, delta);
  job.cancel = &stop;
  assert_int_equal(xf_metawork_run(f.work, &job, &diag), XF_E_CANCELLED);
  f.data.table.part[0] = XF_PART_TEST;
  job = job_of(&f, 1, delta);
  assert_int_equal(xf_metawork_run(f.work, &job, &diag), XF_E_SHAPE);
  f.data.table.part[0] = f.data.table.part[ROWS] = XF_PART_TRAIN; // more rows than planned for
  job = job_of(&f, 1, delta);
  assert_int_equal(xf_metawork_run(f.work, &job, &diag), XF_E_SHAPE);
  assert_non_null(strstr(diag.text, "planned for 5"));
  close_work(&f);
}

// The five rows as points of 784 inputs with classes instead.
static void make_images(struct xf_dataset *d, uint32_t n_class, struct xf_rng *rng) {
  make_table(d);
  xf_free(d->table.x);
  d->table.n_in = 784;
  d->table.x = xf_calloc((size_t)d->table.n * 784, sizeof(float));
  for (size_t i = 0; i < (size_t)d->table.n * 784; i++)
    d->table.x[i] = (float)xf_rng_double(rng) / 2;
  d->table.n_class = n_class;
  for (size_t i = 0; i < d->table.n; i++) d->table.y[i] = (float)(i % n_class);
}

// What a round of two inner steps sends. @own caller: xf_free
static float *send(const struct xf_model *model, enum xf_meta_kind kind, const float *start,
                   const struct xf_dataset *d) {
  struct xf_metawork *work;
  struct xf_metawork_config task = TASK;
  task.kind = kind;
  task.inner_steps = 2;
  if (xf_metawork_new(&work, model, &task, ROWS, &diag)) fail_msg("%s", diag.text);
  float *delta = xf_calloc(xf_model_get_layout(model)->n, sizeof *delta);
  struct xf_metawork_job job = {.start = start, .data = d, .delta = delta};
  xf_rng_init(&job.task, 1, 1);
  if (xf_metawork_run(work, &job, &diag)) fail_msg("%s", diag.text);
  xf_metawork_free(work);
  return delta;
}

static double apart(const float *a, const float *b, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += pow((double)a[i] - (double)b[i], 2);
  return sqrt(sum);
}

// Models of tables and images without batch norm have second derivatives: the product and the difference agree; a difference
// over the kinks of max-pooling is coarse.
static void test_models(void **state) {
  (void)state;
  static const struct {
    struct xf_model_config config;
    double bound;
  } nets[] = {
      {{.kind = XF_MODEL_MLP,
        .loss = XF_LOSS_SOFTMAX,
        .bias = true,
        .n_in = 784,
        .n_out = 3,
        .hidden = {6, 5},
        .n_hidden = 2,
        .activation = XF_ACT_SIGMOID},
       .05},
      {{.kind = XF_MODEL_LOGREG, .loss = XF_LOSS_BCE, .bias = true, .n_in = 784, .n_out = 1}, .05},
      {{.kind = XF_MODEL_CNN_SMALL,
        .loss = XF_LOSS_SOFTMAX,
        .bias = true,
        .n_in = 784,
        .n_out = 3,
        .activation = XF_ACT_TANH},
       .5},
  };
  for (size_t k = 0; k < sizeof nets / sizeof *nets; k++) {
    struct xf_model *model;
    struct xf_dataset d;
    struct xf_rng rng;
    xf_rng_init(&rng, 3, k);
    assert_int_equal(xf_model_new(&model, &nets[k].config, (struct xf_model_size){0}, &diag),
                     XF_OK);
    make_images(&d, nets[k].config.n_out == 1 ? 2 : 3, &rng);
    const size_t n = (size_t)xf_model_get_layout(model)->n;
    float *start = xf_calloc(n, sizeof *start);
    assert_int_equal(xf_model_init(model, start, &(struct xf_model_seed){.shared = &rng}, &diag),
                     XF_OK);
    float *exact = send(model, XF_META_MAML, start, &d), *diff = send(model, XF_META_HF, start, &d),
          *first = send(model, XF_META_FOMAML, start, &d);
    const double order = apart(exact, first, n), error = apart(exact, diff, n);
    if (!(order > 0 && error < nets[k].bound * order))
      fail_msg("net %zu: %g of %g", k, error, order);
    float *const own[] = {start, exact, diff, first};
    for (size_t i = 0; i < 4; i++) xf_free(own[i]);
    xf_dataset_deinit(&d);
    xf_model_free(model);
  }
}

int main(void) {
  if (xf_blas_start(NULL, &diag)) return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_vectors),   cmocka_unit_test(test_metasgd),
      cmocka_unit_test(test_tasks),     cmocka_unit_test(test_mean),
      cmocka_unit_test(test_perfedavg), cmocka_unit_test(test_adapt),
      cmocka_unit_test(test_refusals),  cmocka_unit_test(test_models),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
