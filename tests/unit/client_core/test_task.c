// The task at hand: offer, fetch, work, outbox, verdict.
#include "silo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static const uint64_t window = 1024 * 1024;

static void refused_offer(struct silo *t, const struct xf_msg_task_offer *o, const char *key,
                          const char *words) {
  silo_offer(t, o);
  const struct xf_msg *m = silo_sent(t, XF_MSG_TASK_REPLY);
  assert_non_null(m);
  assert_false(m->task_reply.accepted);
  assert_string_equal(m->task_reply.key, key);
  if (!strstr(m->task_reply.text, words)) fail_msg("\"%s\": no %s", m->task_reply.text, words);
  assert_true(xf_digest_equal(&m->task_reply.task_id, &o->task_id));
  silo_expect(t, XF_SESSION_READY, XF_TASK_STATE_NONE);
  assert_int_equal(t->n_act, 1);
}

static void offer_checks(void **state) {
  (void)state;
  struct silo *t = silo_new();
  t->config.policy.min_cohort = 3;
  silo_ready(t);
  struct xf_msg_task_offer o = silo_task(t, 1, XF_TASK_TRAIN);
  o.round = 2;
  refused_offer(t, &o, "task_id", "task id");
  o = silo_task(t, 1, XF_TASK_TRAIN);
  o.plan_digest.b[3] ^= 1;
  silo_sign(t, &o);
  refused_offer(t, &o, "plan_digest", "another plan");
  o = silo_task(t, 1, XF_TASK_TRAIN);
  o.layout_digest.b[3] ^= 1;
  refused_offer(t, &o, "layout_digest", "layout");
  o = silo_task(t, 1, XF_TASK_TRAIN);
  o.model_len = 104;
  refused_offer(t, &o, "model_len", "104 bytes, this silo expects 100");
  o = silo_task(t, 1, XF_TASK_TRAIN);
  o.cohort = 2;
  refused_offer(t, &o, "policy.min_cohort", "cohort of 2");
  o = silo_task(t, 1, XF_TASK_EVALUATE); /* nothing is released with a cohort's protection */
  o.cohort = 2;
  silo_offer(t, &o);
  assert_true(silo_sent(t, XF_MSG_TASK_REPLY)->task_reply.accepted);
  silo_free(t);

  t = silo_new(); /* what was released counts on, also over the epsilon of the last answer */
  t->config.policy.max_epsilon = 0.4;
  silo_ready(t);
  o = silo_task(t, 1, XF_TASK_TRAIN);
  silo_fetch(t, &o);
  silo_worked(t, &o);
  silo_ack(t, XF_VERDICT_ACCEPTED);
  silo_event(t, XF_SESSION_EV_SETTLED, XF_OK);
  o = silo_task(t, 2, XF_TASK_TRAIN);
  refused_offer(t, &o, "policy.max_epsilon", "0.5");
  silo_free(t);
}

static void outcome(void **state) {
  (void)state;
  struct silo *t = silo_new();
  silo_ready(t);
  struct xf_msg_task_offer o = silo_task(t, 2, XF_TASK_TRAIN);
  o.prev_task_id.b[0] = 8;
  o.prev_outcome = XF_OUTCOME_DISCARDED;
  silo_offer(t, &o);
  const struct xf_session_action *a = silo_act(t, XF_SESSION_OUTCOME_ACTION);
  assert_int_equal(a->outcome, XF_OUTCOME_DISCARDED);
  assert_int_equal(a->task_id.b[0], 8);
  silo_free(t);
}

static void held_while_adopting(void **state) {
  (void)state;
  struct silo *t = silo_new();
  silo_run(t);
  silo_event(t, XF_SESSION_EV_DIALED, XF_OK);
  silo_welcome(t);
  silo_send_plan(t);
  struct xf_msg_task_offer o = silo_task(t, 1, XF_TASK_TRAIN);
  silo_offer(t, &o);
  assert_int_equal(t->n_act, 0);
  silo_adopted(t);
  assert_true(silo_sent(t, XF_MSG_TASK_REPLY)->task_reply.accepted);
  silo_expect(t, XF_SESSION_READY, XF_TASK_STATE_FETCHING);
  silo_free(t);
}

static void held_while_unsettled(void **state) {
  (void)state;
  struct silo *t = silo_new();
  silo_ready(t);
  struct xf_msg_task_offer o = silo_task(t, 1, XF_TASK_TRAIN),
                           next = silo_task(t, 2, XF_TASK_TRAIN);
  silo_fetch(t, &o);
  silo_worked(t, &o);
  silo_offer(t, &next);
  assert_int_equal(t->n_act, 0);
  silo_offer(t, &o); /* the one at hand again: its answer is on the way, nothing is held for it */
  assert_int_equal(t->n_act, 0);
  silo_ack(t, XF_VERDICT_LATE);
  assert_null(silo_sent(t, XF_MSG_TASK_REPLY));
  silo_event(t, XF_SESSION_EV_SETTLED, XF_OK);
  assert_true(xf_digest_equal(&silo_sent(t, XF_MSG_TASK_REPLY)->task_reply.task_id, &next.task_id));
  silo_expect(t, XF_SESSION_READY, XF_TASK_STATE_FETCHING);
  silo_free(t);
}

static void held_while_cancelled(void **state) {
  (void)state;
  struct silo *t = silo_new();
  silo_ready(t);
  struct xf_msg_task_offer o = silo_task(t, 1, XF_TASK_TRAIN),
                           next = silo_task(t, 2, XF_TASK_TRAIN);
  silo_fetch(t, &o);
  silo_cancel(t, &o);
  assert_int_equal(silo_count(t, XF_SESSION_CANCEL_ACTION), 1);
  silo_cancel(t, &o);
  assert_int_equal(t->n_act, 0);
  silo_offer(t, &next);
  assert_int_equal(t->n_act, 0);
  silo_event(t, XF_SESSION_EV_WORKED, XF_E_CANCELLED);
  assert_true(xf_digest_equal(&silo_sent(t, XF_MSG_TASK_REPLY)->task_reply.task_id, &next.task_id));
  silo_expect(t, XF_SESSION_READY, XF_TASK_STATE_FETCHING);
  silo_cancel(t, &next);
  silo_expect(t, XF_SESSION_READY, XF_TASK_STATE_NONE);
  silo_free(t);

  t = silo_new(); /* the same offer again while its work stops, but the answer was stored after all */
  silo_ready(t);
  silo_fetch(t, &o);
  silo_cancel(t, &o);
  silo_offer(t, &o);
  silo_worked(t, &o);
  assert_non_null(silo_sent(t, XF_MSG_UPDATE_BEGIN));
  silo_ack(t, XF_VERDICT_ACCEPTED);
  silo_event(t, XF_SESSION_EV_SETTLED, XF_OK);
  silo_expect(t, XF_SESSION_READY, XF_TASK_STATE_NONE); /* not worked on a second time */
  assert_int_equal(t->n_act, 0);
  silo_free(t);
}

static void windows(void **state) {
  (void)state;
  struct silo *t = silo_new();
  t->model_len = 2 * window + 100;
  silo_ready(t);
  struct xf_msg_task_offer o = silo_task(t, 1, XF_TASK_TRAIN);
  silo_offer(t, &o);
  uint64_t gets = 0;
  for (uint64_t at = 0; at < o.model_len;) {
    const struct xf_msg *m = silo_sent(t, XF_MSG_MODEL_GET);
    assert_int_equal(m != NULL, at % window == 0);
    if (m) {
      uint64_t left = o.model_len - at;
      assert_int_equal(m->model_get.offset, at);
      assert_int_equal(m->model_get.length, left < window ? left : window);
      gets++;
    }
    size_t n = o.model_len - at < XF_CHUNK_MAX ? (size_t)(o.model_len - at) : XF_CHUNK_MAX;
    silo_chunk(t, &o, at, n);
    assert_int_equal(silo_act(t, XF_SESSION_FETCH_WRITE_ACTION)->offset, at);
    at += n;
  }
  assert_int_equal(gets, 3);
  assert_int_equal(silo_count(t, XF_SESSION_RUN_ACTION), 1);
  silo_free(t);
}

static void damaged_chunk(void **state) {
  (void)state;
  struct silo *t = silo_new();
  t->model_len = window + 100;
  silo_ready(t);
  struct xf_msg_task_offer o = silo_task(t, 1, XF_TASK_TRAIN);
  silo_offer(t, &o);
  silo_chunk(t, &o, 0, 1000);
  struct xf_msg bad = {.type = XF_MSG_MODEL_CHUNK};
  bad.chunk = (struct xf_msg_chunk){
      .task_id = o.task_id, .offset = 1000, .crc32c = 1, .data = t->bytes, .data_len = 50};
  silo_msg(t, &bad);
  assert_int_equal(t->n_act, 1);
  assert_int_equal(silo_count(t, XF_SESSION_CLOSE_ACTION), 1);
  silo_rejoin(t);
  silo_offer(t, &o); /* goes on where it stopped */
  assert_int_equal(silo_count(t, XF_SESSION_FETCH_BEGIN_ACTION), 0);
  assert_int_equal(silo_sent(t, XF_MSG_MODEL_GET)->model_get.offset, 1000);
  assert_int_equal(silo_sent(t, XF_MSG_MODEL_GET)->model_get.length, window - 900);
  silo_chunk(t, &o, 2000, 50); /* out of place */
  assert_int_equal(silo_count(t, XF_SESSION_CLOSE_ACTION), 1);
  silo_rejoin(t);
  struct xf_msg_task_offer next = silo_task(t, 2, XF_TASK_TRAIN);
  silo_offer(t, &next); /* another model starts over */
  assert_int_equal(silo_count(t, XF_SESSION_FETCH_BEGIN_ACTION), 1);
  assert_int_equal(silo_sent(t, XF_MSG_MODEL_GET)->model_get.offset, 0);
  silo_free(t);
}

static void corrupt(void **state) {
  (void)state;
  struct silo *t = silo_new();
  silo_ready(t);
  struct xf_msg_task_offer o = silo_task(t, 1, XF_TASK_TRAIN);
  silo_fetch(t, &o);
  silo_worked(t, &o);
  for (int i = 1; i <= 4; i++) {
    silo_update_ready(t, 40);
    assert_int_equal(silo_act(t, XF_SESSION_UPLOAD_ACTION)->offset, 40);
    silo_ack(t, XF_VERDICT_CORRUPT);
    assert_int_equal(t->n_act, 0);
    silo_expect(t, XF_SESSION_READY, XF_TASK_STATE_PENDING);
    const double want = 0.1 * (1 << i);
    assert_true(silo_wait(t) > want - 0.002 && silo_wait(t) < want + 0.002);
    silo_tick(t, want / 2);
    assert_null(silo_sent(t, XF_MSG_UPDATE_BEGIN));
    silo_tick(t, want / 2 + 0.001);
    const struct xf_msg *m = silo_sent(t, XF_MSG_UPDATE_BEGIN);
    assert_non_null(m);
    assert_memory_equal(&m->update_begin, &t->begin, sizeof t->begin); /* unchanged */
  }
  silo_free(t);
}

static void verdicts(void **state) {
  (void)state;
  for (int v = XF_VERDICT_ACCEPTED; v < XF_VERDICT_CORRUPT; v++) {
    struct silo *t = silo_new();
    silo_ready(t);
    struct xf_msg_task_offer o = silo_task(t, 1, XF_TASK_TRAIN);
    silo_fetch(t, &o);
    silo_worked(t, &o);
    silo_update_ready(t, 101); /* behind the end */
    assert_int_equal(t->n_act, 0);
    silo_ack(t, (enum xf_verdict)v);
    assert_int_equal(t->n_act, 1);
    assert_int_equal(silo_act(t, XF_SESSION_SETTLE_ACTION)->verdict, v);
    silo_ack(t, (enum xf_verdict)v); /* said twice, settled once */
    assert_int_equal(t->n_act, 0);
    silo_event(t, XF_SESSION_EV_SETTLED, XF_OK);
    silo_expect(t, XF_SESSION_READY, XF_TASK_STATE_NONE);
    silo_ack(t, (enum xf_verdict)v);
    assert_int_equal(t->n_act, 0);
    silo_free(t);
  }
  struct silo *t = silo_new(); /* without its database a silo cannot go on */
  silo_ready(t);
  struct xf_msg_task_offer o = silo_task(t, 1, XF_TASK_TRAIN);
  silo_fetch(t, &o);
  silo_worked(t, &o);
  silo_ack(t, XF_VERDICT_ACCEPTED);
  silo_event(t, XF_SESSION_EV_SETTLED, XF_E_IO);
  silo_stopped(t, XF_E_IO, "database", "");
  silo_free(t);
}

static void cancel_while_sending(void **state) {
  (void)state;
  struct silo *t = silo_new();
  silo_ready(t);
  struct xf_msg_task_offer o = silo_task(t, 1, XF_TASK_TRAIN);
  silo_fetch(t, &o);
  silo_worked(t, &o);
  silo_cancel(t, &o);
  assert_int_equal(t->n_act, 1);
  assert_non_null(silo_sent(t, XF_MSG_UPDATE_BEGIN));
  silo_expect(t, XF_SESSION_READY, XF_TASK_STATE_SENDING);
  silo_free(t);
}

static void pending_at_start(void **state) {
  (void)state;
  struct silo *t = silo_new();
  t->recovery.pending = true;
  struct xf_msg_task_offer o = silo_task(t, 4, XF_TASK_TRAIN);
  t->begin = (struct xf_msg_update_begin){.task_id = o.task_id, .round = 4, .payload_len = 100};
  t->recovery.begin = t->begin;
  silo_run(t);
  silo_event(t, XF_SESSION_EV_DIALED, XF_OK);
  assert_true(silo_wait(t) > 1); /* nothing to do before the coordinator has spoken */
  silo_welcome(t);
  assert_null(silo_sent(t, XF_MSG_UPDATE_BEGIN));
  assert_true(silo_wait(t) > 1);
  silo_send_plan(t);
  assert_null(silo_sent(t, XF_MSG_UPDATE_BEGIN));
  silo_adopted(t);
  assert_memory_equal(&silo_sent(t, XF_MSG_UPDATE_BEGIN)->update_begin, &t->begin, sizeof t->begin);
  silo_rejoin(t); /* and again on every connection, until there is a verdict */
  assert_non_null(silo_sent(t, XF_MSG_UPDATE_BEGIN));
  silo_free(t);
}

static void work_fails(void **state) {
  (void)state;
  struct silo *t = silo_new();
  silo_ready(t);
  struct xf_msg_task_offer o = silo_task(t, 1, XF_TASK_TRAIN);
  silo_fetch(t, &o);
  silo_rejoin(t); /* the work goes on without a connection */
  silo_offer(t, &o);
  assert_int_equal(t->n_act, 1);
  assert_true(silo_sent(t, XF_MSG_TASK_REPLY)->task_reply.accepted);
  silo_feed(t, &(struct xf_session_event){.type = XF_SESSION_EV_PROGRESS, .done = 2, .total = 9});
  assert_int_equal(silo_sent(t, XF_MSG_PROGRESS)->progress.done, 2);
  silo_event(t, XF_SESSION_EV_WORKED, XF_E_NOSPACE);
  const struct xf_msg *m = silo_sent(t, XF_MSG_TASK_REPLY);
  assert_false(m->task_reply.accepted);
  assert_string_equal(m->task_reply.text, "it broke");
  silo_expect(t, XF_SESSION_READY, XF_TASK_STATE_NONE);
  silo_free(t);
}

/* Neither turn nor verdict although the coordinator lives: announced again on the same connection, but never into the
   bytes of an upload. */
static void silence(void **state) {
  (void)state;
  struct silo *t = silo_new();
  silo_ready(t);
  struct xf_msg_task_offer o = silo_task(t, 3, XF_TASK_TRAIN);
  silo_fetch(t, &o);
  silo_worked(t, &o);
  const struct xf_msg pong = {.type = XF_MSG_PONG};
  uint32_t n = 0;
  for (int s = 0; s < 35; s++) {
    silo_msg(t, &pong);
    silo_tick(t, 1);
    n += silo_sent(t, XF_MSG_UPDATE_BEGIN) != NULL;
  }
  assert_int_equal(n, 1);
  silo_update_ready(t, 0);
  for (int s = 0; s < 100; s++) { /* a slow line: the bytes are still leaving */
    silo_msg(t, &pong);
    silo_tick(t, 1);
    n += silo_sent(t, XF_MSG_UPDATE_BEGIN) != NULL;
  }
  assert_int_equal(n, 1);
  silo_event(t, XF_SESSION_EV_UPLOADED, XF_OK);
  for (int s = 0; s < 65; s++) {
    silo_msg(t, &pong);
    silo_tick(t, 1);
    n += silo_sent(t, XF_MSG_UPDATE_BEGIN) != NULL;
  }
  assert_int_equal(n, 3);
  silo_ack(t, XF_VERDICT_DUPLICATE_OK);
  silo_event(t, XF_SESSION_EV_SETTLED, XF_OK);
  silo_expect(t, XF_SESSION_READY, XF_TASK_STATE_NONE);
  silo_free(t);
}

static void final_model(void **state) {
  (void)state;
  struct silo *t = silo_new();
  silo_ready(t);
  struct xf_msg_task_offer o = silo_task(t, 8, XF_TASK_FINAL);
  silo_offer(t, &o);
  assert_null(silo_sent(t, XF_MSG_TASK_REPLY)); /* only when it is stored */
  silo_chunk(t, &o, 0, 100);
  assert_int_equal(silo_count(t, XF_SESSION_STORE_FINAL_ACTION), 1);
  silo_rejoin(t);
  silo_offer(t, &o); /* while it is being stored: the bytes are not touched */
  assert_int_equal(t->n_act, 0);
  struct xf_msg_task_offer next = silo_task(t, 9, XF_TASK_EVALUATE);
  silo_offer(t, &next); /* waits, as for any answer */
  assert_int_equal(t->n_act, 0);
  silo_event(t, XF_SESSION_EV_STORED, XF_OK);
  assert_true(
      xf_digest_equal(&silo_act(t, XF_SESSION_SEND_ACTION)->msg.task_reply.task_id, &o.task_id));
  silo_expect(t, XF_SESSION_READY, XF_TASK_STATE_FETCHING); /* the one held */
  silo_msg(t, &(struct xf_msg){.type = XF_MSG_GOODBYE, .goodbye = {"OK", "done", 0}});
  silo_stopped(t, XF_OK, "the run is done", "");
  assert_int_equal(silo_count(t, XF_SESSION_CLOSE_ACTION), 1);
  assert_int_equal(silo_count(t, XF_SESSION_SEND_ACTION), 0); /* nobody is there to hear it */
  silo_free(t);

  /* Sent away for another reason than the run's end: its own log must say which. Before the acknowledgement somebody may
     wait for it yet. */
  for (int acked = 0; acked < 2; acked++) {
    t = silo_new();
    silo_ready(t);
    silo_offer(t, &o);
    silo_chunk(t, &o, 0, 100);
    assert_false(xf_session_is_over(t->core));
    silo_event(t, XF_SESSION_EV_STORED, XF_OK);
    struct xf_msg ack = {.type = XF_MSG_UPDATE_ACK,
                         .update_ack = {next.task_id, XF_VERDICT_ACCEPTED, "", ""}};
    silo_msg(t, &ack); /* of something else */
    assert_false(xf_session_is_over(t->core));
    ack.update_ack.task_id = o.task_id;
    if (acked) silo_msg(t, &ack);
    assert_int_equal(xf_session_is_over(t->core), acked);
    silo_msg(t, &(struct xf_msg){.type = XF_MSG_GOODBYE,
                                 .goodbye = {"E_AUTH", "this certificate was revoked", 60000}});
    if (acked) silo_stopped(t, XF_OK, "the run is done", "this certificate was revoked");
    else silo_expect(t, XF_SESSION_RESTING, XF_TASK_STATE_NONE);
    silo_free(t);
  }

  t = silo_new(); /* stored while nobody listened: told on the next connection, without the bytes */
  silo_ready(t);
  silo_offer(t, &o);
  silo_chunk(t, &o, 0, 100);
  silo_event(t, XF_SESSION_EV_LOST, XF_E_IO);
  silo_event(t, XF_SESSION_EV_STORED, XF_OK);
  assert_int_equal(t->n_act, 0);
  silo_tick(t, 1);
  silo_join(t);
  silo_offer(t, &o);
  assert_int_equal(t->n_act, 1);
  assert_true(silo_sent(t, XF_MSG_TASK_REPLY)->task_reply.accepted);
  silo_free(t);

  /* A disk that refuses: told. The run's end is then an end with an error, anything else is waited out. */
  for (int done = 0; done < 2; done++) {
    t = silo_new();
    silo_ready(t);
    silo_offer(t, &o);
    silo_chunk(t, &o, 0, 100);
    silo_event(t, XF_SESSION_EV_STORED, XF_E_NOSPACE);
    assert_string_equal(silo_sent(t, XF_MSG_TASK_REPLY)->task_reply.key, "store");
    assert_int_equal(xf_session_final_refusal(t->core), XF_E_NOSPACE);
    silo_msg(t, &(struct xf_msg){.type = XF_MSG_GOODBYE,
                                 .goodbye = {done ? "OK" : "E_AGAIN", "done", 0}});
    if (done) silo_stopped(t, XF_E_NOSPACE, "has not stored the final model", "");
    else silo_expect(t, XF_SESSION_RESTING, XF_TASK_STATE_NONE);
    silo_free(t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(offer_checks),
      cmocka_unit_test(outcome),
      cmocka_unit_test(held_while_adopting),
      cmocka_unit_test(held_while_unsettled),
      cmocka_unit_test(held_while_cancelled),
      cmocka_unit_test(windows),
      cmocka_unit_test(damaged_chunk),
      cmocka_unit_test(corrupt),
      cmocka_unit_test(verdicts),
      cmocka_unit_test(cancel_while_sending),
      cmocka_unit_test(pending_at_start),
      cmocka_unit_test(work_fails),
      cmocka_unit_test(silence),
      cmocka_unit_test(final_model),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
