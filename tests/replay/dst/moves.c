/* What tasks move: a world of one stage moves the whole model; one of several moves slices, and each silo has other floats. */
#include "parts.h"

#include <string.h>

enum { SLICES = 4 };
/* Floats of stages 0, 1 and 3 of the staged plan; stage 2 evaluates. The third slice reads the second, which does not come
   first in an evaluation's model. */
static const uint32_t slice_at[SLICES + 1] = {0, 6, 11, 11, N_FLOAT};

/* Positions in the model of a silo's floats of some stages. The last silo has none of the first slice. */
static size_t list(const struct world *w, uint32_t client, uint32_t stages, uint32_t at[N_FLOAT]) {
  size_t n = 0;
  if (w->plan.n_stages == 1) {
    for (uint32_t j = 0; j < N_FLOAT; j++) at[n++] = j;
    return n;
  }
  for (uint32_t s = 0; s < SLICES; s++)
    for (uint32_t j = slice_at[s]; stages >> s & 1 && j < slice_at[s + 1]; j++)
      if ((s || client < N_CLIENT - 1) && (j + client) % 4) at[n++] = j;
  return n;
}

static bool is_sum(const struct world *w, uint32_t stage) {
  return w->plan.stages[stage].kind == XF_PLAN_STAGE_STATISTIC;
}

static uint32_t inputs(const struct world *w, uint32_t stage) {
  uint32_t set = 0;
  for (uint32_t k = 0; k < w->plan.stages[stage].n_in; k++)
    set |= 1u << xf_plan_stage_find(&w->plan, w->plan.stages[stage].in[k]);
  return set;
}

struct xf_plan_lens moves_lens(const struct world *w, uint32_t client) {
  uint32_t at[N_FLOAT];
  struct xf_plan_lens lens = {.n_stage = w->plan.n_stages};
  lens.all = list(w, client, UINT32_MAX, at) * sizeof(float);
  for (uint32_t s = 0; s < lens.n_stage; s++) {
    lens.in[s] = list(w, client, inputs(w, s), at) * sizeof(float);
    lens.up[s] = list(w, client, 1u << s, at) * sizeof(float);
    if (w->plan.n_stages == 1) lens.in[s] = 0;
    lens.down[s] = lens.in[s] + (is_sum(w, s) ? 0 : lens.up[s]);
  }
  return lens;
}

size_t moves_down(const struct world *w, uint32_t client, enum xf_task_kind kind, uint32_t stage,
                  const float *model, float out[N_FLOAT]) {
  uint32_t at[N_FLOAT];
  size_t n = 0;
  const bool train = kind == XF_TASK_TRAIN;
  const uint32_t first = !train                  ? UINT32_MAX
                         : w->plan.n_stages == 1 ? 1
                                                 : inputs(w, stage),
                 second = train && w->plan.n_stages > 1 && !is_sum(w, stage) ? 1u << stage : 0;
  for (int part = 0; part < 2; part++) {
    if (part && !second) break;
    const size_t k = list(w, client, part ? second : first, at);
    for (size_t j = 0; j < k; j++) out[n++] = model[at[j]];
  }
  return n;
}

size_t moves_work(const struct world *w, uint32_t client, uint32_t stage, const float *down,
                  float out[N_FLOAT]) {
  uint32_t at[N_FLOAT];
  const struct xf_plan_lens lens = moves_lens(w, client);
  const size_t n_in = lens.in[stage] / sizeof(float), n = lens.up[stage] / sizeof(float);
  float read = 0;
  (void)list(w, client, 1u << stage, at);
  for (size_t j = 0; j < n_in; j++) read += down[j] * (float)(j + 1);
  for (size_t j = 0; j < n; j++) {
    const float own = is_sum(w, stage) ? (float)(client + 1) : down[n_in + j];
    out[j] = 0.5f * own * (float)(client + 1) - 0.1f * (float)(at[j] + 1) + 0.01f * read;
  }
  return n;
}

void moves_fold(struct world *w, const struct xf_coord_action *a) {
  const uint32_t stage = xf_plan_stage_at(&w->plan, w->s.committed, NULL);
  struct ledger_round *r = world_round(w, a->round);
  double acc[N_FLOAT] = {0}, total[N_FLOAT] = {0};
  for (size_t k = 0; k < a->n_participant; k++) {
    const uint32_t i = a->participant[k];
    const struct stored *u = &r->update[i];
    uint32_t at[N_FLOAT];
    float x[N_FLOAT];
    const size_t n = list(w, i, 1u << stage, at);
    if (!u->durable || u->payload.len != n * sizeof *x) {
      world_fail(w, "aggregation without a durable update of the stage's length (I2)", a->round, i);
      return;
    }
    memcpy(x, u->payload.b, n * sizeof *x);
    for (size_t j = 0; j < n; j++) {
      acc[at[j]] += (double)a->weight[k] * (double)x[j];
      total[at[j]] += (double)a->weight[k];
    }
  }
  for (int j = 0; j < N_FLOAT; j++) {
    const double move = total[j] > 0 ? is_sum(w, stage) ? acc[j] : acc[j] / total[j] : 0;
    w->s.next[j] = (float)((double)w->s.model[j] + move);
  }
}
