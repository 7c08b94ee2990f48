/*
 * ca.h - the private certificate authority of a federation, as a directory of files.
 *
 *   <dir>/ca.pem     certificate, given to every member       <dir>/ca.key   private key, 0600, never leaves
 *   <dir>/crl.pem    revocation list, given to every member   <dir>/index.txt every certificate issued
 *
 * For the operator's tool; daemons only read ca.pem and crl.pem (store.h).
 * Owner: files belong to the directory; commands exclude each other by a lock. Thread: any.
 */
#ifndef XF_PKI_CA_H
#define XF_PKI_CA_H

#include "base/diag.h"
#include "pki/identity.h"
#include "pki/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum xf_pki_key { XF_PKI_P256, XF_PKI_ED25519 };

/* Days when an option is 0. */
enum { XF_PKI_CA_DAYS = 1826, XF_PKI_LEAF_DAYS = 30, XF_PKI_CRL_DAYS = 30 };

/* X(NAME, text, CRL reason code of RFC 5280 section 5.3.1) */
#define XF_PKI_REASONS(X)                \
  X(UNSPECIFIED, "unspecified", 0)       \
  X(KEY_COMPROMISE, "key-compromise", 1) \
  X(SUPERSEDED, "superseded", 4)         \
  X(CESSATION, "cessation", 5)

enum xf_pki_reason {
#define XF_PKI_REASON_ENUM(n, t, code) XF_PKI_##n = (code),
  XF_PKI_REASONS(XF_PKI_REASON_ENUM)
#undef XF_PKI_REASON_ENUM
};

struct xf_ca_options {
  int64_t now_s; /* 0: the system's clock */
  unsigned days; /* 0: the default */
  unsigned crl_days;
  enum xf_pki_key key;
};

struct xf_leaf_options {
  int64_t now_s;                     /* 0: the system's clock */
  unsigned days;                     /* 0: the default, but never beyond the CA's own end */
  int64_t not_before_s, not_after_s; /* exact times; 0: an hour ago, and `days` from now */
  enum xf_pki_key key;               /* of the key made by xf_pki_issue */
  const char *host; /* further SAN, DNS name or address, for other programs; NULL */
  bool replace;     /* existing files are replaced (renewal) */
};

struct xf_pki_issued {
  struct xf_identity identity;
  char serial[XF_SERIAL_CAP];
  int64_t not_before_s, not_after_s;
};

/* A new CA in dir (made with 0700 when absent), with an empty CRL.
   @err E_INVAL E_EXISTS E_IO E_CRYPTO @own files */
XF_WARN_UNUSED enum xf_rc xf_pki_ca_create(const char *dir, const char *federation,
                                           const struct xf_ca_options *options,
                                           struct xf_diag *diag);
/* Makes a key and a certificate for a member. The key file gets 0600.
   @err E_INVAL E_EXISTS E_NOTFOUND E_AUTH (CA expired) E_LOCKED E_IO @own files */
XF_WARN_UNUSED enum xf_rc xf_pki_issue(struct xf_pki_issued *out, const char *dir,
                                       enum xf_pki_role role, const char *member,
                                       const char *cert_path, const char *key_path,
                                       const struct xf_leaf_options *options, struct xf_diag *diag);
/* Signs a request (csr.h) whose key stays with the member. The request must name exactly this role
   and member of this federation and be signed by its own key.
   @err E_INVAL E_AUTH E_FORMAT E_EXISTS E_LOCKED E_IO @own files */
XF_WARN_UNUSED enum xf_rc xf_pki_sign_csr(struct xf_pki_issued *out, const char *dir,
                                          const char *csr_path, enum xf_pki_role role,
                                          const char *member, const char *cert_path,
                                          const struct xf_leaf_options *options,
                                          struct xf_diag *diag);
/* Revokes certificates of a member (all not yet revoked or expired), or the one with this serial
   (the other argument NULL), and writes a new CRL.
   @shape n_revoked: how many, >= 1 after OK @err E_NOTFOUND E_EXISTS (already revoked) E_LOCKED E_IO */
XF_WARN_UNUSED enum xf_rc xf_pki_revoke(size_t *n_revoked, const char *dir, const char *member,
                                        const char *serial_hex, enum xf_pki_reason reason,
                                        const struct xf_ca_options *options, struct xf_diag *diag);
/* Writes a new CRL with the next number and a later due date. @err E_NOTFOUND E_LOCKED E_IO */
XF_WARN_UNUSED enum xf_rc xf_pki_crl_refresh(const char *dir, const struct xf_ca_options *options,
                                             struct xf_diag *diag);
/* Parses "p256|ed25519", or a reason's name. @err E_INVAL */
XF_WARN_UNUSED enum xf_rc xf_pki_key_parse(enum xf_pki_key *out, const char *s,
                                           struct xf_diag *diag);
XF_WARN_UNUSED enum xf_rc xf_pki_reason_parse(enum xf_pki_reason *out, const char *s,
                                              struct xf_diag *diag);

/* One line of index.txt. */
struct xf_pki_entry {
  char serial[XF_SERIAL_CAP];
  int64_t not_before_s, not_after_s;
  enum xf_pki_role role;
  char member[XF_ID_CAP];
  int64_t revoked_s; /* 0: not revoked */
  enum xf_pki_reason reason;
};

/* Calls visit for every certificate issued, in the order of issue. @err E_NOTFOUND E_FORMAT, or what
   visit returned @own entries are borrowed */
XF_WARN_UNUSED enum xf_rc
xf_pki_list(const char *dir, enum xf_rc (*visit)(void *arg, const struct xf_pki_entry *entry),
            void *arg, struct xf_diag *diag);

#endif
