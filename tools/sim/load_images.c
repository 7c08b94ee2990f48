/* Images dealt to clients: the train rows at random, by label shards (McMahan et al. 2017) or with Dirichlet label shares; the
   test rows always at random, so that the sum over clients is the whole test set and everybody's is alike. */
#include "base/alloc.h"
#include "crypto/stream.h"
#include "resolve/dataset.h"
#include "tools/sim/sim.h"

#include <math.h>
#include <stdio.h>

enum { CLASSES = 256 };

/* The rows of a part in a seeded order; *n of them. @own caller: xf_free */
static uint32_t *shuffled(const struct xf_table *t, enum xf_part part, struct xf_rng *rng,
                          size_t *n) {
  uint32_t *order = xf_table_rows(t, part, n);
  xf_rng_shuffle(rng, order, *n);
  return order;
}

static void deal_uniform(uint32_t *group, const uint32_t *order, size_t n, uint32_t n_client) {
  for (size_t i = 0; i < n; i++) group[order[i]] = (uint32_t)(i % n_client);
}

/* By label, in the shuffled order within one; equal shards of that, dealt at random, `shards` to each. */
static void deal_shards(uint32_t *group, const struct xf_table *t, const uint32_t *order, size_t n,
                        uint32_t n_client, uint32_t shards, struct xf_rng *rng) {
  const uint32_t n_shard = n_client * shards;
  uint32_t *sorted = xf_calloc(n + 1, sizeof *sorted), *owner = xf_calloc(n_shard, sizeof *owner);
  size_t at = 0;
  for (int c = 0; c < CLASSES; c++)
    for (size_t i = 0; i < n; i++)
      if ((int)t->y[order[i]] == c) sorted[at++] = order[i];
  for (uint32_t s = 0; s < n_shard; s++) owner[s] = s % n_client;
  xf_rng_shuffle(rng, owner, n_shard);
  for (size_t i = 0; i < at; i++) group[sorted[i]] = owner[i * n_shard / n];
  xf_free(sorted);
  xf_free(owner);
}

/* Gamma(a, 1): Marsaglia & Tsang 2000, with the boost for a < 1. */
static double gamma_draw(struct xf_rng *rng, double a) {
  const double boost = a < 1 ? pow(1 - xf_rng_double(rng), 1 / a) : 1;
  const double d = (a < 1 ? a + 1 : a) - 1.0 / 3, c = 1 / sqrt(9 * d);
  for (;;) {
    const double x = xf_rng_normal(rng), v = (1 + c * x) * (1 + c * x) * (1 + c * x);
    if (v > 0 && log(1 - xf_rng_double(rng)) < 0.5 * x * x + d - d * v + d * log(v))
      return boost * d * v;
  }
}

/* Each label's rows in shares drawn from a Dirichlet distribution over the clients. */
static void deal_dirichlet(uint32_t *group, const struct xf_table *t, const uint32_t *order,
                           size_t n, uint32_t n_client, double alpha, struct xf_rng *rng) {
  double *share = xf_calloc(n_client, sizeof *share);
  for (int c = 0; c < CLASSES; c++) {
    double sum = 0, count = 0, before = 0;
    for (size_t i = 0; i < n; i++) count += (int)t->y[order[i]] == c;
    if (count == 0) continue;
    for (uint32_t k = 0; k < n_client; k++) sum += share[k] = gamma_draw(rng, alpha);
    size_t i = 0, seen = 0;
    for (uint32_t k = 0; k < n_client; k++) {
      before += share[k];
      const size_t upto = k + 1 == n_client ? (size_t)count : (size_t)(count * before / sum);
      for (; i < n && seen < upto; i++)
        if ((int)t->y[order[i]] == c) {
          group[order[i]] = k;
          seen++;
        }
    }
  }
  xf_free(share);
}

static enum xf_rc add_client(struct sim *sim, const struct xf_table *all, const uint32_t *group,
                             uint32_t which, struct xf_diag *diag) {
  struct xf_table table;
  struct xf_dataset data;
  char key[16];
  (void)snprintf(key, sizeof key, "%u", which + 1);
  if (!sim_wanted(sim, key)) return XF_OK;
  struct sim_client *c = &sim->client[sim->n_client++];
  enum xf_rc rc = sim_name_client(sim, c, key, diag);
  if (!rc) rc = xf_table_select(&table, all, group, which);
  if (rc) return rc;
  rc = xf_resolve_images(&data, &sim->plan, c->id, &table, diag);
  if (!rc) return sim_make_silo(sim, c, &data, diag);
  xf_dataset_deinit(&data);
  return rc;
}

enum xf_rc sim_load_images(struct sim *sim, struct xf_diag *diag) {
  const struct xf_plan_sim_part *p = &sim->plan.sim;
  struct xf_table all;
  struct xf_rng rng;
  size_t n_train = 0, n_test = 0;
  enum xf_rc rc = xf_resolve_load_images(&all, p->data, diag);
  if (rc) return rc;
  xf_stream_init(&rng, sim->plan.seed, "partition", 0, "clients");
  uint32_t *group = xf_calloc(all.n + 1, sizeof *group);
  uint32_t *train = shuffled(&all, XF_PART_TRAIN, &rng, &n_train),
           *test = shuffled(&all, XF_PART_TEST, &rng, &n_test);
  const uint32_t n = p->clients.n;
  if (p->clients.by == XF_PLAN_CLIENTS_SHARDS)
    deal_shards(group, &all, train, n_train, n, p->clients.shards, &rng);
  else if (p->clients.by == XF_PLAN_CLIENTS_DIRICHLET)
    deal_dirichlet(group, &all, train, n_train, n, p->clients.alpha, &rng);
  else deal_uniform(group, train, n_train, n);
  deal_uniform(group, test, n_test, n);
  sim->client = xf_calloc(n, sizeof *sim->client);
  for (uint32_t k = 0; k < n && !rc; k++) rc = add_client(sim, &all, group, k, diag);
  xf_free(group);
  xf_free(train);
  xf_free(test);
  xf_table_deinit(&all);
  return rc;
}
