/*
 * iotest.h - for the tests of server/io: a coordinator's state on a temporary directory, without a socket.
 * Owner: the test. Thread: one.
 */
#ifndef XF_TESTS_IOTEST_H
#define XF_TESTS_IOTEST_H

#include "server/io/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { IO_MEMBERS = 3 };

struct io {
  char dir[128];
  struct srv_config cfg;
  struct xf_coord_member member[IO_MEMBERS]; /* ann (books), bob (films), cyd (films) */
  struct srv_state st;
  struct srv_recovery recovery;
};

/* A shared model of 4 floats (logreg 3 -> 1) with server momentum; an aligned one (mf, 2 floats a row). */
extern const char *const io_plan_both;
extern const char *const io_plan_shared;
extern const char *const io_plan_aligned;

/* A fresh directory with the plan; the state is opened and recovered. */
void io_init(struct io *io, const char *plan);
/* As after a crash: what is in memory is gone; opens and recovers. */
void io_restart(struct io *io);
void io_close(struct io *io);
void io_deinit(struct io *io);
/* Writes the plan anew. */
void io_plan(struct io *io, const char *plan);

/* Opens a round for all members through its record. */
void io_round_open(struct io *io, uint64_t round, enum xf_task_kind kind);
/* A whole update of a member in the spool (not in the ledger); u gets what the silo announced. */
void io_spool(struct io *io, uint64_t round, uint32_t member, enum xf_task_kind kind,
              uint64_t weight, const void *p, size_t len, struct xf_msg_update_begin *u);
/* Its ledger row. */
void io_accept(struct io *io, uint64_t round, uint32_t member, enum xf_task_kind kind,
               const struct xf_msg_update_begin *u);
/* A record of `type` with these members and weights. */
enum xf_rc io_record(struct io *io, struct xf_coord_record *r);

#define assert_ok(expr, diag)                                                                 \
  do {                                                                                        \
    enum xf_rc io_rc = (expr);                                                                \
    if (io_rc) fail_msg("%s: %s, %s", #expr, xf_rc_name(io_rc), xf_diag_text((diag), io_rc)); \
  } while (0)
#define assert_rc(expr, want)                                                                    \
  do {                                                                                           \
    enum xf_rc io_rc = (expr);                                                                   \
    if (io_rc != (want))                                                                         \
      fail_msg("%s: %s, expected %s", #expr, xf_rc_name(io_rc), xf_rc_name((enum xf_rc)(want))); \
  } while (0)

#endif
