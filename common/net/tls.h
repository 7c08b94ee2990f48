/*
 * tls.h - TLS 1.3 with certificates on both sides, as a machine without sockets.
 *
 *   xf_tls_ctx: what a process presents and trusts (certificate, key, CA, CRL); reloadable.
 *   xf_tls:     one session. feed() ciphertext, next() until E_AGAIN; what must go to the peer is appended
 *               to the buffer given to new().
 *
 * Chain, time, revocation and extended key usage are judged during the handshake (common/pki), so the peer
 * gets the precise alert. In TLS 1.3 a client is done before the server has judged its certificate: its
 * refusal arrives later, as an error of next().
 * Not for: membership (the registry's), frames (wire). Owner: the caller; a context outlives its sessions.
 * Thread: the loop's.
 */
#ifndef XF_NET_TLS_H
#define XF_NET_TLS_H

#include "base/buf.h"
#include "base/diag.h"
#include "pki/identity.h"
#include "pki/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xf_tls_ctx;
struct xf_tls;

#define XF_TLS_ALPN "crossfed/1"
/* Plaintext of one record, and what a record adds to it at most. */
enum { XF_TLS_RECORD = 16384, XF_TLS_OVERHEAD = 32 };

struct xf_tls_options {
  const char *cert_path, *key_path; /* PEM, own */
  const char *ca_path;              /* PEM, one or more CA certificates */
  const char *crl_path;             /* PEM; NULL: no revocation */
  enum xf_pki_role role; /* own role; the coordinator is the TLS server, others are clients */
  int64_t now_s;         /* judge certificates at this instant; 0: the system's clock */
};

/* Loads and checks everything a peer will check too. Copies the paths.
   @own caller: xf_tls_ctx_free @err E_NOTFOUND E_FORMAT E_AUTH E_CRYPTO; diag names file and fix */
XF_WARN_UNUSED enum xf_rc
xf_tls_ctx_new(struct xf_tls_ctx **out, const struct xf_tls_options *options, struct xf_diag *diag);
/* Releases; NULL is legal. @own takes ctx */
void xf_tls_ctx_free(struct xf_tls_ctx *ctx);
/* Reads all files again for sessions to come. After an error everything stays as it was. @err as new */
XF_WARN_UNUSED enum xf_rc xf_tls_ctx_reload(struct xf_tls_ctx *ctx, struct xf_diag *diag);
/* Trust in force, for xf_pki_store_changed, _crl_due_s and xf_pki_is_revoked. @own borrowed */
const struct xf_pki_store *xf_tls_ctx_store(const struct xf_tls_ctx *ctx);
/* Own certificate: identity, serial, end. @own borrowed, changes with reload */
const struct xf_pki_own *xf_tls_ctx_own(const struct xf_tls_ctx *ctx);

/* A session; its TLS records are appended to *cipher. @own caller: xf_tls_free; borrows ctx and cipher
   @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_tls_new(struct xf_tls **out, struct xf_tls_ctx *ctx,
                                     struct xf_buf *cipher);
/* Releases; NULL is legal. @own takes tls */
void xf_tls_free(struct xf_tls *tls);
/* Begins the handshake (a client's first flight). @err as next */
XF_WARN_UNUSED enum xf_rc xf_tls_start(struct xf_tls *tls, struct xf_diag *diag);
/* Lends received bytes until next() says E_AGAIN or fails; earlier ones are used up by then. @own borrows p */
void xf_tls_feed(struct xf_tls *tls, const uint8_t *p, size_t len);
/* The next piece of plaintext, at most cap bytes. OK with *n = 0 exactly once: the handshake is done.
   After any error other than E_AGAIN send what is in cipher (an alert), then give up.
   @err E_AGAIN (wants bytes) E_EOF (peer said goodbye) E_AUTH E_VERSION E_UNSUPPORTED E_FORMAT E_CRYPTO;
   diag says which side refused what, and the fix */
XF_WARN_UNUSED enum xf_rc xf_tls_next(struct xf_tls *tls, uint8_t *out, size_t cap, size_t *n,
                                      struct xf_diag *diag);
/* Encrypts all of p[len] into cipher. @err E_STATE (before the handshake is done) E_LIMIT (cipher is full)
   E_CRYPTO */
XF_WARN_UNUSED enum xf_rc xf_tls_write(struct xf_tls *tls, const uint8_t *p, size_t len,
                                       struct xf_diag *diag);
/* Says goodbye (close_notify) where the session still can. @own appends to cipher */
void xf_tls_close(struct xf_tls *tls);
/* Whether the handshake is done on this side. @thread loop */
bool xf_tls_is_open(const struct xf_tls *tls);
/* The peer's identity, fit for us: same federation; a server wants a client, a client the coordinator.
   @own out by value @err E_STATE E_AUTH with the sentence */
XF_WARN_UNUSED enum xf_rc xf_tls_peer(const struct xf_tls *tls, struct xf_identity *out,
                                      struct xf_diag *diag);
/* Serial of the peer's certificate in hex; "" before the handshake is done. @own tls */
const char *xf_tls_peer_serial(const struct xf_tls *tls);
/* Last second of the peer's certificate. @unit s since 1970; 0 before the handshake is done */
int64_t xf_tls_peer_not_after_s(const struct xf_tls *tls);

#endif
