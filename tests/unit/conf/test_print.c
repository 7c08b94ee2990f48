/* Printing and reading back, comparing, canonical bytes, the reference. */
#include "table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char full[] =
    "name: \"a \\\"b\\\\\"\nfast: true\nshift: 4\nseed: 12345678901234567890\n"
    "fed: {rounds: 5, quorum: 0.30000000000000004, deadline_s: 250ms, server: {lr: 1e-7}}\n"
    "store: {quota: 3KiB, dir: \"x y#z\"}\nhidden: []\ncolors: [green]\n"
    "members: [{id: a}, {id: b, domain: \"\", max_weight: 3}]\n";

static struct xf_conf *load(struct target *t, const char *text) {
  struct xf_conf *conf = xf_conf_new(&table);
  struct xf_diag diag;
  xf_diag_init(&diag);
  struct xf_conf_source source = {.text = text, .text_len = strlen(text), .name = "a.yaml"};
  int rc = xf_conf_read(conf, t, &source, &diag);
  if (rc) fail_msg("%s", diag.text);
  return conf;
}

static void test_fixpoint(void **state) {
  (void)state;
  const char *texts[] = {full, "name: \"null\"\n", "name: \"~\"\n", "name: \"5\"\n"};
  for (size_t i = 0; i < 4; i++) {
    struct target t, u;
    struct xf_buf a, b;
    xf_buf_init(&a, 65536);
    xf_buf_init(&b, 65536);
    struct xf_conf *conf = load(&t, texts[i]);
    assert_int_equal(xf_conf_print(&a, &table, &t, i ? NULL : conf), XF_OK);
    xf_conf_free(conf);
    conf = load(&u, xf_buf_cstr(&a));
    enum xf_conf_reload strongest;
    assert_false(xf_conf_diff(&table, &t, &u, &strongest, NULL, NULL));
    xf_buf_reset(&a);
    assert_int_equal(xf_conf_print(&a, &table, &t, NULL), XF_OK);
    assert_int_equal(xf_conf_print(&b, &table, &u, NULL), XF_OK);
    assert_string_equal(xf_buf_cstr(&a), xf_buf_cstr(&b));
    xf_conf_free(conf);
    xf_buf_deinit(&a);
    xf_buf_deinit(&b);
    xf_conf_deinit_target(&table, &t);
    xf_conf_deinit_target(&table, &u);
  }
}

static void test_origins(void **state) {
  (void)state;
  struct target t;
  struct xf_conf *conf = load(&t, "name: x\nfed:\n  rounds: 5\nmembers:\n  - id: a\n");
  struct xf_buf out;
  xf_buf_init(&out, 65536);
  assert_int_equal(xf_conf_print(&out, &table, &t, conf), XF_OK);
  assert_string_equal(xf_buf_cstr(&out), "name: x  # a.yaml:1:7\n"
                                         "fast: false  # default\n"
                                         "shift: -3  # default\n"
                                         "seed: 1  # default\n"
                                         "fed:\n"
                                         "  rounds: 5  # a.yaml:3:11\n"
                                         "  # quorum: not given\n"
                                         "  deadline_s: 60  # default\n"
                                         "  server:\n"
                                         "    lr: 1  # default\n"
                                         "    color: green  # default\n"
                                         "store:\n"
                                         "  quota: 65536  # default\n"
                                         "  dir: /var  # default\n"
                                         "hidden: [8, 4]  # default\n"
                                         "colors: []  # default\n"
                                         "members:  # a.yaml:5:3\n"
                                         "  -\n"
                                         "    id: a  # a.yaml:5:9\n"
                                         "    domain: none  # default\n"
                                         "    max_weight: 1000  # default\n");
  xf_buf_deinit(&out);
  xf_conf_free(conf);
  xf_conf_deinit_target(&table, &t);
}

static void note(void *arg, const struct xf_conf_key *key) {
  char *text = arg;
  size_t n = strlen(text);
  snprintf(text + n, 200 - n, "%s:%s ", key->path, xf_conf_reload_text(key->reload));
}

static void test_diff(void **state) {
  (void)state;
  struct target t, u;
  struct xf_conf *a = load(&t, "name: x\nfed: {rounds: 5}\nmembers: [{id: a}]\n");
  struct xf_conf *b = load(&u, "name: x\nfed: {rounds: 6}\nmembers: [{id: b}]\n");
  char text[200] = "";
  enum xf_conf_reload strongest;
  assert_true(xf_conf_diff(&table, &t, &u, &strongest, note, text));
  assert_string_equal(text, "fed.rounds:next round members:live ");
  assert_int_equal(strongest, XF_CONF_NEXT_ROUND);
  assert_false(xf_conf_diff(&table, &t, &t, &strongest, note, text));
  xf_conf_free(a);
  xf_conf_free(b);
  xf_conf_deinit_target(&table, &t);
  xf_conf_deinit_target(&table, &u);
}

static void test_canon(void **state) {
  (void)state;
  struct target t, u;
  struct xf_conf *conf = load(&t, full);
  struct xf_buf a, b;
  struct xf_diag diag;
  xf_diag_init(&diag);
  xf_buf_init(&a, 65536);
  xf_buf_init(&b, 65536);
  assert_int_equal(xf_conf_encode(&a, &table, &t), XF_OK);
  int rc = xf_conf_decode(&u, &table, a.p, a.len, &diag);
  if (rc) fail_msg("%s", diag.text);
  assert_int_equal(xf_conf_encode(&b, &table, &u), XF_OK);
  assert_int_equal(a.len, b.len);
  assert_memory_equal(a.p, b.p, a.len);
  assert_true(u.store.quota == 65536); /* no tag: not carried */
  xf_conf_deinit_target(&table, &u);
  /* every truncation and every flipped byte is refused or decodes to other canonical bytes */
  for (size_t n = 0; n < a.len; n++) {
    assert_int_not_equal(xf_conf_decode(&u, &table, a.p, n, &diag), XF_OK);
    assert_true(diag.text[0] != '\0');
    for (int bit = 0; bit < 8; bit++) {
      a.p[n] ^= (uint8_t)(1 << bit);
      if (!xf_conf_decode(&u, &table, a.p, a.len, &diag)) {
        xf_buf_reset(&b);
        assert_int_equal(xf_conf_encode(&b, &table, &u), XF_OK);
        assert_memory_equal(a.p, b.p, a.len);
        xf_conf_deinit_target(&table, &u);
      }
      a.p[n] ^= (uint8_t)(1 << bit);
    }
  }
  xf_conf_free(conf);
  xf_conf_deinit_target(&table, &t);
  xf_buf_deinit(&a);
  xf_buf_deinit(&b);
}

/* Bytes fixed once and for all: defaults left out, tag order, little-endian. */
static void test_canon_bytes(void **state) {
  (void)state;
  static const uint8_t want[] = {3,  0,                                 /* three fields */
                                 1,  0, 5,    1, 0, 0, 0, 'x',          /* name */
                                 5,  0, 3,    9, 0, 0, 0, 0,   0, 0, 0, /* fed.rounds */
                                 12, 0, 0x86, 1, 0, 0, 0, 1,   0, 1, 0, 5, 1, 0, 0, 0, 'a'};
  struct target t, u;
  struct xf_conf *conf =
      load(&t, "members: [{id: a}]\nfed: {rounds: 9, deadline_s: 60}\nname: x\n");
  struct xf_buf a;
  struct xf_diag diag;
  xf_buf_init(&a, 65536);
  assert_int_equal(xf_conf_encode(&a, &table, &t), XF_OK);
  assert_int_equal(a.len, sizeof want);
  assert_memory_equal(a.p, want, sizeof want);
  a.p[10] = 200; /* a field of the future */
  assert_int_equal(xf_conf_decode(&u, &table, a.p, a.len, &diag), XF_E_VERSION);
  assert_string_equal(diag.text, "field 200 is not known to this version; upgrade it");
  static const uint8_t spelt_out[] = {2, 0, 1, 0, 5, 1, 0, 0, 0, 'x', 2, 0, 1, 0};
  assert_int_equal(xf_conf_decode(&u, &table, spelt_out, sizeof spelt_out, &diag), XF_E_FORMAT);
  assert_string_equal(diag.text, "not in canonical form");
  static const uint8_t nameless[] = {0, 0};
  assert_int_equal(xf_conf_decode(&u, &table, nameless, sizeof nameless, &diag), XF_E_CONFIG);
  assert_string_equal(diag.text, "\"name\" is missing");
  xf_conf_free(conf);
  xf_buf_deinit(&a);
  xf_conf_deinit_target(&table, &t);
}

static void test_help(void **state) {
  (void)state;
  struct xf_buf out;
  xf_buf_init(&out, 65536);
  assert_int_equal(xf_conf_help(&out, &table), XF_OK);
  const char *text = xf_buf_cstr(&out);
  assert_non_null(strstr(text, "| `name` | text | required | restart | name |\n"));
  assert_non_null(strstr(text,
                         "| `fed.rounds` | whole number, from 1 to 1000000 (commits) | `20` | "
                         "next round | rounds |\n"));
  assert_non_null(strstr(text, "| `fed.server.color` | one of `red`, `green` | `green` | live |"));
  assert_non_null(strstr(text, "| `members[].id` | text | required | live | certificate name |\n"));
  xf_buf_deinit(&out);
}

static void test_bad_tables(void **state) {
  (void)state;
  struct xf_diag diag;
  static const struct xf_conf_key twice[] = {
      {XF_CONF_AT(struct target, seed), .type = XF_CONF_UINT, .help = "h"},
      {XF_CONF_AT(struct target, seed), .type = XF_CONF_UINT, .help = "h"}};
  static const struct xf_conf_key apart[] = {
      {XF_CONF_AT(struct target, fed.rounds), .type = XF_CONF_UINT, .help = "h"},
      {XF_CONF_AT(struct target, seed), .type = XF_CONF_UINT, .help = "h"},
      {XF_CONF_AT(struct target, fed.quorum), .type = XF_CONF_DOUBLE, .help = "h"}};
  static const struct xf_conf_key bad_default[] = {
      {XF_CONF_AT(struct target, seed), .type = XF_CONF_UINT, .def = "x", .help = "h"}};
  static const struct {
    struct xf_conf_schema schema;
    const char *text;
  } rows[] = {{{twice, 2, sizeof(struct target)}, "two rows for \"seed\""},
              {{apart, 3, sizeof(struct target)}, "key \"fed.quorum\" is apart from its section"},
              {{bad_default, 1, sizeof(struct target)},
               "default of \"seed\": \"x\" is not a whole number"}};
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(xf_conf_schema_check(&rows[i].schema, &diag), XF_E_INVAL);
    assert_string_equal(diag.text, rows[i].text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_fixpoint),    cmocka_unit_test(test_origins),
      cmocka_unit_test(test_diff),        cmocka_unit_test(test_canon),
      cmocka_unit_test(test_canon_bytes), cmocka_unit_test(test_help),
      cmocka_unit_test(test_bad_tables),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
