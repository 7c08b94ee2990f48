/* A statistic over public categories, between silos that have neither users nor items in common: the release against plain counting,
   whose keys leave, the others' part, noise on its grid, what a decision makes of it. */
#include "priv/release.h"
#include "rec/gram.h"
#include "stagetest.h"
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

enum { CATS = 16 };
static struct stagetest t;

/* Over the known categories of silo k, diagonal included: each user counts m^-beta, m their known categories in the train part. */
static void count(double out[CATS][CATS], size_t k, double beta) {
  const struct stagetest_silo *s = &t.s[k];
  const struct xf_categories *c = xf_silo_categories(s->silo);
  const struct xf_csr *train = &xf_silo_data(s->silo)->split.part[XF_PART_TRAIN];
  memset(out, 0, sizeof(double) * CATS * CATS);
  assert_true(s->n_row <= CATS && s->n_row > 6);
  for (uint32_t u = 0; u < xf_silo_data(s->silo)->split.n_users; u++) {
    bool has[CATS] = {false};
    double n = 0;
    for (size_t i = 0; i < s->n_row; i++) {
      for (uint32_t e = train->start[u]; e < train->start[u + 1]; e++)
        for (uint32_t g = c->of.start[train->item[e]]; g < c->of.start[train->item[e] + 1]; g++)
          has[i] |= c->of.item[g] == s->local[i];
      n += has[i];
    }
    for (size_t i = 0; i < s->n_row; i++)
      for (size_t j = 0; j < s->n_row; j++)
        if (has[i] && has[j]) out[i][j] += pow(n, -beta);
  }
}

static void test_release(void **state) {
  (void)state;
  static double want[CATS][CATS];
  static const double beta[] = {0, .5, 1};
  for (size_t b = 0; b < 3; b++) {
    char sets[64];
    (void)snprintf(sets, sizeof sets, "stages[0].statistic.beta=%g", beta[b]);
    stagetest_init(&t, stagetest_categories, sets, NULL);
    assert_true(t.spaces.n == 1 && t.spaces.at[0].of == XF_SPACE_CATEGORIES);
    assert_string_equal(t.spaces.at[0].ns, "category");
    for (size_t k = 0; k < 3; k++) {
      const size_t m = t.s[k].n_row;
      size_t at = 0, filled = 0;
      stagetest_work(&t, k);
      count(want, k, beta[b]);
      assert_int_equal(t.s[k].n_update, m + m * (m - 1) / 2);
      for (size_t i = 0; i < m; i++, at++)
        assert_true(fabs((double)t.s[k].update[at] - want[i][i]) <= 1e-6 * want[i][i]);
      for (size_t i = 0; i < m; i++)
        for (size_t j = i + 1; j < m; j++, at++) {
          assert_true(fabs((double)t.s[k].update[at] - want[i][j]) <= 1e-6 * want[i][j]);
          filled += want[i][j] > 0;
        }
      assert_true(filled > 10 && t.s[k].answer.charge.noise_multiplier == 0);
    }
    stagetest_deinit(&t);
  }
}

/* A category that one silo alone has stays there; the keys are pseudonyms of names. */
static void test_own_category_stays(void **state) {
  (void)state;
  stagetest_init(&t, stagetest_categories, "", NULL);
  assert_true(t.directory[0].all.n >= 8 && t.directory[0].all.n <= 9); /* c0 .. c6, d1, d3 */
  bool own = false;
  for (size_t k = 0; k < 3; k++) {
    const struct xf_names *names = &xf_silo_categories(t.s[k].silo)->names;
    own |= xf_names_find(names, "own1", 4) != XF_NO_ID;
    assert_true(xf_silo_manifest(t.s[k].silo, 0)->n == names->n);
    for (size_t i = 0; i < t.s[k].n_row; i++)
      assert_true(strncmp(xf_names_get(names, t.s[k].local[i]), "own", 3) != 0);
  }
  assert_true(own);
  stagetest_deinit(&t);
}

static void test_missing(void **state) {
  (void)state;
  struct xf_silo *s = NULL;
  struct xf_diag diag;
  stagetest_init(&t, stagetest_categories, "", NULL);
  struct xf_dataset data;
  xf_dataset_init(&data, XF_DATASET_INTERACTIONS);
  struct xf_silo_config config = {
      .plan = &t.plan, .member = "silo-x", .data = &data, .align_key = (const uint8_t[32]){1}};
  xf_diag_init(&diag);
  assert_int_equal(xf_silo_new(&s, &config, &diag), XF_E_CONFIG);
  assert_non_null(strstr(diag.text, "serve.categories"));
  stagetest_deinit(&t);
}

static void seeded(struct xf_silo_config *c) { c->seeded_noise = true; }

#define NOISED "privacy.noise_multiplier=2 privacy.unit=user stages[0].statistic.beta=1"

/* Multiples of the release's step, of the right size, charged; no diagonal leaves. */
static void test_noise(void **state) {
  (void)state;
  static double want[CATS][CATS];
  struct xf_release release;
  const struct xf_release_spec spec = {
      .sensitivity = XF_GRAM_SENSITIVITY, .noise_multiplier = 2, .largest = XF_GRAM_LARGEST};
  assert_int_equal(xf_release_init(&release, &spec, NULL), XF_OK);
  stagetest_init(&t, stagetest_categories, NOISED, seeded);
  double sum2 = 0, n = 0;
  for (size_t k = 0; k < 3; k++) {
    const size_t m = t.s[k].n_row;
    stagetest_work(&t, k);
    assert_null(xf_layout_find(xf_silo_layout(t.s[k].silo), "cats/diagonal"));
    assert_int_equal(t.s[k].n_update, m * (m - 1) / 2);
    assert_true(t.s[k].answer.charge.noise_multiplier >= 2 &&
                t.s[k].answer.begin.clip == XF_GRAM_SENSITIVITY);
    count(want, k, 1);
    for (size_t i = 0, at = 0; i < m; i++)
      for (size_t j = i + 1; j < m; j++, at++) {
        const double steps = (double)t.s[k].update[at] / release.step;
        const double noise = (double)t.s[k].update[at] - want[i][j];
        assert_true(steps == rint(steps));
        sum2 += noise * noise;
        n++;
      }
  }
  const double sd = sqrt(sum2 / n), sigma = 2 * XF_GRAM_SENSITIVITY;
  assert_true(n > 80 && sd > 0.7 * sigma && sd < 1.4 * sigma);
  stagetest_commit(&t);
  struct xf_buf text;
  xf_buf_init(&text, 1 << 16);
  stagetest_view(&t, 1, XF_TASK_FINAL, 0);
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_silo_arm_make(t.s[1].silo, XF_SILO_GUARDED, t.s[1].base, &diag)) fail_msg("%s", diag.text);
  assert_int_equal(xf_silo_explain(t.s[1].silo, &text), XF_OK);
  assert_non_null(strstr(xf_buf_cstr(&text), "the others' categories' co-occurrence is noisy"));
  assert_non_null(strstr(xf_buf_cstr(&text), "entries are above 4 sd"));
  xf_buf_deinit(&text);
  stagetest_deinit(&t);
}

/* A decision has the silo's own categories as a local candidate, with what the others added or a note why not, and names no items
   of others. Without a commit there is nothing of them. */
static void test_decision(void **state) {
  (void)state;
  struct xf_buf text;
  struct xf_diag diag;
  xf_diag_init(&diag);
  xf_buf_init(&text, 1 << 16);
  stagetest_init(&t, stagetest_categories, "", NULL);
  for (int committed = 0; committed < 2; committed++) {
    if (committed) stagetest_commit(&t);
    xf_buf_reset(&text);
    stagetest_view(&t, 1, XF_TASK_FINAL, 0);
    if (xf_silo_arm_make(t.s[1].silo, XF_SILO_GUARDED, t.s[1].base, &diag))
      fail_msg("%s", diag.text);
    assert_int_equal(xf_silo_explain(t.s[1].silo, &text), XF_OK);
    const char *said = xf_buf_cstr(&text);
    const char *own = strstr(said, "category.own");
    assert_true(own && strncmp(own + strcspn(own, " "), "     local", 10) == 0);
    assert_true((strstr(said, "category.pooled") != NULL) == committed);
  }
  xf_buf_deinit(&text);
  stagetest_deinit(&t);
}

int main(void) {
  struct xf_diag diag;
  if (xf_blas_start(NULL, &diag)) return 1;
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_release),
                                     cmocka_unit_test(test_own_category_stays),
                                     cmocka_unit_test(test_missing), cmocka_unit_test(test_noise),
                                     cmocka_unit_test(test_decision)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
