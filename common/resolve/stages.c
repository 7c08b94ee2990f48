#include "resolve/stages.h"

#include "crypto/stream.h"
#include "plan/view.h"
#include "rec/als.h"
#include "rec/unitfree.h"

#include <stdio.h>
#include <string.h>

bool xf_resolve_recommends(const struct xf_plan *plan) {
  return plan->model.kind == XF_PLAN_MODEL_RECOMMENDER;
}

uint32_t xf_spaces_find(const struct xf_spaces *spaces, const char *ns) {
  uint32_t i = 0;
  while (i < spaces->n && strcmp(spaces->at[i].ns, ns) != 0) i++;
  return i;
}

static bool sums_categories(const struct xf_plan_stage_part *s) {
  return s->kind == XF_PLAN_STAGE_STATISTIC && s->statistic.of == XF_PLAN_STATISTIC_CATEGORIES;
}

bool xf_resolve_keyed(const struct xf_plan_stage_part *stage, enum xf_space_of of) {
  const bool statistic = stage->kind == XF_PLAN_STAGE_STATISTIC;
  switch (of) {
  case XF_SPACE_ITEMS: return statistic && !sums_categories(stage);
  case XF_SPACE_CATEGORIES: return sums_categories(stage);
  case XF_SPACE_USERS: break;
  }
  return stage->kind == XF_PLAN_STAGE_ROWS ||
         (statistic && stage->statistic.of == XF_PLAN_STATISTIC_OVERLAP);
}

struct xf_spaces xf_resolve_spaces(const struct xf_plan *plan) {
  struct xf_spaces out = {.n = 0};
  if (!xf_resolve_recommends(plan)) {
    struct xf_plan_view v;
    xf_plan_policy_view(&v, plan);
    if (plan->model.kind == XF_PLAN_MODEL_MF && plan->model.users == XF_PLAN_USERS_ALIGNED)
      out.at[out.n++] = (struct xf_space){plan->model.user_ns, XF_SPACE_USERS, v.min_holders};
    return out;
  }
  for (uint32_t i = 0; i < plan->n_stages; i++) {
    const struct xf_plan_stage_part *s = &plan->stages[i];
    const struct xf_space all[] = {
        {XF_PLAN_CATEGORY_NS, XF_SPACE_CATEGORIES, s->rows.min_holders},
        {plan->model.item_ns, XF_SPACE_ITEMS, s->rows.min_holders},
        {plan->model.user_ns, XF_SPACE_USERS, s->rows.min_holders},
    };
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++)
      if (xf_resolve_keyed(s, all[k].of) && xf_spaces_find(&out, all[k].ns) == out.n)
        out.at[out.n++] = all[k];
  }
  return out;
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
  const struct xf_spaces *spaces;
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
  const bool categories = sums_categories(b->stage);
  const char *ns = categories ? XF_PLAN_CATEGORY_NS : plan->model.item_ns;
  const uint32_t n_keys = z->n_keys[xf_spaces_find(b->spaces, ns)];
  const uint32_t rows = !z->silo ? n_keys : categories ? z->n_categories : z->n_items;
  if (b->stage->statistic.of == XF_PLAN_STATISTIC_MAP)
    return xf_diag_set(
        b->diag, XF_E_UNSUPPORTED,
        "statistic.of: map needs paired computation, two rows of one person; silos "
        "cannot, crossfed sim with sim.clients.by: user can; between silos write overlap, "
        "counts over the users whom several have");
  if (b->stage->statistic.of == XF_PLAN_STATISTIC_COUNTS)
    return add(b, "counts", XF_ROLE_ALIGNED, ns, rows, 1);
  if (b->stage->statistic.of == XF_PLAN_STATISTIC_OVERLAP)
    return add(b, "overlap", XF_ROLE_ALIGNED, ns, rows, 1);
  enum xf_rc rc = XF_OK;
  if (plan->privacy.noise_multiplier == 0) rc = add(b, "diagonal", XF_ROLE_ALIGNED, ns, rows, 1);
  return rc ? rc : add(b, "pairs", XF_ROLE_PAIRED, ns, n_keys, 1);
}

static enum xf_rc add_rows(const struct building *b, const struct xf_plan *plan,
                           const struct xf_stage_sizes *z) {
  const uint32_t dim = b->stage->rows.dim;
  const char *ns = plan->model.user_ns;
  const uint32_t rows = z->silo ? z->n_users : z->n_keys[xf_spaces_find(b->spaces, ns)];
  const bool sums = b->stage->rows.rule == XF_PLAN_ROW_RULE_SUMS;
  enum xf_rc rc = sums ? add(b, "sums", XF_ROLE_ALIGNED, ns, rows, (uint32_t)xf_als_sums_len(dim))
                       : add(b, "user", XF_ROLE_ALIGNED, ns, rows, dim);
  const uint32_t users = z->silo ? z->n_users : 0, items = z->silo ? z->n_items : 0;
  if (!rc) rc = add(b, "item", XF_ROLE_DOMAIN, NULL, items, dim);
  if (rc || !b->stage->rows.inner) return rc;
  rc = add(b, "inner_user", XF_ROLE_USER, NULL, users, dim);
  if (!rc) rc = add(b, "inner_item", XF_ROLE_DOMAIN, NULL, items, dim);
  return rc || b->stage->rows.rule != XF_PLAN_ROW_RULE_PULL
             ? rc
             : add(b, "inner_target", XF_ROLE_USER, NULL, users, dim);
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
  const struct xf_spaces spaces = xf_resolve_spaces(plan);
  enum xf_rc rc = XF_OK;
  xf_layout_init(out);
  for (uint32_t i = 0; i < plan->n_stages && !rc; i++) {
    const struct building b = {out, &plan->stages[i], i, &spaces, diag};
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
