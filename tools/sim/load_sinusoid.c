/* Generated regression tasks: each client holds points of its own a sin(x + p), a in [.1, 5], p in [0, 2 pi], x in [-5, 5].
   Those that sim.clients.only leaves out never train; the final model is measured on them. */
#include "base/alloc.h"
#include "crypto/stream.h"
#include "resolve/dataset.h"
#include "tools/sim/sim.h"

#include <math.h>
#include <stdio.h>

enum { ROWS = 100 };

/* @source Finn, Abbeel & Levine 2017, section 5.1; the phase as in decision 51 */
static void draw(struct xf_table *t, const struct sim *sim, uint64_t task) {
  const uint32_t rows = sim->plan.sim.clients.rows;
  struct xf_rng rng;
  xf_stream_init(&rng, sim->plan.seed, "synth", task, "sinusoid");
  const double a = .1 + 4.9 * xf_rng_double(&rng), p = 2 * acos(-1) * xf_rng_double(&rng);
  xf_table_init(t);
  t->n = t->cap = rows ? rows : ROWS;
  t->n_in = 1;
  t->x = xf_calloc(t->n, sizeof *t->x);
  t->y = xf_calloc(t->n, sizeof *t->y);
  t->part = xf_calloc(t->n, sizeof *t->part);
  t->row = xf_calloc(t->n, sizeof *t->row);
  for (size_t i = 0; i < t->n; i++) {
    t->x[i] = (float)(-5 + 10 * xf_rng_double(&rng));
    t->y[i] = (float)(a * sin((double)t->x[i] + p));
    t->part[i] = XF_PART_TRAIN;
    t->row[i] = (uint32_t)i;
  }
}

static enum xf_rc add(struct sim *sim, struct sim_client *c, uint64_t task, const char *key,
                      struct xf_diag *diag) {
  struct xf_table table;
  struct xf_dataset data;
  enum xf_rc rc = sim_name_client(sim, c, key, diag);
  if (rc) return rc;
  draw(&table, sim, task);
  rc = xf_resolve_table(&data, &sim->plan, c->id, &table, diag);
  if (!rc) return sim_make_silo(sim, c, &data, diag);
  xf_dataset_deinit(&data);
  return rc;
}

enum xf_rc sim_load_sinusoids(struct sim *sim, struct xf_diag *diag) {
  const uint32_t n = sim->plan.sim.clients.n;
  enum xf_rc rc = XF_OK;
  sim->client = xf_calloc(n, sizeof *sim->client);
  sim->fresh = xf_calloc(n, sizeof *sim->fresh);
  for (uint32_t k = 1; k <= n && !rc; k++) {
    char key[16];
    (void)snprintf(key, sizeof key, "%u", k);
    const bool member = sim_wanted(sim, key);
    if (!member && sim->others) continue;
    rc = add(sim, member ? &sim->client[sim->n_client++] : &sim->fresh[sim->n_fresh++], k, key,
             diag);
  }
  return rc;
}
