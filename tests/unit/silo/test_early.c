/* Deciding from what a training task brought: as from the model with only those stages, and without a trace in what is trained. */
#include "stagetest.h"
#include "tensor/blas.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { TEXT = 1 << 14 };
static struct stagetest t;

/* The decision in words without its first line, which says how long it took. */
static void words(char out[TEXT], const struct xf_silo *s) {
  struct xf_buf text;
  xf_buf_init(&text, TEXT);
  assert_int_equal(xf_silo_explain(s, &text), XF_OK);
  const char *from = strchr(xf_buf_cstr(&text), '\n');
  assert_true(from && strlen(from) < TEXT);
  (void)snprintf(out, TEXT, "%s", from);
  xf_buf_deinit(&text);
}

/* Early in the stage at hand, and from all stages with those set to 0 that the task did not bring. */
static void same(size_t k, uint32_t stage, uint32_t brought) {
  static char early[TEXT], want[TEXT];
  struct xf_silo *s = t.s[k].silo;
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(xf_silo_brought(s, stage, t.committed), brought);
  (void)stagetest_view(&t, k, XF_TASK_TRAIN, stage);
  if (xf_silo_decide_early(s, stage, t.committed, t.s[k].base, &diag)) fail_msg("%s", diag.text);
  words(early, s);
  const size_t n = stagetest_view(&t, k, XF_TASK_EVALUATE, 0);
  const uint64_t n_scorer =
      t.global.stage[1].n; /* the scorer's net lies before all that is keyed */
  if (!(brought >> 1)) memset(t.s[k].base, 0, (size_t)n_scorer * sizeof(float));
  assert_true(n > n_scorer);
  struct xf_silo *fresh = stagetest_again(&t, k, t.s[k].member);
  assert_int_equal(stagetest_align(&t, k, fresh, NULL), XF_OK);
  assert_int_equal(xf_silo_restore(fresh, xf_silo_personal(s, false), xf_silo_params(s), false),
                   XF_OK);
  if (xf_silo_arm_make(fresh, XF_SILO_GUARDED, t.s[k].base, &diag)) fail_msg("%s", diag.text);
  words(want, fresh);
  if (strcmp(early, want) != 0) fail_msg("%s\n--- not ---\n%s", early, want);
  assert_non_null(strstr(early, "pooled")); /* a candidate, or why not */
  assert_int_equal(strstr(early, "unit-free") != NULL, brought >> 1);
  xf_silo_free(fresh);
}

static void test_as_the_model(void **state) {
  (void)state;
  stagetest_init(&t, stagetest_scorer, "", NULL);
  struct xf_silo *s = t.s[0].silo;
  assert_int_equal(xf_silo_brought(s, 0, 0), 0);
  assert_int_equal(xf_silo_brought(s, 1, 0), 0); /* another stage than the one at hand */
  assert_int_equal(xf_silo_brought(s, 9, 0), 0);
  assert_int_equal(xf_silo_decide_early(s, 0, 0, t.s[0].base, NULL), XF_E_NOTFOUND);
  stagetest_commit(&t);
  same(0, 1, 1); /* the statistic; the net has only its first weights */
  stagetest_commit(&t);
  assert_int_equal(xf_silo_brought(s, 1, t.committed), 1);
  stagetest_commit(&t);
  same(1, 1, 3); /* in the last round the net of the rounds before, too */
  stagetest_deinit(&t);
}

/* The same updates and the same personal state, whether a silo decides between its tasks or not. */
static void test_no_trace(void **state) {
  (void)state;
  static float x[STAGETEST_FLOATS], personal[STAGETEST_FLOATS];
  const char *const plan[] = {stagetest_rows, stagetest_both};
  for (size_t p = 0; p < 2; p++)
    for (int early = 0; early < 2; early++) {
      stagetest_init(&t, plan[p], "", NULL);
      struct xf_silo *s = t.s[0].silo;
      uint32_t decided = 0;
      while (t.committed < xf_plan_rounds(&t.plan)) {
        const uint32_t stage = xf_plan_stage_at(&t.plan, t.committed, NULL);
        if (early && xf_silo_brought(s, stage, t.committed)) {
          stagetest_work(&t, 0); /* the answer waits for its outcome while the silo decides */
          assert_int_equal(xf_silo_decide_early(s, stage, t.committed, t.s[0].base, NULL), XF_OK);
          decided++;
        }
        stagetest_commit(&t);
      }
      const size_t n = (size_t)t.global.n, own = (size_t)xf_silo_params(s);
      assert_true(n <= STAGETEST_FLOATS && own <= STAGETEST_FLOATS);
      assert_true(!early || decided >= 2);
      if (early) {
        assert_memory_equal(x, t.x, n * sizeof *x);
        assert_memory_equal(personal, xf_silo_personal(s, false), own * sizeof *personal);
      }
      memcpy(x, t.x, n * sizeof *x);
      memcpy(personal, xf_silo_personal(s, false), own * sizeof *personal);
      stagetest_deinit(&t);
    }
}

static void test_cancel(void **state) {
  (void)state;
  static char before[TEXT], after[TEXT];
  atomic_bool cancel = true;
  struct xf_diag diag;
  stagetest_init(&t, stagetest_scorer, "", NULL);
  struct xf_silo *s = t.s[0].silo;
  stagetest_commit(&t);
  (void)stagetest_view(&t, 0, XF_TASK_EVALUATE, 0);
  assert_int_equal(xf_silo_arm_make(s, XF_SILO_GUARDED, t.s[0].base, NULL), XF_OK);
  words(before, s);
  (void)stagetest_view(&t, 0, XF_TASK_TRAIN, 1);
  xf_silo_set_cancel(s, &cancel);
  xf_diag_init(&diag);
  assert_int_equal(xf_silo_decide_early(s, 1, 1, t.s[0].base, &diag), XF_E_CANCELLED);
  words(after, s);
  assert_string_equal(before, after); /* what was decided before stays */
  cancel = false;
  assert_int_equal(xf_silo_decide_early(s, 1, 1, t.s[0].base, &diag), XF_OK);
  xf_silo_set_cancel(s, NULL);
  stagetest_deinit(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_as_the_model),
      cmocka_unit_test(test_no_trace),
      cmocka_unit_test(test_cancel),
  };
  if (xf_blas_start(NULL, NULL)) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
