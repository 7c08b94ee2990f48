// Personalisation: the worked steps, each rule against plain training, what stands still.
#include "train/personal.h"

#include "base/alloc.h"
#include "tensor/blas.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static struct xf_diag diag;

enum { ROWS = 12, IN = 2, HIDDEN = 5, BODY = IN * HIDDEN + HIDDEN, NET = BODY + HIDDEN + 1 };
enum { ALL_MAX = 2 * NET + 1 };

static bool close_to(double got, double want) { return fabs(got - want) <= 1e-10; }

// vector: ditto_step
static void test_ditto_vector(void **state) {
  (void)state;
  double v = 0.5;
  const double w = 1, g = 2 * (0.5 - 3);
  xf_ditto_step(&v, &g, &w, 1, 0.05, 0.1);
  assert_true(close_to(v, 0.7525));
}

// vector: pfedme_step; theta by many small inner steps
static void test_pfedme_vector(void **state) {
  (void)state;
  double theta = 1, w = 1;
  for (int k = 0; k < 400; k++) {
    const double g = 2 * (theta - 3);
    xf_ditto_step(&theta, &g, &w, 1, 0.01, 15);
  }
  assert_true(close_to(theta, 1.2352941176470589));
  xf_pfedme_step(&w, &theta, 1, 0.01, 15);
  assert_true(close_to(w, 1.035294117647059));
}

// vector: apfl_step; then the weight is kept in [0, 1]
static void test_apfl_vector(void **state) {
  (void)state;
  double alpha = 0.3, v = 2, w = 1, vbar = 0;
  xf_apfl_mix(&vbar, &v, &w, 1, alpha);
  assert_true(close_to(vbar, 1.3));
  const double g = 2 * (w - 3), gv = 2 * (vbar - 3);
  xf_apfl_step(&w, &v, &alpha, &g, &gv, 1, 0.1, 0.1);
  assert_true(close_to(w, 1.4) && close_to(v, 2.102) && close_to(alpha, 0.64));
  xf_apfl_step(&w, &v, &alpha, &g, &gv, 1, 0.1, 10);
  assert_true(alpha == 1);
  const double up = -gv;
  xf_apfl_step(&w, &v, &alpha, &g, &up, 1, 0.1, 10);
  assert_true(alpha == 0);
}

static void table(struct xf_dataset *d) {
  struct xf_rng rng;
  xf_rng_init(&rng, 11, 1);
  xf_dataset_init(d, XF_DATASET_TABLE);
  struct xf_table *t = &d->table;
  t->n = t->cap = ROWS;
  t->n_in = IN;
  t->x = xf_calloc(ROWS, IN * sizeof *t->x);
  t->y = xf_calloc(ROWS, sizeof *t->y);
  t->part = xf_calloc(ROWS, 1);
  t->row = xf_calloc(ROWS, sizeof *t->row);
  for (size_t i = 0; i < ROWS * IN; i++) t->x[i] = (float)xf_rng_normal(&rng);
  for (size_t i = 0; i < ROWS; i++) t->y[i] = t->x[IN * i] - t->x[IN * i + 1];
}

static struct xf_model *make_model(enum xf_model_personal personal) {
  const struct xf_model_config c = {.kind = XF_MODEL_MLP,
                                    .loss = XF_LOSS_MSE,
                                    .bias = true,
                                    .n_in = IN,
                                    .n_out = 1,
                                    .hidden = {HIDDEN},
                                    .n_hidden = 1,
                                    .activation = XF_ACT_TANH,
                                    .personal = personal,
                                    .mix = 0.25};
  struct xf_model *model = NULL;
  xf_diag_init(&diag);
  if (xf_model_new(&model, &c, (struct xf_model_size){0, 0}, &diag)) fail_msg("%s", diag.text);
  return model;
}

static struct xf_local_config sgd(uint32_t epochs, float lr) {
  return (struct xf_local_config){
      .epochs = epochs, .batch = 4, .optimizer = xf_optim_default(XF_OPTIM_SGD, lr)};
}

static struct xf_train_job job_of(const struct xf_dataset *d, const float *start, float *out) {
  struct xf_train_job job = {.start = start, .out = out, .data = d};
  xf_rng_init(&job.shuffle, 3, 0);
  xf_rng_init(&job.negative, 4, 0);
  return job;
}

static void first(const struct xf_model *model, float *x) {
  struct xf_rng shared;
  xf_rng_init(&shared, 5, 0);
  const struct xf_model_seed seed = {.shared = &shared};
  assert_int_equal(xf_model_init(model, x, &seed, &diag), XF_OK);
}

static void plain(float *out, const float *start, const struct xf_local_config *local,
                  const struct xf_dataset *d) {
  struct xf_model *model = make_model(XF_PERSONAL_NONE);
  struct xf_train_job job = job_of(d, start, out);
  if (xf_train_once(model, local, &job, &diag)) fail_msg("%s", diag.text);
  xf_model_free(model);
}

static void personal(float *out, const float *start, const struct xf_model *model,
                     const struct xf_personal_config *rule, const struct xf_local_config *local,
                     const struct xf_dataset *d) {
  struct xf_personal *p = NULL;
  struct xf_trainer *t = NULL;
  struct xf_train_job job = job_of(d, start, out);
  if (xf_trainer_new(&t, model, local, ROWS, &diag)) fail_msg("%s", diag.text);
  if (xf_personal_new(&p, model, rule, local, ROWS, &diag)) fail_msg("%s", diag.text);
  if (xf_personal_run(p, t, &job, &diag)) fail_msg("%s", diag.text);
  assert_true(job.n_samples == ROWS && job.n_steps > 0 && job.loss > 0);
  assert_int_equal(xf_personal_has_net(p), rule->rule != XF_PERSONAL_REP);
  xf_personal_free(p);
  xf_trainer_free(t);
}

static double apart(const float *a, const float *b, size_t n) {
  double d = 0;
  for (size_t i = 0; i < n; i++) d = fmax(d, fabs((double)a[i] - (double)b[i]));
  return d;
}

// The own net starts as the other and is that net's business alone: what leaves has the bytes of plain training.
static void test_ditto(void **state) {
  (void)state;
  struct xf_dataset d;
  struct xf_model *model = make_model(XF_PERSONAL_COPY);
  const struct xf_local_config local = sgd(3, .1f);
  float x[ALL_MAX], want[NET], out[ALL_MAX], other[ALL_MAX];
  table(&d);
  first(model, x);
  assert_int_equal(xf_model_get_layout(model)->n, 2 * NET);
  assert_memory_equal(x, x + NET, NET * sizeof *x);
  plain(want, x, &local, &d);
  const struct xf_personal_config none = {.rule = XF_PERSONAL_DITTO},
                                  strong = {.rule = XF_PERSONAL_DITTO, .lambda = 9};
  personal(out, x, model, &none, &local, &d);
  assert_memory_equal(out, want, sizeof want);
  const double free_move = apart(out + NET, x, NET);
  assert_true(free_move > .01);
  for (int i = 0; i < NET; i++) x[NET + i] += .5f; // and not that of the net it started as
  personal(other, x, model, &none, &local, &d);
  assert_memory_equal(other, want, sizeof want);
  assert_true(apart(other + NET, out + NET, NET) > .01);
  memcpy(x + NET, x, NET * sizeof *x);
  personal(other, x, model, &strong, &local, &d);
  assert_true(apart(other + NET, x, NET) < .5 * free_move);
  xf_personal_serve(model, out);
  assert_memory_equal(out, out + NET, NET * sizeof *out);
  xf_model_free(model);
  xf_dataset_deinit(&d);
}

// One inner step on the whole data: w goes lr lambda times as far as one plain step with the inner rate.
static void test_pfedme(void **state) {
  (void)state;
  struct xf_dataset d;
  struct xf_model *model = make_model(XF_PERSONAL_COPY);
  struct xf_local_config local = sgd(1, .02f);
  local.batch = 0;
  float x[ALL_MAX], one[NET], out[ALL_MAX];
  table(&d);
  first(model, x);
  const struct xf_personal_config rule = {
      .rule = XF_PERSONAL_PFEDME, .steps = 1, .lambda = 15, .lr = .1};
  personal(out, x, model, &rule, &local, &d);
  local.optimizer.lr = .1f;
  plain(one, x, &local, &d);
  for (int i = 0; i < NET; i++) {
    assert_true(fabs((double)(out[NET + i] - one[i])) < 1e-6);
    assert_true(fabs((double)(out[i] - x[i]) - .02 * 15 * (double)(one[i] - x[i])) < 1e-6);
  }
  xf_model_free(model);
  xf_dataset_deinit(&d);
}

// w takes plain steps; v and the weight move by the mix, and without weight v stands still.
static void test_apfl(void **state) {
  (void)state;
  struct xf_dataset d;
  struct xf_model *model = make_model(XF_PERSONAL_MIX);
  const struct xf_local_config local = sgd(3, .1f);
  float x[ALL_MAX], want[NET], out[ALL_MAX];
  table(&d);
  first(model, x);
  assert_true(x[2 * NET] == .25f);
  for (int i = 0; i < NET; i++) x[NET + i] += .1f * sinf((float)i);
  plain(want, x, &local, &d);
  const struct xf_personal_config rule = {.rule = XF_PERSONAL_APFL};
  personal(out, x, model, &rule, &local, &d);
  assert_true(apart(out, want, NET) < 1e-5);
  assert_true(apart(out + NET, x + NET, NET) > 1e-3);
  assert_true(out[2 * NET] != .25f && out[2 * NET] >= 0 && out[2 * NET] <= 1);
  float mix[ALL_MAX];
  memcpy(mix, out, sizeof mix);
  xf_personal_serve(model, mix);
  for (int i = 0; i < NET; i++) {
    const double a = (double)out[2 * NET];
    assert_true(fabs((double)mix[i] - a * (double)out[NET + i] - (1 - a) * (double)out[i]) < 1e-6);
  }
  x[2 * NET] = 0;
  const struct xf_personal_config held = {.rule = XF_PERSONAL_APFL, .lr = 1e-30};
  personal(out, x, model, &held, &local, &d);
  assert_memory_equal(out + NET, x + NET, NET * sizeof *x);
  xf_model_free(model);
  xf_dataset_deinit(&d);
}

// The head alone, then the body alone: each half as if only it had been trained.
static void test_fedrep(void **state) {
  (void)state;
  struct xf_dataset d;
  struct xf_model *model = make_model(XF_PERSONAL_HEAD);
  struct xf_local_config local = sgd(1, .1f);
  float x[NET], out[NET], head[NET], body[NET];
  table(&d);
  first(model, x);
  const struct xf_personal_config rule = {.rule = XF_PERSONAL_REP, .head_epochs = 2};
  personal(out, x, model, &rule, &local, &d);
  // the same by hand
  struct xf_trainer *t = NULL;
  struct xf_train_job job = job_of(&d, x, head);
  struct xf_rng own = job.shuffle;
  const uint8_t only_head[] = {0, 0, 1, 1}, only_body[] = {1, 1, 0, 0};
  local.plain_grads = true;
  assert_int_equal(xf_trainer_new(&t, model, &local, ROWS, &diag), XF_OK);
  xf_rng_init(&job.shuffle, xf_rng_u64(&own), 1);
  job.moves = only_head;
  job.epochs = 2;
  assert_int_equal(xf_trainer_run(t, &job, &diag), XF_OK);
  assert_int_equal(job.n_steps, 6);
  assert_memory_equal(head, x, BODY * sizeof *x);
  assert_true(apart(head + BODY, x + BODY, NET - BODY) > .01);
  job = job_of(&d, head, body);
  job.moves = only_body;
  assert_int_equal(xf_trainer_run(t, &job, &diag), XF_OK);
  assert_int_equal(job.n_steps, 3);
  assert_memory_equal(body + BODY, head + BODY, (NET - BODY) * sizeof *x);
  assert_true(apart(body, x, BODY) > .01);
  assert_memory_equal(out, body, sizeof out);
  xf_trainer_free(t);
  // what stands still does so under an optimiser with decay and memory, too
  local.optimizer = xf_optim_default(XF_OPTIM_ADAMW, .1f);
  local.optimizer.weight_decay = .1f;
  assert_int_equal(xf_trainer_new(&t, model, &local, ROWS, &diag), XF_OK);
  job = job_of(&d, x, head);
  job.moves = only_head;
  assert_int_equal(xf_trainer_run(t, &job, &diag), XF_OK);
  assert_memory_equal(head, x, BODY * sizeof *x);
  assert_true(apart(head + BODY, x + BODY, NET - BODY) > .01);
  xf_trainer_free(t);
  xf_model_free(model);
  xf_dataset_deinit(&d);
}

static void test_refusals(void **state) {
  (void)state;
  struct xf_personal *p = NULL;
  struct xf_model *model = make_model(XF_PERSONAL_COPY);
  struct xf_local_config local = sgd(1, .1f);
  local.optimizer = xf_optim_default(XF_OPTIM_ADAM, .1f);
  const struct xf_personal_config rule = {.rule = XF_PERSONAL_DITTO, .lambda = 1};
  assert_int_equal(xf_personal_new(&p, model, &rule, &local, ROWS, &diag), XF_E_UNSUPPORTED);
  assert_non_null(strstr(diag.text, "plain SGD, not adam"));
  xf_model_free(model);
  const struct xf_model_config conv4 = {.kind = XF_MODEL_CONV4,
                                        .loss = XF_LOSS_SOFTMAX,
                                        .n_in = 28 * 28,
                                        .n_out = 3,
                                        .personal = XF_PERSONAL_COPY};
  local = sgd(1, .1f);
  assert_int_equal(xf_model_new(&model, &conv4, (struct xf_model_size){0, 0}, &diag), XF_OK);
  assert_int_equal(xf_personal_new(&p, model, &rule, &local, ROWS, &diag), XF_E_UNSUPPORTED);
  assert_non_null(strstr(diag.text, "write model.kind: cnn-small, or fed.algorithm: fedbn"));
  assert_null(p);
  xf_model_free(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_ditto_vector), cmocka_unit_test(test_pfedme_vector),
      cmocka_unit_test(test_apfl_vector),  cmocka_unit_test(test_ditto),
      cmocka_unit_test(test_pfedme),       cmocka_unit_test(test_apfl),
      cmocka_unit_test(test_fedrep),       cmocka_unit_test(test_refusals),
  };
  assert_int_equal(xf_blas_start(NULL, NULL), XF_OK);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
