/* client.yaml: the example, the refusals, addresses, the alignment key's file. */
#include "client/io/config.h"
#include "client/io/parts.h"
#include "crypto/init.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char *temp(void) {
  static char path[128];
  const char *base = getenv("TMPDIR");
  snprintf(path, sizeof path, "%.90s/xf-client-XXXXXX", base ? base : "/tmp");
  const int fd = mkstemp(path);
  assert_true(fd >= 0);
  assert_int_equal(close(fd), 0);
  return path;
}

static void write_file(const char *path, const char *text, mode_t mode) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_true(fputs(text, f) >= 0);
  assert_int_equal(fclose(f), 0);
  assert_int_equal(chmod(path, mode), 0);
}

static void test_schema(void **state) {
  (void)state;
  struct xf_diag diag;
  xf_diag_init(&diag);
  enum xf_rc rc = xf_conf_schema_check(xf_client_config_schema(), &diag);
  if (rc) fail_msg("%s", xf_diag_text(&diag, rc));
}

static void test_example(void **state) {
  (void)state;
  struct xf_client_config c;
  struct xf_diag diag;
  const struct xf_client_source source = {.path = "deploy/examples/client.yaml"};
  if (access(source.path, R_OK) != 0) skip(); /* not run from the root of the tree */
  xf_diag_init(&diag);
  enum xf_rc rc = xf_client_config_load(&c, &source, NULL, &diag);
  if (rc) fail_msg("%s", xf_diag_text(&diag, rc));
  assert_string_equal(c.member, "shop-a");
  assert_int_equal(c.data.columns.time, 4);
  assert_int_equal(c.policy.max_rounds, 200);
  assert_true(c.policy.allow_aligned && !c.policy.export_metrics);
  assert_int_equal(c.policy.n_models, 1);
  assert_string_equal(c.policy.models[0], "mf");
  assert_true(c.backoff.min_s == 0.5 && c.backoff.max_s == 60);
  assert_int_equal(c.log.level, XF_LOG_INFO);
}

#define BASE                                                                   \
  "federation: lab\nmember: d1\nstate_dir: s\ntls: {cert: c, key: k, ca: a}\n" \
  "data: {path: d}\n"

static void test_refusals(void **state) {
  (void)state;
  static const struct {
    const char *text, *set, *says;
  } rows[] = {
      {BASE "coordinator: host\n", NULL, "has no port"},
      {BASE "coordinator: host:99999\n", NULL, "is no port"},
      {BASE "coordinator: ::1:7443\n", NULL, "several colons"},
      {BASE "coordinator: h:1\npolicy: {models: [mfx]}\n", NULL, "did you mean \"mf\"?"},
      {BASE "coordinator: h:1\nbackoff: {min_s: 5, max_s: 1}\n", NULL, "below backoff.min_s"},
      {BASE "coordinator: h:1\npolicy: {max_epsilonn: 1}\n", NULL, "policy.max_epsilon"},
      {BASE "coordinator: h:1\n", "member=Shop", "member"},
      {BASE "coordinator: h:1\n", "policy.clip=-1", "policy.clip"},
      {BASE "coordinator: h:1\n", "data.kg.items=x", "data.kg.items is of no use without it"},
      {"coordinator: h:1\n", NULL, "federation"},
  };
  const char *path = temp();
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct xf_client_config c;
    struct xf_diag diag;
    const struct xf_client_source source = {
        .path = path, .sets = &rows[i].set, .n_sets = rows[i].set ? 1 : 0};
    xf_diag_init(&diag);
    write_file(path, rows[i].text, 0600);
    assert_int_equal(xf_client_config_load(&c, &source, NULL, &diag), XF_E_CONFIG);
    if (!strstr(diag.text, rows[i].says)) fail_msg("row %zu: \"%s\"", i, diag.text);
  }
  assert_int_equal(unlink(path), 0);
}

static void test_address(void **state) {
  (void)state;
  static const struct {
    const char *text, *host;
    uint16_t port;
  } rows[] = {{"h.example:7443", "h.example", 7443},
              {"127.0.0.1", "127.0.0.1", 0},
              {"[::1]:7443", "::1", 7443},
              {"[fe80::1]", "fe80::1", 0}};
  static struct xf_client_config c;
  char host[256];
  uint16_t port;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    snprintf(c.coordinator, sizeof c.coordinator, "%s", rows[i].text);
    assert_int_equal(xf_client_config_address(host, &port, &c, NULL), XF_OK);
    assert_string_equal(host, rows[i].host);
    assert_int_equal(port, rows[i].port);
  }
}

static void test_align_key(void **state) {
  (void)state;
  static const char hex[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
  const char *path = temp();
  struct xf_secret key = {0};
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(xf_crypto_start(), XF_OK);
  write_file(path, hex, 0600);
  assert_int_equal(client_key_load(&key, path, &diag), XF_OK);
  assert_int_equal(key.p[1], 0x11);
  assert_int_equal(key.p[31], 0xff);
  xf_secret_deinit(&key);
  write_file(path, hex, 0640);
  assert_int_equal(client_key_load(&key, path, &diag), XF_E_AUTH);
  assert_non_null(strstr(diag.text, "chmod 600"));
  write_file(path, "0011", 0600);
  assert_int_equal(client_key_load(&key, path, &diag), XF_E_FORMAT);
  assert_null(strstr(diag.text, "0011")); /* a key never appears in a message */
  assert_int_equal(unlink(path), 0);
  assert_int_equal(client_key_load(&key, path, &diag), XF_E_NOTFOUND);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_schema), cmocka_unit_test(test_example),
                                     cmocka_unit_test(test_refusals),
                                     cmocka_unit_test(test_address),
                                     cmocka_unit_test(test_align_key)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
