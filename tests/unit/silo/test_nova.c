/* FedNova in silos: with equal numbers of steps it is FedAvg, with others each direction counts by its weight alone; what is sent. */
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

enum { NET = 3, WIRE = NET + 1 };

static struct silotest t;
static float sent[2][WIRE], made[WIRE];

/* What silo i sends in the first round of a plan; floats. */
static size_t work(size_t i, const char *sets) {
  silotest_init(&t, silotest_table, sets, NULL);
  silotest_work(&t, i, 1);
  const size_t n = t.answer.payload.len / sizeof(float);
  assert_true(n <= WIRE);
  memcpy(sent[i], t.answer.payload.p, n * sizeof(float));
  silotest_deinit(&t);
  return n;
}

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
  memcpy(made + at, x, n * sizeof *x);
  return XF_OK;
}

static enum xf_rc fold(const char *sets, struct xf_diag *diag) {
  const struct xf_member_rows none = {{NULL}, {0}};
  struct xf_stagefold_member member[2] = {{.id = "a", .slot = 0, .weight = 2, .rows = &none},
                                          {.id = "b", .slot = 1, .weight = 3, .rows = &none}};
  silotest_init(&t, silotest_table, sets, NULL);
  struct xf_stagefold job = {.global = &t.global,
                             .step = {.eta = 1},
                             .member = member,
                             .n_member = 2,
                             .io = {NULL, NULL, read_part, read_old, write_new, NULL, NULL}};
  const enum xf_rc rc = xf_stagefold_run(&job, diag);
  silotest_deinit(&t);
  return rc;
}

// equal steps: FedAvg's model
static void test_equal(void **state) {
  (void)state;
  static const char *const kinds[] = {"", " local.optimizer.kind=momentum"};
  for (int k = 0; k < 2; k++) {
    char sets[128] = "fed.algorithm=fednova local.epochs=2";
    float want[NET];
    memcpy(sets + strlen(sets), kinds[k], strlen(kinds[k]) + 1);
    for (size_t i = 0; i < 2; i++) assert_int_equal(work(i, strstr(sets, "local")), NET);
    assert_int_equal(fold(strstr(sets, "local"), NULL), XF_OK);
    memcpy(want, made, sizeof want);
    for (size_t i = 0; i < 2; i++) assert_int_equal(work(i, sets), WIRE);
    assert_true(sent[0][NET] == sent[1][NET]); /* 8 steps each */
    assert_true(k ? sent[0][NET] > 8 : sent[0][NET] == 8);
    assert_int_equal(fold(sets, NULL), XF_OK);
    for (int j = 0; j < NET; j++) assert_true(fabs((double)(made[j] - want[j])) < 1e-6);
    assert_true(made[NET] == sent[0][NET]);
  }
}

// other steps: each silo's direction at its weight, as long as the mean number of steps
static void test_other(void **state) {
  (void)state;
  double want[NET];
  float plain[2][NET];
  work(0, "local.epochs=1");
  work(1, "local.epochs=5");
  for (int i = 0; i < 2; i++) memcpy(plain[i], sent[i], sizeof plain[i]);
  work(0, "fed.algorithm=fednova local.epochs=1");
  work(1, "fed.algorithm=fednova local.epochs=5");
  assert_true(sent[0][NET] == 4 && sent[1][NET] == 20);
  assert_int_equal(fold("fed.algorithm=fednova", NULL), XF_OK);
  assert_true(fabs((double)made[NET] - (2 * 4 + 3 * 20) / 5.) < 1e-6);
  for (int j = 0; j < NET; j++) {
    want[j] =
        (double)t.x[j] + 13.6 * (2 * (double)plain[0][j] / 4 + 3 * (double)plain[1][j] / 20) / 5;
    assert_true(fabs((double)made[j] - want[j]) < 1e-6);
  }
}

// vector: fednova_round, by what silos send and the coordinator folds
static void test_vector(void **state) {
  (void)state;
  const double norm[] = {2, 5}, y[] = {.38, -.83193};
  for (int i = 0; i < 2; i++) {
    for (int j = 0; j < NET; j++) sent[i][j] = (float)(y[i] / norm[i]);
    sent[i][NET] = (float)norm[i];
  }
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(fold("fed.algorithm=fednova", &diag), XF_OK); /* weights 2 and 3 */
  for (int j = 0; j < NET; j++)
    assert_true(fabs((double)made[j] - (double)t.x[j] - -.09056007999999999) < 1e-7);
  sent[1][NET] = 0;
  assert_int_equal(fold("fed.algorithm=fednova", &diag), XF_E_RANGE);
  assert_non_null(strstr(diag.text, "\"b\": the norm of its local steps is 0"));
}

int main(void) {
  if (xf_blas_start(NULL, NULL)) return 1;
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_equal), cmocka_unit_test(test_other),
                                     cmocka_unit_test(test_vector)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
