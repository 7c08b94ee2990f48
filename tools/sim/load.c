/* plan -> silos: the plan's data dealt to clients, the frozen directory, the first global vector. */
#include "base/alloc.h"
#include "crypto/sha256.h"
#include "crypto/stream.h"
#include "plan/view.h"
#include "resolve/dataset.h"
#include "store/checkpoint.h"
#include "tools/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum xf_rc check(const struct sim *sim, struct xf_diag *diag) {
  const struct xf_plan *p = &sim->plan;
  enum xf_rc rc = xf_resolve_check(p, diag);
  if (rc) return rc;
  if (p->data.kind == XF_PLAN_DATA_INTERACTIONS && p->sim.clients.by != XF_PLAN_CLIENTS_DOMAIN &&
      p->sim.clients.by != XF_PLAN_CLIENTS_FILE)
    return xf_diag_set(diag, XF_E_UNSUPPORTED,
                       "sim.clients.by: interactions are dealt by domain or by file in this "
                       "version of crossfed sim");
  const enum xf_plan_clients by = p->sim.clients.by;
  if (p->data.kind == XF_PLAN_DATA_IDX && by != XF_PLAN_CLIENTS_UNIFORM &&
      by != XF_PLAN_CLIENTS_SHARDS && by != XF_PLAN_CLIENTS_DIRICHLET)
    return xf_diag_set(diag, XF_E_UNSUPPORTED,
                       "sim.clients.by: images are dealt by uniform, shards or dirichlet");
  if (p->data.kind == XF_PLAN_DATA_TABLE && p->sim.clients.by != XF_PLAN_CLIENTS_FILE)
    return xf_diag_set(diag, XF_E_UNSUPPORTED,
                       "sim.clients.by: tables are dealt by file in this version of crossfed sim");
  return XF_OK;
}

void sim_align_key(uint8_t key[XF_SILO_ALIGN_KEY], const struct xf_plan *plan) {
  xf_stream_key(key, plan->seed, "partition", 0, "alignment");
}

static enum xf_rc load_kg(struct xf_kg_side **out, const struct xf_plan *plan,
                          const struct xf_dataset *data, struct xf_diag *diag) {
  const struct xf_kg_files files = {.triples = plan->sim.kg.triples,
                                    .items = plan->sim.kg.items[0] ? plan->sim.kg.items : NULL,
                                    .relations =
                                        plan->sim.kg.relations[0] ? plan->sim.kg.relations : NULL};
  if (!files.triples[0] || !xf_resolve_recommends(plan)) return XF_OK;
  const enum xf_rc rc = xf_kg_side_new(out, &files, &data->inter.items, diag);
  return rc ? xf_diag_prefix(diag, rc, "sim.kg") : XF_OK;
}

/* A silo under the plan alone: the simulator's silos have no policy of their own. Pseudonyms under a key of the
   plan's seed: one process plays all silos, so nothing is hidden here. */
enum xf_rc sim_make_silo(struct sim *sim, struct sim_client *c, struct xf_dataset *data,
                         struct xf_diag *diag) {
  struct xf_kg_side *kg = NULL;
  uint8_t key[XF_SILO_ALIGN_KEY];
  sim_align_key(key, &sim->plan);
  enum xf_rc rc = load_kg(&kg, &sim->plan, data, diag);
  const struct xf_silo_config config = {.plan = &sim->plan,
                                        .member = c->id,
                                        .data = data,
                                        .align_key = key,
                                        .kg = kg,
                                        .clip = sim->plan.privacy.clip,
                                        .noise_multiplier = sim->plan.privacy.noise_multiplier,
                                        .metrics = true,
                                        .seeded_noise = true};
  if (!rc) rc = xf_silo_new(&c->silo, &config, diag);
  xf_kg_side_unref(kg);
  xf_dataset_deinit(data);
  xf_odometer_init(&c->spent);
  return rc ? xf_diag_prefix(diag, rc, "silo %s", c->id) : XF_OK;
}

enum xf_rc sim_name_client(const struct sim *sim, struct sim_client *c, const char *key,
                           struct xf_diag *diag) {
  const char *pattern = sim->plan.sim.clients.name[0] ? sim->plan.sim.clients.name : "{}";
  enum xf_rc rc = xf_plan_client_id(c->id, pattern, key);
  if (!rc) rc = xf_plan_client_id(c->domain, "{}", key);
  xf_buf_init(&c->answer.payload, (size_t)1 << 33);
  return rc ? xf_diag_set(diag, rc, "sim.clients: \"%s\" gives no member id", key) : XF_OK;
}

bool sim_wanted(const struct sim *sim, const char *key) {
  return xf_plan_client_listed(&sim->plan, key) != sim->others;
}

static enum xf_rc load_domain(struct sim *sim, const struct xf_interactions *all, uint32_t domain,
                              struct xf_diag *diag) {
  struct sim_client *c = &sim->client[sim->n_client++];
  struct xf_interactions inter;
  struct xf_dataset data;
  xf_dataset_init(&data, XF_DATASET_INTERACTIONS);
  enum xf_rc rc = sim_name_client(sim, c, xf_names_get(&all->domains, domain), diag);
  if (!rc) rc = xf_interactions_select(&inter, all, all->domain, domain);
  if (rc) return rc;
  rc = xf_resolve_interactions(&data, &sim->plan, c->id, &inter, diag);
  if (!rc) return sim_make_silo(sim, c, &data, diag);
  xf_dataset_deinit(&data);
  return rc;
}

static enum xf_rc load_domains(struct sim *sim, struct xf_diag *diag) {
  const struct xf_plan_sim_part *p = &sim->plan.sim;
  const struct xf_source source = {.path = p->data,
                                   .user = p->columns.user,
                                   .item = p->columns.item,
                                   .domain = p->columns.domain,
                                   .value = p->columns.value,
                                   .time = p->columns.time};
  const struct xf_interactions_spec spec = xf_resolve_columns(&sim->plan, &source);
  struct xf_interactions all;
  enum xf_rc rc = xf_interactions_load(&all, p->data, &spec, diag);
  if (rc) return rc;
  if (!all.domain)
    rc = xf_diag_set(diag, XF_E_CONFIG, "sim.columns.domain is needed to deal by domain");
  sim->client = xf_calloc(all.domains.n ? all.domains.n : 1, sizeof *sim->client);
  for (uint32_t d = 0; d < all.domains.n && !rc; d++)
    if (sim_wanted(sim, xf_names_get(&all.domains, d))) rc = load_domain(sim, &all, d, diag);
  xf_interactions_deinit(&all);
  if (!rc && sim->n_client < (p->clients.n_only ? p->clients.n_only : 1))
    rc = xf_diag_set(diag, XF_E_CONFIG,
                     "sim.clients.only names %u domains, the data have %zu of them",
                     p->clients.n_only, sim->n_client);
  return rc;
}

static enum xf_rc load_files(struct sim *sim, struct xf_diag *diag) {
  const struct xf_plan_sim_part *p = &sim->plan.sim;
  const uint32_t n = p->clients.n_files;
  enum xf_rc rc = n ? XF_OK : xf_diag_set(diag, XF_E_CONFIG, "sim.clients.files names no file");
  sim->client = xf_calloc(n ? n : 1, sizeof *sim->client);
  for (uint32_t i = 0; i < n && !rc; i++) {
    struct sim_client *c = &sim->client[sim->n_client++];
    struct xf_dataset data;
    char path[XF_PLAN_PATH_MAX + XF_PLAN_NAME_MAX + 1], center[16];
    (void)snprintf(path, sizeof path, "%s/%s", p->data, p->clients.files[i]);
    (void)snprintf(center, sizeof center, "%u", i);
    const bool table = sim->plan.data.kind == XF_PLAN_DATA_TABLE;
    const struct xf_source source = {.path = path,
                                     .user = p->columns.user,
                                     .item = p->columns.item,
                                     .value = p->columns.value,
                                     .time = p->columns.time,
                                     .split = p->split,
                                     .center = table ? center : NULL};
    rc = sim_name_client(sim, c, p->clients.files[i], diag);
    if (rc) break;
    rc = xf_resolve_dataset(&data, &sim->plan, c->id, &source, diag);
    if (!rc) rc = sim_make_silo(sim, c, &data, diag);
    else xf_dataset_deinit(&data);
  }
  return rc;
}

static int client_order(const void *a, const void *b) {
  return strcmp(((const struct sim_client *)a)->id, ((const struct sim_client *)b)->id);
}

/* Everybody's keys of a namespace at once: what the coordinator's alignment collects from silos. */
static enum xf_rc freeze(struct sim *sim, uint32_t space) {
  const struct xf_manifest **part = xf_calloc(sim->n_client, sizeof *part);
  for (size_t i = 0; i < sim->n_client; i++) part[i] = xf_silo_manifest(sim->client[i].silo, space);
  const enum xf_rc rc = xf_directory_init(&sim->directory[space], part, sim->n_client);
  if (!rc) xf_directory_keep(&sim->directory[space], sim->spaces.at[space].min_holders);
  xf_free(part);
  return rc;
}

static enum xf_rc tell(struct sim *sim, struct sim_client *c, struct xf_diag *diag) {
  uint32_t *holders[XF_SPACES_MAX] = {0};
  const uint32_t *given[XF_SPACES_MAX] = {0};
  for (uint32_t k = 0; k < sim->spaces.n; k++) {
    const struct xf_manifest *m = xf_silo_manifest(c->silo, k);
    given[k] = holders[k] = xf_calloc(m->n + 1, sizeof *holders[k]);
    c->rows.row[k] = xf_calloc(m->n + 1, sizeof *c->rows.row[k]);
    c->rows.n[k] = xf_directory_rows(c->rows.row[k], holders[k], &sim->directory[k], m);
  }
  const enum xf_rc rc = xf_silo_align(c->silo, given, diag);
  for (uint32_t k = 0; k < sim->spaces.n; k++) xf_free(holders[k]);
  return rc;
}

static enum xf_rc align(struct sim *sim, struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  sim->spaces = xf_resolve_spaces(&sim->plan);
  if (sim->spaces.n == 0) return XF_OK;
  for (uint32_t k = 0; k < sim->spaces.n && !rc; k++) rc = freeze(sim, k);
  for (size_t i = 0; i < sim->n_client && !rc; i++) rc = tell(sim, &sim->client[i], diag);
  return rc;
}

void sim_model_digest(struct xf_digest *out, const struct sim *sim, const float *x) {
  xf_checkpoint_digest(out, sim->global.layout, x);
}

void sim_base(const struct sim *sim, const struct sim_client *c, struct xf_global_view view,
              float *base) {
  const uint64_t n = xf_global_view_len(&sim->global, view, &c->rows);
  for (uint64_t at = 0; at < n;) {
    const struct xf_global_run r = xf_global_view_at(&sim->global, view, &c->rows, at);
    memcpy(base + at, sim->x + r.from, r.len * sizeof *base);
    at += r.len;
  }
}

/* The largest thing a task moves down. */
static uint64_t most_down(const struct xf_plan_lens *lens) {
  uint64_t most = lens->all;
  for (uint32_t i = 0; i < lens->n_stage; i++)
    if (lens->down[i] > most) most = lens->down[i];
  return most;
}

static enum xf_rc make_global(struct sim *sim, struct xf_diag *diag) {
  const struct xf_directory *directory = sim->spaces.n ? sim->directory : NULL;
  enum xf_rc rc = xf_global_init(&sim->global, &sim->plan, directory, diag);
  if (rc) return rc;
  sim->x = xf_calloc(sim->global.n, sizeof *sim->x);
  sim->next_x = xf_calloc(sim->global.n, sizeof *sim->next_x);
  sim->momentum = xf_calloc(sim->global.n, sizeof *sim->momentum);
  rc = xf_global_first(&sim->global, sim->x, &sim->plan, directory, diag);
  if (!rc) rc = xf_layout_digest(&sim->layout_digest, sim->global.layout);
  xf_buf_init(&sim->canonical, XF_PLAN_BYTES_MAX);
  if (!rc) rc = xf_plan_encode(&sim->canonical, &sim->plan);
  if (!rc) xf_sha256(&sim->plan_digest, sim->canonical.p, sim->canonical.len);
  for (size_t i = 0; i < sim->n_client; i++)
    sim->client[i].base = xf_calloc(most_down(xf_silo_lens(sim->client[i].silo)) + 1, 1);
  return rc;
}

enum xf_rc sim_init(struct sim *sim, struct xf_diag *diag) {
  enum xf_rc rc = check(sim, diag);
  if (!rc) rc = xf_resolve_measures(&sim->measures, &sim->plan, diag);
  if (rc) return rc;
  const enum xf_plan_data kind = sim->plan.data.kind;
  if (kind == XF_PLAN_DATA_ANSWERS || kind == XF_PLAN_DATA_TEXT) rc = sim_load_sequences(sim, diag);
  else if (kind == XF_PLAN_DATA_IDX) rc = sim_load_images(sim, diag);
  else if (sim->plan.sim.clients.by == XF_PLAN_CLIENTS_FILE) rc = load_files(sim, diag);
  else rc = load_domains(sim, diag);
  if (rc) return rc;
  qsort(sim->client, sim->n_client, sizeof *sim->client, client_order);
  for (size_t i = 1; i < sim->n_client; i++)
    if (strcmp(sim->client[i - 1].id, sim->client[i].id) == 0)
      return xf_diag_set(diag, XF_E_CONFIG, "sim.clients.name: two clients are called \"%s\"",
                         sim->client[i].id);
  rc = align(sim, diag);
  return rc ? rc : make_global(sim, diag);
}

void sim_deinit(struct sim *sim) {
  for (size_t i = 0; i < sim->n_client; i++) {
    struct sim_client *c = &sim->client[i];
    xf_silo_free(c->silo);
    xf_buf_deinit(&c->answer.payload);
    for (int k = 0; k < XF_SPACES_MAX; k++) xf_free(c->rows.row[k]);
    xf_free(c->base);
    for (int arm = 0; arm < XF_SILO_N_ARM; arm++) xf_free(c->figure[arm]);
  }
  xf_free(sim->client);
  xf_global_deinit(&sim->global);
  for (int k = 0; k < XF_SPACES_MAX; k++) xf_directory_deinit(&sim->directory[k]);
  xf_free(sim->x);
  xf_free(sim->next_x);
  xf_free(sim->momentum);
  xf_buf_deinit(&sim->canonical);
  xf_rundir_close(&sim->run);
  *sim = (struct sim){0};
}
