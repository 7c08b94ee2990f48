/* The coordinator's shell: ledger, spool and model on a disk that loses what was not durable. */
#include "parts.h"

#include "base/alloc.h"
#include "base/crc32c.h"
#include "crypto/blake2b.h"
#include "crypto/sha256.h"

#include <stdio.h>
#include <string.h>

void server_later(struct world *w, struct xf_coord_event e, double s) {
  struct item it = {.se = e, .generation = w->s.generation};
  world_push(w, SERVER_EVENT, s, &it);
}

void model_digest(struct xf_digest *out, const float *model) {
  xf_blake2b(out, model, N_FLOAT * sizeof *model);
}

static void aggregate(struct world *w, const struct xf_coord_action *a) {
  struct xf_coord_event e = {.type = XF_COORD_EV_AGGREGATED, .digest = w->s.digest};
  if (a->kind == XF_TASK_TRAIN) {
    late_check(w, a);
    moves_fold(w, a);
    model_digest(&w->s.next_digest, w->s.next);
    e.digest = w->s.next_digest;
  }
  server_later(w, e, world_delay(w));
}

static void spool_finish(struct world *w, uint32_t i, uint64_t round) {
  struct xf_coord_event e = {.type = XF_COORD_EV_SPOOLED, .member = i};
  struct ledger_round *r = world_round(w, round);
  r->spool[i].payload = w->s.tmp[i];
  r->spool[i].durable = true;
  server_later(w, e, world_delay(w));
}

static void persist(struct world *w, const struct xf_coord_action *a) {
  const struct xf_coord_record *r = a->record;
  struct item it = {.generation = w->s.generation};
  it.row.type = r->type;
  it.row.round = r->round;
  it.row.kind = r->kind;
  it.row.stage = r->stage;
  it.row.committed = r->committed;
  it.row.base = r->base_digest;
  it.row.model = r->model_digest;
  it.row.token = a->token;
  it.row.seconds = r->seconds;
  for (size_t k = 0; k < r->n_member && k < N_CLIENT; k++) it.row.member[k] = r->member[k];
  it.row.n_member = r->n_member;
  if (r->update) it.begin = *r->update;
  world_push(w, PERSISTED, world_delay(w), &it);
}

static void serve(struct world *w, const struct xf_coord_action *a) {
  float x[N_FLOAT];
  const float *model = late_model(w, &a->base);
  if (!model) {
    world_fail(w, "a model is asked for that is not kept", 0, a->member);
    return;
  }
  const size_t n = moves_down(w, a->member, a->kind, a->stage, model, x);
  struct xf_msg msg = {.type = XF_MSG_MODEL_CHUNK};
  if (a->offset + a->length > n * sizeof *x) {
    world_fail(w, "a range outside what the task moves", 0, a->member);
    return;
  }
  msg.chunk = (struct xf_msg_chunk){.task_id = a->task_id,
                                    .offset = a->offset,
                                    .data = (const uint8_t *)x + a->offset,
                                    .data_len = (size_t)a->length};
  msg.chunk.crc32c = xf_crc32c(0, msg.chunk.data, msg.chunk.data_len);
  world_post(w, TO_CLIENT, a->member, a->conn, &msg);
}

static void server_act(struct world *w, const struct xf_coord_action *a) {
  switch (a->type) {
  case XF_COORD_SEND:
    for (uint32_t i = 0; i < N_CLIENT; i++)
      if (w->c[i].conn == a->conn) world_post(w, TO_CLIENT, i, a->conn, &a->msg);
    return;
  case XF_COORD_CLOSE: world_cut(w, a->conn, w->hasty ? 0.4 : 0.004); return;
  case XF_COORD_RESERVE:
    server_later(w,
                 (struct xf_coord_event){.type = XF_COORD_EV_RESERVED,
                                         .rc = world_chance(w, 0.02) ? XF_E_NOSPACE : XF_OK},
                 0.001);
    return;
  case XF_COORD_SERVE: serve(w, a); return;
  case XF_COORD_SPOOL_BEGIN: w->s.tmp[a->member].len = 0; return;
  case XF_COORD_SPOOL_WRITE: {
    struct payload *p = &w->s.tmp[a->member];
    if (a->offset != p->len || a->data_len > sizeof p->b - p->len) {
      world_fail(w, "spool write out of place", 0, a->member);
      return;
    }
    memcpy(p->b + p->len, a->data, a->data_len);
    p->len += a->data_len;
    return;
  }
  case XF_COORD_SPOOL_FINISH: spool_finish(w, a->member, a->round); return;
  case XF_COORD_SPOOL_ABORT: w->s.tmp[a->member].len = 0; return;
  case XF_COORD_PERSIST: persist(w, a); return;
  case XF_COORD_AGGREGATE: aggregate(w, a); return;
  case XF_COORD_PUBLISH:
    server_later(w, (struct xf_coord_event){.type = XF_COORD_EV_PUBLISHED}, world_delay(w));
    return;
  case XF_COORD_EXIT:
    if (a->rc) world_fail(w, "the coordinator gave up", 0, 0);
    w->exited = true;
    return;
  case XF_COORD_ALIGN:
  case XF_COORD_FREEZE:
  case XF_COORD_DIRECTORY: keys_server_act(w, a); return;
  case XF_COORD_COLLECT: return;
  }
}

void server_feed(struct world *w, const struct xf_coord_event *e) {
  if (!w->s.up) return;
  xf_coord_feed(w->s.core, w->now, e);
  for (const struct xf_coord_action *a; (a = xf_coord_next(w->s.core));) server_act(w, a);
  struct item it = {.generation = w->s.generation};
  if (w->s.paused) { /* the operator looks and lets it go on */
    struct item resume = it;
    resume.se = (struct xf_coord_event){.type = XF_COORD_EV_COMMAND, .command = XF_COMMAND_RESUME};
    world_push(w, SERVER_EVENT, 1, &resume);
  }
  const struct xf_time t = xf_coord_deadline(w->s.core);
  if (!xf_time_before(t, w->s.tick_at)) return;
  const double s = xf_time_diff_s(t, w->now);
  w->s.tick_at = t;
  world_push(w, SERVER_TICK, s > 0 ? s : 0.0001, &it);
}

/* A row becomes durable: the model of the ledger, with the checks of I1 and I4. */
void row_apply(struct world *w, const struct item *it) {
  struct server *s = &w->s;
  struct ledger_round *r = it->row.round ? world_round(w, it->row.round) : NULL;
  switch (it->row.type) {
  case XF_RECORD_OPEN:
    if (r->opened || it->row.round != s->last_round + 1)
      world_fail(w, "round opened out of order (I4)", it->row.round, 0);
    r->opened = true;
    r->kind = it->row.kind;
    r->base = it->row.base;
    r->before = s->committed;
    r->n_cohort = it->row.n_member;
    memcpy(r->cohort, it->row.member, sizeof r->cohort);
    s->last_round = it->row.round;
    if (r->kind == XF_TASK_TRAIN && it->row.stage != xf_plan_stage_at(&w->plan, s->committed, NULL))
      world_fail(w, "round of another stage than the commits say", it->row.round, 0);
    return;
  case XF_RECORD_UPDATE: {
    uint32_t i = it->row.member[0];
    if (r->update[i].durable) world_fail(w, "update counted twice (I1)", it->row.round, i);
    if (r->closing) world_fail(w, "update accepted after closing", it->row.round, i);
    r->update[i] = r->spool[i];
    r->update[i].begin = it->begin;
    r->update[i].seconds = it->row.seconds;
    struct xf_digest d;
    xf_sha256(&d, r->update[i].payload.b, r->update[i].payload.len);
    if (!xf_digest_equal(&d, &it->begin.payload_digest))
      world_fail(w, "stored bytes are not the sent bytes", it->row.round, i);
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
      world_fail(w, "round committed twice or unclosed (I4)", it->row.round, 0);
    r->committed = true;
    if (r->kind == XF_TASK_TRAIN) {
      memcpy(s->model, s->next, sizeof s->model);
      s->digest = s->next_digest;
      late_put(w);
      s->committed = it->row.committed;
      s->abandoned_in_row = 0;
      if (!xf_digest_equal(&s->digest, &it->row.model))
        world_fail(w, "committed digest differs from the model", it->row.round, 0);
    } else {
      s->evaluated_at = s->committed;
    }
    return;
  case XF_RECORD_ABANDON:
    r->abandoned = true;
    w->abandoned++;
    if (r->kind != XF_TASK_TRAIN) s->evaluated_at = s->committed;
    else if (w->hasty) s->abandoned_in_row++;
    else world_fail(w, "a round was abandoned although no deadline can pass", it->row.round, 0);
    return;
  case XF_RECORD_DONE: s->done = true; return;
  case XF_RECORD_STORED:
    if (!s->done || !w->c[it->row.member[0]].disk.final || s->final[it->row.member[0]])
      world_fail(w, "final model recorded as stored that is not, or twice", 0, it->row.member[0]);
    s->final[it->row.member[0]] = true;
    return;
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

static struct xf_coord_figures figures_of(const struct stored *u) {
  return (struct xf_coord_figures){u->begin.n_samples, u->begin.has_loss, u->begin.loss_sum,
                                   u->begin.loss_count, u->seconds};
}

/* Whose updates made the models so far. */
static void history(const struct server *s, struct xf_coord_history *out, size_t *n) {
  uint64_t commit = 0;
  for (uint64_t k = 1; k <= s->last_round; k++) {
    const struct ledger_round *r = &s->round[k];
    if (!r->committed || r->kind != XF_TASK_TRAIN) continue;
    for (size_t p = 0; p < r->n_participant; p++)
      out[(*n)++] = (struct xf_coord_history){commit, r->participant[p],
                                              figures_of(&r->update[r->participant[p]])};
    commit++;
  }
}

uint64_t server_counted(const struct world *w, uint32_t i) {
  uint64_t n = 0;
  for (uint64_t k = 1; k <= w->s.last_round; k++) {
    const struct ledger_round *q = &w->s.round[k];
    n += q->kind == XF_TASK_TRAIN && q->committed && q->update[i].durable;
  }
  return n;
}

void server_start(struct world *w) {
  struct server *s = &w->s;
  struct xf_coord_accepted accepted[N_CLIENT * MAX_ROUND];
  struct xf_coord_history past[N_CLIENT * MAX_ROUND];
  struct xf_coord_recovery r = {.epoch = ++s->epoch,
                                .last_round = s->last_round,
                                .committed = s->committed,
                                .evaluated_at = s->evaluated_at,
                                .model_digest = s->digest,
                                .abandoned_in_row = s->abandoned_in_row,
                                .frozen = s->frozen,
                                .paused = s->paused,
                                .done = s->done,
                                .accepted = accepted,
                                .history = past};
  history(s, past, &r.n_history);
  uint64_t counted[N_CLIENT];
  for (uint32_t i = 0; i < N_CLIENT; i++) counted[i] = server_counted(w, i);
  r.counted = counted;
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
                                                                             : XF_OUTCOME_NONE,
                                                              figures_of(&q->update[i])};
  }
  struct xf_coord_held held[N_CLIENT];
  r.held = held;
  r.n_held = late_held(w, held);
  struct xf_coord_final final[N_CLIENT];
  r.final = final;
  for (uint32_t i = 0; i < N_CLIENT; i++)
    if (s->final[i]) final[r.n_final++] = (struct xf_coord_final){i, true};
  const struct ledger_round *o = &s->round[s->last_round];
  if (s->last_round && o->opened && !o->committed && !o->abandoned) {
    r.open.round = s->last_round;
    r.open.kind = o->kind;
    r.open.state = o->committing ? XF_ROUND_COMMITTING
                   : o->closing  ? XF_ROUND_CLOSING
                                 : XF_ROUND_COLLECTING;
    r.open.cohort = o->cohort;
    r.open.n_cohort = o->n_cohort;
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
    world_fail(w, xf_diag_text(&diag, XF_E_CORRUPT), s->last_round, 0);
    return;
  }
  for (uint32_t i = 0; i < N_CLIENT && !keys_wanted(w); i++) {
    const struct xf_plan_lens lens = moves_lens(w, i);
    xf_coord_set_lens(s->core, i, &lens);
  }
  s->up = true;
  s->tick_at = XF_TIME_NEVER;
  keys_start(w);
  server_feed(w, &(struct xf_coord_event){.type = XF_COORD_EV_TICK});
}

void server_crash(struct world *w) {
  struct server *s = &w->s;
  if (!s->up) return;
  s->up = false;
  s->generation++;
  xf_coord_free(s->core);
  s->core = NULL;
  memset(s->tmp, 0, sizeof s->tmp);
  memset(s->late, 0, sizeof s->late);
  memset(s->have, 0, sizeof s->have);
  for (uint32_t i = 0; i < N_CLIENT; i++)
    if (w->c[i].conn) world_cut(w, w->c[i].conn, 0.001);
  world_push(w, SERVER_START, 0.5 + xf_rng_double(&w->rng), NULL);
}
