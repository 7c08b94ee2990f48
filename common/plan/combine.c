/* The table of what combines. */
#include "plan/combine.h"

#include "plan/view.h"

#define NO_TOPK_NOISE                                                                         \
  "fed.encoding: topk says which parameters changed most, and with privacy.noise_multiplier " \
  "those "                                                                                    \
  "are the noise's largest; write fed.encoding: int8 or qsgd, which round what was noised"
#define NO_PULL                                                                                   \
  "rows.rule: pull takes a silo's own rows out of the mean, and would take out others than came " \
  "rounded by fed.encoding; write rows.rule: average, or fed.encoding: float32"
#define NO_MASK_ROWS                                                                              \
  "fed.encoding: mask takes the same parameters of all silos, and silos with rows.rule: average " \
  "hold different rows; write fed.encoding: qsgd"
#define NO_SUMS "rows.rule: sums adds up exactly what silos send; write fed.encoding: float32"
#define NO_SECURE                                                                                \
  "secure aggregation is not in this version: the coordinator sees each silo's update, so rely " \
  "on "                                                                                          \
  "privacy.noise_multiplier or on trust in the coordinator"
#define NO_SECURE_PULL                                                                            \
  "the row rule pull needs each silo's own rows (every silo gets the mean of the others), which " \
  "secure aggregation hides; use rows.rule average once secure aggregation is there"

#define NO_NOISED_SUMS                                                                        \
  "the row rule sums needs exact sums of a user's normal equations: they have no bound that " \
  "noise "                                                                                    \
  "could hide, and noise would make systems that cannot be solved; use rows.rule pull"

/* [strategy][encoding][privacy]: NULL combines. */
static const char *const table[XF_COMBINE_N_STRATEGY][XF_COMBINE_N_ENCODING][XF_COMBINE_N_PRIVACY] =
    {
#define ENCODINGS(noise, secure, round, topk_noise, topk, mask)                                    \
  {                                                                                                \
    {NULL, noise, secure}, {round, round, secure}, {round, round, secure}, {round, round, secure}, \
        {round, round, secure}, {topk, topk_noise, secure}, {                                      \
      mask, mask, secure                                                                           \
    }                                                                                              \
  }
#define SHARED ENCODINGS(NULL, NO_SECURE, NULL, NO_TOPK_NOISE, NULL, NULL)
        [XF_COMBINE_FEDAVG] = SHARED,
        [XF_COMBINE_FEDAVG_MOMENTUM] = SHARED,
        [XF_COMBINE_FEDAVG_ADAPTIVE] = SHARED,
        [XF_COMBINE_REPTILE] = SHARED,
        [XF_COMBINE_ROWS_PULL] =
            ENCODINGS(NULL, NO_SECURE_PULL, NO_PULL, NO_PULL, NO_PULL, NO_PULL),
        [XF_COMBINE_ROWS_AVERAGE] =
            ENCODINGS(NULL, NO_SECURE, NULL, NO_TOPK_NOISE, NULL, NO_MASK_ROWS),
        [XF_COMBINE_ROWS_SUMS] =
            ENCODINGS(NO_NOISED_SUMS, NO_SECURE, NO_SUMS, NO_SUMS, NO_SUMS, NO_SUMS),
#undef SHARED
#undef ENCODINGS
};

static const char *const strategies[] = {"fedavg",
                                         "fedavg + server momentum",
                                         "fedavg + adaptive server",
                                         "reptile",
                                         "aligned rows: pull",
                                         "aligned rows: average",
                                         "aligned rows: sums"};
static const char *const encodings[] = {"float32", "float16", "bfloat16", "int8",
                                        "qsgd",    "topk",    "mask"};
static const char *const privacies[] = {"plain", "silo noise", "secure aggregation"};
_Static_assert(sizeof strategies / sizeof strategies[0] == XF_COMBINE_N_STRATEGY, "texts");
_Static_assert(sizeof encodings / sizeof encodings[0] == XF_COMBINE_N_ENCODING, "texts");
_Static_assert(sizeof privacies / sizeof privacies[0] == XF_COMBINE_N_PRIVACY, "texts");

const char *xf_combine_strategy_text(enum xf_combine_strategy strategy) {
  return strategies[strategy];
}
const char *xf_combine_encoding_text(enum xf_combine_encoding encoding) {
  return encodings[encoding];
}
const char *xf_combine_privacy_text(enum xf_combine_privacy privacy) { return privacies[privacy]; }

const char *xf_combine_find(enum xf_combine_strategy strategy, enum xf_combine_encoding encoding,
                            enum xf_combine_privacy privacy) {
  return table[strategy][encoding][privacy];
}

static enum xf_combine_strategy row_strategy(enum xf_plan_row_rule rule) {
  switch (rule) {
  case XF_PLAN_ROW_RULE_PULL: break;
  case XF_PLAN_ROW_RULE_AVERAGE: return XF_COMBINE_ROWS_AVERAGE;
  case XF_PLAN_ROW_RULE_SUMS: return XF_COMBINE_ROWS_SUMS;
  }
  return XF_COMBINE_ROWS_PULL;
}

static enum xf_combine_encoding encoding_of(enum xf_plan_encoding encoding) {
  switch (encoding) {
  case XF_PLAN_ENCODING_FLOAT32:
  case XF_PLAN_ENCODING_SPARSE: break; /* float32 without its zeros */
  case XF_PLAN_ENCODING_FLOAT16: return XF_COMBINE_FLOAT16;
  case XF_PLAN_ENCODING_BFLOAT16: return XF_COMBINE_BFLOAT16;
  case XF_PLAN_ENCODING_INT8: return XF_COMBINE_INT8;
  case XF_PLAN_ENCODING_QSGD: return XF_COMBINE_QSGD;
  case XF_PLAN_ENCODING_TOPK: return XF_COMBINE_TOPK;
  case XF_PLAN_ENCODING_MASK: return XF_COMBINE_MASK;
  }
  return XF_COMBINE_FLOAT32;
}

void xf_combine_of_plan(const struct xf_plan *plan, const struct xf_plan_stage_part *stage,
                        enum xf_combine_strategy *strategy, enum xf_combine_strategy *rows,
                        enum xf_combine_encoding *encoding, enum xf_combine_privacy *privacy) {
  switch (stage->fed.server.kind) {
  case XF_PLAN_SERVER_SGD: *strategy = XF_COMBINE_FEDAVG; break;
  case XF_PLAN_SERVER_MOMENTUM:
  case XF_PLAN_SERVER_NESTEROV: *strategy = XF_COMBINE_FEDAVG_MOMENTUM; break;
  case XF_PLAN_SERVER_ADAM:
  case XF_PLAN_SERVER_YOGI:
  case XF_PLAN_SERVER_ADAGRAD:
  default: *strategy = XF_COMBINE_FEDAVG_ADAPTIVE; break; /* rules in files of their own */
  }
  if (stage->fed.algorithm == XF_PLAN_ALGORITHM_REPTILE) *strategy = XF_COMBINE_REPTILE;
  *rows = *strategy;
  const bool scorer =
      plan->model.kind == XF_PLAN_MODEL_RECOMMENDER && stage->kind == XF_PLAN_STAGE_TRAIN;
  if (xf_plan_is_aligned(plan) && !scorer) *rows = row_strategy(stage->rows.rule);
  *encoding = encoding_of(stage->fed.encoding);
  *privacy = plan->privacy.secure_aggregation     ? XF_COMBINE_SECURE_AGGREGATION
             : plan->privacy.noise_multiplier > 0 ? XF_COMBINE_SILO_NOISE
                                                  : XF_COMBINE_PLAIN;
}

enum xf_rc xf_combine_print(struct xf_buf *out) {
  enum { N = XF_COMBINE_N_STRATEGY * XF_COMBINE_N_ENCODING * XF_COMBINE_N_PRIVACY };
  const char *notes[N];
  unsigned n = 0;
  enum xf_rc rc = xf_buf_printf(out, "%-26s %-9s", "strategy", "encoding");
  for (int p = 0; p < XF_COMBINE_N_PRIVACY && !rc; p++)
    rc = xf_buf_printf(out, " %-18s", privacies[p]);
  for (int s = 0; s < XF_COMBINE_N_STRATEGY; s++) {
    for (int e = 0; e < XF_COMBINE_N_ENCODING; e++) {
      if (!rc) rc = xf_buf_printf(out, "\n%-26s %-9s", strategies[s], encodings[e]);
      for (int p = 0; p < XF_COMBINE_N_PRIVACY && !rc; p++) {
        const char *no = table[s][e][p];
        unsigned i = 0;
        while (no && i < n && notes[i] != no) i++;
        if (no && i == n) notes[n++] = no;
        rc = no ? xf_buf_printf(out, " no (%u)%-12s", i + 1, "")
                : xf_buf_printf(out, " %-18s", "yes");
      }
    }
  }
  if (!rc) rc = xf_buf_put_str(out, "\n");
  for (unsigned i = 0; i < n && !rc; i++) rc = xf_buf_printf(out, "(%u) %s\n", i + 1, notes[i]);
  return rc;
}
