/*
 * layout.h - what a flat float vector means: named segments with a shape, an offset and a role.
 *
 * Aggregation, privacy, wire and store see only (layout, vector); they never know a model.
 *
 * Roles:  shared            leaves the silo
 *         domain            stays in the silo (item factors, item biases)
 *         user              stays with the user's silo
 *         aligned:<ns>      rows keyed by a pseudonym; exchanged only for rows of the manifest
 *         paired:<ns>       pairs of such rows: the packed strict upper triangle (triangle.h) over the
 *                           manifest's keys, in their order, on both axes; `rows` counts keys
 *
 * The *wire vector* of a member is: all shared segments in layout order, then for each keyed segment
 * (aligned or paired) in layout order the rows of that member's manifest (sorted key order), row after
 * row. `domain` and `user` segments have no wire image at all: the only way onto the wire is
 * xf_wire_map (wiremap.h), which skips them.
 *
 * A plan with several stages makes one layout: each segment says which stage writes it.
 *
 * Owner: caller; segments are stored inline in a growable array. Thread: immutable once built.
 */
#ifndef XF_PARAM_LAYOUT_H
#define XF_PARAM_LAYOUT_H

#include "base/buf.h"
#include "base/diag.h"
#include "param/triangle.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(NAME, text) */
#define XF_ROLE_LIST(X) \
  X(SHARED, "shared")   \
  X(DOMAIN, "domain")   \
  X(USER, "user")       \
  X(ALIGNED, "aligned") \
  X(PAIRED, "paired")

enum xf_role {
#define XF_ROLE_ENUM(n, t) XF_ROLE_##n,
  XF_ROLE_LIST(XF_ROLE_ENUM)
#undef XF_ROLE_ENUM
};

enum { XF_NAME_MAX = 64, XF_SEGMENT_MAX = 256 };
#define XF_STAGE_ALL UINT32_MAX          /* a set of stages: bit s is stage s */
#define XF_PARAM_MAX ((uint64_t)1 << 31) /* floats in one vector */

struct xf_segment {
  char name[XF_NAME_MAX];
  enum xf_role role;
  char ns[XF_NAME_MAX]; /* namespace of a keyed segment, else "" */
  uint32_t rows;        /* first extent; paired: keys */
  uint32_t cols;        /* product of the others; 1 for a vector and for paired */
  uint32_t stage;       /* that writes it, below 32; 0 when a plan has one */
  uint64_t offset;      /* first float in the full vector */
};

struct xf_layout {
  struct xf_segment *seg;
  size_t n_seg;
  uint64_t n; /* floats in the full vector */
};

/* An empty layout. @own caller, release with xf_layout_deinit */
void xf_layout_init(struct xf_layout *layout);
/* Releases; idempotent. @own layout */
void xf_layout_deinit(struct xf_layout *layout);
/* Floats of a segment. @unit floats */
static inline uint64_t xf_segment_len(const struct xf_segment *seg) {
  return seg->role == XF_ROLE_PAIRED ? xf_triangle_count(seg->rows)
                                     : (uint64_t)seg->rows * seg->cols;
}
/* Whether its rows are keyed by a manifest. @thread any */
static inline bool xf_segment_keyed(const struct xf_segment *seg) {
  return seg->role == XF_ROLE_ALIGNED || seg->role == XF_ROLE_PAIRED;
}
/* Whether it ever leaves a silo. @thread any */
static inline bool xf_segment_global(const struct xf_segment *seg) {
  return seg->role == XF_ROLE_SHARED || xf_segment_keyed(seg);
}

/* Appends a segment behind the last one, of stage 0. Names are unique, [a-z0-9_./]+; ns, [a-z0-9_-]+, only for
   ALIGNED and PAIRED (else NULL or ""). Rows may be 0, columns not.
   @shape rows x cols floats; paired: cols 1, rows (rows - 1) / 2 floats @err E_INVAL E_LIMIT E_EXISTS */
XF_WARN_UNUSED enum xf_rc xf_layout_add(struct xf_layout *layout, const char *name,
                                        enum xf_role role, const char *ns, uint32_t rows,
                                        uint32_t cols, struct xf_diag *diag);
/* The segment of that name, or NULL. @own borrowed */
const struct xf_segment *xf_layout_find(const struct xf_layout *layout, const char *name);
/* Floats in all segments of a role. @unit floats */
uint64_t xf_layout_count(const struct xf_layout *layout, enum xf_role role);
/* Floats per manifest row of a namespace (sum of cols over its aligned segments). @unit floats */
uint64_t xf_layout_row_cols(const struct xf_layout *layout, const char *ns);
/* A copy that owns its segments. @own caller */
void xf_layout_copy(struct xf_layout *out, const struct xf_layout *layout);
/* The canonical bytes whose SHA-256 is the *layout digest*: shared and keyed segments only, each as
   u16le name length, name, u8 role, u16le ns length, ns, u32le rows (0 for keyed ones: every silo
   holds its own), u32le cols. @err E_LIMIT E_NOMEM @source docs/FORMATS.md "layout" */
XF_WARN_UNUSED enum xf_rc xf_layout_encode(struct xf_buf *out, const struct xf_layout *layout);
/* Text name of a role and back. @own static @err E_INVAL */
const char *xf_role_name(enum xf_role role);
XF_WARN_UNUSED enum xf_rc xf_role_parse(enum xf_role *out, const char *s, size_t len);

#endif
