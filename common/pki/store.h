/*
 * store.h - what a daemon trusts: the federation's CA certificates and, when configured, its CRL.
 *
 * Read at start, on SIGHUP and when a file changes; a failed reload keeps what was loaded before.
 * Not for: issuing (ca.h); judging a handshake (x509.h).
 * Owner: whoever called new. Thread: one (the loop's).
 */
#ifndef XF_PKI_STORE_H
#define XF_PKI_STORE_H

#include "base/diag.h"
#include "pki/identity.h"

#include <stdbool.h>
#include <stdint.h>

enum { XF_SERIAL_CAP = 42 }; /* a serial number in hex, with NUL */

struct xf_pki_store;

/* Loads ca_path (PEM, one or more CA certificates) and crl_path (PEM, one or more CRLs; NULL: no
   revocation). Every CRL must be signed by one of the CAs and be current.
   @own caller: xf_pki_store_free @err E_NOTFOUND E_FORMAT E_AUTH (expired, wrong signer) E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_pki_store_new(struct xf_pki_store **out, const char *ca_path,
                                           const char *crl_path, struct xf_diag *diag);
/* The same, judging at this instant as by xf_pki_store_set_time from the start. @err as new
   @unit now_s: s since 1970, 0: the system's clock */
XF_WARN_UNUSED enum xf_rc xf_pki_store_new_at(struct xf_pki_store **out, const char *ca_path,
                                              const char *crl_path, int64_t now_s,
                                              struct xf_diag *diag);
/* Releases; NULL is legal. Handshakes under way keep their reference. @own takes store */
void xf_pki_store_free(struct xf_pki_store *store);
/* Reads both files again. After an error the old contents stay in force. @err as new */
XF_WARN_UNUSED enum xf_rc xf_pki_store_reload(struct xf_pki_store *store, struct xf_diag *diag);
/* Whether a file differs from what was loaded (size, time, inode). @thread the owner's */
bool xf_pki_store_changed(const struct xf_pki_store *store);
/* When the earliest CRL falls due (INT64_MAX without CRL): warn before it does. @unit s since 1970 */
int64_t xf_pki_store_crl_due_s(const struct xf_pki_store *store);
/* Whether a certificate with this serial (hex, as xf_pki_cert_serial gives it) is revoked: for the
   sessions that are alive when the CRL changes. @err false for text that is no serial */
bool xf_pki_is_revoked(const struct xf_pki_store *store, const char *serial_hex);
/* Judges at this instant instead of the system's clock, until the next call (0: clock again). For
   tests and the simulator. @unit s since 1970 */
void xf_pki_store_set_time(struct xf_pki_store *store, int64_t now_s);

struct xf_pki_own {
  struct xf_identity identity;
  int64_t not_after_s;
  char serial[XF_SERIAL_CAP];
};

/* Checks a daemon's own certificate and key as its peers will: readable, key not open to others, key
   belongs to certificate, chain, time, revocation, extended key usage, identity, and that the role
   is `role`. @err E_NOTFOUND E_FORMAT E_AUTH @own plain values */
XF_WARN_UNUSED enum xf_rc xf_pki_own_check(struct xf_pki_own *out, const struct xf_pki_store *store,
                                           const char *cert_path, const char *key_path,
                                           enum xf_pki_role role, struct xf_diag *diag);

#endif
