// Likeness of graph neighbours: numbers by hand, the definition with weights, exact shares, who gets zeros, refusals.
#include "rec/kgcontent.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

// Items 0 to 3, entities 4 5 6. 0: 4 5; 1: 5 (weight 2) 6; 2: 6; 3: nothing.
static uint64_t start[] = {0, 2, 4, 5, 5, 6, 8, 10};
static uint32_t node[] = {4, 5, 5, 6, 6, 0, 0, 1, 1, 2};
static float weight[] = {1, 1, 2, 1, 1, 1, 1, 2, 1, 1};
static const struct xf_kg_graph graph = {
    .n_items = 4, .n_node = 7, .start = start, .node = node, .weight = weight};

static struct xf_scorer *fit(void) {
  struct xf_scorer *s = NULL;
  struct xf_diag diag = {0};
  assert_int_equal(xf_kgcontent_fit(&s, &graph, &diag), XF_OK);
  return s;
}

static void test_by_hand(void **state) {
  (void)state;
  struct xf_scorer *s = fit();
  struct xf_diag diag = {0};
  float out[4];
  const uint32_t zero[] = {0};
  struct xf_query q = {.item = zero, .n = 1, .at = NAN};
  assert_int_equal(xf_scorer_score(s, &q, out, &diag), XF_OK);
  assert_float_equal(out[0], 1, 1e-6); // itself
  assert_float_equal(out[1], 2 / sqrtf(10), 1e-6);
  assert_float_equal(out[2], 0, 0);
  assert_float_equal(out[3], 0, 0);
  const uint32_t both[] = {0, 2, 3};
  q = (struct xf_query){.item = both, .n = 3, .at = NAN};
  assert_int_equal(xf_scorer_score(s, &q, out, &diag), XF_OK);
  // u = (1/sqrt 2, 1/sqrt 2, 1) of length sqrt 2
  assert_float_equal(out[1], (2 / sqrtf(10) + 1 / sqrtf(5)) / sqrtf(2), 1e-6);
  struct xf_why why[3];
  assert_int_equal(s->kind->explain(s, &q, 1, why, 3), 3);
  assert_int_equal(why[0].item, 0);
  assert_float_equal(why[0].share, 2 / sqrtf(20), 1e-6);
  assert_float_equal(why[0].share + why[1].share + why[2].share, out[1], 1e-6);
  assert_int_equal(why[2].item, 3);
  assert_int_equal(s->kind->explain(s, &q, 1, why, 1), 1);
  assert_int_equal(why[0].item, 0);
  xf_scorer_free(s);
}

// No history, or one that the graph does not know: zeros. A foreign item is refused.
static void test_zeros(void **state) {
  (void)state;
  struct xf_scorer *s = fit();
  struct xf_diag diag = {0};
  const uint32_t three[] = {3}, foreign[] = {4};
  for (uint32_t n = 0; n < 2; n++) {
    float out[4] = {1, 1, 1, 1};
    const struct xf_query q = {.item = three, .n = n, .at = NAN};
    assert_int_equal(xf_scorer_score(s, &q, out, &diag), XF_OK);
    for (int i = 0; i < 4; i++) assert_float_equal(out[i], 0, 0);
  }
  float out[4];
  struct xf_why why;
  const struct xf_query q = {.item = foreign, .n = 1, .at = NAN};
  assert_int_equal(xf_scorer_score(s, &q, out, &diag), XF_E_NOTFOUND);
  assert_int_equal(s->kind->explain(s, &q, 1, &why, 1), 0);
  xf_scorer_free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_by_hand), cmocka_unit_test(test_zeros)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
