/*
 * Asynchronous training rounds (fed.async): a round is a flush. It is open until `buffer` updates are accepted, whatever bases
 * they have, and then closes with exactly these. Who still works goes on: a task outlives its round, with its own base, until
 * that is max_staleness commits old. A member has one task at a time and one update in a flush, so it gets the next model when
 * the flush that took its update has committed; meanwhile the slot is another member's.
 * @source Nguyen et al. 2022 (FedBuff), algorithm 1
 */
#include "base/fail.h"
#include "crypto/stream.h"
#include "fed/stale.h"
#include "server/core/state.h"

#include <string.h>

bool async_on(const struct xf_coord *c) { return xf_plan_is_async(c->stage); }

bool async_trains(const struct xf_coord *c) { return async_on(c) && c->kind == XF_TASK_TRAIN; }

enum xf_rc async_check(const struct xf_coord *c, struct xf_diag *diag) {
  if (c->stage->fed.async.buffer > c->n)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "fed.async.buffer: a commit takes updates of %u members, and there are %u; "
                       "write at most that many",
                       c->stage->fed.async.buffer, c->n);
  return XF_OK;
}

uint64_t async_staleness(const struct xf_coord *c, const struct member *m) {
  return c->committed - m->base_at;
}

uint64_t async_weight(const struct xf_coord *c, const struct member *m) {
  static const enum xf_stale_kind kind[] = {[XF_PLAN_STALENESS_CONSTANT] = XF_STALE_CONSTANT,
                                            [XF_PLAN_STALENESS_INVERSE_SQRT] =
                                                XF_STALE_INVERSE_SQRT,
                                            [XF_PLAN_STALENESS_INVERSE] = XF_STALE_INVERSE,
                                            [XF_PLAN_STALENESS_POLYNOMIAL] = XF_STALE_POLYNOMIAL,
                                            [XF_PLAN_STALENESS_HINGE] = XF_STALE_HINGE,
                                            [XF_PLAN_STALENESS_ADASGD] = XF_STALE_ADASGD};
  const struct xf_stale s = {kind[c->stage->fed.async.staleness], c->stage->fed.async.a,
                             c->stage->fed.async.b, c->stage->fed.async.threshold};
  return xf_stale_weight(&s, async_staleness(c, m));
}

bool async_lives(const struct member *m) {
  return m->selected && m->given && m->task >= T_WAITING && m->task <= T_HELD;
}

/* The cohort: who still has a task, then all others in an order of their own, who get one in this order as slots come free. */
void async_draw(struct xf_coord *c) {
  c->n_cohort = 0;
  for (uint32_t i = 0; i < c->n; i++) {
    struct member *m = &c->m[i];
    const bool old = async_staleness(c, m) > c->stage->fed.async.max_staleness;
    m->carried = async_lives(m) && (!old || XF_PLANTED("too_old"));
    if (m->carried) c->cohort[c->n_cohort++] = i;
    else if (async_lives(m)) answer_drop(c, m, "its base is older than fed.async.max_staleness");
  }
  c->n_carried = c->n_cohort;
  for (uint32_t i = 0; i < c->n; i++)
    if (!c->m[i].carried && !c->m[i].reader) c->cohort[c->n_cohort++] = i;
  struct xf_rng rng;
  xf_stream_init(&rng, c->cfg.plan->seed, "cohort", c->round, NULL);
  xf_rng_shuffle(&rng, c->cohort + c->n_carried, c->n_cohort - c->n_carried);
  c->target = c->stage->fed.async.buffer;
}

void async_stop(struct xf_coord *c) {
  answer_drop_all(c);
  for (uint32_t i = 0; i < c->n; i++) {
    c->m[i].selected = c->m[i].given = c->m[i].carried = false;
    c->m[i].task = T_NONE;
  }
}

/* Whole updates into the flush, first come first served, until there are enough. */
static void admit(struct xf_coord *c) {
  for (;;) {
    struct member *first = NULL;
    uint32_t taken = 0;
    for (uint32_t k = 0; k < c->n_cohort; k++) {
      struct member *m = &c->m[c->cohort[k]];
      taken += m->task >= T_SPOOLING && m->task <= T_ANSWERED;
      if (m->task == T_HELD && (!first || m->arrived < first->arrived)) first = m;
    }
    if (!first || taken >= c->stage->fed.async.buffer) return;
    answer_store(c, first);
  }
}

/* Works, or is silent for less than a deadline: its slot is taken. */
static bool is_busy(const struct xf_coord *c, const struct member *m) {
  return m->conn && m->task >= T_OFFERED && m->task <= T_UPLOADING &&
         (xf_time_before(c->now, m->slot_until) || xf_time_before(c->now, m->lease_until));
}

static void offer(struct xf_coord *c) {
  uint32_t busy = 0;
  c->deadline = XF_TIME_NEVER;
  for (uint32_t k = 0; k < c->n_cohort; k++) busy += is_busy(c, &c->m[c->cohort[k]]);
  for (uint32_t k = 0; k < c->n_cohort; k++) {
    struct member *m = &c->m[c->cohort[k]];
    if (m->task == T_WAITING && round_may_work(c, m) &&
        (m->given || busy < c->stage->fed.async.concurrency)) {
      m->given = true; /* who comes back goes on with its task, even if its slot was given away */
      m->task = T_OFFERED;
      m->slot_until = xf_time_add_s(c->now, c->stage->fed.deadline_s);
      round_offer(c, m);
      busy++;
    }
    if (is_busy(c, m) && xf_time_before(c->now, m->slot_until))
      c->deadline = xf_time_min(c->deadline, m->slot_until);
  }
}

void async_collect(struct xf_coord *c) {
  const uint32_t want = c->stage->fed.async.buffer;
  uint32_t accepted = 0, able = 0, storing = 0;
  admit(c);
  for (uint32_t k = 0; k < c->n_cohort; k++) {
    const struct member *m = &c->m[c->cohort[k]];
    accepted += m->task == T_ANSWERED;
    able += m->task != T_REFUSED && m->task != T_NONE;
    storing += m->task == T_SPOOLING || m->task == T_RECORDING;
  }
  if (accepted >= want) round_close(c);
  else if (able < want && !storing)
    round_abandon(c, coord_text(c, "%u of %u members can still answer; fed.async.buffer is %u",
                                able, c->n_cohort, want));
  else offer(c);
}
