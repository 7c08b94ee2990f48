/* How a run's figures are spread over its clients: the worst and the best tenth, in summary.json. */
#include "base/alloc.h"
#include "tools/exper/runs.h"
#include "tools/exper/stats.h"
#include "tools/sim/sim.h"

#include <math.h>

/* The figures of the clients that have one. @shape v[n_client] */
static size_t figures(double *v, const struct sim *sim, enum xf_part part, int arm,
                      size_t measure) {
  size_t n = 0;
  for (size_t i = 0; i < sim->n_client; i++) {
    const struct sim_client *c = &sim->client[i];
    if (!c->arm_run[arm]) continue;
    const double x =
        xf_measure_value(sim->measures.measure[measure].kind, c->sum[part][arm][measure]);
    if (isfinite(x)) v[n++] = x;
  }
  return n;
}

static void put_arm(struct xf_jsonw *w, const struct sim *sim, double *v, enum xf_part part,
                    int arm) {
  xf_jsonw_object(w);
  xf_jsonw_kstr(w, "arm", xf_silo_arm_name((enum xf_silo_arm)arm));
  xf_jsonw_kstr(w, "split", xf_silo_part_name(part));
  for (size_t m = 0; m < sim->measures.n; m++) {
    bool up = true;
    const size_t n = figures(v, sim, part, arm, m);
    if (!n || xf_exper_direction(&up, sim->measures.key[m], NULL)) continue;
    xf_jsonw_key(w, sim->measures.key[m]);
    xf_jsonw_object(w);
    xf_jsonw_kuint(w, "clients", n);
    xf_jsonw_kdouble(w, "mean", xf_stats_mean(v, n));
    xf_jsonw_kdouble(w, "sd", xf_stats_sd(v, n));
    xf_jsonw_kdouble(w, "worst_tenth", xf_stats_worst_tenth(v, n, up));
    xf_jsonw_kdouble(w, "best_tenth", xf_stats_best_tenth(v, n, up));
    xf_jsonw_object_end(w);
  }
  xf_jsonw_object_end(w);
}

void sim_spread(const struct sim *sim, struct xf_jsonw *json) {
  double *v = xf_calloc(sim->n_client + 1, sizeof *v);
  xf_jsonw_key(json, "spread");
  xf_jsonw_array(json);
  for (int arm = 0; arm < XF_SILO_N_ARM; arm++)
    for (int part = XF_PART_VALID; part <= XF_PART_TEST; part++)
      if (sim->measures.n && figures(v, sim, (enum xf_part)part, arm, 0))
        put_arm(json, sim, v, (enum xf_part)part, arm);
  xf_jsonw_array_end(json);
  xf_free(v);
}
