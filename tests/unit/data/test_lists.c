// Relevance files and candidate lists: by hand, halves, drawn candidates, every refusal with its place, XMRec.
#include "data/lists.h"
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

static const char *file(const char *text) { return datatest_file("a.tsv", text, strlen(text)); }

/* Train part: users u, v; items a, b, c. */
static void names_init(struct xf_names *users, struct xf_names *items) {
  uint32_t id = 0;
  xf_names_init(users);
  xf_names_init(items);
  for (const char *k = "uv"; *k; k++) assert_int_equal(xf_names_add(users, &id, k, 1), XF_OK);
  for (const char *k = "abc"; *k; k++) assert_int_equal(xf_names_add(items, &id, k, 1), XF_OK);
}

static void names_deinit(struct xf_names *users, struct xf_names *items) {
  xf_names_deinit(users);
  xf_names_deinit(items);
}

static void load_qrel(struct xf_qrel *q, struct xf_names *users, struct xf_names *items) {
  const char *text = "userId\titemId\trating\nu\tc\t1\nw\td\t1\nu\ta\t2\nv\tb\t0\n";
  assert_int_equal(xf_qrel_load(q, file(text), users, items, NULL), XF_OK);
}

static void test_by_hand(void **state) {
  (void)state;
  struct xf_names users, items;
  struct xf_qrel q;
  struct xf_lists l;
  names_init(&users, &items);
  load_qrel(&q, &users, &items);
  assert_int_equal(q.count.lines, 4);
  assert_int_equal(q.count.users, 2);
  assert_int_equal(q.count.irrelevant, 1);
  assert_int_equal(q.count.new_users, 1); // w gets id 2
  assert_int_equal(q.count.new_items, 1); // d gets id 3
  assert_int_equal(q.relevant.n_row, 3);
  assert_true(xf_csr_find(&q.relevant, 0, 0) && xf_csr_find(&q.relevant, 0, 2));
  assert_true(xf_csr_find(&q.relevant, 2, 3) && !xf_csr_find(&q.relevant, 1, 1));
  const char *run = "w\td,b, a e\nx\ta\nu\tb c,\n"; // u's list lacks a
  assert_int_equal(xf_lists_load(&l, file(run), &q, XF_QREL_ALL, &users, &items, NULL), XF_OK);
  const uint32_t want_item[] = {3, 1, 0, 4, 1, 2}, want_rel[] = {1, 0, 0, 0, 0, 1};
  assert_int_equal(l.n, 2);
  assert_int_equal(l.user[0], 2);
  assert_int_equal(l.user[1], 0);
  assert_int_equal(l.start[1], 4);
  assert_int_equal(l.start[2], 6);
  for (int k = 0; k < 6; k++) {
    assert_int_equal(l.item[k], want_item[k]);
    assert_int_equal(l.relevant[k], want_rel[k]);
  }
  assert_int_equal(l.n_relevant[1], 2);
  assert_int_equal(l.count.missed, 1);
  assert_int_equal(l.count.new_items, 1);
  assert_int_equal(l.count.no_relevance, 1);
  assert_int_equal(l.count.no_relevance_line, 2);
  xf_lists_deinit(&l);
  xf_lists_deinit(&l);
  xf_qrel_deinit(&q);
  names_deinit(&users, &items);
}

static const struct {
  const char *text, *says;
  enum xf_rc rc;
} bad_run[] = {{"u\ta\nw\td\nu\tb\n", "a.tsv:3:1: user \"u\" has a list already", XF_E_FORMAT},
               {"u\ta,b,a\n", "a.tsv:1:2: item \"a\" is twice in the list", XF_E_FORMAT},
               {"u\t, ,\n", "a.tsv:1:2: the list is empty", XF_E_FORMAT},
               {"w\td\nu a,b\n", "a.tsv:2: 1 columns; a line is a user, a tab", XF_E_FORMAT},
               {"u\ta\n", "1 users with relevant items have no list, among them \"w\"",
                XF_E_NOTFOUND}},
  bad_qrel[] = {{"u\ta\t1\nv\ta\t1\nu\ta\t0\n",
                 "a.tsv:3: user \"u\" and item \"a\" again, first on line 1; keep one",
                 XF_E_FORMAT},
                {"u\ta\t0\n", "no relevant pair among 1", XF_E_FORMAT},
                {"u\ta\t1\nu\tb\tyes\n", "a.tsv:2:3: value must be a number", XF_E_FORMAT},
                {"u\ta\n", "a.tsv:1: 2 columns, but the value is column 3", XF_E_FORMAT}};

static void test_refusals(void **state) {
  (void)state;
  struct xf_names users, items;
  struct xf_qrel q, none;
  struct xf_lists l;
  struct xf_diag diag;
  names_init(&users, &items);
  load_qrel(&q, &users, &items);
  for (size_t k = 0; k < sizeof bad_run / sizeof *bad_run; k++) {
    xf_diag_init(&diag);
    assert_int_equal(
        xf_lists_load(&l, file(bad_run[k].text), &q, XF_QREL_ALL, &users, &items, &diag),
        bad_run[k].rc);
    datatest_says(&diag, bad_run[k].says);
    assert_null(l.item);
  }
  for (size_t k = 0; k < sizeof bad_qrel / sizeof *bad_qrel; k++) {
    xf_diag_init(&diag);
    assert_int_equal(xf_qrel_load(&none, file(bad_qrel[k].text), &users, &items, &diag),
                     bad_qrel[k].rc);
    datatest_says(&diag, bad_qrel[k].says);
    assert_null(none.relevant.item);
  }
  assert_int_equal(xf_lists_draw(&l, &q, XF_QREL_ALL, &users, &q.relevant, 2, 2, 1, &diag),
                   XF_E_SHAPE);
  datatest_says(&diag, "beyond the catalogue of 2");
  assert_int_equal(xf_lists_draw(&l, &q, XF_QREL_ALL, &users, &q.relevant, 4, 5, 1, &diag),
                   XF_E_INVAL);
  datatest_says(&diag, "ask for 1 to 4");
  xf_qrel_deinit(&q);
  names_deinit(&users, &items);
}

enum { USERS = 400, ITEMS = 60, NEG = 20, HISTORY = 5 };

static void add_items(struct xf_names *items) {
  for (uint32_t i = 0; i < ITEMS; i++) {
    char key[16];
    uint32_t id = 0;
    const int n = snprintf(key, sizeof key, "i%u", i);
    assert_int_equal(xf_names_add(items, &id, key, (size_t)n), XF_OK);
  }
}

/* Neither history nor relevant items are drawn; every other item equally often; the seed and the key decide. */
static void test_drawn(void **state) {
  (void)state;
  static char text[USERS * 24];
  static uint32_t start[USERS + 1], history[USERS * HISTORY];
  struct xf_names users, items;
  struct xf_qrel q;
  size_t at = 0;
  xf_names_init(&users);
  xf_names_init(&items);
  add_items(&items);
  for (uint32_t u = 0; u < USERS; u++) {
    const int n = snprintf(text + at, sizeof text - at, "user%u\ti%u\t1\n", u, u % ITEMS);
    at += (size_t)n;
    for (uint32_t k = 0; k < HISTORY; k++) history[u * HISTORY + k] = (u + 1) % (ITEMS - 5) + k;
    start[u + 1] = (u + 1) * HISTORY;
  }
  const struct xf_csr train = {.n_row = USERS, .start = start, .item = history};
  struct xf_lists l, again, half[2];
  assert_int_equal(xf_qrel_load(&q, file(text), &users, &items, NULL), XF_OK);
  for (int k = 0; k < 2; k++) {
    struct xf_lists *to = k ? &again : &l;
    assert_int_equal(xf_lists_draw(to, &q, XF_QREL_ALL, &users, &train, ITEMS, NEG, 7, NULL),
                     XF_OK);
    assert_int_equal(xf_lists_draw(&half[k], &q, k ? XF_QREL_FINAL : XF_QREL_DEVELOPMENT, &users,
                                   &train, ITEMS, NEG, 7, NULL),
                     XF_OK);
  }
  assert_int_equal(l.n, USERS);
  assert_memory_equal(l.item, again.item, l.start[l.n] * sizeof *l.item);
  unsigned count = 0;
  for (uint32_t u = 0; u < USERS; u++) {
    assert_int_equal(l.start[u + 1] - l.start[u], NEG + 1);
    assert_int_equal(l.item[l.start[u]], u % ITEMS);
    for (uint32_t k = l.start[u]; k < l.start[u + 1]; k++) {
      assert_int_equal(l.relevant[k], k == l.start[u]);
      count += l.item[k] == 30;
      if (k > l.start[u]) assert_false(xf_csr_find(&train, u, l.item[k]));
      for (uint32_t j = l.start[u]; j < k; j++) assert_true(l.item[j] != l.item[k]);
    }
  }
  assert_in_range(count, 110, 190); // about 400 x 20 / 54
  // the halves are disjoint, complete, and about equal; a list is the same whatever else is drawn
  assert_int_equal(half[0].n + half[1].n, USERS);
  assert_in_range(half[0].n, USERS / 2 - 40, USERS / 2 + 40);
  for (uint32_t k = 0; k < half[0].n; k++) {
    const uint32_t u = half[0].user[k];
    assert_int_equal(xf_qrel_half(xf_names_get(&users, u)), XF_QREL_DEVELOPMENT);
    assert_memory_equal(half[0].item + half[0].start[k], l.item + l.start[u],
                        (NEG + 1) * sizeof(uint32_t));
  }
  for (int k = 0; k < 2; k++) xf_lists_deinit(&half[k]);
  xf_lists_deinit(&l);
  xf_lists_deinit(&again);
  xf_qrel_deinit(&q);
  names_deinit(&users, &items);
}

static void test_hash(void **state) {
  (void)state;
  assert_int_equal(xf_qrel_hash(""), UINT64_C(0xefd01f60ba992926));
  assert_int_equal(xf_qrel_hash("t1U1005570"), UINT64_C(0xbc69e60cf6214c40));
}

static void test_xmrec(void **state) {
  (void)state;
  char path[XF_PATH_MAX];
  const char *real = datatest_real("xmrec-wsdm22/t1/train_5core.tsv.gz");
  if (!real) {
    print_message("no data set xmrec-wsdm22: set CROSSFED_DATA\n");
    skip();
  }
  const struct xf_interactions_spec cols = {.user = 1, .item = 2, .value = 3};
  struct xf_interactions x;
  struct xf_qrel q;
  struct xf_lists l, half;
  assert_int_equal(xf_interactions_load(&x, real, &cols, NULL), XF_OK);
  (void)snprintf(path, sizeof path, "%s", datatest_real("xmrec-wsdm22/t1/valid_qrel.tsv.gz"));
  assert_int_equal(xf_qrel_load(&q, path, &x.users, &x.items, NULL), XF_OK);
  assert_int_equal(q.count.users, 2697);
  assert_int_equal(q.count.new_users, 0);
  (void)snprintf(path, sizeof path, "%s", datatest_real("xmrec-wsdm22/t1/valid_run.tsv.gz"));
  assert_int_equal(xf_lists_load(&l, path, &q, XF_QREL_ALL, &x.users, &x.items, NULL), XF_OK);
  assert_int_equal(l.n, 2697);
  assert_int_equal(l.start[l.n], 269700);
  assert_int_equal(l.count.missed, 0);
  assert_int_equal(x.items.n, 1385); // the catalogue with the candidates' items
  assert_int_equal(xf_lists_load(&half, path, &q, XF_QREL_FINAL, &x.users, &x.items, NULL), XF_OK);
  assert_int_equal(half.n + half.count.other_half, 2697);
  assert_in_range(half.n, 1250, 1450);
  xf_lists_deinit(&l);
  xf_lists_deinit(&half);
  xf_qrel_deinit(&q);
  xf_interactions_deinit(&x);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_by_hand), cmocka_unit_test(test_refusals), cmocka_unit_test(test_drawn),
      cmocka_unit_test(test_hash),    cmocka_unit_test(test_xmrec),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
