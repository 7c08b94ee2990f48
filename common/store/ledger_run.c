/* The run, its members, manifests and directories. */
#include "base/str.h"
#include "store/ledger_impl.h"

#include <string.h>

/* A former run ends here: its open round, if any, can never be finished. */
static enum xf_rc replace_run(struct xf_ledger *l, struct xf_diag *diag) {
  enum xf_rc rc =
      xf_sql_run(&l->sql, diag,
                 "UPDATE round SET state='abandoned', reason='run replaced',"
                 " ended_us=?2 WHERE run=?1 AND state IN ('open','closing','committing')",
                 XF_SQL_ARGS(A_T(l->run), A_I(l->now_us)));
  if (!rc)
    rc = xf_sql_run(&l->sql, diag,
                    "UPDATE run SET state='replaced', ended_us=coalesce(ended_us,?2)"
                    " WHERE run=?1 AND state<>'done'",
                    XF_SQL_ARGS(A_T(l->run), A_I(l->now_us)));
  return rc ? rc : xf_ledger_event_add(l, "run_replaced", 0, "", diag);
}

static enum xf_rc run_create(struct xf_ledger *l, const struct xf_ledger_run *run,
                             const void *plan_bytes, size_t plan_len, struct xf_diag *diag) {
  int64_t n = 0, epoch = 0;
  enum xf_rc rc = xf_sql_one_i64(&l->sql, &n, NULL, diag, "SELECT count(*) FROM run WHERE run=?1",
                                 XF_SQL_ARGS(A_T(run->run)));
  if (!rc && n)
    rc = xf_diag_set(diag, XF_E_EXISTS, "ledger \"%s\" has a run \"%s\" already", l->sql.path,
                     run->run);
  if (!rc)
    rc = xf_sql_one_i64(&l->sql, &epoch, NULL, diag, "SELECT coalesce(max(epoch),0) FROM run",
                        XF_SQL_ARGS());
  if (!rc) {
    rc = xf_ledger_need_run(l, NULL);
    rc = rc == XF_E_NOTFOUND ? XF_OK : rc ? rc : replace_run(l, diag);
  }
  if (!rc)
    rc = xf_sql_run(&l->sql, diag,
                    "INSERT INTO run(run, federation, name, plan_digest, layout_digest, plan, seed,"
                    " state, reason, epoch, software, created_us)"
                    " VALUES(?1,?2,?3,?4,?5,?6,?7,'running','',?8,'',?9)",
                    XF_SQL_ARGS(A_T(run->run), A_T(run->federation), A_T(run->name),
                                A_D(&run->plan), A_D(&run->layout), A_B(plan_bytes, plan_len),
                                A_I(run->seed), A_I(epoch), A_I(l->now_us)));
  if (!rc) rc = xf_ledger_need_run(l, diag);
  if (rc) return rc;
  xf_jsonw_kstr(&l->w, "name", run->name);
  xf_jsonw_kstr(&l->w, "federation", run->federation);
  xf_ledger_body_digest(l, "plan_digest", &run->plan);
  xf_ledger_body_digest(l, "layout_digest", &run->layout);
  return xf_ledger_event_add(l, "run_created", 0, "", diag);
}

enum xf_rc xf_ledger_run_create(struct xf_ledger *l, const struct xf_ledger_run *run,
                                const void *plan_bytes, size_t plan_len, struct xf_diag *diag) {
  enum xf_rc rc = xf_ledger_enter(l, false, diag);
  if (rc) return rc;
  if (!xf_str_is_id(run->run))
    rc = xf_diag_set(diag, XF_E_INVAL, "run id \"%.64s\": use 1 to 63 of a-z 0-9 -", run->run);
  else rc = run_create(l, run, plan_bytes, plan_len, diag);
  return xf_ledger_leave(l, rc, diag);
}

static enum xf_rc run_open(struct xf_ledger *l, const struct xf_digest *plan, const char *software,
                           uint64_t *epoch, struct xf_diag *diag) {
  struct xf_sql_rows rows;
  struct xf_digest have = {0};
  bool more = false;
  char a[XF_DIGEST_HEX], b[XF_DIGEST_HEX];
  enum xf_rc rc =
      xf_sql_query(&l->sql, &rows, diag, "SELECT plan_digest, epoch FROM run WHERE run=?1",
                   XF_SQL_ARGS(A_T(l->run)));
  if (!rc) rc = xf_sql_next(&l->sql, &rows, &more, diag);
  if (!rc && more) {
    xf_sql_get_digest(&rows, 0, &have);
    *epoch = xf_sql_u64(&rows, 1) + 1;
  }
  xf_sql_end(&rows);
  if (rc) return rc;
  if (!xf_digest_equal(&have, plan))
    return xf_diag_set(diag, XF_E_CONFLICT,
                       "run \"%s\" was made with plan %.12s..., the configured plan is %.12s...: "
                       "restore that plan, or start a new run with --new-run",
                       l->run, xf_digest_print(a, &have), xf_digest_print(b, plan));
  /* A drain ends with the process that drained. */
  rc = xf_sql_run(&l->sql, diag,
                  "UPDATE run SET epoch=?2, software=?3,"
                  " state=CASE state WHEN 'draining' THEN 'running' ELSE state END WHERE run=?1",
                  XF_SQL_ARGS(A_T(l->run), A_I(*epoch), A_T(software)));
  if (rc) return rc;
  xf_jsonw_kuint(&l->w, "epoch", *epoch);
  xf_jsonw_kstr(&l->w, "software", software);
  return xf_ledger_event_add(l, "started", 0, "", diag);
}

enum xf_rc xf_ledger_run_open(struct xf_ledger *l, const struct xf_digest *plan,
                              const char *software, uint64_t *epoch, struct xf_diag *diag) {
  enum xf_rc rc = xf_ledger_enter(l, true, diag);
  return rc ? rc : xf_ledger_leave(l, run_open(l, plan, software, epoch, diag), diag);
}

static enum xf_rc run_set(struct xf_ledger *l, enum xf_ledger_run_state state, const char *reason,
                          struct xf_diag *diag) {
  const char *name = xf_ledger_run_state_name(state);
  int64_t open = 0;
  if (state == XF_LEDGER_RUN_REPLACED || l->run_state == XF_LEDGER_RUN_DONE ||
      l->run_state == XF_LEDGER_RUN_REPLACED)
    return xf_diag_set(diag, XF_E_STATE, "run \"%s\" is %s and cannot become %s", l->run,
                       xf_ledger_run_state_name(l->run_state), name);
  enum xf_rc rc = XF_OK;
  if (state == XF_LEDGER_RUN_DONE)
    rc = xf_sql_one_i64(&l->sql, &open, NULL, diag,
                        "SELECT count(*) FROM round WHERE run=?1"
                        " AND state IN ('open','closing','committing')",
                        XF_SQL_ARGS(A_T(l->run)));
  if (!rc && open)
    rc = xf_diag_set(diag, XF_E_STATE, "run \"%s\" cannot end while a round is open", l->run);
  if (!rc)
    rc = xf_sql_run(&l->sql, diag,
                    "UPDATE run SET state=?2, reason=?3,"
                    " ended_us=CASE ?2 WHEN 'done' THEN ?4 ELSE NULL END WHERE run=?1",
                    XF_SQL_ARGS(A_T(l->run), A_T(name), A_T(reason), A_I(l->now_us)));
  if (rc) return rc;
  xf_jsonw_kstr(&l->w, "state", name);
  xf_jsonw_kstr(&l->w, "reason", reason);
  return xf_ledger_event_add(l, "run_state", 0, "", diag);
}

enum xf_rc xf_ledger_run_set(struct xf_ledger *l, enum xf_ledger_run_state state,
                             const char *reason, struct xf_diag *diag) {
  enum xf_rc rc = xf_ledger_enter(l, true, diag);
  return rc ? rc : xf_ledger_leave(l, run_set(l, state, reason, diag), diag);
}

static enum xf_rc member_put(struct xf_ledger *l, const char *member, const char *domain,
                             uint64_t max_weight, struct xf_diag *diag) {
  int64_t same = 0;
  if (!xf_str_is_id(member))
    return xf_diag_set(diag, XF_E_INVAL, "member id \"%.64s\": use 1 to 63 of a-z 0-9 -", member);
  enum xf_rc rc = xf_ledger_fits(max_weight, "max_weight", diag);
  if (!rc)
    rc = xf_sql_one_i64(&l->sql, &same, NULL, diag,
                        "SELECT count(*) FROM member"
                        " WHERE run=?1 AND member=?2 AND domain=?3 AND max_weight=?4",
                        XF_SQL_ARGS(A_T(l->run), A_T(member), A_T(domain), A_I(max_weight)));
  if (rc || same) return rc;
  rc = xf_sql_run(
      &l->sql, diag,
      "INSERT INTO member(run, member, domain, max_weight, listed_us)"
      " VALUES(?1,?2,?3,?4,?5) ON CONFLICT DO UPDATE"
      " SET domain=excluded.domain, max_weight=excluded.max_weight",
      XF_SQL_ARGS(A_T(l->run), A_T(member), A_T(domain), A_I(max_weight), A_I(l->now_us)));
  if (rc) return rc;
  xf_jsonw_kstr(&l->w, "domain", domain);
  xf_jsonw_kuint(&l->w, "max_weight", max_weight);
  return xf_ledger_event_add(l, "member_listed", 0, member, diag);
}

enum xf_rc xf_ledger_member_put(struct xf_ledger *l, const char *member, const char *domain,
                                uint64_t max_weight, struct xf_diag *diag) {
  enum xf_rc rc = xf_ledger_enter(l, true, diag);
  return rc ? rc : xf_ledger_leave(l, member_put(l, member, domain, max_weight, diag), diag);
}

enum xf_rc xf_ledger_member_seen(struct xf_ledger *l, const char *member, bool joined,
                                 int64_t at_us, const char *reason, struct xf_diag *diag) {
  enum xf_rc rc = xf_ledger_enter(l, true, diag);
  if (rc) return rc;
  rc = xf_sql_run(&l->sql, diag,
                  "UPDATE member SET last_seen_us=?3, first_seen_us=coalesce(first_seen_us,?3)"
                  " WHERE run=?1 AND member=?2",
                  XF_SQL_ARGS(A_T(l->run), A_T(member), A_I(at_us)));
  if (!rc && xf_sql_changes(&l->sql) != 1)
    rc =
        xf_diag_set(diag, XF_E_NOTFOUND, "\"%.64s\" is not a member of run \"%s\"", member, l->run);
  if (!rc) {
    if (reason && reason[0]) xf_jsonw_kstr(&l->w, "reason", reason);
    rc = xf_ledger_event_add(l, joined ? "member_joined" : "member_left", 0, member, diag);
  }
  return xf_ledger_leave(l, rc, diag);
}

/* The stored digest of (table, ns[, member]); `found` says whether there is one. */
static enum xf_rc stored_digest(struct xf_ledger *l, const char *query,
                                const struct xf_sql_arg *arg, struct xf_digest *out, bool *found,
                                struct xf_diag *diag) {
  struct xf_sql_rows rows;
  enum xf_rc rc = xf_sql_query(&l->sql, &rows, diag, query, arg);
  *found = false;
  if (!rc) rc = xf_sql_next(&l->sql, &rows, found, diag);
  if (!rc && *found) xf_sql_get_digest(&rows, 0, out);
  xf_sql_end(&rows);
  return rc;
}

static enum xf_rc manifest_put(struct xf_ledger *l, const char *member, const char *ns,
                               const void *keys, size_t n, const struct xf_digest *digest,
                               struct xf_diag *diag) {
  struct xf_digest have;
  bool found = false, frozen = false;
  enum xf_rc rc =
      stored_digest(l, "SELECT digest FROM manifest WHERE run=?1 AND ns=?2 AND member=?3",
                    XF_SQL_ARGS(A_T(l->run), A_T(ns), A_T(member)), &have, &found, diag);
  if (rc) return rc;
  if (found && xf_digest_equal(&have, digest)) return XF_OK;
  if (found)
    return xf_diag_set(diag, XF_E_CONFLICT,
                       "member \"%s\" gave other keys for namespace \"%s\" before: keys are fixed "
                       "for a run",
                       member, ns);
  rc = stored_digest(l, "SELECT digest FROM directory WHERE run=?1 AND ns=?2",
                     XF_SQL_ARGS(A_T(l->run), A_T(ns)), &have, &frozen, diag);
  if (!rc && frozen)
    rc = xf_diag_set(diag, XF_E_STATE,
                     "namespace \"%s\" is frozen: member \"%s\" takes part without its rows", ns,
                     member);
  if (!rc)
    rc = xf_sql_run(&l->sql, diag,
                    "INSERT INTO manifest(run, ns, member, n, digest, keys, stored_us)"
                    " VALUES(?1,?2,?3,?4,?5,?6,?7)",
                    XF_SQL_ARGS(A_T(l->run), A_T(ns), A_T(member), A_I(n), A_D(digest),
                                A_B(keys, n * 16), A_I(l->now_us)));
  if (rc) return rc;
  xf_jsonw_kstr(&l->w, "ns", ns);
  xf_jsonw_kuint(&l->w, "keys", n);
  xf_ledger_body_digest(l, "digest", digest);
  return xf_ledger_event_add(l, "manifest", 0, member, diag);
}

enum xf_rc xf_ledger_manifest_put(struct xf_ledger *l, const char *member, const char *ns,
                                  const void *keys, size_t n, const struct xf_digest *digest,
                                  struct xf_diag *diag) {
  enum xf_rc rc = xf_ledger_enter(l, true, diag);
  return rc ? rc : xf_ledger_leave(l, manifest_put(l, member, ns, keys, n, digest, diag), diag);
}

static enum xf_rc directory_freeze(struct xf_ledger *l, const char *ns,
                                   const struct xf_digest *digest, uint64_t n,
                                   struct xf_diag *diag) {
  struct xf_digest have;
  bool found = false;
  enum xf_rc rc = stored_digest(l, "SELECT digest FROM directory WHERE run=?1 AND ns=?2",
                                XF_SQL_ARGS(A_T(l->run), A_T(ns)), &have, &found, diag);
  if (rc || (found && xf_digest_equal(&have, digest))) return rc;
  if (found)
    return xf_diag_set(diag, XF_E_CONFLICT, "namespace \"%s\" is frozen with another key list", ns);
  rc = xf_sql_run(&l->sql, diag,
                  "INSERT INTO directory(run, ns, n, digest, frozen_us) VALUES(?1,?2,?3,?4,?5)",
                  XF_SQL_ARGS(A_T(l->run), A_T(ns), A_I(n), A_D(digest), A_I(l->now_us)));
  if (rc) return rc;
  xf_jsonw_kstr(&l->w, "ns", ns);
  xf_jsonw_kuint(&l->w, "keys", n);
  xf_ledger_body_digest(l, "digest", digest);
  return xf_ledger_event_add(l, "directory_frozen", 0, "", diag);
}

enum xf_rc xf_ledger_directory_freeze(struct xf_ledger *l, const char *ns,
                                      const struct xf_digest *digest, uint64_t n,
                                      struct xf_diag *diag) {
  enum xf_rc rc = xf_ledger_enter(l, true, diag);
  return rc ? rc : xf_ledger_leave(l, directory_freeze(l, ns, digest, n, diag), diag);
}
