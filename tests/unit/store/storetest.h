/*
 * storetest.h - what the tests of store share: scratch directories, digests, a small model, a whole run.
 * Not for: other modules. Owner: the test. Thread: one.
 */
#ifndef XF_TESTS_STORETEST_H
#define XF_TESTS_STORETEST_H

#include "base/fs.h"
#include "param/layout.h"
#include "store/checkpoint.h"
#include "store/ledger_read.h"
#include "store/spool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* A fresh directory below $TMPDIR or /tmp; the path is static until the next call. */
const char *st_dir_new(void);
/* Removes it with everything in it. */
void st_dir_remove(void);
/* "<dir>/<name>", one of eight rotating buffers. */
const char *st_path(const char *dir, const char *name);
/* A digest made of one number. */
struct xf_digest st_digest(uint64_t n);

/* shared "w" [3,4], aligned:user "u" [5,2], domain "d" [7,1], shared "b" [4,1]: 26 global floats. */
enum { ST_FLOATS = 3 * 4 + 4 + 5 * 2 };
void st_layout(struct xf_layout *out);
void st_model(float out[ST_FLOATS], uint64_t seed);

#define assert_rc(expr, want)                                                                    \
  do {                                                                                           \
    enum xf_rc st_rc = (expr);                                                                   \
    if (st_rc != (want))                                                                         \
      fail_msg("%s: %s, expected %s", #expr, xf_rc_name(st_rc), xf_rc_name((enum xf_rc)(want))); \
  } while (0)
#define assert_ok(expr, diag)                                                                 \
  do {                                                                                        \
    enum xf_rc st_rc = (expr);                                                                \
    if (st_rc) fail_msg("%s: %s: %s", #expr, xf_rc_name(st_rc), xf_diag_text((diag), st_rc)); \
  } while (0)

/* --- a coordinator's state directory, filled step by step --- */

enum { ST_MEMBERS = 3 };
extern const char *const st_member[ST_MEMBERS]; /* "a", "b", "c" */
struct st_run {
  const struct xf_fs *fs;
  const char *vfs;
  char dir[XF_PATH_MAX];
  struct xf_ledger *l;
  struct xf_spool spool;
  struct xf_layout layout;
  struct xf_digest plan, base;
  float model[ST_FLOATS];
  uint64_t round;
  struct xf_diag diag;
};
/* Directories, ledger, run "run-1", members, model 0. */
void st_run_start(struct st_run *r, const struct xf_fs *fs, const char *vfs, const char *dir);
/* Opens it again after a stop or crash (epoch goes up). */
void st_run_again(struct st_run *r, uint64_t *epoch);
void st_run_stop(struct st_run *r);
struct xf_digest st_task(uint64_t round, const char *member);
/* Opens the next round of a kind with every member. */
void st_round_open(struct st_run *r, enum xf_ledger_kind kind);
/* The payload that a member sends in a round. */
void st_payload(float out[ST_FLOATS], uint64_t round, const char *member);
/* Spools and accepts a member's update. */
enum xf_rc st_update(struct st_run *r, const char *member);
void st_update_fill(struct xf_ledger_update *u, uint64_t round, const char *member);
/* CLOSING, aggregation by st_fold_step, COMMITTING, checkpoint, commit: with all three members. */
void st_round_commit(struct st_run *r);
void st_closing(struct st_run *r);
/* acc/W of three weights 1, 2, 3 added to the model, as decision 1 has it. */
void st_fold(float model[ST_FLOATS], uint64_t round);

#endif
