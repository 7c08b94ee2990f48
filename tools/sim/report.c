/* What a run leaves: metrics.jsonl while it goes, the arms at its end, the table, summary.json. */
#include "base/alloc.h"
#include "base/log.h"
#include "resolve/stop.h"
#include "store/checkpoint.h"
#include "tensor/blas.h"
#include "tools/sim/sim.h"
#include "wire/codec.h"
#include "json/jsonw.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { JSON_MAX = 1 << 24 };

static enum xf_rc put_line(struct sim *sim, uint64_t round, const char *scope, const char *arm,
                           const char *split, const struct xf_measure_sum *sum,
                           struct xf_diag *diag) {
  struct xf_rundir_value value[XF_RESOLVE_MEASURES];
  for (size_t i = 0; i < sim->measures.n; i++)
    value[i] = (struct xf_rundir_value){sim->measures.key[i],
                                        xf_measure_value(sim->measures.measure[i].kind, sum[i])};
  const struct xf_rundir_cost cost = {sim->bytes_up, sim->bytes_down, sim->time_s};
  const struct xf_rundir_metrics m = {round, scope,           arm,         split,
                                      value, sim->measures.n, sim->rounds, &cost};
  return sim->run.open ? xf_rundir_metrics(&sim->run, &m, diag) : XF_OK;
}

static void add(const struct sim *sim, struct xf_measure_sum *total,
                const struct xf_measure_sum *sum) {
  for (size_t i = 0; i < sim->measures.n; i++) {
    total[i].sum += sum[i].sum;
    total[i].count += sum[i].count;
  }
}

/* The sums of an arm and split out of a client's report. */
static enum xf_rc report_sums(const struct sim *sim, const struct xf_buf *payload, const char *arm,
                              const char *split, struct xf_measure_sum *sum, struct xf_diag *diag) {
  struct xf_arena arena;
  struct xf_eval_metric *m = NULL;
  size_t n = 0;
  xf_arena_init(&arena, XF_MSG_ARENA);
  memset(sum, 0, sim->measures.n * sizeof *sum);
  enum xf_rc rc = xf_eval_report_decode(&m, &n, &arena, payload->p, payload->len, diag);
  for (size_t k = 0; k < n && !rc; k++)
    for (size_t i = 0; i < sim->measures.n; i++)
      if (strcmp(m[k].arm, arm) == 0 && strcmp(m[k].split, split) == 0 &&
          strcmp(m[k].name, sim->measures.key[i]) == 0)
        sum[i] = (struct xf_measure_sum){m[k].sum, (double)m[k].count};
  xf_arena_deinit(&arena);
  return rc;
}

/* One arm's lines of an evaluation, of a part. */
static enum xf_rc report_arm(struct sim *sim, uint64_t round, const struct xf_buf *payload,
                             const uint32_t *who, size_t n, enum xf_silo_arm arm, enum xf_part part,
                             struct xf_diag *diag) {
  const char *name = xf_silo_arm_name(arm), *split = xf_silo_part_name(part);
  struct xf_measure_sum total[XF_RESOLVE_MEASURES] = {{0}}, sum[XF_RESOLVE_MEASURES];
  enum xf_rc rc = XF_OK;
  for (size_t k = 0; k < n && !rc; k++) {
    char scope[XF_PLAN_CLIENT_ID + 8];
    (void)snprintf(scope, sizeof scope, "domain:%s", sim_label(sim, &sim->client[who[k]]));
    rc = report_sums(sim, &payload[who[k]], name, split, sum, diag);
    if (!rc) rc = put_line(sim, round, scope, name, split, sum, diag);
    add(sim, total, sum);
  }
  return rc ? rc : put_line(sim, round, "global", name, split, total, diag);
}

enum xf_rc sim_report_round(struct sim *sim, uint64_t round, const struct xf_buf *payload,
                            const uint32_t *who, size_t n, struct xf_diag *diag) {
  if (!sim->run.open) return XF_OK;
  enum xf_rc rc = XF_OK;
  const bool personal = n && xf_silo_has_arm(sim->client[who[0]].silo, XF_SILO_PERSONAL);
  const int first = sim->plan.eval.train ? XF_PART_TRAIN : XF_PART_VALID;
  for (int part = first; part <= XF_PART_TEST && !rc; part++) {
    rc = report_arm(sim, round, payload, who, n, XF_SILO_FEDERATED, (enum xf_part)part, diag);
    if (!rc && personal)
      rc = report_arm(sim, round, payload, who, n, XF_SILO_PERSONAL, (enum xf_part)part, diag);
  }
  return rc;
}

/* Virtual time, where the plan gives one, and how old the updates were. */
static void put_time(const struct sim *sim, struct xf_jsonw *w) {
  if (sim->plan.sim.cost.sample_s > 0) {
    xf_jsonw_kdouble(w, "virtual_commit_s", sim->commit_s);
    xf_jsonw_kdouble(w, "virtual_work_s", sim->work_s);
  }
  if (!sim->stale) return;
  xf_jsonw_key(w, "staleness");
  xf_jsonw_array(w);
  for (uint32_t t = 0; t <= sim->plan.stages[0].fed.async.max_staleness; t++)
    xf_jsonw_uint(w, sim->stale[t]);
  xf_jsonw_array_end(w);
}

enum xf_rc sim_report_staleness(struct sim *sim, uint64_t round, const uint64_t *staleness,
                                size_t n, struct xf_diag *diag) {
  enum { KEY = 32 };
  const size_t cap = (size_t)sim->plan.stages[0].fed.async.max_staleness + 1;
  uint64_t *count = xf_calloc(cap, sizeof *count);
  char(*key)[KEY] = xf_calloc(n + 1, sizeof *key);
  struct xf_rundir_value *value = xf_calloc(n + 1, sizeof *value);
  size_t n_value = 0;
  for (size_t k = 0; k < n; k++) {
    count[staleness[k]]++;
    sim->stale[staleness[k]]++;
  }
  for (size_t t = 0; t < cap; t++) {
    if (!count[t]) continue;
    (void)snprintf(key[n_value], KEY, "staleness_%zu", t);
    value[n_value] = (struct xf_rundir_value){key[n_value], (double)count[t]};
    n_value++;
  }
  const struct xf_rundir_metrics m = {round, "global", "federated",     "train",
                                      value, n_value,  sim->rounds + 1, NULL};
  const enum xf_rc rc = sim->run.open ? xf_rundir_metrics(&sim->run, &m, diag) : XF_OK;
  xf_free(count);
  xf_free(key);
  xf_free(value);
  return rc;
}

static bool is_fresh(const struct sim *sim, const struct sim_client *c) {
  return sim->n_fresh && c >= sim->fresh && c < sim->fresh + sim->n_fresh;
}

enum xf_rc sim_stop_figure(const struct sim *sim, const struct xf_buf *payload, const uint32_t *who,
                           size_t n, double *figure, struct xf_diag *diag) {
  const size_t i = xf_resolve_stop_measure(&sim->plan, &sim->measures);
  struct xf_measure_sum total[XF_RESOLVE_MEASURES] = {{0}}, sum[XF_RESOLVE_MEASURES];
  enum xf_rc rc = XF_OK;
  *figure = (double)NAN;
  if (i == sim->measures.n) return XF_OK;
  for (size_t k = 0; k < n && !rc; k++) {
    rc = report_sums(sim, &payload[who[k]], "federated", "valid", sum, diag);
    if (!rc) add(sim, total, sum);
  }
  if (!rc)
    *figure =
        xf_resolve_stop_value(&sim->plan, &sim->measures, total[i].sum, (uint64_t)total[i].count);
  return rc;
}

static bool arm_wanted(const struct sim *sim, const struct sim_client *c, enum xf_silo_arm arm) {
  if (!xf_silo_has_arm(c->silo, arm)) return false;
  if (is_fresh(sim, c)) return arm == XF_SILO_FEDERATED;
  if (arm != XF_SILO_ALONE) return true;
  for (uint32_t i = 0; i < sim->plan.n_arms; i++)
    if (sim->plan.arms[i] == XF_PLAN_ARM_ALONE) return true;
  return false;
}

static void choose(const struct sim *sim, struct sim_client *c) {
  const size_t main = xf_measures_main(&sim->measures);
  double valid[XF_SILO_N_ARM];
  for (int a = 0; a < XF_SILO_N_ARM; a++)
    valid[a] = c->arm_run[a] ? xf_measure_value(sim->measures.measure[main].kind,
                                                c->sum[XF_PART_VALID][a][main])
                             : NAN;
  c->served = xf_silo_choose(&sim->measures, valid, c->arm_run, NULL);
}

struct arms_job {
  struct xf_job job;
  struct sim *sim;
  struct sim_client *c;
  enum xf_rc rc;
  struct xf_diag diag;
};

static enum xf_rc figures(struct arms_job *j, enum xf_silo_arm arm) {
  const struct xf_dataset *data = xf_silo_data(j->c->silo);
  if (data->kind != XF_DATASET_INTERACTIONS || !j->sim->measures.n) return XF_OK;
  j->c->figure[arm] = xf_try_calloc((size_t)data->split.n_users + 1, sizeof(float));
  if (!j->c->figure[arm]) return XF_E_NOMEM;
  return xf_silo_figures(j->c->silo, XF_PART_TEST, j->c->figure[arm], &j->diag);
}

static void run_arms(struct xf_job *job) {
  struct arms_job *j = (struct arms_job *)job;
  struct sim_client *c = j->c;
  xf_diag_init(&j->diag);
  sim_base(j->sim, c, xf_global_view_of(&j->sim->plan, false, 0), j->sim->x, c->base);
  for (int a = 0; a < XF_SILO_N_ARM && !j->rc; a++) {
    const enum xf_silo_arm arm = (enum xf_silo_arm)a;
    if (!arm_wanted(j->sim, c, arm)) continue;
    j->rc = xf_silo_arm_make(c->silo, arm, c->base, &j->diag);
    for (int p = xf_silo_first_part(c->silo); p <= XF_PART_TEST && !j->rc; p++)
      j->rc = xf_silo_measure(c->silo, (enum xf_part)p, c->sum[p][a], &j->diag);
    if (!j->rc) j->rc = figures(j, arm);
    if (j->rc == XF_E_NOTFOUND && xf_resolve_recommends(&j->sim->plan)) j->rc = XF_OK;
    else c->arm_run[a] = j->rc == XF_OK;
  }
}

static void no_wake(void *arg) { (void)arg; }

static enum xf_rc make_arms(struct sim *sim, struct xf_diag *diag) {
  struct xf_worker *pool = NULL;
  const size_t n = sim->n_client + sim->n_fresh;
  struct arms_job *job = xf_calloc(n, sizeof *job);
  enum xf_rc rc = xf_worker_start(&pool, sim->threads, no_wake, NULL);
  for (size_t i = 0; i < n && !rc; i++) {
    job[i] = (struct arms_job){.job = {.run = run_arms}, .sim = sim, .c = sim_client_at(sim, i)};
    xf_worker_submit(pool, &job[i].job);
  }
  while (pool && xf_worker_wait(pool)) continue;
  xf_worker_stop(pool);
  for (size_t i = 0; i < n && !rc; i++) {
    if (job[i].rc)
      rc = xf_diag_set(diag, job[i].rc, "silo %s: %s", job[i].c->id,
                       xf_diag_text(&job[i].diag, job[i].rc));
    choose(sim, job[i].c);
  }
  xf_free(job);
  return rc;
}

/* What the final model does on clients that never trained, over all of them. @shape sum[measures.n] */
static void fresh_sums(const struct sim *sim, struct xf_measure_sum *sum) {
  memset(sum, 0, sim->measures.n * sizeof *sum);
  for (size_t i = 0; i < sim->n_fresh; i++)
    add(sim, sum, sim->fresh[i].sum[XF_PART_TEST][XF_SILO_FEDERATED]);
}

static enum xf_rc put_final(struct sim *sim, struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  for (size_t i = 0; i < sim->n_client && !rc; i++)
    for (int a = 0; a < XF_SILO_N_ARM && !rc; a++) {
      char scope[XF_PLAN_CLIENT_ID + 8];
      const struct sim_client *c = &sim->client[i];
      if (!c->arm_run[a]) continue;
      (void)snprintf(scope, sizeof scope, "domain:%s", sim_label(sim, c));
      const char *arm = xf_silo_arm_name((enum xf_silo_arm)a);
      for (int p = xf_silo_first_part(c->silo); p <= XF_PART_TEST && !rc; p++)
        rc = put_line(sim, sim->rounds, scope, arm, xf_silo_part_name((enum xf_part)p),
                      c->sum[p][a], diag);
    }
  if (!rc && sim->n_fresh) {
    struct xf_measure_sum sum[XF_RESOLVE_MEASURES];
    fresh_sums(sim, sum);
    rc = put_line(sim, sim->rounds, "fresh", "federated", "test", sum, diag);
  }
  return rc;
}

/* The largest over silos (decision 11); xf_plan_claim says what it is about. */
static double max_epsilon(const struct sim *sim, double *zero_out) {
  double most = 0;
  *zero_out = 0;
  for (size_t i = 0; i < sim->n_client; i++) {
    struct xf_odometer_report r;
    if (!sim->client[i].spent.charges || sim->client[i].spent.bare) continue;
    if (xf_odometer_get(&r, &sim->client[i].spent, sim->plan.privacy.delta)) continue;
    if (r.replace_one.value <= most) continue;
    most = r.replace_one.value;
    *zero_out = r.zero_out.value;
  }
  return most;
}

static void json_arm(struct xf_jsonw *w, const struct sim *sim, const struct sim_client *c, int a,
                     enum xf_part part) {
  char scope[XF_PLAN_CLIENT_ID + 8];
  (void)snprintf(scope, sizeof scope, "%s:%s", is_fresh(sim, c) ? "fresh" : "domain",
                 sim_label(sim, c));
  xf_jsonw_object(w);
  xf_jsonw_kstr(w, "scope", scope);
  xf_jsonw_kstr(w, "arm", xf_silo_arm_name((enum xf_silo_arm)a));
  xf_jsonw_kstr(w, "split", xf_silo_part_name(part));
  xf_jsonw_kbool(w, "served", c->served == (enum xf_silo_arm)a);
  for (size_t m = 0; m < sim->measures.n; m++)
    xf_jsonw_kdouble(w, sim->measures.key[m],
                     xf_measure_value(sim->measures.measure[m].kind, c->sum[part][a][m]));
  xf_jsonw_object_end(w);
}

static void json_metrics(struct xf_jsonw *w, const struct sim *sim) {
  xf_jsonw_key(w, "metrics");
  xf_jsonw_array(w);
  for (size_t i = 0; i < sim->n_client + sim->n_fresh; i++)
    for (int a = 0; a < XF_SILO_N_ARM; a++) {
      const struct sim_client *c = sim_client_at(sim, i);
      if (!c->arm_run[a]) continue;
      if (sim->plan.eval.train && !is_fresh(sim, c)) json_arm(w, sim, c, a, XF_PART_TRAIN);
      json_arm(w, sim, c, a, XF_PART_TEST);
    }
  xf_jsonw_array_end(w);
}

/* One object for --json and summary.json. */
static enum xf_rc json_summary(struct xf_buf *out, const struct sim *sim, double wall_s,
                               struct xf_diag *diag) {
  struct xf_jsonw w;
  struct xf_digest d;
  char hex[XF_DIGEST_HEX];
  double zero_out = 0;
  const double epsilon = max_epsilon(sim, &zero_out);
  struct rusage usage = {0};
  (void)getrusage(RUSAGE_SELF, &usage);
  sim_model_digest(&d, sim, sim->x);
  xf_jsonw_init(&w, out);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  xf_jsonw_kstr(&w, "status", "done");
  xf_jsonw_kstr(&w, "name", sim->plan.name);
  xf_jsonw_kuint(&w, "seed", sim->plan.seed);
  xf_jsonw_kuint(&w, "rounds", sim->rounds);
  xf_jsonw_kuint(&w, "abandoned", sim->abandoned);
  put_time(sim, &w);
  if (sim->stopped[0]) xf_jsonw_kstr(&w, "stopped", sim->stopped);
  xf_jsonw_kdouble(&w, "wall_s", wall_s);
  xf_jsonw_kuint(&w, "threads", sim->threads);
  json_metrics(&w, sim);
  sim_spread(sim, &w);
  enum xf_rc rc = sim_verdict(sim, &w, diag);
  if (rc) return rc;
  xf_jsonw_kuint(&w, "bytes_up", sim->bytes_up);
  xf_jsonw_kuint(&w, "bytes_down", sim->bytes_down);
  xf_jsonw_kuint(&w, "peak_rss_bytes", (uint64_t)usage.ru_maxrss * 1024);
  if (sim->plan.privacy.noise_multiplier > 0) {
    xf_jsonw_kdouble(&w, "epsilon", epsilon);
    xf_jsonw_kdouble(&w, "epsilon_zero_out", zero_out);
    xf_jsonw_kdouble(&w, "delta", sim->plan.privacy.delta);
    xf_jsonw_kstr(&w, "stamp", "NOT PRIVATE: seeded");
  }
  xf_jsonw_kstr(&w, "blas", sim->blas.config);
  xf_jsonw_kstr(&w, "isa", sim->blas.isa);
  xf_jsonw_kstr(&w, "model_blake2b", xf_digest_print(hex, &d));
  xf_jsonw_object_end(&w);
  return xf_jsonw_finish(&w);
}

/* The column of an arm that no silo can have is left out. */
static bool column(const struct sim *sim, int arm) {
  if (arm == XF_SILO_PERSONAL)
    return sim->n_client && xf_silo_has_arm(sim->client[0].silo, XF_SILO_PERSONAL);
  return arm != XF_SILO_GUARDED || xf_resolve_recommends(&sim->plan);
}

/* Figures of the test part have the measure's name, those of the train part say so. */
static void table_line(const struct sim *sim, const struct sim_client *c, size_t m,
                       enum xf_part part) {
  const enum xf_measure_kind kind = sim->measures.measure[m].kind;
  const bool first = m == 0 && part == XF_PART_TEST;
  char name[XF_MEASURE_KEY + 8];
  (void)snprintf(name, sizeof name, "%s%s", sim->measures.key[m],
                 part == XF_PART_TRAIN ? ", train" : "");
  printf("%-26s %-16s", first ? sim_label(sim, c) : "", name);
  for (int a = 0; a < XF_SILO_N_ARM; a++) {
    if (!column(sim, a)) continue;
    const double v = xf_measure_value(kind, c->sum[part][a][m]);
    if (c->arm_run[a] && isfinite(v)) printf(" %10.4f", v);
    else printf(" %10s", "-");
  }
  printf(" %10.4f%s%s\n", xf_measure_value(kind, c->sum[part][c->served][m]), first ? "  " : "",
         first ? xf_silo_arm_name(c->served) : "");
}

/* What each silo decided, in its own words. */
static enum xf_rc decisions(const struct sim *sim) {
  enum xf_rc rc = XF_OK;
  for (size_t i = 0; i < sim->n_client && !rc; i++) {
    struct xf_buf text;
    xf_buf_init(&text, JSON_MAX);
    rc = xf_silo_explain(sim->client[i].silo, &text);
    if (!rc && text.len) printf("\n%s\n%s", sim_label(sim, &sim->client[i]), xf_buf_cstr(&text));
    xf_buf_deinit(&text);
  }
  return rc;
}

static void table(const struct sim *sim, double wall_s) {
  struct xf_digest d;
  char hex[XF_DIGEST_HEX];
  double zero_out = 0;
  const double epsilon = max_epsilon(sim, &zero_out);
  printf("%-26s %-16s", "domain", "test");
  for (int a = 0; a < XF_SILO_N_ARM; a++)
    if (column(sim, a)) printf(" %10s", xf_silo_arm_name((enum xf_silo_arm)a));
  printf(" %10s\n", "served");
  for (size_t i = 0; i < sim->n_client; i++)
    for (size_t m = 0; m < sim->measures.n; m++) {
      table_line(sim, &sim->client[i], m, XF_PART_TEST);
      if (sim->plan.eval.train) table_line(sim, &sim->client[i], m, XF_PART_TRAIN);
    }
  if (sim->n_fresh) {
    struct xf_measure_sum sum[XF_RESOLVE_MEASURES];
    fresh_sums(sim, sum);
    printf("%zu fresh clients, federated:", sim->n_fresh);
    for (size_t m = 0; m < sim->measures.n; m++)
      printf(" %s %.4f", sim->measures.key[m],
             xf_measure_value(sim->measures.measure[m].kind, sum[m]));
    printf("\n");
  }
  printf("%llu rounds, %llu abandoned, %.2f s, up %llu bytes, down %llu bytes\n",
         (unsigned long long)sim->rounds, (unsigned long long)sim->abandoned, wall_s,
         (unsigned long long)sim->bytes_up, (unsigned long long)sim->bytes_down);
  if (sim->stopped[0]) {
    printf("%s\n", sim->stopped);
    for (uint32_t i = 0; i < sim->plan.n_arms; i++)
      if (sim->plan.arms[i] == XF_PLAN_ARM_ALONE)
        printf("the arm alone trained for all %u of fed.rounds\n", sim->plan.stages[0].fed.rounds);
  }
  if (sim->plan.privacy.noise_multiplier > 0)
    printf("epsilon %.4g replace-one, %.4g %s at delta %g: %s\nNOT PRIVATE: seeded noise\n",
           epsilon, zero_out,
           sim->plan.privacy.unit != XF_PLAN_UNIT_SILO ? "add-or-remove" : "zero-out",
           sim->plan.privacy.delta, xf_plan_claim(&sim->plan));
  sim_model_digest(&d, sim, sim->x);
  printf("model_blake2b %s\n", xf_digest_print(hex, &d));
}

static enum xf_rc save_model(struct sim *sim, struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  struct xf_checkpoint_keys keys[XF_SPACES_MAX] = {{0}};
  for (uint32_t k = 0; k < sim->spaces.n; k++)
    keys[k] = (struct xf_checkpoint_keys){sim->spaces.at[k].ns, sim->directory[k].all.key,
                                          sim->directory[k].all.n};
  const struct xf_checkpoint_src src = {
      .layout = sim->global.layout, .global = sim->x, .keys = keys, .n_keys = sim->spaces.n};
  struct xf_checkpoint_info info = {
      .run = "sim", .round = sim->rounds, .plan = sim->plan_digest, .layout = sim->layout_digest};
  struct xf_checkpoint_saved saved;
  enum xf_rc rc = xf_rundir_path(&sim->run, path, "model.safetensors");
  return rc ? rc : xf_checkpoint_save(sim->run.fs, path, &info, &src, &saved, diag);
}

enum xf_rc sim_report(struct sim *sim, bool json, struct xf_time from, struct xf_diag *diag) {
  struct xf_buf out;
  xf_buf_init(&out, JSON_MAX);
  enum xf_rc rc = make_arms(sim, diag);
  if (!rc) rc = put_final(sim, diag);
  const double wall_s = xf_time_diff_s(xf_time_now(), from);
  if (!rc) rc = json_summary(&out, sim, wall_s, diag);
  if (!rc && json) printf("%s\n", xf_buf_cstr(&out));
  else if (!rc) {
    table(sim, wall_s);
    rc = sim_verdict(sim, NULL, diag);
    if (!rc) rc = decisions(sim);
  }
  if (!rc && sim->run.open) {
    char path[XF_PATH_MAX];
    rc = xf_rundir_path(&sim->run, path, "summary.json");
    if (!rc) rc = xf_buf_put_str(&out, "\n");
    if (!rc) rc = xf_fs_replace(sim->run.fs, path, out.p, out.len, diag);
    if (!rc) rc = save_model(sim, diag);
    if (!rc) rc = xf_rundir_sync(&sim->run, diag);
  }
  xf_buf_deinit(&out);
  if (!rc && fflush(stdout) != 0)
    rc = xf_diag_set(diag, XF_E_IO, "standard output cannot be written");
  return rc;
}
