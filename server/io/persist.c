/* The core's records as ledger rows. Everything that waits shares one transaction and one fsync (group commit). */
#include "server/io/state.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/log.h"
#include "json/jsonw.h"

#include <stdio.h>
#include <string.h>

enum { META_MAX = XF_SPOOL_META_MAX };

void srv_record_copy(struct srv_record *out, const struct xf_coord_record *r, uint64_t token) {
  *out = (struct srv_record){.r = *r, .token = token};
  if (r->member && r->n_member)
    out->r.member = xf_memdup(r->member, r->n_member * sizeof *r->member);
  else out->r.member = NULL, out->r.n_member = 0;
  if (r->task_id) {
    const size_t n = r->type == XF_RECORD_OPEN ? r->n_member : 1;
    out->r.task_id = xf_memdup(r->task_id, n * sizeof *r->task_id);
  }
  if (r->weight) out->r.weight = xf_memdup(r->weight, r->n_member * sizeof *r->weight);
  if (r->code) out->r.code = xf_strdup(r->code);
  if (r->text) out->r.text = xf_strdup(r->text);
  if (r->update) {
    out->update = *r->update;
    out->r.update = &out->update; /* set again when the record moves */
  }
}

/* The record owns what srv_record_copy made; the core's struct only promises not to change it. */
static void *own(const void *p) {
  union {
    const void *c;
    void *p;
  } u = {p};
  return u.p;
}

void srv_record_deinit(struct srv_record *rec) {
  xf_free(own(rec->r.member));
  xf_free(own(rec->r.task_id));
  xf_free(own(rec->r.weight));
  xf_free(own(rec->r.code));
  xf_free(own(rec->r.text));
  *rec = (struct srv_record){0};
}

static const char *member_id(const struct srv_state *st, const struct xf_coord_record *r) {
  return r->n_member && r->member[0] < st->n ? st->cfg->members[r->member[0]].id : "";
}

static enum xf_rc open_round(struct srv_state *st, const struct xf_coord_record *r,
                             struct xf_diag *diag) {
  struct xf_ledger_task *task = xf_calloc(r->n_member ? r->n_member : 1, sizeof *task);
  for (size_t i = 0; i < r->n_member; i++) {
    memcpy(task[i].member, st->cfg->members[r->member[i]].id, sizeof task[i].member);
    task[i].task_id = r->task_id[i];
  }
  const struct xf_ledger_opening o = {.round = r->round,
                                      .stage = r->stage,
                                      .kind = r->kind == XF_TASK_EVALUATE ? XF_LEDGER_KIND_EVALUATE
                                                                          : XF_LEDGER_KIND_TRAIN,
                                      .base = r->base_digest,
                                      .task = task,
                                      .n_task = r->n_member};
  XF_FAILPOINT("K1");
  enum xf_rc rc = xf_ledger_round_open(st->ledger, &o, diag);
  xf_free(task);
  return rc;
}

static enum xf_rc update_of(const struct srv_state *st, const struct xf_coord_record *r,
                            struct xf_ledger_update *out, char file[XF_SPOOL_NAME_MAX],
                            struct xf_buf *meta, struct xf_diag *diag) {
  const struct xf_msg_update_begin *u = r->update;
  if (!u) return xf_diag_set(diag, XF_E_STATE, "a record without its update");
  const struct xf_spool_head head = {.round = r->round, .task_id = u->task_id};
  xf_spool_name(file, &head);
  enum xf_rc rc = srv_upload_meta(meta, u, r->seconds);
  if (rc) return xf_diag_set(diag, rc, "metrics of an update do not fit");
  *out = (struct xf_ledger_update){.task_id = u->task_id,
                                   .round = r->round,
                                   .outlived = srv_state_async(st),
                                   .update = u->update_digest,
                                   .payload = u->payload_digest,
                                   .weight = u->weight,
                                   .n_samples = u->n_samples,
                                   .bytes = u->payload_len,
                                   .spool = file,
                                   .metrics = xf_buf_cstr(meta),
                                   .charge = srv_upload_charge(u)};
  (void)snprintf(out->member, sizeof out->member, "%s", member_id(st, r));
  return XF_OK;
}

struct xf_charge srv_upload_charge(const struct xf_msg_update_begin *u) {
  const bool noised = u->noise_multiplier > 0;
  return (struct xf_charge){.clipped = u->clip > 0,
                            .noised = noised,
                            .clip = u->clip,
                            .noise_multiplier = noised ? u->noise_multiplier : 0,
                            .sensitivity = noised ? 2 * u->clip : 0,
                            .epsilon = noised ? u->epsilon : 0,
                            .epsilon_zero_out = noised ? u->epsilon_zero_out : 0};
}

enum xf_rc srv_upload_meta(struct xf_buf *out, const struct xf_msg_update_begin *u,
                           double seconds) {
  struct xf_jsonw w;
  if (!u->has_loss && !(seconds > 0)) return XF_OK;
  xf_jsonw_init(&w, out);
  xf_jsonw_object(&w);
  if (u->has_loss) xf_jsonw_kdouble(&w, "loss_sum", u->loss_sum);
  if (u->has_loss) xf_jsonw_kuint(&w, "loss_count", u->loss_count);
  if (seconds > 0) xf_jsonw_kdouble(&w, "seconds", seconds);
  xf_jsonw_object_end(&w);
  return xf_jsonw_finish(&w);
}

static enum xf_rc settle(struct srv_state *st, const struct xf_coord_record *r,
                         struct xf_diag *diag) {
  static const struct {
    enum xf_verdict verdict;
    enum xf_ledger_refusal refusal;
  } map[] = {{XF_VERDICT_LATE, XF_LEDGER_REFUSAL_LATE},
             {XF_VERDICT_STALE, XF_LEDGER_REFUSAL_STALE},
             {XF_VERDICT_CONFLICT, XF_LEDGER_REFUSAL_CONFLICT},
             {XF_VERDICT_REJECTED, XF_LEDGER_REFUSAL_REJECTED}};
  struct xf_ledger_update u;
  struct xf_buf meta;
  char file[XF_SPOOL_NAME_MAX];
  xf_buf_init(&meta, META_MAX);
  enum xf_rc rc = update_of(st, r, &u, file, &meta, diag);
  if (!rc && r->type == XF_RECORD_UPDATE) {
    rc = xf_ledger_update_accept(st->ledger, &u, diag);
  } else if (!rc) {
    size_t i = 0;
    while (i < sizeof map / sizeof map[0] && map[i].verdict != r->verdict) i++;
    rc =
        i == sizeof map / sizeof map[0]
            ? xf_diag_set(diag, XF_E_STATE, "verdict %s is no refusal", xf_verdict_name(r->verdict))
            : xf_ledger_update_refuse(st->ledger, &u, map[i].refusal, r->code ? r->code : "", diag);
  }
  xf_buf_deinit(&meta);
  return rc;
}

static enum xf_rc closing(struct srv_state *st, const struct xf_coord_record *r,
                          struct xf_diag *diag) {
  struct xf_ledger_part *part = xf_calloc(r->n_member ? r->n_member : 1, sizeof *part);
  for (size_t i = 0; i < r->n_member; i++) {
    memcpy(part[i].member, st->cfg->members[r->member[i]].id, sizeof part[i].member);
    part[i].weight = r->weight[i];
  }
  XF_FAILPOINT("K7");
  enum xf_rc rc = xf_ledger_round_closing(st->ledger, r->round, part, r->n_member, diag);
  xf_free(part);
  return rc;
}

static enum xf_rc commit_round(struct srv_state *st, const struct xf_coord_record *r,
                               struct xf_diag *diag) {
  const struct srv_next *next = &st->next;
  if (next->round != r->round)
    return xf_diag_set(diag, XF_E_STATE, "round %llu commits, round %llu was computed",
                       (unsigned long long)r->round, (unsigned long long)next->round);
  if (r->kind == XF_TASK_EVALUATE)
    return xf_ledger_round_commit(st->ledger, r->round, NULL, next->metrics, diag);
  struct xf_ledger_checkpoint c = {.round = r->round,
                                   .model = next->model,
                                   .parent = st->model_digest,
                                   .sha256 = next->saved.sha256,
                                   .bytes = next->saved.bytes};
  memcpy(c.path, next->path, sizeof next->path);
  return xf_ledger_round_commit(st->ledger, r->round, &c, next->metrics, diag);
}

/* An event with a text that belongs to no round of the ledger. */
static enum xf_rc text_event(struct srv_state *st, const char *kind, const char *member,
                             const char *code, const char *text, struct xf_diag *diag) {
  struct xf_buf body;
  struct xf_jsonw w;
  xf_buf_init(&body, META_MAX);
  xf_jsonw_init(&w, &body);
  xf_jsonw_object(&w);
  if (code) xf_jsonw_kstr(&w, "code", code);
  xf_jsonw_kstr(&w, "text", text);
  xf_jsonw_object_end(&w);
  enum xf_rc rc = xf_jsonw_finish(&w);
  if (!rc) rc = xf_ledger_event(st->ledger, kind, member, xf_buf_cstr(&body), diag);
  xf_buf_deinit(&body);
  return rc;
}

static enum xf_rc apply(struct srv_state *st, const struct srv_record *rec, struct xf_diag *diag) {
  const struct xf_coord_record *r = &rec->r;
  const char *text = r->text ? r->text : "";
  switch (r->type) {
  case XF_RECORD_OPEN: return open_round(st, r, diag);
  case XF_RECORD_UPDATE:
  case XF_RECORD_VERDICT: return settle(st, r, diag);
  case XF_RECORD_REFUSED:
    if (r->kind == XF_TASK_FINAL)
      return text_event(st, "final_refused", member_id(st, r), r->code ? r->code : "", text, diag);
    return r->task_id
               ? xf_ledger_task_decline(st->ledger, r->task_id, r->code ? r->code : "", text, diag)
               : XF_OK;
  case XF_RECORD_STORED: return text_event(st, "final_stored", member_id(st, r), NULL, "", diag);
  case XF_RECORD_CLOSING: return closing(st, r, diag);
  case XF_RECORD_COMMITTING: /* an evaluation has no model of its own: its COMMIT follows CLOSING in the ledger */
    return r->kind == XF_TASK_TRAIN
               ? xf_ledger_round_committing(st->ledger, r->round, &r->model_digest, diag)
               : XF_OK;
  case XF_RECORD_COMMIT: return commit_round(st, r, diag);
  case XF_RECORD_ABANDON: return xf_ledger_round_abandon(st->ledger, r->round, text, diag);
  case XF_RECORD_PAUSE: return xf_ledger_run_set(st->ledger, XF_LEDGER_RUN_PAUSED, text, diag);
  case XF_RECORD_RESUME: return xf_ledger_run_set(st->ledger, XF_LEDGER_RUN_RUNNING, text, diag);
  case XF_RECORD_DONE: return xf_ledger_run_set(st->ledger, XF_LEDGER_RUN_DONE, text, diag);
  case XF_RECORD_ALARM: {
    const uint32_t who = (uint32_t)rec->token;
    return text_event(st, "alarm", who < st->n ? st->cfg->members[who].id : NULL, NULL, text, diag);
  }
  }
  return xf_diag_set(diag, XF_E_STATE, "unknown record %d", (int)r->type);
}

/* --- who came and went -------------------------------------------------------------------------------------------- */

void srv_seen_set(struct srv_state *st, uint32_t member, bool joined, int64_t now_us,
                  const char *reason) {
  if (member >= st->n) return;
  struct srv_seen *s = &st->m[member].seen;
  s->waits = true;
  s->joined = joined;
  s->at_us = now_us;
  (void)snprintf(s->reason, sizeof s->reason, "%s", reason);
}

static bool seen_due(const struct srv_seen *s, int64_t now_us) {
  return s->waits && (s->written_us == 0 || now_us < s->written_us ||
                      now_us - s->written_us >= (int64_t)SRV_SEEN_S * 1000000);
}

bool srv_seen_due(const struct srv_state *st, int64_t now_us) {
  for (uint32_t i = 0; i < st->n; i++)
    if (seen_due(&st->m[i].seen, now_us)) return true;
  return false;
}

static void seen_put(struct srv_state *st, int64_t now_us, bool all) {
  for (uint32_t i = 0; i < st->n; i++) {
    struct srv_seen *s = &st->m[i].seen;
    struct xf_diag why;
    if (!(all ? s->waits : seen_due(s, now_us))) continue;
    xf_diag_init(&why);
    const enum xf_rc rc = xf_ledger_member_seen(st->ledger, st->cfg->members[i].id, s->joined,
                                                s->at_us, s->reason, &why);
    if (rc)
      xf_log(XF_LOG_ERROR, "record_refused", XF_S("record", s->joined ? "joined" : "left"),
             XF_S("reason", xf_diag_text(&why, rc)));
    s->waits = false;
    s->written_us = now_us;
  }
}

enum xf_rc srv_seen_flush(struct srv_state *st, struct xf_diag *diag) {
  const int64_t now_us = xf_wall_now_us();
  enum xf_rc rc = xf_ledger_begin(st->ledger, now_us, diag);
  if (rc) return rc;
  seen_put(st, now_us, true);
  rc = xf_ledger_commit(st->ledger, diag);
  if (rc) xf_ledger_rollback(st->ledger);
  return rc;
}

enum xf_rc srv_persist_commit(struct srv_state *st, struct srv_record *rec, size_t n,
                              struct xf_diag *diag) {
  const int64_t now_us = xf_wall_now_us();
  enum xf_rc rc = xf_ledger_begin(st->ledger, now_us, diag);
  if (rc) return rc;
  seen_put(st, now_us, false);
  for (size_t i = 0; i < n; i++) {
    struct xf_diag why;
    xf_diag_init(&why);
    if (rec[i].r.update) rec[i].r.update = &rec[i].update;
    rec[i].rc = apply(st, &rec[i], &why);
    if (rec[i].rc)
      xf_log(XF_LOG_ERROR, "record_refused", XF_U("round", rec[i].r.round),
             XF_S("record", xf_coord_record_name(rec[i].r.type)),
             XF_S("reason", xf_diag_text(&why, rec[i].rc)));
  }
  rc = xf_ledger_commit(st->ledger, diag);
  if (rc) xf_ledger_rollback(st->ledger);
  return rc;
}
