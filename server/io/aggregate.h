/*
 * aggregate.h - a closed round computed from the spool: the next model, or an evaluation's sums.
 *
 * Not for: which updates count (the core's frozen list says). Owner: the caller embeds the struct. Thread: init, give and deinit on
 * the loop, run on a worker.
 */
#ifndef XF_SERVER_IO_AGGREGATE_H
#define XF_SERVER_IO_AGGREGATE_H

#include "server/io/state.h"

struct srv_part {
  uint32_t member;
  uint64_t weight, staleness;
  char file[XF_SPOOL_NAME_MAX];
};
struct srv_agg {
  const struct srv_state *st; /* what the worker reads of it does not change meanwhile */
  const atomic_bool *cancel;
  uint64_t round, committed;
  enum xf_task_kind kind;
  char base[XF_PATH_MAX];
  struct xf_digest base_digest;
  struct srv_part *part;
  size_t n_part;
  uint64_t n_listed; /* members, when the round opened */
  /* results */
  float *global, *state[XF_SERVER_STATES];
  uint64_t n;
  struct xf_digest model;
  struct srv_drift drift;
  struct xf_buf metrics;
  double figure; /* of an evaluation, for early_stop */
};
struct srv_frozen { /* a closed round's list */
  const uint32_t *member;
  const uint64_t *weight;
  const struct xf_digest *task;
  const uint64_t *staleness; /* NULL: nobody asks for it */
  size_t n;
};
/* Prepares on the loop thread. @own copies the list */
void srv_agg_init(struct srv_agg *a, const struct srv_state *st, uint64_t round,
                  enum xf_task_kind kind, const struct srv_frozen *list);
/* Computes: the new global vector and its digest, or the sums of an evaluation. */
XF_WARN_UNUSED enum xf_rc srv_agg_run(struct srv_agg *a, struct xf_diag *diag);
/* Hands the results over to st->next. */
void srv_agg_give(struct srv_agg *a, struct srv_state *st);
void srv_agg_deinit(struct srv_agg *a);

#endif
