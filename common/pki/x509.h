/*
 * x509.h - the part of pki that speaks of OpenSSL's objects; for net's TLS context.
 *
 *   per SSL:  SSL_set1_verify_cert_store(ssl, xf_pki_store_x509(store));
 *             xf_pki_verdict_init(&conn->verdict, peer_is_server);
 *             SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, callback);
 *   callback: return xf_pki_verdict_step(&conn->verdict, ok, ctx);
 *   on alert: xf_pki_alert_text(number)
 *   after it: xf_identity_from_cert(&id, cert, &diag)
 *
 * Not for: membership and roles (the registry's). Host names are never looked at.
 * Owner: the connection owns its verdict; certificates are borrowed. Thread: the connection's.
 */
#ifndef XF_PKI_X509_H
#define XF_PKI_X509_H

#include "base/diag.h"
#include "pki/identity.h"
#include "pki/store.h"

#include <stdbool.h>
#include <stdint.h>

struct x509_st;
struct x509_store_st;
struct x509_store_ctx_st;

/* The identity in the one URI of the subject alternative name. @err E_AUTH: none, two, malformed */
XF_WARN_UNUSED enum xf_rc xf_identity_from_cert(struct xf_identity *out, const struct x509_st *cert,
                                                struct xf_diag *diag);
/* Serial number as lower-case hex; returns out, "" if it is longer than the standard allows.
   @own caller's buffer */
const char *xf_pki_cert_serial(char out[XF_SERIAL_CAP], const struct x509_st *cert);
/* Last second of validity; INT64_MIN if malformed. @unit s since 1970 */
int64_t xf_pki_cert_not_after_s(const struct x509_st *cert);
/* The store for a TLS connection; changes with each reload. @own borrowed: take a reference */
struct x509_store_st *xf_pki_store_x509(const struct xf_pki_store *store);

/* What was found wrong with a peer's certificate. */
struct xf_pki_verdict {
  bool peer_is_server; /* the extended key usage to ask for: serverAuth, else clientAuth */
  int error;           /* X509_V_ERR_*; 0: nothing wrong so far */
  int alert;           /* the TLS alert that goes to the peer; 0: none */
  struct xf_diag diag; /* the sentence: which certificate, which check, what to do */
};

/* Nothing wrong so far. @own caller */
void xf_pki_verdict_init(struct xf_pki_verdict *verdict, bool peer_is_server);
/* The body of a verify callback: adds our checks (extended key usage must be present), records the
   first error as a sentence and sets the error from which OpenSSL derives the alert. Never turns an
   error into success. @err 0: refuse @source RFC 5280 section 6 */
int xf_pki_verdict_step(struct xf_pki_verdict *verdict, int ok, struct x509_store_ctx_st *ctx);
/* What an alert received from the peer says about our certificate, and what to do; NULL when it is
   not about certificates. @own static @source RFC 8446 section 6.2 */
const char *xf_pki_alert_text(int alert);

#endif
