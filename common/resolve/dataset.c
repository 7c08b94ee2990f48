#include "resolve/dataset.h"

#include "crypto/stream.h"
#include "plan/view.h"

#include <string.h>

struct xf_interactions_spec xf_resolve_columns(const struct xf_plan *plan,
                                               const struct xf_source *source) {
  return (struct xf_interactions_spec){.user = source->user,
                                       .item = source->item,
                                       .domain = source->domain,
                                       .value = source->value,
                                       .time = source->time,
                                       .only_domain = source->only_domain,
                                       .has_min_value = plan->data.min_value != 0,
                                       .min_value = plan->data.min_value};
}

enum xf_rc xf_resolve_interactions(struct xf_dataset *out, const struct xf_plan *plan,
                                   const char *member, struct xf_interactions *inter,
                                   struct xf_diag *diag) {
  xf_dataset_init(out, XF_DATASET_INTERACTIONS);
  out->inter = *inter;
  xf_interactions_init(inter);
  struct xf_split_spec spec = {.by_file = plan->data.split.by == XF_PLAN_BY_FILE,
                               .min = plan->data.split.min,
                               .valid_fraction = plan->data.split.valid_fraction,
                               .test_fraction = plan->data.split.test_fraction};
  switch (plan->data.split.kind) {
  case XF_PLAN_SPLIT_LEAVE_ONE_OUT: spec.kind = XF_SPLIT_LEAVE_ONE_OUT; break;
  case XF_PLAN_SPLIT_RANDOM: spec.kind = XF_SPLIT_RANDOM; break;
  case XF_PLAN_SPLIT_PREDEFINED:
    return xf_diag_set(
        diag, XF_E_UNSUPPORTED,
        "data.split.kind: predefined: not in this version of crossfed for interactions");
  }
  struct xf_rng rng;
  xf_stream_init(&rng, plan->seed, "split", 0, member);
  return xf_split_init(&out->split, &out->inter, &spec, &rng, diag);
}

static enum xf_rc one_hot(struct xf_table_one_hot *out, const struct xf_plan *plan,
                          struct xf_diag *diag) {
  for (uint32_t i = 0; i < plan->data.table.n_one_hot; i++) {
    struct xf_plan_one_hot h;
    enum xf_rc rc = xf_plan_one_hot_parse(&h, plan->data.table.one_hot[i], diag);
    if (rc) return rc;
    out[i] = (struct xf_table_one_hot){.column = h.column, .n = h.n};
    memcpy(out[i].value, h.value, sizeof h.value);
  }
  return XF_OK;
}

static enum xf_rc table_split(struct xf_table *table, const struct xf_plan *plan,
                              const char *member, const struct xf_source *source,
                              struct xf_diag *diag) {
  if (plan->data.split.kind == XF_PLAN_SPLIT_PREDEFINED) {
    if (!source->split || !source->split[0])
      return xf_diag_set(
          diag, XF_E_CONFIG,
          "data.split.kind is predefined, but no file of the split is named for \"%s\"", member);
    return xf_table_split_file(table, source->split, source->center, diag);
  }
  struct xf_rng rng;
  xf_stream_init(&rng, plan->seed, "split", 0, member);
  return xf_table_split_random(table, plan->data.split.valid_fraction,
                               plan->data.split.test_fraction, &rng, diag);
}

/* Split and scale. */
static enum xf_rc finish_table(struct xf_table *table, const struct xf_plan *plan,
                               const char *member, const struct xf_source *source,
                               struct xf_diag *diag) {
  enum xf_rc rc = table_split(table, plan, member, source, diag);
  if (!rc && plan->data.table.scale == XF_PLAN_SCALE_SILO) rc = xf_table_standardise(table, diag);
  if (!rc && table->n_in != plan->model.n_in)
    rc = xf_diag_set(diag, XF_E_SHAPE, "%s: has %u inputs, model.n_in is %u", source->path,
                     table->n_in, plan->model.n_in);
  return rc;
}

static enum xf_rc load_table(struct xf_dataset *out, const struct xf_plan *plan, const char *member,
                             const struct xf_source *source, struct xf_diag *diag) {
  struct xf_table_one_hot hot[sizeof plan->data.table.one_hot / sizeof plan->data.table.one_hot[0]];
  enum xf_rc rc = one_hot(hot, plan, diag);
  if (rc) return rc;
  const struct xf_table_spec spec = {.label = plan->data.table.label,
                                     .binary = plan->data.table.binary,
                                     .drop_missing =
                                         plan->data.table.missing == XF_PLAN_MISSING_DROP,
                                     .drop = plan->data.table.drop,
                                     .n_drop = plan->data.table.n_drop,
                                     .one_hot = hot,
                                     .n_one_hot = plan->data.table.n_one_hot};
  rc = xf_table_load(&out->table, source->path, &spec, diag);
  return rc ? rc : finish_table(&out->table, plan, member, source, diag);
}

enum xf_rc xf_resolve_table(struct xf_dataset *out, const struct xf_plan *plan, const char *member,
                            struct xf_table *table, struct xf_diag *diag) {
  const struct xf_source made = {.path = "the table"};
  xf_dataset_init(out, XF_DATASET_TABLE);
  out->table = *table;
  xf_table_init(table);
  return finish_table(&out->table, plan, member, &made, diag);
}

enum xf_rc xf_resolve_dataset(struct xf_dataset *out, const struct xf_plan *plan,
                              const char *member, const struct xf_source *source,
                              struct xf_diag *diag) {
  switch (plan->data.kind) {
  case XF_PLAN_DATA_TABLE:
    xf_dataset_init(out, XF_DATASET_TABLE);
    return load_table(out, plan, member, source, diag);
  case XF_PLAN_DATA_INTERACTIONS: {
    struct xf_interactions inter;
    const struct xf_interactions_spec spec = xf_resolve_columns(plan, source);
    xf_dataset_init(out, XF_DATASET_INTERACTIONS);
    enum xf_rc rc = xf_interactions_load(&inter, source->path, &spec, diag);
    return rc ? rc : xf_resolve_interactions(out, plan, member, &inter, diag);
  }
  case XF_PLAN_DATA_ANSWERS:
  case XF_PLAN_DATA_TEXT: {
    struct xf_seqset set;
    xf_dataset_init(out, XF_DATASET_SEQUENCES);
    const enum xf_rc rc = xf_resolve_load_sequences(&set, plan, source, diag);
    return rc ? rc : xf_resolve_sequences(out, plan, member, &set, diag);
  }
  case XF_PLAN_DATA_IDX: {
    struct xf_table table;
    xf_dataset_init(out, XF_DATASET_TABLE);
    const enum xf_rc rc = xf_resolve_load_images(&table, source->path, diag);
    return rc ? rc : xf_resolve_images(out, plan, member, &table, diag);
  }
  }
  xf_dataset_init(out, XF_DATASET_TABLE);
  return xf_diag_set(diag, XF_E_INVAL, "data.kind %d is unknown", (int)plan->data.kind);
}
