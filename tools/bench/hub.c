/* The loop of a benchmark's clients. */
#include "base/alloc.h"
#include "base/crc32c.h"
#include "crypto/sha256.h"
#include "tools/bench/client.h"

#include <signal.h>
#include <string.h>

enum { TICK_MS = 100, WAIT_LIMIT_S = 240 };

static void on_timer(uv_timer_t *timer) {
  struct hub *hub = timer->data;
  if (hub->swarm) swarm_tick(hub->swarm);
  if (xf_time_before(hub->deadline, xf_time_now()))
    hub_fail(hub, XF_E_TIMEOUT, "waiting", "no end in sight");
}

enum xf_rc hub_set_update(struct hub *hub, size_t len) {
  const size_t n_chunk = (len + XF_CHUNK_MAX - 1) / XF_CHUNK_MAX;
  xf_free(hub->data);
  xf_free(hub->crc);
  hub->len = 0;
  hub->data = xf_try_calloc(len ? len : 1, 1);
  hub->crc = xf_try_calloc(n_chunk ? n_chunk : 1, sizeof *hub->crc);
  if (!hub->data || !hub->crc) return XF_E_NOMEM;
  hub->len = len;
  for (size_t i = 0; i + sizeof(float) <= len; i += sizeof(float)) {
    const float x = (float)(i % 997) * 1e-6f;
    memcpy(hub->data + i, &x, sizeof x);
  }
  for (size_t i = 0; i < n_chunk; i++) {
    const size_t at = i * XF_CHUNK_MAX, left = len - at;
    hub->crc[i] = xf_crc32c(0, hub->data + at, left < XF_CHUNK_MAX ? left : XF_CHUNK_MAX);
  }
  xf_sha256(&hub->digest, hub->data, len);
  return XF_OK;
}

enum xf_rc hub_init(struct hub *hub, struct bench *b, size_t len) {
  *hub = (struct hub){.b = b};
  (void)signal(SIGPIPE, SIG_IGN);
  if (uv_loop_init(&hub->loop)) return xf_diag_set(b->diag, XF_E_IO, "no event loop");
  xf_net_init(&hub->net, &hub->loop, NULL);
  hub->timer.data = hub;
  if (uv_timer_init(&hub->loop, &hub->timer) ||
      uv_timer_start(&hub->timer, on_timer, TICK_MS, TICK_MS))
    return xf_diag_set(b->diag, XF_E_IO, "no timer");
  return hub_set_update(hub, len);
}

void hub_deinit(struct hub *hub) {
  if (!hub->net.loop) return;
  uv_close((uv_handle_t *)&hub->timer, NULL);
  (void)uv_run(&hub->loop, UV_RUN_DEFAULT); /* until every handle is closed */
  if (uv_loop_close(&hub->loop))
    (void)xf_diag_set(hub->b->diag, XF_E_STATE, "a handle was left open");
  xf_net_deinit(&hub->net);
  hub->net.loop = NULL;
  xf_free(hub->data);
  xf_free(hub->crc);
}

void hub_fail(struct hub *hub, enum xf_rc rc, const char *what, const char *text) {
  if (!hub->rc) hub->rc = xf_diag_set(hub->b->diag, rc, "%s: %s", what, text);
  uv_stop(&hub->loop);
}

enum xf_rc hub_wait(struct hub *hub, const unsigned *count, unsigned want) {
  hub->deadline = xf_time_add_s(xf_time_now(), WAIT_LIMIT_S);
  while (!hub->rc && *count < want) (void)uv_run(&hub->loop, UV_RUN_ONCE);
  return hub->rc;
}

enum xf_rc hub_pump(struct hub *hub, struct xf_conn *conn, const struct xf_digest *task,
                    uint64_t *at) {
  enum xf_rc rc = XF_OK;
  while (*at < hub->len && !rc) {
    const uint64_t left = hub->len - *at;
    struct xf_msg m = {.type = XF_MSG_UPDATE_CHUNK};
    m.chunk = (struct xf_msg_chunk){.task_id = *task,
                                    .offset = *at,
                                    .crc32c = hub->crc[*at / XF_CHUNK_MAX],
                                    .data = hub->data + *at,
                                    .data_len = left < XF_CHUNK_MAX ? (size_t)left : XF_CHUNK_MAX};
    rc = xf_conn_send(conn, &m);
    if (!rc) *at += m.chunk.data_len;
  }
  return rc;
}
