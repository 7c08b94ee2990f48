#include "param/layout.h"

#include "base/alloc.h"

#include <string.h>

enum { SEG_STEP = 16 };

static const char *const role_names[] = {
#define ROLE_NAME(n, t) [XF_ROLE_##n] = t,
    XF_ROLE_LIST(ROLE_NAME)
#undef ROLE_NAME
};
enum { N_ROLES = sizeof role_names / sizeof role_names[0] };

void xf_layout_init(struct xf_layout *layout) { *layout = (struct xf_layout){0}; }

void xf_layout_deinit(struct xf_layout *layout) {
  xf_free(layout->seg);
  xf_layout_init(layout);
}

static bool name_ok(const char *s, const char *set) {
  size_t n = strlen(s);
  return n >= 1 && n < XF_NAME_MAX && strspn(s, set) == n;
}

static enum xf_rc check_names(const char *name, enum xf_role role, const char *ns,
                              struct xf_diag *diag) {
  if (!name_ok(name, "abcdefghijklmnopqrstuvwxyz0123456789_./"))
    return xf_diag_set(diag, XF_E_INVAL,
                       "segment name \"%.80s\": use 1 to %d of a-z 0-9 _ . / characters", name,
                       XF_NAME_MAX - 1);
  if ((unsigned)role >= N_ROLES)
    return xf_diag_set(diag, XF_E_INVAL, "segment \"%s\": unknown role %d", name, (int)role);
  const bool keyed = role == XF_ROLE_ALIGNED || role == XF_ROLE_PAIRED;
  if (!keyed && ns && ns[0])
    return xf_diag_set(diag, XF_E_INVAL,
                       "segment \"%s\" with role %s: only aligned and paired segments have a "
                       "namespace, not \"%.80s\"",
                       name, role_names[role], ns);
  if (keyed && !name_ok(ns ? ns : "", "abcdefghijklmnopqrstuvwxyz0123456789_-"))
    return xf_diag_set(
        diag, XF_E_INVAL,
        "segment \"%s\": a keyed segment needs a namespace of a-z 0-9 _ -, not \"%.80s\"", name,
        ns ? ns : "");
  return XF_OK;
}

enum xf_rc xf_layout_add(struct xf_layout *layout, const char *name, enum xf_role role,
                         const char *ns, uint32_t rows, uint32_t cols, struct xf_diag *diag) {
  enum xf_rc rc = check_names(name, role, ns, diag);
  if (rc) return rc;
  if (cols == 0)
    return xf_diag_set(diag, XF_E_INVAL, "segment \"%s\": 0 columns; a vector has 1", name);
  if (xf_layout_find(layout, name))
    return xf_diag_set(diag, XF_E_EXISTS, "segment \"%s\" is defined twice", name);
  if (layout->n_seg == XF_SEGMENT_MAX)
    return xf_diag_set(diag, XF_E_LIMIT, "segment \"%s\": more than %d segments", name,
                       XF_SEGMENT_MAX);
  if (role == XF_ROLE_PAIRED && cols != 1)
    return xf_diag_set(diag, XF_E_INVAL, "segment \"%s\": pairs of rows have one column, not %u",
                       name, cols);
  const uint64_t n = role == XF_ROLE_PAIRED ? xf_triangle_count(rows) : (uint64_t)rows * cols;
  if (n > XF_PARAM_MAX - layout->n)
    return xf_diag_set(diag, XF_E_LIMIT,
                       "segment \"%s\": %u x %u floats after %llu others exceed the limit of %llu",
                       name, rows, cols, (unsigned long long)layout->n,
                       (unsigned long long)XF_PARAM_MAX);
  if (layout->n_seg % SEG_STEP == 0)
    layout->seg = xf_realloc_array(layout->seg, layout->n_seg + SEG_STEP, sizeof *layout->seg);
  struct xf_segment *seg = &layout->seg[layout->n_seg++];
  *seg = (struct xf_segment){.role = role, .rows = rows, .cols = cols, .offset = layout->n};
  memcpy(seg->name, name, strlen(name));
  if (xf_segment_keyed(seg)) memcpy(seg->ns, ns, strlen(ns));
  layout->n += n;
  return XF_OK;
}

const struct xf_segment *xf_layout_find(const struct xf_layout *layout, const char *name) {
  for (size_t i = 0; i < layout->n_seg; i++)
    if (strcmp(layout->seg[i].name, name) == 0) return &layout->seg[i];
  return NULL;
}

uint64_t xf_layout_count(const struct xf_layout *layout, enum xf_role role) {
  uint64_t n = 0;
  for (size_t i = 0; i < layout->n_seg; i++)
    if (layout->seg[i].role == role) n += xf_segment_len(&layout->seg[i]);
  return n;
}

uint64_t xf_layout_row_cols(const struct xf_layout *layout, const char *ns) {
  uint64_t n = 0;
  for (size_t i = 0; i < layout->n_seg; i++)
    if (layout->seg[i].role == XF_ROLE_ALIGNED && strcmp(layout->seg[i].ns, ns) == 0)
      n += layout->seg[i].cols;
  return n;
}

void xf_layout_copy(struct xf_layout *out, const struct xf_layout *layout) {
  *out = *layout;
  out->seg = NULL;
  if (layout->n_seg == 0) return;
  /* The same room that xf_layout_add counts on. */
  size_t cap = (layout->n_seg + SEG_STEP - 1) / SEG_STEP * SEG_STEP;
  out->seg = xf_calloc(cap, sizeof *out->seg);
  memcpy(out->seg, layout->seg, layout->n_seg * sizeof *out->seg);
}

static enum xf_rc put_text(struct xf_buf *out, const char *s) {
  size_t n = strlen(s); /* below XF_NAME_MAX */
  enum xf_rc rc = xf_buf_put_u8(out, (uint8_t)n);
  if (!rc) rc = xf_buf_put_u8(out, (uint8_t)(n >> 8));
  if (!rc) rc = xf_buf_put(out, s, n);
  return rc;
}

enum xf_rc xf_layout_encode(struct xf_buf *out, const struct xf_layout *layout) {
  size_t before = out->len;
  enum xf_rc rc = XF_OK;
  for (size_t i = 0; i < layout->n_seg && !rc; i++) {
    const struct xf_segment *s = &layout->seg[i];
    if (!xf_segment_global(s)) continue;
    rc = put_text(out, s->name);
    if (!rc) rc = xf_buf_put_u8(out, (uint8_t)s->role);
    if (!rc) rc = put_text(out, s->ns);
    if (!rc) rc = xf_buf_put_u32le(out, xf_segment_keyed(s) ? 0 : s->rows);
    if (!rc) rc = xf_buf_put_u32le(out, s->cols);
  }
  if (rc) out->len = before;
  return rc;
}

const char *xf_role_name(enum xf_role role) {
  return (unsigned)role < N_ROLES ? role_names[role] : "unknown";
}

enum xf_rc xf_role_parse(enum xf_role *out, const char *s, size_t len) {
  for (size_t i = 0; i < N_ROLES; i++)
    if (strlen(role_names[i]) == len && memcmp(role_names[i], s, len) == 0) {
      *out = (enum xf_role)i;
      return XF_OK;
    }
  return XF_E_INVAL;
}
