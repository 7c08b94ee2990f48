/* Which stage a commit belongs to, when a staged plan evaluates, what it asks of a silo. */
#include "plan/view.h"
#include "texts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

/* A recommender's plan of letters: E evaluate, S statistic, digits: a rows stage of so many rounds. */
static void letters(struct xf_plan *plan, const char *word, uint32_t every) {
  char text[2048], sets[32];
  size_t at = (size_t)snprintf(text, sizeof text,
                               "name: staged\ndata: {kind: interactions}\n"
                               "model: {kind: recommender}\nstages:\n");
  for (const char *c = word; *c; c++) {
    assert_true(at + 128 < sizeof text);
    const size_t i = (size_t)(c - word);
    if (*c == 'E') at += (size_t)snprintf(text + at, sizeof text - at, "  - {kind: evaluate}\n");
    else if (*c == 'S')
      at += (size_t)snprintf(text + at, sizeof text - at, "  - {name: s%zu, kind: statistic}\n", i);
    else
      at += (size_t)snprintf(text + at, sizeof text - at,
                             "  - {name: r%zu, kind: rows, fed: {rounds: %c}}\n", i, *c);
  }
  (void)snprintf(sets, sizeof sets, "eval.every=%u", every);
  texts_load_ok(plan, text, sets);
}

/* By walking: the stage of each commit. */
static uint32_t walk(const char *word, uint64_t committed, uint64_t *first) {
  uint64_t before = 0;
  uint32_t last = 0;
  *first = 0;
  for (uint32_t i = 0; word[i]; i++) {
    const uint64_t rounds = word[i] == 'E' ? 0 : word[i] == 'S' ? 1 : (uint64_t)(word[i] - '0');
    if (rounds == 0) continue;
    last = i;
    *first = before;
    if (committed < before + rounds) return i;
    before += rounds;
  }
  return last; /* all is committed */
}

static const char *const words[] = {"S",    "3",    "S2",    "ES",    "SE",    "SE3",
                                    "EEES", "S3E2", "2E3E1", "2EE3E", "E1E1E", "S1111E1"};

static void test_stage_at(void **state) {
  (void)state;
  for (size_t k = 0; k < sizeof words / sizeof words[0]; k++) {
    struct xf_plan p;
    letters(&p, words[k], 0);
    const uint64_t rounds = xf_plan_rounds(&p);
    assert_true(rounds > 0);
    for (uint64_t c = 0; c < rounds + 3; c++) {
      uint64_t first = 77, want_first = 0;
      const uint32_t want = walk(words[k], c, &want_first);
      if (xf_plan_stage_at(&p, c, &first) != want || first != want_first)
        fail_msg("%s after %u commits: stage %u from %u, not %u from %u", words[k], (unsigned)c,
                 xf_plan_stage_at(&p, c, NULL), (unsigned)first, want, (unsigned)want_first);
      assert_int_not_equal(p.stages[want].kind, XF_PLAN_STAGE_EVALUATE);
    }
  }
}

/* At which commits: where a stage says so, at each `every`, and once at the end whatever ends the plan. */
static void test_evaluations(void **state) {
  (void)state;
  static const struct {
    const char *word;
    uint32_t every;
    const char *at; /* 1 where it evaluates, by commits from 0 */
  } row[] = {
      {"S", 0, "01"},      {"ES", 0, "11"},        {"SE", 0, "01"},         {"SE3", 0, "01001"},
      {"EEES", 0, "11"},   {"S3E2", 0, "0000101"}, {"2E3E1", 0, "0010011"}, {"2EE3E", 0, "001001"},
      {"E1E1E", 0, "111"}, {"SE3", 2, "01101"},    {"SE3", 1, "01111"},     {"2E3E1", 5, "0010011"},
      {"3", 2, "0011"},    {"3", 3, "0001"},       {"3", 7, "0001"},        {"E3", 2, "1011"},
  };
  for (size_t k = 0; k < sizeof row / sizeof row[0]; k++) {
    struct xf_plan p;
    uint64_t n = 0;
    letters(&p, row[k].word, row[k].every);
    const uint64_t rounds = xf_plan_rounds(&p);
    assert_int_equal(strlen(row[k].at), rounds + 1);
    for (uint64_t c = 0; c <= rounds; c++) {
      if (xf_plan_evaluates_at(&p, c) != (row[k].at[c] == '1'))
        fail_msg("%s every %u: wrong after %u commits", row[k].word, row[k].every, (unsigned)c);
      n += row[k].at[c] == '1';
    }
    if (xf_plan_evaluations(&p) != n)
      fail_msg("%s every %u: %u evaluations, not %u", row[k].word, row[k].every,
               (unsigned)xf_plan_evaluations(&p), (unsigned)n);
    p.eval.n_metrics = 0; /* nothing to measure */
    assert_int_equal(xf_plan_evaluations(&p), 0);
    for (uint64_t c = 0; c <= rounds; c++) assert_false(xf_plan_evaluates_at(&p, c));
  }
}

/* The count is that of the commits where it evaluates, for any plan. */
static void test_count_agrees(void **state) {
  (void)state;
  for (size_t k = 0; k < sizeof words / sizeof words[0]; k++)
    for (uint32_t every = 0; every < 8; every++) {
      struct xf_plan p;
      uint64_t n = 0;
      letters(&p, words[k], every);
      for (uint64_t c = 0; c <= xf_plan_rounds(&p); c++) n += xf_plan_evaluates_at(&p, c);
      if (xf_plan_evaluations(&p) != n)
        fail_msg("%s every %u: %u evaluations, walking finds %u", words[k], every,
                 (unsigned)xf_plan_evaluations(&p), (unsigned)n);
    }
}

static void test_view(void **state) {
  (void)state;
  struct xf_plan p;
  struct xf_plan_view v;
  letters(&p, "S3E2", 0);
  p.stages[0].rows.min_holders = 4;
  p.stages[1].rows.min_holders = 3;
  p.stages[3].rows.min_holders = 5;
  p.stages[0].rows.clip_row = p.stages[1].rows.clip_row = 1;
  p.stages[3].rows.clip_row = 2;
  xf_plan_policy_view(&v, &p);
  assert_int_equal(v.rounds, 6);
  assert_int_equal(v.evaluations, 2);
  assert_true(v.aligned && v.statistics && v.uniform);
  assert_int_equal(v.min_holders, 3); /* what the evaluation says does not count */
  assert_true(v.clip_row == 2);
  p.stages[1].rows.clip_row = 0;
  xf_plan_policy_view(&v, &p);
  assert_true(v.clip_row == 0); /* somewhere there is none */
  assert_false(v.exact);
  p.stages[1].rows.rule = XF_PLAN_ROW_RULE_SUMS;
  xf_plan_policy_view(&v, &p);
  assert_true(v.exact);
  struct xf_buf stamps;
  xf_buf_init(&stamps, 4096);
  assert_int_equal(xf_plan_stamps(&stamps, &p), XF_OK);
  assert_non_null(strstr(xf_buf_cstr(&stamps), "exact sums of rows: the coordinator sees"));
  xf_buf_deinit(&stamps);
  letters(&p, "3", 0);
  xf_plan_policy_view(&v, &p);
  assert_true(v.aligned && !v.statistics);
  texts_load_ok(&p, base, "");
  assert_false(xf_plan_is_aligned(&p));
  texts_load_ok(&p, base, "model.users=aligned");
  assert_true(xf_plan_is_aligned(&p));
}

/* Holders are wanted where rows move: an evaluation's own min_holders says nothing. */
static void test_members(void **state) {
  (void)state;
  struct xf_plan p;
  struct xf_diag diag;
  letters(&p, "SE", 0);
  p.stages[0].rows.min_holders = 2;
  assert_int_equal(p.stages[1].rows.min_holders, 3);
  xf_diag_init(&diag);
  if (xf_plan_check_members(&p, 2, 2, &diag)) fail_msg("%s", diag.text);
  p.stages[0].rows.min_holders = 3;
  assert_int_equal(xf_plan_check_members(&p, 2, 2, &diag), XF_E_CONFIG);
  assert_non_null(strstr(diag.text, "stages[0].rows.min_holders"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_stage_at),     cmocka_unit_test(test_evaluations),
      cmocka_unit_test(test_count_agrees), cmocka_unit_test(test_view),
      cmocka_unit_test(test_members),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
