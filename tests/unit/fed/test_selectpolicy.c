// Policies of selection: their frequencies, Oort's terms, what they remember. Vectors: federated_optimisation.json.
#include "fed/selectpolicy.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { N = 10, TRIES = 20000 };
static const struct xf_select_member list[N] = {
    {"a", "books"}, {"b", "games"}, {"c", "books"}, {"d", "music"}, {"e", "books"},
    {"f", "games"}, {"g", "books"}, {"h", "music"}, {"i", "books"}, {"j", "books"}};

static const struct xf_select_pacer still = {.quantile = 1};

static void near(double got, double want) {
  if (!(fabs(got - want) <= 1e-12 * fmax(1, fabs(want)))) fail_msg("%.17g, not %.17g", got, want);
}

// One commit in which the first n members took part, with these losses.
static void commit(struct xf_select_memory *m, uint32_t n, const double *samples,
                   const double *loss, const double *seconds) {
  struct xf_select_seen seen[N];
  for (uint32_t i = 0; i < n; i++)
    seen[i] = (struct xf_select_seen){i, samples ? samples[i] : 10, loss ? loss[i] : 1,
                                      seconds ? seconds[i] : 0};
  xf_select_learn(m, seen, n);
}

struct counts {
  uint32_t member[N], same; /* how often chosen; pairs of one domain among two */
};

static struct counts count(const struct xf_select_policy *policy, const struct xf_select_memory *m,
                           uint32_t n, uint32_t asked) {
  const struct xf_select_rule rule = {.cohort_count = asked, .quorum = 1};
  struct counts c = {{0}, 0};
  struct xf_rng rng;
  uint32_t out[N], n_out;
  xf_rng_init(&rng, 11, 0);
  for (int t = 0; t < TRIES; t++) {
    struct xf_select_pool pool = {.member = list, .memory = m, .n = n};
    assert_int_equal(xf_select_policy_draw(out, &n_out, policy, &rule, &pool, &rng, NULL), XF_OK);
    assert_int_equal(n_out, asked);
    for (uint32_t k = 0; k < n_out; k++) {
      assert_true(out[k] < n && (k == 0 || out[k] > out[k - 1]));
      c.member[out[k]]++;
    }
    c.same += asked == 2 && strcmp(list[out[0]].domain, list[out[1]].domain) == 0;
  }
  return c;
}

static void often(uint32_t got, double p) {
  const double sd = sqrt(TRIES * p * (1 - p));
  if (fabs(got - TRIES * p) > 5 * sd + 1e-9) fail_msg("%u of %d, not %g", got, TRIES, p);
}

static void test_uniform(void **state) {
  (void)state;
  struct xf_select_memory m;
  xf_select_memory_init(&m, N, &still);
  const struct counts c = count(&(struct xf_select_policy){.kind = XF_SELECT_UNIFORM}, &m, N, 2);
  for (int i = 0; i < N; i++) often(c.member[i], 0.2);
  often(c.same, (15.0 + 1 + 1) / 45); // pairs of one domain among all: domains play no part
  xf_select_memory_deinit(&m);
}

static void test_weighted(void **state) {
  (void)state;
  const double w[4] = {1, 2, 3, 4};
  struct xf_select_memory m;
  xf_select_memory_init(&m, N, &still);
  commit(&m, 4, w, NULL, NULL);
  const struct xf_select_policy policy = {.kind = XF_SELECT_WEIGHTED};
  const struct counts one = count(&policy, &m, 4, 1), two = count(&policy, &m, 4, 2);
  for (int i = 0; i < 4; i++) {
    double p = w[i] / 10; // first, or second after j
    often(one.member[i], p);
    for (int j = 0; j < 4; j++)
      if (j != i) p += w[j] / 10 * w[i] / (10 - w[j]);
    often(two.member[i], p);
  }
  const struct counts five = count(&policy, &m, 5, 1); // the fifth counts as the mean, 2.5
  often(five.member[4], 2.5 / 12.5);
  often(five.member[0], 1 / 12.5);
  xf_select_memory_deinit(&m);
}

// vector power_of_choice: candidates 7 2 9 4 1, m = 3
static void test_choice_vector(void **state) {
  (void)state;
  uint32_t candidate[5] = {7, 2, 9, 4, 1};
  const double loss[N] = {[7] = 0.9, [2] = 1.4, [9] = 0.3, [4] = 1.4, [1] = 2.0};
  xf_select_sort(candidate, 5, loss);
  assert_memory_equal(candidate, ((uint32_t[]){1, 2, 4, 7, 9}), sizeof candidate);
}

static void test_choice(void **state) {
  (void)state;
  const double loss[3] = {1, 3, 2};
  struct xf_select_memory m;
  xf_select_memory_init(&m, N, &still);
  commit(&m, 3, NULL, loss, NULL);
  struct xf_select_policy policy = {.kind = XF_SELECT_CHOICE, .candidates = 2};
  const struct counts c = count(&policy, &m, 3, 1);
  assert_int_equal(c.member[0], 0); // of two candidates one has more
  often(c.member[1], 2.0 / 3);
  often(c.member[2], 1.0 / 3);
  policy.candidates = 0; // twice the members asked: the same
  const struct counts again = count(&policy, &m, 3, 1);
  assert_memory_equal(&again, &c, sizeof c);
  policy.candidates = 3;
  assert_int_equal(count(&policy, &m, 3, 1).member[1], TRIES);
  // who never took part comes first; who hides its loss counts as the mean of the others, 2
  commit(&m, 1, NULL, (double[]){NAN}, NULL);
  policy.candidates = 4;
  const struct counts first = count(&policy, &m, 4, 1), second = count(&policy, &m, 4, 2);
  assert_int_equal(first.member[3], TRIES);
  assert_int_equal(second.member[1], TRIES);
  policy.candidates = 3;
  assert_int_equal(count(&policy, &m, 3, 2).member[0], TRIES); // 2.5 of the mean of 3 and 2
  xf_select_memory_deinit(&m);
}

static void test_min_domains(void **state) {
  (void)state;
  const double loss[4] = {9, 1, 8, 2}; // books games books music
  const struct xf_select_policy policy = {.kind = XF_SELECT_CHOICE, .candidates = 4};
  struct xf_select_rule rule = {.cohort_count = 2, .quorum = 1, .min_domains = 2};
  struct xf_select_memory m;
  struct xf_rng rng;
  struct xf_diag diag;
  uint32_t out[N], n_out;
  xf_diag_init(&diag);
  xf_rng_init(&rng, 1, 0);
  xf_select_memory_init(&m, N, &still);
  commit(&m, 4, NULL, loss, NULL);
  struct xf_select_pool pool = {.member = list, .memory = &m, .n = 4};
  assert_int_equal(xf_select_policy_draw(out, &n_out, &policy, &rule, &pool, &rng, NULL), XF_OK);
  assert_memory_equal(out, ((uint32_t[]){0, 3}), 2 * sizeof *out);
  rule.min_domains = 1;
  assert_int_equal(xf_select_policy_draw(out, &n_out, &policy, &rule, &pool, &rng, NULL), XF_OK);
  assert_memory_equal(out, ((uint32_t[]){0, 2}), 2 * sizeof *out);
  rule.min_domains = 4;
  assert_int_equal(xf_select_policy_draw(out, &n_out, &policy, &rule, &pool, &rng, &diag),
                   XF_E_RANGE);
  assert_non_null(strstr(diag.text, "min_domains is 4"));
  xf_select_memory_deinit(&m);
}

// vector oort_utility: losses 1 2 3, t 20, T 10, alpha 2, round 50, last 5
static void test_oort_vector(void **state) {
  (void)state;
  const double stat = 3 * sqrt((1 + 4 + 9) / 3.0), stale = xf_oort_staleness(50, 5),
               system = xf_oort_system(20, 10, 2);
  near(stat, 6.48074069840786);
  near(stale, 0.2797149622536537);
  near(system, 0.25);
  near((stat + stale) * system, 1.6901139151653786);
  near((stat + stale) * xf_oort_system(10, 10, 2), 6.760455660661514);
}

static const struct xf_select_policy greedy = {
    .kind = XF_SELECT_OORT, .oort = {.cutoff = 1, .clip = 1, .penalty = 2, .most_part = 0.3}};

static void chosen(const struct xf_select_policy *policy, const struct xf_select_memory *m,
                   uint32_t n, uint32_t asked, uint32_t bits) {
  const struct counts c = count(policy, m, n, asked);
  for (uint32_t i = 0; i < n; i++)
    if (c.member[i] != (bits >> i & 1 ? TRIES : 0))
      fail_msg("member %u was chosen %u times", i, c.member[i]);
}

static void test_oort_exploits(void **state) {
  (void)state;
  const double loss[5] = {1, 2, 3, 4, 5}, seconds[5] = {10, 10, 10, 10, 40};
  struct xf_select_memory m;
  xf_select_memory_init(&m, N, &(struct xf_select_pacer){.quantile = 0.5});
  for (int k = 0; k < 9; k++) commit(&m, 5, NULL, loss, NULL);
  chosen(&greedy, &m, 5, 2, 1 << 3 | 1 << 4);
  // a has waited since commit 1: sqrt(.1 ln 10) = .48 against .25 + .16 of b
  m.known[0].last = 1;
  chosen(&greedy, &m, 5, 4, 1 | 1 << 2 | 1 << 3 | 1 << 4);
  // slower than the median: a sixteenth, below all others
  commit(&m, 5, NULL, loss, seconds);
  chosen(&greedy, &m, 5, 2, 1 << 2 | 1 << 3);
  m.quantile = 1; // every duration is fine
  chosen(&greedy, &m, 5, 2, 1 << 3 | 1 << 4);
  // .3 of 5 members: one may be barred, the one that was there most
  struct xf_select_policy bar = greedy;
  bar.oort.most = 3;
  m.known[4].times = 11;
  chosen(&bar, &m, 5, 2, 1 << 2 | 1 << 3);
  chosen(&bar, &m, 5, 5, 31); // but there is nobody else
  // cut at the median, 30: c, d and e are worth the same, and who is within the cutoff is drawn alike
  struct xf_select_policy cut = greedy;
  cut.oort.clip = 0.5;
  const struct counts c = count(&cut, &m, 5, 1);
  for (int i = 2; i < 5; i++) often(c.member[i], 1.0 / 3);
  xf_select_memory_deinit(&m);
}

static void test_oort_explores(void **state) {
  (void)state;
  struct xf_select_policy policy = greedy;
  struct xf_select_memory m;
  policy.oort.explore = 0.9;
  policy.oort.explore_decay = 0.98;
  policy.oort.explore_min = 0.3;
  near(xf_oort_explore(&policy, 1), 0.9 * 0.98);
  near(xf_oort_explore(&policy, 2), 0.9 * 0.98 * 0.98);
  near(xf_oort_explore(&policy, 1000), 0.3);
  policy.oort.explore = 0.5;
  policy.oort.explore_decay = 1;
  xf_select_memory_init(&m, N, &still);
  struct counts c = count(&policy, &m, N, 4); // nobody is known: all are drawn alike
  for (int i = 0; i < N; i++) often(c.member[i], 0.4);
  commit(&m, 5, NULL, (double[]){1, 2, 3, 4, 5}, NULL);
  c = count(&policy, &m, N, 4); // half of four by utility, half of the five others
  assert_int_equal(c.member[3], TRIES);
  assert_int_equal(c.member[4], TRIES);
  for (int i = 5; i < N; i++) often(c.member[i], 0.4);
  commit(&m, N, NULL, (double[]){1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, NULL);
  chosen(&policy, &m, N, 4, 0xf << 6); // all are known: explore no more
  xf_select_memory_deinit(&m);
}

static void test_memory(void **state) {
  (void)state;
  struct xf_select_memory m;
  xf_select_memory_init(&m, 2, &(struct xf_select_pacer){2, 0.1, 0.5});
  commit(&m, 2, (double[]){7, 9}, (double[]){1, 2}, (double[]){3, 0});
  commit(&m, 1, (double[]){0}, (double[]){NAN}, NULL);
  const struct xf_select_known *k = m.known;
  assert_true(k[0].times == 2 && k[0].last == 2 && k[0].samples == 7 && k[0].seconds == 3);
  assert_true(isnan(k[0].loss) && k[1].times == 1 && k[1].last == 1 && k[1].loss == 2);
  commit(&m, 2, (double[]){1e300, 9}, (double[]){1e300, INFINITY},
         NULL); // what silos say is bounded
  assert_true(isfinite(k[0].samples * k[0].loss) && isnan(k[1].loss));
  xf_select_memory_deinit(&m);
  xf_select_memory_deinit(&m);
}

// Windows of two commits: a flat utility raises the quantile, a jump above five times lowers it.
static void test_pacer(void **state) {
  (void)state;
  struct xf_select_memory m;
  xf_select_memory_init(&m, 1, &(struct xf_select_pacer){2, 0.1, 0.5});
  const struct {
    double loss, quantile;
  } rows[] = {{1, 0.5},   {1, 0.5}, {1, 0.5}, {1, 0.5}, // 10 (the first is new), then 20: doubled
              {1, 0.5},   {1, 0.6},                     // 20 and 20
              {9, 0.6},   {9, 0.5},                     // 180: nine times
              {5, 0.5},   {4, 0.5},                     // 90: half
              {4.5, 0.5}, {5, 0.6}};                    // 95 is within a tenth
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    commit(&m, 1, NULL, &rows[i].loss, NULL);
    near(m.quantile, rows[i].quantile);
  }
  xf_select_memory_deinit(&m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_uniform),       cmocka_unit_test(test_weighted),
      cmocka_unit_test(test_choice_vector), cmocka_unit_test(test_choice),
      cmocka_unit_test(test_min_domains),   cmocka_unit_test(test_oort_vector),
      cmocka_unit_test(test_oort_exploits), cmocka_unit_test(test_oort_explores),
      cmocka_unit_test(test_memory),        cmocka_unit_test(test_pacer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
