// Cold users: a hand-made world where the map must win, what a device sends, ties, what is refused.
#include "rec/coldusers.h"

#include "base/rng.h"
#include "data/csr.h"
#include "tensor/blas.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { PEOPLE = 120, COLD = 40, ITEMS = 60, EACH = 6, TASTES = 3 };

struct world {
  struct xf_csr source, target,
      held; /* rows: PEOPLE common, then COLD who are in the source alone */
};

/* A person of taste t has EACH items of the t-th third, in both domains. */
static void make(struct world *w) {
  uint32_t row[(PEOPLE + COLD) * EACH], col[(PEOPLE + COLD) * EACH];
  struct xf_rng rng;
  xf_rng_init(&rng, 5, 0);
  for (int d = 0; d < 2; d++) {
    uint32_t n = 0;
    for (uint32_t u = 0; u < PEOPLE + COLD; u++)
      for (uint32_t k = 0; k < EACH; k++) {
        row[n] = u;
        col[n++] = u % TASTES * (ITEMS / TASTES) + xf_rng_below(&rng, ITEMS / TASTES);
      }
    struct xf_csr *all = d ? &w->target : &w->source;
    const uint32_t people = d ? PEOPLE : PEOPLE + COLD;
    assert_int_equal(xf_csr_init(all, people, ITEMS, row, col, (size_t)people * EACH), XF_OK);
    if (d)
      assert_int_equal(xf_csr_init(&w->held, PEOPLE + COLD, ITEMS, row + PEOPLE * EACH,
                                   col + PEOPLE * EACH, COLD * EACH),
                       XF_OK);
  }
}

static void forget(struct world *w) {
  xf_csr_deinit(&w->source);
  xf_csr_deinit(&w->target);
  xf_csr_deinit(&w->held);
}

static struct xf_coldusers_spec small(void) {
  struct xf_coldusers_spec spec = xf_coldusers_default(3);
  spec.als.dim = 4;
  spec.n_neg = 30;
  return spec;
}

static void learn(struct xf_coldusers *c, const struct world *w, uint32_t people) {
  const struct xf_coldusers_spec spec = small();
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_coldusers_init(c, &w->source, ITEMS, &w->target, ITEMS, &spec, &diag))
    fail_msg("%s", diag.text);
  for (uint32_t u = 0; u < people; u++) assert_int_equal(xf_coldusers_add(c, u, u), XF_OK);
}

static void test_tastes(void **state) {
  (void)state;
  struct world w;
  struct xf_coldusers c;
  struct xf_coldusers_table t;
  make(&w);
  learn(&c, &w, PEOPLE);
  assert_int_equal(c.n_common, PEOPLE);
  /* every target event is a common person's */
  for (uint32_t i = 0; i < ITEMS; i++) assert_true(c.overlap[i] == c.popular[i]);
  assert_int_equal(xf_coldusers_finish(&c, NULL), XF_OK);
  assert_int_equal(xf_coldusers_rank(&t, &c, &w.held, NULL), XF_OK);
  assert_int_equal(t.people, COLD);
  assert_int_equal(t.rows, xf_csr_count(&w.held));
  const double popular = t.mean[XF_COLDUSERS_OVERLAP][XF_COLDUSERS_NDCG];
  assert_true(t.mean[XF_COLDUSERS_STRICT][XF_COLDUSERS_NDCG] <= popular);
  for (int a = XF_COLDUSERS_GRAM; a <= XF_COLDUSERS_SMOOTHED; a++)
    if (!(t.mean[a][XF_COLDUSERS_NDCG] > 1.3 * popular))
      fail_msg("%s %g, popularity %g", xf_coldusers_arm_name((enum xf_coldusers_arm)a),
               t.mean[a][XF_COLDUSERS_NDCG], popular);
  double own = 0;
  for (uint32_t i = 0; i < t.people; i++) own += (double)t.person[XF_COLDUSERS_MAP][i] / t.people;
  assert_true(fabs(own - t.mean[XF_COLDUSERS_MAP][XF_COLDUSERS_NDCG]) < .05);
  assert_true(xf_coldusers_se(&t, XF_COLDUSERS_MAP) > 0);
  assert_true(xf_coldusers_paired(XF_COLDUSERS_MAP) && !xf_coldusers_paired(XF_COLDUSERS_OVERLAP));
  xf_coldusers_table_deinit(&t);
  xf_coldusers_table_deinit(&t);
  xf_coldusers_deinit(&c);
  forget(&w);
}

/* Bytes: dense sums of fixed size, pairs of the gram. Ties: by popularity, without passing a larger count. */
static void test_sent_and_ties(void **state) {
  (void)state;
  struct world w;
  struct xf_coldusers c;
  make(&w);
  learn(&c, &w, 1);
  const uint64_t n_s = w.source.start[1], n_t = w.target.start[1];
  assert_int_equal(c.bytes, 4 * (ITEMS + 5 * 6 / 2 + 5 * 4) + 8 * n_s * n_t);
  assert_int_equal(xf_coldusers_add(&c, PEOPLE + COLD, 0), XF_E_RANGE);
  assert_int_equal(xf_coldusers_add(&c, 0, PEOPLE), XF_E_RANGE);
  assert_int_equal(c.n_common, 1);
  assert_int_equal(xf_coldusers_finish(&c, NULL), XF_OK);
  for (uint32_t i = 0; i < ITEMS; i++)
    for (uint32_t j = 0; j < ITEMS; j++) {
      if (c.overlap[i] > c.overlap[j]) assert_true(c.tied[i] > c.tied[j]);
      if (c.overlap[i] == c.overlap[j] && c.popular[i] > c.popular[j])
        assert_true(c.tied[i] > c.tied[j]);
    }
  xf_coldusers_deinit(&c);
  forget(&w);
}

static void test_refused(void **state) {
  (void)state;
  struct world w;
  struct xf_coldusers c;
  struct xf_coldusers_table t;
  struct xf_diag diag;
  xf_diag_init(&diag);
  make(&w);
  learn(&c, &w, 0);
  assert_int_equal(xf_coldusers_finish(&c, &diag), XF_E_INVAL); /* nobody */
  assert_int_equal(xf_coldusers_add(&c, 0, 0), XF_OK);
  assert_int_equal(xf_coldusers_finish(&c, &diag), XF_OK);
  c.spec.n_neg = ITEMS - 1;
  assert_int_equal(xf_coldusers_rank(&t, &c, &w.held, &diag), XF_E_INVAL);
  assert_non_null(strstr(diag.text, "fewer negatives than other items"));
  struct xf_csr none = {0};
  uint32_t start[2] = {0, 0};
  none.n_row = 1;
  none.start = start;
  c.spec.n_neg = 10;
  assert_int_equal(xf_coldusers_rank(&t, &c, &none, &diag), XF_E_INVAL);
  xf_coldusers_deinit(&c);
  xf_coldusers_deinit(&c);
  struct xf_coldusers_spec spec = small();
  spec.als.dim = 0;
  assert_int_equal(xf_coldusers_init(&c, &w.source, ITEMS, &w.target, ITEMS, &spec, &diag),
                   XF_E_INVAL);
  forget(&w);
}

int main(void) {
  if (xf_blas_start(NULL, NULL)) return 1;
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_tastes),
                                     cmocka_unit_test(test_sent_and_ties),
                                     cmocka_unit_test(test_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
