/*
 * serveropt.h - server optimisers: how the mean D of a round's updates moves the global vector w.
 *
 *   sgd       w += eta D
 *   momentum  m = b1 m + D;  w += eta m
 *   nesterov  m = b1 m + D;  w += eta (D + b1 m)
 *   adagrad   m = b1 m + (1 - b1) D;  v += D^2;  w += eta m / (sqrt v + tau)
 *   adam      m as adagrad;  v = b2 v + (1 - b2) D^2;  w as adagrad
 *   yogi      m as adagrad;  v -= (1 - b2) D^2 sign(v - D^2);  w as adagrad
 *
 * Rules in files of their own (param/serverrules.h, serverrule.h) come after these.
 *
 * tau stands outside the root. Before a stage's first commit m = 0 and v = v0. Sums are made in double, m and v kept as
 * float. A row without a reporting holder keeps w, m and v; a round that is abandoned keeps all of them.
 * Not for: the rate over the rounds and its bias correction (strategy.h), the sums (fold.h).
 * Owner: nobody. Thread: any. Deterministic: the same bits on every CPU, given the same rate eta
 * (which the cosine schedule takes from libm: schedule.h).
 * @source Hsu, Qi, Brown 2019, sec. 3 (FedAvgM); Reddi et al. 2021, "Adaptive Federated Optimization", algorithm 2
 * (FedAdagrad, FedYogi, FedAdam)
 */
#ifndef XF_FED_SERVEROPT_H
#define XF_FED_SERVEROPT_H

#include "param/serverrules.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(enumerator, text of the plan) */
#define XF_SERVER_LIST(X)           \
  X(XF_SERVER_SGD, "sgd")           \
  X(XF_SERVER_MOMENTUM, "momentum") \
  X(XF_SERVER_ADAM, "adam")         \
  X(XF_SERVER_YOGI, "yogi")         \
  X(XF_SERVER_ADAGRAD, "adagrad")   \
  X(XF_SERVER_NESTEROV, "nesterov")

#define XF_SERVER_ENUM(value, text) value,
#define XF_SERVER_RULE_ENUM(name, text) XF_SERVER_##name,
enum xf_server_kind {
  XF_SERVER_LIST(XF_SERVER_ENUM) XF_SERVER_RULES(XF_SERVER_RULE_ENUM) XF_SERVER_N_KIND
};
#undef XF_SERVER_ENUM
#undef XF_SERVER_RULE_ENUM
enum { XF_SERVER_N_BUILTIN = XF_SERVER_NESTEROV + 1 };

enum { XF_SERVER_STATES = 2 }; /* m, v */

/* One commit. */
struct xf_server_step {
  enum xf_server_kind kind;
  bool first; /* m and v start here */
  double eta; /* rate of this commit, bias correction included */
  double b1;  /* server momentum */
  double b2, tau, v0;
};

/* What one call works on. */
struct xf_server_part {
  const double *acc; /* weighted sums */
  double weight;     /* their divisor */
  const float *old_value;
  float *state[XF_SERVER_STATES]; /* in and out; the first xf_server_states are there */
  float *new_value;
};

/* Vectors that an optimiser keeps between commits: 0, m alone, or m and v. @unit vectors */
uint32_t xf_server_states(enum xf_server_kind kind);
/* b1, b2 in [0, 1), tau > 0, v0 >= 0, eta finite, as far as the kind reads them. @thread any */
bool xf_server_in_range(const struct xf_server_step *step);
/* m = 0 or v = v0. @shape out[n] */
void xf_server_start(const struct xf_server_step *step, uint32_t state, float *out, size_t n);
/* The step of n coordinates by an optimiser other than sgd and momentum, whose loops are foldkern.h's. Adds D^2 of coordinate
   j to lane[j % 8]; false when a new value, m or v is not finite.
   @shape lane[8], the arrays of part [n] */
bool xf_server_apply(const struct xf_server_step *step, const struct xf_server_part *part,
                     double *lane, size_t n);

#endif
