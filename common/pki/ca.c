/* Order of writes in every command: what must not be lost first. A certificate is in the index before
   it exists as a file, so each certificate that ever was can be revoked. */
#include "pki/ca.h"

#include "base/fs.h"
#include "base/str.h"
#include "base/time.h"
#include "pki/build.h"
#include "pki/key.h"
#include "pki/ossl.h"
#include "pki/san.h"
#include "pki/x509.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { DAY_S = 86400, BACKDATE_S = 3600, DAYS_MAX = 36525 };

/* An opened CA directory. */
struct ca {
  char cert_path[XF_PATH_MAX], key_path[XF_PATH_MAX], crl_path[XF_PATH_MAX];
  const char *dir;
  int lock;
  X509 *cert;
  EVP_PKEY *key;
  struct xf_index index;
};

static enum xf_rc ca_paths(struct ca *ca, const char *dir, struct xf_diag *diag) {
  *ca = (struct ca){.dir = dir, .lock = -1};
  xf_index_init(&ca->index);
  enum xf_rc rc = xf_fs_join(ca->cert_path, dir, "ca.pem");
  if (!rc) rc = xf_fs_join(ca->key_path, dir, "ca.key");
  if (!rc) rc = xf_fs_join(ca->crl_path, dir, "crl.pem");
  return rc ? xf_diag_set(diag, rc, "path too long: \"%.64s...\"", dir) : XF_OK;
}

/* One command at a time: index and CRL number are read, changed and written back. */
static enum xf_rc ca_lock(struct ca *ca, struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  enum xf_rc rc = xf_fs_join(path, ca->dir, "lock");
  if (rc) return xf_diag_set(diag, rc, "path too long: \"%.64s...\"", ca->dir);
  ca->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (ca->lock < 0)
    return xf_diag_set(diag, xf_rc_from_errno(errno), "cannot open \"%s\": %s", path,
                       strerror(errno));
  if (flock(ca->lock, LOCK_EX | LOCK_NB) == 0) return XF_OK;
  return xf_diag_set(diag, errno == EWOULDBLOCK ? XF_E_LOCKED : XF_E_IO,
                     "\"%s\" is in use by another command; try again when it has ended", ca->dir);
}

static void ca_close(struct ca *ca) {
  if (ca->lock >= 0) (void)close(ca->lock); /* nothing was written to it */
  ca->lock = -1;
  X509_free(ca->cert);
  xf_key_free(ca->key);
  xf_index_deinit(&ca->index);
}

static enum xf_rc ca_open(struct ca *ca, const char *dir, struct xf_diag *diag) {
  enum xf_rc rc = ca_paths(ca, dir, diag);
  if (!rc && !xf_fs_exists(xf_fs_posix(), ca->cert_path))
    rc = xf_diag_set(diag, XF_E_NOTFOUND,
                     "\"%s\" holds no CA (no ca.pem); make one: crossfed pki ca --dir %s "
                     "--federation NAME",
                     dir, dir);
  if (!rc) rc = ca_lock(ca, diag);
  if (!rc) rc = xf_index_load(&ca->index, dir, diag);
  if (!rc) rc = xf_pem_load_cert(&ca->cert, ca->cert_path, diag);
  if (!rc) rc = xf_key_load(&ca->key, ca->key_path, diag);
  if (!rc && X509_check_private_key(ca->cert, ca->key) != 1)
    rc = xf_ossl_fail(diag, XF_E_AUTH, "\"%s\" is not the key of \"%s\"", ca->key_path,
                      ca->cert_path);
  return rc;
}

static enum xf_rc days_check(unsigned days, struct xf_diag *diag) {
  if (days <= DAYS_MAX) return XF_OK;
  return xf_diag_set(diag, XF_E_INVAL, "%u days is too long; use at most %d", days, DAYS_MAX);
}

/* Writes the next CRL of the index. The index with the new number is saved first: a number is never
   used twice, even if the CRL cannot be written. */
static enum xf_rc ca_write_crl(struct ca *ca, int64_t now_s, unsigned days, struct xf_diag *diag) {
  X509_CRL *crl = NULL;
  BIO *mem = NULL;
  enum xf_rc rc = days_check(days, diag);
  if (rc) return rc;
  if (!days) days = XF_PKI_CRL_DAYS;
  ca->index.crl_number++;
  rc = xf_build_crl(&crl, ca->cert, ca->key, &ca->index, now_s - BACKDATE_S,
                    now_s + (int64_t)days * DAY_S, diag);
  if (!rc) rc = xf_index_save(&ca->index, ca->dir, diag);
  if (!rc && (!(mem = BIO_new(BIO_s_mem())) || !PEM_write_bio_X509_CRL(mem, crl)))
    rc = xf_ossl_fail(diag, XF_E_CRYPTO, "cannot encode \"%s\"", ca->crl_path);
  if (!rc) rc = xf_pem_write(ca->crl_path, mem, 0644, true, diag);
  BIO_free(mem);
  X509_CRL_free(crl);
  return rc;
}

static int64_t now_or(int64_t now_s) { return now_s ? now_s : xf_wall_now_s(); }

enum xf_rc xf_pki_ca_create(const char *dir, const char *federation,
                            const struct xf_ca_options *options, struct xf_diag *diag) {
  struct ca ca;
  int64_t now = now_or(options->now_s);
  unsigned days = options->days ? options->days : XF_PKI_CA_DAYS;
  enum xf_rc rc = ca_paths(&ca, dir, diag);
  if (!rc && !xf_str_is_id(federation))
    rc = xf_diag_set(diag, XF_E_INVAL,
                     "federation \"%.70s\" is not valid; use 1 to 63 of the characters a-z 0-9 -",
                     federation);
  if (!rc) rc = days_check(days, diag);
  errno = 0;
  if (!rc && (rc = xf_fs_posix()->mkdir(xf_fs_posix(), dir, 0700)) != XF_OK)
    xf_diag_set(diag, rc, "cannot make the directory \"%s\": %s", dir, strerror(errno));
  if (!rc) rc = ca_lock(&ca, diag);
  if (!rc && (xf_fs_exists(xf_fs_posix(), ca.cert_path)))
    rc = xf_diag_set(diag, XF_E_EXISTS,
                     "\"%s\" holds a CA already; a new one would cut every member off: choose "
                     "another directory",
                     dir);
  if (!rc) rc = xf_key_new(&ca.key, options->key, diag);
  if (!rc) rc = xf_key_save(ca.key_path, ca.key, false, diag);
  if (!rc) {
    struct xf_cert_spec spec = {.ca_key = ca.key,
                                .key = ca.key,
                                .federation = federation,
                                .not_before_s = now - BACKDATE_S,
                                .not_after_s = now + (int64_t)days * DAY_S};
    rc = xf_build_cert(&ca.cert, &spec, diag);
    if (!rc) rc = xf_str_copy(ca.index.federation, sizeof ca.index.federation, federation);
    if (!rc) rc = ca_write_crl(&ca, now, options->crl_days, diag);
    if (!rc) rc = xf_pem_save_cert(ca.cert_path, ca.cert, false, diag); /* last: now it is a CA */
    if (rc) { /* half a CA is none; the lock and the check above say that both files are ours */
      (void)xf_fs_posix()->unlink(xf_fs_posix(), ca.cert_path);
      (void)xf_fs_posix()->unlink(xf_fs_posix(), ca.key_path);
    }
  }
  ca_close(&ca);
  return rc;
}

/* The validity of a leaf: exact times where given, else from an hour ago (clocks differ) for `days`,
   but within the CA's. */
static enum xf_rc leaf_times(struct xf_pki_issued *out, const struct ca *ca,
                             const struct xf_leaf_options *o, struct xf_diag *diag) {
  char text[XF_TIME_CAP];
  int64_t now = now_or(o->now_s), end = xf_pki_cert_not_after_s(ca->cert);
  unsigned days = o->days ? o->days : XF_PKI_LEAF_DAYS;
  enum xf_rc rc = days_check(days, diag);
  if (rc) return rc;
  if (end <= now)
    return xf_diag_set(diag, XF_E_AUTH,
                       "the CA in \"%s\" expired %s; make a new one in another directory and give "
                       "its ca.pem to every member",
                       ca->dir, xf_ossl_time_print(text, end));
  out->not_before_s = o->not_before_s ? o->not_before_s : now - BACKDATE_S;
  out->not_after_s = o->not_after_s ? o->not_after_s : now + (int64_t)days * DAY_S;
  if (!o->not_after_s && out->not_after_s > end) out->not_after_s = end;
  if (out->not_after_s > end)
    return xf_diag_set(diag, XF_E_INVAL, "the certificate would outlive its CA, which ends %s",
                       xf_ossl_time_print(text, end));
  if (out->not_after_s <= out->not_before_s)
    return xf_diag_set(diag, XF_E_INVAL, "the certificate would end before it begins (%s)",
                       xf_ossl_time_print(text, out->not_before_s));
  return XF_OK;
}

/* Nothing is overwritten by accident, and nothing is recorded for files that cannot be written. */
static enum xf_rc paths_check(const char *cert_path, const char *key_path, bool replace,
                              struct xf_diag *diag) {
  const char *paths[] = {key_path, cert_path};
  for (size_t i = 0; !replace && i < 2; i++)
    if (paths[i] && xf_fs_exists(xf_fs_posix(), paths[i]))
      return xf_diag_set(diag, XF_E_EXISTS,
                         "\"%s\" exists already and is not overwritten; choose another path, or "
                         "--replace to renew",
                         paths[i]);
  return XF_OK;
}

/* Makes the certificate of `key` for out->identity and records it. @own caller: X509_free(*cert) */
static enum xf_rc ca_certify(struct xf_pki_issued *out, X509 **cert, struct ca *ca, EVP_PKEY *key,
                             const struct xf_leaf_options *o, struct xf_diag *diag) {
  struct xf_pki_entry e = {.role = out->identity.role};
  enum xf_rc rc = leaf_times(out, ca, o, diag);
  if (rc) return rc;
  struct xf_cert_spec spec = {.ca = ca->cert,
                              .ca_key = ca->key,
                              .key = key,
                              .leaf = &out->identity,
                              .host = o->host,
                              .not_before_s = out->not_before_s,
                              .not_after_s = out->not_after_s};
  rc = xf_build_cert(cert, &spec, diag);
  if (rc) return rc;
  xf_ossl_serial_print(out->serial, X509_get0_serialNumber(*cert));
  memcpy(e.serial, out->serial, sizeof e.serial);
  memcpy(e.member, out->identity.member, sizeof e.member);
  e.not_before_s = out->not_before_s;
  e.not_after_s = out->not_after_s;
  rc = xf_index_add(&ca->index, &e);
  if (rc) return xf_diag_set(diag, rc, "no memory for the index of \"%s\"", ca->dir);
  return xf_index_save(&ca->index, ca->dir, diag);
}

enum xf_rc xf_pki_issue(struct xf_pki_issued *out, const char *dir, enum xf_pki_role role,
                        const char *member, const char *cert_path, const char *key_path,
                        const struct xf_leaf_options *options, struct xf_diag *diag) {
  struct ca ca;
  EVP_PKEY *key = NULL;
  X509 *cert = NULL;
  *out = (struct xf_pki_issued){0};
  enum xf_rc rc = ca_open(&ca, dir, diag);
  if (!rc) rc = xf_identity_init(&out->identity, ca.index.federation, role, member, diag);
  if (!rc) rc = paths_check(cert_path, key_path, options->replace, diag);
  if (!rc) rc = xf_key_new(&key, options->key, diag);
  if (!rc) rc = ca_certify(out, &cert, &ca, key, options, diag);
  if (!rc) rc = xf_key_save(key_path, key, options->replace, diag);
  if (!rc) {
    rc = xf_pem_save_cert(cert_path, cert, options->replace, diag);
    if (rc && !options->replace) /* of no use alone */
      (void)xf_fs_posix()->unlink(xf_fs_posix(), key_path);
  }
  X509_free(cert);
  xf_key_free(key);
  ca_close(&ca);
  return rc;
}

static enum xf_rc csr_load(X509_REQ **out, const char *path, struct xf_diag *diag) {
  struct xf_buf buf;
  BIO *bio;
  *out = NULL;
  enum xf_rc rc = xf_pem_open(&bio, &buf, path, XF_PEM_MAX, diag);
  if (!rc && !(*out = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL)))
    rc = xf_ossl_fail(diag, XF_E_FORMAT, "\"%s\" holds no certificate request in PEM form", path);
  BIO_free(bio);
  xf_buf_deinit(&buf);
  return rc;
}

/* What a request must be: signed by its own strong key, and naming whom the operator expects. */
static enum xf_rc csr_check(X509_REQ *req, const char *path, const struct xf_identity *want,
                            struct xf_diag *diag) {
  struct xf_identity got;
  char a[XF_IDENTITY_CAP], b[XF_IDENTITY_CAP];
  EVP_PKEY *key = X509_REQ_get0_pubkey(req);
  if (!key) return xf_ossl_fail(diag, XF_E_FORMAT, "\"%s\" holds no usable public key", path);
  enum xf_rc rc = xf_key_check(key, path, diag);
  if (!rc && X509_REQ_verify(req, key) != 1)
    rc = xf_ossl_fail(diag, XF_E_AUTH,
                      "\"%s\" is not signed by the key it names; make a new request: crossfed pki "
                      "csr",
                      path);
  if (!rc) rc = xf_identity_from_csr(&got, req, diag);
  if (rc) return rc == XF_E_AUTH ? xf_diag_prefix(diag, rc, "request refused") : rc;
  if (xf_identity_equal(&got, want)) return XF_OK;
  return xf_diag_set(diag, XF_E_AUTH, "\"%s\" asks for %s, not for %s", path,
                     xf_identity_print(a, &got), xf_identity_print(b, want));
}

enum xf_rc xf_pki_sign_csr(struct xf_pki_issued *out, const char *dir, const char *csr_path,
                           enum xf_pki_role role, const char *member, const char *cert_path,
                           const struct xf_leaf_options *options, struct xf_diag *diag) {
  struct ca ca;
  X509_REQ *req = NULL;
  X509 *cert = NULL;
  *out = (struct xf_pki_issued){0};
  enum xf_rc rc = ca_open(&ca, dir, diag);
  if (!rc) rc = xf_identity_init(&out->identity, ca.index.federation, role, member, diag);
  if (!rc) rc = csr_load(&req, csr_path, diag);
  if (!rc) rc = csr_check(req, csr_path, &out->identity, diag);
  if (!rc) rc = paths_check(cert_path, NULL, options->replace, diag);
  if (!rc) rc = ca_certify(out, &cert, &ca, X509_REQ_get0_pubkey(req), options, diag);
  if (!rc) rc = xf_pem_save_cert(cert_path, cert, options->replace, diag);
  X509_free(cert);
  X509_REQ_free(req);
  ca_close(&ca);
  return rc;
}

enum xf_rc xf_pki_revoke(size_t *n_revoked, const char *dir, const char *member,
                         const char *serial_hex, enum xf_pki_reason reason,
                         const struct xf_ca_options *options, struct xf_diag *diag) {
  struct ca ca;
  int64_t now = now_or(options->now_s);
  size_t n_match = 0;
  *n_revoked = 0;
  if (!member == !serial_hex)
    return xf_diag_set(diag, XF_E_INVAL, "name either a member or a serial to revoke");
  enum xf_rc rc = ca_open(&ca, dir, diag);
  for (size_t i = 0; !rc && i < ca.index.n; i++) {
    struct xf_pki_entry *e = &ca.index.v[i];
    bool hit = member ? !strcmp(e->member, member) && e->not_after_s > now
                      : !strcmp(e->serial, serial_hex);
    n_match += hit;
    if (!hit || e->revoked_s) continue;
    e->revoked_s = now;
    e->reason = reason;
    ++*n_revoked;
  }
  if (!rc && !*n_revoked)
    rc = n_match
             ? xf_diag_set(diag, XF_E_EXISTS,
                           "%s \"%.70s\": revoked already; to write the list again: crossfed "
                           "pki crl --dir %s",
                           member ? "member" : "serial", member ? member : serial_hex, dir)
             : xf_diag_set(diag, XF_E_NOTFOUND,
                           "%s \"%.70s\": no certificate in force was issued from \"%s\"; list "
                           "them: crossfed pki show %s",
                           member ? "member" : "serial", member ? member : serial_hex, dir, dir);
  if (!rc) rc = ca_write_crl(&ca, now, options->crl_days, diag);
  ca_close(&ca);
  return rc;
}

enum xf_rc xf_pki_crl_refresh(const char *dir, const struct xf_ca_options *options,
                              struct xf_diag *diag) {
  struct ca ca;
  enum xf_rc rc = ca_open(&ca, dir, diag);
  if (!rc) rc = ca_write_crl(&ca, now_or(options->now_s), options->crl_days, diag);
  ca_close(&ca);
  return rc;
}

enum xf_rc xf_pki_list(const char *dir,
                       enum xf_rc (*visit)(void *arg, const struct xf_pki_entry *entry), void *arg,
                       struct xf_diag *diag) {
  struct xf_index index;
  xf_index_init(&index);
  enum xf_rc rc = xf_index_load(&index, dir, diag);
  for (size_t i = 0; !rc && i < index.n; i++) rc = visit(arg, &index.v[i]);
  xf_index_deinit(&index);
  return rc;
}

enum xf_rc xf_pki_key_parse(enum xf_pki_key *out, const char *s, struct xf_diag *diag) {
  if (!strcmp(s, "p256")) *out = XF_PKI_P256;
  else if (!strcmp(s, "ed25519")) *out = XF_PKI_ED25519;
  else return xf_diag_set(diag, XF_E_INVAL, "unknown key type \"%.40s\"; use p256 or ed25519", s);
  return XF_OK;
}
