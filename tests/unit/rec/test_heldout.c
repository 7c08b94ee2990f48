// A user's negatives, against asking each item whether it is one.
#include "rec/heldout.h"

#include "base/rng.h"
#include "rec/expected.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { USERS = 40, ITEMS = 67 };

struct world {
  uint32_t start[XF_N_PART][USERS + 1], item[XF_N_PART][USERS * ITEMS], count[ITEMS];
  struct xf_split split;
};

// Each item of a user in one part or in none; user 0 has nothing, user 1 everything, user 2 both ends.
static void world_init(struct world *w) {
  struct xf_rng rng;
  memset(w, 0, sizeof *w);
  xf_rng_init(&rng, 3, 0);
  uint32_t n[XF_N_PART] = {0};
  for (uint32_t u = 0; u < USERS; u++) {
    for (uint32_t i = 0; i < ITEMS; i++) {
      const bool has = u == 1 || (u == 2 && (i == 0 || i == ITEMS - 1)) ||
                       (u > 2 && xf_rng_double(&rng) < u / 50.);
      if (!has) continue;
      const uint32_t p = xf_rng_below(&rng, XF_N_PART);
      w->item[p][n[p]++] = i;
    }
    for (int p = 0; p < XF_N_PART; p++) w->start[p][u + 1] = n[p];
  }
  for (uint32_t i = 0; i < ITEMS; i++) w->count[i] = i % 5 > 1 ? i : 0;
  w->split.n_users = USERS;
  w->split.n_items = ITEMS;
  w->split.item_count = w->count;
  for (int p = 0; p < XF_N_PART; p++)
    w->split.part[p] = (struct xf_csr){.n_row = USERS, .start = w->start[p], .item = w->item[p]};
}

static void test_rivals(void **state) {
  (void)state;
  static struct world w;
  uint32_t rival[ITEMS];
  world_init(&w);
  for (int train_items = 0; train_items < 2; train_items++) {
    const struct xf_heldout_spec spec = {.split = &w.split, .train_items = train_items};
    assert_int_equal(xf_heldout_most(&spec), ITEMS);
    for (uint32_t u = 0; u < USERS; u++) {
      const uint32_t n = xf_heldout_rivals(&spec, u, rival);
      uint32_t k = 0;
      for (uint32_t i = 0; i < ITEMS; i++) {
        bool out = train_items && w.count[i] == 0;
        for (int p = 0; p < XF_N_PART; p++) out |= xf_csr_find(&w.split.part[p], u, i);
        if (out) continue;
        assert_true(k < n);
        assert_int_equal(rival[k++], i);
      }
      assert_int_equal(k, n);
    }
  }
}

// A list that is shorter than the draws is ranked whole; one of which only a sample is known, or a longer one, is drawn from.
static void test_short_list(void **state) {
  (void)state;
  const struct xf_heldout_spec full = {.k = 10}, drawn = {.k = 10, .n_neg = 999};
  for (uint32_t above = 0; above <= 60; above++) {
    const double want = above < 10 ? 1 / log2(above + 2.0) : 0;
    assert_true(xf_heldout_rank(&full, above, 60, true) == want);
    assert_true(xf_heldout_rank(&drawn, above, 60, true) == want);
    assert_true(xf_heldout_rank(&drawn, above, 998, true) == want);
    const double expected = xf_expected_rank(above, 999, 999, 10, false).ndcg;
    assert_true(xf_heldout_rank(&drawn, above, 999, true) == expected);
    assert_true(xf_heldout_rank(&drawn, above, 999, false) == expected);
    const double sampled = xf_expected_rank(above, 500, 999, 10, false).ndcg;
    assert_true(xf_heldout_rank(&drawn, above, 500, false) == sampled);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_rivals),
                                     cmocka_unit_test(test_short_list)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
