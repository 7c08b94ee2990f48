// One user's part of the beta-1 triangle: below .7071 for every length of a history, in exact integers on the grid that noise is
// added on, and by brute force on random histories.
#include "base/rng.h"
#include "rec/gram.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { LONGEST = 5000, FINEST = 24, I = 24, U = 30 };

// (n - 1) / (2 n) < 1/2, and with the weight rounded down to k steps, k^2 n (n - 1) / 2 < 2^(2f) / 2. Rounding it up would break it.
static void test_every_length(void **state) {
  (void)state;
  bool up_breaks = false;
  for (uint64_t n = 1; n <= LONGEST; n++) {
    assert_true(2 * (n - 1) < 2 * n);
    const double bound = xf_gram_sensitivity((uint32_t)n);
    assert_true(fabs(bound * bound * 2 * (double)n - (double)(n - 1)) < 1e-9 * (double)n);
    assert_true(bound < XF_GRAM_SENSITIVITY && XF_GRAM_SENSITIVITY < .70711);
    for (int f = 0; f <= FINEST; f++) {
      const uint64_t one = 1ull << f, k = one / n;
      assert_true(k * k * n * (n - 1) < one * one);
      up_breaks |= (k + 1) * (k + 1) * n * (n - 1) >= one * one;
    }
  }
  assert_true(up_breaks);
}

// xf_gram_build gives a user of n items exactly floor(2^f / n) steps.
static void test_weight(void **state) {
  (void)state;
  static uint32_t item[2000];
  for (uint32_t i = 0; i < 2000; i++) item[i] = i;
  for (uint32_t n = 2; n < 2000; n += n < 64 ? 1 : 617) {
    uint32_t start[] = {0, n};
    const struct xf_csr csr = {.n_row = 1, .start = start, .item = item};
    const struct xf_rec_data data = {1, n, &csr};
    for (int f = 0; f <= FINEST; f += n < 64 ? 1 : 12) {
      struct xf_gram g;
      struct xf_diag diag = {0};
      const struct xf_gram_spec spec = {.beta = 1, .step = ldexp(1, -f)};
      assert_int_equal(xf_gram_build(&g, &data, &spec, &diag), XF_OK);
      assert_true((double)xf_gram_get(&g, 0, 1) == floor(ldexp(1, f) / n) * spec.step);
      xf_gram_deinit(&g);
    }
  }
}

struct world {
  uint32_t start[U + 1], item[U * I], n_user;
};

static void draw(struct world *w, struct xf_rng *rng) {
  uint32_t n = 0;
  w->n_user = 1 + xf_rng_below(rng, U);
  for (uint32_t u = 0; u < w->n_user; u++) {
    const double p = xf_rng_double(rng);
    w->start[u] = n;
    for (uint32_t i = 0; i < I; i++)
      if (xf_rng_double(rng) < p) w->item[n++] = i;
  }
  w->start[w->n_user] = n;
}

static void triangle(float *out, struct world *w, const struct xf_gram_spec *spec,
                     const uint32_t *shared, uint32_t m) {
  struct xf_gram g;
  struct xf_diag diag = {0};
  const struct xf_csr csr = {.n_row = w->n_user, .start = w->start, .item = w->item};
  const struct xf_rec_data data = {w->n_user, I, &csr};
  assert_int_equal(xf_gram_build(&g, &data, spec, &diag), XF_OK);
  assert_int_equal(xf_gram_pack(&g, shared, m, out, NULL), XF_OK);
  xf_gram_deinit(&g);
}

// Removing any one user of random silos, over random shared items: the triangles differ by whole steps, by less than the bound.
static void test_any_user(void **state) {
  (void)state;
  static float all[I * I], less[I * I];
  struct xf_rng rng;
  xf_rng_init(&rng, 7, 0);
  double largest = 0;
  for (int trial = 0; trial < 60; trial++) {
    struct world w;
    uint8_t counted[I] = {0};
    uint32_t shared[I], m = 0;
    const int f = (int)xf_rng_below(&rng, 18);
    draw(&w, &rng);
    for (uint32_t i = 0; i < I; i++)
      if (trial % 3 == 0 || xf_rng_below(&rng, 3)) {
        counted[i] = 1;
        shared[m++] = i;
      }
    const struct xf_gram_spec spec = {.beta = 1, .counted = counted, .step = ldexp(1, -f)};
    triangle(all, &w, &spec, shared, m);
    for (uint32_t gone = 0; gone < w.n_user; gone++) {
      struct world v = w;
      const uint32_t n = w.start[gone + 1] - w.start[gone];
      memmove(v.item + w.start[gone], w.item + w.start[gone + 1],
              (w.start[w.n_user] - w.start[gone + 1]) * sizeof *v.item);
      for (uint32_t u = gone; u < w.n_user; u++) v.start[u] = w.start[u + 1] - n;
      v.n_user--;
      triangle(less, &v, &spec, shared, m);
      double norm2 = 0; // in squared steps: exact
      for (uint32_t k = 0; k < m * (m - 1) / 2; k++) {
        const double d = ldexp((double)all[k] - (double)less[k], f);
        assert_true(d == trunc(d));
        norm2 += d * d;
      }
      assert_true(2 * norm2 < ldexp(1, 2 * f));
      if (ldexp(norm2, -2 * f) > largest) largest = ldexp(norm2, -2 * f);
    }
  }
  assert_true(largest > .4); // the bound is nearly met
}

static void test_refusals(void **state) {
  (void)state;
  uint32_t start[] = {0, 2}, item[] = {0, 1};
  const struct xf_csr csr = {.n_row = 1, .start = start, .item = item};
  const struct xf_rec_data data = {1, 2, &csr};
  const double bad[] = {.3, -.5, 2, 0x1p-25, NAN};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    struct xf_gram g;
    struct xf_diag diag = {0};
    const struct xf_gram_spec spec = {.beta = 1, .step = bad[i]};
    assert_int_equal(xf_gram_build(&g, &data, &spec, &diag), XF_E_RANGE);
    assert_non_null(strstr(diag.text, "power of two"));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_length),
      cmocka_unit_test(test_weight),
      cmocka_unit_test(test_any_user),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
