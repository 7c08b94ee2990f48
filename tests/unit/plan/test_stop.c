/* Where early_stop ends a run, by figures of its evaluations. */
#include "plan/stop.h"

#include "texts.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* After how many of these evaluations the run is over; 0: it is not. */
static unsigned over_after(const char *sets, const double *figure, unsigned n,
                           struct xf_plan_stop *stop) {
  struct xf_plan p;
  texts_load_ok(&p, base, sets);
  *stop = (struct xf_plan_stop){0};
  unsigned at = 0;
  for (unsigned i = 0; i < n; i++) {
    xf_plan_stop_take(stop, &p, 10 * (i + 1), figure[i]);
    if (!at && xf_plan_stop_over(stop, &p)) at = i + 1;
  }
  return at;
}

static void test_patience(void **state) {
  (void)state;
  struct xf_plan_stop s;
  const double rises[] = {.1, .2, .15, .2, .3, .3, .25, .9};
  assert_int_equal(over_after("", rises, 8, &s), 0);
  assert_false(s.any); /* without early_stop nothing is kept */
  assert_int_equal(over_after("early_stop.patience=1", rises, 8, &s), 3);
  assert_true(s.best == .2 && s.best_at == 20 &&
              s.without == 1); /* what follows is not looked at */
  assert_int_equal(over_after("early_stop.patience=2", rises, 8, &s), 4); /* as good is no better */
  assert_int_equal(over_after("early_stop.patience=3", rises, 8, &s), 0);
  assert_true(s.best == .9 && s.best_at == 80 && s.without == 0);
}

static void test_delta(void **state) {
  (void)state;
  struct xf_plan_stop s;
  const double creeps[] = {.5, .53, .56, .61, .6, .6}, none[] = {(double)NAN, .5, (double)NAN, .4};
  assert_int_equal(over_after("early_stop.patience=2 early_stop.min_delta=0.1", creeps, 6, &s), 3);
  assert_int_equal(over_after("early_stop.patience=3 early_stop.min_delta=0.1", creeps, 6, &s), 0);
  assert_true(s.best == .61);
  assert_int_equal(over_after("early_stop.patience=2", none, 4, &s),
                   0); /* no figure counts for nothing */
  assert_true(s.best == .5 && s.without == 1);
}

/* A metric whose smaller values are better. */
static void test_down(void **state) {
  (void)state;
  struct xf_plan_stop s;
  const double falls[] = {2, 1.5, 1.6, 1.4, 1.4, 1.5};
  const char *sets = "model.loss=mse eval.metrics=rmse eval.protocol= arms=alone,federated "
                     "early_stop.patience=2";
  assert_int_equal(over_after(sets, falls, 6, &s), 6);
  assert_true(s.best == 1.4 && s.best_at == 40);
  struct xf_plan p;
  struct xf_buf text;
  texts_load_ok(&p, base, sets);
  xf_buf_init(&text, 512);
  assert_int_equal(xf_plan_stop_print(&text, &s, &p), XF_OK);
  assert_string_equal(xf_buf_cstr(&text),
                      "early_stop: rmse 1.4 after commit 40 was not improved in 2 evaluations");
  xf_buf_deinit(&text);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_patience), cmocka_unit_test(test_delta),
                                     cmocka_unit_test(test_down)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
