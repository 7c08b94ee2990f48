/*
 * pseudonym.h - 128-bit keyed pseudonyms of user and item ids, per namespace (trusted alignment).
 *
 * The key is shared by the silos and never given to the coordinator: with it, ids can be enumerated.
 * The coordinator still learns which silos share a pseudonym.
 * Owner: the caller. Thread: any.
 */
#ifndef XF_CRYPTO_PSEUDONYM_H
#define XF_CRYPTO_PSEUDONYM_H

#include <stddef.h>
#include <stdint.h>

enum { XF_PSEUDONYM_LEN = 16, XF_PSEUDONYM_KEY_LEN = 32 };

/* The pseudonym of id[id_len] in a namespace: BLAKE2b-128, keyed, over
   u64le(len(namespace)) namespace id. @thread any @source RFC 7693 (keyed hashing) */
void xf_pseudonym(uint8_t out[XF_PSEUDONYM_LEN], const uint8_t key[XF_PSEUDONYM_KEY_LEN],
                  const char *name_space, const void *id, size_t id_len);

#endif
