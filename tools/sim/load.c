/* plan -> silos: one data set dealt to clients, a model and keys for each, the frozen directory. */
#include "base/alloc.h"
#include "base/log.h"
#include "crypto/blake2b.h"
#include "crypto/pseudonym.h"
#include "crypto/sha256.h"
#include "crypto/stream.h"
#include "plan/view.h"
#include "tools/sim/sim.h"

#include <stdlib.h>
#include <string.h>

static enum xf_rc not_here(struct xf_diag *diag, const char *what) {
  return xf_diag_set(diag, XF_E_UNSUPPORTED, "%s: not in this version of crossfed sim", what);
}

/* The numbers of plan enumerations and model enumerations are matched by name. */
static enum xf_rc map_model(struct sim *sim, struct xf_diag *diag) {
  const struct xf_plan_model_part *m = &sim->plan.model;
  struct xf_model_config *c = &sim->model_config;
  *c = (struct xf_model_config){.kind = XF_MODEL_MF,
                                .init_std = m->init_std,
                                .bias = m->bias,
                                .dim = m->dim,
                                .users = m->users == XF_PLAN_USERS_ALIGNED ? XF_ROWS_ALIGNED
                                                                           : XF_ROWS_LOCAL,
                                .items = XF_ROWS_LOCAL};
  if (m->kind == XF_PLAN_MODEL_MF && m->items != XF_PLAN_ITEMS_DOMAIN)
    return not_here(diag, "model.items other than domain");
  if (m->kind == XF_PLAN_MODEL_MLP) c->kind = XF_MODEL_MLP;
  if (m->kind == XF_PLAN_MODEL_LOGREG) c->kind = XF_MODEL_LOGREG;
  if (m->kind != XF_PLAN_MODEL_MF) c->users = XF_ROWS_LOCAL;
  c->n_in = m->n_in;
  c->n_out = m->n_out;
  c->n_hidden = m->n_hidden;
  memcpy(c->hidden, m->hidden, sizeof c->hidden);
  c->activation = m->activation == XF_PLAN_ACTIVATION_TANH      ? XF_ACT_TANH
                  : m->activation == XF_PLAN_ACTIVATION_SIGMOID ? XF_ACT_SIGMOID
                                                                : XF_ACT_RELU;
  switch (m->loss) {
  case XF_PLAN_LOSS_BPR: c->loss = XF_LOSS_BPR; break;
  case XF_PLAN_LOSS_BCE: c->loss = XF_LOSS_BCE; break;
  case XF_PLAN_LOSS_SOFTMAX: c->loss = XF_LOSS_SOFTMAX; break;
  case XF_PLAN_LOSS_MSE: c->loss = XF_LOSS_MSE; break;
  }
  memcpy(c->user_ns, m->user_ns, sizeof c->user_ns);
  memcpy(c->item_ns, m->item_ns, sizeof c->item_ns);
  memcpy(sim->ns, m->user_ns, sizeof sim->ns);
  return XF_OK;
}

static void map_local(struct sim *sim) {
  const struct xf_plan_stage_part *st = &sim->plan.stages[0];
  const enum xf_optim_kind kind = st->local.optimizer.kind == XF_PLAN_OPTIMIZER_ADAM ? XF_OPTIM_ADAM
                                  : st->local.optimizer.kind == XF_PLAN_OPTIMIZER_MOMENTUM
                                      ? XF_OPTIM_MOMENTUM
                                      : XF_OPTIM_SGD;
  struct xf_local_config *l = &sim->local;
  *l = (struct xf_local_config){.epochs = st->local.epochs,
                                .steps = st->local.steps,
                                .batch = st->local.batch,
                                .optimizer = xf_optim_default(kind, (float)st->local.optimizer.lr),
                                .l2 = st->local.l2,
                                .negatives = st->local.negatives};
  if (kind == XF_OPTIM_ADAM) {
    l->optimizer.beta1 = (float)st->local.optimizer.b1;
    l->optimizer.beta2 = (float)st->local.optimizer.b2;
    l->optimizer.eps = (float)st->local.optimizer.eps;
    l->optimizer.lazy = st->local.optimizer.sparse == XF_PLAN_SPARSE_LAZY;
  } else if (kind == XF_OPTIM_MOMENTUM) {
    l->optimizer.momentum = (float)st->local.optimizer.momentum;
  }
  if (sim->model_config.users == XF_ROWS_ALIGNED && st->rows.rule == XF_PLAN_ROW_RULE_PULL) {
    l->pull = XF_PULL_DEFAULT;
    l->kappa = st->rows.kappa;
  }
}

static enum xf_rc map_measures(struct sim *sim, struct xf_diag *diag) {
  struct sim_measures *m = &sim->measures;
  const bool ranking = sim->plan.data.kind == XF_PLAN_DATA_INTERACTIONS;
  for (uint32_t p = 0; p < (ranking ? sim->plan.eval.n_protocol : 1); p++) {
    uint32_t n_neg = 0;
    enum xf_rc rc =
        ranking ? xf_metric_protocol_parse(&n_neg, sim->plan.eval.protocol[p], diag) : XF_OK;
    if (rc) return rc;
    for (uint32_t i = 0; i < sim->plan.eval.n_metrics; i++) {
      if (m->n == SIM_MEASURES_MAX)
        return xf_diag_set(diag, XF_E_LIMIT, "eval: more than %d measures", SIM_MEASURES_MAX);
      const char *text = sim->plan.eval.metrics[i];
      if (xf_measure_parse(&m->measure[m->n], text, strlen(text)))
        return xf_diag_set(diag, XF_E_CONFIG, "eval.metrics: \"%s\" is not a measure", text);
      if (!xf_measure_fits(m->measure[m->n].kind, ranking)) return not_here(diag, text);
      m->n_neg[m->n] = n_neg;
      xf_measure_key(m->key[m->n], m->measure[m->n], ranking, n_neg);
      m->n++;
    }
  }
  return XF_OK;
}

static enum xf_rc refuse_unread(const struct sim *sim, struct xf_diag *diag) {
  const struct xf_plan *p = &sim->plan;
  if (p->n_stages != 1) return not_here(diag, "more than one stage");
  if (p->privacy.noise_multiplier > 0) return not_here(diag, "privacy.noise_multiplier");
  if (p->init[0]) return not_here(diag, "init");
  if (p->early_stop.patience) return not_here(diag, "early_stop");
  if (p->data.kind == XF_PLAN_DATA_IDX) return not_here(diag, "data.kind idx");
  if (p->data.kind == XF_PLAN_DATA_INTERACTIONS && p->sim.clients.by != XF_PLAN_CLIENTS_DOMAIN)
    return not_here(diag, "interactions with sim.clients.by other than domain");
  if (p->data.kind == XF_PLAN_DATA_TABLE && p->sim.clients.by != XF_PLAN_CLIENTS_FILE)
    return not_here(diag, "tables with sim.clients.by other than file");
  for (uint32_t i = 0; i < p->n_arms; i++)
    if (p->arms[i] == XF_PLAN_ARM_POOLED || p->arms[i] == XF_PLAN_ARM_GUARDED)
      return not_here(diag, "arms pooled and guarded");
  return XF_OK;
}

/* Pseudonyms under a key of the plan's seed: the simulator plays all silos, so nothing is hidden here. */
static enum xf_rc align(struct sim *sim, struct sim_silo *s, struct xf_diag *diag) {
  if (sim->model_config.users != XF_ROWS_ALIGNED) return XF_OK;
  uint8_t key[XF_PSEUDONYM_KEY_LEN];
  xf_stream_key(key, sim->plan.seed, "partition", 0, "alignment");
  const struct xf_names *users = &s->data.inter.users;
  struct xf_key *k = xf_calloc(users->n ? users->n : 1, sizeof *k);
  for (uint32_t u = 0; u < users->n; u++) {
    const char *text = xf_names_get(users, u);
    xf_pseudonym(k[u].b, key, sim->ns, text, strlen(text));
  }
  enum xf_rc rc = xf_manifest_init(&s->manifest, k, users->n, diag);
  s->local_row = xf_calloc(users->n ? users->n : 1, sizeof *s->local_row);
  s->dir_row = xf_calloc(users->n ? users->n : 1, sizeof *s->dir_row);
  for (uint32_t u = 0; u < users->n && !rc; u++)
    s->local_row[xf_manifest_find(&s->manifest, &k[u])] = u;
  xf_free(k);
  return rc;
}

static int silo_order(const void *a, const void *b) {
  return strcmp(((const struct sim_silo *)a)->id, ((const struct sim_silo *)b)->id);
}

static bool wanted(const struct xf_plan *p, const char *key) {
  for (uint32_t i = 0; i < p->sim.clients.n_only; i++)
    if (strcmp(p->sim.clients.only[i], key) == 0) return true;
  return p->sim.clients.n_only == 0;
}

static enum xf_rc load_silo(struct sim *sim, struct sim_silo *s, const struct xf_interactions *all,
                            uint32_t domain, struct xf_diag *diag) {
  const char *key = xf_names_get(&all->domains, domain);
  const char *pattern = sim->plan.sim.clients.name[0] ? sim->plan.sim.clients.name : "{}";
  xf_dataset_init(&s->data, XF_DATASET_INTERACTIONS);
  xf_buf_init(&s->payload, (size_t)1 << 32);
  s->sim = sim;
  enum xf_rc rc = xf_plan_client_id(s->id, pattern, key);
  if (!rc) rc = xf_plan_client_id(s->domain, "{}", key);
  if (rc) return xf_diag_set(diag, rc, "sim.clients: domain \"%s\" gives no member id", key);
  rc = xf_interactions_select(&s->data.inter, all, all->domain, domain);
  struct xf_split_spec spec = {.kind = sim->plan.data.split.kind == XF_PLAN_SPLIT_RANDOM
                                           ? XF_SPLIT_RANDOM
                                           : XF_SPLIT_LEAVE_ONE_OUT,
                               .by_file = sim->plan.data.split.by == XF_PLAN_BY_FILE,
                               .min = sim->plan.data.split.min,
                               .valid_fraction = sim->plan.data.split.valid_fraction,
                               .test_fraction = sim->plan.data.split.test_fraction};
  struct xf_rng rng;
  xf_stream_init(&rng, sim->plan.seed, "split", 0, s->id);
  if (!rc) rc = xf_split_init(&s->data.split, &s->data.inter, &spec, &rng, diag);
  return rc ? rc : align(sim, s, diag);
}

static enum xf_rc load_tables(struct sim *sim, struct xf_diag *diag) {
  const uint32_t n = sim->plan.sim.clients.n_files;
  enum xf_rc rc = n ? XF_OK : xf_diag_set(diag, XF_E_CONFIG, "sim.clients.files names no file");
  sim->silo = xf_calloc(n ? n : 1, sizeof *sim->silo);
  for (uint32_t i = 0; i < n && !rc; i++) {
    struct sim_silo *s = &sim->silo[sim->n_silo++];
    xf_buf_init(&s->payload, (size_t)1 << 32);
    s->sim = sim;
    rc = sim_table_load(sim, s, i, diag);
  }
  if (!rc) qsort(sim->silo, sim->n_silo, sizeof *sim->silo, silo_order);
  return rc;
}

static enum xf_rc load_data(struct sim *sim, struct xf_diag *diag) {
  if (sim->plan.data.kind == XF_PLAN_DATA_TABLE) return load_tables(sim, diag);
  const struct xf_plan_sim_part *p = &sim->plan.sim;
  struct xf_interactions_spec spec = {.user = p->columns.user,
                                      .item = p->columns.item,
                                      .domain = p->columns.domain,
                                      .value = p->columns.value,
                                      .time = p->columns.time};
  struct xf_interactions all;
  enum xf_rc rc = xf_interactions_load(&all, p->data, &spec, diag);
  if (rc) return rc;
  if (!all.domain) {
    xf_interactions_deinit(&all);
    return xf_diag_set(diag, XF_E_CONFIG, "sim.columns.domain is needed for clients by domain");
  }
  sim->silo = xf_calloc(all.domains.n ? all.domains.n : 1, sizeof *sim->silo);
  for (uint32_t d = 0; d < all.domains.n && !rc; d++)
    if (wanted(&sim->plan, xf_names_get(&all.domains, d)))
      rc = load_silo(sim, &sim->silo[sim->n_silo++], &all, d, diag);
  xf_interactions_deinit(&all);
  if (rc) return rc;
  if (sim->n_silo < (p->clients.n_only ? p->clients.n_only : 1))
    return xf_diag_set(diag, XF_E_CONFIG,
                       "sim.clients.only names %u domains, the data have %zu of them",
                       p->clients.n_only, sim->n_silo);
  qsort(sim->silo, sim->n_silo, sizeof *sim->silo, silo_order);
  return XF_OK;
}

static enum xf_rc silo_model(struct sim *sim, struct sim_silo *s, struct xf_diag *diag) {
  struct xf_model_size size = {0, 0};
  if (s->data.kind == XF_DATASET_INTERACTIONS)
    size = (struct xf_model_size){s->data.split.n_users, s->data.split.n_items};
  enum xf_rc rc = xf_model_new(&s->model, &sim->model_config, size, diag);
  if (rc) return rc;
  s->layout = xf_model_get_layout(s->model);
  const struct xf_wire_rows rows = {sim->ns, s->local_row, s->manifest.n};
  const bool aligned = sim->model_config.users == XF_ROWS_ALIGNED;
  rc = xf_wire_map_init(&s->map, s->layout, aligned ? &rows : NULL, aligned, diag);
  if (!rc)
    rc = xf_trainer_new(&s->trainer, s->model, &sim->local,
                        (uint32_t)xf_dataset_count(&s->data, XF_PART_TRAIN), diag);
  if (!rc) rc = xf_evaluator_new(&s->evaluator, s->model, diag);
  if (rc) return rc;
  s->full = xf_calloc(s->layout->n, sizeof(float));
  s->next = xf_calloc(s->layout->n, sizeof(float));
  s->prior = xf_calloc(s->layout->n, sizeof(float));
  s->held = xf_calloc(size.n_users ? size.n_users : 1, 1);
  s->base = xf_calloc(s->map.n_wire ? s->map.n_wire : 1, sizeof(float));
  s->wire = xf_calloc(s->map.n_wire ? s->map.n_wire : 1, sizeof(float));
  struct xf_rng shared, own;
  xf_stream_init(&shared, sim->plan.seed, "init", 0, NULL);
  xf_stream_init(&own, sim->plan.seed, "init", 0, s->id);
  struct xf_key *key = xf_calloc(size.n_users ? size.n_users : 1, sizeof *key);
  for (size_t i = 0; i < s->manifest.n; i++) key[s->local_row[i]] = s->manifest.key[i];
  const struct xf_model_seed seed = {&shared, &own, key, NULL};
  rc = xf_model_init(s->model, s->full, &seed, diag);
  xf_free(key);
  return rc;
}

static enum xf_rc build_global(struct sim *sim, struct xf_diag *diag) {
  const struct xf_manifest **parts = xf_calloc(sim->n_silo, sizeof *parts);
  for (size_t i = 0; i < sim->n_silo; i++) parts[i] = &sim->silo[i].manifest;
  enum xf_rc rc = xf_directory_init(&sim->directory, parts, sim->n_silo);
  xf_free(parts);
  for (size_t i = 0; i < sim->n_silo && !rc; i++)
    if (sim->silo[i].manifest.n)
      rc = xf_directory_rows(sim->silo[i].dir_row, &sim->directory, &sim->silo[i].manifest);
  const struct xf_model_size size = {(uint32_t)sim->directory.all.n, 0};
  if (!rc) rc = xf_model_new(&sim->global_model, &sim->model_config, size, diag);
  if (rc) return rc;
  sim->global_layout = xf_model_get_layout(sim->global_model);
  rc = xf_fold_shape_init(&sim->shape, sim->global_layout, diag);
  if (rc) return rc;
  sim->n_global = xf_fold_global(&sim->shape);
  if (sim->n_global == 0)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "the plan shares nothing: make users aligned, or items shared");
  sim->global = xf_calloc(sim->n_global, sizeof(float));
  sim->next_global = xf_calloc(sim->n_global, sizeof(float));
  sim->momentum = xf_calloc(sim->n_global, sizeof(float));
  uint32_t *row = xf_calloc(size.n_users ? size.n_users : 1, sizeof *row);
  for (uint32_t i = 0; i < size.n_users; i++) row[i] = i;
  const struct xf_wire_rows rows = {sim->ns, row, size.n_users};
  struct xf_wire_map map;
  const bool aligned = sim->model_config.users == XF_ROWS_ALIGNED;
  rc = xf_wire_map_init(&map, sim->global_layout, aligned ? &rows : NULL, aligned, diag);
  xf_free(row);
  if (rc) return rc;
  float *full = xf_calloc(sim->global_layout->n ? sim->global_layout->n : 1, sizeof *full);
  struct xf_rng shared;
  xf_stream_init(&shared, sim->plan.seed, "init", 0, NULL);
  const struct xf_model_seed seed = {&shared, &shared, sim->directory.all.key, NULL};
  rc = xf_model_init(sim->global_model, full, &seed, diag);
  if (!rc) xf_wire_map_gather(&map, sim->global, full);
  xf_free(full);
  xf_wire_map_deinit(&map);
  return rc;
}

static enum xf_rc digests(struct sim *sim, struct xf_diag *diag) {
  struct xf_buf bytes;
  xf_buf_init(&bytes, 1 << 20);
  xf_buf_init(&sim->canonical, XF_PLAN_BYTES_MAX);
  enum xf_rc rc = xf_layout_encode(&bytes, sim->global_layout);
  if (!rc) xf_sha256(&sim->layout_digest, bytes.p, bytes.len);
  if (!rc) rc = xf_plan_encode(&sim->canonical, &sim->plan);
  if (!rc) xf_sha256(&sim->plan_digest, sim->canonical.p, sim->canonical.len);
  xf_buf_deinit(&bytes);
  return rc ? xf_diag_set(diag, rc, "plan or layout is too large") : XF_OK;
}

void sim_model_digest(struct xf_digest *out, const struct sim *sim, const float *global) {
  xf_blake2b(out, global, sim->n_global * sizeof *global);
}

enum xf_rc sim_init(struct sim *sim, struct xf_diag *diag) {
  enum xf_rc rc = refuse_unread(sim, diag);
  if (!rc) rc = map_model(sim, diag);
  if (!rc) rc = map_measures(sim, diag);
  if (rc) return rc;
  map_local(sim);
  rc = load_data(sim, diag);
  if (!rc) rc = build_global(sim, diag);
  for (size_t i = 0; i < sim->n_silo && !rc; i++) rc = silo_model(sim, &sim->silo[i], diag);
  return rc ? rc : digests(sim, diag);
}

void sim_deinit(struct sim *sim) {
  for (size_t i = 0; i < sim->n_silo; i++) {
    struct sim_silo *s = &sim->silo[i];
    xf_trainer_free(s->trainer);
    xf_evaluator_free(s->evaluator);
    xf_wire_map_deinit(&s->map);
    xf_model_free(s->model);
    xf_dataset_deinit(&s->data);
    xf_manifest_deinit(&s->manifest);
    xf_buf_deinit(&s->payload);
    xf_free(s->local_row);
    xf_free(s->dir_row);
    xf_free(s->full);
    xf_free(s->next);
    xf_free(s->prior);
    xf_free(s->held);
    xf_free(s->base);
    xf_free(s->wire);
  }
  xf_free(sim->silo);
  xf_fold_shape_deinit(&sim->shape);
  xf_directory_deinit(&sim->directory);
  xf_model_free(sim->global_model);
  xf_free(sim->global);
  xf_free(sim->next_global);
  xf_free(sim->momentum);
  xf_buf_deinit(&sim->canonical);
  *sim = (struct sim){0};
}
