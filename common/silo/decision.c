/* What a recommender's silo serves: its own scorers and the federation's, and the guard between them (rec/recommender.h). */
#include "silo/parts.h"

#include "base/alloc.h"
#include "crypto/blake2b.h"
#include "crypto/stream.h"
#include "param/vec.h"
#include "rec/gram.h"
#include "rec/recommender.h"

#include <math.h>
#include <string.h>

struct silo_decision {
  struct xf_digest base; /* of the model it was made from */
  struct xf_recommender *rec;
};

void silo_decision_free(struct silo_decision *decision) {
  if (!decision) return;
  xf_recommender_free(decision->rec);
  xf_free(decision);
}

/* The others' part of a statistic: the sum less what this silo released. Both lie over the known keys. */
struct others {
  struct xf_recommender_gram gram;
  float *triangle, *diagonal;
};

/* Deviation of the noise in the others' sum: each holder added its own. A pair has at most as many as its items. */
static double others_sd(const struct xf_silo *s) {
  uint32_t most = 1;
  for (size_t k = 0; k < s->n_known; k++)
    if (s->holders[k] > most) most = s->holders[k];
  return s->cfg.plan->privacy.noise_multiplier * XF_GRAM_SENSITIVITY * sqrt((double)most - 1);
}

static enum xf_rc take_gram(struct xf_silo *s, uint32_t stage, const float *base,
                            struct others *out) {
  const struct xf_segment *pairs = silo_segment(s, stage, "pairs");
  const struct xf_segment *diagonal = silo_segment(s, stage, "diagonal");
  const size_t n = (size_t)xf_segment_len(pairs);
  const float *sum = base + silo_wire_at(s, XF_STAGE_ALL, pairs), *own = s->full + pairs->offset;
  out->triangle = xf_try_calloc(n + 1, sizeof *out->triangle);
  out->diagonal = xf_try_calloc(s->n_known + 1, sizeof *out->diagonal);
  if (!out->triangle || !out->diagonal) return XF_E_NOMEM;
  xf_vec_delta(out->triangle, sum, own, n);
  if (diagonal) {
    sum = base + silo_wire_at(s, XF_STAGE_ALL, diagonal);
    own = s->full + diagonal->offset;
    for (size_t k = 0; k < s->n_known; k++) out->diagonal[k] = sum[k] - own[s->known_row[k]];
  }
  out->gram = (struct xf_recommender_gram){.shared = s->known_row,
                                           .m = (uint32_t)s->n_known,
                                           .triangle = out->triangle,
                                           .diagonal = diagonal ? out->diagonal : NULL,
                                           .beta = s->cfg.plan->stages[stage].statistic.beta,
                                           .noise_sd = others_sd(s)};
  return XF_OK;
}

/* Whether the stage has committed: before, its slice is 0 at the coordinator. */
static bool has_artifact(const float *base, uint64_t at, uint64_t n) {
  for (uint64_t i = 0; i < n; i++)
    if (base[at + i] != 0) return true;
  return false;
}

/* Train events of users that at least two silos hold. */
static float *make_overlap(const struct xf_silo *s) {
  const struct xf_csr *train = &s->data.split.part[XF_PART_TRAIN];
  if (xf_resolve_keys_items(s->cfg.plan) || s->n_known == 0) return NULL;
  float *out = xf_try_calloc((size_t)s->data.split.n_items + 1, sizeof *out);
  for (size_t k = 0; out && k < s->n_known; k++)
    for (uint32_t e = train->start[s->known_row[k]]; e < train->start[s->known_row[k] + 1]; e++)
      out[train->item[e]]++;
  return out;
}

struct gathered {
  struct others gram;
  bool has_gram;
  struct xf_recommender_rows rows[XF_PLAN_STAGES_MAX];
  struct xf_als_pull pull[XF_PLAN_STAGES_MAX];
  uint32_t n_rows;
  float *overlap;
};

static enum xf_rc gather(struct xf_silo *s, const float *base, struct gathered *g,
                         struct xf_diag *diag) {
  const struct xf_plan *plan = s->cfg.plan;
  enum xf_rc rc = XF_OK;
  for (uint32_t i = 0; i < plan->n_stages && !rc; i++) {
    const struct xf_plan_stage_part *st = &plan->stages[i];
    if (st->kind == XF_PLAN_STAGE_ROWS) {
      const struct xf_segment *user = silo_segment(s, i, "user");
      const uint64_t at = silo_wire_at(s, XF_STAGE_ALL, user),
                     n = s->n_known * (uint64_t)user->cols;
      if (!has_artifact(base, at, n)) continue;
      rc = silo_rows_final(s, i, base + at, &g->pull[g->n_rows], diag);
      g->rows[g->n_rows] = (struct xf_recommender_rows){
          .name = st->name, .als = &s->rows[i].als, .pull = &g->pull[g->n_rows]};
      g->n_rows++;
    } else if (st->kind == XF_PLAN_STAGE_STATISTIC && st->statistic.of == XF_PLAN_STATISTIC_GRAM &&
               !g->has_gram) {
      const struct xf_segment *pairs = silo_segment(s, i, "pairs");
      if (!has_artifact(base, silo_wire_at(s, XF_STAGE_ALL, pairs), xf_segment_len(pairs)))
        continue;
      rc = take_gram(s, i, base, &g->gram);
      g->has_gram = rc == XF_OK;
      if (rc) xf_diag_set(diag, rc, "no memory for the others' statistic of %zu items", s->n_known);
    }
  }
  if (!rc) g->overlap = make_overlap(s);
  return rc;
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
                                          .overlap = g.overlap};
  struct xf_recommender_spec spec = xf_recommender_defaults();
  struct xf_rng rng;
  xf_stream_init(&rng, s->cfg.plan->seed, "eval", 1, s->cfg.member);
  spec.seed = xf_rng_u64(&rng);
  if (!rc) rc = xf_recommender_fit(&rec, &in, &spec, diag);
  if (!rc) rc = xf_recommender_mix(rec, diag);
  if (!rc) xf_recommender_free_inner(rec);
  if (!rc) rc = xf_recommender_decide(rec, NULL, diag);
  xf_free(g.gram.triangle);
  xf_free(g.gram.diagonal);
  xf_free(g.overlap);
  if (rc) {
    xf_recommender_free(rec);
    return rc;
  }
  silo_decision_free(s->decision);
  s->decision = xf_calloc(1, sizeof *s->decision);
  *s->decision = (struct silo_decision){digest, rec};
  return XF_OK;
}

static const struct xf_scorer *arm_scorer(const struct xf_silo *s) {
  static const enum xf_recommender_arm arm[XF_SILO_N_ARM] = {
      [XF_SILO_POPULARITY] = XF_RECOMMENDER_ARM_POPULARITY,
      [XF_SILO_ALONE] = XF_RECOMMENDER_ARM_ALONE,
      [XF_SILO_FEDERATED] = XF_RECOMMENDER_ARM_FEDERATED,
      [XF_SILO_GUARDED] = XF_RECOMMENDER_ARM_GUARDED};
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

enum xf_rc silo_decision_measure(struct xf_silo *s, const struct xf_rank_spec *spec,
                                 struct xf_measure_sum *sum, struct xf_diag *diag) {
  struct asking a = {.scorer = arm_scorer(s), .split = &s->data.split, .part = spec->part};
  if (!a.scorer) return no_arm(s, diag);
  a.row = xf_try_calloc((size_t)64 * s->data.split.n_items + 1, sizeof *a.row);
  if (!a.row) return XF_E_NOMEM;
  const enum xf_rc rc = xf_rank_eval(sum, &s->data.split, spec, ask, &a, diag);
  xf_free(a.row);
  return rc;
}

enum xf_rc silo_decision_scores(struct xf_silo *s, uint32_t user, float *out,
                                struct xf_diag *diag) {
  const struct asking a = {.scorer = arm_scorer(s), .split = &s->data.split, .part = XF_PART_TRAIN};
  if (!a.scorer) return no_arm(s, diag);
  struct xf_query query = query_of(&a, user);
  query.at = NAN; /* now */
  return xf_scorer_score(a.scorer, &query, out, diag);
}

enum xf_rc xf_silo_explain(const struct xf_silo *silo, struct xf_buf *text) {
  return silo->decision ? xf_recommender_print(silo->decision->rec, text) : XF_OK;
}
