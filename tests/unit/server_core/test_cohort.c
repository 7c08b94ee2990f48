// Cohorts by policy: what the core learns of committed rounds, and that a start on a ledger goes on as if it had learned it live.
#include "coordtest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { MEMBERS = 6, ROUNDS = 8, ASKED = 2 };

struct seen { /* of a run: whom each training round asked, and what the ledger would hold of it */
  uint32_t cohort[ROUNDS][ASKED];
  struct xf_coord_history row[ROUNDS * ASKED];
  uint32_t n_round, n_row;
};

static struct ct *start(enum xf_plan_select policy) {
  struct ct *t = ct_start(MEMBERS, ROUNDS);
  struct xf_plan_stage_part *s = &t->plan.stages[0];
  t->plan.eval.every = 0;
  s->fed.cohort = 0;
  s->fed.cohort_count = ASKED;
  s->fed.quorum = 1;
  s->fed.select.policy = policy;
  s->fed.select.explore = s->fed.select.explore_decay = 0.5;
  s->fed.select.cutoff = s->fed.select.clip = 0.95;
  s->fed.select.duration_quantile = 0.5;
  s->fed.select.duration_penalty = 2;
  s->fed.select.max_times_part = 0.3;
  return t;
}

// What member i says in a round: figures that differ by member and move with the rounds.
static struct xf_msg_update_begin said(const struct ct *t, uint32_t i, uint64_t committed) {
  struct xf_msg_update_begin u = ct_update(t, i);
  u.n_samples = u.loss_count = 10 + i;
  u.has_loss = i != 4; // one says nothing
  u.loss_sum = (double)(i * 7 % 5 + 1) * (double)u.loss_count / (double)(1 + committed);
  ct_seal(&u);
  return u;
}

// Plays training rounds until `rounds` have committed; member i takes 1 + i seconds.
static void play(struct ct *t, struct seen *s, uint32_t rounds) {
  while (ct_view(t).committed < rounds) {
    const uint64_t committed = ct_view(t).committed;
    const struct ct_record *r = ct_record_last(t, XF_RECORD_OPEN);
    assert_true(r && r->kind == XF_TASK_TRAIN && r->n_member == ASKED && s->n_round < ROUNDS);
    const uint32_t member[ASKED] = {r->member[0], r->member[1]};
    memcpy(s->cohort[s->n_round++], member, sizeof member);
    for (uint32_t k = 0; k < ASKED; k++) {
      const uint32_t i = member[k];
      ct_pass(t, 1 + i, true);
      ct_reply(t, i, true);
      const struct xf_msg_update_begin u = said(t, i, committed);
      double seconds = 0;
      for (uint32_t j = 0; j <= k; j++) seconds += 1 + member[j];
      s->row[s->n_row++] = (struct xf_coord_history){
          committed, i, {u.n_samples, u.has_loss, u.loss_sum, u.loss_count, seconds}};
      ct_begin(t, i, &u);
      for (uint64_t at = 0; at < u.payload_len; at += 1024) ct_chunk(t, i, at, 1024);
      assert_int_equal(ct_verdict(t, i), XF_VERDICT_ACCEPTED);
    }
  }
}

static void test_a_start_goes_on_as_before(void **state) {
  (void)state;
  const enum xf_plan_select policies[] = {XF_PLAN_SELECT_WEIGHTED, XF_PLAN_SELECT_CHOICE,
                                          XF_PLAN_SELECT_OORT};
  for (size_t p = 0; p < 3; p++) {
    static struct seen all, part;
    all = part = (struct seen){0};
    struct ct *t = start(policies[p]);
    ct_run(t);
    ct_join_all(t);
    play(t, &all, ROUNDS - 1);
    ct_stop(t);
    for (uint32_t k = 1; k < ROUNDS - 1; k++) {
      t = start(policies[p]);
      t->recovery.epoch = 2;
      t->recovery.last_round = t->recovery.committed = k;
      t->recovery.evaluated_at = UINT64_MAX;
      t->recovery.history = all.row;
      t->recovery.n_history = (size_t)k * ASKED;
      ct_run(t);
      ct_join_all(t);
      part.n_round = part.n_row = 0;
      play(t, &part, ROUNDS - 1);
      ct_stop(t);
      assert_memory_equal(part.cohort, all.cohort[k], part.n_round * sizeof part.cohort[0]);
    }
  }
}

// With all members as candidates the largest losses are asked; a silo is not larger than its max_weight.
static void test_largest_losses(void **state) {
  (void)state;
  static struct seen s;
  s = (struct seen){0};
  struct ct *t = start(XF_PLAN_SELECT_CHOICE);
  t->plan.stages[0].fed.select.candidates = MEMBERS;
  ct_run(t);
  ct_join_all(t);
  play(t, &s, 4);
  uint32_t met = 0;
  for (int r = 0; r < 3; r++) met |= 1u << s.cohort[r][0] | 1u << s.cohort[r][1];
  assert_int_equal(met, (1u << MEMBERS) - 1); // nobody's loss is known at first
  double loss[MEMBERS] = {0}, sum = 0;
  for (uint32_t k = 0; k < 3 * ASKED; k++)
    if (s.row[k].figures.has_loss)
      sum += loss[s.row[k].member] =
          s.row[k].figures.loss_sum / (double)s.row[k].figures.loss_count;
  loss[4] = sum / 5;
  for (uint32_t i = 0; i < MEMBERS; i++)
    if (i != s.cohort[3][0] && i != s.cohort[3][1])
      assert_true(loss[i] <= loss[s.cohort[3][0]] && loss[i] <= loss[s.cohort[3][1]]);
  ct_stop(t);
}

static void test_history_of_strangers(void **state) {
  (void)state;
  struct ct *t = start(XF_PLAN_SELECT_CHOICE);
  const struct xf_coord_history row = {0, MEMBERS, {.n_samples = 3}};
  struct xf_coord *coord = NULL;
  struct xf_diag diag;
  xf_diag_init(&diag);
  t->recovery.last_round = t->recovery.committed = 1;
  t->recovery.history = &row;
  t->recovery.n_history = 1;
  assert_int_equal(xf_coord_new(&coord, &t->config, &t->recovery, t->now, &diag), XF_E_CORRUPT);
  assert_non_null(strstr(diag.text, "member 6 of 6"));
  ct_stop(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_start_goes_on_as_before),
      cmocka_unit_test(test_largest_losses),
      cmocka_unit_test(test_history_of_strangers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
