// Offers of a plan of several stages: lengths by stage, artifacts that are fetched once, when they are fetched again.
#include "silo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { IN = 400, OWN = 120, ALL = 1000, N_STAGE = 3 };

/* A statistic that moves nothing down; rows that read it; rows that read nothing. */
static struct silo *staged(void) {
  struct silo *t = silo_new();
  t->lens = (struct xf_plan_lens){.n_stage = N_STAGE,
                                  .all = ALL,
                                  .in = {0, IN, 0},
                                  .down = {0, IN + OWN, OWN},
                                  .up = {IN, OWN, OWN}};
  silo_ready(t);
  return t;
}

static struct xf_msg_task_offer task(const struct silo *t, uint64_t round, enum xf_task_kind kind,
                                     uint32_t stage) {
  struct xf_msg_task_offer o = silo_task(t, round, kind);
  o.stage = stage;
  o.model_len = kind == XF_TASK_TRAIN ? t->lens.down[stage] : t->lens.all;
  return o;
}

/* The offer is taken up and its model asked for from `from` on. */
static void fetches(struct silo *t, const struct xf_msg_task_offer *o, uint64_t from) {
  silo_offer(t, o);
  const struct xf_session_action *begin = silo_act(t, XF_SESSION_FETCH_BEGIN_ACTION);
  const struct xf_msg *get = silo_sent(t, XF_MSG_MODEL_GET);
  assert_int_equal(begin->offset, from);
  assert_int_equal(begin->offer->model_len, o->model_len);
  assert_non_null(get);
  assert_int_equal(get->model_get.offset, from);
  assert_int_equal(get->model_get.length, o->model_len - from);
  silo_expect(t, XF_SESSION_READY, XF_TASK_STATE_FETCHING);
  silo_chunk(t, o, from, (size_t)(o->model_len - from));
  silo_expect(t, XF_SESSION_READY, XF_TASK_STATE_WORKING);
}

static void settle(struct silo *t, const struct xf_msg_task_offer *o) {
  silo_worked(t, o);
  silo_ack(t, XF_VERDICT_ACCEPTED);
  silo_event(t, XF_SESSION_EV_SETTLED, XF_OK);
  silo_expect(t, XF_SESSION_READY, XF_TASK_STATE_NONE);
}

/* A task of that stage that goes well. */
static void whole(struct silo *t, uint64_t round, enum xf_task_kind kind, uint32_t stage,
                  uint64_t from) {
  const struct xf_msg_task_offer o = task(t, round, kind, stage);
  fetches(t, &o, from);
  settle(t, &o);
}

static void refused(struct silo *t, const struct xf_msg_task_offer *o, const char *key,
                    const char *words) {
  silo_offer(t, o);
  const struct xf_msg *m = silo_sent(t, XF_MSG_TASK_REPLY);
  assert_non_null(m);
  assert_false(m->task_reply.accepted);
  assert_string_equal(m->task_reply.key, key);
  if (!strstr(m->task_reply.text, words)) fail_msg("\"%s\": no %s", m->task_reply.text, words);
  silo_expect(t, XF_SESSION_READY, XF_TASK_STATE_NONE);
  assert_int_equal(t->n_act, 1);
}

static void unknown_stage(void **state) {
  (void)state;
  struct silo *t = staged();
  const enum xf_task_kind kind[] = {XF_TASK_TRAIN, XF_TASK_EVALUATE, XF_TASK_FINAL};
  for (int k = 0; k < 3; k++) {
    struct xf_msg_task_offer o = task(t, 1, kind[k], 0);
    o.stage = N_STAGE;
    refused(t, &o, "stage", "the offer is of stage 3, the plan has 3");
    o.stage = UINT32_MAX;
    refused(t, &o, "stage", "stage 4294967295");
  }
  silo_free(t);
}

/* Each kind and stage has its own length: one that belongs to another is refused. */
static void lengths(void **state) {
  (void)state;
  struct silo *t = staged();
  struct xf_msg_task_offer o = task(t, 1, XF_TASK_TRAIN, 1);
  o.model_len = ALL;
  refused(t, &o, "model_len", "1000 bytes, this silo expects 520");
  o.model_len = OWN;
  refused(t, &o, "model_len", "120 bytes, this silo expects 520");
  o = task(t, 1, XF_TASK_TRAIN, 2);
  o.model_len = IN + OWN;
  refused(t, &o, "model_len", "expects 120");
  o = task(t, 1, XF_TASK_EVALUATE, 1);
  o.model_len = IN + OWN;
  refused(t, &o, "model_len", "expects 1000");
  o = task(t, 1, XF_TASK_TRAIN, 0); /* nothing to fetch: it works at once */
  assert_int_equal(o.model_len, 0);
  silo_offer(t, &o);
  assert_int_equal(silo_act(t, XF_SESSION_FETCH_BEGIN_ACTION)->offset, 0);
  assert_null(silo_sent(t, XF_MSG_MODEL_GET));
  assert_int_equal(silo_act(t, XF_SESSION_RUN_ACTION)->offer->stage, 0);
  silo_expect(t, XF_SESSION_READY, XF_TASK_STATE_WORKING);
  silo_free(t);
}

static void artifacts_once(void **state) {
  (void)state;
  struct silo *t = staged();
  whole(t, 2, XF_TASK_TRAIN, 1, 0);
  for (uint64_t round = 3; round < 6; round++) {
    whole(t, round, XF_TASK_TRAIN, 1, IN); /* of the stage before nothing changes */
  }
  silo_rejoin(t); /* another connection of the same process and coordinator */
  whole(t, 6, XF_TASK_TRAIN, 1, IN);
  whole(t, 7, XF_TASK_TRAIN, 2, 0); /* a stage that reads nothing */
  whole(t, 8, XF_TASK_TRAIN, 2, 0);
  whole(t, 9, XF_TASK_TRAIN, 1, 0);
  silo_free(t);
}

static void evaluation_between(void **state) {
  (void)state;
  struct silo *t = staged();
  whole(t, 2, XF_TASK_TRAIN, 1, 0);
  whole(t, 3, XF_TASK_EVALUATE, 1, 0); /* its model lies where the artifacts lay */
  whole(t, 4, XF_TASK_TRAIN, 1, 0);
  whole(t, 5, XF_TASK_TRAIN, 1, IN);
  silo_free(t);
}

/* Cut off in the middle of a fetch: the same task goes on where it stopped, another begins anew. */
static void broken_fetch(void **state) {
  (void)state;
  struct silo *t = staged();
  whole(t, 2, XF_TASK_TRAIN, 1, 0);
  struct xf_msg_task_offer o = task(t, 3, XF_TASK_TRAIN, 1);
  silo_offer(t, &o);
  silo_chunk(t, &o, IN, 40);
  silo_rejoin(t);
  silo_offer(t, &o);
  assert_int_equal(silo_count(t, XF_SESSION_FETCH_BEGIN_ACTION), 0);
  assert_int_equal(silo_sent(t, XF_MSG_MODEL_GET)->model_get.offset, IN + 40);
  silo_chunk(t, &o, IN + 40, OWN - 40);
  settle(t, &o);
  o = task(t, 4, XF_TASK_TRAIN, 1);
  silo_offer(t, &o);
  silo_chunk(t, &o, IN, 40);
  silo_cancel(t, &o);
  whole(t, 5, XF_TASK_TRAIN, 1, 0);
  silo_free(t);
}

/* A damaged chunk of the own slice: what came before is kept for the same task only. */
static void damaged_chunk(void **state) {
  (void)state;
  struct silo *t = staged();
  whole(t, 2, XF_TASK_TRAIN, 1, 0);
  const struct xf_msg_task_offer o = task(t, 3, XF_TASK_TRAIN, 1);
  silo_offer(t, &o);
  silo_chunk(t, &o, 0, 40); /* it asked from IN on */
  assert_int_equal(silo_count(t, XF_SESSION_CLOSE_ACTION), 1);
  assert_int_equal(silo_count(t, XF_SESSION_FETCH_WRITE_ACTION), 0);
  silo_free(t);
}

static void forgotten(void **state) {
  (void)state;
  struct silo *t = staged();
  whole(t, 2, XF_TASK_TRAIN, 1, 0);
  silo_adopted(t); /* resolved once more: its buffers may be others */
  whole(t, 3, XF_TASK_TRAIN, 1, 0);
  t->welcome.epoch++; /* a coordinator that started again, from a copy of its state perhaps */
  silo_rejoin(t);
  whole(t, 4, XF_TASK_TRAIN, 1, 0);
  whole(t, 5, XF_TASK_TRAIN, 1, IN);
  silo_free(t);
}

/* Work that failed: its model is whole all the same. */
static void failed_work(void **state) {
  (void)state;
  struct silo *t = staged();
  struct xf_msg_task_offer o = task(t, 2, XF_TASK_TRAIN, 1);
  fetches(t, &o, 0);
  silo_event(t, XF_SESSION_EV_WORKED, XF_E_NAN);
  silo_expect(t, XF_SESSION_READY, XF_TASK_STATE_NONE);
  whole(t, 3, XF_TASK_TRAIN, 1, IN);
  silo_free(t);
}

/* What only the work finds out is refused under the key that would have to change. */
static void late_refusals(void **state) {
  (void)state;
  static const struct {
    enum xf_task_kind kind;
    enum xf_rc rc;
    const char *key;
  } row[] = {{XF_TASK_TRAIN, XF_E_POLICY, "policy.max_epsilon"},
             {XF_TASK_EVALUATE, XF_E_POLICY, "policy.export_metrics"},
             {XF_TASK_EVALUATE, XF_E_NOMEM, "local"}};
  for (size_t k = 0; k < sizeof row / sizeof row[0]; k++) {
    struct silo *t = staged();
    const struct xf_msg_task_offer o = task(t, 2, row[k].kind, 1);
    fetches(t, &o, 0);
    silo_event(t, XF_SESSION_EV_WORKED, row[k].rc);
    const struct xf_msg *m = silo_sent(t, XF_MSG_TASK_REPLY);
    assert_non_null(m);
    assert_false(m->task_reply.accepted);
    assert_string_equal(m->task_reply.key, row[k].key);
    silo_free(t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(unknown_stage),  cmocka_unit_test(lengths),
      cmocka_unit_test(artifacts_once), cmocka_unit_test(evaluation_between),
      cmocka_unit_test(broken_fetch),   cmocka_unit_test(damaged_chunk),
      cmocka_unit_test(forgotten),      cmocka_unit_test(failed_work),
      cmocka_unit_test(late_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
