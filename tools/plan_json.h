/*
 * plan_json.h - between the files of `crossfed plan`: what a plan costs, and it as one object.
 * Not for: checking a plan (plan/plan.h). Owner: the caller's. Thread: main.
 */
#ifndef XF_TOOLS_PLAN_JSON_H
#define XF_TOOLS_PLAN_JSON_H

#include "base/buf.h"
#include "base/diag.h"
#include "plan/plan.h"
#include "plan/view.h"

/* What the user says about silos that the plan does not know. */
struct plan_sizes {
  uint64_t rows, members;
  bool has_rows;
};

/* What one silo moves in the whole run, payloads only. @unit bytes */
struct plan_traffic {
  uint64_t down, up;
};
/* @own by value */
struct plan_traffic xf_tool_plan_traffic(const struct xf_plan *plan,
                                         const struct xf_plan_lens *lens);

struct plan_epsilon {
  const char *unit; /* "silo", "user" or "record"; @own static */
  bool steps;       /* releases are steps, Poisson-sampled, else whole updates or statistics */
  uint64_t releases;
  double zero_out, replace_one, delta, z_used;
};
/* For a plan with noise. @err those of priv */
XF_WARN_UNUSED enum xf_rc xf_tool_plan_epsilon(struct plan_epsilon *out, const struct xf_plan *plan,
                                               struct xf_diag *diag);
/* One object and a line's end (docs/FORMATS.md). @err E_LIMIT E_NOMEM and those of resolve */
XF_WARN_UNUSED enum xf_rc xf_tool_plan_json(struct xf_buf *out, const struct xf_plan *plan,
                                            const struct plan_sizes *sizes);

#endif
