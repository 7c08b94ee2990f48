/* Connections to the bare peer. */
#include "base/alloc.h"
#include "tools/bench/client.h"

enum { DIALS = 32 }; /* at a time */

static void on_open(void *arg, const struct xf_identity *peer) {
  struct line_end *e = arg;
  (void)peer;
  e->line->n_open++;
}

static void pump(struct line_end *e) {
  static const struct xf_digest task = {{1}};
  if (!e->sending) return;
  enum xf_rc rc = hub_pump(e->line->hub, e->conn, &task, &e->at);
  if (rc == XF_E_AGAIN) return;
  e->sending = false;
  if (rc) hub_fail(e->line->hub, rc, "bare peer", xf_rc_text(rc));
}

static void on_drain(void *arg) { pump(arg); }

static void on_msg(void *arg, const struct xf_msg *msg) {
  struct line_end *e = arg;
  e->line->n_acked += msg->type == XF_MSG_UPDATE_ACK;
}

static void on_close(void *arg, enum xf_rc rc, const struct xf_diag *diag) {
  struct line_end *e = arg;
  e->conn = NULL;
  e->line->n_closed++;
  if (!e->line->hub->ending)
    hub_fail(e->line->hub, rc ? rc : XF_E_UNREACHABLE, "bare peer", xf_diag_text(diag, rc));
}

static const struct xf_conn_handler handler = {on_open, on_msg, on_drain, on_close};

enum xf_rc line_open(struct line *line, struct hub *hub, const struct lab *lab, unsigned n) {
  char member[16];
  *line = (struct line){.hub = hub, .n = n, .port = lab->peer_port};
  line->end = xf_calloc(n, sizeof *line->end);
  lab_member(member, 0);
  return lab_tls(lab, &line->ctx, XF_PKI_ROLE_CLIENT, member);
}

enum xf_rc line_dial(struct line *line, unsigned n) {
  enum xf_rc rc = XF_OK;
  while (line->n_open < n && !rc) {
    while (line->n_dialed < n && line->n_dialed - line->n_open < DIALS) {
      struct line_end *e = &line->end[line->n_dialed++];
      e->line = line;
      e->conn = xf_conn_dial(&line->hub->net, line->ctx, "127.0.0.1", line->port, &handler, e);
    }
    rc = hub_wait(line->hub, &line->n_open, line->n_open + 1);
  }
  return rc;
}

enum xf_rc line_update(struct line *line, unsigned n, bool echo) {
  struct xf_msg begin = {.type = XF_MSG_UPDATE_BEGIN};
  begin.update_begin = (struct xf_msg_update_begin){
      .round = 1, .weight = echo ? 2 : 1, .n_samples = 1, .payload_len = line->hub->len};
  begin.update_begin.task_id.b[0] = 1;
  line->n_acked = 0;
  for (unsigned i = 0; i < n; i++) {
    struct line_end *e = &line->end[i];
    enum xf_rc rc = xf_conn_send(e->conn, &begin);
    if (rc) return xf_diag_set(line->hub->b->diag, rc, "bare peer: %s", xf_rc_text(rc));
    e->at = 0;
    e->sending = true;
    pump(e);
  }
  return hub_wait(line->hub, &line->n_acked, n);
}

void line_close(struct line *line) {
  if (!line->hub) return;
  line->hub->ending = true;
  for (unsigned i = 0; i < line->n_dialed; i++)
    if (line->end[i].conn) xf_conn_close(line->end[i].conn, false);
  while (line->n_closed < line->n_dialed) (void)uv_run(&line->hub->loop, UV_RUN_ONCE);
  xf_tls_ctx_free(line->ctx);
  xf_free(line->end);
  *line = (struct line){.hub = NULL};
}
