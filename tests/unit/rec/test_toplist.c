/* Kept lists give back what the scorer said, and no more. */
#include "rec/toplist.h"

#include "base/alloc.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { USERS = 130, ITEMS = 150 };

/* Item i of user u scores -((i + u) mod ITEMS); user 7 cannot be served. */
static enum xf_rc score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                        struct xf_diag *diag) {
  (void)diag;
  assert_true(isnan(q->at));
  if (q->user == 7) return XF_E_NOTFOUND;
  for (uint32_t i = 0; i < s->n_items; i++) out[i] = -(float)((i + q->user) % s->n_items);
  return XF_OK;
}
static void keep(struct xf_scorer *s) { (void)s; }
static const struct xf_scorer_kind kind = {.name = "test", .score = score, .free = keep};

static void test_lists(void **state) {
  (void)state;
  static uint32_t start[USERS + 1], event[USERS], item[USERS * XF_TOPLIST];
  static float kept[USERS * XF_TOPLIST];
  struct xf_scorer from = {.kind = &kind, .n_items = ITEMS}, *lists = NULL;
  for (uint32_t u = 0; u < USERS; u++) {
    start[u + 1] = u + 1;
    event[u] = (ITEMS - u % ITEMS) % ITEMS; /* the user's best item is in the history */
  }
  const struct xf_csr train = {.n_row = USERS, .start = start, .item = event};
  const struct xf_rec_data data = {USERS, ITEMS, &train};
  assert_int_equal(xf_toplist_make(item, kept, &from, &data, NULL), XF_OK);
  assert_int_equal(xf_toplist_scorer(&lists, item, kept, USERS, ITEMS, NULL), XF_OK);
  for (uint32_t u = 0; u < USERS; u++) {
    float out[ITEMS];
    const struct xf_query q = {u, event + u, 1, (double)NAN};
    const enum xf_rc rc = xf_scorer_score(lists, &q, out, NULL);
    assert_int_equal(rc, u == 7 ? XF_E_NOTFOUND : XF_OK);
    uint32_t known = 0;
    for (uint32_t i = 0; i < ITEMS && !rc; i++) {
      const uint32_t rank = (i + u) % ITEMS; /* 0 is the history's */
      const bool listed = rank >= 1 && rank <= XF_TOPLIST;
      known += listed;
      if (listed) assert_true(out[i] == -(float)rank);
      else assert_true(out[i] < -(float)XF_TOPLIST && out[i] > -(float)XF_TOPLIST - 1);
    }
    assert_int_equal(known, rc ? 0 : XF_TOPLIST);
  }
  float out[ITEMS];
  const struct xf_query stranger = {XF_NO_ID, NULL, 0, (double)NAN};
  assert_int_equal(xf_scorer_score(lists, &stranger, out, NULL), XF_E_NOTFOUND);
  xf_scorer_free(lists);
  /* damaged lists */
  struct xf_diag diag;
  item[3] = ITEMS;
  assert_int_equal(xf_toplist_scorer(&lists, item, kept, USERS, ITEMS, &diag), XF_E_CORRUPT);
  item[3] = 0;
  kept[205] = NAN;
  assert_int_equal(xf_toplist_scorer(&lists, item, kept, USERS, ITEMS, &diag), XF_E_CORRUPT);
  assert_non_null(strstr(diag.text, "user 2, place 5"));
}

/* Fewer items than a list has places. */
static void test_short(void **state) {
  (void)state;
  uint32_t start[] = {0, 1}, event[] = {1}, item[XF_TOPLIST];
  float kept[XF_TOPLIST], out[3];
  struct xf_scorer from = {.kind = &kind, .n_items = 3}, *lists = NULL;
  const struct xf_csr train = {.n_row = 1, .start = start, .item = event};
  const struct xf_rec_data data = {1, 3, &train};
  assert_int_equal(xf_toplist_make(item, kept, &from, &data, NULL), XF_OK);
  assert_true(item[0] == 0 && item[1] == 2 && item[2] == XF_NO_ID);
  assert_int_equal(xf_toplist_scorer(&lists, item, kept, 1, 3, NULL), XF_OK);
  const struct xf_query q = {0, event, 1, (double)NAN};
  assert_int_equal(xf_scorer_score(lists, &q, out, NULL), XF_OK);
  assert_true(out[0] == 0 && out[2] == -2 && out[1] < -2);
  xf_scorer_free(lists);
}

/* User 1 cannot be told anything, item 2 has no reason. */
static uint32_t shelves(const struct xf_scorer *s, const struct xf_query *q, uint32_t item,
                        struct xf_why *out, uint32_t k) {
  (void)s;
  assert_int_equal(k, 1);
  *out = (struct xf_why){XF_WHY_CATEGORY | (item + 10), item == 2 ? 0 : 1};
  if (q->item[0] == 1 && item == 0) out->item = 0; /* a reason, but no category */
  return q->user != 1;
}

static void test_categories(void **state) {
  (void)state;
  static const struct xf_scorer_kind told = {.name = "told", .explain = shelves};
  uint32_t start[] = {0, 1, 2}, event[] = {1, 2}, category[2 * XF_TOPLIST];
  uint32_t item[2 * XF_TOPLIST];
  const struct xf_scorer s = {.kind = &told, .n_items = 4}, mute = {.kind = &kind, .n_items = 4};
  const struct xf_csr train = {.n_row = 2, .start = start, .item = event};
  const struct xf_rec_data data = {2, 4, &train};
  for (size_t at = 0; at < 2 * XF_TOPLIST; at++) item[at] = XF_NO_ID;
  const uint32_t first[] = {3, 2, 0};
  memcpy(item, first, sizeof first);
  item[XF_TOPLIST] = 3;
  assert_int_equal(xf_toplist_categories(category, item, &s, &data), XF_OK);
  for (size_t at = 0; at < 2 * XF_TOPLIST; at++)
    assert_int_equal(category[at], at == 0 ? 13 : XF_NO_ID);
  assert_int_equal(xf_toplist_categories(category, item, &mute, &data), XF_E_RANGE);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_lists), cmocka_unit_test(test_short),
                                     cmocka_unit_test(test_categories)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
