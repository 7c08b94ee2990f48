/* From OpenSSL's verification errors to a sentence and an alert. */
#include "pki/ossl.h"
#include "pki/san.h"
#include "pki/x509.h"

#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

/* Alerts of RFC 8446 section 6.2 (ssl.h is net's). */
enum {
  BAD_CERTIFICATE = 42,
  UNSUPPORTED_CERTIFICATE = 43,
  CERTIFICATE_REVOKED = 44,
  CERTIFICATE_EXPIRED = 45,
  CERTIFICATE_UNKNOWN = 46,
  UNKNOWN_CA = 48,
  DECRYPT_ERROR = 51,
  INTERNAL_ERROR = 80,
  CERTIFICATE_REQUIRED = 116
};

/* What to put after the sentence, and what to advise. */
enum when { NONE, NOT_AFTER, NOT_BEFORE, CRL_DUE, CRL_FROM };
enum fix { RENEW, CLOCK, OTHER_CA, NEW_CRL, PURPOSE, REVOKED };

static const struct row {
  int error, alert;
  enum when when;
  enum fix fix;
  const char *what;
} rows[] = {
    {X509_V_ERR_CERT_HAS_EXPIRED, CERTIFICATE_EXPIRED, NOT_AFTER, RENEW, "expired"},
    {X509_V_ERR_CERT_NOT_YET_VALID, BAD_CERTIFICATE, NOT_BEFORE, CLOCK, "is not valid before"},
    {X509_V_ERR_CERT_REVOKED, CERTIFICATE_REVOKED, NONE, REVOKED, "is revoked"},
    {X509_V_ERR_INVALID_PURPOSE, UNSUPPORTED_CERTIFICATE, NONE, PURPOSE,
     "is not meant for this side of a connection (extended key usage)"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, UNKNOWN_CA, NONE, OTHER_CA,
     "was issued by a CA that is not trusted here"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, UNKNOWN_CA, NONE, OTHER_CA,
     "was issued by a CA that is not trusted here"},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, UNKNOWN_CA, NONE, OTHER_CA,
     "was issued by a CA that is not trusted here"},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, UNKNOWN_CA, NONE, OTHER_CA,
     "is signed by itself, not by the federation's CA"},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, UNKNOWN_CA, NONE, OTHER_CA,
     "was issued by a CA that is not trusted here"},
    {X509_V_ERR_CERT_SIGNATURE_FAILURE, DECRYPT_ERROR, NONE, OTHER_CA,
     "has a signature that its CA did not make"},
    {X509_V_ERR_INVALID_CA, UNKNOWN_CA, NONE, OTHER_CA, "was issued by something that is no CA"},
    {X509_V_ERR_PATH_LENGTH_EXCEEDED, UNKNOWN_CA, NONE, OTHER_CA,
     "has more CAs above it than they allow (path length)"},
    {X509_V_ERR_CERT_CHAIN_TOO_LONG, UNKNOWN_CA, NONE, OTHER_CA,
     "has more CAs above it than are followed here"},
    /* Our own list is at fault, not the peer: INTERNAL_ERROR tells it to wait, not to renew. */
    {X509_V_ERR_UNABLE_TO_GET_CRL, INTERNAL_ERROR, NONE, NEW_CRL,
     "cannot be checked: the revocation list is of another CA"},
    {X509_V_ERR_CRL_HAS_EXPIRED, INTERNAL_ERROR, CRL_DUE, NEW_CRL,
     "cannot be checked: the revocation list was due"},
    {X509_V_ERR_CRL_NOT_YET_VALID, INTERNAL_ERROR, CRL_FROM, CLOCK,
     "cannot be checked: the revocation list is from"},
    {X509_V_ERR_CRL_SIGNATURE_FAILURE, INTERNAL_ERROR, NONE, NEW_CRL,
     "cannot be checked: the revocation list has a wrong signature"},
    {X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER, INTERNAL_ERROR, NONE, NEW_CRL,
     "cannot be checked: the revocation list is of another CA"},
};

static const struct row *row_find(int error) {
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (rows[i].error == error) return &rows[i];
  return NULL;
}

void xf_pki_verdict_init(struct xf_pki_verdict *verdict, bool peer_is_server) {
  *verdict = (struct xf_pki_verdict){.peer_is_server = peer_is_server};
  xf_diag_init(&verdict->diag);
}

/* " <time>" for the rows that have one. */
static const char *when_print(char out[XF_TIME_CAP + 1], enum when when, const X509 *cert,
                              const X509_CRL *crl) {
  const ASN1_TIME *t = NULL;
  if (when == NOT_AFTER && cert) t = X509_get0_notAfter(cert);
  if (when == NOT_BEFORE && cert) t = X509_get0_notBefore(cert);
  if (when == CRL_DUE && crl) t = X509_CRL_get0_nextUpdate(crl);
  if (when == CRL_FROM && crl) t = X509_CRL_get0_lastUpdate(crl);
  int64_t s = xf_ossl_time_get(t);
  out[0] = '\0';
  if (s != INT64_MIN) {
    out[0] = ' ';
    xf_ossl_time_print(out + 1, s);
  }
  return out;
}

static void fix_print(char *out, size_t cap, enum fix fix, const struct xf_identity *id,
                      bool peer_is_server) {
  const char *role = id->member[0]    ? xf_pki_role_name(id->role)
                     : peer_is_server ? "coordinator"
                                      : "client";
  const char *member = id->member[0] ? id->member : "ID";
  int n = 0;
  switch (fix) {
  case RENEW:
    n = snprintf(out, cap, "renew it: crossfed pki issue --dir CA_DIR --role %s --member %s", role,
                 member);
    break;
  case REVOKED:
    n = snprintf(
        out, cap,
        "if that was a mistake, issue a new one: crossfed pki issue --dir CA_DIR --role %s "
        "--member %s",
        role, member);
    break;
  case CLOCK: n = snprintf(out, cap, "check the clocks of both hosts"); break;
  case OTHER_CA:
    n = snprintf(out, cap,
                 "both sides need the ca.pem of the same federation, and certificates issued from "
                 "its CA directory");
    break;
  case NEW_CRL:
    n = snprintf(out, cap,
                 "renew it: crossfed pki crl --dir CA_DIR, and copy crl.pem here (the peer's "
                 "certificate may be sound)");
    break;
  case PURPOSE:
    n = snprintf(out, cap, "it needs %s: crossfed pki issue --dir CA_DIR --role %s --member %s",
                 peer_is_server ? "serverAuth" : "clientAuth",
                 peer_is_server ? "coordinator" : "client", member);
    break;
  }
  if (n < 0) out[0] = '\0';
}

/* Which certificate: its identity, else its common name (in quotes: it proves nothing). */
static void who_print(char *out, size_t cap, struct xf_identity *id, const X509 *cert) {
  char cn[80] = "";
  *id = (struct xf_identity){0};
  if (cert && !xf_identity_from_cert(id, cert, NULL)) {
    (void)snprintf(out, cap, "certificate of %s", id->member);
    return;
  }
  if (cert) xf_san_common_name(cn, sizeof cn, X509_get_subject_name(cert));
  (void)snprintf(out, cap, "certificate \"%s\"", cn);
}

static void record(struct xf_pki_verdict *verdict, int error, X509_STORE_CTX *ctx) {
  const X509 *cert = X509_STORE_CTX_get_current_cert(ctx);
  const struct row *row = row_find(error);
  struct xf_identity id;
  char who[160], when[XF_TIME_CAP + 1], fix[240];
  verdict->error = error;
  verdict->alert = row ? row->alert : CERTIFICATE_UNKNOWN;
  who_print(who, sizeof who, &id, cert);
  if (!row) {
    xf_diag_set(&verdict->diag, XF_E_AUTH, "%s does not verify: %s", who,
                X509_verify_cert_error_string(error));
    return;
  }
  fix_print(fix, sizeof fix, row->fix, &id, verdict->peer_is_server);
  xf_diag_set(&verdict->diag, row->alert == INTERNAL_ERROR ? XF_E_CONFIG : XF_E_AUTH, "%s %s%s; %s",
              who, row->what,
              when_print(when, row->when, cert, X509_STORE_CTX_get0_current_crl(ctx)), fix);
}

int xf_pki_verdict_step(struct xf_pki_verdict *verdict, int ok, struct x509_store_ctx_st *ctx) {
  int error = ok ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
  X509 *cert = X509_STORE_CTX_get_current_cert(ctx);
  if (ok && X509_STORE_CTX_get_error_depth(ctx) == 0 && cert) {
    /* OpenSSL lets a certificate without the extension pass for every purpose. */
    uint32_t usage = X509_get_extended_key_usage(cert);
    uint32_t need = verdict->peer_is_server ? XKU_SSL_SERVER : XKU_SSL_CLIENT;
    if (usage == UINT32_MAX || !(usage & need)) error = X509_V_ERR_INVALID_PURPOSE;
  }
  if (error == X509_V_OK) return 1;
  if (!verdict->error) record(verdict, error, ctx);
  /* OpenSSL derives the alert from the error; for trouble of our own it must not blame the peer. */
  const struct row *row = row_find(error);
  X509_STORE_CTX_set_error(ctx,
                           row && row->alert == INTERNAL_ERROR ? X509_V_ERR_UNSPECIFIED : error);
  return 0;
}

const char *xf_pki_alert_text(int alert) {
  switch (alert) {
  case BAD_CERTIFICATE:
    return "the peer refused our certificate as malformed or not valid yet; check both clocks and "
           "the certificate: crossfed pki show FILE";
  case UNSUPPORTED_CERTIFICATE:
    return "the peer refused our certificate as meant for another purpose; it must be issued with "
           "this program's role: crossfed pki issue --role coordinator|client|operator";
  case CERTIFICATE_REVOKED:
    return "the peer refused our certificate as revoked; ask the operator for a new one";
  case CERTIFICATE_EXPIRED:
    return "the peer refused our certificate as expired; renew it: crossfed pki issue, or csr and "
           "sign";
  case CERTIFICATE_UNKNOWN: return "the peer refused our certificate; its log says why";
  case UNKNOWN_CA:
    return "the peer does not trust the CA of our certificate; both sides need the ca.pem of the "
           "same federation";
  case DECRYPT_ERROR:
    return "the peer found a wrong signature in our certificate chain; both sides need the ca.pem "
           "of the same federation";
  case INTERNAL_ERROR:
    return "the peer could not check our certificate, probably because its revocation list is due; "
           "its log says why";
  case CERTIFICATE_REQUIRED:
    return "the peer wants a certificate and we sent none; configure tls.cert and tls.key";
  default: return NULL;
  }
}

const char *xf_pki_cert_serial(char out[XF_SERIAL_CAP], const struct x509_st *cert) {
  return xf_ossl_serial_print(out, X509_get0_serialNumber(cert));
}

int64_t xf_pki_cert_not_after_s(const struct x509_st *cert) {
  return xf_ossl_time_get(X509_get0_notAfter(cert));
}
