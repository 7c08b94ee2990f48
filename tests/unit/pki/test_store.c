/* Certificates judged by OpenSSL's real verification under our store and verdict. Issued at the real
   clock, because a store judges its CRL by it when it loads. */
#include "common.h"

#include "base/time.h"
#include "crypto/init.h"
#include "pki/store.h"
#include "pki/x509.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct xf_pki_store *store;

static void open_store(void) {
  struct xf_diag diag = {0};
  xf_pki_store_free(store);
  assert_ok(xf_pki_store_new(&store, scratch("ca/ca.pem"), scratch("ca/crl.pem"), &diag), &diag);
}

static int setup(void **state) {
  (void)state;
  issue_now = xf_wall_now_s();
  scratch_begin();
  ca_make("ca", XF_PKI_P256);
  open_store();
  return 0;
}

static int teardown(void **state) {
  (void)state;
  xf_pki_store_free(store);
  store = NULL;
  scratch_end();
  return 0;
}

static X509 *load(const char *name) {
  FILE *f = fopen(scratch(name), "r");
  assert_non_null(f);
  X509 *cert = PEM_read_X509(f, NULL, NULL, NULL);
  assert_int_equal(fclose(f), 0);
  assert_non_null(cert);
  return cert;
}

static EVP_PKEY *load_key(const char *name) {
  FILE *f = fopen(scratch(name), "r");
  assert_non_null(f);
  EVP_PKEY *key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
  assert_int_equal(fclose(f), 0);
  assert_non_null(key);
  return key;
}

/* Signs what a test has changed, with a key of the scratch directory. */
static void sign(X509 *cert, const char *key_name) {
  EVP_PKEY *key = load_key(key_name);
  assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
  EVP_PKEY_free(key);
}

static void drop_ext(X509 *cert, int nid) {
  int at = X509_get_ext_by_NID(cert, nid, -1);
  assert_true(at >= 0);
  X509_EXTENSION_free(X509_delete_ext(cert, at));
}

/* Replaces the alternative names by the given URIs. */
static void set_uris(X509 *cert, const char *a, const char *b) {
  const char *uris[] = {a, b};
  GENERAL_NAMES *names = GENERAL_NAMES_new();
  for (int i = 0; i < 2 && uris[i]; i++) {
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    assert_int_equal(ASN1_STRING_set(text, uris[i], -1), 1);
    GENERAL_NAME *name = GENERAL_NAME_new();
    GENERAL_NAME_set0_value(name, GEN_URI, text);
    assert_true(sk_GENERAL_NAME_push(names, name) > 0);
  }
  assert_int_equal(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_REPLACE), 1);
  GENERAL_NAMES_free(names);
}

static int step(int ok, X509_STORE_CTX *ctx) {
  return xf_pki_verdict_step(X509_STORE_CTX_get_app_data(ctx), ok, ctx);
}

/* As net does: chain, time, revocation and purpose of a peer's certificate. */
static bool judge_chain(struct xf_pki_verdict *verdict, X509 *cert, X509 *above, bool is_server) {
  X509_STORE_CTX *ctx = X509_STORE_CTX_new();
  STACK_OF(X509) *chain = sk_X509_new_null();
  if (above) assert_true(sk_X509_push(chain, above) > 0);
  xf_pki_verdict_init(verdict, is_server);
  assert_int_equal(X509_STORE_CTX_init(ctx, xf_pki_store_x509(store), cert, chain), 1);
  X509_STORE_CTX_set_purpose(ctx, is_server ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT);
  X509_STORE_CTX_set_app_data(ctx, verdict);
  X509_STORE_CTX_set_verify_cb(ctx, step);
  bool ok = X509_verify_cert(ctx) == 1;
  assert_int_equal(ok, verdict->error == X509_V_OK);
  assert_int_equal(ok, verdict->alert == 0);
  X509_STORE_CTX_free(ctx);
  sk_X509_free(chain);
  return ok;
}

static bool judge(struct xf_pki_verdict *verdict, X509 *cert, bool is_server) {
  return judge_chain(verdict, cert, NULL, is_server);
}

static void assert_verdict(const struct xf_pki_verdict *v, int error, int alert, const char *text) {
  if (v->error != error || v->alert != alert || !strstr(v->diag.text, text))
    print_error("got %d, alert %d: %s\nwanted %d, alert %d: %s\n", v->error, v->alert, v->diag.text,
                error, alert, text);
  assert_int_equal(v->error, error);
  assert_int_equal(v->alert, alert);
  assert_non_null(strstr(v->diag.text, text));
  assert_non_null(xf_pki_alert_text(alert));
}

/* Takes cert. */
static void assert_refused(X509 *cert, bool is_server, int error, int alert, const char *text) {
  struct xf_pki_verdict v;
  assert_false(judge(&v, cert, is_server));
  assert_verdict(&v, error, alert, text);
  X509_free(cert);
}

static void test_good(void **state) {
  (void)state;
  static const enum xf_pki_key kinds[] = {XF_PKI_P256, XF_PKI_ED25519};
  for (size_t i = 0; i < 2; i++) {
    struct xf_leaf_options o = {.key = kinds[i], .replace = true};
    struct xf_pki_verdict v;
    struct xf_identity id;
    struct xf_diag diag = {0};
    char serial[XF_SERIAL_CAP];
    struct xf_pki_issued issued = leaf_make("ca", XF_PKI_ROLE_CLIENT, "books-01", &o);
    leaf_make("ca", XF_PKI_ROLE_COORDINATOR, "hub", &o);
    leaf_make("ca", XF_PKI_ROLE_OPERATOR, "ops", &o);
    X509 *client = load("books-01.pem"), *server = load("hub.pem"), *admin = load("ops.pem");
    assert_true(judge(&v, client, false));
    assert_true(judge(&v, admin, false));
    assert_true(judge(&v, server, true));
    assert_ok(xf_identity_from_cert(&id, client, &diag), &diag);
    assert_true(xf_identity_equal(&id, &issued.identity));
    assert_string_equal(xf_pki_cert_serial(serial, client), issued.serial);
    assert_int_equal(xf_pki_cert_not_after_s(client), issued.not_after_s);
    X509_free(client);
    X509_free(server);
    X509_free(admin);
  }
}

static void test_ed25519_ca(void **state) {
  (void)state;
  struct xf_diag diag = {0};
  struct xf_pki_verdict v;
  ca_make("ed", XF_PKI_ED25519);
  leaf_make("ed", XF_PKI_ROLE_CLIENT, "books-01", NULL);
  xf_pki_store_free(store);
  assert_ok(xf_pki_store_new(&store, scratch("ed/ca.pem"), scratch("ed/crl.pem"), &diag), &diag);
  X509 *client = load("books-01.pem");
  assert_true(judge(&v, client, false));
  X509_free(client);
}

static void test_times(void **state) {
  (void)state;
  struct xf_leaf_options o = {.not_before_s = issue_now - 3 * DAY, .not_after_s = issue_now - DAY};
  leaf_make("ca", XF_PKI_ROLE_CLIENT, "old", &o);
  assert_refused(load("old.pem"), false, X509_V_ERR_CERT_HAS_EXPIRED, 45,
                 "renew it: crossfed pki issue --dir CA_DIR --role client --member old");
  char text[80], when[XF_WALL_LEN];
  xf_wall_print(when, (issue_now - DAY) * 1000000);
  (void)snprintf(text, sizeof text, "certificate of old expired %.19sZ; ", when);
  assert_refused(load("old.pem"), false, X509_V_ERR_CERT_HAS_EXPIRED, 45, text);
  o = (struct xf_leaf_options){.not_before_s = issue_now + DAY, .not_after_s = issue_now + 2 * DAY};
  leaf_make("ca", XF_PKI_ROLE_CLIENT, "early", &o);
  assert_refused(load("early.pem"), false, X509_V_ERR_CERT_NOT_YET_VALID, 42,
                 "check the clocks of both hosts");
}

static void test_wrong_ca(void **state) {
  (void)state;
  ca_make("other", XF_PKI_P256); /* the same name, another key */
  leaf_make("other", XF_PKI_ROLE_CLIENT, "spy", NULL);
  assert_refused(load("spy.pem"), false, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, 48,
                 "certificate of spy was issued by a CA that is not trusted here");
  X509 *self = load("spy.pem");
  assert_int_equal(X509_set_issuer_name(self, X509_get_subject_name(self)), 1);
  drop_ext(self, NID_authority_key_identifier);
  sign(self, "spy.key");
  assert_refused(self, false, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, 48, "is signed by itself");
  leaf_make("ca", XF_PKI_ROLE_CLIENT, "books-01", NULL);
  X509 *bent = load("books-01.pem"); /* names our CA, but another key signed it */
  set_uris(bent, "crossfed://alpha/client/films-01", NULL);
  sign(bent, "other/ca.key");
  assert_refused(bent, false, X509_V_ERR_CERT_SIGNATURE_FAILURE, 51, "signature");
}

/* A member's own certificate must not work as a CA. */
static void test_leaf_as_ca(void **state) {
  (void)state;
  struct xf_pki_verdict v;
  leaf_make("ca", XF_PKI_ROLE_CLIENT, "books-01", NULL);
  leaf_make("ca", XF_PKI_ROLE_CLIENT, "films-01", NULL);
  X509 *above = load("books-01.pem"), *cert = load("films-01.pem");
  assert_int_equal(X509_set_issuer_name(cert, X509_get_subject_name(above)), 1);
  drop_ext(cert, NID_authority_key_identifier);
  sign(cert, "books-01.key");
  assert_false(judge_chain(&v, cert, above, false));
  assert_int_equal(v.error, X509_V_ERR_INVALID_CA);
  assert_int_equal(v.alert, 48);
  X509_free(above);
  X509_free(cert);
}

static void test_usage(void **state) {
  (void)state;
  leaf_make("ca", XF_PKI_ROLE_CLIENT, "books-01", NULL);
  leaf_make("ca", XF_PKI_ROLE_COORDINATOR, "hub", NULL);
  assert_refused(load("books-01.pem"), true, X509_V_ERR_INVALID_PURPOSE, 43,
                 "it needs serverAuth: crossfed pki issue --dir CA_DIR --role coordinator");
  assert_refused(load("hub.pem"), false, X509_V_ERR_INVALID_PURPOSE, 43, "it needs clientAuth");
  X509 *none = load("books-01.pem"); /* OpenSSL alone would let this pass */
  drop_ext(none, NID_ext_key_usage);
  sign(none, "ca/ca.key");
  assert_refused(none, false, X509_V_ERR_INVALID_PURPOSE, 43, "extended key usage");
}

static void assert_nobody(X509 *cert, const char *text) {
  struct xf_identity id;
  struct xf_diag diag = {0};
  assert_says(xf_identity_from_cert(&id, cert, &diag), XF_E_AUTH, &diag, text);
  assert_int_equal(id.member[0], 0);
}

static void test_san(void **state) {
  (void)state;
  struct xf_leaf_options o = {.host = "books.example"};
  struct xf_identity id;
  leaf_make("ca", XF_PKI_ROLE_CLIENT, "books-01", &o);
  X509 *cert = load("books-01.pem");
  assert_int_equal(xf_identity_from_cert(&id, cert, NULL), XF_OK); /* the host does not disturb */
  set_uris(cert, "crossfed://alpha/client/a", "crossfed://alpha/client/b");
  assert_nobody(cert, "more than one URI");
  set_uris(cert, "crossfed://alpha/client/A", NULL);
  assert_nobody(cert, "its name is malformed: \"crossfed://alpha/client/A\" is not an identity");
  set_uris(cert, "https://books.example/", NULL);
  assert_nobody(cert, "is not an identity");
  set_uris(cert, NULL, NULL);
  assert_nobody(cert, "no URI");
  drop_ext(cert, NID_subject_alt_name);
  assert_nobody(cert, "no URI");
  X509_free(cert);
  cert = load("books-01.pem"); /* the extension twice */
  X509_EXTENSION *ext = X509_get_ext(cert, X509_get_ext_by_NID(cert, NID_subject_alt_name, -1));
  assert_int_equal(X509_add_ext(cert, ext, -1), 1);
  assert_nobody(cert, "given twice");
  X509_free(cert);
}

static void test_revoked(void **state) {
  (void)state;
  struct xf_diag diag = {0};
  struct xf_pki_verdict v;
  struct xf_ca_options o = {0};
  size_t n;
  struct xf_pki_issued a = leaf_make("ca", XF_PKI_ROLE_CLIENT, "books-01", NULL);
  struct xf_pki_issued b = leaf_make("ca", XF_PKI_ROLE_CLIENT, "films-01", NULL);
  assert_false(xf_pki_store_changed(store));
  assert_ok(xf_pki_revoke(&n, scratch("ca"), "books-01", NULL, XF_PKI_KEY_COMPROMISE, &o, &diag),
            &diag);
  assert_true(xf_pki_store_changed(store));
  assert_false(xf_pki_is_revoked(store, a.serial));
  assert_ok(xf_pki_store_reload(store, &diag), &diag);
  assert_false(xf_pki_store_changed(store));
  assert_true(xf_pki_is_revoked(store, a.serial));
  assert_false(xf_pki_is_revoked(store, b.serial));
  assert_false(xf_pki_is_revoked(store, "zz"));
  assert_false(xf_pki_is_revoked(store, ""));
  assert_refused(load("books-01.pem"), false, X509_V_ERR_CERT_REVOKED, 44,
                 "certificate of books-01 is revoked");
  X509 *other = load("films-01.pem");
  assert_true(judge(&v, other, false));
  X509_free(other);
}

/* A CRL that fell due while the daemon ran: refused, but the peer is not told that it is to blame. */
static void test_crl_due(void **state) {
  (void)state;
  struct xf_diag diag = {0};
  leaf_make("ca", XF_PKI_ROLE_CLIENT, "books-01", NULL);
  struct xf_ca_options o = {.crl_days = 1};
  assert_ok(xf_pki_crl_refresh(scratch("ca"), &o, &diag), &diag);
  open_store();
  int64_t due = xf_pki_store_crl_due_s(store);
  assert_in_range(due, issue_now + DAY, issue_now + DAY + 60);
  xf_pki_store_set_time(store, due + 1);
  X509 *cert = load("books-01.pem");
  struct xf_pki_verdict v;
  assert_false(judge(&v, cert, false));
  assert_verdict(&v, X509_V_ERR_CRL_HAS_EXPIRED, 80, "the revocation list was due");
  assert_int_equal(v.diag.rc, XF_E_CONFIG);
  xf_pki_store_set_time(store, 0);
  assert_true(judge(&v, cert, false));
  X509_free(cert);
}

static void test_store_refused(void **state) {
  (void)state;
  struct xf_diag diag = {0};
  struct xf_pki_store *s;
  const char *ca = scratch("ca/ca.pem"), *crl = scratch("ca/crl.pem");
  assert_says(xf_pki_store_new(&s, scratch("none"), NULL, &diag), XF_E_NOTFOUND, &diag, "none");
  assert_null(s);
  assert_says(xf_pki_store_new(&s, ca, scratch("none"), &diag), XF_E_NOTFOUND, &diag,
              "the configured revocation list");
  assert_says(xf_pki_store_new(&s, crl, NULL, &diag), XF_E_FORMAT, &diag, "holds no certificate");
  assert_says(xf_pki_store_new(&s, ca, ca, &diag), XF_E_FORMAT, &diag, "holds no revocation list");
  leaf_make("ca", XF_PKI_ROLE_CLIENT, "m", NULL);
  assert_says(xf_pki_store_new(&s, scratch("m.pem"), NULL, &diag), XF_E_FORMAT, &diag,
              "is not that of a CA");
  ca_make("other", XF_PKI_P256);
  assert_says(xf_pki_store_new(&s, ca, scratch("other/crl.pem"), &diag), XF_E_AUTH, &diag,
              "not signed by the configured CA");
  struct xf_ca_options o = {.now_s = issue_now - 5 * DAY, .crl_days = 1};
  assert_ok(xf_pki_crl_refresh(scratch("ca"), &o, &diag), &diag);
  assert_says(xf_pki_store_new(&s, ca, crl, &diag), XF_E_AUTH, &diag, "was due");
  assert_says(xf_pki_store_reload(store, &diag), XF_E_AUTH, &diag, "was due");
  X509 *cert = load("m.pem"); /* the old list stays in force */
  struct xf_pki_verdict v;
  assert_true(judge(&v, cert, false));
  X509_free(cert);
  o.now_s = issue_now + 5 * DAY;
  assert_ok(xf_pki_crl_refresh(scratch("ca"), &o, &diag), &diag);
  assert_says(xf_pki_store_new(&s, ca, crl, &diag), XF_E_AUTH, &diag, "check the clock");
  assert_ok(xf_pki_store_new_at(&s, ca, crl, o.now_s, &diag), &diag);
  xf_pki_store_free(s);
}

static enum xf_rc own(struct xf_pki_own *out, const char *cert, const char *key,
                      enum xf_pki_role role, struct xf_diag *diag) {
  return xf_pki_own_check(out, store, scratch(cert), scratch(key), role, diag);
}

static void test_own(void **state) {
  (void)state;
  struct xf_diag diag = {0};
  struct xf_pki_own got;
  struct xf_pki_issued a = leaf_make("ca", XF_PKI_ROLE_CLIENT, "a", NULL);
  leaf_make("ca", XF_PKI_ROLE_CLIENT, "b", NULL);
  assert_ok(own(&got, "a.pem", "a.key", XF_PKI_ROLE_CLIENT, &diag), &diag);
  assert_true(xf_identity_equal(&got.identity, &a.identity));
  assert_string_equal(got.serial, a.serial);
  assert_int_equal(got.not_after_s, a.not_after_s);
  assert_says(own(&got, "a.pem", "b.key", XF_PKI_ROLE_CLIENT, &diag), XF_E_AUTH, &diag,
              "is not the key of");
  assert_says(own(&got, "a.pem", "a.key", XF_PKI_ROLE_COORDINATOR, &diag), XF_E_AUTH, &diag,
              "is the certificate of a client; this program needs one of a coordinator");
  assert_says(own(&got, "a.pem", "a.pem", XF_PKI_ROLE_CLIENT, &diag), XF_E_AUTH, &diag,
              "chmod 0600");
  assert_says(own(&got, "none", "a.key", XF_PKI_ROLE_CLIENT, &diag), XF_E_NOTFOUND, &diag, "none");
  assert_says(own(&got, "a.key", "a.key", XF_PKI_ROLE_CLIENT, &diag), XF_E_FORMAT, &diag,
              "holds no certificate");
  assert_int_equal(chmod(scratch("a.key"), 0644), 0);
  assert_says(own(&got, "a.pem", "a.key", XF_PKI_ROLE_CLIENT, &diag), XF_E_AUTH, &diag,
              "mode 0644");
  assert_int_equal(chmod(scratch("a.key"), 0640), 0);
  xf_pki_store_set_time(store, a.not_after_s + 1);
  struct xf_ca_options o = {.crl_days = 60};
  assert_ok(xf_pki_crl_refresh(scratch("ca"), &o, &diag), &diag);
  assert_ok(xf_pki_store_reload(store, &diag), &diag);
  assert_says(own(&got, "a.pem", "a.key", XF_PKI_ROLE_CLIENT, &diag), XF_E_AUTH, &diag,
              "a.pem: certificate of a expired");
}

/* Runs `openssl verify` of the scratch directory's files; its exit status, or -1 without openssl. */
static int openssl_verify(const char *cert) {
  char *argv[] = {(char[]){"openssl"},
                  (char[]){"verify"},
                  (char[]){"-x509_strict"},
                  (char[]){"-crl_check"},
                  (char[]){"-CAfile"},
                  (char *)(uintptr_t)scratch("ca/ca.pem"),
                  (char[]){"-CRLfile"},
                  (char *)(uintptr_t)scratch("ca/crl.pem"),
                  (char *)(uintptr_t)scratch(cert),
                  NULL};
  posix_spawn_file_actions_t quiet;
  pid_t pid;
  int status = 0;
  assert_int_equal(posix_spawn_file_actions_init(&quiet), 0);
  for (int fd = 1; fd <= 2; fd++)
    assert_int_equal(posix_spawn_file_actions_addopen(&quiet, fd, "/dev/null", 1, 0), 0);
  int rc = posix_spawnp(&pid, argv[0], &quiet, NULL, argv, environ);
  posix_spawn_file_actions_destroy(&quiet);
  if (rc) return -1;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* The command of OpenSSL, in its strict mode, agrees with us. */
static void test_openssl_command(void **state) {
  (void)state;
  struct xf_diag diag = {0};
  struct xf_ca_options o = {0};
  size_t n;
  leaf_make("ca", XF_PKI_ROLE_CLIENT, "a", NULL);
  leaf_make("ca", XF_PKI_ROLE_CLIENT, "b", NULL);
  int status = openssl_verify("a.pem");
  if (status == -1) {
    print_message("skipped: no openssl command here\n");
    skip();
  }
  assert_int_equal(status, 0);
  assert_ok(xf_pki_revoke(&n, scratch("ca"), "a", NULL, XF_PKI_SUPERSEDED, &o, &diag), &diag);
  assert_int_not_equal(openssl_verify("a.pem"), 0);
  assert_int_equal(openssl_verify("b.pem"), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_good, setup, teardown),
      cmocka_unit_test_setup_teardown(test_ed25519_ca, setup, teardown),
      cmocka_unit_test_setup_teardown(test_times, setup, teardown),
      cmocka_unit_test_setup_teardown(test_wrong_ca, setup, teardown),
      cmocka_unit_test_setup_teardown(test_leaf_as_ca, setup, teardown),
      cmocka_unit_test_setup_teardown(test_usage, setup, teardown),
      cmocka_unit_test_setup_teardown(test_san, setup, teardown),
      cmocka_unit_test_setup_teardown(test_revoked, setup, teardown),
      cmocka_unit_test_setup_teardown(test_crl_due, setup, teardown),
      cmocka_unit_test_setup_teardown(test_store_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(test_own, setup, teardown),
      cmocka_unit_test_setup_teardown(test_openssl_command, setup, teardown),
  };
  if (xf_crypto_start()) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
