/* What a recommender's silo serves: its own scorers and the federation's, and the guard between them (rec/recommender.h). */
#include "silo/parts.h"

#include "base/alloc.h"
#include "crypto/blake2b.h"
#include "crypto/stream.h"
#include "param/vec.h"
#include "rec/toplist.h"
#include "rec/unitfree.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct silo_decision {
  atomic_uint refs;      /* the silo's, and one for each snapshot that is served */
  struct xf_digest base; /* of the model it was made from */
  struct xf_recommender *rec;
  struct xf_feature_models models[XF_PLAN_STAGES_MAX]; /* below the net of a scorer stage */
  /* Measured so far, on the silo's thread only: sums, and each user's values; NULL: not yet. */
  struct xf_measure_sum sum[XF_SILO_N_ARM][XF_N_PART][XF_RESOLVE_MEASURES];
  float *value[XF_SILO_N_ARM][XF_N_PART][XF_RESOLVE_MEASURES]; /* [n_users] */
};

void silo_decision_free(struct silo_decision *decision) {
  if (!decision || atomic_fetch_sub(&decision->refs, 1) > 1) return;
  for (int a = 0; a < XF_SILO_N_ARM; a++)
    for (int p = 0; p < XF_N_PART; p++)
      for (int m = 0; m < XF_RESOLVE_MEASURES; m++) xf_free(decision->value[a][p][m]);
  xf_recommender_free(decision->rec); /* frees the nets over `models`, too */
  for (int i = 0; i < XF_PLAN_STAGES_MAX; i++) xf_feature_models_deinit(&decision->models[i]);
  xf_free(decision);
}

/* Whether a stage's slice came: before a rows stage has committed it is 0 at the coordinator, and what a task did not bring is
   0, too. */
static bool has_rows(const float *base, uint64_t n) {
  for (uint64_t i = 0; i < n; i++)
    if (base[i] != 0) return true;
  return false;
}

struct gathered {
  struct silo_gram gram, categories;
  bool has_gram, has_categories;
  struct xf_recommender_rows rows[XF_PLAN_STAGES_MAX];
  uint32_t n_rows;
  float *overlap, *counts; /* [n_items]; NULL: none */
  bool has_counts;
};

/* The overlapping users are this silo's own, and where it was summed those of the others. */
static enum xf_rc gather_counts(struct xf_silo *s, const float *base, struct gathered *g) {
  const size_t n = (size_t)s->data.split.n_items + 1;
  const struct silo_space *users = silo_space_of(s, XF_SPACE_USERS);
  g->counts = xf_try_calloc(n, sizeof *g->counts);
  if (!g->counts) return XF_E_NOMEM;
  if (users && users->n_known) {
    g->overlap = xf_try_calloc(n, sizeof *g->overlap);
    if (!g->overlap) return XF_E_NOMEM;
    silo_overlap(s, g->overlap);
  }
  bool once = false;
  for (uint32_t i = 0; i < s->cfg.plan->n_stages; i++) {
    const struct xf_plan_stage_part *st = &s->cfg.plan->stages[i];
    if (st->kind != XF_PLAN_STAGE_STATISTIC) continue;
    if (st->statistic.of == XF_PLAN_STATISTIC_COUNTS && !g->has_counts)
      g->has_counts = silo_counts_add(s, i, "counts", base, XF_STAGE_ALL, g->counts);
    if (st->statistic.of == XF_PLAN_STATISTIC_OVERLAP && !once && g->overlap)
      once = silo_counts_add(s, i, "overlap", base, XF_STAGE_ALL, g->overlap);
  }
  return XF_OK;
}

static enum xf_rc gather(struct xf_silo *s, const float *base, struct gathered *g,
                         struct xf_diag *diag) {
  const struct xf_plan *plan = s->cfg.plan;
  enum xf_rc rc = XF_OK;
  for (uint32_t i = 0; i < plan->n_stages && !rc; i++) {
    const struct xf_plan_stage_part *st = &plan->stages[i];
    if (st->kind == XF_PLAN_STAGE_ROWS) {
      const struct xf_segment *user = silo_segment(s, i, silo_rows_part(s, i));
      const float *rows = base + silo_wire_at(s, XF_STAGE_ALL, user);
      if (!has_rows(rows, silo_space_of(s, XF_SPACE_USERS)->n_known * (uint64_t)user->cols))
        continue;
      rc = silo_rows_final(s, i, rows, &g->rows[g->n_rows++], diag);
    } else if (st->kind == XF_PLAN_STAGE_STATISTIC) {
      if (st->statistic.of == XF_PLAN_STATISTIC_GRAM && !g->has_gram)
        rc = silo_gram_init(&g->gram, s, i, base, XF_STAGE_ALL, &g->has_gram);
      if (st->statistic.of == XF_PLAN_STATISTIC_CATEGORIES && !g->has_categories)
        rc = silo_gram_init(&g->categories, s, i, base, XF_STAGE_ALL, &g->has_categories);
      if (rc)
        xf_diag_set(diag, rc, "no memory for the others' statistic of %zu keys",
                    silo_space_of(s, silo_gram_space(s, i))->n_known);
    }
  }
  if (!rc && gather_counts(s, base, g))
    rc = xf_diag_set(diag, XF_E_NOMEM, "no memory for the counts of %u items",
                     s->data.split.n_items);
  return rc;
}

/* The federated net of a scorer stage, over this silo's own scorers: a silo that trained nothing has it as well. */
static enum xf_rc add_scorers(struct xf_silo *s, struct silo_decision *d, const float *base,
                              struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  for (uint32_t i = 0; i < s->cfg.plan->n_stages && !rc; i++) {
    const struct xf_plan_stage_part *st = &s->cfg.plan->stages[i];
    struct xf_recommender_candidate c = {
        .flags = XF_RECOMMENDER_SHARED, .tuned = NAN, .owned = true};
    struct xf_model *net = NULL;
    if (st->kind != XF_PLAN_STAGE_TRAIN) continue;
    const float *weights = base + silo_wire_at(s, XF_STAGE_ALL, silo_segment(s, i, "w1"));
    if (!has_rows(weights, s->slice[i].n_wire)) continue;
    rc = silo_scorer_models(&d->models[i], s, i, &s->data.split.part[XF_PART_TRAIN], base,
                            XF_STAGE_ALL, diag);
    if (!rc) rc = xf_resolve_scorer(&net, diag);
    if (!rc) rc = xf_unitfree_scorer(&c.scorer, net, &weights, 1, &d->models[i].features, diag);
    xf_model_free(net);
    (void)snprintf(c.name, sizeof c.name, "%.31s", st->name);
    (void)snprintf(c.setting, sizeof c.setting, "a net over %u unit-free features, %u rounds",
                   rc ? 0 : d->models[i].features.set->n_feature, st->fed.rounds);
    if (!rc) rc = xf_recommender_add(d->rec, &c, diag);
  }
  return rc;
}

static enum xf_rc go_on(const struct xf_silo *s, struct xf_diag *diag) {
  const bool stop = s->cancel && atomic_load(s->cancel);
  return stop ? xf_diag_set(diag, XF_E_CANCELLED, "the decision was cancelled") : XF_OK;
}

enum xf_rc silo_decide(struct xf_silo *s, const float *base, struct xf_diag *diag) {
  struct xf_digest digest;
  xf_blake2b(&digest, base, (size_t)xf_silo_model_len(s));
  if (s->decision && xf_digest_equal(&digest, &s->decision->base)) return XF_OK;
  struct gathered g = {0};
  struct xf_recommender *rec = NULL;
  enum xf_rc rc = gather(s, base, &g, diag);
  const struct xf_recommender_input in = {.split = &s->data.split,
                                          .gram = g.has_gram ? &g.gram.gram : NULL,
                                          .rows = g.rows,
                                          .n_rows = g.n_rows,
                                          .overlap = g.overlap,
                                          .counts = g.has_counts ? g.counts : NULL,
                                          .cancel = s->cancel,
                                          .categories = s->categories.n ? &s->categories : NULL,
                                          .category_gram =
                                              g.has_categories ? &g.categories.gram : NULL,
                                          .kg = s->cfg.kg ? &s->cfg.kg->graph : NULL};
  struct xf_recommender_spec spec = xf_recommender_defaults();
  spec.seed = silo_split_a(s);
  if (!rc) rc = xf_recommender_fit(&rec, &in, &spec, diag);
  if (!rc) rc = go_on(s, diag);
  if (!rc) rc = xf_recommender_mix(rec, diag);
  if (!rc) xf_recommender_free_inner(rec);
  struct silo_decision *d = xf_calloc(1, sizeof *d);
  *d = (struct silo_decision){.refs = 1, .base = digest, .rec = rec};
  if (!rc) rc = add_scorers(s, d, base, diag);
  if (!rc) rc = go_on(s, diag);
  if (!rc) rc = xf_recommender_decide(rec, NULL, diag);
  silo_gram_deinit(&g.gram);
  silo_gram_deinit(&g.categories);
  xf_free(g.overlap);
  xf_free(g.counts);
  if (rc) {
    silo_decision_free(d);
    return rc;
  }
  silo_decision_free(s->decision);
  s->decision = d;
  return XF_OK;
}

static const enum xf_recommender_arm arm[XF_SILO_N_ARM] = {
    [XF_SILO_POPULARITY] = XF_RECOMMENDER_ARM_POPULARITY,
    [XF_SILO_ALONE] = XF_RECOMMENDER_ARM_ALONE,
    [XF_SILO_FEDERATED] = XF_RECOMMENDER_ARM_FEDERATED,
    [XF_SILO_GUARDED] = XF_RECOMMENDER_ARM_GUARDED};

bool xf_silo_uses_kg(const struct xf_silo *silo, enum xf_silo_arm of) {
  return silo->cfg.kg && silo->decision && xf_recommender_uses_kg(silo->decision->rec, arm[of]);
}

static const struct xf_scorer *arm_scorer(const struct xf_silo *s) {
  return s->decision ? s->decision->rec->arm[arm[s->made]].scorer : NULL;
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

struct asking {
  const struct xf_scorer *scorer;
  const struct xf_split *split;
  enum xf_part part;
  float *row; /* [64 x n_items] */
};

/* A user's history, and the instant of what they did next. */
static struct xf_query query_of(const struct asking *a, uint32_t user) {
  const struct xf_csr *train = &a->split->part[XF_PART_TRAIN], *held = &a->split->part[a->part];
  const uint32_t from = train->start[user];
  const bool timed = held->time && held->start[user + 1] > held->start[user];
  return (struct xf_query){user, train->item + from, train->start[user + 1] - from,
                           timed ? held->time[held->start[user]] : (double)NAN};
}

static enum xf_rc ask(void *arg, const uint32_t *users, uint32_t n, const float **out,
                      struct xf_diag *diag) {
  const struct asking *a = arg;
  struct xf_query query[64];
  bool served[64];
  for (uint32_t i = 0; i < n; i++) query[i] = query_of(a, users[i]);
  *out = a->row;
  return xf_scorer_score_many(a->scorer, query, n, a->row, served, diag);
}

static enum xf_rc no_arm(const struct xf_silo *s, struct xf_diag *diag) {
  return xf_diag_set(diag, XF_E_NOTFOUND,
                     "no candidate for the arm %s: nothing came from the federation",
                     xf_silo_arm_name(s->made));
}

/* Takes the sums and the values of a pass apart by measure. */
static enum xf_rc keep(struct xf_silo *s, const struct xf_rank_spec *spec, size_t at) {
  const size_t n_users = s->data.split.n_users;
  float **value = s->decision->value[s->made][spec->part] + at;
  for (size_t m = 0; m < spec->n_measure; m++) {
    float *v = xf_try_calloc(n_users + 1, sizeof *v);
    if (!v) return XF_E_NOMEM;
    for (size_t u = 0; u < n_users; u++) v[u] = spec->per_user[u * spec->n_measure + m];
    xf_free(value[m]);
    value[m] = v;
  }
  return XF_OK;
}

/* A decision is measured more than once: by an evaluation in the run, beside the other arms, user by user. So what was measured is
   kept, and where scores do not depend on the part, validation and test are measured together: asking is what costs. */
static enum xf_rc measure_new(struct xf_silo *s, const struct xf_rank_spec *spec, size_t at,
                              struct xf_diag *diag) {
  struct silo_decision *d = s->decision;
  struct asking a = {.scorer = arm_scorer(s), .split = &s->data.split, .part = spec->part};
  struct xf_rank_spec each[2] = {*spec, *spec};
  struct xf_measure_sum *sum[2];
  const size_t n = s->data.split.part[spec->part].time ? 1 : 2; /* parts */
  const size_t n_value = a.split->n_users * spec->n_measure + 1;
  enum xf_rc rc = XF_OK;
  each[1].part = spec->part == XF_PART_TEST ? XF_PART_VALID : XF_PART_TEST;
  a.row = xf_try_calloc((size_t)64 * a.split->n_items + 1, sizeof *a.row);
  for (size_t k = 0; k < 2; k++) {
    sum[k] = d->sum[s->made][each[k].part] + at;
    each[k].per_user = xf_try_calloc(n_value, sizeof *each[k].per_user);
    if (!each[k].per_user || !a.row) rc = XF_E_NOMEM;
  }
  if (!rc) rc = xf_rank_eval_parts(sum, a.split, each, n, ask, &a, diag);
  for (size_t k = 0; k < n && !rc; k++) rc = keep(s, &each[k], at);
  xf_free(a.row);
  xf_free(each[0].per_user);
  xf_free(each[1].per_user);
  return rc;
}

enum xf_rc silo_decision_measure(struct xf_silo *s, const struct xf_rank_spec *spec,
                                 struct xf_measure_sum *sum, struct xf_diag *diag) {
  const size_t at = (size_t)(spec->measure - s->measures.measure);
  bool known = true;
  if (!arm_scorer(s)) return no_arm(s, diag);
  float **value = s->decision->value[s->made][spec->part] + at;
  for (size_t m = 0; m < spec->n_measure; m++) known &= value[m] != NULL;
  const enum xf_rc rc = known ? XF_OK : measure_new(s, spec, at, diag);
  if (rc) return rc;
  memcpy(sum, s->decision->sum[s->made][spec->part] + at, spec->n_measure * sizeof *sum);
  for (size_t u = 0; spec->per_user && u < s->data.split.n_users; u++)
    for (size_t m = 0; m < spec->n_measure; m++)
      spec->per_user[u * spec->n_measure + m] = value[m][u];
  return XF_OK;
}

enum xf_rc silo_decision_scores(struct xf_silo *s, uint32_t user, float *out,
                                struct xf_diag *diag) {
  const struct asking a = {.scorer = arm_scorer(s), .split = &s->data.split, .part = XF_PART_TRAIN};
  if (!a.scorer) return no_arm(s, diag);
  struct xf_query query = query_of(&a, user);
  query.at = NAN; /* now */
  return xf_scorer_score(a.scorer, &query, out, diag);
}

enum xf_rc xf_silo_strangers(const struct xf_silo *silo, float *out,
                             enum xf_recommender_crowd *crowd, struct xf_diag *diag) {
  return silo->decision ? xf_recommender_strangers(silo->decision->rec, out, crowd, diag)
                        : xf_diag_set(diag, XF_E_STATE, "no arm was made yet");
}

enum xf_rc xf_silo_lists(struct xf_silo *silo, uint32_t *item, float *score, struct xf_diag *diag) {
  const struct xf_rec_data data = {silo->data.split.n_users, silo->data.split.n_items,
                                   &silo->data.split.part[XF_PART_TRAIN]};
  const struct xf_scorer *scorer = arm_scorer(silo);
  return scorer ? xf_toplist_make(item, score, scorer, &data, diag) : no_arm(silo, diag);
}

bool xf_silo_list_categories(struct xf_silo *silo, const uint32_t *item, uint32_t *category) {
  const struct xf_rec_data data = {silo->data.split.n_users, silo->data.split.n_items,
                                   &silo->data.split.part[XF_PART_TRAIN]};
  const struct xf_scorer *scorer =
      silo->decision ? xf_recommender_categories(silo->decision->rec, arm[silo->made]) : NULL;
  return scorer && xf_toplist_categories(category, item, scorer, &data) == XF_OK;
}

const struct xf_scorer *xf_silo_decision_ref(struct xf_silo *silo, void **owner) {
  *owner = NULL;
  if (!silo->decision) return NULL;
  atomic_fetch_add(&silo->decision->refs, 1);
  *owner = silo->decision;
  return xf_recommender_served(silo->decision->rec);
}

void xf_silo_decision_unref(void *owner) { silo_decision_free(owner); }

enum xf_rc xf_silo_explain(const struct xf_silo *silo, struct xf_buf *text) {
  return silo->decision ? xf_recommender_print(silo->decision->rec, text) : XF_OK;
}
