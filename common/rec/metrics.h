/*
 * metrics.h - what the measures are: names, values of one user's list, sums that add up over silos.
 *
 * A measure is a sum and a count; sums of silos are added, then xf_measure_value divides (never averages of averages).
 *   hr@k recall@k precision@k ndcg@k mrr   sum over users of the user's value, count users
 *   auc      ranking: as above with the share of negatives below the positive; tables: sum = pairs won, count = pairs
 *   acc      sum = right answers, count = rows (scores > 0, or the largest of several)
 *   rmse     sum = squared errors, count = rows or held-out events; the value is the root
 *   logloss  sum = negative log-likelihoods, count = rows
 * Ties count against the positive in rankings and half in AUC: a constant scorer must not look good.
 * Owner: caller. Thread: any. @source algorithms: Jarvelin & Kekalainen 2002 (NDCG); definitions docs/ALGORITHMS.md
 */
#ifndef XF_REC_METRICS_H
#define XF_REC_METRICS_H

#include "base/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(NAME, text, takes k, of interactions, of tables, carries the protocol in its key) */
#define XF_MEASURE_LIST(X)                           \
  X(HR, "hr", true, true, false, true)               \
  X(NDCG, "ndcg", true, true, false, true)           \
  X(RECALL, "recall", true, true, false, true)       \
  X(PRECISION, "precision", true, true, false, true) \
  X(MRR, "mrr", false, true, false, true)            \
  X(AUC, "auc", false, true, true, true)             \
  X(ACC, "acc", false, false, true, false)           \
  X(RMSE, "rmse", false, true, true, false)          \
  X(LOGLOSS, "logloss", false, false, true, false)

enum xf_measure_kind {
#define XF_MEASURE_ENUM(n, t, k, i, d, p) XF_MEASURE_##n,
  XF_MEASURE_LIST(XF_MEASURE_ENUM)
#undef XF_MEASURE_ENUM
      XF_N_MEASURE
};

struct xf_measure {
  enum xf_measure_kind kind;
  uint32_t k; /* 0 for kinds without */
};

struct xf_measure_sum {
  double sum, count;
};

enum { XF_MEASURE_KEY = 48 };
/* Text of a kind. @own static */
const char *xf_measure_name(enum xf_measure_kind kind);
/* "ndcg@10" -> kind and k. @err E_FORMAT E_RANGE */
XF_WARN_UNUSED enum xf_rc xf_measure_parse(struct xf_measure *out, const char *s, size_t len);
/* JSON key: "ndcg_10_full", "hr_10_s999" (n_neg 999), "acc". ranking: the data are interactions. @own caller's buffer */
const char *xf_measure_key(char out[XF_MEASURE_KEY], struct xf_measure measure, bool ranking,
                           uint32_t n_neg);
/* Whether the measure applies to interactions (ranking) or tables. @thread any */
bool xf_measure_fits(enum xf_measure_kind kind, bool ranking);
/* The figure; NaN without a count. @unit as the measure */
double xf_measure_value(enum xf_measure_kind kind, struct xf_measure_sum sum);

/* A user's hr, ndcg, recall, precision or mrr from the ranks of the relevant items (from 0, ascending).
   @shape rank[n], n >= 1 @source docs/ALGORITHMS.md "metrics" */
double xf_measure_ranks(struct xf_measure measure, const uint32_t *rank, uint32_t n);
/* Ascending ranks of positives: rank of the i-th best = i + negatives that score at least as much; numbers only.
   @shape rank[n_pos], pos[n_pos] (is sorted), neg[n_neg] */
void xf_measure_rank(uint32_t *rank, float *pos, uint32_t n_pos, const float *neg, uint32_t n_neg);
/* Pairs (positive, negative) won, ties half, and all pairs. scratch holds n ids. @shape score[n], label[n] (> .5: positive)
   @source Mann & Whitney 1947 */
struct xf_measure_sum xf_measure_auc(const float *score, const float *label, size_t n,
                                     uint32_t *scratch);
/* Mean of a[i] - b[i] and its standard error over the i where both are numbers; returns how many. @shape a[n], b[n] */
size_t xf_measure_paired(const float *a, const float *b, size_t n, double *mean, double *se);

#endif
