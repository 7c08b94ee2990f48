#include "resolve/stages.h"

#include "crypto/stream.h"
#include "plan/view.h"
#include "rec/unitfree.h"

#include <stdio.h>

bool xf_resolve_recommends(const struct xf_plan *plan) {
  return plan->model.kind == XF_PLAN_MODEL_RECOMMENDER;
}

static bool has_kind(const struct xf_plan *plan, enum xf_plan_stage kind) {
  for (uint32_t i = 0; i < plan->n_stages; i++)
    if (plan->stages[i].kind == kind) return true;
  return false;
}

bool xf_resolve_keys_items(const struct xf_plan *plan) {
  return xf_resolve_recommends(plan) && has_kind(plan, XF_PLAN_STAGE_STATISTIC);
}

const char *xf_resolve_ns(const struct xf_plan *plan) {
  if (!xf_resolve_recommends(plan))
    return plan->model.kind == XF_PLAN_MODEL_MF && plan->model.users == XF_PLAN_USERS_ALIGNED
               ? plan->model.user_ns
               : NULL;
  if (has_kind(plan, XF_PLAN_STAGE_STATISTIC)) return plan->model.item_ns;
  return has_kind(plan, XF_PLAN_STAGE_ROWS) ? plan->model.user_ns : NULL;
}

uint32_t xf_resolve_min_holders(const struct xf_plan *plan) {
  struct xf_plan_view v;
  xf_plan_policy_view(&v, plan);
  return v.min_holders ? v.min_holders : 1;
}

void xf_resolve_segment(char *out, const struct xf_plan_stage_part *stage, const char *part) {
  (void)snprintf(out, XF_NAME_MAX, "%.31s/%.31s", stage->name, part);
  for (char *c = out; *c; c++)
    if (*c == '-') *c = '_'; /* a stage's name has no '_' of its own, a segment's no '-' */
}

struct building {
  struct xf_layout *out;
  const struct xf_plan_stage_part *stage;
  uint32_t index;
  struct xf_diag *diag;
};

static enum xf_rc add(const struct building *b, const char *part, enum xf_role role, const char *ns,
                      uint32_t rows, uint32_t cols) {
  char name[XF_NAME_MAX];
  xf_resolve_segment(name, b->stage, part);
  enum xf_rc rc = xf_layout_add(b->out, name, role, ns, rows, cols, b->diag);
  if (!rc) b->out->seg[b->out->n_seg - 1].stage = b->index;
  return rc;
}

static enum xf_rc add_statistic(const struct building *b, const struct xf_plan *plan,
                                const struct xf_stage_sizes *z) {
  const char *ns = plan->model.item_ns;
  const uint32_t rows = z->silo ? z->n_items : z->n_keys;
  if (b->stage->statistic.of == XF_PLAN_STATISTIC_COUNTS)
    return add(b, "counts", XF_ROLE_ALIGNED, ns, rows, 1);
  enum xf_rc rc = XF_OK;
  if (plan->privacy.noise_multiplier == 0) rc = add(b, "diagonal", XF_ROLE_ALIGNED, ns, rows, 1);
  return rc ? rc : add(b, "pairs", XF_ROLE_PAIRED, ns, z->n_keys, 1);
}

static enum xf_rc add_rows(const struct building *b, const struct xf_plan *plan,
                           const struct xf_stage_sizes *z) {
  const uint32_t dim = b->stage->rows.dim;
  enum xf_rc rc =
      add(b, "user", XF_ROLE_ALIGNED, plan->model.user_ns, z->silo ? z->n_users : z->n_keys, dim);
  return rc ? rc : add(b, "item", XF_ROLE_DOMAIN, NULL, z->silo ? z->n_items : 0, dim);
}

static enum xf_rc add_scorer(const struct building *b) {
  struct xf_model *net = NULL;
  enum xf_rc rc = xf_resolve_scorer(&net, b->diag);
  const struct xf_layout *layout = rc ? NULL : xf_model_get_layout(net);
  for (size_t i = 0; layout && i < layout->n_seg && !rc; i++) {
    const struct xf_segment *s = &layout->seg[i];
    rc = add(b, s->name, s->role, NULL, s->rows, s->cols);
  }
  xf_model_free(net);
  return rc;
}

enum xf_rc xf_resolve_scorer(struct xf_model **out, struct xf_diag *diag) {
  struct xf_model_config config;
  const struct xf_model_size none = {0, 0};
  *out = NULL;
  enum xf_rc rc = xf_unitfree_config(&config, XF_FEATURES_VERSION, XF_UNITFREE_HIDDEN, diag);
  return rc ? rc : xf_model_new(out, &config, none, diag);
}

enum xf_rc xf_resolve_scorer_first(const struct xf_model *net, float *x, const struct xf_plan *plan,
                                   uint32_t stage, struct xf_diag *diag) {
  struct xf_rng shared;
  xf_stream_init(&shared, plan->seed, "init", stage, NULL);
  const struct xf_model_seed seed = {&shared, NULL, NULL, NULL};
  return xf_model_init(net, x, &seed, diag);
}

enum xf_rc xf_resolve_layout(struct xf_layout *out, const struct xf_plan *plan,
                             const struct xf_stage_sizes *sizes, struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  xf_layout_init(out);
  for (uint32_t i = 0; i < plan->n_stages && !rc; i++) {
    const struct building b = {out, &plan->stages[i], i, diag};
    switch (plan->stages[i].kind) {
    case XF_PLAN_STAGE_STATISTIC: rc = add_statistic(&b, plan, sizes); break;
    case XF_PLAN_STAGE_ROWS: rc = add_rows(&b, plan, sizes); break;
    case XF_PLAN_STAGE_TRAIN: rc = add_scorer(&b); break;
    case XF_PLAN_STAGE_EVALUATE: break;
    }
  }
  return rc;
}

uint32_t xf_resolve_inputs(const struct xf_plan *plan, uint32_t stage) {
  const struct xf_plan_stage_part *s = &plan->stages[stage];
  uint32_t set = 0;
  for (uint32_t k = 0; k < s->n_in; k++) set |= 1u << xf_plan_stage_find(plan, s->in[k]);
  return set;
}
