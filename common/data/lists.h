/*
 * lists.h - per user, the candidate items to rank and which of them are relevant: read from a file, or drawn.
 *
 * A line of the file is a user, a tab, and items separated by commas or spaces (XMRec's `valid_run`); no header. Every user of
 * the relevance file (of the asked half) must have one line; users without relevance are left out and counted.
 * Relevant items that a list lacks cannot be ranked: they count as missed, in recall and NDCG.
 * Drawn lists: the relevant items and n_neg uniform items, without repetition, that the user has neither in train nor
 * as relevant; fewer where the catalogue is small. The draw depends on (seed, user key) and the item ids.
 * Not for: scoring them (rec/list_eval.h). Owner: caller. Thread: immutable once built.
 */
#ifndef XF_DATA_LISTS_H
#define XF_DATA_LISTS_H

#include "data/qrel.h"

struct xf_lists_count {
  uint64_t lines;
  uint64_t no_relevance,
      no_relevance_line; /* lists of users without relevance: left out; line of the first */
  uint64_t other_half;   /* lists left out by the half */
  uint64_t missed;       /* relevant items that their user's list lacks */
  uint64_t new_items;    /* keys the names did not have */
};

/* List k ranks item[start[k] .. start[k+1]) for user[k]. */
struct xf_lists {
  uint32_t n;
  uint32_t *user;       /* [n] */
  uint32_t *start;      /* [n + 1] */
  uint32_t *item;       /* [start[n]] */
  uint8_t *relevant;    /* [start[n]] */
  uint32_t *n_relevant; /* [n] relevant items of the user, in the list or not */
  struct xf_lists_count count;
};

/* Reads a candidate file. @own out; items gets the new keys @err those of lines.h, E_FORMAT (a user or item twice, no
   items, not two columns) E_NOTFOUND (a user of the relevance file has no list) */
XF_WARN_UNUSED enum xf_rc xf_lists_load(struct xf_lists *out, const char *path,
                                        const struct xf_qrel *qrel, enum xf_qrel_half half,
                                        const struct xf_names *users, struct xf_names *items,
                                        struct xf_diag *diag);
/* Draws candidates. train may have fewer rows than there are users. @own out @err E_INVAL (n_neg) E_SHAPE (an item beyond n_items)
   E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_lists_draw(struct xf_lists *out, const struct xf_qrel *qrel,
                                        enum xf_qrel_half half, const struct xf_names *users,
                                        const struct xf_csr *train, uint32_t n_items,
                                        uint32_t n_neg, uint64_t seed, struct xf_diag *diag);
/* Releases; idempotent. @own lists */
void xf_lists_deinit(struct xf_lists *lists);

#endif
