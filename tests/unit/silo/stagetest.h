/* Silos of a recommender's plan and their coordinator in memory: directory, global vector, views, commits. */
#ifndef XF_TEST_SILO_STAGETEST_H
#define XF_TEST_SILO_STAGETEST_H

#include "resolve/global.h"
#include "silo/silo.h"

enum { STAGETEST_MAX = 4, STAGETEST_FLOATS = 1 << 15 };

struct stagetest_silo {
  const char *member;
  struct xf_silo *silo;
  struct xf_member_rows rows;      /* of each namespace: directory rows of its keys */
  uint32_t *told[XF_SPACES_MAX];   /* [manifest.n] holders */
  uint32_t *of_key[XF_SPACES_MAX]; /* [rows.n] local row of each known key, in key order */
  uint32_t *row, *local;           /* those of the first namespace */
  size_t n_row;
  float base[STAGETEST_FLOATS];
  float update[STAGETEST_FLOATS]; /* its last answer */
  size_t n_update;
  struct xf_silo_answer answer;
};

struct stagetest {
  struct xf_plan plan;
  struct stagetest_silo s[STAGETEST_MAX];
  size_t n;
  struct xf_spaces spaces;
  struct xf_directory directory[XF_SPACES_MAX];
  struct xf_global global;
  float *x; /* [global.n] the committed vector */
  uint64_t committed, round;
  void (*change)(struct xf_silo_config *config);
};

/* Plans: one gram of items; two stages of user rows, the second reads the first; a gram and a scorer that reads it; a gram,
   two rounds of rows, and a scorer that reads the gram. */
extern const char stagetest_gram[], stagetest_rows[], stagetest_scorer[], stagetest_both[];
/* One stage over categories; no silo has another's users or items. Item number n is of category c<n % 7>, of d<n % 4> when n is odd,
   number 0 of the silo's own one as well. */
extern const char stagetest_categories[];

/* Of plans with user keys: all silos have users u0-u11. */
extern bool stagetest_common_users;

/* Three silos. Of a gram: own users (8, 60, 60), items i0-i23, i8-i31, i4-i27; of rows: own items, users u0-u11, u4-u15,
   u2-u13; of both: those users and those items. `change` (may be NULL) may edit configurations. @own out: stagetest_deinit */
void stagetest_init(struct stagetest *out, const char *text, const char *sets,
                    void (*change)(struct xf_silo_config *config));
/* @own t */
void stagetest_deinit(struct stagetest *t);
/* Another silo like silo i with the same data, not aligned. @own caller: xf_silo_free */
struct xf_silo *stagetest_again(struct stagetest *t, size_t i, const char *member);
/* A silo that comes after the freeze: users u1-u12; the fourth. */
void stagetest_late(struct stagetest *t);
/* What the task moves down to silo i, into its base. @unit floats */
size_t stagetest_view(struct stagetest *t, size_t i, enum xf_task_kind kind, uint32_t stage);
/* Tells a silo what silo i was told. @err as xf_silo_align */
enum xf_rc stagetest_align(struct stagetest *t, size_t i, struct xf_silo *silo,
                           struct xf_diag *diag);
/* The next task of silo i; base as stagetest_view made it. @own borrows t */
struct xf_silo_task stagetest_task(struct stagetest *t, size_t i, enum xf_task_kind kind);
/* Silo i answers the next commit's task; fails the test on an error. */
void stagetest_work(struct stagetest *t, size_t i);
/* All of the first three answer, the coordinator commits, they hear of it. */
void stagetest_commit(struct stagetest *t);
/* The same with the first n of them only. */
void stagetest_commit_of(struct stagetest *t, size_t n);

#endif
