#include "resolve/global.h"

#include "base/alloc.h"
#include "crypto/sha256.h"
#include "crypto/stream.h"
#include "param/wiremap.h"
#include "resolve/resolve.h"

#include <string.h>

enum { LAYOUT_BYTES_MAX = 1 << 20 };

enum xf_rc xf_global_init(struct xf_global *out, const struct xf_plan *plan,
                          const struct xf_directory *directory, struct xf_diag *diag) {
  struct xf_model_config config;
  *out = (struct xf_global){0};
  const struct xf_model_size size = {directory ? (uint32_t)directory->all.n : 0, 0};
  enum xf_rc rc = xf_resolve_model(&config, plan, diag);
  if (!rc) rc = xf_model_new(&out->model, &config, size, diag);
  if (rc) return rc;
  out->layout = xf_model_get_layout(out->model);
  rc = xf_fold_shape_init(&out->shape, out->layout, diag);
  if (!rc) out->n = xf_fold_global(&out->shape);
  for (size_t i = 0; i < out->shape.n_seg; i++) out->row_cols += out->shape.seg[i].cols;
  if (!rc && out->shape.n_shared == 0 && out->shape.n_seg == 0)
    rc = xf_diag_set(diag, XF_E_CONFIG, "the plan shares nothing between silos");
  if (rc) xf_global_deinit(out);
  return rc;
}

void xf_global_deinit(struct xf_global *global) {
  xf_fold_shape_deinit(&global->shape);
  xf_model_free(global->model);
  *global = (struct xf_global){0};
}

enum xf_rc xf_global_first(const struct xf_global *global, float *x, const struct xf_plan *plan,
                           const struct xf_directory *directory, struct xf_diag *diag) {
  const size_t n_rows = directory ? directory->all.n : 0;
  uint32_t *row = xf_calloc(n_rows ? n_rows : 1, sizeof *row);
  for (size_t i = 0; i < n_rows; i++) row[i] = (uint32_t)i;
  const struct xf_wire_rows rows = {xf_resolve_ns(plan), row, n_rows};
  struct xf_wire_map map = {0};
  float *full = NULL;
  enum xf_rc rc =
      xf_wire_map_init(&map, global->layout, rows.ns ? &rows : NULL, rows.ns != NULL, diag);
  if (rc) goto out;
  full = xf_try_calloc(global->layout->n, sizeof *full);
  if (!full) {
    rc = xf_diag_set(diag, XF_E_NOMEM, "no memory for a model of %llu floats",
                     (unsigned long long)global->layout->n);
    goto out;
  }
  struct xf_rng shared;
  xf_stream_init(&shared, plan->seed, "init", 0, NULL);
  const struct xf_model_seed seed = {&shared, &shared, directory ? directory->all.key : NULL, NULL};
  rc = xf_model_init(global->model, full, &seed, diag);
  if (!rc) xf_wire_map_gather(&map, x, full);
out:
  xf_free(full);
  xf_wire_map_deinit(&map);
  xf_free(row);
  return rc;
}

enum xf_rc xf_layout_digest(struct xf_digest *out, const struct xf_layout *layout) {
  struct xf_buf bytes;
  xf_buf_init(&bytes, LAYOUT_BYTES_MAX);
  enum xf_rc rc = xf_layout_encode(&bytes, layout);
  if (!rc) xf_sha256(out, bytes.p, bytes.len);
  xf_buf_deinit(&bytes);
  return rc;
}

uint64_t xf_global_wire(const struct xf_global *global, size_t n_rows) {
  return global->shape.n_shared + n_rows * global->row_cols;
}

struct xf_global_run xf_global_run_at(const struct xf_global *global, const uint32_t *row,
                                      size_t n_row, uint64_t at) {
  const struct xf_fold_shape *shape = &global->shape;
  if (at < shape->n_shared) return (struct xf_global_run){at, shape->n_shared - at};
  uint64_t left = at - shape->n_shared, base = shape->n_shared;
  size_t k = 0;
  for (; k + 1 < shape->n_seg && left >= n_row * shape->seg[k].cols; k++) {
    left -= n_row * shape->seg[k].cols;
    base += (uint64_t)shape->rows[shape->seg[k].ns] * shape->seg[k].cols;
  }
  const uint64_t cols = shape->seg[k].cols;
  const size_t first = (size_t)(left / cols);
  size_t end = first + 1; /* rows that are neighbours in the directory travel as one run */
  while (end < n_row && row[end] == row[end - 1] + 1) end++;
  return (struct xf_global_run){base + row[first] * cols + left % cols,
                                (end - first) * cols - left % cols};
}
