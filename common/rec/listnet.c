#include "rec/listnet.h"

#include "base/alloc.h"
#include "tensor/kern.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 64, BLOCK = 64 };

struct scorer {
  struct xf_scorer base; /* first */
  struct xf_scorer_kind kind;
  const struct xf_features *features;
  uint32_t n_net;
  struct xf_listnet net[XF_LISTNET_NETS];
  float *weight; /* behind all nets */
};

static const struct scorer *self(const struct xf_scorer *s) { return (const struct scorer *)s; }

static double activate(enum xf_act act, double x) {
  switch (act) {
  case XF_ACT_RELU: return x > 0 ? x : 0;
  case XF_ACT_TANH: return tanh(x);
  case XF_ACT_SIGMOID: return 1 / (1 + exp(-x));
  default: return x;
  }
}

/* The derivative in terms of a = act(x). */
static double slope(enum xf_act act, double a) {
  switch (act) {
  case XF_ACT_RELU: return a > 0 ? 1 : 0;
  case XF_ACT_TANH: return 1 - a * a;
  case XF_ACT_SIGMOID: return a * (1 - a);
  default: return 1;
  }
}

/* Activations of the hidden units at t x. */
static void hidden(const struct xf_listnet *net, const float *x, double t, double *h) {
  for (uint32_t k = 0; k < net->n_hidden; k++) h[k] = net->b1 ? (double)net->b1[k] : 0;
  for (uint32_t i = 0; i < net->n_in; i++) {
    const double v = t * (double)x[i];
    const float *row = net->w1 + (size_t)i * net->n_hidden;
    for (uint32_t k = 0; k < net->n_hidden; k++) h[k] += v * (double)row[k];
  }
  for (uint32_t k = 0; k < net->n_hidden; k++) h[k] = activate(net->act, h[k]);
}

static double value(const struct xf_listnet *net, const float *x, double t) {
  double h[XF_LISTNET_HIDDEN], f = 0;
  if (net->n_hidden == 0) {
    for (uint32_t i = 0; i < net->n_in; i++) f += t * (double)x[i] * (double)net->w2[i];
    return f;
  }
  hidden(net, x, t, h);
  for (uint32_t k = 0; k < net->n_hidden; k++) f += h[k] * (double)net->w2[k];
  return f;
}

/* f of at most BLOCK rows, single precision; a row's bits do not depend on the block it is in. */
static void run_block(const struct xf_listnet *net, const float *x, uint32_t n, float *out) {
  float h[BLOCK * XF_LISTNET_HIDDEN];
  const struct xf_kern *kern = xf_kern_get();
  const size_t width = net->n_hidden;
  for (uint32_t r = 0; r < n; r++) {
    float *to = h + r * width;
    const float *row = x + (size_t)r * net->n_in;
    for (size_t k = 0; k < width; k++) to[k] = net->b1 ? net->b1[k] : 0;
    for (uint32_t i = 0; i < net->n_in; i++)
      for (size_t k = 0; k < width; k++) to[k] += row[i] * net->w1[i * width + k];
  }
  if (net->act == XF_ACT_RELU) kern->relu(h, h, n * width);
  if (net->act == XF_ACT_TANH) kern->tanh(h, h, n * width);
  if (net->act == XF_ACT_SIGMOID) kern->sigmoid(h, h, n * width);
  for (uint32_t r = 0; r < n; r++) {
    double f = 0;
    for (size_t k = 0; k < width; k++) f += (double)h[r * width + k] * (double)net->w2[k];
    out[r] = (float)f;
  }
}

void xf_listnet_run(const struct xf_listnet *net, const float *x, uint32_t n, float *out) {
  for (uint32_t r = 0; net->n_hidden == 0 && r < n; r++)
    out[r] = (float)value(net, x + (size_t)r * net->n_in, 1);
  for (uint32_t r = 0; net->n_hidden && r < n; r += BLOCK)
    run_block(net, x + (size_t)r * net->n_in, n - r < BLOCK ? n - r : BLOCK, out + r);
}

/* Adds each input's part of f(x) - f(0). @shape part[n_in] */
static void parts(const struct xf_listnet *net, const float *x, double *part) {
  double h[XF_LISTNET_HIDDEN], raw[XF_FEATURES_MAX] = {0}, sum = 0, size = 0;
  const double whole = value(net, x, 1) - value(net, x, 0);
  for (uint32_t s = 0; s < (net->n_hidden ? STEPS : 0); s++) {
    hidden(net, x, (s + .5) / STEPS, h);
    for (uint32_t k = 0; k < net->n_hidden; k++) h[k] = slope(net->act, h[k]) * (double)net->w2[k];
    for (uint32_t i = 0; i < net->n_in; i++)
      for (uint32_t k = 0; k < net->n_hidden; k++)
        raw[i] += h[k] * (double)net->w1[(size_t)i * net->n_hidden + k] * (double)x[i] / STEPS;
  }
  for (uint32_t i = 0; i < net->n_in; i++) {
    if (net->n_hidden == 0) raw[i] = (double)net->w2[i] * (double)x[i];
    sum += raw[i];
    size += fabs(raw[i]);
  }
  for (uint32_t i = 0; i < net->n_in; i++)
    part[i] += raw[i] + (size > 0 ? (whole - sum) * fabs(raw[i]) / size : 0);
}

/* --- the scorer */

/* The mean of the nets. */
static void run_all(const struct scorer *s, const float *x, uint32_t n, float *out) {
  const size_t width = s->features->set->n_feature;
  float one[BLOCK];
  for (uint32_t r = 0; r < n; r += BLOCK) {
    const uint32_t m = n - r < BLOCK ? n - r : BLOCK;
    double sum[BLOCK] = {0};
    for (uint32_t k = 0; k < s->n_net; k++) {
      xf_listnet_run(&s->net[k], x + r * width, m, one);
      for (uint32_t i = 0; i < m; i++) sum[i] += (double)one[i];
    }
    for (uint32_t i = 0; i < m; i++) out[r + i] = (float)(sum[i] / s->n_net);
  }
}

enum xf_rc xf_listnet_rank(const struct xf_scorer *scorer, const struct xf_query *query,
                           const uint32_t *list, uint32_t n, float *out, struct xf_diag *diag) {
  const struct scorer *s = self(scorer);
  const struct xf_features *f = s->features;
  uint32_t served = 0;
  if (!list) n = f->n_items;
  float *x = xf_try_calloc((size_t)n * f->set->n_feature + 1, sizeof *x);
  if (!x) return xf_diag_set(diag, XF_E_NOMEM, "not enough memory for features of %u items", n);
  enum xf_rc rc = xf_features_make(f, query, list, n, x, &served, diag);
  if (!rc && served == 0)
    rc = xf_diag_set(diag, XF_E_NOTFOUND, "no scorer below \"%s\" can serve user %u",
                     scorer->kind->name, query->user);
  if (!rc) run_all(s, x, n, out);
  xf_free(x);
  return rc;
}

static enum xf_rc score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                        struct xf_diag *diag) {
  return xf_listnet_rank(s, q, NULL, 0, out, diag);
}

/* History items behind a slot's share, in the proportion of the scorer's own additive parts. */
static enum xf_rc reasons(const struct scorer *s, uint32_t slot, const struct xf_query *q,
                          uint32_t item, float *row, struct xf_blend_why *why,
                          struct xf_diag *diag) {
  const struct xf_scorer *from = s->features->scorer[slot];
  why->n = 0;
  if (!from->kind->explain) return XF_OK;
  const enum xf_rc rc = xf_scorer_score(from, q, row, diag);
  if (rc || !(row[item] > 0)) return rc;
  why->n = from->kind->explain(from, q, item, why->why, XF_BLEND_WHY);
  for (uint32_t i = 0; i < why->n; i++)
    why->why[i].share = (float)((double)why->share * (double)why->why[i].share / (double)row[item]);
  return XF_OK;
}

enum xf_rc xf_listnet_explain(const struct xf_scorer *scorer, const struct xf_query *query,
                              uint32_t item, struct xf_blend_why *out, uint32_t *n,
                              struct xf_diag *diag) {
  const struct scorer *s = self(scorer);
  const struct xf_features *f = s->features;
  const size_t width = f->set->n_feature;
  double part[XF_FEATURES_MAX] = {0};
  uint32_t served = 0;
  *n = 0;
  if (item >= f->n_items) return xf_diag_set(diag, XF_E_NOTFOUND, "no item %u", item);
  float *x = xf_try_calloc((size_t)f->n_items * width, sizeof *x);
  if (!x)
    return xf_diag_set(diag, XF_E_NOMEM, "not enough memory for features of %u items", f->n_items);
  enum xf_rc rc = xf_features_make(f, query, NULL, 0, x, &served, diag);
  for (uint32_t k = 0; !rc && k < s->n_net; k++) parts(&s->net[k], x + item * width, part);
  if (!rc && served == 0)
    rc = xf_diag_set(diag, XF_E_NOTFOUND, "no scorer below \"%s\" can serve user %u",
                     scorer->kind->name, query->user);
  if (!rc) out[(*n)++] = (struct xf_blend_why){.share = (float)(part[0] / s->n_net)};
  for (uint32_t slot = 0; !rc && slot < f->set->n_slot; slot++) {
    if (!(served >> slot & 1)) continue;
    struct xf_blend_why *why = &out[(*n)++];
    *why = (struct xf_blend_why){
        .part = 1 + slot, .share = (float)((part[1 + 2 * slot] + part[2 + 2 * slot]) / s->n_net)};
    rc = reasons(s, slot, query, item, x, why, diag);
  }
  xf_free(x);
  if (!rc) xf_blend_sort(out, *n);
  return rc;
}

/* History items over all slots; what no history item explains comes together under XF_NO_ID. */
static uint32_t explain(const struct xf_scorer *s, const struct xf_query *q, uint32_t item,
                        struct xf_why *out, uint32_t k) {
  struct xf_blend_why part[1 + XF_FEATURES_SLOTS];
  struct xf_why all[1 + (1 + XF_FEATURES_SLOTS) * XF_BLEND_WHY];
  uint32_t n = 0, n_all = 1;
  all[0] = (struct xf_why){XF_NO_ID, 0};
  if (xf_listnet_explain(s, q, item, part, &n, NULL)) return 0;
  for (uint32_t p = 0; p < n; p++) {
    float rest = part[p].share;
    for (uint32_t i = 0; i < part[p].n; i++) {
      const struct xf_why *why = &part[p].why[i];
      xf_why_add(all, &n_all, *why);
      rest -= why->share;
    }
    all[0].share += rest;
  }
  return xf_why_best(out, k, all, n_all);
}

static void listnet_free(struct xf_scorer *scorer) {
  struct scorer *s = (struct scorer *)scorer;
  xf_free(s->weight);
  xf_free(s);
}

static enum xf_rc check(const struct xf_listnet *net, uint32_t n_net, const struct xf_features *f,
                        struct xf_diag *diag) {
  if (n_net == 0 || n_net > XF_LISTNET_NETS)
    return xf_diag_set(diag, XF_E_INVAL, "a scorer of %u nets; there must be 1 to %d", n_net,
                       XF_LISTNET_NETS);
  for (uint32_t k = 0; k < n_net; k++) {
    if (net[k].n_in != f->set->n_feature || net[k].n_hidden != net[0].n_hidden)
      return xf_diag_set(diag, XF_E_SHAPE,
                         "net %u has %u inputs and %u hidden units; features of version %u are %u, "
                         "net 0 has %u hidden units",
                         k, net[k].n_in, net[k].n_hidden, f->set->version, f->set->n_feature,
                         net[0].n_hidden);
    if (net[k].n_hidden > XF_LISTNET_HIDDEN)
      return xf_diag_set(diag, XF_E_INVAL, "net %u has %u hidden units; at most %d", k,
                         net[k].n_hidden, XF_LISTNET_HIDDEN);
  }
  return XF_OK;
}

/* Copies n numbers to *at and moves it on. @err E_INVAL */
static enum xf_rc take(const float **out, float **at, const float *from, size_t n,
                       struct xf_diag *diag) {
  *out = NULL;
  if (!from) return XF_OK;
  for (size_t i = 0; i < n; i++)
    if (!isfinite(from[i]))
      return xf_diag_set(diag, XF_E_INVAL, "weight %zu of a net over features is %g", i,
                         (double)from[i]);
  memcpy(*at, from, n * sizeof *from);
  *out = *at;
  *at += n;
  return XF_OK;
}

enum xf_rc xf_listnet_new(struct xf_scorer **out, const char *name, const struct xf_listnet *net,
                          uint32_t n_net, const struct xf_features *features,
                          struct xf_diag *diag) {
  *out = NULL;
  enum xf_rc rc = check(net, n_net, features, diag);
  if (rc) return rc;
  const size_t in = net->n_in, hid = net->n_hidden, size = hid ? in * hid + 2 * hid : in;
  struct scorer *s = xf_calloc(1, sizeof *s);
  s->kind = (struct xf_scorer_kind){name, score, explain, listnet_free};
  s->base = (struct xf_scorer){.kind = &s->kind, .n_items = features->n_items};
  s->base.cost.memory = n_net * size * sizeof(float);
  s->features = features;
  s->n_net = n_net;
  s->weight = xf_calloc(n_net * size, sizeof *s->weight);
  float *at = s->weight;
  for (uint32_t k = 0; !rc && k < n_net; k++) {
    s->net[k] = net[k];
    rc = take(&s->net[k].w1, &at, hid ? net[k].w1 : NULL, in * hid, diag);
    if (!rc) rc = take(&s->net[k].b1, &at, hid ? net[k].b1 : NULL, hid, diag);
    if (!rc) rc = take(&s->net[k].w2, &at, net[k].w2, hid ? hid : in, diag);
  }
  if (rc) listnet_free(&s->base);
  else *out = &s->base;
  return rc;
}
