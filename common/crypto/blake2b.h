/*
 * blake2b.h - BLAKE2b: task ids, hash chains, model digests, key derivation.
 *
 * Not for: payload and checkpoint digests (SHA-256, sha256.h: faster here); passwords.
 * Equals Python's hashlib.blake2b(digest_size=32[, key=...]). libsodium's code: OpenSSL 3.0 silently
 * ignores a 32-byte output size.
 * Owner: the caller. Thread: a context belongs to one thread at a time.
 */
#ifndef XF_CRYPTO_BLAKE2B_H
#define XF_CRYPTO_BLAKE2B_H

#include "base/digest.h"

#include <stddef.h>
#include <stdint.h>

enum { XF_BLAKE2B_KEY_LEN = 32 };

/* One running digest; plain storage of any alignment, no allocation. */
struct xf_blake2b_ctx {
  uint8_t state[384];
};

/* BLAKE2b-256 of len bytes. @thread any @source RFC 7693 */
void xf_blake2b(struct xf_digest *out, const void *p, size_t len);
/* Keyed BLAKE2b-256 (a MAC and PRF). @thread any @source RFC 7693 */
void xf_blake2b_keyed(struct xf_digest *out, const uint8_t key[XF_BLAKE2B_KEY_LEN], const void *p,
                      size_t len);
/* Starts a digest of no bytes; key NULL: unkeyed. @own copies key; nothing to release, but wiped by
   xf_blake2b_take */
void xf_blake2b_init(struct xf_blake2b_ctx *ctx, const uint8_t *key);
/* Appends len bytes. @own borrows p */
void xf_blake2b_feed(struct xf_blake2b_ctx *ctx, const void *p, size_t len);
/* Appends v as eight little-endian bytes. @own ctx */
void xf_blake2b_feed_u64(struct xf_blake2b_ctx *ctx, uint64_t v);
/* Appends a length (u64, little-endian) and then the bytes, so that neighbouring fields cannot run
   into each other. @own borrows p */
void xf_blake2b_feed_field(struct xf_blake2b_ctx *ctx, const void *p, size_t len);
/* Gives the digest and wipes the state; start again with init. @own ctx */
void xf_blake2b_take(struct xf_blake2b_ctx *ctx, struct xf_digest *out);

#endif
