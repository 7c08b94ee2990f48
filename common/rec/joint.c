/* Rounds of user rows between domains, in memory. */
#include "rec/joint.h"

#include "base/alloc.h"
#include "base/time.h"

#include <string.h>

struct run {
  struct xf_joint *joint;
  const struct xf_joint_domain *domain;
  const struct xf_joint_spec *spec;
  uint32_t n_global;
  float *sum;        /* [n_global x width] */
  uint32_t *holders; /* [n_global] active domains */
  float *local;      /* [most users x width] one domain's part of the sum */
  uint32_t *local_holders;
  uint32_t *active; /* [n] active users of each domain */
};

static bool is_active(const struct xf_joint_domain *d, uint32_t u) {
  return d->data->train->start[u + 1] > d->data->train->start[u];
}

static enum xf_rc start(struct run *r, struct xf_joint *out, uint32_t n, size_t width,
                        struct xf_worker *pool, struct xf_diag *diag) {
  uint32_t most = 0;
  enum xf_rc rc = XF_OK;
  *out = (struct xf_joint){.n = n};
  r->joint = out;
  out->als = xf_try_calloc((size_t)n + 1, sizeof *out->als);
  out->pull = xf_try_calloc((size_t)n + 1, sizeof *out->pull);
  out->bytes = xf_try_calloc((size_t)n + 1, sizeof *out->bytes);
  r->holders = xf_try_calloc((size_t)r->n_global + 1, sizeof *r->holders);
  r->active = xf_try_calloc((size_t)n + 1, sizeof *r->active);
  r->sum = xf_try_calloc((size_t)r->n_global * width + 1, sizeof *r->sum);
  if (!out->als || !out->pull || !out->bytes || !r->holders || !r->active || !r->sum)
    return xf_diag_set(diag, XF_E_NOMEM, "not enough memory for rows of %u users", r->n_global);
  for (uint32_t d = 0; !rc && d < n; d++) {
    const struct xf_joint_domain *dom = &r->domain[d];
    const uint32_t m = dom->data->n_users;
    struct xf_als_spec spec = r->spec->als;
    uint64_t *key = xf_try_calloc((size_t)m + 1, sizeof *key);
    if (!key) return xf_diag_set(diag, XF_E_NOMEM, "not enough memory for %u keys", m);
    if (m > most) most = m;
    for (uint32_t u = 0; u < m; u++) {
      key[u] = dom->global[u];
      r->holders[dom->global[u]] += is_active(dom, u);
      r->active[d] += is_active(dom, u);
    }
    spec.key = key;
    rc = xf_als_init(&out->als[d], dom->data, &spec, diag);
    out->als[d].pool = pool;
    xf_free(key);
  }
  r->local = xf_try_calloc(most * width + 1, sizeof *r->local);
  r->local_holders = xf_try_calloc((size_t)most + 1, sizeof *r->local_holders);
  if (!rc && (!r->local || !r->local_holders))
    rc = xf_diag_set(diag, XF_E_NOMEM, "not enough memory for rows of %u users", most);
  return rc;
}

static void end(struct run *r) {
  xf_free(r->sum);
  xf_free(r->holders);
  xf_free(r->local);
  xf_free(r->local_holders);
  xf_free(r->active);
}

void xf_joint_deinit(struct xf_joint *joint) {
  for (uint32_t d = 0; d < joint->n; d++) {
    if (joint->als) xf_als_deinit(&joint->als[d]);
    if (joint->pull) xf_free((void *)(uintptr_t)joint->pull[d].target);
  }
  xf_free(joint->als);
  xf_free(joint->pull);
  xf_free(joint->bytes);
  *joint = (struct xf_joint){0};
}

/* The sum of all domains' rows. */
static void add_rows(struct run *r) {
  const size_t dim = r->spec->als.dim;
  memset(r->sum, 0, (size_t)r->n_global * dim * sizeof *r->sum);
  for (uint32_t d = 0; d < r->joint->n; d++) {
    for (uint32_t u = 0; u < r->joint->als[d].n_users; u++) {
      float *sum = r->sum + (size_t)r->domain[d].global[u] * dim;
      for (size_t k = 0; k < dim; k++) sum[k] += r->joint->als[d].p[u * dim + k];
    }
    r->joint->bytes[d] += (uint64_t)r->active[d] * dim * sizeof(float);
  }
}

/* What domain d receives: the sum for its users, and how many hold each. */
static void take_rows(struct run *r, uint32_t d, size_t width) {
  for (uint32_t u = 0; u < r->joint->als[d].n_users; u++) {
    const uint32_t g = r->domain[d].global[u];
    r->local_holders[u] = r->holders[g];
    memcpy(r->local + u * width, r->sum + g * width, width * sizeof *r->sum);
  }
}

static void target(struct run *r, uint32_t d, bool first, float *out) {
  const struct xf_als *als = &r->joint->als[d];
  const size_t dim = r->spec->als.dim;
  take_rows(r, d, dim);
  if (!first) {
    xf_als_pull_target(als, r->local, als->p, r->local_holders, r->spec->min_holders, out);
    return;
  }
  for (uint32_t u = 0; u < als->n_users; u++) {
    const float share = r->local_holders[u] ? 1 / (float)r->local_holders[u] : 0;
    for (size_t k = 0; k < dim; k++) out[u * dim + k] = r->local[u * dim + k] * share;
  }
}

static enum xf_rc rounds(struct run *r, struct xf_diag *diag) {
  struct xf_joint *j = r->joint;
  enum xf_rc rc = XF_OK;
  for (uint32_t round = 0; !rc && round <= r->spec->rounds; round++) {
    add_rows(r);
    for (uint32_t d = 0; !rc && d < j->n; d++) {
      j->pull[d].kappa = round ? r->spec->kappa : 1;
      target(r, d, round == 0, (float *)(uintptr_t)j->pull[d].target);
      rc = xf_als_step_users(&j->als[d], &j->pull[d], diag);
      if (!rc) rc = xf_als_step_items(&j->als[d], diag);
    }
  }
  for (uint32_t d = 0; !rc && d < j->n; d++) rc = xf_als_step_users(&j->als[d], &j->pull[d], diag);
  return rc;
}

enum xf_rc xf_joint_pull(struct xf_joint *out, const struct xf_joint_domain *domain, uint32_t n,
                         uint32_t n_global, const struct xf_joint_spec *spec,
                         struct xf_worker *pool, struct xf_diag *diag) {
  const struct xf_time from = xf_time_now();
  struct run r = {.domain = domain, .spec = spec, .n_global = n_global};
  enum xf_rc rc = start(&r, out, n, spec->als.dim, pool, diag);
  for (uint32_t d = 0; !rc && d < n; d++) {
    out->pull[d].target =
        xf_try_calloc((size_t)out->als[d].n_users * spec->als.dim + 1, sizeof(float));
    if (!out->pull[d].target) rc = xf_diag_set(diag, XF_E_NOMEM, "not enough memory for targets");
    if (!rc) rc = xf_als_step_users(&out->als[d], NULL, diag);
  }
  if (!rc) rc = rounds(&r, diag);
  end(&r);
  out->seconds = xf_time_diff_s(xf_time_now(), from);
  if (rc) xf_joint_deinit(out);
  return rc;
}

enum xf_rc xf_joint_sums(struct xf_joint *out, const struct xf_joint_domain *domain, uint32_t n,
                         uint32_t n_global, const struct xf_joint_spec *spec,
                         struct xf_worker *pool, struct xf_diag *diag) {
  const struct xf_time from = xf_time_now();
  const size_t width = xf_als_sums_len(spec->als.dim);
  struct run r = {.domain = domain, .spec = spec, .n_global = n_global};
  enum xf_rc rc = start(&r, out, n, width, pool, diag);
  for (uint32_t s = 0; !rc && s < spec->rounds; s++) {
    memset(r.sum, 0, n_global * width * sizeof *r.sum);
    for (uint32_t d = 0; !rc && d < n; d++) {
      const uint32_t m = out->als[d].n_users;
      memset(r.local, 0, m * width * sizeof *r.local);
      rc = xf_als_add_sums(&out->als[d], 0, m, 1, r.local);
      for (uint32_t u = 0; !rc && u < m; u++)
        for (size_t k = 0; k < width; k++)
          r.sum[domain[d].global[u] * width + k] += r.local[u * width + k];
      out->bytes[d] += (uint64_t)r.active[d] * width * sizeof(float);
    }
    for (uint32_t d = 0; !rc && d < n; d++) {
      take_rows(&r, d, width);
      rc = xf_als_set_sums(&out->als[d], 0, out->als[d].n_users, r.local, diag);
      if (!rc && s + 1 < spec->rounds) rc = xf_als_step_items(&out->als[d], diag);
    }
  }
  end(&r);
  out->seconds = xf_time_diff_s(xf_time_now(), from);
  if (rc) xf_joint_deinit(out);
  return rc;
}
