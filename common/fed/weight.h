/*
 * weight.h - the weight of a silo's update: an integer below 2^29 (fold.h needs that).
 *
 * Not for: rows of aligned segments (fold.h renormalises over their holders).
 * Thread: any. Owner: nothing is owned.
 * @source McMahan et al. 2017, "Communication-efficient learning of deep networks", algorithm 1
 */
#ifndef XF_FED_WEIGHT_H
#define XF_FED_WEIGHT_H

#include "base/diag.h"

#include <stdint.h>

/* X(NAME, text): train samples; 1; min(samples, cap). */
#define XF_WEIGHT_LIST(X) \
  X(SAMPLES, "samples")   \
  X(UNIFORM, "uniform")   \
  X(CAPPED, "capped")

enum xf_weight_rule {
#define XF_WEIGHT_ENUM(n, t) XF_WEIGHT_##n,
  XF_WEIGHT_LIST(XF_WEIGHT_ENUM)
#undef XF_WEIGHT_ENUM
};

/* The weight of a silo with n_samples. cap: of the rule CAPPED; max_weight: the policy's and the
   member's limit, 0 for none (not applied to UNIFORM, which is 1). A silo without samples has no
   weight under any rule. @err E_RANGE (no samples, or 2^29 and more uncapped) E_INVAL (cap 0) */
XF_WARN_UNUSED enum xf_rc xf_weight_get(uint32_t *out, enum xf_weight_rule rule, uint64_t n_samples,
                                        uint32_t cap, uint32_t max_weight, struct xf_diag *diag);
/* Text of a rule and back. @own static @err E_INVAL */
const char *xf_weight_text(enum xf_weight_rule rule);
XF_WARN_UNUSED enum xf_rc xf_weight_parse(enum xf_weight_rule *out, const char *text);

#endif
