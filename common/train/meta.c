/* Meta-gradients: inner steps forth, Hessian products back. */
#include "train/meta.h"

#include "base/alloc.h"
#include "nn/op.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FEED_MAX = 8 };

struct xf_meta {
  struct xf_meta_spec spec;
  struct xf_layout layout;
  size_t n, real;                /* parameters; bytes of a number */
  struct xf_nnplan *plan, *prod; /* loss and its gradient; grad . u and its gradient */
  int *dir;                      /* [n_seg] inputs of prod: u */
  double *mask;                  /* [n] 1: takes inner steps */
  double *path, *slope;          /* [K x n] theta_j and grad S(theta_j) */
  double *theta, *u, *hu, *hu2;  /* [n] */
  void *in, *out, *udata;        /* [n] of the plans' numbers */
  void *batch[FEED_MAX];         /* rows gathered */
};

static enum xf_rc check_spec(const struct xf_meta_spec *spec, const struct xf_graph *twin,
                             struct xf_diag *diag) {
  if (spec->inner_steps < 1)
    return xf_diag_set(diag, XF_E_INVAL, "a meta-gradient needs at least 1 inner step");
  if (!isfinite(spec->inner_lr) || spec->inner_lr <= 0)
    return xf_diag_set(diag, XF_E_INVAL, "the inner rate is %g; it must be above 0",
                       spec->inner_lr);
  if (!isfinite(spec->hf_step) || spec->hf_step < 0)
    return xf_diag_set(diag, XF_E_INVAL,
                       "the step of the difference is %g; it must not be negative", spec->hf_step);
  if (spec->max_rows < 1)
    return xf_diag_set(diag, XF_E_INVAL, "max_rows is 0; support and query have rows");
  if (spec->kind == XF_META_MAML && !twin)
    return xf_diag_set(diag, XF_E_INVAL, "MAML needs a second graph for the Hessian product");
  return XF_OK;
}

/* Adds grad . u to the twin and plans its gradient, H u. */
static enum xf_rc plan_product(struct xf_meta *m, struct xf_graph *g, int loss,
                               const struct xf_nnplan_spec *like, struct xf_diag *diag) {
  const size_t n = m->layout.n_seg;
  int *wrt = xf_alloc(n * sizeof *wrt), *d = xf_alloc(n * sizeof *d);
  for (size_t i = 0; i < n; i++) wrt[i] = xf_graph_param(g, m->layout.seg[i].name);
  enum xf_rc rc = xf_graph_grad(g, loss, wrt, n, d, diag);
  int sum = XF_NO_NODE;
  for (size_t i = 0; !rc && i < n; i++) {
    struct xf_dim rows, cols;
    char name[XF_NAME_MAX + 8];
    (void)snprintf(name, sizeof name, "meta.u/%s", m->layout.seg[i].name);
    xf_graph_get_shape(g, wrt[i], &rows, &cols);
    m->dir[i] = xf_graph_input(g, name, rows, cols.n);
    const int part = xf_op_sum(g, xf_op_mul(g, d[i], m->dir[i]));
    sum = sum == XF_NO_NODE ? part : xf_op_add(g, sum, part);
  }
  if (!rc) rc = xf_graph_backward_to(g, sum, wrt, n, diag);
  struct xf_nnplan_spec spec = *like;
  spec.loss = sum;
  if (!rc) rc = xf_nnplan_new(&m->prod, g, &spec, diag);
  for (size_t i = 0; !rc && i < n; i++)
    xf_nnplan_set_input(m->prod, m->dir[i], (char *)m->udata + m->layout.seg[i].offset * m->real);
  xf_free(wrt);
  xf_free(d);
  return rc;
}

static bool reserve(struct xf_meta *m) {
  const size_t n = m->n, k = m->spec.inner_steps;
  size_t path = 0;
  if (!xf_mul_size(&path, n, k)) return false;
  m->dir = xf_try_calloc(m->layout.n_seg, sizeof *m->dir);
  m->mask = xf_try_calloc(n, sizeof *m->mask);
  m->path = xf_try_calloc(path, sizeof *m->path);
  m->slope = xf_try_calloc(path, sizeof *m->slope);
  m->theta = xf_try_calloc(n, sizeof *m->theta);
  m->u = xf_try_calloc(n, sizeof *m->u);
  m->hu = xf_try_calloc(n, sizeof *m->hu);
  m->hu2 = xf_try_calloc(n, sizeof *m->hu2);
  m->in = xf_try_calloc(n, m->real);
  m->out = xf_try_calloc(n, m->real);
  m->udata = xf_try_calloc(n, m->real);
  if (!m->dir || !m->mask || !m->path || !m->slope || !m->theta || !m->u || !m->hu || !m->hu2 ||
      !m->in || !m->out || !m->udata)
    return false;
  for (size_t i = 0; i < m->layout.n_seg; i++) {
    const struct xf_segment *seg = &m->layout.seg[i];
    const double on = !m->spec.adapts || m->spec.adapts[i];
    for (uint64_t p = 0; p < xf_segment_len(seg); p++) m->mask[seg->offset + p] = on;
  }
  m->spec.adapts = NULL;
  return true;
}

enum xf_rc xf_meta_new(struct xf_meta **out, struct xf_graph *graph, struct xf_graph *twin,
                       int loss, const struct xf_layout *layout, const struct xf_meta_spec *spec,
                       struct xf_diag *diag) {
  *out = NULL;
  enum xf_rc rc = check_spec(spec, twin, diag);
  if (rc) return rc;
  struct xf_meta *m = xf_calloc(1, sizeof *m);
  m->spec = *spec;
  xf_layout_copy(&m->layout, layout);
  m->n = (size_t)layout->n;
  m->real = spec->mode == XF_NN_REF64 ? sizeof(double) : sizeof(float);
  struct xf_nnplan_spec plan = {.loss = loss, .train = true, .dense_grads = true};
  plan.mode = spec->mode;
  plan.max[XF_SYM_ONE] = 1;
  plan.max[XF_SYM_B] = spec->max_rows;
  if (!reserve(m))
    rc = xf_diag_set(diag, XF_E_NOMEM, "not enough memory for %u inner steps of %zu parameters",
                     spec->inner_steps, m->n);
  if (!rc) rc = xf_graph_backward(graph, loss, diag);
  if (!rc) rc = xf_nnplan_new(&m->plan, graph, &plan, diag);
  if (!rc && spec->kind == XF_META_MAML) rc = plan_product(m, twin, loss, &plan, diag);
  if (rc) {
    xf_meta_free(m);
    return rc;
  }
  *out = m;
  return XF_OK;
}

void xf_meta_free(struct xf_meta *m) {
  if (!m) return;
  xf_nnplan_free(m->plan);
  xf_nnplan_free(m->prod);
  void *const own[] = {m->dir, m->mask, m->path, m->slope, m->theta, m->u,
                       m->hu,  m->hu2,  m->in,   m->out,   m->udata};
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) xf_free(own[i]);
  for (size_t i = 0; i < FEED_MAX; i++) xf_free(m->batch[i]);
  xf_layout_deinit(&m->layout);
  xf_free(m);
}

static int by_id(const void *a, const void *b) {
  const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static enum xf_rc check_rows(const struct xf_meta *m, const struct xf_meta_job *job,
                             const uint32_t *id, uint32_t n, const char *what,
                             struct xf_diag *diag) {
  if (n < 1) return xf_diag_set(diag, XF_E_INVAL, "the %s is empty", what);
  if (n > m->spec.max_rows)
    return xf_diag_set(diag, XF_E_LIMIT, "the %s has %u rows; planned for %u at most", what, n,
                       m->spec.max_rows);
  for (uint32_t i = 0; i < n; i++)
    if (id[i] >= job->n_rows)
      return xf_diag_set(diag, XF_E_RANGE, "the %s names row %u; the task has %u", what, id[i],
                         job->n_rows);
  return XF_OK;
}

static enum xf_rc check_support(const struct xf_meta *m, const struct xf_meta_job *job,
                                struct xf_diag *diag) {
  if (job->n_feed > FEED_MAX)
    return xf_diag_set(diag, XF_E_LIMIT, "%zu inputs; at most %d", job->n_feed, FEED_MAX);
  return check_rows(m, job, job->support, job->n_support, "support", diag);
}

static enum xf_rc check_job(const struct xf_meta *m, const struct xf_meta_job *job,
                            struct xf_diag *diag) {
  enum xf_rc rc = check_support(m, job, diag);
  if (!rc) rc = check_rows(m, job, job->query, job->n_query, "query", diag);
  if (rc) return rc;
  uint32_t *sorted = xf_memdup(job->support, job->n_support * sizeof *sorted);
  qsort(sorted, job->n_support, sizeof *sorted, by_id);
  for (uint32_t i = 0; !rc && i < job->n_query; i++)
    if (bsearch(&job->query[i], sorted, job->n_support, sizeof *sorted, by_id))
      rc = xf_diag_set(diag, XF_E_INVAL,
                       "row %u is in the support and in the query; give each row to one of them",
                       job->query[i]);
  xf_free(sorted);
  return rc;
}

/* The rows become what both plans read. */
static enum xf_rc feed(struct xf_meta *m, const struct xf_meta_job *job, const uint32_t *id,
                       uint32_t n) {
  for (size_t f = 0; f < job->n_feed; f++) {
    const struct xf_meta_feed *in = &job->feed[f];
    void *batch = xf_try_realloc_array(m->batch[f], n, in->row_bytes);
    if (!batch) return XF_E_NOMEM;
    m->batch[f] = batch;
    for (uint32_t i = 0; i < n; i++)
      memcpy((char *)m->batch[f] + i * in->row_bytes,
             (const char *)in->rows + id[i] * in->row_bytes, in->row_bytes);
    xf_nnplan_set_input(m->plan, in->node, m->batch[f]);
    if (m->prod) xf_nnplan_set_input(m->prod, in->node, m->batch[f]);
  }
  return XF_OK;
}

static void narrow(const struct xf_meta *m, void *to, const double *from) {
  if (m->spec.mode == XF_NN_REF64) {
    memcpy(to, from, m->n * sizeof *from);
    return;
  }
  for (size_t i = 0; i < m->n; i++) ((float *)to)[i] = (float)from[i];
}

/* The gradient that a plan gives at theta. */
static enum xf_rc slope_at(struct xf_meta *m, struct xf_nnplan *plan, const double *theta,
                           uint32_t n, double *grad, struct xf_diag *diag) {
  uint32_t extent[XF_N_SYM] = {[XF_SYM_ONE] = 1, [XF_SYM_B] = n};
  narrow(m, m->in, theta);
  if (m->spec.mode == XF_NN_REF64) {
    const enum xf_rc rc = xf_nnplan_run64(plan, m->in, m->out, extent, diag);
    memcpy(grad, m->out, m->n * sizeof *grad);
    return rc;
  }
  const enum xf_rc rc = xf_nnplan_run(plan, m->in, m->out, extent, diag);
  for (size_t i = 0; i < m->n; i++) grad[i] = (double)((float *)m->out)[i];
  return rc;
}

/* hu = H_S(theta_j) u. */
static enum xf_rc product(struct xf_meta *m, const double *theta, uint32_t n,
                          struct xf_diag *diag) {
  if (m->spec.kind == XF_META_MAML) {
    narrow(m, m->udata, m->u);
    return slope_at(m, m->prod, theta, n, m->hu, diag);
  }
  double norm = 0, d = m->spec.hf_step;
  for (size_t i = 0; i < m->n; i++) norm += m->u[i] * m->u[i];
  if (norm <= 0) {
    memset(m->hu, 0, m->n * sizeof *m->hu);
    return XF_OK;
  }
  if (d <= 0) d = (m->spec.mode == XF_NN_REF64 ? 1e-4 : 1e-2) / sqrt(norm);
  for (size_t i = 0; i < m->n; i++) m->theta[i] = theta[i] + d * m->u[i];
  enum xf_rc rc = slope_at(m, m->plan, m->theta, n, m->hu, diag);
  for (size_t i = 0; i < m->n; i++) m->theta[i] = theta[i] - d * m->u[i];
  if (!rc) rc = slope_at(m, m->plan, m->theta, n, m->hu2, diag);
  for (size_t i = 0; i < m->n; i++) m->hu[i] = (m->hu[i] - m->hu2[i]) / (2 * d);
  return rc;
}

/* From v = grad Q(theta_K) in job->grad back to theta_0. */
static enum xf_rc go_back(struct xf_meta *m, struct xf_meta_job *job, struct xf_diag *diag) {
  double *v = job->grad;
  const double lr = job->rate ? 1 : m->spec.inner_lr;
  if (job->rate_grad) memset(job->rate_grad, 0, m->n * sizeof *v);
  enum xf_rc rc = XF_OK;
  for (uint32_t j = m->spec.inner_steps; !rc && j-- > 0;) {
    const double *slope = m->slope + (size_t)j * m->n;
    for (size_t i = 0; job->rate_grad && i < m->n; i++)
      job->rate_grad[i] -= m->mask[i] * slope[i] * v[i];
    if (m->spec.kind == XF_META_FOMAML) continue;
    for (size_t i = 0; i < m->n; i++) m->u[i] = m->mask[i] * v[i] * (job->rate ? job->rate[i] : 1);
    rc = product(m, m->path + (size_t)j * m->n, job->n_support, diag);
    for (size_t i = 0; i < m->n; i++) v[i] -= lr * m->hu[i];
  }
  return rc;
}

/* One inner step of theta on the support that is fed. @shape slope[n] */
static enum xf_rc inner_step(struct xf_meta *m, const struct xf_meta_job *job, double *theta,
                             double *slope, struct xf_diag *diag) {
  const enum xf_rc rc = slope_at(m, m->plan, theta, job->n_support, slope, diag);
  for (size_t i = 0; i < m->n && !rc; i++)
    theta[i] -= (job->rate ? job->rate[i] : m->spec.inner_lr) * m->mask[i] * slope[i];
  return rc;
}

enum xf_rc xf_meta_adapt(struct xf_meta *m, struct xf_meta_job *job, uint32_t steps,
                         struct xf_diag *diag) {
  enum xf_rc rc = check_support(m, job, diag);
  if (rc) return rc;
  memcpy(job->adapted, job->start, m->n * sizeof *job->adapted);
  rc = feed(m, job, job->support, job->n_support);
  for (uint32_t j = 0; j < steps && !rc; j++) rc = inner_step(m, job, job->adapted, m->slope, diag);
  return rc;
}

enum xf_rc xf_meta_run(struct xf_meta *m, struct xf_meta_job *job, struct xf_diag *diag) {
  enum xf_rc rc = check_job(m, job, diag);
  if (rc) return rc;
  double *theta = m->theta;
  memcpy(theta, job->start, m->n * sizeof *theta);
  rc = feed(m, job, job->support, job->n_support);
  for (uint32_t j = 0; j < m->spec.inner_steps && !rc; j++) {
    memcpy(m->path + (size_t)j * m->n, theta, m->n * sizeof *theta);
    rc = inner_step(m, job, theta, m->slope + (size_t)j * m->n, diag);
  }
  if (rc) return rc;
  if (job->adapted) memcpy(job->adapted, theta, m->n * sizeof *theta);
  rc = feed(m, job, job->query, job->n_query);
  if (!rc) rc = slope_at(m, m->plan, theta, job->n_query, job->grad, diag);
  if (rc) return rc;
  job->query_loss = xf_nnplan_get_loss(m->plan);
  rc = feed(m, job, job->support, job->n_support);
  return rc ? rc : go_back(m, job, diag);
}
