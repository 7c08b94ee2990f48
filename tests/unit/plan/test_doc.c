/* The table of keys in docs/internals/plan.md is the one the schema prints. XF_UPDATE_DOCS=1 rewrites it. */
#include "base/buf.h"
#include "conf/schema.h"
#include "plan/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char path[] = "docs/internals/plan.md";
static const char from[] = "<!-- keys -->\n", to[] = "<!-- /keys -->\n";

static void read_doc(struct xf_buf *out) {
  FILE *f = fopen(path, "r");
  if (!f) {
    print_message("skipped: %s is not below the working directory\n", path);
    skip();
  }
  char part[4096];
  for (size_t n = fread(part, 1, sizeof part, f); n > 0; n = fread(part, 1, sizeof part, f))
    assert_int_equal(xf_buf_put(out, part, n), XF_OK);
  fclose(f);
}

static void rewrite(const char *head, size_t head_len, const char *table, const char *tail) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_int_equal(fwrite(head, 1, head_len, f), head_len);
  assert_true(fputs(table, f) >= 0 && fputs(tail, f) >= 0);
  assert_int_equal(fclose(f), 0);
}

static void test_table(void **state) {
  (void)state;
  struct xf_buf doc, table;
  xf_buf_init(&doc, 1 << 20);
  xf_buf_init(&table, 1 << 20);
  read_doc(&doc);
  const char *text = xf_buf_cstr(&doc);
  const char *begin = strstr(text, from), *end = strstr(text, to);
  assert_non_null(begin);
  assert_non_null(end);
  begin += strlen(from);
  assert_int_equal(xf_conf_help(&table, &xf_plan_schema), XF_OK);
  const char *want = xf_buf_cstr(&table);
  bool same = (size_t)(end - begin) == strlen(want) && strncmp(begin, want, strlen(want)) == 0;
  if (!same && getenv("XF_UPDATE_DOCS")) rewrite(text, (size_t)(begin - text), want, end);
  else if (!same) fail_msg("%s has another table of keys; XF_UPDATE_DOCS=1 rewrites it", path);
  xf_buf_deinit(&doc);
  xf_buf_deinit(&table);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_table)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
