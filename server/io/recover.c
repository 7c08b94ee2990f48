/* From the ledger and the spool to what the core is told at start (operations.md 4.3, K1 to K14). */
#include "server/io/state.h"

#include "base/alloc.h"
#include "base/log.h"
#include "param/vec.h"

#include <string.h>

struct outcome { /* of a round, by number */
  enum xf_ledger_kind kind;
  enum xf_ledger_round_state state;
  uint64_t commit; /* training rounds committed before it */
};

struct walk {
  struct srv_state *st;
  struct srv_recovery *out;
  struct xf_ledger_recovery *led;
  struct xf_diag *diag;
  struct outcome *round; /* [n_round + 1] */
  uint64_t n_round, cap_round;
  uint64_t commits;
  uint64_t at;                                 /* round being walked */
  struct xf_coord_accepted *last, *last_train; /* [n members]; round 0: none */
  struct xf_coord_accepted *open;
  size_t n_open;
};

/* --- rounds and updates ------------------------------------------------------------------------------------------- */

static enum xf_rc on_round(void *arg, const struct xf_ledger_round *r) {
  struct walk *w = arg;
  if (r->round >= w->cap_round) {
    w->cap_round = 2 * r->round + 64;
    w->round = xf_realloc_array(w->round, (size_t)w->cap_round, sizeof *w->round);
  }
  w->n_round = r->round;
  w->round[r->round] = (struct outcome){r->kind, r->state, w->commits};
  const bool committed = r->state == XF_LEDGER_ROUND_COMMITTED;
  if (r->kind == XF_LEDGER_KIND_TRAIN) w->commits += committed;
  else if (committed || r->state == XF_LEDGER_ROUND_ABANDONED)
    w->out->r.evaluated_at = w->commits; /* one try */
  if (r->kind == XF_LEDGER_KIND_TRAIN || !committed) return XF_OK;
  double figure = 0;
  const enum xf_rc rc = srv_metrics_stop(w->st, r->metrics, &figure, w->diag);
  if (!rc) xf_plan_stop_take(&w->out->r.stop, &w->st->plan, w->commits, figure);
  return rc;
}

static enum xf_rc on_update(void *arg, const struct xf_ledger_stored *s) {
  struct walk *w = arg;
  const uint32_t i = srv_state_member(w->st, s->u.member);
  const struct outcome *o = &w->round[w->at];
  const bool open = w->led->has_open && w->at == w->led->round;
  if (i != UINT32_MAX && o->kind == XF_LEDGER_KIND_TRAIN && s->frozen &&
      o->state == XF_LEDGER_ROUND_COMMITTED)
    srv_history_add(w->out, w->st, o->commit, i, s);
  if (i == UINT32_MAX) {
    if (!open) return XF_OK; /* a former member */
    return xf_diag_set(
        w->diag, XF_E_CONFIG,
        "members: round %llu is open and holds an update of \"%s\", which is no longer listed",
        (unsigned long long)w->at, s->u.member);
  }
  const struct xf_coord_accepted a = {
      .member = i,
      .round = w->at,
      .kind = o->kind == XF_LEDGER_KIND_EVALUATE ? XF_TASK_EVALUATE : XF_TASK_TRAIN,
      .task_id = s->u.task_id,
      .update_digest = s->u.update,
      .weight = s->u.weight,
      .outcome = o->state == XF_LEDGER_ROUND_COMMITTED   ? XF_OUTCOME_COMMITTED
                 : o->state == XF_LEDGER_ROUND_ABANDONED ? XF_OUTCOME_DISCARDED
                                                         : XF_OUTCOME_NONE,
      .figures = srv_figures_of(s)};
  if (open) w->open[w->n_open++] = a;
  w->last[i] = a;
  if (a.kind != XF_TASK_TRAIN) return XF_OK;
  w->last_train[i] = a;
  w->out->counted[i] += a.outcome == XF_OUTCOME_COMMITTED;
  return XF_OK;
}

/* Each member's last accepted answer and last training answer, of any age, and all of the open round. */
static enum xf_rc walk_updates(struct walk *w) {
  enum xf_rc rc = xf_ledger_rounds(w->st->ledger, 1, INT64_MAX, on_round, w, w->diag);
  for (w->at = 1; w->at <= w->n_round && !rc; w->at++)
    rc = xf_ledger_updates(w->st->ledger, w->at, on_update, w, w->diag);
  if (rc) return rc;
  struct xf_coord_accepted *out = xf_calloc(2 * (size_t)w->st->n + w->n_open + 1, sizeof *out);
  size_t n = 0;
  for (uint32_t i = 0; i < w->st->n; i++) {
    if (w->last_train[i].round) out[n++] = w->last_train[i];
    if (w->last[i].round && w->last[i].round != w->last_train[i].round) out[n++] = w->last[i];
  }
  for (size_t k = 0; k < w->n_open; k++) { /* those above have them already */
    const struct xf_coord_accepted *a = &w->open[k];
    if (w->last[a->member].round != a->round) out[n++] = *a;
  }
  w->out->accepted = out;
  w->out->r.accepted = out;
  w->out->r.n_accepted = n;
  return XF_OK;
}

/* What a member answered to the final model; refused first and stored later is stored. */
static void on_final(struct walk *w, const struct xf_ledger_entry *e, bool stored) {
  const uint32_t i = srv_state_member(w->st, e->member);
  size_t k = 0;
  if (i == UINT32_MAX) return; /* a former member: nobody waits for it */
  if (!w->out->final) w->out->r.final = w->out->final = xf_calloc(w->st->n, sizeof *w->out->final);
  while (k < w->out->r.n_final && w->out->final[k].member != i) k++;
  w->out->final[k] = (struct xf_coord_final){i, stored};
  w->out->r.n_final += k == w->out->r.n_final;
}

static enum xf_rc on_event(void *arg, const struct xf_ledger_entry *e) {
  struct walk *w = arg;
  if (strcmp(e->run, w->st->run_id) != 0) return XF_OK;
  if (strcmp(e->kind, "final_stored") == 0 || strcmp(e->kind, "final_refused") == 0) {
    on_final(w, e, strcmp(e->kind, "final_stored") == 0);
    return XF_OK;
  }
  uint32_t *row = &w->out->r.abandoned_in_row;
  if (strcmp(e->kind, "run_state") == 0) {
    if (strstr(e->body, "\"state\":\"running\"")) *row = 0; /* resumed */
  } else if (e->round && e->round <= w->n_round &&
             w->round[e->round].kind == XF_LEDGER_KIND_TRAIN) {
    if (strcmp(e->kind, "round_abandoned") == 0) ++*row;
    else if (strcmp(e->kind, "round_committed") == 0) *row = 0;
  }
  return XF_OK;
}

/* --- tasks that outlived their rounds (fed.async) ------------------------------------------------------------------ */

struct given {
  const struct walk *w;
  uint64_t after, last; /* rounds: that ended all tasks before it; the newest training round */
  struct xf_coord_held *held; /* [n members]; round 0: none */
};

/* The newest task of each member counts; one of the newest round may never have been offered, and is no loss. */
static enum xf_rc on_given(void *arg, const struct xf_ledger_given *t) {
  const struct given *g = arg;
  const struct walk *w = g->w;
  const uint32_t i = srv_state_member(w->st, t->member);
  if (i == UINT32_MAX || t->round > w->n_round) return XF_OK;
  g->held[i].round = 0;
  const bool open = w->led->has_open && t->taken == w->led->round;
  const uint64_t committed = w->round[t->round].commit;
  if (t->round <= g->after || t->round >= g->last || t->declined || (t->taken && !open) ||
      w->commits - committed > w->st->plan.stages[0].fed.async.max_staleness)
    return XF_OK;
  g->held[i] = (struct xf_coord_held){i, t->round, committed, t->base};
  return XF_OK;
}

static enum xf_rc walk_held(struct walk *w) {
  if (!srv_state_async(w->st)) return XF_OK;
  struct given g = {.w = w, .held = xf_calloc(w->st->n, sizeof *g.held)};
  for (uint64_t r = 1; r <= w->n_round; r++) {
    if (w->round[r].kind == XF_LEDGER_KIND_TRAIN) g.last = r;
    if (w->round[r].kind == XF_LEDGER_KIND_EVALUATE ||
        w->round[r].state == XF_LEDGER_ROUND_ABANDONED)
      g.after = r;
  }
  const enum xf_rc rc = xf_ledger_tasks(w->st->ledger, on_given, &g, w->diag);
  size_t n = 0;
  for (uint32_t i = 0; i < w->st->n; i++)
    if (g.held[i].round) g.held[n++] = g.held[i];
  w->out->held = g.held;
  w->out->r.held = g.held;
  w->out->r.n_held = n;
  return rc;
}

/* --- the open round ----------------------------------------------------------------------------------------------- */

static enum xf_rc open_round(struct walk *w) {
  const struct xf_ledger_recovery *led = w->led;
  struct srv_recovery *out = w->out;
  out->cohort = xf_calloc(led->n_task ? led->n_task : 1, sizeof *out->cohort);
  out->participant = xf_calloc(led->n_update ? led->n_update : 1, sizeof *out->participant);
  size_t n = 0;
  for (size_t k = 0; k < led->n_task; k++) {
    out->cohort[k] = srv_state_member(w->st, led->task[k].member);
    if (out->cohort[k] == UINT32_MAX)
      return xf_diag_set(w->diag, XF_E_CONFIG,
                         "members: round %llu is open and \"%s\" takes part, but is not listed",
                         (unsigned long long)led->round, led->task[k].member);
  }
  for (size_t k = 0; k < led->n_update; k++)
    if (led->update[k].frozen)
      out->participant[n++] = srv_state_member(w->st, led->update[k].u.member);
  out->r.open.round = led->round;
  out->r.open.kind = led->kind == XF_LEDGER_KIND_EVALUATE ? XF_TASK_EVALUATE : XF_TASK_TRAIN;
  out->r.open.state = led->state == XF_LEDGER_ROUND_COMMITTING ? XF_ROUND_COMMITTING
                      : led->state == XF_LEDGER_ROUND_CLOSING  ? XF_ROUND_CLOSING
                                                               : XF_ROUND_COLLECTING;
  out->r.open.cohort = out->cohort;
  out->r.open.n_cohort = led->n_task;
  out->r.open.participant = out->participant;
  out->r.open.n_participant = n;
  return XF_OK;
}

/* --- spool files -------------------------------------------------------------------------------------------------- */

struct adopt {
  struct srv_state *st;
  const struct xf_ledger_recovery *led;
  enum xf_rc rc; /* of the ledger: fatal */
  struct xf_diag *diag;
  uint64_t adopted;
};

static enum xf_rc accept_file(struct adopt *a, const char *name, const struct xf_spool_head *h) {
  struct xf_ledger_update u = {.task_id = h->task_id,
                               .round = h->round,
                               .outlived = srv_state_async(a->st),
                               .update = h->update_digest,
                               .payload = h->payload_digest,
                               .weight = h->weight,
                               .n_samples = h->n_samples,
                               .bytes = h->payload_len,
                               .spool = name,
                               .metrics = h->meta,
                               .charge = h->charge};
  memcpy(u.member, h->member, sizeof u.member);
  enum xf_rc rc = xf_ledger_begin(a->st->ledger, xf_wall_now_us(), a->diag);
  if (!rc) rc = xf_ledger_update_accept(a->st->ledger, &u, a->diag);
  if (!rc) rc = xf_ledger_commit(a->st->ledger, a->diag);
  if (rc) xf_ledger_rollback(a->st->ledger);
  return rc;
}

/* K5: durable, but without its row. Only files that were checked get this name, so the digest is what is left to check. */
static enum xf_spool_fate on_file(void *arg, const char *name, const struct xf_spool_head *h,
                                  const struct xf_diag *why) {
  struct adopt *a = arg;
  struct xf_spool_entry e = {0};
  struct xf_diag diag;
  struct xf_ledger_stored stored = {0};
  xf_diag_init(&diag);
  if (a->rc) return XF_SPOOL_KEEP;
  if (!h) {
    xf_log(XF_LOG_WARN, "spool_damaged", XF_S("file", name),
           XF_S("reason", xf_diag_text(why, XF_E_CORRUPT)));
    return XF_SPOOL_DELETE;
  }
  enum xf_rc rc = xf_ledger_update_get(a->st->ledger, &h->task_id, &stored, &diag);
  xf_ledger_stored_deinit(&stored);
  if (rc == XF_OK) return XF_SPOOL_KEEP;
  if (rc != XF_E_NOTFOUND) {
    a->rc = xf_diag_set(a->diag, rc, "%s", xf_diag_text(&diag, rc));
    return XF_SPOOL_KEEP;
  }
  if (!a->led->has_open || a->led->state != XF_LEDGER_ROUND_OPEN || h->round != a->led->round)
    return XF_SPOOL_DELETE;
  rc = xf_spool_open(&e, &a->st->spool, name, &diag);
  if (!rc) rc = xf_spool_verify(&e, &diag);
  xf_spool_close(&e);
  if (rc) {
    xf_log(XF_LOG_WARN, "spool_damaged", XF_S("file", name),
           XF_S("reason", xf_diag_text(&diag, rc)));
    return XF_SPOOL_DELETE;
  }
  rc = accept_file(a, name, h);
  if (rc == XF_E_NOTFOUND || rc == XF_E_CONFLICT || rc == XF_E_EXISTS || rc == XF_E_LATE ||
      rc == XF_E_RANGE)
    return XF_SPOOL_DELETE; /* not a task of this run, or settled otherwise */
  a->rc = rc;
  a->adopted += rc == XF_OK;
  return XF_SPOOL_KEEP;
}

static enum xf_rc adopt_files(struct srv_state *st, const struct xf_ledger_recovery *led,
                              struct xf_diag *diag) {
  struct adopt a = {.st = st, .led = led, .diag = diag};
  struct xf_spool_scan scan;
  enum xf_rc rc = xf_spool_scan(&st->spool, on_file, &a, &scan, diag);
  if (!rc) rc = a.rc;
  if (scan.temps || scan.deleted || a.adopted || scan.strange)
    xf_log(XF_LOG_INFO, "spool_recovered", XF_U("adopted", a.adopted),
           XF_U("deleted", scan.deleted), XF_U("temporary", scan.temps),
           XF_U("strange", scan.strange));
  return rc;
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

static enum xf_rc fill(struct walk *w) {
  struct xf_coord_recovery *r = &w->out->r;
  const struct xf_ledger_status *s = &w->led->status;
  r->epoch = w->st->epoch;
  r->last_round = s->rounds;
  r->committed = s->commits;
  r->evaluated_at = UINT64_MAX;
  r->frozen = w->st->frozen;
  r->paused = s->state == XF_LEDGER_RUN_PAUSED;
  r->done = s->state == XF_LEDGER_RUN_DONE;
  r->model_digest = w->st->model_digest;
  w->last = xf_calloc(w->st->n, sizeof *w->last);
  w->last_train = xf_calloc(w->st->n, sizeof *w->last_train);
  w->out->r.counted = w->out->counted = xf_calloc(w->st->n, sizeof *w->out->counted);
  w->open = xf_calloc(w->led->n_update ? w->led->n_update : 1, sizeof *w->open);
  enum xf_rc rc = walk_updates(w);
  if (!rc) rc = walk_held(w);
  if (!rc) rc = xf_ledger_events(w->st->ledger, 1, on_event, w, w->diag);
  if (!rc && w->led->has_open) rc = open_round(w);
  xf_free(w->last);
  xf_free(w->last_train);
  xf_free(w->open);
  xf_free(w->round);
  return rc;
}

enum xf_rc srv_recover(struct srv_state *st, struct srv_recovery *out, struct xf_diag *diag) {
  struct xf_ledger_recovery led = {0};
  *out = (struct srv_recovery){0};
  enum xf_rc rc = xf_ledger_recover(st->ledger, &led, diag);
  if (!rc) rc = adopt_files(st, &led, diag);
  xf_ledger_recovery_deinit(&led);
  if (!rc) rc = xf_ledger_recover(st->ledger, &led, diag); /* again, with what was adopted */
  if (rc) return rc;
  if (led.has_checkpoint && st->has_global) rc = srv_heal_open(st, &led.checkpoint, diag);
  struct walk w = {.st = st, .out = out, .led = &led, .diag = diag};
  if (!rc) rc = fill(&w);
  xf_ledger_recovery_deinit(&led);
  return rc;
}

void srv_recovery_deinit(struct srv_recovery *r) {
  xf_free(r->cohort);
  xf_free(r->participant);
  xf_free(r->accepted);
  xf_free(r->counted);
  xf_free(r->held);
  xf_free(r->final);
  xf_free(r->history);
  *r = (struct srv_recovery){0};
}
