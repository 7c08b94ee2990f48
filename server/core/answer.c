/* What silos send for a task: replies, downloads, progress, uploads - and the verdict on each update. */
#include "base/crc32c.h"
#include "base/fail.h"
#include "base/log.h"
#include "crypto/sha256.h"
#include "server/core/state.h"
#include "wire/codec.h"

#include <string.h>

enum { LEASE_S = 30, WEIGHT_END = 1 << 29 };

void answer_ack(struct xf_coord *c, const struct member *m, const struct xf_digest *task_id,
                enum xf_verdict verdict, enum xf_rc code, const char *text) {
  if (!m->conn) return;
  coord_send(c, m->conn, XF_MSG_UPDATE_ACK)->update_ack =
      (struct xf_msg_update_ack){*task_id, verdict, code ? xf_rc_name(code) : "", text ? text : ""};
}

/* Settles an update without taking it: the ledger counts it, the silo may forget it. */
static void settle(struct xf_coord *c, struct member *m, const struct xf_msg_update_begin *u,
                   enum xf_verdict verdict, enum xf_rc code, const char *text) {
  xf_log(XF_LOG_WARN, "update_settled", XF_U("round", u->round), XF_S("client", m->info->id),
         XF_S("verdict", xf_verdict_name(verdict)), XF_S("reason", text));
  struct xf_coord_record *r = coord_persist(c, XF_RECORD_VERDICT, member_index(c, m));
  struct xf_msg_update_begin *copy = xf_arena_calloc(&c->arena, 1, sizeof *copy);
  uint32_t *who = xf_arena_calloc(&c->arena, 1, sizeof *who);
  if (copy && who) {
    *copy = *u;
    *who = member_index(c, m);
    r->update = copy;
    r->task_id = &copy->task_id;
    r->member = who;
    r->n_member = 1;
  }
  r->round = u->round;
  r->verdict = verdict;
  r->code = xf_rc_name(code);
  r->text = text;
  answer_ack(c, m, &u->task_id, verdict, code, text);
}

/* The member counts as moving for LEASE_S more: it reported progress. */
static void lease(struct xf_coord *c, struct member *m) {
  m->lease_from = c->now;
  m->lease_bytes = 0;
  m->lease_until = xf_time_add_s(c->now, LEASE_S);
}

/* Bytes renew the lease once a window of LEASE_S has moved its share (decision 2). */
static void lease_move(struct xf_coord *c, struct member *m, uint64_t bytes) {
  if (xf_time_diff_s(c->now, m->lease_from) > LEASE_S) {
    m->lease_from = c->now;
    m->lease_bytes = 0;
  }
  m->lease_bytes += bytes;
  if ((double)m->lease_bytes >= c->cfg.min_rate * LEASE_S) lease(c, m);
}

/* An update of a task that is not the member's current one: every case has its verdict. */
static void begin_foreign(struct xf_coord *c, struct member *m,
                          const struct xf_msg_update_begin *u) {
  const struct last_answer *last = &m->last;
  if (!last->set || !xf_digest_equal(&last->task_id, &u->task_id)) last = &m->last_train;
  if (last->set && xf_digest_equal(&last->task_id, &u->task_id)) {
    bool same = xf_digest_equal(&last->update_digest, &u->update_digest);
    if (same) answer_ack(c, m, &u->task_id, XF_VERDICT_DUPLICATE_OK, XF_OK, "already stored");
    else
      settle(c, m, u, XF_VERDICT_CONFLICT, XF_E_CONFLICT,
             "another update is already stored for this task");
    return;
  }
  struct xf_digest want;
  xf_coord_task_id(&want, c->cfg.run_id, u->round, m->info->id, &u->base_digest,
                   &c->cfg.plan_digest);
  if (!xf_digest_equal(&want, &u->task_id)) {
    settle(c, m, u, XF_VERDICT_REJECTED, XF_E_INVAL,
           "the task id does not belong to this run, plan and member");
  } else if (u->round == c->round && round_is_open(c) && m->selected && m->issued == c->round) {
    settle(c, m, u, XF_VERDICT_STALE, XF_E_STALE,
           "the update is based on another model than this round's");
  } else if (u->round > c->last_round) {
    settle(c, m, u, XF_VERDICT_REJECTED, XF_E_INVAL, "that round was never opened");
  } else {
    settle(c, m, u, XF_VERDICT_LATE, XF_E_LATE,
           coord_text(c,
                      async_on(c) ? "the task of round %llu is over"
                                  : "round %llu has closed without it",
                      (unsigned long long)u->round));
  }
}

/* NULL when the announcement fits the task and limits, else the reason. */
static const char *begin_check(struct xf_coord *c, const struct member *m,
                               const struct xf_msg_update_begin *u, enum xf_rc *code) {
  *code = XF_E_INVAL;
  if (u->round != m->issued || !xf_digest_equal(&u->base_digest, &m->base))
    return "round or base digest are not those of the task";
  *code = XF_E_SHAPE;
  if (!xf_digest_equal(&u->layout_digest, &c->cfg.layout_digest))
    return "the layout digest is not this plan's";
  if (c->kind == XF_TASK_EVALUATE) {
    if (u->dtype != XF_DTYPE_REPORT || u->payload_len == 0 || u->payload_len > XF_REPORT_MAX)
      return "an evaluation answers with a report of at most 64 KiB";
  } else {
    struct xf_codec codec;
    uint64_t least, most;
    if (!xf_plan_codec_of(&codec, c->cfg.plan, c->stage_at, c->round, u->dtype))
      return coord_text(c, "the plan's fed.encoding is %s", xf_codec_name(codec.kind));
    const uint64_t want = m->lens.up[c->stage_at];
    if (codec.kind == XF_CODEC_SPARSE && (u->payload_len == 0 || u->payload_len >= want))
      return coord_text(c, "a sparse payload of %llu bytes is not below the %llu of all floats",
                        (unsigned long long)u->payload_len, (unsigned long long)want);
    xf_codec_range(&codec, want / sizeof(float), &least, &most);
    if (codec.kind != XF_CODEC_SPARSE && (u->payload_len < least || u->payload_len > most))
      return coord_text(c, "payload of %llu bytes, this member's part of the model has %llu as %s",
                        (unsigned long long)u->payload_len, (unsigned long long)most,
                        xf_codec_name(codec.kind));
    *code = XF_E_RANGE;
    if (u->weight == 0) return "the weight is 0";
    if (u->weight >= WEIGHT_END) return "the weight is 2^29 or more";
    if (c->stage->fed.weighting == XF_PLAN_WEIGHTING_UNIFORM && u->weight != 1)
      return "the plan weighs uniformly, so the weight must be 1";
    if (c->stage->fed.weighting == XF_PLAN_WEIGHTING_CAPPED && u->weight > c->stage->fed.weight_cap)
      return "the weight is above the plan's weight_cap";
    if (m->info->max_weight && u->weight > m->info->max_weight)
      return "the weight is above this member's max_weight";
  }
  uint8_t input[XF_UPDATE_DIGEST_INPUT];
  struct xf_digest digest;
  xf_update_digest_input(input, u);
  xf_sha256(&digest, input, sizeof input);
  *code = XF_E_INVAL;
  return xf_digest_equal(&digest, &u->update_digest) ? NULL
                                                     : "update_digest does not match the fields";
}

static void upload_stop(struct xf_coord *c, struct member *m, bool keep) {
  if (m->task == T_UPLOADING) c->n_uploading--;
  if (keep) return;
  if (m->task == T_SPOOLING) m->stale_finish++;
  if (m->spool_open || m->task == T_SPOOLING)
    coord_act(c, XF_COORD_SPOOL_ABORT)->member = member_index(c, m);
  m->spool_open = false;
  m->received = 0;
}

/* All bytes are here: the shell makes them durable. */
static void upload_whole(struct xf_coord *c, struct member *m) {
  c->n_uploading--;
  m->task = T_HELD;
  m->arrived = ++c->arrivals;
  if (!async_trains(c)) answer_store(c, m);
}

void answer_store(struct xf_coord *c, struct member *m) {
  m->task = T_SPOOLING;
  m->spool_open = false;
  struct xf_coord_action *a = coord_act(c, XF_COORD_SPOOL_FINISH);
  a->member = member_index(c, m);
  a->round = c->round;
}

static void upload_start(struct xf_coord *c, struct member *m) {
  m->task = T_UPLOADING;
  c->n_uploading++;
  if (!m->spool_open) {
    m->spool_open = true;
    struct xf_coord_action *a = coord_act(c, XF_COORD_SPOOL_BEGIN);
    a->stage = c->stage_at;
    a->member = member_index(c, m);
    a->begin = m->begin;
    a->round = c->round;
    a->kind = c->kind;
  }
  if (m->begin.payload_len == 0) { /* it shares no key with anyone: there is nothing to wait for */
    upload_whole(c, m);
    return;
  }
  coord_send(c, m->conn, XF_MSG_UPDATE_READY)->update_ready =
      (struct xf_msg_update_ready){m->task_id, m->received};
}

void answer_grant(struct xf_coord *c) {
  for (uint32_t i = 0; i < c->n && c->n_uploading < c->cfg.max_transfers; i++)
    if (c->m[i].task == T_QUEUED && c->m[i].conn) upload_start(c, &c->m[i]);
}

static void on_begin(struct xf_coord *c, struct member *m, const struct xf_msg_update_begin *u) {
  if (!m->selected || !(round_is_open(c) || async_trains(c)) ||
      !xf_digest_equal(&u->task_id, &m->task_id)) {
    begin_foreign(c, m, u);
    return;
  }
  if (m->task == T_ANSWERED) {
    begin_foreign(c, m, u);
    return;
  }
  if (m->task == T_HELD || m->task == T_SPOOLING || m->task == T_RECORDING) return;
  if (m->task == T_REFUSED) { /* its answer was lost on the way, or it never listens */
    answer_ack(c, m, &u->task_id, XF_VERDICT_REJECTED, XF_E_STATE, "this task was already settled");
    return;
  }
  enum xf_rc code = XF_OK;
  const char *why = begin_check(c, m, u, &code);
  if (why) {
    settle(c, m, u, XF_VERDICT_REJECTED, code, why);
    upload_stop(c, m, false);
    m->task = T_REFUSED;
    answer_grant(c);
    return;
  }
  if (m->spool_open && !xf_digest_equal(&m->begin.update_digest, &u->update_digest))
    upload_stop(c, m, false);
  else if (m->task == T_UPLOADING) c->n_uploading--; /* announced again on a new connection */
  m->begin = *u;
  m->given = true; /* it has its task, though the offer may have been an earlier process's */
  m->task = T_QUEUED;
  lease(c, m);
  answer_grant(c);
}

static void on_chunk(struct xf_coord *c, struct member *m, const struct xf_msg_chunk *k) {
  if (m->task != T_UPLOADING || !xf_digest_equal(&k->task_id, &m->task_id)) return;
  enum xf_rc code = XF_OK;
  const char *why = NULL;
  if (k->offset != m->received) {
    code = XF_E_CORRUPT;
    why = coord_text(c, "chunk at %llu, expected %llu", (unsigned long long)k->offset,
                     (unsigned long long)m->received);
  } else if (k->data_len == 0) {
    code = XF_E_CORRUPT;
    why = "empty chunk";
  } else if (k->data_len > m->begin.payload_len - m->received) {
    code = XF_E_CORRUPT;
    why = "chunks run beyond the announced length";
  } else if (xf_crc32c(0, k->data, k->data_len) != k->crc32c && !XF_PLANTED("skip_crc")) {
    code = XF_E_CORRUPT;
    why = coord_text(c, "chunk at %llu: checksum does not match", (unsigned long long)k->offset);
  }
  if (why) {
    upload_stop(c, m, false);
    m->task = T_WORKING;
    answer_ack(c, m, &m->task_id, XF_VERDICT_CORRUPT, code, why);
    answer_grant(c);
    return;
  }
  lease_move(c, m, k->data_len);
  m->bytes_up += k->data_len;
  struct xf_coord_action *a = coord_act(c, XF_COORD_SPOOL_WRITE);
  a->member = member_index(c, m);
  a->offset = k->offset;
  a->data = k->data;
  a->data_len = k->data_len;
  m->received += k->data_len;
  if (m->received < m->begin.payload_len) return;
  upload_whole(c, m);
  answer_grant(c);
}

/* The spooled bytes were verified (digest, finite values) and made durable, or not. */
void answer_spooled(struct xf_coord *c, uint32_t member, enum xf_rc rc, const char *text) {
  struct member *m = &c->m[member];
  if (m->stale_finish) { /* of an upload given up meanwhile; abort again unless another has begun */
    m->stale_finish--;
    if (!m->spool_open && m->task != T_SPOOLING)
      coord_act(c, XF_COORD_SPOOL_ABORT)->member = member;
    return;
  }
  if (m->task != T_SPOOLING) return;
  m->received = 0;
  if (rc == XF_OK) {
    m->task = T_RECORDING;
    struct xf_coord_record *r = coord_persist(c, XF_RECORD_UPDATE, member);
    uint32_t *who = xf_arena_calloc(&c->arena, 1, sizeof *who);
    if (who) *who = member;
    r->member = who;
    r->n_member = 1;
    r->task_id = &m->task_id;
    r->update = &m->begin;
    if (xf_plan_remembers(c->stage) && m->offered_at.ns > 0 && m->offered_at.ns != XF_TIME_NEVER.ns)
      r->seconds = xf_time_diff_s(c->now, m->offered_at);
    m->figures = (struct xf_coord_figures){m->begin.n_samples, m->begin.has_loss, m->begin.loss_sum,
                                           m->begin.loss_count, r->seconds};
    if (XF_PLANTED("ack_early")) answer_ack(c, m, &m->task_id, XF_VERDICT_ACCEPTED, XF_OK, "");
  } else if (rc == XF_E_CORRUPT) {
    m->task = T_WORKING;
    answer_ack(c, m, &m->task_id, XF_VERDICT_CORRUPT, rc, text);
  } else {
    m->task = T_REFUSED;
    settle(c, m, &m->begin, XF_VERDICT_REJECTED, rc, text);
  }
}

/* Its ledger row is durable: only now the acknowledgement. */
void answer_recorded(struct xf_coord *c, uint32_t member) {
  struct member *m = &c->m[member];
  if (m->task != T_RECORDING) return;
  m->task = T_ANSWERED;
  m->updates++;
  m->last = (struct last_answer){
      true, c->round, c->kind, m->task_id, m->begin.update_digest, XF_OUTCOME_NONE};
  if (c->kind == XF_TASK_TRAIN) {
    m->last_train = m->last;
    m->epsilon = m->begin.epsilon;
    m->epsilon_zero_out = m->begin.epsilon_zero_out;
    m->noise_multiplier = m->begin.noise_multiplier;
    m->clip = m->begin.clip;
  }
  XF_FAILPOINT("K6");
  answer_ack(c, m, &m->task_id, XF_VERDICT_ACCEPTED, XF_OK, "");
}

/* The record is of one member and its task. */
void answer_name_task(struct xf_coord *c, struct member *m, struct xf_coord_record *rec) {
  uint32_t *who = xf_arena_calloc(&c->arena, 1, sizeof *who);
  if (who) {
    *who = member_index(c, m);
    rec->member = who;
    rec->n_member = 1;
  }
  rec->task_id = &m->task_id;
}

struct xf_coord_record *answer_refusal(struct xf_coord *c, struct member *m,
                                       const struct xf_msg_task_reply *r) {
  struct xf_coord_record *rec = coord_persist(c, XF_RECORD_REFUSED, member_index(c, m));
  answer_name_task(c, m, rec);
  rec->code = r->code;
  rec->text = coord_text(c, "%s: %s", r->key, r->text);
  return rec;
}

static void on_reply(struct xf_coord *c, struct member *m, const struct xf_msg_task_reply *r) {
  if (!xf_digest_equal(&r->task_id, &m->task_id)) return;
  if (m->task != T_OFFERED && m->task != T_WORKING)
    return; /* it may refuse having seen the model */
  if (c->done) {
    final_reply(c, m, r);
    return;
  }
  if (r->accepted) {
    m->task = T_WORKING;
    lease(c, m);
    return;
  }
  m->task = T_REFUSED;
  xf_log(XF_LOG_WARN, "task_refused", XF_U("round", c->round), XF_S("client", m->info->id),
         XF_S("code", r->code), XF_S("key", r->key), XF_S("reason", r->text));
  (void)answer_refusal(c, m, r);
}

static void on_get(struct xf_coord *c, struct member *m, const struct xf_msg_model_get *g) {
  if (!xf_digest_equal(&g->task_id, &m->task_id) || m->task == T_NONE) {
    coord_send(c, m->conn, XF_MSG_TASK_CANCEL)->task_cancel = (struct xf_msg_task_cancel){
        g->task_id, xf_rc_name(XF_E_STALE), "this task is over; wait for the next offer"};
    return;
  }
  const uint64_t len = round_model_len(c, m);
  if (g->offset > len || g->length == 0 || g->length > len - g->offset) {
    registry_refuse(c, m->conn, XF_E_RANGE, 1000, "ask for bytes inside model_len",
                    "model range outside the model");
    return;
  }
  if (m->task == T_OFFERED && !c->done) m->task = T_WORKING;
  lease_move(c, m, g->length);
  struct xf_coord_action *a = coord_act(c, XF_COORD_SERVE);
  a->conn = m->conn;
  a->member = member_index(c, m);
  a->task_id = m->task_id;
  a->kind = c->done ? XF_TASK_FINAL : c->kind;
  a->base = c->done ? c->model_digest : m->base;
  a->stage = c->stage_at;
  a->offset = g->offset;
  a->length = g->length;
}

void answer_message(struct xf_coord *c, struct member *m, const struct xf_msg *msg) {
  switch (msg->type) {
  case XF_MSG_TASK_REPLY: on_reply(c, m, &msg->task_reply); return;
  case XF_MSG_MODEL_GET: on_get(c, m, &msg->model_get); return;
  case XF_MSG_PROGRESS:
    if (!xf_digest_equal(&msg->progress.task_id, &m->task_id)) return;
    m->done = msg->progress.done;
    m->total = msg->progress.total;
    lease(c, m);
    return;
  case XF_MSG_UPDATE_BEGIN: on_begin(c, m, &msg->update_begin); return;
  case XF_MSG_UPDATE_CHUNK: on_chunk(c, m, &msg->chunk); return;
  case XF_MSG_PING: coord_send(c, m->conn, XF_MSG_PONG)->ping = msg->ping; return;
  case XF_MSG_PONG:
  case XF_MSG_UNSUPPORTED: return;
  default:
    registry_refuse(c, m->conn, XF_E_STATE, 5000, "see docs/PROTOCOL.md",
                    coord_text(c, "a silo does not send %s", xf_msg_name(msg->type)));
  }
}

void answer_lost(struct xf_coord *c, struct member *m) {
  if (m->task == T_UPLOADING) {
    upload_stop(c, m, true); /* the bytes so far stay: the silo may resume */
    m->task = T_WAITING;
  } else if (m->task == T_OFFERED || m->task == T_WORKING || m->task == T_QUEUED) {
    m->task = c->done ? T_NONE : T_WAITING;
  }
  if (c->done) m->final_sent = m->final_stored;
  answer_grant(c);
}

void answer_drop(struct xf_coord *c, struct member *m, const char *why) {
  upload_stop(c, m, false);
  if (m->conn && m->task != T_WAITING)
    coord_send(c, m->conn, XF_MSG_TASK_CANCEL)->task_cancel =
        (struct xf_msg_task_cancel){m->task_id, xf_rc_name(XF_E_LATE), why};
  m->task = T_NONE;
}

void answer_drop_all(struct xf_coord *c) {
  for (uint32_t i = 0; i < c->n; i++) {
    struct member *m = &c->m[i];
    if (!m->selected || m->task == T_NONE || m->task == T_ANSWERED || m->task == T_REFUSED)
      continue;
    answer_drop(c, m, "the round has closed");
  }
}
