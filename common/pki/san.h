/*
 * san.h - private to pki: the subject alternative names of certificates and requests.
 * Not for: other modules (x509.h has what they need). Owner: plain values. Thread: any.
 */
#ifndef XF_PKI_SAN_H
#define XF_PKI_SAN_H

#include "base/diag.h"
#include "pki/identity.h"

#include <openssl/x509v3.h>

/* The identity in the one URI of `names`. @err E_AUTH: none, two, malformed */
XF_WARN_UNUSED enum xf_rc xf_san_identity(struct xf_identity *out, const GENERAL_NAMES *names,
                                          struct xf_diag *diag);
/* The identity a request asks for. @err E_AUTH */
XF_WARN_UNUSED enum xf_rc xf_identity_from_csr(struct xf_identity *out, X509_REQ *req,
                                               struct xf_diag *diag);
/* DNS names and addresses, separated by spaces; what does not fit is left out. @shape out[cap] */
void xf_san_hosts(char *out, size_t cap, const GENERAL_NAMES *names);
/* The names a request asks for, or NULL. @own caller: GENERAL_NAMES_free */
GENERAL_NAMES *xf_san_of_csr(X509_REQ *req);
/* The first common name of a subject, unprintable bytes as '?', "" without one; for display only.
   @shape out[cap] */
void xf_san_common_name(char *out, size_t cap, const X509_NAME *name);

#endif
