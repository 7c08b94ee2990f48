/* Rebuilds the coordinator from what the ledger says; every K-point of operations.md 4.3 lands here. */
#include "base/fail.h"
#include "base/log.h"
#include "server/core/state.h"

#include <string.h>

static enum xf_rc recover_round(struct xf_coord *c, const struct xf_coord_recovery *r,
                                struct xf_diag *diag) {
  c->round = r->open.round;
  c->kind = r->open.kind;
  if (r->open.n_cohort > c->n || r->open.n_participant > r->open.n_cohort + r->n_held)
    return xf_diag_set(diag, XF_E_CORRUPT,
                       "ledger: round %llu lists %zu members and %zu participants of %u",
                       (unsigned long long)c->round, r->open.n_cohort, r->open.n_participant, c->n);
  c->n_cohort = (uint32_t)r->open.n_cohort;
  c->target = async_trains(c) ? c->stage->fed.async.buffer : c->n_cohort;
  for (uint32_t k = 0; k < c->n_cohort; k++) {
    uint32_t i = r->open.cohort[k];
    if (i >= c->n)
      return xf_diag_set(diag, XF_E_CORRUPT, "ledger: round %llu names member %u of %u",
                         (unsigned long long)c->round, i, c->n);
    struct member *m = &c->m[i];
    c->cohort[k] = i;
    round_task(c, m, c->round, &c->model_digest, c->committed);
    c->cohort_task[k] = m->task_id;
  }
  return XF_OK;
}

/* Tasks that outlived their rounds: their members may come with updates, or go on. */
static enum xf_rc recover_held(struct xf_coord *c, const struct xf_coord_recovery *r,
                               struct xf_diag *diag) {
  if (!async_on(c) || (r->open.round && c->kind != XF_TASK_TRAIN)) return XF_OK;
  c->kind = XF_TASK_TRAIN;
  for (size_t k = 0; k < r->n_held; k++) {
    const struct xf_coord_held *h = &r->held[k];
    if (h->member >= c->n || c->m[h->member].selected || h->committed > c->committed)
      return xf_diag_set(diag, XF_E_CORRUPT, "ledger: a task of round %llu names member %u of %u",
                         (unsigned long long)h->round, h->member, c->n);
    struct member *m = &c->m[h->member];
    round_task(c, m, h->round, &h->base, h->committed);
    m->given = true;
    if (r->open.round) c->cohort[c->n_cohort++] = h->member;
  }
  return XF_OK;
}

static enum xf_rc recover_accepted(struct xf_coord *c, const struct xf_coord_recovery *r,
                                   struct xf_diag *diag) {
  for (size_t k = 0; k < r->n_accepted; k++) {
    const struct xf_coord_accepted *a = &r->accepted[k];
    if (a->member >= c->n)
      return xf_diag_set(diag, XF_E_CORRUPT, "ledger: an update names member %u of %u", a->member,
                         c->n);
    struct member *m = &c->m[a->member];
    struct last_answer last = {true, a->round, a->kind, a->task_id, a->update_digest, a->outcome};
    if (!m->last.set || m->last.round <= a->round) m->last = last;
    if (a->kind == XF_TASK_TRAIN && (!m->last_train.set || m->last_train.round <= a->round))
      m->last_train = last;
    if (r->open.round && a->round == r->open.round && m->selected &&
        !XF_PLANTED("forget_answered")) {
      if (!xf_digest_equal(&a->task_id, &m->task_id))
        return xf_diag_set(diag, XF_E_CORRUPT,
                           "ledger: the update of \"%s\" in round %llu answers another task",
                           m->info->id, (unsigned long long)a->round);
      m->task = T_ANSWERED;
      m->begin.weight = a->weight;
      m->figures = a->figures;
    }
  }
  return XF_OK;
}

/* Who stored the final model is not waited for again: it may have left for good. */
static enum xf_rc recover_final(struct xf_coord *c, const struct xf_coord_recovery *r,
                                struct xf_diag *diag) {
  for (size_t k = 0; k < r->n_final && !XF_PLANTED("forget_stored"); k++) {
    if (r->final[k].member >= c->n)
      return xf_diag_set(diag, XF_E_CORRUPT, "ledger: the final model went to member %u of %u",
                         r->final[k].member, c->n);
    struct member *m = &c->m[r->final[k].member];
    m->final_stored = m->final_sent = r->final[k].stored;
    m->final_refused = !r->final[k].stored;
  }
  return XF_OK;
}

enum xf_rc recover_apply(struct xf_coord *c, const struct xf_coord_recovery *r,
                         struct xf_diag *diag) {
  c->epoch = r->epoch;
  for (uint32_t i = 0; i < c->n && r->counted; i++) c->m[i].counted = r->counted[i];
  c->last_round = r->last_round;
  c->committed = r->committed;
  c->evaluated_at = r->evaluated_at;
  c->stop = r->stop;
  round_stage(c);
  c->abandoned_in_row = r->abandoned_in_row;
  c->model_digest = r->model_digest;
  c->frozen = r->frozen;
  c->paused = r->paused;
  c->done = r->done;
  const enum xf_rc past = cohort_recover(c, r, diag);
  if (past) return past;
  if (r->done) {
    round_set(c, XF_ROUND_DONE);
    enum xf_rc done_rc = recover_final(c, r, diag);
    return done_rc ? done_rc : recover_accepted(c, r, diag);
  }
  enum xf_rc rc = r->open.round ? recover_round(c, r, diag) : XF_OK;
  if (!rc) rc = recover_held(c, r, diag);
  if (!rc) rc = recover_accepted(c, r, diag);
  if (rc || !r->open.round) return rc;
  if (r->open.state == XF_ROUND_CLOSING || r->open.state == XF_ROUND_COMMITTING) {
    /* The list is frozen: recompute from the spool, bit for bit, and go on from there. */
    c->n_participant = (uint32_t)r->open.n_participant;
    for (uint32_t k = 0; k < c->n_participant; k++) {
      c->participant[k] = r->open.participant[k];
      if (c->participant[k] >= c->n || c->m[c->participant[k]].task != T_ANSWERED)
        return xf_diag_set(diag, XF_E_CORRUPT,
                           "ledger: round %llu closed with member %u, which has no accepted update",
                           (unsigned long long)c->round, c->participant[k]);
      c->weights[k] = round_weight(c, &c->m[c->participant[k]]);
    }
    round_set(c, XF_ROUND_CLOSING);
    c->pending_close = 1;
  } else {
    round_set(c, XF_ROUND_SELECTING); /* deadlines restart (decision 3) */
    c->select_until = xf_time_add_s(c->now, c->stage->fed.select_timeout_s);
  }
  xf_log(XF_LOG_INFO, "round_resumed", XF_U("round", c->round),
         XF_S("state", xf_round_state_name(c->state)), XF_U("updates", r->n_accepted));
  return XF_OK;
}
