// Labelled pairs: loading, refusals with their place, the random split, Last.FM's counts; and rows from pairs.
#include "data/pairs.h"
#include "datatest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static const char *file(const char *text) { return datatest_file("a.tsv", text, strlen(text)); }

static void test_load(void **state) {
  (void)state;
  struct xf_pairs p;
  struct xf_csr train;
  assert_int_equal(xf_pairs_load(&p, file("0\t7\t1\n2\t3\t0\n0\t7\t1\n0\t2\t1\n"), NULL), XF_OK);
  assert_int_equal(p.n, 3);
  assert_int_equal(p.n_users, 3);
  assert_int_equal(p.n_items, 8);
  assert_int_equal(p.repeats, 1);
  assert_int_equal(p.repeats_line, 3);
  assert_int_equal(xf_pairs_positives(&train, &p, XF_PART_TRAIN), XF_OK);
  assert_int_equal(train.n_row, 3);
  assert_int_equal(xf_csr_count(&train), 2);
  assert_int_equal(train.item[0], 2);
  assert_int_equal(train.item[1], 7);
  xf_csr_deinit(&train);
  xf_pairs_deinit(&p);
}

static void test_refusals(void **state) {
  (void)state;
  static const struct {
    const char *text, *says;
  } bad[] = {{"0\t7\t1\n0\t7\t0\n", "a.tsv:2:3: user 0 and item 7 were there with the other label"},
             {"0\t7\t2\n", "a.tsv:1:3: the label must be a whole number of 0 to 1, found \"2\""},
             {"0\t7\t1\n0\t-7\t1\n", "a.tsv:2:2: the item must be a whole number"},
             {"99999999\t7\t1\n", "a.tsv:1:1: the user must be a whole number of 0 to 16777215"},
             {"0\t7\n", "a.tsv:1: 2 columns; a line is user, item, label"},
             {"", "the file is empty"}};
  for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
    struct xf_pairs p;
    struct xf_diag diag;
    xf_diag_init(&diag);
    assert_int_not_equal(xf_pairs_load(&p, file(bad[k].text), &diag), XF_OK);
    datatest_says(&diag, bad[k].says);
    assert_null(p.user);
  }
}

static void count_parts(size_t n[XF_N_PART], const struct xf_pairs *p) {
  memset(n, 0, XF_N_PART * sizeof *n);
  for (size_t i = 0; i < p->n; i++) n[p->part[i]]++;
}

static void test_lastfm(void **state) {
  (void)state;
  const char *real = datatest_real("kg-lastfm/ratings_final.txt.gz");
  if (!real) {
    print_message("no data set kg-lastfm: set CROSSFED_DATA\n");
    skip();
  }
  struct xf_pairs p;
  struct xf_rng rng;
  size_t n[XF_N_PART], positives = 0, same = 0;
  assert_int_equal(xf_pairs_load(&p, real, NULL), XF_OK);
  assert_int_equal(p.n, 42346);
  assert_int_equal(p.n_users, 1872);
  assert_int_equal(p.n_items, 3846);
  for (size_t i = 0; i < p.n; i++) positives += p.label[i];
  assert_int_equal(positives, 21173);
  static uint8_t first[42346];
  for (uint64_t seed = 1; seed <= 3; seed++) { // 1, 2, and 1 again
    xf_rng_init(&rng, seed == 3 ? 1 : seed, 0);
    assert_int_equal(xf_pairs_split(&p, .2, .2, &rng, NULL), XF_OK);
    count_parts(n, &p);
    assert_int_equal(n[XF_PART_TRAIN], 25408);
    assert_int_equal(n[XF_PART_VALID], 8469);
    assert_int_equal(n[XF_PART_TEST], 8469);
    if (seed == 1) memcpy(first, p.part, p.n);
    if (seed == 2) assert_memory_not_equal(first, p.part, p.n);
  }
  assert_memory_equal(first, p.part, p.n);
  for (size_t i = 0; i < p.n; i++) same += p.part[i] == XF_PART_TEST && p.label[i];
  assert_in_range(same, 4100, 4370); // half of the test pairs
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(xf_pairs_split(&p, .5, .5, &rng, &diag), XF_E_INVAL);
  datatest_says(&diag, "below 1 together");
  xf_pairs_deinit(&p);
}

static void test_rows(void **state) {
  (void)state;
  const uint32_t row[] = {2, 0, 2, 2, 0}, col[] = {5, 1, 0, 5, 9};
  struct xf_csr csr;
  assert_int_equal(xf_csr_init(&csr, 4, 10, row, col, 5), XF_OK);
  const uint32_t start[] = {0, 2, 2, 4, 4}, item[] = {1, 9, 0, 5};
  assert_memory_equal(csr.start, start, sizeof start);
  assert_memory_equal(csr.item, item, sizeof item);
  xf_csr_deinit(&csr);
  xf_csr_deinit(&csr);
  assert_int_equal(xf_csr_init(&csr, 0, 0, NULL, NULL, 0), XF_OK);
  assert_int_equal(xf_csr_count(&csr), 0);
  xf_csr_deinit(&csr);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_load), cmocka_unit_test(test_refusals),
                                     cmocka_unit_test(test_lastfm), cmocka_unit_test(test_rows)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
