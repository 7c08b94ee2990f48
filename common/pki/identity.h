/*
 * identity.h - who a certificate speaks for: federation, role, member; and its URI
 * crossfed://<federation>/<role>/<member>, the only thing in a certificate that names anybody.
 *
 * Not for: host names and common names (ignored everywhere); certificates (x509.h).
 * Owner: plain values. Thread: any.
 */
#ifndef XF_PKI_IDENTITY_H
#define XF_PKI_IDENTITY_H

#include "base/diag.h"

#include <stdbool.h>
#include <stddef.h>

/* X(NAME, text) */
#define XF_ROLES(X)             \
  X(COORDINATOR, "coordinator") \
  X(CLIENT, "client")           \
  X(OPERATOR, "operator")

enum xf_pki_role {
#define XF_PKI_ROLE_ENUM(n, t) XF_PKI_ROLE_##n,
  XF_ROLES(XF_PKI_ROLE_ENUM)
#undef XF_PKI_ROLE_ENUM
};

enum { XF_ID_CAP = 64, XF_IDENTITY_CAP = 160 }; /* sizes with NUL */

struct xf_identity {
  char federation[XF_ID_CAP]; /* [a-z0-9-]{1,63} */
  enum xf_pki_role role;
  char member[XF_ID_CAP]; /* [a-z0-9-]{1,63} */
};

/* The role's name. @own static */
const char *xf_pki_role_name(enum xf_pki_role role);
/* Parses a role's name. @err E_INVAL */
XF_WARN_UNUSED enum xf_rc xf_pki_role_parse(enum xf_pki_role *out, const char *s,
                                            struct xf_diag *diag);
/* Builds an identity, checking both ids. @err E_INVAL */
XF_WARN_UNUSED enum xf_rc xf_identity_init(struct xf_identity *out, const char *federation,
                                           enum xf_pki_role role, const char *member,
                                           struct xf_diag *diag);
/* The URI; returns out. @own caller's buffer */
const char *xf_identity_print(char out[XF_IDENTITY_CAP], const struct xf_identity *id);
/* Parses exactly the URI: no port, query, percent signs, upper case, empty or further parts.
   @err E_FORMAT */
XF_WARN_UNUSED enum xf_rc xf_identity_parse(struct xf_identity *out, const char *uri, size_t len,
                                            struct xf_diag *diag);
/* Whether all three parts are equal. @thread any */
bool xf_identity_equal(const struct xf_identity *a, const struct xf_identity *b);

#endif
