// Rounds: a whole run, closing and abandoning, deadlines and leases, pausing and draining.
#include "coordtest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static void answer_all(struct ct *t) {
  for (uint32_t i = 0; i < t->config.n_member; i++) ct_answer(t, i);
}

static void test_full_run(void **state) {
  (void)state;
  struct ct *t = ct_start(4, 3);
  t->config.exit_when_done = true;
  ct_run(t);
  assert_int_equal(ct_view(t).state, XF_ROUND_SELECTING);
  ct_join_all(t);
  const enum xf_task_kind want[] = {XF_TASK_TRAIN, XF_TASK_TRAIN, XF_TASK_EVALUATE, XF_TASK_TRAIN,
                                    XF_TASK_EVALUATE};
  static const uint64_t counted[] = {0, 1, 2, 2, 3};
  for (uint32_t r = 0; r < 5; r++) {
    assert_int_equal(ct_view(t).round, r + 1);
    for (uint32_t i = 0; i < 4; i++) {
      assert_int_equal(t->offer[i].round, r + 1);
      assert_int_equal(t->offer[i].kind, want[r]);
      assert_int_equal(t->offer[i].prev_outcome, r ? XF_OUTCOME_COMMITTED : XF_OUTCOME_NONE);
      assert_int_equal(t->offer[i].counted, counted[r]);
    }
    answer_all(t);
    assert_int_equal(t->n_participant, 4);
    assert_int_equal(t->collected, r + 1);
  }
  assert_int_equal(ct_records(t, XF_RECORD_OPEN), 5);
  assert_int_equal(ct_records(t, XF_RECORD_UPDATE), 20);
  assert_int_equal(ct_records(t, XF_RECORD_CLOSING), 5);
  assert_int_equal(ct_records(t, XF_RECORD_COMMITTING), 5);
  assert_int_equal(ct_records(t, XF_RECORD_COMMIT), 5);
  assert_int_equal(ct_record_last(t, XF_RECORD_COMMIT)->committed, 3);
  assert_int_equal(ct_records(t, XF_RECORD_DONE), 1);
  assert_true(ct_view(t).done);
  assert_int_equal(ct_view(t).model_digest.b[0],
                   4); /* the fourth fold was the third training one */
  for (uint32_t i = 0; i < 4; i++) {
    assert_int_equal(t->offer[i].kind, XF_TASK_FINAL);
    assert_int_equal(t->exits, 0);
    ct_reply(t, i, true);
  }
  assert_int_equal(t->exits, 1);
  assert_int_equal(t->exit_rc, XF_OK);
  ct_stop(t);
}

/* Who refuses the final model has answered: recorded once, and the others are enough to leave. */
static void test_final_refused(void **state) {
  (void)state;
  struct ct *t = ct_start(3, 1);
  t->config.exit_when_done = true;
  ct_run(t);
  ct_join_all(t);
  for (uint32_t r = 0; r < 2; r++) answer_all(t);
  assert_true(ct_view(t).done);
  ct_reply(t, 1, false);
  ct_leave(t, 1);
  ct_join(t, 1); /* offered again */
  assert_int_equal(ct_count(t, t->conn[1], XF_MSG_TASK_OFFER), 1);
  assert_int_equal(t->offer[1].kind, XF_TASK_FINAL);
  ct_reply(t, 1, false);
  assert_int_equal(ct_records(t, XF_RECORD_REFUSED), 1);
  assert_int_equal(ct_record_last(t, XF_RECORD_REFUSED)->member[0], 1);
  assert_non_null(strstr(ct_view(t).reason, "0 of 3"));
  assert_non_null(strstr(ct_view(t).reason, "1 refused"));
  ct_reply(t, 0, true);
  ct_leave(t, 1); /* and now it has room for it */
  ct_join(t, 1);
  ct_reply(t, 1, true);
  assert_non_null(strstr(ct_view(t).reason, "2 of 3"));
  assert_null(strstr(ct_view(t).reason, "refused"));
  assert_int_equal(t->exits, 0);
  ct_reply(t, 2, false);
  assert_int_equal(t->exits, 1);
  assert_int_equal(t->exit_rc, XF_OK);
  ct_stop(t);
}

/* A silo may leave when it has the acknowledgement, so that comes only after the row; the run ends after the last row. */
static void test_final_recorded(void **state) {
  (void)state;
  struct ct *t = ct_start(2, 1);
  t->config.exit_when_done = true;
  ct_run(t);
  ct_join_all(t);
  for (uint32_t r = 0; r < 2; r++) answer_all(t);
  assert_true(ct_view(t).done);
  const uint32_t acks = ct_count(t, t->conn[0], XF_MSG_UPDATE_ACK);
  t->hold = 1U << XF_RECORD_STORED;
  ct_reply(t, 0, true);
  ct_reply(t, 0, true); /* once more: one row */
  assert_int_equal(ct_records(t, XF_RECORD_STORED), 1);
  assert_int_equal(ct_record_last(t, XF_RECORD_STORED)->member[0], 0);
  assert_int_equal(ct_record_last(t, XF_RECORD_STORED)->kind, XF_TASK_FINAL);
  assert_int_equal(ct_count(t, t->conn[0], XF_MSG_UPDATE_ACK), acks);
  assert_non_null(strstr(ct_view(t).reason, "0 of 2"));
  ct_release(t);
  assert_int_equal(ct_count(t, t->conn[0], XF_MSG_UPDATE_ACK), acks + 1);
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_ACCEPTED);
  assert_non_null(strstr(ct_view(t).reason, "1 of 2"));
  ct_leave(
      t,
      0); /* the acknowledgement was lost with its connection: it comes again, the offer does not */
  ct_join(t, 0);
  assert_int_equal(ct_count(t, t->conn[0], XF_MSG_TASK_OFFER), 0);
  assert_int_equal(ct_count(t, t->conn[0], XF_MSG_UPDATE_ACK), 1);
  t->hold = 1U << XF_RECORD_STORED;
  const uint64_t conn = t->conn[1];
  ct_reply(t, 1, true);
  assert_int_equal(t->exits, 0);
  ct_release(t);
  assert_int_equal(t->exits, 1);
  assert_string_equal(ct_last(t, conn, XF_MSG_GOODBYE)->code, "OK");
  ct_stop(t);
}

/* Drained before all have answered: the run is not over for those who have not. */
static void test_final_drained(void **state) {
  (void)state;
  struct ct *t = ct_start(2, 1);
  ct_run(t);
  ct_join_all(t);
  for (uint32_t r = 0; r < 2; r++) answer_all(t);
  ct_reply(t, 0, true);
  ct_feed(t, &(struct xf_coord_event){.type = XF_COORD_EV_COMMAND, .command = XF_COMMAND_DRAIN});
  assert_int_equal(t->exits, 1);
  assert_null(ct_last(t, t->conn[1], XF_MSG_GOODBYE)); /* the shell says that it will be back */
  ct_stop(t);
}

/* Quorum of 2 of 4 at the deadline closes; the others are told and are late. */
static void test_deadline_quorum(void **state) {
  (void)state;
  struct ct *t = ct_start(4, 1);
  ct_run(t);
  ct_join_all(t);
  ct_answer(t, 3);
  ct_answer(t, 1);
  const struct xf_msg_update_begin u = ct_update(t, 0);
  ct_pass(t, 99, true);
  assert_int_equal(ct_view(t).state, XF_ROUND_BROADCASTING);
  ct_pass(t, 2, true);
  assert_int_equal(ct_view(t).committed, 1);
  assert_int_equal(t->n_participant, 2);
  assert_int_equal(t->participant[0], 1);
  assert_int_equal(t->weight[0], 11);
  assert_int_equal(t->participant[1], 3);
  assert_string_equal(ct_last(t, t->conn[0], XF_MSG_TASK_CANCEL)->code, "E_LATE");
  assert_null(ct_last(t, t->conn[1], XF_MSG_TASK_CANCEL));
  ct_begin(t, 0, &u);
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_LATE);
  ct_stop(t);
}

static void test_min_domains(void **state) {
  (void)state;
  struct ct *t = ct_start(4, 1);
  t->plan.stages[0].fed.min_domains = 2;
  ct_run(t);
  ct_join_all(t);
  ct_answer(t, 0);
  ct_answer(t, 1); /* both of domain-0 */
  ct_pass(t, 101, true);
  assert_int_equal(ct_records(t, XF_RECORD_ABANDON), 1);
  assert_int_equal(t->offer[0].prev_outcome, XF_OUTCOME_DISCARDED);
  assert_int_equal(t->offer[0].round, 2);
  assert_int_equal(t->offer[0].counted, 0);
  assert_int_equal(ct_view(t).committed, 0);
  ct_stop(t);
}

static void test_three_abandonments(void **state) {
  (void)state;
  struct ct *t = ct_start(4, 1);
  ct_run(t); /* nobody comes: 20 s of selecting, 100 s of collecting, three times */
  ct_pass(t, 359, false);
  assert_int_equal(ct_records(t, XF_RECORD_ABANDON), 2);
  assert_false(ct_view(t).paused);
  ct_pass(t, 2, false);
  assert_int_equal(ct_records(t, XF_RECORD_ABANDON), 3);
  assert_int_equal(ct_records(t, XF_RECORD_PAUSE), 1);
  assert_true(ct_view(t).paused);
  assert_non_null(strstr(ct_view(t).reason, "three rounds in a row"));
  ct_join_all(t);
  ct_pass(t, 1000, true);
  assert_int_equal(ct_records(t, XF_RECORD_OPEN), 3);
  ct_feed(t, &(struct xf_coord_event){.type = XF_COORD_EV_COMMAND, .command = XF_COMMAND_RESUME});
  assert_int_equal(ct_records(t, XF_RECORD_RESUME), 1);
  assert_int_equal(t->offer[0].round, 4);
  answer_all(t);
  assert_int_equal(ct_view(t).committed, 1);
  ct_stop(t);
}

static void test_progress_extends(void **state) {
  (void)state;
  struct ct *t = ct_start(2, 1);
  t->plan.stages[0].fed.quorum = 1;
  ct_run(t);
  ct_join_all(t);
  ct_answer(t, 0);
  ct_reply(t, 1, true);
  for (uint32_t k = 1; k <= 10; k++) {
    ct_pass(t, 25, true);
    ct_progress(t, 1, k);
  }
  assert_int_equal(ct_view(t).round, 1);
  ct_pass(t, 29, true);
  assert_int_equal(ct_view(t).round, 1);
  ct_pass(t, 3, true); /* silent for more than 30 s */
  assert_int_equal(ct_records(t, XF_RECORD_ABANDON), 1);
  ct_stop(t);
}

static void test_hard_cap(void **state) {
  (void)state;
  struct ct *t = ct_start(2, 1);
  t->plan.stages[0].fed.quorum = 1;
  ct_run(t);
  ct_join_all(t);
  ct_answer(t, 0);
  ct_reply(t, 1, true);
  for (uint32_t k = 1; k <= 39; k++) {
    ct_pass(t, 25, true);
    ct_progress(t, 1, k);
  }
  assert_int_equal(ct_records(t, XF_RECORD_ABANDON), 0);
  ct_pass(t, 25, true);
  assert_int_equal(ct_records(t, XF_RECORD_ABANDON), 1);
  ct_stop(t);
}

/* Uploads: 8 KiB/s over 30 s keep a lease; a trickle does not. */
static void upload_at(double rate, bool keeps) {
  struct ct *t = ct_start(2, 1);
  t->plan.stages[0].fed.quorum = 1;
  ct_run(t);
  const struct xf_plan_lens large = xf_plan_lens_one(1 << 22);
  xf_coord_set_lens(t->coord, 1, &large);
  ct_join_all(t);
  ct_answer(t, 0);
  ct_reply(t, 1, true);
  struct xf_msg_update_begin u = ct_update(t, 1);
  u.payload_len = 1 << 22;
  ct_seal(&u);
  ct_begin(t, 1, &u);
  const double step = CT_MODEL / rate;
  double at = 0;
  for (uint64_t sent = 0; at < 200; at += step, sent += CT_MODEL) {
    ct_pass(t, step, true);
    ct_chunk(t, 1, sent, CT_MODEL);
  }
  assert_int_equal(ct_records(t, XF_RECORD_ABANDON) == 0, keeps);
  ct_stop(t);
}

static void test_upload_lease(void **state) {
  (void)state;
  upload_at(10000, true);
  upload_at(400, false);
  upload_at(7000, false);
}

static void test_over_select(void **state) {
  (void)state;
  struct ct *t = ct_start(4, 1);
  t->plan.stages[0].fed.cohort = 0;
  t->plan.stages[0].fed.cohort_count = 2;
  t->plan.stages[0].fed.over_select = 1.5;
  ct_run(t);
  ct_join_all(t);
  assert_int_equal(ct_view(t).n_selected, 3);
  uint32_t answered = 0;
  for (uint32_t i = 0; i < 4 && answered < 2; i++) {
    if (!t->offer[i].round) continue;
    ct_answer(t, i);
    answered++;
  }
  assert_int_equal(ct_view(t).committed, 1);
  assert_int_equal(t->n_participant, 2);
  ct_stop(t);
}

static void test_shuffled_arrival(void **state) {
  (void)state;
  static const uint32_t order[3][5] = {{0, 1, 2, 3, 4}, {4, 2, 0, 3, 1}, {3, 4, 1, 0, 2}};
  for (uint32_t k = 0; k < 3; k++) {
    struct ct *t = ct_start(5, 1);
    ct_run(t);
    for (uint32_t i = 0; i < 5; i++) ct_join(t, order[2 - k][i]);
    for (uint32_t i = 0; i < 5; i++) ct_answer(t, order[k][i]);
    assert_int_equal(t->n_participant, 5);
    for (uint32_t i = 0; i < 5; i++) {
      assert_int_equal(t->participant[i], i);
      assert_int_equal(t->weight[i], 10 + i);
    }
    ct_stop(t);
  }
}

static void test_refused_task(void **state) {
  (void)state;
  struct ct *t = ct_start(3, 1);
  ct_run(t);
  ct_join_all(t);
  ct_reply(t, 0, false);
  /* having read the model, a silo may still refuse */
  const struct xf_msg get = {.type = XF_MSG_MODEL_GET,
                             .model_get = {t->offer[1].task_id, 0, CT_MODEL}};
  ct_msg(t, t->conn[1], &get);
  assert_int_equal(t->served, CT_MODEL);
  ct_reply(t, 1, false);
  assert_int_equal(ct_records(t, XF_RECORD_REFUSED), 2);
  ct_answer(t, 2); /* 1 of 3 accepted, quorum 2: all have answered */
  assert_int_equal(ct_records(t, XF_RECORD_ABANDON), 1);
  ct_stop(t);
}

static void test_drain(void **state) {
  (void)state;
  const struct xf_coord_event drain = {.type = XF_COORD_EV_COMMAND, .command = XF_COMMAND_DRAIN};
  struct ct *t = ct_start(2, 3);
  ct_run(t);
  ct_join_all(t);
  ct_answer(t, 0);
  ct_feed(t, &drain);
  assert_int_equal(t->exits, 0);
  ct_answer(t, 1); /* it may finish */
  assert_int_equal(ct_view(t).committed, 1);
  assert_int_equal(t->exits, 1);
  assert_int_equal(ct_records(t, XF_RECORD_OPEN), 1);
  ct_stop(t);
  t = ct_start(2, 3);
  ct_run(t);
  ct_join_all(t);
  ct_feed(t, &drain);
  ct_pass(t, 29, true);
  assert_int_equal(t->exits, 0);
  ct_pass(t, 2, true); /* the open round stays for the next start */
  assert_int_equal(t->exits, 1);
  assert_int_equal(ct_records(t, XF_RECORD_ABANDON), 0);
  ct_stop(t);
  t = ct_start(2, 3); /* asked for space when the operator spoke */
  t->hold_reserve = true;
  ct_run(t);
  ct_feed(t, &drain);
  ct_release(t);
  assert_int_equal(t->exits, 1);
  assert_int_equal(ct_records(t, XF_RECORD_OPEN), 0);
  ct_stop(t);
}

static void test_pause_lets_round_finish(void **state) {
  (void)state;
  struct ct *t = ct_start(2, 3);
  ct_run(t);
  ct_join_all(t);
  ct_feed(t, &(struct xf_coord_event){.type = XF_COORD_EV_COMMAND, .command = XF_COMMAND_PAUSE});
  answer_all(t);
  assert_int_equal(ct_view(t).committed, 1);
  ct_pass(t, 500, true);
  assert_int_equal(ct_records(t, XF_RECORD_OPEN), 1);
  assert_non_null(strstr(ct_view(t).reason, "crossfed resume"));
  ct_stop(t);
}

static void test_no_space(void **state) {
  (void)state;
  struct ct *t = ct_start(2, 1);
  t->reserve_rc = XF_E_NOSPACE;
  ct_run(t);
  assert_int_equal(ct_records(t, XF_RECORD_OPEN), 0);
  assert_non_null(strstr(ct_view(t).reason, "round 1 not opened"));
  ct_pass(t, 4, false);
  t->reserve_rc = XF_OK;
  ct_pass(t, 2, false);
  assert_int_equal(ct_records(t, XF_RECORD_OPEN), 1);
  ct_stop(t);
}

/* Errors of disk and ledger end the process; nothing is acknowledged or moved after them. */
static void test_fatal(void **state) {
  (void)state;
  struct ct *t = ct_start(1, 3);
  t->plan.stages[0].fed.min_domains = 1;
  t->publish_rc = XF_E_IO;
  ct_run(t);
  ct_join(t, 0);
  ct_answer(t, 0);
  assert_int_equal(t->exits, 1);
  assert_int_equal(t->exit_rc, XF_E_IO);
  assert_int_equal(ct_records(t, XF_RECORD_COMMIT), 0);
  ct_stop(t);
  t = ct_start(1, 3);
  ct_run(t);
  ct_join(t, 0);
  t->persist_rc = XF_E_IO;
  ct_answer(t, 0);
  assert_int_equal(t->exits, 1);
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_NONE);
  ct_pass(t, 1000, false);
  assert_int_equal(t->exits, 1);
  ct_stop(t);
}

static void test_aggregation_failure(void **state) {
  (void)state;
  struct ct *t = ct_start(1, 3);
  ct_run(t);
  ct_join(t, 0);
  t->aggregate_rc = XF_E_RANGE;
  ct_answer(t, 0);
  assert_int_equal(ct_records(t, XF_RECORD_ABANDON), 1);
  assert_int_equal(t->offer[0].prev_outcome, XF_OUTCOME_DISCARDED);
  ct_stop(t);
}

static void test_evaluation_does_not_block(void **state) {
  (void)state;
  struct ct *t = ct_start(3, 1);
  ct_run(t);
  ct_join_all(t);
  answer_all(t);
  assert_int_equal(ct_view(t).kind, XF_TASK_EVALUATE);
  ct_answer(t, 0);
  ct_pass(t, 51, true);
  assert_true(ct_view(t).done);
  assert_int_equal(t->n_participant, 1);
  ct_stop(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_full_run),
      cmocka_unit_test(test_final_refused),
      cmocka_unit_test(test_final_recorded),
      cmocka_unit_test(test_final_drained),
      cmocka_unit_test(test_deadline_quorum),
      cmocka_unit_test(test_min_domains),
      cmocka_unit_test(test_three_abandonments),
      cmocka_unit_test(test_progress_extends),
      cmocka_unit_test(test_hard_cap),
      cmocka_unit_test(test_upload_lease),
      cmocka_unit_test(test_over_select),
      cmocka_unit_test(test_shuffled_arrival),
      cmocka_unit_test(test_refused_task),
      cmocka_unit_test(test_drain),
      cmocka_unit_test(test_pause_lets_round_finish),
      cmocka_unit_test(test_no_space),
      cmocka_unit_test(test_fatal),
      cmocka_unit_test(test_aggregation_failure),
      cmocka_unit_test(test_evaluation_does_not_block),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
