// server.yaml: the table, the example, what is refused, what a running daemon takes over.
#include "unit/server_io/iotest.h"

#include <stdio.h>
#include <string.h>

static enum xf_rc load(struct srv_config *c, const char *const *sets, size_t n,
                       struct xf_diag *diag) {
  const struct srv_config_source s = {"deploy/examples/server.yaml", sets, n, NULL};
  xf_diag_init(diag);
  return srv_config_load(c, &s, NULL, NULL, diag);
}

static bool example_here(void) {
  FILE *f = fopen("deploy/examples/server.yaml", "r");
  if (f) fclose(f);
  else print_message("skipped: deploy/examples/server.yaml is not below the working directory\n");
  return f != NULL;
}

static void test_schema(void **state) {
  (void)state;
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_ok(xf_conf_schema_check(&srv_config_schema, &diag), &diag);
}

static void test_example(void **state) {
  (void)state;
  struct srv_config c;
  struct xf_diag diag;
  char host[SRV_HOST];
  uint16_t port = 0;
  if (!example_here()) skip();
  assert_ok(load(&c, NULL, 0, &diag), &diag);
  assert_int_equal(c.n_members, 3);
  assert_string_equal(c.members[0].id, "library-1"); /* sorted */
  assert_string_equal(c.members[1].id, "shop-a");
  assert_int_equal(c.members[1].max_weight, 1000000);
  assert_int_equal(c.limits.min_rate, 8192);
  assert_ok(srv_config_listen(&c, host, &port, &diag), &diag);
  assert_string_equal(host, "::");
  assert_int_equal(port, 7443);
  srv_config_deinit(&c);
}

static void test_refused(void **state) {
  (void)state;
  static const struct {
    const char *set, *text;
  } bad[] = {
      {"members=[{id: a, domain: x}, {id: a, domain: y}]", "listed twice"},
      {"members=[{id: a, domain: \"\"}]", "must not be empty"},
      {"listen.address=localhost", "HOST:PORT"},
      {"listen.address=::1:7443", "brackets"},
      {"listen.address=[::1:7443", "]"},
      {"limits.dead_after_s=1s", "heartbeat_s"},
      {"checkpoint.keep=1", "checkpoint.keep"},
      {"nonsense=1", "nonsense"},
      {"admin_socket=/"
       "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
       "123456"
       "78901234567890",
       "a shorter one"},
  };
  if (!example_here()) skip();
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    struct srv_config c;
    struct xf_diag diag;
    assert_rc(load(&c, &bad[i].set, 1, &diag), XF_E_CONFIG);
    if (!strstr(diag.text, bad[i].text)) fail_msg("%s: %s", bad[i].set, diag.text);
  }
}

static void test_reload(void **state) {
  (void)state;
  struct srv_config now, next;
  struct xf_diag diag;
  struct xf_buf changed;
  if (!example_here()) skip();
  xf_buf_init(&changed, 4096);
  const char *const live[] = {"log.level=debug", "members[0].max_weight=5", "spool.retain=2"};
  assert_ok(load(&now, NULL, 0, &diag), &diag);
  assert_ok(load(&next, live, 3, &diag), &diag);
  assert_ok(srv_config_check_reload(&now, &next, &changed, &diag), &diag);
  assert_string_equal(xf_buf_cstr(&changed), "members log.level spool.retain");
  const struct xf_coord_member *before = now.members;
  srv_config_apply(&now, &next);
  assert_ptr_equal(now.members, before); /* the core borrows it */
  assert_int_equal(now.log.level, XF_LOG_DEBUG);
  assert_int_equal(now.members[1].max_weight, 5); /* shop-a, first in the file */
  srv_config_deinit(&next);

  const char *const port = "listen.address=127.0.0.1:1";
  assert_ok(load(&next, &port, 1, &diag), &diag);
  assert_rc(srv_config_check_reload(&now, &next, NULL, &diag), XF_E_CONFIG);
  assert_non_null(strstr(diag.text, "listen.address"));
  srv_config_deinit(&next);

  const char *const domain = "members[1].domain=music";
  assert_ok(load(&next, &domain, 1, &diag), &diag);
  assert_rc(srv_config_check_reload(&now, &next, NULL, &diag), XF_E_CONFIG);
  srv_config_deinit(&next);
  srv_config_deinit(&now);
  xf_buf_deinit(&changed);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_schema), cmocka_unit_test(test_example),
                                     cmocka_unit_test(test_refused), cmocka_unit_test(test_reload)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
