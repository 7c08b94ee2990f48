/*
 * past.h - the newest models by their digests: what a task of an older base starts from. Keeps nothing in synchronous plans.
 * Thread: one. Owner: the struct's, copies of what is put.
 */
#ifndef XF_TOOLS_SIM_PAST_H
#define XF_TOOLS_SIM_PAST_H

#include "tools/sim/sim.h"

struct sim_past {
  struct sim_past_model {
    struct xf_digest digest;
    float *x;
  } * model; /* [n], a ring */
  uint32_t n;
  uint64_t put;
  size_t len;
};

/* Room for as many as the plan lets updates be old, and one. @own caller: sim_past_deinit */
void sim_past_init(struct sim_past *past, const struct sim *sim);
/* A committed model; the oldest goes. @shape x[sim->global.n] */
void sim_past_put(struct sim_past *past, const struct xf_digest *digest, const float *x);
/* @own past; NULL: it is not there (any more) */
const float *sim_past_find(const struct sim_past *past, const struct xf_digest *digest);
/* @own past */
void sim_past_deinit(struct sim_past *past);

#endif
