/* Commands of the admin socket and their answers. */
#include "base/alloc.h"
#include "base/log.h"
#include "server/io/daemon.h"
#include "store/ledger_json.h"
#include "json/json.h"
#include "json/jsonw.h"

#include <string.h>

enum { ROUNDS_DEFAULT = 20, CHANGED_MAX = 4096 };

static void begin(struct xf_jsonw *w, struct xf_buf *out) {
  xf_buf_reset(out);
  xf_jsonw_init(w, out);
  xf_jsonw_object(w);
  xf_jsonw_kuint(w, "v", 1);
}

/* Closes the object and the line. */
static enum xf_rc end(struct xf_jsonw *w) {
  xf_jsonw_object_end(w);
  enum xf_rc rc = xf_jsonw_finish(w);
  return rc ? rc : xf_buf_put_u8(w->out, '\n');
}

static enum xf_rc say_error(struct xf_buf *out, enum xf_rc code, const char *text) {
  struct xf_jsonw w;
  begin(&w, out);
  xf_jsonw_kbool(&w, "ok", false);
  xf_jsonw_kstr(&w, "code", xf_rc_name(code));
  xf_jsonw_kstr(&w, "text", text);
  return end(&w);
}

static void put_member(struct xf_jsonw *w, const struct xf_coord_member_view *m, bool aligned) {
  xf_jsonw_object(w);
  xf_jsonw_kstr(w, "client", m->id);
  xf_jsonw_kstr(w, "domain", m->domain);
  xf_jsonw_kstr(w, "state", m->state);
  xf_jsonw_kbool(w, "selected", m->selected);
  xf_jsonw_kbool(w, "aligned", aligned);
  xf_jsonw_key(w, "last_seen_s");
  if (m->last_seen_s < 0) xf_jsonw_null(w);
  else xf_jsonw_double(w, m->last_seen_s);
  xf_jsonw_kuint(w, "done", m->done);
  xf_jsonw_kuint(w, "total", m->total);
  xf_jsonw_kuint(w, "updates", m->updates);
  xf_jsonw_kuint(w, "bytes_up", m->bytes_up);
  xf_jsonw_kdouble(w, "epsilon", m->epsilon);
  xf_jsonw_kdouble(w, "epsilon_zero_out", m->epsilon_zero_out);
  xf_jsonw_kdouble(w, "noise_multiplier", m->noise_multiplier);
  xf_jsonw_kdouble(w, "clip", m->clip);
  xf_jsonw_object_end(w);
}

/* What members declared so far, by the ledger: the core knows only what came since its start. */
struct declared {
  const struct srv *srv;
  double *epsilon, *zero_out;
};

static enum xf_rc on_declared(void *arg, const struct xf_ledger_member *m) {
  const struct declared *d = arg;
  const uint32_t i = srv_state_member(&d->srv->st, m->member);
  if (i == UINT32_MAX) return XF_OK; /* of an earlier list */
  d->epsilon[i] = m->epsilon;
  d->zero_out[i] = m->epsilon_zero_out;
  return XF_OK;
}

static void put_members(struct srv *srv, struct xf_jsonw *w) {
  double epsilon = 0;
  struct declared d = {srv, xf_calloc(srv->st.n, sizeof(double)),
                       xf_calloc(srv->st.n, sizeof(double))};
  struct xf_diag diag;
  xf_diag_init(&diag);
  const enum xf_rc rc = xf_ledger_members(srv->st.ledger, on_declared, &d, &diag);
  if (rc) xf_log(XF_LOG_WARN, "status_incomplete", XF_S("reason", xf_diag_text(&diag, rc)));
  xf_jsonw_key(w, "members");
  xf_jsonw_array(w);
  for (uint32_t i = 0; i < srv->st.n; i++) {
    struct xf_coord_member_view m;
    xf_coord_member_get(srv->coord, xf_time_now(), i, &m);
    if (d.epsilon[i] > m.epsilon) {
      m.epsilon = d.epsilon[i];
      m.epsilon_zero_out = d.zero_out[i];
    }
    if (m.epsilon > epsilon) epsilon = m.epsilon;
    put_member(w, &m, srv->st.m[i].aligned);
  }
  xf_jsonw_array_end(w);
  xf_free(d.epsilon);
  xf_free(d.zero_out);
  srv_drift_put(w, &srv->st.drift);
  xf_jsonw_key(w, "privacy");
  xf_jsonw_object(w);
  xf_jsonw_kdouble(w, "epsilon_max", epsilon);
  xf_jsonw_kstr(w, "claim", xf_plan_claim(&srv->st.plan));
  xf_jsonw_object_end(w);
}

static enum xf_rc say_status(struct srv *srv, struct xf_buf *out) {
  struct xf_coord_view v;
  struct xf_jsonw w;
  xf_coord_view_get(srv->coord, xf_time_now(), &v);
  begin(&w, out);
  xf_jsonw_kbool(&w, "ok", true);
  xf_jsonw_kstr(&w, "run", srv->st.run_id);
  xf_jsonw_kstr(&w, "federation", srv->cfg.federation);
  xf_jsonw_kstr(&w, "plan", srv->st.plan.name);
  xf_jsonw_kdigest(&w, "plan_digest", &srv->st.plan_digest);
  xf_jsonw_kuint(&w, "epoch", v.epoch);
  xf_jsonw_kstr(&w, "state", xf_round_state_name(v.state));
  xf_jsonw_kstr(&w, "kind", xf_task_kind_name(v.kind));
  xf_jsonw_kuint(&w, "round", v.round);
  xf_jsonw_kuint(&w, "committed", v.committed);
  xf_jsonw_kuint(&w, "rounds", v.rounds);
  xf_jsonw_kuint(&w, "selected", v.n_selected);
  xf_jsonw_kuint(&w, "answered", v.n_answered);
  xf_jsonw_kuint(&w, "quorum", v.quorum);
  xf_jsonw_kuint(&w, "connected", v.n_connected);
  xf_jsonw_kbool(&w, "paused", v.paused);
  xf_jsonw_kbool(&w, "draining", v.draining);
  xf_jsonw_kbool(&w, "done", v.done);
  xf_jsonw_kstr(&w, "reason", v.reason);
  xf_jsonw_kbool(&w, "directory_frozen", srv->st.frozen);
  uint64_t keys = 0;
  for (uint32_t k = 0; k < srv->st.spaces.n; k++) keys += srv->st.directory[k].all.n;
  xf_jsonw_kuint(&w, "directory_keys", keys);
  xf_jsonw_kdigest(&w, "model_blake2b", &v.model_digest);
  xf_jsonw_kuint(&w, "wal_bytes", xf_ledger_wal_bytes(srv->st.ledger));
  xf_jsonw_kuint(&w, "connections", srv->n_session);
  xf_jsonw_kuint(&w, "bytes_down", srv->bytes_down);
  put_members(srv, &w);
  return end(&w);
}

struct rounds {
  struct xf_jsonw *w;
  bool metrics;
};

static enum xf_rc put_round(void *arg, const struct xf_ledger_round *r) {
  const struct rounds *p = arg;
  xf_ledger_json_round(p->w, r, p->metrics);
  return XF_OK;
}

static enum xf_rc say_rounds(struct srv *srv, struct xf_buf *out,
                             const struct xf_json_value *request) {
  struct xf_ledger_status status;
  struct xf_diag diag;
  struct xf_jsonw w;
  struct rounds rounds = {.w = &w};
  uint64_t last = ROUNDS_DEFAULT;
  xf_diag_init(&diag);
  if (xf_json_find(request, "last") && !xf_json_uint(xf_json_find(request, "last"), &last))
    return say_error(out, XF_E_INVAL, "\"last\" must be a whole number");
  (void)xf_json_bool(xf_json_find(request, "metrics"), &rounds.metrics); /* absent: without */
  enum xf_rc rc = xf_ledger_status(srv->st.ledger, &status, &diag);
  begin(&w, out);
  xf_jsonw_kbool(&w, "ok", true);
  xf_jsonw_kstr(&w, "run", srv->st.run_id);
  xf_jsonw_key(&w, "rounds");
  xf_jsonw_array(&w);
  if (!rc)
    rc = xf_ledger_rounds(srv->st.ledger, status.rounds > last ? status.rounds - last + 1 : 1,
                          INT64_MAX, put_round, &rounds, &diag);
  xf_jsonw_array_end(&w);
  return rc ? say_error(out, rc, xf_diag_text(&diag, rc)) : end(&w);
}

static enum xf_rc command(struct srv *srv, struct xf_buf *out, enum xf_coord_command what,
                          bool when_done) {
  struct xf_coord_view v;
  struct xf_jsonw w;
  xf_coord_view_get(srv->coord, xf_time_now(), &v);
  if (v.state == XF_ROUND_DONE && !when_done) return say_error(out, XF_E_STATE, "the run is done");
  if (what == XF_COMMAND_DRAIN) srv->draining = true;
  srv_feed(srv, &(struct xf_coord_event){.type = XF_COORD_EV_COMMAND, .command = what});
  xf_coord_view_get(srv->coord, xf_time_now(), &v);
  begin(&w, out);
  xf_jsonw_kbool(&w, "ok", true);
  xf_jsonw_kbool(&w, "paused", v.paused);
  xf_jsonw_kbool(&w, "draining", v.draining);
  xf_jsonw_kstr(&w, "state", xf_round_state_name(v.state));
  return end(&w);
}

static enum xf_rc say_reload(struct srv *srv, struct xf_buf *out) {
  struct xf_buf changed;
  struct xf_diag diag;
  struct xf_jsonw w;
  xf_buf_init(&changed, CHANGED_MAX);
  xf_diag_init(&diag);
  enum xf_rc rc = srv_reload(srv, &changed, &diag);
  if (rc) {
    rc = say_error(out, rc, xf_diag_text(&diag, rc));
  } else {
    begin(&w, out);
    xf_jsonw_kbool(&w, "ok", true);
    xf_jsonw_kstr(&w, "changed", xf_buf_cstr(&changed));
    rc = end(&w);
  }
  xf_buf_deinit(&changed);
  return rc;
}

static enum xf_rc dispatch(struct srv *srv, struct xf_buf *out, const struct xf_json_value *request,
                           struct xf_diag *diag) {
  static const char *const keys[] = {"v", "cmd", "last", "metrics"};
  const char *cmd = "";
  enum xf_rc rc = xf_json_check_keys(request, keys, sizeof keys / sizeof keys[0], diag);
  if (!rc) rc = xf_json_get_str(request, "cmd", &cmd, diag);
  if (rc) return say_error(out, rc, xf_diag_text(diag, rc));
  if (strcmp(cmd, "status") == 0) return say_status(srv, out);
  if (strcmp(cmd, "rounds") == 0) return say_rounds(srv, out, request);
  if (strcmp(cmd, "pause") == 0) return command(srv, out, XF_COMMAND_PAUSE, false);
  if (strcmp(cmd, "resume") == 0) return command(srv, out, XF_COMMAND_RESUME, false);
  if (strcmp(cmd, "drain") == 0) return command(srv, out, XF_COMMAND_DRAIN, true);
  if (strcmp(cmd, "reload") == 0) return say_reload(srv, out);
  return say_error(out, XF_E_UNSUPPORTED, "commands: status, rounds, pause, resume, drain, reload");
}

void srv_admin_answer(struct srv *srv, struct xf_buf *out, const char *line, size_t len) {
  struct xf_json *json = NULL;
  struct xf_diag diag;
  xf_diag_init(&diag);
  enum xf_rc rc = xf_json_parse(&json, "request", line, len, NULL, &diag);
  rc = rc ? say_error(out, rc, xf_diag_text(&diag, rc))
          : dispatch(srv, out, xf_json_root(json), &diag);
  xf_json_free(json);
  if (rc) rc = say_error(out, rc, "the answer is too long; ask for fewer rounds");
  if (rc) xf_buf_reset(out); /* the connection is closed then */
}

void srv_status_log(struct srv *srv) {
  struct xf_coord_view v;
  xf_coord_view_get(srv->coord, xf_time_now(), &v);
  xf_log(XF_LOG_INFO, "state", XF_U("round", v.round), XF_S("state", xf_round_state_name(v.state)),
         XF_S("kind", xf_task_kind_name(v.kind)), XF_U("committed", v.committed),
         XF_U("rounds", v.rounds), XF_U("selected", v.n_selected), XF_U("answered", v.n_answered),
         XF_U("connected", v.n_connected), XF_U("quorum", v.quorum), XF_B("paused", v.paused),
         XF_B("draining", v.draining), XF_B("done", v.done), XF_U("connections", srv->n_session),
         XF_U("records_waiting", srv->n_record),
         XF_U("jobs", srv->pool ? xf_worker_outstanding(srv->pool) : 0), XF_S("reason", v.reason));
}
