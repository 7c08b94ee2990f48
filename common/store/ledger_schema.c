/* The ledger's tables. A released script never changes; a new version appends one that leads to it. */
#include "store/ledger_impl.h"

static const char v1[] =
    "CREATE TABLE run("
    " seq INTEGER PRIMARY KEY,"
    " run TEXT NOT NULL UNIQUE CHECK(length(run) BETWEEN 1 AND 63),"
    " federation TEXT NOT NULL, name TEXT NOT NULL,"
    " plan_digest BLOB NOT NULL CHECK(length(plan_digest)=32),"
    " layout_digest BLOB NOT NULL CHECK(length(layout_digest)=32),"
    " plan BLOB NOT NULL, seed INTEGER NOT NULL,"
    " state TEXT NOT NULL CHECK(state IN ('running','paused','draining','done','replaced')),"
    " reason TEXT NOT NULL, epoch INTEGER NOT NULL, software TEXT NOT NULL,"
    " created_us INTEGER NOT NULL, ended_us INTEGER) STRICT;"

    "CREATE TABLE member("
    " run TEXT NOT NULL REFERENCES run(run),"
    " member TEXT NOT NULL CHECK(length(member) BETWEEN 1 AND 63),"
    " domain TEXT NOT NULL, max_weight INTEGER NOT NULL,"
    " listed_us INTEGER NOT NULL, first_seen_us INTEGER, last_seen_us INTEGER,"
    " PRIMARY KEY(run, member)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE manifest("
    " run TEXT NOT NULL, ns TEXT NOT NULL, member TEXT NOT NULL,"
    " n INTEGER NOT NULL, digest BLOB NOT NULL CHECK(length(digest)=32),"
    " keys BLOB NOT NULL CHECK(length(keys)=n*16), stored_us INTEGER NOT NULL,"
    " PRIMARY KEY(run, ns, member),"
    " FOREIGN KEY(run, member) REFERENCES member(run, member)) STRICT;"

    "CREATE TABLE directory("
    " run TEXT NOT NULL REFERENCES run(run), ns TEXT NOT NULL,"
    " n INTEGER NOT NULL, digest BLOB NOT NULL CHECK(length(digest)=32),"
    " frozen_us INTEGER NOT NULL, PRIMARY KEY(run, ns)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE checkpoint("
    " run TEXT NOT NULL REFERENCES run(run), round INTEGER NOT NULL CHECK(round>=0),"
    " model BLOB NOT NULL CHECK(length(model)=32), parent BLOB NOT NULL CHECK(length(parent)=32),"
    " sha256 BLOB NOT NULL CHECK(length(sha256)=32),"
    " path TEXT NOT NULL, bytes INTEGER NOT NULL, stored_us INTEGER NOT NULL, pruned_us INTEGER,"
    " PRIMARY KEY(run, round)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE round("
    " run TEXT NOT NULL REFERENCES run(run), round INTEGER NOT NULL CHECK(round>=1),"
    " kind TEXT NOT NULL CHECK(kind IN ('train','evaluate')), stage INTEGER NOT NULL,"
    " state TEXT NOT NULL"
    "  CHECK(state IN ('open','closing','committing','committed','abandoned')),"
    " base BLOB NOT NULL CHECK(length(base)=32), computed BLOB CHECK(length(computed)=32),"
    " opened_us INTEGER NOT NULL, closed_us INTEGER, ended_us INTEGER,"
    " reason TEXT NOT NULL DEFAULT '', metrics TEXT NOT NULL DEFAULT '',"
    " PRIMARY KEY(run, round)) STRICT, WITHOUT ROWID;"
    /* at most one round is neither committed nor abandoned */
    "CREATE UNIQUE INDEX round_one_open ON round(run)"
    " WHERE state IN ('open','closing','committing');"

    "CREATE TABLE task("
    " run TEXT NOT NULL, task_id BLOB NOT NULL CHECK(length(task_id)=32),"
    " round INTEGER NOT NULL, member TEXT NOT NULL, declined TEXT NOT NULL DEFAULT '',"
    " PRIMARY KEY(run, task_id), UNIQUE(run, round, member),"
    " FOREIGN KEY(run, round) REFERENCES round(run, round),"
    " FOREIGN KEY(run, member) REFERENCES member(run, member)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE upd("
    " run TEXT NOT NULL, task_id BLOB NOT NULL, round INTEGER NOT NULL, member TEXT NOT NULL,"
    " update_digest BLOB NOT NULL CHECK(length(update_digest)=32),"
    " payload_digest BLOB NOT NULL CHECK(length(payload_digest)=32),"
    " weight INTEGER NOT NULL CHECK(weight>=0 AND weight<536870912), n_samples INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL, spool TEXT NOT NULL, metrics TEXT NOT NULL,"
    " stored_us INTEGER NOT NULL,"
    " part INTEGER," /* place in the frozen list, from 0; NULL: not in it */
    " part_weight INTEGER CHECK(part_weight>=0 AND part_weight<536870912),"
    " PRIMARY KEY(run, task_id), UNIQUE(run, round, member),"
    " FOREIGN KEY(run, task_id) REFERENCES task(run, task_id)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE refusal("
    " run TEXT NOT NULL REFERENCES run(run), task_id BLOB NOT NULL CHECK(length(task_id)=32),"
    " update_digest BLOB NOT NULL CHECK(length(update_digest)=32),"
    " refusal TEXT NOT NULL CHECK(refusal IN ('late','stale','conflict','rejected')),"
    " code TEXT NOT NULL, round INTEGER NOT NULL, member TEXT NOT NULL,"
    " n INTEGER NOT NULL, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL,"
    " PRIMARY KEY(run, task_id, update_digest, refusal, code)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX refusal_round ON refusal(run, round, member);"

    /* one row per distinct release that the coordinator saw */
    "CREATE TABLE privacy("
    " run TEXT NOT NULL REFERENCES run(run), member TEXT NOT NULL,"
    " task_id BLOB NOT NULL CHECK(length(task_id)=32),"
    " update_digest BLOB NOT NULL CHECK(length(update_digest)=32), round INTEGER NOT NULL,"
    " clipped INTEGER NOT NULL, noised INTEGER NOT NULL, clip REAL NOT NULL,"
    " noise_multiplier REAL NOT NULL, sensitivity REAL NOT NULL,"
    " epsilon REAL NOT NULL, epsilon_zero_out REAL NOT NULL, seen_us INTEGER NOT NULL,"
    " PRIMARY KEY(run, member, task_id, update_digest)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE event("
    " seq INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, run TEXT NOT NULL, round INTEGER NOT NULL,"
    " member TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,"
    " hash BLOB NOT NULL CHECK(length(hash)=32)) STRICT;";

const struct xf_sql_kind *xf_ledger_schema(void) {
  static const char *const scripts[] = {v1};
  static const struct xf_sql_kind kind = {.what = "ledger",
                                          .app_id = 0x78664c31, /* "xfL1" */
                                          .mode = 0640,
                                          .sql = scripts,
                                          .version = XF_LEDGER_SCHEMA};
  return &kind;
}
