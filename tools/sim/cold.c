/* Cold users with user = client: each person of both domains holds both of their histories and sends products of them into
   sums (rec/coldusers.h); the two domains' factors stay with the domains, each of which gives a person their own row. */
#include "data/cold.h"
#include "base/alloc.h"
#include "crypto/sha256.h"
#include "crypto/stream.h"
#include "plan/metric.h"
#include "rec/coldusers.h"
#include "rec/paired.h"
#include "tools/sim/sim.h"
#include "json/jsonw.h"

#include <stdio.h>
#include <string.h>

enum { JSON_MAX = 1 << 20 };
static const char stamp[] = "needs paired computation";
static const char *const key[XF_COLDUSERS_N_MEASURE] = {"ndcg_10", "hr_10", "mrr"};
static const enum xf_coldusers_arm shown[] = {XF_COLDUSERS_POPULARITY, XF_COLDUSERS_OVERLAP,
                                              XF_COLDUSERS_MAP, XF_COLDUSERS_COMBINED,
                                              XF_COLDUSERS_SMOOTHED};
enum { N_SHOWN = sizeof shown / sizeof shown[0] };

struct cold_run {
  struct xf_cold data;
  struct xf_csr source, target;
  struct xf_coldusers model;
  struct xf_coldusers_table table;
  struct xf_paired diff[N_SHOWN]; /* to overlap popularity */
  uint32_t n_client, n_silent;
  struct xf_digest digest; /* of the overlap counts and the map */
};

static enum xf_rc check(struct xf_coldusers_spec *spec, const struct xf_plan *p,
                        struct xf_diag *diag) {
  *spec = xf_coldusers_default(p->seed);
  for (uint32_t i = 0; i < p->n_arms; i++)
    if (p->arms[i] != XF_PLAN_ARM_POPULARITY && p->arms[i] != XF_PLAN_ARM_FEDERATED)
      return xf_diag_set(diag, XF_E_UNSUPPORTED,
                         "arms: cold users have nothing alone; write [popularity, federated]");
  for (uint32_t i = 0; i < p->eval.n_metrics; i++) {
    struct xf_metric m;
    if (xf_metric_parse(&m, p->eval.metrics[i], diag)) return XF_E_CONFIG;
    const bool at10 = (m.kind == XF_METRIC_NDCG || m.kind == XF_METRIC_HR) && m.k == 10;
    if (!at10 && m.kind != XF_METRIC_MRR)
      return xf_diag_set(diag, XF_E_UNSUPPORTED,
                         "eval.metrics: %s; cold users are measured by ndcg@10, hr@10 and mrr",
                         p->eval.metrics[i]);
  }
  uint32_t n = 0;
  if (p->eval.n_protocol != 1 || xf_metric_protocol_parse(&n, p->eval.protocol[0], NULL) || !n)
    return xf_diag_set(diag, XF_E_UNSUPPORTED,
                       "eval.protocol: cold users are ranked among sampled items; write [s999]");
  spec->n_neg = n;
  return XF_OK;
}

static enum xf_rc load(struct cold_run *r, const struct xf_plan *p, struct xf_diag *diag) {
  char path[3][XF_PLAN_PATH_MAX + XF_PLAN_NAME_MAX + 1];
  for (int i = 0; i < 3; i++)
    (void)snprintf(path[i], sizeof path[i], "%s/%s", p->sim.data, p->sim.clients.files[i]);
  const struct xf_cold_files files = {path[0], path[1], path[2], NULL};
  enum xf_rc rc = xf_cold_load(&r->data, &files, p->sim.clients.common, diag);
  const struct xf_interactions *s = &r->data.source, *t = &r->data.target;
  if (rc) return rc;
  rc = xf_csr_init(&r->source, s->users.n, s->items.n, s->user, s->item, s->n);
  if (!rc) rc = xf_csr_init(&r->target, t->users.n, t->items.n, t->user, t->item, t->n);
  return rc ? xf_diag_set(diag, rc, "%s: %s", p->sim.data, xf_rc_text(rc)) : XF_OK;
}

/* Whether a client does not answer: the same draw as for silos, by the person's key. */
static bool silent(const struct xf_plan *p, const char *person) {
  struct xf_rng rng;
  xf_stream_init(&rng, p->seed, "availability", 1, person);
  return xf_rng_double(&rng) < p->sim.dropout;
}

/* One sum, once: the clients in the order of the target's file. */
static enum xf_rc collect(struct cold_run *r, const struct xf_plan *p, struct xf_diag *diag) {
  for (uint32_t t = 0; t < r->target.n_row; t++) {
    const char *person = xf_names_get(&r->data.target.users, t);
    const uint32_t s = xf_names_find(&r->data.source.users, person, strlen(person));
    if (s == XF_NO_ID) continue;
    r->n_client++;
    if (silent(p, person)) {
      r->n_silent++;
      continue;
    }
    const enum xf_rc rc = xf_coldusers_add(&r->model, s, t);
    if (rc) return xf_diag_set(diag, rc, "person %s: %s", person, xf_rc_text(rc));
  }
  return xf_coldusers_finish(&r->model, diag);
}

static enum xf_rc digest(struct cold_run *r) {
  const struct xf_crossmap *m = &r->model.map;
  const size_t n_map = ((size_t)m->ds + 1) * m->dt, n = r->model.n_items + n_map;
  float *all = xf_try_calloc(n, sizeof *all);
  if (!all) return XF_E_NOMEM;
  memcpy(all, r->model.overlap, r->model.n_items * sizeof *all);
  memcpy(all + r->model.n_items, m->m, n_map * sizeof *all);
  xf_sha256(&r->digest, all, n * sizeof *all);
  xf_free(all);
  return XF_OK;
}

static enum xf_rc compare(struct cold_run *r, const struct xf_plan *p, struct xf_diag *diag) {
  const struct xf_paired_spec spec = {.seed = p->seed};
  enum xf_rc rc = XF_OK;
  for (int i = 0; i < N_SHOWN && !rc; i++)
    rc = xf_paired_bootstrap(&r->diff[i], r->table.person[shown[i]],
                             r->table.person[XF_COLDUSERS_OVERLAP], r->table.people, &spec, diag);
  return rc;
}

static void put_text(const struct cold_run *r, const struct sim *sim, double wall_s) {
  const uint32_t n = r->model.spec.n_neg;
  char hex[XF_DIGEST_HEX];
  printf("%-26s %10s %10s %10s %10s  less overlap popularity, people's means\n", "held-out rows",
         "ndcg@10", "(SE)", "hr@10", "mrr");
  for (int i = 0; i < N_SHOWN; i++) {
    const double *v = r->table.mean[shown[i]];
    const struct xf_paired *d = &r->diff[i];
    printf("%-26s %10.4f %10.4f %10.4f %10.4f", xf_coldusers_arm_name(shown[i]),
           v[XF_COLDUSERS_NDCG], xf_coldusers_se(&r->table, shown[i]), v[XF_COLDUSERS_HR],
           v[XF_COLDUSERS_MRR]);
    if (shown[i] != XF_COLDUSERS_OVERLAP)
      printf("  %+.4f (SE %.4f) [%+.4f, %+.4f]", d->mean, d->se, d->low, d->high);
    printf("%s%s\n", xf_coldusers_paired(shown[i]) ? "  " : "",
           xf_coldusers_paired(shown[i]) ? stamp : "");
  }
  printf("%u cold people, %llu rows, each among %u sampled items; %u clients (a person each), %u "
         "silent, %.2f s, up %llu bytes\n",
         r->table.people, (unsigned long long)r->table.rows, n, r->n_client, r->n_silent, wall_s,
         (unsigned long long)r->model.bytes);
  struct xf_buf stamps;
  xf_buf_init(&stamps, 64 * 1024);
  if (!xf_plan_stamps(&stamps, &sim->plan)) printf("%s", xf_buf_cstr(&stamps));
  xf_buf_deinit(&stamps);
  printf("statistic_sha256 %s\n", xf_digest_print(hex, &r->digest));
}

static void put_arm(struct xf_jsonw *w, const struct cold_run *r, int i) {
  const enum xf_coldusers_arm arm = shown[i];
  xf_jsonw_object(w);
  xf_jsonw_kstr(w, "scope", "global");
  xf_jsonw_kstr(w, "arm", xf_coldusers_arm_name(arm));
  for (int m = 0; m < XF_COLDUSERS_N_MEASURE; m++) {
    char name[XF_METRIC_KEY_MAX];
    (void)snprintf(name, sizeof name, "%s_s%u", key[m], r->model.spec.n_neg);
    xf_jsonw_kdouble(w, name, r->table.mean[arm][m]);
  }
  xf_jsonw_kdouble(w, "se", xf_coldusers_se(&r->table, arm));
  if (arm != XF_COLDUSERS_OVERLAP) {
    xf_jsonw_kdouble(w, "minus_overlap", r->diff[i].mean);
    xf_jsonw_kdouble(w, "minus_overlap_se", r->diff[i].se);
    xf_jsonw_kdouble(w, "low", r->diff[i].low);
    xf_jsonw_kdouble(w, "high", r->diff[i].high);
  }
  if (xf_coldusers_paired(arm)) xf_jsonw_kstr(w, "stamp", stamp);
  xf_jsonw_object_end(w);
}

static enum xf_rc put_json(struct xf_buf *out, const struct cold_run *r, const struct sim *sim,
                           double wall_s) {
  struct xf_jsonw w;
  char hex[XF_DIGEST_HEX];
  xf_jsonw_init(&w, out);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  xf_jsonw_kstr(&w, "status", "done");
  xf_jsonw_kstr(&w, "name", sim->plan.name);
  xf_jsonw_kuint(&w, "seed", sim->plan.seed);
  xf_jsonw_kstr(&w, "topology", "user = client");
  xf_jsonw_kstr(&w, "stamp", stamp);
  xf_jsonw_kuint(&w, "clients", r->n_client);
  xf_jsonw_kuint(&w, "silent", r->n_silent);
  xf_jsonw_kuint(&w, "people", r->table.people);
  xf_jsonw_kuint(&w, "rows", r->table.rows);
  xf_jsonw_key(&w, "metrics");
  xf_jsonw_array(&w);
  for (int i = 0; i < N_SHOWN; i++) put_arm(&w, r, i);
  xf_jsonw_array_end(&w);
  xf_jsonw_kdouble(&w, "wall_s", wall_s);
  xf_jsonw_kuint(&w, "bytes_up", r->model.bytes);
  xf_jsonw_kstr(&w, "blas", sim->blas.config);
  xf_jsonw_kstr(&w, "isa", sim->blas.isa);
  xf_jsonw_kstr(&w, "statistic_sha256", xf_digest_print(hex, &r->digest));
  xf_jsonw_object_end(&w);
  return xf_jsonw_finish(&w);
}

static enum xf_rc put_run(struct sim *sim, const struct cold_run *r, const struct xf_buf *summary,
                          struct xf_diag *diag) {
  char name[XF_COLDUSERS_N_MEASURE][XF_METRIC_KEY_MAX], path[XF_PATH_MAX];
  enum xf_rc rc = XF_OK;
  for (int m = 0; m < XF_COLDUSERS_N_MEASURE; m++)
    (void)snprintf(name[m], sizeof name[m], "%s_s%u", key[m], r->model.spec.n_neg);
  for (int i = 0; i < N_SHOWN && !rc; i++) {
    struct xf_rundir_value value[XF_COLDUSERS_N_MEASURE];
    for (int m = 0; m < XF_COLDUSERS_N_MEASURE; m++)
      value[m] = (struct xf_rundir_value){name[m], r->table.mean[shown[i]][m]};
    const struct xf_rundir_metrics line = {1,      "global", xf_coldusers_arm_name(shown[i]),
                                           "test", value,    XF_COLDUSERS_N_MEASURE,
                                           1,      NULL};
    rc = xf_rundir_metrics(&sim->run, &line, diag);
  }
  if (!rc) rc = xf_rundir_path(&sim->run, path, "summary.json");
  if (!rc) rc = xf_fs_replace(sim->run.fs, path, summary->p, summary->len, diag);
  return rc ? rc : xf_rundir_sync(&sim->run, diag);
}

static enum xf_rc put(struct sim *sim, const struct cold_run *r, bool json, double wall_s,
                      struct xf_diag *diag) {
  struct xf_buf summary;
  xf_buf_init(&summary, JSON_MAX);
  enum xf_rc rc = put_json(&summary, r, sim, wall_s);
  if (!rc) rc = xf_buf_put_str(&summary, "\n");
  if (!rc && json) printf("%s", xf_buf_cstr(&summary));
  else if (!rc) put_text(r, sim, wall_s);
  if (!rc && sim->run.open) rc = put_run(sim, r, &summary, diag);
  xf_buf_deinit(&summary);
  if (!rc && fflush(stdout) != 0)
    rc = xf_diag_set(diag, XF_E_IO, "standard output cannot be written");
  return rc;
}

enum xf_rc sim_cold(struct sim *sim, bool json, struct xf_time from, struct xf_diag *diag) {
  struct cold_run r = {0};
  struct xf_coldusers_spec spec;
  enum xf_rc rc = check(&spec, &sim->plan, diag);
  if (rc) return rc;
  rc = load(&r, &sim->plan, diag);
  if (!rc)
    rc = xf_coldusers_init(&r.model, &r.source, r.data.source.items.n, &r.target,
                           r.data.target.items.n, &spec, diag);
  if (!rc) rc = collect(&r, &sim->plan, diag);
  if (!rc) rc = digest(&r);
  if (!rc) rc = xf_coldusers_rank(&r.table, &r.model, &r.data.held[XF_PART_VALID], diag);
  if (!rc) rc = compare(&r, &sim->plan, diag);
  if (!rc) rc = put(sim, &r, json, xf_time_diff_s(xf_time_now(), from), diag);
  xf_coldusers_table_deinit(&r.table);
  xf_coldusers_deinit(&r.model);
  xf_csr_deinit(&r.source);
  xf_csr_deinit(&r.target);
  xf_cold_deinit(&r.data);
  return rc;
}
