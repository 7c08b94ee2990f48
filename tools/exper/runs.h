/*
 * runs.h - finished runs read back from their directories, and grouped: runs whose plans differ in the seed alone are one setting.
 *
 * A figure is named by metric (the key in metrics.jsonl), split and arm. The curve is the lines of scope global; a client's figure
 * is its last line. Value: the end of the curve, or, of an arm without one, the plain mean over clients.
 * Not for: what a run decided about domains (report, the simulator's table). Owner: the caller. Thread: one at a time.
 */
#ifndef XF_EXPER_RUNS_H
#define XF_EXPER_RUNS_H

#include "base/diag.h"
#include "base/fs.h"
#include "tools/exper/setting.h"
#include "tools/exper/stats.h"

#include <stdint.h>

enum { XF_EXPER_KEY = 64, XF_EXPER_LABEL = 256, XF_EXPER_RUNS = 10000 };

struct xf_exper_query {
  const char
      *metric; /* "acc", "ndcg_10_full"; NULL: the first NDCG, else the first of the first run */
  const char *split; /* train, valid, test */
  const char *arm;   /* NULL: guarded of a plan that recommends, else federated */
};

struct xf_exper_run {
  char dir[XF_PATH_MAX];
  uint64_t seed;
  struct xf_setting setting;
  struct xf_curve_point *curve;
  size_t n_curve;
  double *client; /* one figure each */
  size_t n_client;
  double value;           /* NaN: none */
  double cost[XF_N_COST]; /* of the whole run; NaN: not known */
  size_t group;
};

struct xf_exper_group {
  char label[XF_EXPER_LABEL];
  size_t first, n; /* of run */
};

/* Runs by group, in each by seed; groups in the order given. */
struct xf_exper {
  struct xf_exper_run *run;
  size_t n;
  struct xf_exper_group *group;
  size_t n_group;
  char metric[XF_EXPER_KEY], split[16], arm[XF_EXPER_KEY];
  bool up; /* a larger value is better */
};

/* Reads run directories; a sweep's directory stands for its finished runs. A run without the figure has value NaN; when no run has
   it, that is an error which names what there is.
   @own out: xf_exper_deinit @err E_NOTFOUND E_FORMAT E_EXISTS (same plan and seed twice) E_LIMIT E_STATE (unfinished) */
XF_WARN_UNUSED enum xf_rc xf_exper_read(struct xf_exper *out, const char *const *dir, size_t n,
                                        const struct xf_exper_query *query, struct xf_diag *diag);
/* Releases; idempotent. @own exper */
void xf_exper_deinit(struct xf_exper *exper);
/* Which way a metric is better, by its key: "logloss" down. @err E_UNSUPPORTED (unknown name) */
XF_WARN_UNUSED enum xf_rc xf_exper_direction(bool *up, const char *key, struct xf_diag *diag);
/* Mean, deviation and count of one number over a group's runs; those without it are left out. @unit of pick */
struct xf_exper_mean {
  double mean, sd;
  size_t n;
};
struct xf_exper_mean xf_exper_over(const struct xf_exper *exper, size_t group,
                                   double (*pick)(const struct xf_exper *exper,
                                                  const struct xf_exper_run *run, const void *arg),
                                   const void *arg);

#endif
