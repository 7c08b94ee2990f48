#include "pki/identity.h"

#include "base/cursor.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

static const char *const role_names[] = {
#define ROLE_TEXT(n, t) t,
    XF_ROLES(ROLE_TEXT)
#undef ROLE_TEXT
};
enum { N_ROLES = sizeof role_names / sizeof role_names[0] };

static const char SCHEME[] = "crossfed://";

const char *xf_pki_role_name(enum xf_pki_role role) {
  return (size_t)role < N_ROLES ? role_names[role] : "unknown";
}

enum xf_rc xf_pki_role_parse(enum xf_pki_role *out, const char *s, struct xf_diag *diag) {
  for (size_t i = 0; i < N_ROLES; i++) {
    if (strcmp(s, role_names[i]) != 0) continue;
    *out = (enum xf_pki_role)i;
    return XF_OK;
  }
  return xf_diag_set(diag, XF_E_INVAL,
                     "unknown role \"%.40s\"; use coordinator, client or operator", s);
}

static enum xf_rc id_check(const char *what, const char *s, struct xf_diag *diag) {
  if (xf_str_is_id(s)) return XF_OK;
  return xf_diag_set(diag, XF_E_INVAL,
                     "%s \"%.70s\" is not valid; use 1 to 63 of the characters a-z 0-9 -", what, s);
}

enum xf_rc xf_identity_init(struct xf_identity *out, const char *federation, enum xf_pki_role role,
                            const char *member, struct xf_diag *diag) {
  memset(out, 0, sizeof *out);
  enum xf_rc rc = id_check("federation", federation, diag);
  if (!rc) rc = id_check("member id", member, diag);
  if (!rc && (size_t)role >= N_ROLES)
    rc = xf_diag_set(diag, XF_E_INVAL, "role number %d is unknown", (int)role);
  if (!rc) rc = xf_str_copy(out->federation, sizeof out->federation, federation);
  if (!rc) rc = xf_str_copy(out->member, sizeof out->member, member);
  if (!rc) out->role = role;
  return rc;
}

const char *xf_identity_print(char out[XF_IDENTITY_CAP], const struct xf_identity *id) {
  int n = snprintf(out, XF_IDENTITY_CAP, "%s%s/%s/%s", SCHEME, id->federation,
                   xf_pki_role_name(id->role), id->member);
  if (n < 0 || n >= XF_IDENTITY_CAP) out[0] = '\0';
  return out;
}

/* Bytes of a certificate or of a person, made fit for a log line. */
static const char *printable(char out[81], const char *p, size_t len) {
  size_t n = len < 80 ? len : 80;
  for (size_t i = 0; i < n; i++) out[i] = p[i] >= ' ' && p[i] <= '~' ? p[i] : '?';
  out[n] = '\0';
  return out;
}

/* Copies the next part up to '/' or the end. An embedded NUL fails the id check: it shortens the
   text below its length. */
static bool part(struct xf_cursor *cur, char out[XF_ID_CAP]) {
  const char *p;
  size_t len;
  if (xf_cursor_field(cur, '/', &p, &len) || len == 0 || len >= XF_ID_CAP) return false;
  memcpy(out, p, len);
  out[len] = '\0';
  return strlen(out) == len && xf_str_is_id(out);
}

enum xf_rc xf_identity_parse(struct xf_identity *out, const char *uri, size_t len,
                             struct xf_diag *diag) {
  char shown[81], role[XF_ID_CAP];
  size_t n = sizeof SCHEME - 1;
  struct xf_cursor cur;
  memset(out, 0, sizeof *out);
  if (len <= n || memcmp(uri, SCHEME, n) != 0 || memchr(uri, '\0', len) || uri[len - 1] == '/')
    goto malformed;
  xf_cursor_init(&cur, uri + n, len - n);
  if (!part(&cur, out->federation) || !part(&cur, role) || !part(&cur, out->member) ||
      xf_cursor_left(&cur) != 0 || xf_pki_role_parse(&out->role, role, NULL))
    goto malformed;
  return XF_OK;
malformed:
  memset(out, 0, sizeof *out);
  return xf_diag_set(diag, XF_E_FORMAT,
                     "\"%s\" is not an identity; it must read "
                     "crossfed://<federation>/<coordinator|client|operator>/<member> with ids of "
                     "a-z 0-9 -",
                     printable(shown, uri, len));
}

bool xf_identity_equal(const struct xf_identity *a, const struct xf_identity *b) {
  return a->role == b->role && !strcmp(a->federation, b->federation) &&
         !strcmp(a->member, b->member);
}
