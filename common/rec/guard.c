/* What the guard was told, and what it says. The decision itself is in guardtable.c. */
#include "rec/guardtable.h"

#include <math.h>

enum xf_rc xf_guard_check(const struct xf_guard_candidate *candidate, uint32_t n,
                          const struct xf_guard_spec *s, struct xf_diag *diag) {
  if (n == 0 || n > XF_BLEND_PARTS)
    return xf_diag_set(diag, XF_E_INVAL, "%u candidates; the guard takes 1 to %d", n,
                       XF_BLEND_PARTS);
  if (s->part >= XF_N_PART || s->part == XF_PART_TRAIN || s->max_add > XF_GUARD_ADDITIONS ||
      s->n_weight > XF_GUARD_WEIGHTS || s->k == 0 || !(s->se >= 0) || !isfinite(s->se))
    return xf_diag_set(diag, XF_E_INVAL,
                       "guard: part %d, k %u, %u additions (at most %d), %u weights (at most %d), "
                       "threshold %g: out of range",
                       (int)s->part, s->k, s->max_add, XF_GUARD_ADDITIONS, s->n_weight,
                       XF_GUARD_WEIGHTS, s->se);
  for (uint32_t w = 0; w < s->n_weight; w++)
    if (!(s->weight[w] > 0) || !isfinite(s->weight[w]))
      return xf_diag_set(diag, XF_E_INVAL, "guard weight %g is not positive", s->weight[w]);
  for (uint32_t c = 0; c < n; c++) {
    if (!candidate[c].scorer && !s->row)
      return xf_diag_set(diag, XF_E_INVAL,
                         "candidate \"%s\" has no scorer and there is no callback",
                         candidate[c].name);
    if (candidate[c].scorer && candidate[c].scorer->n_items != s->split->n_items)
      return xf_diag_set(diag, XF_E_SHAPE, "candidate \"%s\" scores %u items, the data have %u",
                         candidate[c].name, candidate[c].scorer->n_items, s->split->n_items);
  }
  if (s->train_items && !s->list && !s->split->item_count)
    return xf_diag_set(diag, XF_E_INVAL,
                       "guard: negatives with train events need the split's counts of items");
  for (size_t k = 0; s->list && k < xf_csr_count(s->list); k++)
    if (s->list->item[k] >= s->split->n_items)
      return xf_diag_set(diag, XF_E_SHAPE, "a list names item %u of %u", s->list->item[k],
                         s->split->n_items);
  return XF_OK;
}

struct xf_guard_spec xf_guard_defaults(const struct xf_split *split) {
  return (struct xf_guard_spec){.split = split,
                                .part = XF_PART_VALID,
                                .k = 10,
                                .n_neg = 999,
                                .se = .5,
                                .max_add = 4,
                                .weight = {.1, .25, .5, 1},
                                .n_weight = 4};
}

enum xf_rc xf_guard_fit(struct xf_guard *out, const struct xf_guard_candidate *candidate,
                        uint32_t n, const struct xf_guard_spec *spec, struct xf_diag *diag) {
  *out = (struct xf_guard){.n_candidate = n};
  struct xf_guard_table table;
  uint32_t column[XF_BLEND_PARTS];
  enum xf_rc rc = xf_guard_table_init(&table, candidate, n, spec, diag);
  if (rc) return rc;
  for (uint32_t c = 0; c < n; c++) column[c] = c;
  rc = xf_guard_table_fit(out, &table, candidate, column, n, NULL, spec, diag);
  xf_guard_table_deinit(&table);
  return rc;
}

enum xf_rc xf_guard_print(const struct xf_guard *guard, const struct xf_guard_candidate *candidate,
                          struct xf_buf *text) {
  const struct xf_guard_step *s = guard->step;
  enum xf_rc rc = xf_buf_printf(text, "%u users: start from %s (%.4f)", guard->n_user,
                                candidate[s->candidate].name, guard->alone[s->candidate]);
  for (uint32_t i = 1; !rc && i < guard->n_step; i++)
    rc = xf_buf_printf(text, "; + %g %s (gain %.4f, SE %.4f)", s[i].weight,
                       candidate[s[i].candidate].name, s[i].gain, s[i].se);
  for (uint32_t c = 0; !rc && c < guard->n_candidate; c++)
    if (candidate[c].shared && guard->weight[c] == 0)
      rc =
          xf_buf_printf(text, "; %s switched off (alone %.4f, best gain %.4f, SE %.4f)",
                        candidate[c].name, guard->alone[c], guard->best_gain[c], guard->best_se[c]);
  if (!rc && guard->n_step > 1) rc = xf_buf_printf(text, "; together %.4f", guard->value);
  return rc;
}

enum xf_rc xf_guard_blend(struct xf_scorer **out, const struct xf_guard *guard,
                          const struct xf_guard_candidate *candidate,
                          struct xf_scorer *const *scorer, bool owned, struct xf_diag *diag) {
  struct xf_blend_part part[XF_BLEND_PARTS];
  for (uint32_t c = 0; c < guard->n_candidate; c++)
    part[c] = (struct xf_blend_part){candidate[c].name, scorer[c], guard->weight[c]};
  return xf_blend_new(out, part, guard->n_candidate, owned, diag);
}
