/*
 * domains.h - tables of domains with common users: arms of the decision, measured on test, or on validation by halves.
 *
 * Without FINAL=1 no test label is read: each half of the validation users is measured with the guard that the other half
 * chose, so that a guard's own optimism is not in the table. FINAL=1: the guard has all validation users, the test part is
 * measured. Negatives are drawn from items that occur in train.
 */
#ifndef TESTS_BENCH_DOMAINS_H
#define TESTS_BENCH_DOMAINS_H

#include "base/worker.h"
#include "rec/joint.h"
#include "rec/recommender.h"

enum arm {
  POPULARITY,
  LOCAL, /* the tuned local ALS alone: the floor's "local" */
  ALONE,
  POOLED,
  FEDERATED,
  GUARDED,
  ROWS_ONLY,
  ALONE_TIME,
  GUARDED_TIME,
  ROWS_TIME,
  N_ARM
};
struct domain {
  const char *name;
  struct xf_interactions inter;
  struct xf_split split;
  struct xf_rec_data data;
  uint32_t *global; /* [n_users] */
  uint64_t *key;
  bool *judge, *tested; /* [n_users] whose validation, test event counts; NULL: all */
  struct xf_recommender *rec;
  uint64_t bytes;                 /* sent */
  float *hr[N_ARM], *ndcg[N_ARM]; /* [n_users] mean over the draws of negatives; NaN: not judged */
  double valid[N_ARM];            /* the guard's figure on the users that chose */
  char report[4096];              /* the guards' words */
};

extern const char *const domain_arm[N_ARM];
extern bool final_run;
/* How mixes get pulled models without split A (main.c). */
extern enum inner { INNER_TWO, INNER_LOCAL, INNER_NONE } domain_inner;

/* Data view, and the users' numbers among all domains' names. */
void domain_users(struct domain *d, const struct xf_names *all);
void domain_deinit(struct domain *d);
/* Tunes and fits the local candidates. */
enum xf_rc domain_fit(struct domain *d, struct xf_worker *pool, struct xf_diag *diag);
/* Two pulls and exact sums of all domains as candidates "weak", "strong", "pooled". Their a is agreed from the domains' tuned
   local ones (geometric mean, doubled for the strong pull), so are rho and dim; nothing is set per data set. */
enum xf_rc domain_federate(struct domain *domain, uint32_t n, uint32_t n_global,
                           struct xf_worker *pool, struct xf_diag *diag);
/* The first n_arm arms, and the recommender's own decision. */
enum xf_rc domain_measure(struct domain *d, uint32_t n_arm, struct xf_diag *diag);
/* The transfer report, and what each arm's guard took. */
enum xf_rc domain_report(struct domain *d, struct xf_diag *diag);

void print_table(const struct domain *domain, uint32_t n, uint32_t n_arm, const char *bench);
void print_buckets(const struct domain *domain, uint32_t n, uint32_t n_arm);
/* NDCG of an arm against the strongest rival of each domain on validation: differences, Holm over domains, verdict
   (decision 40). */
enum xf_rc print_paired(const struct domain *domain, uint32_t n, enum arm arm,
                        const enum arm *rival, uint32_t n_rival, struct xf_diag *diag);

/* The programs; 77: no data. */
enum xf_rc ciao(struct xf_worker *pool, bool verbose, struct xf_diag *diag);
enum xf_rc amazon(struct xf_worker *pool, bool verbose, bool clean, struct xf_diag *diag);

#endif
