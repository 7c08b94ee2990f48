/* Updates read back, recovered and collected. */
#include "base/alloc.h"
#include "base/fail.h"
#include "base/str.h"
#include "crypto/sha256.h"
#include "store/spool_impl.h"

#include <string.h>

enum { READ_CHUNK = 64 * 1024 };

static enum xf_rc read_head(struct xf_spool_entry *e, const char *path, struct xf_diag *diag) {
  uint8_t *b = xf_alloc(XF_SPOOL_HEADER);
  size_t got = 0;
  uint64_t size = 0;
  enum xf_rc rc = e->file.fs->pread(&e->file, b, XF_SPOOL_HEADER, 0, &got);
  if (!rc) rc = e->file.fs->size(&e->file, &size);
  if (rc) xf_diag_set(diag, rc, "cannot read \"%s\": %s", path, xf_rc_text(rc));
  else if (got != XF_SPOOL_HEADER)
    rc = xf_diag_set(diag, XF_E_CORRUPT, "\"%s\": %zu bytes, no whole header", path, got);
  else rc = xf_spool_head_decode(&e->head, b, path, diag);
  xf_free(b);
  if (!rc && size != XF_SPOOL_HEADER + e->head.payload_len)
    rc = xf_diag_set(diag, XF_E_CORRUPT, "\"%s\": %llu bytes, the header says %llu", path,
                     (unsigned long long)size,
                     (unsigned long long)(XF_SPOOL_HEADER + e->head.payload_len));
  return rc;
}

enum xf_rc xf_spool_open(struct xf_spool_entry *e, const struct xf_spool *spool, const char *name,
                         struct xf_diag *diag) {
  char path[XF_PATH_MAX], want[XF_SPOOL_NAME_MAX];
  *e = (struct xf_spool_entry){.file = {.fd = -1}};
  if (xf_spool_name_parse(name, NULL, NULL) != XF_SPOOL_FILE_UPDATE)
    return xf_diag_set(diag, XF_E_INVAL, "\"%.128s\" is not the name of a spool file", name);
  enum xf_rc rc = xf_fs_join(path, spool->dir, name);
  if (rc) return xf_diag_set(diag, rc, "spool path too long: \"%s\"", spool->dir);
  rc = spool->fs->open(spool->fs, &e->file, path, XF_FS_READ);
  if (rc) return xf_diag_set(diag, rc, "cannot open \"%s\": %s", path, xf_rc_text(rc));
  e->open = true;
  rc = read_head(e, path, diag);
  if (!rc) {
    xf_spool_name(want, &e->head);
    if (strcmp(want, name) != 0)
      rc = xf_diag_set(diag, XF_E_CORRUPT, "\"%s\" holds the update \"%s\"", path, want);
  }
  if (rc) xf_spool_close(e);
  return rc;
}

void xf_spool_close(struct xf_spool_entry *e) {
  if (e->open) (void)e->file.fs->close(&e->file); /* read only */
  e->open = false;
}

enum xf_rc xf_spool_read(struct xf_spool_entry *e, void *out, size_t len, uint64_t at,
                         struct xf_diag *diag) {
  size_t got = 0;
  if (at > e->head.payload_len || len > e->head.payload_len - at)
    return xf_diag_set(diag, XF_E_RANGE, "bytes %llu+%zu of an update of %llu",
                       (unsigned long long)at, len, (unsigned long long)e->head.payload_len);
  enum xf_rc rc = e->file.fs->pread(&e->file, out, len, XF_SPOOL_HEADER + at, &got);
  if (rc)
    return xf_diag_set(diag, rc, "cannot read the update of \"%s\": %s", e->head.member,
                       xf_rc_text(rc));
  if (got != len)
    return xf_diag_set(diag, XF_E_CORRUPT, "the update of \"%s\" is cut off", e->head.member);
  return XF_OK;
}

enum xf_rc xf_spool_read_floats(struct xf_spool_entry *e, float *out, size_t n, uint64_t at,
                                struct xf_diag *diag) {
  uint64_t from = 0;
  size_t len = 0;
  if (__builtin_mul_overflow(at, sizeof *out, &from) ||
      __builtin_mul_overflow(n, sizeof *out, &len))
    return xf_diag_set(diag, XF_E_RANGE, "floats %llu+%zu of an update", (unsigned long long)at, n);
  return xf_spool_read(e, out, len, from, diag);
}

enum xf_rc xf_spool_verify(struct xf_spool_entry *e, struct xf_diag *diag) {
  struct xf_sha256_ctx sha;
  struct xf_digest got;
  enum xf_rc rc = XF_OK;
  uint8_t *chunk = xf_alloc(READ_CHUNK);
  xf_sha256_init(&sha);
  for (uint64_t at = 0; at < e->head.payload_len && !rc;) {
    uint64_t left = e->head.payload_len - at;
    size_t n = left < READ_CHUNK ? (size_t)left : READ_CHUNK;
    rc = xf_spool_read(e, chunk, n, at, diag);
    if (!rc) xf_sha256_feed(&sha, chunk, n);
    at += n;
  }
  xf_sha256_take(&sha, &got);
  xf_sha256_deinit(&sha);
  xf_free(chunk);
  if (rc || xf_digest_equal(&got, &e->head.payload_digest)) return rc;
  return xf_diag_set(diag, XF_E_CORRUPT, "the update of \"%s\" for round %llu is damaged",
                     e->head.member, (unsigned long long)e->head.round);
}

enum xf_rc xf_spool_remove(const struct xf_spool *spool, const char *name, struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  enum xf_rc rc = xf_fs_join(path, spool->dir, name);
  if (!rc) rc = spool->fs->unlink(spool->fs, path);
  if (rc == XF_OK || rc == XF_E_NOTFOUND) return XF_OK;
  return xf_diag_set(diag, rc, "cannot remove \"%s\": %s", name, xf_rc_text(rc));
}

struct walk {
  const struct xf_spool *spool;
  xf_spool_visit visit;
  void *arg;
  struct xf_spool_scan *scan;
  const uint64_t *keep;
  size_t n_keep;
  uint64_t n_deleted;
  struct xf_diag *diag;
};

static enum xf_rc scan_one(void *arg, const char *name) {
  struct walk *w = arg;
  struct xf_spool_entry e;
  struct xf_diag why;
  enum xf_spool_file kind = xf_spool_name_parse(name, NULL, NULL);
  if (kind == XF_SPOOL_FILE_STRANGE) {
    w->scan->strange++;
    return XF_OK;
  }
  if (kind == XF_SPOOL_FILE_TEMP) {
    w->scan->temps++;
    return xf_spool_remove(w->spool, name, w->diag);
  }
  xf_diag_init(&why);
  enum xf_rc rc = xf_spool_open(&e, w->spool, name, &why);
  xf_spool_close(&e);
  if (rc && rc != XF_E_CORRUPT && rc != XF_E_VERSION)
    return xf_diag_set(w->diag, rc, "%s", xf_diag_text(&why, rc));
  if (w->visit(w->arg, name, rc ? NULL : &e.head, &why) == XF_SPOOL_KEEP) {
    w->scan->kept++;
    return XF_OK;
  }
  w->scan->deleted++;
  return xf_spool_remove(w->spool, name, w->diag);
}

enum xf_rc xf_spool_scan(const struct xf_spool *spool, xf_spool_visit visit, void *arg,
                         struct xf_spool_scan *out, struct xf_diag *diag) {
  struct walk w = {.spool = spool, .visit = visit, .arg = arg, .scan = out, .diag = diag};
  *out = (struct xf_spool_scan){0};
  xf_diag_init(diag);
  enum xf_rc rc = spool->fs->list(spool->fs, spool->dir, scan_one, &w);
  if (rc && diag && !diag->rc)
    return xf_diag_set(diag, rc, "cannot list \"%s\": %s", spool->dir, xf_rc_text(rc));
  return rc;
}

static enum xf_rc collect_one(void *arg, const char *name) {
  struct walk *w = arg;
  uint64_t round = 0;
  if (xf_spool_name_parse(name, &round, NULL) != XF_SPOOL_FILE_UPDATE) return XF_OK;
  for (size_t i = 0; i < w->n_keep; i++)
    if (w->keep[i] == round) return XF_OK;
  w->n_deleted++;
  return xf_spool_remove(w->spool, name, w->diag);
}

enum xf_rc xf_spool_collect(const struct xf_spool *spool, const uint64_t *keep, size_t n_keep,
                            uint64_t *n_deleted, struct xf_diag *diag) {
  struct walk w = {.spool = spool, .keep = keep, .n_keep = n_keep, .diag = diag};
  xf_diag_init(diag);
  XF_FAILPOINT("K14");
  enum xf_rc rc = spool->fs->list(spool->fs, spool->dir, collect_one, &w);
  if (n_deleted) *n_deleted = w.n_deleted;
  if (rc && diag && !diag->rc)
    return xf_diag_set(diag, rc, "cannot list \"%s\": %s", spool->dir, xf_rc_text(rc));
  return rc;
}
