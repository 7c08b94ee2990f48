// Two levels of means are one. Vector: federated_optimisation.json, hierarchical_equals_flat.
#include "fed/edges.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { LEN = 3 };
static const float local[3][LEN] = {{1.5f, 1, -1}, {0, 2.5f, 0.5f}, {1.2f, 2, -3}};
static const uint64_t n[3] = {10, 30, 60};

static void near(const float *got, const double *want) {
  for (int j = 0; j < LEN; j++) assert_true(fabs((double)got[j] - want[j]) < 1e-6);
}

static void test_hierarchical_equals_flat(void **state) {
  (void)state;
  const float *const all[3] = {local[0], local[1], local[2]};
  float edge[2][LEN], cloud[LEN], flat[LEN];
  assert_true(xf_edges_mean(edge[0], all, n, 2, LEN));
  assert_true(xf_edges_mean(edge[1], all + 2, n + 2, 1, LEN));
  near(edge[0], (double[]){0.375, 2.125, 0.125});
  near(edge[1], (double[]){1.2, 2, -3});
  const float *const edges[2] = {edge[0], edge[1]};
  assert_true(xf_edges_mean(cloud, edges, (uint64_t[]){40, 60}, 2, LEN));
  assert_true(xf_edges_mean(flat, all, n, 3, LEN));
  near(cloud, (double[]){0.87, 2.05, -1.75});
  near(flat, (double[]){0.87, 2.05, -1.75});
}

static void test_silent_edges(void **state) {
  (void)state;
  const float bad[LEN] = {NAN, NAN, NAN};
  const float *const edges[2] = {bad, local[1]};
  float out[LEN] = {7, 7, 7};
  assert_false(xf_edges_mean(out, edges, (uint64_t[]){0, 0}, 2, LEN));
  assert_true(out[0] == 7);
  assert_true(xf_edges_mean(out, edges, (uint64_t[]){0, 5}, 2, LEN));
  assert_memory_equal(out, local[1], sizeof out);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_hierarchical_equals_flat),
                                     cmocka_unit_test(test_silent_edges)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
