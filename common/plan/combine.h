/*
 * combine.h - the one table of what combines: strategy x encoding x privacy mode, a sentence for each
 * refusal. xf_plan_check reads it; `crossfed plan` prints it.
 * Owner: nobody, constant data. Thread: any.
 */
#ifndef XF_PLAN_COMBINE_H
#define XF_PLAN_COMBINE_H

#include "base/buf.h"
#include "plan/plan.h"

/* What the coordinator does with deltas. Rows of aligned segments are strategies of their own. */
enum xf_combine_strategy {
  XF_COMBINE_FEDAVG,
  XF_COMBINE_FEDAVG_MOMENTUM,
  XF_COMBINE_FEDAVG_ADAPTIVE,
  XF_COMBINE_REPTILE,
  XF_COMBINE_ROWS_PULL,
  XF_COMBINE_ROWS_AVERAGE,
  XF_COMBINE_ROWS_SUMS,
  XF_COMBINE_N_STRATEGY
};
enum xf_combine_encoding {
  XF_COMBINE_FLOAT32,
  XF_COMBINE_FLOAT16,
  XF_COMBINE_BFLOAT16,
  XF_COMBINE_INT8,
  XF_COMBINE_QSGD,
  XF_COMBINE_TOPK,
  XF_COMBINE_MASK,
  XF_COMBINE_N_ENCODING
};
enum xf_combine_privacy {
  XF_COMBINE_PLAIN,
  XF_COMBINE_SILO_NOISE,
  XF_COMBINE_SECURE_AGGREGATION,
  XF_COMBINE_N_PRIVACY
};

/* NULL when the three combine, else the sentence that refuses. @own static */
const char *xf_combine_find(enum xf_combine_strategy strategy, enum xf_combine_encoding encoding,
                            enum xf_combine_privacy privacy);
/* Where a stage of a plan stands in the table. The row strategy is given when rows are aligned, and
   must combine as well; otherwise *rows equals *strategy. @err none */
void xf_combine_of_plan(const struct xf_plan *plan, const struct xf_plan_stage_part *stage,
                        enum xf_combine_strategy *strategy, enum xf_combine_strategy *rows,
                        enum xf_combine_encoding *encoding, enum xf_combine_privacy *privacy);
/* Texts as printed in the table. @own static */
const char *xf_combine_strategy_text(enum xf_combine_strategy strategy);
const char *xf_combine_encoding_text(enum xf_combine_encoding encoding);
const char *xf_combine_privacy_text(enum xf_combine_privacy privacy);
/* The whole table as text, refusals as numbered sentences below. @err E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_combine_print(struct xf_buf *out);

#endif
