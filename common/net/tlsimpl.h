/*
 * tlsimpl.h - private to net: what tls_ctx.c and tls.c share.
 * Owner and thread: as in tls.h.
 */
#ifndef XF_NET_TLSIMPL_H
#define XF_NET_TLSIMPL_H

#include "net/tls.h"

#include <openssl/bio.h>
#include <openssl/ssl.h>

struct xf_tls_ctx {
  SSL_CTX *ssl_ctx; /* replaced by reload; sessions hold references */
  BIO_METHOD *bio;  /* reads what was fed, writes to the session's buffer */
  struct xf_pki_store *store;
  struct xf_pki_own own;
  char *cert_path, *key_path;
  enum xf_pki_role role;
  int64_t now_s;
};

/* The transport of a session under SSL. @own caller: BIO_meth_free; NULL: no memory */
BIO_METHOD *xf_tls_bio_method(void);
/* SSL's verify callback: common/pki judges. @err 0: refuse */
int xf_tls_verify(int ok, X509_STORE_CTX *store_ctx);
/* SSL's information callback: remembers alerts of the peer. @thread loop */
void xf_tls_info(const SSL *ssl, int where, int value);

#endif
