/*
 * pf.h - between the files of the PFedRec table: the protocol's data, and the three federated methods that it compares.
 * Functions of type int print what went wrong and return the exit status: 0, 1, or 77 without the data.
 * Owner: the program. Thread: main.
 */
#ifndef XF_TESTS_BENCH_PF_H
#define XF_TESTS_BENCH_PF_H

#include "base/diag.h"
#include "base/rng.h"
#include "data/interactions.h"
#include "data/split.h"

enum { PF_DIM = 32, PF_NEG = 99, PF_BATCH = 256, PF_PER_POSITIVE = 4, PF_VALID = 0, PF_TEST = 1 };

struct pf_data {
  struct xf_interactions inter;
  uint32_t n_users, n_items;
  struct xf_csr train, all; /* a user's items: without and with the two held out */
  uint32_t *held[2];        /* [n_users] of validation and test */
  uint32_t *negative[2];    /* [n_users][PF_NEG] drawn once per seed */
  struct xf_diag diag;
};

/* MovieLens-100K: one client per user, the latest event is test, the one before it validation. @own d @err exit status */
int pf_load(struct pf_data *d);
/* Draws 198 items a user never touched: the first 99 for validation, the others for test. @own d */
void pf_draw(struct pf_data *d, uint64_t seed);
/* Releases. @own d */
void pf_free(struct pf_data *d);
/* Items above the held-out one among its 99 negatives, ties against it. score[0] is the held-out item's. @unit rank from 0 */
uint32_t pf_rank(const float score[PF_NEG + 1]);

enum pf_kind { PF_FEDMF, PF_FEDNCF, PF_PFEDREC };

struct pf_spec {
  enum pf_kind kind;
  bool leaky;      /* training negatives avoid the held-out items too, as PFedRec's code does */
  float rate, eta; /* SGD; items at rate x eta */
  float spread;    /* deviation of the first item rows */
  uint32_t rounds;
  uint64_t seed;
};

struct pf_result {
  uint32_t round;            /* with the best validation HR@10 */
  double valid_hr, hr, ndcg; /* validation there, test there */
  float *per_user;           /* [n_users] test HR there, the caller's, or NULL */
};

/* Runs a method: all clients in each round, one local epoch, plain mean of what is shared. @own out->per_user stays the caller's */
void pf_run(struct pf_result *out, const struct pf_data *d, const struct pf_spec *spec);

/* What a client holds while it trains: item rows and, for FedNCF, the network are the federation's; the rest is its own. */
enum { PF_H1 = 32, PF_H2 = 16, PF_H3 = 8 };
struct pf_net { /* FedNCF's perceptron on (user row, item row) */
  float w1[PF_H1][2 * PF_DIM], b1[PF_H1], w2[PF_H2][PF_H1], b2[PF_H2], w3[PF_H3][PF_H2], b3[PF_H3];
  float w4[PF_H3], b4;
};
struct pf_own {
  float u[PF_DIM], bias; /* user row (FedMF, FedNCF), or score head (PFedRec) */
};

/* Probability's logit. @shape item[PF_DIM] */
float pf_logit(enum pf_kind kind, const struct pf_own *own, const struct pf_net *net,
               const float *item);
/* One SGD step on the mean cross-entropy of a batch. PFedRec steps the head first and the items with the new head.
   @shape items[n_items][PF_DIM], id[n], label[n], n at most PF_BATCH */
void pf_step(const struct pf_spec *spec, struct pf_own *own, struct pf_net *net, float *items,
             const uint32_t *id, const float *label, uint32_t n, float item_rate);

#endif
