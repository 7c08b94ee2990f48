/* The sum of triangles, a row at a time. */
#include "fed/trisum.h"

#include "base/alloc.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct xf_trisum_scratch {
  double *acc;            /* [n] of the row at hand */
  float *row, *new_value; /* [n] */
};

static enum xf_rc check_member(const struct xf_trisum_job *job, size_t k, struct xf_diag *diag) {
  const struct xf_trisum_member *m = &job->member[k];
  if (k > 0 && strcmp(job->member[k - 1].id, m->id) >= 0)
    return xf_diag_set(diag, XF_E_INVAL, "member %s: ids must ascend, %s came before", m->id,
                       job->member[k - 1].id);
  for (uint32_t a = 0; a < m->n; a++) {
    if (m->row[a] >= job->n)
      return xf_diag_set(diag, XF_E_INVAL,
                         "member %s: its item %" PRIu32 " is row %" PRIu32
                         " of a directory of %" PRIu32,
                         m->id, a, m->row[a], job->n);
    if (a > 0 && m->row[a] <= m->row[a - 1])
      return xf_diag_set(diag, XF_E_INVAL,
                         "member %s: rows must ascend, but item %" PRIu32 " has row %" PRIu32
                         " behind row %" PRIu32,
                         m->id, a, m->row[a], m->row[a - 1]);
  }
  return XF_OK;
}

enum xf_rc xf_trisum_check(const struct xf_trisum_job *job, struct xf_diag *diag) {
  if (!job->read || !job->read_old || !job->write_new)
    return xf_diag_set(diag, XF_E_INVAL, "sum of triangles: a callback is missing");
  for (size_t k = 0; k < job->n_member; k++) {
    const enum xf_rc rc = check_member(job, k, diag);
    if (rc) return rc;
  }
  return XF_OK;
}

struct xf_trisum_scratch *xf_trisum_scratch_new(uint32_t n) {
  struct xf_trisum_scratch *s = xf_calloc(1, sizeof *s);
  s->acc = xf_try_calloc((size_t)n + 1, sizeof *s->acc);
  s->row = xf_try_calloc((size_t)n + 1, sizeof *s->row);
  s->new_value = xf_try_calloc((size_t)n + 1, sizeof *s->new_value);
  if (s->acc && s->row && s->new_value) return s;
  xf_trisum_scratch_free(s);
  return NULL;
}

void xf_trisum_scratch_free(struct xf_trisum_scratch *scratch) {
  if (!scratch) return;
  xf_free(scratch->acc);
  xf_free(scratch->row);
  xf_free(scratch->new_value);
  xf_free(scratch);
}

/* Position of a directory row among a member's, or n. */
static uint32_t find_row(const struct xf_trisum_member *m, uint32_t row) {
  uint32_t low = 0, high = m->n;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (m->row[middle] < row) low = middle + 1;
    else high = middle;
  }
  return low < m->n && m->row[low] == row ? low : m->n;
}

/* Adds what a member has of directory row i to acc, which begins at column i + 1. */
static enum xf_rc add_member(const struct xf_trisum_job *job, struct xf_trisum_scratch *s,
                             const struct xf_trisum_member *m, uint32_t i, struct xf_diag *diag) {
  const uint32_t a = find_row(m, i);
  if (a == m->n || a + 1 == m->n) return XF_OK; /* not its item, or its last: an empty row */
  const uint32_t n = m->n - a - 1;
  const uint64_t at = xf_triangle_row(m->n, a);
  const enum xf_rc rc = job->read(job->arg, m->slot, at, s->row, n);
  if (rc)
    return xf_diag_prefix(diag, rc, "statistic of %s, floats %" PRIu64 " to %" PRIu64, m->id, at,
                          at + n);
  const uint32_t *column = m->row + a + 1;
  for (uint32_t b = 0; b < n; b++) s->acc[column[b] - i - 1] += (double)s->row[b];
  return XF_OK;
}

static enum xf_rc fold_row(const struct xf_trisum_job *job, struct xf_trisum_scratch *s, uint32_t i,
                           struct xf_diag *diag) {
  const uint32_t n = job->n - i - 1;
  if (n == 0) return XF_OK;
  const uint64_t at = xf_triangle_row(job->n, i);
  memset(s->acc, 0, n * sizeof *s->acc);
  for (size_t k = 0; k < job->n_member; k++) {
    const enum xf_rc rc = add_member(job, s, &job->member[k], i, diag);
    if (rc) return rc;
  }
  const enum xf_rc rc = job->read_old(job->arg, at, s->row, n);
  if (rc) return rc;
  for (uint32_t j = 0; j < n; j++) {
    s->new_value[j] = (float)((double)s->row[j] + s->acc[j]);
    if (!isfinite(s->new_value[j]))
      return xf_diag_set(
          diag, XF_E_NAN,
          "sum of pair (%" PRIu32 ", %" PRIu32
          "): the new value is %g (it was %g); a silo sent a number that is none, or "
          "the sum overflows: the round cannot be committed",
          i, i + 1 + j, (double)s->new_value[j], (double)s->row[j]);
  }
  return job->write_new(job->arg, at, s->new_value, n);
}

enum xf_rc xf_trisum_fold(const struct xf_trisum_job *job, struct xf_trisum_scratch *scratch,
                          uint32_t begin, uint32_t end, struct xf_diag *diag) {
  for (uint32_t i = begin; i < end; i++) {
    const enum xf_rc rc = fold_row(job, scratch, i, diag);
    if (rc) return rc;
  }
  return XF_OK;
}

void xf_trisum_take(float *out, const struct xf_trisum_member *member, uint32_t a,
                    const float *global_row) {
  const uint32_t i = member->row[a];
  for (uint32_t b = a + 1; b < member->n; b++) out[b - a - 1] = global_row[member->row[b] - i - 1];
}
