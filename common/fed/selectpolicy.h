/*
 * selectpolicy.h - who takes part in a round, by what earlier rounds have shown.
 *
 * A policy puts all members into an order of preference (one file each: order_*.c; the table is in selectpolicy.c); the
 * cohort is the front of that order, with as many domains as the rule wants. Stratified selection keeps its own draw
 * (select.h), which is what xf_select_policy_draw calls for it.
 *
 *   uniform          random, domains ignored
 *   weighted         without replacement, with probability in proportion to train samples
 *   power-of-choice  `candidates` members drawn as weighted draws; of these the largest losses. The loss is the one that came
 *                    with a member's last update (the variant with stale losses: nobody is asked for a loss)
 *   oort             part of the cohort by utility among members seen before, the rest among the others
 *
 * A member that never took part has an infinite loss; one that did and said no loss has the mean of those that were said. Without
 * samples the mean of those known stands for them. Losses and samples are what silos say: who exaggerates is chosen more often.
 * The same members, memory and stream give the same cohort.
 * Not for: sizes, quorum (select.h). Owner: caller. Thread: any.
 * @source Y. J. Cho, J. Wang, G. Joshi 2020 (power-of-choice); F. Lai, X. Zhu, H. Madhyastha, M. Chowdhury 2021 (Oort); P. Efraimidis,
 * P. Spirakis 2006 (weighted draws without replacement)
 */
#ifndef XF_FED_SELECTPOLICY_H
#define XF_FED_SELECTPOLICY_H

#include "fed/select.h"
#include "fed/selectmem.h"

enum xf_select_kind {
  XF_SELECT_STRATIFIED,
  XF_SELECT_UNIFORM,
  XF_SELECT_WEIGHTED,
  XF_SELECT_CHOICE,
  XF_SELECT_OORT,
  XF_SELECT_N_KIND
};

struct xf_select_policy {
  enum xf_select_kind kind;
  uint32_t
      candidates; /* CHOICE: d; 0: twice the members asked. At least those asked, at most all */
  struct {        /* OORT */
    double explore, explore_decay,
        explore_min;  /* part of the cohort never seen before: max(explore decay^R, min) */
    double cutoff;    /* who has this part of the utility of the last by utility may be drawn too */
    double clip;      /* quantile of samples times loss above which it is cut */
    double penalty;   /* alpha of (T/t)^alpha for members slower than T; T: memory's quantile */
    uint32_t most;    /* commits after which a member is barred; 0: never */
    double most_part; /* at most this part of the members is barred */
  } oort;
};

/* What a policy sees. */
struct xf_select_pool {
  const struct xf_select_member *member; /* [n], ids ascending */
  const uint32_t *who;                   /* [n] its number in memory; NULL: the same */
  const struct xf_select_memory *memory;
  uint32_t n, asked; /* asked: set by the draw */
};

/* Draws the cohort: ascending indices into pool->member, *n_out of them. Never fewer domains than the rule's min_domains.
   @shape out[pool->n] @err E_INVAL E_RANGE, as xf_select_draw */
XF_WARN_UNUSED enum xf_rc xf_select_policy_draw(uint32_t *out, uint32_t *n_out,
                                                const struct xf_select_policy *policy,
                                                const struct xf_select_rule *rule,
                                                struct xf_select_pool *pool, struct xf_rng *rng,
                                                struct xf_diag *diag);

/* --- for the policies ----------------------------------------------------------------------------------------------- */

/* Orders of preference: a permutation of 0 .. n-1. @shape order[n] */
void xf_select_order_uniform(uint32_t *order, const struct xf_select_policy *policy,
                             const struct xf_select_pool *pool, struct xf_rng *rng);
/* @shape order[n] */
void xf_select_order_weighted(uint32_t *order, const struct xf_select_policy *policy,
                              const struct xf_select_pool *pool, struct xf_rng *rng);
/* @shape order[n] */
void xf_select_order_choice(uint32_t *order, const struct xf_select_policy *policy,
                            const struct xf_select_pool *pool, struct xf_rng *rng);
/* @shape order[n] */
void xf_select_order_oort(uint32_t *order, const struct xf_select_policy *policy,
                          const struct xf_select_pool *pool, struct xf_rng *rng);
/* id[n] in the order in which draws without replacement, each in proportion to weight[id], would give them; one number of rng
   an entry. Weights of 0 come last. @shape weight[more than any id] */
void xf_select_shuffle(uint32_t *id, uint32_t n, const double *weight, struct xf_rng *rng);
/* id[n] by key[id], largest first; equal keys: the lower id first. NAN is not allowed. @shape key[more than any id] */
void xf_select_sort(uint32_t *id, uint32_t n, const double *key);
/* What memory has of member i of the pool. @own memory */
const struct xf_select_known *xf_select_known_of(const struct xf_select_pool *pool, uint32_t i);
/* Each member's samples and loss with the missing ones replaced, as the head says. @shape samples[n], loss[n] */
void xf_select_fill(double *samples, double *loss, const struct xf_select_pool *pool);

/* Oort's terms, each by itself. sqrt(.1 ln R / last): what time without it adds. @unit - @source Lai 2021, eq. 2 */
double xf_oort_staleness(uint64_t round, uint64_t last);
/* (T/t)^alpha when t > T, else 1. @unit - @source Lai 2021, eq. 2 */
double xf_oort_system(double seconds, double preferred, double alpha);
/* Part of the cohort that explores in selection number R, from 1. @unit fraction */
double xf_oort_explore(const struct xf_select_policy *policy, uint64_t round);

#endif
