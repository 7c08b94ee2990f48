/* Snapshots for HTTP: of the data at once, of the personal state after each commit, of the chosen arm in the end. A recommender
   is served as it decides: with each evaluation and with the final model. */
#include "base/alloc.h"
#include "base/str.h"
#include "client/io/parts.h"
#include "client/io/serve.h"
#include "client/io/vector.h"
#include "crypto/sha256.h"
#include "rec/factors.h"
#include "resolve/resolve.h"

#include <stdio.h>
#include <string.h>

/* What a snapshot of a factor model owns. */
struct factors {
  struct xf_scorer *scorer; /* NULL: popularity, beside which the rows only say what is alike */
  struct xf_itemsim sim;    /* by the item rows */
};

static void factors_free(void *owner) {
  struct factors *f = owner;
  xf_scorer_free(f->scorer);
  xf_itemsim_deinit(&f->sim);
  xf_free(f);
}

static enum xf_rc factors_new(struct factors **out, const struct xf_model *model,
                              const float *params, bool scorer, struct xf_diag *diag) {
  struct factors *f = xf_calloc(1, sizeof *f);
  const struct xf_segment *item = xf_layout_find(xf_model_get_layout(model), "item");
  enum xf_rc rc = item ? XF_OK : XF_E_UNSUPPORTED;
  if (!rc && scorer) rc = xf_factors_scorer(&f->scorer, model, params, diag);
  if (!rc) rc = xf_itemsim_vectors(&f->sim, params + item->offset, item->rows, item->cols, diag);
  *out = f;
  if (!rc) return XF_OK;
  factors_free(f);
  *out = NULL;
  return rc;
}

/* Which model a snapshot is made of; without one it is popularity. */
struct from {
  const struct xf_model *model;
  const float *params; /* NULL: popularity */
  const float *alike;  /* without params: whose item rows say what is alike; may be NULL */
  const struct xf_scorer *scorer;
  void *owner; /* of scorer, taken; NULL: the model above */
  void (*owner_free)(void *owner);
  const float *strangers;
  enum xf_recommender_crowd crowd;
  struct xf_kg_side *kg; /* whose paths are reasons; borrowed; NULL: none */
  const float *base;     /* [base_len / 4] what scorer was decided from */
  uint64_t base_len;
  const char *run, *arm;
  uint64_t round;
};

static void log_served(struct xf_client *c, const struct from *from, enum xf_rc rc,
                       const struct xf_diag *diag) {
  struct xf_serving *now = xf_serving_slot_take(&c->serving.slot);
  if (rc)
    xf_log(XF_LOG_ERROR, "serving_not_renewed", XF_S("arm", from->arm), XF_U("round", from->round),
           XF_S("reason", xf_diag_text(diag, rc)));
  else
    xf_log(XF_LOG_INFO, "serving", XF_U("version", now ? now->meta.version : 0),
           XF_S("kind", now ? now->meta.kind : ""), XF_S("arm", from->arm),
           XF_U("round", from->round));
  xf_serving_unref(now);
}

/* Puts a snapshot over c's catalogue in the slot. A model without rows of users and items gives popularity. */
static void serve(struct xf_client *c, const struct from *from) {
  struct xf_serving_source source = {.catalog = c->serving.catalog,
                                     .strangers = from->strangers,
                                     .crowd = from->crowd,
                                     .kg = from->kg};
  struct xf_serving_meta *m = &source.meta;
  struct xf_serving *s = NULL;
  struct xf_digest digest;
  struct factors *f = NULL;
  struct xf_diag diag;
  xf_diag_init(&diag);
  enum xf_rc rc = XF_OK;
  const float *rows = from->params ? from->params : from->alike;
  if (from->owner) {
    source.scorer = from->scorer;
    source.owner = from->owner;
    source.owner_free = from->owner_free;
  } else if (rows && from->model)
    rc = factors_new(&f, from->model, rows, from->params != NULL, &diag);
  if (rc == XF_E_UNSUPPORTED) rc = XF_OK;
  if (f) {
    source.scorer = f->scorer;
    source.sim = &f->sim;
    source.owner = f;
    source.owner_free = factors_free;
  }
  if (from->base_len) xf_sha256(&digest, from->base, (size_t)from->base_len);
  else if (from->params && from->model)
    xf_sha256(&digest, from->params, xf_model_get_layout(from->model)->n * sizeof(float));
  if (from->base_len || (from->params && from->model)) (void)xf_digest_print(m->model, &digest);
  if (!rc) rc = xf_str_copy(m->run, sizeof m->run, from->run);
  if (!rc) rc = xf_str_copy(m->arm, sizeof m->arm, from->arm);
  m->round = from->round;
  m->made_us = xf_wall_now_us();
  if (!rc) rc = xf_serving_new(&s, &source, &diag);
  else if (source.owner) source.owner_free(source.owner);
  if (!rc) xf_serving_slot_set(&c->serving.slot, s);
  log_served(c, from, rc, &diag);
}

/* What items are like: by the categories, or where the model has no rows of items (cooccur) by who took what. Too many pairs
   of items for that only means that similar items and diversity cannot be had. */
static enum xf_rc liken(struct xf_client *c, struct xf_catalog *made, bool cooccur,
                        struct xf_diag *diag) {
  if (c->cfg.serve.categories[0]) {
    const enum xf_rc rc = xf_catalog_categorise(made, c->cfg.serve.categories, diag);
    return rc ? xf_diag_prefix(diag, rc, "serve.categories") : XF_OK;
  }
  if (!cooccur) return XF_OK;
  const enum xf_rc rc = xf_catalog_cooccur(made, 0, diag);
  if (rc != XF_E_LIMIT) return rc;
  xf_log(XF_LOG_WARN, "no_similar_items", XF_S("reason", xf_diag_text(diag, rc)));
  return XF_OK;
}

/* Names and histories of the data; the categories are read once for each load. */
static enum xf_rc set_catalog(struct xf_client *c, const struct xf_names *users,
                              const struct xf_names *items, const struct xf_csr *train,
                              bool cooccur, struct xf_diag *diag) {
  struct xf_catalog *made = NULL;
  enum xf_rc rc = xf_catalog_new(&made, users, items, train, diag);
  if (!rc) rc = liken(c, made, cooccur, diag);
  if (rc) {
    xf_catalog_unref(made);
    return rc;
  }
  xf_catalog_unref(c->serving.catalog);
  c->serving.catalog = made;
  return XF_OK;
}

static enum xf_rc set_data(struct xf_client *c, const struct xf_dataset *data, bool cooccur,
                           struct xf_diag *diag) {
  if (data->kind != XF_DATASET_INTERACTIONS) {
    xf_api_set_state(c->serving.api, XF_API_TABLE);
    return XF_OK;
  }
  return set_catalog(c, &data->inter.users, &data->inter.items, &data->split.part[XF_PART_TRAIN],
                     cooccur, diag);
}

static void not_served(enum xf_rc rc, const char *what, const struct xf_diag *diag) {
  xf_log(XF_LOG_ERROR, "serving_not_renewed", XF_S("what", what),
         XF_S("reason", xf_diag_text(diag, rc)));
}

/* --- rounds --- */

struct promoted {
  const char *personal;
  uint64_t round;
};
static enum xf_rc find_round(void *arg, const struct xf_outbox_item *item) {
  struct promoted *p = arg;
  if (strcmp(item->personal, p->personal) == 0) p->round = item->round;
  return XF_OK;
}

/* The promoted personal state: its file ("" without one) and the round it comes from. */
static enum xf_rc find_promoted(struct xf_client *c, char personal[XF_OUTBOX_TEXT_MAX],
                                uint64_t *round, struct xf_diag *diag) {
  struct promoted p = {.personal = personal};
  enum xf_rc rc = xf_outbox_personal(c->outbox, personal, diag);
  if (!rc && personal[0]) rc = xf_outbox_items(c->outbox, find_round, &p, diag);
  *round = p.round;
  return rc;
}

void client_serving_adopted(struct xf_client *c, const char *run) {
  char personal[XF_OUTBOX_TEXT_MAX] = "";
  struct xf_diag diag;
  struct from from = {.run = run, .arm = "popularity"};
  /* What was chosen in the end is not replaced by the state before it. */
  if (!c->serving.on || (c->final_stored && c->serving.catalog)) return;
  xf_diag_init(&diag);
  enum xf_rc rc = set_data(c, xf_silo_data(c->silo), !xf_silo_model(c->silo), &diag);
  if (!rc && c->serving.catalog) rc = find_promoted(c, personal, &from.round, &diag);
  if (rc) {
    not_served(rc, "data", &diag);
    return;
  }
  if (!c->serving.catalog) return;
  if (personal[0] && xf_silo_model(c->silo)) {
    from.arm = "personal";
    from.model = xf_silo_model(c->silo);
    from.params = xf_silo_personal(c->silo, false);
  }
  serve(c, &from);
}

void client_serving_decided(struct xf_client *c, uint64_t committed) {
  struct from from = {.run = c->run,
                      .arm = "guarded",
                      .round = committed,
                      .base = c->base,
                      .base_len = c->base_len};
  if (!c->serving.on || !c->serving.catalog || !xf_resolve_recommends(c->plan)) return;
  from.owner_free = xf_silo_decision_unref;
  from.scorer = xf_silo_decision_ref(c->silo, &from.owner);
  if (xf_silo_uses_kg(c->silo, XF_SILO_GUARDED)) from.kg = xf_silo_kg(c->silo);
  if (!from.owner) return;
  struct xf_diag diag;
  xf_diag_init(&diag);
  float *strangers = xf_try_calloc((size_t)c->serving.catalog->items.n + 1, sizeof *strangers);
  const enum xf_rc rc =
      strangers ? xf_silo_strangers(c->silo, strangers, &from.crowd, &diag) : XF_E_NOMEM;
  if (rc) not_served(rc, "strangers", &diag); /* popularity answers them, and says so */
  else if (from.crowd != XF_RECOMMENDER_CROWD_OWN) from.strangers = strangers;
  serve(c, &from);
  xf_free(strangers);
}

void client_serving_committed(struct xf_client *c, const struct xf_digest *task) {
  struct xf_outbox_item item;
  if (!c->serving.on || !c->serving.catalog || !c->silo || !xf_silo_model(c->silo)) return;
  const bool found = xf_outbox_get(c->outbox, task, &item, NULL) == XF_OK;
  const struct from from = {.run = c->run,
                            .arm = "personal",
                            .model = xf_silo_model(c->silo),
                            .params = xf_silo_personal(c->silo, false),
                            .round = found ? item.round : 0};
  serve(c, &from);
}

void client_serving_final(struct xf_client *c, enum xf_silo_arm arm, float *const *params,
                          uint64_t committed) {
  if (!c->serving.on || !c->serving.catalog) return;
  if (xf_resolve_recommends(c->plan)) {
    client_serving_decided(c, committed);
    return;
  }
  const struct from from = {.run = c->run,
                            .arm = xf_silo_arm_name(arm),
                            .model = xf_silo_model(c->silo),
                            .params = params[arm],
                            .alike = params[XF_SILO_FEDERATED] ? params[XF_SILO_FEDERATED]
                                                               : params[XF_SILO_ALONE],
                            .round = committed};
  serve(c, &from);
}

/* --- at the start, before the coordinator was reached --- */

/* The arm whose item rows say what is alike when popularity is served; POPULARITY: none has any. */
static enum xf_silo_arm alike_arm(const struct xf_serve *s) {
  if (xf_safetensors_find(&s->file, "params.federated")) return XF_SILO_FEDERATED;
  return xf_safetensors_find(&s->file, "params.alone") ? XF_SILO_ALONE : XF_SILO_POPULARITY;
}

static void lists_free(void *owner) { xf_scorer_free(owner); }

static enum xf_rc restore_final(struct xf_client *c, struct xf_diag *diag) {
  struct xf_serve s;
  uint64_t committed = 0;
  enum xf_rc rc = xf_serve_open(&s, c->fs, c->cfg.state_dir, diag);
  if (!rc && !s.ranking) xf_api_set_state(c->serving.api, XF_API_TABLE);
  if (!rc && s.ranking) {
    const struct xf_csr train = {.n_row = s.users.n, .start = s.start, .item = s.item};
    const char *text = xf_safetensors_get(&s.file, "committed");
    rc = set_catalog(c, &s.users, &s.items, &train, xf_resolve_recommends(s.plan), diag);
    const bool popularity = s.served == XF_SILO_POPULARITY;
    const enum xf_silo_arm arm = popularity ? alike_arm(&s) : s.served;
    if (!rc && arm != XF_SILO_POPULARITY) rc = xf_serve_load(&s, arm, diag);
    if (!rc && (!text || xf_str_u64(&committed, text, strlen(text)))) committed = 0;
    struct from from = {.run = c->run,
                        .arm = xf_silo_arm_name(s.served),
                        .model = s.model,
                        .params = popularity ? NULL : s.params,
                        .alike = s.params,
                        .round = committed};
    from.strangers = s.strangers;
    from.crowd = s.crowd;
    if (s.paths >> s.served & 1) from.kg = s.kg;
    if (!rc && s.lists) { /* the snapshot's from now on */
      from.scorer = s.lists;
      from.owner = s.lists;
      from.owner_free = lists_free;
      s.lists = NULL;
    }
    if (!rc) serve(c, &from);
  }
  xf_serve_close(&s);
  return rc;
}

static enum xf_rc load_personal(struct xf_client *c, const struct xf_dataset *data,
                                struct xf_model **model, float **params, uint64_t *round,
                                struct xf_diag *diag) {
  char personal[XF_OUTBOX_TEXT_MAX], path[XF_PATH_MAX];
  struct xf_model_config config;
  enum xf_rc rc = find_promoted(c, personal, round, diag);
  if (rc || !personal[0] || xf_resolve_recommends(c->plan)) return rc;
  const struct xf_model_size size = {data->split.n_users, data->split.n_items};
  rc = xf_resolve_model(&config, c->plan, diag);
  if (!rc) rc = xf_model_new(model, &config, size, diag);
  if (!rc) rc = xf_outbox_personal_path(c->outbox, path, personal);
  if (rc) return rc;
  const uint64_t n = xf_model_get_layout(*model)->n;
  *params = xf_try_calloc((size_t)n, sizeof **params);
  return *params ? xf_vector_load(c->fs, path, *params, n, diag) : XF_E_NOMEM;
}

static enum xf_rc restore_data(struct xf_client *c, struct xf_diag *diag) {
  const struct xf_source source = client_source(c);
  struct from from = {.run = c->run, .arm = "popularity"};
  struct xf_model *model = NULL;
  float *params = NULL;
  struct xf_dataset data;
  enum xf_rc rc = xf_resolve_dataset(&data, c->plan, c->cfg.member, &source, diag);
  if (!rc) rc = set_data(c, &data, xf_resolve_recommends(c->plan), diag);
  if (!rc && c->serving.catalog) {
    rc = load_personal(c, &data, &model, &params, &from.round, diag);
    from.model = model;
    from.params = params;
    if (params) from.arm = "personal";
    if (!rc) serve(c, &from);
  }
  xf_free(params);
  xf_model_free(model);
  xf_dataset_deinit(&data);
  return rc;
}

static void restoring_work(struct client_job *job) {
  struct xf_client *c = job->client;
  job->rc = c->final_stored ? restore_final(c, &job->diag) : restore_data(c, &job->diag);
}

static void restoring_done(struct client_job *job) {
  if (job->rc) not_served(job->rc, "state", &job->diag);
  xf_free(job);
}

void client_serving_restore(struct xf_client *c) {
  if (!c->serving.on || (!c->final_stored && !c->has_plan)) return;
  client_submit(c, xf_calloc(1, sizeof(struct client_job)), restoring_work, restoring_done);
}
