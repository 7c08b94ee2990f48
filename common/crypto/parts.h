/*
 * parts.h - private to crypto: the start-up of the two files that know a library.
 * Not for: other modules; they call xf_crypto_start (init.h). Owner: none. Thread: main, once.
 */
#ifndef XF_CRYPTO_PARTS_H
#define XF_CRYPTO_PARTS_H

#include "base/rc.h"

/* libsodium's start-up. @err E_CRYPTO */
XF_WARN_UNUSED enum xf_rc xf_crypto_start_sodium(void);
/* Fetches the EVP algorithms. @err E_CRYPTO */
XF_WARN_UNUSED enum xf_rc xf_crypto_start_evp(void);

#endif
