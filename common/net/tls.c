/* A TLS session between two byte streams, and its errors as sentences. */
#include "net/tls.h"

#include "base/alloc.h"
#include "net/tlsimpl.h"
#include "pki/x509.h"

#include <openssl/err.h>
#include <string.h>

struct xf_tls {
  SSL *ssl;
  struct xf_tls_ctx *ctx;
  struct xf_buf *cipher; /* the owner's */
  const uint8_t *in;     /* lent by feed */
  size_t in_len;
  bool open;
  bool broken;                    /* nothing more can be sent */
  int alert;                      /* fatal one received from the peer */
  struct xf_pki_verdict *verdict; /* until the handshake is done */
  struct xf_identity peer;
  struct xf_diag *peer_bad; /* why peer is no identity for us; NULL: it is one */
  char serial[XF_SERIAL_CAP];
  int64_t not_after_s;
};

/* --- the transport under SSL --- */

static int bio_write(BIO *bio, const char *p, int len) {
  struct xf_tls *tls = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  return xf_buf_put(tls->cipher, p, (size_t)len) ? -1 : len;
}

static int bio_read(BIO *bio, char *p, int len) {
  struct xf_tls *tls = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  if (len <= 0) return 0;
  if (tls->in_len == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  size_t n = tls->in_len < (size_t)len ? tls->in_len : (size_t)len;
  memcpy(p, tls->in, n);
  tls->in += n;
  tls->in_len -= n;
  return (int)n;
}

static long bio_ctrl(BIO *bio, int command, long value, void *p) {
  (void)bio;
  (void)value;
  (void)p;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD *xf_tls_bio_method(void) {
  BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "crossfed");
  if (m && BIO_meth_set_write(m, bio_write) && BIO_meth_set_read(m, bio_read) &&
      BIO_meth_set_ctrl(m, bio_ctrl))
    return m;
  BIO_meth_free(m);
  return NULL;
}

/* --- callbacks of SSL --- */

int xf_tls_verify(int ok, X509_STORE_CTX *store_ctx) {
  const SSL *ssl = X509_STORE_CTX_get_ex_data(store_ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
  struct xf_tls *tls = ssl ? SSL_get_app_data(ssl) : NULL;
  if (!tls || !tls->verdict) return 0;
  return xf_pki_verdict_step(tls->verdict, ok, store_ctx);
}

void xf_tls_info(const SSL *ssl, int where, int value) {
  struct xf_tls *tls = SSL_get_app_data(ssl);
  if (tls && (where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && value >> 8 == SSL3_AL_FATAL)
    tls->alert = value & 0xff;
}

/* --- errors --- */

static bool is_server(const struct xf_tls *tls) {
  return tls->ctx->role == XF_PKI_ROLE_COORDINATOR;
}

static const char *peer_name(const struct xf_tls *tls) {
  return is_server(tls) ? "the client" : "the coordinator";
}

static enum xf_rc fail_alert(const struct xf_tls *tls, struct xf_diag *diag) {
  const char *text = xf_pki_alert_text(tls->alert);
  static const char peer[] = "the peer"; /* is known better here */
  if (text && strncmp(text, peer, sizeof peer - 1) == 0)
    return xf_diag_set(diag, XF_E_AUTH, "%s%s", peer_name(tls), text + sizeof peer - 1);
  if (text) return xf_diag_set(diag, XF_E_AUTH, "%s: %s", peer_name(tls), text);
  switch (tls->alert) {
  case SSL_AD_PROTOCOL_VERSION:
    return xf_diag_set(diag, XF_E_VERSION,
                       "%s does not speak TLS 1.3; is that a crossfed of this protocol version?",
                       peer_name(tls));
  case SSL_AD_NO_APPLICATION_PROTOCOL:
    return xf_diag_set(diag, XF_E_UNSUPPORTED,
                       "%s does not offer the protocol " XF_TLS_ALPN "; is the port right?",
                       peer_name(tls));
  default: break;
  }
  return xf_diag_set(diag, XF_E_CRYPTO, "%s broke off the TLS session: alert %d (%s)",
                     peer_name(tls), tls->alert, SSL_alert_desc_string_long(tls->alert));
}

static enum xf_rc fail_reason(const struct xf_tls *tls, unsigned long error, struct xf_diag *diag) {
  const char *who = peer_name(tls);
  if (ERR_GET_LIB(error) == ERR_LIB_SSL) switch (ERR_GET_REASON(error)) {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return xf_diag_set(diag, XF_E_AUTH,
                         "%s sent no certificate; every member needs one of this federation's CA "
                         "(crossfed pki issue)",
                         who);
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
      return xf_diag_set(diag, XF_E_VERSION, "%s does not speak TLS 1.3, the only one accepted",
                         who);
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_BAD_RECORD_TYPE:
      return xf_diag_set(diag, XF_E_FORMAT, "%s does not speak TLS; is the port right?", who);
    case SSL_R_NO_APPLICATION_PROTOCOL:
    case SSL_R_BAD_EXTENSION:
      return xf_diag_set(diag, XF_E_UNSUPPORTED,
                         "%s does not offer the protocol " XF_TLS_ALPN "; is it a crossfed?", who);
    default: break;
    }
  const char *reason = ERR_reason_error_string(error);
  return xf_diag_set(diag, XF_E_CRYPTO, "TLS with %s failed: %s", who,
                     reason ? reason : "the session was damaged");
}

/* After SSL said no: which side refused, what, and what to do. */
static enum xf_rc fail(struct xf_tls *tls, struct xf_diag *diag) {
  unsigned long error = ERR_peek_error();
  ERR_clear_error();
  tls->broken = true;
  tls->in_len = 0;
  if (tls->verdict && tls->verdict->error)
    return xf_diag_set(diag, tls->verdict->diag.rc, "%s was refused: %s", peer_name(tls),
                       xf_diag_text(&tls->verdict->diag, XF_E_AUTH));
  if (tls->alert) return fail_alert(tls, diag);
  return fail_reason(tls, error, diag);
}

/* --- life --- */

enum xf_rc xf_tls_new(struct xf_tls **out, struct xf_tls_ctx *ctx, struct xf_buf *cipher) {
  struct xf_tls *tls = xf_calloc(1, sizeof *tls);
  tls->ctx = ctx;
  tls->cipher = cipher;
  tls->verdict = xf_calloc(1, sizeof *tls->verdict);
  xf_pki_verdict_init(tls->verdict, !is_server(tls));
  ERR_clear_error();
  tls->ssl = SSL_new(ctx->ssl_ctx);
  BIO *bio = tls->ssl ? BIO_new(ctx->bio) : NULL;
  if (!bio || SSL_set1_verify_cert_store(tls->ssl, xf_pki_store_x509(ctx->store)) != 1) {
    ERR_clear_error();
    BIO_free(bio);
    xf_tls_free(tls);
    return XF_E_NOMEM;
  }
  BIO_set_data(bio, tls);
  BIO_set_init(bio, 1);
  SSL_set_bio(tls->ssl, bio, bio); /* one reference serves both directions */
  SSL_set_app_data(tls->ssl, tls);
  if (is_server(tls)) SSL_set_accept_state(tls->ssl);
  else SSL_set_connect_state(tls->ssl);
  *out = tls;
  return XF_OK;
}

void xf_tls_free(struct xf_tls *tls) {
  if (!tls) return;
  SSL_free(tls->ssl);
  xf_free(tls->verdict);
  xf_free(tls->peer_bad);
  xf_free(tls);
}

static enum xf_rc check_peer(struct xf_tls *tls, const X509 *cert, struct xf_diag *diag) {
  const struct xf_identity *own = &tls->ctx->own.identity, *peer = &tls->peer;
  enum xf_pki_role want = is_server(tls) ? XF_PKI_ROLE_CLIENT : XF_PKI_ROLE_COORDINATOR;
  enum xf_rc rc = xf_identity_from_cert(&tls->peer, cert, diag);
  if (rc) return xf_diag_prefix(diag, rc, "%s's certificate", peer_name(tls));
  if (strcmp(own->federation, peer->federation) != 0)
    return xf_diag_set(diag, XF_E_AUTH,
                       "%s belongs to federation \"%s\", this one is \"%s\"; check the address and "
                       "the certificates",
                       peer_name(tls), peer->federation, own->federation);
  if (peer->role != want) {
    char uri[XF_IDENTITY_CAP];
    return xf_diag_set(diag, XF_E_AUTH,
                       "the peer's certificate is that of %s, expected one of a %s; check which "
                       "certificate it was given",
                       xf_identity_print(uri, peer), is_server(tls) ? "client" : "coordinator");
  }
  return XF_OK;
}

/* The handshake is done: what it proved, in our terms. */
static enum xf_rc opened(struct xf_tls *tls, struct xf_diag *diag) {
  const unsigned char *alpn = NULL;
  unsigned int alpn_len = 0;
  SSL_get0_alpn_selected(tls->ssl, &alpn, &alpn_len);
  const X509 *cert = SSL_get0_peer_certificate(tls->ssl);
  if (alpn_len != sizeof XF_TLS_ALPN - 1 || memcmp(alpn, XF_TLS_ALPN, alpn_len) != 0) {
    tls->broken = true;
    return xf_diag_set(diag, XF_E_UNSUPPORTED,
                       "%s does not offer the protocol " XF_TLS_ALPN "; is it a crossfed?",
                       peer_name(tls));
  }
  if (!cert || SSL_get_verify_result(tls->ssl) != X509_V_OK) {
    tls->broken = true;
    return xf_diag_set(diag, XF_E_AUTH, "%s was not verified", peer_name(tls));
  }
  xf_pki_cert_serial(tls->serial, cert);
  tls->not_after_s = xf_pki_cert_not_after_s(cert);
  struct xf_diag bad;
  xf_diag_init(&bad);
  if (check_peer(tls, cert, &bad)) tls->peer_bad = xf_memdup(&bad, sizeof bad);
  xf_free(tls->verdict);
  tls->verdict = NULL;
  tls->open = true;
  return XF_OK;
}

/* --- data --- */

static enum xf_rc handshake(struct xf_tls *tls, struct xf_diag *diag) {
  ERR_clear_error();
  int done = SSL_do_handshake(tls->ssl);
  if (done == 1) return opened(tls, diag);
  return SSL_get_error(tls->ssl, done) == SSL_ERROR_WANT_READ ? XF_E_AGAIN : fail(tls, diag);
}

enum xf_rc xf_tls_start(struct xf_tls *tls, struct xf_diag *diag) {
  enum xf_rc rc = handshake(tls, diag);
  return rc == XF_E_AGAIN ? XF_OK : rc;
}

void xf_tls_feed(struct xf_tls *tls, const uint8_t *p, size_t len) {
  tls->in = p;
  tls->in_len = len;
}

enum xf_rc xf_tls_next(struct xf_tls *tls, uint8_t *out, size_t cap, size_t *n,
                       struct xf_diag *diag) {
  *n = 0;
  if (!tls->open) return handshake(tls, diag);
  ERR_clear_error();
  if (SSL_read_ex(tls->ssl, out, cap, n) == 1) return XF_OK;
  *n = 0;
  switch (SSL_get_error(tls->ssl, 0)) {
  case SSL_ERROR_WANT_READ: return XF_E_AGAIN;
  case SSL_ERROR_ZERO_RETURN: return XF_E_EOF;
  default: return fail(tls, diag);
  }
}

enum xf_rc xf_tls_write(struct xf_tls *tls, const uint8_t *p, size_t len, struct xf_diag *diag) {
  if (!tls->open || tls->broken)
    return xf_diag_set(diag, XF_E_STATE, "the TLS session is not open");
  if (len == 0) return XF_OK;
  size_t records = len / XF_TLS_RECORD + 1;
  if (len + records * XF_TLS_OVERHEAD > tls->cipher->max - tls->cipher->len)
    return xf_diag_set(diag, XF_E_LIMIT, "%zu bytes do not fit the output buffer", len);
  size_t done = 0;
  ERR_clear_error();
  if (SSL_write_ex(tls->ssl, p, len, &done) == 1 && done == len) return XF_OK;
  return fail(tls, diag);
}

void xf_tls_close(struct xf_tls *tls) {
  if (!tls->open || tls->broken) return;
  ERR_clear_error();
  (void)SSL_shutdown(
      tls->ssl); /* 0: ours is sent, the peer's is not awaited; an error changes nothing */
  ERR_clear_error();
  tls->broken = true;
}

bool xf_tls_is_open(const struct xf_tls *tls) { return tls->open; }

enum xf_rc xf_tls_peer(const struct xf_tls *tls, struct xf_identity *out, struct xf_diag *diag) {
  if (!tls->open) return xf_diag_set(diag, XF_E_STATE, "the handshake is not done");
  if (tls->peer_bad)
    return xf_diag_set(diag, XF_E_AUTH, "%s", xf_diag_text(tls->peer_bad, XF_E_AUTH));
  *out = tls->peer;
  return XF_OK;
}

const char *xf_tls_peer_serial(const struct xf_tls *tls) { return tls->serial; }

int64_t xf_tls_peer_not_after_s(const struct xf_tls *tls) { return tls->not_after_s; }
