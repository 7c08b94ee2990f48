/*
 * metric.h - names of metrics ("ndcg@10") and ranking protocols ("full", "s999") of a plan, and the JSON
 * keys of reports ("ndcg_10_full"). Computing them is `rec`'s and `train`'s business.
 * Owner: the caller. Thread: any.
 */
#ifndef XF_PLAN_METRIC_H
#define XF_PLAN_METRIC_H

#include "base/diag.h"

#include <stddef.h>
#include <stdint.h>

/* X(enumerator, text, takes @k, ranks items, larger is better) */
#define XF_METRIC_LIST(X)                               \
  X(XF_METRIC_HR, "hr", true, true, true)               \
  X(XF_METRIC_NDCG, "ndcg", true, true, true)           \
  X(XF_METRIC_RECALL, "recall", true, true, true)       \
  X(XF_METRIC_PRECISION, "precision", true, true, true) \
  X(XF_METRIC_MRR, "mrr", false, true, true)            \
  X(XF_METRIC_AUC, "auc", false, false, true)           \
  X(XF_METRIC_ACC, "acc", false, false, true)           \
  X(XF_METRIC_RMSE, "rmse", false, false, false)        \
  X(XF_METRIC_LOGLOSS, "logloss", false, false, false)

#define XF_METRIC_ENUMERATOR_(name, text, k, rank, up) name,
enum xf_metric_kind { XF_METRIC_LIST(XF_METRIC_ENUMERATOR_) };
#undef XF_METRIC_ENUMERATOR_

enum {
  XF_METRIC_KEY_MAX = 48,
  XF_METRIC_K_MAX = 1000,
  XF_METRIC_ADAPT_MAX = 1000,
  XF_METRIC_SAMPLES_MAX = 100000
};

struct xf_metric {
  enum xf_metric_kind kind;
  uint32_t k;     /* list length; 0 for metrics without one */
  uint32_t adapt; /* "rmse@adapt5": 5 steps of adaptation before; 0: none */
};

/* "ndcg@10" -> kind and k; "acc@adapt1" -> kind and adapt. @err E_FORMAT with a hint in diag */
XF_WARN_UNUSED enum xf_rc xf_metric_parse(struct xf_metric *out, const char *text,
                                          struct xf_diag *diag);
/* "full" -> 0; "s999" -> 999 sampled negatives. @err E_FORMAT */
XF_WARN_UNUSED enum xf_rc xf_metric_protocol_parse(uint32_t *n_negatives, const char *text,
                                                   struct xf_diag *diag);
/* Length of the text without "@adaptK". @unit characters */
size_t xf_metric_plain(const char *text);
/* The JSON key: "ndcg_10_full", "auc_full", "acc", "acc_adapt1". Ranking metrics and the AUC of interactions carry
   the protocol; protocol NULL: none. @own caller's buffer */
const char *xf_metric_key(char out[XF_METRIC_KEY_MAX], struct xf_metric metric,
                          const char *protocol);
/* Whether the metric ranks a list of items. @thread any */
bool xf_metric_is_ranking(enum xf_metric_kind kind);
/* Whether a larger value is better. @thread any */
bool xf_metric_is_better_up(enum xf_metric_kind kind);
/* Name without k. @own static */
const char *xf_metric_text(enum xf_metric_kind kind);

#endif
