// early_stop: the run is done at the evaluation that says so, also when that evaluation was the last thing before a crash.
#include "coordtest.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { SILOS = 3, ROUNDS = 10 };

/* An evaluation after each commit; two in a row without improvement end the run. */
static struct ct *patient(void) {
  struct ct *t = ct_start(SILOS, ROUNDS);
  t->plan.eval.every = 1;
  memcpy(t->plan.eval.metrics[0], "acc", 4);
  memcpy(t->plan.early_stop.metric, "acc", 4);
  t->plan.early_stop.patience = 2;
  return t;
}

static void answer_all(struct ct *t) {
  for (uint32_t i = 0; i < SILOS; i++) ct_answer(t, i);
}

static void round_and_evaluation(struct ct *t, double figure) {
  answer_all(t);
  assert_int_equal(t->offer[0].kind, XF_TASK_EVALUATE);
  t->figure = figure;
  answer_all(t);
}

static void test_stops(void **state) {
  (void)state;
  const double figure[] = {.5, .6, (double)NAN, .6, .55};
  struct ct *t = patient();
  ct_run(t);
  ct_join_all(t);
  for (int k = 0; k < 5; k++) {
    assert_false(ct_view(t).done);
    round_and_evaluation(t, figure[k]);
  }
  assert_true(ct_view(t).done);
  assert_int_equal(ct_view(t).committed, 5);
  assert_int_equal(t->offer[0].kind, XF_TASK_FINAL);
  assert_int_equal(ct_records(t, XF_RECORD_OPEN), 10);
  assert_string_equal(t->done_text,
                      "early_stop: acc 0.6 after commit 2 was not improved in 2 evaluations");
  ct_stop(t);
}

static void test_goes_to_the_end(void **state) {
  (void)state;
  struct ct *t = patient();
  ct_run(t);
  ct_join_all(t);
  for (int k = 0; k < ROUNDS; k++) round_and_evaluation(t, .1 * k);
  assert_true(ct_view(t).done);
  assert_int_equal(ct_view(t).committed, ROUNDS);
  assert_string_equal(t->done_text, "");
  ct_stop(t);
}

/* A crash between the evaluation's row and that of the end: done at once, and no round is opened. */
static void test_recovers(void **state) {
  (void)state;
  struct ct *t = patient();
  t->recovery.epoch = 2;
  t->recovery.last_round = 6;
  t->recovery.committed = t->recovery.evaluated_at = 3;
  t->recovery.stop = (struct xf_plan_stop){.any = true, .best = .5, .best_at = 1, .without = 2};
  ct_run(t);
  assert_true(ct_view(t).done);
  ct_join_all(t);
  assert_int_equal(t->offer[1].kind, XF_TASK_FINAL);
  assert_int_equal(ct_records(t, XF_RECORD_OPEN), 0);
  assert_int_equal(ct_records(t, XF_RECORD_DONE), 1);
  ct_stop(t);
  t = patient(); /* one evaluation earlier it goes on, and remembers */
  t->recovery.epoch = 2;
  t->recovery.last_round = 4;
  t->recovery.committed = t->recovery.evaluated_at = 2;
  t->recovery.stop = (struct xf_plan_stop){.any = true, .best = .5, .best_at = 1, .without = 1};
  ct_run(t);
  ct_join_all(t);
  assert_false(ct_view(t).done);
  round_and_evaluation(t, .5);
  assert_true(ct_view(t).done);
  assert_int_equal(ct_view(t).committed, 3);
  ct_stop(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_stops),
      cmocka_unit_test(test_goes_to_the_end),
      cmocka_unit_test(test_recovers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
