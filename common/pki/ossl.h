/*
 * ossl.h - private to pki: OpenSSL's errors, times, serials and PEM files in our terms.
 * Not for: other modules. Owner: as said per function. Thread: any (OpenSSL's error queue is per
 * thread).
 */
#ifndef XF_PKI_OSSL_H
#define XF_PKI_OSSL_H

#include "base/buf.h"
#include "base/diag.h"
#include "pki/store.h"

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

/* Largest files read: certificates and keys, CRLs. */
enum { XF_PEM_MAX = 1 << 20, XF_CRL_MAX = 16 << 20 };

/* Records "<text>: <OpenSSL's reason>" and empties OpenSSL's error queue. @err rc */
enum xf_rc xf_ossl_fail(struct xf_diag *diag, enum xf_rc rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* UTC text without fractions: 2026-11-24T02:15:33Z; returns out. @own caller's buffer */
enum { XF_TIME_CAP = 32 };
const char *xf_ossl_time_print(char out[XF_TIME_CAP], int64_t s);
/* Seconds since 1970 of an ASN.1 time; INT64_MIN if malformed. @unit s */
int64_t xf_ossl_time_get(const ASN1_TIME *t);
/* A new ASN.1 time, NULL outside the years 1950 to 9999. @own caller: ASN1_TIME_free */
ASN1_TIME *xf_ossl_time_new(int64_t s);
/* Serial as lower-case hex; "" if negative or longer than 20 bytes; returns out. @own caller's buffer */
const char *xf_ossl_serial_print(char out[XF_SERIAL_CAP], const ASN1_INTEGER *serial);
/* A serial from hex; NULL if it is none. @own caller: ASN1_INTEGER_free */
ASN1_INTEGER *xf_ossl_serial_parse(const char *hex);
/* Whether the text is 1 to 40 hex digits, lower case. @thread any */
bool xf_ossl_serial_check(const char *hex);

/* Reads a whole file and wraps it; the BIO borrows buf's bytes. Release the BIO, then wipe or deinit
   buf. @own caller: BIO_free, xf_buf_deinit @err E_NOTFOUND E_LIMIT E_IO */
XF_WARN_UNUSED enum xf_rc xf_pem_open(BIO **out, struct xf_buf *buf, const char *path, size_t max,
                                      struct xf_diag *diag);
/* Writes what a memory BIO holds: durably, with this mode; an existing file is an error unless
   replace. @err E_EXISTS E_IO */
XF_WARN_UNUSED enum xf_rc xf_pem_write(const char *path, BIO *mem, unsigned mode, bool replace,
                                       struct xf_diag *diag);
/* The one certificate a file begins with. @own caller: X509_free @err E_NOTFOUND E_FORMAT */
XF_WARN_UNUSED enum xf_rc xf_pem_load_cert(X509 **out, const char *path, struct xf_diag *diag);
/* Writes a certificate as 0644. @err as xf_pem_write */
XF_WARN_UNUSED enum xf_rc xf_pem_save_cert(const char *path, X509 *cert, bool replace,
                                           struct xf_diag *diag);

#endif
