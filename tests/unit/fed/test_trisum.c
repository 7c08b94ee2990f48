// Sums of packed triangles: positions, the sum against a full matrix, any tiling, a member's view, bad input.
#include "fed/trisum.h"

#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { M = 23, K = 3, TRIANGLE = M * (M - 1) / 2 };

struct world {
  float part[K][TRIANGLE]; // members' triangles
  uint32_t row[K][M];
  struct xf_trisum_member member[K];
  float old_value[TRIANGLE], sum[TRIANGLE];
  int fail_slot; // whose read fails, -1: nobody's
};

static enum xf_rc read_part(void *arg, size_t slot, uint64_t at, float *out, size_t n) {
  const struct world *w = arg;
  if ((int)slot == w->fail_slot) return XF_E_IO;
  assert_true(at + n <= xf_triangle_count(w->member[slot].n));
  memcpy(out, w->part[slot] + at, n * sizeof *out);
  return XF_OK;
}

static enum xf_rc read_old(void *arg, uint64_t at, float *out, size_t n) {
  memcpy(out, ((const struct world *)arg)->old_value + at, n * sizeof *out);
  return XF_OK;
}

static enum xf_rc write_new(void *arg, uint64_t at, const float *x, size_t n) {
  struct world *w = arg;
  assert_true(at + n <= TRIANGLE);
  memcpy(w->sum + at, x, n * sizeof *x);
  return XF_OK;
}

static struct xf_trisum_job job_of(struct world *w) {
  return (struct xf_trisum_job){M, w->member, K, w, read_part, read_old, write_new};
}

// Three members; the second holds everything, the third two items.
static struct world *world_new(uint64_t seed) {
  static const char *const id[K] = {"bank", "clinic", "school"};
  struct world *w = calloc(1, sizeof *w);
  assert_non_null(w);
  struct xf_rng rng;
  xf_rng_init(&rng, seed, 0);
  w->fail_slot = -1;
  for (int k = 0; k < K; k++) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < M; i++)
      if (k == 1 || (k == 0 && i % 3 != 1) || (k == 2 && (i == 4 || i == M - 1)))
        w->row[k][n++] = i;
    w->member[k] = (struct xf_trisum_member){id[k], (size_t)k, w->row[k], n};
    for (uint64_t j = 0; j < xf_triangle_count(n); j++)
      w->part[k][j] = (float)(xf_rng_double(&rng) * 8 - 4);
  }
  for (int j = 0; j < TRIANGLE; j++) w->old_value[j] = (float)xf_rng_double(&rng);
  return w;
}

static void fold(struct world *w, uint32_t step) {
  const struct xf_trisum_job job = job_of(w);
  struct xf_diag diag = {0};
  struct xf_trisum_scratch *s = xf_trisum_scratch_new(M);
  assert_non_null(s);
  assert_int_equal(xf_trisum_check(&job, &diag), XF_OK);
  for (uint32_t i = 0; i < M; i += step)
    assert_int_equal(xf_trisum_fold(&job, s, i, i + step < M ? i + step : M, &diag), XF_OK);
  xf_trisum_scratch_free(s);
}

static void test_positions(void **state) {
  (void)state;
  assert_int_equal(xf_triangle_count(0), 0);
  assert_int_equal(xf_triangle_count(1), 0);
  assert_int_equal(xf_triangle_count(4), 6);
  assert_int_equal(xf_triangle_count(3269), 5341546);
  assert_true(xf_triangle_count(UINT32_MAX) == (uint64_t)UINT32_MAX * (UINT32_MAX - 1) / 2);
  uint64_t at = 0; // rows follow each other without a hole
  for (uint32_t i = 0; i < M; i++) {
    assert_int_equal(xf_triangle_row(M, i), at);
    at += M - i - 1;
  }
  assert_int_equal(at, TRIANGLE);
}

// Against the plain definition: a full matrix, filled pair by pair in member order.
static void test_sum(void **state) {
  (void)state;
  struct world *w = world_new(7);
  fold(w, M);
  uint64_t at = 0;
  for (uint32_t i = 0; i < M; i++)
    for (uint32_t j = i + 1; j < M; j++, at++) {
      double acc = 0;
      for (int k = 0; k < K; k++)
        for (uint32_t a = 0, e = 0; a < w->member[k].n; a++)
          for (uint32_t b = a + 1; b < w->member[k].n; b++, e++)
            if (w->row[k][a] == i && w->row[k][b] == j) acc += (double)w->part[k][e];
      const float want = (float)((double)w->old_value[at] + acc);
      assert_memory_equal(&want, &w->sum[at], sizeof want);
    }
  free(w);
}

static void test_any_rows_at_a_time(void **state) {
  (void)state;
  struct world *one = world_new(8), *other = world_new(8);
  fold(one, M);
  for (uint32_t step = 1; step < M; step++) {
    memset(other->sum, 0xff, sizeof other->sum);
    fold(other, step);
    assert_memory_equal(one->sum, other->sum, sizeof one->sum);
  }
  free(one);
  free(other);
}

// What a member takes of the sum is the sum of its pairs; alone, it is what it sent.
static void test_take(void **state) {
  (void)state;
  struct world *w = world_new(9);
  const struct xf_trisum_member *m = &w->member[0];
  struct xf_trisum_job job = job_of(w);
  memset(w->old_value, 0, sizeof w->old_value);
  job.n_member = 1;
  struct xf_diag diag = {0};
  struct xf_trisum_scratch *s = xf_trisum_scratch_new(M);
  assert_int_equal(xf_trisum_fold(&job, s, 0, M, &diag), XF_OK);
  for (uint32_t a = 0; a + 1 < m->n; a++) {
    float got[M];
    xf_trisum_take(got, m, a, w->sum + xf_triangle_row(M, m->row[a]));
    assert_memory_equal(got, w->part[0] + xf_triangle_row(m->n, a), (m->n - a - 1) * sizeof *got);
  }
  xf_trisum_scratch_free(s);
  free(w);
}

static void test_refusals(void **state) {
  (void)state;
  struct world *w = world_new(10);
  struct xf_trisum_job job = job_of(w);
  struct xf_diag diag = {0};
  w->row[0][1] = w->row[0][0];
  assert_int_equal(xf_trisum_check(&job, &diag), XF_E_INVAL);
  assert_non_null(strstr(diag.text, "bank"));
  w->row[0][1] = M;
  assert_int_equal(xf_trisum_check(&job, &diag), XF_E_INVAL);
  assert_non_null(strstr(diag.text, "directory of 23"));
  w->row[0][1] = 2;
  w->member[1].id = "bank";
  assert_int_equal(xf_trisum_check(&job, &diag), XF_E_INVAL);
  w->member[1].id = "clinic";
  job.read = NULL;
  assert_int_equal(xf_trisum_check(&job, &diag), XF_E_INVAL);
  job.read = read_part;
  assert_int_equal(xf_trisum_check(&job, &diag), XF_OK);

  struct xf_trisum_scratch *s = xf_trisum_scratch_new(M);
  w->fail_slot = 2;
  assert_int_equal(xf_trisum_fold(&job, s, 0, M, &diag), XF_E_IO);
  assert_non_null(strstr(diag.text, "school"));
  w->fail_slot = -1;
  w->part[1][xf_triangle_row(M, 3) + 4] = NAN; // the clinic's pair (3, 8)
  assert_int_equal(xf_trisum_fold(&job, s, 0, 3, &diag), XF_OK);
  assert_int_equal(xf_trisum_fold(&job, s, 3, 4, &diag), XF_E_NAN);
  assert_non_null(strstr(diag.text, "(3, 8)"));
  xf_trisum_scratch_free(s);
  free(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_positions),          cmocka_unit_test(test_sum),
      cmocka_unit_test(test_any_rows_at_a_time), cmocka_unit_test(test_take),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
