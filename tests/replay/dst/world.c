#include "world.h"

#include "base/alloc.h"
#include "base/crc32c.h"
#include "crypto/blake2b.h"
#include "crypto/sha256.h"
#include "wire/codec.h"

#include <stdio.h>
#include <string.h>

enum { MAX_EVENTS = 60000, HEAL_S = 60 };

/* X: what waits in the queue. A generation guards against events of a process that has crashed. */
enum kind {
  TO_SERVER,   /* frame from client i on conn */
  TO_CLIENT,   /* frame to client i on conn */
  CONN_UP,     /* both ends learn of conn */
  CONN_DOWN,   /* both ends learn that conn is gone */
  DIAL_FAILED, /* nobody listens */
  SERVER_EVENT,
  CLIENT_EVENT,
  PERSISTED,
  SERVER_TICK,
  CLIENT_TICK,
  SERVER_START,
  CLIENT_START,
  CRASH
};

struct item {
  enum kind kind;
  uint32_t client;
  uint64_t conn, generation;
  struct xf_coord_event se;
  struct xf_session_event ce;
  struct xf_msg_update_begin begin;
  struct { /* a ledger row in flight */
    enum xf_coord_record_type type;
    uint64_t round, committed;
    enum xf_task_kind kind;
    struct xf_digest base, model;
    uint32_t member[N_CLIENT];
    size_t n_member;
    uint64_t token;
  } row;
  uint8_t *frame;
  size_t frame_len;
};

static struct item *push(struct world *w, enum kind kind, double delay_s, const struct item *init) {
  struct item *it = xf_alloc(sizeof *it);
  *it = init ? *init : (struct item){0};
  it->kind = kind;
  xf_eventq_put(&w->queue, xf_time_add_s(w->now, delay_s), it);
  return it;
}

static void item_free(struct item *it) {
  xf_free(it->frame);
  xf_free(it);
}

static void fail(struct world *w, const char *what, uint64_t round, uint32_t client) {
  if (!w->error[0])
    (void)snprintf(w->error, sizeof w->error, "%s (round %llu, client %u)", what,
                   (unsigned long long)round, client);
}

static double delay(struct world *w) {
  return w->calm ? 0.01 : 0.001 + 0.2 * xf_rng_double(&w->rng);
}
/* Faults stop after a while: from then on everything must come to its end by itself (I9). */
static bool chance(struct world *w, double p) {
  const bool healed = w->now.ns > (int64_t)HEAL_S * 1000000000 || w->s.committed == N_ROUND;
  return !w->calm && !healed && xf_rng_double(&w->rng) < p;
}

static struct ledger_round *round_at(struct world *w, uint64_t round) {
  if (round == 0 || round > MAX_ROUND) {
    fail(w, "round number out of range", round, 0);
    round = MAX_ROUND;
  }
  return &w->s.round[round];
}

/* --- network ------------------------------------------------------------------------------------------- */

static void cut(struct world *w, uint64_t conn, double after_s) {
  struct item it = {.conn = conn};
  push(w, CONN_DOWN, after_s, &it);
}

static void post(struct world *w, enum kind kind, uint32_t client, uint64_t conn,
                 const struct xf_msg *msg) {
  xf_buf_reset(&w->wire);
  if (xf_msg_encode(&w->wire, msg)) {
    fail(w, "a message does not encode", 0, client);
    return;
  }
  struct item it = {.client = client, .conn = conn, .frame_len = w->wire.len};
  it.frame = xf_memdup(w->wire.p, w->wire.len);
  /* In order per connection: the queue is by time, so a message never overtakes: constant part by seq. */
  push(w, kind, w->hasty ? 0.3 : 0.002, &it);
  if (chance(w, 0.004)) cut(w, conn, 0.001);
}

static bool open_frame(struct world *w, struct xf_msg *msg, const struct item *it) {
  struct xf_diag diag;
  xf_arena_reset(&w->arena);
  uint16_t type = (uint16_t)(it->frame[4] << 8 | it->frame[5]);
  enum xf_rc rc = xf_msg_decode(msg, &w->arena, type, it->frame + 8, it->frame_len - 8, &diag);
  if (rc) fail(w, "a message does not decode", 0, it->client);
  return rc == XF_OK;
}

/* --- coordinator's shell ------------------------------------------------------------------------------- */

static void server_feed(struct world *w, const struct xf_coord_event *e);

static void later(struct world *w, struct xf_coord_event e, double s) {
  struct item it = {.se = e, .generation = w->s.generation};
  push(w, SERVER_EVENT, s, &it);
}

static void model_digest(struct xf_digest *out, const float *model) {
  xf_blake2b(out, model, N_FLOAT * sizeof *model);
}

static void aggregate(struct world *w, const struct xf_coord_action *a) {
  struct xf_coord_event e = {.type = XF_COORD_EV_AGGREGATED, .digest = w->s.digest};
  struct ledger_round *r = round_at(w, a->round);
  if (a->kind == XF_TASK_TRAIN) {
    double acc[N_FLOAT] = {0}, total = 0;
    for (size_t k = 0; k < a->n_participant; k++) {
      const struct stored *u = &r->update[a->participant[k]];
      float x[N_FLOAT];
      if (!u->durable || u->payload.len != sizeof x) {
        fail(w, "aggregation without a durable update (I2)", a->round, a->participant[k]);
        return;
      }
      memcpy(x, u->payload.b, sizeof x);
      for (int j = 0; j < N_FLOAT; j++) acc[j] += (double)a->weight[k] * (double)x[j];
      total += (double)a->weight[k];
    }
    for (int j = 0; j < N_FLOAT; j++)
      w->s.next[j] = (float)((double)w->s.model[j] + (total > 0 ? acc[j] / total : 0));
    model_digest(&w->s.next_digest, w->s.next);
    e.digest = w->s.next_digest;
  }
  later(w, e, delay(w));
}

static void spool_finish(struct world *w, uint32_t i) {
  struct xf_coord_event e = {.type = XF_COORD_EV_SPOOLED, .member = i};
  struct xf_coord_view v;
  xf_coord_view_get(w->s.core, w->now, &v);
  struct ledger_round *r = round_at(w, v.round);
  r->spool[i].payload = w->s.tmp[i];
  r->spool[i].durable = true;
  later(w, e, delay(w));
}

static void persist(struct world *w, const struct xf_coord_action *a) {
  const struct xf_coord_record *r = a->record;
  struct item it = {.generation = w->s.generation};
  it.row.type = r->type;
  it.row.round = r->round;
  it.row.kind = r->kind;
  it.row.committed = r->committed;
  it.row.base = r->base_digest;
  it.row.model = r->model_digest;
  it.row.token = a->token;
  for (size_t k = 0; k < r->n_member && k < N_CLIENT; k++) it.row.member[k] = r->member[k];
  it.row.n_member = r->n_member;
  if (r->update) it.begin = *r->update;
  push(w, PERSISTED, delay(w), &it);
}

static void serve(struct world *w, const struct xf_coord_action *a) {
  struct xf_msg msg = {.type = XF_MSG_MODEL_CHUNK};
  msg.chunk = (struct xf_msg_chunk){.task_id = a->task_id,
                                    .offset = a->offset,
                                    .data = (const uint8_t *)w->s.model + a->offset,
                                    .data_len = (size_t)a->length};
  msg.chunk.crc32c = xf_crc32c(0, msg.chunk.data, msg.chunk.data_len);
  post(w, TO_CLIENT, a->member, a->conn, &msg);
}

static void server_act(struct world *w, const struct xf_coord_action *a) {
  switch (a->type) {
  case XF_COORD_SEND:
    for (uint32_t i = 0; i < N_CLIENT; i++)
      if (w->c[i].conn == a->conn) post(w, TO_CLIENT, i, a->conn, &a->msg);
    return;
  case XF_COORD_CLOSE: cut(w, a->conn, w->hasty ? 0.4 : 0.004); return;
  case XF_COORD_RESERVE:
    later(w,
          (struct xf_coord_event){.type = XF_COORD_EV_RESERVED,
                                  .rc = chance(w, 0.02) ? XF_E_NOSPACE : XF_OK},
          0.001);
    return;
  case XF_COORD_SERVE: serve(w, a); return;
  case XF_COORD_SPOOL_BEGIN: w->s.tmp[a->member].len = 0; return;
  case XF_COORD_SPOOL_WRITE: {
    struct payload *p = &w->s.tmp[a->member];
    if (a->offset != p->len || a->data_len > sizeof p->b - p->len) {
      fail(w, "spool write out of place", 0, a->member);
      return;
    }
    memcpy(p->b + p->len, a->data, a->data_len);
    p->len += a->data_len;
    return;
  }
  case XF_COORD_SPOOL_FINISH: spool_finish(w, a->member); return;
  case XF_COORD_SPOOL_ABORT: w->s.tmp[a->member].len = 0; return;
  case XF_COORD_PERSIST: persist(w, a); return;
  case XF_COORD_AGGREGATE: aggregate(w, a); return;
  case XF_COORD_PUBLISH:
    later(w, (struct xf_coord_event){.type = XF_COORD_EV_PUBLISHED}, delay(w));
    return;
  case XF_COORD_EXIT:
    if (a->rc) fail(w, "the coordinator gave up", 0, 0);
    w->exited = true;
    return;
  case XF_COORD_ALIGN:
  case XF_COORD_FREEZE:
  case XF_COORD_DIRECTORY: fail(w, "alignment in a plan without it", 0, 0); return;
  case XF_COORD_COLLECT: return;
  }
}

static void server_feed(struct world *w, const struct xf_coord_event *e) {
  if (!w->s.up) return;
  xf_coord_feed(w->s.core, w->now, e);
  for (const struct xf_coord_action *a; (a = xf_coord_next(w->s.core));) server_act(w, a);
  struct item it = {.generation = w->s.generation};
  if (w->s.paused) { /* the operator looks and lets it go on */
    struct item resume = it;
    resume.se = (struct xf_coord_event){.type = XF_COORD_EV_COMMAND, .command = XF_COMMAND_RESUME};
    push(w, SERVER_EVENT, 1, &resume);
  }
  const struct xf_time t = xf_coord_deadline(w->s.core);
  if (!xf_time_before(t, w->s.tick_at)) return;
  const double s = xf_time_diff_s(t, w->now);
  w->s.tick_at = t;
  push(w, SERVER_TICK, s > 0 ? s : 0.0001, &it);
}

/* A row becomes durable: the model of the ledger, with the checks of I1 and I4. */
static void row_apply(struct world *w, const struct item *it) {
  struct server *s = &w->s;
  struct ledger_round *r = it->row.round ? round_at(w, it->row.round) : NULL;
  switch (it->row.type) {
  case XF_RECORD_OPEN:
    if (r->opened || it->row.round != s->last_round + 1)
      fail(w, "round opened out of order (I4)", it->row.round, 0);
    r->opened = true;
    r->kind = it->row.kind;
    r->base = it->row.base;
    s->last_round = it->row.round;
    return;
  case XF_RECORD_UPDATE: {
    uint32_t i = it->row.member[0];
    if (r->update[i].durable) fail(w, "update counted twice (I1)", it->row.round, i);
    if (r->closing) fail(w, "update accepted after closing", it->row.round, i);
    r->update[i] = r->spool[i];
    r->update[i].begin = it->begin;
    struct xf_digest d;
    xf_sha256(&d, r->update[i].payload.b, r->update[i].payload.len);
    if (!xf_digest_equal(&d, &it->begin.payload_digest))
      fail(w, "stored bytes are not the sent bytes", it->row.round, i);
    return;
  }
  case XF_RECORD_CLOSING:
    r->closing = true;
    r->n_participant = it->row.n_member;
    memcpy(r->participant, it->row.member, sizeof r->participant);
    return;
  case XF_RECORD_COMMITTING:
    r->committing = true;
    r->model = it->row.model;
    return;
  case XF_RECORD_COMMIT:
    if (r->committed || !r->closing)
      fail(w, "round committed twice or unclosed (I4)", it->row.round, 0);
    r->committed = true;
    if (r->kind == XF_TASK_TRAIN) {
      memcpy(s->model, s->next, sizeof s->model);
      s->digest = s->next_digest;
      s->committed = it->row.committed;
      s->abandoned_in_row = 0;
      if (!xf_digest_equal(&s->digest, &it->row.model))
        fail(w, "committed digest differs from the model", it->row.round, 0);
    } else {
      s->evaluated_at = s->committed;
    }
    return;
  case XF_RECORD_ABANDON:
    r->abandoned = true;
    w->abandoned++;
    if (r->kind != XF_TASK_TRAIN) s->evaluated_at = s->committed;
    else if (w->hasty) s->abandoned_in_row++;
    else fail(w, "a round was abandoned although no deadline can pass", it->row.round, 0);
    return;
  case XF_RECORD_DONE: s->done = true; return;
  case XF_RECORD_PAUSE: s->paused = true; return;
  case XF_RECORD_RESUME:
    s->paused = false;
    s->abandoned_in_row = 0;
    return;
  case XF_RECORD_VERDICT:
  case XF_RECORD_REFUSED:
  case XF_RECORD_ALARM: return;
  }
}

static void server_start(struct world *w) {
  struct server *s = &w->s;
  struct xf_coord_accepted accepted[N_CLIENT * MAX_ROUND];
  uint32_t cohort[N_CLIENT];
  struct xf_coord_recovery r = {.epoch = ++s->epoch,
                                .last_round = s->last_round,
                                .committed = s->committed,
                                .evaluated_at = s->evaluated_at,
                                .model_digest = s->digest,
                                .abandoned_in_row = s->abandoned_in_row,
                                .frozen = true,
                                .paused = s->paused,
                                .done = s->done,
                                .accepted = accepted};
  for (uint64_t k = 1; k <= s->last_round; k++) { /* a silo may be rounds behind with its answer */
    const struct ledger_round *q = &s->round[k];
    for (uint32_t i = 0; i < N_CLIENT; i++)
      if (q->update[i].durable)
        accepted[r.n_accepted++] = (struct xf_coord_accepted){i,
                                                              k,
                                                              q->kind,
                                                              q->update[i].begin.task_id,
                                                              q->update[i].begin.update_digest,
                                                              q->update[i].begin.weight,
                                                              q->committed   ? XF_OUTCOME_COMMITTED
                                                              : q->abandoned ? XF_OUTCOME_DISCARDED
                                                                             : XF_OUTCOME_NONE};
  }
  const struct ledger_round *o = &s->round[s->last_round];
  if (s->last_round && o->opened && !o->committed && !o->abandoned) {
    r.open.round = s->last_round;
    r.open.kind = o->kind;
    r.open.state = o->committing ? XF_ROUND_COMMITTING
                   : o->closing  ? XF_ROUND_CLOSING
                                 : XF_ROUND_COLLECTING;
    for (uint32_t i = 0; i < N_CLIENT; i++) cohort[i] = i;
    r.open.cohort = cohort;
    r.open.n_cohort = N_CLIENT;
    r.open.participant = o->participant;
    r.open.n_participant = o->n_participant;
  }
  struct xf_coord_config cfg = {.federation = "sim",
                                .run_id = "dst",
                                .member = w->member,
                                .n_member = N_CLIENT,
                                .plan = &w->plan,
                                .plan_canonical = w->canonical.p,
                                .plan_canonical_len = w->canonical.len,
                                .plan_digest = w->plan_digest,
                                .layout_digest = w->layout_digest,
                                .max_transfers = 2,
                                .exit_when_done = true};
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_coord_new(&s->core, &cfg, &r, w->now, &diag)) {
    fail(w, xf_diag_text(&diag, XF_E_CORRUPT), s->last_round, 0);
    return;
  }
  const struct xf_plan_lens lens = xf_plan_lens_one(sizeof s->model);
  for (uint32_t i = 0; i < N_CLIENT; i++) xf_coord_set_lens(s->core, i, &lens);
  s->up = true;
  s->tick_at = XF_TIME_NEVER;
  server_feed(w, &(struct xf_coord_event){.type = XF_COORD_EV_TICK});
}

static void server_crash(struct world *w) {
  struct server *s = &w->s;
  if (!s->up) return;
  s->up = false;
  s->generation++;
  xf_coord_free(s->core);
  s->core = NULL;
  memset(s->tmp, 0, sizeof s->tmp);
  for (uint32_t i = 0; i < N_CLIENT; i++)
    if (w->c[i].conn) cut(w, w->c[i].conn, 0.001);
  push(w, SERVER_START, 0.5 + xf_rng_double(&w->rng), NULL);
}

/* --- silo's shell -------------------------------------------------------------------------------------- */

static void client_feed(struct world *w, uint32_t i, const struct xf_session_event *e);

static void client_later(struct world *w, uint32_t i, const struct item *it, double s) {
  struct item copy = *it;
  copy.client = i;
  copy.generation = w->c[i].generation;
  push(w, CLIENT_EVENT, s, &copy);
}

/* "Training": a function of the base model, the member and the task kind. The outbox is written here, in
   one step with the charge; only later the core hears of it. */
static void run_task(struct world *w, uint32_t i, const struct xf_msg_task_offer *o) {
  struct client *c = &w->c[i];
  struct xf_msg_update_begin *b = &c->disk.begin;
  if (c->disk.pending) {
    fail(w, "work started with an unsettled outbox entry", o->round, i);
    return;
  }
  *b = (struct xf_msg_update_begin){.task_id = o->task_id,
                                    .round = o->round,
                                    .base_digest = o->base_digest,
                                    .layout_digest = o->layout_digest,
                                    .weight = 1 + i,
                                    .dtype = XF_DTYPE_FLOAT32};
  struct payload *p = &c->disk.payload;
  if (o->kind == XF_TASK_TRAIN) {
    float x[N_FLOAT], base[N_FLOAT];
    if (c->fetched.len != sizeof base) {
      fail(w, "training without the whole model", o->round, i);
      return;
    }
    memcpy(base, c->fetched.b, sizeof base);
    for (int j = 0; j < N_FLOAT; j++)
      x[j] = 0.5f * base[j] * (float)(i + 1) - 0.1f * (float)(j + 1);
    memcpy(p->b, x, sizeof x);
    p->len = sizeof x;
  } else {
    struct xf_eval_metric m = {"federated", "test", "ndcg_10_full", 0.25 * (i + 1), 7};
    struct xf_buf buf;
    xf_buf_init(&buf, sizeof p->b);
    if (xf_eval_report_encode(&buf, &m, 1)) fail(w, "report does not fit", o->round, i);
    memcpy(p->b, buf.p, buf.len);
    p->len = buf.len;
    xf_buf_deinit(&buf);
    b->dtype = XF_DTYPE_REPORT;
  }
  uint8_t input[XF_UPDATE_DIGEST_INPUT];
  b->payload_len = p->len;
  xf_sha256(&b->payload_digest, p->b, p->len);
  xf_update_digest_input(input, b);
  xf_sha256(&b->update_digest, input, sizeof input);
  c->disk.pending = true;
  c->disk.released += o->kind == XF_TASK_TRAIN;
  c->releases++;
  struct item it = {.begin = *b, .ce = {.type = XF_SESSION_EV_WORKED}};
  const bool straggler = w->hasty && chance(w, 0.15);
  client_later(w, i, &it, straggler ? 40 * xf_rng_double(&w->rng) : delay(w));
}

static void upload(struct world *w, uint32_t i, const struct xf_session_action *a) {
  struct client *c = &w->c[i];
  size_t at = (size_t)a->offset;
  while (at < c->disk.payload.len) { /* two chunks, so that a cut can fall between them */
    size_t n = c->disk.payload.len - at > 40 ? 40 : c->disk.payload.len - at;
    struct xf_msg msg = {.type = XF_MSG_UPDATE_CHUNK};
    msg.chunk = (struct xf_msg_chunk){
        .task_id = a->task_id, .offset = at, .data = c->disk.payload.b + at, .data_len = n};
    msg.chunk.crc32c = xf_crc32c(0, msg.chunk.data, n);
    uint8_t damaged[40];
    if (chance(w, 0.01)) { /* a bit flips between the checksum and the disk */
      memcpy(damaged, msg.chunk.data, n);
      damaged[xf_rng_below(&w->rng, (uint32_t)n)] ^= 1;
      msg.chunk.data = damaged;
    }
    post(w, TO_SERVER, i, c->conn, &msg);
    at += n;
  }
}

static void client_dial(struct world *w, uint32_t i) {
  struct item it = {.client = i, .generation = w->c[i].generation};
  w->c[i].dialing = true;
  if (!w->s.up) {
    push(w, DIAL_FAILED, 0.01, &it);
    return;
  }
  it.conn = ++w->next_conn;
  push(w, CONN_UP, delay(w), &it);
}

static void client_settle(struct world *w, uint32_t i, const struct xf_session_action *a) {
  struct client *c = &w->c[i];
  w->late += a->verdict == XF_VERDICT_LATE;
  if (a->verdict == XF_VERDICT_ACCEPTED || a->verdict == XF_VERDICT_DUPLICATE_OK) {
    struct ledger_round *r = round_at(w, c->disk.begin.round);
    if (!r->update[i].durable)
      fail(w, "acknowledged before it was durable", c->disk.begin.round, i);
    r->acked[i] = true;
  } else if (a->verdict != XF_VERDICT_LATE ||
             (c->disk.begin.dtype != XF_DTYPE_REPORT && !w->hasty)) {
    fail(w, "an update was refused in a run without refusals", c->disk.begin.round, i);
  }
  c->disk.pending = false;
  struct item it = {.ce = {.type = XF_SESSION_EV_SETTLED}};
  client_later(w, i, &it, delay(w));
}

static void client_act(struct world *w, uint32_t i, const struct xf_session_action *a) {
  struct client *c = &w->c[i];
  struct item it = {0};
  switch (a->type) {
  case XF_SESSION_DIAL_ACTION: client_dial(w, i); return;
  case XF_SESSION_CLOSE_ACTION:
    if (c->conn) cut(w, c->conn, w->hasty ? 0.4 : 0.004);
    return;
  case XF_SESSION_SEND_ACTION:
    if (c->conn) post(w, TO_SERVER, i, c->conn, &a->msg);
    return;
  case XF_SESSION_ADOPT_ACTION:
    c->disk.has_plan = true;
    c->disk.plan_digest = w->plan_digest;
    (void)snprintf(c->disk.run_id, sizeof c->disk.run_id, "%s", a->text);
    it.ce = (struct xf_session_event){.type = XF_SESSION_EV_ADOPTED,
                                      .layout_digest = w->layout_digest,
                                      .lens = xf_plan_lens_one(sizeof w->s.model)};
    client_later(w, i, &it, 0.001);
    return;
  case XF_SESSION_FETCH_BEGIN_ACTION: c->fetched.len = 0; return;
  case XF_SESSION_FETCH_WRITE_ACTION:
    if (a->offset != c->fetched.len || a->data_len > sizeof c->fetched.b - c->fetched.len) {
      fail(w, "model bytes out of place", 0, i);
      return;
    }
    memcpy(c->fetched.b + c->fetched.len, a->data, a->data_len);
    c->fetched.len += a->data_len;
    return;
  case XF_SESSION_RUN_ACTION: run_task(w, i, a->offer); return;
  case XF_SESSION_UPLOAD_ACTION: upload(w, i, a); return;
  case XF_SESSION_STORE_FINAL_ACTION:
    c->disk.final = true;
    it.ce = (struct xf_session_event){.type = XF_SESSION_EV_STORED};
    client_later(w, i, &it, delay(w));
    return;
  case XF_SESSION_SETTLE_ACTION: client_settle(w, i, a); return;
  case XF_SESSION_EXIT_ACTION:
    if (a->rc) fail(w, "a silo gave up", 0, i);
    c->up = false;
    return;
  case XF_SESSION_OUTCOME_ACTION:
    if (a->outcome != XF_OUTCOME_COMMITTED && !w->hasty) fail(w, "an update was discarded", 0, i);
    return;
  case XF_SESSION_CANCEL_ACTION: return; /* the work at hand comes back by itself */
  case XF_SESSION_MANIFEST_ACTION:
  case XF_SESSION_DIRECTORY_ACTION: fail(w, "alignment in a plan without it", 0, i); return;
  }
}

static void client_feed(struct world *w, uint32_t i, const struct xf_session_event *e) {
  struct client *c = &w->c[i];
  if (!c->up) return;
  xf_session_feed(c->core, w->now, e);
  for (const struct xf_session_action *a; (a = xf_session_next(c->core));) client_act(w, i, a);
  const struct xf_time t = xf_session_deadline(c->core);
  if (!xf_time_before(t, c->tick_at)) return;
  const struct item it = {.client = i, .generation = c->generation};
  const double s = xf_time_diff_s(t, w->now);
  c->tick_at = t;
  push(w, CLIENT_TICK, s > 0 ? s : 0.0001, &it);
}

static void client_start(struct world *w, uint32_t i) {
  struct client *c = &w->c[i];
  struct xf_session_config cfg = {
      .federation = "sim", .software = "dst", .jitter_key = xf_rng_u64(&w->rng)};
  memcpy(cfg.member, c->id, sizeof c->id);
  memcpy(cfg.run_id, c->disk.run_id, sizeof cfg.run_id);
  struct xf_session_recovery r = {.pending = c->disk.pending,
                                  .begin = c->disk.begin,
                                  .released = c->disk.released,
                                  .has_plan = c->disk.has_plan,
                                  .plan_digest = c->disk.plan_digest,
                                  .final_stored = c->disk.final};
  c->core = xf_session_new(&cfg, &r);
  c->up = true;
  c->tick_at = XF_TIME_NEVER;
  client_feed(w, i, &(struct xf_session_event){.type = XF_SESSION_EV_START});
}

static void client_crash(struct world *w, uint32_t i) {
  struct client *c = &w->c[i];
  if (!c->up) return;
  c->up = false;
  c->generation++;
  xf_session_free(c->core);
  c->core = NULL;
  c->fetched.len = 0;
  if (c->conn) cut(w, c->conn, 0.001);
  struct item it = {.client = i};
  push(w, CLIENT_START, 0.5 + xf_rng_double(&w->rng), &it);
}

/* --- the loop ------------------------------------------------------------------------------------------ */

static void conn_down(struct world *w, uint64_t conn) {
  for (uint32_t i = 0; i < N_CLIENT; i++) {
    if (w->c[i].conn != conn) continue;
    w->c[i].conn = 0;
    server_feed(w, &(struct xf_coord_event){.type = XF_COORD_EV_CLOSED, .conn = conn});
    client_feed(w, i, &(struct xf_session_event){.type = XF_SESSION_EV_LOST, .text = "cut"});
  }
}

static void step(struct world *w, struct item *it) {
  struct client *c = &w->c[it->client];
  struct xf_msg msg;
  switch (it->kind) {
  case TO_SERVER:
    if (w->s.up && c->conn == it->conn && open_frame(w, &msg, it))
      server_feed(
          w, &(struct xf_coord_event){.type = XF_COORD_EV_MESSAGE, .conn = it->conn, .msg = &msg});
    return;
  case TO_CLIENT:
    if (c->conn == it->conn && open_frame(w, &msg, it))
      client_feed(w, it->client,
                  &(struct xf_session_event){.type = XF_SESSION_EV_MESSAGE, .msg = &msg});
    return;
  case CONN_UP:
    if (!c->up || c->generation != it->generation) return;
    c->dialing = false;
    if (!w->s.up) {
      client_feed(w, it->client,
                  &(struct xf_session_event){.type = XF_SESSION_EV_LOST, .text = "refused"});
      return;
    }
    c->conn = it->conn;
    server_feed(w, &(struct xf_coord_event){
                       .type = XF_COORD_EV_OPENED, .conn = it->conn, .member_id = c->id});
    client_feed(w, it->client, &(struct xf_session_event){.type = XF_SESSION_EV_DIALED});
    return;
  case CONN_DOWN: conn_down(w, it->conn); return;
  case DIAL_FAILED:
    if (c->generation == it->generation)
      client_feed(w, it->client,
                  &(struct xf_session_event){.type = XF_SESSION_EV_LOST, .text = "nobody listens"});
    return;
  case SERVER_EVENT:
    if (w->s.generation == it->generation) server_feed(w, &it->se);
    return;
  case CLIENT_EVENT:
    if (c->generation != it->generation) return;
    it->ce.begin = &it->begin;
    client_feed(w, it->client, &it->ce);
    return;
  case PERSISTED: /* a row whose process died in flight may or may not have reached the disk */
    if (w->s.generation != it->generation) return;
    row_apply(w, it);
    if (chance(w, 0.004)) {
      server_crash(w); /* durable, but the answer is never heard */
      return;
    }
    server_feed(w, &(struct xf_coord_event){.type = XF_COORD_EV_PERSISTED, .token = it->row.token});
    return;
  case SERVER_TICK:
    if (w->s.generation != it->generation) return;
    w->s.tick_at = XF_TIME_NEVER;
    if (w->s.up) server_feed(w, &(struct xf_coord_event){.type = XF_COORD_EV_TICK});
    return;
  case CLIENT_TICK:
    if (c->generation != it->generation) return;
    c->tick_at = XF_TIME_NEVER;
    if (c->up) client_feed(w, it->client, &(struct xf_session_event){.type = XF_SESSION_EV_TICK});
    return;
  case SERVER_START: server_start(w); return;
  case CLIENT_START: client_start(w, it->client); return;
  case CRASH:
    w->crashes++;
    if (it->client == N_CLIENT - 1 || xf_rng_below(&w->rng, 2)) server_crash(w);
    else client_crash(w, it->client);
    return;
  }
}

void world_init(struct world *w) {
  *w = (struct world){0};
  xf_arena_init(&w->arena, XF_MSG_ARENA);
  xf_buf_init(&w->wire, 256 * 1024);
  xf_buf_init(&w->canonical, XF_PLAN_BYTES_MAX);
}

static void world_clear(struct world *w) {
  for (struct item *it; (it = xf_eventq_take(&w->queue, NULL));) item_free(it);
  xf_coord_free(w->s.core);
  for (uint32_t i = 0; i < N_CLIENT; i++) xf_session_free(w->c[i].core);
  memset(&w->s, 0, sizeof w->s);
  memset(w->c, 0, sizeof w->c);
}

void world_deinit(struct world *w) {
  world_clear(w);
  xf_eventq_deinit(&w->queue);
  xf_arena_deinit(&w->arena);
  xf_buf_deinit(&w->wire);
  xf_buf_deinit(&w->canonical);
}

static void world_reset(struct world *w, uint64_t seed, bool calm) {
  world_clear(w);
  xf_rng_init(&w->rng, seed, 0);
  w->now = (struct xf_time){1000000000};
  w->calm = calm;
  w->error[0] = '\0';
  w->finished = w->exited = false;
  w->next_conn = 0;
  w->crashes = 0;
  w->late = w->abandoned = 0;
  for (uint32_t i = 0; i < N_CLIENT; i++) {
    (void)snprintf(w->c[i].id, sizeof w->c[i].id, "silo-%u", i);
    (void)snprintf(w->member[i].id, sizeof w->member[i].id, "silo-%u", i);
    (void)snprintf(w->member[i].domain, sizeof w->member[i].domain, "domain-%u", i % 3);
    struct item it = {.client = i};
    push(w, CLIENT_START, delay(w), &it);
  }
  for (int j = 0; j < N_FLOAT; j++) w->s.model[j] = 0.01f * (float)j;
  model_digest(&w->s.digest, w->s.model);
  w->s.evaluated_at = UINT64_MAX;
  push(w, SERVER_START, 0.001, NULL);
  if (calm) return;
  uint32_t n = 2 + xf_rng_below(&w->rng, 4);
  for (uint32_t k = 0; k < n; k++) {
    struct item it = {.client = xf_rng_below(&w->rng, N_CLIENT)};
    push(w, CRASH, 0.05 + 25 * xf_rng_double(&w->rng), &it);
  }
}

bool world_run(struct world *w, uint64_t seed, bool calm, struct xf_digest *final) {
  world_reset(w, seed, calm);
  uint32_t n = 0;
  for (; !w->error[0] && !w->exited && n < MAX_EVENTS; n++) {
    struct item *it = xf_eventq_take(&w->queue, &w->now);
    if (!it) break;
    step(w, it);
    item_free(it);
  }
  if (!w->error[0] && !w->exited) fail(w, "the run did not end (I9)", w->s.last_round, n);
  for (uint64_t k = 1; k <= w->s.last_round && !w->error[0]; k++) {
    const struct ledger_round *r = &w->s.round[k];
    for (uint32_t i = 0; i < N_CLIENT; i++) {
      bool in = false;
      for (size_t p = 0; p < r->n_participant; p++) in |= r->participant[p] == i;
      if (r->acked[i] && r->committed && !in)
        fail(w, "acknowledged, yet not in its round (I2)", k, i);
    }
  }
  if (!w->error[0] && w->s.committed != N_ROUND)
    fail(w, "wrong number of commits", w->s.committed, 0);
  *final = w->s.digest;
  return !w->error[0];
}
