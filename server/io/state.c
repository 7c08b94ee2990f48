/* Opening and closing the state directory. */
#include "server/io/state.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/str.h"
#include "crypto/random.h"
#include "crypto/sha256.h"
#include "plan/view.h"
#include "server/io/version.h"

#include <stdio.h>
#include <string.h>

enum { CANONICAL_MAX = 128 * 1024, PLAN_ERRORS_MAX = 16 * 1024 };

bool srv_state_async(const struct srv_state *st) { return xf_plan_is_async(&st->plan.stages[0]); }

uint32_t srv_state_member(const struct srv_state *st, const char *id) {
  uint32_t lo = 0, hi = st->n;
  while (lo < hi) {
    const uint32_t mid = lo + (hi - lo) / 2;
    const int order = strcmp(st->cfg->members[mid].id, id);
    if (order == 0) return mid;
    if (order < 0) lo = mid + 1;
    else hi = mid;
  }
  return UINT32_MAX;
}

enum xf_rc srv_state_path(const struct srv_state *st, char out[XF_PATH_MAX], const char *name,
                          struct xf_diag *diag) {
  enum xf_rc rc = xf_fs_join(out, st->cfg->state_dir, name);
  return rc ? xf_diag_set(diag, rc, "path too long: \"%.128s/%s\"", st->cfg->state_dir, name)
            : XF_OK;
}

static uint32_t count_domains(const struct srv_config *cfg) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < cfg->n_members; i++) {
    uint32_t j = 0;
    while (j < i && strcmp(cfg->members[i].domain, cfg->members[j].domain) != 0) j++;
    n += j == i;
  }
  return n;
}

static enum xf_rc plan_load(struct srv_state *st, struct xf_diag *diag) {
  enum xf_rc rc = xf_plan_load(&st->plan, st->cfg->plan, NULL, 0, NULL, diag);
  if (!rc) rc = xf_resolve_check(&st->plan, diag);
  if (!rc && st->plan.stages[0].fed.edge_rounds)
    rc =
        xf_diag_set(diag, XF_E_UNSUPPORTED,
                    "fed.edge_rounds: only crossfed sim averages by edges; leave it out, and every "
                    "round averages all domains");
  if (!rc) rc = xf_plan_check_members(&st->plan, st->cfg->n_members, count_domains(st->cfg), diag);
  if (!rc) rc = xf_resolve_measures(&st->measures, &st->plan, diag);
  if (!rc) {
    xf_buf_reset(&st->canonical);
    rc = xf_plan_encode(&st->canonical, &st->plan);
    if (rc) xf_diag_set(diag, rc, "the plan does not fit %d bytes", CANONICAL_MAX);
  }
  /* Whatever is wrong with a plan, it is the configuration that is wrong. */
  if (rc) return xf_diag_prefix(diag, XF_E_CONFIG, "plan %s", st->cfg->plan);
  xf_sha256(&st->plan_digest, st->canonical.p, st->canonical.len);
  return XF_OK;
}

enum xf_rc srv_state_init(struct srv_state *st, struct srv_config *cfg, struct xf_diag *diag) {
  *st = (struct srv_state){.cfg = cfg, .fs = xf_fs_posix(), .lock = {.fd = -1}};
  xf_buf_init(&st->canonical, CANONICAL_MAX);
  st->n = cfg->n_members;
  st->m = xf_calloc(st->n, sizeof *st->m);
  for (uint32_t i = 0; i < st->n; i++)
    for (int k = 0; k < XF_SPACES_MAX; k++)
      xf_buf_init(&st->m[i].keys[k].arriving, XF_MANIFEST_MAX * XF_KEY_LEN);
  enum xf_rc rc = plan_load(st, diag);
  if (rc) return rc;
  st->spaces = xf_resolve_spaces(&st->plan);
  struct xf_global any; /* the layout digest does not depend on the rows */
  rc = xf_global_init(&any, &st->plan, NULL, diag);
  if (rc) return xf_diag_prefix(diag, XF_E_CONFIG, "plan %s", st->cfg->plan);
  rc = xf_layout_digest(&st->layout_digest, any.layout);
  xf_global_deinit(&any);
  return rc ? xf_diag_set(diag, rc, "the layout has too many segments") : XF_OK;
}

/* A run made from another plan or by another federation is another run. */
static enum xf_rc same_run(const struct srv_state *st, const struct xf_ledger_status *s,
                           struct xf_diag *diag) {
  char a[XF_DIGEST_HEX], b[XF_DIGEST_HEX];
  if (strcmp(s->run.federation, st->cfg->federation) != 0)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "\"%s\" holds run \"%s\" of federation \"%s\", the config says \"%s\": use "
                       "another state_dir, or "
                       "--new-run",
                       st->cfg->state_dir, s->run.run, s->run.federation, st->cfg->federation);
  if (!xf_digest_equal(&s->run.plan, &st->plan_digest))
    return xf_diag_set(diag, XF_E_CONFIG,
                       "\"%s\" holds run \"%s\" of plan %.12s..., %s is plan %.12s...: restore "
                       "that plan, or start a "
                       "new run with --new-run",
                       st->cfg->state_dir, s->run.run, xf_digest_print(a, &s->run.plan),
                       st->cfg->plan, xf_digest_print(b, &st->plan_digest));
  if (!xf_digest_equal(&s->run.layout, &st->layout_digest))
    return xf_diag_set(diag, XF_E_VERSION,
                       "run \"%s\" was made by a release that laid the model out differently",
                       s->run.run);
  return XF_OK;
}

enum xf_rc srv_state_check(struct srv_state *st, struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  struct xf_ledger *l = NULL;
  struct xf_ledger_status status;
  if (!xf_fs_exists(st->fs, st->cfg->state_dir)) return XF_OK; /* made at the first start */
  enum xf_rc rc = xf_lock_check_fs(st->cfg->state_dir, diag);
  if (!rc) rc = srv_state_path(st, path, XF_STATE_LEDGER, diag);
  if (rc || !xf_fs_exists(st->fs, path)) return rc;
  rc = xf_ledger_open(&l, path, XF_LEDGER_READ, NULL, diag);
  if (rc == XF_E_VERSION) rc = XF_E_CORRUPT; /* as at a start: exit 7 */
  if (!rc) rc = xf_ledger_status(l, &status, diag);
  if (!rc) rc = same_run(st, &status, diag);
  xf_ledger_close(l);
  return rc == XF_E_NOTFOUND ? XF_OK : rc; /* no run yet */
}

static enum xf_rc run_create(struct srv_state *st, struct xf_diag *diag) {
  struct xf_ledger_run run = {
      .plan = st->plan_digest, .layout = st->layout_digest, .seed = st->plan.seed};
  (void)snprintf(run.run, sizeof run.run, "%.48s-%08llx", st->plan.name,
                 (unsigned long long)(xf_random_u64() >> 32));
  (void)snprintf(run.federation, sizeof run.federation, "%s", st->cfg->federation);
  (void)snprintf(run.name, sizeof run.name, "%s", st->plan.name);
  return xf_ledger_run_create(st->ledger, &run, st->canonical.p, st->canonical.len, diag);
}

static enum xf_rc run_open(struct srv_state *st, bool new_run, struct xf_diag *diag) {
  struct xf_ledger_status status;
  enum xf_rc rc = xf_ledger_begin(st->ledger, xf_wall_now_us(), diag);
  if (rc) return rc;
  rc = xf_ledger_status(st->ledger, &status, diag);
  if (rc == XF_E_NOTFOUND || (rc == XF_OK && new_run)) rc = run_create(st, diag);
  else if (!rc) rc = same_run(st, &status, diag);
  if (!rc) rc = xf_ledger_run_open(st->ledger, &st->plan_digest, SRV_SOFTWARE, &st->epoch, diag);
  for (uint32_t i = 0; i < st->n && !rc; i++) {
    const struct xf_coord_member *m = &st->cfg->members[i];
    rc = xf_ledger_member_put(st->ledger, m->id, m->domain, m->max_weight, diag);
  }
  if (!rc) rc = xf_ledger_status(st->ledger, &status, diag);
  if (!rc) rc = xf_ledger_commit(st->ledger, diag);
  if (rc) {
    xf_ledger_rollback(st->ledger);
    return rc;
  }
  memcpy(st->run_id, status.run.run, sizeof st->run_id);
  st->created_us = status.created_us;
  st->committed = status.commits;
  return XF_OK;
}

/* Model 0 of a plan without alignment, once. */
static enum xf_rc first_model(struct srv_state *st, struct xf_diag *diag) {
  enum xf_rc rc = xf_ledger_begin(st->ledger, xf_wall_now_us(), diag);
  if (rc) return rc;
  rc = srv_model_first(st, diag);
  if (!rc) rc = xf_ledger_commit(st->ledger, diag);
  if (rc) xf_ledger_rollback(st->ledger);
  return rc;
}

enum xf_rc srv_state_open(struct srv_state *st, bool new_run, struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  enum xf_rc rc = xf_lock_take(&st->lock, st->cfg->state_dir, diag);
  if (!rc) rc = xf_state_init_server(st->fs, st->cfg->state_dir, diag);
  if (!rc) rc = srv_state_path(st, path, XF_STATE_LEDGER, diag);
  if (!rc) {
    rc = xf_ledger_open(&st->ledger, path, XF_LEDGER_WRITE, NULL, diag);
    if (rc == XF_E_VERSION) rc = XF_E_CORRUPT; /* a database of a newer release: exit 7, not 6 */
  }
  if (!rc) rc = srv_state_path(st, path, XF_STATE_SPOOL, diag);
  if (!rc) rc = xf_spool_init(&st->spool, st->fs, path, diag);
  if (!rc) rc = run_open(st, new_run, diag);
  if (!rc) rc = srv_model_strays(st, diag);
  if (!rc) rc = srv_align_load(st, diag);
  if (!rc && st->frozen) rc = first_model(st, diag);
  if (!rc) rc = xf_rundir_open(&st->rundir, st->fs, st->cfg->state_dir, true, diag);
  if (!rc) rc = srv_metrics_replay(st, diag);
  return rc;
}

void srv_state_close(struct srv_state *st) {
  srv_next_drop(st);
  if (st->has_model) xf_checkpoint_close(&st->model);
  st->has_model = false;
  srv_model_close_past(st);
  if (st->has_global) xf_global_deinit(&st->global);
  st->has_global = false;
  for (int k = 0; k < XF_SPACES_MAX; k++) {
    xf_directory_deinit(&st->directory[k]);
    for (uint32_t i = 0; i < st->n; i++) {
      xf_manifest_deinit(&st->m[i].keys[k].manifest);
      xf_free(st->m[i].rows.row[k]);
      xf_free(st->m[i].keys[k].holders);
      xf_buf_deinit(&st->m[i].keys[k].arriving);
    }
  }
  xf_free(st->m);
  st->m = NULL;
  st->n = 0;
  xf_rundir_close(&st->rundir);
  xf_ledger_close(st->ledger);
  st->ledger = NULL;
  xf_buf_deinit(&st->canonical);
  xf_lock_give(&st->lock);
}
