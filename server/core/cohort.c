/* Who takes part in a round: the plan's policy over the member list, and what it remembers of committed rounds. */
#include "base/fail.h"
#include "crypto/stream.h"
#include "fed/selectpolicy.h"
#include "server/core/state.h"

#include <math.h>

struct xf_select_rule cohort_rule(const struct xf_coord *c) {
  return (struct xf_select_rule){.cohort = c->stage->fed.cohort,
                                 .quorum = c->stage->fed.quorum,
                                 .cohort_count = c->stage->fed.cohort_count,
                                 .quorum_count = c->stage->fed.quorum_count,
                                 .min_domains = c->stage->fed.min_domains,
                                 .over_select = c->stage->fed.over_select};
}

uint32_t cohort_members(const struct xf_coord *c) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < c->n; i++) n += !c->m[i].reader;
  return n;
}

static enum xf_select_kind kind_of(enum xf_plan_select policy) {
  switch (policy) {
  case XF_PLAN_SELECT_STRATIFIED: break;
  case XF_PLAN_SELECT_UNIFORM: return XF_SELECT_UNIFORM;
  case XF_PLAN_SELECT_WEIGHTED: return XF_SELECT_WEIGHTED;
  case XF_PLAN_SELECT_CHOICE: return XF_SELECT_CHOICE;
  case XF_PLAN_SELECT_OORT: return XF_SELECT_OORT;
  }
  return XF_SELECT_STRATIFIED;
}

static struct xf_select_policy policy_of(const struct xf_plan_stage_part *s) {
  return (struct xf_select_policy){.kind = kind_of(s->fed.select.policy),
                                   .candidates = s->fed.select.candidates,
                                   .oort = {.explore = s->fed.select.explore,
                                            .explore_decay = s->fed.select.explore_decay,
                                            .explore_min = s->fed.select.explore_min,
                                            .cutoff = s->fed.select.cutoff,
                                            .clip = s->fed.select.clip,
                                            .penalty = s->fed.select.duration_penalty,
                                            .most = s->fed.select.max_times,
                                            .most_part = s->fed.select.max_times_part}};
}

/* The memory is of the stage that the next commit is of. */
static void remember(struct xf_coord *c) {
  if (c->memory.known && c->memory_of == c->stage_at) return;
  const struct xf_select_pacer pacer = {c->stage->fed.select.pacer_window,
                                        c->stage->fed.select.pacer_step,
                                        c->stage->fed.select.duration_quantile};
  xf_select_memory_deinit(&c->memory);
  xf_select_memory_init(&c->memory, c->n, &pacer);
  c->memory_of = c->stage_at;
}

/* A silo may not seem larger than its max_weight lets it be. */
static struct xf_select_seen seen_of(const struct xf_coord *c, uint32_t member,
                                     const struct xf_coord_figures *f) {
  const uint32_t most = c->m[member].info->max_weight;
  const uint64_t samples = most && f->n_samples > most ? most : f->n_samples;
  const bool said = f->has_loss && f->loss_count;
  return (struct xf_select_seen){member, (double)samples,
                                 said ? f->loss_sum / (double)f->loss_count : (double)NAN,
                                 f->seconds};
}

enum xf_rc cohort_draw(struct xf_coord *c, struct xf_diag *diag) {
  c->n_carried = 0;
  if (c->kind == XF_TASK_EVALUATE) { /* whoever is here; never blocks on missing silos */
    c->n_cohort = 0;
    for (uint32_t i = 0; i < c->n; i++)
      if (round_may_work(c, &c->m[i])) c->cohort[c->n_cohort++] = i;
    c->target = c->n_cohort;
    return c->n_cohort ? XF_OK : xf_diag_set(diag, XF_E_STATE, "no member is connected");
  }
  if (async_on(c)) {
    async_draw(c);
    return XF_OK;
  }
  struct xf_select_member *list = xf_arena_calloc(&c->arena, c->n, sizeof *list);
  uint32_t *who = xf_arena_calloc(&c->arena, c->n, sizeof *who);
  if (!list || !who) return XF_E_NOMEM;
  remember(c);
  struct xf_select_pool pool = {.member = list, .who = who, .memory = &c->memory};
  for (uint32_t i = 0; i < c->n; i++) {
    if (c->m[i].reader) continue;
    who[pool.n] = i;
    list[pool.n++] = (struct xf_select_member){c->m[i].info->id, c->m[i].info->domain};
  }
  const struct xf_select_rule rule = cohort_rule(c);
  const struct xf_select_policy policy = policy_of(c->stage);
  struct xf_rng rng;
  xf_stream_init(&rng, c->cfg.plan->seed, "cohort", c->round, NULL);
  c->target = xf_select_target(&rule, pool.n);
  const enum xf_rc rc =
      xf_select_policy_draw(c->cohort, &c->n_cohort, &policy, &rule, &pool, &rng, diag);
  for (uint32_t k = 0; k < c->n_cohort && !rc; k++) c->cohort[k] = who[c->cohort[k]];
  return rc;
}

void cohort_learn(struct xf_coord *c) {
  if (!xf_plan_remembers(c->stage)) return;
  struct xf_select_seen *seen =
      xf_arena_calloc(&c->arena, c->n_participant ? c->n_participant : 1, sizeof *seen);
  if (!seen) {
    coord_fail(c, XF_E_NOMEM, "no memory for what a round has shown");
    return;
  }
  for (uint32_t k = 0; k < c->n_participant; k++)
    seen[k] = seen_of(c, c->participant[k], &c->m[c->participant[k]].figures);
  remember(c);
  xf_select_learn(&c->memory, seen, c->n_participant);
}

/* All commits again, as they were learnt. */
enum xf_rc cohort_recover(struct xf_coord *c, const struct xf_coord_recovery *r,
                          struct xf_diag *diag) {
  const uint64_t committed = c->committed;
  if (XF_PLANTED("forget_losses")) return XF_OK;
  for (size_t k = 0, n = 0; k < r->n_history; k += n) {
    c->committed = r->history[k].commit;
    for (n = 0; k + n < r->n_history && r->history[k + n].commit == c->committed; n++) {
      const struct xf_coord_history *h = &r->history[k + n];
      if (h->member >= c->n || n >= c->n)
        return xf_diag_set(diag, XF_E_CORRUPT, "ledger: commit %llu was of member %u of %u",
                           (unsigned long long)h->commit, h->member, c->n);
      c->participant[n] = h->member;
      c->m[h->member].figures = h->figures;
    }
    c->n_participant = (uint32_t)n;
    xf_arena_reset(&c->arena);
    round_stage(c);
    cohort_learn(c);
  }
  c->n_participant = 0;
  c->committed = committed;
  round_stage(c);
  return XF_OK;
}
