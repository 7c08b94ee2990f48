/* The core's actions, one by one, and its records at the end of each turn of the loop. */
#include "base/alloc.h"
#include "base/fail.h"
#include "base/log.h"
#include "server/io/aggregate.h"
#include "server/io/daemon.h"

#include <string.h>

/* --- aggregation and publication on a worker ---------------------------------------------------------------------- */

struct work {
  struct srv_job job;
  struct srv *srv;
  struct srv_agg agg;
  enum xf_rc rc;
  struct xf_diag diag;
};

static void agg_run(struct xf_job *job) {
  struct work *w = (struct work *)(void *)job;
  w->rc = srv_agg_run(&w->agg, &w->diag);
}

static void agg_done(struct srv *srv, struct srv_job *job) {
  struct work *w = (struct work *)(void *)job;
  struct xf_coord_event e = {.type = XF_COORD_EV_AGGREGATED, .rc = w->rc, .text = w->diag.text};
  if (!w->rc) {
    srv_agg_give(&w->agg, &srv->st);
    e.digest = srv->st.next.model;
    e.figure = w->agg.figure;
  }
  if (!w->rc || !srv->stopping) srv_feed(srv, &e);
  srv_agg_deinit(&w->agg);
  xf_free(w);
}

static void aggregate(struct srv *srv, const struct xf_coord_action *a) {
  struct work *w = xf_calloc(1, sizeof *w);
  xf_diag_init(&w->diag);
  w->srv = srv;
  const struct srv_frozen list = {a->participant, a->weight, a->participant_task, a->staleness,
                                  a->n_participant};
  srv_agg_init(&w->agg, &srv->st, a->round, a->kind, &list);
  w->agg.cancel = &srv->cancel;
  srv_submit(srv, &w->job, agg_run, agg_done);
}

static void publish_run(struct xf_job *job) {
  struct work *w = (struct work *)(void *)job;
  w->rc = srv_publish_run(&w->srv->st, &w->diag);
}

static void publish_done(struct srv *srv, struct srv_job *job) {
  struct work *w = (struct work *)(void *)job;
  srv_feed(srv, &(struct xf_coord_event){
                    .type = XF_COORD_EV_PUBLISHED, .rc = w->rc, .text = w->diag.text});
  xf_free(w);
}

static void publish(struct srv *srv) {
  struct work *w = xf_calloc(1, sizeof *w);
  xf_diag_init(&w->diag);
  w->srv = srv;
  srv_submit(srv, &w->job, publish_run, publish_done);
}

/* --- alignment and space ------------------------------------------------------------------------------------------ */

static void freeze(struct srv *srv) {
  struct xf_diag diag;
  struct xf_coord_event e = {.type = XF_COORD_EV_FROZEN};
  xf_diag_init(&diag);
  e.rc = srv_align_freeze(&srv->st, &diag);
  for (uint32_t i = 0; i < srv->st.n && !e.rc; i++)
    if (srv->st.m[i].aligned) srv_set_lens(srv, i);
  e.text = e.rc ? xf_diag_text(&diag, e.rc) : NULL;
  e.digest = srv->st.model_digest;
  srv_feed(srv, &e);
}

static void reserve(struct srv *srv, const struct xf_coord_action *a) {
  struct xf_diag diag;
  struct xf_coord_event e = {.type = XF_COORD_EV_RESERVED};
  xf_diag_init(&diag);
  e.rc = srv_model_reserve(&srv->st, a->kind, &diag);
  e.text = e.rc ? xf_diag_text(&diag, e.rc) : NULL;
  srv_feed(srv, &e);
}

static void collect(struct srv *srv) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  enum xf_rc rc = srv_model_collect(&srv->st, &diag);
  if (rc) srv_fail(srv, rc, "collection", &diag);
}

/* --- records ------------------------------------------------------------------------------------------------------ */

static void persist(struct srv *srv, const struct xf_coord_action *a) {
  if (srv->n_record == srv->cap_record) {
    srv->cap_record = srv->cap_record ? 2 * srv->cap_record : 16;
    srv->record = xf_realloc_array(srv->record, srv->cap_record, sizeof *srv->record);
  }
  srv_record_copy(&srv->record[srv->n_record++], a->record, a->token);
  srv_turn(srv);
}

static void committed(struct srv *srv, const struct xf_coord_record *r) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  XF_FAILPOINT("K13");
  enum xf_rc rc = srv_metrics_write(&srv->st, r->round, r->committed, srv->st.next.metrics, &diag);
  if (!rc && r->kind == XF_TASK_TRAIN) {
    if (!srv_state_async(&srv->st)) srv_serve_drop(srv, NULL);
    rc = srv_model_adopt(&srv->st, &diag);
  }
  xf_log(XF_LOG_INFO, "round_summary", XF_U("round", r->round),
         XF_S("kind", xf_task_kind_name(r->kind)), XF_U("committed", r->committed),
         XF_F("dur_s", (double)((uint64_t)xf_wall_now_us() - srv->round_opened_us) * 1e-6),
         XF_U("in_bytes", srv->round_bytes_up), XF_U("out_bytes", srv->round_bytes_down));
  srv_next_drop(&srv->st);
  if (rc) srv_fail(srv, rc, "commit", &diag);
}

static void abandoned(struct srv *srv, const struct xf_coord_record *r) {
  char name[XF_STATE_CKPT_NAME], path[XF_PATH_MAX];
  struct xf_diag diag;
  xf_diag_init(&diag);
  srv_next_drop(&srv->st);
  xf_state_checkpoint_name(name, r->round); /* a crash after its rename may have left one */
  enum xf_rc rc = srv_state_path(&srv->st, path, name, &diag);
  if (!rc) rc = srv->st.fs->unlink(srv->st.fs, path);
  if (rc && rc != XF_E_NOTFOUND)
    xf_log(XF_LOG_WARN, "stray_model", XF_S("file", path), XF_S("reason", xf_rc_text(rc)));
}

static void done(struct srv *srv) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  enum xf_rc rc = srv_metrics_summary(&srv->st, srv->bytes_down, &diag);
  if (rc) xf_log(XF_LOG_ERROR, "summary_failed", XF_S("reason", xf_diag_text(&diag, rc)));
  xf_log(XF_LOG_INFO, "run_done", XF_U("committed", srv->st.committed));
}

/* What is true now that the row is durable, before the core hears of it. */
static void stored(struct srv *srv, const struct xf_coord_record *r) {
  switch (r->type) {
  case XF_RECORD_OPEN:
    srv->round_opened_us = (uint64_t)xf_wall_now_us();
    srv->round_bytes_up = srv->round_bytes_down = 0;
    XF_FAILPOINT("K2");
    return;
  case XF_RECORD_CLOSING: XF_FAILPOINT("K8"); return;
  case XF_RECORD_COMMIT: committed(srv, r); return;
  case XF_RECORD_ABANDON: abandoned(srv, r); return;
  case XF_RECORD_DONE: done(srv); return;
  case XF_RECORD_UPDATE:
  case XF_RECORD_VERDICT:
  case XF_RECORD_REFUSED:
  case XF_RECORD_STORED:
  case XF_RECORD_COMMITTING:
  case XF_RECORD_PAUSE:
  case XF_RECORD_RESUME:
  case XF_RECORD_ALARM: return;
  }
}

void srv_flush(struct srv *srv) {
  struct xf_diag diag;
  if (!srv->n_record && !srv_seen_due(&srv->st, xf_wall_now_us())) return;
  struct srv_record *rec = srv->record;
  const size_t n = srv->n_record;
  srv->record = NULL;
  srv->n_record = srv->cap_record = 0;
  xf_diag_init(&diag);
  const enum xf_rc rc = srv_persist_commit(&srv->st, rec, n, &diag);
  if (rc)
    xf_log(XF_LOG_ERROR, "ledger_failed", XF_U("records", n),
           XF_S("reason", xf_diag_text(&diag, rc)));
  if (rc && n == 0) srv_fail(srv, rc, "ledger", &diag); /* no record whose fate tells the core */
  for (size_t i = 0; i < n; i++) {
    const enum xf_rc one = rc ? rc : rec[i].rc;
    if (!one) stored(srv, &rec[i].r);
    srv_feed(srv, &(struct xf_coord_event){
                      .type = XF_COORD_EV_PERSISTED, .token = rec[i].token, .rc = one});
    srv_record_deinit(&rec[i]);
  }
  xf_free(rec);
}

/* --- dispatch ----------------------------------------------------------------------------------------------------- */

void srv_perform(struct srv *srv, const struct xf_coord_action *a) {
  struct srv_session *s = a->conn ? srv_session_find(srv, a->conn) : NULL;
  switch (a->type) {
  case XF_COORD_SEND:
    if (s) srv_session_send(s, &a->msg);
    return;
  case XF_COORD_CLOSE:
    if (s) srv_session_close(s, true);
    return;
  case XF_COORD_ALIGN:
    for (uint32_t k = 0; s && k < srv->st.spaces.n; k++)
      srv_session_send(s, &(struct xf_msg){.type = XF_MSG_MANIFEST_REQUEST,
                                           .manifest_request = {srv->st.spaces.at[k].ns}});
    return;
  case XF_COORD_FREEZE: freeze(srv); return;
  case XF_COORD_DIRECTORY:
    if (s) srv_serve_directory(s);
    return;
  case XF_COORD_RESERVE: reserve(srv, a); return;
  case XF_COORD_SERVE:
    if (s) srv_serve_range(s, a);
    return;
  case XF_COORD_SPOOL_BEGIN: srv_upload_begin(srv, a); return;
  case XF_COORD_SPOOL_WRITE:
    srv_upload_write(srv, a->member, a->offset, a->data, a->data_len);
    return;
  case XF_COORD_SPOOL_FINISH: srv_upload_finish(srv, a->member, a->round); return;
  case XF_COORD_SPOOL_ABORT: srv_upload_abort(srv, a->member); return;
  case XF_COORD_PERSIST: persist(srv, a); return;
  case XF_COORD_AGGREGATE: aggregate(srv, a); return;
  case XF_COORD_PUBLISH: publish(srv); return;
  case XF_COORD_COLLECT: collect(srv); return;
  case XF_COORD_EXIT: srv_stop(srv, xf_rc_exit(a->rc), a->text ? a->text : ""); return;
  }
}
