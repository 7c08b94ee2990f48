/*
 * csr.h - the member's side of enrolment: a key made where it will be used, and a request to sign.
 * Not for: signing (ca.h). Owner: the files belong to the caller. Thread: any.
 */
#ifndef XF_PKI_CSR_H
#define XF_PKI_CSR_H

#include "pki/ca.h"

/* Writes a new private key (0600, never overwritten unless options->replace) and a request that names
   id and options->host. Only options->key, host and replace are read.
   @err E_INVAL E_EXISTS E_IO E_CRYPTO @own files */
XF_WARN_UNUSED enum xf_rc xf_pki_csr_create(const struct xf_identity *id, const char *csr_path,
                                            const char *key_path,
                                            const struct xf_leaf_options *options,
                                            struct xf_diag *diag);

#endif
