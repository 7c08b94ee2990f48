// Performs what the core asks for, on virtual time.
#include "coordtest.h"

#include "base/alloc.h"
#include "base/crc32c.h"
#include "crypto/init.h"
#include "crypto/sha256.h"
#include "wire/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

struct ct *ct_start(uint32_t n, uint32_t rounds) {
  assert_int_equal(xf_crypto_start(), XF_OK);
  struct ct *t = xf_calloc(1, sizeof *t);
  t->plan.seed = 7;
  t->plan.n_stages = 1;
  t->plan.eval.every = 2;
  t->plan.eval.n_metrics = 1;
  struct xf_plan_stage_part *s = &t->plan.stages[0];
  s->fed.rounds = rounds;
  s->fed.cohort = 1;
  s->fed.quorum = 0.5;
  s->fed.min_domains = 1;
  s->fed.deadline_s = 100;
  s->fed.select_timeout_s = 20;
  s->fed.eval_deadline_s = 50;
  s->fed.over_select = 1;
  s->fed.weighting = XF_PLAN_WEIGHTING_SAMPLES;
  for (uint32_t i = 0; i < n; i++) {
    struct xf_coord_member *m = &t->member[i];
    (void)snprintf(m->id, sizeof m->id, "silo-%02u", i);
    (void)snprintf(m->domain, sizeof m->domain, "domain-%u", i / 2);
    t->lens[i] = xf_plan_lens_one(CT_MODEL);
  }
  t->config = (struct xf_coord_config){.federation = "fed",
                                       .run_id = "run-1",
                                       .member = t->member,
                                       .n_member = n,
                                       .plan = &t->plan,
                                       .plan_canonical = (const uint8_t *)"plan",
                                       .plan_canonical_len = 4};
  memset(t->config.plan_digest.b, 0x11, XF_DIGEST_LEN);
  memset(t->config.layout_digest.b, 0x22, XF_DIGEST_LEN);
  t->recovery = (struct xf_coord_recovery){.epoch = 1, .evaluated_at = UINT64_MAX, .frozen = true};
  memset(t->recovery.model_digest.b, 0x33, XF_DIGEST_LEN);
  t->now = (struct xf_time){1000000000};
  t->next_conn = 1;
  return t;
}

void ct_run(struct ct *t) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  const enum xf_rc rc = xf_coord_new(&t->coord, &t->config, &t->recovery, t->now, &diag);
  if (rc) fail_msg("%s", xf_diag_text(&diag, rc));
  for (uint32_t i = 0; i < t->config.n_member; i++) xf_coord_set_lens(t->coord, i, &t->lens[i]);
  for (uint32_t i = 0; t->recovery.frozen && i < t->config.n_member; i++)
    if (!(t->strangers >> i & 1)) /* as a daemon's shell tells the core after a start */
      ct_feed(t, &(struct xf_coord_event){.type = XF_COORD_EV_ALIGNED, .member = i});
  ct_pass(t, 0, false);
}

void ct_stop(struct ct *t) {
  xf_coord_free(t->coord);
  xf_free(t);
}

static void queue(struct ct *t, const struct xf_coord_event *e) {
  assert_true(t->n_queue < CT_QUEUE);
  t->queue[t->n_queue++] = *e;
}

static void hold_or_queue(struct ct *t, bool hold, const struct xf_coord_event *e) {
  if (!hold) {
    queue(t, e);
    return;
  }
  assert_true(t->n_held < 64);
  t->held[t->n_held++] = *e;
}

static void note_sent(struct ct *t, uint64_t conn, const struct xf_msg *msg) {
  assert_true(t->n_sent < CT_SENT);
  struct ct_sent *s = &t->sent[t->n_sent++];
  *s = (struct ct_sent){.conn = conn, .type = msg->type};
  const char *code = "";
  if (msg->type == XF_MSG_REFUSED) code = msg->refused.code;
  if (msg->type == XF_MSG_TASK_CANCEL) code = msg->task_cancel.code;
  if (msg->type == XF_MSG_GOODBYE) code = msg->goodbye.code;
  if (msg->type == XF_MSG_UPDATE_ACK) {
    code = msg->update_ack.code;
    s->verdict = msg->update_ack.verdict;
  }
  (void)snprintf(s->code, sizeof s->code, "%s", code);
  if (msg->type == XF_MSG_UPDATE_READY) s->offset = msg->update_ready.offset;
  if (msg->type == XF_MSG_WELCOME) s->offset = msg->welcome.chunk_max;
  if (msg->type != XF_MSG_TASK_OFFER) return;
  s->offer = msg->task_offer;
  for (uint32_t i = 0; i < t->config.n_member; i++)
    if (t->conn[i] == conn) t->offer[i] = msg->task_offer;
}

static void note_record(struct ct *t, const struct xf_coord_record *r) {
  assert_true(t->n_record < CT_RECORDS);
  struct ct_record *k = &t->record[t->n_record++];
  *k = (struct ct_record){.type = r->type,
                          .round = r->round,
                          .committed = r->committed,
                          .stage = r->stage,
                          .kind = r->kind,
                          .verdict = r->verdict,
                          .n_member = (uint32_t)r->n_member};
  for (uint32_t i = 0; i < k->n_member; i++) k->member[i] = r->member[i];
  if (r->type == XF_RECORD_DONE && r->text)
    (void)snprintf(t->done_text, sizeof t->done_text, "%s", r->text);
  if (r->type == XF_RECORD_UPDATE || r->type == XF_RECORD_VERDICT || r->type == XF_RECORD_REFUSED ||
      r->type == XF_RECORD_STORED)
    assert_non_null(r->task_id);
}

static void perform_spool(struct ct *t, const struct xf_coord_action *a) {
  switch (a->type) {
  case XF_COORD_SPOOL_BEGIN:
    assert_false(t->spool_open[a->member]);
    t->spool_open[a->member] = true;
    return;
  case XF_COORD_SPOOL_WRITE: assert_true(t->spool_open[a->member]); return;
  case XF_COORD_SPOOL_ABORT: t->spool_open[a->member] = false; return;
  default:
    assert_true(t->spool_open[a->member]);
    t->spool_open[a->member] = false;
    hold_or_queue(t, t->hold_spool,
                  &(struct xf_coord_event){.type = XF_COORD_EV_SPOOLED,
                                           .member = a->member,
                                           .rc = t->spool_rc,
                                           .text = "as the test wants"});
  }
}

static void perform_aggregate(struct ct *t, const struct xf_coord_action *a) {
  t->n_participant = (uint32_t)a->n_participant;
  for (uint32_t k = 0; k < t->n_participant; k++) {
    t->participant[k] = a->participant[k];
    assert_true(k == 0 || a->participant[k - 1] < a->participant[k]);
    t->weight[k] = a->weight[k];
  }
  struct xf_coord_event e = {
      .type = XF_COORD_EV_AGGREGATED, .rc = t->aggregate_rc, .text = "as the test wants"};
  if (a->kind == XF_TASK_EVALUATE) e.figure = t->figure;
  memset(e.digest.b, ++t->models, XF_DIGEST_LEN);
  hold_or_queue(t, t->hold_aggregate, &e);
}

static void perform(struct ct *t, const struct xf_coord_action *a) {
  struct xf_coord_event e = {.conn = a->conn, .member = a->member, .token = a->token};
  switch (a->type) {
  case XF_COORD_SEND: note_sent(t, a->conn, &a->msg); return;
  case XF_COORD_CLOSE:
    for (uint32_t i = 0; i < t->config.n_member; i++)
      if (t->conn[i] == a->conn) t->conn[i] = 0;
    e.type = XF_COORD_EV_CLOSED;
    queue(t, &e);
    return;
  case XF_COORD_ALIGN: t->aligned++; return;
  case XF_COORD_FREEZE:
    t->frozen++;
    e.type = XF_COORD_EV_FROZEN;
    e.rc = t->freeze_rc;
    queue(t, &e);
    return;
  case XF_COORD_DIRECTORY: t->directories++; return;
  case XF_COORD_RESERVE:
    e.type = XF_COORD_EV_RESERVED;
    e.rc = t->reserve_rc;
    hold_or_queue(t, t->hold_reserve, &e);
    return;
  case XF_COORD_SERVE:
    t->served += a->length;
    t->served_stage = a->stage;
    return;
  case XF_COORD_SPOOL_BEGIN:
  case XF_COORD_SPOOL_WRITE:
  case XF_COORD_SPOOL_FINISH:
  case XF_COORD_SPOOL_ABORT: perform_spool(t, a); return;
  case XF_COORD_PERSIST:
    note_record(t, a->record);
    e.type = XF_COORD_EV_PERSISTED;
    e.rc = t->persist_rc;
    hold_or_queue(t, t->hold >> a->record->type & 1, &e);
    return;
  case XF_COORD_AGGREGATE: perform_aggregate(t, a); return;
  case XF_COORD_PUBLISH:
    e.type = XF_COORD_EV_PUBLISHED;
    e.rc = t->publish_rc;
    queue(t, &e);
    return;
  case XF_COORD_COLLECT: t->collected = a->round; return;
  case XF_COORD_EXIT:
    t->exits++;
    t->exit_rc = a->rc;
    return;
  }
}

static void feed_one(struct ct *t, const struct xf_coord_event *event) {
  xf_coord_feed(t->coord, t->now, event);
  for (const struct xf_coord_action *a = xf_coord_next(t->coord); a; a = xf_coord_next(t->coord))
    perform(t, a);
}

void ct_feed(struct ct *t, const struct xf_coord_event *event) {
  feed_one(t, event);
  while (t->at_queue < t->n_queue) {
    const struct xf_coord_event e = t->queue[t->at_queue++];
    feed_one(t, &e);
  }
  t->at_queue = t->n_queue = 0;
}

void ct_tick(struct ct *t) { ct_feed(t, &(struct xf_coord_event){.type = XF_COORD_EV_TICK}); }

void ct_pass(struct ct *t, double seconds, bool pong) {
  const struct xf_time end = xf_time_add_s(t->now, seconds);
  for (uint32_t guard = 0;; guard++) {
    if (guard == 10000) fail_msg("a deadline that never moves");
    const struct xf_time d = xf_coord_deadline(t->coord);
    if (xf_time_before(end, d)) break;
    if (xf_time_before(t->now, d)) t->now = d;
    ct_tick(t);
    for (uint32_t i = 0; pong && i < t->config.n_member; i++)
      if (t->conn[i]) ct_msg(t, t->conn[i], &(struct xf_msg){.type = XF_MSG_PONG});
  }
  t->now = end;
}

void ct_release(struct ct *t) {
  t->hold = 0;
  t->hold_spool = t->hold_reserve = t->hold_aggregate = false;
  struct xf_coord_event held[64];
  const uint32_t n = t->n_held;
  memcpy(held, t->held, sizeof held);
  t->n_held = 0;
  for (uint32_t k = 0; k < n; k++) ct_feed(t, &held[k]);
}

uint64_t ct_open(struct ct *t, const char *id) {
  const uint64_t conn = t->next_conn++;
  ct_feed(t, &(struct xf_coord_event){.type = XF_COORD_EV_OPENED, .conn = conn, .member_id = id});
  return conn;
}

void ct_msg(struct ct *t, uint64_t conn, const struct xf_msg *msg) {
  ct_feed(t, &(struct xf_coord_event){.type = XF_COORD_EV_MESSAGE, .conn = conn, .msg = msg});
}

void ct_hello(struct ct *t, uint64_t conn, const char *run_id) {
  const struct xf_msg m = {.type = XF_MSG_HELLO,
                           .hello = {.software = "test",
                                     .run_id = run_id,
                                     .chunk_max = 1024,
                                     .features = XF_PLAN_FEATURES_ALL}};
  ct_msg(t, conn, &m);
}

void ct_join(struct ct *t, uint32_t i) {
  t->conn[i] = t->next_conn;
  (void)ct_open(t, t->member[i].id);
  ct_hello(t, t->conn[i], "run-1");
}

void ct_join_all(struct ct *t) {
  for (uint32_t i = 0; i < t->config.n_member; i++) ct_join(t, i);
}

void ct_leave(struct ct *t, uint32_t i) {
  const uint64_t conn = t->conn[i];
  t->conn[i] = 0;
  ct_feed(t, &(struct xf_coord_event){.type = XF_COORD_EV_CLOSED, .conn = conn});
}

void ct_reply(struct ct *t, uint32_t i, bool accepted) {
  const struct xf_msg m = {.type = XF_MSG_TASK_REPLY,
                           .task_reply = {.task_id = t->offer[i].task_id,
                                          .accepted = accepted,
                                          .code = accepted ? "" : "E_CONFIG",
                                          .key = "policy.max_rounds",
                                          .text = "no"}};
  ct_msg(t, t->conn[i], &m);
}

void ct_progress(struct ct *t, uint32_t i, uint64_t done) {
  const struct xf_msg m = {.type = XF_MSG_PROGRESS, .progress = {t->offer[i].task_id, done, 1000}};
  ct_msg(t, t->conn[i], &m);
}

void ct_seal(struct xf_msg_update_begin *u) {
  uint8_t input[XF_UPDATE_DIGEST_INPUT];
  xf_update_digest_input(input, u);
  xf_sha256(&u->update_digest, input, sizeof input);
}

struct xf_msg_update_begin ct_update(const struct ct *t, uint32_t i) {
  const struct xf_msg_task_offer *o = &t->offer[i];
  const bool report = o->kind == XF_TASK_EVALUATE;
  const bool uniform = t->plan.stages[o->stage].fed.weighting == XF_PLAN_WEIGHTING_UNIFORM;
  struct xf_msg_update_begin u = {.task_id = o->task_id,
                                  .round = o->round,
                                  .base_digest = o->base_digest,
                                  .layout_digest = o->layout_digest,
                                  .weight = uniform ? 1 : 10 + i,
                                  .n_samples = 10 + i,
                                  .dtype = report ? XF_DTYPE_REPORT : XF_DTYPE_FLOAT32,
                                  .payload_len = report ? 100 : t->lens[i].up[o->stage]};
  memset(u.payload_digest.b, (int)(i + 1), XF_DIGEST_LEN);
  ct_seal(&u);
  return u;
}

void ct_begin(struct ct *t, uint32_t i, const struct xf_msg_update_begin *u) {
  const struct xf_msg m = {.type = XF_MSG_UPDATE_BEGIN, .update_begin = *u};
  ct_msg(t, t->conn[i], &m);
}

void ct_chunk(struct ct *t, uint32_t i, uint64_t offset, size_t len) {
  static const uint8_t zero[CT_MODEL];
  const struct xf_msg m = {.type = XF_MSG_UPDATE_CHUNK,
                           .chunk = {.task_id = t->offer[i].task_id,
                                     .offset = offset,
                                     .crc32c = xf_crc32c(0, zero, len),
                                     .data = zero,
                                     .data_len = len}};
  ct_msg(t, t->conn[i], &m);
}

void ct_answer(struct ct *t, uint32_t i) {
  ct_reply(t, i, true);
  const struct xf_msg_update_begin u = ct_update(t, i);
  ct_begin(t, i, &u);
  for (uint64_t at = 0; at < u.payload_len; at += 1024)
    ct_chunk(t, i, at, u.payload_len - at < 1024 ? (size_t)(u.payload_len - at) : 1024);
}

const struct ct_sent *ct_last(const struct ct *t, uint64_t conn, enum xf_msg_type type) {
  for (uint32_t k = t->n_sent; k-- > 0;)
    if (t->sent[k].conn == conn && t->sent[k].type == type) return &t->sent[k];
  return NULL;
}

uint32_t ct_count(const struct ct *t, uint64_t conn, enum xf_msg_type type) {
  uint32_t n = 0;
  for (uint32_t k = 0; k < t->n_sent; k++) n += t->sent[k].conn == conn && t->sent[k].type == type;
  return n;
}

enum xf_verdict ct_verdict(const struct ct *t, uint32_t i) {
  const struct ct_sent *s = ct_last(t, t->conn[i], XF_MSG_UPDATE_ACK);
  return s ? s->verdict : XF_VERDICT_NONE;
}

uint32_t ct_records(const struct ct *t, enum xf_coord_record_type type) {
  uint32_t n = 0;
  for (uint32_t k = 0; k < t->n_record; k++) n += t->record[k].type == type;
  return n;
}

const struct ct_record *ct_record_last(const struct ct *t, enum xf_coord_record_type type) {
  for (uint32_t k = t->n_record; k-- > 0;)
    if (t->record[k].type == type) return &t->record[k];
  return NULL;
}

struct xf_coord_view ct_view(const struct ct *t) {
  struct xf_coord_view v;
  xf_coord_view_get(t->coord, t->now, &v);
  return v;
}
