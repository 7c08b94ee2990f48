// SCAFFOLD's local steps and control variates: the worked examples of the literature, in double and through the trainer.
#include "base/alloc.h"
#include "tensor/blas.h"
#include "train/control.h"
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

/* A silo whose loss is a/2 (x - b)^2: one row of a line without bias and mean squared error. */
struct quadratic {
  double a, b;
};

/* Plain steps from w with `shift` in each gradient. */
static double steps_of(const struct quadratic *f, double w, double shift, int steps) {
  double y = w;
  for (int t = 0; t < steps; t++) y -= 0.1 * (f->a * (y - f->b) + shift);
  return y;
}

/* The same by the trainer. */
static double trained(const struct quadratic *f, double w, double shift, uint32_t steps) {
  static const struct xf_model_config line = {
      .kind = XF_MODEL_MLP, .loss = XF_LOSS_MSE, .n_in = 1, .n_out = 1};
  const struct xf_local_config local = {
      .steps = steps, .optimizer = xf_optim_default(XF_OPTIM_SGD, .1f), .plain_grads = true};
  struct xf_dataset d;
  struct xf_model *model = NULL;
  float y = (float)w, add = (float)shift;
  struct xf_train_job job = {.start = &y, .out = &y, .data = &d, .shift = &add};
  xf_dataset_init(&d, XF_DATASET_TABLE);
  struct xf_table *t = &d.table;
  t->n = t->cap = t->n_in = 1;
  t->x = xf_calloc(1, sizeof *t->x);
  t->y = xf_calloc(1, sizeof *t->y);
  t->part = xf_calloc(1, 1);
  t->row = xf_calloc(1, sizeof *t->row);
  t->x[0] = (float)sqrt(f->a / 2); // the loss is (x w - y)^2
  t->y[0] = (float)(sqrt(f->a / 2) * f->b);
  xf_diag_init(&diag);
  if (xf_model_new(&model, &line, (struct xf_model_size){0, 0}, &diag)) fail_msg("%s", diag.text);
  xf_rng_init(&job.shuffle, 3, 0);
  xf_rng_init(&job.negative, 4, 0);
  if (xf_train_once(model, &local, &job, &diag)) fail_msg("%s", diag.text);
  assert_int_equal(job.n_steps, steps);
  xf_model_free(model);
  xf_dataset_deinit(&d);
  return (double)y;
}

static void near(double got, double want, double tol) {
  if (!(fabs(got - want) <= tol)) fail_msg("%.17g, not %.17g", got, want);
}

// vector: scaffold_2_rounds
static void test_two_rounds(void **state) {
  (void)state;
  static const struct quadratic f[2] = {{1, 2}, {3, -1}};
  static const double y[2][2] = {{.38, -.51}, {-.09539999999999998, -.16360000000000008}},
                      own[2][2] = {{-1.9, 2.55}, {-2.0729999999999995, 2.718}},
                      all[2] = {.32499999999999996, .32250000000000023},
                      x[2] = {-.065, -.12950000000000003};
  double w = 0, c = 0, ck[2] = {0, 0};
  for (int r = 0; r < 2; r++) {
    double moved = 0, change = 0;
    for (int k = 0; k < 2; k++) {
      const double to = steps_of(&f[k], w, c - ck[k], 2);
      const double next = xf_control_next(ck[k], c, w - to, 2 * .1);
      near(to, y[r][k], 1e-12);
      near(trained(&f[k], w, c - ck[k], 2), to, 1e-6);
      near(next, own[r][k], 1e-12);
      moved += (to - w) / 2;
      change += (next - ck[k]) / 2;
      ck[k] = next;
    }
    w += moved;
    c += change; // all take part
    near(w, x[r], 1e-12);
    near(c, all[r], 1e-12);
  }
}

// vector: scaffold_partial
static void test_partial(void **state) {
  (void)state;
  static const struct quadratic f[2] = {{1, 2}, {.5, -3}}; // those that take part, of four
  static const double ck[2] = {.5, .2}, c = .05, w = 1, y[2] = {1.39295, .4722875},
                      own[2] = {-.85983333333333367, 1.909041666666667};
  double moved = 0, change = 0;
  for (int k = 0; k < 2; k++) {
    const double to = steps_of(&f[k], w, c - ck[k], 3);
    const double next = xf_control_next(ck[k], c, w - to, 3 * .1);
    near(to, y[k], 1e-12);
    near(trained(&f[k], w, c - ck[k], 3), to, 1e-6);
    near(next, own[k], 1e-12);
    moved += (to - w) / 2;
    change += (next - ck[k]) / 2;
  }
  near(w + moved, .93261875, 1e-12);
  near(c + 2. / 4 * change, .13730208333333332, 1e-12);
}

int main(void) {
  assert_int_equal(xf_blas_start(NULL, NULL), XF_OK);
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_two_rounds),
                                     cmocka_unit_test(test_partial)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
