/*
 * wiremap.h - between a silo's full vector and its wire vector (layout.h): the one gate through which
 * parameters leave or enter a silo. `domain` and `user` segments have no image here.
 *
 * A wire map is built from (layout, local row of each manifest key). Wire order: shared segments in
 * layout order, then per keyed segment the manifest's rows. A paired segment of a silo has exactly its manifest's keys, in
 * their order, so its image is the segment itself.
 * Owner: caller. Thread: immutable once built.
 */
#ifndef XF_PARAM_WIREMAP_H
#define XF_PARAM_WIREMAP_H

#include "param/layout.h"
#include "param/manifest.h"

/* One contiguous run: `len` floats at `full` in the full vector and at `wire` in the wire vector. */
struct xf_wire_run {
  uint64_t full;
  uint64_t wire;
  uint32_t len;
};

struct xf_wire_map {
  struct xf_wire_run *run;
  size_t n_run;
  uint64_t n_wire;   /* floats on the wire */
  uint64_t n_shared; /* of which shared: wire[0, n_shared) */
};

/* Rows of one namespace: local_row[i] is the row in this silo's aligned segments of the manifest's i-th
   key. Manifest keys are sorted; local rows may be in any order. */
struct xf_wire_rows {
  const char *ns;
  const uint32_t *local_row;
  size_t n;
};

/* Builds the map of the segments of some stages (XF_STAGE_ALL: of all); every keyed namespace among them needs its
   xf_wire_rows (possibly n = 0).
   @own out @err E_NOTFOUND (namespace missing) E_RANGE (row beyond the segment; a paired segment of
   another size) E_INVAL (row named by two keys) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_wire_map_init(struct xf_wire_map *out, const struct xf_layout *layout,
                                           const struct xf_wire_rows *rows, size_t n_rows,
                                           uint32_t stages, struct xf_diag *diag);
/* Releases; idempotent. @own map */
void xf_wire_map_deinit(struct xf_wire_map *map);
/* wire <- full. @shape wire[n_wire], full[layout.n] */
void xf_wire_map_gather(const struct xf_wire_map *map, float *wire, const float *full);
/* full <- wire (other floats untouched). @shape full[layout.n], wire[n_wire] */
void xf_wire_map_scatter(const struct xf_wire_map *map, float *full, const float *wire);

#endif
