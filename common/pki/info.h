/*
 * info.h - what is in a PEM file, as plain values for people and JSON.
 * Not for: deciding whether to trust it (store.h, x509.h). Owner: plain values. Thread: any.
 */
#ifndef XF_PKI_INFO_H
#define XF_PKI_INFO_H

#include "base/diag.h"
#include "base/digest.h"
#include "pki/identity.h"
#include "pki/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum xf_pki_kind { XF_PKI_KIND_CA, XF_PKI_KIND_CERT, XF_PKI_KIND_CSR, XF_PKI_KIND_CRL };

struct xf_pki_info {
  enum xf_pki_kind kind;
  char subject[128]; /* common name, for display only; a CRL: that of its issuer */
  char issuer[128];
  char serial[XF_SERIAL_CAP]; /* certificates */
  char key[32];               /* "p256", "ed25519", "rsa-3072"... */
  char hosts[256];            /* further names, separated by spaces */
  bool has_identity;
  struct xf_identity identity;
  char identity_error[XF_DIAG_LEN]; /* why not, for certificates and requests without one */
  bool server_auth, client_auth;
  int64_t not_before_s, not_after_s; /* a CRL: this update, next update */
  struct xf_digest fingerprint;      /* SHA-256 of the DER form */
  uint64_t crl_number;
  size_t n_revoked;
};

/* Reads the first certificate, request or CRL in a PEM file. @err E_NOTFOUND E_FORMAT E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_pki_show(struct xf_pki_info *out, const char *path,
                                      struct xf_diag *diag);
/* The kind's name: "ca", "certificate", "request", "crl". @own static */
const char *xf_pki_kind_name(enum xf_pki_kind kind);

#endif
