#include "rec/coldusers.h"

#include "base/alloc.h"
#include "base/rng.h"

#include <math.h>
#include <string.h>

enum { N_BASE = XF_COLDUSERS_MAP + 1, NEG_MAX = 1 << 20, SOURCE = 0, TARGET = 1 };

static const struct xf_measure measure[XF_COLDUSERS_N_MEASURE] = {
    {XF_MEASURE_NDCG, 10}, {XF_MEASURE_HR, 10}, {XF_MEASURE_MRR, 0}};

struct xf_coldusers_spec xf_coldusers_default(uint64_t seed) {
  return (struct xf_coldusers_spec){
      .als = {.dim = 32, .w = {.a = .1, .rho = .003, .nu = 1}, .sweeps = 6, .seed = seed},
      .ridge = .1,
      .popularity_weight = .3,
      .n_draw = 3,
      .n_neg = 999,
      .seed = seed};
}

const char *xf_coldusers_arm_name(enum xf_coldusers_arm arm) {
  static const char *const name[XF_COLDUSERS_N_ARM] = {
      "popularity",         "overlap popularity",           "cross Gram", "map", "combined",
      "combined, smoothed", "overlap popularity, ties lose"};
  return name[arm];
}

bool xf_coldusers_paired(enum xf_coldusers_arm arm) {
  return arm >= XF_COLDUSERS_GRAM && arm <= XF_COLDUSERS_SMOOTHED;
}

static enum xf_rc fit(struct xf_als *als, const struct xf_csr *train, uint32_t n_items,
                      const struct xf_als_spec *spec, struct xf_diag *diag) {
  struct xf_als_spec own = *spec;
  const struct xf_rec_data data = {train->n_row, n_items, train};
  own.key = NULL;
  const enum xf_rc rc = xf_als_init(als, &data, &own, diag);
  return rc ? rc : xf_als_fit(als, diag);
}

static enum xf_rc side_init(struct xf_coldusers_side *out, const struct xf_csr *train,
                            uint32_t n_items) {
  const size_t n = (size_t)n_items + 1;
  *out = (struct xf_coldusers_side){.train = train, .n_items = n_items};
  out->scale = xf_try_calloc(n, sizeof *out->scale);
  out->self = xf_try_calloc(n, sizeof *out->self);
  if (!out->scale || !out->self) return XF_E_NOMEM;
  for (uint32_t u = 0; u < train->n_row; u++)
    for (uint32_t k = train->start[u]; k < train->start[u + 1]; k++) {
      out->scale[train->item[k]]++;
      out->self[train->item[k]] += 1 / (float)(train->start[u + 1] - train->start[u]);
    }
  for (uint32_t i = 0; i < n_items; i++)
    if (out->scale[i] > 0) out->scale[i] = 1 / sqrtf(out->scale[i]);
  return XF_OK;
}

static void side_deinit(struct xf_coldusers_side *side) {
  xf_free(side->scale);
  xf_free(side->self);
}

/* out = in D C D, or with `half` in D C D^.5: over the train part twice, so that C itself is never made. */
static void walk(const struct xf_coldusers_side *s, const double *in, double *out, bool half) {
  const struct xf_csr *x = s->train;
  memset(out, 0, s->n_items * sizeof *out);
  for (uint32_t u = 0; u < x->n_row; u++) {
    double y = 0;
    for (uint32_t k = x->start[u]; k < x->start[u + 1]; k++)
      y += in[x->item[k]] * (double)s->scale[x->item[k]];
    y /= (double)(x->start[u + 1] - x->start[u]);
    if (y == 0) continue;
    for (uint32_t k = x->start[u]; k < x->start[u + 1]; k++) out[x->item[k]] += y;
  }
  for (uint32_t i = 0; i < s->n_items; i++) {
    const double d = (double)s->scale[i];
    out[i] = (out[i] - in[i] * d * (double)s->self[i]) * (half ? sqrt(d) : d);
  }
}

enum xf_rc xf_coldusers_init(struct xf_coldusers *out, const struct xf_csr *source,
                             uint32_t n_source_items, const struct xf_csr *target,
                             uint32_t n_target_items, const struct xf_coldusers_spec *spec,
                             struct xf_diag *diag) {
  *out = (struct xf_coldusers){
      .spec = *spec, .source = source, .target = target, .n_items = n_target_items};
  const size_t n = (size_t)n_target_items + 1;
  const uint32_t dim = spec->als.dim;
  out->popular = xf_try_calloc(n, sizeof *out->popular);
  out->overlap = xf_try_calloc(n, sizeof *out->overlap);
  out->tied = xf_try_calloc(n, sizeof *out->tied);
  enum xf_rc rc = out->popular && out->overlap && out->tied ? XF_OK : XF_E_NOMEM;
  if (!rc) rc = xf_crossgram_init(&out->gram, n_source_items, n_target_items);
  if (!rc) rc = xf_crossmap_sums_init(&out->sums, dim, dim);
  if (!rc) rc = side_init(&out->side[SOURCE], source, n_source_items);
  if (!rc) rc = side_init(&out->side[TARGET], target, n_target_items);
  if (rc)
    rc = xf_diag_set(diag, rc, "sums of %u x %u items, %u factors: %s", n_source_items,
                     n_target_items, dim, xf_rc_text(rc));
  if (!rc) rc = fit(&out->source_als, source, n_source_items, &spec->als, diag);
  if (!rc) rc = fit(&out->target_als, target, n_target_items, &spec->als, diag);
  for (uint32_t k = 0; !rc && k < xf_csr_count(target); k++) out->popular[target->item[k]]++;
  if (rc) xf_coldusers_deinit(out);
  return rc;
}

void xf_coldusers_deinit(struct xf_coldusers *cold) {
  xf_free(cold->popular);
  xf_free(cold->overlap);
  xf_free(cold->tied);
  xf_crossmap_sums_deinit(&cold->sums);
  xf_crossmap_deinit(&cold->map);
  xf_crossgram_deinit(&cold->gram);
  for (int d = 0; d < 2; d++) side_deinit(&cold->side[d]);
  xf_free(cold->pairs.start);
  xf_free(cold->pairs.item);
  xf_free(cold->pairs.weight);
  xf_als_deinit(&cold->source_als);
  xf_als_deinit(&cold->target_als);
  *cold = (struct xf_coldusers){0};
}

enum xf_rc xf_coldusers_add(struct xf_coldusers *cold, uint32_t source_user, uint32_t target_user) {
  const struct xf_csr *s = cold->source, *t = cold->target;
  const size_t dim = cold->spec.als.dim;
  if (source_user >= s->n_row || target_user >= t->n_row) return XF_E_RANGE;
  const uint32_t *xs = s->item + s->start[source_user], *xt = t->item + t->start[target_user];
  const uint32_t n_s = s->start[source_user + 1] - s->start[source_user];
  const uint32_t n_t = t->start[target_user + 1] - t->start[target_user];
  enum xf_rc rc = xf_crossmap_add_user(&cold->sums, cold->source_als.p + source_user * dim,
                                       cold->target_als.p + target_user * dim);
  if (!rc) rc = xf_crossgram_add_user(&cold->gram, xs, n_s, xt, n_t);
  if (rc) return rc;
  for (uint32_t k = 0; k < n_t; k++) cold->overlap[xt[k]]++;
  /* overlap counts, triangle of H, C; pairs of W */
  const uint64_t floats = cold->n_items + (dim + 1) * (dim + 2) / 2 + (dim + 1) * dim;
  cold->bytes += 4 * floats + 8 * (uint64_t)n_s * n_t;
  cold->n_common++;
  return XF_OK;
}

/* Of the dense gram only what is not zero is kept: a few in a thousand. */
static enum xf_rc compress(struct xf_coldusers *cold) {
  const struct xf_crossgram *g = &cold->gram;
  struct xf_coldusers_pairs *p = &cold->pairs;
  uint64_t n = 0;
  for (size_t k = 0; k < (size_t)g->ns * g->nt; k++) n += g->w[k] != 0;
  p->start = xf_try_calloc((size_t)g->ns + 1, sizeof *p->start);
  p->item = xf_try_calloc(n + 1, sizeof *p->item);
  p->weight = xf_try_calloc(n + 1, sizeof *p->weight);
  if (!p->start || !p->item || !p->weight) return XF_E_NOMEM;
  n = 0;
  for (uint32_t i = 0; i < g->ns; i++) {
    for (uint32_t j = 0; j < g->nt; j++) {
      const float w = g->w[(size_t)i * g->nt + j];
      if (w == 0) continue;
      p->item[n] = j;
      p->weight[n++] = w;
    }
    p->start[i + 1] = n;
  }
  xf_crossgram_deinit(&cold->gram);
  return XF_OK;
}

enum xf_rc xf_coldusers_finish(struct xf_coldusers *cold, struct xf_diag *diag) {
  enum xf_rc rc = xf_crossmap_init(&cold->map, &cold->sums, cold->spec.ridge, diag);
  if (!rc && compress(cold)) rc = xf_diag_set(diag, XF_E_NOMEM, "no memory for the cross Gram");
  float most = 0;
  if (rc) return rc;
  for (uint32_t i = 0; i < cold->n_items; i++)
    if (cold->popular[i] > most) most = cold->popular[i];
  for (uint32_t i = 0; i < cold->n_items; i++) {
    cold->tied[i] = log1pf(cold->overlap[i] + cold->popular[i] / (most + 1));
    cold->popular[i] = log1pf(cold->popular[i]);
    cold->overlap[i] = log1pf(cold->overlap[i]);
  }
  return XF_OK;
}

enum {
  PLAIN,
  ASKED,
  WALKED,
  N_GRAM
}; /* the gram asked with x, with x B B^T, and that walked in the target */

struct ranking {
  const struct xf_coldusers *cold;
  float *gram[N_GRAM], *map; /* [n_items] of the person at hand */
  const float *base[N_BASE];
  double *at[3];       /* [source items], a query's steps */
  double *to[2];       /* [n_items] */
  double *score;       /* [1 + n_neg] */
  uint32_t *candidate; /* [1 + n_neg]: the held-out item first */
  uint8_t *seen;       /* [n_items], zeros between draws */
};

/* out = query W, in double and as a score. */
static void ask(const struct xf_coldusers *c, const double *query, double *out, float *score) {
  const struct xf_coldusers_pairs *p = &c->pairs;
  memset(out, 0, c->n_items * sizeof *out);
  for (uint32_t i = 0; i < c->side[SOURCE].n_items; i++)
    for (uint64_t k = p->start[i]; query[i] != 0 && k < p->start[i + 1]; k++)
      out[p->item[k]] += query[i] * (double)p->weight[k];
  for (uint32_t j = 0; j < c->n_items; j++) score[j] = (float)out[j];
}

/* A person's three answers of the gram, from the source history alone. */
static void ask_gram(struct ranking *r, uint32_t user) {
  const struct xf_coldusers *c = r->cold;
  const struct xf_csr *s = c->source;
  const struct xf_coldusers_side *side = &c->side[SOURCE];
  const uint32_t n = side->n_items, n_s = s->start[user + 1] - s->start[user];
  double *x = r->at[0], *one = r->at[1], *two = r->at[2];
  memset(x, 0, n * sizeof *x);
  for (uint32_t k = s->start[user]; k < s->start[user + 1]; k++) x[s->item[k]] = 1 / sqrt(n_s);
  ask(c, x, r->to[0], r->gram[PLAIN]);
  for (int step = 0; step < 2; step++) { /* x B, then times B^T */
    if (!step)
      for (uint32_t i = 0; i < n; i++) x[i] *= (double)side->scale[i];
    walk(side, x, one, false);
    for (uint32_t i = 0; i < n; i++) one[i] += x[i];
    double *swap = x;
    x = one;
    one = swap;
  }
  for (uint32_t i = 0; i < n; i++) two[i] = x[i] * (double)side->scale[i];
  ask(c, two, r->to[0], r->gram[ASKED]);
  walk(&c->side[TARGET], r->to[0], r->to[1], true);
  for (uint32_t j = 0; j < c->n_items; j++) r->gram[WALKED][j] = (float)r->to[1][j];
}

static enum xf_rc score(struct ranking *r, uint32_t user) {
  const struct xf_coldusers *c = r->cold;
  const size_t dim = c->spec.als.dim;
  float *row = xf_try_calloc(dim, sizeof *row);
  if (!row) return XF_E_NOMEM;
  const enum xf_rc rc = xf_crossmap_row(&c->map, c->source_als.p + user * dim, row);
  for (uint32_t i = 0; i < c->n_items && !rc; i++) {
    double dot = 0;
    for (size_t k = 0; k < dim; k++) dot += (double)row[k] * (double)c->target_als.q[i * dim + k];
    r->map[i] = (float)dot;
  }
  if (!rc) ask_gram(r, user);
  xf_free(row);
  return rc;
}

static void draw(struct ranking *r, struct xf_rng *rng, uint32_t positive, const uint32_t *held,
                 uint32_t n_held) {
  const uint32_t n = r->cold->spec.n_neg;
  r->candidate[0] = positive;
  for (uint32_t k = 0; k < n_held; k++) r->seen[held[k]] = 1;
  for (uint32_t k = 1; k <= n;) {
    const uint32_t i = xf_rng_below(rng, r->cold->n_items);
    if (r->seen[i]) continue;
    r->seen[i] = 1;
    r->candidate[k++] = i;
  }
  for (uint32_t k = 0; k <= n; k++) r->seen[r->candidate[k]] = 0;
  for (uint32_t k = 0; k < n_held; k++) r->seen[held[k]] = 0;
}

/* score[k] += weight x the standardised score of candidate k. */
static void add(struct ranking *r, const float *of, double weight) {
  const uint32_t n = r->cold->spec.n_neg;
  double mean = 0, var = 0;
  for (uint32_t k = 0; k <= n; k++) mean += (double)of[r->candidate[k]] / (n + 1);
  for (uint32_t k = 0; k <= n; k++) var += pow((double)of[r->candidate[k]] - mean, 2) / (n + 1);
  if (!(var > 0)) return;
  for (uint32_t k = 0; k <= n; k++)
    r->score[k] += weight * ((double)of[r->candidate[k]] - mean) / sqrt(var);
}

static void rank(double value[XF_COLDUSERS_N_MEASURE], struct ranking *r,
                 enum xf_coldusers_arm arm) {
  const struct xf_coldusers *c = r->cold;
  uint32_t above = 0;
  memset(r->score, 0, (c->spec.n_neg + 1) * sizeof *r->score);
  double weight = c->spec.popularity_weight;
  if (arm == XF_COLDUSERS_COMBINED) {
    add(r, r->gram[PLAIN], 1);
    add(r, r->map, 1);
  } else if (arm == XF_COLDUSERS_SMOOTHED) {
    add(r, r->gram[ASKED], 1);
    add(r, r->gram[WALKED], 1);
    add(r, r->map, 1);
    weight *= sqrt(3);
  } else {
    add(r, arm == XF_COLDUSERS_STRICT ? c->overlap : r->base[arm], 1);
  }
  if (xf_coldusers_paired(arm)) add(r, c->overlap, weight);
  for (uint32_t k = 1; k <= c->spec.n_neg; k++) above += r->score[k] >= r->score[0];
  for (int m = 0; m < XF_COLDUSERS_N_MEASURE; m++)
    value[m] += xf_measure_ranks(measure[m], &above, 1);
}

static enum xf_rc rank_person(struct xf_coldusers_table *t, struct ranking *r, uint32_t user,
                              const uint32_t *item, uint32_t n_held) {
  const struct xf_coldusers_spec *spec = &r->cold->spec;
  double own[XF_COLDUSERS_N_ARM][XF_COLDUSERS_N_MEASURE] = {{0}};
  const enum xf_rc rc = score(r, user);
  if (rc) return rc;
  for (uint32_t d = 0; d < spec->n_draw; d++) {
    struct xf_rng rng;
    xf_rng_init(&rng, spec->seed + d, user);
    for (uint32_t k = 0; k < n_held; k++) {
      draw(r, &rng, item[k], item, n_held);
      for (int a = 0; a < XF_COLDUSERS_N_ARM; a++) rank(own[a], r, (enum xf_coldusers_arm)a);
    }
  }
  for (int a = 0; a < XF_COLDUSERS_N_ARM; a++) {
    for (int m = 0; m < XF_COLDUSERS_N_MEASURE; m++) t->mean[a][m] += own[a][m];
    t->person[a][t->people] = (float)(own[a][XF_COLDUSERS_NDCG] / (spec->n_draw * n_held));
  }
  t->rows += n_held;
  t->people++;
  return XF_OK;
}

static enum xf_rc check(const struct xf_coldusers *cold, const struct xf_csr *held,
                        struct xf_diag *diag) {
  const struct xf_coldusers_spec *spec = &cold->spec;
  uint32_t most = 0;
  for (uint32_t u = 0; u < held->n_row; u++)
    if (held->start[u + 1] - held->start[u] > most) most = held->start[u + 1] - held->start[u];
  if (!most || !spec->n_draw || spec->n_neg > NEG_MAX || held->n_row > cold->source->n_row ||
      (uint64_t)spec->n_neg + most > cold->n_items)
    return xf_diag_set(diag, XF_E_INVAL,
                       "%u draws of %u items besides up to %u held-out ones among %u: need a "
                       "held-out row, a draw, and fewer negatives than other items",
                       spec->n_draw, spec->n_neg, most, cold->n_items);
  return XF_OK;
}

enum xf_rc xf_coldusers_rank(struct xf_coldusers_table *out, const struct xf_coldusers *cold,
                             const struct xf_csr *held, struct xf_diag *diag) {
  const size_t n = (size_t)cold->n_items + 1, n_list = (size_t)cold->spec.n_neg + 1;
  *out = (struct xf_coldusers_table){0};
  enum xf_rc rc = check(cold, held, diag);
  if (rc) return rc;
  struct ranking r = {.cold = cold,
                      .map = xf_try_calloc(n, sizeof(float)),
                      .score = xf_try_calloc(n_list, sizeof(double)),
                      .candidate = xf_try_calloc(n_list, sizeof(uint32_t)),
                      .seen = xf_try_calloc(n, 1)};
  bool there = r.map && r.score && r.candidate && r.seen;
  for (int g = 0; g < N_GRAM; g++) {
    r.gram[g] = xf_try_calloc(n, sizeof(float));
    r.at[g] = xf_try_calloc((size_t)cold->side[SOURCE].n_items + 1, sizeof(double));
    there = there && r.gram[g] && r.at[g];
  }
  for (int k = 0; k < 2; k++) {
    r.to[k] = xf_try_calloc(n, sizeof(double));
    there = there && r.to[k];
  }
  r.base[XF_COLDUSERS_POPULARITY] = cold->popular;
  r.base[XF_COLDUSERS_OVERLAP] = cold->tied;
  r.base[XF_COLDUSERS_GRAM] = r.gram[PLAIN];
  r.base[XF_COLDUSERS_MAP] = r.map;
  for (int a = 0; a < XF_COLDUSERS_N_ARM; a++) {
    out->person[a] = xf_try_calloc((size_t)held->n_row + 1, sizeof(float));
    there = there && out->person[a];
  }
  if (!there) rc = XF_E_NOMEM;
  for (uint32_t u = 0; u < held->n_row && !rc; u++) {
    const uint32_t n_held = held->start[u + 1] - held->start[u];
    if (n_held) rc = rank_person(out, &r, u, held->item + held->start[u], n_held);
  }
  for (int a = 0; a < XF_COLDUSERS_N_ARM && !rc; a++)
    for (int m = 0; m < XF_COLDUSERS_N_MEASURE; m++)
      out->mean[a][m] /= (double)out->rows * cold->spec.n_draw;
  for (int g = 0; g < N_GRAM; g++) {
    xf_free(r.gram[g]);
    xf_free(r.at[g]);
  }
  for (int k = 0; k < 2; k++) xf_free(r.to[k]);
  xf_free(r.map);
  xf_free(r.score);
  xf_free(r.candidate);
  xf_free(r.seen);
  if (!rc) return XF_OK;
  xf_coldusers_table_deinit(out);
  return xf_diag_set(diag, rc, "ranking cold users: %s", xf_rc_text(rc));
}

void xf_coldusers_table_deinit(struct xf_coldusers_table *table) {
  for (int a = 0; a < XF_COLDUSERS_N_ARM; a++) xf_free(table->person[a]);
  *table = (struct xf_coldusers_table){0};
}

double xf_coldusers_se(const struct xf_coldusers_table *table, enum xf_coldusers_arm arm) {
  const float *x = table->person[arm];
  const uint32_t n = table->people;
  double mean = 0, var = 0;
  for (uint32_t i = 0; i < n; i++) mean += (double)x[i] / n;
  for (uint32_t i = 0; i < n; i++) var += pow((double)x[i] - mean, 2);
  return n > 1 ? sqrt(var / ((double)n * (n - 1))) : (double)NAN;
}
