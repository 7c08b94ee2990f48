/*
 * Oort. Utility of a member seen before: samples times mean loss (the paper's |B| sqrt(mean of squared losses) needs the
 * loss of each sample, which no update carries; the two are equal when a silo's losses are), cut at a quantile, scaled to
 * (value - least) / range over the members as the reference code does, plus staleness, times the system term. Members never
 * seen are drawn alike: nothing is known of them.
 */
#include "base/alloc.h"
#include "fed/schedule.h"
#include "fed/selectpolicy.h"

#include <math.h>
#include <stdlib.h>

double xf_oort_staleness(uint64_t round, uint64_t last) {
  return sqrt(0.1 * log((double)round) / (double)last);
}

double xf_oort_system(double seconds, double preferred, double alpha) {
  return seconds > preferred ? pow(preferred / seconds, alpha) : 1;
}

double xf_oort_explore(const struct xf_select_policy *policy, uint64_t round) {
  return fmax(policy->oort.explore * xf_schedule_power(policy->oort.explore_decay, round),
              policy->oort.explore_min);
}

/* The three groups of members, each a list; together all of the pool. */
struct groups {
  uint32_t *seen, *fresh, *barred;
  uint32_t n_seen, n_fresh, n_barred;
};

static int rising(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Entry floor(n q) of x ascending, the last at most; sorts x. */
static double quantile(double *x, uint32_t n, double q) {
  qsort(x, n, sizeof *x, rising);
  const double at = floor((double)n * q);
  return x[at < n - 1 ? (uint32_t)at : n - 1];
}

/* Who took part most often is barred first, up to most_part of the pool. */
static void group(struct groups *g, const struct xf_select_policy *policy,
                  const struct xf_select_pool *pool, double *work) {
  const uint32_t room = (uint32_t)(policy->oort.most_part * pool->n + 1e-9);
  for (uint32_t i = 0; i < pool->n; i++) {
    const struct xf_select_known *k = xf_select_known_of(pool, i);
    work[i] = k->times;
    if (policy->oort.most && k->times > policy->oort.most) g->barred[g->n_barred++] = i;
  }
  xf_select_sort(g->barred, g->n_barred, work);
  if (g->n_barred > room) g->n_barred = room;
  for (uint32_t k = 0; k < g->n_barred; k++) work[g->barred[k]] = -1;
  for (uint32_t i = 0; i < pool->n; i++) {
    if (work[i] > 0) g->seen[g->n_seen++] = i;
    else if (work[i] == 0) g->fresh[g->n_fresh++] = i;
  }
}

/* The duration that is preferred: the memory's quantile of those known of the pool. */
static double preferred(const struct xf_select_pool *pool, double *work) {
  uint32_t n = 0;
  if (pool->memory->quantile >= 1) return INFINITY;
  for (uint32_t i = 0; i < pool->n; i++)
    if (xf_select_known_of(pool, i)->seconds > 0) work[n++] = xf_select_known_of(pool, i)->seconds;
  return n ? quantile(work, n, pool->memory->quantile) : INFINITY;
}

/* score[i] of the members in g->seen. */
static void score_seen(double *score, const struct groups *g, const struct xf_select_policy *policy,
                       const struct xf_select_pool *pool, double *work) {
  const uint32_t n = pool->n;
  double *samples = xf_calloc(2 * (size_t)n, sizeof *samples), *loss = samples + n;
  const uint64_t round = pool->memory->commits + 1;
  xf_select_fill(samples, loss, pool);
  for (uint32_t k = 0; k < g->n_seen; k++) {
    const uint32_t i = g->seen[k];
    work[k] = score[i] = samples[i] * fmax(0, loss[i]);
  }
  const double cut = quantile(work, g->n_seen, policy->oort.clip), least = work[0] * 0.999,
               range = fmax(work[g->n_seen - 1] - least, 1e-4), slow = preferred(pool, work);
  for (uint32_t k = 0; k < g->n_seen; k++) {
    const uint32_t i = g->seen[k];
    const struct xf_select_known *m = xf_select_known_of(pool, i);
    score[i] = ((fmin(score[i], cut) - least) / range + xf_oort_staleness(round, m->last)) *
               xf_oort_system(m->seconds, slow, policy->oort.penalty);
  }
  xf_free(samples);
}

void xf_select_order_oort(uint32_t *order, const struct xf_select_policy *policy,
                          const struct xf_select_pool *pool, struct xf_rng *rng) {
  const uint32_t n = pool->n, asked = pool->asked;
  uint32_t *list = xf_calloc(3 * (size_t)n, sizeof *list), at = 0;
  double *score = xf_calloc(2 * (size_t)n, sizeof *score), *work = score + n;
  struct groups g = {.seen = list, .fresh = list + n, .barred = list + 2 * (size_t)n};
  group(&g, policy, pool, work);
  const double explore = xf_oort_explore(policy, pool->memory->commits + 1);
  uint32_t exploit = (uint32_t)(asked * (1 - explore) + 1e-9);
  if (exploit + g.n_fresh < asked) exploit = asked - g.n_fresh; /* nobody is left to explore */
  if (exploit > g.n_seen) exploit = g.n_seen;
  if (g.n_seen) score_seen(score, &g, policy, pool, work);
  xf_select_sort(g.seen, g.n_seen, score);
  uint32_t near = exploit; /* who may be drawn */
  while (exploit && near < g.n_seen &&
         score[g.seen[near]] >= policy->oort.cutoff * score[g.seen[exploit - 1]])
    near++;
  xf_select_shuffle(g.seen, near, score, rng);
  xf_rng_shuffle(rng, g.fresh, g.n_fresh);
  for (uint32_t k = 0; k < exploit; k++) order[at++] = g.seen[k];
  for (uint32_t k = 0; k < g.n_fresh; k++) order[at++] = g.fresh[k];
  for (uint32_t k = exploit; k < g.n_seen; k++) order[at++] = g.seen[k];
  for (uint32_t k = g.n_barred; k-- > 0;) order[at++] = g.barred[k]; /* the least used first */
  xf_free(list);
  xf_free(score);
}
