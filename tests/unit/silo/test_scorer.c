/* A scorer stage: what moves, what it reads, what it keeps; the same again after a drop and a restart. */
#include "base/alloc.h"
#include "resolve/stages.h"
#include "stagetest.h"
#include "tensor/blas.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static struct stagetest t;

static size_t net_floats(void) { return xf_silo_lens(t.s[0].silo)->up[1] / sizeof(float); }

/* Before the first commit the slice is the seeded net, at every silo and at the coordinator. */
static void test_first(void **state) {
  (void)state;
  struct xf_model *net = NULL;
  static float first[STAGETEST_FLOATS];
  stagetest_init(&t, stagetest_scorer, "", NULL);
  assert_int_equal(xf_resolve_scorer(&net, NULL), XF_OK);
  assert_int_equal(xf_model_get_layout(net)->n, net_floats());
  assert_int_equal(xf_resolve_scorer_first(net, first, &t.plan, 1, NULL), XF_OK);
  assert_int_equal(t.global.n_shared, net_floats());
  assert_memory_equal(t.x, first, net_floats() * sizeof(float));
  for (uint64_t i = t.global.n_shared; i < t.global.n; i++) assert_true(t.x[i] == 0);
  uint32_t set = 0;
  for (size_t i = 0; i < net_floats(); i++) set += first[i] != 0;
  assert_true(set > net_floats() / 2);
  xf_model_free(net);
  stagetest_commit(&t); /* the statistic leaves the net as it is */
  assert_memory_equal(t.x, first, net_floats() * sizeof(float));
  for (size_t k = 0; k < 3; k++) { /* down: the whole statistic, then the net */
    const size_t m = t.s[k].n_row, in = m + m * (m - 1) / 2;
    assert_int_equal(xf_silo_lens(t.s[k].silo)->in[1], in * sizeof(float));
    assert_int_equal(stagetest_view(&t, k, XF_TASK_TRAIN, 1), in + net_floats());
    assert_memory_equal(t.s[k].base + in, first, net_floats() * sizeof(float));
  }
  stagetest_deinit(&t);
}

static void test_rounds(void **state) {
  (void)state;
  static float before[STAGETEST_FLOATS], statistic[STAGETEST_FLOATS];
  stagetest_init(&t, stagetest_scorer, "", NULL);
  stagetest_commit(&t);
  const uint64_t rest = t.global.n - t.global.n_shared;
  memcpy(statistic, t.x + t.global.n_shared, rest * sizeof(float));
  for (uint32_t r = 0; r < 3; r++) {
    memcpy(before, t.x, net_floats() * sizeof(float));
    stagetest_commit(&t);
    assert_memory_equal(statistic, t.x + t.global.n_shared, rest * sizeof(float));
    for (size_t i = 0; i < net_floats(); i++) { /* the plain mean of three */
      double sum = 0;
      for (size_t k = 0; k < 3; k++) sum += (double)t.s[k].update[i];
      assert_true(fabs((double)t.x[i] - (double)before[i] - sum / 3) < 1e-6);
    }
    for (size_t k = 0; k < 3; k++) {
      const struct xf_msg_update_begin *b = &t.s[k].answer.begin;
      assert_int_equal(b->weight, 1);
      assert_true(b->n_samples > 0 && b->has_loss && b->loss_count == b->n_samples);
      assert_true(b->loss_sum > 0 && isfinite(b->loss_sum) && t.s[k].answer.norm > 0);
    }
    assert_memory_not_equal(t.s[0].update, t.s[1].update, net_floats() * sizeof(float));
  }
  stagetest_deinit(&t);
}

/* Of the personal state only the net changes: what the silo released of the statistic stays, to be taken out of the sum. */
static void test_personal(void **state) {
  (void)state;
  static float full[STAGETEST_FLOATS];
  stagetest_init(&t, stagetest_scorer, "", NULL);
  stagetest_commit(&t);
  struct xf_silo *s = t.s[0].silo;
  memcpy(full, xf_silo_personal(s, false), xf_silo_params(s) * sizeof(float));
  stagetest_work(&t, 0);
  assert_memory_equal(full, xf_silo_personal(s, false), xf_silo_params(s) * sizeof(float));
  const float *next = xf_silo_personal(s, true);
  const size_t in = xf_silo_lens(s)->in[1] / sizeof(float);
  size_t net = 0;
  for (size_t g = 0; g < xf_silo_layout(s)->n_seg; g++) {
    const struct xf_segment *seg = &xf_silo_layout(s)->seg[g];
    const size_t len = (size_t)xf_segment_len(seg);
    if (seg->stage == 0)
      assert_memory_equal(full + seg->offset, next + seg->offset, len * sizeof(float));
    for (size_t i = 0; seg->stage == 1 && i < len; i++, net++) /* base and update make the net */
      assert_true(fabs((double)next[seg->offset + i] - (double)t.s[0].base[in + net] -
                       (double)t.s[0].update[net]) < 1e-6);
  }
  assert_int_equal(net, net_floats());
  stagetest_deinit(&t);
}

/* The features come from what the stage reads: without the others' part, another update. */
static void test_reads(void **state) {
  (void)state;
  static float with[STAGETEST_FLOATS];
  stagetest_init(&t, stagetest_scorer, "", NULL);
  stagetest_commit(&t);
  stagetest_work(&t, 0);
  memcpy(with, t.s[0].update, net_floats() * sizeof(float));
  stagetest_work(&t, 0); /* asked again */
  assert_memory_equal(with, t.s[0].update, net_floats() * sizeof(float));
  struct xf_silo *s = stagetest_again(&t, 0, "silo-a"); /* started again: state, then directory */
  assert_int_equal(
      xf_silo_restore(s, xf_silo_personal(t.s[0].silo, false), xf_silo_params(t.s[0].silo), false),
      XF_OK);
  assert_int_equal(stagetest_align(&t, 0, s, NULL), XF_OK);
  struct xf_silo_task task = stagetest_task(&t, 0, XF_TASK_TRAIN);
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_silo_work(s, &task, &t.s[0].answer, &diag)) fail_msg("%s", diag.text);
  assert_memory_equal(with, t.s[0].answer.payload.p, t.s[0].answer.payload.len);
  xf_silo_free(s);

  s = stagetest_again(&t, 0, "silo-a");
  assert_int_equal(stagetest_align(&t, 0, s, NULL), XF_OK);
  memset(t.s[0].base, 0, xf_silo_lens(s)->in[1]);
  task.base = t.s[0].base;
  if (xf_silo_work(s, &task, &t.s[0].answer, &diag)) fail_msg("%s", diag.text);
  assert_memory_not_equal(with, t.s[0].answer.payload.p, t.s[0].answer.payload.len);
  xf_silo_free(s);
  stagetest_deinit(&t);
}

static void test_cancelled(void **state) {
  (void)state;
  static float full[STAGETEST_FLOATS];
  atomic_bool cancel = true;
  stagetest_init(&t, stagetest_scorer, "", NULL);
  stagetest_commit(&t);
  struct xf_silo *s = t.s[0].silo;
  memcpy(full, xf_silo_personal(s, false), xf_silo_params(s) * sizeof(float));
  struct xf_silo_task task = stagetest_task(&t, 0, XF_TASK_TRAIN);
  task.cancel = &cancel;
  assert_int_equal(xf_silo_work(s, &task, &t.s[0].answer, NULL), XF_E_CANCELLED);
  assert_int_equal(t.s[0].answer.payload.len, 0);
  xf_silo_outcome(s, true);
  assert_memory_equal(full, xf_silo_personal(s, false), xf_silo_params(s) * sizeof(float));
  stagetest_deinit(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_first),     cmocka_unit_test(test_rounds),
      cmocka_unit_test(test_personal),  cmocka_unit_test(test_reads),
      cmocka_unit_test(test_cancelled),
  };
  if (xf_blas_start(NULL, NULL)) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
