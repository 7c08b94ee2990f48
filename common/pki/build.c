/* Extensions are built as objects, never from OpenSSL's configuration text, so no value of ours can
   be read as syntax. */
#include "pki/build.h"

#include "base/str.h"
#include "crypto/random.h"
#include "crypto/sha256.h"
#include "pki/key.h"
#include "pki/ossl.h"

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

/* Different organisations, so that a member called like its federation never looks self-issued. */
static const char ORG_CA[] = "crossfed CA", ORG_LEAF[] = "crossfed";

static bool name_set(X509_NAME *name, const char *org, const char *cn) {
  return X509_NAME_add_entry_by_NID(name, NID_organizationName, MBSTRING_UTF8,
                                    (const unsigned char *)org, -1, -1, 0) &&
         X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, (const unsigned char *)cn,
                                    -1, -1, 0);
}

static bool serial_set(X509 *cert) {
  uint8_t b[16];
  xf_random_bytes(b, sizeof b);
  b[0] = (uint8_t)((b[0] & 0x7f) | 0x40); /* positive, always 16 bytes */
  BIGNUM *n = BN_bin2bn(b, sizeof b, NULL);
  bool ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
  BN_free(n);
  return ok;
}

static bool times_set(X509 *cert, int64_t from_s, int64_t to_s) {
  ASN1_TIME *from = xf_ossl_time_new(from_s), *to = xf_ossl_time_new(to_s);
  bool ok = from && to && X509_set1_notBefore(cert, from) && X509_set1_notAfter(cert, to);
  ASN1_TIME_free(from);
  ASN1_TIME_free(to);
  return ok;
}

static bool add(X509 *cert, int nid, void *value, bool critical) {
  return value && X509_add1_ext_i2d(cert, nid, value, critical, X509V3_ADD_DEFAULT) == 1;
}

static bool add_basic(X509 *cert, bool ca) {
  BASIC_CONSTRAINTS *bc = BASIC_CONSTRAINTS_new();
  if (!bc) return false;
  bc->ca = ca ? 0xff : 0;
  bool ok = !ca || ((bc->pathlen = ASN1_INTEGER_new()) && ASN1_INTEGER_set(bc->pathlen, 0));
  ok = ok && add(cert, NID_basic_constraints, bc, true);
  BASIC_CONSTRAINTS_free(bc);
  return ok;
}

static bool add_usage(X509 *cert, bool ca) {
  ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new(); /* 0 digitalSignature, 5 keyCertSign, 6 cRLSign */
  bool ok = bits && (ca ? ASN1_BIT_STRING_set_bit(bits, 5, 1) && ASN1_BIT_STRING_set_bit(bits, 6, 1)
                        : ASN1_BIT_STRING_set_bit(bits, 0, 1));
  ok = ok && add(cert, NID_key_usage, bits, true);
  ASN1_BIT_STRING_free(bits);
  return ok;
}

static bool add_purpose(X509 *cert, enum xf_pki_role role) {
  EXTENDED_KEY_USAGE *eku = EXTENDED_KEY_USAGE_new();
  ASN1_OBJECT *purpose =
      OBJ_nid2obj(role == XF_PKI_ROLE_COORDINATOR ? NID_server_auth : NID_client_auth);
  bool ok = eku && sk_ASN1_OBJECT_push(eku, purpose) && add(cert, NID_ext_key_usage, eku, false);
  EXTENDED_KEY_USAGE_free(eku);
  return ok;
}

/* The issuer's id is taken from its certificate, but of a CA's own, which is not signed yet and so
   cannot be asked. @source RFC 7093 section 2 method 1: the leftmost 160 bits of SHA-256 of the key */
static bool add_key_ids(X509 *cert, X509 *ca) {
  const ASN1_BIT_STRING *pub = X509_get0_pubkey_bitstr(cert);
  struct xf_digest d;
  xf_sha256(&d, ASN1_STRING_get0_data(pub), (size_t)ASN1_STRING_length(pub));
  ASN1_OCTET_STRING *skid = ASN1_OCTET_STRING_new();
  AUTHORITY_KEYID *akid = AUTHORITY_KEYID_new();
  bool ok = skid && akid && ASN1_OCTET_STRING_set(skid, d.b, 20) &&
            add(cert, NID_subject_key_identifier, skid, false);
  const ASN1_OCTET_STRING *issuer = ca ? X509_get0_subject_key_id(ca) : skid;
  ok = ok && issuer && (akid->keyid = ASN1_OCTET_STRING_dup(issuer)) &&
       add(cert, NID_authority_key_identifier, akid, false);
  ASN1_OCTET_STRING_free(skid);
  AUTHORITY_KEYID_free(akid);
  return ok;
}

static bool push(GENERAL_NAMES *names, int type, ASN1_STRING *value) {
  GENERAL_NAME *name = value ? GENERAL_NAME_new() : NULL;
  if (!name) {
    ASN1_STRING_free(value);
    return false;
  }
  GENERAL_NAME_set0_value(name, type, value);
  if (sk_GENERAL_NAME_push(names, name)) return true;
  GENERAL_NAME_free(name);
  return false;
}

static ASN1_STRING *ia5(const char *s) {
  ASN1_STRING *v = ASN1_IA5STRING_new();
  if (v && ASN1_STRING_set(v, s, -1)) return v;
  ASN1_STRING_free(v);
  return NULL;
}

static bool is_host(const char *s) {
  size_t n = strlen(s);
  return n >= 1 && n <= 253 && s[0] != '-' && s[0] != '.' &&
         strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == n;
}

/* The identity's URI and perhaps a host. @own caller: GENERAL_NAMES_free */
static enum xf_rc alt_names(GENERAL_NAMES **out, const struct xf_identity *id, const char *host,
                            struct xf_diag *diag) {
  char uri[XF_IDENTITY_CAP];
  GENERAL_NAMES *names = GENERAL_NAMES_new();
  bool ok = names && push(names, GEN_URI, ia5(xf_identity_print(uri, id)));
  if (ok && host) {
    ASN1_OCTET_STRING *ip = a2i_IPADDRESS(host);
    if (!ip && !is_host(host)) {
      GENERAL_NAMES_free(names);
      *out = NULL;
      return xf_diag_set(diag, XF_E_INVAL, "\"%.100s\" is neither a DNS name nor an address", host);
    }
    ok = push(names, ip ? GEN_IPADD : GEN_DNS, ip ? ip : ia5(host));
  }
  if (!ok) {
    GENERAL_NAMES_free(names);
    names = NULL;
  }
  *out = names;
  return ok ? XF_OK : xf_ossl_fail(diag, XF_E_CRYPTO, "cannot build the alternative names");
}

enum xf_rc xf_build_cert(X509 **out, const struct xf_cert_spec *spec, struct xf_diag *diag) {
  bool ca = !spec->ca;
  X509 *cert = NULL;
  GENERAL_NAMES *names = NULL;
  enum xf_rc rc = XF_OK;
  *out = NULL;
  if (!ca) rc = alt_names(&names, spec->leaf, spec->host, diag);
  if (rc) goto out;
  rc = XF_E_CRYPTO;
  if (!(cert = X509_new()) || !X509_set_version(cert, X509_VERSION_3) || !serial_set(cert))
    goto out;
  if (!times_set(cert, spec->not_before_s, spec->not_after_s)) {
    rc = xf_diag_set(diag, XF_E_INVAL, "validity outside the years 1950 to 9999");
    goto out;
  }
  if (!name_set(X509_get_subject_name(cert), ca ? ORG_CA : ORG_LEAF,
                ca ? spec->federation : spec->leaf->member) ||
      !X509_set_issuer_name(cert, X509_get_subject_name(ca ? cert : spec->ca)) ||
      !X509_set_pubkey(cert, spec->key))
    goto out;
  if (!add_basic(cert, ca) || !add_usage(cert, ca) || !add_key_ids(cert, spec->ca)) goto out;
  if (!ca &&
      (!add_purpose(cert, spec->leaf->role) || !add(cert, NID_subject_alt_name, names, false)))
    goto out;
  if (X509_sign(cert, spec->ca_key, xf_key_md(spec->ca_key)) <= 0) goto out;
  *out = cert;
  cert = NULL;
  rc = XF_OK;
out:
  if (rc == XF_E_CRYPTO) xf_ossl_fail(diag, rc, "cannot build a certificate");
  X509_free(cert);
  GENERAL_NAMES_free(names);
  return rc;
}

enum xf_rc xf_build_csr(X509_REQ **out, const struct xf_identity *id, const char *host,
                        EVP_PKEY *key, struct xf_diag *diag) {
  GENERAL_NAMES *names = NULL;
  STACK_OF(X509_EXTENSION) *exts = NULL;
  *out = NULL;
  enum xf_rc rc = alt_names(&names, id, host, diag);
  if (rc) return rc;
  X509_REQ *req = X509_REQ_new();
  bool ok = req && X509_REQ_set_version(req, X509_REQ_VERSION_1) &&
            name_set(X509_REQ_get_subject_name(req), ORG_LEAF, id->member) &&
            X509_REQ_set_pubkey(req, key) &&
            X509V3_add1_i2d(&exts, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1 &&
            X509_REQ_add_extensions(req, exts) && X509_REQ_sign(req, key, xf_key_md(key)) > 0;
  sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
  GENERAL_NAMES_free(names);
  if (ok) {
    *out = req;
    return XF_OK;
  }
  X509_REQ_free(req);
  return xf_ossl_fail(diag, XF_E_CRYPTO, "cannot build a request");
}

static bool crl_add(X509_CRL *crl, const struct xf_pki_entry *e) {
  X509_REVOKED *r = X509_REVOKED_new();
  ASN1_INTEGER *serial = xf_ossl_serial_parse(e->serial);
  ASN1_TIME *when = xf_ossl_time_new(e->revoked_s);
  ASN1_ENUMERATED *reason = ASN1_ENUMERATED_new();
  bool ok = r && serial && when && reason && X509_REVOKED_set_serialNumber(r, serial) &&
            X509_REVOKED_set_revocationDate(r, when);
  if (ok && e->reason != XF_PKI_UNSPECIFIED) /* the standard wants it left out */
    ok = ASN1_ENUMERATED_set(reason, e->reason) &&
         X509_REVOKED_add1_ext_i2d(r, NID_crl_reason, reason, 0, X509V3_ADD_DEFAULT) == 1;
  if (ok && X509_CRL_add0_revoked(crl, r)) r = NULL; /* now the CRL's */
  else ok = false;
  X509_REVOKED_free(r);
  ASN1_INTEGER_free(serial);
  ASN1_TIME_free(when);
  ASN1_ENUMERATED_free(reason);
  return ok;
}

/* crlNumber and the issuer's key id. */
static bool crl_extend(X509_CRL *crl, X509 *ca, uint64_t number) {
  ASN1_INTEGER *n = ASN1_INTEGER_new();
  AUTHORITY_KEYID *akid = AUTHORITY_KEYID_new();
  const ASN1_OCTET_STRING *skid = X509_get0_subject_key_id(ca);
  bool ok =
      n && akid && skid && ASN1_INTEGER_set_uint64(n, number) &&
      (akid->keyid = ASN1_OCTET_STRING_dup(skid)) &&
      X509_CRL_add1_ext_i2d(crl, NID_authority_key_identifier, akid, 0, X509V3_ADD_DEFAULT) == 1 &&
      X509_CRL_add1_ext_i2d(crl, NID_crl_number, n, 0, X509V3_ADD_DEFAULT) == 1;
  ASN1_INTEGER_free(n);
  AUTHORITY_KEYID_free(akid);
  return ok;
}

enum xf_rc xf_build_crl(X509_CRL **out, X509 *ca, EVP_PKEY *ca_key, const struct xf_index *index,
                        int64_t now_s, int64_t due_s, struct xf_diag *diag) {
  X509_CRL *crl = X509_CRL_new();
  ASN1_TIME *now = xf_ossl_time_new(now_s), *due = xf_ossl_time_new(due_s);
  bool ok = crl && now && due && X509_CRL_set_version(crl, X509_CRL_VERSION_2) &&
            X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)) &&
            X509_CRL_set1_lastUpdate(crl, now) && X509_CRL_set1_nextUpdate(crl, due) &&
            crl_extend(crl, ca, index->crl_number);
  for (size_t i = 0; ok && i < index->n; i++)
    if (index->v[i].revoked_s) ok = crl_add(crl, &index->v[i]);
  ok = ok && X509_CRL_sort(crl) && X509_CRL_sign(crl, ca_key, xf_key_md(ca_key)) > 0;
  ASN1_TIME_free(now);
  ASN1_TIME_free(due);
  *out = ok ? crl : NULL;
  if (ok) return XF_OK;
  X509_CRL_free(crl);
  return xf_ossl_fail(diag, XF_E_CRYPTO, "cannot build a revocation list");
}
