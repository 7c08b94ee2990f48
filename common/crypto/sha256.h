/*
 * sha256.h - SHA-256: digests of payloads, checkpoint data, plans and layouts.
 *
 * Not for: task ids, chains, pseudonyms, key derivation (BLAKE2b, blake2b.h); secrets.
 * Nothing here fails after xf_crypto_start() has succeeded.
 * Owner: the caller. Thread: a context belongs to one thread at a time.
 */
#ifndef XF_CRYPTO_SHA256_H
#define XF_CRYPTO_SHA256_H

#include "base/digest.h"

#include <stddef.h>

struct evp_md_ctx_st;

/* One running digest. Reusable: after init, feeding and taking allocate nothing. */
struct xf_sha256_ctx {
  struct evp_md_ctx_st *md;
};

/* The digest of len bytes. @thread any @source FIPS 180-4 */
void xf_sha256(struct xf_digest *out, const void *p, size_t len);
/* Starts a digest of no bytes. @own caller, release with xf_sha256_deinit */
void xf_sha256_init(struct xf_sha256_ctx *ctx);
/* Appends len bytes. @own borrows p */
void xf_sha256_feed(struct xf_sha256_ctx *ctx, const void *p, size_t len);
/* Gives the digest of everything fed and starts afresh. @own ctx stays usable */
void xf_sha256_take(struct xf_sha256_ctx *ctx, struct xf_digest *out);
/* Forgets what was fed and starts afresh. @own ctx stays usable */
void xf_sha256_reset(struct xf_sha256_ctx *ctx);
/* Releases; idempotent, legal on a zeroed struct. @own takes the state */
void xf_sha256_deinit(struct xf_sha256_ctx *ctx);

#endif
