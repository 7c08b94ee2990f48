/* Sequences dealt to clients: students at random, speeches by their speaker. */
#include "base/alloc.h"
#include "crypto/stream.h"
#include "resolve/dataset.h"
#include "tools/sim/sim.h"

#include <stdio.h>
#include <string.h>

/* Client `which` of the sequences with that group number. */
static enum xf_rc add_client(struct sim *sim, const struct xf_seqset *all, const uint32_t *group,
                             uint32_t which, const char *key, struct xf_diag *diag) {
  struct sim_client *c = &sim->client[sim->n_client++];
  struct xf_seqset set;
  struct xf_dataset data;
  enum xf_rc rc = sim_name_client(sim, c, key, diag);
  if (!rc) rc = xf_seqset_select(&set, all, group, which);
  if (rc) return rc;
  rc = xf_resolve_sequences(&data, &sim->plan, c->id, &set, diag);
  if (!rc) return sim_make_silo(sim, c, &data, diag);
  xf_dataset_deinit(&data);
  return rc;
}

/* The i-th of a seeded shuffle goes to client i mod n. */
static enum xf_rc deal(struct sim *sim, const struct xf_seqset *all, struct xf_diag *diag) {
  const uint32_t n = sim->plan.sim.clients.n;
  uint32_t *order = xf_calloc((size_t)all->n + 1, sizeof *order);
  uint32_t *group = xf_calloc((size_t)all->n + 1, sizeof *group);
  struct xf_rng rng;
  enum xf_rc rc = XF_OK;
  xf_stream_init(&rng, sim->plan.seed, "partition", 0, "clients");
  for (uint32_t i = 0; i < all->n; i++) order[i] = i;
  xf_rng_shuffle(&rng, order, all->n);
  for (uint32_t i = 0; i < all->n; i++) group[order[i]] = i % n;
  sim->client = xf_calloc(n, sizeof *sim->client);
  for (uint32_t k = 0; k < n && !rc; k++) {
    char key[16];
    (void)snprintf(key, sizeof key, "%u", k + 1);
    if (sim_wanted(sim, key)) rc = add_client(sim, all, group, k, key, diag);
  }
  xf_free(order);
  xf_free(group);
  return rc;
}

/* Speakers with fewer than data.split.min speeches are left out. */
static enum xf_rc by_speaker(struct sim *sim, const struct xf_seqset *all, struct xf_diag *diag) {
  const uint32_t n = all->names.n;
  uint32_t *count = xf_calloc((size_t)n + 1, sizeof *count);
  enum xf_rc rc = XF_OK;
  for (uint32_t i = 0; i < all->n; i++) count[all->name[i]]++;
  sim->client = xf_calloc((size_t)n + 1, sizeof *sim->client);
  for (uint32_t k = 0; k < n && !rc; k++) {
    const char *key = xf_names_get(&all->names, k);
    if (count[k] >= sim->plan.data.split.min && sim_wanted(sim, key))
      rc = add_client(sim, all, all->name, k, key, diag);
  }
  xf_free(count);
  if (!rc && sim->n_client == 0)
    rc = xf_diag_set(diag, XF_E_CONFIG, "sim.clients: no speaker has data.split.min = %u speeches",
                     sim->plan.data.split.min);
  return rc;
}

enum xf_rc sim_load_sequences(struct sim *sim, struct xf_diag *diag) {
  const struct xf_source source = {.path = sim->plan.sim.data, .split = sim->plan.sim.split};
  struct xf_seqset all;
  enum xf_rc rc = xf_resolve_load_sequences(&all, &sim->plan, &source, diag);
  if (rc) return rc;
  rc = sim->plan.data.kind == XF_PLAN_DATA_TEXT ? by_speaker(sim, &all, diag)
                                                : deal(sim, &all, diag);
  xf_seqset_deinit(&all);
  return rc;
}
