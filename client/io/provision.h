/*
 * provision.h - opening and judging what client.yaml names, before anything starts.
 * Owner: the caller. Thread: main.
 */
#ifndef XF_CLIENT_IO_PROVISION_H
#define XF_CLIENT_IO_PROVISION_H

#include "client/io/config.h"
#include "crypto/secret.h"
#include "net/tls.h"

/* Certificates, identity against federation and member, alignment key, data file.
   @own tls and key: the caller's, also after an error @err E_CONFIG (identity, data) E_AUTH E_NOTFOUND E_FORMAT */
XF_WARN_UNUSED enum xf_rc client_provision(struct xf_tls_ctx **tls, struct xf_secret *key,
                                           const struct xf_client_config *config,
                                           struct xf_diag *diag);
/* The state directory: there and sound, or can be made. Changes nothing. @err E_NOTFOUND E_AUTH E_CORRUPT E_VERSION
   E_UNSUPPORTED (network file system) */
XF_WARN_UNUSED enum xf_rc client_provision_state(const struct xf_client_config *config,
                                                 struct xf_diag *diag);

#endif
