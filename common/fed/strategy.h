/*
 * strategy.h - what the coordinator does with the mean of a round's updates, as one table.
 *
 * Every strategy of this version is the fold of fold.h with its own server rate and momentum:
 *   fedavg    rate lr; with server momentum v = m v + mean, new = old + lr v
 *   reptile   uniform weights; rate eps (1 - t/T) at commit t of T (a linear schedule): batched Reptile is FedAvg with
 *             client = task and a server rate that falls to 0
 * Texts are those of the plan. A void round changes nothing, so t counts commits.
 *
 * Not for: rows on the client (pull.h), local training (train).
 * Thread: any. Owner: constant data.
 * @source McMahan et al. 2017; Hsu et al. 2019 (FedAvgM); Nichol, Achiam, Schulman 2018 (Reptile),
 * section 2 and algorithm 2
 */
#ifndef XF_FED_STRATEGY_H
#define XF_FED_STRATEGY_H

#include "base/diag.h"
#include "fed/schedule.h"
#include "fed/weight.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum xf_strategy_kind { XF_STRATEGY_FEDAVG, XF_STRATEGY_REPTILE };
enum xf_strategy_server { XF_STRATEGY_SGD, XF_STRATEGY_MOMENTUM };

/* A row of the table. */
struct xf_strategy_entry {
  const char *name;
  bool uniform_only; /* weights must be uniform */
  bool momentum;     /* server momentum is allowed */
  const char *help;
};

struct xf_strategy {
  enum xf_strategy_kind kind;
  enum xf_strategy_server server;
  double lr;                   /* server rate; Reptile: epsilon at the first commit */
  double momentum;             /* of XF_STRATEGY_MOMENTUM, in [0, 1) */
  struct xf_schedule schedule; /* of lr */
};

/* What a fold needs (xf_fold_job). */
struct xf_strategy_step {
  double eta, mu;
  bool momentum; /* there is a state vector */
};

/* The table, by kind; NULL behind the last. @own static */
const struct xf_strategy_entry *xf_strategy_find(size_t kind);
/* Numbers in range and what combines. @err E_RANGE E_UNSUPPORTED */
XF_WARN_UNUSED enum xf_rc xf_strategy_check(const struct xf_strategy *strategy,
                                            enum xf_weight_rule weighting, struct xf_diag *diag);
/* Rate and momentum of commit t, counted from 0, of a checked strategy. @thread any */
struct xf_strategy_step xf_strategy_get(const struct xf_strategy *strategy, uint32_t commit);

#endif
