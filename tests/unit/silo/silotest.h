/* A small federation in memory for the unit tests of silo: plan, silos over generated data, directory, global vector. */
#ifndef XF_TEST_SILO_SILOTEST_H
#define XF_TEST_SILO_SILOTEST_H

#include "resolve/global.h"
#include "silo/silo.h"

enum { SILOTEST_MAX = 3, SILOTEST_FLOATS = 4096 };

struct silotest {
  struct xf_plan plan;
  struct xf_silo *silo[SILOTEST_MAX];
  uint32_t *row[SILOTEST_MAX]; /* [n_row] directory rows of the keys that it knows */
  size_t n_row[SILOTEST_MAX];
  size_t n;
  struct xf_directory directory;
  struct xf_global global;
  float x[SILOTEST_FLOATS];                  /* checkpoint 0 */
  float base[SILOTEST_MAX][SILOTEST_FLOATS]; /* each silo's view of it */
  struct xf_silo_answer answer;
};

extern const char silotest_mf[], silotest_table[];

/* Loads a plan; `sets` are separated by spaces. Fails the test when it is refused. @own out */
void silotest_plan(struct xf_plan *out, const char *text, const char *sets);
/* Events of users u<first> .. u<last>, or a table, of a member. @own out */
void silotest_data(struct xf_dataset *out, const struct xf_plan *plan, const char *member,
                   uint32_t first, uint32_t last);
/* A silo's configuration as the plan alone has it, no alignment yet. @own borrows plan, data */
struct xf_silo_config silotest_config(const struct xf_plan *plan, const char *member,
                                      struct xf_dataset *data);
/* Two silos with users 0-7 and 5-12, aligned and with checkpoint 0. `change` (may be NULL) may edit configurations.
   @own out: silotest_deinit */
void silotest_init(struct silotest *out, const char *text, const char *sets,
                   void (*change)(struct xf_silo_config *config));
/* @own t */
void silotest_deinit(struct silotest *t);
/* A training task of a round for silo i; committed = round - 1. @own borrows t */
struct xf_silo_task silotest_task(const struct silotest *t, size_t i, uint64_t round);
/* Works it; fails the test on an error. The answer is in t. */
void silotest_work(struct silotest *t, size_t i, uint64_t round);

#endif
