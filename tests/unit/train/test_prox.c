// FedProx: the worked example of the literature, the term before the momentum, and nothing at 0.
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

enum { MAX_ROWS = 8 };

static struct xf_diag diag;

static void table(struct xf_dataset *d, size_t n, size_t n_in, const float *x, const float *y) {
  xf_dataset_init(d, XF_DATASET_TABLE);
  struct xf_table *t = &d->table;
  t->n = t->cap = n;
  t->n_in = (uint32_t)n_in;
  t->x = xf_calloc(n * n_in, sizeof *t->x);
  t->y = xf_calloc(n, sizeof *t->y);
  t->part = xf_calloc(n, 1);
  t->row = xf_calloc(n, sizeof *t->row);
  memcpy(t->x, x, n * n_in * sizeof *x);
  memcpy(t->y, y, n * sizeof *y);
}

static void train(float *out, const float *start, const struct xf_model_config *config,
                  struct xf_local_config local, const struct xf_dataset *data) {
  struct xf_model *model = NULL;
  struct xf_train_job job = {.start = start, .out = out, .data = data};
  xf_diag_init(&diag);
  if (xf_model_new(&model, config, (struct xf_model_size){0, 0}, &diag)) fail_msg("%s", diag.text);
  xf_rng_init(&job.shuffle, 3, 0);
  xf_rng_init(&job.negative, 4, 0);
  if (xf_train_once(model, &local, &job, &diag)) fail_msg("%s", diag.text);
  xf_model_free(model);
}

/* Whole-batch steps of plain SGD. */
static struct xf_local_config sgd(uint32_t steps, double prox) {
  return (struct xf_local_config){
      .steps = steps, .optimizer = xf_optim_default(XF_OPTIM_SGD, .05f), .prox = prox};
}

// vector: fedprox_local_steps
static void test_vector(void **state) {
  (void)state;
  static const struct xf_model_config line = {
      .kind = XF_MODEL_MLP, .loss = XF_LOSS_MSE, .n_in = 1, .n_out = 1};
  static const struct {
    size_t n;
    float x[3], y[3];
    double path[3];
  } client[2] = {{2, {1, 2}, {2, 3}, {0.775, 0.974375, 1.118921875}},
                 {3, {1, 3, .5f}, {-1, 0, 1}, {0.3125, 0.19375, 0.11854166666666664}}};
  for (int k = 0; k < 2; k++) {
    struct xf_dataset d;
    table(&d, client[k].n, 1, client[k].x, client[k].y);
    for (uint32_t steps = 1; steps <= 3; steps++) {
      float w = 0.5f;
      train(&w, &w, &line, sgd(steps, 0.5), &d); // in place: the anchor is the start all the same
      assert_true(fabs((double)w - client[k].path[steps - 1]) < 1e-6);
    }
    xf_dataset_deinit(&d);
  }
}

static const struct xf_model_config net = {.kind = XF_MODEL_MLP,
                                           .loss = XF_LOSS_MSE,
                                           .bias = true,
                                           .n_in = 2,
                                           .n_out = 1,
                                           .hidden = {5},
                                           .n_hidden = 1,
                                           .activation = XF_ACT_TANH};
enum { NET = 2 * 5 + 5 + 5 + 1 };

static void net_start(float w[NET], struct xf_dataset *d) {
  static const float x[2 * MAX_ROWS] = {1, 2, -1, .5f, 0, 3, 2, -2, .3f, .4f, -1, -1, 2, 2, 0, 1};
  static const float y[MAX_ROWS] = {1, 0, 2, -1, .5f, 0, 1, 3};
  table(d, MAX_ROWS, 2, x, y);
  for (int j = 0; j < NET; j++) w[j] = 0.3f * sinf((float)(j + 1));
}

// Heavy ball: m = b m + g + mu (u - w); u -= lr m, with g by differences of single plain steps.
static void test_before_momentum(void **state) {
  (void)state;
  struct xf_dataset d;
  float w[NET], got[NET], u[NET], next[NET];
  double m[NET] = {0};
  net_start(w, &d);
  struct xf_local_config local = sgd(4, 0.8);
  local.optimizer = xf_optim_default(XF_OPTIM_MOMENTUM, .05f);
  local.optimizer.momentum = 0.7f;
  train(got, w, &net, local, &d);
  memcpy(u, w, sizeof u);
  for (int t = 0; t < 4; t++) {
    train(next, u, &net, sgd(1, 0), &d);
    for (int j = 0; j < NET; j++) {
      const double g = ((double)u[j] - (double)next[j]) / (double).05f;
      m[j] = (double)0.7f * m[j] + g + 0.8 * ((double)u[j] - (double)w[j]);
      u[j] = (float)((double)u[j] - (double).05f * m[j]);
    }
  }
  for (int j = 0; j < NET; j++) assert_true(fabs((double)(u[j] - got[j])) < 2e-5);
  xf_dataset_deinit(&d);
}

// A strong pull holds the parameters at the start; none leaves FedAvg's bytes.
static void test_limits(void **state) {
  (void)state;
  struct xf_dataset d;
  float w[NET], plain[NET], zero[NET], held[NET];
  double moved = 0, free_move = 0;
  net_start(w, &d);
  train(plain, w, &net, sgd(50, 0), &d);
  struct xf_local_config local = sgd(50, 0);
  local.prox = 0;
  train(zero, w, &net, local, &d);
  assert_memory_equal(zero, plain, sizeof plain);
  train(held, w, &net, sgd(50, 19), &d);
  for (int j = 0; j < NET; j++) {
    moved += fabs((double)(held[j] - w[j]));
    free_move += fabs((double)(plain[j] - w[j]));
  }
  assert_true(moved > 0 && moved < 0.2 * free_move);
  struct xf_model *model = NULL;
  struct xf_trainer *trainer = NULL;
  assert_int_equal(xf_model_new(&model, &net, (struct xf_model_size){0, 0}, &diag), XF_OK);
  local = sgd(1, -1);
  assert_int_equal(xf_trainer_new(&trainer, model, &local, MAX_ROWS, &diag), XF_E_CONFIG);
  assert_non_null(strstr(diag.text, "local.prox"));
  xf_model_free(model);
  xf_dataset_deinit(&d);
}

int main(void) {
  assert_int_equal(xf_blas_start(NULL, NULL), XF_OK);
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_vector),
                                     cmocka_unit_test(test_before_momentum),
                                     cmocka_unit_test(test_limits)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
