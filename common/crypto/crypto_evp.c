/* The only file that knows OpenSSL's EVP: SHA-256 (SHA-NI) and the ChaCha20 keystream. */
#include "base/assert.h"
#include "crypto/chacha.h"
#include "crypto/parts.h"
#include "crypto/sha256.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

/* Fetched once: an implicit fetch at every init costs more than hashing a short message. Without
   them (broken OpenSSL configuration) xf_crypto_start() fails, so later uses may rely on them. */
static EVP_MD *sha256_md;
static EVP_CIPHER *chacha20_cipher;

static void fetch(void) {
  sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL);
  chacha20_cipher = EVP_CIPHER_fetch(NULL, "ChaCha20", NULL);
}

enum xf_rc xf_crypto_start_evp(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  if (pthread_once(&once, fetch) != 0 || !sha256_md || !chacha20_cipher) return XF_E_CRYPTO;
  return XF_OK;
}

static const EVP_MD *sha256(void) {
  XF_ASSERT(xf_crypto_start_evp() == XF_OK);
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

void xf_chacha_init(struct xf_chacha *stream, const uint8_t key[XF_CHACHA_KEY_LEN],
                    const uint8_t nonce[XF_CHACHA_NONCE_LEN], uint32_t counter) {
  XF_ASSERT(xf_crypto_start_evp() == XF_OK);
  uint8_t iv[16]; /* OpenSSL's: the block counter, little-endian, then the nonce */
  for (int i = 0; i < 4; i++) iv[i] = (uint8_t)(counter >> (8 * i));
  memcpy(iv + 4, nonce, XF_CHACHA_NONCE_LEN);
  stream->cipher = EVP_CIPHER_CTX_new();
  XF_ASSERT(stream->cipher != NULL);
  XF_ASSERT(EVP_EncryptInit_ex2(stream->cipher, chacha20_cipher, key, iv, NULL) == 1);
}

void xf_chacha_fill(struct xf_chacha *stream, void *out, size_t len) {
  uint8_t *p = out;
  memset(p, 0, len); /* the key stream is the encryption of zeros */
  while (len) {
    int n = len > 1 << 30 ? 1 << 30 : (int)len, done = 0;
    XF_ASSERT(EVP_EncryptUpdate(stream->cipher, p, &done, p, n) == 1 && done == n);
    p += n;
    len -= (size_t)n;
  }
}

void xf_chacha_deinit(struct xf_chacha *stream) {
  EVP_CIPHER_CTX_free(stream->cipher);
  stream->cipher = NULL;
}
