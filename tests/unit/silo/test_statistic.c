/* A statistic stage: the release against plain counting, the others' part of the sum, noise and its charge. */
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

enum { ITEMS = 32 };
static struct stagetest t;

/* Over the known keys of silo k, diagonal included: each user counts |x|^-beta, x the known items of the train part. */
static void count(double out[ITEMS][ITEMS], size_t k, double beta) {
  const struct stagetest_silo *s = &t.s[k];
  const struct xf_csr *train = &xf_silo_data(s->silo)->split.part[XF_PART_TRAIN];
  memset(out, 0, sizeof(double) * ITEMS * ITEMS);
  assert_true(s->n_row <= ITEMS && s->n_row > 4);
  for (uint32_t u = 0; u < xf_silo_data(s->silo)->split.n_users; u++) {
    bool has[ITEMS] = {false};
    uint32_t n = 0;
    for (size_t i = 0; i < s->n_row; i++) {
      for (uint32_t e = train->start[u]; e < train->start[u + 1]; e++)
        has[i] |= train->item[e] == s->local[i];
      n += has[i];
    }
    for (size_t i = 0; i < s->n_row; i++)
      for (size_t j = 0; j < s->n_row; j++)
        if (has[i] && has[j]) out[i][j] += pow(n, -beta);
  }
}

/* Diagonal first (when there is one), then the strict upper triangle, both by ascending keys. */
static void check_release(const float *x, size_t n, size_t k, double beta, bool diagonal) {
  static double want[ITEMS][ITEMS];
  const size_t m = t.s[k].n_row;
  size_t at = 0, filled = 0;
  count(want, k, beta);
  assert_int_equal(n, (diagonal ? m : 0) + m * (m - 1) / 2);
  for (size_t i = 0; diagonal && i < m; i++, at++)
    assert_true(fabs((double)x[at] - want[i][i]) <= 1e-6 * want[i][i]);
  for (size_t i = 0; i < m; i++)
    for (size_t j = i + 1; j < m; j++, at++) {
      assert_true(fabs((double)x[at] - want[i][j]) <= 1e-6 * want[i][j]);
      filled += want[i][j] > 0;
    }
  assert_true(filled > 10);
}

static void test_release(void **state) {
  (void)state;
  static const struct {
    const char *sets;
    double beta;
  } row[] = {{"", 0}, {"stages[0].statistic.beta=0.5", .5}, {"stages[0].statistic.beta=1", 1}};
  for (size_t c = 0; c < 3; c++) {
    stagetest_init(&t, stagetest_gram, row[c].sets, NULL);
    for (size_t k = 0; k < 3; k++) {
      stagetest_work(&t, k);
      const struct xf_silo_answer *a = &t.s[k].answer;
      check_release(t.s[k].update, t.s[k].n_update, k, row[c].beta, true);
      assert_int_equal(a->begin.weight, 1);
      assert_true(a->begin.clip == 0 && a->begin.epsilon == 0 && a->charge.noise_multiplier == 0);
      assert_true(!a->clipped && a->norm > 0 && !a->begin.has_loss);
      assert_int_equal(xf_silo_lens(t.s[k].silo)->down[0], 0); /* nothing is there to fetch */
    }
    stagetest_deinit(&t);
  }
}

static void test_counts(void **state) {
  (void)state;
  stagetest_init(&t, stagetest_gram, "stages[0].statistic.of=counts", NULL);
  for (size_t k = 0; k < 3; k++) {
    const struct xf_csr *train = &xf_silo_data(t.s[k].silo)->split.part[XF_PART_TRAIN];
    stagetest_work(&t, k);
    uint32_t all = 0;
    assert_int_equal(t.s[k].n_update, t.s[k].n_row);
    for (size_t i = 0; i < t.s[k].n_row; i++) {
      uint32_t n = 0;
      for (uint32_t e = 0; e < train->start[xf_silo_data(t.s[k].silo)->split.n_users]; e++)
        n += train->item[e] == t.s[k].local[i];
      assert_true(t.s[k].update[i] == (float)n);
      all += n;
    }
    assert_true(all > 20);
  }
  stagetest_deinit(&t);
}

/* Row of key `row` of the directory among silo k's known keys, or ITEMS. */
static size_t held(size_t k, uint32_t row) {
  for (size_t i = 0; i < t.s[k].n_row; i++)
    if (t.s[k].row[i] == row) return i;
  return ITEMS;
}

/* Sum less the own part is what the two others count together, exactly, for counts are whole numbers. */
static void test_others(void **state) {
  (void)state;
  static double part[3][ITEMS][ITEMS];
  stagetest_init(&t, stagetest_gram, "", NULL);
  stagetest_commit(&t);
  for (size_t k = 0; k < 3; k++) count(part[k], k, 0);
  uint32_t from_two = 0;
  for (size_t k = 0; k < 3; k++) {
    const size_t m = t.s[k].n_row;
    const size_t n = stagetest_view(&t, k, XF_TASK_FINAL, 0);
    const struct xf_layout *l = xf_silo_layout(t.s[k].silo);
    const float *own = xf_silo_personal(t.s[k].silo, false);
    const float *diagonal = own + xf_layout_find(l, "gram/diagonal")->offset;
    const float *pairs = own + xf_layout_find(l, "gram/pairs")->offset;
    assert_int_equal(n, m + m * (m - 1) / 2);
    for (size_t i = 0, at = m; i < m; i++)
      for (size_t j = i; j < m; j++) {
        double want = 0;
        uint32_t holders = 0;
        for (size_t o = 0; o < 3; o++) {
          const size_t a = held(o, t.s[k].row[i]), b = held(o, t.s[k].row[j]);
          if (o == k || a == ITEMS || b == ITEMS) continue;
          want += part[o][a][b];
          holders++;
        }
        from_two += holders == 2 && want > 0;
        const float got =
            i == j ? t.s[k].base[i] - diagonal[t.s[k].local[i]] : t.s[k].base[at] - pairs[at - m];
        at += i != j;
        if ((double)got != want)
          fail_msg("silo %zu pair %zu %zu: %g, others have %g", k, i, j, (double)got, want);
      }
  }
  assert_true(from_two > 20);
  stagetest_deinit(&t);
}

/* Keys of one silo alone are not in the directory: nothing about them leaves. */
static void test_own_items_stay(void **state) {
  (void)state;
  stagetest_init(&t, stagetest_gram, "", NULL);
  assert_true(t.directory[0].all.n > 18 && t.directory[0].all.n <= 24); /* of i4 .. i27 */
  for (size_t i = 0; i < t.directory[0].all.n; i++) assert_true(t.directory[0].holders[i] >= 2);
  const size_t all = xf_silo_manifest(t.s[0].silo, 0)->n, m = t.s[0].n_row;
  assert_true(m < all && m > 15 && m <= 20); /* of i0 .. i23, which somebody has */
  assert_int_equal(xf_silo_lens(t.s[0].silo)->up[0], (m + m * (m - 1) / 2) * sizeof(float));
  const struct xf_names *names = &xf_silo_data(t.s[0].silo)->inter.items;
  for (size_t i = 0; i < m; i++) {
    unsigned id = 0;
    assert_int_equal(sscanf(xf_names_get(names, t.s[0].local[i]), "i%u", &id), 1);
    assert_true(id >= 4);
  }
  stagetest_deinit(&t);
}

static void seeded(struct xf_silo_config *c) {
  c->seeded_noise = true;
  c->metrics = false;
}

#define NOISED "privacy.noise_multiplier=2 privacy.unit=user stages[0].statistic.beta=1"

static void test_noise(void **state) {
  (void)state;
  static double want[ITEMS][ITEMS];
  stagetest_init(&t, stagetest_gram, NOISED, seeded);
  for (size_t k = 0; k < 3; k++) {
    stagetest_work(&t, k);
    const struct stagetest_silo *s = &t.s[k];
    const struct xf_layout *l = xf_silo_layout(s->silo);
    const struct xf_msg_update_begin *b = &s->answer.begin;
    const size_t m = s->n_row, n = m * (m - 1) / 2;
    assert_null(xf_layout_find(l, "gram/diagonal"));
    assert_int_equal(s->n_update, n);
    count(want, k, 1);
    double sum2 = 0;
    size_t same = 0;
    for (size_t i = 0, at = 0; i < m; i++)
      for (size_t j = i + 1; j < m; j++, at++) {
        const double noise = (double)s->update[at] - want[i][j];
        sum2 += noise * noise;
        same += fabs(noise) < 1e-3;
      }
    const double sd = sqrt(sum2 / (double)n), sigma = 2 * XF_GRAM_SENSITIVITY;
    assert_true(sd > 0.6 * sigma && sd < 1.5 * sigma);
    assert_true(same <= n / 10);
    /* What is kept as the own part is what was released: only that can be taken out of the sum again. */
    assert_memory_equal(xf_silo_personal(s->silo, true) + xf_layout_find(l, "gram/pairs")->offset,
                        s->update, n * sizeof(float));
    assert_true(s->answer.charge.noise_multiplier >= 2 && s->answer.charge.noise_multiplier < 2.1);
    assert_true(b->clip == XF_GRAM_SENSITIVITY &&
                b->noise_multiplier == s->answer.charge.noise_multiplier);
    assert_true(b->epsilon > 0 && isfinite(b->epsilon) && b->epsilon_zero_out > 0);
    assert_true(b->n_samples == 0 && !b->has_loss); /* the noise would be in vain */
    assert_false(s->answer.clipped);
  }
  stagetest_commit(&t);
  for (size_t k = 0; k < 3; k++) { /* the coordinator adds up what was released */
    const size_t n = stagetest_view(&t, k, XF_TASK_FINAL, 0);
    assert_int_equal(n, t.s[k].n_update);
    for (size_t i = 0, at = 0; i < t.s[k].n_row; i++)
      for (size_t j = i + 1; j < t.s[k].n_row; j++, at++) {
        double all = 0;
        for (size_t o = 0; o < 3; o++) {
          const size_t a = held(o, t.s[k].row[i]), c = held(o, t.s[k].row[j]), m = t.s[o].n_row;
          if (a == ITEMS || c == ITEMS) continue;
          all += (double)t.s[o].update[xf_triangle_row((uint32_t)m, (uint32_t)a) + (c - a - 1)];
        }
        assert_true((double)t.s[k].base[at] == all); /* multiples of a power of two: exact */
      }
  }
  stagetest_deinit(&t);
}

/* Epsilon adds to what was spent before; other seeds of the noise, another release. */
static void test_charge(void **state) {
  (void)state;
  static float before[STAGETEST_FLOATS];
  stagetest_init(&t, stagetest_gram, NOISED, seeded);
  stagetest_work(&t, 0);
  const double once = t.s[0].answer.begin.epsilon;
  memcpy(before, t.s[0].update, sizeof before);
  struct xf_silo_task task = stagetest_task(&t, 0, XF_TASK_TRAIN);
  const struct xf_odometer_charge charge = t.s[0].answer.charge;
  assert_int_equal(xf_odometer_add(&task.spent, &charge, 1), XF_OK);
  assert_int_equal(xf_silo_work(t.s[0].silo, &task, &t.s[0].answer, NULL), XF_OK);
  assert_true(t.s[0].answer.begin.epsilon > once * 1.2);
  assert_memory_equal(before, t.s[0].answer.payload.p, t.s[0].answer.payload.len);
  task.offer.round++;
  assert_int_equal(xf_silo_work(t.s[0].silo, &task, &t.s[0].answer, NULL), XF_OK);
  assert_memory_not_equal(before, t.s[0].answer.payload.p, t.s[0].answer.payload.len);
  stagetest_deinit(&t);
}

/* A silo that shares no key answers with nothing. */
static void test_no_key(void **state) {
  (void)state;
  uint32_t holders[ITEMS] = {0};
  stagetest_init(&t, stagetest_gram, "", NULL);
  struct xf_silo *s = stagetest_again(&t, 0, "silo-x");
  assert_int_equal(xf_silo_align(s, (const uint32_t *const[]){holders}, NULL), XF_OK);
  assert_int_equal(xf_silo_lens(s)->all, 0);
  struct xf_silo_task task = stagetest_task(&t, 0, XF_TASK_TRAIN);
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_silo_work(s, &task, &t.s[0].answer, &diag)) fail_msg("%s", diag.text);
  assert_int_equal(t.s[0].answer.payload.len, 0);
  xf_silo_free(s);
  stagetest_deinit(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_release), cmocka_unit_test(test_counts),
      cmocka_unit_test(test_others),  cmocka_unit_test(test_own_items_stay),
      cmocka_unit_test(test_noise),   cmocka_unit_test(test_charge),
      cmocka_unit_test(test_no_key),
  };
  if (xf_blas_start(NULL, NULL)) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
