/* A recommender's layout, vectors and places, once the directory has said which keys it knows. */
#include "silo/parts.h"

#include "base/alloc.h"
#include "resolve/global.h"

#include <string.h>

static enum xf_rc make_layout(struct xf_silo *s, struct xf_diag *diag) {
  struct xf_stage_sizes sizes = {.n_users = s->data.split.n_users,
                                 .n_items = s->data.split.n_items,
                                 .n_categories = s->categories.n,
                                 .silo = true};
  for (uint32_t k = 0; k < s->n_space; k++) sizes.n_keys[k] = (uint32_t)s->space[k].n_known;
  xf_layout_deinit(&s->stages);
  enum xf_rc rc = xf_resolve_layout(&s->stages, s->cfg.plan, &sizes, diag);
  s->layout = &s->stages;
  return rc ? rc : xf_layout_digest(&s->layout_digest, s->layout);
}

static enum xf_rc make_vectors(struct xf_silo *s, struct xf_diag *diag) {
  float **vector[] = {&s->full, &s->next, &s->task};
  for (size_t i = 0; i < sizeof vector / sizeof vector[0]; i++) {
    xf_free(*vector[i]);
    *vector[i] = xf_try_calloc((size_t)s->layout->n + 1, sizeof(float));
    if (!*vector[i])
      return xf_diag_set(
          diag, XF_E_NOMEM,
          "no memory for %llu floats of statistics and rows: raise the memory limit, "
          "or a plan with a larger rows.min_holders shares fewer keys",
          (unsigned long long)s->layout->n);
  }
  return XF_OK;
}

enum xf_rc silo_stages_init(struct xf_silo *s, struct xf_diag *diag) {
  if (!s->rows) s->rows = xf_calloc(s->cfg.plan->n_stages, sizeof *s->rows);
  enum xf_rc rc = make_layout(s, diag);
  return rc ? rc : make_vectors(s, diag);
}

void silo_stages_deinit(struct xf_silo *s) {
  for (uint32_t i = 0; s->rows && i < s->cfg.plan->n_stages; i++) silo_rows_deinit(&s->rows[i]);
  xf_free(s->rows);
  xf_free(s->waiting[0]);
  xf_free(s->waiting[1]);
  silo_decision_free(s->decision);
  silo_scorer_free(s->scorer);
  xf_layout_deinit(&s->stages);
}

const struct xf_segment *silo_segment(const struct xf_silo *s, uint32_t stage, const char *part) {
  char name[XF_NAME_MAX];
  xf_resolve_segment(name, &s->cfg.plan->stages[stage], part);
  return xf_layout_find(s->layout, name);
}

/* Known keys of an aligned segment's namespace. */
static uint64_t known(const struct xf_silo *s, const struct xf_segment *seg) {
  for (uint32_t k = 0; k < s->n_space; k++)
    if (strcmp(s->space[k].plan.ns, seg->ns) == 0) return s->space[k].n_known;
  return 0;
}

uint64_t silo_wire_at(const struct xf_silo *s, uint32_t stages, const struct xf_segment *seg) {
  uint64_t at = 0;
  for (int keyed = 0; keyed < 2; keyed++)
    for (size_t i = 0; i < s->layout->n_seg; i++) {
      const struct xf_segment *g = &s->layout->seg[i];
      if (!xf_segment_global(g) || xf_segment_keyed(g) != keyed || !(stages >> g->stage & 1))
        continue;
      if (g == seg) return at;
      at += g->role == XF_ROLE_ALIGNED ? known(s, g) * g->cols : xf_segment_len(g);
    }
  return UINT64_MAX;
}
