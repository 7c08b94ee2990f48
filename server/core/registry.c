/* Sessions: who is connected, who may be, heartbeats, and two sessions with one identity. */
#include "base/log.h"
#include "server/core/state.h"

#include <stdio.h>
#include <string.h>

enum { ALARM_S = 60 };

static void say_no(struct xf_coord *c, uint64_t conn, enum xf_rc code, uint32_t retry_ms,
                   const char *fix, const char *text) {
  struct xf_msg *msg = coord_send(c, conn, XF_MSG_REFUSED);
  msg->refused = (struct xf_msg_refused){xf_rc_name(code), text, fix, retry_ms};
  coord_act(c, XF_COORD_CLOSE)->conn = conn;
}

void registry_refuse(struct xf_coord *c, uint64_t conn, enum xf_rc code, uint32_t retry_ms,
                     const char *fix, const char *text) {
  uint32_t i = 0;
  const bool known = xf_map_get(&c->by_conn, &conn, sizeof conn, &i);
  xf_log(XF_LOG_WARN, "client_refused", XF_S("client", known ? c->m[i].info->id : ""),
         XF_S("code", xf_rc_name(code)), XF_S("reason", text), XF_S("fix", fix));
  say_no(c, conn, code, retry_ms, fix, text);
}

static void session_adopt(struct xf_coord *c, struct member *m, uint64_t conn) {
  m->conn = conn;
  m->ready = false;
  m->last_seen = c->now;
  m->ever_seen = true;
  m->ping_at = xf_time_add_ms(c->now, c->cfg.heartbeat_ms);
}

void registry_opened(struct xf_coord *c, uint64_t conn, const char *member_id) {
  uint32_t i = xf_coord_member_find(c, member_id);
  if (i == UINT32_MAX) {
    const char *fix = "ask the operator to add it to `members`",
               *text = coord_text(c, "member \"%s\" is not listed in federation \"%s\"", member_id,
                                  c->cfg.federation);
    xf_log(XF_LOG_WARN, "client_refused", XF_S("client", member_id),
           XF_S("code", xf_rc_name(XF_E_AUTH)), XF_S("reason", text), XF_S("fix", fix));
    say_no(c, conn, XF_E_AUTH, 60000, fix, text);
    return;
  }
  struct member *m = &c->m[i];
  if (m->challenger) {
    registry_refuse(c, conn, XF_E_CONFLICT, 5000, "stop the other process",
                    "two sessions of this identity are already being sorted out");
    return;
  }
  xf_map_set(&c->by_conn, &conn, sizeof conn, i);
  if (!m->conn) {
    session_adopt(c, m, conn);
    return;
  }
  /* Decision 17: ask the old session; silent for 2 s, the new one replaces it. */
  m->challenger = conn;
  m->held.set = false;
  m->challenge_until = xf_time_add_ms(c->now, 2000);
  coord_send(c, m->conn, XF_MSG_PING)->ping.nonce = c->epoch;
}

void registry_seen(struct xf_coord *c, struct member *m, uint64_t conn) {
  if (conn != m->conn) return;
  m->last_seen = c->now;
  if (!m->challenger) return;
  uint64_t second = m->challenger;
  m->challenger = 0;
  xf_map_remove(&c->by_conn, &second, sizeof second);
  const char *fix = "stop the other process, or revoke the certificate if there is none";
  xf_log(XF_LOG_ERROR, "second_session_refused", XF_S("client", m->info->id),
         XF_S("reason", "the first session is alive; a stolen key or two daemons"),
         XF_S("fix", fix));
  if (!xf_time_before(c->now,
                      m->alarm_after)) { /* whoever tries without end must not fill the ledger */
    m->alarm_after = xf_time_add_s(c->now, ALARM_S);
    coord_persist(c, XF_RECORD_ALARM, member_index(c, m))->text = "second live session refused";
  }
  say_no(c, second, XF_E_CONFLICT, 30000, fix,
         coord_text(c, "\"%s\" already has a live session", m->info->id));
}

void registry_hold(struct member *m, const struct xf_msg_hello *h) {
  m->held.set = true;
  m->held.minor_min = h->minor_min;
  m->held.chunk_max = h->chunk_max;
  m->held.features = h->features;
  (void)snprintf(m->held.software, sizeof m->held.software, "%s", h->software);
  (void)snprintf(m->held.run_id, sizeof m->held.run_id, "%s", h->run_id);
}

static void session_lost(struct xf_coord *c, struct member *m) {
  answer_lost(c, m);
  m->conn = 0;
  m->ready = false;
  m->ping_at = XF_TIME_NEVER;
  if (m->challenger) {
    session_adopt(c, m, m->challenger);
    m->challenger = 0;
    if (!m->held.set) return;
    m->held.set = false;
    registry_hello(c, m,
                   &(struct xf_msg_hello){.minor_min = m->held.minor_min,
                                          .software = m->held.software,
                                          .run_id = m->held.run_id,
                                          .chunk_max = m->held.chunk_max,
                                          .features = m->held.features});
  }
}

void registry_closed(struct xf_coord *c, uint64_t conn) {
  uint32_t i = 0;
  if (!xf_map_get(&c->by_conn, &conn, sizeof conn, &i)) return;
  xf_map_remove(&c->by_conn, &conn, sizeof conn);
  struct member *m = &c->m[i];
  if (m->challenger == conn) m->challenger = 0;
  else if (m->conn == conn) session_lost(c, m);
}

void registry_hello(struct xf_coord *c, struct member *m, const struct xf_msg_hello *h) {
  if (h->minor_min > XF_PROTO_MINOR) {
    registry_refuse(c, m->conn, XF_E_VERSION, 0,
                    "install a coordinator of the same release or newer",
                    coord_text(c, "this coordinator speaks crossfed/1.%d, the client needs 1.%u",
                               XF_PROTO_MINOR, h->minor_min));
    return;
  }
  if (h->run_id[0] && strcmp(h->run_id, c->cfg.run_id) != 0) {
    registry_refuse(c, m->conn, XF_E_CONFLICT, 60000,
                    "point the client at another state directory, or start it with --new-run",
                    coord_text(c, "the client has state of run \"%s\", this is run \"%s\"",
                               h->run_id, c->cfg.run_id));
    return;
  }
  const uint64_t lacks = xf_plan_features(c->cfg.plan) & ~h->features;
  if (lacks) {
    registry_refuse(c, m->conn, XF_E_UNSUPPORTED, 60000,
                    "install a client of the coordinator's release",
                    coord_text(c, "the plan's fed.encoding is %s, which this client does not know",
                               xf_plan_feature_text(lacks)));
    return;
  }
  if (m->ready) return; /* a second Hello says nothing new */
  m->ready = true;
  struct xf_msg *msg = coord_send(c, m->conn, XF_MSG_WELCOME);
  msg->welcome = (struct xf_msg_welcome){
      .minor = XF_PROTO_MINOR,
      .features = h->features & XF_PLAN_FEATURES_ALL,
      .epoch = c->epoch,
      .run_id = c->cfg.run_id,
      .federation = c->cfg.federation,
      .member = m->info->id,
      .domain = m->info->domain,
      .plan_digest = c->cfg.plan_digest,
      .heartbeat_ms = c->cfg.heartbeat_ms,
      .dead_after_ms = c->cfg.dead_after_ms,
      .chunk_max = h->chunk_max && h->chunk_max < XF_CHUNK_MAX ? h->chunk_max : XF_CHUNK_MAX,
      .committed = c->committed,
      .n_members = c->n};
  msg = coord_send(c, m->conn, XF_MSG_PLAN);
  msg->plan = (struct xf_msg_plan){c->cfg.plan_canonical, c->cfg.plan_canonical_len};
  xf_log(XF_LOG_INFO, "client_connected", XF_S("client", m->info->id),
         XF_S("domain", m->info->domain), XF_S("software", h->software));
  if (xf_plan_is_aligned(c->cfg.plan)) {
    if (m->aligned && c->frozen) {
      coord_act(c, XF_COORD_DIRECTORY)->conn = m->conn;
    } else if (!m->aligned) {
      struct xf_coord_action *a = coord_act(c, XF_COORD_ALIGN);
      a->conn = m->conn;
      a->member = member_index(c, m);
    }
  }
  round_member_ready(c, m);
}

void registry_tick(struct xf_coord *c) {
  for (uint32_t i = 0; i < c->n; i++) {
    struct member *m = &c->m[i];
    if (m->challenger && !xf_time_before(c->now, m->challenge_until)) {
      uint64_t old = m->conn;
      xf_log(XF_LOG_WARN, "session_replaced", XF_S("client", m->info->id));
      xf_map_remove(&c->by_conn, &old, sizeof old);
      coord_act(c, XF_COORD_CLOSE)->conn = old;
      session_lost(c, m);
    }
    if (!m->conn) continue;
    if (!xf_time_before(c->now, xf_time_add_ms(m->last_seen, c->cfg.dead_after_ms))) {
      uint64_t old = m->conn;
      xf_log(XF_LOG_WARN, "client_silent", XF_S("client", m->info->id),
             XF_F("silent_s", xf_time_diff_s(c->now, m->last_seen)));
      xf_map_remove(&c->by_conn, &old, sizeof old);
      coord_act(c, XF_COORD_CLOSE)->conn = old;
      session_lost(c, m);
      continue;
    }
    if (xf_time_before(c->now, m->ping_at)) continue;
    if (m->ready) coord_send(c, m->conn, XF_MSG_PING)->ping.nonce = c->epoch;
    m->ping_at = xf_time_add_ms(c->now, c->cfg.heartbeat_ms);
  }
}

struct xf_time registry_deadline(const struct xf_coord *c) {
  struct xf_time t = XF_TIME_NEVER;
  for (uint32_t i = 0; i < c->n; i++) {
    if (c->m[i].conn) {
      t = xf_time_min(t, c->m[i].ping_at);
      t = xf_time_min(t, xf_time_add_ms(c->m[i].last_seen, c->cfg.dead_after_ms));
    }
    if (c->m[i].challenger) t = xf_time_min(t, c->m[i].challenge_until);
  }
  return t;
}
