// Asynchronous rounds: what a flush takes, how tasks outlive their rounds, and a start in the middle of it.
#include "coordtest.h"

#include "fed/stale.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static struct ct *start(uint32_t n, uint32_t rounds, uint32_t buffer, uint32_t concurrency) {
  struct ct *t = ct_start(n, rounds);
  struct xf_plan_stage_part *s = &t->plan.stages[0];
  t->plan.eval.every = 0;
  s->fed.weighting = XF_PLAN_WEIGHTING_UNIFORM;
  s->fed.async.buffer = buffer;
  s->fed.async.concurrency = concurrency;
  s->fed.async.max_staleness = 1;
  s->fed.async.staleness = XF_PLAN_STALENESS_INVERSE_SQRT;
  return t;
}

// Members with an offer that they have not answered, in the order of the offers.
static uint32_t offered(const struct ct *t, uint32_t *who) {
  uint32_t n = 0;
  for (uint32_t k = 0; k < t->n_sent; k++)
    for (uint32_t i = 0; i < t->config.n_member; i++)
      if (t->sent[k].type == XF_MSG_TASK_OFFER && t->sent[k].conn == t->conn[i] &&
          memcmp(&t->sent[k].offer.task_id, &t->offer[i].task_id, sizeof t->offer[i].task_id) == 0)
        who[n++] = i;
  return n;
}

static void test_concurrency(void **state) {
  (void)state;
  struct ct *t = start(6, 3, 2, 3);
  uint32_t who[64];
  ct_run(t);
  ct_join_all(t);
  assert_int_equal(offered(t, who), 3);
  ct_answer(t, who[1]); /* its slot is the next one's; it waits for the flush */
  assert_int_equal(ct_verdict(t, who[1]), XF_VERDICT_ACCEPTED);
  assert_int_equal(offered(t, who), 4);
  assert_int_equal(t->offer[who[3]].round, 1);
  assert_int_equal(t->offer[who[3]].cohort, 2);
  ct_leave(t, who[0]);
  assert_int_equal(ct_records(t, XF_RECORD_COMMIT), 0);
  ct_stop(t);
}

static void test_flush_and_staleness(void **state) {
  (void)state;
  struct ct *t = start(3, 4, 2, 3);
  uint32_t who[64];
  ct_run(t);
  ct_join_all(t);
  assert_int_equal(offered(t, who), 3);
  const uint32_t a = who[0], b = who[1], slow = who[2];
  const struct xf_msg_task_offer old = t->offer[slow];
  ct_reply(t, slow, true);
  ct_answer(t, a);
  ct_answer(t, b);
  assert_int_equal(ct_view(t).committed, 1);
  assert_int_equal(t->weight[0], XF_STALE_ONE);
  assert_int_equal(ct_count(t, t->conn[slow], XF_MSG_TASK_CANCEL), 0);
  assert_memory_equal(&t->offer[slow], &old, sizeof old); /* it works on */
  assert_int_equal(t->offer[a].round, 2);
  assert_int_equal(t->offer[a].committed, 1);
  assert_int_equal(ct_record_last(t, XF_RECORD_OPEN)->n_member,
                   2); /* only new tasks are recorded */
  const uint64_t served = t->served;
  ct_msg(t, t->conn[slow],
         &(struct xf_msg){.type = XF_MSG_MODEL_GET, .model_get = {old.task_id, 0, 100}});
  assert_int_equal(t->served, served + 100); /* even the model of its base is there */
  ct_answer(t, slow);
  assert_int_equal(ct_verdict(t, slow), XF_VERDICT_ACCEPTED);
  assert_int_equal(ct_record_last(t, XF_RECORD_UPDATE)->round, 2);
  ct_answer(t, a);
  assert_int_equal(ct_view(t).committed, 2);
  for (uint32_t k = 0; k < 2; k++)
    assert_int_equal(t->weight[k], t->participant[k] == slow ? 189812531 : XF_STALE_ONE);
  struct xf_msg_update_begin u = ct_update(t, slow); /* the next task's; it repeats the last */
  u.round = old.round;
  u.base_digest = old.base_digest;
  u.task_id = old.task_id;
  ct_seal(&u);
  ct_begin(t, slow, &u);
  assert_int_equal(ct_verdict(t, slow), XF_VERDICT_DUPLICATE_OK);
  ct_stop(t);
}

static void test_no_more_than_the_buffer(void **state) {
  (void)state;
  struct ct *t = start(3, 4, 1, 3);
  t->plan.stages[0].fed.async.max_staleness = 2;
  uint32_t who[64];
  ct_run(t);
  ct_join_all(t);
  assert_int_equal(offered(t, who), 3);
  t->hold_spool = true;
  for (uint32_t k = 0; k < 3; k++) ct_answer(t, who[k]);
  assert_int_equal(t->n_held, 1); /* one is being stored, the others wait */
  const struct xf_coord_event stored = t->held[0];
  t->n_held = 0;
  ct_feed(t, &stored);
  assert_int_equal(ct_view(t).committed, 1);
  assert_int_equal(t->n_participant, 1);
  assert_int_equal(t->participant[0], who[0]);
  assert_int_equal(t->n_held, 1); /* the second to come is in the second flush */
  assert_int_equal(t->held[0].member, who[1]);
  t->hold_spool = false;
  ct_release(t);
  assert_int_equal(ct_view(t).committed, 3);
  assert_int_equal(t->participant[0], who[2]);
  ct_stop(t);
}

static void test_too_old(void **state) {
  (void)state;
  struct ct *t = start(3, 9, 1, 3);
  uint32_t who[64];
  ct_run(t);
  ct_join_all(t);
  assert_int_equal(offered(t, who), 3);
  const uint32_t slow = who[2];
  ct_reply(t, slow, true);
  struct xf_msg_update_begin u = ct_update(t, slow);
  ct_answer(t, who[0]);
  assert_int_equal(ct_count(t, t->conn[slow], XF_MSG_TASK_CANCEL), 0);
  ct_answer(t, who[0]);
  assert_int_equal(ct_view(t).committed, 2);
  assert_int_equal(ct_count(t, t->conn[slow], XF_MSG_TASK_CANCEL), 1);
  assert_int_equal(t->offer[slow].round, 3);
  ct_begin(t, slow, &u);
  assert_int_equal(ct_verdict(t, slow), XF_VERDICT_LATE);
  ct_stop(t);
}

static void test_evaluation_ends_tasks(void **state) {
  (void)state;
  struct ct *t = start(3, 9, 1, 3);
  t->plan.eval.every = 1;
  uint32_t who[64];
  ct_run(t);
  ct_join_all(t);
  assert_int_equal(offered(t, who), 3);
  ct_reply(t, who[1], true);
  const struct xf_msg_update_begin u = ct_update(t, who[1]);
  ct_answer(t, who[0]);
  assert_int_equal(t->offer[who[1]].kind, XF_TASK_EVALUATE);
  ct_begin(t, who[1], &u);
  assert_int_equal(ct_verdict(t, who[1]), XF_VERDICT_LATE);
  for (uint32_t i = 0; i < 3; i++) ct_answer(t, i);
  assert_int_equal(t->offer[who[1]].kind, XF_TASK_TRAIN);
  assert_int_equal(t->offer[who[1]].committed, 1);
  ct_stop(t);
}

static void test_too_few_can_answer(void **state) {
  (void)state;
  struct ct *t = start(3, 9, 2, 3);
  ct_run(t);
  ct_join_all(t);
  ct_reply(t, 0, false);
  assert_int_equal(ct_records(t, XF_RECORD_ABANDON), 0);
  ct_reply(t, 1, false);
  assert_int_equal(ct_records(t, XF_RECORD_ABANDON), 1);
  ct_stop(t);
}

static void test_silent_member_loses_its_slot(void **state) {
  (void)state;
  struct ct *t = start(3, 9, 1, 1);
  uint32_t who[64];
  ct_run(t);
  ct_join_all(t);
  assert_int_equal(offered(t, who), 1);
  ct_pass(t, 99, true);
  assert_int_equal(offered(t, who), 1);
  ct_pass(t, 2, true); /* fed.deadline_s: 100 */
  assert_int_equal(offered(t, who), 2);
  ct_answer(t, who[0]); /* what it sends still counts */
  assert_int_equal(ct_view(t).committed, 1);
  ct_stop(t);
}

// Round 4 took an update of a task of round 2 and was closing: the same weights come again.
static void test_start_while_closing(void **state) {
  (void)state;
  struct ct *t = start(3, 9, 2, 3);
  struct xf_coord_held held = {.member = 2, .round = 2, .committed = 2};
  struct xf_coord_accepted row[2];
  const uint32_t cohort[] = {1, 0}, participant[] = {0, 2};
  memset(held.base.b, 0x77, XF_DIGEST_LEN);
  t->recovery.last_round = 4;
  t->recovery.committed = 3;
  t->recovery.held = &held;
  t->recovery.n_held = 1;
  t->recovery.open.round = 4;
  t->recovery.open.kind = XF_TASK_TRAIN;
  t->recovery.open.state = XF_ROUND_CLOSING;
  t->recovery.open.cohort = cohort;
  t->recovery.open.n_cohort = 2;
  t->recovery.open.participant = participant;
  t->recovery.open.n_participant = 2;
  for (uint32_t k = 0; k < 2; k++) {
    row[k] = (struct xf_coord_accepted){
        .member = participant[k], .round = 4, .kind = XF_TASK_TRAIN, .weight = 1};
    xf_coord_task_id(&row[k].task_id, "run-1", k ? 2 : 4, t->member[participant[k]].id,
                     k ? &held.base : &t->recovery.model_digest, &t->config.plan_digest);
  }
  t->recovery.accepted = row;
  t->recovery.n_accepted = 2;
  ct_run(t);
  assert_int_equal(ct_view(t).committed, 4);
  assert_int_equal(t->n_participant, 2);
  assert_int_equal(t->weight[0], XF_STALE_ONE);
  assert_int_equal(t->weight[1], 189812531);
  ct_stop(t);
}

// No round was open; the task of round 2 goes on, and its member's update is taken.
static void test_start_with_a_task_at_large(void **state) {
  (void)state;
  struct ct *t = start(3, 9, 1, 3);
  struct xf_coord_held held = {.member = 2, .round = 2, .committed = 2};
  memset(held.base.b, 0x77, XF_DIGEST_LEN);
  t->recovery.last_round = 3;
  t->recovery.committed = 3;
  t->recovery.held = &held;
  t->recovery.n_held = 1;
  ct_run(t);
  ct_join(t, 2);
  assert_int_equal(t->offer[2].round, 2);
  assert_memory_equal(&t->offer[2].base_digest, &held.base, sizeof held.base);
  ct_answer(t, 2);
  assert_int_equal(ct_verdict(t, 2), XF_VERDICT_ACCEPTED);
  assert_int_equal(ct_view(t).committed, 4);
  assert_int_equal(t->weight[0], 189812531);
  ct_stop(t);
}

// A round that was open when the coordinator stopped: offers still say how many updates a commit takes, which silos' policy.min_cohort
// judges, and not how many wait for a task.
static void test_cohort_after_a_start(void **state) {
  (void)state;
  struct ct *t = start(5, 9, 2, 3);
  const uint32_t cohort[] = {3, 1, 4, 0, 2};
  t->recovery.last_round = 1;
  t->recovery.open.round = 1;
  t->recovery.open.kind = XF_TASK_TRAIN;
  t->recovery.open.state = XF_ROUND_COLLECTING;
  t->recovery.open.cohort = cohort;
  t->recovery.open.n_cohort = 5;
  uint32_t who[64];
  ct_run(t);
  ct_join_all(t);
  assert_int_equal(offered(t, who), 3);
  for (uint32_t k = 0; k < 3; k++) assert_int_equal(t->offer[who[k]].cohort, 2);
  ct_stop(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_concurrency),
      cmocka_unit_test(test_flush_and_staleness),
      cmocka_unit_test(test_no_more_than_the_buffer),
      cmocka_unit_test(test_too_old),
      cmocka_unit_test(test_evaluation_ends_tasks),
      cmocka_unit_test(test_too_few_can_answer),
      cmocka_unit_test(test_silent_member_loses_its_slot),
      cmocka_unit_test(test_start_while_closing),
      cmocka_unit_test(test_start_with_a_task_at_large),
      cmocka_unit_test(test_cohort_after_a_start),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
