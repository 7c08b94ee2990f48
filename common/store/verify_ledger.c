/* The ledger against itself. A query's rows are damages; its column names are the words of the report. */
#include "store/verify_impl.h"

struct check {
  const char *invariant, *what, *query;
};

static const struct check checks[] = {
    {"I1", "a silo counts twice",
     "SELECT run, round, member, count(*) AS times FROM upd WHERE part IS NOT NULL"
     " GROUP BY run, round, member HAVING count(*)>1"},
    {"I1", "an update counts in two rounds",
     "SELECT run, hex(update_digest) AS \"update\", count(*) AS times FROM upd"
     " WHERE part IS NOT NULL GROUP BY run, update_digest HAVING count(*)>1"},
    {"I1", "the frozen list is out of order or has gaps",
     "SELECT run, round, member, part AS place FROM"
     " (SELECT run, round, member, part, row_number() OVER"
     "   (PARTITION BY run, round ORDER BY member) - 1 AS want FROM upd WHERE part IS NOT NULL)"
     " WHERE part<>want"},
    {"I1", "a participant of a round that is still open",
     "SELECT u.run, u.round, u.member FROM upd u JOIN round r USING(run, round)"
     " WHERE u.part IS NOT NULL AND r.state='open'"},
    {"I2", "an acknowledged update is not in its round and no reason is recorded",
     "SELECT u.run AS run, u.round AS round, u.member AS member FROM upd u"
     " JOIN round r USING(run, round)"
     " WHERE u.part IS NULL AND r.state IN ('closing','committing','committed')"
     " EXCEPT SELECT run, round, member FROM event WHERE kind='update_unused'"},
    {"I2", "an acknowledged update is missing",
     "SELECT run, round, member FROM event WHERE kind='update_accepted'"
     " EXCEPT SELECT run, round, member FROM upd"},
    {"I2", "a round was abandoned without a reason",
     "SELECT run, round FROM round WHERE state='abandoned' AND reason=''"},
    {"I4", "round numbers have a gap before",
     "SELECT run, round FROM (SELECT run, round, row_number() OVER"
     " (PARTITION BY run ORDER BY round) AS want FROM round) WHERE round<>want"},
    {"I4", "a committed round without its model",
     "SELECT r.run, r.round FROM round r LEFT JOIN checkpoint c USING(run, round)"
     " WHERE r.kind='train' AND r.state='committed'"
     " AND (c.model IS NULL OR r.computed IS NULL OR c.model<>r.computed OR c.parent<>r.base)"},
    {"I4", "a model without its committed round",
     "SELECT c.run, c.round FROM checkpoint c LEFT JOIN round r USING(run, round)"
     " WHERE c.round>0 AND (r.state IS NULL OR r.state<>'committed' OR r.kind<>'train')"},
    {"I4", "a round is not based on the model before it",
     "SELECT r.run, r.round FROM round r WHERE r.base IS NOT (SELECT model FROM checkpoint c"
     " WHERE c.run=r.run AND c.round<r.round ORDER BY c.round DESC LIMIT 1)"},
    {"I4", "a train round was committed without participants",
     "SELECT r.run, r.round FROM round r WHERE r.kind='train' AND r.state='committed'"
     " AND NOT EXISTS (SELECT 1 FROM upd u WHERE u.run=r.run AND u.round=r.round"
     "  AND u.part IS NOT NULL)"},
    {"I4", "two rounds are open",
     "SELECT run, count(*) AS rounds FROM round WHERE state IN ('open','closing','committing')"
     " GROUP BY run HAVING count(*)>1"},
    {"I6", "an update without its privacy row",
     "SELECT run, round, member FROM upd u WHERE NOT EXISTS (SELECT 1 FROM privacy p"
     " WHERE p.run=u.run AND p.member=u.member AND p.task_id=u.task_id"
     " AND p.update_digest=u.update_digest)"},
    {"I6", "fewer charges than distinct updates seen",
     "SELECT run, member, updates, charges FROM"
     " (SELECT run, member, count(DISTINCT update_digest) AS updates,"
     "  (SELECT count(*) FROM privacy p WHERE p.run=u.run AND p.member=u.member) AS charges"
     "  FROM upd u GROUP BY run, member) WHERE charges<updates"},
    {"I6", "a noised release without bound or noise",
     "SELECT run, round, member FROM privacy WHERE noised AND NOT (clip>0 AND noise_multiplier>0)"},
    {"I7", "a round without its event",
     "SELECT run, round FROM round EXCEPT SELECT run, round FROM event WHERE kind='round_opened'"},
    {"I7", "a commit without its event",
     "SELECT run, round FROM round WHERE state='committed'"
     " EXCEPT SELECT run, round FROM event WHERE kind='round_committed'"},
    {"I7", "a commit event without its round",
     "SELECT run, round FROM event WHERE kind='round_committed'"
     " EXCEPT SELECT run, round FROM round WHERE state='committed'"},
    {"I7", "an acceptance without its event",
     "SELECT run, round, member FROM upd"
     " EXCEPT SELECT run, round, member FROM event WHERE kind='update_accepted'"},
    {"I7", "a refusal without its event",
     "SELECT run, round, member FROM refusal"
     " EXCEPT SELECT run, round, member FROM event WHERE kind='update_refused'"},
};

static enum xf_rc verify_chain(struct xf_verify *v, uint64_t *damages, struct xf_diag *diag) {
  struct xf_diag why;
  xf_diag_init(&why);
  enum xf_rc rc = xf_ledger_events(v->l, 1, NULL, NULL, &why);
  if (rc == XF_E_CORRUPT) {
    ++*damages;
    xf_verify_say(v, "I7", XF_VERIFY_DAMAGED, "%s", xf_diag_text(&why, rc));
    return XF_OK;
  }
  return rc ? xf_diag_set(diag, rc, "%s", xf_diag_text(&why, rc)) : XF_OK;
}

enum { PLAN_MAX = 1 << 20 };

static enum xf_rc verify_end(struct xf_verify *v, const struct xf_ledger_status *s,
                             struct xf_diag *diag) {
  struct xf_buf plan;
  struct xf_diag why;
  if (!v->opts->end) {
    xf_verify_say(v, "I10", XF_VERIFY_SKIPPED, "nobody was given who reads the plan");
    return XF_OK;
  }
  xf_diag_init(&why);
  xf_buf_init(&plan, PLAN_MAX);
  enum xf_rc rc = xf_ledger_plan(v->l, &plan, &why);
  if (!rc) rc = v->opts->end(v->opts->end_arg, v->l, s, plan.p, plan.len, &why);
  xf_buf_deinit(&plan);
  if (rc == XF_E_NOMEM || rc == XF_E_IO) return xf_diag_set(diag, rc, "%s", why.text);
  xf_verify_say(v, "I10", rc ? XF_VERIFY_DAMAGED : XF_VERIFY_OK, "%s",
                rc                               ? xf_diag_text(&why, rc)
                : s->state == XF_LEDGER_RUN_DONE ? "the run ended where its plan ends"
                                                 : "the run has not passed its plan's end");
  return XF_OK;
}

static void say_fine(struct xf_verify *v, const char *invariant, const struct xf_ledger_status *s) {
  unsigned long long a = s->accepted, r = s->rounds, c = s->commits, e = s->events;
  if (invariant[1] == '1')
    xf_verify_say(v, invariant, XF_VERIFY_OK, "%llu updates, none counts twice", a);
  if (invariant[1] == '2')
    xf_verify_say(v, invariant, XF_VERIFY_OK, "%llu acknowledged updates are accounted for", a);
  if (invariant[1] == '4')
    xf_verify_say(v, invariant, XF_VERIFY_OK, "%llu rounds, %llu models committed, no gap", r, c);
  if (invariant[1] == '6') xf_verify_say(v, invariant, XF_VERIFY_OK, "every update has its charge");
  if (invariant[1] == '7')
    xf_verify_say(v, invariant, XF_VERIFY_OK, "%llu events, chain intact", e);
}

enum xf_rc xf_verify_ledger(struct xf_verify *v, struct xf_diag *diag) {
  struct xf_ledger_status status;
  const size_t n = sizeof checks / sizeof checks[0];
  uint64_t damages = 0;
  enum xf_rc rc = xf_ledger_status(v->l, &status, diag);
  if (!rc) rc = verify_end(v, &status, diag);
  for (size_t i = 0; i < n && !rc; i++) {
    const struct check *c = &checks[i];
    rc = xf_verify_rows(v, &v->l->sql, c->invariant, c->what, c->query, &damages, diag);
    if (rc || (i + 1 < n && checks[i + 1].invariant[1] == c->invariant[1])) continue;
    if (c->invariant[1] == '7') rc = verify_chain(v, &damages, diag);
    if (!rc && damages == 0) say_fine(v, c->invariant, &status);
    damages = 0;
  }
  return rc;
}
