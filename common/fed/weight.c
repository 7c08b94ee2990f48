#include "fed/weight.h"

#include "fed/fold.h"

#include <inttypes.h>
#include <string.h>

static const char *const names[] = {
#define NAME(n, t) t,
    XF_WEIGHT_LIST(NAME)
#undef NAME
};

enum { N_RULES = sizeof names / sizeof names[0] };

const char *xf_weight_text(enum xf_weight_rule rule) {
  return (size_t)rule < N_RULES ? names[rule] : "?";
}

enum xf_rc xf_weight_parse(enum xf_weight_rule *out, const char *text) {
  for (size_t i = 0; i < N_RULES; i++) {
    if (strcmp(text, names[i]) != 0) continue;
    *out = (enum xf_weight_rule)i;
    return XF_OK;
  }
  return XF_E_INVAL;
}

enum xf_rc xf_weight_get(uint32_t *out, enum xf_weight_rule rule, uint64_t n_samples, uint32_t cap,
                         uint32_t max_weight, struct xf_diag *diag) {
  if (!n_samples)
    return xf_diag_set(diag, XF_E_RANGE, "0 train samples; a silo without samples takes no part");
  if (rule == XF_WEIGHT_UNIFORM) {
    *out = 1;
    return XF_OK;
  }
  if (rule == XF_WEIGHT_CAPPED && !cap)
    return xf_diag_set(diag, XF_E_INVAL, "weighting \"capped\" needs weight_cap, at least 1");
  uint64_t w = n_samples;
  if (rule == XF_WEIGHT_CAPPED && w > cap) w = cap;
  if (max_weight && w > max_weight) w = max_weight;
  if (w > XF_FOLD_WEIGHT_MAX)
    return xf_diag_set(diag, XF_E_RANGE,
                       "weight %" PRIu64 " is above %" PRIu32
                       "; set max_weight or weighting: capped",
                       w, XF_FOLD_WEIGHT_MAX);
  *out = (uint32_t)w;
  return XF_OK;
}
