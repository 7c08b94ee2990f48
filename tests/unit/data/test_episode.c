// Tasks: sorted rows by hand, what a task consists of, the same stream twice, every class and row in reach, refusals.
#include "data/episode.h"
#include "datatest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { ROWS = 40, CLASSES = 8, EACH = 5, WAYS = 3, SHOTS = 2, QUERIES = 3 };

static struct xf_diag diag;
static float y[ROWS], x[ROWS];
static uint8_t part[ROWS];
static uint32_t row[ROWS], client[ROWS];

// Class i % 8 of client 1 for classes below 4, client 0 above, so that nothing is in order; client 0 has class 7 in test.
static struct xf_table table(void) {
  for (uint32_t i = 0; i < ROWS; i++) {
    const uint32_t c = i % CLASSES;
    y[i] = (float)c;
    row[i] = i;
    client[i] = c < 4;
    part[i] = c == 7 ? XF_PART_TEST : XF_PART_TRAIN;
  }
  return (struct xf_table){.n = ROWS,
                           .n_in = 1,
                           .x = x,
                           .y = y,
                           .part = part,
                           .row = row,
                           .client = client,
                           .n_class = CLASSES};
}

static void test_sorted(void **state) {
  (void)state;
  const struct xf_table t = table();
  struct xf_episodes e;
  assert_int_equal(xf_episodes_init(&e, &t, XF_PART_TRAIN, &diag), XF_OK);
  assert_int_equal(e.n_client, 2);
  assert_int_equal(e.client[1], 1);
  assert_memory_equal(e.first_class, ((uint32_t[]){0, 3, 7}), 3 * sizeof(uint32_t));
  for (uint32_t c = 0; c < 7; c++) {
    assert_int_equal(e.first_row[c + 1] - e.first_row[c], EACH);
    for (uint32_t k = 0; k < EACH; k++)
      assert_int_equal(e.row[c * EACH + k], (c < 3 ? c + 4 : c - 3) + CLASSES * k);
  }
  xf_episodes_deinit(&e);
  xf_episodes_deinit(&e);
  assert_int_equal(xf_episodes_init(&e, &t, XF_PART_TEST, &diag), XF_OK);
  assert_int_equal(e.n_client, 1);
  assert_int_equal(e.first_class[1], 1);
  xf_episodes_deinit(&e);
}

static void test_tasks(void **state) {
  (void)state;
  const struct xf_table t = table();
  const struct xf_episode_spec spec = {WAYS, SHOTS, QUERIES};
  struct xf_episodes e;
  struct xf_rng rng, again;
  uint32_t s[WAYS * SHOTS], q[WAYS * QUERIES], s2[WAYS * SHOTS], q2[WAYS * QUERIES];
  uint32_t asked[ROWS] = {0}, shown[ROWS] = {0};
  assert_int_equal(xf_episodes_init(&e, &t, XF_PART_TRAIN, &diag), XF_OK);
  assert_int_equal(xf_episodes_check(&e, &spec, &diag), XF_OK);
  xf_rng_init(&rng, 7, 1);
  xf_rng_init(&again, 7, 1);
  for (uint32_t k = 0; k < 600; k++) {
    bool used[ROWS] = {false};
    uint32_t class_of[WAYS];
    xf_episodes_draw(&e, &spec, k % 2, &rng, s, q);
    xf_episodes_draw(&e, &spec, k % 2, &again, s2, q2);
    assert_memory_equal(s, s2, sizeof s);
    assert_memory_equal(q, q2, sizeof q);
    for (uint32_t i = 0; i < WAYS * (SHOTS + QUERIES); i++) {
      const bool support = i < WAYS * SHOTS;
      const uint32_t place = support ? i : i - WAYS * SHOTS, r = support ? s[place] : q[place];
      const uint32_t way = place / (support ? SHOTS : QUERIES);
      assert_int_equal(client[r], k % 2);
      assert_int_equal(part[r], XF_PART_TRAIN);
      assert_false(used[r]);
      used[r] = true;
      if (support && place % SHOTS == 0) class_of[way] = (uint32_t)y[r];
      assert_int_equal(y[r], class_of[way]);
      (support ? shown : asked)[r]++;
    }
    for (uint32_t a = 0; a < WAYS; a++)
      for (uint32_t b = 0; b < a; b++) assert_int_not_equal(class_of[a], class_of[b]);
  }
  // client 1 chooses 3 of 4 classes, client 0 all of its 3; 2 of 5 rows are shown: 300 * 3/4 * 2/5 = 90 and 120 on average
  for (uint32_t r = 0; r < ROWS; r++) {
    const double p = part[r] == XF_PART_TEST ? 0 : client[r] ? .75 : 1;
    assert_in_range(shown[r], (uint32_t)(p * 85), (uint32_t)(p * 155));
    assert_int_equal(shown[r] + asked[r] > 0, p > 0);
  }
  xf_episodes_deinit(&e);
}

static void test_refusals(void **state) {
  (void)state;
  struct xf_table t = table();
  struct xf_episodes e;
  assert_int_equal(xf_episodes_init(&e, &t, XF_PART_VALID, &diag), XF_E_STATE);
  assert_null(e.row);
  t.client = NULL;
  assert_int_equal(xf_episodes_init(&e, &t, XF_PART_TRAIN, &diag), XF_E_STATE);
  t = table();
  t.n_class = 0;
  assert_int_equal(xf_episodes_init(&e, &t, XF_PART_TRAIN, &diag), XF_E_STATE);
  t = table();
  assert_int_equal(xf_episodes_init(&e, &t, XF_PART_TRAIN, &diag), XF_OK);
  assert_int_equal(xf_episodes_check(&e, &(struct xf_episode_spec){3, 0, 1}, &diag), XF_E_INVAL);
  assert_int_equal(xf_episodes_check(&e, &(struct xf_episode_spec){4, 1, 1}, &diag), XF_E_RANGE);
  datatest_says(&diag, "client 0 has 3 classes; tasks of 4");
  assert_int_equal(xf_episodes_check(&e, &(struct xf_episode_spec){3, 3, 3}, &diag), XF_E_RANGE);
  datatest_says(&diag, "5 rows (row 4 is the first); 3 shots and 3 queries");
  xf_episodes_deinit(&e);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sorted),
      cmocka_unit_test(test_tasks),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
