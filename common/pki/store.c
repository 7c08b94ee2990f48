#include "pki/store.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/time.h"
#include "pki/key.h"
#include "pki/ossl.h"
#include "pki/x509.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>

enum { CA_MAX = 16, CRL_MAX = 16, DEPTH_MAX = 2 };

/* What distinguishes two versions of a file; zero for a file that cannot be read. */
struct stamp {
  dev_t dev;
  ino_t ino;
  off_t size;
  struct timespec changed;
};

/* What was read from the two files, replaced as a whole. */
struct trust {
  X509_STORE *x;
  X509 *ca[CA_MAX];
  X509_CRL *crl[CRL_MAX];
  size_t n_ca, n_crl;
  int64_t crl_due_s;
  struct stamp ca_stamp, crl_stamp;
};

struct xf_pki_store {
  char *ca_path, *crl_path; /* crl_path NULL: no revocation */
  int64_t now_s;            /* 0: the system's clock */
  struct trust trust;
};

static struct stamp stamp_of(const char *path) {
  struct stat st;
  struct stamp s = {0};
  if (path && stat(path, &st) == 0) {
    s.dev = st.st_dev;
    s.ino = st.st_ino;
    s.size = st.st_size;
    s.changed = st.st_ctim;
  }
  return s;
}

static bool stamp_equal(const struct stamp *a, const struct stamp *b) {
  return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
         a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static int64_t store_now(const struct xf_pki_store *store) {
  return store->now_s ? store->now_s : xf_wall_now_s();
}

static void trust_deinit(struct trust *t) {
  for (size_t i = 0; i < t->n_ca; i++) X509_free(t->ca[i]);
  for (size_t i = 0; i < t->n_crl; i++) X509_CRL_free(t->crl[i]);
  X509_STORE_free(t->x);
  *t = (struct trust){0};
}

/* Whether reading PEM objects stopped because there are no more of them, not because of damage. */
static bool at_end(void) {
  unsigned long e = ERR_peek_last_error();
  bool end = ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
  if (end) ERR_clear_error();
  return end;
}

static enum xf_rc load_cas(struct trust *t, const char *path, int64_t now, struct xf_diag *diag) {
  struct xf_buf buf;
  BIO *bio;
  X509 *cert;
  char text[XF_TIME_CAP];
  int64_t latest = INT64_MIN;
  t->ca_stamp = stamp_of(path); /* before reading: a change under way is seen as one later */
  enum xf_rc rc = xf_pem_open(&bio, &buf, path, XF_PEM_MAX, diag);
  while (!rc && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
    int64_t end = xf_pki_cert_not_after_s(cert);
    if (end > latest) latest = end;
    if (t->n_ca == CA_MAX) {
      X509_free(cert);
      rc = xf_diag_set(diag, XF_E_LIMIT, "\"%s\" holds more than %d certificates", path, CA_MAX);
    } else {
      t->ca[t->n_ca++] = cert;
      if (X509_check_ca(cert) != 1)
        rc = xf_diag_set(diag, XF_E_FORMAT,
                         "certificate %zu of \"%s\" is not that of a CA; give the federation's "
                         "ca.pem",
                         t->n_ca, path);
      else if (X509_STORE_add_cert(t->x, cert) != 1)
        rc = xf_ossl_fail(diag, XF_E_CRYPTO, "cannot trust \"%s\"", path);
    }
  }
  if (!rc && !at_end()) rc = xf_ossl_fail(diag, XF_E_FORMAT, "\"%s\" is damaged", path);
  if (!rc && t->n_ca == 0)
    rc = xf_diag_set(diag, XF_E_FORMAT, "\"%s\" holds no certificate in PEM form", path);
  if (!rc && latest < now)
    rc = xf_diag_set(diag, XF_E_AUTH,
                     "the CA in \"%s\" expired %s; get the new ca.pem from the operator", path,
                     xf_ossl_time_print(text, latest));
  BIO_free(bio);
  xf_buf_deinit(&buf);
  return rc;
}

static bool crl_signed(const struct trust *t, X509_CRL *crl) {
  bool ok = false;
  for (size_t i = 0; i < t->n_ca && !ok; i++)
    ok = X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(t->ca[i])) == 0 &&
         X509_CRL_verify(crl, X509_get0_pubkey(t->ca[i])) == 1;
  ERR_clear_error(); /* of the CAs that did not sign it */
  return ok;
}

static enum xf_rc crl_check(struct trust *t, X509_CRL *crl, const char *path, int64_t now,
                            struct xf_diag *diag) {
  char a[XF_TIME_CAP], b[XF_TIME_CAP];
  int64_t from = xf_ossl_time_get(X509_CRL_get0_lastUpdate(crl));
  int64_t due = xf_ossl_time_get(X509_CRL_get0_nextUpdate(crl));
  if (from == INT64_MIN || due == INT64_MIN)
    return xf_diag_set(diag, XF_E_FORMAT,
                       "the revocation list \"%s\" does not say when it is due; make it with "
                       "crossfed pki crl",
                       path);
  if (!crl_signed(t, crl))
    return xf_diag_set(diag, XF_E_AUTH,
                       "the revocation list \"%s\" is not signed by the configured CA; copy "
                       "crl.pem from the same CA directory as ca.pem",
                       path);
  if (due < now)
    return xf_diag_set(
        diag, XF_E_AUTH,
        "the revocation list \"%s\" was due %s; the operator renews it with crossfed "
        "pki crl and gives every member the new crl.pem",
        path, xf_ossl_time_print(a, due));
  if (from > now)
    return xf_diag_set(
        diag, XF_E_AUTH,
        "the revocation list \"%s\" is from %s, and this host's clock says %s; check "
        "the clock",
        path, xf_ossl_time_print(a, from), xf_ossl_time_print(b, now));
  if (due < t->crl_due_s) t->crl_due_s = due;
  return XF_OK;
}

static enum xf_rc load_crls(struct trust *t, const char *path, int64_t now, struct xf_diag *diag) {
  struct xf_buf buf;
  BIO *bio;
  X509_CRL *crl;
  t->crl_stamp = stamp_of(path);
  enum xf_rc rc = xf_pem_open(&bio, &buf, path, XF_CRL_MAX, diag);
  if (rc) xf_diag_prefix(diag, rc, "the configured revocation list");
  while (!rc && (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL))) {
    if (t->n_crl == CRL_MAX) {
      X509_CRL_free(crl);
      rc = xf_diag_set(diag, XF_E_LIMIT, "\"%s\" holds more than %d lists", path, CRL_MAX);
    } else {
      t->crl[t->n_crl++] = crl;
      rc = crl_check(t, crl, path, now, diag);
      if (!rc && X509_STORE_add_crl(t->x, crl) != 1)
        rc = xf_ossl_fail(diag, XF_E_CRYPTO, "cannot use \"%s\"", path);
    }
  }
  if (!rc && !at_end()) rc = xf_ossl_fail(diag, XF_E_FORMAT, "\"%s\" is damaged", path);
  if (!rc && t->n_crl == 0)
    rc = xf_diag_set(diag, XF_E_FORMAT, "\"%s\" holds no revocation list in PEM form", path);
  BIO_free(bio);
  xf_buf_deinit(&buf);
  return rc;
}

static void apply_time(const struct xf_pki_store *store) {
  X509_VERIFY_PARAM *param = X509_STORE_get0_param(store->trust.x);
  if (store->now_s) X509_VERIFY_PARAM_set_time(param, (time_t)store->now_s);
  else (void)X509_VERIFY_PARAM_clear_flags(param, X509_V_FLAG_USE_CHECK_TIME); /* always 1 */
}

enum xf_rc xf_pki_store_reload(struct xf_pki_store *store, struct xf_diag *diag) {
  struct trust t = {.x = X509_STORE_new(), .crl_due_s = INT64_MAX};
  enum xf_rc rc = t.x ? XF_OK : xf_ossl_fail(diag, XF_E_NOMEM, "\"%s\"", store->ca_path);
  if (!rc) {
    X509_VERIFY_PARAM_set_depth(X509_STORE_get0_param(t.x), DEPTH_MAX);
    rc = load_cas(&t, store->ca_path, store_now(store), diag);
  }
  if (!rc && store->crl_path) {
    rc = load_crls(&t, store->crl_path, store_now(store), diag);
    if (!rc && X509_STORE_set_flags(t.x, X509_V_FLAG_CRL_CHECK) != 1)
      rc = xf_ossl_fail(diag, XF_E_CRYPTO, "cannot check revocation");
  }
  if (rc) {
    trust_deinit(&t);
    return rc;
  }
  trust_deinit(&store->trust);
  store->trust = t;
  apply_time(store);
  return XF_OK;
}

enum xf_rc xf_pki_store_new(struct xf_pki_store **out, const char *ca_path, const char *crl_path,
                            struct xf_diag *diag) {
  return xf_pki_store_new_at(out, ca_path, crl_path, 0, diag);
}

enum xf_rc xf_pki_store_new_at(struct xf_pki_store **out, const char *ca_path, const char *crl_path,
                               int64_t now_s, struct xf_diag *diag) {
  struct xf_pki_store *store = xf_calloc(1, sizeof *store);
  store->now_s = now_s;
  store->ca_path = xf_strdup(ca_path);
  store->crl_path = crl_path ? xf_strdup(crl_path) : NULL;
  enum xf_rc rc = xf_pki_store_reload(store, diag);
  if (rc) {
    xf_pki_store_free(store);
    store = NULL;
  }
  *out = store;
  return rc;
}

void xf_pki_store_free(struct xf_pki_store *store) {
  if (!store) return;
  trust_deinit(&store->trust);
  xf_free(store->ca_path);
  xf_free(store->crl_path);
  xf_free(store);
}

bool xf_pki_store_changed(const struct xf_pki_store *store) {
  struct stamp ca = stamp_of(store->ca_path), crl = stamp_of(store->crl_path);
  return !stamp_equal(&ca, &store->trust.ca_stamp) || !stamp_equal(&crl, &store->trust.crl_stamp);
}

int64_t xf_pki_store_crl_due_s(const struct xf_pki_store *store) { return store->trust.crl_due_s; }

bool xf_pki_is_revoked(const struct xf_pki_store *store, const char *serial_hex) {
  ASN1_INTEGER *serial = xf_ossl_serial_parse(serial_hex);
  bool revoked = false;
  for (size_t i = 0; serial && i < store->trust.n_crl && !revoked; i++) {
    X509_REVOKED *entry = NULL;
    revoked = X509_CRL_get0_by_serial(store->trust.crl[i], &entry, serial) == 1;
  }
  ASN1_INTEGER_free(serial);
  return revoked;
}

void xf_pki_store_set_time(struct xf_pki_store *store, int64_t now_s) {
  store->now_s = now_s;
  apply_time(store);
}

struct x509_store_st *xf_pki_store_x509(const struct xf_pki_store *store) {
  return store->trust.x;
}

static int own_step(int ok, X509_STORE_CTX *ctx) {
  return xf_pki_verdict_step(X509_STORE_CTX_get_app_data(ctx), ok, ctx);
}

/* Verifies the first certificate of a file; further ones are intermediates, as in TLS. */
static enum xf_rc own_verify(const struct xf_pki_store *store, X509 *cert, const char *path,
                             bool is_server, struct xf_diag *diag) {
  struct xf_pki_verdict verdict;
  struct xf_buf buf;
  BIO *bio;
  X509 *more;
  STACK_OF(X509) *chain = sk_X509_new_null();
  X509_STORE_CTX *ctx = X509_STORE_CTX_new();
  enum xf_rc rc = xf_pem_open(&bio, &buf, path, XF_PEM_MAX, diag);
  while (!rc && chain && (more = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
    if (!sk_X509_push(chain, more)) X509_free(more);
  if (!rc && !at_end()) rc = xf_ossl_fail(diag, XF_E_FORMAT, "\"%s\" is damaged", path);
  if (!rc && (!chain || !ctx || !X509_STORE_CTX_init(ctx, store->trust.x, cert, chain)))
    rc = xf_ossl_fail(diag, XF_E_NOMEM, "\"%s\"", path);
  if (!rc) {
    xf_pki_verdict_init(&verdict, is_server);
    X509_STORE_CTX_set_purpose(ctx, is_server ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT);
    X509_STORE_CTX_set_app_data(ctx, &verdict);
    X509_STORE_CTX_set_verify_cb(ctx, own_step);
    if (X509_verify_cert(ctx) != 1)
      rc = verdict.error ? xf_diag_set(diag, verdict.diag.rc, "%s: %.500s", path, verdict.diag.text)
                         : xf_ossl_fail(diag, XF_E_CRYPTO, "cannot verify \"%s\"", path);
  }
  X509_STORE_CTX_free(ctx);
  sk_X509_pop_free(chain, X509_free);
  BIO_free(bio);
  xf_buf_deinit(&buf);
  return rc;
}

enum xf_rc xf_pki_own_check(struct xf_pki_own *out, const struct xf_pki_store *store,
                            const char *cert_path, const char *key_path, enum xf_pki_role role,
                            struct xf_diag *diag) {
  X509 *cert = NULL;
  EVP_PKEY *key = NULL;
  *out = (struct xf_pki_own){0};
  enum xf_rc rc = xf_pem_load_cert(&cert, cert_path, diag);
  if (!rc) rc = xf_key_load(&key, key_path, diag);
  if (!rc && X509_check_private_key(cert, key) != 1)
    rc = xf_ossl_fail(diag, XF_E_AUTH, "\"%s\" is not the key of \"%s\"", key_path, cert_path);
  if (!rc && (rc = xf_identity_from_cert(&out->identity, cert, diag)) != XF_OK)
    xf_diag_prefix(diag, rc, "%s", cert_path);
  if (!rc && out->identity.role != role)
    rc = xf_diag_set(diag, XF_E_AUTH,
                     "\"%s\" is the certificate of a %s; this program needs one of a %s: crossfed "
                     "pki issue --role %s",
                     cert_path, xf_pki_role_name(out->identity.role), xf_pki_role_name(role),
                     xf_pki_role_name(role));
  if (!rc) rc = own_verify(store, cert, cert_path, role == XF_PKI_ROLE_COORDINATOR, diag);
  if (!rc) {
    out->not_after_s = xf_pki_cert_not_after_s(cert);
    xf_pki_cert_serial(out->serial, cert);
  }
  X509_free(cert);
  xf_key_free(key);
  return rc;
}
