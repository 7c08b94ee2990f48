/*
 * build.h - private to pki: the profiles of our certificates, requests and CRLs.
 * Not for: files (ca.c). Owner: objects belong to the caller. Thread: any.
 */
#ifndef XF_PKI_BUILD_H
#define XF_PKI_BUILD_H

#include "base/diag.h"
#include "pki/identity.h"
#include "pki/index.h"

#include <openssl/x509.h>
#include <stdint.h>

struct xf_cert_spec {
  X509 *ca;                       /* issuer; NULL: self-signed CA */
  EVP_PKEY *ca_key;               /* signs */
  EVP_PKEY *key;                  /* certified; only its public half is used */
  const char *federation;         /* of a CA */
  const struct xf_identity *leaf; /* of a leaf */
  const char *host;               /* further name of a leaf, or NULL */
  int64_t not_before_s, not_after_s;
};

/* A CA certificate (spec->ca NULL) or a leaf, with a random 127-bit serial.
   @own caller: X509_free @err E_CRYPTO E_INVAL (host, times) @source RFC 5280 section 4 */
XF_WARN_UNUSED enum xf_rc xf_build_cert(X509 **out, const struct xf_cert_spec *spec,
                                        struct xf_diag *diag);
/* A request naming id and host (or NULL). @own caller: X509_REQ_free @err E_CRYPTO E_INVAL
   @source RFC 2986 */
XF_WARN_UNUSED enum xf_rc xf_build_csr(X509_REQ **out, const struct xf_identity *id,
                                       const char *host, EVP_PKEY *key, struct xf_diag *diag);
/* The CRL of an index as it is, numbered index->crl_number.
   @own caller: X509_CRL_free @err E_CRYPTO @source RFC 5280 section 5 */
XF_WARN_UNUSED enum xf_rc xf_build_crl(X509_CRL **out, X509 *ca, EVP_PKEY *ca_key,
                                       const struct xf_index *index, int64_t now_s, int64_t due_s,
                                       struct xf_diag *diag);

#endif
