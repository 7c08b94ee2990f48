#include "server/core/coord.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/log.h"
#include "crypto/blake2b.h"
#include "server/core/state.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ARENA_MAX = 64 * 1024 * 1024 };

void xf_coord_task_id(struct xf_digest *out, const char *run_id, uint64_t round, const char *member,
                      const struct xf_digest *base, const struct xf_digest *plan) {
  struct xf_blake2b_ctx ctx;
  xf_blake2b_init(&ctx, NULL);
  xf_blake2b_feed_field(&ctx, run_id, strlen(run_id));
  xf_blake2b_feed_u64(&ctx, round);
  xf_blake2b_feed_field(&ctx, member, strlen(member));
  xf_blake2b_feed(&ctx, base->b, XF_DIGEST_LEN);
  xf_blake2b_feed(&ctx, plan->b, XF_DIGEST_LEN);
  xf_blake2b_take(&ctx, out);
}

struct xf_coord_action *coord_act(struct xf_coord *c, enum xf_coord_action_type type) {
  if (c->n_action == c->cap_action) {
    c->cap_action = c->cap_action ? 2 * c->cap_action : 16;
    c->action = xf_realloc_array(c->action, c->cap_action, sizeof *c->action);
  }
  struct xf_coord_action *a = &c->action[c->n_action++];
  memset(a, 0, sizeof *a);
  a->type = type;
  return a;
}

struct xf_msg *coord_send(struct xf_coord *c, uint64_t conn, enum xf_msg_type type) {
  struct xf_coord_action *a = coord_act(c, XF_COORD_SEND);
  a->conn = conn;
  a->msg.type = type;
  return &a->msg;
}

const char *coord_text(struct xf_coord *c, const char *fmt, ...) {
  char text[XF_DIAG_LEN];
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  if (n < 0) text[0] = '\0';
  const char *kept = xf_arena_strdup(&c->arena, text);
  return kept ? kept : "";
}

void coord_fail(struct xf_coord *c, enum xf_rc rc, const char *text) {
  xf_log(XF_LOG_ERROR, "coordinator_failed", XF_U("round", c->round), XF_S("reason", text));
  c->failed = c->exiting = true;
  struct xf_coord_action *a = coord_act(c, XF_COORD_EXIT);
  a->rc = rc;
  a->text = text;
}

void coord_wait(struct xf_coord *c, const char *fmt, ...) {
  char text[XF_REASON_LEN];
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  if (n < 0) text[0] = '\0';
  if (text[0] && strcmp(text, c->wait) != 0)
    xf_log(XF_LOG_INFO, "waiting", XF_U("round", c->round), XF_S("reason", text));
  memcpy(c->wait, text, sizeof text);
}

struct xf_coord_record *coord_persist(struct xf_coord *c, enum xf_coord_record_type type,
                                      uint32_t member) {
  struct xf_coord_record *r = xf_arena_calloc(&c->arena, 1, sizeof *r);
  XF_ASSERT(r != NULL);
  r->type = type;
  r->round = c->round;
  r->kind = c->kind;
  r->stage = c->stage_at;
  r->committed = c->committed;
  struct xf_coord_action *a = coord_act(c, XF_COORD_PERSIST);
  a->record = r;
  a->token = TOKEN(type, member);
  a->member = member;
  return r;
}

enum xf_rc xf_coord_new(struct xf_coord **out, const struct xf_coord_config *config,
                        const struct xf_coord_recovery *recovery, struct xf_time now,
                        struct xf_diag *diag) {
  struct xf_coord *c = xf_calloc(1, sizeof *c);
  c->cfg = *config;
  if (!c->cfg.heartbeat_ms) c->cfg.heartbeat_ms = 10000;
  if (!c->cfg.dead_after_ms) c->cfg.dead_after_ms = 3 * c->cfg.heartbeat_ms;
  if (!c->cfg.max_transfers) c->cfg.max_transfers = 16;
  if (c->cfg.drain_timeout_s <= 0) c->cfg.drain_timeout_s = 30;
  if (c->cfg.min_rate <= 0) c->cfg.min_rate = 8192;
  c->rounds = xf_plan_rounds(config->plan);
  round_stage(c);
  c->n = (uint32_t)config->n_member;
  c->m = xf_calloc(c->n, sizeof *c->m);
  c->cohort = xf_calloc(c->n, sizeof *c->cohort);
  c->cohort_task = xf_calloc(c->n, sizeof *c->cohort_task);
  c->participant = xf_calloc(c->n, sizeof *c->participant);
  c->weights = xf_calloc(c->n, sizeof *c->weights);
  c->now = now;
  c->select_until = c->deadline = c->hard_deadline = XF_TIME_NEVER;
  c->drain_until = c->align_until = XF_TIME_NEVER;
  xf_arena_init(&c->arena, ARENA_MAX);
  xf_map_init(&c->by_conn);
  xf_map_init(&c->by_id);
  enum xf_rc rc = XF_OK;
  for (uint32_t i = 0; i < c->n && !rc; i++) {
    c->m[i].info = &config->member[i];
    c->m[i].ping_at = XF_TIME_NEVER;
    if (i && strcmp(config->member[i - 1].id, config->member[i].id) >= 0)
      rc = xf_diag_set(diag, XF_E_CONFIG, "members: \"%s\" is listed twice or not in order",
                       config->member[i].id);
    xf_map_set(&c->by_id, config->member[i].id, strlen(config->member[i].id), i);
  }
  if (!rc) rc = async_check(c, diag);
  if (!rc) rc = recover_apply(c, recovery, diag);
  if (rc) {
    xf_coord_free(c);
    return rc;
  }
  *out = c;
  return XF_OK;
}

void xf_coord_free(struct xf_coord *coord) {
  if (!coord) return;
  xf_map_deinit(&coord->by_conn);
  xf_map_deinit(&coord->by_id);
  xf_arena_deinit(&coord->arena);
  xf_select_memory_deinit(&coord->memory);
  xf_free(coord->m);
  xf_free(coord->cohort);
  xf_free(coord->cohort_task);
  xf_free(coord->participant);
  xf_free(coord->weights);
  xf_free(coord->action);
  xf_free(coord);
}

void xf_coord_set_lens(struct xf_coord *coord, uint32_t member, const struct xf_plan_lens *lens) {
  coord->m[member].lens = *lens;
}

void xf_coord_set_reader(struct xf_coord *coord, uint32_t member) {
  coord->m[member].reader = true;
}

uint32_t xf_coord_member_find(const struct xf_coord *coord, const char *id) {
  uint32_t i = 0;
  return xf_map_get(&coord->by_id, id, strlen(id), &i) ? i : UINT32_MAX;
}

/* A message of a connection: the member must have said Hello before anything else. */
static void coord_message(struct xf_coord *c, uint64_t conn, const struct xf_msg *msg) {
  uint32_t i = 0;
  if (!xf_map_get(&c->by_conn, &conn, sizeof conn, &i)) return; /* already closing */
  struct member *m = &c->m[i];
  registry_seen(c, m, conn);
  if (conn != m->conn) { /* a challenger: only its Hello is legal, and it waits */
    if (msg->type == XF_MSG_HELLO) registry_hold(m, &msg->hello);
    return;
  }
  if (msg->type == XF_MSG_HELLO) {
    registry_hello(c, m, &msg->hello);
  } else if (msg->type == XF_MSG_GOODBYE) {
    xf_log(XF_LOG_INFO, "client_goodbye", XF_S("client", m->info->id),
           XF_S("reason", msg->goodbye.text));
    coord_act(c, XF_COORD_CLOSE)->conn = conn;
  } else if (!m->ready) {
    registry_refuse(c, conn, XF_E_STATE, 1000, "send Hello first",
                    coord_text(c, "message %s before Hello", xf_msg_name(msg->type)));
  } else {
    answer_message(c, m, msg);
  }
}

static void coord_command(struct xf_coord *c, enum xf_coord_command command) {
  switch (command) {
  case XF_COMMAND_PAUSE:
    if (c->paused) return;
    c->paused = true;
    if (c->state == XF_ROUND_IDLE) c->wait[0] = '\0'; /* it waits for the operator now */
    coord_persist(c, XF_RECORD_PAUSE, 0)->text = "paused by the operator";
    return;
  case XF_COMMAND_RESUME:
    if (!c->paused) return;
    c->paused = false;
    c->wait[0] = '\0';
    c->abandoned_in_row = 0;
    coord_persist(c, XF_RECORD_RESUME, 0)->text = "resumed by the operator";
    return;
  case XF_COMMAND_DRAIN:
    if (c->draining) return;
    c->draining = true;
    c->drain_until = xf_time_add_s(c->now, c->cfg.drain_timeout_s);
    xf_log(XF_LOG_INFO, "draining", XF_U("round", c->round),
           XF_F("timeout_s", c->cfg.drain_timeout_s));
    return;
  case XF_COMMAND_MEMBERS: return; /* io changed limits in place; re-evaluate below */
  }
}

/* Announced after the freeze: its new keys stay its own, the directory is as it is. */
static void coord_aligned(struct xf_coord *c, struct member *m) {
  m->aligned = true;
  if (!c->frozen || !m->ready) return;
  coord_act(c, XF_COORD_DIRECTORY)->conn = m->conn;
  round_member_ready(c, m); /* it may work now */
}

static void coord_frozen(struct xf_coord *c, const struct xf_coord_event *event) {
  if (event->rc) {
    coord_fail(c, event->rc, event->text ? event->text : "the directory was not stored");
    return;
  }
  c->frozen = true;
  c->freezing = false;
  if (!xf_digest_is_zero(&event->digest))
    c->model_digest = event->digest; /* its rows are known now */
  for (uint32_t i = 0; i < c->n; i++)
    if (c->m[i].ready && c->m[i].aligned) coord_act(c, XF_COORD_DIRECTORY)->conn = c->m[i].conn;
}

void xf_coord_feed(struct xf_coord *coord, struct xf_time now, const struct xf_coord_event *event) {
  XF_ASSERT(coord->at_action == coord->n_action);
  coord->n_action = coord->at_action = 0;
  xf_arena_reset(&coord->arena);
  coord->now = now;
  coord->fed = true;
  if (coord->failed) return;
  switch (event->type) {
  case XF_COORD_EV_TICK: break;
  case XF_COORD_EV_OPENED: registry_opened(coord, event->conn, event->member_id); break;
  case XF_COORD_EV_CLOSED: registry_closed(coord, event->conn); break;
  case XF_COORD_EV_MESSAGE: coord_message(coord, event->conn, event->msg); break;
  case XF_COORD_EV_ALIGNED: coord_aligned(coord, &coord->m[event->member]); break;
  case XF_COORD_EV_FROZEN: coord_frozen(coord, event); break;
  case XF_COORD_EV_RESERVED: round_reserved(coord, event->rc, event->text); break;
  case XF_COORD_EV_SPOOLED: answer_spooled(coord, event->member, event->rc, event->text); break;
  case XF_COORD_EV_PERSISTED:
    round_persisted(coord, (enum xf_coord_record_type)(event->token >> 32), (uint32_t)event->token,
                    event->rc);
    break;
  case XF_COORD_EV_AGGREGATED: round_aggregated(coord, event); break;
  case XF_COORD_EV_PUBLISHED: round_published(coord, event->rc, event->text); break;
  case XF_COORD_EV_COMMAND: coord_command(coord, event->command); break;
  }
  registry_tick(coord);
  round_step(coord);
}

const struct xf_coord_action *xf_coord_next(struct xf_coord *coord) {
  return coord->at_action < coord->n_action ? &coord->action[coord->at_action++] : NULL;
}

struct xf_time xf_coord_deadline(const struct xf_coord *coord) {
  if (coord->failed) return XF_TIME_NEVER;
  if (!coord->fed) return coord->now; /* what was recovered goes on without waiting for anyone */
  return xf_time_min(registry_deadline(coord), round_deadline(coord));
}
