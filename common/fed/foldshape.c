/* Before a fold: shapes, the order and the check of members; vectors in memory. */
#include "fed/fold.h"

#include "base/alloc.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t find_ns(const struct xf_fold_shape *shape, const char *ns) {
  size_t i = 0;
  while (i < shape->n_ns && strcmp(shape->ns[i], ns) != 0) i++;
  return i;
}

enum xf_rc xf_fold_shape_init(struct xf_fold_shape *out, const struct xf_layout *layout,
                              struct xf_diag *diag) {
  memset(out, 0, sizeof *out);
  out->n_shared = xf_layout_count(layout, XF_ROLE_SHARED);
  out->seg = xf_calloc(layout->n_seg, sizeof *out->seg);
  out->ns = xf_calloc(layout->n_seg, sizeof *out->ns);
  out->rows = xf_calloc(layout->n_seg, sizeof *out->rows);
  for (size_t i = 0; i < layout->n_seg; i++) {
    const struct xf_segment *s = &layout->seg[i];
    if (s->role != XF_ROLE_ALIGNED) continue;
    const size_t ns = find_ns(out, s->ns);
    if (ns == out->n_ns) {
      out->ns[out->n_ns] = s->ns;
      out->rows[out->n_ns++] = s->rows;
    } else if (out->rows[ns] != s->rows) {
      const uint32_t rows = out->rows[ns];
      xf_fold_shape_deinit(out);
      return xf_diag_set(diag, XF_E_SHAPE,
                         "segment %s has %" PRIu32 " rows of namespace %s, another one %" PRIu32
                         "; give both the directory's rows",
                         s->name, s->rows, s->ns, rows);
    }
    out->seg[out->n_seg++] = (struct xf_fold_segment){(uint32_t)ns, s->cols};
  }
  return XF_OK;
}

void xf_fold_shape_deinit(struct xf_fold_shape *shape) {
  xf_free(shape->seg);
  xf_free(shape->ns);
  xf_free(shape->rows);
  memset(shape, 0, sizeof *shape);
}

uint64_t xf_fold_global(const struct xf_fold_shape *shape) {
  uint64_t n = shape->n_shared;
  for (size_t i = 0; i < shape->n_seg; i++)
    n += (uint64_t)shape->rows[shape->seg[i].ns] * shape->seg[i].cols;
  return n;
}

uint64_t xf_fold_wire(const struct xf_fold_shape *shape, const struct xf_fold_member *member) {
  uint64_t n = shape->n_shared;
  for (size_t i = 0; i < shape->n_seg; i++)
    n += member->rows[shape->seg[i].ns].n * shape->seg[i].cols;
  return n;
}

uint64_t xf_fold_tiles(const struct xf_fold_shape *shape) {
  return (xf_fold_global(shape) + XF_FOLD_TILE - 1) / XF_FOLD_TILE;
}

static int by_id(const void *a, const void *b) {
  return strcmp(((const struct xf_fold_member *)a)->id, ((const struct xf_fold_member *)b)->id);
}

void xf_fold_sort(struct xf_fold_member *member, size_t n) {
  if (n > 1) qsort(member, n, sizeof *member, by_id);
}

static enum xf_rc check_rows(const struct xf_fold_shape *shape, const struct xf_fold_member *m,
                             struct xf_diag *diag) {
  if (shape->n_ns && !m->rows)
    return xf_diag_set(diag, XF_E_INVAL, "member %s has no row lists, the model has %zu namespaces",
                       m->id, shape->n_ns);
  for (size_t ns = 0; ns < shape->n_ns; ns++) {
    const struct xf_fold_rows *rows = &m->rows[ns];
    for (size_t i = 0; i < rows->n; i++) {
      if (rows->row[i] < shape->rows[ns] && (i == 0 || rows->row[i] > rows->row[i - 1])) continue;
      return xf_diag_set(diag, XF_E_RANGE,
                         "member %s, namespace %s, row %zu is %" PRIu32
                         "; rows must ascend and lie below %" PRIu32,
                         m->id, shape->ns[ns], i, rows->row[i], shape->rows[ns]);
    }
  }
  return XF_OK;
}

enum xf_rc xf_fold_check(const struct xf_fold_job *job, struct xf_diag *diag) {
  const struct xf_fold_io *io = &job->io;
  if (!job->n_member) return xf_diag_set(diag, XF_E_INVAL, "no participant to aggregate");
  if (!io->read || !io->read_old || !io->write_new ||
      (xf_server_states(job->step.kind) && (!io->read_state || !io->write_state)))
    return xf_diag_set(diag, XF_E_INVAL, "aggregation without its callbacks");
  if (!xf_server_in_range(&job->step))
    return xf_diag_set(diag, XF_E_RANGE,
                       "server rate %g, b1 %g, b2 %g, tau %g, v0 %g: the rate must be finite, b1 "
                       "and b2 in [0, 1), tau above 0, v0 not below",
                       job->step.eta, job->step.b1, job->step.b2, job->step.tau, job->step.v0);
  for (size_t k = 0; k < job->n_member; k++) {
    const struct xf_fold_member *m = &job->member[k];
    if (k && strcmp(job->member[k - 1].id, m->id) >= 0)
      return xf_diag_set(diag, XF_E_INVAL,
                         "member %s follows %s; members go in the order of their ids", m->id,
                         job->member[k - 1].id);
    if (m->weight < 1 || m->weight > XF_FOLD_WEIGHT_MAX)
      return xf_diag_set(diag, XF_E_RANGE, "member %s has weight %" PRIu32 "; 1 to %" PRIu32, m->id,
                         m->weight, XF_FOLD_WEIGHT_MAX);
    const enum xf_rc rc = check_rows(job->shape, m, diag);
    if (rc) return rc;
  }
  return XF_OK;
}

static const float *memory_borrow(void *arg, size_t slot, uint64_t at, size_t n) {
  (void)n;
  return ((const struct xf_fold_memory *)arg)->member[slot] + at;
}

static enum xf_rc memory_read(void *arg, size_t slot, uint64_t at, float *out, size_t n) {
  memcpy(out, ((const struct xf_fold_memory *)arg)->member[slot] + at, n * sizeof *out);
  return XF_OK;
}

static enum xf_rc memory_read_old(void *arg, uint64_t at, float *out, size_t n) {
  memcpy(out, ((const struct xf_fold_memory *)arg)->old_value + at, n * sizeof *out);
  return XF_OK;
}

static enum xf_rc memory_write_new(void *arg, uint64_t at, const float *x, size_t n) {
  memcpy(((const struct xf_fold_memory *)arg)->new_value + at, x, n * sizeof *x);
  return XF_OK;
}

static enum xf_rc memory_read_state(void *arg, uint32_t k, uint64_t at, float *out, size_t n) {
  memcpy(out, ((const struct xf_fold_memory *)arg)->state[k] + at, n * sizeof *out);
  return XF_OK;
}

static enum xf_rc memory_write_state(void *arg, uint32_t k, uint64_t at, const float *x, size_t n) {
  memcpy(((const struct xf_fold_memory *)arg)->state[k] + at, x, n * sizeof *x);
  return XF_OK;
}

struct xf_fold_io xf_fold_memory_io(struct xf_fold_memory *memory) {
  return (struct xf_fold_io){.arg = memory,
                             .borrow = memory_borrow,
                             .read = memory_read,
                             .read_old = memory_read_old,
                             .write_new = memory_write_new,
                             .read_state = memory->state[0] ? memory_read_state : NULL,
                             .write_state = memory->state[0] ? memory_write_state : NULL};
}
