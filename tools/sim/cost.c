/* What a client's task costs in virtual time. */
#include "crypto/stream.h"
#include "plan/view.h"
#include "tools/sim/sim.h"

#include <math.h>

enum { WORK, LINK };

/* Slower than the fastest by up to sim.cost.spread, evenly in the logarithm; a client's own for the whole run. */
static double slowness(const struct sim *sim, const struct sim_client *c, uint64_t of) {
  struct xf_rng rng;
  xf_stream_init(&rng, sim->plan.seed, "cost", of, c->id);
  return pow(sim->plan.sim.cost.spread, xf_rng_double(&rng));
}

static double samples(const struct sim *sim, const struct sim_client *c, uint32_t stage) {
  const struct xf_plan_stage_part *s = &sim->plan.stages[stage];
  const double n = (double)xf_dataset_count(xf_silo_data(c->silo), XF_PART_TRAIN);
  if (s->local.epochs) return s->local.epochs * n;
  return s->local.steps * (s->local.batch && s->local.batch < n ? s->local.batch : n);
}

double sim_cost_s(const struct sim *sim, const struct sim_client *c, uint32_t stage) {
  if (sim->plan.sim.cost.sample_s <= 0) return 0;
  const struct xf_plan_lens *lens = xf_silo_lens(c->silo);
  const double bytes = (double)(lens->down[stage] + lens->up[stage]);
  double s = samples(sim, c, stage) * sim->plan.sim.cost.sample_s * slowness(sim, c, WORK);
  if (sim->plan.sim.cost.byte_s > 0)
    s += bytes * sim->plan.sim.cost.byte_s * slowness(sim, c, LINK);
  return s + sim->plan.sim.cost.latency_s;
}
