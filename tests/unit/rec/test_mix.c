// Mixes learnt on split A, and scorers of recency: by hand, against the blend they stand for, and at the loss's minimum.
#include "base/buf.h"
#include "base/rng.h"
#include "data/csr.h"
#include "rec/inner.h"
#include "rec/mix.h"
#include "rec/poptime.h"
#include "rec/recency.h"
#include "rec/recommender.h"
#include "tensor/blas.h"

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

enum { USERS = 300, ITEMS = 150, TASTES = 6, LENGTH = 7 };

struct silo {
  struct xf_interactions inter;
  struct xf_split split;
};

// Items of the own taste, and new ones: item i appears on day 3 i, and most events are of items at most 90 days old.
static void silo_init(struct silo *s) {
  struct xf_diag diag = {0};
  struct xf_rng rng;
  xf_rng_init(&rng, 3, 0);
  xf_interactions_init(&s->inter);
  for (uint32_t u = 0; u < USERS; u++) {
    bool has[ITEMS] = {false};
    for (uint32_t k = 0; k < LENGTH;) {
      const uint32_t day = 100 + 40 * k + xf_rng_below(&rng, 40);
      const uint32_t newest = day / 3 < ITEMS ? day / 3 : ITEMS - 1;
      uint32_t i = xf_rng_below(&rng, 4) ? newest - xf_rng_below(&rng, 30 < newest ? 30 : newest)
                                         : xf_rng_below(&rng, newest + 1);
      if (xf_rng_below(&rng, 4)) i = i / TASTES * TASTES + u % TASTES;
      char user[16], item[16];
      if (i >= ITEMS || has[i]) continue;
      has[i] = true;
      k++;
      (void)snprintf(user, sizeof user, "u%u", u);
      (void)snprintf(item, sizeof item, "i%u", i);
      assert_int_equal(xf_interactions_add(&s->inter, user, item, NULL, NAN, 86400.0 * day), XF_OK);
    }
  }
  const struct xf_split_spec spec = {.kind = XF_SPLIT_LEAVE_ONE_OUT, .min = 5};
  assert_int_equal(xf_split_init(&s->split, &s->inter, &spec, NULL, &diag), XF_OK);
}

static void silo_deinit(struct silo *s) {
  xf_split_deinit(&s->split);
  xf_interactions_deinit(&s->inter);
}

static void test_recency(void **state) {
  (void)state;
  const double day = 86400;
  uint32_t start[] = {0, 2, 3}, item[] = {0, 1, 0};
  double time[] = {10 * day, 20 * day, 30 * day};
  const struct xf_csr train = {2, start, item, NULL, time};
  const struct xf_rec_data data = {2, 3, &train};
  struct xf_scorer *newest, *latest, *decayed, *log_of;
  struct xf_diag diag = {0};
  float out[3], root[3];
  assert_int_equal(xf_newest_fit(&newest, &data, &diag), XF_OK);
  assert_int_equal(xf_latest_fit(&latest, &data, &diag), XF_OK);
  struct xf_query q = {0, NULL, 0, 40 * day};
  assert_int_equal(xf_scorer_score(newest, &q, out, &diag), XF_OK);
  assert_float_equal(out[0], -logf(10 + 30), 1e-6f);
  assert_float_equal(out[1], -logf(10 + 20), 1e-6f);
  assert_float_equal(out[2], -logf(10 + 5000), 1e-6f);
  assert_int_equal(xf_scorer_score(latest, &q, out, &diag), XF_OK);
  assert_float_equal(out[0], -logf(1 + 10), 1e-6f);
  q.at = 20 * day; // the event of item 1 at this very instant is not seen
  assert_int_equal(xf_scorer_score(newest, &q, out, &diag), XF_OK);
  assert_float_equal(out[1], -logf(10 + 5000), 1e-6f);
  assert_int_equal(xf_scorer_score(latest, &q, out, &diag), XF_OK);
  assert_float_equal(out[0], -logf(1 + 10), 1e-6f);
  assert_float_equal(out[1], -logf(1 + 5000), 1e-6f);
  q.at = NAN; // now: the last event counts
  assert_int_equal(xf_scorer_score(latest, &q, out, &diag), XF_OK);
  assert_float_equal(out[0], 0, 1e-6f);
  assert_int_equal(xf_poptime_fit(&decayed, &data, 30 * day, &diag), XF_OK);
  assert_int_equal(xf_scorer_score(decayed, &q, root, &diag), XF_OK);
  assert_int_equal(xf_logged_new(&log_of, decayed, &diag), XF_OK);
  assert_int_equal(xf_scorer_score(log_of, &q, out, &diag), XF_OK);
  for (int i = 0; i < 3; i++) assert_float_equal(out[i], logf(.1f + root[i] * root[i]), 1e-6f);
  xf_scorer_free(log_of); // and decayed with it
  xf_scorer_free(newest);
  xf_scorer_free(latest);
  const struct xf_csr timeless = {2, start, item, NULL, NULL};
  const struct xf_rec_data bare = {2, 3, &timeless};
  assert_int_equal(xf_newest_fit(&newest, &bare, &diag), XF_E_INVAL);
  time[1] = INFINITY;
  assert_int_equal(xf_latest_fit(&latest, &data, &diag), XF_E_NAN);
}

static void test_negatives(void **state) {
  (void)state;
  struct silo s;
  struct xf_split a;
  struct xf_csr list, again;
  struct xf_diag diag = {0};
  silo_init(&s);
  assert_int_equal(xf_inner_init(&a, &s.split, 0, 1, &diag), XF_OK);
  assert_int_equal(xf_mix_negatives(&list, &a, XF_PART_VALID, 20, 5), XF_OK);
  assert_int_equal(xf_mix_negatives(&again, &a, XF_PART_VALID, 20, 5), XF_OK);
  struct xf_split uncounted = a; // parts dealt by hand have no counts
  struct xf_csr third;
  memset(&uncounted.count, 0, sizeof uncounted.count);
  assert_int_equal(xf_mix_negatives(&third, &uncounted, XF_PART_VALID, 20, 5), XF_OK);
  assert_memory_equal(list.item, third.item, xf_csr_count(&list) * sizeof *list.item);
  xf_csr_deinit(&third);
  assert_int_equal(xf_csr_count(&list), 20 * a.count.n_users[XF_PART_VALID]);
  assert_memory_equal(list.item, again.item, xf_csr_count(&list) * sizeof *list.item);
  for (uint32_t u = 0; u < a.n_users; u++)
    for (uint32_t k = list.start[u]; k < list.start[u + 1]; k++) {
      assert_true(a.item_count[list.item[k]] > 0);
      for (int p = 0; p < XF_N_PART; p++) assert_false(xf_csr_find(&a.part[p], u, list.item[k]));
    }
  xf_csr_deinit(&list);
  xf_csr_deinit(&again);
  xf_split_deinit(&a);
  silo_deinit(&s);
}

// Loss of weights on a table, plainly.
static double loss_at(const struct xf_guard_table *t, uint32_t n, const struct xf_guard_mix *w,
                      double l2) {
  double sum = 0, norm2 = 0;
  for (uint32_t i = 0; i < t->n_user; i++) {
    double z = 0, first = 0;
    for (uint32_t r = 0; r < xf_guard_table_slots(t, i); r++) {
      double s = 0;
      for (uint32_t c = 0; c < n; c++) {
        const float x = xf_guard_table_row(t, i, c)[r];
        s += w[c].linear * (double)x + w[c].bend * (double)xf_guard_bend(x);
      }
      if (r == 0) first = s;
      z += exp(s);
    }
    sum += log(z) - first;
  }
  for (uint32_t c = 0; c < n; c++) norm2 += w[c].linear * w[c].linear + w[c].bend * w[c].bend;
  return sum / t->n_user + l2 / 2 * norm2;
}

static void test_mix(void **state) {
  (void)state;
  struct silo s;
  struct xf_diag diag = {0};
  struct xf_recommender *rec;
  silo_init(&s);
  struct xf_recommender_spec spec = xf_recommender_defaults();
  spec.families = XF_RECOMMENDER_POPULARITY | XF_RECOMMENDER_DECAYED | XF_RECOMMENDER_KERNEL;
  spec.guard.n_neg = 40;
  const struct xf_recommender_input in = {.split = &s.split};
  assert_int_equal(xf_recommender_fit(&rec, &in, &spec, &diag), XF_OK);
  struct xf_guard_table t; // on validation: any lists do for the minimum
  struct xf_mix mix;
  uint32_t column[XF_BLEND_PARTS];
  const uint32_t n = rec->n_candidate;
  for (uint32_t c = 0; c < n; c++) column[c] = c;
  assert_int_equal(xf_recommender_table(&t, rec, NULL, &diag), XF_OK);
  assert_int_equal(xf_mix_fit(&mix, &t, column, n, .01, &diag), XF_OK);
  assert_true(fabs(mix.loss - loss_at(&t, n, mix.weight, .01)) < 1e-9);
  for (uint32_t c = 0; c < n; c++)
    for (int sign = -1; sign <= 1; sign += 2) {
      struct xf_guard_mix w[XF_BLEND_PARTS];
      memcpy(w, mix.weight, sizeof w);
      w[c].linear += sign * 1e-3;
      assert_true(loss_at(&t, n, w, .01) > mix.loss);
      w[c] = mix.weight[c];
      w[c].bend += sign * 1e-3;
      assert_true(loss_at(&t, n, w, .01) > mix.loss);
    }
  assert_int_equal(xf_mix_fit(&mix, &t, column, n, 0, &diag), XF_E_RANGE);
  xf_guard_table_deinit(&t);
  // as candidates
  assert_int_equal(xf_recommender_mix(rec, &diag), XF_OK);
  const struct xf_recommender_candidate *plain = xf_recommender_find(rec, "mix"),
                                        *timed = xf_recommender_find(rec, "mix+time");
  assert_true(plain && timed && plain->flags == 0 && timed->flags == XF_RECOMMENDER_TIMED);
  assert_null(xf_recommender_find(rec, "mix.shared"));
  xf_recommender_free_inner(rec);
  assert_int_equal(xf_recommender_mix(rec, &diag), XF_OK); // nothing to learn from any more
  assert_int_equal(rec->n_candidate, n + 2);
  assert_int_equal(xf_recommender_decide(rec, NULL, &diag), XF_OK);
  const struct xf_guard *g = &rec->arm[XF_RECOMMENDER_ARM_GUARDED].guard;
  const uint32_t at = (uint32_t)(timed - rec->candidate);
  for (uint32_t c = 0; c < n; c++)
    assert_true(g->alone[at] > g->alone[c]); // the data are made of taste and newness
  // the guard computes a mix from its parts: the same figures as asking the blend
  const struct xf_heldout_spec held = {&s.split, XF_PART_VALID, NULL, true, 10, 40};
  float *figure = calloc(s.split.n_users, sizeof *figure);
  assert_int_equal(xf_heldout_eval(timed->scorer, &held, NULL, figure, &diag), XF_OK);
  assert_true(fabs(xf_heldout_mean(figure, s.split.n_users) - g->alone[at]) < 1e-3);
  free(figure);
  struct xf_buf text;
  xf_buf_init(&text, 1 << 16);
  assert_int_equal(xf_recommender_print(rec, &text), XF_OK);
  assert_non_null(strstr(xf_buf_cstr(&text), "mix+time is popularity "));
  xf_buf_deinit(&text);
  // reasons: of the item kernel the history, largest first; the others together without an item
  const struct xf_query q = xf_heldout_query(&held, 0);
  struct xf_why why[XF_BLEND_WHY];
  const uint32_t got = timed->scorer->kind->explain(timed->scorer, &q, 3, why, XF_BLEND_WHY);
  assert_true(got >= 2);
  uint32_t unnamed = 0;
  for (uint32_t i = 0; i < got; i++) {
    unnamed += why[i].item == XF_NO_ID;
    assert_true(why[i].item == XF_NO_ID ||
                xf_csr_find(&s.split.part[XF_PART_TRAIN], 0, why[i].item));
    if (i) assert_true(why[i].share <= why[i - 1].share);
  }
  assert_int_equal(unnamed, 1);
  xf_recommender_free(rec);
  silo_deinit(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_recency),
                                     cmocka_unit_test(test_negatives), cmocka_unit_test(test_mix)};
  struct xf_diag diag = {0};
  if (xf_blas_start(NULL, &diag)) {
    (void)fprintf(stderr, "%s\n", diag.text);
    return 1;
  }
  return cmocka_run_group_tests(tests, NULL, NULL);
}
