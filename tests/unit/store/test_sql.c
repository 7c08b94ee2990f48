/* Migrations: forward only, each in a transaction, after a backup copy. */
#include "store/sql.h"

#include "storetest.h"

#include <stdio.h>
#include <string.h>

static const char *const scripts[] = {"CREATE TABLE a(x INTEGER) STRICT;",
                                      "ALTER TABLE a ADD COLUMN y INTEGER NOT NULL DEFAULT 7;"};
static const char *const broken[] = {"CREATE TABLE a(x INTEGER) STRICT;",
                                     "CREATE TABLE b(x INTEGER); INSERT INTO none VALUES(1);"};
static const struct xf_sql_kind old = {"test", 0x1234, 0600, scripts, 1};
static const struct xf_sql_kind fresh = {"test", 0x1234, 0600, scripts, 2};
static const struct xf_sql_kind bad = {"test", 0x1234, 0600, broken, 2};

static void test_migration(void **state) {
  (void)state;
  struct xf_sql sql;
  struct xf_diag diag;
  int64_t v = 0;
  const char *path = st_path(st_dir_new(), "t.db");
  assert_ok(xf_sql_open(&sql, path, true, NULL, &old, &diag), &diag);
  assert_ok(xf_sql_run(&sql, &diag, "INSERT INTO a VALUES(5)", XF_SQL_ARGS()), &diag);
  xf_sql_close(&sql);
  assert_rc(xf_sql_open(&sql, path, false, NULL, &fresh, &diag), XF_E_VERSION);
  assert_non_null(strstr(diag.text, "start its daemon once"));
  assert_rc(xf_sql_open(&sql, path, true, NULL, &bad, &diag), XF_E_IO); /* rolled back whole */
  assert_ok(xf_sql_open(&sql, path, true, NULL, &old, &diag), &diag);
  assert_ok(xf_sql_one_i64(&sql, &v, NULL, &diag,
                           "SELECT count(*) FROM sqlite_schema WHERE name='b'", XF_SQL_ARGS()),
            &diag);
  assert_int_equal(v, 0);
  xf_sql_close(&sql);
  char backup[XF_PATH_MAX];
  (void)snprintf(backup, sizeof backup, "%s.v1.bak", path);
  assert_true(xf_fs_exists(xf_fs_posix(), backup));
  /* the copy of the failed attempt is in the way of none */
  assert_ok(xf_sql_open(&sql, path, true, NULL, &fresh, &diag), &diag);
  assert_ok(xf_sql_one_i64(&sql, &v, NULL, &diag, "SELECT x*10+y FROM a", XF_SQL_ARGS()), &diag);
  assert_int_equal(v, 57);
  xf_sql_close(&sql);
  assert_ok(xf_sql_open(&sql, backup, false, NULL, &old, &diag), &diag);
  xf_sql_close(&sql);
  assert_rc(xf_sql_open(&sql, path, true, NULL, &old, &diag), XF_E_VERSION);
  st_dir_remove();
}

/* The same query inside its own walk gets a statement of its own. */
static void test_nested(void **state) {
  (void)state;
  static const char query[] = "SELECT x FROM a ORDER BY x";
  struct xf_sql sql;
  struct xf_sql_rows outer, inner;
  struct xf_diag diag;
  bool more = true;
  int64_t sum = 0;
  assert_ok(xf_sql_open(&sql, st_path(st_dir_new(), "t.db"), true, NULL, &old, &diag), &diag);
  assert_ok(xf_sql_run(&sql, &diag, "INSERT INTO a VALUES(1),(2),(3)", XF_SQL_ARGS()), &diag);
  assert_ok(xf_sql_query(&sql, &outer, &diag, query, XF_SQL_ARGS()), &diag);
  for (;;) {
    assert_ok(xf_sql_next(&sql, &outer, &more, &diag), &diag);
    if (!more) break;
    assert_ok(xf_sql_query(&sql, &inner, &diag, query, XF_SQL_ARGS()), &diag);
    for (;;) {
      assert_ok(xf_sql_next(&sql, &inner, &more, &diag), &diag);
      if (!more) break;
      sum += xf_sql_i64(&outer, 0) * xf_sql_i64(&inner, 0);
    }
    xf_sql_end(&inner);
  }
  xf_sql_end(&outer);
  xf_sql_end(&outer);
  assert_int_equal(sum, 36);
  xf_sql_close(&sql);
  xf_sql_close(&sql);
  st_dir_remove();
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_migration),
                                     cmocka_unit_test(test_nested)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
