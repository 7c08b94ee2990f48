/*
 * guard.h - which candidates a domain uses, and how much of each: a greedy blend that must prove itself on validation.
 *
 * Each candidate's scores are standardised per user (blend.h). From the candidate that is best on validation, w x candidate
 * (w of .1 .25 .5 1) is added, at most 4 times, each time the addition of the largest paired gain, while that gain exceeds
 * `se` of its paired standard errors. A part that comes from the federation and got no weight is switched off, in words.
 * The figure is the expected NDCG@k with n_neg random negatives (expected.h), or with n_neg 0, and for users with fewer negatives
 * than that, the NDCG@k of the full list, over all items except the user's positives of the other parts, or over the given list of negatives.
 * Candidates are asked once (guardtable.h has the memory); they see the train history and, where the data have times, the
 * instant of the held-out event. No test label is used as a label.
 * Not for: fitting candidates (they must not have seen the held-out part). Owner: caller. Thread: any.
 */
#ifndef XF_REC_GUARD_H
#define XF_REC_GUARD_H

#include "base/buf.h"
#include "rec/blend.h"

#include <math.h>

enum { XF_GUARD_ADDITIONS = 16, XF_GUARD_WEIGHTS = 8 };

struct xf_guard_candidate {
  const char *name;
  const struct xf_scorer *scorer; /* NULL: the spec's row callback */
  bool shared;                    /* needs something that came from the federation */
};

/* A candidate's part in a mix (mix.h): linear z + bend xf_guard_bend(z). */
struct xf_guard_mix {
  double linear, bend;
};
/* @unit log */
static inline float xf_guard_bend(float z) { return z > -.2f ? logf(.3f + z) : logf(.3f - .2f); }

struct xf_guard_spec {
  const struct xf_split *split;
  enum xf_part part;         /* VALID, or TRAIN's replacement split B */
  const struct xf_csr *list; /* negatives of each user, or NULL: all items */
  const bool *users;         /* [n_users] who judges; NULL: everyone with a held-out item */
  uint32_t k;                /* 0: 10 */
  uint32_t n_neg;            /* 0: NDCG@k of the full list */
  bool train_items;          /* negatives have a train event; needs the split's item_count */
  uint64_t max_bytes;        /* of the guard's table; 0: 1 GiB */
  uint64_t seed;             /* of the negatives it keeps when they do not all fit */
  double se;                 /* guard.se; negative is an error */
  uint32_t max_add;          /* at most XF_GUARD_ADDITIONS; 0: only the best candidate */
  double weight[XF_GUARD_WEIGHTS];
  uint32_t n_weight;
  /* NULL, or [n]: mix[c], when not NULL, has weights of the candidates before c: c is a mix of them, and not asked */
  const struct xf_guard_mix *const *mix;
  /* Scores of all items by candidate c for a user, for candidates without a scorer. @shape out[n_items] */
  enum xf_rc (*row)(void *arg, uint32_t c, const struct xf_query *q, float *out,
                    struct xf_diag *diag);
  void *arg;
};

struct xf_guard_step {
  uint32_t candidate;
  double weight;   /* added; 1 for the start */
  double gain, se; /* paired, on validation; 0 for the start */
};

struct xf_guard {
  uint32_t n_candidate, n_step; /* step 0 is the start */
  uint32_t n_user;              /* that decided */
  double weight[XF_BLEND_PARTS];
  double alone[XF_BLEND_PARTS]; /* figure of each candidate by itself */
  double value;                 /* figure of the blend, on the same users: an optimistic one */
  double gain,
      se; /* blend over the best candidate that is not shared, paired; 0 when it is that one */
  double best_gain[XF_BLEND_PARTS],
      best_se[XF_BLEND_PARTS]; /* best refused addition of the last step */
  struct xf_guard_step step[1 + XF_GUARD_ADDITIONS];
};

/* The defaults of the design: k 10, 999 negatives, .5 standard errors, 4 additions. @own nothing taken */
struct xf_guard_spec xf_guard_defaults(const struct xf_split *split);
/* Whether candidates and spec fit together. @err E_INVAL E_SHAPE */
XF_WARN_UNUSED enum xf_rc xf_guard_check(const struct xf_guard_candidate *candidate, uint32_t n,
                                         const struct xf_guard_spec *spec, struct xf_diag *diag);
/* Decides. Equal figures go to the candidate named first. @shape candidate[n]
   @err E_INVAL (spec) E_SHAPE (numbers of items) E_NOTFOUND (no user has a held-out item) E_NAN E_NOMEM and the scorers'
   @source docs/internals/rec.md "Choosing" */
XF_WARN_UNUSED enum xf_rc xf_guard_fit(struct xf_guard *out,
                                       const struct xf_guard_candidate *candidate, uint32_t n,
                                       const struct xf_guard_spec *spec, struct xf_diag *diag);
/* Says it in words: start, additions, shared parts switched off and why. @err E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_guard_print(const struct xf_guard *guard,
                                         const struct xf_guard_candidate *candidate,
                                         struct xf_buf *text);
/* The chosen blend over scorers (of the same candidates, perhaps refitted). @own as xf_blend_new @err as xf_blend_new */
XF_WARN_UNUSED enum xf_rc xf_guard_blend(struct xf_scorer **out, const struct xf_guard *guard,
                                         const struct xf_guard_candidate *candidate,
                                         struct xf_scorer *const *scorer, bool owned,
                                         struct xf_diag *diag);

#endif
