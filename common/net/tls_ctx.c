/* What a process presents and trusts; one SSL_CTX per generation of its files. */
#include "base/alloc.h"
#include "net/tlsimpl.h"
#include "pki/x509.h"

#include <openssl/err.h>
#include <string.h>

/* A certificate chain of a peer; a federation has a CA or two and short names. */
enum { CERT_LIST_MAX = 16384 };

static enum xf_rc fail(struct xf_diag *diag, enum xf_rc rc, const char *what) {
  char reason[160];
  ERR_error_string_n(ERR_peek_last_error(), reason, sizeof reason);
  ERR_clear_error();
  return xf_diag_set(diag, rc, "%s: %s", what, reason);
}

/* Keys with a passphrase were refused by the check before; never ask a terminal. */
static int no_passphrase(char *buf, int size, int writing, void *arg) {
  (void)buf;
  (void)size;
  (void)writing;
  (void)arg;
  return 0;
}

static const unsigned char alpn_list[] = "\x0a" XF_TLS_ALPN;

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned int in_len, void *arg) {
  (void)ssl;
  (void)arg;
  unsigned char *chosen = NULL;
  if (SSL_select_next_proto(&chosen, out_len, alpn_list, sizeof alpn_list - 1, in, in_len) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

static enum xf_rc ssl_ctx_new(SSL_CTX **out, const struct xf_tls_ctx *ctx, struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  ERR_clear_error();
  SSL_CTX *s =
      SSL_CTX_new(ctx->role == XF_PKI_ROLE_COORDINATOR ? TLS_server_method() : TLS_client_method());
  if (!s) return fail(diag, XF_E_CRYPTO, "TLS context");
  SSL_CTX_set_mode(s, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_options(s, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(s, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_max_cert_list(s, CERT_LIST_MAX);
  SSL_CTX_set_default_passwd_cb(s, no_passphrase);
  SSL_CTX_set_verify(s, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, xf_tls_verify);
  SSL_CTX_set_info_callback(s, xf_tls_info);
  SSL_CTX_set_alpn_select_cb(s, select_alpn, NULL);
  if (SSL_CTX_set_min_proto_version(s, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_max_proto_version(s, TLS1_3_VERSION) != 1 || SSL_CTX_set_num_tickets(s, 0) != 1 ||
      SSL_CTX_set_alpn_protos(s, alpn_list, sizeof alpn_list - 1) != 0) /* 0 is its success */
    rc = fail(diag, XF_E_CRYPTO, "TLS settings");
  else if (SSL_CTX_use_certificate_chain_file(s, ctx->cert_path) != 1)
    rc = fail(diag, XF_E_FORMAT, ctx->cert_path);
  else if (SSL_CTX_use_PrivateKey_file(s, ctx->key_path, SSL_FILETYPE_PEM) != 1)
    rc = fail(diag, XF_E_FORMAT, ctx->key_path);
  else if (SSL_CTX_check_private_key(s) != 1) rc = fail(diag, XF_E_AUTH, ctx->key_path);
  if (rc) SSL_CTX_free(s);
  else *out = s;
  return rc;
}

enum xf_rc xf_tls_ctx_new(struct xf_tls_ctx **out, const struct xf_tls_options *options,
                          struct xf_diag *diag) {
  struct xf_tls_ctx *ctx = xf_calloc(1, sizeof *ctx);
  ctx->cert_path = xf_strdup(options->cert_path);
  ctx->key_path = xf_strdup(options->key_path);
  ctx->role = options->role;
  ctx->now_s = options->now_s;
  enum xf_rc rc = XF_OK;
  ctx->bio = xf_tls_bio_method();
  if (!ctx->bio) {
    rc = fail(diag, XF_E_NOMEM, "TLS transport");
    goto out;
  }
  rc = xf_pki_store_new(&ctx->store, options->ca_path, options->crl_path, diag);
  if (rc) goto out;
  xf_pki_store_set_time(ctx->store, ctx->now_s);
  rc = xf_pki_own_check(&ctx->own, ctx->store, ctx->cert_path, ctx->key_path, ctx->role, diag);
  if (rc) goto out;
  rc = ssl_ctx_new(&ctx->ssl_ctx, ctx, diag);
out:
  if (rc) xf_tls_ctx_free(ctx);
  else *out = ctx;
  return rc;
}

void xf_tls_ctx_free(struct xf_tls_ctx *ctx) {
  if (!ctx) return;
  SSL_CTX_free(ctx->ssl_ctx);
  xf_pki_store_free(ctx->store);
  BIO_meth_free(ctx->bio);
  xf_free(ctx->cert_path);
  xf_free(ctx->key_path);
  xf_free(ctx);
}

enum xf_rc xf_tls_ctx_reload(struct xf_tls_ctx *ctx, struct xf_diag *diag) {
  struct xf_pki_own own = {0};
  SSL_CTX *fresh = NULL;
  enum xf_rc rc = xf_pki_store_reload(ctx->store, diag);
  if (!rc) rc = xf_pki_own_check(&own, ctx->store, ctx->cert_path, ctx->key_path, ctx->role, diag);
  if (!rc) rc = ssl_ctx_new(&fresh, ctx, diag);
  if (rc) return rc;
  SSL_CTX_free(ctx->ssl_ctx);
  ctx->ssl_ctx = fresh;
  ctx->own = own;
  return XF_OK;
}

const struct xf_pki_store *xf_tls_ctx_store(const struct xf_tls_ctx *ctx) { return ctx->store; }

const struct xf_pki_own *xf_tls_ctx_own(const struct xf_tls_ctx *ctx) { return &ctx->own; }
