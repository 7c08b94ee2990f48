#include "pki/info.h"

#include "crypto/sha256.h"
#include "pki/key.h"
#include "pki/ossl.h"
#include "pki/san.h"
#include "pki/x509.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

const char *xf_pki_kind_name(enum xf_pki_kind kind) {
  static const char *const names[] = {"ca", "certificate", "request", "crl"};
  return (size_t)kind < sizeof names / sizeof names[0] ? names[kind] : "unknown";
}

static void fingerprint(struct xf_pki_info *out, const unsigned char *der, long len) {
  xf_sha256(&out->fingerprint, der, (size_t)len);
}

static void identity(struct xf_pki_info *out, enum xf_rc rc, const struct xf_diag *diag) {
  out->has_identity = rc == XF_OK;
  if (rc) memcpy(out->identity_error, diag->text, sizeof out->identity_error);
}

static void show_cert(struct xf_pki_info *out, X509 *cert) {
  struct xf_diag why;
  xf_diag_init(&why);
  bool ca = X509_check_ca(cert) == 1;
  out->kind = ca ? XF_PKI_KIND_CA : XF_PKI_KIND_CERT;
  xf_san_common_name(out->subject, sizeof out->subject, X509_get_subject_name(cert));
  xf_san_common_name(out->issuer, sizeof out->issuer, X509_get_issuer_name(cert));
  xf_pki_cert_serial(out->serial, cert);
  xf_key_print(out->key, X509_get0_pubkey(cert));
  out->not_before_s = xf_ossl_time_get(X509_get0_notBefore(cert));
  out->not_after_s = xf_pki_cert_not_after_s(cert);
  GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
  xf_san_hosts(out->hosts, sizeof out->hosts, names);
  GENERAL_NAMES_free(names);
  if (!ca) identity(out, xf_identity_from_cert(&out->identity, cert, &why), &why);
  uint32_t usage = X509_get_extended_key_usage(cert);
  out->server_auth = usage != UINT32_MAX && (usage & XKU_SSL_SERVER);
  out->client_auth = usage != UINT32_MAX && (usage & XKU_SSL_CLIENT);
}

static void show_csr(struct xf_pki_info *out, X509_REQ *req) {
  struct xf_diag why;
  xf_diag_init(&why);
  out->kind = XF_PKI_KIND_CSR;
  xf_san_common_name(out->subject, sizeof out->subject, X509_REQ_get_subject_name(req));
  xf_key_print(out->key, X509_REQ_get0_pubkey(req));
  GENERAL_NAMES *names = xf_san_of_csr(req);
  xf_san_hosts(out->hosts, sizeof out->hosts, names);
  identity(out, xf_san_identity(&out->identity, names, &why), &why);
  GENERAL_NAMES_free(names);
}

static void show_crl(struct xf_pki_info *out, X509_CRL *crl) {
  out->kind = XF_PKI_KIND_CRL;
  xf_san_common_name(out->subject, sizeof out->subject, X509_CRL_get_issuer(crl));
  memcpy(out->issuer, out->subject, sizeof out->issuer);
  out->not_before_s = xf_ossl_time_get(X509_CRL_get0_lastUpdate(crl));
  out->not_after_s = xf_ossl_time_get(X509_CRL_get0_nextUpdate(crl));
  int n = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl));
  out->n_revoked = n > 0 ? (size_t)n : 0;
  ASN1_INTEGER *number = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
  if (number && ASN1_INTEGER_get_uint64(&out->crl_number, number) != 1) out->crl_number = 0;
  ASN1_INTEGER_free(number);
}

/* Decodes one PEM block; false when it is of a kind that says nothing here (a key). */
static enum xf_rc show_block(struct xf_pki_info *out, bool *shown, const char *name,
                             const unsigned char *der, long len) {
  const unsigned char *p = der;
  X509 *cert = NULL;
  X509_REQ *req = NULL;
  X509_CRL *crl = NULL;
  *shown = true;
  if (!strcmp(name, PEM_STRING_X509) || !strcmp(name, PEM_STRING_X509_OLD)) {
    if ((cert = d2i_X509(NULL, &p, len))) show_cert(out, cert);
  } else if (!strcmp(name, PEM_STRING_X509_REQ) || !strcmp(name, PEM_STRING_X509_REQ_OLD)) {
    if ((req = d2i_X509_REQ(NULL, &p, len))) show_csr(out, req);
  } else if (!strcmp(name, PEM_STRING_X509_CRL)) {
    if ((crl = d2i_X509_CRL(NULL, &p, len))) show_crl(out, crl);
  } else *shown = false;
  bool ok = !*shown || ((cert || req || crl) && p == der + len);
  if (ok && *shown) fingerprint(out, der, len);
  X509_free(cert);
  X509_REQ_free(req);
  X509_CRL_free(crl);
  return ok ? XF_OK : XF_E_FORMAT;
}

enum xf_rc xf_pki_show(struct xf_pki_info *out, const char *path, struct xf_diag *diag) {
  struct xf_buf buf;
  BIO *bio;
  bool shown = false;
  memset(out, 0, sizeof *out);
  enum xf_rc rc = xf_pem_open(&bio, &buf, path, XF_CRL_MAX, diag);
  while (!rc && !shown) {
    char *name = NULL, *header = NULL;
    unsigned char *der = NULL;
    long len = 0;
    if (PEM_read_bio(bio, &name, &header, &der, &len) != 1)
      rc =
          xf_ossl_fail(diag, XF_E_FORMAT,
                       "\"%s\" holds no certificate, request or revocation list in PEM form", path);
    else if ((rc = show_block(out, &shown, name, der, len)) != XF_OK)
      xf_ossl_fail(diag, rc, "\"%s\": the %.40s in it is damaged", path, name);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_clear_free(der, len > 0 ? (size_t)len : 0); /* may have been a private key */
  }
  BIO_free(bio);
  xf_buf_deinit(&buf);
  return rc;
}
