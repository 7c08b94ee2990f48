// Scorers of a feature version in one call: which slots are filled, that pooled ones use the others' statistic, that noise is
// cut, that a second fit gives the same numbers, refusals.
#include "base/alloc.h"
#include "data/csr.h"
#include "param/triangle.h"
#include "rec/featuremodels.h"
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

enum { USERS = 120, ITEMS = 24, EACH = 4, SHARED = 10 };
static struct xf_diag diag;

struct world {
  struct xf_csr train;
  struct xf_rec_data data;
  uint32_t shared[SHARED];
  float triangle[SHARED * (SHARED - 1) / 2], diagonal[SHARED];
  struct xf_recommender_gram gram;
};

// Neighbours on a ring like each other; the others know that items 0 and 5 go together.
static void world_init(struct world *w) {
  uint32_t user[USERS * EACH], item[USERS * EACH];
  for (uint32_t u = 0; u < USERS; u++)
    for (uint32_t k = 0; k < EACH; k++) {
      user[u * EACH + k] = u;
      item[u * EACH + k] = (u * 5 + k * (1 + u % 2)) % ITEMS;
    }
  memset(w, 0, sizeof *w);
  assert_int_equal(xf_csr_init(&w->train, USERS, ITEMS, user, item, USERS * EACH), XF_OK);
  w->data = (struct xf_rec_data){USERS, ITEMS, &w->train};
  for (uint32_t k = 0; k < SHARED; k++) {
    w->shared[k] = k;
    w->diagonal[k] = 20;
  }
  w->triangle[xf_triangle_row(SHARED, 0) + 4] = 18; // pair (0, 5)
  w->gram = (struct xf_recommender_gram){w->shared, SHARED, w->triangle, w->diagonal, .5, 0};
}

static float score_of(const struct xf_feature_models *m, const char *slot, uint32_t item) {
  static const uint32_t history[] = {0};
  const struct xf_query q = {XF_NO_ID, history, 1, (double)NAN};
  const struct xf_scorer *s = xf_feature_models_find(m, slot);
  float out[ITEMS];
  assert_non_null(s);
  assert_int_equal(xf_scorer_score(s, &q, out, &diag), XF_OK);
  return out[item];
}

static void test_slots(void **state) {
  (void)state;
  struct world w;
  struct xf_feature_models with, alone, again;
  struct xf_feature_models_spec spec = {.version = 2, .gram = &w.gram, .seed = 7};
  world_init(&w);
  if (xf_feature_models_fit(&with, &w.data, &spec, &diag)) fail_msg("%s", diag.text);
  if (xf_feature_models_fit(&again, &w.data, &spec, &diag)) fail_msg("%s", diag.text);
  spec.gram = NULL;
  if (xf_feature_models_fit(&alone, &w.data, &spec, &diag)) fail_msg("%s", diag.text);
  for (uint32_t s = 0; s < with.features.set->n_slot; s++) {
    const char *slot = with.features.set->slot[s];
    const bool pooled = strstr(slot, ".pooled") != NULL;
    assert_non_null(with.scorer[s]);
    assert_ptr_equal(with.features.scorer[s], with.scorer[s]);
    assert_int_equal(alone.scorer[s] == NULL, pooled);
    for (uint32_t i = 0; i < ITEMS; i++)
      assert_float_equal(score_of(&with, slot, i), score_of(&again, slot, i), 0);
    if (!pooled) assert_float_equal(score_of(&with, slot, 5), score_of(&alone, slot, 5), 0);
  }
  assert_true(score_of(&with, "ease.pooled", 5) > score_of(&with, "ease.own", 5) + .01f);
  assert_true(score_of(&with, "kernel.pooled", 5) > score_of(&with, "kernel.own", 5) + .01f);
  assert_null(xf_feature_models_find(&with, "ease"));
  // features with empty slots: zeros there, numbers elsewhere
  float x[ITEMS * XF_FEATURES_MAX];
  uint32_t served = 0;
  const struct xf_query q = {3, w.train.item + w.train.start[3], EACH, (double)NAN};
  assert_int_equal(xf_features_make(&alone.features, &q, NULL, 0, x, &served, &diag), XF_OK);
  assert_int_equal(served, 1 | 1 << 2 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 8);
  xf_feature_models_deinit(&with);
  xf_feature_models_deinit(&with);
  xf_feature_models_deinit(&again);
  xf_feature_models_deinit(&alone);
  xf_csr_deinit(&w.train);
}

static void test_limits(void **state) {
  (void)state;
  struct world w;
  struct xf_feature_models m;
  struct xf_feature_models_spec spec = {.version = 1, .gram = &w.gram, .max_items = ITEMS - 1};
  world_init(&w);
  if (xf_feature_models_fit(&m, &w.data, &spec, &diag)) fail_msg("%s", diag.text);
  assert_null(xf_feature_models_find(&m, "ease.own")); // too many items to invert
  assert_null(xf_feature_models_find(&m, "ease.pooled"));
  assert_non_null(xf_feature_models_find(&m, "kernel.pooled"));
  const float clean = score_of(&m, "kernel.pooled", 5);
  xf_feature_models_deinit(&m);
  // noise of deviation 5 without a diagonal: 18 is not above 4 deviations, so the pair goes; of deviation 1 it stays
  w.gram.diagonal = NULL;
  w.gram.noise_sd = 5;
  if (xf_feature_models_fit(&m, &w.data, &spec, &diag)) fail_msg("%s", diag.text);
  assert_float_equal(score_of(&m, "kernel.pooled", 5), score_of(&m, "kernel.own", 5), 1e-6f);
  xf_feature_models_deinit(&m);
  w.gram.noise_sd = 1;
  w.gram.beta = 1;
  if (xf_feature_models_fit(&m, &w.data, &spec, &diag)) fail_msg("%s", diag.text);
  assert_true(score_of(&m, "kernel.pooled", 5) > .5f * clean);
  xf_feature_models_deinit(&m);
  w.gram.noise_sd = 0;
  assert_int_equal(xf_feature_models_fit(&m, &w.data, &spec, &diag), XF_E_INVAL);
  w.gram.diagonal = w.diagonal;
  w.triangle[0] = NAN;
  assert_int_equal(xf_feature_models_fit(&m, &w.data, &spec, &diag), XF_E_NAN);
  w.triangle[0] = 0;
  spec.lambda = -1;
  assert_int_equal(xf_feature_models_fit(&m, &w.data, &spec, &diag), XF_E_RANGE);
  spec.lambda = 0;
  spec.version = 9;
  assert_int_equal(xf_feature_models_fit(&m, &w.data, &spec, &diag), XF_E_VERSION);
  spec.version = 1;
  w.data.n_items = 3;
  assert_int_equal(xf_feature_models_fit(&m, &w.data, &spec, &diag), XF_E_SHAPE);
  const struct xf_csr none = {.n_row = 0, .start = w.train.start};
  const struct xf_rec_data empty = {0, ITEMS, &none};
  assert_int_equal(xf_feature_models_fit(&m, &empty, &spec, &diag), XF_E_NOTFOUND);
  xf_csr_deinit(&w.train);
}

int main(void) {
  if (xf_blas_start(NULL, &diag)) {
    fprintf(stderr, "%s\n", diag.text);
    return 1;
  }
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_slots), cmocka_unit_test(test_limits)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
