/* Eight Ciao categories: 16 rounds of two pulls (weak a .01 kappa .25, strong a .02 kappa .5), 6 sweeps of exact sums. */
#include "domains.h"

#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { D = 8, DIM = 96, ROUNDS = 16, SWEEPS = 6, MIN_HOLDERS = 2, N_JOINT = 3 };
static const char *const NAME[N_JOINT] = {"weak", "strong", "pooled"};
static const struct {
  const char *name;
  uint64_t n_test;
} DOMAIN[D] = {{"1", 1313}, {"2", 513}, {"3", 866},   {"4", 543},
               {"5", 570},  {"6", 684}, {"10", 1627}, {"12", 789}};

static struct domain domains[D];
static uint32_t n_global;

static enum xf_rc load(struct xf_diag *diag) {
  static const struct xf_interactions_spec COLUMNS = {
      .user = 1, .item = 2, .domain = 3, .value = 4, .time = 6};
  static const struct xf_split_spec SPLIT = {.kind = XF_SPLIT_LEAVE_ONE_OUT, .min = 5};
  struct xf_interactions all;
  const char *root = getenv("CROSSFED_DATA");
  char path[4096];
  (void)snprintf(path, sizeof path, "%s/ciao/rating.tsv.gz", root ? root : "../shared/data");
  enum xf_rc rc = xf_interactions_load(&all, path, &COLUMNS, diag);
  n_global = all.users.n;
  for (int k = 0; !rc && k < D; k++) {
    struct domain *d = &domains[k];
    d->name = DOMAIN[k].name;
    rc = xf_interactions_select(&d->inter, &all, all.domain,
                                xf_names_find(&all.domains, d->name, strlen(d->name)));
    if (!rc) rc = xf_split_init(&d->split, &d->inter, &SPLIT, NULL, diag);
    if (!rc && d->split.count.n_users[XF_PART_TEST] != DOMAIN[k].n_test)
      rc = xf_diag_set(diag, XF_E_SHAPE, "category %s: %llu test users, expected %llu", d->name,
                       (unsigned long long)d->split.count.n_users[XF_PART_TEST],
                       (unsigned long long)DOMAIN[k].n_test);
    if (rc) break;
    domain_users(d, &all.users);
  }
  xf_interactions_deinit(&all);
  return rc;
}

/* Two pulls and the exact sums, for all domains. */
static enum xf_rc federate(struct xf_joint joint[N_JOINT], struct xf_worker *pool,
                           struct xf_diag *diag) {
  static const struct xf_joint_spec SPEC[N_JOINT] = {
      {{.dim = DIM, .w = {.01, .3, .5}}, .25f, ROUNDS, MIN_HOLDERS},
      {{.dim = DIM, .w = {.02, .3, .5}}, .5f, ROUNDS, MIN_HOLDERS},
      {{.dim = DIM, .w = {.01, .3, .5}}, 0, SWEEPS, MIN_HOLDERS}};
  struct xf_joint_domain in[D];
  enum xf_rc rc = XF_OK;
  for (int k = 0; k < D; k++) in[k] = (struct xf_joint_domain){&domains[k].data, domains[k].global};
  for (int p = 0; !rc && p < N_JOINT - 1; p++)
    rc = xf_joint_pull(&joint[p], in, D, n_global, &SPEC[p], pool, diag);
  return rc ? rc
            : xf_joint_sums(&joint[N_JOINT - 1], in, D, n_global, &SPEC[N_JOINT - 1], pool, diag);
}

static enum xf_rc print(const struct xf_joint joint[N_JOINT], double fitted, double whole,
                        struct xf_diag *diag) {
  static const enum arm PLAIN[] = {POPULARITY, ALONE, POOLED},
                        TIMED[] = {POPULARITY, ALONE_TIME, POOLED};
  printf("%s; dim %d pulls, negatives that occur in train, seed 0 of the models\n",
         final_run ? "TEST (FINAL=1), mean of 3 draws of negatives"
                   : "validation by halves, one draw of negatives",
         DIM);
  print_table(domains, D, N_ARM, "ciao");
  print_buckets(domains, D, N_ARM);
  enum xf_rc rc = print_paired(domains, D, GUARDED, PLAIN, 3, diag);
  if (!rc) rc = print_paired(domains, D, ROWS_ONLY, PLAIN, 3, diag);
  if (!rc) rc = print_paired(domains, D, GUARDED_TIME, TIMED, 3, diag);
  for (int p = 0; p < N_JOINT; p++) {
    uint64_t bytes = 0;
    for (int k = 0; k < D; k++) bytes += joint[p].bytes[k];
    printf("%s: all domains send %.1f MB and get as much back; %.1f s\n", NAME[p],
           (double)bytes / 1e6, joint[p].seconds);
  }
  printf("all fits %.1f s, whole %.1f s\n", fitted, whole);
  return rc;
}

enum xf_rc ciao(struct xf_worker *pool, bool verbose, struct xf_diag *diag) {
  const struct xf_time from = xf_time_now();
  struct xf_joint joint[N_JOINT] = {{0}};
  enum xf_rc rc = load(diag);
  if (!rc) rc = federate(joint, pool, diag);
  for (uint32_t k = 0; !rc && k < D; k++)
    rc = domain_fit(&domains[k], k, joint, NAME, N_JOINT, pool, diag);
  const double fitted = xf_time_diff_s(xf_time_now(), from);
  for (int k = 0; !rc && k < D; k++) {
    rc = domain_measure(&domains[k], &domains[k].split, N_ARM, diag);
    if (!rc && verbose) rc = domain_report(&domains[k], diag);
  }
  if (!rc) rc = print(joint, fitted, xf_time_diff_s(xf_time_now(), from), diag);
  for (int p = 0; p < N_JOINT; p++) xf_joint_deinit(&joint[p]);
  for (int k = 0; k < D; k++) domain_deinit(&domains[k]);
  return rc;
}
