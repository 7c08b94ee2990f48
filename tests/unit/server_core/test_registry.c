// Sessions: admission, Hello, heartbeats, two sessions of one identity, alignment.
#include "coordtest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static bool closed(const struct ct *t, uint64_t conn) {
  const uint32_t before = t->n_sent;
  ct_msg((struct ct *)(uintptr_t)t, conn, &(struct xf_msg){.type = XF_MSG_PING});
  return t->n_sent == before;
}

static void test_unlisted(void **state) {
  (void)state;
  struct ct *t = ct_start(2, 1);
  ct_run(t);
  const uint64_t conn = ct_open(t, "stranger");
  assert_string_equal(ct_last(t, conn, XF_MSG_REFUSED)->code, "E_AUTH");
  ct_hello(t, conn, "");
  assert_null(ct_last(t, conn, XF_MSG_WELCOME));
  ct_stop(t);
}

static void test_hello(void **state) {
  (void)state;
  struct ct *t = ct_start(2, 1);
  ct_run(t);
  uint64_t conn = ct_open(t, t->member[0].id);
  ct_hello(t, conn, "run-2");
  assert_string_equal(ct_last(t, conn, XF_MSG_REFUSED)->code, "E_CONFLICT");
  assert_null(ct_last(t, conn, XF_MSG_WELCOME));
  assert_true(closed(t, conn));
  conn = ct_open(t, t->member[0].id);
  ct_msg(t, conn, &(struct xf_msg){.type = XF_MSG_TASK_REPLY});
  assert_string_equal(ct_last(t, conn, XF_MSG_REFUSED)->code, "E_STATE");
  conn = ct_open(t, t->member[0].id);
  struct xf_msg m = {.type = XF_MSG_HELLO,
                     .hello = {.minor_min = XF_PROTO_MINOR + 1, .software = "", .run_id = ""}};
  ct_msg(t, conn, &m);
  assert_string_equal(ct_last(t, conn, XF_MSG_REFUSED)->code, "E_VERSION");
  conn = ct_open(t, t->member[0].id);
  m.hello.minor_min = 0;
  m.hello.chunk_max = 0; /* not given */
  ct_msg(t, conn, &m);
  assert_int_equal(ct_last(t, conn, XF_MSG_WELCOME)->offset, XF_CHUNK_MAX);
  assert_non_null(ct_last(t, conn, XF_MSG_PLAN));
  conn = ct_open(t, t->member[1].id);
  ct_hello(t, conn, "run-1");
  assert_int_equal(ct_last(t, conn, XF_MSG_WELCOME)->offset, 1024);
  ct_msg(t, conn, &(struct xf_msg){.type = XF_MSG_WELCOME}); /* no message of a silo */
  assert_string_equal(ct_last(t, conn, XF_MSG_REFUSED)->code, "E_STATE");
  ct_stop(t);
}

/* Whoever does not know the plan's encoding is told so, before anything else. */
static void test_features(void **state) {
  (void)state;
  struct ct *t = ct_start(1, 1);
  t->plan.stages[0].fed.encoding = XF_PLAN_ENCODING_QSGD;
  ct_run(t);
  uint64_t conn = ct_open(t, t->member[0].id);
  struct xf_msg m = {.type = XF_MSG_HELLO, .hello = {.features = 7, .software = "", .run_id = ""}};
  ct_msg(t, conn, &m);
  assert_string_equal(ct_last(t, conn, XF_MSG_REFUSED)->code, "E_UNSUPPORTED");
  assert_null(ct_last(t, conn, XF_MSG_WELCOME));
  assert_true(closed(t, conn));
  conn = ct_open(t, t->member[0].id);
  m.hello.features = 1 << 5;
  ct_msg(t, conn, &m);
  assert_non_null(ct_last(t, conn, XF_MSG_PLAN));
  ct_stop(t);
}

static void test_goodbye(void **state) {
  (void)state;
  struct ct *t = ct_start(1, 1);
  ct_run(t);
  ct_join(t, 0);
  const uint64_t conn = t->conn[0];
  ct_msg(t, conn, &(struct xf_msg){.type = XF_MSG_GOODBYE, .goodbye = {"OK", "bye", 0}});
  assert_true(closed(t, conn));
  assert_int_equal(ct_view(t).n_connected, 0);
  ct_stop(t);
}

static void test_heartbeat(void **state) {
  (void)state;
  struct ct *t = ct_start(2, 1);
  ct_run(t);
  ct_join_all(t);
  const uint64_t conn = t->conn[0];
  ct_pass(t, 65, true);
  assert_int_equal(ct_count(t, conn, XF_MSG_PING), 6);
  assert_int_equal(ct_view(t).n_connected, 2);
  ct_pass(t, 40, false);
  assert_int_equal(ct_view(t).n_connected, 0);
  assert_true(closed(t, conn));
  struct xf_coord_member_view v;
  xf_coord_member_get(t->coord, t->now, 0, &v);
  assert_string_equal(v.state, "absent");
  ct_stop(t);
}

/* Death comes when it is due, not at the next ping. */
static void test_dead_after(void **state) {
  (void)state;
  struct ct *t = ct_start(1, 1);
  t->config.dead_after_ms = 15000;
  ct_run(t);
  ct_join(t, 0);
  ct_pass(t, 14.9, false);
  assert_int_equal(ct_view(t).n_connected, 1);
  ct_pass(t, 0.2, false);
  assert_int_equal(ct_view(t).n_connected, 0);
  ct_stop(t);
}

/* Decision 17: the first answers, the second is refused and an alarm recorded. */
static void test_second_session_refused(void **state) {
  (void)state;
  struct ct *t = ct_start(2, 1);
  ct_run(t);
  ct_join_all(t);
  const uint64_t second = ct_open(t, t->member[0].id);
  assert_int_equal(ct_count(t, t->conn[0], XF_MSG_PING), 1);
  ct_hello(t, second, "run-1");
  assert_null(ct_last(t, second, XF_MSG_WELCOME));
  const uint64_t third = ct_open(t, t->member[0].id);
  assert_string_equal(ct_last(t, third, XF_MSG_REFUSED)->code, "E_CONFLICT");
  ct_pass(t, 1, false);
  ct_msg(t, t->conn[0], &(struct xf_msg){.type = XF_MSG_PONG});
  assert_string_equal(ct_last(t, second, XF_MSG_REFUSED)->code, "E_CONFLICT");
  assert_int_equal(ct_records(t, XF_RECORD_ALARM), 1);
  ct_pass(t, 5, false);
  assert_null(ct_last(t, second, XF_MSG_WELCOME));
  ct_answer(t, 0);
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_ACCEPTED);
  ct_stop(t);
}

/* Who tries a second session without end gets one alarm a minute into the ledger. */
static void test_alarms_bounded(void **state) {
  (void)state;
  struct ct *t = ct_start(2, 1);
  ct_run(t);
  ct_join_all(t);
  for (uint32_t k = 0; k < 200; k++) {
    const uint64_t second = ct_open(t, t->member[0].id);
    ct_pass(t, 0.5, false);
    ct_msg(t, t->conn[0], &(struct xf_msg){.type = XF_MSG_PONG});
    assert_string_equal(ct_last(t, second, XF_MSG_REFUSED)->code, "E_CONFLICT");
  }
  assert_int_equal(ct_records(t, XF_RECORD_ALARM), 2); /* in 100 s */
  ct_stop(t);
}

/* The first is silent for 2 s: the second replaces it and goes on with the same task. */
static void test_second_session_replaces(void **state) {
  (void)state;
  for (uint32_t late = 0; late < 3; late++) {
    struct ct *t = ct_start(2, 1);
    ct_run(t);
    ct_join_all(t);
    const struct xf_digest task = t->offer[0].task_id;
    const uint64_t first = t->conn[0], second = ct_open(t, t->member[0].id);
    if (!late) ct_hello(t, second, "run-1"); /* before it is adopted */
    t->conn[0] = second;
    if (late == 2) ct_feed(t, &(struct xf_coord_event){.type = XF_COORD_EV_CLOSED, .conn = first});
    else ct_pass(t, 2, false);
    if (late) ct_hello(t, second, "run-1");
    assert_true(closed(t, first));
    assert_non_null(ct_last(t, second, XF_MSG_WELCOME));
    assert_non_null(ct_last(t, second, XF_MSG_TASK_OFFER));
    assert_memory_equal(t->offer[0].task_id.b, task.b, XF_DIGEST_LEN);
    ct_answer(t, 0);
    assert_int_equal(ct_verdict(t, 0), XF_VERDICT_ACCEPTED);
    assert_int_equal(ct_records(t, XF_RECORD_ALARM), 0);
    ct_stop(t);
  }
}

static void test_replacing_session_of_other_run(void **state) {
  (void)state;
  struct ct *t = ct_start(2, 1);
  ct_run(t);
  ct_join_all(t);
  const uint64_t second = ct_open(t, t->member[0].id);
  ct_hello(t, second, "run-2");
  ct_pass(t, 2, false);
  assert_null(ct_last(t, second, XF_MSG_WELCOME));
  assert_string_equal(ct_last(t, second, XF_MSG_REFUSED)->code, "E_CONFLICT");
  ct_stop(t);
}

static void test_alignment(void **state) {
  (void)state;
  struct ct *t = ct_start(4, 1);
  t->plan.model.items = XF_PLAN_ITEMS_ALIGNED;
  t->recovery.frozen = false;
  ct_run(t);
  ct_join(t, 0);
  ct_join(t, 1);
  assert_int_equal(t->aligned, 2);
  ct_feed(t, &(struct xf_coord_event){.type = XF_COORD_EV_ALIGNED, .member = 0});
  ct_pass(t, 50, true); /* below the quorum: it waits, in words */
  assert_int_equal(t->frozen, 0);
  assert_non_null(strstr(ct_view(t).reason, "alignment: 1 of 4"));
  ct_feed(t, &(struct xf_coord_event){.type = XF_COORD_EV_ALIGNED, .member = 1});
  assert_int_equal(t->frozen, 1);
  assert_int_equal(t->directories, 2);
  assert_int_equal(ct_records(t, XF_RECORD_OPEN), 1);
  ct_join(t, 2); /* after the freeze: announces, and gets the directory as it is */
  assert_int_equal(t->aligned, 3);
  ct_feed(t, &(struct xf_coord_event){.type = XF_COORD_EV_ALIGNED, .member = 2});
  assert_int_equal(t->directories, 3);
  ct_leave(t, 2);
  ct_join(t, 2);
  assert_int_equal(t->directories, 4);
  ct_stop(t);
}

static void test_alignment_not_stored(void **state) {
  (void)state;
  struct ct *t = ct_start(1, 1);
  t->plan.model.items = XF_PLAN_ITEMS_ALIGNED;
  t->recovery.frozen = false;
  t->freeze_rc = XF_E_IO;
  ct_run(t);
  ct_join(t, 0);
  ct_feed(t, &(struct xf_coord_event){.type = XF_COORD_EV_ALIGNED, .member = 0});
  assert_int_equal(t->exits, 1);
  assert_int_equal(t->exit_rc, XF_E_IO);
  assert_int_equal(ct_records(t, XF_RECORD_OPEN), 0);
  ct_stop(t);
}

static void test_members_in_order(void **state) {
  (void)state;
  struct ct *t = ct_start(2, 1);
  t->member[0].id[5] = '9';
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(xf_coord_new(&t->coord, &t->config, &t->recovery, t->now, &diag), XF_E_CONFIG);
  t->coord = NULL;
  ct_stop(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_unlisted),
      cmocka_unit_test(test_hello),
      cmocka_unit_test(test_features),
      cmocka_unit_test(test_goodbye),
      cmocka_unit_test(test_heartbeat),
      cmocka_unit_test(test_dead_after),
      cmocka_unit_test(test_second_session_refused),
      cmocka_unit_test(test_alarms_bounded),
      cmocka_unit_test(test_second_session_replaces),
      cmocka_unit_test(test_replacing_session_of_other_run),
      cmocka_unit_test(test_alignment),
      cmocka_unit_test(test_alignment_not_stored),
      cmocka_unit_test(test_members_in_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
