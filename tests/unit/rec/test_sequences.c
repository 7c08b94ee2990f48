// Measures over sequences against a plain forward pass of our own: every step counts, the state is carried over chunks.
#include "base/alloc.h"
#include "rec/evaluate.h"
#include "tensor/blas.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { SKILLS = 4, H = 3, N = 70, STEPS_MAX = 2000 };

static void data_init(struct xf_dataset *d) {
  struct xf_rng rng;
  xf_rng_init(&rng, 9, 9);
  xf_dataset_init(d, XF_DATASET_SEQUENCES);
  for (uint32_t i = 0; i < N; i++) {
    int32_t token[25];
    uint8_t answer[25];
    const uint32_t n = 1 + xf_rng_below(&rng, 25);
    for (uint32_t t = 0; t < n; t++) {
      token[t] = (int32_t)xf_rng_below(&rng, SKILLS);
      answer[t] = (uint8_t)xf_rng_below(&rng, 2);
    }
    const uint8_t part = i % 5 == 0 ? XF_PART_TRAIN : XF_PART_TEST;
    assert_int_equal(xf_seqset_add(&d->seqs, token, answer, n, part, 0), XF_OK);
  }
}

static struct xf_model *model_new(uint32_t steps) {
  struct xf_model *m;
  struct xf_diag diag;
  const struct xf_model_config c = {.kind = XF_MODEL_DKT,
                                    .loss = XF_LOSS_BCE,
                                    .init_std = 1,
                                    .n_in = SKILLS,
                                    .n_out = 1,
                                    .hidden = {H},
                                    .n_hidden = 1,
                                    .steps = steps};
  xf_diag_init(&diag);
  if (xf_model_new(&m, &c, (struct xf_model_size){0, 0}, &diag)) fail_msg("%s", diag.text);
  return m;
}

static const float *seg(const struct xf_model *m, const float *x, const char *name) {
  const struct xf_segment *s = xf_layout_find(xf_model_get_layout(m), name);
  assert_non_null(s);
  return x + s->offset;
}

static double sigm(double z) { return 1 / (1 + exp(-z)); }

// Logits of one student, number by number.
static void forward(const struct xf_model *m, const float *x, const struct xf_seqset *s, uint32_t i,
                    float *z) {
  const float *in = seg(m, x, "in"), *bias = seg(m, x, "in_bias"), *u = seg(m, x, "u"),
              *out = seg(m, x, "out"), *ob = seg(m, x, "out_bias");
  double h[H] = {0}, c[H] = {0};
  for (uint32_t k = s->start[i]; k < s->start[i + 1]; k++) {
    const int32_t q = s->token[k];
    double logit = (double)ob[q], g[4 * H], old[H];
    for (int j = 0; j < H; j++) logit += (double)out[q * H + j] * h[j];
    z[k - s->start[i]] = (float)logit;
    memcpy(old, h, sizeof h);
    for (int j = 0; j < 4 * H; j++) {
      g[j] = (double)in[(q + SKILLS * s->answer[k]) * 4 * H + j] + (double)bias[j];
      for (int l = 0; l < H; l++) g[j] += old[l] * (double)u[l * 4 * H + j];
    }
    for (int j = 0; j < H; j++) {
      c[j] = sigm(g[H + j]) * c[j] + sigm(g[j]) * tanh(g[2 * H + j]);
      h[j] = sigm(g[3 * H + j]) * tanh(c[j]);
    }
  }
}

static void test_against_plain_loops(void **state) {
  (void)state;
  static float z[STEPS_MAX], y[STEPS_MAX];
  static uint32_t scratch[STEPS_MAX];
  const struct xf_measure measure[] = {
      {XF_MEASURE_AUC, 0}, {XF_MEASURE_ACC, 0}, {XF_MEASURE_LOGLOSS, 0}};
  const struct xf_rank_spec spec = {.part = XF_PART_TEST, .measure = measure, .n_measure = 3};
  struct xf_dataset d;
  data_init(&d);
  const uint32_t steps[] = {1, 4, 40}; // chunks shorter and longer than students
  for (int k = 0; k < 3; k++) {
    struct xf_model *m = model_new(steps[k]);
    struct xf_rng shared;
    float *x = xf_calloc(xf_model_get_layout(m)->n, sizeof *x);
    xf_rng_init(&shared, 4, 4);
    assert_int_equal(xf_model_init(m, x, &(struct xf_model_seed){.shared = &shared}, NULL), XF_OK);
    size_t n = 0;
    double right = 0, nll = 0;
    for (uint32_t i = 0; i < d.seqs.n; i++) {
      if (d.seqs.part[i] != XF_PART_TEST) continue;
      forward(m, x, &d.seqs, i, z + n);
      for (uint32_t t = 0; t < xf_seqset_len(&d.seqs, i); t++, n++) {
        y[n] = d.seqs.answer[d.seqs.start[i] + t];
        right += (z[n] > 0) == (y[n] > 0);
        nll += log1p(exp(y[n] > 0 ? -(double)z[n] : (double)z[n]));
      }
    }
    const struct xf_measure_sum auc = xf_measure_auc(z, y, n, scratch);
    struct xf_measure_sum sum[3];
    struct xf_evaluator *e;
    struct xf_diag diag;
    xf_diag_init(&diag);
    assert_int_equal(xf_evaluator_new(&e, m, &diag), XF_OK);
    if (xf_evaluator_run(e, x, &d, &spec, sum, &diag)) fail_msg("%s", diag.text);
    assert_true(fabs(sum[0].sum - auc.sum) <= 2 && sum[0].count == auc.count);
    assert_true(sum[1].sum == right && sum[1].count == (double)n);
    assert_true(fabs(sum[2].sum - nll) < 1e-4 * nll);
    xf_evaluator_free(e);
    xf_free(x);
    xf_model_free(m);
  }
  xf_dataset_deinit(&d);
}

static void test_refusals(void **state) {
  (void)state;
  struct xf_dataset d;
  struct xf_evaluator *e;
  struct xf_diag diag;
  struct xf_measure_sum sum;
  const struct xf_measure ndcg = {XF_MEASURE_NDCG, 10}, auc = {XF_MEASURE_AUC, 0};
  struct xf_rank_spec spec = {.part = XF_PART_TEST, .measure = &ndcg, .n_measure = 1};
  data_init(&d);
  struct xf_model *m = model_new(4);
  float *x = xf_calloc(xf_model_get_layout(m)->n, sizeof *x);
  xf_diag_init(&diag);
  assert_int_equal(xf_evaluator_new(&e, m, &diag), XF_OK);
  assert_int_equal(xf_evaluator_run(e, x, &d, &spec, &sum, &diag), XF_E_INVAL);
  assert_non_null(strstr(diag.text, "\"ndcg\" does not fit sequences with loss bce"));
  spec.measure = &auc;
  // a diverged model is named, not measured
  for (size_t i = 0; i < xf_model_get_layout(m)->n; i++) x[i] = NAN;
  assert_int_equal(xf_evaluator_run(e, x, &d, &spec, &sum, &diag), XF_E_NAN);
  struct xf_dataset table;
  xf_dataset_init(&table, XF_DATASET_TABLE);
  assert_int_equal(xf_evaluator_run(e, x, &table, &spec, &sum, &diag), XF_E_SHAPE);
  assert_non_null(strstr(diag.text, "eats sequences, the data are a table"));
  xf_evaluator_free(e);
  xf_free(x);
  xf_model_free(m);
  xf_dataset_deinit(&d);
}

static int start_blas(void **state) {
  (void)state;
  struct xf_diag diag;
  xf_diag_init(&diag);
  return xf_blas_start(NULL, &diag) ? -1 : 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_against_plain_loops),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, start_blas, NULL);
}
