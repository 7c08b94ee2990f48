/* A round's fold, from memory to memory. */
#include "base/alloc.h"
#include "resolve/stagefold.h"
#include "server/core/coord.h"
#include "tools/sim/sim.h"

#include <string.h>

struct folding {
  struct sim *sim;
  const float *x;
  const struct xf_buf *accepted; /* per client */
};

static enum xf_rc read_update(void *arg, size_t slot, uint64_t at, float *out, size_t n) {
  const struct folding *f = arg;
  memcpy(out, f->accepted[slot].p + at * sizeof *out, n * sizeof *out);
  return XF_OK;
}
static enum xf_rc read_bytes(void *arg, size_t slot, uint64_t at, uint8_t *out, size_t n) {
  const struct folding *f = arg;
  memcpy(out, f->accepted[slot].p + at, n);
  return XF_OK;
}
static enum xf_rc read_old(void *arg, uint64_t at, float *out, size_t n) {
  const struct folding *f = arg;
  memcpy(out, f->x + at, n * sizeof *out);
  return XF_OK;
}
static enum xf_rc write_new(void *arg, uint64_t at, const float *x, size_t n) {
  const struct folding *f = arg;
  memcpy(f->sim->next_x + at, x, n * sizeof *x);
  return XF_OK;
}
static enum xf_rc read_state(void *arg, uint32_t k, uint64_t at, float *out, size_t n) {
  const struct folding *f = arg;
  memcpy(out, f->sim->state[k] + at, n * sizeof *out);
  return XF_OK;
}
static enum xf_rc write_state(void *arg, uint32_t k, uint64_t at, const float *x, size_t n) {
  const struct folding *f = arg;
  memcpy(f->sim->next_state[k] + at, x, n * sizeof *x);
  return XF_OK;
}

enum xf_rc sim_fold(struct sim *sim, const struct xf_coord_action *a, const float *x,
                    uint32_t commits, const struct xf_buf *accepted, struct xf_diag *diag) {
  uint64_t first = 0;
  const uint32_t stage = xf_plan_stage_at(&sim->plan, commits, &first);
  const struct xf_strategy strategy = xf_resolve_strategy(&sim->plan, stage);
  struct xf_stagefold_member *member =
      xf_calloc(a->n_participant ? a->n_participant : 1, sizeof *member);
  for (size_t k = 0; k < a->n_participant; k++) {
    const uint32_t i = a->participant[k];
    const struct sim_client *c = &sim->client[i];
    member[k] = (struct xf_stagefold_member){.id = c->id,
                                             .slot = i,
                                             .weight = (uint32_t)a->weight[k],
                                             .rows = &c->rows,
                                             .len = accepted[i].len};
  }
  struct folding f = {sim, x, accepted};
  struct xf_stagefold job = {
      .global = &sim->global,
      .stage = stage,
      .step = xf_strategy_get(&strategy, (uint32_t)(commits - first)),
      .n_listed = sim->n_client,
      .divisor = xf_resolve_divisor(&sim->plan, stage),
      .member = member,
      .n_member = a->n_participant,
      .io = {&f, NULL, read_update, read_old, write_new, read_state, write_state},
      .codec = xf_plan_codec(&sim->plan, stage, a->round),
      .read_bytes = read_bytes};
  const size_t bytes = (size_t)sim->global.n * sizeof *sim->x;
  memcpy(sim->next_x, x, bytes);
  for (int k = 0; k < XF_SERVER_STATES; k++)
    if (sim->state[k]) memcpy(sim->next_state[k], sim->state[k], bytes);
  enum xf_rc rc = xf_stagefold_run(&job, diag);
  xf_free(member);
  return rc;
}
