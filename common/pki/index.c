#include "pki/index.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cursor.h"
#include "base/fs.h"
#include "base/str.h"
#include "pki/ossl.h"

#include <inttypes.h>
#include <string.h>

enum { INDEX_MAX = 16 << 20, N_WORDS = 9, WORD_CAP = 70 };

void xf_index_init(struct xf_index *index) { *index = (struct xf_index){0}; }

void xf_index_deinit(struct xf_index *index) {
  xf_free(index->v);
  xf_index_init(index);
}

enum xf_rc xf_index_add(struct xf_index *index, const struct xf_pki_entry *entry) {
  if (index->n == index->cap) {
    size_t cap = index->cap ? 2 * index->cap : 16;
    struct xf_pki_entry *v = xf_try_realloc_array(index->v, cap, sizeof *v);
    if (!v) return XF_E_NOMEM;
    index->v = v;
    index->cap = cap;
  }
  index->v[index->n++] = *entry;
  return XF_OK;
}

static const struct {
  const char *name;
  enum xf_pki_reason reason;
} reasons[] = {
#define REASON_ROW(n, t, code) {t, XF_PKI_##n},
    XF_PKI_REASONS(REASON_ROW)
#undef REASON_ROW
};

const char *xf_index_reason_name(enum xf_pki_reason reason) {
  for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
    if (reasons[i].reason == reason) return reasons[i].name;
  return "unspecified";
}

enum xf_rc xf_pki_reason_parse(enum xf_pki_reason *out, const char *s, struct xf_diag *diag) {
  for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
    if (strcmp(s, reasons[i].name) != 0) continue;
    *out = reasons[i].reason;
    return XF_OK;
  }
  return xf_diag_set(diag, XF_E_INVAL,
                     "unknown reason \"%.40s\"; use unspecified, key-compromise, superseded or "
                     "cessation",
                     s);
}

/* Splits a line at single spaces; 0 when there are too many, too long or empty words. */
static size_t words(char out[N_WORDS][WORD_CAP], const char *line, size_t len) {
  struct xf_cursor cur;
  const char *p;
  size_t n = 0, w;
  xf_cursor_init(&cur, line, len);
  while (!xf_cursor_field(&cur, ' ', &p, &w)) {
    if (n == N_WORDS || w == 0 || w >= WORD_CAP || memchr(p, '\0', w)) return 0;
    memcpy(out[n], p, w);
    out[n++][w] = '\0';
  }
  return n;
}

static enum xf_rc entry_parse(struct xf_pki_entry *e, char w[N_WORDS][WORD_CAP], size_t n) {
  *e = (struct xf_pki_entry){0};
  bool revoked = n == 9 && !strcmp(w[6], "revoked");
  if (!revoked && !(n == 7 && !strcmp(w[6], "valid"))) return XF_E_FORMAT;
  if (!xf_ossl_serial_check(w[1]) || xf_str_copy(e->serial, sizeof e->serial, w[1]) ||
      xf_str_i64(&e->not_before_s, w[2], strlen(w[2])) ||
      xf_str_i64(&e->not_after_s, w[3], strlen(w[3])) || xf_pki_role_parse(&e->role, w[4], NULL) ||
      !xf_str_is_id(w[5]) || xf_str_copy(e->member, sizeof e->member, w[5]))
    return XF_E_FORMAT;
  if (revoked && (xf_str_i64(&e->revoked_s, w[7], strlen(w[7])) || e->revoked_s <= 0 ||
                  xf_pki_reason_parse(&e->reason, w[8], NULL)))
    return XF_E_FORMAT;
  return XF_OK;
}

static enum xf_rc line_parse(struct xf_index *index, size_t number, const char *line, size_t len) {
  char w[N_WORDS][WORD_CAP];
  struct xf_pki_entry e;
  size_t n = words(w, line, len);
  if (number == 1)
    return n == 2 && !strcmp(w[0], "crossfed-pki-index") && !strcmp(w[1], "1") ? XF_OK
                                                                               : XF_E_FORMAT;
  if (number == 2)
    return n == 2 && !strcmp(w[0], "federation") && xf_str_is_id(w[1])
               ? xf_str_copy(index->federation, sizeof index->federation, w[1])
               : XF_E_FORMAT;
  if (number == 3)
    return n == 2 && !strcmp(w[0], "crl-number")
               ? xf_str_u64(&index->crl_number, w[1], strlen(w[1]))
               : XF_E_FORMAT;
  if (n < 2 || strcmp(w[0], "cert") != 0) return XF_E_FORMAT;
  enum xf_rc rc = entry_parse(&e, w, n);
  return rc ? rc : xf_index_add(index, &e);
}

enum xf_rc xf_index_load(struct xf_index *index, const char *dir, struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  struct xf_buf buf;
  struct xf_cursor cur;
  const char *line;
  size_t len, number = 0;
  xf_buf_init(&buf, INDEX_MAX);
  enum xf_rc rc = xf_fs_join(path, dir, "index.txt");
  if (rc) return xf_diag_set(diag, rc, "path too long: \"%.64s...\"", dir);
  rc = xf_fs_read_file(xf_fs_posix(), path, &buf, diag);
  if (rc) {
    rc = xf_diag_prefix(diag, rc, "\"%s\" is no CA directory", dir);
    goto out;
  }
  xf_cursor_init(&cur, buf.p, buf.len);
  while (!rc && !xf_cursor_line(&cur, &line, &len)) rc = line_parse(index, ++number, line, len);
  if (!rc && number < 3) rc = XF_E_FORMAT;
  if (rc)
    xf_diag_set(diag, rc,
                "%s:%zu: not a line of a certificate index (%s); restore it from a backup", path,
                number, xf_rc_text(rc));
out:
  xf_buf_deinit(&buf);
  return rc;
}

static enum xf_rc entry_print(struct xf_buf *buf, const struct xf_pki_entry *e) {
  enum xf_rc rc =
      xf_buf_printf(buf, "cert %s %" PRId64 " %" PRId64 " %s %s ", e->serial, e->not_before_s,
                    e->not_after_s, xf_pki_role_name(e->role), e->member);
  if (rc) return rc;
  return e->revoked_s ? xf_buf_printf(buf, "revoked %" PRId64 " %s\n", e->revoked_s,
                                      xf_index_reason_name(e->reason))
                      : xf_buf_put_str(buf, "valid\n");
}

enum xf_rc xf_index_save(const struct xf_index *index, const char *dir, struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  struct xf_buf buf;
  xf_buf_init(&buf, INDEX_MAX);
  enum xf_rc rc = xf_fs_join(path, dir, "index.txt");
  if (!rc)
    rc = xf_buf_printf(&buf, "crossfed-pki-index 1\nfederation %s\ncrl-number %" PRIu64 "\n",
                       index->federation, index->crl_number);
  for (size_t i = 0; !rc && i < index->n; i++) rc = entry_print(&buf, &index->v[i]);
  if (rc) xf_diag_set(diag, rc, "cannot write the index of \"%.100s\": %s", dir, xf_rc_text(rc));
  else rc = xf_fs_replace(xf_fs_posix(), path, buf.p, buf.len, diag);
  xf_buf_deinit(&buf);
  return rc;
}
