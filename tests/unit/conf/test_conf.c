/* Reading: precedence, every type, origins, golden errors, hostile documents. */
#include "table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Reads a text; the result's errors go to out (may be NULL). */
static enum xf_rc read_all(struct target *t, const char *text, const char *const *env,
                           const char *const *sets, size_t n_sets, char out[4096]) {
  struct xf_conf *conf = xf_conf_new(&table);
  struct xf_diag diag;
  xf_diag_init(&diag);
  struct xf_conf_source source = {.text = text,
                                  .text_len = strlen(text),
                                  .name = "a.yaml",
                                  .env = env,
                                  .with_env = env != NULL,
                                  .sets = sets,
                                  .n_sets = n_sets};
  enum xf_rc rc = xf_conf_read(conf, t, &source, &diag);
  if (out) snprintf(out, 4096, "%s", xf_conf_errors(conf));
  if (!rc) assert_string_equal(xf_conf_errors(conf), "");
  if (rc) assert_non_null(strstr(xf_diag_text(&diag, rc), ""));
  xf_conf_free(conf);
  return rc;
}

static void test_table(void **state) {
  (void)state;
  struct xf_diag diag;
  xf_diag_init(&diag);
  int rc = xf_conf_schema_check(&table, &diag);
  if (rc) fail_msg("%s", diag.text);
}

static void test_types(void **state) {
  (void)state;
  static const char text[] = "# a comment\n"
                             "name: x\n"
                             "fast: true\n"
                             "shift: -10\n"
                             "seed: 18446744073709551615\n"
                             "fed:\n"
                             "  rounds: 5\n"
                             "  quorum: 1\n"
                             "  deadline_s: 1.5m\n"
                             "  server: {lr: 1e-3, color: red}\n"
                             "store: {quota: 2MiB, dir: \"a b\"}\n"
                             "hidden: [1, 2, 3]\n"
                             "colors: [green, red]\n"
                             "members:\n"
                             "  - {id: a-1, domain: books}\n"
                             "  - id: b\n"
                             "    max_weight: 7\n";
  struct target t;
  assert_int_equal(read_all(&t, text, NULL, NULL, 0, NULL), XF_OK);
  assert_string_equal(t.name, "x");
  assert_true(t.fast);
  assert_int_equal(t.shift, -10);
  assert_true(t.seed == UINT64_MAX);
  assert_int_equal(t.fed.rounds, 5);
  assert_true(t.fed.quorum == 1 && t.fed.deadline_s == 90 && t.fed.server.lr == 1e-3);
  assert_int_equal(t.fed.server.color, RED);
  assert_true(t.store.quota == 2 << 20);
  assert_string_equal(t.store.dir, "a b");
  assert_int_equal(t.n_hidden, 3);
  assert_int_equal(t.hidden[2], 3);
  assert_int_equal(t.n_colors, 2);
  assert_int_equal(t.colors[0], GREEN);
  assert_int_equal(t.n_members, 2);
  assert_string_equal(t.members[0].domain, "books");
  assert_int_equal(t.members[0].max_weight, 1000);
  assert_string_equal(t.members[1].id, "b");
  assert_int_equal(t.members[1].max_weight, 7);
  xf_conf_deinit_target(&table, &t);
  xf_conf_deinit_target(&table, &t);
}

static void test_defaults(void **state) {
  (void)state;
  struct target t;
  assert_int_equal(read_all(&t, "name: x\nfed:\n", NULL, NULL, 0, NULL), XF_OK);
  assert_int_equal(t.fed.rounds, 20);
  assert_true(t.fed.quorum == 0);
  assert_int_equal(t.shift, -3);
  assert_int_equal(t.fed.server.color, GREEN);
  assert_int_equal(t.n_hidden, 2);
  assert_int_equal(t.hidden[1], 4);
  assert_true(t.store.quota == 65536);
  assert_int_equal(t.n_members, 0);
  xf_conf_deinit_target(&table, &t);
}

static const struct {
  const char *text, *errors;
} goldens[] = {
    {"name: x\nfed:\n  quorom: 1\n",
     "a.yaml:3:3: unknown key \"fed.quorom\"; did you mean \"fed.quorum\"?\n"},
    {"name: x\nrounds: 5\n", "a.yaml:2:1: unknown key \"rounds\"; did you mean \"fed.rounds\"?\n"},
    {"name: x\nfedd: {rounds: 5}\n", "a.yaml:2:1: unknown key \"fedd\"; did you mean \"fed\"?\n"},
    {"name: x\nzzzzzzzzzz: 5\n", "a.yaml:2:1: unknown key \"zzzzzzzzzz\"\n"},
    {"name: x\nfed.rounds: 5\n",
     "a.yaml:2:1: unknown key \"fed.rounds\"; sections are nested, not dotted\n"},
    {"name: x\nmembers: [{id: a, domian: b}]\n",
     "a.yaml:2:19: unknown key \"members[0].domian\"; did you mean \"members[0].domain\"?\n"},
    {"name: x\nmax_weight: 4\n",
     "a.yaml:2:1: unknown key \"max_weight\"; did you mean \"members[0].max_weight\"?\n"},
    {"name: x\nfed: {rounds: 5x}\n", "a.yaml:2:15: fed.rounds: \"5x\" is not a whole number\n"},
    {"name: x\nfed: {rounds: 5.0}\n", "a.yaml:2:15: fed.rounds: \"5.0\" is not a whole number\n"},
    {"name: x\nfed: {rounds: 0}\n", "a.yaml:2:15: fed.rounds: 0 is out of range; it must be at "
                                    "least 1 and at most 1000000 commits\n"},
    {"name: x\nfed: {quorum: 0}\n", "a.yaml:2:15: fed.quorum: 0 is out of range; it must be above "
                                    "0 and at most 1\n"},
    {"name: x\nfed: {quorum: .nan}\n", "a.yaml:2:15: fed.quorum: \".nan\" is not a number\n"},
    {"name: x\nfed: {quorum: 1e999}\n",
     "a.yaml:2:15: fed.quorum: 1e999 is out of range; it must be "
     "above 0 and at most 1\n"},
    {"name: x\nfed: {rounds: -1}\n", "a.yaml:2:15: fed.rounds: \"-1\" is not a whole number\n"},
    {"name: x\nfed: {deadline_s: 5y}\n", "a.yaml:2:19: fed.deadline_s: \"5y\" is not a duration; "
                                         "write seconds, or 250ms, 90s, 5m, 2h, 1d\n"},
    {"name: x\nstore: {quota: 5MB}\n", "a.yaml:2:16: store.quota: \"5MB\" is not a size; write "
                                       "bytes, or 64KiB, 16MiB, 1GiB\n"},
    {"name: x\nfast: yes\n",
     "a.yaml:2:7: fast: \"yes\" is not a truth value; write true or false\n"},
    {"name: x\nfed: {server: {color: gren}}\n", "a.yaml:2:23: fed.server.color: \"gren\" is none "
                                                "of: red, green; did you mean \"green\"?\n"},
    {"name: x\nfed: {server: {color: violet}}\n",
     "a.yaml:2:23: fed.server.color: \"violet\" is not "
     "in this version; there are: red, green\n"},
    {"name: abcdefghijklmnopq\n",
     "a.yaml:1:7: name: too long: 17 bytes, at most 15 (\"abcdefghijklmnopq...\")\n"},
    {"name: \"\"\n", "a.yaml:1:7: name: must not be empty\n"},
    {"name:\n", "a.yaml:1:6: name: has no value; write \"\" for an empty text\n"},
    {"name: [x]\n", "a.yaml:1:7: name: must be a single value\n"},
    {"name: \"a\\0b\"\n", "a.yaml:1:7: a text may not contain a NUL character\n"},
    {"name: \"a\\nb\"\n", "a.yaml:1:7: name: contains a control character (0x0a)\n"},
    {"name: x\nname: y\n", "a.yaml:2:1: duplicate key \"name\"; it was given before at line 1\n"},
    {"name: &a x\n", "a.yaml:1:7: anchors (&name) are not supported\n"},
    {"name: *a\n", "a.yaml:1:7: aliases (*name) are not supported\n"},
    {"name: !!str x\n", "a.yaml:1:7: tags (!name) are not supported\n"},
    {"fed: !x {rounds: 1}\n", "a.yaml:1:6: tags (!name) are not supported\n"},
    {"name: x\n---\nname: y\n", "a.yaml:2:1: a second document (---) is not supported\n"},
    {"- a\n- b\n", "a.yaml:1:1: a configuration is a section: key: value\n"},
    {"? [a]\n: b\n", "a.yaml:1:3: a key must be a plain word\n"},
    {"name: x\nhidden: 5\n", "a.yaml:2:9: hidden: must be a list, e.g. [a, b]\n"},
    {"name: x\nhidden: [1, 2, 3, 4, 5]\n", "a.yaml:2:9: hidden: 5 elements, at most 4\n"},
    {"name: x\nhidden: [1, b]\n", "a.yaml:2:13: hidden: \"b\" is not a whole number\n"},
    {"name: x\nfed: 3\n", "a.yaml:2:6: fed: is a section; write its keys below it\n"},
    {"name: x\nmembers: [a]\n", "a.yaml:2:11: members[0]: must be a section (key: value)\n"},
    {"name: x\nmembers: [{id: A b}]\n", "a.yaml:2:16: members[0].id: \"A b\" must be 1 to 63 of "
                                        "the characters a-z 0-9 -\n"},
    {"name: x\nmembers:\n  - domain: d\n", "a.yaml:3:5: missing key \"members[0].id\"\n"},
    {"fast: true\n", "a.yaml: missing key \"name\"\n"},
    {"", "a.yaml: missing key \"name\"\n"},
    {"name: ${HOME}\n", "a.yaml:1:7: name: \"${HOME}\": ${...} is not expanded here\n"},
    {"name: x\nstore: {dir: \"${NOPE_X}\"}\n",
     "a.yaml:2:14: store.dir: ${NOPE_X} is not set and has no default\n"},
    {"name: x\nstore: {dir: \"${-}\"}\n",
     "a.yaml:2:14: store.dir: \"${-}\": write ${NAME} or ${NAME:-default}\n"},
    {"name: x\nfed: {rounds: 0}\nfast: no\n",
     "a.yaml:2:15: fed.rounds: 0 is out of range; it must be at least 1 and at most 1000000 "
     "commits\na.yaml:3:7: fast: \"no\" is not a truth value; write true or false\n"},
};

static void test_goldens(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof goldens / sizeof goldens[0]; i++) {
    struct target t;
    char errors[4096];
    assert_int_equal(read_all(&t, goldens[i].text, NULL, NULL, 0, errors), XF_E_CONFIG);
    if (strcmp(errors, goldens[i].errors) != 0)
      fail_msg("row %zu\n got: %swant: %s", i, errors, goldens[i].errors);
  }
}

static void test_too_many(void **state) {
  (void)state;
  char text[2048] = "name: x\n", errors[4096];
  for (int i = 0; i < 30; i++) {
    size_t n = strlen(text);
    snprintf(text + n, sizeof text - n, "unheard%d: 1\n", i);
  }
  struct target t;
  assert_int_equal(read_all(&t, text, NULL, NULL, 0, errors), XF_E_CONFIG);
  size_t lines = 0;
  for (const char *p = errors; *p; p++) lines += *p == '\n';
  assert_int_equal(lines, 21);
  assert_non_null(strstr(errors, "too many errors"));
}

static void test_precedence(void **state) {
  (void)state;
  static const char *const env[] = {"HOME=/x",
                                    "CROSSFED_DATA=/not/config",
                                    "CROSSFED__FED__ROUNDS=7",
                                    "CROSSFED__FED__SERVER__LR=0.5",
                                    "CROSSFED__MEMBERS__0__DOMAIN=env",
                                    NULL};
  static const char *const sets[] = {"fed.rounds=9", "hidden=3,2, 1", "colors=[red]",
                                     "members[1].max_weight=12", "seed=5"};
  static const char text[] = "name: x\nseed: 2\nfed: {rounds: 5, server: {lr: 2}}\n"
                             "members: [{id: a}, {id: b}]\nhidden: [9]\n";
  struct target t;
  assert_int_equal(read_all(&t, text, env, sets, 5, NULL), XF_OK);
  assert_int_equal(t.fed.rounds, 9);
  assert_true(t.fed.server.lr == 0.5);
  assert_int_equal(t.seed, 5);
  assert_int_equal(t.n_hidden, 3);
  assert_int_equal(t.hidden[2], 1);
  assert_int_equal(t.n_colors, 1);
  assert_string_equal(t.members[0].domain, "env");
  assert_int_equal(t.members[1].max_weight, 12);
  xf_conf_deinit_target(&table, &t);
}

static void test_set_errors(void **state) {
  (void)state;
  static const struct {
    const char *set, *error;
  } rows[] = {
      {"fed.rounds", "--set fed.rounds: write it as section.key=value\n"},
      {"=3", "--set =3: write it as section.key=value\n"},
      {"fed.quorom=1",
       "--set fed.quorom: unknown key \"fed.quorom\"; did you mean \"fed.quorum\"?\n"},
      {"fed=1", "--set fed: \"fed\" is a section; give one of its keys, e.g. \"fed.rounds\"\n"},
      {"fed.rounds=5x", "--set fed.rounds: fed.rounds: \"5x\" is not a whole number\n"},
      {"members[3].id=c", "--set members[3].id: \"members\" has 2 elements (counted from 0)\n"},
      {"domain=q", "--set domain: there are 2 members; write members[0].domain\n"},
      {"members=a", "--set members: write a list of sections as [{key: value}, {key: value}]\n"},
      {"members=[{id: a}, &x {id: b}]", "--set members: anchors (&name) are not supported\n"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct target t;
    char errors[4096];
    assert_int_equal(
        read_all(&t, "name: x\nmembers: [{id: a}, {id: b}]\n", NULL, &rows[i].set, 1, errors),
        XF_E_CONFIG);
    assert_string_equal(errors, rows[i].error);
  }
  static const char *const env[] = {"CROSSFED__FED__QUOROM=1", NULL};
  struct target t;
  char errors[4096];
  assert_int_equal(read_all(&t, "name: x\n", env, NULL, 0, errors), XF_E_CONFIG);
  assert_string_equal(errors, "environment CROSSFED__FED__QUOROM: unknown key \"fed.quorom\"; did "
                              "you mean \"fed.quorum\"?\n");
}

static void test_only_element(void **state) {
  (void)state;
  const char *set = "domain=books";
  struct target t;
  assert_int_equal(read_all(&t, "name: x\nmembers: [{id: a}]\n", NULL, &set, 1, NULL), XF_OK);
  assert_string_equal(t.members[0].domain, "books");
  xf_conf_deinit_target(&table, &t);
}

static void test_expand(void **state) {
  (void)state;
  static const char *const env[] = {"BASE=/b", "EMPTY=", "EVIL=${BASE}", NULL};
  static const struct {
    const char *dir, *want;
  } rows[] = {{"${BASE}/x", "/b/x"},      {"${NOPE:-../d}/x", "../d/x"},
              {"${EMPTY:-e}", "e"},       {"${EMPTY}z", "z"},
              {"$BASE", "$BASE"},         {"${EVIL}", NULL},
              {"${NOPE:-${BASE}}", NULL}, {"${BASE", NULL}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char text[100], errors[4096];
    snprintf(text, sizeof text, "name: x\nstore: {dir: \"%s\"}\n", rows[i].dir);
    struct target t;
    enum xf_rc rc = read_all(&t, text, env, NULL, 0, errors);
    assert_int_equal(rc, rows[i].want ? XF_OK : XF_E_CONFIG);
    if (rows[i].want) assert_string_equal(t.store.dir, rows[i].want);
    xf_conf_deinit_target(&table, &t);
  }
}

/* Hostile texts: an error (or not), never a crash, a hang or a lot of memory. */
static void test_hostile(void **state) {
  (void)state;
  static const char *const texts[] = {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
                                      "{{{{{{{{{{{{{{{{{{{{{{{{{",
                                      "a: b: c",
                                      "\t- x",
                                      "name: \"x",
                                      "name: 'x",
                                      "%TAG ! tag:x,2000:\n---\nname: x\n",
                                      "%YAML 9.9\n---\nname: x\n",
                                      "name: |\n  x\n",
                                      "!",
                                      "&",
                                      "*",
                                      "?",
                                      "-",
                                      ":",
                                      "\xff\xfe",
                                      "name: \xc3\x28\n",
                                      "\xef\xbb\xbf",
                                      "name: x\n...\nname: y\n",
                                      "<<: {name: x}\n",
                                      "name: >-\n\n\n"};
  struct target t;
  char errors[4096];
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    if (read_all(&t, texts[i], NULL, NULL, 0, errors)) assert_true(errors[0] != '\0');
    xf_conf_deinit_target(&table, &t);
  }
  char *big = malloc(2 << 20);
  assert_non_null(big);
  memset(big, '[', 1 << 20);
  big[1 << 20] = '\0';
  assert_int_equal(read_all(&t, big, NULL, NULL, 0, errors), XF_E_CONFIG);
  assert_string_equal(errors, "a.yaml:1:17: nested too deeply (at most 16 levels)\n");
  memset(big, 'a', 1 << 20);
  memcpy(big, "name: ", 6);
  assert_int_equal(read_all(&t, big, NULL, NULL, 0, errors), XF_E_CONFIG);
  big[1 << 20] = 'a';
  big[(1 << 20) + 1] = '\0';
  assert_int_equal(read_all(&t, big, NULL, NULL, 0, errors), XF_E_CONFIG);
  assert_string_equal(errors, "a.yaml: 1048577 bytes; a configuration has at most 1048576\n");
  memset(big, ' ', 1 << 20);
  for (size_t i = 0; i + 2 < 1 << 20; i += 2) memcpy(big + i, "x,", 2);
  memcpy(big, "a: [", 4);
  big[1 << 20] = '\0';
  assert_int_equal(read_all(&t, big, NULL, NULL, 0, errors), XF_E_CONFIG);
  free(big);
}

/* Every prefix of a good file reads or fails in words. */
static void test_truncated(void **state) {
  (void)state;
  static const char text[] = "name: x\nfed: {rounds: 5, server: {lr: 2}}\n"
                             "members: [{id: a}, {id: \"b\"}]\nhidden: [9]\n";
  for (size_t n = 0; n < sizeof text; n++) {
    char part[sizeof text], errors[4096];
    memcpy(part, text, n);
    part[n] = '\0';
    struct target t;
    if (read_all(&t, part, NULL, NULL, 0, errors)) assert_true(errors[0] != '\0');
    xf_conf_deinit_target(&table, &t);
  }
}

static void write_file(const char *path, const char *text) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_true(fputs(text, f) >= 0);
  assert_int_equal(fclose(f), 0);
}

static void test_files(void **state) {
  (void)state;
  char dir[] = "/tmp/xf_conf_XXXXXX", path[64], sub[96], origin[128];
  assert_non_null(mkdtemp(dir));
  snprintf(path, sizeof path, "%s/server.yaml", dir);
  struct target t;
  struct xf_diag diag;
  struct xf_conf_source source = {.path = path, .with_dir = true};
  struct xf_conf *conf = xf_conf_new(&table);
  assert_int_equal(xf_conf_read(conf, &t, &source, &diag), XF_E_NOTFOUND);
  assert_non_null(strstr(diag.text, path));
  xf_conf_free(conf);

  write_file(path, "name: x\nfed: {rounds: 3}\nhidden: [1, 2]\n");
  snprintf(sub, sizeof sub, "%s/conf.d", dir);
  assert_int_equal(mkdir(sub, 0700), 0);
  snprintf(sub, sizeof sub, "%s/conf.d/20-b.yaml", dir);
  write_file(sub, "fed: {rounds: 6}\n");
  snprintf(sub, sizeof sub, "%s/conf.d/10-a.yaml", dir);
  write_file(sub, "fed: {rounds: 5, quorum: 0.5}\nhidden: [7]\n");
  snprintf(sub, sizeof sub, "%s/conf.d/30-c.txt", dir);
  write_file(sub, "not: read\n");
  conf = xf_conf_new(&table);
  assert_int_equal(xf_conf_read(conf, &t, &source, &diag), XF_OK);
  assert_int_equal(t.fed.rounds, 6);
  assert_true(t.fed.quorum == 0.5);
  assert_int_equal(t.n_hidden, 1);
  struct xf_buf out;
  xf_buf_init(&out, 4096);
  assert_int_equal(xf_conf_origin(&out, conf, "fed.rounds"), XF_OK);
  snprintf(origin, sizeof origin, "%s/conf.d/20-b.yaml:1:15", dir);
  assert_string_equal(xf_buf_cstr(&out), origin);
  assert_int_equal(xf_conf_origin(&out, conf, "fed.nope"), XF_E_NOTFOUND);
  xf_buf_deinit(&out);
  xf_conf_deinit_target(&table, &t);
  xf_conf_free(conf);

  snprintf(sub, sizeof sub, "%s/conf.d/10-a.yaml", dir);
  unlink(sub);
  snprintf(sub, sizeof sub, "%s/conf.d/20-b.yaml", dir);
  unlink(sub);
  snprintf(sub, sizeof sub, "%s/conf.d/30-c.txt", dir);
  unlink(sub);
  snprintf(sub, sizeof sub, "%s/conf.d", dir);
  rmdir(sub);
  unlink(path);
  rmdir(dir);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_table),      cmocka_unit_test(test_types),
      cmocka_unit_test(test_defaults),   cmocka_unit_test(test_goldens),
      cmocka_unit_test(test_too_many),   cmocka_unit_test(test_precedence),
      cmocka_unit_test(test_set_errors), cmocka_unit_test(test_only_element),
      cmocka_unit_test(test_expand),     cmocka_unit_test(test_hostile),
      cmocka_unit_test(test_truncated),  cmocka_unit_test(test_files),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
