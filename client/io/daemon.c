/* The loop: start, signals, the core's deadline, jobs that come back, a clean end. */
#include "client/io/daemon.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/str.h"
#include "client/io/parts.h"
#include "client/io/provision.h"
#include "crypto/random.h"
#include "tensor/blas.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WATCH_MS = 2000, LOST_AFTER_FINAL = 8, PATIENCE_MS = 1500 };

enum xf_rc client_path(const struct xf_client *c, char out[XF_PATH_MAX], const char *name) {
  return xf_fs_join(out, c->cfg.state_dir, name);
}

/* --- events and actions --- */

static void feed_one(struct xf_client *c, const struct xf_session_event *event) {
  c->feeding = true;
  xf_session_feed(c->session, xf_time_now(), event);
  for (const struct xf_session_action *a; (a = xf_session_next(c->session));) client_perform(c, a);
  c->feeding = false;
}

/* Connections lost since the final model was answered for. */
static void note_lost(struct xf_client *c, enum xf_session_event_type type) {
  const bool answered = c->final_stored || xf_session_final_refusal(c->session) != XF_OK;
  c->n_lost_after_final += type == XF_SESSION_EV_LOST && answered;
}

/* With exit_when_done a silo leaves once the coordinator has on record that it stored the final model. A coordinator that
   does not come back has ended without our hearing of it: after several attempts it is taken as gone. */
static void leave(struct xf_client *c) {
  const bool gone = c->n_lost_after_final >= LOST_AFTER_FINAL;
  const enum xf_rc refusal = xf_session_final_refusal(c->session);
  if (!c->cfg.exit_when_done || c->exiting ||
      xf_session_get_state(c->session) == XF_SESSION_STOPPED)
    return;
  if (c->final_stored && (gone || xf_session_is_over(c->session)))
    feed_one(c, &(struct xf_session_event){.type = XF_SESSION_EV_STOP});
  else if (refusal && gone) {
    xf_log(XF_LOG_ERROR, "fatal", XF_S("what", "the final model was not stored"),
           XF_S("code", xf_rc_name(refusal)),
           XF_S("reason", "the coordinator does not come back to offer it again"));
    c->fatal = refusal;
    feed_one(c, &(struct xf_session_event){.type = XF_SESSION_EV_STOP});
  }
}

void client_feed(struct xf_client *c, const struct xf_session_event *event) {
  if (c->feeding) {
    XF_ASSERT(c->n_later < CLIENT_LATER);
    struct client_later *l = &c->later[c->n_later++];
    l->event = *event;
    if (event->text) (void)snprintf(l->text, sizeof l->text, "%s", event->text);
    return;
  }
  feed_one(c, event);
  note_lost(c, event->type);
  while (c->n_later > 0) {
    struct client_later l = c->later[0];
    memmove(c->later, c->later + 1, --c->n_later * sizeof l);
    if (l.event.text) l.event.text = l.text;
    feed_one(c, &l.event);
    note_lost(c, l.event.type);
  }
  leave(c);
  /* On the way out the end comes from the loop, never from inside a job's or a connection's callback. */
  if (!c->closed)
    xf_timer_set(&c->tick, c->exiting ? xf_time_now() : xf_session_deadline(c->session));
}

/* By the core, which says goodbye; when that has ended already and only HTTP is left, at once. */
static void ask_to_stop(struct xf_client *c) {
  if (!c->staying) {
    client_feed(c, &(struct xf_session_event){.type = XF_SESSION_EV_STOP});
    return;
  }
  c->staying = false;
  client_exit(c, XF_OK, "stopped");
  xf_timer_set(&c->tick, xf_time_now());
}

void client_fail(struct xf_client *c, enum xf_rc rc, const char *what, const char *text) {
  xf_log(XF_LOG_ERROR, "fatal", XF_S("what", what), XF_S("code", xf_rc_name(rc)),
         XF_S("reason", text),
         XF_S("fix", rc == XF_E_NOSPACE ? "make room below state_dir and start again: the answers "
                                          "that were stored are sent then, others are made again"
                                        : ""));
  if (!c->fatal) c->fatal = rc;
  ask_to_stop(c);
}

void client_exit(struct xf_client *c, enum xf_rc rc, const char *text) {
  if (c->exiting) return;
  if (!rc && !c->fatal && !c->n_stop && c->serving.on && !c->cfg.exit_when_done) {
    c->staying = true;
    xf_log(XF_LOG_INFO, "staying", XF_S("reason", text ? text : ""));
    return;
  }
  c->exiting = true;
  c->patience = xf_time_add_ms(xf_time_now(), PATIENCE_MS);
  if (c->serving.api) xf_api_set_state(c->serving.api, XF_API_STOPPING);
  client_cancel(c);
  c->status = xf_rc_exit(c->fatal ? c->fatal : rc);
  xf_log(c->status ? XF_LOG_ERROR : XF_LOG_INFO, "stopping", XF_I("status", c->status),
         XF_S("reason", text ? text : ""));
}

/* A job looks at its cancel flag where that is safe and cheap; one that does not get there in time is left behind. All it
   would have left on disk comes with a rename or a transaction, so this is a crash that was asked for. */
static void end(struct xf_client *c) {
  client_shutdown(c);
  if (c->closed) return;
  if (xf_time_before(xf_time_now(), c->patience)) {
    xf_timer_set(&c->tick, c->patience);
    return;
  }
  xf_log(XF_LOG_WARN, "work_left_behind",
         XF_S("reason", "it did not end in time; the next start does it again"));
  xf_log(XF_LOG_INFO, "stopped", XF_I("status", c->status));
  _exit(c->status);
}

static void on_tick(void *arg) {
  struct xf_client *c = arg;
  if (c->exiting) end(c);
  else client_feed(c, &(struct xf_session_event){.type = XF_SESSION_EV_TICK});
}

static void on_beat(void *arg) { client_beat(arg); }

/* --- jobs --- */

static void run_job(struct xf_job *job) {
  struct client_job *j = (struct client_job *)job;
  j->work(j);
}

void client_submit(struct xf_client *c, struct client_job *job, void (*work)(struct client_job *),
                   void (*done)(struct client_job *)) {
  job->job.run = run_job;
  job->client = c;
  job->work = work;
  job->done = done;
  xf_diag_init(&job->diag);
  xf_worker_submit(c->worker, &job->job);
}

static void on_wake(void *arg) {
  struct xf_client *c = arg;
  for (struct xf_job *j; (j = xf_worker_take(c->worker));) {
    struct client_job *job = (struct client_job *)j;
    job->done(job);
  }
  client_shutdown(c);
}

/* --- certificates, config, leaving --- */

static void reload_trust(struct xf_client *c) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  enum xf_rc rc = xf_tls_ctx_reload(c->tls, &diag);
  xf_log(rc ? XF_LOG_ERROR : XF_LOG_INFO,
         rc ? "certificates_not_reloaded" : "certificates_reloaded",
         XF_S("reason", rc ? xf_diag_text(&diag, rc) : ""));
  if (rc || !c->link) return;
  if (xf_pki_is_revoked(xf_tls_ctx_store(c->tls), xf_conn_peer_serial(c->link->conn)))
    client_revoked(c);
}

static void on_changed(void *arg, const struct xf_conf_key *key) {
  (void)arg;
  if (key->reload != XF_CONF_LIVE)
    xf_log(XF_LOG_WARN, "config_needs_restart", XF_S("key", key->path));
}

static void reload_config(struct xf_client *c) {
  struct xf_client_config *next = xf_alloc(sizeof *next);
  struct xf_diag diag;
  enum xf_conf_reload strongest = XF_CONF_LIVE;
  xf_diag_init(&diag);
  enum xf_rc rc = xf_client_config_load(next, &c->source, NULL, &diag);
  if (rc) {
    xf_log(XF_LOG_ERROR, "config_not_reloaded", XF_S("reason", xf_diag_text(&diag, rc)));
  } else {
    (void)xf_conf_diff(xf_client_config_schema(), &c->cfg, next, &strongest, on_changed, NULL);
    c->cfg.log = next->log;
    xf_log_start(2, c->cfg.log.format, c->cfg.log.level, c->cfg.member);
    if (c->run[0]) xf_log_set_run(c->run);
    xf_log(XF_LOG_INFO, "config_reloaded");
    xf_conf_deinit_target(xf_client_config_schema(), next);
  }
  xf_free(next);
}

static void on_watch(void *arg) {
  struct xf_client *c = arg;
  xf_timer_set(&c->watch, xf_time_add_ms(xf_time_now(), WATCH_MS));
  if (xf_pki_store_changed(xf_tls_ctx_store(c->tls))) reload_trust(c);
  client_expired(c, xf_wall_now_s());
}

/* --- signals --- */

static void on_signal(uv_signal_t *handle, int number) {
  struct xf_client *c = handle->data;
  if (number == SIGHUP) {
    reload_config(c);
    reload_trust(c);
    client_http_reload(c);
    client_feed(c, &(struct xf_session_event){.type = XF_SESSION_EV_WAKE});
  } else if (number == SIGUSR1) {
    xf_log(XF_LOG_INFO, "state", XF_S("doing", xf_session_reason(c->session)),
           XF_U("released", c->account.released), XF_B("pending_work", c->running != NULL),
           XF_B("final", c->final_stored));
  } else if (c->n_stop++ == 0) {
    xf_log(XF_LOG_INFO, "signal", XF_I("number", number));
    ask_to_stop(c);
  } else {
    _exit(128 + number); /* the state survives a crash, so it survives this */
  }
}

static enum xf_rc start_signals(struct xf_client *c) {
  static const int number[CLIENT_SIGNALS] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
  for (int i = 0; i < CLIENT_SIGNALS; i++) {
    if (uv_signal_init(&c->loop, &c->signal[i])) return XF_E_IO;
    c->signal[i].data = c;
    if (uv_signal_start(&c->signal[i], on_signal, number[i])) return XF_E_IO;
  }
  return XF_OK;
}

/* --- start and end --- */

void client_shutdown(struct xf_client *c) {
  if (!c->exiting || c->closed || c->feeding || xf_worker_outstanding(c->worker) > 0) return;
  c->closed = true;
  client_hang_up(c);
  xf_worker_stop(c->worker);
  c->worker = NULL;
  xf_mailbox_close(&c->mailbox, NULL);
  xf_timer_close(&c->tick, NULL);
  xf_timer_close(&c->beat, NULL);
  xf_timer_close(&c->watch, NULL);
  for (int i = 0; i < CLIENT_SIGNALS; i++) uv_close((uv_handle_t *)&c->signal[i], NULL);
}

static void make_session(struct xf_client *c, const struct xf_session_recovery *r) {
  struct xf_session_config sc = {.software = XF_CLIENT_SOFTWARE,
                                 .policy = c->cfg.policy,
                                 .jitter_key = xf_random_u64(),
                                 .backoff_min_s = c->cfg.backoff.min_s,
                                 .backoff_max_s = c->cfg.backoff.max_s};
  memcpy(sc.federation, c->cfg.federation, sizeof sc.federation);
  memcpy(sc.member, c->cfg.member, sizeof sc.member);
  memcpy(sc.run_id, c->run, sizeof sc.run_id);
  c->session = xf_session_new(&sc, r);
}

/* Handles that were not initialised must not be closed: this runs to its end or the program ends. */
static enum xf_rc start_loop(struct xf_client *c, struct xf_diag *diag) {
  enum xf_rc rc = uv_loop_init(&c->loop) ? XF_E_IO : XF_OK;
  if (rc) return xf_diag_set(diag, rc, "the event loop cannot be made");
  xf_net_init(&c->net, &c->loop, NULL);
  rc = xf_mailbox_open(&c->mailbox, &c->loop, on_wake, c);
  if (!rc) rc = xf_worker_start(&c->worker, 1, xf_mailbox_wake, &c->mailbox);
  if (!rc) rc = start_signals(c);
  xf_timer_open(&c->tick, &c->loop, on_tick, c);
  xf_timer_open(&c->beat, &c->loop, on_beat, c);
  xf_timer_open(&c->watch, &c->loop, on_watch, c);
  if (rc) return xf_diag_set(diag, rc, "threads or signals cannot be set up: %s", xf_rc_text(rc));
  xf_timer_set(&c->watch, xf_time_add_ms(xf_time_now(), WATCH_MS));
  return XF_OK;
}

static enum xf_rc start(struct xf_client *c, struct xf_diag *diag) {
  struct xf_session_recovery r;
  struct xf_blas_info blas;
  enum xf_rc rc = client_provision(&c->tls, &c->align_key, &c->cfg, diag);
  if (!rc) rc = xf_lock_take(&c->lock, c->cfg.state_dir, diag);
  if (!rc) rc = client_outbox_open(c, &r, diag);
  if (!rc) rc = xf_blas_start(&blas, diag);
  if (rc) return rc;
  if (c->run[0]) xf_log_set_run(c->run);
  if (c->has_plan) {
    xf_policy_effect_get(&c->effect, &c->cfg.policy, c->plan);
    client_privacy_print(c);
  }
  rc = client_http_start(c, diag);
  if (!rc) rc = start_loop(c, diag);
  if (rc) return rc;
  make_session(c, &r);
  client_serving_restore(c);
  return XF_OK;
}

static void release(struct xf_client *c) {
  client_http_stop(c);
  if (c->model_open) (void)c->model.fs->close(&c->model); /* a cache */
  xf_session_free(c->session);
  xf_silo_free(c->silo);
  xf_free(c->plan);
  xf_free(c->base);
  for (int k = 0; k < XF_SPACES_MAX; k++) xf_free(c->align.space[k].holders);
  xf_outbox_close(c->outbox);
  xf_secret_deinit(&c->align_key);
  xf_tls_ctx_free(c->tls);
  xf_lock_give(&c->lock);
}

int xf_daemon_run(const struct xf_client_config *config, const struct xf_client_source *source) {
  struct xf_client *c = xf_calloc(1, sizeof *c);
  struct xf_diag diag;
  c->cfg = *config;
  c->source = *source;
  c->fs = xf_fs_posix();
  c->lock.fd = -1;
  xf_diag_init(&diag);
  xf_log_start(2, c->cfg.log.format, c->cfg.log.level, c->cfg.member);
  (void)signal(SIGPIPE, SIG_IGN);
  enum xf_rc rc = start(c, &diag);
  if (rc) {
    xf_log(XF_LOG_ERROR, "not_started", XF_S("reason", xf_diag_text(&diag, rc)));
    const int status = xf_rc_exit(rc);
    release(c);
    xf_free(c);
    return status;
  }
  xf_log(XF_LOG_INFO, "started", XF_S("software", XF_CLIENT_SOFTWARE),
         XF_S("coordinator", c->cfg.coordinator), XF_I("pid", (int64_t)getpid()));
  client_feed(c, &(struct xf_session_event){.type = XF_SESSION_EV_START});
  (void)uv_run(&c->loop, UV_RUN_DEFAULT);
  const int left = uv_loop_close(&c->loop);
  if (left) xf_log(XF_LOG_ERROR, "loop_not_empty", XF_S("reason", uv_strerror(left)));
  const int status = c->status;
  xf_log(XF_LOG_INFO, "stopped", XF_I("status", status));
  xf_net_deinit(&c->net);
  release(c);
  xf_free(c);
  return left && !status ? XF_EXIT_FAILED : status;
}

enum xf_rc xf_daemon_check(const struct xf_client_config *config, struct xf_diag *diag) {
  struct xf_tls_ctx *tls = NULL;
  struct xf_secret key = {0};
  enum xf_rc rc = client_provision(&tls, &key, config, diag);
  if (!rc) rc = client_provision_state(config, diag);
  xf_secret_deinit(&key);
  xf_tls_ctx_free(tls);
  return rc;
}
