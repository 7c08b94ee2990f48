#include "rec/diffmat.h"

#include "base/alloc.h"

#include <math.h>
#include <string.h>

void xf_diffmat_deinit(struct xf_diffmat *mat) {
  xf_free(mat->start);
  xf_free(mat->node);
  xf_free(mat->value);
  xf_free(mat->root);
  *mat = (struct xf_diffmat){0};
}

/* Ascending entries times a factor; value NULL: ones. */
struct run {
  const uint32_t *node;
  const float *value;
  uint64_t n;
  double factor;
  uint32_t behind; /* added to node */
};

/* Appends a row that is the sum of runs. */
static void put_row(struct xf_diffmat *m, uint32_t row, struct run *run, int n) {
  uint64_t at = m->start[row];
  for (;;) {
    uint64_t next = UINT64_MAX;
    double sum = 0;
    for (int k = 0; k < n; k++)
      if (run[k].n && (uint64_t)run[k].behind + *run[k].node < next)
        next = (uint64_t)run[k].behind + *run[k].node;
    if (next == UINT64_MAX) break;
    for (int k = 0; k < n; k++) {
      struct run *r = &run[k];
      if (!r->n || (uint64_t)r->behind + *r->node != next) continue;
      sum += r->factor * (r->value ? (double)*r->value++ : 1);
      r->node++;
      r->n--;
    }
    if (sum == 0) continue;
    m->node[at] = (uint32_t)next;
    m->value[at++] = (float)sum;
  }
  m->start[row + 1] = at;
}

static bool make(struct xf_diffmat *m, uint64_t n, uint64_t n_entry) {
  *m = (struct xf_diffmat){.n = (uint32_t)n};
  m->start = xf_try_calloc((size_t)n + 1, sizeof *m->start);
  m->root = xf_try_calloc((size_t)n + 1, sizeof *m->root);
  m->node = xf_try_calloc((size_t)n_entry + 1, sizeof *m->node);
  m->value = xf_try_calloc((size_t)n_entry + 1, sizeof *m->value);
  return m->start && m->root && m->node && m->value;
}

static enum xf_rc check(const struct xf_kg_graph *graph, uint64_t n_items, uint64_t n, double w,
                        struct xf_diag *diag) {
  if (!(w >= 0) || !isfinite(w))
    return xf_diag_set(diag, XF_E_RANGE,
                       "diffusion: a weight of %g of graph or diagonal; it must be 0 or above", w);
  if (graph && graph->n_items != n_items)
    return xf_diag_set(diag, XF_E_SHAPE,
                       "the knowledge graph stands beside %u items, the data have %llu: link it to "
                       "the same items",
                       graph->n_items, (unsigned long long)n_items);
  if (n >= XF_NO_ID)
    return xf_diag_set(diag, XF_E_LIMIT, "diffusion: %llu nodes are too many",
                       (unsigned long long)n);
  return XF_OK;
}

static struct run graph_run(const struct xf_kg_graph *g, uint32_t v, double w) {
  if (!g || w == 0) return (struct run){0};
  return (struct run){g->node + g->start[v], g->weight + g->start[v], g->start[v + 1] - g->start[v],
                      w, 0};
}

/* M becomes S. */
static enum xf_rc normalise(struct xf_diffmat *m, struct xf_diag *diag) {
  for (uint32_t v = 0; v < m->n; v++) {
    double d = 0;
    for (uint64_t e = m->start[v]; e < m->start[v + 1]; e++) {
      if (!(m->value[e] >= 0) || !isfinite(m->value[e]))
        return xf_diag_set(diag, XF_E_RANGE,
                           "diffusion: entry %u, %u is %g; entries must be 0 or above (a noisy sum "
                           "goes through xf_gram_threshold first)",
                           v, m->node[e], (double)m->value[e]);
      d += (double)m->value[e];
    }
    m->root[v] = (float)sqrt(d);
  }
  for (uint32_t v = 0; v < m->n; v++)
    for (uint64_t e = m->start[v]; e < m->start[v + 1]; e++)
      m->value[e] =
          (float)((double)m->value[e] / ((double)m->root[v] * (double)m->root[m->node[e]]));
  return XF_OK;
}

enum xf_rc xf_diffmat_gram(struct xf_diffmat *out, const struct xf_gram *gram,
                           const struct xf_kg_graph *graph, double w, double self,
                           struct xf_diag *diag) {
  const uint32_t n = graph ? graph->n_node : gram->n;
  *out = (struct xf_diffmat){0};
  enum xf_rc rc = check(graph, gram->n, n, w, diag);
  if (!rc) rc = check(NULL, 0, 0, self, diag);
  if (rc) return rc;
  const uint64_t n_entry = gram->start[gram->n] + gram->n + (graph ? graph->start[n] : 0);
  if (!make(out, n, n_entry))
    rc = xf_diag_set(diag, XF_E_NOMEM, "no memory for diffusion among %u nodes", n);
  for (uint32_t v = 0; v < n && !rc; v++) {
    struct run run[3] = {graph_run(graph, v, w)};
    if (v < gram->n) {
      const uint64_t at = gram->start[v];
      run[1] = (struct run){gram->item + at, gram->value + at, gram->start[v + 1] - at, 1, 0};
      run[2] = (struct run){&v, &gram->diag[v], 1, self, 0};
    }
    put_row(out, v, run, 3);
  }
  if (!rc) rc = normalise(out, diag);
  if (rc) xf_diffmat_deinit(out);
  return rc;
}

/* Users of each item, ascending. */
static bool transpose(const struct xf_rec_data *data, uint32_t **start, uint32_t **user) {
  const struct xf_csr *x = data->train;
  uint32_t *at = *start = xf_try_calloc((size_t)data->n_items + 2, sizeof *at);
  uint32_t *who = *user = xf_try_calloc((size_t)xf_csr_count(x) + 1, sizeof *who);
  if (!at || !who) return false;
  for (uint32_t k = 0; k < xf_csr_count(x); k++) at[x->item[k] + 2]++;
  for (uint32_t i = 0; i < data->n_items; i++) at[i + 2] += at[i + 1];
  for (uint32_t u = 0; u < data->n_users; u++)
    for (uint32_t k = x->start[u]; k < x->start[u + 1]; k++) who[at[x->item[k] + 1]++] = u;
  return true;
}

enum xf_rc xf_diffmat_users(struct xf_diffmat *out, const struct xf_rec_data *data,
                            const struct xf_kg_graph *graph, double w, struct xf_diag *diag) {
  const struct xf_csr *x = data->train;
  const uint32_t n_node = graph ? graph->n_node : data->n_items;
  const uint64_t n = (uint64_t)n_node + data->n_users;
  uint32_t *start = NULL, *user = NULL;
  *out = (struct xf_diffmat){0};
  enum xf_rc rc = check(graph, data->n_items, n, w, diag);
  if (rc) return rc;
  const uint64_t n_entry = 2ull * xf_csr_count(x) + (graph ? graph->start[n_node] : 0);
  if (!transpose(data, &start, &user) || !make(out, n, n_entry))
    rc = xf_diag_set(diag, XF_E_NOMEM, "no memory for diffusion among %llu nodes",
                     (unsigned long long)n);
  for (uint32_t v = 0; v < n && !rc; v++) {
    struct run run[2] = {{0}, {0}};
    if (v < n_node) run[0] = graph_run(graph, v, w);
    if (v < data->n_items)
      run[1] = (struct run){user + start[v], NULL, start[v + 1] - start[v], 1, n_node};
    if (v >= n_node) {
      const uint32_t u = v - n_node;
      run[1] = (struct run){x->item + x->start[u], NULL, x->start[u + 1] - x->start[u], 1, 0};
    }
    put_row(out, v, run, 2);
  }
  if (!rc) rc = normalise(out, diag);
  xf_free(start);
  xf_free(user);
  if (rc) xf_diffmat_deinit(out);
  return rc;
}

enum xf_rc xf_diffmat_spread(const struct xf_diffmat *mat, float *x, float *sum, uint32_t width,
                             double a, uint32_t steps) {
  const size_t n = (size_t)mat->n * width;
  float *y = xf_try_calloc(n + 1, sizeof *y), *from = x, *to = y;
  if (!y) return XF_E_NOMEM;
  for (uint32_t k = 0; k < steps; k++) {
    for (uint32_t v = 0; v < mat->n; v++) {
      float *row = to + (size_t)v * width;
      memset(row, 0, width * sizeof *row);
      for (uint64_t e = mat->start[v]; e < mat->start[v + 1]; e++) {
        const float s = (float)a * mat->value[e];
        const float *u = from + (size_t)mat->node[e] * width;
        for (uint32_t c = 0; c < width; c++) row[c] += s * u[c];
      }
    }
    for (size_t c = 0; c < n; c++) sum[c] += to[c];
    float *const swap = from;
    from = to;
    to = swap;
  }
  xf_free(y);
  return XF_OK;
}
