/*
 * key.h - private to pki: private and public keys; the one file of pki that uses EVP.
 * Not for: other modules. Owner: as said per function. Thread: any.
 */
#ifndef XF_PKI_KEY_H
#define XF_PKI_KEY_H

#include "base/diag.h"
#include "pki/ca.h"

#include <openssl/types.h>

/* A fresh key pair. @own caller: EVP_PKEY_free @err E_CRYPTO */
XF_WARN_UNUSED enum xf_rc xf_key_new(EVP_PKEY **out, enum xf_pki_key kind, struct xf_diag *diag);
/* Writes the private key as PKCS #8 PEM with mode 0600. @err E_EXISTS E_IO */
XF_WARN_UNUSED enum xf_rc xf_key_save(const char *path, const EVP_PKEY *key, bool replace,
                                      struct xf_diag *diag);
/* Reads a private key that others cannot read; never asks for a passphrase.
   @own caller: EVP_PKEY_free @err E_NOTFOUND E_FORMAT E_AUTH (file mode) */
XF_WARN_UNUSED enum xf_rc xf_key_load(EVP_PKEY **out, const char *path, struct xf_diag *diag);
/* Releases; NULL is legal. @own takes key */
void xf_key_free(EVP_PKEY *key);
/* Digest to sign with: SHA-256, or NULL for Ed25519, which brings its own. @own static */
const EVP_MD *xf_key_md(const EVP_PKEY *key);
/* "p256", "ed25519", "rsa-3072"...; returns out. @own caller's buffer */
const char *xf_key_print(char out[32], const EVP_PKEY *key);
/* Whether a key is strong enough to be certified. @err E_AUTH naming what it is */
XF_WARN_UNUSED enum xf_rc xf_key_check(const EVP_PKEY *key, const char *path, struct xf_diag *diag);

#endif
