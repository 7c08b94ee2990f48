/* Both scorers differ in where a walk starts and in what its sum is multiplied by; several users walk side by side. */
#include "rec/diffuse.h"

#include "base/alloc.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { BLOCK = 16 };

struct diffuse {
  struct xf_scorer base; /* first */
  struct xf_diffmat mat;
  struct xf_diffuse_spec spec;
  struct xf_csr train; /* pagerank: own copy, which history a user's node stands for */
  uint32_t first_user; /* pagerank: node of user 0 */
  bool users;          /* pagerank */
};

static const struct diffuse *self(const struct xf_scorer *s) { return (const struct diffuse *)s; }

/* Whether the user's own node answers. */
static bool has_node(const struct diffuse *d, const struct xf_query *q) {
  if (!d->users || q->user >= d->train.n_row) return false;
  const uint32_t from = d->train.start[q->user], n = d->train.start[q->user + 1] - from;
  return n > 0 && n == q->n && memcmp(d->train.item + from, q->item, n * sizeof *q->item) == 0;
}

static enum xf_rc check_history(const struct diffuse *d, const struct xf_query *q,
                                struct xf_diag *diag) {
  for (uint32_t k = 0; k < q->n; k++)
    if (q->item[k] >= d->base.n_items)
      return xf_diag_set(diag, XF_E_NOTFOUND,
                         "history item %" PRIu32 " is not among the model's %" PRIu32 " items",
                         q->item[k], d->base.n_items);
  return XF_OK;
}

/* What a walk carries when it enters at a history item of n: 1 / sqrt(n d). */
static double entry(const struct diffuse *d, uint32_t n, uint32_t item) {
  const double root = (double)d->mat.root[item];
  return root > 0 ? 1 / (sqrt((double)n) * root) : 0;
}

/* Column c of the start, and what of the sum it already is: pagerank's first step leads from the user to the history.
   A user's own node takes the same step inside the matrix, which also leads back to it; x is then the node itself. */
static void enter(const struct diffuse *d, const struct xf_query *q, float *x, uint32_t width,
                  uint32_t c) {
  if (has_node(d, q)) {
    x[((size_t)d->first_user + q->user) * width + c] = 1;
    return;
  }
  for (uint32_t k = 0; k < q->n; k++)
    x[(size_t)q->item[k] * width + c] = (float)entry(d, q->n, q->item[k]);
}

/* Scores of a block of users that are all their own nodes, or none of which is. */
static enum xf_rc block(const struct diffuse *d, const struct xf_query *const *q, uint32_t width,
                        bool nodes, float *const *out) {
  const size_t n = (size_t)d->mat.n * width;
  const bool outside = d->users && !nodes;
  float *x = xf_try_calloc(n + 1, sizeof *x), *sum = xf_try_calloc(n + 1, sizeof *sum);
  enum xf_rc rc = x && sum ? XF_OK : XF_E_NOMEM;
  for (uint32_t c = 0; c < width && !rc; c++) enter(d, q[c], x, width, c);
  for (size_t k = 0; k < n && !rc && outside; k++) /* the step from the user */
    sum[k] = x[k] *= (float)d->spec.alpha;
  if (!rc) rc = xf_diffmat_spread(&d->mat, x, sum, width, d->spec.alpha, d->spec.steps - outside);
  for (uint32_t i = 0; i < d->base.n_items && !rc; i++)
    for (uint32_t c = 0; c < width; c++)
      out[c][i] = sum[(size_t)i * width + c] * (d->users ? 1 : d->mat.root[i]);
  xf_free(x);
  xf_free(sum);
  return rc;
}

static enum xf_rc diffuse_many(const struct xf_scorer *s, const struct xf_query *q, uint32_t n,
                               float *out, bool *served, struct xf_diag *diag) {
  const struct diffuse *d = self(s);
  for (uint32_t i = 0; i < n; i++) {
    const enum xf_rc rc = check_history(d, &q[i], diag);
    served[i] = rc == XF_OK;
    if (rc) memset(out + (size_t)i * s->n_items, 0, s->n_items * sizeof *out);
  }
  for (int nodes = 0; nodes < 2; nodes++) {
    const struct xf_query *who[BLOCK];
    float *row[BLOCK];
    uint32_t width = 0;
    for (uint32_t i = 0; i <= n; i++) {
      if (i < n && served[i] && has_node(d, &q[i]) == (bool)nodes) {
        who[width] = &q[i];
        row[width++] = out + (size_t)i * s->n_items;
      }
      if (width < (i < n ? BLOCK : 1)) continue;
      const enum xf_rc rc = block(d, who, width, nodes, row);
      if (rc)
        return xf_diag_set(diag, rc, "no memory for %" PRIu32 " walks among %" PRIu32 " nodes",
                           width, d->mat.n);
      width = 0;
    }
  }
  return XF_OK;
}

static enum xf_rc diffuse_score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                                struct xf_diag *diag) {
  bool served = false;
  const enum xf_rc rc = check_history(self(s), q, diag);
  return rc ? rc : diffuse_many(s, q, 1, out, &served, diag);
}

/* S is symmetric: one walk from the item tells what each history item's walk brings there. */
static uint32_t diffuse_explain(const struct xf_scorer *s, const struct xf_query *q, uint32_t item,
                                struct xf_why *out, uint32_t k) {
  const struct diffuse *d = self(s);
  uint32_t n = 0;
  float *x = xf_try_calloc((size_t)d->mat.n + 1, sizeof *x);
  float *sum = xf_try_calloc((size_t)d->mat.n + 1, sizeof *sum);
  if (!x || !sum || item >= s->n_items || check_history(d, q, NULL)) goto out;
  x[item] = 1;
  if (d->users) sum[item] = 1; /* the user's step may already have arrived */
  if (xf_diffmat_spread(&d->mat, x, sum, 1, d->spec.alpha, d->spec.steps - d->users)) goto out;
  for (uint32_t h = 0; h < q->n; h++) {
    const double last = d->users ? d->spec.alpha : (double)d->mat.root[item];
    const struct xf_why why = {
        q->item[h], (float)(entry(d, q->n, q->item[h]) * (double)sum[q->item[h]] * last)};
    xf_why_insert(out, &n, k, why);
  }
out:
  xf_free(x);
  xf_free(sum);
  return n;
}

static void diffuse_free(struct xf_scorer *s) {
  struct diffuse *d = (struct diffuse *)s;
  xf_diffmat_deinit(&d->mat);
  xf_free(d->train.start);
  xf_free(d->train.item);
  xf_free(d);
}

static const struct xf_scorer_kind DIFFUSE = {"diffuse", diffuse_score, diffuse_explain,
                                              diffuse_free};
static const struct xf_scorer_kind PAGERANK = {"pagerank", diffuse_score, diffuse_explain,
                                               diffuse_free};

static enum xf_rc start(struct diffuse **out, const struct xf_scorer_kind *kind, uint32_t n_items,
                        const struct xf_diffuse_spec *spec, struct xf_diag *diag) {
  if (!(spec->alpha > 0 && spec->alpha <= 1) || spec->steps < 1 ||
      spec->steps > XF_DIFFUSE_STEPS_MAX)
    return xf_diag_set(diag, XF_E_RANGE,
                       "%s: alpha %g and %" PRIu32 " steps; alpha must be above 0 and at most 1, "
                       "steps 1 to %d",
                       kind->name, spec->alpha, spec->steps, XF_DIFFUSE_STEPS_MAX);
  *out = xf_calloc(1, sizeof **out);
  (*out)->base = (struct xf_scorer){.kind = kind, .n_items = n_items, .many = diffuse_many};
  (*out)->spec = *spec;
  return XF_OK;
}

static void set_cost(struct diffuse *d) {
  d->base.cost.memory = d->mat.start[d->mat.n] * (sizeof *d->mat.node + sizeof *d->mat.value) +
                        d->mat.n * (sizeof *d->mat.start + sizeof *d->mat.root);
}

enum xf_rc xf_diffuse_fit(struct xf_scorer **out, const struct xf_gram *gram,
                          const struct xf_kg_graph *graph, const struct xf_diffuse_spec *spec,
                          struct xf_diag *diag) {
  struct diffuse *d = NULL;
  *out = NULL;
  enum xf_rc rc = start(&d, &DIFFUSE, gram->n, spec, diag);
  if (rc) return rc;
  rc = xf_diffmat_gram(&d->mat, gram, graph, spec->w, 1, diag);
  if (rc) {
    diffuse_free(&d->base);
    return rc;
  }
  set_cost(d);
  *out = &d->base;
  return XF_OK;
}

static bool copy_train(struct xf_csr *out, const struct xf_csr *x) {
  const size_t n_row = (size_t)x->n_row + 1, n = xf_csr_count(x);
  out->n_row = x->n_row;
  out->start = xf_try_calloc(n_row, sizeof *out->start);
  out->item = xf_try_calloc(n + 1, sizeof *out->item);
  if (!out->start || !out->item) return false;
  memcpy(out->start, x->start, n_row * sizeof *out->start);
  if (n) memcpy(out->item, x->item, n * sizeof *out->item);
  return true;
}

enum xf_rc xf_pagerank_fit(struct xf_scorer **out, const struct xf_rec_data *data,
                           const struct xf_kg_graph *graph, const struct xf_diffuse_spec *spec,
                           struct xf_diag *diag) {
  struct diffuse *d = NULL;
  *out = NULL;
  enum xf_rc rc = start(&d, &PAGERANK, data->n_items, spec, diag);
  if (rc) return rc;
  d->users = true;
  d->first_user = graph ? graph->n_node : data->n_items;
  rc = copy_train(&d->train, data->train)
           ? xf_diffmat_users(&d->mat, data, graph, spec->w, diag)
           : xf_diag_set(diag, XF_E_NOMEM, "no memory for %" PRIu32 " histories", data->n_users);
  if (rc) {
    diffuse_free(&d->base);
    return rc;
  }
  set_cost(d);
  *out = &d->base;
  return XF_OK;
}
