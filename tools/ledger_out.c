/* The ledger's rows as JSON. */
#include "tools/ledger_out.h"

#include "base/alloc.h"
#include "base/time.h"
#include "plan/plan.h"
#include "store/ledger_json.h"
#include "store/state.h"
#include "json/json.h"

#include <math.h>
#include <string.h>

enum { PLAN_MAX = 16 << 20, DRIFT_MAX = 4096 };

enum xf_rc xf_tool_ledger_open(struct xf_ledger **out, const char *state_dir,
                               struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  enum xf_rc rc = xf_fs_join(path, state_dir, XF_STATE_LEDGER);
  if (rc)
    return xf_diag_set(diag, rc, "path longer than %d bytes: \"%.64s...\"", XF_PATH_MAX, state_dir);
  rc = xf_ledger_open(out, path, XF_LEDGER_READ, NULL, diag);
  /* A ledger of a newer crossfed is state that this one cannot use, not a protocol to negotiate. */
  return rc == XF_E_VERSION ? xf_diag_prefix(diag, XF_E_CORRUPT, "\"%s\"", state_dir) : rc;
}

/* --- status --------------------------------------------------------------------------------------------------- */

struct members {
  struct xf_jsonw *w;
  int64_t now_us;
  double epsilon_max;
};

static enum xf_rc on_member(void *arg, const struct xf_ledger_member *m) {
  struct members *s = arg;
  struct xf_jsonw *w = s->w;
  if (m->epsilon > s->epsilon_max) s->epsilon_max = m->epsilon;
  xf_jsonw_object(w);
  xf_jsonw_kstr(w, "client", m->member);
  xf_jsonw_kstr(w, "domain", m->domain);
  xf_jsonw_key(w, "last_seen_s");
  if (m->last_seen_us) xf_jsonw_double(w, (double)(s->now_us - m->last_seen_us) / 1e6);
  else xf_jsonw_null(w);
  xf_jsonw_kuint(w, "max_weight", m->max_weight);
  xf_jsonw_kuint(w, "tasks", m->tasks);
  xf_jsonw_kuint(w, "updates", m->accepted);
  xf_jsonw_kuint(w, "committed", m->committed);
  xf_jsonw_kuint(w, "refused", m->refused);
  xf_jsonw_kuint(w, "noised", m->noised);
  xf_jsonw_kdouble(w, "epsilon", m->epsilon);
  xf_jsonw_kdouble(w, "epsilon_zero_out", m->epsilon_zero_out);
  xf_jsonw_object_end(w);
  return XF_OK;
}

/* Commits that the stored plan wants; 0 when a plan of another version cannot be read, which status survives. */
static uint64_t planned_rounds(struct xf_ledger *l) {
  struct xf_plan *plan = xf_calloc(1, sizeof *plan);
  struct xf_buf bytes;
  uint64_t n = 0;
  xf_buf_init(&bytes, PLAN_MAX);
  if (xf_ledger_plan(l, &bytes, NULL) == XF_OK &&
      xf_plan_decode(plan, bytes.p, bytes.len, NULL) == XF_OK)
    for (uint32_t i = 0; i < plan->n_stages; i++) n += plan->stages[i].fed.rounds;
  xf_buf_deinit(&bytes);
  xf_free(plan);
  return n;
}

static enum xf_rc on_open_round(void *arg, const struct xf_ledger_round *r) {
  struct xf_jsonw *w = arg;
  xf_jsonw_kstr(w, "round_state", xf_ledger_round_state_name(r->state));
  xf_jsonw_kstr(w, "kind", xf_ledger_kind_name(r->kind));
  xf_jsonw_kuint(w, "selected", r->cohort);
  xf_jsonw_kuint(w, "answered", r->accepted);
  return XF_OK;
}

/* "drift" of the newest committed round that has one, kept as its text. */
static enum xf_rc on_drift_round(void *arg, const struct xf_ledger_round *r) {
  struct xf_buf *out = arg;
  struct xf_json *doc = NULL;
  const struct xf_json_limits wide = {.max_len = 64 << 20, .max_depth = 8};
  if (r->state != XF_LEDGER_ROUND_COMMITTED || !strstr(r->metrics, "\"drift\"") ||
      xf_json_parse(&doc, "ledger metrics", r->metrics, strlen(r->metrics), &wide, NULL))
    return XF_OK;
  const struct xf_json_value *drift = xf_json_find(xf_json_root(doc), "drift");
  enum xf_rc rc = XF_OK;
  if (xf_json_kind_of(drift) > XF_JSON_NULL) {
    static const char *const key[] = {"norm_min", "norm_median", "norm_max", "norm_mean", "ratio"};
    struct xf_jsonw w;
    uint64_t round = r->round;
    (void)xf_json_uint(xf_json_find(drift, "round"), &round);
    xf_buf_reset(out);
    xf_jsonw_init(&w, out);
    xf_jsonw_object(&w);
    xf_jsonw_kuint(&w, "round", round);
    for (size_t k = 0; k < sizeof key / sizeof key[0]; k++) {
      double x = NAN;
      if (!xf_json_double(xf_json_find(drift, key[k]), &x)) x = NAN;
      xf_jsonw_kdouble(&w, key[k], x);
    }
    xf_jsonw_object_end(&w);
    rc = xf_jsonw_finish(&w);
  }
  xf_json_free(doc);
  return rc;
}

static enum xf_rc put_drift(struct xf_jsonw *w, struct xf_ledger *l, struct xf_diag *diag) {
  struct xf_buf text;
  xf_buf_init(&text, DRIFT_MAX);
  const enum xf_rc rc = xf_ledger_rounds(l, 1, INT64_MAX, on_drift_round, &text, diag);
  xf_jsonw_key(w, "drift");
  if (text.len) xf_jsonw_raw(w, (const char *)text.p, text.len);
  else xf_jsonw_null(w);
  xf_buf_deinit(&text);
  return rc;
}

static enum xf_rc on_checkpoint(void *arg, const struct xf_ledger_checkpoint *c, bool pruned) {
  struct xf_digest *newest = arg;
  (void)pruned;
  *newest = c->model;
  return XF_OK;
}

enum xf_rc xf_tool_put_status(struct xf_jsonw *w, struct xf_ledger *l, struct xf_diag *diag) {
  struct xf_ledger_status s;
  struct xf_digest model = {{0}};
  struct members members = {.w = w, .now_us = xf_wall_now_us()};
  enum xf_rc rc = xf_ledger_status(l, &s, diag);
  if (!rc) rc = xf_ledger_checkpoints(l, on_checkpoint, &model, diag);
  if (rc) return rc;
  const uint64_t rounds = planned_rounds(l);
  xf_jsonw_kstr(w, "run", s.run.run);
  xf_jsonw_kstr(w, "federation", s.run.federation);
  xf_jsonw_kstr(w, "plan", s.run.name);
  xf_jsonw_kdigest(w, "plan_digest", &s.run.plan);
  xf_jsonw_kuint(w, "epoch", s.epoch);
  xf_jsonw_kstr(w, "state", xf_ledger_run_state_name(s.state));
  xf_jsonw_kuint(w, "round", s.rounds);
  if (s.rounds) rc = xf_ledger_rounds(l, s.rounds, s.rounds, on_open_round, w, diag);
  xf_jsonw_kuint(w, "committed", s.commits);
  xf_jsonw_key(w, "rounds");
  if (rounds) xf_jsonw_uint(w, rounds);
  else xf_jsonw_null(w);
  xf_jsonw_kuint(w, "evaluations", s.evaluations);
  xf_jsonw_kuint(w, "abandoned", s.abandoned);
  xf_jsonw_kbool(w, "paused", s.state == XF_LEDGER_RUN_PAUSED);
  xf_jsonw_kbool(w, "draining", s.state == XF_LEDGER_RUN_DRAINING);
  xf_jsonw_kbool(w, "done", s.state == XF_LEDGER_RUN_DONE);
  xf_jsonw_kstr(w, "reason", s.reason);
  xf_jsonw_key(w, "last_commit_s");
  if (s.last_commit) xf_jsonw_double(w, (double)(members.now_us - s.last_commit_us) / 1e6);
  else xf_jsonw_null(w);
  xf_jsonw_kdigest(w, "model_blake2b", &model);
  xf_jsonw_kuint(w, "accepted", s.accepted);
  xf_jsonw_kuint(w, "refused", s.refused);
  xf_jsonw_kuint(w, "bytes_up", s.bytes_up);
  xf_jsonw_kuint(w, "events", s.events);
  xf_jsonw_key(w, "members");
  xf_jsonw_array(w);
  if (!rc) rc = xf_ledger_members(l, on_member, &members, diag);
  xf_jsonw_array_end(w);
  if (!rc) rc = put_drift(w, l, diag);
  xf_jsonw_key(w, "privacy");
  xf_jsonw_object(w);
  xf_jsonw_kdouble(w, "epsilon_max", members.epsilon_max);
  xf_jsonw_kstr(w, "claim", xf_plan_claim(NULL));
  xf_jsonw_object_end(w);
  return rc;
}

/* --- rounds ---------------------------------------------------------------------------------------------------- */

struct rounds {
  struct xf_jsonw *w;
  bool metrics;
};

static enum xf_rc on_round(void *arg, const struct xf_ledger_round *r) {
  const struct rounds *p = arg;
  xf_ledger_json_round(p->w, r, p->metrics);
  return XF_OK;
}

enum xf_rc xf_tool_put_rounds(struct xf_jsonw *w, struct xf_ledger *l, uint64_t last, bool metrics,
                              struct xf_diag *diag) {
  struct xf_ledger_status s;
  struct rounds rounds = {.w = w, .metrics = metrics};
  enum xf_rc rc = xf_ledger_status(l, &s, diag);
  if (rc) return rc;
  xf_jsonw_key(w, "rounds");
  xf_jsonw_array(w);
  rc = xf_ledger_rounds(l, s.rounds > last ? s.rounds - last + 1 : 1, INT64_MAX, on_round, &rounds,
                        diag);
  xf_jsonw_array_end(w);
  return rc;
}
