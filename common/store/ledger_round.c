/* Rounds: opening, freezing, committing, abandoning. */
#include "store/ledger_impl.h"
#include "store/ledger_rows.h"

#include <string.h>

struct round_row {
  enum xf_ledger_kind kind;
  enum xf_ledger_round_state state;
  struct xf_digest base, computed;
};

static enum xf_rc round_get(struct xf_ledger *l, uint64_t round, struct round_row *out,
                            struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = false;
  enum xf_rc rc = xf_sql_query(&l->sql, &rows, diag,
                               "SELECT kind, state, base, computed FROM round"
                               " WHERE run=?1 AND round=?2",
                               XF_SQL_ARGS(A_T(l->run), A_I(round)));
  if (!rc) rc = xf_sql_next(&l->sql, &rows, &more, diag);
  if (!rc && !more)
    rc = xf_diag_set(diag, XF_E_STATE, "there is no round %llu", (unsigned long long)round);
  if (!rc) {
    out->kind = xf_ledger_kind_of(xf_sql_str(&rows, 0));
    out->state = xf_ledger_round_state_of(xf_sql_str(&rows, 1));
    xf_sql_get_digest(&rows, 2, &out->base);
    xf_sql_get_digest(&rows, 3, &out->computed);
  }
  xf_sql_end(&rows);
  return rc;
}

static enum xf_rc wrong_state(const struct round_row *row, uint64_t round, const char *to,
                              struct xf_diag *diag) {
  return xf_diag_set(diag, XF_E_STATE, "%s round %llu is %s and cannot become %s",
                     xf_ledger_kind_name(row->kind), (unsigned long long)round,
                     xf_ledger_round_state_name(row->state), to);
}

static enum xf_rc last_model(struct xf_ledger *l, struct xf_digest *out, bool *found,
                             struct xf_diag *diag) {
  struct xf_sql_rows rows;
  enum xf_rc rc = xf_sql_query(&l->sql, &rows, diag,
                               "SELECT model FROM checkpoint WHERE run=?1"
                               " ORDER BY round DESC LIMIT 1",
                               XF_SQL_ARGS(A_T(l->run)));
  if (!rc) rc = xf_sql_next(&l->sql, &rows, found, diag);
  if (!rc && *found) xf_sql_get_digest(&rows, 0, out);
  xf_sql_end(&rows);
  return rc;
}

static enum xf_rc may_open(struct xf_ledger *l, const struct xf_ledger_opening *o,
                           struct xf_diag *diag) {
  int64_t last = 0, open = 0;
  struct xf_digest model = {0};
  bool found = false;
  char a[XF_DIGEST_HEX], b[XF_DIGEST_HEX];
  if (l->run_state != XF_LEDGER_RUN_RUNNING)
    return xf_diag_set(diag, XF_E_STATE, "run \"%s\" is %s: no round opens", l->run,
                       xf_ledger_run_state_name(l->run_state));
  if (o->n_task == 0)
    return xf_diag_set(diag, XF_E_INVAL, "round %llu without a cohort",
                       (unsigned long long)o->round);
  enum xf_rc rc = xf_sql_one_i64(&l->sql, &last, NULL, diag,
                                 "SELECT coalesce(max(round),0) FROM round WHERE run=?1",
                                 XF_SQL_ARGS(A_T(l->run)));
  if (!rc)
    rc = xf_sql_one_i64(&l->sql, &open, NULL, diag,
                        "SELECT count(*) FROM round WHERE run=?1"
                        " AND state IN ('open','closing','committing')",
                        XF_SQL_ARGS(A_T(l->run)));
  if (!rc) rc = last_model(l, &model, &found, diag);
  if (rc) return rc;
  if (open || o->round != (uint64_t)last + 1)
    return xf_diag_set(diag, XF_E_STATE, "round %llu cannot open: round %lld is %s",
                       (unsigned long long)o->round, (long long)last,
                       open ? "still open" : "the last");
  if (!found || !xf_digest_equal(&model, &o->base))
    return xf_diag_set(diag, XF_E_CONFLICT,
                       "round %llu is based on model %.12s..., the last one is %.12s...",
                       (unsigned long long)o->round, xf_digest_print(a, &o->base),
                       found ? xf_digest_print(b, &model) : "not there");
  return XF_OK;
}

static enum xf_rc round_open(struct xf_ledger *l, const struct xf_ledger_opening *o,
                             struct xf_diag *diag) {
  enum xf_rc rc = may_open(l, o, diag);
  if (!rc)
    rc = xf_sql_run(&l->sql, diag,
                    "INSERT INTO round(run, round, kind, stage, state, base, opened_us)"
                    " VALUES(?1,?2,?3,?4,'open',?5,?6)",
                    XF_SQL_ARGS(A_T(l->run), A_I(o->round), A_T(xf_ledger_kind_name(o->kind)),
                                A_I(o->stage), A_D(&o->base), A_I(l->now_us)));
  for (size_t i = 0; i < o->n_task && !rc; i++) {
    rc = xf_sql_run(
        &l->sql, diag, "INSERT INTO task(run, task_id, round, member) VALUES(?1,?2,?3,?4)",
        XF_SQL_ARGS(A_T(l->run), A_D(&o->task[i].task_id), A_I(o->round), A_T(o->task[i].member)));
    if (rc) rc = xf_diag_prefix(diag, rc, "task of member \"%s\"", o->task[i].member);
  }
  if (rc) return rc;
  xf_jsonw_kstr(&l->w, "kind", xf_ledger_kind_name(o->kind));
  xf_jsonw_kuint(&l->w, "stage", o->stage);
  xf_ledger_body_digest(l, "base", &o->base);
  xf_jsonw_kuint(&l->w, "cohort", o->n_task);
  return xf_ledger_event_add(l, "round_opened", o->round, "", diag);
}

enum xf_rc xf_ledger_round_open(struct xf_ledger *l, const struct xf_ledger_opening *round,
                                struct xf_diag *diag) {
  enum xf_rc rc = xf_ledger_enter(l, true, diag);
  return rc ? rc : xf_ledger_leave(l, round_open(l, round, diag), diag);
}

/* Accepted in time but not used (over-selection): the reason is on the record (I2). */
static enum xf_rc note_unused(struct xf_ledger *l, uint64_t round, struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = true;
  char member[XF_LEDGER_ID_MAX];
  enum xf_rc rc = xf_sql_query(&l->sql, &rows, diag,
                               "SELECT member FROM upd WHERE run=?1 AND round=?2 AND part IS NULL"
                               " ORDER BY member",
                               XF_SQL_ARGS(A_T(l->run), A_I(round)));
  while (!rc && more) {
    rc = xf_sql_next(&l->sql, &rows, &more, diag);
    if (rc || !more) break;
    xf_sql_get_str(&rows, 0, member, sizeof member);
    xf_jsonw_kstr(&l->w, "reason", "accepted, not among the participants");
    rc = xf_ledger_event_add(l, "update_unused", round, member, diag);
  }
  xf_sql_end(&rows);
  return rc;
}

static enum xf_rc freeze_parts(struct xf_ledger *l, uint64_t round,
                               const struct xf_ledger_part *part, size_t n_part,
                               struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  for (size_t i = 0; i < n_part && !rc; i++) {
    if (i && strcmp(part[i - 1].member, part[i].member) >= 0)
      return xf_diag_set(diag, XF_E_INVAL,
                         "round %llu: participants out of order at \"%s\", \"%s\"",
                         (unsigned long long)round, part[i - 1].member, part[i].member);
    if (part[i].weight >= XF_LEDGER_WEIGHT_MAX)
      return xf_diag_set(diag, XF_E_RANGE, "round %llu: weight %llu of \"%s\" is not below 2^29",
                         (unsigned long long)round, (unsigned long long)part[i].weight,
                         part[i].member);
    rc = xf_sql_run(
        &l->sql, diag,
        "UPDATE upd SET part=?4, part_weight=?5"
        " WHERE run=?1 AND round=?2 AND member=?3",
        XF_SQL_ARGS(A_T(l->run), A_I(round), A_T(part[i].member), A_I(i), A_I(part[i].weight)));
    if (!rc && xf_sql_changes(&l->sql) != 1)
      rc = xf_diag_set(diag, XF_E_INVAL, "round %llu: participant \"%s\" has no accepted update",
                       (unsigned long long)round, part[i].member);
  }
  return rc;
}

static enum xf_rc round_closing(struct xf_ledger *l, uint64_t round,
                                const struct xf_ledger_part *part, size_t n_part,
                                struct xf_diag *diag) {
  struct round_row row;
  enum xf_rc rc = round_get(l, round, &row, diag);
  if (rc) return rc;
  if (row.state != XF_LEDGER_ROUND_OPEN) return wrong_state(&row, round, "closing", diag);
  if (row.kind == XF_LEDGER_KIND_TRAIN && n_part == 0)
    return xf_diag_set(diag, XF_E_INVAL, "train round %llu cannot close without participants",
                       (unsigned long long)round);
  rc = freeze_parts(l, round, part, n_part, diag);
  if (!rc) rc = note_unused(l, round, diag);
  if (!rc)
    rc = xf_sql_run(&l->sql, diag,
                    "UPDATE round SET state='closing', closed_us=?3 WHERE run=?1 AND round=?2",
                    XF_SQL_ARGS(A_T(l->run), A_I(round), A_I(l->now_us)));
  if (rc) return rc;
  xf_jsonw_kuint(&l->w, "participants", n_part);
  return xf_ledger_event_add(l, "round_closing", round, "", diag);
}

enum xf_rc xf_ledger_round_closing(struct xf_ledger *l, uint64_t round,
                                   const struct xf_ledger_part *part, size_t n_part,
                                   struct xf_diag *diag) {
  enum xf_rc rc = xf_ledger_enter(l, true, diag);
  return rc ? rc : xf_ledger_leave(l, round_closing(l, round, part, n_part, diag), diag);
}

static enum xf_rc round_committing(struct xf_ledger *l, uint64_t round,
                                   const struct xf_digest *model, struct xf_diag *diag) {
  struct round_row row;
  char a[XF_DIGEST_HEX], b[XF_DIGEST_HEX];
  enum xf_rc rc = round_get(l, round, &row, diag);
  if (rc) return rc;
  if (row.kind != XF_LEDGER_KIND_TRAIN ||
      (row.state != XF_LEDGER_ROUND_CLOSING && row.state != XF_LEDGER_ROUND_COMMITTING))
    return wrong_state(&row, round, "committing", diag);
  if (row.state == XF_LEDGER_ROUND_COMMITTING) {
    if (xf_digest_equal(&row.computed, model)) return XF_OK;
    return xf_diag_set(diag, XF_E_CONFLICT,
                       "round %llu was computed as model %.12s... and now as %.12s...: the same "
                       "updates must give the same bytes",
                       (unsigned long long)round, xf_digest_print(a, &row.computed),
                       xf_digest_print(b, model));
  }
  rc = xf_sql_run(&l->sql, diag,
                  "UPDATE round SET state='committing', computed=?3 WHERE run=?1 AND round=?2",
                  XF_SQL_ARGS(A_T(l->run), A_I(round), A_D(model)));
  if (rc) return rc;
  xf_ledger_body_digest(l, "model", model);
  return xf_ledger_event_add(l, "round_committing", round, "", diag);
}

enum xf_rc xf_ledger_round_committing(struct xf_ledger *l, uint64_t round,
                                      const struct xf_digest *model, struct xf_diag *diag) {
  enum xf_rc rc = xf_ledger_enter(l, true, diag);
  return rc ? rc : xf_ledger_leave(l, round_committing(l, round, model, diag), diag);
}

static enum xf_rc checkpoint_put(struct xf_ledger *l, const struct xf_ledger_checkpoint *c,
                                 struct xf_diag *diag) {
  enum xf_rc rc = xf_ledger_fits(c->bytes, "checkpoint size", diag);
  if (rc) return rc;
  if (c->path[0] == '\0' || c->path[0] == '/' || strstr(c->path, ".."))
    return xf_diag_set(diag, XF_E_INVAL,
                       "checkpoint path \"%s\" must be relative to the state directory", c->path);
  return xf_sql_run(&l->sql, diag,
                    "INSERT INTO checkpoint(run, round, model, parent, sha256, path, bytes,"
                    " stored_us) VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",
                    XF_SQL_ARGS(A_T(l->run), A_I(c->round), A_D(&c->model), A_D(&c->parent),
                                A_D(&c->sha256), A_T(c->path), A_I(c->bytes), A_I(l->now_us)));
}

static enum xf_rc round_commit(struct xf_ledger *l, uint64_t round,
                               const struct xf_ledger_checkpoint *c, const char *metrics,
                               struct xf_diag *diag) {
  struct round_row row;
  enum xf_rc rc = round_get(l, round, &row, diag);
  if (rc) return rc;
  bool train = row.kind == XF_LEDGER_KIND_TRAIN;
  if (row.state != (train ? XF_LEDGER_ROUND_COMMITTING : XF_LEDGER_ROUND_CLOSING) ||
      train != (c != NULL))
    return wrong_state(&row, round, "committed", diag);
  if (c && (c->round != round || !xf_digest_equal(&c->model, &row.computed) ||
            !xf_digest_equal(&c->parent, &row.base)))
    return xf_diag_set(diag, XF_E_CONFLICT,
                       "round %llu: the checkpoint is not the model that was computed",
                       (unsigned long long)round);
  if (c) rc = checkpoint_put(l, c, diag);
  if (!rc)
    rc = xf_sql_run(
        &l->sql, diag,
        "UPDATE round SET state='committed', ended_us=?3, metrics=?4"
        " WHERE run=?1 AND round=?2",
        XF_SQL_ARGS(A_T(l->run), A_I(round), A_I(l->now_us), A_T(metrics ? metrics : "")));
  if (rc) return rc;
  xf_jsonw_kstr(&l->w, "kind", xf_ledger_kind_name(row.kind));
  xf_ledger_body_digest(l, "model", c ? &c->model : &row.base);
  if (c) xf_ledger_body_digest(l, "sha256", &c->sha256);
  return xf_ledger_event_add(l, "round_committed", round, "", diag);
}

enum xf_rc xf_ledger_round_commit(struct xf_ledger *l, uint64_t round,
                                  const struct xf_ledger_checkpoint *checkpoint,
                                  const char *metrics, struct xf_diag *diag) {
  enum xf_rc rc = xf_ledger_enter(l, true, diag);
  return rc ? rc : xf_ledger_leave(l, round_commit(l, round, checkpoint, metrics, diag), diag);
}

enum xf_rc xf_ledger_checkpoint_first(struct xf_ledger *l,
                                      const struct xf_ledger_checkpoint *checkpoint,
                                      struct xf_diag *diag) {
  struct xf_digest have;
  bool found = false;
  enum xf_rc rc = xf_ledger_enter(l, true, diag);
  if (rc) return rc;
  rc = last_model(l, &have, &found, diag);
  if (!rc && found) {
    if (!xf_digest_equal(&have, &checkpoint->model))
      rc = xf_diag_set(diag, XF_E_EXISTS, "run \"%s\" has another first model already", l->run);
    return xf_ledger_leave(l, rc, diag);
  }
  if (!rc && checkpoint->round != 0)
    rc = xf_diag_set(diag, XF_E_INVAL, "the first model belongs to round 0, not %llu",
                     (unsigned long long)checkpoint->round);
  if (!rc) rc = checkpoint_put(l, checkpoint, diag);
  if (!rc) {
    xf_ledger_body_digest(l, "model", &checkpoint->model);
    xf_ledger_body_digest(l, "sha256", &checkpoint->sha256);
    rc = xf_ledger_event_add(l, "model_first", 0, "", diag);
  }
  return xf_ledger_leave(l, rc, diag);
}

enum xf_rc xf_ledger_checkpoint_prune(struct xf_ledger *l, uint64_t round, struct xf_diag *diag) {
  enum xf_rc rc = xf_ledger_enter(l, true, diag);
  if (rc) return rc;
  rc = xf_sql_run(&l->sql, diag,
                  "UPDATE checkpoint SET pruned_us=?3 WHERE run=?1 AND round=?2"
                  " AND round<(SELECT max(round) FROM checkpoint WHERE run=?1)",
                  XF_SQL_ARGS(A_T(l->run), A_I(round), A_I(l->now_us)));
  if (!rc && xf_sql_changes(&l->sql) != 1)
    rc =
        xf_diag_set(diag, XF_E_STATE, "round %llu has no checkpoint, or the newest one: not pruned",
                    (unsigned long long)round);
  if (!rc) rc = xf_ledger_event_add(l, "checkpoint_pruned", round, "", diag);
  return xf_ledger_leave(l, rc, diag);
}

static enum xf_rc round_abandon(struct xf_ledger *l, uint64_t round, const char *reason,
                                struct xf_diag *diag) {
  struct round_row row;
  enum xf_rc rc = round_get(l, round, &row, diag);
  if (rc) return rc;
  if (row.state == XF_LEDGER_ROUND_COMMITTED || row.state == XF_LEDGER_ROUND_ABANDONED)
    return wrong_state(&row, round, "abandoned", diag);
  rc = xf_sql_run(&l->sql, diag,
                  "UPDATE round SET state='abandoned', ended_us=?3, reason=?4"
                  " WHERE run=?1 AND round=?2",
                  XF_SQL_ARGS(A_T(l->run), A_I(round), A_I(l->now_us), A_T(reason)));
  if (rc) return rc;
  xf_jsonw_kstr(&l->w, "kind", xf_ledger_kind_name(row.kind));
  xf_jsonw_kstr(&l->w, "reason", reason);
  return xf_ledger_event_add(l, "round_abandoned", round, "", diag);
}

enum xf_rc xf_ledger_round_abandon(struct xf_ledger *l, uint64_t round, const char *reason,
                                   struct xf_diag *diag) {
  enum xf_rc rc = xf_ledger_enter(l, true, diag);
  return rc ? rc : xf_ledger_leave(l, round_abandon(l, round, reason, diag), diag);
}
