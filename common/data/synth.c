#include "data/synth.h"

#include "base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LEAST_EVENTS = 3, MAX_DIM = 256, KEY = 32 };
static const double first_time = 1577836800; /* 2020-01-01 */
static const double mean_gap_s = 86400;

struct world {
  const struct xf_synth_spec *s;
  struct xf_rng *rng;
  float *item;      /* [n_domains x n_items x dim] */
  double *appeal;   /* [n_domains x n_items] log popularity */
  double *base;     /* [dim] taste of the person */
  double *taste;    /* [dim] in a domain */
  uint32_t *picked; /* [n_items] best first */
  double *value;    /* [n_items] their perturbed scores */
};

struct xf_synth_spec xf_synth_default(void) {
  return (struct xf_synth_spec){.n_domains = 3,
                                .n_users = 1200,
                                .n_items = 400,
                                .shared = 0.8,
                                .events = 10,
                                .gap = 0.3,
                                .dim = 8,
                                .strength = 3,
                                .popularity = 0.7};
}

static enum xf_rc bad(struct xf_diag *diag, const char *key, double v, const char *range) {
  return xf_diag_set(diag, XF_E_INVAL, "synth: %s is %g; it must be %s", key, v, range);
}

static enum xf_rc check(const struct xf_synth_spec *s, struct xf_diag *diag) {
  if (s->n_domains < 1 || s->n_domains > XF_SYNTH_DOMAINS_MAX)
    return bad(diag, "domains", s->n_domains, "1 to 64");
  if (s->n_users < 1 || s->n_users > 100000000) return bad(diag, "users", s->n_users, "1 to 1e8");
  if (s->n_items < 10 || s->n_items > 10000000) return bad(diag, "items", s->n_items, "10 to 1e7");
  if (!(s->shared >= 0 && s->shared <= 1)) return bad(diag, "shared", s->shared, "0 to 1");
  if (!(s->events >= LEAST_EVENTS && s->events <= s->n_items / 2.0))
    return bad(diag, "events", s->events, "3 to half of the items");
  if (!(s->gap >= 0 && s->gap <= 1e3)) return bad(diag, "gap", s->gap, "0 to 1000");
  if (s->dim < 1 || s->dim > MAX_DIM) return bad(diag, "dim", s->dim, "1 to 256");
  if (!(s->strength >= 0 && s->strength <= 1e3))
    return bad(diag, "strength", s->strength, "0 to 1000");
  if (!(s->popularity >= 0 && s->popularity <= 10))
    return bad(diag, "popularity", s->popularity, "0 to 10");
  return XF_OK;
}

static bool world_init(struct world *w) {
  const struct xf_synth_spec *s = w->s;
  const size_t n = (size_t)s->n_domains * s->n_items;
  w->item = xf_try_calloc(n, s->dim * sizeof *w->item);
  w->appeal = xf_try_calloc(n, sizeof *w->appeal);
  w->picked = xf_try_calloc(s->n_items, sizeof *w->picked);
  w->value = xf_try_calloc(s->n_items, sizeof *w->value);
  w->base = xf_calloc(s->dim, sizeof *w->base);
  w->taste = xf_calloc(s->dim, sizeof *w->taste);
  if (!w->item || !w->appeal || !w->picked || !w->value) return false;
  for (size_t i = 0; i < n * s->dim; i++) w->item[i] = (float)xf_rng_normal(w->rng);
  for (uint32_t d = 0; d < s->n_domains; d++) {
    for (uint32_t i = 0; i < s->n_items; i++) w->picked[i] = i;
    xf_rng_shuffle(w->rng, w->picked, s->n_items);
    for (uint32_t i = 0; i < s->n_items; i++)
      w->appeal[(size_t)d * s->n_items + w->picked[i]] = -s->popularity * log(i + 1.0);
  }
  return true;
}

static void world_deinit(struct world *w) {
  xf_free(w->item);
  xf_free(w->appeal);
  xf_free(w->picked);
  xf_free(w->value);
  xf_free(w->base);
  xf_free(w->taste);
}

/* Events of a person in a domain: 3 plus a geometric number. */
static uint32_t draw_count(const struct world *w) {
  const double more = w->s->events - LEAST_EVENTS, u = 1.0 - xf_rng_double(w->rng);
  const double n = more > 0 ? floor(log(u) / log(more / (1 + more))) : 0;
  const double most = w->s->n_items / 2.0;
  return (uint32_t)fmin(LEAST_EVENTS + n, most);
}

/* The n items with the largest Gumbel-perturbed score. */
static void pick(struct world *w, uint32_t d, uint32_t n) {
  const struct xf_synth_spec *s = w->s;
  uint32_t have = 0;
  for (uint32_t i = 0; i < s->n_items; i++) {
    const float *q = w->item + ((size_t)d * s->n_items + i) * s->dim;
    double dot = 0;
    for (uint32_t k = 0; k < s->dim; k++) dot += w->taste[k] * (double)q[k];
    const double u = 1.0 - xf_rng_double(w->rng);
    const double v = s->strength * dot / sqrt(s->dim) + w->appeal[(size_t)d * s->n_items + i] -
                     log(-log(u * (1 - 1e-12)));
    if (have == n && v <= w->value[n - 1]) continue;
    uint32_t at = have < n ? have++ : n - 1;
    for (; at > 0 && w->value[at - 1] < v; at--) {
      w->value[at] = w->value[at - 1];
      w->picked[at] = w->picked[at - 1];
    }
    w->value[at] = v;
    w->picked[at] = i;
  }
}

static enum xf_rc person_in_domain(struct world *w, struct xf_interactions *out, uint32_t u,
                                   uint32_t d) {
  const struct xf_synth_spec *s = w->s;
  char user[KEY], item[KEY], domain[KEY];
  for (uint32_t k = 0; k < s->dim; k++)
    w->taste[k] = (w->base[k] + s->gap * xf_rng_normal(w->rng)) / sqrt(1 + s->gap * s->gap);
  const uint32_t n = draw_count(w);
  pick(w, d, n);
  xf_rng_shuffle(w->rng, w->picked, n);
  double time = first_time + floor(xf_rng_double(w->rng) * 365 * 86400);
  (void)snprintf(user, sizeof user, "u%u", u + 1);
  (void)snprintf(domain, sizeof domain, "d%u", d + 1);
  enum xf_rc rc = XF_OK;
  for (uint32_t k = 0; !rc && k < n; k++) {
    (void)snprintf(item, sizeof item, "d%ui%u", d + 1, w->picked[k] + 1);
    rc = xf_interactions_add(out, user, item, domain, 1, time);
    time += 1 + floor(-log(1.0 - xf_rng_double(w->rng)) * mean_gap_s);
  }
  return rc;
}

enum xf_rc xf_synth_init(struct xf_interactions *out, const struct xf_synth_spec *spec,
                         struct xf_rng *rng, struct xf_diag *diag) {
  struct world w = {.s = spec, .rng = rng};
  xf_interactions_init(out);
  enum xf_rc rc = check(spec, diag);
  if (rc) return rc;
  rc = world_init(&w) ? XF_OK : XF_E_NOMEM;
  for (uint32_t u = 0; !rc && u < spec->n_users; u++) {
    const uint32_t home = xf_rng_below(rng, spec->n_domains);
    for (uint32_t k = 0; k < spec->dim; k++) w.base[k] = xf_rng_normal(rng);
    for (uint32_t d = 0; !rc && d < spec->n_domains; d++)
      if (d == home || xf_rng_double(rng) < spec->shared) rc = person_in_domain(&w, out, u, d);
  }
  world_deinit(&w);
  if (rc) {
    xf_interactions_deinit(out);
    return xf_diag_set(diag, rc, "synth: cannot hold the events: %s", xf_rc_text(rc));
  }
  return XF_OK;
}
