/*
 * twins.h - leaks between two domains that share users: the same product under two ids, so that one purchase is a
 * train event of the one domain and a held-out positive of the other.
 *
 * Items a of A and b of B are twins when c >= min_both users hold both and c / (n_a + n_b - c) >= min_share, where a
 * user holds an item with any event, held out or not. A held-out positive leaks when its user holds a twin of the item in the
 * other domain. Items with fewer than min_both common users cannot be judged: "none found" is not "none there".
 * It needs both domains' data, so it is for evaluation; no part of a federation.
 * Not for: near-equal keys (findings.h). Owner: caller. Thread: any; no global state.
 * @source Jaccard 1901; found necessary on public pairs of domains, see docs/internals/data.md
 */
#ifndef XF_DATA_TWINS_H
#define XF_DATA_TWINS_H

#include "data/interactions.h"

/* One domain: all its events, and which of them are held out. Borrowed. */
struct xf_twins_side {
  const struct xf_interactions *inter; /* users of both sides are joined by their keys */
  const uint8_t *held;                 /* [inter->n] 1: held out; NULL: none */
};

struct xf_twins_spec {
  uint32_t min_both; /* 0: 2 */
  double min_share;  /* 0: .5 */
};

struct xf_twin {
  uint32_t a, b;           /* item ids of the two sides */
  uint32_t both, n_a, n_b; /* users */
};

struct xf_twins_count {
  uint64_t items, twin_items;
  uint64_t held; /* held-out positives */
  uint64_t
      held_no_train; /* of them: their item has no train event, so nobody can be scored on it; not below */
  uint64_t held_known; /* the pair is also a train event of the same domain */
  uint64_t leaked;     /* a twin is a train event of the user in the other domain */
  uint64_t leaked_any; /* the same, or a held-out event there */
};

struct xf_twins {
  struct xf_twin *twin; /* [n] by a, then b */
  size_t n;
  uint32_t shared_users;
  uint64_t shared_pairs; /* (user, item) with the same keys in both domains */
  struct xf_twins_count count[2];
  uint8_t *leaked
      [2]; /* [inter->n] 1: a held-out event counted in `leaked`: leave it out for "clean" figures */
};

/* Finds twins and what they leak. @own out @err E_INVAL (share not in (0, 1]) E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_twins_find(struct xf_twins *out, const struct xf_twins_side side[2],
                                        const struct xf_twins_spec *spec, struct xf_diag *diag);
/* Releases; idempotent. @own twins */
void xf_twins_deinit(struct xf_twins *twins);

#endif
