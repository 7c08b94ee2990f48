/* Personal state: promoted, dropped, restored; as before after every error. */
#include "silotest.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static struct silotest t;
static float full[SILOTEST_FLOATS], next[SILOTEST_FLOATS];

static size_t size(void) { return xf_silo_params(t.silo[0]) * sizeof(float); }
static void keep(void) {
  memcpy(full, xf_silo_personal(t.silo[0], false), size());
  memcpy(next, xf_silo_personal(t.silo[0], true), size());
}
static void as_kept(void) {
  assert_memory_equal(full, xf_silo_personal(t.silo[0], false), size());
  assert_memory_equal(next, xf_silo_personal(t.silo[0], true), size());
}

static void test_outcome(void **state) {
  (void)state;
  silotest_init(&t, silotest_mf, "", NULL);
  keep();
  xf_silo_outcome(t.silo[0], true); /* nothing is tentative: nothing happens */
  assert_memory_equal(full, xf_silo_personal(t.silo[0], false), size());
  silotest_work(&t, 0, 1);
  keep();
  assert_memory_not_equal(full, next, size());
  xf_silo_outcome(t.silo[0], false);
  xf_silo_outcome(t.silo[0], true); /* dropped is dropped */
  assert_memory_equal(full, xf_silo_personal(t.silo[0], false), size());
  silotest_work(&t, 0, 1);
  xf_silo_outcome(t.silo[0], true);
  assert_memory_equal(next, xf_silo_personal(t.silo[0], false), size());
  xf_silo_outcome(t.silo[0], false); /* promoted is promoted */
  assert_memory_equal(next, xf_silo_personal(t.silo[0], false), size());
  silotest_deinit(&t);
}

static void test_cancelled(void **state) {
  (void)state;
  atomic_bool cancel = true;
  silotest_init(&t, silotest_mf, "", NULL);
  keep();
  struct xf_silo_task task = silotest_task(&t, 0, 1);
  task.cancel = &cancel;
  assert_int_equal(xf_silo_work(t.silo[0], &task, &t.answer, NULL), XF_E_CANCELLED);
  assert_int_equal(t.answer.payload.len, 0);
  assert_memory_equal(full, xf_silo_personal(t.silo[0], false), size());
  xf_silo_outcome(t.silo[0], true); /* an error made nothing tentative */
  assert_memory_equal(full, xf_silo_personal(t.silo[0], false), size());
  silotest_deinit(&t);
}

static atomic_bool stop;
static void stop_midway(void *arg, uint64_t done, uint64_t total) {
  (void)arg;
  if (2 * done >= total) stop = true;
}

/* An answer still waits for its outcome when the next task fails: it is what the outcome promotes. */
static void test_cancelled_with_a_pending_answer(void **state) {
  (void)state;
  silotest_init(&t, silotest_mf, "", NULL);
  silotest_work(&t, 0, 1);
  keep();
  struct xf_silo_task task = silotest_task(&t, 0, 2);
  stop = false;
  task.cancel = &stop;
  task.progress = stop_midway;
  assert_int_equal(xf_silo_work(t.silo[0], &task, &t.answer, NULL), XF_E_CANCELLED);
  as_kept();
  xf_silo_outcome(t.silo[0], true);
  assert_memory_equal(next, xf_silo_personal(t.silo[0], false), size());
  silotest_deinit(&t);
}

static void test_nan_in_base(void **state) {
  (void)state;
  struct xf_diag diag;
  silotest_init(&t, silotest_mf, "rows.rule=average", NULL);
  silotest_work(&t, 0, 1);
  keep();
  t.base[0][2] = NAN;
  const struct xf_silo_task task = silotest_task(&t, 0, 2);
  xf_diag_init(&diag);
  assert_int_equal(xf_silo_work(t.silo[0], &task, &t.answer, &diag), XF_E_NAN);
  assert_true(diag.text[0] != '\0');
  assert_int_equal(t.answer.payload.len, 0);
  as_kept();
  silotest_deinit(&t);
}

static void test_restore(void **state) {
  (void)state;
  static float x[SILOTEST_FLOATS];
  silotest_init(&t, silotest_mf, "", NULL);
  keep();
  const uint64_t n = xf_silo_params(t.silo[0]);
  for (uint64_t i = 0; i < n; i++) x[i] = (float)i;
  assert_int_equal(xf_silo_restore(t.silo[0], x, n - 1, false), XF_E_SHAPE);
  assert_int_equal(xf_silo_restore(t.silo[0], x, n + 1, true), XF_E_SHAPE);
  x[n - 1] = NAN;
  assert_int_equal(xf_silo_restore(t.silo[0], x, n, false), XF_E_NAN);
  x[n - 1] = INFINITY;
  assert_int_equal(xf_silo_restore(t.silo[0], x, n, true), XF_E_NAN);
  as_kept();
  xf_silo_outcome(t.silo[0], true);
  assert_memory_equal(full, xf_silo_personal(t.silo[0], false), size());

  x[n - 1] = 1;
  assert_int_equal(xf_silo_restore(t.silo[0], x, n, true), XF_OK);
  assert_memory_equal(full, xf_silo_personal(t.silo[0], false), size());
  xf_silo_outcome(t.silo[0], true);
  assert_memory_equal(x, xf_silo_personal(t.silo[0], false), size());
  assert_int_equal(xf_silo_restore(t.silo[0], full, n, false), XF_OK);
  assert_memory_equal(full, xf_silo_personal(t.silo[0], false), size());
  silotest_deinit(&t);
}

/* A silo that starts again from its files goes on as one that never stopped. */
static void test_restart(void **state) {
  (void)state;
  static float answer[SILOTEST_FLOATS];
  silotest_init(&t, silotest_mf, "", NULL);
  silotest_work(&t, 0, 1);
  xf_silo_outcome(t.silo[0], true);
  keep();
  silotest_work(&t, 0, 2);
  const size_t len = t.answer.payload.len;
  memcpy(answer, t.answer.payload.p, len);
  silotest_deinit(&t);
  silotest_init(&t, silotest_mf, "", NULL);
  assert_int_equal(xf_silo_restore(t.silo[0], full, xf_silo_params(t.silo[0]), false), XF_OK);
  silotest_work(&t, 0, 2);
  assert_memory_equal(answer, t.answer.payload.p, len);
  silotest_deinit(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_outcome),
      cmocka_unit_test(test_cancelled),
      cmocka_unit_test(test_cancelled_with_a_pending_answer),
      cmocka_unit_test(test_nan_in_base),
      cmocka_unit_test(test_restore),
      cmocka_unit_test(test_restart),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
