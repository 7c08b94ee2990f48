/* The loop: opening everything in order, feeding the core, closing everything. */
#include "server/io/daemon.h"

#include "base/alloc.h"
#include "base/log.h"
#include "server/io/version.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* OUT_MAX: one chunk of the model waits in a connection at most; the kernel's own buffer keeps the line busy. */
enum { WATCH_MS = 2000, RETRY_MS = 1000, OUT_MAX = 32 * 1024 };

/* --- feeding ------------------------------------------------------------------------------------------------------ */

static void post(struct srv *srv, const struct xf_coord_event *e) {
  if (srv->n_queue == srv->cap_queue) {
    srv->cap_queue = srv->cap_queue ? 2 * srv->cap_queue : 16;
    srv->queue = xf_realloc_array(srv->queue, srv->cap_queue, sizeof *srv->queue);
  }
  struct srv_event *q = &srv->queue[srv->n_queue++];
  *q = (struct srv_event){*e, e->text ? xf_strdup(e->text) : NULL};
  q->e.text = q->text;
  q->e.msg = NULL; /* messages are never fed from inside an action */
  q->e.member_id = NULL;
}

static void feed_one(struct srv *srv, const struct xf_coord_event *e) {
  xf_coord_feed(srv->coord, xf_time_now(), e);
  for (const struct xf_coord_action *a; (a = xf_coord_next(srv->coord));) srv_perform(srv, a);
}

void srv_feed(struct srv *srv, const struct xf_coord_event *event) {
  if (srv->stopping) return;
  if (srv->feeding) {
    post(srv, event);
    return;
  }
  srv->feeding = true;
  feed_one(srv, event);
  for (size_t at = 0; at < srv->n_queue; at++) {
    struct srv_event q = srv->queue[at]; /* the array may move */
    if (!srv->stopping) feed_one(srv, &q.e);
    xf_free(q.text);
  }
  srv->n_queue = 0;
  srv->feeding = false;
  if (!srv->stopping) xf_timer_set(&srv->timer, xf_coord_deadline(srv->coord));
}

static void on_time(void *arg) {
  srv_feed(arg, &(struct xf_coord_event){.type = XF_COORD_EV_TICK});
}

static void on_check(uv_check_t *check) { srv_flush(check->data); }

static void on_idle(uv_idle_t *idle) {
  struct srv *srv = idle->data;
  bool more = srv->n_record > 0;
  for (size_t i = 0; i < srv->n_session; i++)
    if (srv_serve_ready(srv->session[i])) srv_serve_pump(srv->session[i]);
  for (size_t i = 0; i < srv->n_session && !more; i++) more = srv_serve_ready(srv->session[i]);
  if (!more) (void)uv_idle_stop(idle); /* cannot fail */
}

void srv_turn(struct srv *srv) {
  if (!srv->stopping) (void)uv_idle_start(&srv->idle, on_idle); /* fails only without a callback */
}

/* --- workers ------------------------------------------------------------------------------------------------------ */

void srv_submit(struct srv *srv, struct srv_job *job, void (*run)(struct xf_job *job),
                void (*done)(struct srv *srv, struct srv_job *job)) {
  job->job.run = run;
  job->done = done;
  xf_worker_submit(srv->pool, &job->job);
}

static void on_wake(void *arg) {
  struct srv *srv = arg;
  struct xf_job *job;
  while (srv->pool && (job = xf_worker_take(srv->pool))) {
    struct srv_job *j = (struct srv_job *)(void *)job;
    j->done(srv, j);
  }
}

/* --- ending ------------------------------------------------------------------------------------------------------- */

static void goodbye(struct srv *srv, const char *text) {
  for (size_t i = srv->n_session; i-- > 0;) {
    struct srv_session *s = srv->session[i];
    if (s->closing) continue;
    s->n_range = 0;
    if (s->open)
      srv_session_send(s, &(struct xf_msg){.type = XF_MSG_GOODBYE,
                                           .goodbye = {xf_rc_name(XF_E_AGAIN), text, RETRY_MS}});
    srv_session_close(s, s->open);
  }
}

static void close_handle(uv_handle_t *handle) {
  if (handle->loop && !uv_is_closing(handle)) uv_close(handle, NULL); /* no loop: never opened */
}

static void record_seen(struct srv *srv) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  const enum xf_rc rc = srv_seen_flush(&srv->st, &diag);
  if (rc) xf_log(XF_LOG_ERROR, "ledger_failed", XF_S("reason", xf_diag_text(&diag, rc)));
}

void srv_stop(struct srv *srv, int status, const char *text) {
  if (srv->stopping) return;
  srv->stopping = true;
  srv->status = status;
  xf_log(status ? XF_LOG_ERROR : XF_LOG_INFO, "stopping", XF_S("reason", text),
         XF_I("status", status));
  if (!status) srv_flush(srv);
  goodbye(srv, "the coordinator is stopping; it goes on from here when it is back");
  if (!status) record_seen(srv);
  xf_listener_close(srv->listener);
  srv->listener = NULL;
  srv_admin_close(srv);
  srv_signals_stop(srv);
  xf_timer_close(&srv->timer, NULL);
  close_handle((uv_handle_t *)&srv->check);
  close_handle((uv_handle_t *)&srv->idle);
  close_handle((uv_handle_t *)&srv->watch);
  atomic_store(&srv->cancel, true);
  struct xf_worker *pool = srv->pool;
  srv->pool = NULL;
  for (struct xf_job *job; pool && (job = xf_worker_wait(pool));) {
    struct srv_job *j = (struct srv_job *)(void *)job;
    j->done(srv, j);
  }
  xf_worker_stop(pool);
  if (srv->mailbox.async.loop) xf_mailbox_close(&srv->mailbox, NULL);
}

void srv_fail(struct srv *srv, enum xf_rc rc, const char *what, const struct xf_diag *diag) {
  char text[XF_DIAG_LEN];
  (void)snprintf(text, sizeof text, "%s: %.500s", what, xf_diag_text(diag, rc));
  srv_stop(srv, xf_rc_exit(rc), text);
}

/* --- beginning ---------------------------------------------------------------------------------------------------- */

static enum xf_rc uv_rc(int error, const char *what, struct xf_diag *diag) {
  return error ? xf_diag_set(diag, XF_E_IO, "%s: %s", what, uv_strerror(error)) : XF_OK;
}

static void on_watch(uv_timer_t *timer) {
  struct srv *srv = timer->data;
  struct xf_diag diag;
  srv_session_expired(srv, xf_wall_now_s());
  if (!xf_pki_store_changed(xf_tls_ctx_store(srv->tls))) {
    srv->watch_failed = false;
    return;
  }
  xf_diag_init(&diag);
  enum xf_rc rc = xf_tls_ctx_reload(srv->tls, &diag);
  if (rc && !srv->watch_failed)
    xf_log(XF_LOG_ERROR, "trust_not_reloaded", XF_S("reason", xf_diag_text(&diag, rc)));
  srv->watch_failed = rc != XF_OK;
  if (rc) return;
  xf_log(XF_LOG_INFO, "trust_reloaded", XF_S("serial", xf_tls_ctx_own(srv->tls)->serial));
  srv_session_revoked(srv);
}

/* Everything that lives on the loop but sockets; after an error srv_stop closes what is there. */
static enum xf_rc loop_start(struct srv *srv, struct xf_diag *diag) {
  const double stall_s = srv->cfg.limits.stall_s;
  const struct xf_net_limits limits = {
      .handshake_ms = (uint32_t)(srv->cfg.limits.handshake_s * 1000),
      .slow_window_ms = (uint32_t)(stall_s * 1000),
      .out_max = OUT_MAX,
      .slow_bytes = (uint32_t)fmax(1, fmin(srv->cfg.limits.min_rate * stall_s, UINT32_MAX))};
  xf_net_init(&srv->net, &srv->loop, &limits);
  xf_timer_open(&srv->timer, &srv->loop, on_time, srv);
  enum xf_rc rc = uv_rc(uv_check_init(&srv->loop, &srv->check), "loop", diag);
  if (!rc) rc = uv_rc(uv_idle_init(&srv->loop, &srv->idle), "loop", diag);
  if (!rc) rc = uv_rc(uv_timer_init(&srv->loop, &srv->watch), "loop", diag);
  if (rc) return rc;
  srv->check.data = srv->idle.data = srv->watch.data = srv;
  rc = uv_rc(uv_check_start(&srv->check, on_check), "loop", diag);
  if (!rc) rc = uv_rc(uv_timer_start(&srv->watch, on_watch, WATCH_MS, WATCH_MS), "loop", diag);
  if (!rc) rc = xf_mailbox_open(&srv->mailbox, &srv->loop, on_wake, srv);
  return rc;
}

static enum xf_rc write_port(struct srv *srv, struct xf_diag *diag) {
  char text[16];
  const uint16_t port = xf_listener_port(srv->listener);
  const int n = snprintf(text, sizeof text, "%u\n", port);
  xf_log(XF_LOG_INFO, "listening", XF_S("address", srv->cfg.listen.address), XF_U("port", port));
  if (!srv->cfg.port_file[0]) return XF_OK;
  return xf_fs_replace(srv->st.fs, srv->cfg.port_file, text, (size_t)n, diag);
}

static enum xf_rc listen_start(struct srv *srv, struct xf_diag *diag) {
  char host[SRV_HOST];
  struct xf_listener_options o = {.host = host,
                                  .max_conns = srv->cfg.listen.max_connections,
                                  .ctx = srv->tls,
                                  .handler = &srv_conn_handler,
                                  .on_accept = srv_session_accept,
                                  .arg = srv};
  enum xf_rc rc = srv_config_listen(&srv->cfg, host, &o.port, diag);
  if (!rc) rc = xf_listener_open(&srv->listener, &srv->net, &o, diag);
  if (!rc) rc = srv_admin_open(srv, diag);
  if (!rc) rc = write_port(srv, diag);
  return rc;
}

static enum xf_rc core_new(struct srv *srv, struct xf_diag *diag) {
  const struct srv_state *st = &srv->st;
  struct srv_recovery r;
  struct xf_coord_config c = {.member = srv->cfg.members,
                              .n_member = srv->cfg.n_members,
                              .plan = &st->plan,
                              .plan_canonical = st->canonical.p,
                              .plan_canonical_len = st->canonical.len,
                              .plan_digest = st->plan_digest,
                              .layout_digest = st->layout_digest,
                              .heartbeat_ms = (uint32_t)(srv->cfg.limits.heartbeat_s * 1000),
                              .dead_after_ms = (uint32_t)(srv->cfg.limits.dead_after_s * 1000),
                              .max_transfers = srv->cfg.limits.max_transfers,
                              .drain_timeout_s = srv->cfg.limits.drain_timeout_s,
                              .min_rate = srv->cfg.limits.min_rate,
                              .exit_when_done = srv->cfg.exit_when_done};
  memcpy(c.federation, srv->cfg.federation, sizeof c.federation);
  memcpy(c.run_id, st->run_id, sizeof c.run_id);
  enum xf_rc rc = srv_recover(&srv->st, &r, diag);
  if (!rc) rc = xf_coord_new(&srv->coord, &c, &r.r, xf_time_now(), diag);
  srv_recovery_deinit(&r);
  for (uint32_t i = 0; i < st->n && !rc; i++)
    if (st->frozen && st->m[i].aligned) srv_set_lens(srv, i);
  return rc;
}

static enum xf_rc tls_start(struct srv *srv, struct xf_diag *diag) {
  const struct xf_tls_options o = {.cert_path = srv->cfg.tls.cert,
                                   .key_path = srv->cfg.tls.key,
                                   .ca_path = srv->cfg.tls.ca,
                                   .crl_path = srv->cfg.tls.crl[0] ? srv->cfg.tls.crl : NULL,
                                   .role = XF_PKI_ROLE_COORDINATOR};
  enum xf_rc rc = xf_tls_ctx_new(&srv->tls, &o, diag);
  if (rc) return rc == XF_E_NOTFOUND || rc == XF_E_FORMAT ? XF_E_CONFIG : rc;
  const struct xf_identity *id = &xf_tls_ctx_own(srv->tls)->identity;
  if (strcmp(id->federation, srv->cfg.federation) != 0)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "tls.cert: the certificate is of federation \"%s\", the config says \"%s\"",
                       id->federation, srv->cfg.federation);
  return XF_OK;
}

enum xf_rc srv_check(struct srv *srv, struct xf_diag *diag) {
  enum xf_rc rc = srv_state_init(&srv->st, &srv->cfg, diag);
  if (!rc) rc = tls_start(srv, diag);
  if (!rc) rc = srv_state_check(&srv->st, diag);
  xf_tls_ctx_free(srv->tls);
  srv->tls = NULL;
  srv_state_close(&srv->st);
  return rc;
}

static enum xf_rc open_all(struct srv *srv, bool new_run, struct xf_diag *diag) {
  enum xf_rc rc = srv_state_init(&srv->st, &srv->cfg, diag);
  if (!rc) rc = tls_start(srv, diag);
  if (!rc) rc = srv_state_open(&srv->st, new_run, diag);
  if (!rc) rc = srv_log_open(srv, diag);
  if (rc) return rc;
  xf_log_set_run(srv->st.run_id);
  srv->upload = xf_calloc(srv->st.n, sizeof(struct srv_upload *));
  rc = core_new(srv, diag);
  if (rc) return rc;
  xf_log(XF_LOG_INFO, "started", XF_S("software", SRV_SOFTWARE),
         XF_S("federation", srv->cfg.federation), XF_S("plan", srv->st.plan.name),
         XF_U("epoch", srv->st.epoch), XF_U("members", srv->st.n),
         XF_U("committed", srv->st.committed));
  srv->round_opened_us = (uint64_t)xf_wall_now_us();
  return XF_OK;
}

/* What the core hears first: who is aligned already, and that time passes. */
static void first_events(struct srv *srv) {
  for (uint32_t i = 0; i < srv->st.n && srv->st.spaces.n; i++)
    if (srv->st.m[i].aligned)
      srv_feed(srv, &(struct xf_coord_event){.type = XF_COORD_EV_ALIGNED, .member = i});
  srv_feed(srv, &(struct xf_coord_event){.type = XF_COORD_EV_TICK});
}

static void close_all(struct srv *srv) {
  for (size_t i = 0; i < srv->n_record; i++) srv_record_deinit(&srv->record[i]);
  xf_free(srv->record);
  xf_free(srv->queue);
  xf_free(srv->session);
  srv_upload_free_all(srv);
  xf_coord_free(srv->coord);
  xf_tls_ctx_free(srv->tls);
  xf_log_set_file(-1, XF_LOG_INFO);
  if (srv->log_fd >= 0) (void)close(srv->log_fd); /* written line by line, nothing is left in it */
  srv_state_close(&srv->st);
}

int srv_run(struct srv *srv, bool new_run) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  srv->log_fd = -1;
  enum xf_rc rc = open_all(srv, new_run, &diag);
  /* Only with the lock: the file may be that of the process that has it. */
  if (!rc && srv->cfg.port_file[0] && unlink(srv->cfg.port_file) == 0)
    xf_log(XF_LOG_DEBUG, "port_file_removed", XF_S("file", srv->cfg.port_file));
  if (rc || uv_loop_init(&srv->loop)) {
    if (!rc) rc = xf_diag_set(&diag, XF_E_IO, "no event loop");
    xf_log(XF_LOG_ERROR, "not_started", XF_S("code", xf_rc_name(rc)),
           XF_S("reason", xf_diag_text(&diag, rc)));
    close_all(srv);
    return xf_rc_exit(rc);
  }
  rc = loop_start(srv, &diag);
  if (!rc) rc = xf_worker_start(&srv->pool, srv->cfg.workers, xf_mailbox_wake, &srv->mailbox);
  if (!rc) rc = srv_signals_start(srv, &diag);
  if (!rc) rc = listen_start(srv, &diag);
  if (rc) srv_fail(srv, rc, "not started", &diag);
  else first_events(srv);
  (void)uv_run(&srv->loop, UV_RUN_DEFAULT); /* until every handle is closed */
  xf_net_deinit(&srv->net);
  if (uv_loop_close(&srv->loop)) {
    xf_log(XF_LOG_ERROR, "loop_not_empty", XF_S("reason", "a handle was left open"));
    if (!srv->status) srv->status = XF_EXIT_FAILED;
  }
  if (srv->cfg.port_file[0] && unlink(srv->cfg.port_file) != 0)
    xf_log(XF_LOG_DEBUG, "port_file_left", XF_S("file", srv->cfg.port_file));
  close_all(srv);
  return srv->status;
}
