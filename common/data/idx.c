#include "data/idx.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

enum { UBYTE = 8, MAX_DIMS = 8, FIRST_BYTES = 1 << 24 };
#define MAX_BYTES ((uint64_t)1 << 34)

struct idx {
  gzFile gz;
  const char *path;
  uint32_t n_dim, dim[MAX_DIMS];
};

/* Reads exactly len bytes. */
static enum xf_rc read_all(struct idx *x, uint8_t *out, size_t len, struct xf_diag *diag) {
  while (len > 0) {
    const unsigned want = len > (1u << 30) ? 1u << 30 : (unsigned)len;
    const int n = gzread(x->gz, out, want);
    if (n <= 0) {
      int err = Z_OK;
      const char *text = gzerror(x->gz, &err);
      if (err == Z_OK || err == Z_BUF_ERROR)
        return xf_diag_set(diag, XF_E_CORRUPT, "%s: the file ends too early; it was cut off",
                           x->path);
      return xf_diag_set(diag, err == Z_ERRNO ? XF_E_IO : XF_E_CORRUPT, "%s: cannot read: %s",
                         x->path, text);
    }
    out += n;
    len -= (size_t)n;
  }
  return XF_OK;
}

static enum xf_rc idx_open(struct idx *x, const char *path, struct xf_diag *diag) {
  *x = (struct idx){.path = path};
  errno = 0;
  x->gz = gzopen(path, "rbe");
  if (!x->gz) {
    const int err = errno ? errno : ENOMEM;
    return xf_diag_set(diag, xf_rc_from_errno(err), "%s: cannot open: %s", path, strerror(err));
  }
  uint8_t b[4];
  enum xf_rc rc = read_all(x, b, sizeof b, diag);
  if (rc) return rc;
  if (b[0] || b[1] || b[2] != UBYTE || b[3] == 0 || b[3] > MAX_DIMS)
    return xf_diag_set(
        diag, XF_E_FORMAT,
        "%s: starts with %02x %02x %02x %02x; an IDX file of bytes starts with 00 00 "
        "08 and the number of dimensions",
        path, b[0], b[1], b[2], b[3]);
  x->n_dim = b[3];
  for (uint32_t d = 0; d < x->n_dim; d++) {
    rc = read_all(x, b, sizeof b, diag);
    if (rc) return rc;
    x->dim[d] = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    if (x->dim[d] == 0) return xf_diag_set(diag, XF_E_FORMAT, "%s: dimension %u is 0", path, d);
  }
  return XF_OK;
}

/* The body; nothing may follow it. */
static enum xf_rc body(struct idx *x, uint8_t **out, uint64_t *row, struct xf_diag *diag) {
  uint64_t bytes = x->dim[0];
  *row = 1;
  for (uint32_t d = 1; d < x->n_dim; d++) {
    *row *= x->dim[d];
    if (*row > MAX_BYTES || bytes * *row > MAX_BYTES)
      return xf_diag_set(diag, XF_E_LIMIT, "%s: more than %llu bytes", x->path,
                         (unsigned long long)MAX_BYTES);
  }
  bytes *= *row;
  for (uint64_t have = 0, cap = 0; have < bytes; have = cap) { /* memory as bytes come */
    cap = have ? 2 * have : FIRST_BYTES;
    if (cap > bytes) cap = bytes;
    uint8_t *more = xf_try_realloc_array(*out, cap, 1);
    if (!more) return xf_diag_set(diag, XF_E_NOMEM, "%s: not enough memory", x->path);
    *out = more;
    const enum xf_rc rc = read_all(x, *out + have, cap - have, diag);
    if (rc) return rc;
  }
  uint8_t more = 0;
  if (gzread(x->gz, &more, 1) > 0)
    return xf_diag_set(diag, XF_E_FORMAT, "%s: more bytes follow than the header says", x->path);
  return XF_OK;
}

static enum xf_rc load(struct xf_table *out, struct idx *img, struct idx *lab, enum xf_part part,
                       struct xf_diag *diag) {
  uint64_t row = 0, one = 0;
  uint8_t *label = NULL;
  if (img->n_dim < 2 || lab->n_dim != 1 || img->dim[0] != lab->dim[0])
    return xf_diag_set(diag, XF_E_SHAPE,
                       "%s has %u items of %u dimensions, %s %u of %u; expected as many labels as "
                       "images",
                       img->path, img->dim[0], img->n_dim - 1, lab->path, lab->dim[0],
                       lab->n_dim - 1);
  enum xf_rc rc = body(img, &out->x8, &row, diag);
  if (!rc) rc = body(lab, &label, &one, diag);
  if (!rc) {
    const size_t n = img->dim[0];
    out->n = out->cap = n;
    out->n_in = (uint32_t)row;
    out->scale = 1.0f / 255.0f;
    out->y = xf_try_calloc(n, sizeof *out->y);
    out->part = xf_try_calloc(n, 1);
    out->row = xf_try_calloc(n, sizeof *out->row);
    if (!out->y || !out->part || !out->row)
      rc = xf_diag_set(diag, XF_E_NOMEM, "%s: not enough memory", img->path);
    for (size_t i = 0; !rc && i < n; i++) {
      out->y[i] = (float)label[i];
      out->part[i] = (uint8_t)part;
      out->row[i] = (uint32_t)i;
      if (label[i] >= out->n_class) out->n_class = label[i] + 1u;
    }
  }
  xf_free(label);
  return rc;
}

enum xf_rc xf_idx_load(struct xf_table *out, const char *images, const char *labels,
                       enum xf_part part, struct xf_diag *diag) {
  struct idx img = {0}, lab = {0};
  xf_table_init(out);
  enum xf_rc rc = idx_open(&img, images, diag);
  if (!rc) rc = idx_open(&lab, labels, diag);
  if (!rc) rc = load(out, &img, &lab, part, diag);
  if (img.gz) (void)gzclose(img.gz);
  if (lab.gz) (void)gzclose(lab.gz);
  if (rc) xf_table_deinit(out);
  return rc;
}

enum xf_rc xf_idx_load_images(uint8_t **out, uint32_t dim[3], const char *path,
                              struct xf_diag *diag) {
  struct idx x;
  uint64_t row = 0;
  *out = NULL;
  enum xf_rc rc = idx_open(&x, path, diag);
  if (!rc && x.n_dim != 3)
    rc = xf_diag_set(diag, XF_E_SHAPE, "%s: %u dimensions; images have 3", path, x.n_dim);
  if (!rc) rc = body(&x, out, &row, diag);
  if (x.gz) (void)gzclose(x.gz);
  memcpy(dim, x.dim, 3 * sizeof *dim);
  if (rc) {
    xf_free(*out);
    *out = NULL;
  }
  return rc;
}

enum xf_rc xf_idx_append(struct xf_table *table, const struct xf_table *more,
                         struct xf_diag *diag) {
  if (!table->x8 || !more->x8 || table->n_in != more->n_in)
    return xf_diag_set(diag, XF_E_SHAPE, "images of %u and of %u bytes do not go together",
                       table->n_in, more->n_in);
  const size_t n = table->n + more->n, d = table->n_in;
  uint8_t *x8 = xf_try_realloc_array(table->x8, n, d);
  if (x8) table->x8 = x8;
  float *y = xf_try_realloc_array(table->y, n, sizeof *y);
  if (y) table->y = y;
  uint8_t *part = xf_try_realloc_array(table->part, n, 1);
  if (part) table->part = part;
  uint32_t *row = xf_try_realloc_array(table->row, n, sizeof *row);
  if (row) table->row = row;
  if (!x8 || !y || !part || !row)
    return xf_diag_set(diag, XF_E_NOMEM, "not enough memory for %zu images", n);
  memcpy(x8 + table->n * d, more->x8, more->n * d);
  memcpy(y + table->n, more->y, more->n * sizeof *y);
  memcpy(part + table->n, more->part, more->n);
  for (size_t i = table->n; i < n; i++) row[i] = (uint32_t)i;
  if (more->n_class > table->n_class) table->n_class = more->n_class;
  table->n = table->cap = n;
  return XF_OK;
}

static enum xf_rc put_be32(struct xf_buf *out, uint32_t v) {
  const uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
  return xf_buf_put(out, b, sizeof b);
}

/* One file: `width` bytes a row; of labels one, and one dimension less. */
static enum xf_rc save(const struct xf_table *t, bool test, bool labels, uint32_t n,
                       const char *path, struct xf_diag *diag) {
  struct xf_buf buf;
  const uint32_t magic = (uint32_t)UBYTE << 8 | (labels ? 1u : 2u);
  xf_buf_init(&buf, (size_t)MAX_BYTES);
  enum xf_rc rc = put_be32(&buf, magic);
  if (!rc) rc = put_be32(&buf, n);
  if (!rc && !labels) rc = put_be32(&buf, t->n_in);
  for (size_t i = 0; i < t->n && !rc; i++) {
    if ((t->part[i] == XF_PART_TEST) != test) continue;
    const uint8_t label = (uint8_t)t->y[i];
    rc = labels ? xf_buf_put(&buf, &label, 1) : xf_buf_put(&buf, t->x8 + i * t->n_in, t->n_in);
  }
  if (rc) (void)xf_diag_set(diag, rc, "%s: not enough memory to write %u images", path, n);
  else rc = xf_fs_replace(xf_fs_posix(), path, buf.p, buf.len, diag);
  xf_buf_deinit(&buf);
  return rc;
}

enum xf_rc xf_idx_save(const struct xf_table *t, bool test, const char *images, const char *labels,
                       struct xf_diag *diag) {
  uint32_t n = 0;
  if (!t->x8) return xf_diag_set(diag, XF_E_STATE, "%s: only bytes are written as IDX", images);
  for (size_t i = 0; i < t->n; i++) n += (t->part[i] == XF_PART_TEST) == test;
  if (n == 0) return XF_OK;
  const enum xf_rc rc = save(t, test, false, n, images, diag);
  return rc ? rc : save(t, test, true, n, labels, diag);
}
