// Dealing samples to clients, and the generator.
#include "base/alloc.h"
#include "data/partition.h"
#include "data/split.h"
#include "data/synth.h"
#include "datatest.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { N = 1000, K = 10 };
static uint32_t part[N];
static float label[N];
static struct xf_rng rng;
static struct xf_diag diag;

static void count(unsigned n[K], unsigned labels[K]) {
  unsigned seen[K] = {0};
  memset(n, 0, K * sizeof *n);
  for (int i = 0; i < N; i++) {
    assert_true(part[i] < K);
    n[part[i]]++;
    seen[part[i]] |= 1u << (unsigned)label[i];
  }
  for (int c = 0; c < K; c++) labels[c] = (unsigned)__builtin_popcount(seen[c]);
}

static int setup(void **state) {
  (void)state;
  xf_rng_init(&rng, 11, 0);
  for (int i = 0; i < N; i++) label[i] = (float)(i % 10);
  return 0;
}

static void test_uniform(void **state) {
  (void)state;
  unsigned n[K], labels[K];
  assert_int_equal(xf_partition_uniform(part, N, K, &rng, NULL), XF_OK);
  count(n, labels);
  for (int c = 0; c < K; c++) assert_true(n[c] == 100 && labels[c] == 10);
  assert_int_equal(xf_partition_uniform(part, 3, 4, &rng, &diag), XF_E_INVAL);
}

static void test_shards(void **state) {
  (void)state;
  unsigned n[K], labels[K];
  assert_int_equal(xf_partition_shards(part, label, N, K, 2, &rng, NULL), XF_OK);
  count(n, labels);
  for (int c = 0; c < K; c++) assert_true(n[c] == 100 && labels[c] <= 2);
}

static void test_dirichlet(void **state) {
  (void)state;
  unsigned n[K], labels[K], few = 0;
  assert_int_equal(xf_partition_dirichlet(part, label, N, K, .1, &rng, NULL), XF_OK);
  count(n, labels);
  for (int c = 0; c < K; c++) few += labels[c] < 8;
  assert_true(few >= 7);
  assert_int_equal(xf_partition_dirichlet(part, label, N, K, 1e5, &rng, NULL), XF_OK);
  count(n, labels);
  for (int c = 0; c < K; c++) assert_in_range(n[c], 90, 110);
  assert_int_equal(xf_partition_dirichlet(part, label, N, K, 0, &rng, &diag), XF_E_INVAL);
}

static void test_file(void **state) {
  (void)state;
  struct xf_names names;
  const char *text = "0\tx\n2\ty\n1\tx\n";
  assert_int_equal(
      xf_partition_load(part, 3, &names, datatest_file("a.tsv", text, strlen(text)), &diag), XF_OK);
  assert_true(part[0] == 0 && part[1] == 0 && part[2] == 1);
  xf_names_deinit(&names);
  assert_int_equal(
      xf_partition_load(part, 4, &names, datatest_file("a.tsv", text, strlen(text)), &diag),
      XF_E_NOTFOUND);
  datatest_says(&diag, "does not name sample 3");
  assert_int_equal(
      xf_partition_load(part, 2, &names, datatest_file("a.tsv", text, strlen(text)), &diag),
      XF_E_RANGE);
  assert_int_equal(
      xf_partition_load(part, 3, &names, datatest_file("a.tsv", "0 x\n0 y\n", 8), &diag),
      XF_E_CONFLICT);
  datatest_says(&diag, "a.tsv:2:1: sample 0 is named twice");
}

static void test_synth(void **state) {
  (void)state;
  struct xf_interactions x, again;
  struct xf_synth_spec s = xf_synth_default();
  assert_int_equal(xf_synth_init(&x, &s, &rng, NULL), XF_OK);
  xf_rng_init(&rng, 11, 0);
  assert_int_equal(xf_synth_init(&again, &s, &rng, NULL), XF_OK);
  assert_int_equal(x.n, again.n);
  assert_memory_equal(x.item, again.item, x.n * sizeof *x.item);
  assert_memory_equal(x.time, again.time, x.n * sizeof *x.time);
  assert_int_equal(x.domains.n, 3);
  assert_int_equal(x.users.n, 1200);
  // 1 + 2 * .8 domains a person, 10 events each
  assert_in_range(x.n, 1200 * 2.6 * 10 * .9, 1200 * 2.6 * 10 * 1.1);
  struct xf_interactions one;
  struct xf_split split;
  assert_int_equal(xf_interactions_select(&one, &x, x.domain, 0), XF_OK);
  assert_int_equal(xf_split_init(&split, &one, &(struct xf_split_spec){0}, NULL, NULL), XF_OK);
  assert_int_equal(split.count.repeats, 0);
  assert_true(split.count.n_users[XF_PART_TEST] > 400);
  uint32_t most = 0; // a long tail: the most popular item far above the mean
  for (uint32_t i = 0; i < split.n_items; i++)
    if (split.item_count[i] > most) most = split.item_count[i];
  assert_true(most > 4 * xf_csr_count(&split.part[XF_PART_TRAIN]) / split.n_items);
  xf_split_deinit(&split);
  xf_interactions_deinit(&one);
  xf_interactions_deinit(&x);
  xf_interactions_deinit(&again);
  s.events = 300;
  assert_int_equal(xf_synth_init(&x, &s, &rng, &diag), XF_E_INVAL);
  datatest_says(&diag, "synth: events is 300");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(test_uniform, setup),   cmocka_unit_test_setup(test_shards, setup),
      cmocka_unit_test_setup(test_dirichlet, setup), cmocka_unit_test_setup(test_file, setup),
      cmocka_unit_test_setup(test_synth, setup),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
