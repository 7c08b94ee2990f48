// Splits: leave-one-out by hand, the eight test counts of Ciao, random splits, negatives, batches.
#include "data/sampler.h"
#include "data/split.h"
#include "datatest.h"

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

static void add(struct xf_interactions *x, const char *user, const char *item, double time) {
  if (xf_interactions_add(x, user, item, NULL, 1, time)) fail_msg("add");
}

static void test_leave_one_out(void **state) {
  (void)state;
  struct xf_interactions x;
  xf_interactions_init(&x);
  add(&x, "u", "c", 30);
  add(&x, "u", "a", 10);
  add(&x, "u", "b", 20);
  add(&x, "u", "a", 99); // a repeat: the earlier one counts
  add(&x, "v", "a", 1);  // too few events: all train
  add(&x, "v", "d", 2);
  add(&x, "u", "d", 30); // a tie in time: the later line is later
  add(&x, "w", "b", 1);
  add(&x, "w", "c", 2);
  add(&x, "w", "d", 3);
  add(&x, "w", "z", 4); // nobody else has z: no test item for w
  const struct xf_split_spec spec = {.kind = XF_SPLIT_LEAVE_ONE_OUT, .min = 4};
  struct xf_split s;
  assert_int_equal(xf_split_init(&s, &x, &spec, NULL, NULL), XF_OK);
  const uint32_t c = 0, a = 1, b = 2, d = 3; // ids by appearance
  assert_int_equal(s.n_users, 3);
  assert_int_equal(s.n_items, 5);
  assert_int_equal(s.count.repeats, 1);
  assert_int_equal(s.count.few_users, 1);
  assert_int_equal(s.count.no_train[XF_PART_TEST], 1);
  assert_int_equal(s.count.n_users[XF_PART_TEST], 1);
  assert_true(xf_csr_find(&s.part[XF_PART_TEST], 0, d));
  assert_int_equal(s.count.n_events[XF_PART_VALID], 2); // u: c is in w's train; w: d is in v's
  assert_int_equal(xf_csr_count(&s.part[XF_PART_TRAIN]), 6);
  const uint32_t want_user[] = {0, 0, 1, 1, 2, 2}, want_item[] = {a, b, a, d};
  for (int i = 0; i < 6; i++) assert_int_equal(s.train_user[i], want_user[i]);
  for (int i = 0; i < 4; i++) assert_int_equal(s.part[XF_PART_TRAIN].item[i], want_item[i]);
  assert_true(xf_csr_find(&s.part[XF_PART_TRAIN], 2, c) &&
              xf_csr_find(&s.part[XF_PART_TRAIN], 2, b));
  assert_int_equal(s.item_count[a], 2);
  xf_split_deinit(&s);
  xf_interactions_deinit(&x);
}

static void test_ciao_counts(void **state) {
  (void)state;
  const char *path = datatest_real("ciao/rating.tsv.gz");
  if (!path) {
    print_message("no data set ciao: set CROSSFED_DATA\n");
    skip();
  }
  static const struct {
    const char *domain;
    uint64_t n_test;
  } want[] = {{"1", 1313}, {"2", 513}, {"3", 866},   {"4", 543},
              {"5", 570},  {"6", 684}, {"10", 1627}, {"12", 789}};
  const struct xf_interactions_spec cols = {
      .user = 1, .item = 2, .domain = 3, .value = 4, .time = 6};
  const struct xf_split_spec spec = {.kind = XF_SPLIT_LEAVE_ONE_OUT, .min = 5};
  struct xf_interactions all;
  assert_int_equal(xf_interactions_load(&all, path, &cols, NULL), XF_OK);
  for (size_t i = 0; i < 8; i++) {
    struct xf_interactions x;
    struct xf_split s;
    const uint32_t id = xf_names_find(&all.domains, want[i].domain, strlen(want[i].domain));
    assert_int_equal(xf_interactions_select(&x, &all, all.domain, id), XF_OK);
    assert_int_equal(xf_split_init(&s, &x, &spec, NULL, NULL), XF_OK);
    if (s.count.n_users[XF_PART_TEST] != want[i].n_test)
      fail_msg("category %s: %llu test users, want %llu", want[i].domain,
               (unsigned long long)s.count.n_users[XF_PART_TEST],
               (unsigned long long)want[i].n_test);
    xf_split_deinit(&s);
    xf_interactions_deinit(&x);
  }
  xf_interactions_deinit(&all);
}

static void fill_grid(struct xf_interactions *x, unsigned users, unsigned items) {
  xf_interactions_init(x);
  for (unsigned u = 0; u < users; u++)
    for (unsigned i = 0; i < items; i++)
      if ((u * 7 + i * 3) % 4) {
        char user[16], item[16];
        (void)snprintf(user, sizeof user, "%u", u);
        (void)snprintf(item, sizeof item, "%u", i);
        add(x, user, item, (double)i);
      }
}

static void test_random(void **state) {
  (void)state;
  struct xf_interactions x;
  fill_grid(&x, 100, 40);
  const struct xf_split_spec spec = {
      .kind = XF_SPLIT_RANDOM, .valid_fraction = .1, .test_fraction = .2};
  struct xf_split s, again;
  struct xf_rng rng;
  xf_rng_init(&rng, 5, 1);
  assert_int_equal(xf_split_init(&s, &x, &spec, &rng, NULL), XF_OK);
  xf_rng_init(&rng, 5, 1);
  assert_int_equal(xf_split_init(&again, &x, &spec, &rng, NULL), XF_OK);
  const uint32_t n_test = xf_csr_count(&s.part[XF_PART_TEST]);
  assert_in_range(n_test, 540, 660); // 3000 events
  assert_int_equal(n_test, xf_csr_count(&again.part[XF_PART_TEST]));
  assert_memory_equal(s.part[XF_PART_TEST].item, again.part[XF_PART_TEST].item,
                      n_test * sizeof(uint32_t));
  size_t n = 0;
  for (int p = 0; p < XF_N_PART; p++) n += xf_csr_count(&s.part[p]);
  assert_int_equal(n, x.n);
  for (uint32_t u = 0; u < s.n_users; u++)
    for (uint32_t i = 0; i < s.n_items; i++) {
      int in = 0;
      for (int p = 0; p < XF_N_PART; p++) in += xf_csr_find(&s.part[p], u, i);
      assert_true(in <= 1);
    }
  xf_split_deinit(&s);
  xf_split_deinit(&again);
  struct xf_diag diag;
  xf_diag_init(&diag);
  const struct xf_split_spec bad = {
      .kind = XF_SPLIT_RANDOM, .valid_fraction = .5, .test_fraction = .5};
  assert_int_equal(xf_split_init(&s, &x, &bad, &rng, &diag), XF_E_INVAL);
  datatest_says(&diag, "below 1");
  xf_interactions_deinit(&x);
}

/* Every item that is no train positive, held-out ones included, is drawn equally often; no other is. */
static void test_negatives(void **state) {
  (void)state;
  struct xf_interactions x;
  fill_grid(&x, 4, 30);
  const struct xf_split_spec spec = {.kind = XF_SPLIT_LEAVE_ONE_OUT};
  struct xf_split s;
  assert_int_equal(xf_split_init(&s, &x, &spec, NULL, NULL), XF_OK);
  const struct xf_csr *train = &s.part[XF_PART_TRAIN];
  struct xf_rng rng;
  xf_rng_init(&rng, 1, 2);
  enum { DRAWS = 40000 };
  unsigned count[64] = {0};
  for (int i = 0; i < DRAWS; i++) count[xf_sampler_negative(&rng, train, s.n_items, 1)]++;
  const double n_neg = s.n_items - (train->start[2] - train->start[1]), mean = DRAWS / n_neg;
  for (uint32_t i = 0; i < s.n_items; i++) {
    if (xf_csr_find(train, 1, i)) assert_int_equal(count[i], 0);
    else if (fabs(count[i] - mean) > 5 * sqrt(mean))
      fail_msg("item %u drawn %u times", i, count[i]);
  }
  xf_split_deinit(&s);
  xf_interactions_deinit(&x);
  // few positives among many items: the other way of drawing; and a user with everything
  uint32_t start[] = {0, 2, 5}, item[] = {0, 7, 0, 1, 2};
  const struct xf_csr few = {.n_row = 2, .start = start, .item = item};
  for (int i = 0; i < 1000; i++) {
    const uint32_t got = xf_sampler_negative(&rng, &few, 10, 0);
    assert_true(got != 0 && got != 7 && got < 10);
    assert_true(xf_sampler_negative(&rng, &few, 3, 1) < 3);
    assert_int_equal(xf_sampler_negative(&rng, &few, 4, 1), 3);
  }
}

static void test_distinct(void **state) {
  (void)state;
  enum { ITEMS = 50 };
  uint32_t mark[ITEMS] = {0}, out[ITEMS];
  struct xf_rng rng;
  xf_rng_init(&rng, 3, 4);
  unsigned count[ITEMS] = {0};
  for (uint32_t t = 1; t <= 4000; t++) {
    const uint32_t n = t % 2 ? 10 : 30;
    mark[3] = mark[4] = t;
    assert_int_equal(xf_sampler_distinct(&rng, out, n, ITEMS, 2, mark, t), n);
    for (uint32_t i = 0; i < n; i++) {
      assert_true(out[i] < ITEMS && out[i] != 3 && out[i] != 4);
      for (uint32_t j = 0; j < i; j++) assert_true(out[i] != out[j]);
      count[out[i]]++;
    }
  }
  for (uint32_t i = 0; i < ITEMS; i++)
    if (i != 3 && i != 4) assert_true(fabs(count[i] - 80000.0 / 48) < 5 * sqrt(80000.0 / 48));
  assert_int_equal(xf_sampler_distinct(&rng, out, 100, ITEMS, 0, mark, 5000), ITEMS);
}

static void test_batches(void **state) {
  (void)state;
  struct xf_rng rng;
  struct xf_batches b;
  xf_rng_init(&rng, 1, 1);
  assert_int_equal(xf_batches_init(&b, 10, 4, &rng), XF_OK);
  assert_int_equal(xf_batches_count(&b), 3);
  uint32_t first[10], seen = 0, n = 0;
  const uint32_t *ids = NULL, sizes[] = {4, 4, 2};
  for (int k = 0; k < 3; k++) {
    xf_batches_next(&b, &ids, &n);
    assert_int_equal(n, sizes[k]);
    for (uint32_t i = 0; i < n; i++) seen |= 1u << ids[i];
    memcpy(first + 4 * k, ids, n * sizeof *ids);
  }
  assert_int_equal(seen, 0x3ff);
  xf_batches_next(&b, &ids, &n);
  assert_int_equal(b.pass, 2);
  xf_batches_reset(&b, &rng);
  xf_batches_next(&b, &ids, &n);
  assert_memory_equal(ids, first, 4 * sizeof *ids);
  xf_batches_deinit(&b);
  assert_int_equal(xf_batches_init(&b, 7, 0, &rng), XF_OK);
  xf_batches_next(&b, &ids, &n);
  assert_int_equal(n, 7);
  xf_batches_deinit(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_leave_one_out), cmocka_unit_test(test_ciao_counts),
      cmocka_unit_test(test_random),        cmocka_unit_test(test_negatives),
      cmocka_unit_test(test_distinct),      cmocka_unit_test(test_batches),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
