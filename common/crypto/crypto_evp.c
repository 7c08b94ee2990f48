/* The only file that knows OpenSSL's EVP: SHA-256 (SHA-NI) and the ChaCha20 keystream. */
#include "base/assert.h"
#include "crypto/sha256.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

/* Fetched once: an implicit fetch at every init costs more than hashing a short message. Without
   them (broken OpenSSL configuration) xf_crypto_start() fails, so later uses may rely on them. */
static const EVP_MD *sha256_md;

static void fetch(void) { sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL); }

static const EVP_MD *sha256(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  XF_ASSERT(pthread_once(&once, fetch) == 0);
  XF_ASSERT(sha256_md != NULL);
  return sha256_md;
}

void xf_sha256(struct xf_digest *out, const void *p, size_t len) {
  unsigned n = 0;
  XF_ASSERT(EVP_Digest(p, len, out->b, &n, sha256(), NULL) == 1 && n == XF_DIGEST_LEN);
}

void xf_sha256_init(struct xf_sha256_ctx *ctx) {
  ctx->md = EVP_MD_CTX_new();
  XF_ASSERT(ctx->md != NULL);
  xf_sha256_reset(ctx);
}

void xf_sha256_reset(struct xf_sha256_ctx *ctx) {
  XF_ASSERT(EVP_DigestInit_ex(ctx->md, sha256(), NULL) == 1);
}

void xf_sha256_feed(struct xf_sha256_ctx *ctx, const void *p, size_t len) {
  XF_ASSERT(EVP_DigestUpdate(ctx->md, p, len) == 1);
}

void xf_sha256_take(struct xf_sha256_ctx *ctx, struct xf_digest *out) {
  unsigned n = 0;
  XF_ASSERT(EVP_DigestFinal_ex(ctx->md, out->b, &n) == 1 && n == XF_DIGEST_LEN);
  xf_sha256_reset(ctx);
}

void xf_sha256_deinit(struct xf_sha256_ctx *ctx) {
  EVP_MD_CTX_free(ctx->md);
  ctx->md = NULL;
}
