// A start on a ledger in every state; what silos resend meets the same verdicts as before the crash.
#include "coordtest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

/* A ledger whose round 3 is open for three members, two rounds committed before. */
struct ledger {
  struct xf_coord_accepted row[4];
  uint32_t cohort[3], participant[3];
};

static void row(struct ct *t, struct ledger *l, uint32_t k, uint32_t member, uint64_t round,
                enum xf_outcome outcome) {
  struct xf_coord_accepted *a = &l->row[k];
  *a = (struct xf_coord_accepted){
      .member = member, .round = round, .weight = 10 + member, .outcome = outcome};
  xf_coord_task_id(&a->task_id, "run-1", round, t->member[member].id, &t->recovery.model_digest,
                   &t->config.plan_digest);
  memset(a->update_digest.b, (int)(0x40 + member), XF_DIGEST_LEN);
}

static struct ct *crashed(struct ledger *l, enum xf_round_state state, uint32_t n_accepted) {
  struct ct *t = ct_start(3, 3);
  *l = (struct ledger){.cohort = {0, 1, 2}};
  t->recovery.epoch = 2;
  t->recovery.last_round = 3;
  t->recovery.committed = 2;
  t->recovery.evaluated_at = 2;
  t->recovery.open.round = 3;
  t->recovery.open.state = state;
  t->recovery.open.cohort = l->cohort;
  t->recovery.open.n_cohort = 3;
  for (uint32_t k = 0; k < n_accepted; k++) row(t, l, k, 2 - k, 3, XF_OUTCOME_NONE);
  t->recovery.accepted = l->row;
  t->recovery.n_accepted = n_accepted;
  if (state == XF_ROUND_COLLECTING) return t;
  for (uint32_t k = 0; k < n_accepted; k++) l->participant[k] = 3 - n_accepted + k;
  t->recovery.open.participant = l->participant;
  t->recovery.open.n_participant = n_accepted;
  return t;
}

static void test_open_with_some(void **state) {
  (void)state;
  struct ledger l;
  struct ct *t = crashed(&l, XF_ROUND_COLLECTING, 1);
  ct_run(t);
  assert_int_equal(ct_view(t).round, 3);
  assert_int_equal(ct_view(t).n_answered, 1);
  ct_join(t, 2); /* K6: its acknowledgement was lost */
  struct xf_msg_update_begin u = {
      .task_id = l.row[0].task_id, .round = 3, .update_digest = l.row[0].update_digest};
  ct_begin(t, 2, &u);
  assert_int_equal(ct_verdict(t, 2), XF_VERDICT_DUPLICATE_OK);
  u.update_digest.b[0] ^= 1;
  ct_begin(t, 2, &u);
  assert_int_equal(ct_verdict(t, 2), XF_VERDICT_CONFLICT);
  ct_join(t, 0);
  ct_join(t, 1);
  struct xf_digest want; /* K2: the same task ids */
  xf_coord_task_id(&want, "run-1", 3, t->member[0].id, &t->recovery.model_digest,
                   &t->config.plan_digest);
  assert_memory_equal(t->offer[0].task_id.b, want.b, XF_DIGEST_LEN);
  assert_int_equal(ct_count(t, t->conn[2], XF_MSG_TASK_OFFER), 0);
  ct_answer(t, 1);
  ct_answer(t, 0);
  assert_int_equal(ct_records(t, XF_RECORD_OPEN), 1); /* only the evaluation that follows */
  assert_int_equal(t->n_participant, 3);
  assert_int_equal(t->weight[2], 12);
  assert_int_equal(ct_view(t).committed, 3);
  ct_stop(t);
}

/* The outbox is sent before any offer: the round is selecting, and takes it. */
static void test_resend_while_selecting(void **state) {
  (void)state;
  struct ledger l;
  struct ct *t = crashed(&l, XF_ROUND_COLLECTING, 0);
  ct_run(t);
  ct_join(t, 0);
  t->offer[0] = (struct xf_msg_task_offer){.round = 3,
                                           .base_digest = t->recovery.model_digest,
                                           .layout_digest = t->config.layout_digest};
  xf_coord_task_id(&t->offer[0].task_id, "run-1", 3, t->member[0].id, &t->recovery.model_digest,
                   &t->config.plan_digest);
  const struct xf_msg_update_begin u = ct_update(t, 0);
  ct_begin(t, 0, &u);
  ct_chunk(t, 0, 0, CT_MODEL);
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_ACCEPTED);
  ct_stop(t);
}

/* K7: all rows are there; nobody has to come back for the round to close. */
static void test_open_with_all(void **state) {
  (void)state;
  struct ledger l;
  struct ct *t = crashed(&l, XF_ROUND_COLLECTING, 3);
  ct_run(t);
  assert_int_equal(ct_records(t, XF_RECORD_CLOSING), 1);
  assert_int_equal(ct_view(t).committed, 3);
  ct_stop(t);
}

/* Deadlines restart; quorum is judged from the rows. */
static void test_open_quorum(void **state) {
  (void)state;
  struct ledger l;
  struct ct *t = crashed(&l, XF_ROUND_COLLECTING, 2);
  ct_run(t);
  ct_pass(t, 119, false);
  assert_int_equal(ct_view(t).committed, 2);
  ct_pass(t, 2, false);
  assert_int_equal(ct_view(t).committed, 3);
  assert_int_equal(t->n_participant, 2);
  assert_int_equal(t->participant[0], 1);
  ct_stop(t);
}

/* K8 to K12: the frozen list, whatever arrives; and without waiting for anyone. */
static void test_frozen_list(void **state) {
  (void)state;
  const enum xf_round_state at[] = {XF_ROUND_CLOSING, XF_ROUND_COMMITTING};
  for (uint32_t k = 0; k < 2; k++) {
    struct ledger l;
    struct ct *t = crashed(&l, at[k], 2);
    t->hold_aggregate = true;
    ct_run(t);
    assert_int_equal(ct_records(t, XF_RECORD_CLOSING), 0);
    assert_int_equal(t->n_participant, 2);
    assert_int_equal(t->participant[0], 1);
    assert_int_equal(t->weight[1], 12);
    ct_join(t, 0);
    struct xf_msg_update_begin u = {.round = 3, .base_digest = t->recovery.model_digest};
    xf_coord_task_id(&u.task_id, "run-1", 3, t->member[0].id, &u.base_digest,
                     &t->config.plan_digest);
    ct_begin(t, 0, &u);
    assert_int_equal(ct_verdict(t, 0), XF_VERDICT_LATE);
    ct_release(t);
    assert_int_equal(ct_records(t, XF_RECORD_COMMITTING), 1);
    assert_int_equal(ct_view(t).committed, 3);
    ct_stop(t);
  }
}

static void test_outcome_in_next_offer(void **state) {
  (void)state;
  const enum xf_outcome o[] = {XF_OUTCOME_COMMITTED, XF_OUTCOME_DISCARDED};
  for (uint32_t k = 0; k < 2; k++) {
    struct ledger l = {.cohort = {0}};
    struct ct *t = ct_start(3, 3);
    t->recovery.last_round = 2;
    t->recovery.committed = 1;
    row(t, &l, 0, 1, 1, XF_OUTCOME_COMMITTED);
    row(t, &l, 1, 1, 2, o[k]);
    t->recovery.accepted = l.row;
    t->recovery.n_accepted = 2;
    const uint64_t counted[] = {1, k == 0, 0};
    t->recovery.counted = counted;
    ct_run(t);
    ct_join_all(t);
    for (uint32_t i = 0; i < 3; i++) assert_int_equal(t->offer[i].counted, counted[i]);
    assert_int_equal(t->offer[1].round, 3);
    assert_int_equal(t->offer[1].prev_outcome, o[k]);
    assert_memory_equal(t->offer[1].prev_task_id.b, l.row[1].task_id.b, XF_DIGEST_LEN);
    assert_int_equal(t->offer[0].prev_outcome, XF_OUTCOME_NONE);
    ct_stop(t);
  }
}

static void test_done(void **state) {
  (void)state;
  struct ct *t = ct_start(2, 3);
  t->recovery.last_round = 5;
  t->recovery.committed = 3;
  t->recovery.evaluated_at = 3;
  t->recovery.done = true;
  ct_run(t);
  ct_join(t, 0);
  assert_int_equal(t->offer[0].kind, XF_TASK_FINAL);
  ct_leave(t, 0); /* before it stored it */
  ct_join(t, 0);
  assert_int_equal(ct_count(t, t->conn[0], XF_MSG_TASK_OFFER), 1);
  const struct xf_msg get = {.type = XF_MSG_MODEL_GET,
                             .model_get = {t->offer[0].task_id, 0, CT_MODEL}};
  ct_msg(t, t->conn[0], &get);
  assert_int_equal(t->served, CT_MODEL);
  ct_reply(t, 0, true);
  ct_leave(t, 0);
  ct_join(t, 0);
  assert_int_equal(ct_count(t, t->conn[0], XF_MSG_TASK_OFFER), 0);
  assert_non_null(strstr(ct_view(t).reason, "1 of 2"));
  assert_int_equal(ct_records(t, XF_RECORD_OPEN), 0);
  assert_int_equal(t->exits, 0);
  ct_stop(t);
}

/* All committed and evaluated, but the DONE row is missing. */
static void test_done_row_missing(void **state) {
  (void)state;
  struct ct *t = ct_start(2, 3);
  t->recovery.last_round = 5;
  t->recovery.committed = 3;
  t->recovery.evaluated_at = 3;
  ct_run(t);
  assert_int_equal(ct_records(t, XF_RECORD_DONE), 1);
  assert_true(ct_view(t).done);
  ct_stop(t);
}

static void test_paused(void **state) {
  (void)state;
  struct ledger l;
  struct ct *t = crashed(&l, XF_ROUND_COLLECTING, 3);
  t->recovery.paused = true;
  ct_run(t); /* the open round ends, no other begins */
  assert_int_equal(ct_view(t).committed, 3);
  ct_join_all(t);
  ct_pass(t, 500, true);
  assert_int_equal(ct_records(t, XF_RECORD_OPEN), 0);
  assert_non_null(strstr(ct_view(t).reason, "paused"));
  ct_stop(t);
}

/* The third ABANDON row is there, the PAUSE row is not. */
static void test_pause_row_missing(void **state) {
  (void)state;
  struct ct *t = ct_start(2, 3);
  t->recovery.last_round = 3;
  t->recovery.abandoned_in_row = 3;
  ct_run(t);
  assert_true(ct_view(t).paused);
  assert_int_equal(ct_records(t, XF_RECORD_PAUSE), 1);
  assert_int_equal(ct_records(t, XF_RECORD_OPEN), 0);
  ct_feed(t, &(struct xf_coord_event){.type = XF_COORD_EV_COMMAND, .command = XF_COMMAND_RESUME});
  assert_int_equal(ct_records(t, XF_RECORD_OPEN), 1);
  ct_stop(t);
}

/* A drained coordinator whose run is done ends it for the silos only when all of them have answered. */
static void test_done_drain(void **state) {
  (void)state;
  for (uint32_t stored = 0; stored < 2; stored++) {
    const struct xf_coord_final final = {0, true};
    struct ct *t = ct_start(1, 3);
    t->recovery.done = true;
    t->recovery.final = &final;
    t->recovery.n_final = stored;
    ct_run(t);
    ct_join(t, 0);
    const uint64_t conn = t->conn[0];
    ct_feed(t, &(struct xf_coord_event){.type = XF_COORD_EV_COMMAND, .command = XF_COMMAND_DRAIN});
    assert_int_equal(ct_last(t, conn, XF_MSG_GOODBYE) != NULL, stored);
    assert_int_equal(t->exits, 1);
    ct_stop(t);
  }
}

/* Killed after the silos have stored the final model and left: the ledger knows, and nobody is waited for. */
static void test_done_final(void **state) {
  (void)state;
  const struct xf_coord_final final[] = {{1, false}, {0, true}, {1, true}, {2, false}};
  for (size_t n = 0; n <= 4; n++) {
    struct ct *t = ct_start(3, 3);
    t->config.exit_when_done = true;
    t->recovery.done = true;
    t->recovery.final = final;
    t->recovery.n_final = n;
    ct_run(t);
    assert_int_equal(t->exits, n == 4);
    if (n == 3) { /* the last one comes: as it would have before the crash */
      assert_non_null(strstr(ct_view(t).reason, "2 of 3"));
      ct_join(t, 2);
      assert_int_equal(t->offer[2].kind, XF_TASK_FINAL);
      ct_reply(t, 2, false);
      assert_int_equal(t->exits, 1);
    } else if (n == 1) { /* refused, and now it has room */
      ct_join(t, 1);
      assert_int_equal(t->offer[1].kind, XF_TASK_FINAL);
      ct_reply(t, 1, true);
      assert_int_equal(ct_records(t, XF_RECORD_STORED), 1);
      assert_non_null(strstr(ct_view(t).reason, "1 of 3"));
    } else if (n == 2) { /* its acknowledgement may have been lost */
      ct_join(t, 0);
      assert_int_equal(ct_count(t, t->conn[0], XF_MSG_TASK_OFFER), 0);
      assert_int_equal(ct_verdict(t, 0), XF_VERDICT_ACCEPTED);
    }
    ct_stop(t);
  }
}

static void contradicts(void (*spoil)(struct ct *, struct ledger *)) {
  struct ledger l;
  struct ct *t = crashed(&l, XF_ROUND_CLOSING, 2);
  spoil(t, &l);
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(xf_coord_new(&t->coord, &t->config, &t->recovery, t->now, &diag), XF_E_CORRUPT);
  t->coord = NULL;
  ct_stop(t);
}
static void spoil_participant(struct ct *t, struct ledger *l) {
  (void)t;
  l->participant[0] = 0;
}
static void spoil_participant_range(struct ct *t, struct ledger *l) {
  (void)t;
  l->participant[0] = 3;
}
static void spoil_cohort(struct ct *t, struct ledger *l) {
  (void)t;
  l->cohort[0] = 9;
}
static void spoil_count(struct ct *t, struct ledger *l) {
  (void)l;
  t->recovery.open.n_participant = 4;
}
static void spoil_member(struct ct *t, struct ledger *l) {
  (void)t;
  l->row[0].member = 3;
}
static void spoil_task(struct ct *t, struct ledger *l) {
  (void)t;
  l->row[0].task_id.b[0] ^= 1;
}

static void spoil_final(struct ct *t, struct ledger *l) {
  static const struct xf_coord_final stranger = {3, true};
  (void)l;
  t->recovery.done = true;
  t->recovery.final = &stranger;
  t->recovery.n_final = 1;
}

static void test_contradictions(void **state) {
  (void)state;
  contradicts(spoil_participant);
  contradicts(spoil_participant_range);
  contradicts(spoil_cohort);
  contradicts(spoil_count);
  contradicts(spoil_member);
  contradicts(spoil_task);
  contradicts(spoil_final);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_open_with_some), cmocka_unit_test(test_resend_while_selecting),
      cmocka_unit_test(test_open_with_all),  cmocka_unit_test(test_open_quorum),
      cmocka_unit_test(test_frozen_list),    cmocka_unit_test(test_outcome_in_next_offer),
      cmocka_unit_test(test_done),           cmocka_unit_test(test_done_row_missing),
      cmocka_unit_test(test_paused),         cmocka_unit_test(test_pause_row_missing),
      cmocka_unit_test(test_done_drain),     cmocka_unit_test(test_done_final),
      cmocka_unit_test(test_contradictions),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
