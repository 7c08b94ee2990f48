/*
 * strategy.h - what the coordinator does with the mean of a round's updates, as one table.
 *
 * Every strategy of this version is the fold of fold.h with its own server rate and optimiser:
 *   fedavg    rate lr, any optimiser of serveropt.h
 *   reptile   uniform weights; rate eps (1 - t/T) at commit t of T (a linear schedule): batched Reptile is FedAvg with
 *             client = task and a server rate that falls to 0
 * Bias correction multiplies the rate of commit t, counted from 0, by sqrt(1 - b2^(t+1)) / (1 - b1^(t+1)): not in the paper, but
 * in the frameworks whose figures are often quoted. Texts are those of the plan. A void round changes nothing, so t counts commits.
 *
 * Not for: rows on the client (pull.h), local training (train).
 * Thread: any. Owner: constant data.
 * @source McMahan et al. 2017; Nichol, Achiam, Schulman 2018 (Reptile),
 * section 2 and algorithm 2
 */
#ifndef XF_FED_STRATEGY_H
#define XF_FED_STRATEGY_H

#include "base/diag.h"
#include "fed/schedule.h"
#include "fed/serveropt.h"
#include "fed/weight.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum xf_strategy_kind { XF_STRATEGY_FEDAVG, XF_STRATEGY_REPTILE };

/* A row of the table. */
struct xf_strategy_entry {
  const char *name;
  bool uniform_only; /* weights must be uniform */
  bool any_server;   /* every server optimiser; false: sgd only */
  const char *help;
};

struct xf_strategy {
  enum xf_strategy_kind kind;
  struct xf_server_step server; /* eta: server rate; Reptile: epsilon at the first commit */
  bool bias_correction;         /* adam, yogi */
  struct xf_schedule schedule;  /* of the rate */
};

/* The table, by kind; NULL behind the last. @own static */
const struct xf_strategy_entry *xf_strategy_find(size_t kind);
/* Numbers in range and what combines. @err E_RANGE E_UNSUPPORTED */
XF_WARN_UNUSED enum xf_rc xf_strategy_check(const struct xf_strategy *strategy,
                                            enum xf_weight_rule weighting, struct xf_diag *diag);
/* What the fold of commit t does, counted from 0, of a checked strategy. @thread any */
struct xf_server_step xf_strategy_get(const struct xf_strategy *strategy, uint32_t commit);

#endif
