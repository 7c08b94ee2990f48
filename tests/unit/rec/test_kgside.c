// A silo's knowledge graph: its files and what is wrong with them; in the decision it helps where items are rare, and a permuted one
// does not.
#include "base/buf.h"
#include "base/rng.h"
#include "rec/heldout.h"
#include "rec/kgside.h"
#include "rec/metrics.h"
#include "rec/recommender.h"
#include "tensor/blas.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { TASTES = 40, ITEMS = 800, USERS = 400, HISTORY = 5 };

static char dir[64], triples[96], map[96], words[96];

static int set_up(void **state) {
  (void)state;
  (void)snprintf(dir, sizeof dir, "/tmp/xf-kgside-XXXXXX");
  if (!mkdtemp(dir)) return 1;
  (void)snprintf(triples, sizeof triples, "%s/triples", dir);
  (void)snprintf(map, sizeof map, "%s/items", dir);
  (void)snprintf(words, sizeof words, "%s/relations", dir);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  (void)unlink(triples);
  (void)unlink(map);
  (void)unlink(words);
  return rmdir(dir);
}

static void put(const char *path, const char *text) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_true(fputs(text, f) >= 0);
  assert_int_equal(fclose(f), 0);
}

static void names_of(struct xf_names *items, const char *const *key, size_t n) {
  xf_names_init(items);
  for (size_t i = 0; i < n; i++) {
    uint32_t id = 0;
    assert_int_equal(xf_names_add(items, &id, key[i], strlen(key[i])), XF_OK);
  }
}

static void refused(const struct xf_kg_files *files, const struct xf_names *items, enum xf_rc want,
                    const char *text) {
  struct xf_kg_side *side = NULL;
  struct xf_diag diag = {0};
  assert_int_equal(xf_kg_side_new(&side, files, items, &diag), want);
  assert_null(side);
  if (!strstr(diag.text, text)) fail_msg("\"%s\" is not in \"%s\"", text, diag.text);
}

static void test_files(void **state) {
  (void)state;
  static const char *const key[] = {"a", "b", "c"};
  struct xf_names items;
  struct xf_diag diag = {0};
  struct xf_kg_side *side = NULL;
  char path[XF_KG_PATH_TEXT];
  names_of(&items, key, 3);
  struct xf_kg_files files = {.triples = triples};
  refused(&files, &items, XF_E_NOTFOUND, "knowledge graph: ");
  put(triples, "a\tby\tann\nb\tby\tann\nann\tin\trome\n");
  if (xf_kg_side_new(&side, &files, &items, &diag)) fail_msg("%s", diag.text);
  const uint32_t history[] = {0};
  assert_int_equal(xf_kg_side_path(path, side, &items, history, 1, 1, &diag), XF_OK);
  assert_string_equal(path, "a -by- ann -by- b");
  assert_int_equal(xf_kg_side_path(path, side, &items, history, 1, 2, &diag), XF_OK);
  assert_string_equal(path, "");
  assert_ptr_equal(xf_kg_side_ref(side), side);
  xf_kg_side_unref(side);
  /* from its own parts it is the same */
  struct xf_kg_side *again = NULL;
  struct xf_kg kg = side->kg;
  struct xf_kg_link link = side->link;
  side->kg = (struct xf_kg){0};
  side->link = (struct xf_kg_link){0};
  assert_int_equal(xf_kg_side_of(&again, &kg, &link, &diag), XF_OK);
  assert_int_equal(again->graph.n_node, side->graph.n_node);
  assert_memory_equal(again->graph.start, side->graph.start,
                      (again->graph.n_node + 1) * sizeof *again->graph.start);
  xf_kg_side_unref(side);
  xf_kg_side_unref(again);

  files.relations = words;
  refused(&files, &items, XF_E_NOTFOUND, "relations");
  put(words, "");
  refused(&files, &items, XF_E_FORMAT, "names no relation");
  put(words, "by\tx\n");
  refused(&files, &items, XF_E_FORMAT, "relations:1");
  put(words, "by\n");
  refused(&files, &items, XF_E_FORMAT, "triples:3: relation \"in\"");
  put(words, "by\nin\n");
  if (xf_kg_side_new(&side, &files, &items, &diag)) fail_msg("%s", diag.text);
  xf_kg_side_unref(side);

  files.items = map;
  refused(&files, &items, XF_E_NOTFOUND, "items");
  put(map, "a\tann\nother\tann\nb\tbob\n");
  refused(&files, &items, XF_E_FORMAT, "items:3: item \"b\", entity \"bob\"");
  put(map, "x\tann\n");
  refused(&files, &items, XF_E_FORMAT, "no row names an item of the data");
  put(map, "a\tann\nc\trome\nother\tann\n");
  if (xf_kg_side_new(&side, &files, &items, &diag)) fail_msg("%s", diag.text);
  assert_true(side->kg.found[XF_KG_FINDING_FOREIGN].count == 1);
  xf_kg_side_unref(side);
  files.items = NULL;
  put(triples, "x\tby\tann\n");
  refused(&files, &items, XF_E_FORMAT, "none of the 3 items");
  xf_names_deinit(&items);
}

/* --- in the decision ---------------------------------------------------------------------------------------------- */

struct silo {
  struct xf_interactions inter;
  struct xf_split split;
};

// Users of a taste take its items; there are so many that few are taken twice.
static void silo_init(struct silo *s, uint64_t seed) {
  struct xf_diag diag = {0};
  struct xf_rng rng;
  xf_rng_init(&rng, seed, 0);
  xf_interactions_init(&s->inter);
  for (uint32_t u = 0; u < USERS; u++) {
    bool has[ITEMS] = {false};
    for (uint32_t k = 0; k < HISTORY;) {
      const uint32_t i = u % TASTES + TASTES * xf_rng_below(&rng, ITEMS / TASTES);
      char user[16], item[16];
      if (has[i]) continue;
      has[i] = true;
      k++;
      (void)snprintf(user, sizeof user, "u%u", u);
      (void)snprintf(item, sizeof item, "i%u", i);
      assert_int_equal(xf_interactions_add(&s->inter, user, item, NULL, NAN, NAN), XF_OK);
    }
  }
  const struct xf_split_spec spec = {.kind = XF_SPLIT_LEAVE_ONE_OUT, .min = 5};
  assert_int_equal(xf_split_init(&s->split, &s->inter, &spec, NULL, &diag), XF_OK);
}

static void silo_deinit(struct silo *s) {
  xf_split_deinit(&s->split);
  xf_interactions_deinit(&s->inter);
}

// Item i is of the taste's kind; permute: of somebody else's.
static struct xf_kg_side *graph_of(const struct silo *s, uint64_t permute) {
  uint32_t kind[ITEMS];
  struct xf_kg_side *side = NULL;
  struct xf_diag diag = {0};
  struct xf_rng rng;
  for (uint32_t i = 0; i < ITEMS; i++) kind[i] = i;
  xf_rng_init(&rng, permute, 1);
  if (permute) xf_rng_shuffle(&rng, kind, ITEMS);
  FILE *f = fopen(triples, "w");
  assert_non_null(f);
  for (uint32_t i = 0; i < ITEMS; i++)
    assert_true(fprintf(f, "i%u\tof_kind\tkind%u\n", i, kind[i] % TASTES) > 0);
  assert_int_equal(fclose(f), 0);
  const struct xf_kg_files files = {.triples = triples};
  if (xf_kg_side_new(&side, &files, &s->inter.items, &diag)) fail_msg("%s", diag.text);
  return side;
}

static struct xf_recommender *decided(const struct silo *s, const struct xf_kg_side *side) {
  struct xf_recommender_spec spec = xf_recommender_defaults();
  const struct xf_recommender_input in = {.split = &s->split, .kg = side ? &side->graph : NULL};
  struct xf_recommender *rec = NULL;
  struct xf_diag diag = {0};
  spec.families &= ~(uint32_t)XF_RECOMMENDER_ALS; /* slow, and of no matter here */
  if (xf_recommender_fit(&rec, &in, &spec, &diag) || xf_recommender_mix(rec, &diag) ||
      xf_recommender_decide(rec, NULL, &diag))
    fail_msg("%s", diag.text);
  return rec;
}

static double test_gain(const struct xf_recommender *with, const struct xf_recommender *without,
                        double *se) {
  const struct xf_heldout_spec held = {with->split, XF_PART_TEST, NULL, true, 10, 0};
  static float a[USERS], b[USERS];
  double gain = 0;
  assert_int_equal(with->split->n_users, USERS);
  assert_int_equal(xf_heldout_eval(xf_recommender_served(with), &held, NULL, a, NULL), XF_OK);
  assert_int_equal(xf_heldout_eval(xf_recommender_served(without), &held, NULL, b, NULL), XF_OK);
  (void)xf_measure_paired(a, b, USERS, &gain, se);
  return gain;
}

static bool said(const struct xf_recommender *rec, const char *what) {
  struct xf_buf text;
  xf_buf_init(&text, 1 << 16);
  assert_int_equal(xf_recommender_print(rec, &text), XF_OK);
  const bool found = strstr(xf_buf_cstr(&text), what) != NULL;
  xf_buf_deinit(&text);
  return found;
}

static void test_helps(void **state) {
  (void)state;
  struct silo s;
  silo_init(&s, 1);
  struct xf_kg_side *side = graph_of(&s, 0);
  struct xf_recommender *with = decided(&s, side), *without = decided(&s, NULL);
  double se = 0;
  const struct xf_recommender_candidate *c = xf_recommender_find(with, "kg.own");
  assert_non_null(c);
  assert_true(c->inner && c->tries >= 4 && c->flags == XF_RECOMMENDER_GRAPH);
  assert_non_null(xf_recommender_find(with, "kg.content"));
  assert_null(xf_recommender_find(with, "kg.pooled")); /* nobody else's Gram */
  const double gain = test_gain(with, without, &se);
  if (!(gain > 3 * se && se > 0)) fail_msg("gain %g, SE %g", gain, se);
  assert_true(xf_recommender_uses_kg(with, XF_RECOMMENDER_ARM_ALONE)); /* fair: alone has it too */
  assert_true(xf_recommender_uses_kg(with, XF_RECOMMENDER_ARM_GUARDED));
  assert_false(xf_recommender_uses_kg(without, XF_RECOMMENDER_ARM_GUARDED));
  assert_false(xf_recommender_uses_kg(with, XF_RECOMMENDER_ARM_POPULARITY));
  assert_true(said(with, "kg.own"));
  xf_recommender_free(with);
  xf_recommender_free(without);
  xf_kg_side_unref(side);
  silo_deinit(&s);
}

static void test_permuted(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 2; seed++) {
    struct silo s;
    silo_init(&s, seed);
    struct xf_kg_side *side = graph_of(&s, seed);
    struct xf_recommender *with = decided(&s, side), *without = decided(&s, NULL);
    double se = 0;
    const double gain = test_gain(with, without, &se);
    assert_null(xf_recommender_find(with, "kg.own"));
    assert_true(said(with, "the knowledge graph's paths are switched off"));
    if (gain > 2 * se) fail_msg("seed %d: a permuted graph gains %g, SE %g", (int)seed, gain, se);
    xf_recommender_free(with);
    xf_recommender_free(without);
    xf_kg_side_unref(side);
    silo_deinit(&s);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_files), cmocka_unit_test(test_helps),
                                     cmocka_unit_test(test_permuted)};
  if (xf_blas_start(NULL, NULL)) return 1;
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
