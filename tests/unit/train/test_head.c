// A model's head in closed form: brute force on its features, what a class head ranks, what is refused.
#include "base/alloc.h"
#include "base/rng.h"
#include "model/score.h"
#include "tensor/blas.h"
#include "train/head.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { N_IN = 2, ROWS = 80, D = 5 };

static struct xf_diag diag;

struct set {
  struct xf_dataset data;
  float x[ROWS * N_IN], y[ROWS];
  uint8_t part[ROWS];
};

// Rows below n train, the others test; y by the caller.
static void draw(struct set *s, uint32_t n) {
  struct xf_rng rng;
  xf_rng_init(&rng, 7, n);
  xf_dataset_init(&s->data, XF_DATASET_TABLE);
  s->data.table = (struct xf_table){
      .n = ROWS, .n_in = N_IN, .x = s->x, .y = s->y, .part = s->part, .n_class = 3};
  for (uint32_t i = 0; i < ROWS; i++) {
    for (uint32_t k = 0; k < N_IN; k++) s->x[i * N_IN + k] = (float)xf_rng_normal(&rng);
    s->part[i] = i < n ? XF_PART_TRAIN : XF_PART_TEST;
  }
}

static struct xf_model *open_model(enum xf_model_kind kind, enum xf_loss loss, uint32_t n_out,
                                   float **params) {
  const struct xf_model_config config = {.kind = kind,
                                         .loss = loss,
                                         .bias = true,
                                         .n_in = N_IN,
                                         .n_out = n_out,
                                         .hidden = {6, D - 1},
                                         .n_hidden = kind == XF_MODEL_MLP ? 2 : 0,
                                         .activation = XF_ACT_TANH};
  struct xf_model *model = NULL;
  struct xf_rng rng;
  assert_int_equal(xf_model_new(&model, &config, (struct xf_model_size){0}, &diag), XF_OK);
  *params = xf_calloc(xf_model_get_layout(model)->n, sizeof **params);
  xf_rng_init(&rng, 3, 4);
  assert_int_equal(xf_model_init(model, *params, &(struct xf_model_seed){.shared = &rng}, &diag),
                   XF_OK);
  return model;
}

// The normal equations hold at the fitted head: Phi^T (Phi W - Y) + lambda (W - W0) = 0, with features from the model's body.
static void meets_the_normal_equations(void **state) {
  (void)state;
  for (uint32_t n = 3; n <= 70; n += 67) { // n < D and several blocks
    float *params = NULL;
    struct xf_model *model = open_model(XF_MODEL_MLP, XF_LOSS_MSE, 1, &params);
    const struct xf_layout *l = xf_model_get_layout(model);
    float *before = xf_memdup(params, l->n * sizeof *params);
    struct set s;
    struct xf_head_report report;
    draw(&s, n);
    for (uint32_t i = 0; i < ROWS; i++) s.y[i] = sinf(2 * s.x[i * 2]) + s.x[i * 2 + 1];
    assert_int_equal(xf_head_fit(model, params, &s.data, &report, &diag), XF_OK);
    assert_true(report.lambda > 0 && isfinite(report.loo));
    const float *w = params + l->n - D, *w0 = before + l->n - D;
    assert_memory_equal(params, before, (l->n - D) * sizeof *params);
    double rest[D] = {0};
    for (uint32_t i = 0; i < n; i++) { // the body by hand: two layers of tanh
      double h[6], f[D] = {0}, e = -(double)s.y[i];
      const float *p = before;
      for (int k = 0; k < 6; k++)
        h[k] = tanh(p[k] * s.x[i * 2] + p[6 + k] * s.x[i * 2 + 1] + p[12 + k]);
      p += 18;
      for (int k = 0; k < D - 1; k++) {
        for (int j = 0; j < 6; j++) f[k] += p[j * (D - 1) + k] * h[j];
        f[k] = tanh(f[k] + p[6 * (D - 1) + k]);
      }
      f[D - 1] = 1;
      for (int k = 0; k < D; k++) e += f[k] * w[k];
      for (int k = 0; k < D; k++) rest[k] += f[k] * e;
    }
    for (int k = 0; k < D; k++)
      assert_true(fabs(rest[k] + report.lambda * (w[k] - w0[k])) < 2e-4 * n);
    xf_free(before);
    xf_free(params);
    xf_model_free(model);
  }
}

static double right(const struct xf_model *model, const float *params, const struct set *s,
                    uint32_t n_out) {
  struct xf_score *score = NULL;
  const float *out = NULL;
  double n = 0;
  assert_int_equal(xf_score_new(&score, model, &diag), XF_OK);
  for (uint32_t i = 0; i < ROWS; i++) {
    uint32_t best = 0;
    assert_int_equal(xf_score_rows(score, params, s->x + i * N_IN, 1, &out, &diag), XF_OK);
    for (uint32_t t = 1; t < n_out; t++)
      if (out[t] > out[best]) best = t;
    const uint32_t said = n_out > 1 ? best : out[0] > 0;
    n += s->part[i] == XF_PART_TEST && said == (uint32_t)s->y[i];
  }
  xf_score_free(score);
  return n / (ROWS - 40);
}

static void ranks_classes(void **state) {
  (void)state;
  static const enum xf_loss loss[] = {XF_LOSS_SOFTMAX, XF_LOSS_BCE};
  for (int i = 0; i < 2; i++) {
    float *params = NULL;
    const uint32_t n_out = i ? 1 : 3;
    struct xf_model *model = open_model(XF_MODEL_MLP, loss[i], n_out, &params);
    struct set s;
    struct xf_head_report report;
    draw(&s, 40);
    for (uint32_t r = 0; r < ROWS; r++)
      s.y[r] = s.x[r * 2] > 0.5F && !i ? 2 : s.x[r * 2] + s.x[r * 2 + 1] > 0;
    assert_int_equal(xf_head_fit(model, params, &s.data, &report, &diag), XF_OK);
    assert_true(right(model, params, &s, n_out) > .8);
    xf_free(params);
    xf_model_free(model);
  }
}

static void refuses(void **state) {
  (void)state;
  float *params = NULL;
  struct set s;
  struct xf_head_report report;
  draw(&s, 40);
  struct xf_model *model = open_model(XF_MODEL_LOGREG, XF_LOSS_BCE, 1, &params);
  assert_int_equal(xf_head_fit(model, params, &s.data, &report, &diag), XF_E_UNSUPPORTED);
  assert_non_null(strstr(diag.text, "logreg"));
  xf_free(params);
  xf_model_free(model);
  model = open_model(XF_MODEL_MLP, XF_LOSS_SOFTMAX, 2, &params);
  const float first = params[0], last = params[xf_model_get_layout(model)->n - 1];
  assert_int_equal(xf_head_fit(model, params, &s.data, &report, &diag), XF_E_SHAPE);
  s.data.table.n_class = 2;
  s.data.table.n_in = 3;
  assert_int_equal(xf_head_fit(model, params, &s.data, &report, &diag), XF_E_SHAPE);
  s.data.table.n_in = N_IN;
  memset(s.part, XF_PART_TEST, sizeof s.part);
  assert_int_equal(xf_head_fit(model, params, &s.data, &report, &diag), XF_OK);
  assert_true(params[0] == first && params[xf_model_get_layout(model)->n - 1] == last);
  xf_free(params);
  xf_model_free(model);
}

int main(void) {
  struct xf_blas_info info;
  if (xf_blas_start(&info, &diag)) return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(meets_the_normal_equations),
      cmocka_unit_test(ranks_classes),
      cmocka_unit_test(refuses),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
