/* The domains' rounds of user rows. */
#include "domains.h"

#include "base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DIM = 128, SUMS_DIM = 96, ROUNDS = 16, SWEEPS = 6, MIN_HOLDERS = 2, N_JOINT = 3 };
enum { LOCAL_SWEEPS = 6 }; /* as silos do (SILO_ROWS_WHOLE) */
enum inner domain_inner;
static const char *const NAME[N_JOINT] = {"weak", "strong", "pooled"};

/* The settings all domains use: from their own tuned ones, geometric means. */
static void agree(const struct domain *domain, uint32_t n, struct xf_joint_spec spec[N_JOINT]) {
  double a = 0, rho = 0;
  for (uint32_t k = 0; k < n; k++) {
    const struct xf_recommender_candidate *als = xf_recommender_find(domain[k].rec, "als");
    a += log(als->als.a) / n;
    rho += log(als->als.rho) / n;
  }
  const struct xf_als_weight weak = {exp(a), exp(rho), .5}, strong = {2 * exp(a), exp(rho), .5};
  spec[0] = (struct xf_joint_spec){{.dim = DIM, .w = weak}, .25f, ROUNDS, MIN_HOLDERS};
  spec[1] = (struct xf_joint_spec){{.dim = DIM, .w = strong}, .5f, ROUNDS, MIN_HOLDERS};
  spec[2] = (struct xf_joint_spec){{.dim = SUMS_DIM, .w = weak}, 0, SWEEPS, MIN_HOLDERS};
}

static const struct xf_als_pull *pull_of(const struct xf_joint *joint, uint32_t k) {
  return joint->pull[k].target ? &joint->pull[k] : NULL;
}

/* A domain's whole train part, from the rows and items that an exchange without split A left, towards its last targets. */
static enum xf_rc local_sweeps(struct xf_als *als, struct xf_als_pull *pull,
                               const struct xf_als *from, const struct xf_als_pull *last,
                               struct xf_diag *diag) {
  const size_t d = als->spec.dim, n_p = als->n_users * d, n_q = als->n_items * d;
  enum xf_rc rc = XF_OK;
  memcpy(als->p, from->p, n_p * sizeof *als->p);
  memcpy(als->q, from->q, n_q * sizeof *als->q);
  memcpy((float *)(uintptr_t)pull->target, last->target, n_p * sizeof *als->p);
  pull->kappa = last->kappa;
  for (int sweep = 0; !rc && sweep < LOCAL_SWEEPS; sweep++) {
    rc = xf_als_step_users(als, pull, diag);
    if (!rc) rc = xf_als_step_items(als, diag);
  }
  return rc ? rc : xf_als_step_users(als, pull, diag);
}

/* A pull of whole train parts, and one without split A that mixes learn from. */
static enum xf_rc one(struct domain *domain, uint32_t n, uint32_t n_global, const char *name,
                      const struct xf_joint_spec *spec, const struct xf_joint_domain *whole,
                      const struct xf_joint_domain *inner, struct xf_worker *pool,
                      struct xf_diag *diag) {
  const bool sums = spec->kappa == 0, none = sums || domain_inner == INNER_NONE;
  struct xf_joint joint = {0}, without = {0};
  uint64_t bytes = 0;
  enum xf_rc rc = sums ? xf_joint_sums(&joint, whole, n, n_global, spec, pool, diag)
                       : xf_joint_pull(&joint, whole, n, n_global, spec, pool, diag);
  if (!rc && !none) rc = xf_joint_pull(&without, inner, n, n_global, spec, pool, diag);
  for (uint32_t k = 0; !rc && !none && domain_inner == INNER_LOCAL && k < n; k++) {
    rc = local_sweeps(&joint.als[k], &joint.pull[k], &without.als[k], &without.pull[k], diag);
    joint.bytes[k] = 0; /* only its memory was wanted */
  }
  for (uint32_t k = 0; !rc && k < n; k++) {
    const struct xf_recommender_rows rows = {.name = name,
                                             .als = &joint.als[k],
                                             .pull = pull_of(&joint, k),
                                             .inner = none ? NULL : &without.als[k],
                                             .inner_pull = none ? NULL : pull_of(&without, k)};
    rc = xf_recommender_add_rows(domain[k].rec, &rows, diag);
    domain[k].bytes += joint.bytes[k] + (none ? 0 : without.bytes[k]);
    bytes += joint.bytes[k] + (none ? 0 : without.bytes[k]);
  }
  if (!rc)
    printf("%s: dim %u, a %.4f, rho %.2f, kappa %g; %u domains send %.1f MB and get as much back; "
           "%.1f s\n",
           name, spec->als.dim, spec->als.w.a, spec->als.w.rho, (double)spec->kappa, n,
           (double)bytes / 1e6, joint.seconds + without.seconds);
  xf_joint_deinit(&joint);
  xf_joint_deinit(&without);
  return rc;
}

enum xf_rc domain_federate(struct domain *domain, uint32_t n, uint32_t n_global,
                           struct xf_worker *pool, struct xf_diag *diag) {
  struct xf_joint_domain *whole = xf_calloc(n, sizeof *whole), *inner = xf_calloc(n, sizeof *inner);
  struct xf_rec_data *data = xf_calloc(n, sizeof *data);
  struct xf_joint_spec spec[N_JOINT];
  enum xf_rc rc = XF_OK;
  for (uint32_t k = 0; k < n; k++) {
    const struct xf_split *a = &domain[k].rec->inner;
    data[k] = (struct xf_rec_data){a->n_users, a->n_items, &a->part[XF_PART_TRAIN]};
    whole[k] = (struct xf_joint_domain){&domain[k].data, domain[k].global};
    inner[k] = (struct xf_joint_domain){&data[k], domain[k].global};
  }
  agree(domain, n, spec);
  for (int p = 0; !rc && p < N_JOINT; p++)
    rc = one(domain, n, n_global, NAME[p], &spec[p], whole, inner, pool, diag);
  for (uint32_t k = 0; !rc && k < n; k++) rc = xf_recommender_mix(domain[k].rec, diag);
  xf_free(whole);
  xf_free(inner);
  xf_free(data);
  return rc;
}
