// Items by their categories against plain loops; prototypes; the users' rows of categories and their bound by brute force.
#include "base/rng.h"
#include "rec/catmodel.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { USERS = 40, ITEMS = 30, CATS = 9, PER_USER = 6 };

static struct xf_categories cats;
static struct xf_csr train, profile;
static struct xf_rec_data data = {USERS, ITEMS, &train};
static bool of[ITEMS][CATS], has[USERS][ITEMS], holds[USERS][CATS];

// Items of one to three categories, the last item of none; some users without an event.
static void make(uint64_t seed) {
  uint32_t a[512], b[512];
  size_t n = 0;
  struct xf_rng rng;
  xf_rng_init(&rng, seed, 1);
  memset(of, 0, sizeof of);
  memset(has, 0, sizeof has);
  memset(holds, 0, sizeof holds);
  for (uint32_t i = 0; i + 1 < ITEMS; i++)
    for (uint32_t k = 0; k <= i % 3; k++) of[i][xf_rng_below(&rng, CATS)] = true;
  for (uint32_t u = 0; u < USERS; u++)
    for (uint32_t k = 0; k < PER_USER && u % 13; k++) has[u][xf_rng_below(&rng, ITEMS)] = true;
  for (uint32_t i = 0; i < ITEMS; i++)
    for (uint32_t c = 0; c < CATS; c++)
      if (of[i][c]) {
        a[n] = i;
        b[n++] = c;
      }
  cats = (struct xf_categories){.n = CATS};
  xf_names_init(&cats.names);
  assert_int_equal(xf_csr_init(&cats.of, ITEMS, CATS, a, b, n), XF_OK);
  n = 0;
  for (uint32_t u = 0; u < USERS; u++)
    for (uint32_t i = 0; i < ITEMS; i++) {
      if (!has[u][i]) continue;
      a[n] = u;
      b[n++] = i;
      for (uint32_t c = 0; c < CATS; c++) holds[u][c] |= of[i][c];
    }
  assert_int_equal(xf_csr_init(&train, USERS, ITEMS, a, b, n), XF_OK);
  assert_int_equal(xf_categories_profile(&profile, &cats, &train), XF_OK);
}

static void drop(void) {
  xf_categories_deinit(&cats);
  xf_csr_deinit(&train);
  xf_csr_deinit(&profile);
}

static void test_profile(void **state) {
  (void)state;
  make(1);
  assert_int_equal(profile.n_row, USERS);
  for (uint32_t u = 0; u < USERS; u++) {
    uint32_t k = profile.start[u];
    for (uint32_t c = 0; c < CATS; c++)
      if (holds[u][c]) assert_true(k < profile.start[u + 1] && profile.item[k++] == c);
    assert_int_equal(k, profile.start[u + 1]);
  }
  drop();
}

// At beta 1 a whole row adds up to the users who hold the category, and divided by it is the mean of their profiles.
static void test_prototype(void **state) {
  (void)state;
  make(2);
  struct xf_gram g;
  const struct xf_rec_data rows = {USERS, CATS, &profile};
  const struct xf_gram_spec spec = {.beta = 1};
  assert_int_equal(xf_gram_build(&g, &rows, &spec, NULL), XF_OK);
  for (uint32_t c = 0; c < CATS; c++) {
    double mean[CATS] = {0}, n = 0, sum = (double)g.diag[c];
    for (uint32_t u = 0; u < USERS; u++) {
      double m = 0;
      for (uint32_t d = 0; d < CATS; d++) m += holds[u][d];
      if (!holds[u][c]) continue;
      n++;
      for (uint32_t d = 0; d < CATS; d++) mean[d] += holds[u][d] / m;
    }
    for (uint32_t d = 0; d < CATS; d++) sum += d == c ? 0 : (double)xf_gram_get(&g, c, d);
    assert_true(n > 3 && fabs(sum - n) < 1e-5);
    for (uint32_t d = 0; d < CATS; d++) {
      const double entry = d == c ? (double)g.diag[c] : (double)xf_gram_get(&g, c, d);
      assert_true(fabs(entry / sum - mean[d] / n) < 1e-6);
    }
  }
  xf_gram_deinit(&g);
  drop();
}

static void test_score_and_reasons(void **state) {
  (void)state;
  make(3);
  struct xf_gram g;
  struct xf_scorer *s;
  const struct xf_rec_data rows = {USERS, CATS, &profile};
  const struct xf_gram_spec spec = {.beta = .5};
  assert_int_equal(xf_gram_build(&g, &rows, &spec, NULL), XF_OK);
  for (int p = 0; p < 3; p++) {
    const double power = p * .5;
    assert_int_equal(xf_category_fit(&s, &g, &cats, &data, power, NULL), XF_OK);
    for (uint32_t u = 0; u < USERS; u++) {
      const struct xf_query q = {u, train.item + train.start[u],
                                 train.start[u + 1] - train.start[u], (double)NAN};
      float out[ITEMS];
      double share[CATS] = {0}, all = 0;
      assert_int_equal(xf_scorer_score(s, &q, out, NULL), XF_OK);
      for (uint32_t i = 0; i < ITEMS; i++)
        for (uint32_t c = 0; c < CATS; c++)
          if (has[u][i] && of[i][c]) share[c]++, all++;
      for (uint32_t i = 0; i < ITEMS; i++) {
        double popular = 1, sum = 0, n = 0, told = 0;
        struct xf_why why[CATS];
        for (uint32_t v = 0; v < USERS; v++) popular += has[v][i];
        for (uint32_t d = 0; d < CATS; d++) {
          n += of[i][d];
          for (uint32_t c = 0; c < CATS && of[i][d] && all > 0; c++) {
            const double pair = c == d ? (double)g.diag[c] : (double)xf_gram_get(&g, c, d);
            sum += share[c] / all * pair / sqrt(((double)g.diag[c] + 1) * ((double)g.diag[d] + 1));
          }
        }
        const double scale = pow(popular, power), want = n > 0 ? scale * sum / n : 0;
        const double order = ((double)out[i] - want) / scale;
        assert_true(order > XF_CATEGORY_ORDER * .4 && order < XF_CATEGORY_ORDER * 1.1);
        for (uint32_t j = 0; j < i; j++) assert_true(out[i] != out[j]);
        const uint32_t k = s->kind->explain(s, &q, i, why, CATS);
        assert_int_equal(k, (uint32_t)n);
        for (uint32_t e = 0; e < k; e++) {
          uint32_t c = 0;
          assert_true(xf_why_category(&why[e], &c) && c < CATS && of[i][c]);
          assert_true(e == 0 || why[e].share <= why[e - 1].share);
          told += (double)why[e].share;
        }
        assert_true(fabs(told - want) <= 1e-5 * fmax(want, 1));
      }
    }
    xf_scorer_free(s);
  }
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(xf_category_fit(&s, &g, &cats, &data, -1, &diag), XF_E_RANGE);
  assert_int_equal(xf_category_fit(&s, &g, &cats, &data, NAN, &diag), XF_E_RANGE);
  cats.n++;
  assert_int_equal(xf_category_fit(&s, &g, &cats, &data, 1, &diag), XF_E_SHAPE);
  const struct xf_why none = {XF_NO_ID, 0}, item = {7, 0};
  uint32_t c = 0;
  assert_false(xf_why_category(&none, &c) || xf_why_category(&item, &c));
  xf_gram_deinit(&g);
  drop();
}

static double norm_without(uint32_t user, double step, double *mine) {
  struct xf_gram with, without;
  struct xf_csr less = {0};
  uint32_t a[512], b[512];
  size_t n = 0;
  const struct xf_gram_spec spec = {.beta = 1, .step = step};
  for (uint32_t u = 0; u < USERS; u++)
    for (uint32_t k = profile.start[u]; k < profile.start[u + 1] && u != user; k++) {
      a[n] = u;
      b[n++] = profile.item[k];
    }
  assert_int_equal(xf_csr_init(&less, USERS, CATS, a, b, n), XF_OK);
  const struct xf_rec_data all = {USERS, CATS, &profile}, rest = {USERS, CATS, &less};
  assert_int_equal(xf_gram_build(&with, &all, &spec, NULL), XF_OK);
  assert_int_equal(xf_gram_build(&without, &rest, &spec, NULL), XF_OK);
  double sum = 0;
  *mine = profile.start[user + 1] - profile.start[user];
  for (uint32_t c = 0; c < CATS; c++)
    for (uint32_t d = c + 1; d < CATS; d++) {
      const double x = (double)xf_gram_get(&with, c, d) - (double)xf_gram_get(&without, c, d);
      sum += x * x;
    }
  xf_gram_deinit(&with);
  xf_gram_deinit(&without);
  xf_csr_deinit(&less);
  return sqrt(sum);
}

// Whatever the events, taking one user away changes the triangle by sqrt((m - 1) / (2 m)) of their m categories at most; the worst
// user holds all of them, however many items that takes.
static void test_bound(void **state) {
  (void)state;
  double worst = 0;
  for (uint64_t seed = 10; seed < 16; seed++) {
    make(seed);
    uint32_t a[512], b[512];
    size_t n = 0;
    for (uint32_t u = 0; u < USERS; u++) // user 0, so far without an event, takes everything
      for (uint32_t i = 0; i < ITEMS; i++)
        if (has[u][i] || u == 0) {
          a[n] = u;
          b[n++] = i;
        }
    xf_csr_deinit(&train);
    xf_csr_deinit(&profile);
    assert_int_equal(xf_csr_init(&train, USERS, ITEMS, a, b, n), XF_OK);
    assert_int_equal(xf_categories_profile(&profile, &cats, &train), XF_OK);
    for (int f = 0; f <= 20; f += 10)
      for (uint32_t u = 0; u < USERS; u++) {
        double m = 0;
        const double norm = norm_without(u, f ? ldexp(1, -f) : 0, &m);
        assert_true(norm <= (m > 1 ? sqrt((m - 1) / (2 * m)) : 0) + 1e-5);
        assert_true(norm < XF_GRAM_SENSITIVITY);
        if (u == 0 && f != 10) assert_true(norm > sqrt((m - 1) / (2 * m)) - 1e-4);
        worst = fmax(worst, u == 0 ? norm : 0);
      }
    drop();
  }
  assert_true(worst > .66); // sqrt(8 / 18)
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_profile), cmocka_unit_test(test_prototype),
      cmocka_unit_test(test_score_and_reasons), cmocka_unit_test(test_bound)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
