// Builds what a coordinator would send.
#include "silo.h"

#include "base/alloc.h"
#include "base/crc32c.h"
#include "crypto/blake2b.h"
#include "crypto/init.h"
#include "crypto/sha256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static const char text[] = "name: silo\n"
                           "seed: 7\n"
                           "data: {kind: table, split: {kind: random}}\n"
                           "model: {kind: logreg, n_in: 15, n_out: 1, loss: bce}\n"
                           "stages:\n"
                           "  - kind: train\n"
                           "    fed: {algorithm: fedavg, rounds: 8, weighting: samples}\n"
                           "    local: {batch: 8, optimizer: {kind: sgd, lr: 0.1}}\n";

void silo_plan(struct xf_plan *plan, const char *sets) {
  char copy[512];
  const char *list[8];
  size_t n = 0;
  struct xf_diag diag;
  (void)snprintf(copy, sizeof copy, "%s", sets);
  for (char *s = copy; *s;) {
    assert_true(n < 8);
    list[n++] = s;
    s += strcspn(s, " ");
    if (*s) *s++ = '\0';
  }
  xf_diag_init(&diag);
  if (xf_plan_load_text(plan, "silo", text, sizeof text - 1, list, n, NULL, &diag))
    fail_msg("%s", diag.text);
}

struct silo *silo_new(void) {
  assert_int_equal(xf_crypto_start(), XF_OK);
  struct silo *t = xf_calloc(1, sizeof *t);
  t->config = (struct xf_session_config){
      .federation = "fed", .member = "silo-a", .software = "test", .jitter_key = 5};
  t->now = (struct xf_time){1000000000};
  t->model_len = 100;
  memset(t->layout.b, 0x22, XF_DIGEST_LEN);
  for (size_t i = 0; i < sizeof t->bytes; i++) t->bytes[i] = (uint8_t)(i * 7);
  t->welcome = (struct xf_msg_welcome){.epoch = 9,
                                       .run_id = "run-1",
                                       .federation = "fed",
                                       .member = "silo-a",
                                       .domain = "",
                                       .heartbeat_ms = 5000,
                                       .dead_after_ms = 30000,
                                       .n_members = 3};
  xf_buf_init(&t->canonical, 65536);
  silo_plan(&t->plan, "");
  silo_encode(t);
  return t;
}

void silo_free(struct silo *t) {
  xf_session_free(t->core);
  xf_buf_deinit(&t->canonical);
  xf_free(t);
}

void silo_encode(struct silo *t) {
  xf_buf_reset(&t->canonical);
  assert_int_equal(xf_plan_encode(&t->canonical, &t->plan), XF_OK);
  xf_sha256(&t->welcome.plan_digest, t->canonical.p, t->canonical.len);
}

void silo_run(struct silo *t) {
  t->core = xf_session_new(&t->config, &t->recovery);
  silo_event(t, XF_SESSION_EV_START, XF_OK);
  assert_int_equal(silo_count(t, XF_SESSION_DIAL_ACTION), 1);
}

void silo_feed(struct silo *t, const struct xf_session_event *event) {
  xf_session_feed(t->core, t->now, event);
  t->n_act = 0;
  for (const struct xf_session_action *a; (a = xf_session_next(t->core));) {
    assert_true(t->n_act < SILO_ACTIONS);
    t->act[t->n_act++] = *a;
  }
}

void silo_event(struct silo *t, enum xf_session_event_type type, enum xf_rc rc) {
  silo_feed(t, &(struct xf_session_event){.type = type, .rc = rc, .text = rc ? "it broke" : NULL});
}

void silo_tick(struct silo *t, double after_s) {
  t->now = xf_time_add_s(t->now, after_s);
  silo_event(t, XF_SESSION_EV_TICK, XF_OK);
}

void silo_msg(struct silo *t, const struct xf_msg *msg) {
  silo_feed(t, &(struct xf_session_event){.type = XF_SESSION_EV_MESSAGE, .msg = msg});
}

void silo_welcome(struct silo *t) {
  silo_msg(t, &(struct xf_msg){.type = XF_MSG_WELCOME, .welcome = t->welcome});
}

void silo_send_plan(struct silo *t) {
  silo_msg(t, &(struct xf_msg){.type = XF_MSG_PLAN, .plan = {t->canonical.p, t->canonical.len}});
}

void silo_adopted(struct silo *t) {
  silo_feed(t, &(struct xf_session_event){
                   .type = XF_SESSION_EV_ADOPTED,
                   .layout_digest = t->layout,
                   .lens = t->lens.n_stage ? t->lens : xf_plan_lens_one(t->model_len)});
}

void silo_join(struct silo *t) {
  silo_event(t, XF_SESSION_EV_DIALED, XF_OK);
  assert_non_null(silo_sent(t, XF_MSG_HELLO));
  silo_welcome(t);
  silo_send_plan(t);
  if (silo_count(t, XF_SESSION_ADOPT_ACTION)) silo_adopted(t);
  assert_int_equal(xf_session_get_state(t->core), XF_SESSION_READY);
}

void silo_rejoin(struct silo *t) {
  silo_event(t, XF_SESSION_EV_LOST, XF_E_IO);
  assert_int_equal(xf_session_get_state(t->core), XF_SESSION_RESTING);
  silo_tick(t, xf_time_diff_s(xf_session_deadline(t->core), t->now) + 1e-6);
  silo_join(t);
}

void silo_ready(struct silo *t) {
  silo_run(t);
  silo_join(t);
}

void silo_sign(const struct silo *t, struct xf_msg_task_offer *o) {
  struct xf_blake2b_ctx ctx;
  const char *run = t->welcome.run_id, *member = t->config.member;
  xf_blake2b_init(&ctx, NULL);
  xf_blake2b_feed_field(&ctx, run, strlen(run));
  xf_blake2b_feed_u64(&ctx, o->kind == XF_TASK_FINAL ? UINT64_MAX : o->round);
  xf_blake2b_feed_field(&ctx, member, strlen(member));
  xf_blake2b_feed(&ctx, o->base_digest.b, XF_DIGEST_LEN);
  xf_blake2b_feed(&ctx, o->plan_digest.b, XF_DIGEST_LEN);
  xf_blake2b_take(&ctx, &o->task_id);
}

struct xf_msg_task_offer silo_task(const struct silo *t, uint64_t round, enum xf_task_kind kind) {
  struct xf_msg_task_offer o = {.round = round,
                                .kind = kind,
                                .plan_digest = t->welcome.plan_digest,
                                .layout_digest = t->layout,
                                .cohort = 3,
                                .model_len = t->model_len};
  memset(o.base_digest.b, (int)(0x30 + round), XF_DIGEST_LEN);
  silo_sign(t, &o);
  return o;
}

void silo_offer(struct silo *t, const struct xf_msg_task_offer *o) {
  silo_msg(t, &(struct xf_msg){.type = XF_MSG_TASK_OFFER, .task_offer = *o});
}

void silo_chunk(struct silo *t, const struct xf_msg_task_offer *o, uint64_t offset, size_t len) {
  struct xf_msg msg = {.type = XF_MSG_MODEL_CHUNK};
  msg.chunk = (struct xf_msg_chunk){.task_id = o->task_id,
                                    .offset = offset,
                                    .crc32c = xf_crc32c(0, t->bytes, len),
                                    .data = t->bytes,
                                    .data_len = len};
  silo_msg(t, &msg);
}

void silo_fetch(struct silo *t, const struct xf_msg_task_offer *o) {
  silo_offer(t, o);
  silo_expect(t, XF_SESSION_READY, XF_TASK_STATE_FETCHING);
  silo_chunk(t, o, 0, (size_t)o->model_len);
  silo_expect(t, XF_SESSION_READY, XF_TASK_STATE_WORKING);
}

void silo_worked(struct silo *t, const struct xf_msg_task_offer *o) {
  t->begin = (struct xf_msg_update_begin){
      .task_id = o->task_id, .round = o->round, .base_digest = o->base_digest, .payload_len = 100};
  silo_feed(t, &(struct xf_session_event){
                   .type = XF_SESSION_EV_WORKED, .begin = &t->begin, .epsilon = 0.5});
}

void silo_update_ready(struct silo *t, uint64_t offset) {
  silo_msg(
      t, &(struct xf_msg){.type = XF_MSG_UPDATE_READY, .update_ready = {t->begin.task_id, offset}});
}

void silo_ack(struct silo *t, enum xf_verdict verdict) {
  silo_msg(t, &(struct xf_msg){.type = XF_MSG_UPDATE_ACK,
                               .update_ack = {t->begin.task_id, verdict, "", "why"}});
}

void silo_cancel(struct silo *t, const struct xf_msg_task_offer *o) {
  silo_msg(t, &(struct xf_msg){.type = XF_MSG_TASK_CANCEL,
                               .task_cancel = {o->task_id, "LATE", "deadline"}});
}

uint32_t silo_count(const struct silo *t, enum xf_session_action_type type) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < t->n_act; i++) n += t->act[i].type == type;
  return n;
}

const struct xf_session_action *silo_act(const struct silo *t, enum xf_session_action_type type) {
  for (uint32_t i = 0; i < t->n_act; i++)
    if (t->act[i].type == type) return &t->act[i];
  fail_msg("no action %d among %u", (int)type, t->n_act);
  return NULL;
}

const struct xf_msg *silo_sent(const struct silo *t, enum xf_msg_type type) {
  for (uint32_t i = 0; i < t->n_act; i++)
    if (t->act[i].type == XF_SESSION_SEND_ACTION && t->act[i].msg.type == type)
      return &t->act[i].msg;
  return NULL;
}

void silo_expect(const struct silo *t, enum xf_session_state state, enum xf_task_state task) {
  assert_int_equal(xf_session_get_state(t->core), state);
  assert_int_equal(xf_session_get_task(t->core), task);
}

double silo_wait(const struct silo *t) {
  return xf_time_diff_s(xf_session_deadline(t->core), t->now);
}

void silo_stopped(const struct silo *t, enum xf_rc rc, const char *words, const char *more) {
  const struct xf_session_action *a = silo_act(t, XF_SESSION_EXIT_ACTION);
  assert_int_equal(xf_session_get_state(t->core), XF_SESSION_STOPPED);
  assert_int_equal(a->rc, rc);
  if (!strstr(a->text, words) || !strstr(a->text, more))
    fail_msg("\"%s\" should say %s and %s", a->text, words, more);
}
