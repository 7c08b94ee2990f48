/* The identity URI: what parses prints back the same; everything else is refused in words. */
#include "pki/identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char ID63[] = "a23456789-123456789-123456789-123456789-123456789-123456789-123";

static void test_round_trip(void **state) {
  (void)state;
  static const char *const good[] = {
      "crossfed://alpha/client/books-01",
      "crossfed://a/coordinator/c",
      "crossfed://0-0/operator/-",
  };
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    struct xf_identity id;
    char text[XF_IDENTITY_CAP];
    assert_int_equal(xf_identity_parse(&id, good[i], strlen(good[i]), NULL), XF_OK);
    assert_string_equal(xf_identity_print(text, &id), good[i]);
  }
}

static void test_longest(void **state) {
  (void)state;
  struct xf_identity id, again;
  char text[XF_IDENTITY_CAP];
  assert_int_equal(strlen(ID63), 63);
  assert_int_equal(xf_identity_init(&id, ID63, XF_PKI_ROLE_COORDINATOR, ID63, NULL), XF_OK);
  xf_identity_print(text, &id);
  assert_int_equal(xf_identity_parse(&again, text, strlen(text), NULL), XF_OK);
  assert_true(xf_identity_equal(&id, &again));
}

static void test_malformed(void **state) {
  (void)state;
  static const char *const bad[] = {
      "",
      "crossfed://",
      "crossfed:///client/m",
      "crossfed://alpha",
      "crossfed://alpha/client",
      "crossfed://alpha/client/",
      "crossfed://alpha//m",
      "crossfed://alpha/client/m/",
      "crossfed://alpha/client/m/x",
      "crossfed://alpha/silo/m",
      "crossfed://alpha/Client/m",
      "crossfed://Alpha/client/m",
      "crossfed://alpha:1/client/m",
      "crossfed://alpha/client/m?x",
      "crossfed://alpha/client/m%20",
      "crossfed://alpha/client/m\n",
      "crossfed://alpha/client/b\303\274cher",
      "CROSSFED://alpha/client/m",
      " crossfed://alpha/client/m",
      "https://alpha/client/m",
      "crossfed:/alpha/client/m",
      "crossfed://alpha/client/a23456789-123456789-123456789-123456789-123456789-123456789-1234",
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    struct xf_identity id;
    struct xf_diag diag = {0};
    assert_int_equal(xf_identity_parse(&id, bad[i], strlen(bad[i]), &diag), XF_E_FORMAT);
    assert_non_null(strstr(diag.text, "crossfed://<federation>/"));
    assert_null(strchr(diag.text, '\n'));
    assert_int_equal(id.member[0], 0);
  }
  struct xf_identity id; /* a NUL inside must not cut the name short */
  static const char nul[] = "crossfed://alpha/client/books\0-01";
  assert_int_equal(xf_identity_parse(&id, nul, sizeof nul - 1, NULL), XF_E_FORMAT);
}

static void test_init(void **state) {
  (void)state;
  struct xf_identity id;
  struct xf_diag diag = {0};
  assert_int_equal(xf_identity_init(&id, "alpha", XF_PKI_ROLE_CLIENT, "Books", &diag), XF_E_INVAL);
  assert_non_null(strstr(diag.text, "member id \"Books\""));
  assert_int_equal(xf_identity_init(&id, "", XF_PKI_ROLE_CLIENT, "m", &diag), XF_E_INVAL);
  enum xf_pki_role role;
  assert_int_equal(xf_pki_role_parse(&role, "operator", NULL), XF_OK);
  assert_int_equal(role, XF_PKI_ROLE_OPERATOR);
  assert_int_equal(xf_pki_role_parse(&role, "root", &diag), XF_E_INVAL);
  assert_non_null(strstr(diag.text, "\"root\""));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_longest),
      cmocka_unit_test(test_malformed),
      cmocka_unit_test(test_init),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
