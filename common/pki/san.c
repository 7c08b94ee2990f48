#include "pki/san.h"

#include "pki/x509.h"

#include <openssl/asn1.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

enum xf_rc xf_san_identity(struct xf_identity *out, const GENERAL_NAMES *names,
                           struct xf_diag *diag) {
  const ASN1_STRING *uri = NULL;
  *out = (struct xf_identity){0};
  for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
    int type;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
    if (type != GEN_URI) continue;
    if (uri)
      return xf_diag_set(diag, XF_E_AUTH,
                         "it has more than one URI among its names; an identity is exactly one: "
                         "issue it again with crossfed pki");
    uri = value;
  }
  if (!uri)
    return xf_diag_set(diag, XF_E_AUTH,
                       "it has no URI among its names, so it is nobody's; issue it with crossfed "
                       "pki");
  enum xf_rc rc = xf_identity_parse(out, (const char *)ASN1_STRING_get0_data(uri),
                                    (size_t)ASN1_STRING_length(uri), diag);
  return rc ? xf_diag_prefix(diag, XF_E_AUTH, "its name is malformed") : XF_OK;
}

enum xf_rc xf_identity_from_cert(struct xf_identity *out, const X509 *cert, struct xf_diag *diag) {
  int critical = 0;
  GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, &critical, NULL);
  enum xf_rc rc;
  if (!names && critical != -1) { /* there, but twice or not decodable */
    *out = (struct xf_identity){0};
    rc = xf_diag_set(diag, XF_E_AUTH, "its alternative names are malformed or given twice");
  } else rc = xf_san_identity(out, names, diag);
  GENERAL_NAMES_free(names);
  return rc;
}

GENERAL_NAMES *xf_san_of_csr(X509_REQ *req) {
  STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(req);
  GENERAL_NAMES *names = X509V3_get_d2i(exts, NID_subject_alt_name, NULL, NULL);
  sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
  return names;
}

enum xf_rc xf_identity_from_csr(struct xf_identity *out, X509_REQ *req, struct xf_diag *diag) {
  GENERAL_NAMES *names = xf_san_of_csr(req);
  enum xf_rc rc = xf_san_identity(out, names, diag);
  GENERAL_NAMES_free(names);
  return rc;
}

/* Bytes of a certificate made fit for a terminal or log; returns the length. */
static size_t printable(char *out, size_t cap, const ASN1_STRING *s) {
  const unsigned char *p = ASN1_STRING_get0_data(s);
  int len = ASN1_STRING_length(s);
  size_t n = 0;
  for (int i = 0; i < len && n + 1 < cap; i++)
    out[n++] = p[i] >= ' ' && p[i] <= '~' ? (char)p[i] : '?';
  out[n] = '\0';
  return n;
}

static bool ip_print(char out[48], const ASN1_STRING *ip) {
  const unsigned char *b = ASN1_STRING_get0_data(ip);
  int n = 0;
  if (ASN1_STRING_length(ip) == 4)
    return snprintf(out, 48, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]) > 0;
  if (ASN1_STRING_length(ip) != 16) return false;
  for (int i = 0; i < 16; i += 2)
    n += snprintf(out + n, 48 - (size_t)n, "%s%x", i ? ":" : "", (unsigned)(b[i] << 8 | b[i + 1]));
  return true;
}

void xf_san_hosts(char *out, size_t cap, const GENERAL_NAMES *names) {
  size_t len = 0;
  out[0] = '\0';
  for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
    char text[256];
    int type;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
    if (type == GEN_DNS) printable(text, sizeof text, value);
    else if (type != GEN_IPADD || !ip_print(text, value)) continue;
    size_t n = strlen(text), gap = len ? 1 : 0;
    if (len + gap + n >= cap) break;
    if (gap) out[len++] = ' ';
    memcpy(out + len, text, n + 1);
    len += n;
  }
}

void xf_san_common_name(char *out, size_t cap, const X509_NAME *name) {
  int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  out[0] = '\0';
  if (at >= 0) printable(out, cap, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
}
