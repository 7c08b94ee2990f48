/* The only file that knows libsodium: BLAKE2b, pseudonyms, the CSPRNG, secret memory. */
#include "base/assert.h"
#include "crypto/blake2b.h"
#include "crypto/parts.h"
#include "crypto/pseudonym.h"
#include "crypto/random.h"
#include "crypto/secret.h"

#include <sodium.h>
#include <string.h>

_Static_assert(sizeof(crypto_generichash_blake2b_state) == sizeof(struct xf_blake2b_ctx),
               "xf_blake2b_ctx holds libsodium's state");

enum xf_rc xf_crypto_start_sodium(void) { return sodium_init() < 0 ? XF_E_CRYPTO : XF_OK; }

/* libsodium wants its state aligned to 64; ours may lie in any heap struct, so it is worked on in an
   aligned copy (384 bytes, cheap beside the hashing). */
static void state_load(crypto_generichash_blake2b_state *st, const struct xf_blake2b_ctx *ctx) {
  memcpy(st, ctx->state, sizeof ctx->state);
}

static void state_save(struct xf_blake2b_ctx *ctx, crypto_generichash_blake2b_state *st) {
  memcpy(ctx->state, st, sizeof ctx->state);
  sodium_memzero(st, sizeof *st);
}

static void blake2b(uint8_t *out, size_t out_len, const uint8_t *key, const void *p, size_t len) {
  XF_ASSERT(crypto_generichash_blake2b(out, out_len, p, len, key, key ? XF_BLAKE2B_KEY_LEN : 0) ==
            0);
}

void xf_blake2b(struct xf_digest *out, const void *p, size_t len) {
  blake2b(out->b, XF_DIGEST_LEN, NULL, p, len);
}

void xf_blake2b_keyed(struct xf_digest *out, const uint8_t key[XF_BLAKE2B_KEY_LEN], const void *p,
                      size_t len) {
  blake2b(out->b, XF_DIGEST_LEN, key, p, len);
}

static void blake2b_init(struct xf_blake2b_ctx *ctx, const uint8_t *key, size_t out_len) {
  crypto_generichash_blake2b_state st;
  memset(&st, 0, sizeof st);
  XF_ASSERT(crypto_generichash_blake2b_init(&st, key, key ? XF_BLAKE2B_KEY_LEN : 0, out_len) == 0);
  state_save(ctx, &st);
}

void xf_blake2b_init(struct xf_blake2b_ctx *ctx, const uint8_t *key) {
  blake2b_init(ctx, key, XF_DIGEST_LEN);
}

void xf_blake2b_feed(struct xf_blake2b_ctx *ctx, const void *p, size_t len) {
  crypto_generichash_blake2b_state st;
  state_load(&st, ctx);
  XF_ASSERT(crypto_generichash_blake2b_update(&st, p, len) == 0);
  state_save(ctx, &st);
}

void xf_blake2b_feed_u64(struct xf_blake2b_ctx *ctx, uint64_t v) {
  uint8_t b[8];
  for (int i = 0; i < 8; i++) b[i] = (uint8_t)(v >> (8 * i));
  xf_blake2b_feed(ctx, b, sizeof b);
}

void xf_blake2b_feed_field(struct xf_blake2b_ctx *ctx, const void *p, size_t len) {
  xf_blake2b_feed_u64(ctx, len);
  xf_blake2b_feed(ctx, p, len);
}

static void blake2b_take(struct xf_blake2b_ctx *ctx, uint8_t *out, size_t out_len) {
  crypto_generichash_blake2b_state st;
  state_load(&st, ctx);
  XF_ASSERT(crypto_generichash_blake2b_final(&st, out, out_len) == 0);
  sodium_memzero(&st, sizeof st);
  sodium_memzero(ctx, sizeof *ctx);
}

void xf_blake2b_take(struct xf_blake2b_ctx *ctx, struct xf_digest *out) {
  blake2b_take(ctx, out->b, XF_DIGEST_LEN);
}

void xf_pseudonym(uint8_t out[XF_PSEUDONYM_LEN], const uint8_t key[XF_PSEUDONYM_KEY_LEN],
                  const char *name_space, const void *id, size_t id_len) {
  struct xf_blake2b_ctx ctx;
  blake2b_init(&ctx, key, XF_PSEUDONYM_LEN);
  xf_blake2b_feed_field(&ctx, name_space, strlen(name_space));
  xf_blake2b_feed(&ctx, id, id_len);
  blake2b_take(&ctx, out, XF_PSEUDONYM_LEN);
}

void xf_random_bytes(void *out, size_t len) { randombytes_buf(out, len); }

uint64_t xf_random_u64(void) {
  uint64_t v;
  randombytes_buf(&v, sizeof v);
  return v;
}

enum xf_rc xf_secret_init(struct xf_secret *secret, size_t len) {
  *secret = (struct xf_secret){.p = sodium_malloc(len), .len = len};
  if (!secret->p) return XF_E_NOMEM;
  sodium_memzero(secret->p, len); /* sodium_malloc fills with 0xdb */
  return XF_OK;
}

void xf_secret_deinit(struct xf_secret *secret) {
  sodium_free(secret->p);
  *secret = (struct xf_secret){0};
}

void xf_secret_wipe(void *p, size_t len) { sodium_memzero(p, len); }

bool xf_secret_equal(const void *a, const void *b, size_t len) {
  return sodium_memcmp(a, b, len) == 0;
}
