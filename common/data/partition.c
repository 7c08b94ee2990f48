#include "data/partition.h"

#include "base/alloc.h"
#include "data/lines.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static enum xf_rc check_parts(uint32_t k, size_t n, size_t pieces, struct xf_diag *diag) {
  if (k >= 1 && pieces <= n && n <= UINT32_MAX) return XF_OK;
  return xf_diag_set(diag, XF_E_INVAL, "cannot deal %zu samples to %u clients", n, k);
}

static uint32_t *shuffled(size_t n, struct xf_rng *rng) {
  uint32_t *ids = xf_calloc(n + 1, sizeof *ids);
  for (size_t i = 0; i < n; i++) ids[i] = (uint32_t)i;
  xf_rng_shuffle(rng, ids, n);
  return ids;
}

enum xf_rc xf_partition_uniform(uint32_t *part, size_t n, uint32_t k, struct xf_rng *rng,
                                struct xf_diag *diag) {
  const enum xf_rc rc = check_parts(k, n, k, diag);
  if (rc) return rc;
  uint32_t *ids = shuffled(n, rng);
  for (size_t i = 0; i < n; i++) part[ids[i]] = (uint32_t)(i % k);
  xf_free(ids);
  return XF_OK;
}

static int by_label(const void *a, const void *b, void *arg) {
  const float *label = arg;
  const uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
  if (label[i] != label[j]) return label[i] < label[j] ? -1 : 1;
  return (i > j) - (i < j);
}

static uint32_t *sorted_by_label(const float *label, size_t n) {
  uint32_t *ids = xf_calloc(n + 1, sizeof *ids);
  for (size_t i = 0; i < n; i++) ids[i] = (uint32_t)i;
  qsort_r(ids, n, sizeof *ids, by_label, (void *)(uintptr_t)label);
  return ids;
}

enum xf_rc xf_partition_shards(uint32_t *part, const float *label, size_t n, uint32_t k,
                               uint32_t shards, struct xf_rng *rng, struct xf_diag *diag) {
  const size_t pieces = (size_t)k * shards;
  const enum xf_rc rc = check_parts(shards ? k : 0, n, pieces, diag);
  if (rc) return rc;
  uint32_t *ids = sorted_by_label(label, n);
  uint32_t *owner = shuffled(pieces, rng);
  for (size_t i = 0; i < n; i++) {
    const size_t piece = (size_t)((__uint128_t)i * pieces / n);
    part[ids[i]] = owner[piece] / shards;
  }
  xf_free(owner);
  xf_free(ids);
  return XF_OK;
}

/* Gamma(a, 1). @source Marsaglia & Tsang 2000 */
static double gamma_draw(struct xf_rng *rng, double a) {
  if (a < 1) {
    const double u = 1.0 - xf_rng_double(rng);
    return gamma_draw(rng, a + 1) * pow(u, 1 / a);
  }
  const double d = a - 1.0 / 3, c = 1 / sqrt(9 * d);
  for (;;) {
    const double x = xf_rng_normal(rng), v = pow(1 + c * x, 3);
    if (v <= 0) continue;
    const double u = 1.0 - xf_rng_double(rng);
    if (log(u) < 0.5 * x * x + d - d * v + d * log(v)) return d * v;
  }
}

/* Cuts ids[0..n) of one label among the parts by Dirichlet shares. */
static void cut_label(uint32_t *part, uint32_t *ids, size_t n, double *share, uint32_t k,
                      double alpha, struct xf_rng *rng) {
  double sum = 0, upto = 0;
  for (uint32_t c = 0; c < k; c++) sum += share[c] = gamma_draw(rng, alpha);
  xf_rng_shuffle(rng, ids, n);
  size_t at = 0;
  for (uint32_t c = 0; c < k; c++) {
    upto += share[c];
    size_t end = c + 1 == k || !(sum > 0) ? n : (size_t)llround((double)n * upto / sum);
    if (end > n) end = n;
    for (; at < end; at++) part[ids[at]] = c;
  }
}

enum xf_rc xf_partition_dirichlet(uint32_t *part, const float *label, size_t n, uint32_t k,
                                  double alpha, struct xf_rng *rng, struct xf_diag *diag) {
  const enum xf_rc rc = check_parts(k, n, k, diag);
  if (rc) return rc;
  if (!(alpha > 0 && alpha <= 1e6))
    return xf_diag_set(diag, XF_E_INVAL, "alpha %g must be above 0 and at most 1e6", alpha);
  uint32_t *ids = sorted_by_label(label, n);
  double *share = xf_calloc(k, sizeof *share);
  for (size_t from = 0, to = 0; from < n; from = to) {
    while (to < n && label[ids[to]] == label[ids[from]]) to++;
    cut_label(part, ids + from, to - from, share, k, alpha, rng);
  }
  xf_free(share);
  xf_free(ids);
  return XF_OK;
}

static enum xf_rc load_line(uint32_t *part, size_t n, struct xf_names *names,
                            struct xf_lines *lines, const struct xf_field *f, size_t n_field,
                            struct xf_diag *diag) {
  double v = 0;
  if (n_field < 2)
    return xf_lines_fail(lines, 0, XF_E_FORMAT, diag, "expected \"<sample> <client>\"");
  enum xf_rc rc = xf_lines_number(lines, 1, &f[0], "the sample", &v, diag);
  if (rc) return rc;
  if (!(v >= 0 && v < (double)n && v == floor(v)))
    return xf_lines_fail(lines, 1, XF_E_RANGE, diag, "sample %g is not in 0 .. %zu", v, n - 1);
  if (part[(size_t)v] != XF_NO_ID)
    return xf_lines_fail(lines, 1, XF_E_CONFLICT, diag, "sample %g is named twice", v);
  rc = xf_names_add(names, &part[(size_t)v], f[1].p, f[1].len);
  if (rc) return xf_lines_fail(lines, 2, rc, diag, "the client is no usable name");
  return XF_OK;
}

enum xf_rc xf_partition_load(uint32_t *part, size_t n, struct xf_names *names, const char *path,
                             struct xf_diag *diag) {
  struct xf_lines *lines = NULL;
  xf_names_init(names);
  for (size_t i = 0; i < n; i++) part[i] = XF_NO_ID;
  enum xf_rc rc = n ? xf_lines_open(&lines, path, 0, diag)
                    : xf_diag_set(diag, XF_E_INVAL, "%s: there are no samples to deal", path);
  while (!rc) {
    const struct xf_field *f = NULL;
    size_t n_field = 0;
    rc = xf_lines_next(lines, &f, &n_field, diag);
    if (!rc) rc = load_line(part, n, names, lines, f, n_field, diag);
  }
  if (rc == XF_E_EOF) rc = XF_OK;
  for (size_t i = 0; !rc && i < n; i++)
    if (part[i] == XF_NO_ID)
      rc = xf_diag_set(diag, XF_E_NOTFOUND, "%s: does not name sample %zu", path, i);
  xf_lines_close(lines);
  if (rc) xf_names_deinit(names);
  return rc;
}
