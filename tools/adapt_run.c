/* Every client and draw: the same support and query for every arm; then means over clients, or over draws of one. */
#include "tools/adapt.h"

#include "base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *adapt_arm_name(enum adapt_arm arm) {
  static const char *const names[] = {
#define ARM_NAME(n, t) t,
      XF_ADAPT_ARM_LIST(ARM_NAME)
#undef ARM_NAME
  };
  return (size_t)arm < sizeof names / sizeof names[0] ? names[arm] : "?";
}

struct tally {
  double sum;
  uint32_t n; /* draws where it is defined */
};

struct running {
  struct adapt_curves *out;
  const struct adapt_request *r;
  const struct adapt_start *start, *against;
  const struct xf_measures *measures;
  size_t width;                                        /* figures of a curve: n_k * n_figure */
  struct tally *own[ADAPT_N_ARM], *minus[ADAPT_N_ARM]; /* [n_unit x width] over a unit's draws */
  double *now;                                         /* [width] the start's in this draw */
  float *scratch;                                      /* [start->n] */
};

static void add(struct tally *t, double v) {
  if (isnan(v)) return;
  t->sum += v;
  t->n++;
}

static void put(struct running *g, enum adapt_arm arm, size_t unit, size_t at, double v) {
  if (arm == ADAPT_START) g->now[at] = v;
  add(&g->own[arm][unit * g->width + at], v);
  add(&g->minus[arm][unit * g->width + at], g->now[at] - v);
}

/* What a sum comes to, and of the first rmse its square: squared errors average over clients, their roots do not. */
static void take(struct running *g, enum adapt_arm arm, size_t unit, uint32_t k,
                 const struct xf_measure_sum *sum) {
  const size_t at = (size_t)k * g->out->n_figure;
  bool squared = false;
  for (size_t m = 0; m < g->measures->n; m++) {
    const enum xf_measure_kind kind = g->measures->measure[m].kind;
    double v = xf_measure_value(kind, sum[m]);
    if (!adapt_steps(arm) && kind == XF_MEASURE_LOGLOSS) v = (double)NAN; /* no likelihoods */
    put(g, arm, unit, at + m, v);
    if (kind != XF_MEASURE_RMSE || squared) continue;
    put(g, arm, unit, at + g->measures->n, v * v);
    squared = true;
  }
}

static enum xf_rc one_curve(struct running *g, struct xf_adapt *a, enum adapt_arm arm, size_t unit,
                            const float *start, struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  for (uint32_t i = 0; i < g->r->n_k && !rc; i++) {
    struct xf_measure_sum sum[XF_RESOLVE_MEASURES];
    rc = xf_adapt_steps(a, start, g->r->k[i], sum, diag);
    if (!rc) take(g, arm, unit, i, sum);
    else rc = xf_diag_prefix(diag, rc, "%s, %u steps", adapt_arm_name(arm), g->r->k[i]);
  }
  return rc;
}

static enum xf_rc one_ridge(struct running *g, struct xf_adapt *a, enum adapt_arm arm, size_t unit,
                            const float *start, struct xf_diag *diag) {
  struct xf_measure_sum sum[XF_RESOLVE_MEASURES];
  struct xf_head_report report;
  if (!g->out->has[arm]) return XF_OK;
  const enum xf_rc rc = xf_adapt_ridge(a, start, sum, &report, diag);
  for (uint32_t i = 0; i < g->r->n_k && !rc; i++) take(g, arm, unit, i, sum);
  return rc;
}

static enum xf_rc one_draw(struct running *g, struct xf_adapt *a, size_t unit,
                           struct xf_diag *diag) {
  enum xf_rc rc = xf_adapt_scratch(a, g->scratch, diag);
  if (!rc) rc = one_curve(g, a, ADAPT_START, unit, g->start->x, diag);
  if (!rc) rc = one_curve(g, a, ADAPT_SCRATCH, unit, g->scratch, diag);
  if (!rc && g->against) rc = one_curve(g, a, ADAPT_AGAINST, unit, g->against->x, diag);
  if (!rc) rc = one_ridge(g, a, ADAPT_RIDGE, unit, g->start->x, diag);
  if (!rc) rc = one_ridge(g, a, ADAPT_SCRATCH_RIDGE, unit, g->scratch, diag);
  if (!rc && g->against) rc = one_ridge(g, a, ADAPT_AGAINST_RIDGE, unit, g->against->x, diag);
  return rc;
}

/* Half the 95 % interval of a mean of n: Student's t with n - 1 degrees of freedom (of more than 30: 2 sides by the expansion of
   Cornish and Fisher). @source Abramowitz & Stegun 1964, table 26.10 and eq. 26.7.5 */
static double half_width(double sd, size_t n) {
  static const double t[31] = {0,     12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365,
                               2.306, 2.262,  2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
                               2.120, 2.110,  2.101, 2.093, 2.086, 2.080, 2.074, 2.069,
                               2.064, 2.060,  2.056, 2.052, 2.048, 2.045, 2.042};
  const double z = 1.959964, df = (double)n - 1;
  if (n < 2) return (double)NAN;
  return (n <= 31 ? t[n - 1] : z + (z * z * z + z) / (4 * df)) * sd / sqrt((double)n);
}

/* Mean and interval over the units that have a draw, which lie `width` apart. */
static struct adapt_figure over_units(const struct tally *t, size_t n, size_t width) {
  double mean = 0, sq = 0;
  uint32_t used = 0;
  for (size_t u = 0; u < n; u++) used += t[u * width].n > 0;
  if (!used) return (struct adapt_figure){(double)NAN, (double)NAN, 0};
  for (size_t u = 0; u < n; u++)
    if (t[u * width].n) mean += t[u * width].sum / t[u * width].n / used;
  for (size_t u = 0; u < n; u++) {
    const double e = t[u * width].n ? t[u * width].sum / t[u * width].n - mean : 0;
    sq += e * e;
  }
  return (struct adapt_figure){mean, half_width(used > 1 ? sqrt(sq / (used - 1)) : 0, used), used};
}

static void summarise(struct running *g) {
  struct adapt_curves *c = g->out;
  for (int arm = 0; arm < ADAPT_N_ARM; arm++) {
    if (!c->has[arm]) continue;
    c->value[arm] = xf_calloc(g->width, sizeof *c->value[arm]);
    c->minus[arm] = xf_calloc(g->width, sizeof *c->minus[arm]);
    for (size_t i = 0; i < g->width; i++) {
      c->value[arm][i] = over_units(g->own[arm] + i, c->n_unit, g->width);
      c->minus[arm][i] = over_units(g->minus[arm] + i, c->n_unit, g->width);
    }
  }
}

/* Names of figures, arms, and memory for their sums; by the first client, as all have one plan. */
static enum xf_rc prepare(struct running *g, const struct xf_adapt *a, struct xf_diag *diag) {
  struct adapt_curves *c = g->out;
  const struct xf_layout *layout = xf_model_get_layout(xf_adapt_model(a));
  const struct xf_segment *weight = NULL, *bias = NULL;
  const bool head = xf_model_get_head(xf_adapt_model(a), &weight, &bias);
  if (g->start->n != layout->n || (g->against && g->against->n != layout->n))
    return xf_diag_set(diag, XF_E_SHAPE, "the model has %llu parameters, the start %llu",
                       (unsigned long long)layout->n, (unsigned long long)g->start->n);
  c->n_figure = g->measures->n;
  memcpy(c->key, g->measures->key, sizeof g->measures->key);
  for (size_t m = 0; m < g->measures->n; m++) {
    if (g->measures->measure[m].kind != XF_MEASURE_RMSE) continue;
    memcpy(c->key[c->n_figure++], "mse", sizeof "mse");
    break;
  }
  c->n_k = g->r->n_k;
  c->lr = xf_adapt_lr(a);
  c->has[ADAPT_START] = c->has[ADAPT_SCRATCH] = true;
  c->has[ADAPT_AGAINST] = g->against != NULL;
  c->has[ADAPT_RIDGE] = c->has[ADAPT_SCRATCH_RIDGE] = head;
  c->has[ADAPT_AGAINST_RIDGE] = head && g->against;
  g->width = c->n_k * c->n_figure;
  for (int arm = 0; arm < ADAPT_N_ARM; arm++) {
    g->own[arm] = xf_calloc(c->n_unit * g->width, sizeof *g->own[arm]);
    g->minus[arm] = xf_calloc(c->n_unit * g->width, sizeof *g->minus[arm]);
  }
  g->now = xf_calloc(g->width, sizeof *g->now);
  g->scratch = xf_calloc(g->start->n, sizeof *g->scratch);
  return XF_OK;
}

static enum xf_rc one_client(struct running *g, const struct adapt_clients *clients, size_t i,
                             struct xf_diag *diag) {
  const struct adapt_client *c = &clients->at[i];
  const struct xf_adapt_spec spec = {.plan = &g->start->plan,
                                     .member = c->id,
                                     .support = g->r->support,
                                     .query = g->r->query,
                                     .lr = g->r->lr};
  struct xf_adapt *a = NULL;
  enum xf_rc rc = xf_adapt_new(&a, &spec, c->data, diag);
  g->measures = rc ? NULL : xf_adapt_measures(a);
  if (!rc && i == 0) rc = prepare(g, a, diag);
  for (uint32_t s = 0; s < g->r->seeds && !rc; s++) {
    xf_adapt_draw(a, s + 1);
    rc = one_draw(g, a, clients->n > 1 ? i : s, diag);
    if (rc) rc = xf_diag_prefix(diag, rc, "client %s, draw %u", c->id, s + 1);
  }
  xf_adapt_free(a);
  return rc;
}

/* Before the first draw: which clients have fewer train rows than support and query need. */
static enum xf_rc check_rows(const struct adapt_request *r, const struct adapt_clients *clients,
                             struct xf_diag *diag) {
  const uint64_t need = (uint64_t)r->support + (r->query ? r->query : 1);
  char names[XF_DIAG_LEN - 200] = "";
  size_t few = 0, named = 0, len = 0;
  for (size_t i = 0; i < clients->n; i++) {
    const struct adapt_client *c = &clients->at[i];
    const size_t n = xf_adapt_rows(c->data);
    if (n >= need) continue;
    if (few++ > named) continue; /* one did not fit */
    const int put =
        snprintf(names + len, sizeof names - len, "%s%s (%zu)", len ? ", " : "", c->id, n);
    if (put < 0 || (size_t)put >= sizeof names - len) names[len] = '\0';
    else {
      len += (size_t)put;
      named++;
    }
  }
  if (!few) return XF_OK;
  char more[48] = "";
  if (few > named) (void)snprintf(more, sizeof more, " and %zu more", few - named);
  return xf_diag_set(diag, XF_E_RANGE,
                     "%zu of %zu clients have too few train rows; a support of %u and a query of "
                     "%u need %llu: %s%s",
                     few, clients->n, r->support, r->query ? r->query : 1, (unsigned long long)need,
                     names, more);
}

enum xf_rc adapt_run(struct adapt_curves *out, const struct adapt_request *request,
                     const struct adapt_start *start, const struct adapt_start *against,
                     const struct adapt_clients *clients, struct xf_diag *diag) {
  struct running g = {.out = out, .r = request, .start = start, .against = against};
  const bool many = clients->n > 1;
  out->n_unit = many ? (uint32_t)clients->n : request->seeds;
  enum xf_rc rc = check_rows(request, clients, diag);
  for (size_t i = 0; i < clients->n && !rc; i++) rc = one_client(&g, clients, i, diag);
  if (!rc) summarise(&g);
  for (int arm = 0; arm < ADAPT_N_ARM; arm++) {
    xf_free(g.own[arm]);
    xf_free(g.minus[arm]);
  }
  xf_free(g.now);
  xf_free(g.scratch);
  return rc;
}

void adapt_curves_deinit(struct adapt_curves *curves) {
  for (int arm = 0; arm < ADAPT_N_ARM; arm++) {
    xf_free(curves->value[arm]);
    xf_free(curves->minus[arm]);
  }
  *curves = (struct adapt_curves){0};
}
