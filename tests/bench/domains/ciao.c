/* Eight Ciao categories. */
#include "domains.h"

#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { D = 8 };
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

static enum xf_rc print(double seconds, struct xf_diag *diag) {
  static const enum arm PLAIN[] = {POPULARITY, ALONE, POOLED}, LOCALS[] = {LOCAL},
                        TIMED[] = {POPULARITY, ALONE_TIME, POOLED};
  print_table(domains, D, N_ARM, "ciao");
  print_buckets(domains, D, N_ARM);
  enum xf_rc rc = print_paired(domains, D, GUARDED, LOCALS, 1, diag);
  if (!rc) rc = print_paired(domains, D, GUARDED, PLAIN, 3, diag);
  if (!rc) rc = print_paired(domains, D, ROWS_ONLY, PLAIN, 3, diag);
  if (!rc) rc = print_paired(domains, D, GUARDED_TIME, TIMED, 3, diag);
  printf("%.1f s\n", seconds);
  return rc;
}

enum xf_rc ciao(struct xf_worker *pool, bool verbose, struct xf_diag *diag) {
  const struct xf_time from = xf_time_now();
  enum xf_rc rc = load(diag);
  for (uint32_t k = 0; !rc && k < D; k++) rc = domain_fit(&domains[k], pool, diag);
  if (!rc) rc = domain_federate(domains, D, n_global, pool, diag);
  for (int k = 0; !rc && k < D; k++) {
    rc = domain_measure(&domains[k], N_ARM, diag);
    if (!rc && verbose) rc = domain_report(&domains[k], diag);
  }
  if (!rc) rc = print(xf_time_diff_s(xf_time_now(), from), diag);
  for (int k = 0; k < D; k++) domain_deinit(&domains[k]);
  return rc;
}
