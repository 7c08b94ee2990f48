/*
 * rerank.h - the one entry to diversity: a text such as "dpp:0.8", and a row of scores that becomes a list of k.
 *
 *   none               by score
 *   dpp[:THETA]        dpp.h, 0 <= THETA < 1, default .8: towards 1 relevance
 *   mmr[:LAMBDA]       mmr.h, 0 <= LAMBDA <= 1, default .7: 1 is relevance
 *   calibrated[:LAMBDA] calibrate.h, 0 <= LAMBDA <= 1, default .7: 1 is relevance; needs categories
 *   cover[:BONUS]      cover.h, 0 <= BONUS <= 1, default .15: 0 is relevance; needs categories
 *
 * The XF_RERANK_TOP best items by score are the candidates, their scores min-max scaled to r in [0, 1]; equal scores are all 1.
 * For k above that, the candidates are re-ordered and the rest follow by score. The text is the same on the command line and in
 * the HTTP interface.
 * Owner: caller's arrays; sources borrowed. Thread: any.
 */
#ifndef XF_REC_RERANK_H
#define XF_REC_RERANK_H

#include "rec/itemsim.h"
#include "rec/topk.h"

enum { XF_RERANK_TOP = 100, XF_RERANK_TEXT = 40 };

/* X(NAME, text, name of the number, default) */
#define XF_RERANK_LIST(X)                   \
  X(NONE, "none", "", 0)                    \
  X(DPP, "dpp", "THETA", .8)                \
  X(MMR, "mmr", "LAMBDA", .7)               \
  X(CALIBRATED, "calibrated", "LAMBDA", .7) \
  X(COVER, "cover", "BONUS", .15)

enum xf_rerank_kind {
#define XF_RERANK_ENUM(n, t, w, d) XF_RERANK_##n,
  XF_RERANK_LIST(XF_RERANK_ENUM)
#undef XF_RERANK_ENUM
      XF_N_RERANK
};

struct xf_rerank {
  enum xf_rerank_kind kind;
  double weight; /* theta, lambda or bonus */
};

/* What items are like. Borrowed; either may be NULL where the rule needs it not. */
struct xf_rerank_source {
  const struct xf_itemsim *sim;           /* dpp, mmr */
  const struct xf_categories *categories; /* calibrated, cover */
};

/* A user's scores. Borrowed. */
struct xf_rerank_row {
  const float *score; /* [n_items] NaN: not an item to show */
  uint32_t n_items;
  const uint32_t *exclude; /* [n_exclude] ascending: items left out */
  uint32_t n_exclude;
  const uint32_t *history; /* [n_history] what `calibrated` follows */
  uint32_t n_history;
};

/* Reads "dpp:0.8". @err E_FORMAT (rule, number) E_RANGE: the text says what there is */
XF_WARN_UNUSED enum xf_rc xf_rerank_parse(struct xf_rerank *out, const char *s, size_t len,
                                          struct xf_diag *diag);
/* Writes what xf_rerank_parse reads, with its number. @own caller's buffer */
const char *xf_rerank_print(char out[XF_RERANK_TEXT], struct xf_rerank rerank);
/* Whether the sources are there. @err E_NOTFOUND: the text says what is missing */
XF_WARN_UNUSED enum xf_rc xf_rerank_check(struct xf_rerank rerank,
                                          const struct xf_rerank_source *source,
                                          struct xf_diag *diag);
/* The list: items with their scores, in the order to show; *n is how many, at most k. "none" is xf_topk. @shape out[k]
   @err as xf_rerank_check, E_NAN (an infinite best score) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_rerank_top(struct xf_topk_item *out, uint32_t *n, uint32_t k,
                                        struct xf_rerank rerank,
                                        const struct xf_rerank_source *source,
                                        const struct xf_rerank_row *row, struct xf_diag *diag);

#endif
