/* A decision from what a training task brought: the artifacts that its stage reads, and its own slice as committed so far. */
#include "silo/parts.h"

#include "base/alloc.h"
#include "resolve/global.h"

#include <string.h>

static uint64_t wire_len(const struct xf_silo *s, const struct xf_segment *g) {
  if (g->role != XF_ROLE_ALIGNED) return xf_segment_len(g);
  uint64_t n_known = 0;
  for (uint32_t k = 0; k < s->n_space; k++)
    if (strcmp(s->space[k].plan.ns, g->ns) == 0) n_known = s->space[k].n_known;
  return n_known * g->cols;
}

/* The sets of stages whose slices the task's base has, one behind the other; of the own one only what commits have made. */
static struct xf_global_view brought(const struct xf_plan *plan, uint32_t stage,
                                     uint64_t committed) {
  struct xf_global_view view = xf_global_view_of(plan, true, stage);
  uint64_t first = 0;
  (void)xf_plan_stage_at(plan, committed, &first);
  if (committed <= first) view.set[1] = 0;
  return view;
}

uint32_t xf_silo_brought(const struct xf_silo *silo, uint32_t stage, uint64_t committed) {
  const struct xf_plan *plan = silo->cfg.plan;
  uint64_t first = 0;
  if (!silo->recommends || stage >= plan->n_stages ||
      xf_plan_stage_at(plan, committed, &first) != stage)
    return 0;
  const struct xf_global_view view = brought(plan, stage, committed);
  const bool last = committed + 1 == first + plan->stages[stage].fed.rounds;
  return view.set[0] | (last ? view.set[1] : 0);
}

enum xf_rc xf_silo_decide_early(struct xf_silo *silo, uint32_t stage, uint64_t committed,
                                const float *base, struct xf_diag *diag) {
  struct xf_silo *s = silo;
  if (!xf_silo_brought(s, stage, committed))
    return xf_diag_set(diag, XF_E_NOTFOUND, "the task brought no artifact");
  const struct xf_global_view view = brought(s->cfg.plan, stage, committed);
  float *all = xf_try_calloc((size_t)s->map.n_wire + 1, sizeof *all);
  if (!all)
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for %llu floats",
                       (unsigned long long)s->map.n_wire);
  const float *part[2] = {base, base + s->lens.in[stage] / sizeof(float)};
  for (size_t i = 0; i < s->layout->n_seg; i++) {
    const struct xf_segment *g = &s->layout->seg[i];
    const uint64_t n = wire_len(s, g);
    for (int k = 0; k < 2; k++)
      if (xf_segment_global(g) && view.set[k] >> g->stage & 1 && n)
        memcpy(all + silo_wire_at(s, XF_STAGE_ALL, g), part[k] + silo_wire_at(s, view.set[k], g),
               (size_t)n * sizeof *all);
  }
  const enum xf_rc rc = silo_decide(s, all, diag);
  xf_free(all);
  return rc;
}
