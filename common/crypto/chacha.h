/*
 * chacha.h - the ChaCha20-IETF key stream: noise generators now, bulk masks later.
 *
 * Not for: encrypting anything by itself (no authentication). A key is used for one vector only.
 * OpenSSL's code, about three times as fast as libsodium's on long vectors; a test compares the two.
 * Owner: the caller. Thread: one at a time.
 */
#ifndef XF_CRYPTO_CHACHA_H
#define XF_CRYPTO_CHACHA_H

#include <stddef.h>
#include <stdint.h>

enum { XF_CHACHA_KEY_LEN = 32, XF_CHACHA_NONCE_LEN = 12 };

struct evp_cipher_ctx_st;

struct xf_chacha {
  struct evp_cipher_ctx_st *cipher;
};

/* A key stream from its block `counter` (64 bytes a block). @own copies key and nonce; release with
   xf_chacha_deinit @source RFC 8439 section 2.4 */
void xf_chacha_init(struct xf_chacha *stream, const uint8_t key[XF_CHACHA_KEY_LEN],
                    const uint8_t nonce[XF_CHACHA_NONCE_LEN], uint32_t counter);
/* The next len bytes of the stream. @unit at most 2^32 blocks from counter 0 per key and nonce */
void xf_chacha_fill(struct xf_chacha *stream, void *out, size_t len);
/* Wipes and releases; idempotent, legal on a zeroed struct. @own takes the state */
void xf_chacha_deinit(struct xf_chacha *stream);

#endif
