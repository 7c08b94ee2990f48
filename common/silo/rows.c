/* A rows stage: implicit ALS whose user rows are pulled towards the other holders' mean, or replaced by all holders' (rule average);
   rule sums is in rowsums.c. The first `rows.inner` rounds leave out split A, so that mixes can learn from a model that has not seen it; the
   later ones have the whole train part. */
#include "silo/parts.h"

#include "base/alloc.h"
#include "crypto/stream.h"
#include "fed/pull.h"
#include "param/vec.h"
#include "rec/inner.h"

#include <string.h>

void silo_rows_deinit(struct silo_rows *rows) {
  for (int k = 0; k < SILO_ROWS_MODELS; k++) {
    xf_als_deinit(&rows->model[k].als);
    xf_free(rows->model[k].target);
  }
  xf_split_deinit(&rows->split);
  *rows = (struct silo_rows){0};
}

/* Start rows follow the user's key, so that all holders begin alike. */
static enum xf_rc make_model(const struct xf_silo *s, const struct xf_plan_stage_part *st,
                             const struct xf_csr *train, struct silo_rows_model *m,
                             struct xf_diag *diag) {
  const struct xf_rec_data data = {s->data.split.n_users, s->data.split.n_items, train};
  uint64_t *key = xf_try_calloc((size_t)data.n_users + 1, sizeof *key);
  m->target = xf_try_calloc((size_t)data.n_users * st->rows.dim + 1, sizeof *m->target);
  if (!key || !m->target) {
    xf_free(key);
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for rows of %u users", data.n_users);
  }
  const struct xf_key *local = silo_space_of(s, XF_SPACE_USERS)->local_key;
  for (uint32_t u = 0; u < data.n_users; u++)
    for (size_t b = 0; b < sizeof *key; b++) key[u] |= (uint64_t)local[u].b[b] << (8 * b);
  struct xf_rng rng;
  xf_stream_init(&rng, s->cfg.plan->seed, "init", 0, NULL);
  const struct xf_als_spec spec = {.dim = st->rows.dim,
                                   .w = {st->rows.alpha, st->rows.rho, st->rows.nu},
                                   .seed = xf_rng_u64(&rng),
                                   .key = key};
  const enum xf_rc rc = xf_als_init(&m->als, &data, &spec, diag);
  xf_free(key);
  return rc;
}

/* Both models in their first state. Too few events for a split A: there is none without it, and all rounds have all of them. */
static enum xf_rc make_models(struct xf_silo *s, uint32_t stage, struct xf_diag *diag) {
  const struct xf_plan_stage_part *st = &s->cfg.plan->stages[stage];
  struct silo_rows *r = &s->rows[stage];
  if (r->ready) return XF_OK;
  enum xf_rc rc = make_model(s, st, &s->data.split.part[XF_PART_TRAIN], &r->model[0], diag);
  if (!rc && st->rows.inner) {
    rc = xf_inner_init(&r->split, &s->data.split, 0, silo_split_a(s), NULL);
    r->inner = rc == XF_OK;
    if (!rc) rc = make_model(s, st, &r->split.part[XF_PART_TRAIN], &r->model[1], diag);
    if (rc == XF_E_NOTFOUND) rc = XF_OK;
  }
  r->ready = rc == XF_OK;
  return rc;
}

enum xf_rc silo_rows_models(struct xf_silo *s, uint32_t stage, bool again, struct xf_diag *diag) {
  if (again) silo_rows_deinit(&s->rows[stage]);
  return make_models(s, stage, diag);
}

static enum xf_plan_row_rule rule_of(const struct xf_silo *s, uint32_t stage) {
  return s->cfg.plan->stages[stage].rows.rule;
}

const char *silo_rows_part(const struct xf_silo *s, uint32_t stage) {
  return rule_of(s, stage) == XF_PLAN_ROW_RULE_SUMS ? "sums" : "user";
}

static bool any(const struct xf_silo *s, uint32_t stage, const char *part) {
  const struct xf_segment *seg = silo_segment(s, stage, part);
  const float *p = s->full + seg->offset;
  for (uint64_t i = 0; i < xf_segment_len(seg); i++)
    if (p[i] != 0) return true;
  return false;
}

bool silo_rows_contributed(const struct xf_silo *s, uint32_t stage) {
  return any(s, stage, silo_rows_part(s, stage));
}

static void load(const struct xf_silo *s, uint32_t stage, const char *user, const char *item,
                 struct xf_als *als) {
  const size_t d = als->spec.dim;
  memcpy(als->p, s->full + silo_segment(s, stage, user)->offset, als->n_users * d * sizeof *als->p);
  memcpy(als->q, s->full + silo_segment(s, stage, item)->offset, als->n_items * d * sizeof *als->q);
}

static void save(const struct xf_silo *s, uint32_t stage, const char *user, const char *item,
                 const struct xf_als *als, float *to) {
  const size_t d = als->spec.dim;
  memcpy(to + silo_segment(s, stage, user)->offset, als->p, als->n_users * d * sizeof *als->p);
  memcpy(to + silo_segment(s, stage, item)->offset, als->q, als->n_items * d * sizeof *als->q);
}

/* The other holders' mean of each known row; plain: the mean as it is. A row that the directory does not know has none. */
static void make_target(const struct xf_silo *s, uint32_t stage, const float *base, bool plain,
                        struct silo_rows_model *m) {
  const struct xf_als *als = &m->als;
  const size_t d = als->spec.dim;
  memset(m->target, 0, (size_t)als->n_users * d * sizeof *m->target);
  const struct silo_space *users = silo_space_of(s, XF_SPACE_USERS);
  for (size_t k = 0; k < users->n_known; k++) {
    const size_t at = (size_t)users->known_row[k] * d;
    if (plain) memcpy(m->target + at, base + k * d, d * sizeof *m->target);
    else
      xf_pull_prior(m->target + at, base + k * d, als->p + at, d, users->holders[k],
                    s->cfg.plan->stages[stage].rows.min_holders, 1);
  }
}

/* Rule average: known rows become the mean. */
static void put_mean(const struct xf_silo *s, const float *base, struct xf_als *als) {
  const struct silo_space *users = silo_space_of(s, XF_SPACE_USERS);
  const size_t d = als->spec.dim;
  for (size_t k = 0; k < users->n_known; k++)
    memcpy(als->p + users->known_row[k] * d, base + k * d, d * sizeof *als->p);
}

static enum xf_rc settle_mean(const struct xf_silo *s, const float *base, struct xf_als *als,
                              int sweeps, struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  for (int sweep = 0; sweep < sweeps && !rc; sweep++) {
    rc = xf_als_step_users(als, NULL, diag); /* of those that nobody else holds */
    put_mean(s, base, als);
    if (!rc) rc = xf_als_step_items(als, diag);
  }
  return rc;
}

/* Sweeps towards the target, and the users' step that ends a model. */
static enum xf_rc settle(const struct xf_silo *s, uint32_t stage, const float *base,
                         struct silo_rows_model *m, int sweeps, struct xf_diag *diag) {
  const struct xf_plan_stage_part *st = &s->cfg.plan->stages[stage];
  enum xf_rc rc = XF_OK;
  if (st->rows.rule == XF_PLAN_ROW_RULE_AVERAGE) return settle_mean(s, base, &m->als, sweeps, diag);
  m->pull = (struct xf_als_pull){m->target, (float)st->rows.kappa};
  for (int sweep = 0; sweep < sweeps && !rc; sweep++) {
    rc = xf_als_step_users(&m->als, &m->pull, diag);
    if (!rc) rc = xf_als_step_items(&m->als, diag);
  }
  return rc ? rc : xf_als_step_users(&m->als, &m->pull, diag);
}

/* The model without split A as the committed rows end it: once around towards them. */
static enum xf_rc end_inner(struct xf_silo *s, uint32_t stage, const float *base,
                            struct xf_diag *diag) {
  struct silo_rows_model *m = &s->rows[stage].model[1];
  load(s, stage, "user", "item", &m->als);
  make_target(s, stage, base, false, m);
  return settle(s, stage, base, m, 1, diag);
}

void silo_rows_keep_inner(const struct xf_silo *s, uint32_t stage, float *to) {
  const struct silo_rows_model *m = &s->rows[stage].model[1];
  save(s, stage, "inner_user", "inner_item", &m->als, to);
  if (rule_of(s, stage) != XF_PLAN_ROW_RULE_PULL) return;
  memcpy(to + silo_segment(s, stage, "inner_target")->offset, m->target,
         (size_t)m->als.n_users * m->als.spec.dim * sizeof *m->target);
}

bool silo_rows_load_inner(struct xf_silo *s, uint32_t stage) {
  struct silo_rows_model *m = &s->rows[stage].model[1];
  if (!any(s, stage, "inner_user")) return false;
  load(s, stage, "inner_user", "inner_item", &m->als);
  if (rule_of(s, stage) != XF_PLAN_ROW_RULE_PULL) return true;
  memcpy(m->target, s->full + silo_segment(s, stage, "inner_target")->offset,
         (size_t)m->als.n_users * m->als.spec.dim * sizeof *m->target);
  m->pull = (struct xf_als_pull){m->target, (float)s->cfg.plan->stages[stage].rows.kappa};
  return true;
}

/* One round's half-steps from the committed rows. */
static enum xf_rc half_steps(struct xf_silo *s, uint32_t stage, const float *base, bool forming,
                             bool enters, struct silo_rows_model *m, const atomic_bool *cancel,
                             struct xf_diag *diag) {
  const struct xf_plan_stage_part *st = &s->cfg.plan->stages[stage];
  const bool average = st->rows.rule == XF_PLAN_ROW_RULE_AVERAGE;
  const struct xf_als_pull pull = {m->target, forming ? 1 : (float)st->rows.kappa};
  enum xf_rc rc = XF_OK;
  if (!enters) load(s, stage, "user", "item", &m->als);
  if (average) put_mean(s, base, &m->als);
  else {
    make_target(s, stage, base, forming || enters, m);
    rc = xf_als_step_users(&m->als, &pull, diag);
  }
  if (!rc && cancel && atomic_load(cancel)) rc = XF_E_CANCELLED;
  if (!rc) rc = xf_als_step_items(&m->als, diag);
  return !rc && average ? xf_als_step_users(&m->als, NULL, diag) : rc;
}

enum xf_rc silo_rows(struct xf_silo *s, uint32_t stage, uint64_t round, const float *base,
                     const atomic_bool *cancel, struct xf_diag *diag) {
  const struct xf_plan_stage_part *st = &s->cfg.plan->stages[stage];
  const bool enters =
      round == 0 || !silo_rows_contributed(s, stage); /* it may have missed rounds */
  if (st->rows.rule == XF_PLAN_ROW_RULE_SUMS) return silo_sums(s, stage, round, base, cancel, diag);
  enum xf_rc rc = silo_rows_models(s, stage, enters, diag);
  if (rc) return rc;
  struct silo_rows *r = &s->rows[stage];
  struct silo_rows_model *m = &r->model[r->inner && round < st->rows.inner];
  const bool ends_inner = r->inner && round == st->rows.inner && !enters;
  if (ends_inner) rc = end_inner(s, stage, base, diag);
  if (rc) return rc;
  rc = round == 0
           ? xf_als_step_users(&m->als, NULL, diag) /* nothing is committed */
           : half_steps(s, stage, base, round <= st->rows.formation, enters, m, cancel, diag);
  if (rc) return rc;
  memcpy(s->task, s->full, (size_t)s->layout->n * sizeof *s->task);
  save(s, stage, "user", "item", &m->als, s->task);
  if (ends_inner) silo_rows_keep_inner(s, stage, s->task);
  xf_wire_map_gather(&s->slice[stage], s->wire, s->task);
  xf_vec_delta(s->wire, s->wire, base, (size_t)s->slice[stage].n_wire);
  return XF_OK;
}

/* Without rows of its own in the mean, both models start from the others'. */
static enum xf_rc newcomer(struct xf_silo *s, uint32_t stage, const float *base,
                           struct xf_diag *diag) {
  struct silo_rows *r = &s->rows[stage];
  enum xf_rc rc = silo_rows_models(s, stage, true, diag);
  for (int k = 0; k < (r->inner ? 2 : 1) && !rc; k++) {
    make_target(s, stage, base, true, &r->model[k]);
    rc = settle(s, stage, base, &r->model[k], SILO_ROWS_NEWCOMER, diag);
  }
  return rc;
}

static enum xf_rc final_rows(struct xf_silo *s, uint32_t stage, const float *base,
                             struct xf_diag *diag) {
  struct silo_rows *r = &s->rows[stage];
  int sweeps = 1;
  if (!silo_rows_contributed(s, stage)) return newcomer(s, stage, base, diag);
  enum xf_rc rc = silo_rows_models(s, stage, false, diag);
  if (rc) return rc;
  load(s, stage, "user", "item", &r->model[0].als);
  make_target(s, stage, base, false, &r->model[0]);
  if (r->inner && !silo_rows_load_inner(s, stage)) {
    rc = end_inner(s, stage, base,
                   diag); /* the rows that were exchanged are those without split A */
    sweeps = SILO_ROWS_WHOLE;
  }
  return rc ? rc : settle(s, stage, base, &r->model[0], sweeps, diag);
}

enum xf_rc silo_rows_final(struct xf_silo *s, uint32_t stage, const float *base,
                           struct xf_recommender_rows *out, struct xf_diag *diag) {
  const enum xf_plan_row_rule rule = rule_of(s, stage);
  const struct silo_rows *r = &s->rows[stage];
  const enum xf_rc rc = rule == XF_PLAN_ROW_RULE_SUMS ? silo_sums_final(s, stage, base, diag)
                                                      : final_rows(s, stage, base, diag);
  *out = (struct xf_recommender_rows){.name = s->cfg.plan->stages[stage].name,
                                      .als = &r->model[0].als,
                                      .inner = r->inner ? &r->model[1].als : NULL};
  if (rule != XF_PLAN_ROW_RULE_PULL) return rc;
  out->pull = &r->model[0].pull;
  out->inner_pull = r->inner ? &r->model[1].pull : NULL;
  return rc;
}
