/*
 * secret.h - memory for keys: guard pages, locked, not in core dumps, wiped on release.
 *
 * Not for: bulk data (each secret costs at least four pages). Never log what is in one; there is no
 * printer on purpose.
 * Owner: whoever called xf_secret_init. Thread: one at a time.
 */
#ifndef XF_CRYPTO_SECRET_H
#define XF_CRYPTO_SECRET_H

#include "base/rc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xf_secret {
  uint8_t *p;
  size_t len;
};

/* len guarded bytes, zeroed. @own caller, release with xf_secret_deinit @err E_NOMEM (also when the
   limit on locked memory is reached by the system's allocator) */
XF_WARN_UNUSED enum xf_rc xf_secret_init(struct xf_secret *secret, size_t len);
/* Wipes and releases; idempotent, legal on a zeroed struct. @own takes the bytes */
void xf_secret_deinit(struct xf_secret *secret);
/* Overwrites memory in a way the compiler cannot drop. @thread any */
void xf_secret_wipe(void *p, size_t len);
/* Compares in constant time. @thread any */
bool xf_secret_equal(const void *a, const void *b, size_t len);

#endif
