/* A plan's text as keys, and what tells settings apart. */
#include "tools/exper/setting.h"

#include "plan/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct xf_setting read_text(const char *text) {
  struct xf_setting s;
  assert_int_equal(xf_setting_read(&s, text, strlen(text)), XF_OK);
  return s;
}

static const char plan[] = "name: a\n"
                           "model: {kind: logreg, loss: bce, n_in: 2, n_out: 1}\n"
                           "data: {kind: table, split: {kind: random, test_fraction: 0.3}}\n"
                           "stages:\n"
                           "  - fed: {rounds: 10, deadline_s: 30}\n"
                           "    local: {epochs: 2, batch: 8, optimizer: {kind: sgd, lr: 0.1}}\n"
                           "eval: {metrics: [acc]}\n";

static void test_what_a_plan_prints(void **state) {
  (void)state;
  struct xf_diag diag;
  struct xf_buf errors, text;
  static struct xf_plan p;
  struct xf_setting s[3];
  const char *const sets[] = {"seed=8", "local.optimizer.lr=0.5", "fed.server.lr=0.25"};
  xf_buf_init(&errors, 65536);
  for (size_t i = 0; i < 3; i++) {
    xf_buf_init(&text, 1 << 20);
    if (xf_plan_load_text(&p, "plan", plan, sizeof plan - 1, sets, i ? i + 1 : 0, &errors, &diag))
      fail_msg("%s", xf_buf_cstr(&errors));
    assert_int_equal(xf_plan_print(&text, &p), XF_OK);
    assert_int_equal(xf_setting_read(&s[i], (const char *)text.p, text.len), XF_OK);
    xf_buf_deinit(&text);
  }
  xf_buf_deinit(&errors);
  assert_string_equal(xf_setting_find(&s[0], "name"), "a");
  assert_string_equal(xf_setting_find(&s[0], "local.optimizer.lr"), "0.1");
  assert_string_equal(xf_setting_find(&s[0], "eval.metrics"), "[acc]");
  assert_string_equal(xf_setting_find(&s[0], "data.split.kind"), "random");
  assert_null(xf_setting_find(&s[0], "seed"));
  const struct xf_setting *all[] = {&s[0], &s[1], &s[2]};
  char label[100];
  assert_false(xf_setting_same(&s[0], &s[1]));
  xf_setting_label(label, sizeof label, &s[1], all, 2);
  assert_string_equal(label, "lr=0.5");
  xf_setting_label(label, sizeof label, &s[2], all, 3); /* two keys that end in lr: whole */
  assert_string_equal(label, "fed.server.lr=0.25 local.optimizer.lr=0.5");
  xf_setting_label(label, 10, &s[2], all, 3);
  assert_string_equal(label, "fed.serve");
  xf_setting_label(label, sizeof label, &s[2], all + 2, 1);
  assert_string_equal(label, "");
  for (size_t i = 0; i < 3; i++) xf_setting_deinit(&s[i]);
}

static void test_stages_keep_their_number(void **state) {
  (void)state;
  struct xf_setting s = read_text(
      "name: x\nseed: 3\nstages:\n  -\n    name: a\n    fed:\n      # cohort: not given\n"
      "      rounds: 1\n  -\n    name: b\n    fed:\n      rounds: 2\nsim:\n  data: \"a: b\"\n");
  assert_string_equal(xf_setting_find(&s, "stages[0].fed.rounds"), "1");
  assert_string_equal(xf_setting_find(&s, "stages[1].fed.rounds"), "2");
  assert_string_equal(xf_setting_find(&s, "stages[1].name"), "b");
  assert_string_equal(xf_setting_find(&s, "sim.data"), "\"a: b\"");
  assert_null(xf_setting_find(&s, "seed"));
  struct xf_setting t = read_text("name: x\n");
  assert_false(xf_setting_same(&s, &t));
  assert_true(xf_setting_same(&s, &s));
  xf_setting_deinit(&t);
  xf_setting_deinit(&s);
  xf_setting_deinit(&s);
}

static void test_garbage_is_refused(void **state) {
  (void)state;
  const char *const bad[] = {"no colon here\n", " name: odd indent\n", "a:b\n",
                             "                                        deep: 1\n"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    struct xf_setting s;
    assert_int_equal(xf_setting_read(&s, bad[i], strlen(bad[i])), XF_E_FORMAT);
    assert_int_equal(s.n, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_what_a_plan_prints),
      cmocka_unit_test(test_stages_keep_their_number),
      cmocka_unit_test(test_garbage_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
