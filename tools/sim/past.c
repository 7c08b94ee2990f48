/* The models that silos may still start from, where updates may come late (fed.async). */
#include "tools/sim/past.h"
#include "base/alloc.h"
#include "plan/view.h"

#include <string.h>

void sim_past_init(struct sim_past *past, const struct sim *sim) {
  *past = (struct sim_past){.len = (size_t)sim->global.n};
  if (xf_plan_is_async(&sim->plan.stages[0]))
    past->n = sim->plan.stages[0].fed.async.max_staleness + 1;
  past->model = xf_calloc(past->n + 1, sizeof *past->model);
}

void sim_past_put(struct sim_past *past, const struct xf_digest *digest, const float *x) {
  if (!past->n) return;
  struct sim_past_model *m = &past->model[past->put++ % past->n];
  if (!m->x) m->x = xf_calloc(past->len, sizeof *m->x);
  m->digest = *digest;
  memcpy(m->x, x, past->len * sizeof *x);
}

const float *sim_past_find(const struct sim_past *past, const struct xf_digest *digest) {
  for (uint32_t i = 0; i < past->n; i++)
    if (past->model[i].x && xf_digest_equal(&past->model[i].digest, digest))
      return past->model[i].x;
  return NULL;
}

void sim_past_deinit(struct sim_past *past) {
  for (uint32_t i = 0; i < past->n; i++) xf_free(past->model[i].x);
  xf_free(past->model);
}
