#include "param/wiremap.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <string.h>

static const struct xf_wire_rows *find_rows(const struct xf_wire_rows *rows, size_t n_rows,
                                            const char *ns) {
  for (size_t i = 0; i < n_rows; i++)
    if (strcmp(rows[i].ns, ns) == 0) return &rows[i];
  return NULL;
}

/* Appends a run, or lengthens the last one when it continues there. */
static enum xf_rc add_run(struct xf_wire_map *map, size_t *cap, uint64_t full, uint64_t len) {
  struct xf_wire_run *last = map->n_run ? &map->run[map->n_run - 1] : NULL;
  if (len == 0) return XF_OK;
  if (last && last->full + last->len == full && last->len + len <= UINT32_MAX) {
    last->len += (uint32_t)len;
    map->n_wire += len;
    return XF_OK;
  }
  if (map->n_run == *cap) {
    size_t want = *cap ? *cap * 2 : 16;
    struct xf_wire_run *run = xf_try_realloc_array(map->run, want, sizeof *run);
    if (!run) return XF_E_NOMEM;
    map->run = run;
    *cap = want;
  }
  map->run[map->n_run++] = (struct xf_wire_run){full, map->n_wire, (uint32_t)len};
  map->n_wire += len;
  return XF_OK;
}

/* Every row lies inside the segment and none is named twice (two keys would overwrite each other). */
static enum xf_rc check_rows(const struct xf_segment *seg, const struct xf_wire_rows *rows,
                             struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  uint8_t *seen = xf_try_calloc((size_t)seg->rows / 8 + 1, 1);
  if (!seen) return xf_diag_set(diag, XF_E_NOMEM, "no memory to check %u rows", seg->rows);
  for (size_t i = 0; i < rows->n && !rc; i++) {
    uint32_t row = rows->local_row[i];
    if (row >= seg->rows)
      rc = xf_diag_set(diag, XF_E_RANGE,
                       "namespace \"%s\": key %zu is row %u of segment \"%s\", which has %u",
                       rows->ns, i, row, seg->name, seg->rows);
    else if (seen[row / 8] >> row % 8 & 1)
      rc = xf_diag_set(diag, XF_E_INVAL,
                       "namespace \"%s\": key %zu names row %u, which has a key already", rows->ns,
                       i, row);
    else seen[row / 8] |= (uint8_t)(1u << row % 8);
  }
  xf_free(seen);
  return rc;
}

static bool in(const struct xf_segment *seg, uint32_t stages) { return stages >> seg->stage & 1; }

static enum xf_rc add_paired(struct xf_wire_map *map, size_t *cap, const struct xf_segment *seg,
                             const struct xf_wire_rows *rows, struct xf_diag *diag) {
  if (seg->rows != rows->n)
    return xf_diag_set(diag, XF_E_RANGE,
                       "segment \"%s\" pairs %u rows, namespace \"%s\" has %zu keys", seg->name,
                       seg->rows, rows->ns, rows->n);
  enum xf_rc rc = add_run(map, cap, seg->offset, xf_segment_len(seg));
  return rc ? xf_diag_set(diag, rc, "no memory for the wire map of segment \"%s\"", seg->name) : rc;
}

static enum xf_rc add_aligned(struct xf_wire_map *map, size_t *cap, const struct xf_segment *seg,
                              const struct xf_wire_rows *rows, struct xf_diag *diag) {
  enum xf_rc rc = check_rows(seg, rows, diag);
  for (size_t i = 0; i < rows->n && !rc; i++) {
    rc = add_run(map, cap, seg->offset + (uint64_t)rows->local_row[i] * seg->cols, seg->cols);
    if (rc) xf_diag_set(diag, rc, "no memory for the wire map of segment \"%s\"", seg->name);
  }
  return rc;
}

enum xf_rc xf_wire_map_init(struct xf_wire_map *out, const struct xf_layout *layout,
                            const struct xf_wire_rows *rows, size_t n_rows, uint32_t stages,
                            struct xf_diag *diag) {
  size_t cap = 0;
  enum xf_rc rc = XF_OK;
  *out = (struct xf_wire_map){0};
  /* Only the roles named here get an image. */
  for (size_t i = 0; i < layout->n_seg && !rc; i++) {
    const struct xf_segment *seg = &layout->seg[i];
    if (seg->role != XF_ROLE_SHARED || !in(seg, stages)) continue;
    rc = add_run(out, &cap, seg->offset, xf_segment_len(seg));
    if (rc) xf_diag_set(diag, rc, "no memory for the wire map of segment \"%s\"", seg->name);
  }
  out->n_shared = out->n_wire;
  for (size_t i = 0; i < layout->n_seg && !rc; i++) {
    const struct xf_segment *seg = &layout->seg[i];
    if (!xf_segment_keyed(seg) || !in(seg, stages)) continue;
    const struct xf_wire_rows *r = find_rows(rows, n_rows, seg->ns);
    if (r)
      rc = seg->role == XF_ROLE_PAIRED ? add_paired(out, &cap, seg, r, diag)
                                       : add_aligned(out, &cap, seg, r, diag);
    else
      rc = xf_diag_set(diag, XF_E_NOTFOUND, "segment \"%s\": no rows given for namespace \"%s\"",
                       seg->name, seg->ns);
  }
  if (!rc) XF_ASSERT(out->n_wire <= layout->n);
  else xf_wire_map_deinit(out);
  return rc;
}

void xf_wire_map_deinit(struct xf_wire_map *map) {
  xf_free(map->run);
  *map = (struct xf_wire_map){0};
}

void xf_wire_map_gather(const struct xf_wire_map *map, float *wire, const float *full) {
  for (size_t i = 0; i < map->n_run; i++) {
    const struct xf_wire_run *r = &map->run[i];
    memcpy(wire + r->wire, full + r->full, r->len * sizeof *wire);
  }
}

void xf_wire_map_scatter(const struct xf_wire_map *map, float *full, const float *wire) {
  for (size_t i = 0; i < map->n_run; i++) {
    const struct xf_wire_run *r = &map->run[i];
    memcpy(full + r->full, wire + r->wire, r->len * sizeof *wire);
  }
}
