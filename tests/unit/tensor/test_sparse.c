// The sparse product and the step on pairs: the plain loops' numbers, the same bits on every instruction set.
#include "base/alloc.h"
#include "base/rng.h"
#include "tensor/kern.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static const size_t widths[] = {1, 3, 8, 16, 17, 32, 64, 65, 100, 130};
enum { N_WIDTH = sizeof widths / sizeof *widths, ROWS = 40, MAX_C = 130, ENTRIES = 300 };

static struct xf_rng rng;

static void uniform(float *x, double *y, size_t n) {
  for (size_t i = 0; i < n; i++) {
    x[i] = (float)(xf_rng_double(&rng) * 2 - 1);
    y[i] = (double)x[i];
  }
}

static void close_to(const float *got, const double *want, size_t n, double tol, const char *isa) {
  for (size_t i = 0; i < n; i++)
    if (!(fabs((double)got[i] - want[i]) <= tol * fmax(1, fabs(want[i]))))
      fail_msg("%s: [%zu] = %.9g, reference %.17g", isa, i, (double)got[i], want[i]);
}

static float x[ROWS * MAX_C], out[ROWS * MAX_C], first[ROWS * MAX_C], start[ROWS * MAX_C],
    w[ENTRIES];
static double x64[ROWS * MAX_C], out64[ROWS * MAX_C], start64[ROWS * MAX_C], w64[ENTRIES];
static int32_t row[ENTRIES], col[ENTRIES];

static void check_spmm(size_t C, size_t nnz) {
  const struct xf_kern *k;
  uniform(x, x64, ROWS * C);
  uniform(start, start64, ROWS * C);
  uniform(w, w64, nnz);
  memcpy(out64, start64, ROWS * C * sizeof *out64);
  xf_kern_ref64.spmm(out64, row, col, w64, x64, nnz, C);
  memcpy(first, start, ROWS * C * sizeof *first);
  xf_kern_ref.spmm(first, row, col, w, x, nnz, C);
  close_to(first, out64, ROWS * C, 1e-5, "reference");
  for (size_t t = 0; (k = xf_kern_next(t)) != NULL; t++) {
    memcpy(out, start, ROWS * C * sizeof *out);
    k->spmm(out, row, col, w, x, nnz, C);
    assert_memory_equal(first, out,
                        ROWS * C * sizeof *out); // each sum is one chain, as in the loop
  }
}

static void test_spmm(void **state) {
  (void)state;
  xf_rng_init(&rng, 1, 0);
  for (size_t i = 0; i < N_WIDTH; i++) {
    for (size_t e = 0; e < ENTRIES; e++) { // by row, with empty rows; row 5 is long
      row[e] = (int32_t)(e < 100 ? 5 : 5 + (e - 100) / 3 % 35);
      col[e] = (int32_t)xf_rng_below(&rng, ROWS);
    }
    check_spmm(widths[i], ENTRIES);
    check_spmm(widths[i], 0);
    check_spmm(widths[i], 1);
    for (size_t e = 0; e < ENTRIES; e++) row[e] = (int32_t)xf_rng_below(&rng, ROWS); // in any order
    check_spmm(widths[i], ENTRIES);
  }
}

// --- pairs

static float user[3][ROWS * MAX_C], item[3][ROWS * MAX_C], bias[3][ROWS];
static double user64[ROWS * MAX_C], item64[ROWS * MAX_C], bias64[ROWS];
static int32_t ids[3][ENTRIES];

static double run(const struct xf_kern *k, int slot, size_t C, bool with_bias, float l2) {
  const int32_t *const id[3] = {ids[0], ids[1], ids[2]};
  memcpy(user[slot], x, ROWS * C * sizeof **user);
  memcpy(item[slot], start, ROWS * C * sizeof **item);
  memcpy(bias[slot], w, sizeof bias[slot]);
  return k->bpr(user[slot], item[slot], with_bias ? bias[slot] : NULL, id, ENTRIES, C, .05f, l2);
}

static void check_bpr(size_t C, bool with_bias, float l2) {
  const int32_t *const id[3] = {ids[0], ids[1], ids[2]};
  const struct xf_kern *k;
  uniform(x, user64, ROWS * C);
  uniform(start, item64, ROWS * C);
  uniform(w, bias64, ROWS);
  const double want = xf_kern_ref64.bpr(user64, item64, with_bias ? bias64 : NULL, id, ENTRIES, C,
                                        (double).05f, (double)l2);
  assert_true(want > 1);
  for (size_t t = 0; t == 0 || xf_kern_next(t - 1) != NULL; t++) {
    k = t == 0 ? &xf_kern_ref : xf_kern_next(t - 1);
    const int slot = t == 0 ? 0 : t == 1 ? 1 : 2;
    const double got = run(k, slot, C, with_bias, l2);
    assert_true(fabs(got - want) < 1e-4 * want);
    close_to(user[slot], user64, ROWS * C, 2e-5, k->isa);
    close_to(item[slot], item64, ROWS * C, 2e-5, k->isa);
    close_to(bias[slot], bias64, ROWS, 2e-5, k->isa);
    if (t < 2) continue;
    assert_memory_equal(user[1], user[2], ROWS * C * sizeof **user);
    assert_memory_equal(item[1], item[2], ROWS * C * sizeof **item);
    assert_memory_equal(bias[1], bias[2], sizeof bias[1]);
  }
}

static void test_bpr(void **state) {
  (void)state;
  xf_rng_init(&rng, 2, 0);
  for (size_t k = 0; k < ENTRIES; k++)
    for (int i = 0; i < 3; i++) ids[i][k] = (int32_t)xf_rng_below(&rng, ROWS);
  for (size_t k = 0; k < ENTRIES; k += 20) ids[2][k] = ids[1][k]; // no negative was found
  for (size_t i = 0; i < N_WIDTH; i++) {
    check_bpr(widths[i], true, .01f);
    check_bpr(widths[i], false, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_spmm), cmocka_unit_test(test_bpr)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
