/*
 * select.h - who takes part in a round, and when a round may close: pure arithmetic.
 *
 * The cohort is drawn from the sorted member list, never from who is connected, stratified by domain:
 * every domain gets its proportional share rounded down or up (systematic sampling over domains in
 * random order: each member is selected with the same probability), and at least min_domains domains
 * get a seat when there are as many. The same stream over the same list gives the same cohort.
 *
 * Other ways of drawing: selectpolicy.h. Not for: deadlines and timers (server/core), weights (weight.h).
 * Thread: any. Owner: the caller.
 * @source W. G. Madow 1949, systematic sampling; docs/ALGORITHMS.md "selection"
 */
#ifndef XF_FED_SELECT_H
#define XF_FED_SELECT_H

#include "base/diag.h"
#include "base/rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xf_select_member {
  const char *id;
  const char *domain;
};

/* The plan's numbers. Of cohort and cohort_count, quorum and quorum_count, one is 0. */
struct xf_select_rule {
  double cohort, quorum; /* fractions (0, 1]; 0: see the count */
  uint32_t cohort_count, quorum_count;
  uint32_t min_domains; /* 0 and 1 are the same */
  double over_select;   /* times the target; below 1 counts as 1 */
};

/* Members a round wants answers from: the count, or ceil(cohort n), at least 1, at most n.
   @unit members */
uint32_t xf_select_target(const struct xf_select_rule *rule, uint32_t n_members);
/* Members asked: ceil(over_select target), at most n. @unit members */
uint32_t xf_select_asked(const struct xf_select_rule *rule, uint32_t n_members);
/* Answers without which a round is void: the count, or ceil(quorum target), 1 .. target.
   @unit members */
uint32_t xf_select_quorum(const struct xf_select_rule *rule, uint32_t n_members);

/* A list of members and whether a cohort of them can hold min_domains of its domains.
   @err E_INVAL (no member, order) E_RANGE (fewer domains than min_domains) */
XF_WARN_UNUSED enum xf_rc xf_select_check(const struct xf_select_rule *rule,
                                          const struct xf_select_member *member, uint32_t n,
                                          uint32_t n_domains, struct xf_diag *diag);
/* Draws the cohort stratified by domain: ascending indices into member, *n_out of them. Ids must ascend.
   @shape member[n], out[n] @err E_INVAL (no member, order) E_RANGE (fewer domains than min_domains) */
XF_WARN_UNUSED enum xf_rc xf_select_draw(uint32_t *out, uint32_t *n_out,
                                         const struct xf_select_rule *rule,
                                         const struct xf_select_member *member, uint32_t n,
                                         struct xf_rng *rng, struct xf_diag *diag);

/* A round as it stands. */
struct xf_select_state {
  uint32_t n_members;  /* of the list */
  uint32_t n_selected; /* asked */
  uint32_t n_answered; /* accepted or refused for good */
  uint32_t n_accepted;
  uint32_t n_domains; /* domains among the accepted */
  bool deadline;      /* has passed */
};
enum xf_select_verdict { XF_SELECT_WAIT, XF_SELECT_CLOSE, XF_SELECT_ABANDON };
/* CLOSE when quorum and domains hold and either every selected member has answered, or (asked more
   than the target) the target is reached, or the deadline has passed. ABANDON when all have answered
   or the deadline has passed, without them. @thread any */
enum xf_select_verdict xf_select_judge(const struct xf_select_rule *rule,
                                       const struct xf_select_state *state);

#endif
