/* The table of policies, and the cohort as the front of an order. */
#include "fed/selectpolicy.h"

#include "base/alloc.h"
#include "base/map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef void order_fn(uint32_t *order, const struct xf_select_policy *policy,
                      const struct xf_select_pool *pool, struct xf_rng *rng);

static order_fn *const orders[XF_SELECT_N_KIND] = {
    [XF_SELECT_STRATIFIED] = NULL, /* xf_select_draw */
    [XF_SELECT_UNIFORM] = xf_select_order_uniform,
    [XF_SELECT_WEIGHTED] = xf_select_order_weighted,
    [XF_SELECT_CHOICE] = xf_select_order_choice,
    [XF_SELECT_OORT] = xf_select_order_oort,
};

const struct xf_select_known *xf_select_known_of(const struct xf_select_pool *pool, uint32_t i) {
  return &pool->memory->known[pool->who ? pool->who[i] : i];
}

static int by_key(const void *a, const void *b, void *arg) {
  const double *key = arg;
  const uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
  if (key[i] != key[j]) return key[i] > key[j] ? -1 : 1;
  return (i > j) - (i < j);
}

void xf_select_sort(uint32_t *id, uint32_t n, const double *key) {
  /* the comparison only reads the keys */
  qsort_r(id, n, sizeof *id, by_key, (void *)(uintptr_t)key);
}

/* The largest of log(u)/w come first: each has then the place that draws one after the other would give it. */
void xf_select_shuffle(uint32_t *id, uint32_t n, const double *weight, struct xf_rng *rng) {
  uint32_t top = 0;
  for (uint32_t k = 0; k < n; k++) top = id[k] > top ? id[k] : top;
  double *key = xf_calloc((size_t)top + 1, sizeof *key);
  for (uint32_t k = 0; k < n; k++) {
    const double u = log1p(-xf_rng_double(rng)); /* of a number in (0, 1] */
    key[id[k]] = weight[id[k]] > 0 ? u / weight[id[k]] : -INFINITY;
  }
  xf_select_sort(id, n, key);
  xf_free(key);
}

static void iota(uint32_t *order, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) order[i] = i;
}

void xf_select_fill(double *samples, double *loss, const struct xf_select_pool *pool) {
  double sum[2] = {0, 0};
  uint32_t count[2] = {0, 0};
  for (uint32_t i = 0; i < pool->n; i++) {
    const struct xf_select_known *k = xf_select_known_of(pool, i);
    samples[i] = k->samples;
    loss[i] = k->times ? k->loss : INFINITY;
    if (k->samples > 0) sum[0] += k->samples, count[0]++;
    if (isfinite(loss[i])) sum[1] += loss[i], count[1]++;
  }
  for (uint32_t i = 0; i < pool->n; i++) {
    if (!(samples[i] > 0)) samples[i] = count[0] ? sum[0] / count[0] : 1;
    if (isnan(loss[i])) loss[i] = count[1] ? sum[1] / count[1] : 0;
  }
}

void xf_select_order_uniform(uint32_t *order, const struct xf_select_policy *policy,
                             const struct xf_select_pool *pool, struct xf_rng *rng) {
  (void)policy;
  iota(order, pool->n);
  xf_rng_shuffle(rng, order, pool->n);
}

void xf_select_order_weighted(uint32_t *order, const struct xf_select_policy *policy,
                              const struct xf_select_pool *pool, struct xf_rng *rng) {
  double *samples = xf_calloc(2 * (size_t)pool->n, sizeof *samples);
  (void)policy;
  xf_select_fill(samples, samples + pool->n, pool);
  iota(order, pool->n);
  xf_select_shuffle(order, pool->n, samples, rng);
  xf_free(samples);
}

/* The number of each member's domain, from 0; returns how many there are. */
static uint32_t number_domains(uint32_t *domain, const struct xf_select_pool *pool) {
  struct xf_map seen;
  uint32_t n = 0;
  xf_map_init(&seen);
  for (uint32_t i = 0; i < pool->n; i++) {
    const char *name = pool->member[i].domain;
    if (xf_map_get(&seen, name, strlen(name), &domain[i])) continue;
    domain[i] = n;
    xf_map_set(&seen, name, strlen(name), n++);
  }
  xf_map_deinit(&seen);
  return n;
}

static int ascending(const void *a, const void *b) {
  const uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
  return (i > j) - (i < j);
}

/* The first of the order, but a member of a domain that is there already waits while the seats left are needed by domains
   that are not. */
static uint32_t take(uint32_t *out, const uint32_t *order, const uint32_t *domain,
                     const struct xf_select_pool *pool, uint32_t min_domains) {
  bool *there = xf_calloc(pool->n, sizeof *there);
  uint32_t n = 0, domains = 0;
  for (uint32_t k = 0; k < pool->n && n < pool->asked; k++) {
    const uint32_t i = order[k], missing = min_domains > domains ? min_domains - domains : 0;
    if (there[domain[i]] && pool->asked - n <= missing) continue;
    domains += !there[domain[i]];
    there[domain[i]] = true;
    out[n++] = i;
  }
  xf_free(there);
  qsort(out, n, sizeof *out, ascending);
  return n;
}

enum xf_rc xf_select_policy_draw(uint32_t *out, uint32_t *n_out,
                                 const struct xf_select_policy *policy,
                                 const struct xf_select_rule *rule, struct xf_select_pool *pool,
                                 struct xf_rng *rng, struct xf_diag *diag) {
  order_fn *const fn = orders[policy->kind];
  *n_out = 0;
  if (!fn) return xf_select_draw(out, n_out, rule, pool->member, pool->n, rng, diag);
  uint32_t *order = xf_calloc(pool->n ? 2 * (size_t)pool->n : 1, sizeof *order);
  uint32_t *domain = order + pool->n;
  const enum xf_rc rc =
      xf_select_check(rule, pool->member, pool->n, number_domains(domain, pool), diag);
  if (!rc) {
    pool->asked = xf_select_asked(rule, pool->n);
    fn(order, policy, pool, rng);
    *n_out = take(out, order, domain, pool, rule->min_domains);
  }
  xf_free(order);
  return rc;
}
