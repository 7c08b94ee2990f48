/* What asynchronous rounds add to the model of the ledger: older models, and tasks that outlived their rounds. */
#include "parts.h"

#include <string.h>

void late_put(struct world *w) {
  struct past *p = &w->s.past[w->s.n_past++ % MAX_PAST];
  p->digest = w->s.digest;
  memcpy(p->model, w->s.model, sizeof p->model);
}

const float *late_model(const struct world *w, const struct xf_digest *digest) {
  for (uint64_t k = 0; k < MAX_PAST && k < w->s.n_past; k++)
    if (xf_digest_equal(&w->s.past[k].digest, digest)) return w->s.past[k].model;
  return NULL;
}

struct ledger_round *late_round(struct world *w, uint32_t client,
                                const struct xf_msg_update_begin *u) {
  for (uint64_t k = 1; k <= w->s.last_round; k++) {
    struct ledger_round *r = &w->s.round[k];
    if (r->update[client].durable && xf_digest_equal(&r->update[client].begin.task_id, &u->task_id))
      return r;
  }
  return world_round(w, u->round);
}

void late_check(struct world *w, const struct xf_coord_action *a) {
  const struct xf_plan_stage_part *s = &w->plan.stages[0];
  if (!xf_plan_is_async(s)) return;
  if (a->n_participant != s->fed.async.buffer)
    world_fail(w, "a flush of another size than the buffer", a->round, 0);
  for (size_t k = 0; k < a->n_participant; k++) {
    const uint32_t i = a->participant[k];
    const struct xf_msg_update_begin *u = &world_round(w, a->round)->update[i].begin;
    const uint64_t tau = w->s.n_past - 1 - w->s.round[u->round].before;
    w->stale += tau > 0;
    if (tau != a->staleness[k] || tau > s->fed.async.max_staleness)
      world_fail(w, "an update of another age than it says, or too old", a->round, i);
    for (uint64_t q = 1; q < a->round; q++)
      if (w->s.round[q].committed && w->s.round[q].update[i].durable &&
          xf_digest_equal(&w->s.round[q].update[i].begin.task_id, &u->task_id))
        world_fail(w, "an update counts in two rounds (I1)", a->round, i);
  }
}

/* As server/io/recover.c: each silo's newest task, unless it is of the newest training round, taken, too old, or ended by an
   evaluation. */
size_t late_held(struct world *w, struct xf_coord_held held[N_CLIENT]) {
  struct server *s = &w->s;
  uint64_t after = 0, last = 0;
  size_t n = 0;
  if (!xf_plan_is_async(&w->plan.stages[0])) return 0;
  for (uint64_t k = 1; k <= s->last_round; k++) {
    if (s->round[k].kind == XF_TASK_TRAIN) last = k;
    if (s->round[k].kind == XF_TASK_EVALUATE || s->round[k].abandoned) after = k;
  }
  for (uint32_t i = 0; i < N_CLIENT; i++) {
    uint64_t at = 0;
    for (uint64_t k = 1; k <= s->last_round; k++)
      for (size_t j = 0; j < s->round[k].n_cohort; j++)
        if (s->round[k].kind == XF_TASK_TRAIN && s->round[k].cohort[j] == i) at = k;
    bool over = at <= after || at >= last;
    for (uint64_t k = at; k <= s->last_round && !over; k++)
      over = s->round[k].update[i].durable && s->round[k].update[i].begin.round == at &&
             (s->round[k].committed || s->round[k].abandoned);
    if (over || s->committed - s->round[at].before > w->plan.stages[0].fed.async.max_staleness)
      continue;
    held[n++] = (struct xf_coord_held){i, at, s->round[at].before, s->round[at].base};
  }
  return n;
}
