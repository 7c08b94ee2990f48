// Updates: every verdict, acknowledgement after the record, resuming, the queue of transfers.
#include "coordtest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static struct ct *joined(uint32_t n) {
  struct ct *t = ct_start(n, 2);
  ct_run(t);
  ct_join_all(t);
  return t;
}

static void test_ack_after_record(void **state) {
  (void)state;
  struct ct *t = joined(2);
  t->hold = 1u << XF_RECORD_UPDATE;
  ct_answer(t, 0);
  assert_int_equal(ct_records(t, XF_RECORD_UPDATE), 1);
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_NONE);
  ct_pass(t, 200, true); /* the row decides, whatever the clock says */
  assert_int_equal(ct_records(t, XF_RECORD_ABANDON), 0);
  ct_release(t);
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_ACCEPTED);
  ct_stop(t);
}

static void test_offers_after_record(void **state) {
  (void)state;
  struct ct *t = ct_start(2, 1);
  t->hold = 1u << XF_RECORD_OPEN;
  ct_run(t);
  ct_join_all(t);
  ct_pass(t, 25, true);
  assert_int_equal(ct_count(t, t->conn[0], XF_MSG_TASK_OFFER), 0);
  ct_release(t);
  assert_int_equal(ct_count(t, t->conn[0], XF_MSG_TASK_OFFER), 1);
  ct_stop(t);
}

static void test_duplicate_conflict(void **state) {
  (void)state;
  struct ct *t = joined(2);
  ct_answer(t, 0);
  struct xf_msg_update_begin u = ct_update(t, 0);
  ct_begin(t, 0, &u);
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_DUPLICATE_OK);
  u.weight = 99;
  ct_seal(&u);
  ct_begin(t, 0, &u);
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_CONFLICT);
  assert_int_equal(ct_record_last(t, XF_RECORD_VERDICT)->verdict, XF_VERDICT_CONFLICT);
  ct_stop(t);
}

/* An accepted training update stays known while the evaluation after it is answered. */
static void test_duplicate_after_evaluation(void **state) {
  (void)state;
  struct ct *t = ct_start(1, 3);
  t->plan.eval.every = 1;
  ct_run(t);
  ct_join_all(t);
  const struct xf_msg_update_begin u = ct_update(t, 0);
  ct_answer(t, 0);
  assert_int_equal(t->offer[0].kind, XF_TASK_EVALUATE);
  ct_answer(t, 0);
  assert_int_equal(t->offer[0].round, 3);
  ct_begin(t, 0, &u);
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_DUPLICATE_OK);
  ct_stop(t);
}

static void test_stale_late_foreign(void **state) {
  (void)state;
  struct ct *t = joined(2);
  struct xf_msg_update_begin u = ct_update(t, 0);
  memset(u.base_digest.b, 0x77, XF_DIGEST_LEN);
  xf_coord_task_id(&u.task_id, "run-1", u.round, t->member[0].id, &u.base_digest,
                   &t->config.plan_digest);
  ct_seal(&u);
  ct_begin(t, 0, &u);
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_STALE);
  u.round = 9;
  xf_coord_task_id(&u.task_id, "run-1", u.round, t->member[0].id, &u.base_digest,
                   &t->config.plan_digest);
  ct_seal(&u);
  ct_begin(t, 0, &u);
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_REJECTED); /* never opened */
  u = ct_update(t, 1);                                     /* somebody else's task */
  ct_begin(t, 0, &u);
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_REJECTED);
  ct_answer(t, 0); /* none of it spoiled the real one */
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_ACCEPTED);
  ct_stop(t);
}

static void rejected(void (*spoil)(struct ct *, struct xf_msg_update_begin *)) {
  struct ct *t = joined(2);
  t->member[0].max_weight = 50;
  ct_reply(t, 0, true);
  struct xf_msg_update_begin u = ct_update(t, 0);
  spoil(t, &u);
  ct_begin(t, 0, &u);
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_REJECTED);
  assert_int_equal(ct_records(t, XF_RECORD_VERDICT), 1);
  assert_null(ct_last(t, t->conn[0], XF_MSG_UPDATE_READY));
  const uint32_t acks = ct_count(t, t->conn[0], XF_MSG_UPDATE_ACK);
  ct_begin(t, 0, &u); /* its answer was lost: it is told again, and not recorded twice */
  assert_int_equal(ct_count(t, t->conn[0], XF_MSG_UPDATE_ACK), acks + 1);
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_REJECTED);
  assert_int_equal(ct_records(t, XF_RECORD_VERDICT), 1);
  ct_stop(t);
}
static void spoil_layout(struct ct *t, struct xf_msg_update_begin *u) {
  (void)t;
  u->layout_digest.b[0] ^= 1;
  ct_seal(u);
}
static void spoil_length(struct ct *t, struct xf_msg_update_begin *u) {
  (void)t;
  u->payload_len -= 4;
  ct_seal(u);
}
static void spoil_dtype(struct ct *t, struct xf_msg_update_begin *u) {
  (void)t;
  u->dtype = XF_DTYPE_FLOAT16;
  ct_seal(u);
}
static void spoil_zero(struct ct *t, struct xf_msg_update_begin *u) {
  (void)t;
  u->weight = 0;
  ct_seal(u);
}
static void spoil_member_max(struct ct *t, struct xf_msg_update_begin *u) {
  (void)t;
  u->weight = 51;
  ct_seal(u);
}
static void spoil_2_29(struct ct *t, struct xf_msg_update_begin *u) {
  t->member[0].max_weight = 0;
  u->weight = 1u << 29;
  ct_seal(u);
}
static void spoil_uniform(struct ct *t, struct xf_msg_update_begin *u) {
  t->plan.stages[0].fed.weighting = XF_PLAN_WEIGHTING_UNIFORM;
  u->weight = 2;
  ct_seal(u);
}
static void spoil_capped(struct ct *t, struct xf_msg_update_begin *u) {
  t->plan.stages[0].fed.weighting = XF_PLAN_WEIGHTING_CAPPED;
  t->plan.stages[0].fed.weight_cap = 9;
  ct_seal(u);
}
static void spoil_digest(struct ct *t, struct xf_msg_update_begin *u) {
  (void)t;
  u->update_digest.b[3] ^= 1;
}
static void spoil_round(struct ct *t, struct xf_msg_update_begin *u) {
  (void)t;
  u->round = 0; /* under the right task id */
  ct_seal(u);
}

static void test_rejected(void **state) {
  (void)state;
  rejected(spoil_layout);
  rejected(spoil_length);
  rejected(spoil_dtype);
  rejected(spoil_zero);
  rejected(spoil_member_max);
  rejected(spoil_2_29);
  rejected(spoil_uniform);
  rejected(spoil_capped);
  rejected(spoil_digest);
  rejected(spoil_round);
}

static void test_spool_verdicts(void **state) {
  (void)state;
  struct ct *t = joined(3);
  t->spool_rc = XF_E_CORRUPT; /* payload digest */
  ct_answer(t, 0);
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_CORRUPT);
  assert_int_equal(ct_records(t, XF_RECORD_VERDICT), 0); /* only this asks for a resend */
  t->spool_rc = XF_OK;
  ct_answer(t, 0);
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_ACCEPTED);
  t->spool_rc = XF_E_RANGE; /* not finite */
  ct_answer(t, 1);
  assert_int_equal(ct_verdict(t, 1), XF_VERDICT_REJECTED);
  assert_int_equal(ct_records(t, XF_RECORD_VERDICT), 1);
  ct_stop(t);
}

static void test_corrupt_chunks(void **state) {
  (void)state;
  struct ct *t = joined(2);
  ct_reply(t, 0, true);
  const struct xf_msg_update_begin u = ct_update(t, 0);
  static const uint8_t bytes[CT_MODEL + 1];
  const struct xf_msg_chunk bad[] = {{.offset = 4, .data_len = 16},
                                     {.data_len = 16, .crc32c = 1},
                                     {.data_len = 0},
                                     {.data_len = CT_MODEL + 1}};
  for (uint32_t k = 0; k < 4; k++) {
    ct_begin(t, 0, &u);
    assert_true(t->spool_open[0]);
    struct xf_msg m = {.type = XF_MSG_UPDATE_CHUNK, .chunk = bad[k]};
    m.chunk.task_id = u.task_id;
    m.chunk.data = bytes;
    ct_msg(t, t->conn[0], &m);
    assert_int_equal(ct_count(t, t->conn[0], XF_MSG_UPDATE_ACK), k + 1);
    assert_int_equal(ct_verdict(t, 0), XF_VERDICT_CORRUPT);
    assert_false(t->spool_open[0]);
  }
  ct_answer(t, 0);
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_ACCEPTED);
  ct_stop(t);
}

static void test_resume_upload(void **state) {
  (void)state;
  struct ct *t = joined(2);
  ct_reply(t, 0, true);
  const struct xf_msg_update_begin u = ct_update(t, 0);
  ct_begin(t, 0, &u);
  ct_leave(t, 0); /* nothing arrived yet */
  ct_join(t, 0);
  assert_int_equal(ct_count(t, t->conn[0], XF_MSG_TASK_OFFER), 1); /* the same task again */
  assert_memory_equal(t->offer[0].task_id.b, u.task_id.b, XF_DIGEST_LEN);
  ct_begin(t, 0, &u);
  ct_chunk(t, 0, 0, 1024);
  ct_chunk(t, 0, 1024, 1024);
  ct_leave(t, 0);
  assert_true(t->spool_open[0]);
  ct_join(t, 0);
  ct_begin(t, 0, &u);
  assert_int_equal(ct_last(t, t->conn[0], XF_MSG_UPDATE_READY)->offset, 2048);
  ct_chunk(t, 0, 2048, 2048);
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_ACCEPTED);
  ct_stop(t);
}

/* Other bytes after a reconnect start at 0. */
static void test_no_resume_of_other(void **state) {
  (void)state;
  struct ct *t = joined(2);
  ct_reply(t, 0, true);
  struct xf_msg_update_begin u = ct_update(t, 0);
  ct_begin(t, 0, &u);
  ct_chunk(t, 0, 0, 1024);
  ct_leave(t, 0);
  ct_join(t, 0);
  u.weight++;
  ct_seal(&u);
  ct_begin(t, 0, &u);
  assert_int_equal(ct_last(t, t->conn[0], XF_MSG_UPDATE_READY)->offset, 0);
  ct_stop(t);
}

/* A file opened for a silo that left is aborted when the round closes without it. */
static void test_abandoned_upload_is_aborted(void **state) {
  (void)state;
  for (uint32_t bytes = 0; bytes <= 1024; bytes += 1024) {
    struct ct *t = joined(3);
    ct_reply(t, 0, true);
    const struct xf_msg_update_begin u = ct_update(t, 0);
    ct_begin(t, 0, &u);
    if (bytes) ct_chunk(t, 0, 0, bytes);
    ct_leave(t, 0);
    ct_answer(t, 1);
    ct_answer(t, 2);
    assert_true(t->spool_open[0]);
    ct_pass(t, 140, true);
    assert_int_equal(ct_view(t).committed, 1);
    assert_false(t->spool_open[0]);
    ct_stop(t);
  }
}

/* The spool of a closed round answers in the next one: not taken for the new upload. */
static void test_stale_spooled(void **state) {
  (void)state;
  struct ct *t = joined(3);
  t->hold_spool = true;
  ct_answer(t, 0);
  t->hold_spool = false;
  ct_answer(t, 1);
  ct_answer(t, 2);
  ct_pass(t, 140, true);
  assert_int_equal(ct_view(t).committed, 1);
  assert_int_equal(t->n_participant, 2);
  assert_int_equal(t->offer[0].round, 2);
  ct_reply(t, 0, true);
  const struct xf_msg_update_begin u = ct_update(t, 0);
  ct_begin(t, 0, &u);
  ct_chunk(t, 0, 0, 1024);
  const uint32_t updates = ct_records(t, XF_RECORD_UPDATE);
  ct_release(t);
  assert_int_equal(ct_records(t, XF_RECORD_UPDATE), updates);
  assert_true(t->spool_open[0]);
  for (uint32_t at = 1024; at < CT_MODEL; at += 1024) ct_chunk(t, 0, at, 1024);
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_ACCEPTED);
  ct_stop(t);
}

static void test_transfer_queue(void **state) {
  (void)state;
  struct ct *t = joined(20);
  for (uint32_t i = 0; i < 20; i++) {
    const struct xf_msg_update_begin u = ct_update(t, i);
    ct_reply(t, i, true);
    ct_begin(t, i, &u);
    assert_int_equal(ct_count(t, t->conn[i], XF_MSG_UPDATE_READY), i < 16);
  }
  ct_chunk(t, 3, 0, CT_MODEL); /* done: one place */
  assert_int_equal(ct_count(t, t->conn[16], XF_MSG_UPDATE_READY), 1);
  assert_int_equal(ct_count(t, t->conn[17], XF_MSG_UPDATE_READY), 0);
  ct_leave(t, 5); /* gone: one place */
  assert_int_equal(ct_count(t, t->conn[17], XF_MSG_UPDATE_READY), 1);
  ct_chunk(t, 7, 8, 8); /* corrupt: one place */
  assert_int_equal(ct_count(t, t->conn[18], XF_MSG_UPDATE_READY), 1);
  const struct xf_msg_update_begin again = ct_update(t, 8);
  ct_begin(t, 8, &again); /* announced twice: no place */
  assert_int_equal(ct_count(t, t->conn[19], XF_MSG_UPDATE_READY), 0);
  ct_stop(t);
}

/* An acknowledgement lost with the connection: the resend is a duplicate. */
static void test_lost_ack(void **state) {
  (void)state;
  struct ct *t = joined(2);
  t->hold = 1u << XF_RECORD_UPDATE;
  ct_answer(t, 0);
  const struct xf_msg_update_begin u = ct_update(t, 0);
  ct_leave(t, 0);
  ct_release(t);
  ct_join(t, 0);
  assert_int_equal(ct_count(t, t->conn[0], XF_MSG_TASK_OFFER), 0);
  ct_begin(t, 0, &u);
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_DUPLICATE_OK);
  ct_stop(t);
}

static void test_model_get(void **state) {
  (void)state;
  struct ct *t = joined(2);
  struct xf_msg get = {.type = XF_MSG_MODEL_GET, .model_get = {{{0}}, 0, 16}};
  ct_msg(t, t->conn[0], &get);
  assert_string_equal(ct_last(t, t->conn[0], XF_MSG_TASK_CANCEL)->code, "E_STALE");
  get.model_get.task_id = t->offer[0].task_id;
  get.model_get.offset = UINT64_MAX;
  ct_msg(t, t->conn[0], &get);
  assert_string_equal(ct_last(t, 1, XF_MSG_REFUSED)->code, "E_RANGE");
  assert_int_equal(t->served, 0);
  ct_stop(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_ack_after_record),
      cmocka_unit_test(test_offers_after_record),
      cmocka_unit_test(test_duplicate_conflict),
      cmocka_unit_test(test_duplicate_after_evaluation),
      cmocka_unit_test(test_stale_late_foreign),
      cmocka_unit_test(test_rejected),
      cmocka_unit_test(test_spool_verdicts),
      cmocka_unit_test(test_corrupt_chunks),
      cmocka_unit_test(test_resume_upload),
      cmocka_unit_test(test_no_resume_of_other),
      cmocka_unit_test(test_abandoned_upload_is_aborted),
      cmocka_unit_test(test_stale_spooled),
      cmocka_unit_test(test_transfer_queue),
      cmocka_unit_test(test_lost_ack),
      cmocka_unit_test(test_model_get),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
