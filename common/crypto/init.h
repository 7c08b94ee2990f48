/*
 * init.h - brings the cryptographic libraries up, once per process, before anything else of crypto.
 *
 * Not for: per-object set-up. After it has succeeded, hashing and key streams cannot fail.
 * Fork: children of fork() must exec; our generators (random.h) are not safe across a bare fork.
 * Owner: the libraries own their state; nothing to release.
 * Thread: call from main before threads start; repeated calls are harmless.
 */
#ifndef XF_CRYPTO_INIT_H
#define XF_CRYPTO_INIT_H

#include "base/rc.h"

/* Initialises libsodium, fetches OpenSSL's algorithms and runs a known-answer test of each primitive.
   @err E_CRYPTO: a library is unusable here or computes wrong values @thread main */
XF_WARN_UNUSED enum xf_rc xf_crypto_start(void);

#endif
