/*
 * The round machine: one dispatch function (round_step), one handler per state. Every arrow is one ledger
 * record; a state is entered only when its record is durable. @source operations.md 4.3, decision 2
 */
#include "base/assert.h"
#include "base/fail.h"
#include "base/log.h"
#include "fed/select.h"
#include "server/core/state.h"

#include <math.h>
#include <string.h>

enum { ABANDON_LIMIT = 3, RETRY_SPACE_S = 5 };

const char *xf_round_state_name(enum xf_round_state state) {
  static const char *const names[] = {
#define STATE_NAME(n, t) t,
      XF_ROUND_STATE_LIST(STATE_NAME)
#undef STATE_NAME
  };
  return (size_t)state < sizeof names / sizeof names[0] ? names[state] : "?";
}

void round_set(struct xf_coord *c, enum xf_round_state state) {
  xf_log(XF_LOG_DEBUG, "round_state", XF_U("round", c->round),
         XF_S("from", xf_round_state_name(c->state)), XF_S("to", xf_round_state_name(state)));
  c->state = state;
}

void round_stage(struct xf_coord *c) {
  c->stage_at = xf_plan_stage_at(c->cfg.plan, c->committed, NULL);
  c->stage = &c->cfg.plan->stages[c->stage_at];
}

/* Connected, and its keys are known where the plan needs them. */
static bool present(const struct xf_coord *c, const struct member *m) {
  return m->ready && (m->aligned || !xf_plan_is_aligned(c->cfg.plan) || XF_PLANTED("offer_early"));
}

/* Who only reads does no training. */
bool round_may_work(const struct xf_coord *c, const struct member *m) {
  if (!present(c, m)) return false;
  return c->done || c->kind == XF_TASK_EVALUATE || !m->reader;
}

uint64_t round_model_len(const struct xf_coord *c, const struct member *m) {
  return c->done || c->kind == XF_TASK_EVALUATE ? m->lens.all : m->lens.down[c->stage_at];
}

bool round_is_open(const struct xf_coord *c) {
  return c->state == XF_ROUND_SELECTING || c->state == XF_ROUND_BROADCASTING ||
         c->state == XF_ROUND_COLLECTING;
}

uint32_t round_quorum(const struct xf_coord *c) {
  const struct xf_select_rule rule = cohort_rule(c);
  return xf_select_quorum(&rule, cohort_members(c));
}

/* Whether an evaluation is due at this number of commits (decision 5). */
static bool evaluation_due(const struct xf_coord *c) {
  return c->evaluated_at != c->committed && xf_plan_evaluates_at(c->cfg.plan, c->committed);
}

void round_offer(struct xf_coord *c, struct member *m) {
  struct xf_msg *msg = coord_send(c, m->conn, XF_MSG_TASK_OFFER);
  if (m->offered_at.ns == XF_TIME_NEVER.ns) m->offered_at = c->now;
  const bool async = !c->done && async_trains(c);
  double left = c->done || async ? c->stage->fed.deadline_s : xf_time_diff_s(c->deadline, c->now);
  msg->task_offer = (struct xf_msg_task_offer){
      .task_id = m->task_id,
      .round = c->done ? c->last_round : m->issued,
      .stage = c->stage_at,
      .kind = c->done ? XF_TASK_FINAL : c->kind,
      .plan_digest = c->cfg.plan_digest,
      .base_digest = c->done ? c->model_digest : m->base,
      .layout_digest = c->cfg.layout_digest,
      .seed = c->cfg.plan->seed,
      .deadline_ms = left > 0 ? left < 4e6 ? (uint32_t)(left * 1000) : UINT32_MAX : 0,
      .cohort = async ? c->target : c->n_cohort,
      .model_len = round_model_len(c, m),
      .committed = c->done ? c->committed : m->base_at,
      .counted = m->counted};
  if (m->last_train.set) {
    msg->task_offer.prev_task_id = m->last_train.task_id;
    msg->task_offer.prev_outcome = m->last_train.outcome;
  }
}

void round_member_ready(struct xf_coord *c, struct member *m) {
  if (c->done) {
    m->final_sent = m->final_stored;
    if (m->final_stored) final_ack(c, m); /* the first may have been lost with a connection */
    else final_offer(c, m);
  } else if (m->selected && m->task == T_WAITING && round_may_work(c, m) && round_is_open(c) &&
             c->state != XF_ROUND_SELECTING && !async_trains(c)) {
    m->task = T_OFFERED;
    round_offer(c, m);
  }
}

static const char *stop_reason(struct xf_coord *c) {
  struct xf_buf text;
  xf_buf_init(&text, XF_REASON_LEN);
  const char *kept =
      xf_plan_stop_print(&text, &c->stop, c->cfg.plan) ? "early_stop" : xf_buf_cstr(&text);
  kept = coord_text(c, "%s", kept);
  xf_log(XF_LOG_INFO, "stopped", XF_U("committed", c->committed), XF_S("reason", kept));
  xf_buf_deinit(&text);
  return kept;
}

/* IDLE: decides what comes next and asks for disk space first. */
static void step_idle(struct xf_coord *c) {
  uint32_t connected = 0, aligned = 0, here = 0;
  for (uint32_t i = 0; i < c->n; i++) {
    connected += c->m[i].ready;
    here += present(c, &c->m[i]);
    aligned += c->m[i].aligned;
  }
  if (c->draining) {
    if (!c->exiting) {
      c->exiting = true;
      coord_act(c, XF_COORD_EXIT)->text = "drained";
    }
    return;
  }
  if (c->paused) {
    if (!c->wait[0]) coord_wait(c, "paused; continue with: crossfed resume");
    return;
  }
  if (c->abandoned_in_row >= ABANDON_LIMIT) { /* also after a crash before its row */
    c->paused = true;
    coord_persist(c, XF_RECORD_PAUSE, 0)->text = "three rounds in a row were abandoned";
    coord_wait(c, "paused: three rounds in a row were abandoned; see crossfed rounds, then resume");
    return;
  }
  if (!c->frozen) {
    if (c->freezing) return;
    if (aligned == c->n ||
        (aligned >= round_quorum(c) && !xf_time_before(c->now, c->align_until))) {
      c->freezing = true;
      coord_act(c, XF_COORD_FREEZE);
      return;
    }
    if (aligned && c->align_until.ns == XF_TIME_NEVER.ns)
      c->align_until = xf_time_add_s(c->now, c->stage->fed.select_timeout_s);
    coord_wait(c, "alignment: %u of %u members have announced their keys (%u connected)", aligned,
               c->n, connected);
    return;
  }
  bool evaluate = evaluation_due(c);
  const bool stop = xf_plan_stop_over(&c->stop, c->cfg.plan);
  if (async_on(c) && (evaluate || stop || c->committed >= c->rounds)) async_stop(c);
  if (!evaluate && (stop || c->committed >= c->rounds)) {
    round_set(c, XF_ROUND_DONE);
    struct xf_coord_record *r = coord_persist(c, XF_RECORD_DONE, 0);
    r->model_digest = c->model_digest;
    if (c->committed < c->rounds) r->text = stop_reason(c);
    return;
  }
  if (evaluate && here == 0) {
    coord_wait(c, "evaluation after commit %llu: no member is connected",
               (unsigned long long)c->committed);
    return;
  }
  if (c->reserving || xf_time_before(c->now, c->retry_at)) return;
  c->kind = evaluate ? XF_TASK_EVALUATE : XF_TASK_TRAIN;
  c->reserving = true;
  c->retry_at = (struct xf_time){0};
  struct xf_coord_action *a = coord_act(c, XF_COORD_RESERVE);
  a->round = c->last_round + 1;
  a->kind = c->kind;
}

void round_task(struct xf_coord *c, struct member *m, uint64_t round, const struct xf_digest *base,
                uint64_t committed) {
  m->selected = true;
  m->task = T_WAITING;
  m->issued = round;
  m->base = *base;
  m->base_at = committed;
  xf_coord_task_id(&m->task_id, c->cfg.run_id, round, m->info->id, base, &c->cfg.plan_digest);
}

/* The answer to RESERVE: with space, draws the cohort and opens the round. */
void round_reserved(struct xf_coord *c, enum xf_rc rc, const char *text) {
  if (!c->reserving || c->state != XF_ROUND_IDLE) return;
  c->reserving = false;
  if (c->paused || c->draining) return; /* asked for before the operator spoke */
  if (rc) {
    c->retry_at = xf_time_add_s(c->now, RETRY_SPACE_S);
    coord_wait(c, "round %llu not opened: %s; retrying", (unsigned long long)(c->last_round + 1),
               text ? text : xf_rc_text(rc));
    return;
  }
  struct xf_diag diag;
  xf_diag_init(&diag);
  c->round = c->last_round + 1;
  rc = cohort_draw(c, &diag);
  if (rc) {
    c->retry_at = xf_time_add_s(c->now, RETRY_SPACE_S);
    coord_wait(c, "round %llu not opened: %s", (unsigned long long)c->round,
               xf_diag_text(&diag, rc));
    return;
  }
  c->last_round = c->round;
  for (uint32_t i = 0; i < c->n; i++) {
    if (c->m[i].carried) continue;
    c->m[i].selected = c->m[i].given = false;
    c->m[i].task = T_NONE;
  }
  for (uint32_t k = c->n_carried; k < c->n_cohort; k++) {
    struct member *m = &c->m[c->cohort[k]];
    round_task(c, m, c->round, &c->model_digest, c->committed);
    m->done = m->total = m->received = 0;
    m->offered_at = XF_TIME_NEVER;
    c->cohort_task[k] = m->task_id;
  }
  c->wait[0] = '\0';
  round_set(c, XF_ROUND_SELECTING);
  c->select_until = XF_TIME_NEVER; /* starts when the record is durable */
  struct xf_coord_record *r = coord_persist(c, XF_RECORD_OPEN, 0);
  r->base_digest = c->model_digest;
  r->member = c->cohort + c->n_carried;
  r->task_id = c->cohort_task + c->n_carried;
  r->n_member = c->n_cohort - c->n_carried;
}

/* SELECTING: waits for enough of the selected members to be connected. */
static void step_selecting(struct xf_coord *c) {
  if (c->select_until.ns == XF_TIME_NEVER.ns) return; /* the OPEN record is in flight */
  if (async_trains(c)) {
    round_set(c, XF_ROUND_COLLECTING);
    return;
  }
  uint32_t here = 0;
  for (uint32_t k = 0; k < c->n_cohort; k++)
    here += present(c, &c->m[c->cohort[k]]) || c->m[c->cohort[k]].task == T_ANSWERED;
  bool timeout = !xf_time_before(c->now, c->select_until);
  if (here < c->n_cohort && !timeout) {
    coord_wait(c, "round %llu: %u of %u selected members are connected",
               (unsigned long long)c->round, here, c->n_cohort);
    return;
  }
  double s = c->kind == XF_TASK_EVALUATE ? c->stage->fed.eval_deadline_s : c->stage->fed.deadline_s;
  c->deadline = xf_time_add_s(c->now, s);
  c->hard_deadline = xf_time_add_s(c->now, 10 * s);
  round_set(c, XF_ROUND_BROADCASTING);
  for (uint32_t k = 0; k < c->n_cohort; k++) {
    struct member *m = &c->m[c->cohort[k]];
    if (!round_may_work(c, m) || m->task != T_WAITING) continue;
    m->task = T_OFFERED;
    round_offer(c, m);
  }
  xf_log(XF_LOG_INFO, "round_started", XF_U("round", c->round),
         XF_S("kind", xf_task_kind_name(c->kind)), XF_U("selected", c->n_cohort),
         XF_U("connected", here), XF_F("deadline_s", s));
}

struct tally {
  uint32_t answered, accepted, domains, offered, moving;
};

static struct tally tally_of(const struct xf_coord *c) {
  struct tally t = {0};
  for (uint32_t k = 0; k < c->n_cohort; k++) {
    const struct member *m = &c->m[c->cohort[k]];
    t.offered += m->task == T_OFFERED || m->task == T_WAITING;
    t.answered += m->task == T_ANSWERED || m->task == T_REFUSED;
    if (m->task != T_ANSWERED) {
      t.moving += m->task >= T_WORKING && m->task <= T_RECORDING && m->conn &&
                  xf_time_before(c->now, m->lease_until);
      continue;
    }
    t.accepted++;
    bool first = true;
    for (uint32_t j = 0; j < k && first; j++)
      first = c->m[c->cohort[j]].task != T_ANSWERED ||
              strcmp(c->m[c->cohort[j]].info->domain, m->info->domain) != 0;
    t.domains += first;
  }
  return t;
}

uint64_t round_weight(const struct xf_coord *c, const struct member *m) {
  return async_trains(c) ? async_weight(c, m) : m->begin.weight;
}

void round_close(struct xf_coord *c) {
  c->n_participant = 0;
  for (uint32_t i = 0; i < c->n; i++) { /* bytewise by id */
    if (!c->m[i].selected || c->m[i].task != T_ANSWERED) continue;
    c->weights[c->n_participant] = round_weight(c, &c->m[i]);
    c->participant[c->n_participant++] = i;
  }
  if (!async_trains(c)) answer_drop_all(c);
  round_set(c, XF_ROUND_CLOSING);
  struct xf_coord_record *r = coord_persist(c, XF_RECORD_CLOSING, 0);
  r->member = c->participant;
  r->weight = c->weights;
  r->n_member = c->n_participant;
}

void round_abandon(struct xf_coord *c, const char *reason) {
  answer_drop_all(c);
  round_set(c, XF_ROUND_ABANDONED);
  xf_log(XF_LOG_WARN, "round_abandoned", XF_U("round", c->round), XF_S("reason", reason));
  struct xf_coord_record *r = coord_persist(c, XF_RECORD_ABANDON, 0);
  r->text = reason;
}

/* BROADCASTING and COLLECTING: closes, waits or abandons (decision 2). */
static void step_collecting(struct xf_coord *c) {
  if (async_trains(c)) {
    async_collect(c);
    return;
  }
  struct tally t = tally_of(c);
  if (c->state == XF_ROUND_BROADCASTING && t.offered == 0) round_set(c, XF_ROUND_COLLECTING);
  for (uint32_t k = 0; k < c->n_cohort; k++)
    if (c->m[c->cohort[k]].task == T_RECORDING) return; /* its row decides; wait for it */
  bool deadline = !xf_time_before(c->now, c->deadline);
  if (deadline && t.moving && xf_time_before(c->now, c->hard_deadline)) {
    c->deadline = xf_time_min(xf_time_add_s(c->now, 1), c->hard_deadline);
    coord_wait(c, "round %llu: deadline extended, %u members are still moving",
               (unsigned long long)c->round, t.moving);
    return;
  }
  const struct xf_select_rule rule = cohort_rule(c);
  if (XF_PLANTED("quorum_off_by_one") && t.accepted + 1 == c->n_cohort) {
    round_close(c);
    return;
  }
  if (c->kind == XF_TASK_EVALUATE) {
    if (t.answered == c->n_cohort || deadline) round_close(c);
    return;
  }
  struct xf_select_state s = {cohort_members(c), c->n_cohort, t.answered,
                              t.accepted,        t.domains,   deadline};
  switch (xf_select_judge(&rule, &s)) {
  case XF_SELECT_CLOSE: round_close(c); return;
  case XF_SELECT_ABANDON:
    round_abandon(c, coord_text(c, "%u of %u answers from %u domains; needs %u from %u", t.accepted,
                                c->n_cohort, t.domains, round_quorum(c), rule.min_domains));
    return;
  case XF_SELECT_WAIT: break;
  }
}

/* The state at rest and the outcome of each participant, after COMMIT or ABANDON is durable. */
static void round_finish(struct xf_coord *c, enum xf_outcome outcome) {
  for (uint32_t i = 0; i < c->n; i++) {
    struct member *m = &c->m[i];
    if (m->last_train.set && m->last_train.round == c->round) {
      m->last_train.outcome = outcome;
      m->counted += outcome == XF_OUTCOME_COMMITTED;
    }
    if (async_trains(c) && async_lives(m)) continue;
    m->selected = m->given = m->carried = false;
    m->task = T_NONE;
  }
  coord_act(c, XF_COORD_COLLECT)->round = c->round;
  c->wait[0] = '\0';
  c->deadline = c->hard_deadline = c->select_until = XF_TIME_NEVER;
  c->n_cohort = 0;
  round_set(c, XF_ROUND_IDLE);
}

static void aggregate(struct xf_coord *c) {
  round_set(c, XF_ROUND_AGGREGATING);
  struct xf_coord_action *a = coord_act(c, XF_COORD_AGGREGATE);
  a->round = c->round;
  a->kind = c->kind;
  a->participant = c->participant;
  a->weight = c->weights;
  a->n_participant = c->n_participant;
  struct xf_digest *task = xf_arena_calloc(&c->arena, c->n_participant + 1, sizeof *task);
  uint64_t *staleness = xf_arena_calloc(&c->arena, c->n_participant + 1, sizeof *staleness);
  XF_ASSERT(task && staleness);
  for (uint32_t k = 0; k < c->n_participant; k++) {
    task[k] = c->m[c->participant[k]].task_id;
    staleness[k] = async_staleness(c, &c->m[c->participant[k]]);
  }
  a->participant_task = task;
  a->staleness = staleness;
}

void round_aggregated(struct xf_coord *c, const struct xf_coord_event *e) {
  if (c->state != XF_ROUND_AGGREGATING) return;
  if (e->rc) {
    round_abandon(c,
                  coord_text(c, "aggregation failed: %s", e->text ? e->text : xf_rc_text(e->rc)));
    return;
  }
  c->new_digest = c->kind == XF_TASK_TRAIN ? e->digest : c->model_digest;
  c->figure = e->figure;
  round_set(c, XF_ROUND_COMMITTING);
  coord_persist(c, XF_RECORD_COMMITTING, 0)->model_digest = c->new_digest;
}

static void commit_record(struct xf_coord *c) {
  struct xf_coord_record *r = coord_persist(c, XF_RECORD_COMMIT, 0);
  r->model_digest = c->new_digest;
  r->committed = c->committed + (c->kind == XF_TASK_TRAIN);
}

static void committed(struct xf_coord *c);

void round_published(struct xf_coord *c, enum xf_rc rc, const char *text) {
  if (c->state != XF_ROUND_COMMITTING) return;
  if (rc) { /* fsync and rename errors are fatal: recover from what is durable */
    coord_fail(c, rc, text ? text : xf_rc_text(rc));
    return;
  }
  commit_record(c);
  if (XF_PLANTED("commit_early")) committed(c);
}

static void committed(struct xf_coord *c) {
  round_set(c, XF_ROUND_COMMITTED);
  c->model_digest = c->new_digest;
  if (c->kind == XF_TASK_TRAIN) {
    cohort_learn(c);
    c->committed++;
    round_stage(c);
    c->abandoned_in_row = 0;
  } else {
    c->evaluated_at = c->committed;
    if (c->cfg.plan->early_stop.patience && isnan(c->figure))
      xf_log(XF_LOG_WARN, "early_stop_no_figure", XF_U("round", c->round),
             XF_S("metric", c->cfg.plan->early_stop.metric));
    xf_plan_stop_take(&c->stop, c->cfg.plan, c->committed, c->figure);
  }
  xf_log(XF_LOG_INFO, "round_committed", XF_U("round", c->round),
         XF_S("kind", xf_task_kind_name(c->kind)), XF_U("committed", c->committed),
         XF_U("clients", c->n_participant));
  round_finish(c, XF_OUTCOME_COMMITTED);
}

static void abandoned(struct xf_coord *c) {
  if (c->kind == XF_TASK_TRAIN) c->abandoned_in_row++;
  else c->evaluated_at = c->committed; /* one try; it never blocks the run */
  round_finish(c, XF_OUTCOME_DISCARDED);
}

void round_persisted(struct xf_coord *c, enum xf_coord_record_type type, uint32_t member,
                     enum xf_rc rc) {
  if (rc) { /* a ledger that cannot write must not let the run go on */
    coord_fail(c, rc, coord_text(c, "ledger: %s was not stored", xf_coord_record_name(type)));
    return;
  }
  switch (type) {
  case XF_RECORD_OPEN:
    if (c->state == XF_ROUND_SELECTING)
      c->select_until = xf_time_add_s(c->now, c->stage->fed.select_timeout_s);
    return;
  case XF_RECORD_UPDATE: answer_recorded(c, member); return;
  case XF_RECORD_CLOSING:
    if (c->state == XF_ROUND_CLOSING) aggregate(c);
    return;
  case XF_RECORD_COMMITTING:
    if (c->state != XF_ROUND_COMMITTING) return;
    if (c->kind == XF_TASK_TRAIN) coord_act(c, XF_COORD_PUBLISH)->round = c->round;
    else commit_record(c);
    return;
  case XF_RECORD_COMMIT:
    if (c->state == XF_ROUND_COMMITTING) committed(c);
    return;
  case XF_RECORD_ABANDON: abandoned(c); return;
  case XF_RECORD_DONE: c->done = true; return;
  case XF_RECORD_STORED: final_recorded(c, member); return;
  case XF_RECORD_VERDICT:
  case XF_RECORD_REFUSED:
  case XF_RECORD_PAUSE:
  case XF_RECORD_RESUME:
  case XF_RECORD_ALARM: return;
  }
}

static void step_once(struct xf_coord *c) {
  if (c->draining && round_is_open(c) && !xf_time_before(c->now, c->drain_until)) {
    c->exiting = true; /* the round stays in the ledger and is resumed at the next start */
    coord_act(c, XF_COORD_EXIT)->text = "drained; the open round will be resumed";
    return;
  }
  switch (c->state) {
  case XF_ROUND_IDLE: step_idle(c); return;
  case XF_ROUND_SELECTING: step_selecting(c); return;
  case XF_ROUND_BROADCASTING:
  case XF_ROUND_COLLECTING: step_collecting(c); return;
  case XF_ROUND_DONE: final_step(c); return;
  case XF_ROUND_CLOSING:
    if (c->pending_close) { /* recovered here: the list is already durable */
      c->pending_close = 0;
      aggregate(c);
    }
    return;
  case XF_ROUND_AGGREGATING:
  case XF_ROUND_COMMITTING:
  case XF_ROUND_COMMITTED:
  case XF_ROUND_ABANDONED: return; /* an event moves these on */
  }
}

void round_step(struct xf_coord *c) {
  enum xf_round_state before;
  do {
    before = c->state;
    if (!c->exiting) step_once(c);
  } while (c->state != before);
}

/* Of a deadline that has passed a tick can make no more: an event is awaited. */
static struct xf_time ahead(const struct xf_coord *c, struct xf_time t) {
  return xf_time_before(c->now, t) ? t : XF_TIME_NEVER;
}

struct xf_time round_deadline(const struct xf_coord *c) {
  struct xf_time t = XF_TIME_NEVER;
  if (c->state == XF_ROUND_IDLE) {
    t = xf_time_min(t, ahead(c, c->retry_at));
    if (!c->frozen) t = xf_time_min(t, ahead(c, c->align_until));
  }
  if (c->state == XF_ROUND_SELECTING) t = xf_time_min(t, ahead(c, c->select_until));
  if (c->state == XF_ROUND_BROADCASTING || c->state == XF_ROUND_COLLECTING)
    t = xf_time_min(t, ahead(c, c->deadline));
  if (c->draining && !c->exiting) t = xf_time_min(t, ahead(c, c->drain_until));
  return t;
}
