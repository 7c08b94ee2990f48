// Popularity that the federation knows more of: the others' counts as a candidate, and who answers strangers.
#include "base/alloc.h"
#include "base/buf.h"
#include "base/rng.h"
#include "rec/recommender.h"
#include "tensor/blas.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { ITEMS = 120 };

struct silo {
  struct xf_interactions inter;
  struct xf_split split;
};

// n users of 6 distinct items each; item i is taken with a chance that falls with i, in every silo alike.
static void silo_init(struct silo *s, uint32_t n, uint64_t seed) {
  struct xf_rng rng;
  struct xf_diag diag = {0};
  xf_rng_init(&rng, seed, 0);
  xf_interactions_init(&s->inter);
  for (uint32_t u = 0; u < n; u++) {
    bool has[ITEMS] = {false};
    for (uint32_t k = 0; k < 6;) {
      const double x = xf_rng_double(&rng);
      const uint32_t i = (uint32_t)(ITEMS * x * x * x);
      char user[16], item[16];
      if (has[i]) continue;
      has[i] = true;
      k++;
      (void)snprintf(user, sizeof user, "u%u", u);
      (void)snprintf(item, sizeof item, "i%u", i);
      assert_int_equal(xf_interactions_add(&s->inter, user, item, NULL, NAN, NAN), XF_OK);
    }
  }
  const struct xf_split_spec spec = {.kind = XF_SPLIT_LEAVE_ONE_OUT, .min = 5};
  assert_int_equal(xf_split_init(&s->split, &s->inter, &spec, NULL, &diag), XF_OK);
}

static void silo_deinit(struct silo *s) {
  xf_split_deinit(&s->split);
  xf_interactions_deinit(&s->inter);
}

// The other silo's counts by the names of the own items, or of the items one further.
static float *counts_of(const struct silo *own, const struct silo *other, bool wrong) {
  const uint32_t n = own->split.n_items;
  float *out = xf_calloc(n, sizeof *out);
  for (uint32_t i = 0; i < n; i++) {
    const char *name = xf_names_get(&own->inter.items, i);
    const uint32_t o = xf_names_find(&other->inter.items, name, strlen(name));
    if (o != XF_NO_ID) out[wrong ? n - 1 - i : i] = (float)other->split.item_count[o];
  }
  return out;
}

static struct xf_recommender *fitted(const struct xf_recommender_input *in) {
  struct xf_recommender_spec spec = xf_recommender_defaults();
  struct xf_recommender *rec = NULL;
  struct xf_diag diag = {0};
  spec.families = XF_RECOMMENDER_POPULARITY;
  spec.guard.n_neg = 40;
  if (xf_recommender_fit(&rec, in, &spec, &diag)) fail_msg("%s", diag.text);
  if (xf_recommender_decide(rec, NULL, &diag)) fail_msg("%s", diag.text);
  return rec;
}

static const struct xf_query nobody = {XF_NO_ID, NULL, 0, NAN};

// 25 users hardly know what is popular; 900 elsewhere do.
static void test_pooled(void **state) {
  (void)state;
  struct silo own, other;
  float score[ITEMS];
  silo_init(&own, 25, 1);
  silo_init(&other, 900, 2);
  float *counts = counts_of(&own, &other, false);
  const struct xf_recommender_input in = {.split = &own.split, .counts = counts};
  struct xf_recommender *rec = fitted(&in);
  const struct xf_recommender_candidate *p = xf_recommender_find(rec, "popularity.pooled");
  assert_non_null(p);
  assert_int_equal(p->flags, XF_RECOMMENDER_SHARED);
  assert_int_equal(p->tries, 4); // the own counts and three lambdas
  assert_true(p->lambda > 0 && p->tuned > 0);
  assert_int_equal(xf_scorer_score(p->scorer, &nobody, score, NULL), XF_OK);
  for (uint32_t i = 0; i < own.split.n_items; i++) {
    const double want = log1p(own.split.item_count[i] + p->lambda * (double)counts[i]);
    assert_true(fabs((double)score[i] - want) < 1e-6 * (1 + want));
  }
  // the popularity arm stays the silo's own; the federated one is what came from elsewhere
  const struct xf_recommender_choice *arm = rec->arm;
  assert_non_null(arm[XF_RECOMMENDER_ARM_FEDERATED].scorer);
  assert_int_equal(xf_scorer_score(arm[XF_RECOMMENDER_ARM_POPULARITY].scorer, &nobody, score, NULL),
                   XF_OK);
  for (uint32_t i = 1; i < own.split.n_items; i++)
    assert_true((own.split.item_count[i] > own.split.item_count[0]) == (score[i] > score[0]));
  xf_recommender_free(rec);
  xf_free(counts);
  silo_deinit(&own);
  silo_deinit(&other);
}

// Counts of other items under these names: nothing is gained, no candidate is made, and the report says why.
static void test_wrong_counts(void **state) {
  (void)state;
  struct silo own, other;
  struct xf_buf text;
  struct xf_diag diag = {0};
  silo_init(&own, 300, 1);
  silo_init(&other, 900, 2);
  float *counts = counts_of(&own, &other, true);
  const struct xf_recommender_input in = {.split = &own.split, .counts = counts};
  struct xf_recommender *rec = fitted(&in);
  assert_null(xf_recommender_find(rec, "popularity.pooled"));
  assert_null(rec->arm[XF_RECOMMENDER_ARM_FEDERATED].scorer);
  xf_buf_init(&text, 1 << 16);
  assert_int_equal(xf_recommender_print(rec, &text), XF_OK);
  assert_non_null(strstr(xf_buf_cstr(&text), "the others' counts are switched off"));
  xf_buf_deinit(&text);
  xf_recommender_free(rec);
  rec = NULL;
  const struct xf_recommender_spec spec = xf_recommender_defaults();
  counts[1] = -1;
  assert_int_equal(xf_recommender_fit(&rec, &in, &spec, &diag), XF_E_NAN);
  assert_non_null(strstr(diag.text, "item 1 in other silos"));
  counts[1] = NAN;
  assert_int_equal(xf_recommender_fit(&rec, &in, &spec, &diag), XF_E_NAN);
  xf_free(counts);
  silo_deinit(&own);
  silo_deinit(&other);
}

static uint32_t best(const float *score, uint32_t n) {
  uint32_t at = 0;
  for (uint32_t i = 1; i < n; i++)
    if (score[i] > score[at]) at = i;
  return at;
}

// Strangers: overlapping users' counts first, equal ones by the own counts; else pooled; else the own, bit by bit.
static void test_strangers(void **state) {
  (void)state;
  struct silo own, other;
  float score[ITEMS], overlap[ITEMS] = {0}, popular[ITEMS];
  enum xf_recommender_crowd crowd;
  silo_init(&own, 25, 1);
  silo_init(&other, 900, 2);
  const uint32_t n = own.split.n_items;
  float *counts = counts_of(&own, &other, false);
  struct xf_recommender_input in = {.split = &own.split, .counts = counts, .overlap = overlap};
  overlap[n - 1] = 2;
  overlap[n - 2] = 1;
  struct xf_recommender *rec = fitted(&in);
  assert_int_equal(xf_recommender_strangers(rec, score, &crowd, NULL), XF_OK);
  assert_int_equal(crowd, XF_RECOMMENDER_CROWD_OVERLAP);
  assert_non_null(strstr(xf_recommender_crowd_text(crowd), "several silos"));
  assert_int_equal(best(score, n), n - 1);
  score[n - 1] = 0;
  assert_int_equal(best(score, n), n - 2);
  const uint32_t *c = own.split.item_count;
  for (uint32_t i = 0; i < n - 2; i++)
    for (uint32_t j = 0; j < n - 2; j++) assert_true((c[i] > c[j]) == (score[i] > score[j]));
  xf_recommender_free(rec);
  overlap[n - 1] = overlap[n - 2] = 0; // none of them has an event here
  rec = fitted(&in);
  assert_int_equal(xf_recommender_strangers(rec, score, &crowd, NULL), XF_OK);
  assert_int_equal(crowd, XF_RECOMMENDER_CROWD_POOLED);
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t j = 0; j < n; j++)
      if (counts[i] >= counts[j] && c[i] > c[j]) assert_true(score[i] > score[j]);
  xf_recommender_free(rec);
  in.counts = in.overlap = NULL;
  rec = fitted(&in);
  assert_int_equal(xf_recommender_strangers(rec, score, &crowd, NULL), XF_OK);
  assert_int_equal(crowd, XF_RECOMMENDER_CROWD_OWN);
  assert_int_equal(
      xf_scorer_score(xf_recommender_find(rec, "popularity")->scorer, &nobody, popular, NULL),
      XF_OK);
  assert_memory_equal(score, popular, n * sizeof *score);
  xf_recommender_free(rec);
  xf_free(counts);
  silo_deinit(&own);
  silo_deinit(&other);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_pooled),
      cmocka_unit_test(test_wrong_counts),
      cmocka_unit_test(test_strangers),
  };
  if (xf_blas_start(NULL, NULL)) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
