/* Dialling, and a connection's callbacks as the core's events. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/str.h"
#include "client/io/parts.h"

#include <stdio.h>
#include <string.h>

static void link_on_open(void *arg, const struct xf_identity *peer) {
  struct client_link *link = arg;
  if (link->detached) return;
  /* The list may have changed while the handshake was under way. */
  if (xf_pki_is_revoked(xf_tls_ctx_store(link->client->tls), xf_conn_peer_serial(link->conn))) {
    client_revoked(link->client);
    return;
  }
  xf_log(XF_LOG_DEBUG, "tls_open", XF_S("peer", peer->member),
         XF_S("address", xf_conn_address(link->conn)));
  client_feed(link->client, &(struct xf_session_event){.type = XF_SESSION_EV_DIALED});
}

static void link_on_msg(void *arg, const struct xf_msg *msg) {
  struct client_link *link = arg;
  struct xf_client *c = link->client;
  if (link->detached) return;
  if (msg->type == XF_MSG_WELCOME) {
    xf_log_set_run(c->run[0] ? c->run : msg->welcome.run_id); /* of the lines that follow */
    c->chunk_max = msg->welcome.chunk_max < XF_CHUNK_MAX ? msg->welcome.chunk_max : XF_CHUNK_MAX;
  }
  client_feed(c, &(struct xf_session_event){.type = XF_SESSION_EV_MESSAGE, .msg = msg});
}

static void link_on_drain(void *arg) {
  struct client_link *link = arg;
  struct xf_client *c = link->client;
  if (link->detached) return;
  while (c->n_held > 0) {
    if (xf_conn_send(link->conn, &c->held[0])) return; /* again, or on_close follows */
    memmove(c->held, c->held + 1, --c->n_held * sizeof c->held[0]);
  }
  client_upload_pump(c);
  client_manifest_pump(c);
}

/* Of this connection nothing follows: what was under way starts anew on the next one. */
static void forget(struct xf_client *c) {
  c->link = NULL;
  c->n_held = 0;
  c->upload.on = false;
  for (int k = 0; k < XF_SPACES_MAX; k++) c->align.space[k].wanted = false; /* asked again */
}

static void link_on_close(void *arg, enum xf_rc rc, const struct xf_diag *diag) {
  struct client_link *link = arg;
  struct xf_client *c = link->client;
  const bool detached = link->detached;
  xf_free(link);
  if (detached) {
    client_shutdown(c);
    return;
  }
  forget(c);
  client_feed(c, &(struct xf_session_event){.type = XF_SESSION_EV_LOST,
                                            .rc = rc,
                                            .text = rc == XF_OK ? "the connection ended"
                                                                : xf_diag_text(diag, rc)});
  client_shutdown(c);
}

static const struct xf_conn_handler handler = {link_on_open, link_on_msg, link_on_drain,
                                               link_on_close};

static enum xf_rc read_port(uint16_t *port, const struct xf_client *c, struct xf_diag *diag) {
  struct xf_buf text;
  uint64_t n = 0;
  xf_buf_init(&text, 64);
  enum xf_rc rc = xf_fs_read_file(c->fs, c->cfg.coordinator_port_file, &text, diag);
  size_t len = text.len;
  while (!rc && len && (text.p[len - 1] == '\n' || text.p[len - 1] == ' ')) len--;
  if (!rc && (!len || xf_str_u64(&n, (const char *)text.p, len) || n == 0 || n > UINT16_MAX))
    rc = xf_diag_set(diag, XF_E_FORMAT, "coordinator_port_file \"%s\" holds no port",
                     c->cfg.coordinator_port_file);
  xf_buf_deinit(&text);
  *port = (uint16_t)n;
  return rc;
}

void client_dial(struct xf_client *c) {
  char host[256], text[XF_DIAG_LEN];
  uint16_t port = 0;
  struct xf_diag diag;
  xf_diag_init(&diag);
  enum xf_rc rc = xf_client_config_address(host, &port, &c->cfg, &diag);
  if (!rc && c->cfg.coordinator_port_file[0]) rc = read_port(&port, c, &diag);
  if (rc) {
    (void)snprintf(text, sizeof text, "%s", xf_diag_text(&diag, rc));
    client_feed(c, &(struct xf_session_event){.type = XF_SESSION_EV_LOST, .rc = rc, .text = text});
    return;
  }
  struct client_link *link = xf_calloc(1, sizeof *link);
  link->client = c;
  c->link = link;
  c->n_held = 0;
  c->chunk_max = XF_CHUNK_MAX;
  link->conn = xf_conn_dial(&c->net, c->tls, host, port, &handler, link);
}

void client_hang_up(struct xf_client *c) {
  struct client_link *link = c->link;
  if (!link) return;
  forget(c);
  link->detached = true;
  xf_conn_close(link->conn, true);
  /* The core may believe in the connection still (a damaged chunk); resting or stopped it takes no notice. */
  client_feed(c, &(struct xf_session_event){.type = XF_SESSION_EV_LOST,
                                            .rc = XF_OK,
                                            .text = "the connection was given up"});
}

void client_revoked(struct xf_client *c) {
  xf_log(XF_LOG_ERROR, "coordinator_revoked", XF_S("address", xf_conn_address(c->link->conn)),
         XF_S("serial", xf_conn_peer_serial(c->link->conn)),
         XF_S("reason", "the coordinator's certificate was revoked; ask the operator for one "
                        "with a new certificate"));
  client_hang_up(c);
}

void client_expired(struct xf_client *c, int64_t now_s) {
  char when[XF_WALL_LEN];
  if (!c->link || xf_conn_state(c->link->conn) != XF_CONN_OPEN) return;
  const int64_t end_s = xf_conn_peer_not_after_s(c->link->conn);
  if (end_s >= now_s) return;
  xf_log(XF_LOG_ERROR, "coordinator_expired", XF_S("address", xf_conn_address(c->link->conn)),
         XF_S("serial", xf_conn_peer_serial(c->link->conn)),
         XF_S("not_after", xf_wall_print(when, end_s * 1000000)),
         XF_S("reason",
              "the coordinator's certificate expired during the session; ask its operator "
              "for a new one"));
  client_hang_up(c);
}

/* Whether a message is whole by value: only such ones can wait. */
static bool is_small(enum xf_msg_type type) {
  return type == XF_MSG_PING || type == XF_MSG_PONG || type == XF_MSG_PROGRESS ||
         type == XF_MSG_UPDATE_BEGIN || type == XF_MSG_MODEL_GET;
}

void client_send(struct xf_client *c, const struct xf_msg *msg) {
  if (!c->link) return; /* the core hears LOST next */
  enum xf_rc rc = c->n_held ? XF_E_AGAIN : xf_conn_send(c->link->conn, msg);
  if (rc == XF_OK || rc == XF_E_STATE || rc == XF_E_UNREACHABLE) return; /* on_close tells */
  if (rc == XF_E_AGAIN && is_small(msg->type) && c->n_held < CLIENT_HELD) {
    c->held[c->n_held++] = *msg;
    return;
  }
  xf_log(XF_LOG_WARN, "send_failed", XF_S("type", xf_msg_name(msg->type)),
         XF_S("reason", xf_rc_text(rc)));
  client_hang_up(c); /* everything that matters is said again on the next connection */
}

enum xf_rc client_send_bulk(struct xf_client *c, const struct xf_msg *msg) {
  if (!c->link) return XF_E_STATE;
  return c->n_held ? XF_E_AGAIN : xf_conn_send(c->link->conn, msg);
}
