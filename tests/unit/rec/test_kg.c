// Knowledge graphs: loading plain and gzipped files, every finding with its line, refusals with their place, linking by key and
// by map, the graph beside the items, best paths (against all walks on random graphs), Last.FM's counts.
#include "base/fs.h"
#include "base/rng.h"
#include "rec/kggraph.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static char path[XF_PATH_MAX];

static void remove_it(void) { (void)remove(path); }

// One file at a time.
static const char *file(const char *text) {
  if (!path[0]) {
    const char *tmp = getenv("TMPDIR");
    assert_true(snprintf(path, sizeof path, "%s/xf-kg-XXXXXX", tmp ? tmp : "/tmp") > 0);
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "wb");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(atexit(remove_it), 0);
  }
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
  assert_int_equal(fclose(f), 0);
  return path;
}

static void names(struct xf_names *out, const char *const *key, size_t n) {
  xf_names_init(out);
  for (size_t k = 0; k < n; k++) {
    uint32_t id = 0;
    assert_int_equal(xf_names_add(out, &id, key[k], strlen(key[k])), XF_OK);
    assert_int_equal(id, k);
  }
}

static void load(struct xf_kg *kg, const char *text, const struct xf_names *vocabulary) {
  struct xf_diag diag = {0};
  if (xf_kg_load(kg, file(text), vocabulary, &diag)) fail_msg("%s", diag.text);
}

static void found(const struct xf_kg *kg, enum xf_kg_finding_kind kind, uint64_t count,
                  uint64_t line, const char *example) {
  const struct xf_finding *f = &kg->found[kind];
  assert_int_equal(f->count, count);
  assert_int_equal(f->line, line);
  assert_string_equal(f->example, example);
}

static void test_load(void **state) {
  (void)state;
  struct xf_kg kg;
  load(&kg, "a\tin\tX\nb\tin\tX\na\tin\tX\nX\tof\tX\nX\tof\ta\n\na\tin\tX\n", NULL);
  assert_int_equal(kg.n, 3);
  assert_int_equal(kg.entities.n, 3);
  assert_int_equal(kg.relations.n, 2);
  assert_string_equal(xf_names_get(&kg.entities, kg.tail[1]), "X");
  assert_string_equal(xf_names_get(&kg.relations, kg.relation[2]), "of");
  found(&kg, XF_KG_FINDING_REPEATS, 2, 3, "\"a\" \"in\" \"X\"");
  found(&kg, XF_KG_FINDING_LOOPS, 1, 4, "\"X\" \"of\" \"X\"");
  found(&kg, XF_KG_FINDING_RELATIONS, 0, 0, "");
  xf_kg_deinit(&kg);
}

static void test_vocabulary(void **state) {
  (void)state;
  struct xf_kg kg;
  struct xf_names vocabulary;
  names(&vocabulary, (const char *const[]){"of", "in"}, 2);
  load(&kg, "a in X\nX like a\nX like b\nX of a\n", &vocabulary);
  assert_int_equal(kg.n, 2);
  assert_int_equal(kg.relation[0], 1); // the vocabulary's numbers
  found(&kg, XF_KG_FINDING_RELATIONS, 2, 2, "relation \"like\" between \"X\" and \"a\"");
  xf_kg_deinit(&kg);
  struct xf_diag diag = {0};
  assert_int_equal(xf_kg_load(&kg, file("a like b\n"), &vocabulary, &diag), XF_E_FORMAT);
  assert_non_null(strstr(diag.text, "no triple counts (1 of relations outside the vocabulary)"));
  xf_names_deinit(&vocabulary);
}

static void test_refusals(void **state) {
  (void)state;
  static const struct {
    const char *text, *says;
  } bad[] = {{"a\tin\tX\nb\tin\n", ":2: 2 columns; a line is head, relation, tail"},
             {"a\tin\tX\n\tin\tX\n", ":2:1: the head \"\" is not a key"},
             {"a\t\tX\n", ":1:2: the relation \"\" is not a key"},
             {"", "no triple counts"}};
  for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
    struct xf_kg kg;
    struct xf_diag diag = {0};
    assert_int_equal(xf_kg_load(&kg, file(bad[k].text), NULL, &diag), XF_E_FORMAT);
    if (!strstr(diag.text, bad[k].says)) fail_msg("%s", diag.text);
    assert_null(kg.head);
  }
  struct xf_kg kg;
  struct xf_diag diag = {0};
  assert_int_equal(xf_kg_load(&kg, "/nowhere/kg.txt", NULL, &diag), XF_E_NOTFOUND);
}

// By own key: c is no entity. The entities Y and Z hang together without an item.
static void test_link_by_key(void **state) {
  (void)state;
  struct xf_kg kg;
  struct xf_kg_link link;
  struct xf_kg_graph g;
  struct xf_names items;
  struct xf_diag diag = {0};
  names(&items, (const char *const[]){"a", "b", "c"}, 3);
  load(&kg, "a in X\nb in X\nY in Z\nX near b\nX near Q\n", NULL);
  assert_int_equal(xf_kg_link_init(&link, &kg, &items, NULL, &diag), XF_OK);
  assert_int_equal(link.entity[2], XF_NO_ID);
  assert_int_equal(xf_kg_graph_init(&g, &kg, &link, NULL, &diag), XF_OK);
  found(&kg, XF_KG_FINDING_UNLINKED, 1, 0, "item \"c\"");
  found(&kg, XF_KG_FINDING_APART, 2, 0, "entity \"Y\"");
  assert_int_equal(g.n_items, 3);
  assert_int_equal(g.n_node, 7); // a b c, then X Y Z Q
  assert_string_equal(xf_names_get(&kg.entities, g.entity[3]), "X");
  assert_int_equal(g.start[7], 8); // a-X, b-X once for two relations, X-Q, Y-Z; both ways
  assert_int_equal(g.start[4] - g.start[3], 3);
  assert_int_equal(g.node[g.start[3]], 0);
  assert_int_equal(g.start[2], g.start[3]); // c has nothing
  assert_string_equal(xf_names_get(&kg.relations, g.relation[g.start[1]]), "in");
  xf_kg_graph_deinit(&g);
  // the heavier relation of two counts; weight 0 drops
  assert_int_equal(xf_kg_graph_init(&g, &kg, &link, (const float[]){0, .5f}, &diag),
                   XF_OK); // in, near
  assert_int_equal(g.start[7], 4);
  assert_float_equal(g.weight[0], .5, 0);
  xf_kg_graph_deinit(&g);
  assert_int_equal(xf_kg_graph_init(&g, &kg, &link, (const float[]){1, -1}, &diag), XF_E_RANGE);
  assert_non_null(strstr(diag.text, "relation near: weight -1"));
  xf_kg_link_deinit(&link);
  xf_names_deinit(&items);
  xf_kg_deinit(&kg);
}

static void test_link_by_map(void **state) {
  (void)state;
  struct xf_kg kg;
  struct xf_kg_link link;
  struct xf_kg_graph g;
  struct xf_names items;
  struct xf_diag diag = {0};
  names(&items, (const char *const[]){"7", "8", "9", "10", "11", "12"}, 6);
  load(&kg, "E in X\nF in X\n", NULL);
  const char *map = "7 E\n8 F\n9 F\n7 F\n5 E\n10 new\n11 new\n";
  assert_int_equal(xf_kg_link_init(&link, &kg, &items, file(map), &diag), XF_OK);
  assert_int_equal(xf_kg_graph_init(&g, &kg, &link, NULL, &diag), XF_OK);
  found(&kg, XF_KG_FINDING_FOREIGN, 1, 5, "item \"5\", entity \"E\"");
  found(&kg, XF_KG_FINDING_REMAPPED, 1, 4, "item \"7\", entity \"F\"");
  found(&kg, XF_KG_FINDING_DANGLING, 2, 6, "item \"10\", entity \"new\"");
  found(&kg, XF_KG_FINDING_SHARED, 2, 0, "entity \"F\", also of item \"9\"");
  found(&kg, XF_KG_FINDING_UNLINKED, 1, 0, "item \"12\"");
  found(&kg, XF_KG_FINDING_APART, 0, 0, "");
  assert_int_equal(g.n_node, 9); // 6 items, X, F, new
  struct xf_kg_path p;
  char text[128];
  const uint32_t history[] = {3}; // 10 and 11 are joined by what only the map names
  assert_int_equal(xf_kg_path_find(&p, &g, NULL, history, NULL, 1, 4, 3, &diag), XF_OK);
  assert_string_equal(xf_kg_path_print(text, sizeof text, &p, &g, &kg, &items),
                      "10 -is- new -is- 11");
  const uint32_t seven[] = {0};
  assert_int_equal(xf_kg_path_find(&p, &g, NULL, seven, NULL, 1, 2, 3, &diag), XF_OK);
  assert_string_equal(xf_kg_path_print(text, sizeof text, &p, &g, &kg, &items),
                      "7 -in- X -in- F -is- 9");
  assert_string_equal(xf_kg_path_print(text, 8, &p, &g, &kg, &items), "7 -in- "); // cut, ended
  assert_int_equal(xf_kg_path_find(&p, &g, NULL, seven, NULL, 1, 2, 2, &diag), XF_OK);
  assert_int_equal(p.n, 0);
  xf_kg_graph_deinit(&g);
  xf_kg_link_deinit(&link);
  assert_int_equal(xf_kg_link_init(&link, &kg, &items, file("seven E\n"), &diag), XF_E_FORMAT);
  assert_non_null(strstr(diag.text, "no row names an item of the data"));
  assert_int_equal(xf_kg_link_init(&link, &kg, &items, file("7 E 1\n"), &diag), XF_E_FORMAT);
  assert_non_null(strstr(diag.text, ":1: 3 columns; a line is item, entity"));
  xf_names_deinit(&items);
  xf_kg_deinit(&kg);
}

// vector kg_path_score: likes .5 then .6 x .4, against likes .3 then .9 x .2; a tie goes to the shorter.
static void test_path_score(void **state) {
  (void)state;
  // items 0, 1 (history), 2 (wanted); 3 a director, 4 a genre
  uint64_t start[] = {0, 1, 2, 4, 6, 8};
  uint32_t node[] = {3, 4, 3, 4, 0, 2, 1, 2}, relation[8] = {0};
  float weight[] = {1, 1, 1, 1, 1, 1, 1, 1};
  const struct xf_kg_graph g = {.n_items = 3,
                                .n_node = 5,
                                .start = start,
                                .node = node,
                                .relation = relation,
                                .weight = weight};
  float hop[] = {.6f, .9f, .1f, .1f, .1f, .4f, .1f, .2f};
  const uint32_t history[] = {0, 1};
  struct xf_kg_path p;
  struct xf_diag diag = {0};
  assert_int_equal(xf_kg_path_find(&p, &g, hop, history, (const float[]){.5f, .3f}, 2, 2, 3, &diag),
                   XF_OK);
  assert_float_equal(p.score, .12, 1e-7);
  assert_int_equal(p.n, 2);
  assert_int_equal(p.node[0], 0);
  assert_int_equal(p.node[1], 3);
  assert_int_equal(p.node[2], 2);
  assert_int_equal(xf_kg_path_find(&p, &g, hop, history, (const float[]){.1f, .9f}, 2, 2, 3, &diag),
                   XF_OK);
  assert_float_equal(p.score, .162, 1e-7);
  assert_int_equal(p.node[1], 4);
  for (int k = 0; k < 8; k++) hop[k] = 1; // every walk has score 1: the shortest, from the smaller
  assert_int_equal(xf_kg_path_find(&p, &g, hop, history, NULL, 2, 2, 6, &diag), XF_OK);
  assert_int_equal(p.n, 2);
  assert_int_equal(p.node[0], 0);
  assert_int_equal(xf_kg_path_find(&p, &g, hop, history, NULL, 2, 3, 3, &diag), XF_E_RANGE);
  assert_int_equal(xf_kg_path_find(&p, &g, hop, history, NULL, 2, 2, 7, &diag), XF_E_RANGE);
}

struct walks {
  const struct xf_kg_graph *g;
  const float *hop;
  uint32_t item;
  double best;
};

static void walk(struct walks *w, uint32_t v, double x, uint32_t left) {
  for (uint64_t e = w->g->start[v]; e < w->g->start[v + 1] && left; e++) {
    const double y = x * (double)w->hop[e];
    if (w->g->node[e] == w->item && y > w->best) w->best = y;
    walk(w, w->g->node[e], y, left - 1);
  }
}

// Random graphs with hops that differ by direction: the score is the best over all walks.
static void test_all_walks(void **state) {
  (void)state;
  enum { N = 9 };
  struct xf_rng rng;
  xf_rng_init(&rng, 8, 0);
  for (int round = 0; round < 40; round++) {
    uint8_t there[N][N] = {{0}};
    for (int a = 0; a < N; a++)
      for (int b = 0; b < a; b++) there[a][b] = there[b][a] = xf_rng_double(&rng) < .3;
    uint64_t start[N + 1] = {0};
    uint32_t node[N * N], relation[N * N] = {0};
    float weight[N * N], hop[N * N];
    for (uint32_t a = 0, n = 0; a < N; a++) {
      for (uint32_t b = 0; b < N; b++)
        if (there[a][b]) {
          node[n] = b;
          weight[n] = 1;
          hop[n++] = (float)xf_rng_double(&rng);
        }
      start[a + 1] = n;
    }
    const struct xf_kg_graph g = {.n_items = 4,
                                  .n_node = N,
                                  .start = start,
                                  .node = node,
                                  .relation = relation,
                                  .weight = weight};
    const uint32_t history[] = {0, 1, 3};
    struct xf_kg_path p;
    struct xf_diag diag = {0};
    assert_int_equal(xf_kg_path_find(&p, &g, hop, history, NULL, 3, 3, 4, &diag), XF_OK);
    struct walks w = {&g, hop, 3, 0};
    walk(&w, 0, 1, 4);
    walk(&w, 1, 1, 4);
    assert_float_equal(p.score, w.best, 1e-12);
    assert_int_equal(p.n > 0, w.best > 0);
    if (p.n) assert_int_equal(p.node[p.n], 3);
  }
}

static void test_findings_say(void **state) {
  (void)state;
  for (int k = 0; k < XF_N_KG_FINDING; k++) {
    assert_true(strlen(xf_kg_finding_name((enum xf_kg_finding_kind)k)) > 3);
    assert_true(strlen(xf_kg_finding_text((enum xf_kg_finding_kind)k)) > 10);
    assert_non_null(strchr(xf_kg_finding_fix((enum xf_kg_finding_kind)k), ';'));
  }
}

// 15,518 triples, 9,366 entities, 60 relations; every item is an entity.
static void test_lastfm(void **state) {
  (void)state;
  char real[XF_PATH_MAX];
  const char *root = getenv("CROSSFED_DATA");
  if (xf_fs_join(real, root && *root ? root : "../shared/data", "kg-lastfm/kg_final.txt.gz") ||
      !xf_fs_exists(xf_fs_posix(), real)) {
    print_message("no data set kg-lastfm: set CROSSFED_DATA\n");
    skip();
  }
  struct xf_kg kg;
  struct xf_kg_link link;
  struct xf_kg_graph g;
  struct xf_names items;
  struct xf_diag diag = {0};
  assert_int_equal(xf_kg_load(&kg, real, NULL, &diag), XF_OK);
  assert_int_equal(kg.entities.n, 9366);
  assert_int_equal(kg.relations.n, 60);
  assert_int_equal(kg.n + kg.found[XF_KG_FINDING_LOOPS].count, 15518);
  found(&kg, XF_KG_FINDING_REPEATS, 0, 0, "");
  xf_names_init(&items);
  for (uint32_t i = 0; i < 3846; i++) {
    char key[16];
    uint32_t id = 0;
    const int len = snprintf(key, sizeof key, "%u", i);
    assert_int_equal(xf_names_add(&items, &id, key, (size_t)len), XF_OK);
  }
  assert_int_equal(xf_kg_link_init(&link, &kg, &items, NULL, &diag), XF_OK);
  assert_int_equal(xf_kg_graph_init(&g, &kg, &link, NULL, &diag), XF_OK);
  assert_int_equal(kg.found[XF_KG_FINDING_UNLINKED].count, 0);
  assert_int_equal(g.n_node, 9366);
  xf_kg_graph_deinit(&g);
  xf_kg_link_deinit(&link);
  xf_names_deinit(&items);
  xf_kg_deinit(&kg);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_load),        cmocka_unit_test(test_vocabulary),
      cmocka_unit_test(test_refusals),    cmocka_unit_test(test_link_by_key),
      cmocka_unit_test(test_link_by_map), cmocka_unit_test(test_path_score),
      cmocka_unit_test(test_all_walks),   cmocka_unit_test(test_findings_say),
      cmocka_unit_test(test_lastfm),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
