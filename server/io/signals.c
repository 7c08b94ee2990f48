/* SIGTERM and SIGINT drain, a second one ends at once; SIGHUP reloads; SIGUSR1 prints the state. Reload itself. */
#include "base/log.h"
#include "server/io/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { CHANGED_MAX = 4096 };

enum xf_rc srv_log_open(struct srv *srv, struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  enum xf_rc rc = srv_state_path(&srv->st, path, "log.jsonl", diag);
  if (rc) return rc;
  const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (fd < 0)
    return xf_diag_set(diag, xf_rc_from_errno(errno), "cannot open \"%s\": %s", path,
                       strerror(errno));
  xf_log_set_file(fd, XF_LOG_INFO);
  if (srv->log_fd >= 0) (void)close(srv->log_fd); /* its lines are whole */
  srv->log_fd = fd;
  return XF_OK;
}

enum xf_rc srv_reload(struct srv *srv, struct xf_buf *changed, struct xf_diag *diag) {
  struct srv_config next;
  enum xf_rc rc = srv_config_load(&next, &srv->source, NULL, NULL, diag);
  if (rc) return rc;
  rc = srv_config_check_reload(&srv->cfg, &next, changed, diag);
  if (!rc) rc = xf_tls_ctx_reload(srv->tls, diag);
  if (!rc) rc = srv_log_open(srv, diag);
  if (!rc) {
    srv_config_apply(&srv->cfg, &next);
    xf_log_start(2, srv->cfg.log.format, srv->cfg.log.level, NULL);
    xf_log_set_run(srv->st.run_id);
    xf_log_set_file(srv->log_fd, XF_LOG_INFO);
  }
  srv_config_deinit(&next);
  if (rc) return rc;
  srv->watch_failed = false;
  srv_session_revoked(srv);
  srv_feed(srv,
           &(struct xf_coord_event){.type = XF_COORD_EV_COMMAND, .command = XF_COMMAND_MEMBERS});
  xf_log(XF_LOG_INFO, "reloaded", XF_S("changed", xf_buf_cstr(changed)));
  return XF_OK;
}

static void reload(struct srv *srv) {
  struct xf_buf changed;
  struct xf_diag diag;
  xf_buf_init(&changed, CHANGED_MAX);
  xf_diag_init(&diag);
  enum xf_rc rc = srv_reload(srv, &changed, &diag);
  if (rc) xf_log(XF_LOG_ERROR, "reload_failed", XF_S("reason", xf_diag_text(&diag, rc)));
  xf_buf_deinit(&changed);
}

static void on_signal(uv_signal_t *handle, int signum) {
  struct srv *srv = handle->data;
  switch (signum) {
  case SIGHUP: reload(srv); return;
  case SIGUSR1: srv_status_log(srv); return;
  default: break;
  }
  /* What is durable is enough to go on from: a second signal need not wait for anything. */
  if (srv->draining) _exit(128 + signum);
  srv->draining = true;
  srv_feed(srv, &(struct xf_coord_event){.type = XF_COORD_EV_COMMAND, .command = XF_COMMAND_DRAIN});
}

enum xf_rc srv_signals_start(struct srv *srv, struct xf_diag *diag) {
  static const int signals[SRV_SIGNALS] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
  for (int i = 0; i < SRV_SIGNALS; i++) {
    int error = uv_signal_init(&srv->loop, &srv->signal[i]);
    if (!error) {
      srv->n_signal++;
      srv->signal[i].data = srv;
      error = uv_signal_start(&srv->signal[i], on_signal, signals[i]);
    }
    if (error) return xf_diag_set(diag, XF_E_IO, "signal %d: %s", signals[i], uv_strerror(error));
  }
  return XF_OK;
}

void srv_signals_stop(struct srv *srv) {
  while (srv->n_signal) uv_close((uv_handle_t *)&srv->signal[--srv->n_signal], NULL);
}
