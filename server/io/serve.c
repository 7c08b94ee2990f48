/* What is streamed to a silo - its directory, model bytes - and what waits behind it, as fast as its connection takes it. */
#include "base/crc32c.h"
#include "base/log.h"
#include "server/io/daemon.h"
#include "wire/codec.h"
#include "wire/frame.h"

#include <string.h>

enum { CHUNKS_PER_TURN = 8 };
static const uint8_t DIRECTORY_MARK[XF_FRAME_HEADER] = {
    0}; /* in `pending`: the directory goes here */

static void overflow(struct srv_session *s) {
  xf_log(XF_LOG_WARN, "client_not_reading", XF_S("client", s->peer),
         XF_U("waiting_bytes", s->pending.len));
  srv_session_close(s, false);
}

void srv_serve_queue(struct srv_session *s, const struct xf_msg *msg) {
  if (xf_msg_encode(&s->pending, msg)) overflow(s);
}

static void start_directory(struct srv_session *s) {
  s->directory = true;
  s->directory_space = 0;
  s->directory_at = 0;
}

void srv_serve_directory(struct srv_session *s) {
  if (s->closing || s->member == UINT32_MAX) return;
  if (s->pending.len || s->directory) {
    if (xf_buf_put(&s->pending, DIRECTORY_MARK, sizeof DIRECTORY_MARK)) overflow(s);
    return;
  }
  start_directory(s);
  srv_serve_pump(s);
}

void srv_serve_range(struct srv_session *s, const struct xf_coord_action *a) {
  if (s->closing) return;
  if (s->n_range == SRV_RANGES) {
    srv_session_send(s, &(struct xf_msg){.type = XF_MSG_GOODBYE,
                                         .goodbye = {xf_rc_name(XF_E_LIMIT),
                                                     "too many ModelGet at a time", 1000}});
    srv_session_close(s, true);
    return;
  }
  const struct xf_global_view view =
      xf_global_view_of(&s->srv->st.plan, a->kind == XF_TASK_TRAIN, a->stage);
  s->range[s->n_range++] =
      (struct srv_range){a->task_id, a->base, view, a->offset, a->offset + a->length};
  srv_serve_pump(s);
}

void srv_set_lens(struct srv *srv, uint32_t member) {
  const struct xf_plan_lens lens = srv_model_lens(&srv->st, member);
  xf_coord_set_lens(srv->coord, member, &lens);
  if (srv->st.m[member].late && xf_resolve_recommends(&srv->st.plan))
    xf_coord_set_reader(srv->coord, member);
}

void srv_serve_drop(struct srv *srv, struct srv_session *s) {
  if (s) s->n_range = 0;
  for (size_t i = 0; i < srv->n_session && !s; i++) srv->session[i]->n_range = 0;
}

bool srv_serve_ready(const struct srv_session *s) {
  return !s->closing && !s->stuck && (s->directory || s->pending.len || s->n_range);
}

/* Sends unless the connection is full; false: stop for now. */
static bool push(struct srv_session *s, const struct xf_msg *msg) {
  const enum xf_rc rc = xf_conn_send(s->conn, msg);
  s->stuck = rc == XF_E_AGAIN;
  return rc == XF_OK;
}

static bool push_directory(struct srv_session *s) {
  const struct srv_state *st = &s->srv->st;
  struct xf_msg msg;
  while (s->directory_space < st->spaces.n) {
    const size_t n = srv_align_part(st, s->member, s->directory_space, s->directory_at, &msg,
                                    s->srv->chunk, XF_CHUNK_MAX);
    if (!push(s, &msg)) return false;
    s->directory_at += n;
    if (s->directory_at < st->m[s->member].keys[s->directory_space].manifest.n) continue;
    s->directory_space++;
    s->directory_at = 0;
  }
  s->directory = false;
  return true;
}

/* Messages that had to wait, in order. */
static bool push_pending(struct srv_session *s) {
  while (s->pending.len) {
    const uint8_t *p = s->pending.p;
    const size_t len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    const uint16_t type = (uint16_t)(p[4] << 8 | p[5]);
    if (type == 0) {
      xf_buf_consume(&s->pending, XF_FRAME_HEADER);
      start_directory(s);
      return true; /* the caller sends it next */
    }
    struct xf_arena arena;
    struct xf_msg msg;
    xf_arena_init(&arena, XF_MSG_ARENA);
    const enum xf_rc rc = xf_msg_decode(&msg, &arena, type, p + XF_FRAME_HEADER, len, NULL);
    const bool sent = rc == XF_OK && push(s, &msg);
    xf_arena_deinit(&arena);
    if (rc)
      xf_log(XF_LOG_ERROR, "waiting_message_lost", XF_S("client", s->peer), XF_U("type", type));
    if (!sent && !rc) return false;
    xf_buf_consume(&s->pending, XF_FRAME_HEADER + len);
  }
  return true;
}

static void range_failed(struct srv_session *s, enum xf_rc rc, const struct xf_diag *diag) {
  s->n_range = 0;
  srv_fail(s->srv, rc, "model", diag);
}

/* One chunk of the first range. */
static bool push_chunk(struct srv_session *s) {
  struct srv *srv = s->srv;
  struct srv_range *r = &s->range[0];
  struct xf_diag diag;
  size_t n = s->chunk_max;
  if (n > r->end - r->at) n = (size_t)(r->end - r->at);
  xf_diag_init(&diag);
  const enum xf_rc rc =
      srv_model_read(&srv->st, s->member, &r->base, r->view, r->at, srv->chunk, n, &diag);
  if (rc) {
    range_failed(s, rc, &diag);
    return false;
  }
  struct xf_msg msg = {.type = XF_MSG_MODEL_CHUNK};
  msg.chunk = (struct xf_msg_chunk){.task_id = r->task_id,
                                    .offset = r->at,
                                    .dtype = XF_DTYPE_FLOAT32,
                                    .crc32c = xf_crc32c(0, srv->chunk, n),
                                    .data = srv->chunk,
                                    .data_len = n};
  if (!push(s, &msg)) return false;
  srv->bytes_down += n;
  srv->round_bytes_down += n;
  r->at += n;
  if (r->at == r->end) memmove(&s->range[0], &s->range[1], --s->n_range * sizeof s->range[0]);
  return true;
}

void srv_serve_pump(struct srv_session *s) {
  if (s->closing || s->stuck) return;
  do {
    if (s->directory && !push_directory(s)) return;
    if (!push_pending(s)) return;
  } while (s->directory);
  for (int k = 0; k < CHUNKS_PER_TURN && s->n_range; k++)
    if (!push_chunk(s)) return;
  if (s->n_range) srv_turn(s->srv); /* the others first */
}
