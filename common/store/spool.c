/* Updates arriving. */
#include "base/alloc.h"
#include "base/fail.h"
#include "base/str.h"
#include "crypto/sha256.h"
#include "store/spool_impl.h"

#include <stdio.h>
#include <string.h>

enum { HEX = 2 * XF_DIGEST_LEN, ROUND_DIGITS = 10, READ_CHUNK = 64 * 1024 };

enum xf_rc xf_spool_init(struct xf_spool *spool, const struct xf_fs *fs, const char *dir,
                         struct xf_diag *diag) {
  *spool = (struct xf_spool){.fs = fs};
  enum xf_rc rc = xf_str_copy(spool->dir, sizeof spool->dir, dir);
  if (rc) return xf_diag_set(diag, rc, "path longer than %d bytes: \"%.64s...\"", XF_PATH_MAX, dir);
  rc = fs->mkdir(fs, dir, 0700);
  if (rc) return xf_diag_set(diag, rc, "cannot make the spool \"%s\": %s", dir, xf_rc_text(rc));
  return XF_OK;
}

void xf_spool_name(char out[XF_SPOOL_NAME_MAX], const struct xf_spool_head *head) {
  char hex[XF_DIGEST_HEX];
  (void)snprintf(out, XF_SPOOL_NAME_MAX, "r%010llu-%s.upd", (unsigned long long)head->round,
                 xf_digest_print(hex, &head->task_id));
}

enum xf_spool_file xf_spool_name_parse(const char *name, uint64_t *round, struct xf_digest *task) {
  char hex[XF_DIGEST_HEX];
  uint64_t r = 0;
  struct xf_digest d;
  size_t n = strlen(name), digits = strspn(name + (name[0] == 'r'), "0123456789");
  if (n == HEX + 4 && strcmp(name + HEX, ".tmp") == 0 && strspn(name, "0123456789abcdef") == HEX)
    return XF_SPOOL_FILE_TEMP;
  if (name[0] != 'r' || digits < ROUND_DIGITS || n != 1 + digits + 1 + HEX + 4 ||
      name[1 + digits] != '-' || strcmp(name + n - 4, ".upd") != 0 ||
      xf_str_u64(&r, name + 1, digits))
    return XF_SPOOL_FILE_STRANGE;
  memcpy(hex, name + 2 + digits, HEX);
  hex[HEX] = '\0';
  if (xf_digest_parse(&d, hex)) return XF_SPOOL_FILE_STRANGE;
  if (round) *round = r;
  if (task) *task = d;
  return XF_SPOOL_FILE_UPDATE;
}

static enum xf_rc temp_path(char out[XF_PATH_MAX], const struct xf_spool_in *in,
                            struct xf_diag *diag) {
  char hex[XF_DIGEST_HEX], name[XF_DIGEST_HEX + 4];
  (void)snprintf(name, sizeof name, "%s.tmp", xf_digest_print(hex, &in->head.task_id));
  enum xf_rc rc = xf_fs_join(out, in->spool->dir, name);
  return rc ? xf_diag_set(diag, rc, "spool path too long: \"%s\"", in->spool->dir) : XF_OK;
}

static enum xf_rc head_check(const struct xf_spool_head *head, struct xf_diag *diag) {
  if (!memchr(head->member, 0, sizeof head->member) || !xf_str_is_id(head->member) ||
      !memchr(head->meta, 0, sizeof head->meta))
    return xf_diag_set(diag, XF_E_INVAL, "spool: bad member id or metadata");
  if (head->payload_len > XF_SPOOL_PAYLOAD_MAX)
    return xf_diag_set(diag, XF_E_LIMIT, "an update of %llu bytes, the limit is %llu",
                       (unsigned long long)head->payload_len,
                       (unsigned long long)XF_SPOOL_PAYLOAD_MAX);
  return XF_OK;
}

enum xf_rc xf_spool_begin(struct xf_spool_in *in, const struct xf_spool *spool,
                          const struct xf_spool_head *head, struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  const struct xf_fs *fs = spool->fs;
  *in = (struct xf_spool_in){.spool = spool, .file = {.fd = -1}};
  enum xf_rc rc = head_check(head, diag);
  if (rc) return rc;
  in->head = *head;
  rc = temp_path(path, in, diag);
  if (rc) return rc;
  rc = fs->open(fs, &in->file, path, XF_FS_RDWR);
  if (rc) return xf_diag_set(diag, rc, "cannot create \"%s\": %s", path, xf_rc_text(rc));
  in->open = true;
  rc = fs->truncate(&in->file, 0);
  if (!rc) rc = fs->reserve(&in->file, XF_SPOOL_HEADER + head->payload_len);
  if (rc) {
    xf_diag_set(diag, rc, "cannot reserve %llu bytes for an update of \"%s\": %s",
                (unsigned long long)head->payload_len, head->member, xf_rc_text(rc));
    xf_spool_abort(in);
  }
  return rc;
}

enum xf_rc xf_spool_write(struct xf_spool_in *in, const void *p, size_t len, uint64_t at,
                          struct xf_diag *diag) {
  if (!in->open) return xf_diag_set(diag, XF_E_STATE, "spool: the update is not open");
  if (at != in->got || len > in->head.payload_len - in->got)
    return xf_diag_set(diag, XF_E_RANGE,
                       "update of \"%s\": %zu bytes at offset %llu, %llu of %llu are here",
                       in->head.member, len, (unsigned long long)at, (unsigned long long)in->got,
                       (unsigned long long)in->head.payload_len);
  if (len == 0) return XF_OK;
  enum xf_rc rc = in->file.fs->pwrite(&in->file, p, len, XF_SPOOL_HEADER + at);
  if (rc)
    return xf_diag_set(diag, rc, "cannot write an update of \"%s\": %s", in->head.member,
                       xf_rc_text(rc));
  in->got += len;
  return XF_OK;
}

enum xf_rc xf_spool_digest(struct xf_spool_in *in, struct xf_digest *out, struct xf_diag *diag) {
  struct xf_sha256_ctx sha;
  if (!in->open) return xf_diag_set(diag, XF_E_STATE, "spool: the update is not open");
  enum xf_rc rc = XF_OK;
  uint8_t *chunk = xf_alloc(READ_CHUNK);
  xf_sha256_init(&sha);
  for (uint64_t at = 0; at < in->got && !rc;) {
    const uint64_t left = in->got - at;
    const size_t want = left < READ_CHUNK ? (size_t)left : READ_CHUNK;
    size_t n = 0;
    rc = in->file.fs->pread(&in->file, chunk, want, XF_SPOOL_HEADER + at, &n);
    if (!rc && n != want) rc = XF_E_IO; /* shorter than what was written to it */
    if (!rc) xf_sha256_feed(&sha, chunk, n);
    at += n;
  }
  xf_sha256_take(&sha, out);
  xf_sha256_deinit(&sha);
  xf_free(chunk);
  return rc ? xf_diag_set(diag, rc, "cannot read back an update of \"%s\": %s", in->head.member,
                          xf_rc_text(rc))
            : XF_OK;
}

static enum xf_rc finish_check(struct xf_spool_in *in, struct xf_diag *diag) {
  struct xf_digest got;
  if (in->got != in->head.payload_len)
    return xf_diag_set(diag, XF_E_SHAPE, "update of \"%s\": %llu of %llu bytes are here",
                       in->head.member, (unsigned long long)in->got,
                       (unsigned long long)in->head.payload_len);
  enum xf_rc rc = xf_spool_digest(in, &got, diag);
  if (rc) return rc;
  if (!xf_digest_equal(&got, &in->head.payload_digest))
    return xf_diag_set(diag, XF_E_CORRUPT, "update of \"%s\": the payload was damaged on the way",
                       in->head.member);
  return XF_OK;
}

static enum xf_rc write_header(struct xf_spool_in *in) {
  uint8_t *b = xf_alloc(XF_SPOOL_HEADER);
  xf_spool_head_encode(b, &in->head);
  enum xf_rc rc = in->file.fs->pwrite(&in->file, b, XF_SPOOL_HEADER, 0);
  if (!rc) rc = in->file.fs->fsync(&in->file);
  xf_free(b);
  return rc;
}

enum xf_rc xf_spool_finish(struct xf_spool_in *in, char name[XF_SPOOL_NAME_MAX],
                           struct xf_diag *diag) {
  char from[XF_PATH_MAX], to[XF_PATH_MAX];
  if (!in->open) return xf_diag_set(diag, XF_E_STATE, "spool: the update is not open");
  const struct xf_fs *fs = in->spool->fs;
  enum xf_rc rc = finish_check(in, diag);
  if (!rc) rc = temp_path(from, in, diag);
  if (rc) {
    xf_spool_abort(in);
    return rc;
  }
  xf_spool_name(name, &in->head);
  rc = xf_fs_join(to, in->spool->dir, name);
  if (!rc) rc = write_header(in);
  if (rc) {
    xf_diag_set(diag, rc, "cannot store an update of \"%s\": %s", in->head.member, xf_rc_text(rc));
    xf_spool_abort(in);
    return rc;
  }
  rc = fs->close(&in->file);
  in->open = false;
  if (rc) return xf_diag_set(diag, rc, "cannot close \"%s\": %s", from, xf_rc_text(rc));
  rc = xf_fs_rename_durable(fs, from, to, diag);
  if (rc) return rc;
  XF_FAILPOINT("K5");
  return XF_OK;
}

void xf_spool_abort(struct xf_spool_in *in) {
  char path[XF_PATH_MAX];
  if (!in->open) return;
  (void)in->file.fs->close(&in->file); /* its bytes are thrown away */
  if (temp_path(path, in, NULL) == XF_OK)
    (void)in->spool->fs->unlink(in->spool->fs, path); /* else swept at the next start */
  in->open = false;
}
