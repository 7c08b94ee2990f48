/*
 * selectmem.h - what the committed rounds of a stage say about its members: what selection by policy rests on.
 *
 * A fold over the committed sequence and nothing else: rounds that were abandoned, answers that came late and members
 * that were asked in vain leave no trace. So a coordinator that starts again feeds the rounds of its ledger in their
 * order and chooses as if it had never been away (decision 35).
 * Not for: drawing (selectpolicy.h). Owner: caller. Thread: one at a time.
 */
#ifndef XF_FED_SELECTMEM_H
#define XF_FED_SELECTMEM_H

#include <stdint.h>

/* Of one member; all 0 before its first commit. */
struct xf_select_known {
  uint32_t times; /* commits it took part in */
  uint64_t last;  /* number of the last of them, from 1 */
  double samples; /* train samples; 0: not said */
  double loss;    /* mean train loss that came with its last update; NAN: not said */
  double seconds; /* from offer to durable update, the last that was measured; 0: none was */
};

/* One participant of a commit. */
struct xf_select_seen {
  uint32_t member;
  double samples; /* 0: not said */
  double loss;    /* NAN: not said */
  double seconds; /* 0: not measured */
};

/* Oort's pacer: moves the quantile of durations that selection prefers. */
struct xf_select_pacer {
  uint32_t window; /* commits; 0: the quantile stays */
  double step;     /* of the quantile */
  double quantile; /* before the first commit, (0, 1]; 1: every duration is preferred */
};

struct xf_select_memory {
  struct xf_select_known *known; /* [n] */
  uint32_t n;
  uint64_t commits;
  struct xf_select_pacer pacer;
  double quantile; /* now */
  double *utility; /* [2 window] of the last commits, a ring */
};

/* Nothing is known of n members. @own mem: xf_select_memory_deinit */
void xf_select_memory_init(struct xf_select_memory *mem, uint32_t n,
                           const struct xf_select_pacer *pacer);
/* Releases; idempotent. @own mem */
void xf_select_memory_deinit(struct xf_select_memory *mem);
/* The next commit of the stage, participants in its order. A member named twice counts as it was said last.
   After each window the summed mean utility (samples times loss, of members seen before) of the last window is
   compared with the one before: within a tenth of it the quantile rises by step, beyond five times it falls.
   @shape seen[n] @source F. Lai et al. 2021 (Oort), section 4.2, pacer; SymbioticLab/Oort oort.py */
void xf_select_learn(struct xf_select_memory *mem, const struct xf_select_seen *seen, uint32_t n);

#endif
