// The connection: dial, greet, adopt the plan, keep alive, go away.
#include "base/alloc.h"
#include "silo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static void backoff(void **state) {
  (void)state;
  double lowest = 1, highest = 0;
  for (uint64_t key = 0; key < 40; key++) {
    struct silo *t = silo_new();
    t->config.jitter_key = key;
    t->config.backoff_min_s = 0.5;
    t->config.backoff_max_s = 6;
    silo_run(t);
    double cap = 0.5;
    for (int i = 0; i < 8; i++) {
      silo_event(t, XF_SESSION_EV_LOST, XF_E_IO);
      silo_expect(t, XF_SESSION_RESTING, XF_TASK_STATE_NONE);
      assert_non_null(strstr(xf_session_reason(t->core), "it broke"));
      double s = silo_wait(t);
      assert_true(s >= 0 && s <= cap);
      if (s / cap < lowest) lowest = s / cap;
      if (s / cap > highest) highest = s / cap;
      if (s > 0.001) {
        silo_tick(t, s / 2);
        assert_int_equal(silo_count(t, XF_SESSION_DIAL_ACTION), 0);
      }
      silo_tick(t, s);
      assert_int_equal(silo_count(t, XF_SESSION_DIAL_ACTION), 1);
      cap = cap * 2 < 6 ? cap * 2 : 6;
    }
    silo_join(t); /* a welcome starts the backoff afresh */
    silo_event(t, XF_SESSION_EV_LOST, XF_E_IO);
    assert_true(silo_wait(t) <= 0.5);
    silo_free(t);
  }
  assert_true(lowest < 0.1 && highest > 0.9);
}

static void retry_after(void **state) {
  (void)state;
  struct silo *t = silo_new();
  silo_run(t);
  silo_event(t, XF_SESSION_EV_DIALED, XF_OK);
  silo_msg(t, &(struct xf_msg){.type = XF_MSG_REFUSED,
                               .refused = {"E_BUSY", "full", "wait a little", 20000}});
  assert_int_equal(silo_count(t, XF_SESSION_CLOSE_ACTION), 1);
  assert_true(silo_wait(t) >= 20 && silo_wait(t) <= 20.5);
  assert_non_null(strstr(xf_session_reason(t->core), "full; fix: wait a little"));
  silo_event(t, XF_SESSION_EV_LOST, XF_E_IO); /* of the connection it closed itself */
  assert_true(silo_wait(t) >= 20);
  silo_tick(t, 21);
  silo_join(t);
  silo_msg(t, &(struct xf_msg){.type = XF_MSG_GOODBYE, .goodbye = {"OK", "maintenance", 30000}});
  assert_int_equal(silo_count(t, XF_SESSION_CLOSE_ACTION), 1);
  assert_true(silo_wait(t) >= 30 && silo_wait(t) <= 30.5);
  assert_non_null(strstr(xf_session_reason(t->core), "maintenance"));
  silo_free(t);
}

static void greeting(void **state) {
  (void)state;
  struct silo *t = silo_new();
  silo_run(t);
  silo_event(t, XF_SESSION_EV_DIALED, XF_OK);
  const struct xf_msg *m = silo_sent(t, XF_MSG_HELLO);
  assert_non_null(m);
  assert_false(m->hello.has_plan);
  assert_string_equal(m->hello.run_id, "");
  silo_tick(t, 14.9);
  silo_expect(t, XF_SESSION_GREETING, XF_TASK_STATE_NONE);
  silo_tick(t, 0.2);
  assert_int_equal(silo_count(t, XF_SESSION_CLOSE_ACTION), 1);
  silo_expect(t, XF_SESSION_RESTING, XF_TASK_STATE_NONE);
  silo_free(t);
}

static void silence(void **state) {
  (void)state;
  struct silo *t = silo_new();
  silo_ready(t);
  silo_tick(t, 5.1); /* its own heartbeat */
  assert_int_equal(silo_sent(t, XF_MSG_PING)->ping.nonce, 9);
  silo_tick(t, 20);
  silo_msg(t, &(struct xf_msg){.type = XF_MSG_PING, .ping = {77}});
  assert_int_equal(silo_sent(t, XF_MSG_PONG)->ping.nonce, 77);
  silo_tick(t, 29.9);
  silo_expect(t, XF_SESSION_READY, XF_TASK_STATE_NONE);
  silo_tick(t, 0.2);
  assert_int_equal(silo_count(t, XF_SESSION_CLOSE_ACTION), 1);
  silo_expect(t, XF_SESSION_RESTING, XF_TASK_STATE_NONE);
  assert_non_null(strstr(xf_session_reason(t->core), "silent"));
  silo_free(t);
}

static void wrong_coordinator(void **state) {
  (void)state;
  for (int i = 0; i < 4; i++) {
    struct silo *t = silo_new();
    (void)snprintf(t->config.run_id, sizeof t->config.run_id, "run-1");
    t->recovery.has_plan = true;
    t->recovery.plan_digest = t->welcome.plan_digest;
    if (i == 0) t->welcome.federation = "other";
    if (i == 1) t->welcome.member = "silo-b";
    if (i == 2) t->welcome.run_id = "run-2";
    if (i == 3) t->welcome.plan_digest.b[0] ^= 1;
    silo_run(t);
    silo_event(t, XF_SESSION_EV_DIALED, XF_OK);
    assert_true(silo_sent(t, XF_MSG_HELLO)->hello.has_plan);
    silo_welcome(t);
    static const char *const words[][2] = {{"\"other\"", "\"fed\""},
                                           {"\"silo-b\"", "\"silo-a\""},
                                           {"\"run-2\"", "\"run-1\""},
                                           {"plan differs", "accepted for the run"}};
    silo_stopped(t, XF_E_CONFLICT, words[i][0], words[i][1]);
    assert_string_equal(silo_sent(t, XF_MSG_GOODBYE)->goodbye.code, xf_rc_name(XF_E_CONFLICT));
    assert_int_equal(silo_count(t, XF_SESSION_CLOSE_ACTION), 1);
    silo_tick(t, 100); /* and stays away */
    assert_int_equal(t->n_act, 0);
    assert_int_equal(xf_session_deadline(t->core).ns, XF_TIME_NEVER.ns);
    silo_free(t);
  }
}

static void plan_refusals(void **state) {
  (void)state;
  struct silo *t = silo_new();
  t->config.policy.max_rounds = 3;
  silo_run(t);
  silo_event(t, XF_SESSION_EV_DIALED, XF_OK);
  silo_welcome(t);
  silo_send_plan(t);
  silo_stopped(t, XF_E_POLICY, "policy.max_rounds: ", "8 rounds");
  silo_free(t);

  t = silo_new(); /* other bytes than the digest promised: the connection's fault, not the run's */
  silo_run(t);
  silo_event(t, XF_SESSION_EV_DIALED, XF_OK);
  silo_welcome(t);
  t->canonical.p[t->canonical.len - 1] ^= 1;
  silo_send_plan(t);
  assert_int_equal(silo_count(t, XF_SESSION_CLOSE_ACTION), 1);
  silo_expect(t, XF_SESSION_RESTING, XF_TASK_STATE_NONE);
  assert_true(silo_wait(t) >= 1);
  silo_free(t);

  t = silo_new(); /* the silo's data do not fit */
  silo_run(t);
  silo_event(t, XF_SESSION_EV_DIALED, XF_OK);
  silo_welcome(t);
  silo_send_plan(t);
  assert_string_equal(silo_act(t, XF_SESSION_ADOPT_ACTION)->text, "run-1");
  silo_event(t, XF_SESSION_EV_ADOPTED, XF_E_SHAPE);
  silo_stopped(t, XF_E_SHAPE, "it broke", "");
  silo_free(t);

  for (int agreed = 0; agreed < 2;
       agreed++) { /* an encoding that the coordinator did not agree to */
    struct xf_plan *plan = xf_calloc(1, sizeof *plan);
    t = silo_new();
    silo_plan(plan, "fed.encoding=qsgd");
    xf_buf_reset(&t->canonical);
    assert_int_equal(xf_plan_encode(&t->canonical, plan), XF_OK);
    assert_int_equal(xf_plan_digest(&t->welcome.plan_digest, plan), XF_OK);
    t->welcome.features = agreed ? 1 << 5 : 7;
    silo_run(t);
    silo_event(t, XF_SESSION_EV_DIALED, XF_OK);
    silo_welcome(t);
    silo_send_plan(t);
    if (agreed) assert_non_null(silo_act(t, XF_SESSION_ADOPT_ACTION));
    else silo_stopped(t, XF_E_UNSUPPORTED, "fed.encoding is qsgd", "");
    silo_free(t);
    xf_free(plan);
  }
}

/* Only a silo that rests dials at once, and only one that has begun. */
static void wakes(void **state) {
  (void)state;
  struct silo *t = silo_new();
  silo_ready(t);
  silo_event(t, XF_SESSION_EV_WAKE, XF_OK);
  assert_int_equal(t->n_act, 0);
  silo_event(t, XF_SESSION_EV_LOST, XF_E_IO);
  assert_int_equal(xf_session_get_state(t->core), XF_SESSION_RESTING);
  silo_event(t, XF_SESSION_EV_WAKE, XF_OK);
  assert_int_equal(silo_count(t, XF_SESSION_DIAL_ACTION), 1);
  assert_int_equal(xf_session_get_state(t->core), XF_SESSION_DIALING);
  silo_event(t, XF_SESSION_EV_WAKE, XF_OK);
  assert_int_equal(t->n_act, 0); /* it dials already */
  silo_free(t);
}

static void stop_while_working(void **state) {
  (void)state;
  struct silo *t = silo_new();
  silo_ready(t);
  struct xf_msg_task_offer o = silo_task(t, 1, XF_TASK_TRAIN);
  silo_fetch(t, &o);
  silo_event(t, XF_SESSION_EV_STOP, XF_OK);
  assert_int_equal(silo_count(t, XF_SESSION_CANCEL_ACTION), 1);
  assert_string_equal(silo_sent(t, XF_MSG_GOODBYE)->goodbye.code, "OK");
  silo_stopped(t, XF_OK, "stopped", "");
  silo_event(t, XF_SESSION_EV_WORKED, XF_E_CANCELLED);
  assert_int_equal(t->n_act, 0);
  silo_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(backoff),       cmocka_unit_test(wakes),
      cmocka_unit_test(retry_after),   cmocka_unit_test(greeting),
      cmocka_unit_test(silence),       cmocka_unit_test(wrong_coordinator),
      cmocka_unit_test(plan_refusals), cmocka_unit_test(stop_while_working),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
