/* Whether a domain is worse off: what each silo serves against its strongest baseline, on the same test users (decision 40). */
#include "base/alloc.h"
#include "rec/paired.h"
#include "tools/sim/sim.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct domain {
  const struct sim_client *client;
  enum xf_silo_arm baseline; /* popularity or alone: the better one on validation */
  struct xf_paired diff;     /* served - baseline, of the measure that decides */
  bool loses;
};

static bool has(const struct sim_client *c, enum xf_silo_arm arm) {
  return c->arm_run[arm] && c->figure[arm];
}

/* Validation decides which baseline is the strongest; of equals the simpler one. */
static bool find_baseline(const struct sim *sim, const struct sim_client *c,
                          enum xf_silo_arm *out) {
  static const enum xf_silo_arm arm[] = {XF_SILO_POPULARITY, XF_SILO_ALONE};
  const size_t main = xf_measures_main(&sim->measures);
  double best = NAN;
  for (size_t i = 0; i < sizeof arm / sizeof arm[0]; i++) {
    if (!has(c, arm[i])) continue;
    const double v =
        xf_measure_value(sim->measures.measure[main].kind, c->sum[XF_PART_VALID][arm[i]][main]);
    if (isnan(v) || (!isnan(best) && !(v > best))) continue;
    best = v;
    *out = arm[i];
  }
  return !isnan(best) && has(c, c->served);
}

static enum xf_rc compare(const struct sim *sim, struct domain *d, struct xf_diag *diag) {
  const struct sim_client *c = d->client;
  const struct xf_paired_spec spec = {.seed = sim->plan.seed};
  return xf_paired_bootstrap(&d->diff, c->figure[c->served], c->figure[d->baseline],
                             xf_silo_data(c->silo)->split.n_users, &spec, diag);
}

static void print_text(const struct sim *sim, const struct domain *d, size_t n,
                       const struct xf_paired_verdict *v) {
  printf("\n%s of what is served less that of the strongest baseline, same test users\n",
         sim->measures.key[xf_measures_main(&sim->measures)]);
  for (size_t i = 0; i < n; i++)
    printf("%-26s %-10s - %-10s %+.4f (SE %.4f) [%+.4f, %+.4f]%s\n", d[i].client->domain,
           xf_silo_arm_name(d[i].client->served), xf_silo_arm_name(d[i].baseline), d[i].diff.mean,
           d[i].diff.se, d[i].diff.low, d[i].diff.high, d[i].loses ? "  loses" : "");
  printf("%zu of %zu domains lose (Holm, one-sided .05), %zu below -1 SE, mean %+.4f\n", v->n_lose,
         n, v->n_below_se, v->mean);
}

static void print_json(struct xf_jsonw *w, const struct domain *d, size_t n,
                       const struct xf_paired_verdict *v) {
  xf_jsonw_key(w, "verdict");
  xf_jsonw_object(w);
  xf_jsonw_kuint(w, "lose", v->n_lose);
  xf_jsonw_kuint(w, "below_se", v->n_below_se);
  xf_jsonw_kdouble(w, "mean", v->mean);
  xf_jsonw_key(w, "domains");
  xf_jsonw_array(w);
  for (size_t i = 0; i < n; i++) {
    xf_jsonw_object(w);
    xf_jsonw_kstr(w, "domain", d[i].client->domain);
    xf_jsonw_kstr(w, "served", xf_silo_arm_name(d[i].client->served));
    xf_jsonw_kstr(w, "baseline", xf_silo_arm_name(d[i].baseline));
    xf_jsonw_kuint(w, "users", d[i].diff.n);
    xf_jsonw_kdouble(w, "mean", d[i].diff.mean);
    xf_jsonw_kdouble(w, "se", d[i].diff.se);
    xf_jsonw_kdouble(w, "low", d[i].diff.low);
    xf_jsonw_kdouble(w, "high", d[i].diff.high);
    xf_jsonw_kbool(w, "loses", d[i].loses);
    xf_jsonw_object_end(w);
  }
  xf_jsonw_array_end(w);
  xf_jsonw_object_end(w);
}

enum xf_rc sim_verdict(const struct sim *sim, struct xf_jsonw *json, struct xf_diag *diag) {
  struct domain *d = xf_calloc(sim->n_client, sizeof *d);
  struct xf_paired *diff = xf_calloc(sim->n_client, sizeof *diff);
  bool *lose = xf_calloc(sim->n_client, sizeof *lose);
  struct xf_paired_verdict verdict = {0};
  enum xf_rc rc = XF_OK;
  size_t n = 0;
  for (size_t i = 0; i < sim->n_client && !rc; i++) {
    d[n].client = &sim->client[i];
    if (!find_baseline(sim, &sim->client[i], &d[n].baseline)) continue;
    rc = compare(sim, &d[n], diag);
    diff[n] = d[n].diff;
    n++;
  }
  if (!rc && n) rc = xf_paired_judge(&verdict, lose, diff, n, 0);
  for (size_t i = 0; i < n; i++) d[i].loses = lose[i];
  if (!rc && n && json) print_json(json, d, n, &verdict);
  else if (!rc && n) print_text(sim, d, n, &verdict);
  xf_free(d);
  xf_free(diff);
  xf_free(lose);
  return rc;
}
