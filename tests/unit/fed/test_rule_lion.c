/* The server rule lion, as an example of a rule in a file of its own: three steps worked out by hand, through the fold. */
#include "fed/fold.h"
#include "fed/strategy.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* b1 .5, b2 .75, eta .1.
   t 0: D (.4, -.2), m (0, 0): mix (.2, -.1), w (1.1, -1.1), m (.1, -.05)
   t 1: D (-.05, .05): mix (.025, 0), w (1.2, -1.1), m (.0625, -.025)
   t 2: D (-.2, 1): mix (-.06875, .4875), w (1.1, -1.0), m (-.003125, .23125) */
static const float delta[3][2] = {{.4f, -.2f}, {-.05f, .05f}, {-.2f, 1}};
static const double want_w[3][2] = {{1.1, -1.1}, {1.2, -1.1}, {1.1, -1.0}};
static const double want_m[3][2] = {{.1, -.05}, {.0625, -.025}, {-.003125, .23125}};

static void near(double got, double want) {
  if (!(fabs(got - want) < 1e-6)) fail_msg("%.9g, not %.9g", got, want);
}

static void test_three_steps(void **state) {
  (void)state;
  const struct xf_fold_shape shape = {.n_shared = 2};
  const struct xf_fold_member one = {"a", 0, 7, NULL};
  const struct xf_strategy strategy = {
      .server = {.kind = XF_SERVER_LION, .eta = .1, .b1 = .5, .b2 = .75}};
  float w[2] = {1, -1}, m[2] = {NAN, NAN}; /* not read at first */
  assert_int_equal(xf_strategy_check(&strategy, XF_WEIGHT_SAMPLES, NULL), XF_OK);
  assert_int_equal(xf_server_states(XF_SERVER_LION), 1);
  for (uint32_t t = 0; t < 3; t++) {
    const float *member[1] = {delta[t]};
    struct xf_fold_memory memory = {member, w, w, {m, NULL}};
    struct xf_fold_job job = {
        &shape, &one, 1, false, 0, xf_strategy_get(&strategy, t), xf_fold_memory_io(&memory)};
    struct xf_fold_stats stats;
    struct xf_diag diag;
    xf_diag_init(&diag);
    if (xf_fold_step(&job, &stats, &diag)) fail_msg("%s", diag.text);
    for (int j = 0; j < 2; j++) {
      near((double)w[j], want_w[t][j]);
      near((double)m[j], want_m[t][j]);
    }
  }
}

static void test_any_range_gives_the_same_bits(void **state) {
  (void)state;
  enum { N = 37 };
  const struct xf_server_step step = {.kind = XF_SERVER_LION, .eta = .013, .b1 = .9, .b2 = .99};
  double acc[N];
  float old_value[N], m[2][N], out[2][N];
  for (int j = 0; j < N; j++) {
    acc[j] = sin(j) * 3;
    old_value[j] = (float)cos(3 * j);
    m[0][j] = m[1][j] = (float)sin(5 * j);
  }
  double lane[2][8] = {{0}, {0}};
  const struct xf_server_part whole = {acc, 3, old_value, {m[0], NULL}, out[0]};
  assert_true(xf_server_apply(&step, &whole, lane[0], N));
  for (int at = 0; at < N; at += 8) {
    const struct xf_server_part part = {
        acc + at, 3, old_value + at, {m[1] + at, NULL}, out[1] + at};
    assert_true(xf_server_apply(&step, &part, lane[1], (size_t)(N - at < 8 ? N - at : 8)));
  }
  assert_memory_equal(out[0], out[1], sizeof out[0]);
  assert_memory_equal(m[0], m[1], sizeof m[0]);
  assert_memory_equal(lane[0], lane[1], sizeof lane[0]);
}

static void test_what_is_refused(void **state) {
  (void)state;
  struct xf_server_step step = {.kind = XF_SERVER_LION, .eta = .1, .b1 = .9, .b2 = .99};
  assert_true(xf_server_in_range(&step));
  step.b1 = 1;
  assert_false(xf_server_in_range(&step));
  step.b1 = 0;
  step.b2 = -.1;
  assert_false(xf_server_in_range(&step));
  step.b2 = 0;
  step.eta = NAN;
  assert_false(xf_server_in_range(&step));
  step.eta = 1;
  double acc = 1e39, lane[8] = {0};
  float old_value = 0, m = 0, out = 0;
  const struct xf_server_part part = {&acc, 1, &old_value, {&m, NULL}, &out};
  assert_false(xf_server_apply(&step, &part, lane, 1)); /* m does not fit a float */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_three_steps),
      cmocka_unit_test(test_any_range_gives_the_same_bits),
      cmocka_unit_test(test_what_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
