// The fold against hand-made numbers: the vectors of the literature, rows with and without holders, momentum.
#include "fed/fold.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "fed/foldkern.h"
#include "fed/strategy.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

#define NEAR(got, want) assert_true(fabs((double)(got) - (want)) <= 1e-6 * fmax(1, fabs(want)))

static void run(struct xf_fold_job *job, struct xf_fold_stats *stats) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  const enum xf_rc rc = xf_fold_step(job, stats, &diag);
  if (rc) fail_msg("%s", xf_diag_text(&diag, rc));
}

// vector: fedavg_weighted
static void test_weighted(void **state) {
  (void)state;
  const float w[3] = {1, 2, -1};
  const float delta[3][3] = {{0.5f, -1, 0}, {-1, 0.5f, 1.5f}, {0.2f, 0, -2}};
  const float *member[3] = {delta[0], delta[1], delta[2]};
  const struct xf_fold_shape shape = {.n_shared = 3};
  const double want[2][3] = {{0.87, 2.05, -1.75}, {0.9, 1.8333333333333333, -1.1666666666666667}};
  const uint32_t weight[2][3] = {{10, 30, 60}, {1, 1, 1}};
  for (int i = 0; i < 2; i++) {
    float out[3];
    struct xf_fold_memory memory = {member, w, out, {NULL}};
    const struct xf_fold_member m[3] = {
        {"a", 0, weight[i][0], NULL}, {"b", 1, weight[i][1], NULL}, {"c", 2, weight[i][2], NULL}};
    struct xf_fold_job job = {.shape = &shape,
                              .member = m,
                              .n_member = 3,
                              .step.eta = 1,
                              .io = xf_fold_memory_io(&memory)};
    struct xf_fold_stats stats;
    run(&job, &stats);
    double norm2 = 0;
    for (int j = 0; j < 3; j++) {
      NEAR(out[j], want[i][j]);
      norm2 += (want[i][j] - (double)w[j]) * (want[i][j] - (double)w[j]);
    }
    NEAR(stats.shared_norm2, norm2);
  }
}

// vector: fedavg_round_least_squares (the locals come out of two steps of gradient descent)
static void test_least_squares(void **state) {
  (void)state;
  const double x[2][3] = {{1, 2, 0}, {1, 3, 0.5}}, y[2][3] = {{2, 3, 0}, {-1, 0, 1}};
  const uint32_t n[2] = {2, 3};
  const double local[2] = {0.9812500000000001, 0.1890625};
  float delta[2];
  for (int k = 0; k < 2; k++) {
    double w = 0.5;
    for (int step = 0; step < 2; step++) {
      double g = 0;
      for (uint32_t i = 0; i < n[k]; i++) g += 2 * x[k][i] * (w * x[k][i] - y[k][i]) / n[k];
      w -= 0.05 * g;
    }
    assert_true(fabs(w - local[k]) < 1e-12);
    delta[k] = (float)(w - 0.5);
  }
  const float w0 = 0.5f, *member[2] = {&delta[0], &delta[1]};
  float w1 = 0;
  struct xf_fold_memory memory = {member, &w0, &w1, {NULL}};
  const struct xf_fold_shape shape = {.n_shared = 1};
  const struct xf_fold_member m[2] = {{"a", 0, n[0], NULL}, {"b", 1, n[1], NULL}};
  struct xf_fold_job job = {
      .shape = &shape, .member = m, .n_member = 2, .step.eta = 1, .io = xf_fold_memory_io(&memory)};
  struct xf_fold_stats stats;
  run(&job, &stats);
  NEAR(w1, 0.5059375);
}

// vector: fedavgm_3_steps
static void test_momentum(void **state) {
  (void)state;
  const float delta[3][2] = {{0.1f, -0.3f}, {-0.2f, 0.1f}, {0.4f, 0}};
  const double want_w[3][2] = {{1.1, -1.3}, {0.99, -1.47}, {1.291, -1.623}};
  const double want_m[3][2] = {{0.1, -0.3}, {-0.11, -0.17}, {0.301, -0.153}};
  float w[2] = {1, -1}, v[2];
  const struct xf_fold_shape shape = {.n_shared = 2};
  const struct xf_fold_member m = {"a", 0, 7, NULL};
  const struct xf_strategy strategy = {.kind = XF_STRATEGY_FEDAVG,
                                       .server = {.kind = XF_SERVER_MOMENTUM, .eta = 1, .b1 = 0.9}};
  for (uint32_t t = 0; t < 3; t++) {
    const float *member[1] = {delta[t]};
    struct xf_fold_memory memory = {member, w, w, {v}};
    struct xf_fold_job job = {
        &shape, &m, 1, false, 0, xf_strategy_get(&strategy, t), xf_fold_memory_io(&memory)};
    struct xf_fold_stats stats;
    run(&job, &stats);
    for (int j = 0; j < 2; j++) {
      NEAR(w[j], want_w[t][j]);
      NEAR(v[j], want_m[t][j]);
    }
  }
}

// vectors: fedyogi_3_steps, fedyogi_3_steps_v0_zero, fedadam_3_steps, fedadagrad_3_steps
static void test_adaptive(void **state) {
  (void)state;
  static const struct {
    enum xf_server_kind kind;
    double b1, v0, w[3][2], v[3][2];
  } rows[] = {
      {XF_SERVER_YOGI,
       0.9,
       1e-6,
       {{1.090498756211209, -1.0967222067986908},
        {1.0434560917828903, -1.1488077996651824},
        {1.1077219804980545, -1.195684833245025}},
       {{0.000101, 0.000901}, {0.000501, 0.001001}, {0.002101, 0.001001}}},
      {XF_SERVER_YOGI,
       0.9,
       0,
       {{1.0909090909090908, -1.096774193548387},
        {1.043821420062402, -1.1488850246023032},
        {1.1081022816241795, -1.195784772550828}},
       {{0.0001, 0.0009}, {0.0005, 0.001}, {0.0021, 0.001}}},
      {XF_SERVER_ADAM,
       0.9,
       1e-6,
       {{1.090502831185222, -1.096722726246938},
        {1.0434142633799188, -1.1490373150956945},
        {1.1077704437464904, -1.1963503062306313}},
       {{0.00010099, 0.00090099}, {0.0004999801, 0.0009919801}, {0.002094980299, 0.000982060299}}},
      {XF_SERVER_ADAGRAD,
       0,
       1e-6,
       {{1.0990049998750062, -1.099667222220679},
        {1.0099613863522956, -1.0681442875055074},
        {1.097058274082531, -1.0681442875055074}},
       {{0.010001, 0.090001}, {0.050001, 0.100001}, {0.210001, 0.100001}}}};
  static const float delta[3][2] = {{0.1f, -0.3f}, {-0.2f, 0.1f}, {0.4f, 0}};
  const struct xf_fold_shape shape = {.n_shared = 2};
  const struct xf_fold_member one = {"a", 0, 7, NULL};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const struct xf_strategy strategy = {
        .server = {rows[i].kind, false, 0.1, rows[i].b1, 0.99, 0.001, rows[i].v0}};
    float w[2] = {1, -1}, m[2] = {NAN, NAN}, v[2] = {NAN, NAN}; // not read at first
    assert_int_equal(xf_strategy_check(&strategy, XF_WEIGHT_SAMPLES, NULL), XF_OK);
    for (uint32_t t = 0; t < 3; t++) {
      const float *member[1] = {delta[t]};
      struct xf_fold_memory memory = {member, w, w, {m, v}};
      struct xf_fold_job job = {
          &shape, &one, 1, false, 0, xf_strategy_get(&strategy, t), xf_fold_memory_io(&memory)};
      struct xf_fold_stats stats;
      run(&job, &stats);
      for (int j = 0; j < 2; j++) {
        NEAR(w[j], rows[i].w[t][j]);
        NEAR(v[j], rows[i].v[t][j]);
      }
    }
  }
}

// vector: reptile_serial_and_batched, reptile_linear_task (phi1)
static void test_reptile(void **state) {
  (void)state;
  const float delta[3][2] = {{0.4f, -0.2f}, {-0.4f, 1}, {0, -0.6f}};
  const float *member[3] = {delta[0], delta[1], delta[2]};
  const float phi[2] = {1, -2};
  float out[2];
  struct xf_fold_memory memory = {member, phi, out, {NULL}};
  const struct xf_fold_shape shape = {.n_shared = 2};
  const struct xf_fold_member m[3] = {{"a", 0, 1, NULL}, {"b", 1, 1, NULL}, {"c", 2, 1, NULL}};
  const struct xf_strategy strategy = {.kind = XF_STRATEGY_REPTILE, .server.eta = 0.1};
  struct xf_fold_job job = {.shape = &shape,
                            .member = m,
                            .n_member = 3,
                            .step = xf_strategy_get(&strategy, 0),
                            .io = xf_fold_memory_io(&memory)};
  struct xf_fold_stats stats;
  run(&job, &stats);
  NEAR(out[0], 1.0);
  NEAR(out[1], -1.9933333333333334);
  job.n_member = 1;
  run(&job, &stats);
  NEAR(out[0], 1.04);
  NEAR(out[1], -2.02);

  const float theta = 1.2792f, zero = 0, *one[1] = {&theta};
  float phi1 = 0;
  struct xf_fold_memory linear = {one, &zero, &phi1, {NULL}};
  const struct xf_fold_shape scalar = {.n_shared = 1};
  job = (struct xf_fold_job){.shape = &scalar,
                             .member = m,
                             .n_member = 1,
                             .step.eta = 0.25,
                             .io = xf_fold_memory_io(&linear)};
  run(&job, &stats);
  NEAR(phi1, 0.3198);
}

// Two aligned segments of one namespace: rows 0..3, silo a holds 0 and 2, silo b holds 2; 1 and 3 nobody.
static void test_rows(void **state) {
  (void)state;
  struct xf_layout layout;
  xf_layout_init(&layout);
  assert_int_equal(xf_layout_add(&layout, "user", XF_ROLE_ALIGNED, "u", 4, 2, NULL), XF_OK);
  assert_int_equal(xf_layout_add(&layout, "w", XF_ROLE_SHARED, "", 1, 1, NULL), XF_OK);
  assert_int_equal(xf_layout_add(&layout, "item", XF_ROLE_DOMAIN, "", 9, 9, NULL), XF_OK);
  assert_int_equal(xf_layout_add(&layout, "bias", XF_ROLE_ALIGNED, "u", 4, 1, NULL), XF_OK);
  struct xf_fold_shape shape;
  assert_int_equal(xf_fold_shape_init(&shape, &layout, NULL), XF_OK);
  assert_int_equal(xf_fold_global(&shape), 13);
  const uint32_t rows_a[2] = {0, 2}, rows_b[1] = {2};
  const struct xf_fold_rows a = {rows_a, 2}, b = {rows_b, 1};
  struct xf_fold_member m[2] = {{"b", 1, 3, &b}, {"a", 0, 1, &a}};
  xf_fold_sort(m, 2);
  assert_string_equal(m[0].id, "a");
  assert_int_equal(xf_fold_wire(&shape, &m[0]), 7);
  assert_int_equal(xf_fold_wire(&shape, &m[1]), 4);
  const float wire_a[7] = {8, 1, 2, 3, 4, 5, 6}, wire_b[4] = {-8, 7, 8, 2};
  const float *member[2] = {wire_a, wire_b};
  float w[13] = {100, 10, 20, 30, 40, 50, 60, 70, 80, -1, -2, -3, -4};
  float v[13] = {0, 0, 0, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0};
  struct xf_fold_memory memory = {member, w, w, {v}};
  struct xf_fold_job job = {&shape,
                            m,
                            2,
                            false,
                            0,
                            {.kind = XF_SERVER_MOMENTUM, .eta = 1, .b1 = 0.5},
                            xf_fold_memory_io(&memory)};
  struct xf_fold_stats stats;
  run(&job, &stats);
  const float want[13] = {96, 11, 22, 30, 40, 56, 67, 70, 80, 4, -2, 0, -4};
  for (int j = 0; j < 13; j++) NEAR(w[j], (double)want[j]);
  assert_true(v[0] == -4 && v[1] == 1 && v[3] == 9 && v[4] == 9 && v[5] == 6);
  assert_int_equal(stats.rows_untouched, 4);
  NEAR(stats.shared_norm2, 16.0);
  NEAR(stats.rows_norm2, 1.0 + 4 + 36 + 49 + 25 + 9);
  xf_fold_shape_deinit(&shape);
  xf_fold_shape_deinit(&shape);
  xf_layout_deinit(&layout);
}

static void test_shape_conflict(void **state) {
  (void)state;
  struct xf_layout layout;
  xf_layout_init(&layout);
  assert_int_equal(xf_layout_add(&layout, "user", XF_ROLE_ALIGNED, "u", 4, 2, NULL), XF_OK);
  assert_int_equal(xf_layout_add(&layout, "bias", XF_ROLE_ALIGNED, "u", 5, 1, NULL), XF_OK);
  struct xf_fold_shape shape;
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(xf_fold_shape_init(&shape, &layout, &diag), XF_E_SHAPE);
  assert_non_null(strstr(diag.text, "bias"));
  xf_layout_deinit(&layout);
}

static void test_refusals(void **state) {
  (void)state;
  const float x = 1, *member[2] = {&x, &x};
  float w = 0;
  struct xf_fold_memory memory = {member, &w, &w, {NULL}};
  uint32_t rows[2] = {1, 1};
  const struct xf_fold_rows r = {rows, 2};
  struct xf_fold_segment seg = {0, 1};
  uint32_t dir = 2;
  const char *ns = "u";
  struct xf_fold_shape shape = {.n_shared = 1};
  struct xf_fold_member m[2] = {{"a", 0, 1, &r}, {"b", 1, 1, &r}};
  struct xf_fold_job job = {&shape, m, 2, false, 0, {.eta = 1}, xf_fold_memory_io(&memory)};
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(xf_fold_check(&job, &diag), XF_OK);
  job.n_member = 0;
  assert_int_equal(xf_fold_check(&job, &diag), XF_E_INVAL);
  job.n_member = 2;
  job.step.kind = XF_SERVER_MOMENTUM; // no state in memory
  assert_int_equal(xf_fold_check(&job, &diag), XF_E_INVAL);
  job.step.kind = XF_SERVER_SGD;
  m[1].id = "a";
  assert_int_equal(xf_fold_check(&job, &diag), XF_E_INVAL);
  m[1].id = "b";
  m[1].weight = 0;
  assert_int_equal(xf_fold_check(&job, &diag), XF_E_RANGE);
  m[1].weight = XF_FOLD_WEIGHT_MAX + 1;
  assert_int_equal(xf_fold_check(&job, &diag), XF_E_RANGE);
  assert_non_null(strstr(diag.text, "536870912"));
  m[1].weight = 1;
  job.step.eta = NAN;
  assert_int_equal(xf_fold_check(&job, &diag), XF_E_RANGE);
  job.step.eta = 1;
  shape = (struct xf_fold_shape){1, &seg, 1, &ns, &dir, 1};
  assert_int_equal(xf_fold_check(&job, &diag), XF_E_RANGE); // the same row twice
  rows[1] = 2;
  assert_int_equal(xf_fold_check(&job, &diag), XF_E_RANGE); // beyond the directory
  rows[0] = 0, rows[1] = 1;
  assert_int_equal(xf_fold_check(&job, &diag), XF_OK);
  m[0].rows = NULL;
  assert_int_equal(xf_fold_check(&job, &diag), XF_E_INVAL);
}

static enum xf_rc broken_read(void *arg, size_t slot, uint64_t at, float *out, size_t n) {
  (void)arg, (void)slot, (void)at, (void)out, (void)n;
  return XF_E_IO;
}

// A reader's error and a value that is not finite come out with their place.
static void test_errors(void **state) {
  (void)state;
  enum { N = 20000 };
  float *x = xf_calloc(N, sizeof *x), *w = xf_calloc(N, sizeof *w);
  const float *member[1] = {x};
  struct xf_fold_memory memory = {member, w, w, {NULL}};
  const struct xf_fold_shape shape = {.n_shared = N};
  const struct xf_fold_member m = {"silo-a", 0, 1, NULL};
  struct xf_fold_job job = {&shape, &m, 1, false, 0, {.eta = 2}, xf_fold_memory_io(&memory)};
  struct xf_fold_stats stats;
  struct xf_diag diag;
  xf_diag_init(&diag);
  x[17003] = 3e38f;
  assert_int_equal(xf_fold_step(&job, &stats, &diag), XF_E_NAN);
  assert_non_null(strstr(diag.text, "17003"));
  /* m or v overflows while the new value stays */
  float *s[2] = {xf_calloc(N, sizeof *s[0]), xf_calloc(N, sizeof *s[1])};
  for (int k = XF_SERVER_SGD; k < (int)XF_SERVER_N_BUILTIN; k++) {
    const uint32_t states = xf_server_states((enum xf_server_kind)k);
    const bool two = states == 2;
    if (!states) continue;
    memset(s[0], 0, N * sizeof *s[0]);
    memset(s[1], 0, N * sizeof *s[1]);
    memory.state[0] = s[0];
    memory.state[1] = two ? s[1] : NULL;
    job.io = xf_fold_memory_io(&memory);
    w[17003] = 0;
    x[17003] = two ? 3e30f : 2e38f;
    s[0][17003] = two ? 0 : 2e38f;
    job.step = (struct xf_server_step){
        .kind = (enum xf_server_kind)k, .eta = 1e-9, .b1 = two ? 0 : 0.9, .b2 = 0.5, .tau = 1};
    xf_diag_init(&diag);
    assert_int_equal(xf_fold_step(&job, &stats, &diag), XF_E_NAN);
    assert_non_null(strstr(diag.text, two ? "17003: the server optimiser's v is inf"
                                          : "17003: the server optimiser's m is inf"));
  }
  xf_free(s[0]);
  xf_free(s[1]);
  job.step = (struct xf_server_step){.eta = 2};
  x[17003] = 0;
  job.io.borrow = NULL;
  job.io.read = broken_read;
  assert_int_equal(xf_fold_step(&job, &stats, &diag), XF_E_IO);
  assert_non_null(strstr(diag.text, "silo-a"));
  xf_free(x);
  xf_free(w);
}

enum { KN = 1003 };

// Every table gives the plain loops' bits, with weights at the limit and floats over the whole range.
static void test_kernels(void **state) {
  (void)state;
  static float x[XF_FOLD_GROUP][KN], old_value[KN], v0[KN], v[2][KN], out[2][KN], junk[KN];
  static double acc[2][KN];
  struct xf_rng rng;
  xf_rng_init(&rng, 11, 0);
  const float *p[XF_FOLD_GROUP];
  double w[XF_FOLD_GROUP];
  for (int k = 0; k < XF_FOLD_GROUP; k++) {
    p[k] = x[k];
    w[k] = k == 3 ? XF_FOLD_WEIGHT_MAX : 1.0 + xf_rng_below(&rng, XF_FOLD_WEIGHT_MAX);
    for (int j = 0; j < KN; j++)
      x[k][j] = (float)ldexp(xf_rng_normal(&rng), (int)xf_rng_below(&rng, 250) - 149);
  }
  for (int j = 0; j < KN; j++)
    old_value[j] = (float)xf_rng_normal(&rng), v0[j] = (float)xf_rng_normal(&rng);
  for (size_t i = 1; xf_fold_kern_next(i); i++) {
    for (size_t n_x = 1; n_x <= XF_FOLD_GROUP; n_x++) {
      double lane[2][XF_FOLD_LANES] = {{0}};
      for (size_t t = 0; t < 2; t++) {
        const struct xf_fold_kern *kern = t ? xf_fold_kern_next(i) : &xf_fold_kern_ref;
        memset(acc[t], 0, sizeof acc[t]);
        memcpy(v[t], v0, sizeof v0);
        const size_t n = KN - n_x % 9;
        kern->add(acc[t], w, p, n_x, n);
        const struct xf_fold_finish f = {acc[t], old_value, n_x % 2 ? v[t] : NULL, out[t], 1e9,
                                         0.7,    0.9};
        const struct xf_fold_finish bad = {acc[t], old_value, NULL, junk, 1e-300, 1, 0};
        assert_true(kern->finish(&f, lane[t], n));
        if (t) {
          assert_memory_equal(acc[0], acc[1], sizeof acc[0]);
          assert_memory_equal(out[0], out[1], n * sizeof(float));
          assert_memory_equal(v[0], v[1], sizeof v[0]);
          assert_memory_equal(lane[0], lane[1], sizeof lane[0]);
        }
        double ignored[XF_FOLD_LANES] = {0};
        assert_false(kern->finish(&bad, ignored, n));
      }
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_weighted),       cmocka_unit_test(test_least_squares),
      cmocka_unit_test(test_momentum),       cmocka_unit_test(test_adaptive),
      cmocka_unit_test(test_reptile),        cmocka_unit_test(test_rows),
      cmocka_unit_test(test_shape_conflict), cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_errors),         cmocka_unit_test(test_kernels),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
