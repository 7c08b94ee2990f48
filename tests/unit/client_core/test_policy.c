// What a silo refuses, and what it does under plan and policy together.
#include "silo.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static const struct xf_policy none = {0};

/* The plan with `sets` is refused under `key`, and the sentence holds each of the words. */
static void refused(const struct xf_policy *policy, const char *sets, const char *key,
                    const char *first, const char *second) {
  struct xf_plan plan;
  struct xf_diag diag;
  const char *got = "";
  silo_plan(&plan, sets);
  xf_diag_init(&diag);
  assert_int_equal(xf_policy_check_plan(policy, &plan, &got, &diag), XF_E_POLICY);
  assert_string_equal(got, key);
  if (!strstr(diag.text, key) || !strstr(diag.text, first) || !strstr(diag.text, second))
    fail_msg("\"%s\" should name %s, %s and %s", diag.text, key, first, second);
}

static void taken(const struct xf_policy *policy, const char *sets) {
  struct xf_plan plan;
  struct xf_diag diag;
  const char *key = "";
  silo_plan(&plan, sets);
  xf_diag_init(&diag);
  if (xf_policy_check_plan(policy, &plan, &key, &diag)) fail_msg("%s: %s", key, diag.text);
}

static void plan_limits(void **state) {
  (void)state;
  taken(&none, "");
  refused(&(struct xf_policy){.max_rounds = 7}, "", "policy.max_rounds", "8 rounds", "allows 7");
  taken(&(struct xf_policy){.max_rounds = 8}, "");
  refused(&(struct xf_policy){.max_epochs = 2}, "local.epochs=3", "policy.max_epochs", "3 local",
          "allows 2");
  taken(&(struct xf_policy){.max_epochs = 3}, "local.epochs=3");
  refused(&(struct xf_policy){.max_steps = 9}, "local.steps=10", "policy.max_steps", "10 local",
          "allows 9");
  taken(&(struct xf_policy){.max_steps = 10}, "local.steps=10");
}

static void plan_models(void **state) {
  (void)state;
  struct xf_policy p = {.models = {"mf", "mlp"}, .n_models = 2};
  refused(&p, "", "policy.models", "\"logreg\"", "mf, mlp");
  memcpy(p.models[1], "logreg", sizeof "logreg");
  taken(&p, "");
}

static void plan_noise(void **state) {
  (void)state;
  static const char scaffold[] = "fed.weighting=uniform fed.algorithm=scaffold";
  taken(&none, scaffold);
  refused(&(struct xf_policy){.clip = 1}, scaffold, "policy.clip", "scaffold", "fedavg");
  refused(&(struct xf_policy){.clip = 1, .noise_multiplier = 1}, scaffold,
          "policy.noise_multiplier", "scaffold", "fedavg");
  refused(&(struct xf_policy){.noise_multiplier = 1.5, .clip = 1}, "", "policy.noise_multiplier",
          "1.5", "uniform");
  refused(&(struct xf_policy){.noise_multiplier = 1.5}, "fed.weighting=uniform", "policy.clip",
          "1.5", "privacy.clip");
  taken(&(struct xf_policy){.noise_multiplier = 1.5, .clip = 1}, "fed.weighting=uniform");
  const char *by_loss = "fed.weighting=uniform fed.select.policy=power-of-choice";
  refused(&(struct xf_policy){.noise_multiplier = 1.5, .clip = 1}, by_loss, "policy.export_metrics",
          "by their losses (fed.select.policy)", "stratified or uniform");
  taken(&(struct xf_policy){.noise_multiplier = 1.5, .clip = 1, .export_metrics = true}, by_loss);
  taken(&(struct xf_policy){.noise_multiplier = 1.5}, "fed.weighting=uniform privacy.clip=2");
}

// limits of a silo's updates are not taken for limits of a record's gradients, unless the silo says so
static void plan_unit(void **state) {
  (void)state;
  static const char sets[] = "fed.weighting=uniform privacy.unit=record privacy.clip=1 "
                             "local.steps=5 local.sample_rate=0.1 local.batch=4";
  taken(&none, sets);
  refused(&(struct xf_policy){.clip = 2}, sets, "policy.unit", "privacy.unit is record",
          "leave out policy.clip");
  refused(&(struct xf_policy){.noise_multiplier = 2}, sets, "policy.unit", "policy.unit: record",
          "leave out policy.noise_multiplier");
  refused(&(struct xf_policy){.max_epsilon = 2, .unit = XF_PLAN_UNIT_USER}, sets, "policy.unit",
          "policy.unit user", "leave out policy.max_epsilon");
  taken(&(struct xf_policy){.max_epsilon = 2, .clip = 1, .unit = XF_PLAN_UNIT_RECORD}, sets);
  taken(&(struct xf_policy){.clip = 2, .unit = XF_PLAN_UNIT_RECORD}, "");
}

static void plan_aligned(void **state) {
  (void)state;
  struct xf_plan plan;
  struct xf_diag diag;
  const char *key = "";
  silo_plan(&plan, "");
  plan.model.kind = XF_PLAN_MODEL_MF;
  plan.model.users = XF_PLAN_USERS_ALIGNED;
  xf_diag_init(&diag);
  assert_int_equal(xf_policy_check_plan(&none, &plan, &key, &diag), XF_E_POLICY);
  assert_string_equal(key, "policy.allow_aligned");
  assert_non_null(strstr(diag.text, "policy.allow_aligned is false"));
  const struct xf_policy allowed = {.allow_aligned = true};
  assert_int_equal(xf_policy_check_plan(&allowed, &plan, &key, &diag), XF_OK);
}

/* A sum over keyed items bounds no user unless the plan itself adds noise to it. */
static void plan_statistics(void **state) {
  (void)state;
  static const char text[] = "name: s\ndata: {kind: interactions}\nmodel: {kind: recommender}\n"
                             "stages:\n  - {name: gram, kind: statistic, statistic: {beta: 1}}\n";
  static const char *const sets[] = {"privacy.noise_multiplier=1", "privacy.unit=user"};
  const struct xf_policy aligned = {.allow_aligned = true},
                         noisy = {.allow_aligned = true, .noise_multiplier = 1.5};
  struct xf_plan plan, noised;
  struct xf_diag diag;
  const char *key = "";
  xf_diag_init(&diag);
  assert_int_equal(xf_plan_load_text(&plan, "s", text, sizeof text - 1, NULL, 0, NULL, &diag),
                   XF_OK);
  assert_int_equal(xf_plan_load_text(&noised, "s", text, sizeof text - 1, sets, 2, NULL, &diag),
                   XF_OK);
  assert_int_equal(xf_policy_check_plan(&none, &plan, &key, &diag), XF_E_POLICY);
  assert_string_equal(key, "policy.allow_aligned");
  assert_int_equal(xf_policy_check_plan(&aligned, &plan, &key, &diag), XF_OK);
  assert_int_equal(xf_policy_check_plan(&noisy, &plan, &key, &diag), XF_E_POLICY);
  assert_string_equal(key, "policy.noise_multiplier");
  assert_non_null(strstr(diag.text, "sums statistics without noise"));
  /* Its bound needs no clip, and policy.unit is about training. */
  if (xf_policy_check_plan(&noisy, &noised, &key, &diag)) fail_msg("%s: %s", key, diag.text);
}

/* Clipped or noised sums would be sums of nothing: the plan is refused before anything is asked. */
static void test_exact_sums(void **state) {
  (void)state;
  static const char text[] =
      "name: s\ndata: {kind: interactions}\nmodel: {kind: recommender}\nstages:\n"
      "  - {name: exact, kind: rows, fed: {rounds: 3}, rows: {rule: sums, dim: 8}}\n";
  static struct xf_plan plan;
  const struct xf_policy free_of = {.allow_aligned = true},
                         clips = {.allow_aligned = true, .clip = 1},
                         noises = {.allow_aligned = true, .clip = 1, .noise_multiplier = 1};
  const char *key = NULL;
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(xf_plan_load_text(&plan, "s", text, sizeof text - 1, NULL, 0, NULL, &diag),
                   XF_OK);
  assert_int_equal(xf_policy_check_plan(&free_of, &plan, &key, &diag), XF_OK);
  assert_int_equal(xf_policy_check_plan(&clips, &plan, &key, &diag), XF_E_POLICY);
  assert_string_equal(key, "policy.clip");
  assert_int_equal(xf_policy_check_plan(&noises, &plan, &key, &diag), XF_E_POLICY);
  assert_string_equal(key, "policy.noise_multiplier");
  assert_non_null(strstr(diag.text, "exact sums"));
}

static void offer_case(const struct xf_policy *p, uint64_t released, uint32_t cohort,
                       double epsilon, const char *key, const char *first, const char *second) {
  struct xf_diag diag;
  const char *got = "";
  xf_diag_init(&diag);
  enum xf_rc rc = xf_policy_check_offer(p, released, cohort, epsilon, &got, &diag);
  assert_int_equal(rc, key ? XF_E_POLICY : XF_OK);
  if (!key) return;
  assert_string_equal(got, key);
  if (!strstr(diag.text, key) || !strstr(diag.text, first) || !strstr(diag.text, second))
    fail_msg("\"%s\" should name %s, %s and %s", diag.text, key, first, second);
}

static void offers(void **state) {
  (void)state;
  const struct xf_policy p = {.max_rounds = 4, .min_cohort = 3, .max_epsilon = 2.5};
  offer_case(&none, 1000, 0, 1000, NULL, "", "");
  offer_case(&p, 3, 3, 2.5, NULL, "", "");
  offer_case(&p, 4, 3, 0, "policy.max_rounds", "4 updates", "allows 4");
  offer_case(&p, 0, 2, 0, "policy.min_cohort", "cohort of 2", "asks for 3");
  offer_case(&p, 0, 3, 2.75, "policy.max_epsilon", "2.75", "2.5");
  offer_case(&p, 0, 3, (double)NAN, "policy.max_epsilon", "nan", "2.5"); /* unknown is too much */
}

static void effect(void **state) {
  (void)state;
  static const struct {
    double plan_clip, clip, plan_noise, noise;
    bool export_metrics;
    double want_clip, want_noise;
    bool metrics;
  } cases[] = {
      {0, 0, 0, 0, false, 0, 0, true},    {2, 0, 0, 0, false, 2, 0, true},
      {0, 3, 0, 0, false, 3, 0, true},    {2, 3, 0, 0, false, 2, 0, true},
      {3, 2, 0.5, 1, false, 2, 1, false}, {3, 2, 1.5, 1, false, 2, 1.5, false},
      {3, 2, 1.5, 1, true, 2, 1.5, true},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct xf_plan plan;
    struct xf_policy_effect e;
    silo_plan(&plan, "");
    plan.privacy.clip = cases[i].plan_clip;
    plan.privacy.noise_multiplier = cases[i].plan_noise;
    xf_policy_effect_get(&e,
                         &(struct xf_policy){.clip = cases[i].clip,
                                             .noise_multiplier = cases[i].noise,
                                             .max_weight = 40,
                                             .export_metrics = cases[i].export_metrics},
                         &plan);
    assert_true(e.clip >= cases[i].want_clip && e.clip <= cases[i].want_clip);
    assert_true(e.noise_multiplier >= cases[i].want_noise &&
                e.noise_multiplier <= cases[i].want_noise);
    assert_int_equal(e.max_weight, 40);
    assert_int_equal(e.metrics, cases[i].metrics);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(plan_limits),     cmocka_unit_test(plan_models),
      cmocka_unit_test(plan_noise),      cmocka_unit_test(plan_aligned),
      cmocka_unit_test(plan_unit),       cmocka_unit_test(plan_statistics),
      cmocka_unit_test(offers),          cmocka_unit_test(effect),
      cmocka_unit_test(test_exact_sums),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
