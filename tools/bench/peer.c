/* The bare peer: takes UPDATE_BEGIN and its chunks and answers UPDATE_ACK after the last byte, having sent as many bytes
   back as model chunks when the announced weight is 2 (an echo); nothing is checked or kept. */
#include "base/alloc.h"
#include "net/listener.h"
#include "tools/bench/lab.h"

#include <stdio.h>
#include <unistd.h>
#include <uv.h>

struct end {
  struct xf_conn *conn;
  struct xf_digest task;
  uint64_t left, len, back; /* to come; in all; to be sent back */
  bool echo, done;
};

static uint8_t data[XF_CHUNK_MAX];

static void answer(struct end *e) {
  while (e->back) {
    struct xf_msg m = {.type = XF_MSG_MODEL_CHUNK};
    const size_t n = e->back < sizeof data ? (size_t)e->back : sizeof data;
    m.chunk = (struct xf_msg_chunk){e->task, e->len - e->back, XF_DTYPE_FLOAT32, 1, data, n};
    if (xf_conn_send(e->conn, &m)) return; /* full: on_drain goes on; gone: on_close follows */
    e->back -= n;
  }
  const struct xf_msg ack = {.type = XF_MSG_UPDATE_ACK,
                             .update_ack = {e->task, XF_VERDICT_ACCEPTED, "", ""}};
  if (!e->done) return;
  enum xf_rc rc = xf_conn_send(e->conn, &ack);
  if (rc == XF_E_AGAIN) return;
  e->done = false;
  if (rc) xf_conn_close(e->conn, false);
}

static void on_drain(void *arg) { answer(arg); }

static void on_msg(void *arg, const struct xf_msg *msg) {
  struct end *e = arg;
  if (msg->type == XF_MSG_UPDATE_BEGIN) {
    e->task = msg->update_begin.task_id;
    e->left = e->len = msg->update_begin.payload_len;
    e->echo = msg->update_begin.weight == 2;
  }
  if (msg->type != XF_MSG_UPDATE_CHUNK || e->left == 0) return;
  e->left -= msg->chunk.data_len < e->left ? msg->chunk.data_len : e->left;
  if (e->left) return;
  e->back = e->echo ? e->len : 0;
  e->done = true;
  answer(e);
}

static void on_close(void *arg, enum xf_rc rc, const struct xf_diag *diag) {
  (void)rc;
  (void)diag; /* the other end says it */
  xf_free(arg);
}

static void *on_accept(void *arg, struct xf_conn *conn) {
  (void)arg;
  struct end *e = xf_calloc(1, sizeof *e);
  e->conn = conn;
  return e;
}

_Noreturn void lab_peer_main(const struct lab *lab, uint32_t max_conns, int fd) {
  static const struct xf_conn_handler handler = {NULL, on_msg, on_drain, on_close};
  uv_loop_t loop;
  struct xf_net net;
  struct xf_tls_ctx *ctx = NULL;
  struct xf_listener *listener = NULL;
  enum xf_rc rc = uv_loop_init(&loop) ? XF_E_IO : XF_OK;
  if (rc) _exit(1);
  xf_net_init(&net, &loop, NULL);
  rc = lab_tls(lab, &ctx, XF_PKI_ROLE_COORDINATOR, "coordinator");
  const struct xf_listener_options o = {.host = "127.0.0.1",
                                        .max_conns = max_conns,
                                        .ctx = ctx,
                                        .handler = &handler,
                                        .on_accept = on_accept};
  if (!rc) rc = xf_listener_open(&listener, &net, &o, lab->b->diag);
  const uint16_t port = rc ? 0 : xf_listener_port(listener);
  if (rc || write(fd, &port, sizeof port) != sizeof port) {
    fprintf(stderr, "bare peer: %s\n", xf_diag_text(lab->b->diag, rc));
    _exit(1);
  }
  (void)close(fd);
  (void)uv_run(&loop, UV_RUN_DEFAULT); /* until it is killed */
  _exit(0);
}
