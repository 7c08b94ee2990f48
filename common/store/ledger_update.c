/* What arrives for a round: updates accepted and refused, tasks declined. */
#include "crypto/blake2b.h"
#include "store/ledger_impl.h"

#include <math.h>
#include <string.h>

static enum xf_rc charge_check(const struct xf_charge *c, const char *member,
                               struct xf_diag *diag) {
  const double v[] = {c->clip, c->noise_multiplier, c->sensitivity, c->epsilon,
                      c->epsilon_zero_out};
  for (size_t i = 0; i < sizeof v / sizeof *v; i++)
    if (!isfinite(v[i]) || v[i] < 0)
      return xf_diag_set(diag, XF_E_RANGE,
                         "member \"%s\" declares a privacy charge that is negative or not finite",
                         member);
  return XF_OK;
}

/* A distinct release enters once, however often and with whatever answer it is seen. */
static enum xf_rc charge_put(struct xf_ledger *l, const struct xf_ledger_update *u,
                             struct xf_diag *diag) {
  const struct xf_charge *c = &u->charge;
  return xf_sql_run(&l->sql, diag,
                    "INSERT INTO privacy(run, member, task_id, update_digest, round, clipped,"
                    " noised, clip, noise_multiplier, sensitivity, epsilon, epsilon_zero_out,"
                    " seen_us) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)"
                    " ON CONFLICT DO NOTHING",
                    XF_SQL_ARGS(A_T(l->run), A_T(u->member), A_D(&u->task_id), A_D(&u->update),
                                A_I(u->round), A_I(c->clipped), A_I(c->noised), A_F(c->clip),
                                A_F(c->noise_multiplier), A_F(c->sensitivity), A_F(c->epsilon),
                                A_F(c->epsilon_zero_out), A_I(l->now_us)));
}

/* Whether the task already has an update, and whether the round takes one. */
static enum xf_rc may_accept(struct xf_ledger *l, const struct xf_ledger_update *u,
                             struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = false, known = false, has = false, open = false;
  struct xf_digest have = {0};
  enum xf_rc rc = xf_sql_query(
      &l->sql, &rows, diag,
      "SELECT (t.round=?3 OR (?5 AND t.round<?3)) AND t.member=?4, u.update_digest,"
      " r.state='open' FROM task t"
      " JOIN round r ON r.run=t.run AND r.round=?3"
      " LEFT JOIN upd u ON u.run=t.run AND u.task_id=t.task_id"
      " WHERE t.run=?1 AND t.task_id=?2",
      XF_SQL_ARGS(A_T(l->run), A_D(&u->task_id), A_I(u->round), A_T(u->member), A_I(u->outlived)));
  if (!rc) rc = xf_sql_next(&l->sql, &rows, &more, diag);
  if (!rc && more) {
    known = xf_sql_i64(&rows, 0) != 0;
    has = !xf_sql_is_null(&rows, 1);
    xf_sql_get_digest(&rows, 1, &have);
    open = xf_sql_i64(&rows, 2) != 0;
  }
  xf_sql_end(&rows);
  if (rc) return rc;
  if (!known)
    return xf_diag_set(diag, XF_E_NOTFOUND, "member \"%s\" was given no such task in round %llu",
                       u->member, (unsigned long long)u->round);
  if (has && xf_digest_equal(&have, &u->update))
    return xf_diag_set(diag, XF_E_EXISTS, "this update of \"%s\" is accepted already", u->member);
  if (has)
    return xf_diag_set(diag, XF_E_CONFLICT,
                       "member \"%s\" sent another update for round %llu before", u->member,
                       (unsigned long long)u->round);
  if (!open)
    return xf_diag_set(diag, XF_E_LATE, "round %llu takes no more updates",
                       (unsigned long long)u->round);
  return XF_OK;
}

static enum xf_rc update_accept(struct xf_ledger *l, const struct xf_ledger_update *u,
                                struct xf_diag *diag) {
  if (u->weight >= XF_LEDGER_WEIGHT_MAX)
    return xf_diag_set(diag, XF_E_RANGE, "weight %llu of \"%s\" is not below 2^29",
                       (unsigned long long)u->weight, u->member);
  enum xf_rc rc = xf_ledger_fits(u->n_samples, "n_samples", diag);
  if (!rc) rc = xf_ledger_fits(u->bytes, "payload length", diag);
  if (!rc) rc = charge_check(&u->charge, u->member, diag);
  if (!rc) rc = may_accept(l, u, diag);
  if (!rc)
    rc = xf_sql_run(&l->sql, diag,
                    "INSERT INTO upd(run, task_id, round, member, update_digest, payload_digest,"
                    " weight, n_samples, bytes, spool, metrics, stored_us)"
                    " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)",
                    XF_SQL_ARGS(A_T(l->run), A_D(&u->task_id), A_I(u->round), A_T(u->member),
                                A_D(&u->update), A_D(&u->payload), A_I(u->weight),
                                A_I(u->n_samples), A_I(u->bytes), A_T(u->spool ? u->spool : ""),
                                A_T(u->metrics ? u->metrics : ""), A_I(l->now_us)));
  if (!rc) rc = charge_put(l, u, diag);
  if (!rc)
    rc = xf_sql_run(&l->sql, diag,
                    "UPDATE member SET last_seen_us=?3, first_seen_us=coalesce(first_seen_us,?3)"
                    " WHERE run=?1 AND member=?2",
                    XF_SQL_ARGS(A_T(l->run), A_T(u->member), A_I(l->now_us)));
  if (rc) return rc;
  xf_ledger_body_digest(l, "update", &u->update);
  xf_jsonw_kuint(&l->w, "weight", u->weight);
  xf_jsonw_kuint(&l->w, "bytes", u->bytes);
  if (u->charge.noised) {
    xf_jsonw_kdouble(&l->w, "clip", u->charge.clip);
    xf_jsonw_kdouble(&l->w, "noise_multiplier", u->charge.noise_multiplier);
    xf_jsonw_kdouble(&l->w, "epsilon", u->charge.epsilon);
  }
  return xf_ledger_event_add(l, "update_accepted", u->round, u->member, diag);
}

enum xf_rc xf_ledger_update_accept(struct xf_ledger *l, const struct xf_ledger_update *u,
                                   struct xf_diag *diag) {
  enum xf_rc rc = xf_ledger_enter(l, true, diag);
  return rc ? rc : xf_ledger_leave(l, update_accept(l, u, diag), diag);
}

/* Stands for all refused updates of a member beyond the limit; `full` says whether this is one of them. */
static enum xf_rc refusal_limit(struct xf_ledger *l, const struct xf_ledger_update *u,
                                const char *name, struct xf_ledger_update *more, bool *full,
                                struct xf_diag *diag) {
  struct xf_blake2b_ctx ctx;
  int64_t n = 0;
  *more = (struct xf_ledger_update){0};
  memcpy(more->member, u->member, sizeof more->member);
  xf_blake2b_init(&ctx, NULL);
  xf_blake2b_feed(&ctx, u->member, strlen(u->member));
  xf_blake2b_take(&ctx, &more->task_id);
  *full = true;
  enum xf_rc rc =
      xf_sql_one_i64(&l->sql, &n, NULL, diag,
                     "SELECT count(*) FROM refusal WHERE run=?1 AND task_id=?2"
                     " AND update_digest=?3 AND refusal=?4 AND code='MORE'",
                     XF_SQL_ARGS(A_T(l->run), A_D(&more->task_id), A_D(&more->update), A_T(name)));
  if (rc || n) return rc; /* found by its key: no counting for one that is over the limit */
  rc = xf_sql_one_i64(&l->sql, &n, NULL, diag,
                      "SELECT count(*) FROM refusal WHERE run=?1 AND member=?2 AND code<>'MORE'",
                      XF_SQL_ARGS(A_T(l->run), A_T(u->member)));
  *full = n >= XF_LEDGER_REFUSALS_MAX;
  return rc;
}

/* Counts a repetition; `again` says whether it was one. */
static enum xf_rc refusal_again(struct xf_ledger *l, const struct xf_ledger_update *u,
                                const char *name, const char *code, bool *again,
                                struct xf_diag *diag) {
  enum xf_rc rc = xf_sql_run(&l->sql, diag,
                             "UPDATE refusal SET n=n+1, last_us=?6 WHERE run=?1 AND task_id=?2"
                             " AND update_digest=?3 AND refusal=?4 AND code=?5",
                             XF_SQL_ARGS(A_T(l->run), A_D(&u->task_id), A_D(&u->update), A_T(name),
                                         A_T(code), A_I(l->now_us)));
  *again = !rc && xf_sql_changes(&l->sql) == 1;
  return rc;
}

static enum xf_rc update_refuse(struct xf_ledger *l, const struct xf_ledger_update *u,
                                enum xf_ledger_refusal refusal, const char *code,
                                struct xf_diag *diag) {
  const char *name = xf_ledger_refusal_name(refusal);
  enum xf_rc rc = xf_ledger_fits(u->round, "round", diag);
  if (rc) return rc;
  if ((unsigned)refusal > XF_LEDGER_REFUSAL_REJECTED)
    return xf_diag_set(diag, XF_E_INVAL, "unknown refusal %d", (int)refusal);
  struct xf_ledger_update more;
  bool again = false, full = false;
  rc = refusal_again(l, u, name, code, &again, diag);
  if (rc || again) return rc;
  rc = refusal_limit(l, u, name, &more, &full, diag);
  if (rc) return rc;
  if (full) {
    u = &more;
    code = "MORE";
    rc = refusal_again(l, u, name, code, &again, diag);
    if (rc || again) return rc;
  }
  rc = xf_sql_run(&l->sql, diag,
                  "INSERT INTO refusal(run, task_id, update_digest, refusal, code, round, member,"
                  " n, first_us, last_us) VALUES(?1,?2,?3,?4,?5,?6,?7,1,?8,?8)",
                  XF_SQL_ARGS(A_T(l->run), A_D(&u->task_id), A_D(&u->update), A_T(name), A_T(code),
                              A_I(u->round), A_T(u->member), A_I(l->now_us)));
  /* A charge that makes no sense is part of why it was refused, not of the account. */
  if (!rc && !full && charge_check(&u->charge, u->member, NULL) == XF_OK)
    rc = charge_put(l, u, diag);
  if (rc) return rc;
  xf_jsonw_kstr(&l->w, "verdict", name);
  xf_jsonw_kstr(&l->w, "code", code);
  xf_ledger_body_digest(l, "update", &u->update);
  return xf_ledger_event_add(l, "update_refused", u->round, u->member, diag);
}

enum xf_rc xf_ledger_update_refuse(struct xf_ledger *l, const struct xf_ledger_update *u,
                                   enum xf_ledger_refusal refusal, const char *code,
                                   struct xf_diag *diag) {
  enum xf_rc rc = xf_ledger_enter(l, true, diag);
  return rc ? rc : xf_ledger_leave(l, update_refuse(l, u, refusal, code, diag), diag);
}

static enum xf_rc task_decline(struct xf_ledger *l, const struct xf_digest *task_id,
                               const char *code, const char *text, struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = false;
  uint64_t round = 0;
  char member[XF_LEDGER_ID_MAX] = "";
  enum xf_rc rc = xf_sql_query(&l->sql, &rows, diag,
                               "SELECT round, member FROM task WHERE run=?1 AND task_id=?2",
                               XF_SQL_ARGS(A_T(l->run), A_D(task_id)));
  if (!rc) rc = xf_sql_next(&l->sql, &rows, &more, diag);
  if (!rc && more) {
    round = xf_sql_u64(&rows, 0);
    xf_sql_get_str(&rows, 1, member, sizeof member);
  }
  xf_sql_end(&rows);
  if (!rc && !more) rc = xf_diag_set(diag, XF_E_NOTFOUND, "no such task in run \"%s\"", l->run);
  if (!rc)
    rc = xf_sql_run(&l->sql, diag, "UPDATE task SET declined=?3 WHERE run=?1 AND task_id=?2",
                    XF_SQL_ARGS(A_T(l->run), A_D(task_id), A_T(code)));
  if (rc) return rc;
  xf_jsonw_kstr(&l->w, "code", code);
  xf_jsonw_kstr(&l->w, "text", text);
  return xf_ledger_event_add(l, "task_declined", round, member, diag);
}

enum xf_rc xf_ledger_task_decline(struct xf_ledger *l, const struct xf_digest *task_id,
                                  const char *code, const char *text, struct xf_diag *diag) {
  enum xf_rc rc = xf_ledger_enter(l, true, diag);
  return rc ? rc : xf_ledger_leave(l, task_decline(l, task_id, code, text, diag), diag);
}
