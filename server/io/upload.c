/* Updates arriving: bytes to the spool on the loop, checks, fsync and rename on a worker (-> SPOOLED). */
#include "base/alloc.h"
#include "base/fail.h"
#include "base/log.h"
#include "param/vec.h"
#include "server/io/daemon.h"

#include <string.h>

static void upload_free(struct srv_upload *u) {
  if (!u) return;
  xf_spool_abort(&u->in);
  xf_buf_deinit(&u->report);
  xf_free(u);
}

static enum xf_rc head_of(struct xf_spool_head *out, const struct srv *srv,
                          const struct xf_coord_action *a, struct xf_diag *diag) {
  const struct xf_msg_update_begin *b = &a->begin;
  struct xf_buf meta;
  *out = (struct xf_spool_head){.task_id = b->task_id,
                                .round = a->round,
                                .weight = b->weight,
                                .n_samples = b->n_samples,
                                .dtype = b->dtype,
                                .payload_len = b->payload_len,
                                .payload_digest = b->payload_digest,
                                .update_digest = b->update_digest,
                                .charge = srv_upload_charge(b)};
  memcpy(out->member, srv->cfg.members[a->member].id, sizeof out->member);
  xf_buf_init(&meta, XF_SPOOL_META_MAX - 1);
  enum xf_rc rc = srv_upload_meta(&meta, b, 0);
  if (rc) xf_diag_set(diag, rc, "metrics of an update do not fit");
  else if (meta.len) memcpy(out->meta, meta.p, meta.len);
  xf_buf_deinit(&meta);
  return rc;
}

void srv_upload_begin(struct srv *srv, const struct xf_coord_action *a) {
  struct xf_spool_head head;
  struct srv_upload *u = xf_calloc(1, sizeof *u);
  upload_free(srv->upload[a->member]);
  srv->upload[a->member] = u;
  u->srv = srv;
  u->member = a->member;
  u->kind = a->kind;
  if (a->kind == XF_TASK_TRAIN && a->begin.dtype != XF_DTYPE_FLOAT32) {
    (void)xf_plan_codec_of(&u->codec, &srv->st.plan, a->stage, a->begin.round,
                           (uint32_t)a->begin.dtype); /* the core has refused all others */
    u->n_coded = srv_model_lens(&srv->st, a->member).up[a->stage] / sizeof(float);
  }
  xf_buf_init(&u->report, XF_REPORT_MAX);
  xf_diag_init(&u->diag);
  u->rc = head_of(&head, srv, a, &u->diag);
  if (!u->rc) u->rc = xf_spool_begin(&u->in, &srv->st.spool, &head, &u->diag);
}

/* Finite? Floats may be cut anywhere by the ends of chunks. */
static void check_floats(struct srv_upload *u, uint64_t at, const uint8_t *p, size_t len) {
  float x[XF_CHUNK_MAX / sizeof(float) + 1];
  uint8_t *to = (uint8_t *)x;
  if (u->bad_float || len > XF_CHUNK_MAX) return;
  const size_t n = (u->n_carry + len) / sizeof(float), rest = (u->n_carry + len) % sizeof(float);
  const float *from = (const float *)(const void *)p;
  if (u->n_carry || rest || (uintptr_t)p % sizeof(float)) {
    memcpy(to, u->carry, u->n_carry);
    memcpy(to + u->n_carry, p, len);
    from = x;
  }
  const size_t bad = xf_vec_find_nonfinite(from, n);
  if (bad != SIZE_MAX) {
    u->bad_float = true;
    u->bad_at = (at - u->n_carry) / sizeof(float) + bad;
  }
  memcpy(u->carry, to + n * sizeof(float), rest);
  u->n_carry = (uint32_t)rest;
}

void srv_upload_write(struct srv *srv, uint32_t member, uint64_t at, const uint8_t *p, size_t len) {
  struct srv_upload *u = srv->upload[member];
  if (!u || u->rc) return; /* FINISH tells */
  XF_FAILPOINT("K4");
  u->rc = xf_spool_write(&u->in, p, len, at, &u->diag);
  if (u->rc) return;
  srv->round_bytes_up += len;
  if (u->kind == XF_TASK_TRAIN) {
    if (!u->n_coded) check_floats(u, at, p, len);
  } else u->rc = xf_buf_put(&u->report, p, len);
}

static enum xf_rc read_back(void *arg, uint64_t at, uint8_t *out, size_t len) {
  struct srv_upload *u = arg;
  size_t got = 0;
  const enum xf_rc rc = u->in.file.fs->pread(&u->in.file, out, len, XF_SPOOL_HEADER + at, &got);
  return rc || got == len ? rc : XF_E_IO;
}

/* Whole and finite? What is stored is folded, and a fold that fails costs all members the round. */
static enum xf_rc check_coded(struct srv_upload *u) {
  enum { BLOCK = 4096 };
  struct xf_codec_reader x;
  float *block = xf_alloc(BLOCK * sizeof *block);
  enum xf_rc rc = xf_codec_open(&x, &u->codec, u->n_coded, u->in.got, read_back, u, &u->diag);
  for (uint64_t at = 0; at < u->n_coded && !rc && !u->bad_float; at += BLOCK) {
    const uint64_t left = u->n_coded - at;
    const size_t n = left < BLOCK ? (size_t)left : BLOCK;
    rc = xf_codec_get(&x, at, block, n, &u->diag);
    const size_t bad = rc ? SIZE_MAX : xf_vec_find_nonfinite(block, n);
    u->bad_float = bad != SIZE_MAX;
    if (u->bad_float) u->bad_at = at + bad;
  }
  xf_codec_close(&x);
  xf_free(block);
  if (rc == XF_E_IO) return xf_diag_set(&u->diag, rc, "cannot read back an update");
  return rc == XF_E_CORRUPT ? XF_E_FORMAT : rc; /* it came as it was sent: not to be sent again */
}

/* Damage first: of bytes that are not the silo's nothing else can be said. */
static enum xf_rc check(struct srv_upload *u) {
  struct xf_digest got;
  struct xf_arena arena;
  struct xf_eval_metric *metric = NULL;
  size_t n = 0;
  enum xf_rc rc = XF_OK;
  if (u->n_coded && u->in.got == u->in.head.payload_len) rc = check_coded(u);
  if (rc == XF_E_IO) return rc;
  if (u->kind == XF_TASK_TRAIN && !u->bad_float && !rc) return XF_OK; /* finish checks the digest */
  if (u->kind != XF_TASK_TRAIN) {
    xf_arena_init(&arena, XF_MSG_ARENA);
    rc = xf_eval_report_decode(&metric, &n, &arena, u->report.p, u->report.len, &u->diag);
    xf_arena_deinit(&arena);
    if (!rc) return XF_OK;
  }
  enum xf_rc read = xf_spool_digest(&u->in, &got, &u->diag);
  if (read) return read;
  if (!xf_digest_equal(&got, &u->in.head.payload_digest))
    return xf_diag_set(&u->diag, XF_E_CORRUPT, "the payload was damaged on the way");
  if (rc) return xf_diag_prefix(&u->diag, rc, u->n_coded ? "update" : "report");
  return xf_diag_set(&u->diag, XF_E_NAN, "float %llu of the update is NaN or infinite",
                     (unsigned long long)u->bad_at);
}

static void upload_run(struct xf_job *job) {
  struct srv_upload *u = (struct srv_upload *)(void *)job;
  u->rc = check(u);
  if (u->rc) xf_spool_abort(&u->in);
  else u->rc = xf_spool_finish(&u->in, u->name, &u->diag);
}

static void upload_done(struct srv *srv, struct srv_job *job) {
  struct srv_upload *u = (struct srv_upload *)(void *)job, **at = &srv->finishing;
  while (*at && *at != u) at = &(*at)->next;
  if (*at) *at = u->next;
  struct xf_coord_event e = {
      .type = XF_COORD_EV_SPOOLED, .member = u->member, .rc = u->rc, .text = u->diag.text};
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (u->rc == XF_E_IO) {
    srv_fail(srv, u->rc, "spool", &u->diag);
  } else {
    if (u->dropped && !u->rc) { /* its round closed meanwhile */
      enum xf_rc rc = xf_spool_remove(&srv->st.spool, u->name, &diag);
      if (rc)
        xf_log(XF_LOG_WARN, "spool_not_removed", XF_S("file", u->name), XF_S("reason", diag.text));
    }
    if (u->rc == XF_E_NOSPACE) { /* room may come back: the silo is asked for its bytes again */
      xf_log(XF_LOG_ERROR, "spool_full", XF_S("client", srv->cfg.members[u->member].id),
             XF_S("reason", u->diag.text));
      e.rc = XF_E_CORRUPT;
      e.text = "the coordinator has no room for it now; send it again";
    }
    srv_feed(srv, &e);
  }
  upload_free(u);
}

void srv_upload_finish(struct srv *srv, uint32_t member, uint64_t round) {
  struct srv_upload *u = srv->upload[member];
  srv->upload[member] = NULL;
  if (!u) { /* never begun here: the core expects an answer to each FINISH */
    srv_feed(srv, &(struct xf_coord_event){.type = XF_COORD_EV_SPOOLED,
                                           .member = member,
                                           .rc = XF_E_CORRUPT,
                                           .text = "no upload is open"});
    return;
  }
  u->in.head.round = round; /* that takes it: not always the one that it began to arrive in */
  u->finishing = true;
  u->next = srv->finishing;
  srv->finishing = u;
  if (u->rc) upload_done(srv, &u->job);
  else srv_submit(srv, &u->job, upload_run, upload_done);
}

void srv_upload_abort(struct srv *srv, uint32_t member) {
  upload_free(srv->upload[member]);
  srv->upload[member] = NULL;
  for (struct srv_upload *u = srv->finishing; u; u = u->next)
    if (u->member == member) u->dropped = true;
}

void srv_upload_free_all(struct srv *srv) {
  for (uint32_t i = 0; i < srv->st.n && srv->upload; i++) upload_free(srv->upload[i]);
  xf_free(srv->upload);
  srv->upload = NULL;
}
