// Charges to epsilon, what is left of a budget, and the statement.
#include "priv/odometer.h"
#include "priv/statement.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

#define NEAR(got, want, tol) assert_true(fabs((got) - (want)) <= (tol)*fabs((double)(want)))

static struct xf_odometer charged(double z, uint64_t n) {
  struct xf_odometer o;
  xf_odometer_init(&o);
  const struct xf_odometer_charge c = {.noise_multiplier = z, .n = n};
  assert_int_equal(xf_odometer_add(&o, &c, 1), XF_OK);
  return o;
}

// dp_accounting's whole releases: sigma 1 once, sigma 5 fifty times; replace-one is half the multiplier
static void test_epsilon(void **state) {
  (void)state;
  struct xf_odometer_report r, half;
  struct xf_odometer o = charged(1, 1);
  assert_int_equal(xf_odometer_get(&r, &o, 1e-5), XF_OK);
  NEAR(r.zero_out.value, 4.728507, 1e-6);
  NEAR(r.zero_out.order, 5.4, 1e-12);
  o = charged(5, 50);
  assert_int_equal(xf_odometer_get(&r, &o, 1e-5), XF_OK);
  NEAR(r.zero_out.value, 7.077392, 1e-6);
  o = charged(2.5, 50);
  assert_int_equal(xf_odometer_get(&half, &o, 1e-5), XF_OK);
  NEAR(r.replace_one.value, half.zero_out.value, 1e-12);
  NEAR(r.replace_one.value, 16.512875946682545, 1e-9);
  assert_int_equal(xf_odometer_get(&r, &o, 0), XF_E_RANGE);
  assert_int_equal(xf_odometer_get(&r, &o, 1), XF_E_RANGE);
}

static void test_charges(void **state) {
  (void)state;
  struct xf_odometer o;
  struct xf_odometer_report r, same;
  xf_odometer_init(&o);
  assert_int_equal(xf_odometer_get(&r, &o, 1e-5), XF_OK);
  assert_true(r.zero_out.value == 0 && r.replace_one.value == 0 && isinf(o.least_z));
  const struct xf_odometer_charge mixed[4] = {{1, 2, 0}, {2, 3, 0}, {0.5, 0, 0}, {1, 1, 1}};
  assert_int_equal(xf_odometer_add(&o, mixed, 4), XF_OK);
  NEAR(o.rho, 3 * 0.5 + 3 * 0.125, 1e-15);
  assert_true(o.charges == 6 && o.bare == 0 && o.least_z == 1);
  const struct xf_odometer as_one = charged(1 / sqrt(2 * o.rho), 1);
  assert_int_equal(xf_odometer_get(&r, &o, 1e-6), XF_OK);
  assert_int_equal(xf_odometer_get(&same, &as_one, 1e-6), XF_OK);
  NEAR(r.zero_out.value, same.zero_out.value, 1e-12);

  const struct xf_odometer before = o;
  const struct xf_odometer_charge bad[2] = {{1, 5, 0}, {-1, 1, 0}}, nan = {NAN, 1, 0};
  assert_int_equal(xf_odometer_add(&o, bad, 2), XF_E_RANGE);
  assert_int_equal(xf_odometer_add(&o, &nan, 1), XF_E_RANGE);
  assert_memory_equal(&o, &before, sizeof o); // nothing added
  const struct xf_odometer_charge bare = {0, 1, 0};
  assert_int_equal(xf_odometer_add(&o, &bare, 1), XF_OK);
  assert_int_equal(xf_odometer_get(&r, &o, 1e-6), XF_OK);
  assert_true(o.charges == 7 && o.bare == 1 && isinf(r.zero_out.value) &&
              isinf(r.replace_one.value));
}

// One more release than is left goes over, as many as are left do not.
static void test_left(void **state) {
  (void)state;
  const struct xf_odometer o = charged(4, 10);
  for (int relation = 0; relation < 2; relation++) {
    uint64_t left = 0;
    assert_int_equal(xf_odometer_left(&left, &o, (enum xf_odometer_relation)relation, 4, 12, 1e-5),
                     XF_OK);
    assert_true(left > 0 && left < 200);
    for (uint64_t extra = 0; extra < 2; extra++) {
      struct xf_odometer after = o;
      const struct xf_odometer_charge c = {4, left + extra, 0};
      assert_int_equal(xf_odometer_add(&after, &c, 1), XF_OK);
      struct xf_odometer_report r;
      assert_int_equal(xf_odometer_get(&r, &after, 1e-5), XF_OK);
      const double eps = relation == XF_ODOMETER_ZERO_OUT ? r.zero_out.value : r.replace_one.value;
      assert_true(extra ? eps > 12 : eps <= 12);
    }
  }
  uint64_t left = 9;
  assert_int_equal(xf_odometer_left(&left, &o, XF_ODOMETER_ZERO_OUT, 4, 0.01, 1e-5), XF_OK);
  assert_int_equal(left, 0);
  assert_int_equal(xf_odometer_left(&left, &o, XF_ODOMETER_ZERO_OUT, 0, 100, 1e-5), XF_OK);
  assert_int_equal(left, 0);
  assert_int_equal(xf_odometer_left(&left, &o, XF_ODOMETER_ZERO_OUT, INFINITY, 100, 1e-5), XF_OK);
  assert_int_equal(left, (uint64_t)1 << 40);
  const struct xf_odometer bare = charged(0, 1);
  assert_int_equal(xf_odometer_left(&left, &bare, XF_ODOMETER_ZERO_OUT, 4, 100, 1e-5), XF_OK);
  assert_int_equal(left, 0);
  assert_int_equal(xf_odometer_left(&left, &o, XF_ODOMETER_ZERO_OUT, 4, NAN, 1e-5), XF_E_RANGE);
  assert_int_equal(xf_odometer_left(&left, &o, XF_ODOMETER_ZERO_OUT, -1, 1, 1e-5), XF_E_RANGE);
}

static void expect(const struct xf_statement *s, const char *const *parts) {
  struct xf_buf buf;
  xf_buf_init(&buf, 8192);
  assert_int_equal(xf_statement_print(&buf, s), XF_OK);
  const char *text = xf_buf_cstr(&buf);
  for (; *parts; parts++)
    if (!strstr(text, *parts)) fail_msg("\"%s\" is not in:\n%s", *parts, text);
  xf_buf_deinit(&buf);
}

static void test_statement(void **state) {
  (void)state;
  const char *const exports[2] = {"samples", "loss"};
  struct xf_statement s = {.silo = "shop-a",
                           .clip = 1,
                           .odometer = charged(5, 50),
                           .delta = 1e-5,
                           .exports = exports,
                           .n_exports = 2,
                           .rows = true,
                           .trusted_alignment = true};
  expect(&s,
         (const char *const[]){"silo shop-a against the coordinator, not per person", "L2 norm 1\n",
                               "at least 5 x the clipping norm", "50, each counted whole",
                               "7.077 at delta 1e-05, zero-out", "replace-one", "order 4.2",
                               "which aligned rows a silo holds, samples, loss\n",
                               "trusted alignment", "orders list 1", NULL});
  s.silo = NULL, s.n_silos = 3, s.seeded = true, s.rows = false;
  expect(&s, (const char *const[]){"NOT PRIVATE: seeded noise\n", "the largest of 3 silos", NULL});
  s.odometer = charged(0, 4);
  expect(&s,
         (const char *const[]){"none in 4 of 4 releases: no guarantee", "infinite at delta", NULL});
  xf_odometer_init(&s.odometer);
  expect(&s, (const char *const[]){"nothing released yet", "  epsilon      0 at delta", NULL});

  s.odometer = charged(5, 50), s.seeded = false, s.users = true;
  expect(&s, (const char *const[]){"privacy of one user of one silo, against the coordinator: the "
                                   "largest of 3 silos\n",
                                   NULL});
  s.silo = "shop-a";
  expect(&s, (const char *const[]){"privacy of one user of silo shop-a", "clipping     none: what",
                                   "at least 5 x the bound of one user", "the user in or out",
                                   "a user of this silo; a person in several silos pays in each",
                                   NULL});
  s.users = false;

  struct xf_buf buf;
  xf_buf_init(&buf, 512);
  s.odometer = charged(5, 50), s.seeded = false, s.silo = "shop-a";
  assert_int_equal(xf_statement_print_short(&buf, &s), XF_OK);
  assert_non_null(strstr(xf_buf_cstr(&buf), "epsilon 7.077 (zero-out), 16.51 (replace-one)"));
  assert_non_null(strstr(xf_buf_cstr(&buf), "not per person"));
  xf_buf_reset(&buf);
  s.users = true; // the same charges, about a user: nothing is said about the silo as a whole
  assert_int_equal(xf_statement_print_short(&buf, &s), XF_OK);
  assert_non_null(strstr(xf_buf_cstr(&buf), "epsilon 7.077 (add-or-remove), 16.51 (replace-one)"));
  assert_non_null(strstr(xf_buf_cstr(&buf), "per user of one silo"));
  s.delta = 0;
  assert_int_equal(xf_statement_print_short(&buf, &s), XF_E_RANGE);
  xf_buf_deinit(&buf);
  xf_buf_init(&buf, 40);
  s.delta = 1e-5;
  assert_int_equal(xf_statement_print(&buf, &s), XF_E_LIMIT);
  xf_buf_deinit(&buf);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_epsilon),
      cmocka_unit_test(test_charges),
      cmocka_unit_test(test_left),
      cmocka_unit_test(test_statement),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
