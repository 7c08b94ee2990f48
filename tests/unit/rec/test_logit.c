// Logistic regression: the gradient is zero at the end, known weights come back, constant and useless features, separable
// labels, refusals; and the factors of labelled pairs, which are fitted with the same loss.
#include "base/alloc.h"
#include "base/rng.h"
#include "rec/logit.h"
#include "rec/pairmf.h"
#include "tensor/blas.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { N = 4000, D = 4 };

struct rows {
  double x[N * D];
  uint8_t label[N];
};

// label 1 with probability sigmoid(1.5 x0 - .5 x1 + .7), x2 constant, x3 noise.
static void draw(struct rows *r, uint64_t seed) {
  struct xf_rng rng;
  xf_rng_init(&rng, seed, 0);
  for (size_t i = 0; i < N; i++) {
    double *x = r->x + i * D;
    x[0] = xf_rng_normal(&rng);
    x[1] = 100 + 20 * xf_rng_normal(&rng); // another scale: -.5 per unit deviation
    x[2] = .1;
    x[3] = xf_rng_normal(&rng);
    const double z = 1.5 * x[0] - .5 * (x[1] - 100) / 20 + .7;
    r->label[i] = xf_rng_double(&rng) < 1 / (1 + exp(-z));
  }
}

static void test_fit(void **state) {
  (void)state;
  static struct rows r;
  struct xf_logit f;
  struct xf_diag diag = {0};
  draw(&r, 3);
  assert_int_equal(xf_logit_fit(&f, r.x, r.label, N, D, 1, &diag), XF_OK);
  assert_true(fabs(f.w[0] - 1.5) < .15);
  assert_true(fabs(f.w[1] + .5) < .15);
  assert_true(fabs(f.b - .7) < .15);
  assert_true(fabs(f.w[3]) < .1);
  assert_float_equal(f.w[2], 0, 0);
  assert_float_equal(f.unit[2], 0, 0);
  assert_true(f.n_step >= 2 && f.n_step < 12);
  // what the minimum says: sum of (p - y) z + l2 w = 0, of the bias without the penalty
  double grad[D + 1] = {0}, loss = 0;
  for (size_t i = 0; i < N; i++) {
    const double s = xf_logit_score(&f, r.x + i * D), p = 1 / (1 + exp(-s));
    loss -= log(r.label[i] ? p : 1 - p);
    for (int k = 0; k < D; k++)
      if (f.unit[k] > 0)
        grad[k] += (p - r.label[i]) * (r.x[i * D + (size_t)k] - f.mean[k]) / f.unit[k];
    grad[D] += p - r.label[i];
  }
  for (int k = 0; k < D; k++) {
    assert_true(fabs(grad[k] + f.w[k]) < 1e-4);
    loss += f.w[k] * f.w[k] / 2;
  }
  assert_true(fabs(grad[D]) < 1e-4);
  assert_true(fabs(loss - f.loss) < 1e-6 * loss);
}

// Separable rows: the penalty keeps weights finite, and more of it makes them smaller.
static void test_separable(void **state) {
  (void)state;
  const double x[] = {-2, -1, 1, 2};
  const uint8_t label[] = {0, 0, 1, 1};
  struct xf_logit a, b;
  struct xf_diag diag = {0};
  assert_int_equal(xf_logit_fit(&a, x, label, 4, 1, 1e-3, &diag), XF_OK);
  assert_int_equal(xf_logit_fit(&b, x, label, 4, 1, 1, &diag), XF_OK);
  assert_true(a.w[0] > b.w[0] && b.w[0] > 0 && isfinite(a.w[0]));
  assert_true(fabs(a.b) < 1e-6);
  const double constant[] = {5, 5, 5, 5}; // nothing but the bias is left
  const uint8_t three[] = {0, 1, 1, 1};
  assert_int_equal(xf_logit_fit(&a, constant, three, 4, 1, 1, &diag), XF_OK);
  assert_true(fabs(a.b - log(3)) < 1e-6);
}

static void test_refusals(void **state) {
  (void)state;
  double x[] = {-2, -1, 1, 2};
  uint8_t label[] = {1, 1, 1, 1};
  struct xf_logit f;
  struct xf_diag diag = {0};
  assert_int_equal(xf_logit_fit(&f, x, label, 4, 1, 1, &diag), XF_E_RANGE);
  assert_non_null(strstr(diag.text, "4 rows, 4 of label 1"));
  label[0] = 0;
  assert_int_equal(xf_logit_fit(&f, x, label, 4, 1, 0, &diag), XF_E_RANGE);
  assert_int_equal(xf_logit_fit(&f, x, label, 0, 1, 1, &diag), XF_E_RANGE);
  assert_int_equal(xf_logit_fit(&f, x, label, 4, 0, 1, &diag), XF_E_SHAPE);
  assert_int_equal(xf_logit_fit(&f, x, label, 4, XF_LOGIT_MAX + 1, 1, &diag), XF_E_SHAPE);
  x[3] = NAN;
  assert_int_equal(xf_logit_fit(&f, x, label, 4, 1, 1, &diag), XF_E_NAN);
  assert_non_null(strstr(diag.text, "row 3"));
}

// Two groups of users like two groups of items; every sixth pair is held out.
enum { U = 24, I = 16 };
static uint32_t user[U * I], item[U * I];
static uint8_t label[U * I], part[U * I];

static struct xf_pairs two_groups(void) {
  struct xf_pairs p = {.n = U * I,
                       .n_users = U,
                       .n_items = I,
                       .user = user,
                       .item = item,
                       .label = label,
                       .part = part};
  for (uint32_t k = 0; k < U * I; k++) {
    user[k] = k / I;
    item[k] = k % I;
    label[k] = user[k] % 2 == item[k] % 2;
    part[k] = (k * 7 + k / I) % 6 == 0 ? XF_PART_TEST : XF_PART_TRAIN;
  }
  return p;
}

static void test_pairmf(void **state) {
  (void)state;
  struct xf_pairs p = two_groups();
  const struct xf_pairmf_spec spec = XF_PAIRMF_DEFAULTS;
  struct xf_scorer *s = NULL, *again = NULL;
  struct xf_diag diag = {0};
  float out[I], same[I];
  assert_int_equal(xf_pairmf_fit(&s, &p, &spec, &diag), XF_OK);
  size_t held = 0;
  for (size_t k = 0; k < p.n; k++) {
    if (part[k] != XF_PART_TEST) continue;
    const struct xf_query q = {.user = user[k], .at = NAN};
    assert_int_equal(xf_scorer_score(s, &q, out, &diag), XF_OK);
    assert_int_equal(out[item[k]] > 0, label[k]); // held-out pairs are on the right side
    held++;
  }
  assert_true(held > 50);
  const struct xf_query nobody = {.user = U, .at = NAN};
  assert_int_equal(xf_scorer_score(s, &nobody, out, &diag), XF_E_NOTFOUND);
  // held-out labels are not read
  for (size_t k = 0; k < p.n; k++) label[k] ^= part[k] == XF_PART_TEST;
  assert_int_equal(xf_pairmf_fit(&again, &p, &spec, &diag), XF_OK);
  for (uint32_t u = 0; u < U; u++) {
    const struct xf_query q = {.user = u, .at = NAN};
    assert_int_equal(xf_scorer_score(s, &q, out, &diag), XF_OK);
    assert_int_equal(xf_scorer_score(again, &q, same, &diag), XF_OK);
    assert_memory_equal(out, same, sizeof out);
  }
  xf_scorer_free(s);
  xf_scorer_free(again);
}

// With factors held at nothing, what the minimum says of an item's bias:
// sum over its pairs of (p - y) + bias_reg b = 0.
static void test_pairmf_bias(void **state) {
  (void)state;
  struct xf_pairs p = two_groups();
  for (uint32_t k = 0; k < U * I; k++) {
    label[k] = k % I < 4 || user[k] % 4 == 0; // items 0 to 3 liked by all, others by a quarter
    part[k] = XF_PART_TRAIN;
  }
  const struct xf_pairmf_spec spec = {
      .dim = 1, .steps = 3000, .reg = 1e6, .bias_reg = 2, .lr = .01};
  struct xf_scorer *s = NULL;
  struct xf_diag diag = {0};
  float out[I];
  assert_int_equal(xf_pairmf_fit(&s, &p, &spec, &diag), XF_OK);
  const struct xf_query q = {.user = 1, .at = NAN};
  assert_int_equal(xf_scorer_score(s, &q, out, &diag), XF_OK);
  for (uint32_t i = 0; i < I; i++) {
    const double b = (double)out[i], liked = i < 4 ? U : U / 4.;
    assert_true(fabs(U / (1 + exp(-b)) - liked + 2 * b) < 1e-2);
  }
  xf_scorer_free(s);
}

static void test_pairmf_refusals(void **state) {
  (void)state;
  struct xf_pairs p = two_groups();
  struct xf_scorer *s = NULL;
  struct xf_diag diag = {0};
  struct xf_pairmf_spec spec = XF_PAIRMF_DEFAULTS;
  spec.dim = 0;
  assert_int_equal(xf_pairmf_fit(&s, &p, &spec, &diag), XF_E_RANGE);
  spec = XF_PAIRMF_DEFAULTS;
  spec.lr = NAN;
  assert_int_equal(xf_pairmf_fit(&s, &p, &spec, &diag), XF_E_RANGE);
  spec = XF_PAIRMF_DEFAULTS;
  memset(part, XF_PART_TEST, sizeof part);
  assert_int_equal(xf_pairmf_fit(&s, &p, &spec, &diag), XF_E_RANGE);
  assert_non_null(strstr(diag.text, "no train pair"));
  assert_null(s);
}

int main(void) {
  struct xf_diag diag = {0};
  if (xf_blas_start(NULL, &diag)) return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_fit),         cmocka_unit_test(test_separable),
      cmocka_unit_test(test_refusals),    cmocka_unit_test(test_pairmf),
      cmocka_unit_test(test_pairmf_bias), cmocka_unit_test(test_pairmf_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
