/* The CA directory: creating, issuing, requests, revoking, what is left on disk. */
#include "common.h"

#include "crypto/init.h"
#include "pki/csr.h"
#include "pki/info.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int setup(void **state) {
  (void)state;
  scratch_begin();
  return 0;
}

static int teardown(void **state) {
  (void)state;
  scratch_end();
  return 0;
}

static unsigned mode_of(const char *path) {
  struct stat st;
  assert_int_equal(stat(path, &st), 0);
  return st.st_mode & 07777;
}

static void write_text(const char *path, const char *text) {
  struct xf_diag diag = {0};
  assert_ok(xf_fs_replace(xf_fs_posix(), path, text, strlen(text), &diag), &diag);
}

static void test_create(void **state) {
  (void)state;
  struct xf_diag diag = {0};
  struct xf_pki_info info;
  ca_make("ca", XF_PKI_P256);
  assert_int_equal(mode_of(scratch("ca")), 0700);
  assert_int_equal(mode_of(scratch("ca/ca.key")), 0600);
  assert_int_equal(mode_of(scratch("ca/ca.pem")), 0644);
  assert_ok(xf_pki_show(&info, scratch("ca/ca.pem"), &diag), &diag);
  assert_int_equal(info.kind, XF_PKI_KIND_CA);
  assert_string_equal(info.subject, "alpha");
  assert_string_equal(info.key, "p256");
  assert_int_equal(info.not_after_s, NOW + XF_PKI_CA_DAYS * DAY);
  assert_ok(xf_pki_show(&info, scratch("ca/crl.pem"), &diag), &diag);
  assert_int_equal(info.kind, XF_PKI_KIND_CRL);
  assert_int_equal(info.crl_number, 1);
  assert_int_equal(info.n_revoked, 0);
  assert_int_equal(info.not_after_s, NOW + XF_PKI_CRL_DAYS * DAY);
  struct xf_ca_options o = {.now_s = NOW};
  assert_says(xf_pki_ca_create(scratch("ca"), "alpha", &o, &diag), XF_E_EXISTS, &diag,
              "holds a CA already");
  assert_says(xf_pki_ca_create(scratch("b"), "Alpha", &o, &diag), XF_E_INVAL, &diag, "\"Alpha\"");
}

static void test_issue(void **state) {
  (void)state;
  struct xf_diag diag = {0};
  struct xf_pki_info info;
  ca_make("ca", XF_PKI_ED25519);
  struct xf_leaf_options o = {.host = "silo.example", .key = XF_PKI_ED25519};
  struct xf_pki_issued got = leaf_make("ca", XF_PKI_ROLE_CLIENT, "books-01", &o);
  assert_int_equal(mode_of(scratch("books-01.key")), 0600);
  assert_int_equal(got.not_after_s, NOW + XF_PKI_LEAF_DAYS * DAY);
  assert_int_equal(strlen(got.serial), 32);
  assert_ok(xf_pki_show(&info, scratch("books-01.pem"), &diag), &diag);
  assert_int_equal(info.kind, XF_PKI_KIND_CERT);
  assert_true(info.has_identity);
  assert_true(xf_identity_equal(&info.identity, &got.identity));
  assert_string_equal(info.identity.federation, "alpha");
  assert_string_equal(info.serial, got.serial);
  assert_string_equal(info.hosts, "silo.example");
  assert_string_equal(info.key, "ed25519");
  assert_string_equal(info.issuer, "alpha");
  assert_true(info.client_auth && !info.server_auth);
  o.host = "::1";
  leaf_make("ca", XF_PKI_ROLE_COORDINATOR, "hub", &o);
  assert_ok(xf_pki_show(&info, scratch("hub.pem"), &diag), &diag);
  assert_true(info.server_auth && !info.client_auth);
  assert_string_equal(info.hosts, "0:0:0:0:0:0:0:1");
}

static enum xf_rc issue(const char *name, const struct xf_leaf_options *o, struct xf_diag *diag) {
  struct xf_pki_issued got;
  return xf_pki_issue(&got, scratch("ca"), XF_PKI_ROLE_CLIENT, name, scratch("x.pem"),
                      scratch("x.key"), o, diag);
}

static void test_issue_refused(void **state) {
  (void)state;
  struct xf_diag diag = {0};
  struct xf_leaf_options o = {.now_s = NOW};
  assert_says(issue("m", &o, &diag), XF_E_NOTFOUND, &diag, "crossfed pki ca --dir");
  ca_make("ca", XF_PKI_P256);
  assert_says(issue("No Body", &o, &diag), XF_E_INVAL, &diag, "\"No Body\"");
  o.host = "a,URI:crossfed://alpha/operator/root";
  assert_says(issue("m", &o, &diag), XF_E_INVAL, &diag, "neither a DNS name");
  o.host = NULL;
  o.not_after_s = NOW + 10 * 366 * DAY;
  assert_says(issue("m", &o, &diag), XF_E_INVAL, &diag, "outlive its CA, which ends 2031-06-01");
  o.not_before_s = o.not_after_s = NOW + DAY;
  assert_says(issue("m", &o, &diag), XF_E_INVAL, &diag, "end before it begins");
  o = (struct xf_leaf_options){.now_s = NOW + 6 * 366 * DAY};
  assert_says(issue("m", &o, &diag), XF_E_AUTH, &diag, "expired 2031-06-01T00:00:00Z");
  assert_int_equal(access(scratch("x.key"), F_OK), -1); /* no key without its certificate */
  o = (struct xf_leaf_options){.now_s = NOW};
  assert_ok(issue("m", &o, &diag), &diag);
  assert_says(issue("m", &o, &diag), XF_E_EXISTS, &diag, "x.key\" exists already");
  o.replace = true;
  assert_ok(issue("m", &o, &diag), &diag);
  assert_int_equal(mode_of(scratch("x.key")), 0600);
  /* a renewal that is refused leaves the old key alone */
  struct stat before, after;
  assert_int_equal(stat(scratch("x.key"), &before), 0);
  o.now_s = NOW + 6 * 366 * DAY;
  assert_says(issue("m", &o, &diag), XF_E_AUTH, &diag, "expired");
  assert_int_equal(stat(scratch("x.key"), &after), 0);
  assert_int_equal(before.st_ino, after.st_ino);
  /* a leaf never outlives the CA by default */
  o.now_s = NOW + (XF_PKI_CA_DAYS - 3) * DAY;
  struct xf_pki_issued got = leaf_make("ca", XF_PKI_ROLE_CLIENT, "late", &o);
  assert_int_equal(got.not_after_s, NOW + XF_PKI_CA_DAYS * DAY);
}

static void test_csr(void **state) {
  (void)state;
  struct xf_diag diag = {0};
  struct xf_identity id;
  struct xf_pki_issued got;
  struct xf_pki_info info, cert;
  struct xf_leaf_options o = {.now_s = NOW, .host = "10.0.0.7"};
  ca_make("ca", XF_PKI_P256);
  assert_ok(xf_identity_init(&id, "alpha", XF_PKI_ROLE_CLIENT, "books-01", &diag), &diag);
  assert_ok(xf_pki_csr_create(&id, scratch("b.csr"), scratch("b.key"), &o, &diag), &diag);
  assert_int_equal(mode_of(scratch("b.key")), 0600);
  assert_ok(xf_pki_show(&info, scratch("b.csr"), &diag), &diag);
  assert_int_equal(info.kind, XF_PKI_KIND_CSR);
  assert_true(info.has_identity && xf_identity_equal(&info.identity, &id));
  assert_string_equal(info.hosts, "10.0.0.7");
  assert_says(xf_pki_sign_csr(&got, scratch("ca"), scratch("b.csr"), XF_PKI_ROLE_COORDINATOR,
                              "books-01", scratch("b.pem"), &o, &diag),
              XF_E_AUTH, &diag, "asks for crossfed://alpha/client/books-01, not for");
  assert_says(xf_pki_sign_csr(&got, scratch("ca"), scratch("b.csr"), XF_PKI_ROLE_CLIENT, "books-02",
                              scratch("b.pem"), &o, &diag),
              XF_E_AUTH, &diag, "not for crossfed://alpha/client/books-02");
  assert_ok(xf_pki_sign_csr(&got, scratch("ca"), scratch("b.csr"), XF_PKI_ROLE_CLIENT, "books-01",
                            scratch("b.pem"), &o, &diag),
            &diag);
  assert_ok(xf_pki_show(&cert, scratch("b.pem"), &diag), &diag);
  assert_true(xf_identity_equal(&cert.identity, &id));
  assert_string_equal(cert.serial, got.serial);
  assert_ok(xf_identity_init(&id, "beta", XF_PKI_ROLE_CLIENT, "books-01", &diag), &diag);
  assert_ok(xf_pki_csr_create(&id, scratch("c.csr"), scratch("c.key"), &o, &diag), &diag);
  assert_says(xf_pki_sign_csr(&got, scratch("ca"), scratch("c.csr"), XF_PKI_ROLE_CLIENT, "books-01",
                              scratch("c.pem"), &o, &diag),
              XF_E_AUTH, &diag, "asks for crossfed://beta/");
  write_text(scratch("junk.csr"), "no request\n");
  assert_says(xf_pki_sign_csr(&got, scratch("ca"), scratch("junk.csr"), XF_PKI_ROLE_CLIENT,
                              "books-01", scratch("d.pem"), &o, &diag),
              XF_E_FORMAT, &diag, "holds no certificate request");
}

static void test_revoke(void **state) {
  (void)state;
  struct xf_diag diag = {0};
  struct xf_pki_info info;
  size_t n;
  ca_make("ca", XF_PKI_P256);
  leaf_make("ca", XF_PKI_ROLE_CLIENT, "books-01", NULL);
  struct xf_leaf_options again = {.replace = true};
  struct xf_pki_issued second = leaf_make("ca", XF_PKI_ROLE_CLIENT, "books-01", &again);
  struct xf_pki_issued other = leaf_make("ca", XF_PKI_ROLE_CLIENT, "films-01", NULL);
  struct xf_ca_options o = {.now_s = NOW + DAY};
  assert_ok(xf_pki_revoke(&n, scratch("ca"), "books-01", NULL, XF_PKI_KEY_COMPROMISE, &o, &diag),
            &diag);
  assert_int_equal(n, 2);
  assert_ok(xf_pki_show(&info, scratch("ca/crl.pem"), &diag), &diag);
  assert_int_equal(info.n_revoked, 2);
  assert_int_equal(info.crl_number, 2);
  assert_says(xf_pki_revoke(&n, scratch("ca"), NULL, second.serial, XF_PKI_SUPERSEDED, &o, &diag),
              XF_E_EXISTS, &diag, "revoked already");
  assert_says(xf_pki_revoke(&n, scratch("ca"), "nobody", NULL, XF_PKI_SUPERSEDED, &o, &diag),
              XF_E_NOTFOUND, &diag, "no certificate in force");
  assert_ok(xf_pki_revoke(&n, scratch("ca"), NULL, other.serial, XF_PKI_UNSPECIFIED, &o, &diag),
            &diag);
  assert_int_equal(n, 1);
  o.crl_days = 2;
  assert_ok(xf_pki_crl_refresh(scratch("ca"), &o, &diag), &diag);
  assert_ok(xf_pki_show(&info, scratch("ca/crl.pem"), &diag), &diag);
  assert_int_equal(info.n_revoked, 3);
  assert_int_equal(info.crl_number, 4);
  assert_int_equal(info.not_after_s, NOW + 3 * DAY);
}

static enum xf_rc tally(void *arg, const struct xf_pki_entry *e) {
  int *n = arg;
  n[e->revoked_s ? 1 : 0]++;
  if (e->revoked_s) assert_int_equal(e->reason, XF_PKI_CESSATION);
  return XF_OK;
}

static void test_list(void **state) {
  (void)state;
  struct xf_diag diag = {0};
  struct xf_ca_options o = {.now_s = NOW};
  int count[2] = {0};
  size_t n;
  ca_make("ca", XF_PKI_P256);
  leaf_make("ca", XF_PKI_ROLE_CLIENT, "a", NULL);
  leaf_make("ca", XF_PKI_ROLE_CLIENT, "b", NULL);
  assert_ok(xf_pki_revoke(&n, scratch("ca"), "a", NULL, XF_PKI_CESSATION, &o, &diag), &diag);
  assert_ok(xf_pki_list(scratch("ca"), tally, count, &diag), &diag);
  assert_int_equal(count[0], 1);
  assert_int_equal(count[1], 1);
}

/* Each damaged line is named by its number. */
static void test_index_damaged(void **state) {
  (void)state;
  static const struct {
    const char *text, *where;
  } rows[] = {
      {"", "index.txt:0:"},
      {"crossfed-pki-index 2\n", "index.txt:1:"},
      {"crossfed-pki-index 1\nfederation Alpha\n", "index.txt:2:"},
      {"crossfed-pki-index 1\nfederation alpha\ncrl-number -1\n", "index.txt:3:"},
      {"crossfed-pki-index 1\nfederation alpha\ncrl-number 1\ncert\n", "index.txt:4:"},
      {"crossfed-pki-index 1\nfederation alpha\ncrl-number 1\ncert 0 1 2 client m gone\n", ":4:"},
      {"crossfed-pki-index 1\nfederation alpha\ncrl-number 1\ncert G 1 2 client m valid\n", ":4:"},
      {"crossfed-pki-index 1\nfederation alpha\ncrl-number 1\n"
       "cert 0 1 2 client m revoked 5 bored\n",
       ":4:"},
      {"crossfed-pki-index 1\nfederation alpha\ncrl-number 1\ncert 0  1 2 client m valid\n", ":4:"},
  };
  struct xf_diag diag = {0};
  struct xf_ca_options o = {.now_s = NOW};
  ca_make("ca", XF_PKI_P256);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    write_text(scratch("ca/index.txt"), rows[i].text);
    enum xf_rc rc = xf_pki_crl_refresh(scratch("ca"), &o, &diag);
    assert_true(rc == XF_E_FORMAT);
    assert_non_null(strstr(diag.text, rows[i].where));
  }
}

static void test_lock(void **state) {
  (void)state;
  struct xf_diag diag = {0};
  struct xf_ca_options o = {.now_s = NOW};
  ca_make("ca", XF_PKI_P256);
  int fd = open(scratch("ca/lock"), O_RDWR);
  assert_true(fd >= 0);
  assert_int_equal(flock(fd, LOCK_EX), 0);
  assert_says(xf_pki_crl_refresh(scratch("ca"), &o, &diag), XF_E_LOCKED, &diag, "in use");
  close(fd);
  assert_ok(xf_pki_crl_refresh(scratch("ca"), &o, &diag), &diag);
}

static void test_show_refused(void **state) {
  (void)state;
  struct xf_diag diag = {0};
  struct xf_pki_info info;
  ca_make("ca", XF_PKI_P256);
  assert_says(xf_pki_show(&info, scratch("none"), &diag), XF_E_NOTFOUND, &diag, "cannot open");
  assert_says(xf_pki_show(&info, scratch("ca/ca.key"), &diag), XF_E_FORMAT, &diag,
              "holds no certificate");
  write_text(scratch("bad"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  assert_says(xf_pki_show(&info, scratch("bad"), &diag), XF_E_FORMAT, &diag, "is damaged");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_create, setup, teardown),
      cmocka_unit_test_setup_teardown(test_issue, setup, teardown),
      cmocka_unit_test_setup_teardown(test_issue_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(test_csr, setup, teardown),
      cmocka_unit_test_setup_teardown(test_revoke, setup, teardown),
      cmocka_unit_test_setup_teardown(test_list, setup, teardown),
      cmocka_unit_test_setup_teardown(test_index_damaged, setup, teardown),
      cmocka_unit_test_setup_teardown(test_lock, setup, teardown),
      cmocka_unit_test_setup_teardown(test_show_refused, setup, teardown),
  };
  if (xf_crypto_start()) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
