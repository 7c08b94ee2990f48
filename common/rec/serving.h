/*
 * serving.h - what a silo answers from: an immutable snapshot of scorer, names and histories, and the slot it is swapped in.
 *
 * A snapshot never changes, so any number of readers use it without a lock; a new model is a new snapshot in the slot, and
 * the old one goes when its last reader gives it back. Readers therefore see one model from start to end of an answer.
 *
 *   struct xf_serving *s = xf_serving_slot_take(slot);      NULL: nothing is served yet
 *   rc = xf_serving_recommend(s, &request, answer, diag);   answer: one per thread, reused
 *   ... names by s->catalog ...
 *   xf_serving_unref(s);
 *
 * Not for: making scorers (factors.h, blend.h, ...), HTTP. Owner: reference-counted. Thread: snapshots any; an answer one at a
 * time; of a slot's functions only init and deinit want to be alone.
 */
#ifndef XF_REC_SERVING_H
#define XF_REC_SERVING_H

#include "base/digest.h"
#include "rec/blend.h"
#include "rec/catalog.h"
#include "rec/kgside.h"
#include "rec/recommender.h"
#include "rec/rerank.h"

#include <pthread.h>

enum {
  XF_SERVING_K_MAX = 1000,      /* items in one answer */
  XF_SERVING_EXPLAIN_MAX = 100, /* items explained in one answer */
  XF_SERVING_HISTORY_MAX = 200, /* items of a history given with a request */
  XF_SERVING_LIKE = 3           /* history items named beside an explained one */
};

/* Where a snapshot comes from, for people and logs. */
struct xf_serving_meta {
  char run[64], stage[64], arm[32]; /* "" where there is none */
  char kind[32];                    /* of the scorer; "popularity" without one */
  char model[XF_DIGEST_HEX];        /* digest of what is served, as its maker defines it */
  uint64_t round;                   /* it comes from; of the final model: commits */
  uint64_t version; /* of this process: 1, 2, ... in the order of the slot; set by it */
  int64_t made_us;  /* wall clock, microseconds since 1970 */
};

struct xf_serving {
  atomic_uint refs;
  struct xf_catalog *catalog;
  const struct xf_scorer *scorer; /* NULL: popularity only */
  float *
      strangers; /* [items.n] scores for whom the scorer cannot serve; NULL: the catalogue's popularity */
  enum xf_recommender_crowd crowd; /* whose popularity they are */
  struct xf_kg_side *kg;           /* whose paths are reasons of the scorer; NULL: none */
  struct xf_rerank_source alike;   /* what items are like; NULLs where nobody knows */
  void *owner;
  void (*owner_free)(void *owner);
  struct xf_serving_meta meta;
};

/* What a snapshot is made of. */
struct xf_serving_source {
  struct xf_catalog *catalog;     /* one more reference is taken */
  const struct xf_scorer *scorer; /* NULL: popularity only */
  const struct xf_itemsim *
      sim; /* of the owner's; what items are like, after the catalogue's categories and before who took what; may be NULL */
  const float *strangers; /* [items.n], copied; NULL: the catalogue's popularity */
  enum xf_recommender_crowd crowd;
  struct xf_kg_side *kg; /* one more reference is taken; NULL: the scorer has nothing of a graph */
  void *owner;           /* of scorer and sim; NULL: the scorer itself is taken */
  void (*owner_free)(void *owner);
  struct xf_serving_meta meta; /* kind is filled in where it is empty */
};

/* @own out: xf_serving_unref; the scorer or its owner is taken, also after an error @err E_SHAPE (number of items) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_serving_new(struct xf_serving **out,
                                         const struct xf_serving_source *source,
                                         struct xf_diag *diag);
/* One more owner; returns serving. @own shared @thread any */
struct xf_serving *xf_serving_ref(struct xf_serving *serving);
/* One owner less; NULL is legal. @own releases the last @thread any */
void xf_serving_unref(struct xf_serving *serving);

/* --- the slot ------------------------------------------------------------------------------------ */

/* The mutex is held for a pointer and a count, never while anything is computed or released. */
struct xf_serving_slot {
  pthread_mutex_t mutex;
  struct xf_serving *now;
  uint64_t version;
};

/* Empty. @own caller, release with xf_serving_slot_deinit @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_serving_slot_init(struct xf_serving_slot *slot);
/* Gives back the snapshot; nobody may use the slot any more. @own slot @thread alone */
void xf_serving_slot_deinit(struct xf_serving_slot *slot);
/* Puts a snapshot in and numbers it; the one before goes with its last reader. @own takes serving @thread any */
void xf_serving_slot_set(struct xf_serving_slot *slot, struct xf_serving *serving);
/* The snapshot of now, or NULL. @own caller: xf_serving_unref @thread any */
struct xf_serving *xf_serving_slot_take(struct xf_serving_slot *slot);

/* --- asking -------------------------------------------------------------------------------------- */

/* X(NAME, text): what an answer rests on */
#define XF_SERVING_BASIS_LIST(X) \
  X(USER, "user")                \
  X(HISTORY, "history")          \
  X(POPULARITY, "popularity")    \
  X(POOLED, "pooled")            \
  X(OVERLAP, "overlap")
enum xf_serving_basis {
#define XF_SERVING_BASIS_ENUM(n, t) XF_SERVING_##n,
  XF_SERVING_BASIS_LIST(XF_SERVING_BASIS_ENUM)
#undef XF_SERVING_BASIS_ENUM
};
/* @own static */
const char *xf_serving_basis_name(enum xf_serving_basis basis);

struct xf_serving_request {
  const char *user;           /* NULL: nobody in particular */
  const char *const *history; /* [n_history] keys of items; instead of the user's own history */
  uint32_t n_history;
  uint32_t k;
  struct xf_rerank rerank; /* zeroed: by score */
  bool explain;
  bool seen; /* items of the history may be recommended */
};

struct xf_serving_item {
  uint32_t item;
  float score;
  uint32_t n_why;
  const struct xf_blend_why *why; /* [n_why] largest first; names: xf_serving_part_name */
  const char *path;               /* the graph's best path from the history, in words; NULL: none */
  uint32_t n_like;
  struct {
    uint32_t item;
    float similarity;      /* above 0, best first; no part of the score */
  } like[XF_SERVING_LIKE]; /* items of the history most like it */
};

/* An answer and the memory behind it, kept from request to request. Zeroed is empty. */
struct xf_serving_answer {
  enum xf_serving_basis basis;
  bool known;       /* the user is one of the silo's */
  uint32_t ignored; /* keys of the given history that are no items of the silo */
  uint32_t n;
  struct xf_serving_item item[XF_SERVING_K_MAX];
  /* private */
  struct xf_topk_item top[XF_SERVING_K_MAX];
  uint32_t given[XF_SERVING_HISTORY_MAX];
  float *score;
  uint32_t n_score;
  struct xf_blend_why *why;
  char (*path)[XF_KG_PATH_TEXT]; /* [XF_SERVING_EXPLAIN_MAX] */
};

/* Releases; idempotent. @own answer */
void xf_serving_answer_deinit(struct xf_serving_answer *answer);
/* The k best items for a user without those of the history. A user the silo does not know, and one the scorer cannot
   serve, is answered from the given history or, without one, by popularity (serving->strangers): answer->basis says so.
   @shape answer->item[n <= k] @own answer, until its next use @err E_RANGE (k) E_LIMIT (explained items, history)
   E_INVAL (nobody to answer for) E_UNSUPPORTED (nothing to re-rank by) E_NOMEM and the scorer's */
XF_WARN_UNUSED enum xf_rc xf_serving_recommend(const struct xf_serving *serving,
                                               const struct xf_serving_request *request,
                                               struct xf_serving_answer *answer,
                                               struct xf_diag *diag);
/* The k items that the scorer gives to someone whose whole history is this item; where it scores users only, or there is
   none, the most alike ones (serving->alike). @own answer, until its next use @err E_NOTFOUND (no such item) E_STATE (no model
   and nothing to tell similar items by) E_RANGE (k) E_UNSUPPORTED (as E_STATE, with a model) E_NOMEM and the scorer's */
XF_WARN_UNUSED enum xf_rc xf_serving_similar(const struct xf_serving *serving, const char *item,
                                             uint32_t k, struct xf_serving_answer *answer,
                                             struct xf_diag *diag);
/* Name of a part of an explanation. @own serving */
const char *xf_serving_part_name(const struct xf_serving *serving,
                                 const struct xf_serving_answer *answer, uint32_t part);

#endif
