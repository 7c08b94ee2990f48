// Steps unit by unit against the engine's own rewrite and against plain clipping by hand; what is refused.
#include "base/alloc.h"
#include "tensor/blas.h"
#include "train/train.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static struct xf_diag diag;

enum { ROWS = 12, IN = 3, CLASSES = 3 };

static void table(struct xf_dataset *d) {
  struct xf_rng rng;
  xf_rng_init(&rng, 21, 1);
  xf_dataset_init(d, XF_DATASET_TABLE);
  struct xf_table *t = &d->table;
  t->n = t->cap = ROWS;
  t->n_in = IN;
  t->n_class = CLASSES;
  t->x = xf_calloc(ROWS, IN * sizeof *t->x);
  t->y = xf_calloc(ROWS, sizeof *t->y);
  t->part = xf_calloc(ROWS, 1);
  t->row = xf_calloc(ROWS, sizeof *t->row);
  for (size_t i = 0; i < ROWS * IN; i++) t->x[i] = (float)xf_rng_normal(&rng);
  for (size_t i = 0; i < ROWS; i++) t->y[i] = (float)(i % CLASSES);
  t->part[4] = XF_PART_TEST;
}

static const struct xf_model_config net = {.kind = XF_MODEL_MLP,
                                           .loss = XF_LOSS_SOFTMAX,
                                           .bias = true,
                                           .n_in = IN,
                                           .n_out = CLASSES,
                                           .hidden = {5},
                                           .n_hidden = 1,
                                           .activation = XF_ACT_TANH};

/* Clips in double and adds up; takes every `every`-th unit; may spoil one. */
struct by_hand {
  size_t n;
  double clip, divisor, sum[512];
  uint64_t n_start, n_asked, n_added, every;
};
static enum xf_rc hand_start(void *arg) {
  struct by_hand *h = arg;
  h->n_start++;
  memset(h->sum, 0, sizeof h->sum);
  return XF_OK;
}
static bool hand_takes(void *arg) {
  struct by_hand *h = arg;
  return h->n_asked++ % h->every == 0;
}
static enum xf_rc hand_add(void *arg, const float *g) {
  struct by_hand *h = arg;
  double norm2 = 0;
  h->n_added++;
  for (size_t i = 0; i < h->n; i++) norm2 += (double)g[i] * (double)g[i];
  const double factor = norm2 > h->clip * h->clip ? h->clip / sqrt(norm2) : 1;
  if (isfinite(norm2))
    for (size_t i = 0; i < h->n; i++) h->sum[i] += factor * (double)g[i];
  return XF_OK;
}
static void hand_get(void *arg, float *g) {
  const struct by_hand *h = arg;
  for (size_t i = 0; i < h->n; i++) g[i] = (float)(h->sum[i] / h->divisor);
}

struct run {
  struct xf_model *model;
  float *start, *out;
  size_t n;
};
static void run_init(struct run *r, const struct xf_model_config *config) {
  struct xf_rng shared, silo;
  if (xf_model_new(&r->model, config, (struct xf_model_size){0, 0}, &diag))
    fail_msg("%s", diag.text);
  r->n = xf_model_get_layout(r->model)->n;
  assert_true(r->n <= 512);
  r->start = xf_calloc(r->n, sizeof *r->start);
  r->out = xf_calloc(r->n, sizeof *r->out);
  xf_rng_init(&shared, 1, 1);
  xf_rng_init(&silo, 2, 2);
  const struct xf_model_seed seed = {.shared = &shared, .silo = &silo};
  assert_int_equal(xf_model_init(r->model, r->start, &seed, &diag), XF_OK);
}
static void run_deinit(struct run *r) {
  xf_model_free(r->model);
  xf_free(r->start);
  xf_free(r->out);
}
/* Trains from start; what it does to the parameters is in out - start. */
static enum xf_rc run_job(struct run *r, struct xf_local_config local, const struct xf_dataset *d,
                          struct by_hand *h, struct xf_train_job *job) {
  const struct xf_train_units units = {hand_start, hand_takes, hand_add, hand_get, h};
  *job = (struct xf_train_job){.start = r->start, .out = r->out, .data = d};
  if (h) {
    h->n = r->n;
    job->units = &units;
  }
  xf_rng_init(&job->shuffle, 3, 0);
  xf_rng_init(&job->negative, 4, 0);
  const enum xf_rc rc = xf_train_once(r->model, &local, job, &diag);
  job->units = NULL;
  return rc;
}

static struct xf_local_config sgd(uint32_t steps, enum xf_train_unit unit) {
  return (struct xf_local_config){
      .steps = steps, .optimizer = xf_optim_default(XF_OPTIM_SGD, 0.3f), .unit = unit};
}

// with a bound that nothing meets and the divisor of a whole batch, steps are those of the whole batch
static void test_as_a_batch(void **state) {
  (void)state;
  struct xf_dataset d;
  struct run r;
  struct xf_train_job job;
  struct by_hand h = {.clip = 1e9, .divisor = ROWS - 1, .every = 1};
  table(&d);
  run_init(&r, &net);
  if (run_job(&r, sgd(4, XF_UNIT_NONE), &d, NULL, &job)) fail_msg("%s", diag.text);
  float *const whole = xf_calloc(r.n, sizeof *whole);
  const double loss = job.loss;
  memcpy(whole, r.out, r.n * sizeof *whole);
  if (run_job(&r, sgd(4, XF_UNIT_SAMPLE), &d, &h, &job)) fail_msg("%s", diag.text);
  for (size_t i = 0; i < r.n; i++) assert_true(fabsf(r.out[i] - whole[i]) < 2e-6f);
  assert_true(fabs(job.loss - loss) < 1e-5 && job.n_samples == ROWS - 1 && job.n_steps == 4);
  assert_true(h.n_start == 4 && h.n_asked == 4 * (ROWS - 1) && h.n_added == h.n_asked);
  xf_free(whole);
  run_deinit(&r);
  xf_dataset_deinit(&d);
}

/* min(1, clip/|g|) g of the single row `row` from `at`, by plain training on a table of that row. */
static void one_row(struct run *r, const struct xf_dataset *d, size_t row, float *g) {
  struct xf_train_job job;
  struct xf_dataset one = *d;
  uint8_t part[ROWS];
  memset(part, XF_PART_TEST, sizeof part);
  part[row] = XF_PART_TRAIN;
  one.table.part = part;
  if (run_job(r, sgd(1, XF_UNIT_NONE), &one, NULL, &job)) fail_msg("%s", diag.text);
  for (size_t i = 0; i < r->n; i++) g[i] = (r->start[i] - r->out[i]) / 0.3f;
}

// one step with a bound in the middle: each row's gradient by a training of its own, clipped here
static void test_against_single_rows(void **state) {
  (void)state;
  struct xf_dataset d;
  struct run r;
  struct xf_train_job job;
  struct by_hand h = {.divisor = 5, .every = 3};
  float g[ROWS][512];
  double want[512] = {0}, norm[ROWS], least = INFINITY, most = 0;
  size_t n = 0;
  table(&d);
  run_init(&r, &net);
  for (size_t row = 0, at = 0; row < ROWS; row++) {
    if (d.table.part[row] != XF_PART_TRAIN || at++ % 3) continue;
    one_row(&r, &d, row, g[n]);
    norm[n] = 0;
    for (size_t i = 0; i < r.n; i++) norm[n] += (double)g[n][i] * (double)g[n][i];
    norm[n] = sqrt(norm[n]);
    least = fmin(least, norm[n]), most = fmax(most, norm[n]);
    n++;
  }
  h.clip = (least + most) / 2;
  assert_true(n == 4 && most > least * 1.05);
  for (size_t k = 0; k < n; k++)
    for (size_t i = 0; i < r.n; i++) want[i] += (double)g[k][i] * fmin(1, h.clip / norm[k]);
  if (run_job(&r, sgd(1, XF_UNIT_SAMPLE), &d, &h, &job)) fail_msg("%s", diag.text);
  for (size_t i = 0; i < r.n; i++)
    assert_true(fabs((double)(r.start[i] - r.out[i]) / 0.3 - want[i] / 5) < 2e-5);
  assert_int_equal(h.n_added, n);
  run_deinit(&r);
  xf_dataset_deinit(&d);
}

/* Three students, the second of test; the first is three chunks long. */
static void students(struct xf_dataset *d) {
  const uint32_t len[] = {7, 5, 2, 4};
  xf_dataset_init(d, XF_DATASET_SEQUENCES);
  for (uint32_t s = 0; s < 4; s++) {
    int32_t token[8];
    uint8_t answer[8];
    for (uint32_t t = 0; t < len[s]; t++) {
      token[t] = (int32_t)((s * 3 + t * 5) % 4);
      answer[t] = (uint8_t)((s + t * t) % 3 == 0);
    }
    assert_int_equal(
        xf_seqset_add(&d->seqs, token, answer, len[s], s == 1 ? XF_PART_TEST : XF_PART_TRAIN, 0),
        XF_OK);
  }
}

static const struct xf_model_config dkt = {.kind = XF_MODEL_DKT,
                                           .loss = XF_LOSS_BCE,
                                           .bias = true,
                                           .n_in = 4,
                                           .n_out = 1,
                                           .hidden = {4},
                                           .n_hidden = 1,
                                           .steps = 3};

// a unit is a student with all chunks, and its loss the mean over the student's answers
static void test_students(void **state) {
  (void)state;
  struct xf_dataset d, one;
  struct run r;
  struct xf_train_job job;
  struct by_hand h = {.clip = 1e9, .divisor = 1, .every = 1};
  students(&d);
  run_init(&r, &dkt);
  double want[512] = {0};
  for (uint32_t s = 0; s < 4; s++) {
    if (s == 1) continue;
    uint32_t group[4] = {0};
    group[s] = 1;
    xf_dataset_init(&one, XF_DATASET_SEQUENCES);
    assert_int_equal(xf_seqset_select(&one.seqs, &d.seqs, group, 1), XF_OK);
    if (run_job(&r, sgd(1, XF_UNIT_NONE), &one, NULL, &job)) fail_msg("%s", diag.text);
    for (size_t i = 0; i < r.n; i++) want[i] += (double)(r.start[i] - r.out[i]) / 0.3;
    xf_dataset_deinit(&one);
  }
  if (run_job(&r, sgd(1, XF_UNIT_SEQUENCE), &d, &h, &job)) fail_msg("%s", diag.text);
  assert_int_equal(h.n_added, 3);
  for (size_t i = 0; i < r.n; i++)
    assert_true(fabs((double)(r.start[i] - r.out[i]) / 0.3 - want[i]) < 3e-5);

  struct xf_model_config short_chunks = dkt;
  struct run few;
  int32_t token[40] = {0};
  uint8_t answer[40] = {0};
  short_chunks.steps = 2; /* 40 answers are 20 chunks */
  assert_int_equal(xf_seqset_add(&d.seqs, token, answer, 40, XF_PART_TRAIN, 0), XF_OK);
  run_init(&few, &short_chunks);
  assert_int_equal(run_job(&few, sgd(1, XF_UNIT_SEQUENCE), &d, &h, &job), XF_E_LIMIT);
  assert_non_null(strstr(diag.text, "raise model.steps"));
  const struct xf_local_config local = sgd(1, XF_UNIT_SEQUENCE); /* and before any task */
  struct xf_trainer *t = NULL;
  const uint32_t samples = (uint32_t)xf_model_samples(few.model, &d, XF_PART_TRAIN);
  assert_int_equal(xf_trainer_new(&t, few.model, &local, samples, &diag), XF_OK);
  assert_int_equal(xf_trainer_check_units(t, &d, &diag), XF_E_LIMIT);
  xf_trainer_free(t);
  run_deinit(&few);
  run_deinit(&r);
  xf_dataset_deinit(&d);
}

// a unit whose loss is no number reaches `add` as such, and the step goes on with the others
static void test_no_number(void **state) {
  (void)state;
  struct xf_dataset d;
  struct run r;
  struct xf_train_job job;
  struct by_hand h = {.clip = 1, .divisor = 5, .every = 1};
  table(&d);
  d.table.x[2] = INFINITY;
  run_init(&r, &net);
  if (run_job(&r, sgd(2, XF_UNIT_SAMPLE), &d, &h, &job)) fail_msg("%s", diag.text);
  bool moved = false;
  for (size_t i = 0; i < r.n; i++) {
    assert_true(isfinite(r.out[i]));
    moved = moved || r.out[i] != r.start[i];
  }
  assert_true(moved && h.n_added == 2 * (ROWS - 1));
  assert_true(isfinite(job.loss) && job.loss > 0); /* of the others */
  run_deinit(&r);
  xf_dataset_deinit(&d);
}

static void test_refusals(void **state) {
  (void)state;
  const struct xf_model_config conv4 = {
      .kind = XF_MODEL_CONV4, .loss = XF_LOSS_SOFTMAX, .bias = true, .n_in = 784, .n_out = 5};
  struct xf_local_config local = sgd(1, XF_UNIT_SAMPLE);
  struct xf_model *model = NULL;
  struct xf_trainer *t = NULL;
  assert_int_equal(xf_model_new(&model, &conv4, (struct xf_model_size){0, 0}, &diag), XF_OK);
  assert_int_equal(xf_trainer_new(&t, model, &local, 8, &diag), XF_E_UNSUPPORTED);
  assert_non_null(strstr(diag.text, "batch norm cannot be clipped by unit, use layer norm"));
  xf_model_free(model);
  assert_int_equal(xf_model_new(&model, &net, (struct xf_model_size){0, 0}, &diag), XF_OK);
  local.l2 = 0.1;
  assert_int_equal(xf_trainer_new(&t, model, &local, 8, &diag), XF_E_CONFIG);
  local = sgd(0, XF_UNIT_SAMPLE), local.epochs = 1;
  assert_int_equal(xf_trainer_new(&t, model, &local, 8, &diag), XF_E_CONFIG);
  assert_non_null(strstr(diag.text, "local.steps"));
  xf_model_free(model);
  struct xf_dataset d;
  struct run r;
  struct xf_train_job job;
  table(&d);
  run_init(&r, &net);
  assert_int_equal(run_job(&r, sgd(1, XF_UNIT_SAMPLE), &d, NULL, &job), XF_E_INVAL);
  run_deinit(&r);
  xf_dataset_deinit(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_as_a_batch), cmocka_unit_test(test_against_single_rows),
      cmocka_unit_test(test_students),   cmocka_unit_test(test_no_number),
      cmocka_unit_test(test_refusals),
  };
  xf_diag_init(&diag);
  if (xf_blas_start(NULL, &diag)) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
