// Twin items and what leaks through them: by hand, against a plain count over all pairs, and on a real pair of domains.
#include "base/rng.h"
#include "data/twins.h"
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

static void add(struct xf_interactions *x, const char *user, const char *item) {
  if (xf_interactions_add(x, user, item, NULL, (double)NAN, (double)NAN)) fail_msg("add");
}

/* Shoes are "shoe" in A and "S9" in B: users u, v, w hold them in A, u, v in B, so 2 / (3 + 2 - 2) = .67. */
static void test_by_hand(void **state) {
  (void)state;
  struct xf_interactions a, b;
  xf_interactions_init(&a);
  xf_interactions_init(&b);
  add(&a, "u", "shoe"); // held out: leaks, u has S9 in train of B
  add(&a, "v", "shoe");
  add(&a, "w", "shoe");
  add(&a, "u", "hat");  // one common user with every item of B: no twin
  add(&a, "w", "only"); // held out, no train event of the item
  add(&a, "v", "shoe"); // a repeat counts once; held out and train at once
  add(&b, "v", "cap");
  add(&b, "u", "S9");
  add(&b, "v", "S9"); // held out: v has the shoe in train of A
  add(&b, "x", "cap");
  add(&b, "u", "hat"); // the same key in both, u in both: a shared pair
  const uint8_t held_a[] = {1, 0, 0, 0, 1, 1}, held_b[] = {0, 0, 1, 0, 0};
  const struct xf_twins_side side[2] = {{&a, held_a}, {&b, held_b}};
  struct xf_twins t;
  assert_int_equal(xf_twins_find(&t, side, &(struct xf_twins_spec){0}, NULL), XF_OK);
  assert_int_equal(t.n, 1);
  assert_int_equal(t.twin[0].a, 0);
  assert_string_equal(xf_names_get(&b.items, t.twin[0].b), "S9");
  assert_int_equal(t.twin[0].both, 2);
  assert_int_equal(t.twin[0].n_a, 3);
  assert_int_equal(t.twin[0].n_b, 2);
  assert_int_equal(t.shared_users, 2);
  assert_int_equal(t.shared_pairs, 1);
  assert_int_equal(t.count[0].held, 3);
  assert_int_equal(t.count[0].held_no_train, 1);
  assert_int_equal(t.count[0].held_known, 1);
  assert_int_equal(t.count[0].leaked, 1);     // u's shoe
  assert_int_equal(t.count[0].leaked_any, 2); // and v's, whose S9 is held out itself
  assert_int_equal(t.leaked[0][0], 1);
  assert_int_equal(t.leaked[0][5], 0);
  assert_int_equal(t.count[1].leaked, 1);
  assert_int_equal(t.leaked[1][2], 1);
  assert_int_equal(t.count[0].twin_items, 1);
  assert_int_equal(t.count[0].items, 3);
  xf_twins_deinit(&t);
  xf_twins_deinit(&t);
  assert_int_equal(xf_twins_find(&t, side, &(struct xf_twins_spec){.min_share = .7}, NULL), XF_OK);
  assert_int_equal(t.n, 0);
  xf_twins_deinit(&t);
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(xf_twins_find(&t, side, &(struct xf_twins_spec){.min_share = 2}, &diag),
                   XF_E_INVAL);
  datatest_says(&diag, "above 0, at most 1");
  xf_interactions_deinit(&a);
  xf_interactions_deinit(&b);
}

enum { USERS = 12, ITEMS = 15 };
static void fill(struct xf_interactions *x, bool has[USERS][ITEMS], char prefix, uint64_t seed) {
  struct xf_rng rng;
  xf_rng_init(&rng, seed, 0);
  xf_interactions_init(x);
  for (int u = 0; u < USERS; u++)
    for (int i = 0; i < ITEMS; i++) {
      char user[16], item[16];
      has[u][i] = xf_rng_below(&rng, 4) == 0;
      (void)snprintf(user, sizeof user, "%d", u);
      (void)snprintf(item, sizeof item, "%c%d", prefix, i);
      if (has[u][i]) add(x, user, item);
    }
}

static void test_against_plain_count(void **state) {
  (void)state;
  size_t total = 0;
  for (uint64_t seed = 1; seed <= 40; seed++) {
    static bool ha[USERS][ITEMS], hb[USERS][ITEMS];
    struct xf_interactions a, b;
    struct xf_twins t;
    fill(&a, ha, 'a', seed);
    fill(&b, hb, 'b', seed + 1000);
    const struct xf_twins_side side[2] = {{&a, NULL}, {&b, NULL}};
    assert_int_equal(xf_twins_find(&t, side, &(struct xf_twins_spec){0}, NULL), XF_OK);
    size_t n = 0;
    for (int i = 0; i < ITEMS; i++)
      for (int j = 0; j < ITEMS; j++) {
        int both = 0, either = 0;
        for (int u = 0; u < USERS; u++) {
          both += ha[u][i] && hb[u][j];
          either += ha[u][i] || hb[u][j];
        }
        n += both >= 2 && 2 * both >= either;
      }
    assert_int_equal(t.n, n);
    total += n;
    for (size_t k = 1; k < t.n; k++)
      assert_true(t.twin[k - 1].a < t.twin[k].a ||
                  (t.twin[k - 1].a == t.twin[k].a && t.twin[k - 1].b < t.twin[k].b));
    xf_twins_deinit(&t);
    xf_interactions_deinit(&a);
    xf_interactions_deinit(&b);
  }
  assert_true(total > 20); // the test saw some
}

static void load_part(struct xf_interactions *x, uint8_t *held, const char *name, uint8_t value) {
  struct xf_interactions one;
  const struct xf_interactions_spec cols = {.user = 1, .item = 2};
  const char *path = datatest_real(name);
  assert_non_null(path);
  assert_int_equal(xf_interactions_load(&one, path, &cols, NULL), XF_OK);
  for (size_t i = 0; i < one.n; i++) {
    held[x->n] = value;
    add(x, xf_names_get(&one.users, one.user[i]), xf_names_get(&one.items, one.item[i]));
  }
  xf_interactions_deinit(&one);
}

/* Counts made independently, by sets of pairs, with the train parts and test files as published. */
static void test_electronic_phone(void **state) {
  (void)state;
  if (!datatest_real("amazon-disencdr/phone_electronic/test_original.txt.gz")) {
    print_message("no data set amazon-disencdr: set CROSSFED_DATA\n");
    skip();
  }
  static uint8_t held[2][1 << 18];
  struct xf_interactions x[2];
  xf_interactions_init(&x[0]);
  xf_interactions_init(&x[1]);
  load_part(&x[0], held[0], "amazon-disencdr/electronic_phone/train.txt.gz", 0);
  load_part(&x[0], held[0], "amazon-disencdr/electronic_phone/test_original.txt.gz", 1);
  load_part(&x[1], held[1], "amazon-disencdr/phone_electronic/train.txt.gz", 0);
  load_part(&x[1], held[1], "amazon-disencdr/phone_electronic/test_original.txt.gz", 1);
  const struct xf_twins_side side[2] = {{&x[0], held[0]}, {&x[1], held[1]}};
  struct xf_twins t;
  assert_int_equal(xf_twins_find(&t, side, &(struct xf_twins_spec){0}, NULL), XF_OK);
  assert_int_equal(t.n, 894);
  assert_int_equal(t.count[0].twin_items, 602);
  assert_int_equal(t.count[1].twin_items, 624);
  assert_int_equal(t.count[0].held - t.count[0].held_no_train, 2560);
  assert_int_equal(t.count[1].held - t.count[1].held_no_train, 2559);
  assert_int_equal(t.count[0].leaked, 164);
  assert_int_equal(t.count[1].leaked, 310);
  assert_int_equal(t.count[0].leaked_any, 170);
  assert_int_equal(t.count[1].leaked_any, 315);
  xf_twins_deinit(&t);
  xf_interactions_deinit(&x[0]);
  xf_interactions_deinit(&x[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_by_hand),
                                     cmocka_unit_test(test_against_plain_count),
                                     cmocka_unit_test(test_electronic_phone)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
