/* Silos that hold tables: one file each (sim.clients.by: file), labels and one-hot columns as the plan says. */
#include "crypto/stream.h"
#include "plan/view.h"
#include "tools/sim/sim.h"

#include <stdio.h>
#include <string.h>

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

static enum xf_rc deal(const struct sim *sim, struct sim_silo *s, uint32_t index,
                       struct xf_diag *diag) {
  const struct xf_plan *p = &sim->plan;
  if (p->data.split.kind == XF_PLAN_SPLIT_PREDEFINED) {
    char center[16];
    (void)snprintf(center, sizeof center, "%u", index);
    return xf_table_split_file(&s->data.table, p->sim.split, center, diag);
  }
  struct xf_rng rng;
  xf_stream_init(&rng, p->seed, "split", 0, s->id);
  return xf_table_split_random(&s->data.table, p->data.split.valid_fraction,
                               p->data.split.test_fraction, &rng, diag);
}

enum xf_rc sim_table_load(struct sim *sim, struct sim_silo *s, uint32_t index,
                          struct xf_diag *diag) {
  const struct xf_plan *p = &sim->plan;
  const char *name = p->sim.clients.files[index];
  char path[XF_PLAN_PATH_MAX + XF_PLAN_NAME_MAX];
  struct xf_table_one_hot hot[sizeof p->data.table.one_hot / sizeof p->data.table.one_hot[0]];
  enum xf_rc rc = one_hot(hot, p, diag);
  xf_dataset_init(&s->data, XF_DATASET_TABLE);
  const char *pattern = p->sim.clients.name[0] ? p->sim.clients.name : "{}";
  if (!rc) rc = xf_plan_client_id(s->id, pattern, name);
  if (!rc) rc = xf_plan_client_id(s->domain, "{}", name);
  if (rc) return xf_diag_prefix(diag, rc, "sim.clients.files \"%s\"", name);
  const struct xf_table_spec spec = {.label = p->data.table.label,
                                     .binary = p->data.table.binary,
                                     .drop_missing = p->data.table.missing == XF_PLAN_MISSING_DROP,
                                     .drop = p->data.table.drop,
                                     .n_drop = p->data.table.n_drop,
                                     .one_hot = hot,
                                     .n_one_hot = p->data.table.n_one_hot};
  (void)snprintf(path, sizeof path, "%s/%s", p->sim.data, name);
  rc = xf_table_load(&s->data.table, path, &spec, diag);
  if (!rc) rc = deal(sim, s, index, diag);
  if (!rc && p->data.table.scale == XF_PLAN_SCALE_SILO)
    rc = xf_table_standardise(&s->data.table, diag);
  if (!rc && s->data.table.n_in != p->model.n_in)
    rc = xf_diag_set(diag, XF_E_SHAPE, "%s: has %u inputs, model.n_in is %u", path,
                     s->data.table.n_in, p->model.n_in);
  return rc;
}
