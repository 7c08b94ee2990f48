/* SCAFFOLD in silos: c stays the mean of all c_k, tasks repeat, what is personal stays, a silo that lost its state changes no c. */
#include "resolve/stagefold.h"
#include "silotest.h"
#include "tensor/blas.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

#define SCAFFOLD "fed.algorithm=scaffold fed.weighting=uniform local.epochs=2 "
enum { NET = 3, WIRE = 2 * NET, FULL = 3 * NET + 1 }; /* two weights, a bias; c_k and the count */

static struct silotest t;
static float sent[SILOTEST_MAX][WIRE];
static uint64_t counted[SILOTEST_MAX];

static enum xf_rc read_part(void *arg, size_t slot, uint64_t at, float *out, size_t n) {
  (void)arg;
  memcpy(out, sent[slot] + at, n * sizeof *out);
  return XF_OK;
}
static enum xf_rc read_old(void *arg, uint64_t at, float *out, size_t n) {
  (void)arg;
  memcpy(out, t.x + at, n * sizeof *out);
  return XF_OK;
}
static enum xf_rc write_new(void *arg, uint64_t at, const float *x, size_t n) {
  (void)arg;
  memcpy(t.x + at, x, n * sizeof *x);
  return XF_OK;
}

static void start(const char *sets) {
  silotest_init(&t, silotest_table, sets, NULL);
  memset(counted, 0, sizeof counted);
}

static void work(size_t i, uint64_t round) {
  struct xf_silo_task task = silotest_task(&t, i, round);
  struct xf_diag diag;
  xf_diag_init(&diag);
  task.offer.counted = counted[i];
  if (xf_silo_work(t.silo[i], &task, &t.answer, &diag)) fail_msg("%s", diag.text);
  assert_int_equal(t.answer.payload.len, sizeof sent[i]);
  memcpy(sent[i], t.answer.payload.p, sizeof sent[i]);
}

/* Folds what silos of the mask sent; the model is what both see. */
static void commit(unsigned mask, uint64_t n_listed) {
  static const char *const id[] = {"silo-a", "silo-b"};
  const struct xf_member_rows none = {{NULL}, {0}};
  struct xf_stagefold_member member[2];
  struct xf_stagefold fold = {.global = &t.global,
                              .step = {.eta = 1},
                              .n_listed = n_listed,
                              .member = member,
                              .io = {NULL, NULL, read_part, read_old, write_new, NULL, NULL}};
  for (size_t i = 0; i < 2; i++)
    if (mask >> i & 1) {
      member[fold.n_member++] =
          (struct xf_stagefold_member){.id = id[i], .slot = i, .weight = 1, .rows = &none};
      xf_silo_outcome(t.silo[i], true);
      counted[i]++;
    }
  assert_int_equal(xf_stagefold_run(&fold, NULL), XF_OK);
  for (size_t i = 0; i < 2; i++) memcpy(t.base[i], t.x, WIRE * sizeof(float));
}

static const float *own(size_t i) { return xf_silo_personal(t.silo[i], false) + WIRE; }

// the payload doubles, c_k does not leave, and with everybody in every round c is the mean of all c_k
static void test_rounds(void **state) {
  (void)state;
  float before[WIRE], plain[NET];
  start("fed.weighting=uniform local.epochs=2");
  silotest_work(&t, 0, 1);
  assert_int_equal(t.answer.payload.len, sizeof plain);
  memcpy(plain, t.answer.payload.p, sizeof plain);
  silotest_deinit(&t);
  start(SCAFFOLD);
  assert_int_equal(xf_silo_params(t.silo[0]), FULL);
  assert_int_equal(xf_silo_model_len(t.silo[0]), sizeof sent[0]);
  for (uint64_t round = 1; round <= 4; round++) {
    memcpy(before, t.x, sizeof before);
    for (size_t i = 0; i < 2; i++) work(i, round);
    commit(3, 2);
    for (int j = 0; j < NET && round == 1; j++) { /* no correction yet: FedAvg's steps */
      assert_true(fabs((double)(sent[0][j] - plain[j])) < 1e-6);
      const double way = 2 * 4 * .1; /* 32 train rows by 8; c_k is the mean gradient on it */
      assert_true(fabs(-(double)sent[0][j] / way - (double)own(0)[j]) < 1e-5);
    }
    for (int j = 0; j < NET; j++) {
      assert_true(own(0)[j] != own(1)[j]);
      assert_true(fabs((double)t.x[NET + j] - ((double)own(0)[j] + (double)own(1)[j]) / 2) < 1e-6);
    }
    assert_true(own(0)[NET] == (float)round && own(1)[NET] == (float)round);
    assert_memory_not_equal(before, t.x, sizeof before);
  }
  silotest_deinit(&t);
}

// of two of four members that take part, c gets half the mean change
static void test_partial(void **state) {
  (void)state;
  start(SCAFFOLD);
  for (size_t i = 0; i < 2; i++) work(i, 1);
  commit(3, 4);
  for (int j = 0; j < NET; j++)
    assert_true(fabs((double)t.x[NET + j] - ((double)own(0)[j] + (double)own(1)[j]) / 4) < 1e-6);
  /* one that was away keeps its c_k, and what it has is still counted */
  const float kept = own(1)[0];
  work(0, 2);
  commit(1, 4);
  work(1, 3);
  assert_false(t.answer.uncounted);
  assert_true(own(1)[0] == kept && sent[1][NET] != 0);
  silotest_deinit(&t);
}

// the same task again is the same answer, whatever its first try left; a discarded answer leaves c_k as it was
static void test_repeats(void **state) {
  (void)state;
  float first[WIRE], kept[NET + 1];
  start(SCAFFOLD);
  for (size_t i = 0; i < 2; i++) work(i, 1);
  commit(3, 2);
  memcpy(kept, own(0), sizeof kept);
  work(0, 2);
  memcpy(first, sent[0], sizeof first);
  assert_memory_equal(kept, own(0), sizeof kept);
  xf_silo_outcome(t.silo[0], false);
  assert_memory_equal(kept, own(0), sizeof kept);
  work(0, 2);
  assert_memory_equal(first, sent[0], sizeof first);
  float state_kept[FULL];
  memcpy(state_kept, xf_silo_personal(t.silo[0], false), sizeof state_kept);
  const uint64_t n = counted[0];
  float base[WIRE];
  memcpy(base, t.base[0], sizeof base);
  silotest_deinit(&t); /* a process that starts again has the personal state of the last commit */
  start(SCAFFOLD);
  counted[0] = n;
  memcpy(t.base[0], base, sizeof base);
  assert_int_equal(xf_silo_restore(t.silo[0], state_kept, FULL, false), XF_OK);
  work(0, 2);
  assert_false(t.answer.uncounted);
  assert_memory_equal(first, sent[0], sizeof first);
  silotest_deinit(&t);
}

static void keeps_c(uint64_t round) {
  work(0, round);
  assert_true(t.answer.uncounted);
  for (int j = 0; j < NET; j++) assert_true(sent[0][NET + j] == 0 && sent[0][j] != 0);
}

// a silo without the state that the coordinator counts trains from c_k = 0, or from an older one, and changes no c until it is counted
static void test_lost(void **state) {
  (void)state;
  float old[FULL], c[NET];
  start(SCAFFOLD);
  for (size_t i = 0; i < 2; i++) work(i, 1);
  commit(3, 2);
  memcpy(old, xf_silo_personal(t.silo[0], false), sizeof old);
  for (size_t i = 0; i < 2; i++) work(i, 2);
  commit(3, 2);
  memcpy(c, t.x + NET, sizeof c);
  for (int k = 0; k < 2; k++) { /* reinstalled; restored from an older copy */
    float x[FULL] = {0};
    if (k) memcpy(x, old, sizeof x);
    assert_int_equal(xf_silo_restore(t.silo[0], x, FULL, false), XF_OK);
    keeps_c(3);
    xf_silo_outcome(t.silo[0], false); /* the round is given up: still not counted */
    keeps_c(4);
  }
  commit(1, 2);
  assert_memory_equal(c, t.x + NET, sizeof c);
  work(0, 5);
  assert_false(t.answer.uncounted);
  assert_true(sent[0][NET] != 0);
  /* one that never took part is no loss */
  silotest_deinit(&t);
  start(SCAFFOLD);
  work(0, 7);
  assert_false(t.answer.uncounted);
  assert_true(sent[0][NET] != 0);
  silotest_deinit(&t);
}

// the arm alone trains by itself, without corrections
static void test_alone(void **state) {
  (void)state;
  struct xf_diag diag;
  float alone[NET];
  xf_diag_init(&diag);
  for (int k = 0; k < 2; k++) {
    start(k ? SCAFFOLD : "fed.weighting=uniform local.epochs=2");
    if (xf_silo_arm_make(t.silo[0], XF_SILO_ALONE, t.base[0], &diag)) fail_msg("%s", diag.text);
    const float *x = xf_silo_arm_params(t.silo[0]);
    for (int j = 0; j < NET && k; j++) assert_true(fabs((double)(x[j] - alone[j])) < 1e-6);
    memcpy(alone, x, sizeof alone);
    silotest_deinit(&t);
  }
}

int main(void) {
  if (xf_blas_start(NULL, NULL)) return 1;
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_rounds), cmocka_unit_test(test_partial),
                                     cmocka_unit_test(test_repeats), cmocka_unit_test(test_lost),
                                     cmocka_unit_test(test_alone)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
