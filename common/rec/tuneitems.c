/* Item and category models on the own Gram and on own + lambda x others'. */
#include "rec/tune.h"

#include "base/alloc.h"
#include "param/triangle.h"
#include "rec/catmodel.h"
#include "rec/diffuse.h"
#include "rec/item_model.h"
#include "rec/kgcontent.h"
#include "rec/metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double FROM = .5; /* exponent of the history's items in the kernel */

/* What a model is fitted on: a Gram, and train events, t's or those without split A. */
struct source {
  const struct xf_gram *gram;
  const struct xf_rec_data *data;
};

/* One kind of item model. */
struct kind {
  const char *name, *shared_name, *param;
  const double *grid;
  uint32_t n_grid;
  enum xf_rc (*fit)(struct xf_scorer **out, const struct source *from, double param,
                    const struct xf_tune *t, struct xf_diag *diag);
  bool inverts;   /* needs a positive definite Gram */
  uint32_t flags; /* of its candidates */
};

static enum xf_rc fit_kernel(struct xf_scorer **out, const struct source *from, double param,
                             const struct xf_tune *t, struct xf_diag *diag) {
  (void)t;
  return xf_kernel_fit(out, from->gram, FROM, param, diag);
}

static enum xf_rc fit_ease(struct xf_scorer **out, const struct source *from, double param,
                           const struct xf_tune *t, struct xf_diag *diag) {
  return xf_ease_fit(out, from->gram, param, t->spec->max_items, diag);
}

static enum xf_rc fit_graph(struct xf_scorer **out, const struct source *from, double param,
                            const struct xf_tune *t, struct xf_diag *diag) {
  struct xf_diffuse_spec spec = XF_DIFFUSE_DEFAULTS;
  spec.w = param;
  return xf_diffuse_fit(out, from->gram, t->in->kg, &spec, diag);
}

static enum xf_rc fit_category(struct xf_scorer **out, const struct source *from, double param,
                               const struct xf_tune *t, struct xf_diag *diag) {
  return xf_category_fit(out, from->gram, t->in->categories, from->data, param, diag);
}

/* The Grams of one part of the data: own for the local models, own as the artifact counts for the shared ones. */
struct grams {
  struct xf_gram local, own;
  const struct xf_rec_data *data; /* that part */
};

struct others {
  const struct xf_recommender_gram *gram; /* NULL: none */
  float *triangle, *diagonal;             /* after the threshold */
  float *
      dominant; /* with noise: whole row sums, so that what is inverted is positive definite whatever the noise left */
  uint64_t kept; /* entries above it */
};

static void grams_deinit(struct grams *g) {
  xf_gram_deinit(&g->local);
  xf_gram_deinit(&g->own);
}

/* Of the items, or with `profile` of the categories that users have events in. */
static enum xf_rc grams_init(struct grams *g, const struct xf_tune *t,
                             const struct xf_rec_data *data, const struct xf_csr *profile,
                             const struct others *o, struct xf_diag *diag) {
  struct xf_rec_data rows = *data;
  if (profile) rows = (struct xf_rec_data){data->n_users, t->in->categories->n, profile};
  const struct xf_gram_spec local = {.beta = t->spec->beta};
  g->data = data;
  enum xf_rc rc = xf_gram_build(&g->local, &rows, &local, diag);
  if (rc || !o->gram) return rc;
  const struct xf_gram_spec own = {.beta = o->gram->beta};
  return xf_gram_build(&g->own, &rows, &own, diag);
}

static enum xf_rc others_init(struct others *o, const struct xf_recommender_gram *g,
                              struct xf_diag *diag) {
  *o = (struct others){.gram = g};
  if (!g) return XF_OK;
  const size_t n = g->m ? (size_t)xf_triangle_count(g->m) : 0;
  if (!(g->noise_sd >= 0) || (!g->diagonal && !(g->noise_sd > 0)))
    return xf_diag_set(diag, XF_E_INVAL,
                       "the others' Gram: noise sd %g, %s diagonal; without noise it needs one",
                       g->noise_sd, g->diagonal ? "a" : "no");
  o->triangle = xf_try_calloc(n + 1, sizeof *o->triangle);
  o->diagonal = xf_try_calloc((size_t)g->m + 1, sizeof *o->diagonal);
  o->dominant = xf_try_calloc((size_t)g->m + 1, sizeof *o->dominant);
  if (!o->triangle || !o->diagonal || !o->dominant)
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for a Gram over %u shared items", g->m);
  if (n) memcpy(o->triangle, g->triangle, n * sizeof *o->triangle);
  if (g->diagonal && g->m) memcpy(o->diagonal, g->diagonal, g->m * sizeof *o->diagonal);
  for (size_t i = 0; i < n; i++)
    if (!isfinite(o->triangle[i]))
      return xf_diag_set(diag, XF_E_NAN, "entry %zu of the others' Gram is not a number", i);
  if (g->noise_sd > 0) o->kept = xf_gram_threshold(o->triangle, o->diagonal, g->m, g->noise_sd);
  for (uint32_t a = 0; a < g->m; a++)
    o->dominant[a] = g->noise_sd > 0 ? 3 * o->diagonal[a] : o->diagonal[a];
  return XF_OK;
}

static void others_deinit(struct others *o) {
  xf_free(o->triangle);
  xf_free(o->diagonal);
  xf_free(o->dominant);
}

static enum xf_rc fit_local(struct xf_scorer **out, const struct kind *k, const struct xf_tune *t,
                            const struct grams *g, double param, struct xf_diag *diag) {
  const struct source from = {&g->local, g->data};
  return k->fit(out, &from, param, t, diag);
}

static enum xf_rc fit_shared(struct xf_scorer **out, const struct kind *k, const struct xf_tune *t,
                             const struct grams *g, const struct others *o, double lambda,
                             double param, struct xf_diag *diag) {
  struct xf_gram sum;
  const struct source from = {&sum, g->data};
  enum xf_rc rc = xf_gram_combine(&sum, &g->own, lambda, o->gram->shared, o->gram->m, o->triangle,
                                  k->inverts ? o->dominant : o->diagonal, 0, diag);
  if (rc) return xf_diag_prefix(diag, rc, "own + %g times the others' Gram", lambda);
  for (uint64_t e = 0; k->flags & XF_RECOMMENDER_GRAPH && e < sum.start[sum.n]; e++)
    sum.value[e] =
        fmaxf(sum.value[e], 0); /* sum - own release leaves less than nothing of rounding */
  rc = k->fit(out, &from, param, t, diag);
  xf_gram_deinit(&sum);
  return rc;
}

/* Keeps the figures of the best try so far. */
static bool better(struct xf_tune *t, double mean, double *best) {
  if (!(mean > *best)) return false;
  float *figure = t->best;
  *best = mean;
  t->best = t->figure;
  t->figure = figure;
  return true;
}

static bool outermost(const double *x, uint32_t n, double v) {
  double low = v, high = v;
  for (uint32_t i = 0; i < n; i++) low = fmin(low, x[i]), high = fmax(high, x[i]);
  return n > 1 && (v <= low || v >= high);
}

/* The best parameter without the others; t->best has its figures. */
static enum xf_rc tune_local(const struct kind *k, struct xf_tune *t, const struct grams *inner,
                             const struct grams *whole, double *param, struct xf_diag *diag) {
  struct xf_recommender_candidate *c;
  double best = -INFINITY;
  enum xf_rc rc = xf_tune_candidate(t, &c, k->name, k->flags, diag);
  *param = k->grid[0];
  for (uint32_t i = 0; !rc && t->possible && i < k->n_grid; i++) {
    struct xf_scorer *s = NULL;
    double mean = 0;
    rc = fit_local(&s, k, t, inner, k->grid[i], diag);
    if (!rc) rc = xf_tune_try(t, s, &mean, diag);
    if (!rc && better(t, mean, &best)) *param = k->grid[i];
    xf_scorer_free(s);
  }
  if (rc) return rc;
  if (t->possible) {
    c->tuned = best;
    c->tries = k->n_grid;
    c->edge = outermost(k->grid, k->n_grid, *param);
  }
  (void)snprintf(c->setting, sizeof c->setting, "%s %g", k->param, *param);
  rc = fit_local(&c->scorer, k, t, whole, *param, diag);
  if (!rc && t->possible && t->spec->keep_inner)
    rc = fit_local(&c->inner, k, t, inner, *param, diag);
  return rc;
}

/* The best lambda above 0 at the local parameter: *gain and *se over lambda 0 on split A. */
static enum xf_rc search_lambda(const struct kind *k, struct xf_tune *t, const struct grams *inner,
                                const struct others *o, double param, double *lambda, double *gain,
                                double *se, double *tuned, struct xf_diag *diag) {
  const size_t n = t->inner.n_users;
  enum xf_rc rc = XF_OK;
  *gain = -INFINITY;
  for (uint32_t i = 0; !rc && i < t->spec->n_lambda; i++) {
    struct xf_scorer *s = NULL;
    double mean = 0, g = 0, e = 0;
    rc = fit_shared(&s, k, t, inner, o, t->spec->lambda[i], param, diag);
    if (!rc) rc = xf_tune_try(t, s, &mean, diag);
    xf_scorer_free(s);
    if (rc) break;
    (void)xf_measure_paired(t->figure, t->best, n, &g, &e);
    if (!(g > *gain)) continue;
    *lambda = t->spec->lambda[i];
    *gain = g;
    *se = e;
    *tuned = mean;
  }
  return rc;
}

static enum xf_rc tune_shared(const struct kind *k, struct xf_tune *t, const struct grams *inner,
                              const struct grams *whole, const struct others *o, double param,
                              struct xf_diag *diag) {
  double lambda = t->spec->lambda[0], gain = 0, se = 0, tuned = NAN;
  enum xf_rc rc = XF_OK;
  if (t->possible) rc = search_lambda(k, t, inner, o, param, &lambda, &gain, &se, &tuned, diag);
  if (rc) return rc;
  if (t->possible && !(gain > t->spec->lambda_se * se && gain > 0)) {
    xf_tune_note(t,
                 "%s: lambda 0: the others' co-occurrence is switched off (best lambda %g: gain "
                 "%.4f, SE %.4f on split A)",
                 k->shared_name, lambda, gain, se);
    return XF_OK;
  }
  struct xf_recommender_candidate *c;
  rc = xf_tune_candidate(t, &c, k->shared_name, k->flags | XF_RECOMMENDER_SHARED, diag);
  if (rc) return rc;
  c->lambda = lambda;
  c->tuned = tuned;
  c->tries = t->possible ? t->spec->n_lambda : 0;
  c->edge = outermost(t->spec->lambda, t->spec->n_lambda, lambda);
  (void)snprintf(c->setting, sizeof c->setting, "%s %g, lambda %g (gain %.4f, SE %.4f)", k->param,
                 param, lambda, gain, se);
  rc = fit_shared(&c->scorer, k, t, whole, o, lambda, param, diag);
  if (!rc && t->possible && t->spec->keep_inner)
    rc = fit_shared(&c->inner, k, t, inner, o, lambda, param, diag);
  return rc;
}

static enum xf_rc tune_kind(const struct kind *k, struct xf_tune *t, const struct grams *inner,
                            const struct grams *whole, const struct others *o,
                            struct xf_diag *diag) {
  double param = 0;
  enum xf_rc rc = tune_local(k, t, inner, whole, &param, diag);
  if (!rc && o->gram && o->gram->m > 1 && t->spec->n_lambda > 0)
    rc = tune_shared(k, t, inner, whole, o, param, diag);
  return rc ? xf_diag_prefix(diag, rc, "%s", k->name) : XF_OK;
}

/* The best weight of the graph's edges, and what it gains over none on split A; t->best has its figures. */
static enum xf_rc search_graph(struct xf_tune *t, const struct grams *inner, double *w,
                               double *gain, double *se, double *tuned, struct xf_diag *diag) {
  const size_t n = t->inner.n_users;
  float *without = xf_try_calloc(n + 1, sizeof *without);
  enum xf_rc rc = without ? XF_OK : xf_diag_set(diag, XF_E_NOMEM, "no memory for %zu users", n);
  *gain = -INFINITY;
  for (uint32_t i = 0; !rc && i <= t->spec->n_kg_w; i++) {
    const double at = i ? t->spec->kg_w[i - 1] : 0;
    struct xf_scorer *s = NULL;
    double mean = 0, g = 0, e = 0;
    const struct source from = {&inner->local, inner->data};
    rc = fit_graph(&s, &from, at, t, diag);
    if (!rc) rc = xf_tune_try(t, s, &mean, diag);
    xf_scorer_free(s);
    if (rc) break;
    if (i == 0) {
      memcpy(without, t->figure, n * sizeof *without);
      continue;
    }
    (void)xf_measure_paired(t->figure, without, n, &g, &e);
    if (!(g > *gain)) continue;
    *w = at;
    *gain = g;
    *se = e;
    *tuned = mean;
  }
  xf_free(without);
  return rc;
}

/* Diffusion over Gram and graph: a candidate where the graph's edges are worth something, the others' Gram added to that. */
static enum xf_rc tune_graph(struct xf_tune *t, const struct grams *inner,
                             const struct grams *whole, const struct others *o,
                             struct xf_diag *diag) {
  const uint32_t first = t->rec->n_candidate;
  double w = t->spec->kg_w[0], gain = 0, se = 0, tuned = NAN;
  enum xf_rc rc = t->possible ? search_graph(t, inner, &w, &gain, &se, &tuned, diag) : XF_OK;
  if (rc) return xf_diag_prefix(diag, rc, "kg.own");
  if (t->possible && !(gain > t->spec->lambda_se * se && gain > 0)) {
    xf_tune_note(t,
                 "kg.own: w 0: the knowledge graph's paths are switched off (best w %g: gain %.4f, "
                 "SE %.4f on split A)",
                 w, gain, se);
    return XF_OK;
  }
  const struct kind graph = {"kg.own", "kg.pooled", "w",   &w,
                             1,        fit_graph,   false, XF_RECOMMENDER_GRAPH};
  rc = tune_kind(&graph, t, inner, whole, o, diag);
  if (rc || !t->possible) return rc;
  struct xf_recommender_candidate *c = &t->rec->candidate[first];
  c->tries += t->spec->n_kg_w + 1;
  c->edge = outermost(t->spec->kg_w, t->spec->n_kg_w, w);
  (void)snprintf(c->setting, sizeof c->setting, "w %g (gain %.4f, SE %.4f)", w, gain, se);
  return XF_OK;
}

enum xf_rc xf_tune_content(struct xf_tune *tune, struct xf_diag *diag) {
  struct xf_recommender_candidate *c;
  enum xf_rc rc = xf_tune_candidate(tune, &c, "kg.content", XF_RECOMMENDER_GRAPH, diag);
  if (!rc) rc = xf_kgcontent_fit(&c->scorer, tune->in->kg, diag);
  if (!rc && tune->possible && tune->spec->keep_inner)
    rc = xf_kgcontent_fit(&c->inner, tune->in->kg, diag);
  return rc;
}

static void note_noise(struct xf_tune *t, const struct others *o, const char *what) {
  if (!o->gram || !(o->gram->noise_sd > 0)) return;
  xf_tune_note(t,
               "the others' %s is noisy (sd %g by the plan; a silo's policy may have added more): "
               "%llu entries are above 4 sd",
               what, o->gram->noise_sd, (unsigned long long)o->kept);
}

/* The users' categories of one part of the data. */
static enum xf_rc category_grams(struct grams *g, const struct xf_tune *t,
                                 const struct xf_rec_data *data, const struct others *o,
                                 struct xf_diag *diag) {
  struct xf_csr profile;
  enum xf_rc rc = xf_categories_profile(&profile, t->in->categories, data->train);
  if (rc) return xf_diag_set(diag, rc, "no memory for the categories of %u users", data->n_users);
  rc = grams_init(g, t, data, &profile, o, diag);
  xf_csr_deinit(&profile);
  return rc;
}

enum xf_rc xf_tune_categories(struct xf_tune *tune, struct xf_diag *diag) {
  const struct xf_recommender_spec *s = tune->spec;
  const struct kind category = {"category.own", "category.pooled",     "power of popularity",
                                s->popular,     s->n_popular,          fit_category,
                                false,          XF_RECOMMENDER_SHELVES};
  struct grams inner = {0}, whole = {0};
  struct others others = {0};
  enum xf_rc rc = others_init(&others, tune->in->category_gram, diag);
  if (!rc) rc = category_grams(&whole, tune, &tune->data, &others, diag);
  if (!rc && tune->possible) rc = category_grams(&inner, tune, &tune->inner_data, &others, diag);
  if (!rc) note_noise(tune, &others, "categories' co-occurrence");
  if (!rc) rc = tune_kind(&category, tune, &inner, &whole, &others, diag);
  grams_deinit(&inner);
  grams_deinit(&whole);
  others_deinit(&others);
  return rc;
}

enum xf_rc xf_tune_items(struct xf_tune *tune, struct xf_diag *diag) {
  const struct xf_recommender_spec *s = tune->spec;
  const struct kind kernel = {"kernel.own",   "kernel.pooled", "exponent", s->kernel_to,
                              s->n_kernel_to, fit_kernel,      false,      0};
  const struct kind ease = {"ease.own", "ease.pooled", "ridge", s->ridge,
                            s->n_ridge, fit_ease,      true,    0};
  struct grams inner = {0}, whole = {0};
  struct others others = {0};
  const bool small = tune->data.n_items <= s->max_items;
  enum xf_rc rc = others_init(&others, tune->in->gram, diag);
  if (!rc) rc = grams_init(&whole, tune, &tune->data, NULL, &others, diag);
  if (!rc && tune->possible) rc = grams_init(&inner, tune, &tune->inner_data, NULL, &others, diag);
  if (!rc) note_noise(tune, &others, "co-occurrence");
  if (!rc && s->families & XF_RECOMMENDER_KERNEL)
    rc = tune_kind(&kernel, tune, &inner, &whole, &others, diag);
  if (!rc && s->families & XF_RECOMMENDER_EASE && small)
    rc = tune_kind(&ease, tune, &inner, &whole, &others, diag);
  if (!rc && s->families & XF_RECOMMENDER_KG && tune->in->kg && s->n_kg_w)
    rc = tune_graph(tune, &inner, &whole, &others, diag);
  if (!rc && s->families & XF_RECOMMENDER_EASE && !small)
    xf_tune_note(tune, "no EASE: %u items, it inverts at most %u", tune->data.n_items,
                 s->max_items);
  grams_deinit(&inner);
  grams_deinit(&whole);
  others_deinit(&others);
  return rc;
}
