/* Layouts of a recommender's plan: a silo's wire vector against the coordinator's, what a task moves, which plans resolve. */
#include "base/alloc.h"
#include "base/rng.h"
#include "param/wiremap.h"
#include "plans.h"
#include "resolve/global.h"
#include "resolve/resolve.h"
#include "resolve/stages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

#define HEAD "name: t\nseed: 7\ndata: {kind: interactions}\nmodel: {kind: recommender}\nstages:\n"
static const char gram[] = HEAD "  - {name: gram, kind: statistic, rows: {min_holders: 2}}\n";
static const char counts[] =
    HEAD "  - {name: counts, kind: statistic, statistic: {of: counts}}\n"
         "  - {name: co-gram, kind: statistic, in: [counts], statistic: {beta: 0.5}}\n"
         "  - {kind: evaluate}\n";
static const char rows[] =
    HEAD "  - {kind: evaluate}\n"
         "  - {name: weak, kind: rows, fed: {rounds: 3}, rows: {dim: 4}}\n"
         "  - {name: strong-er, kind: rows, in: [weak], fed: {rounds: 2}, rows: {dim: 3}}\n";
static const struct {
  const char *text, *sets;
} plans[] = {{gram, ""},
             {gram, "privacy.noise_multiplier=1 privacy.unit=user stages[0].statistic.beta=1"},
             {counts, ""},
             {rows, ""}};
enum { N_PLAN = sizeof plans / sizeof plans[0], KEYS_MAX = 40 };

static struct xf_plan plan;

static void make_directory(struct xf_directory *out, uint32_t n) {
  struct xf_key key[KEYS_MAX] = {{{0}}};
  struct xf_manifest part;
  const struct xf_manifest *parts[] = {&part};
  for (uint32_t i = 0; i < n; i++) key[i].b[0] = (uint8_t)(3 * i + 1);
  assert_int_equal(xf_manifest_init(&part, key, n, NULL), XF_OK);
  assert_int_equal(xf_directory_init(out, parts, 1), XF_OK);
  xf_manifest_deinit(&part);
}

/* For any numbers of users, items and keys both sides agree on every slice, and on the digest. */
static void agree(struct xf_rng *rng) {
  const uint32_t n_dir = xf_rng_below(rng, KEYS_MAX), n_keys = xf_rng_below(rng, n_dir + 1),
                 more = xf_rng_below(rng, 20), other = xf_rng_below(rng, 50);
  const struct xf_spaces spaces = xf_resolve_spaces(&plan);
  const bool items = spaces.at[0].of == XF_SPACE_ITEMS;
  const struct xf_member_rows mine = {.n = {n_keys}}, all = {.n = {n_dir}};
  const struct xf_stage_sizes sizes = {.n_users = items ? other : n_keys + more,
                                       .n_items = items ? n_keys + more : other,
                                       .n_keys = {n_keys},
                                       .silo = true};
  uint32_t known[KEYS_MAX + 20];
  for (uint32_t i = 0; i < n_keys + more; i++) known[i] = i;
  xf_rng_shuffle(rng, known, n_keys + more);
  struct xf_layout silo;
  struct xf_global g;
  struct xf_directory dir;
  struct xf_digest a, b;
  const struct xf_wire_rows wire = {spaces.at[0].ns, known, n_keys};
  make_directory(&dir, n_dir);
  assert_int_equal(xf_resolve_layout(&silo, &plan, &sizes, NULL), XF_OK);
  assert_int_equal(xf_global_init(&g, &plan, &dir, NULL), XF_OK);
  for (uint32_t set = 0; set < 1u << plan.n_stages; set++) {
    struct xf_wire_map map;
    struct xf_diag diag;
    xf_diag_init(&diag);
    if (xf_wire_map_init(&map, &silo, &wire, 1, set, &diag)) fail_msg("%s", diag.text);
    assert_int_equal(map.n_wire, xf_global_wire(&g, set, &mine));
    xf_wire_map_deinit(&map);
  }
  assert_int_equal(xf_global_wire(&g, XF_STAGE_ALL, &all), g.n);
  assert_int_equal(xf_layout_digest(&a, &silo), XF_OK);
  assert_int_equal(xf_layout_digest(&b, g.layout), XF_OK);
  assert_memory_equal(&a, &b, sizeof a);
  xf_global_deinit(&g);
  xf_layout_deinit(&silo);
  xf_directory_deinit(&dir);
}

static void test_both_sides(void **state) {
  (void)state;
  struct xf_rng rng;
  xf_rng_init(&rng, 3, 0);
  for (size_t k = 0; k < N_PLAN; k++) {
    plans_load(&plan, plans[k].text, plans[k].sets);
    for (int trial = 0; trial < 100; trial++) agree(&rng);
  }
}

static const struct xf_segment *segment(const struct xf_layout *l, const char *name,
                                        enum xf_role role, uint32_t n, uint32_t cols,
                                        uint32_t stage) {
  const struct xf_segment *s = xf_layout_find(l, name);
  if (!s) fail_msg("no segment %s", name);
  assert_int_equal(s->role, role);
  assert_int_equal(s->rows, n);
  assert_int_equal(s->cols, cols);
  assert_int_equal(s->stage, stage);
  return s;
}

static void test_segments(void **state) {
  (void)state;
  const struct xf_stage_sizes silo = {.n_users = 11, .n_items = 7, .n_keys = {5}, .silo = true};
  const struct xf_stage_sizes coordinator = {.n_keys = {9}};
  struct xf_layout l;
  plans_load(&plan, gram, "");
  assert_int_equal(xf_resolve_layout(&l, &plan, &silo, NULL), XF_OK);
  assert_string_equal(segment(&l, "gram/diagonal", XF_ROLE_ALIGNED, 7, 1, 0)->ns, "item");
  assert_string_equal(segment(&l, "gram/pairs", XF_ROLE_PAIRED, 5, 1, 0)->ns, "item");
  assert_int_equal(l.n_seg, 2);
  xf_layout_deinit(&l);
  plans_load(&plan, plans[1].text, plans[1].sets); /* noise: the diagonal stays */
  assert_int_equal(xf_resolve_layout(&l, &plan, &silo, NULL), XF_OK);
  (void)segment(&l, "gram/pairs", XF_ROLE_PAIRED, 5, 1, 0);
  assert_int_equal(l.n_seg, 1);
  xf_layout_deinit(&l);
  plans_load(&plan, counts, "");
  assert_int_equal(xf_resolve_layout(&l, &plan, &silo, NULL), XF_OK);
  (void)segment(&l, "counts/counts", XF_ROLE_ALIGNED, 7, 1, 0);
  (void)segment(&l, "co_gram/diagonal", XF_ROLE_ALIGNED, 7, 1, 1);
  (void)segment(&l, "co_gram/pairs", XF_ROLE_PAIRED, 5, 1, 1);
  xf_layout_deinit(&l);
  plans_load(&plan, rows, "");
  assert_int_equal(xf_resolve_layout(&l, &plan, &silo, NULL), XF_OK);
  assert_string_equal(segment(&l, "weak/user", XF_ROLE_ALIGNED, 11, 4, 1)->ns, "user");
  (void)segment(&l, "weak/item", XF_ROLE_DOMAIN, 7, 4, 1);
  (void)segment(&l, "strong_er/user", XF_ROLE_ALIGNED, 11, 3, 2);
  (void)segment(&l, "strong_er/item", XF_ROLE_DOMAIN, 7, 3, 2);
  xf_layout_deinit(&l);
  assert_int_equal(xf_resolve_layout(&l, &plan, &coordinator, NULL), XF_OK);
  (void)segment(&l, "weak/user", XF_ROLE_ALIGNED, 9, 4, 1);
  (void)segment(&l, "weak/item", XF_ROLE_DOMAIN, 0, 4, 1);
  xf_layout_deinit(&l);
}

/* Floats of a member with n keys, by hand: down[s] is what s reads and its own slice, a statistic's own slice excepted. */
static void test_lens(void **state) {
  (void)state;
  enum { N = 6, PAIRS = N * (N - 1) / 2, F = sizeof(float) };
  const struct xf_member_rows held = {.n = {N}}, none = {.n = {0}};
  struct xf_directory dir;
  struct xf_global g;
  make_directory(&dir, 9);
  plans_load(&plan, counts, "");
  assert_int_equal(xf_global_init(&g, &plan, &dir, NULL), XF_OK);
  struct xf_plan_lens l = xf_global_lens(&g, &plan, &held);
  assert_int_equal(l.n_stage, 3);
  assert_int_equal(l.all, (N + N + PAIRS) * F);
  assert_true(l.in[0] == 0 && l.down[0] == 0 && l.up[0] == N * F);
  assert_true(l.in[1] == N * F && l.down[1] == N * F && l.up[1] == (N + PAIRS) * F);
  assert_true(l.in[2] == 0 && l.down[2] == 0 && l.up[2] == 0);
  assert_true(g.stage[0].sum && g.stage[1].sum && !g.stage[2].sum);
  assert_true(g.stage[0].pairs == 0 && g.stage[1].pairs == 9 && g.stage[1].n == 9 + 36);
  l = xf_global_lens(&g, &plan, &none); /* shares no key with anyone */
  assert_true(l.all == 0 && l.up[0] == 0 && l.down[1] == 0 && l.up[1] == 0);
  xf_global_deinit(&g);
  plans_load(&plan, rows, "");
  assert_int_equal(xf_global_init(&g, &plan, &dir, NULL), XF_OK);
  l = xf_global_lens(&g, &plan, &held);
  assert_int_equal(l.all, N * 7 * F);
  assert_true(l.in[1] == 0 && l.down[1] == N * 4 * F && l.up[1] == N * 4 * F);
  assert_true(l.in[2] == N * 4 * F && l.down[2] == N * 7 * F && l.up[2] == N * 3 * F);
  assert_false(g.stage[1].sum || g.stage[2].sum);
  xf_global_deinit(&g);
  xf_directory_deinit(&dir);
}

/* A view is its artifacts, then its slice, float by float; all that a member reads before the first commit is 0. */
static void test_view(void **state) {
  (void)state;
  uint32_t row[] = {0, 1, 4, 8};
  const struct xf_member_rows held = xf_member_rows_one(row, 4);
  struct xf_directory dir;
  struct xf_global g;
  make_directory(&dir, 9);
  plans_load(&plan, rows, "");
  assert_int_equal(xf_global_init(&g, &plan, &dir, NULL), XF_OK);
  const struct xf_global_view view = xf_global_view_of(&plan, true, 2);
  uint64_t at = 0;
  for (int part = 0; part < 2; part++) { /* weak: 9 x 4 from 0; strong: 9 x 3 behind it */
    const uint64_t from = part ? 36 : 0, cols = part ? 3 : 4;
    for (size_t r = 0; r < 4; r++)
      for (uint64_t c = 0; c < cols; c++, at++)
        assert_int_equal(xf_global_view_at(&g, view, &held, at).from, from + row[r] * cols + c);
  }
  assert_int_equal(xf_global_view_len(&g, view, &held), at);
  assert_int_equal(xf_global_view_at(&g, view, &held, 0).len, 8); /* two neighbours as one run */
  const struct xf_global_view all = xf_global_view_of(&plan, false, 0);
  assert_int_equal(xf_global_view_len(&g, all, &held), 4 * 7);
  assert_int_equal(xf_global_view_at(&g, all, &held, 16).from, 36);
  float *x = xf_calloc(g.n, sizeof *x);
  for (uint64_t i = 0; i < g.n; i++) x[i] = 5;
  assert_int_equal(xf_global_first(&g, x, &plan, &dir, NULL), XF_OK);
  for (uint64_t i = 0; i < g.n; i++) assert_true(x[i] == 0);
  xf_free(x);
  xf_global_deinit(&g);
  xf_directory_deinit(&dir);
  assert_int_equal(xf_resolve_inputs(&plan, 2), 1u << 1);
  assert_int_equal(xf_resolve_inputs(&plan, 1), 0);
}

static void one_space(const char *ns, enum xf_space_of of, uint32_t min_holders) {
  const struct xf_spaces s = xf_resolve_spaces(&plan);
  assert_int_equal(s.n, 1);
  assert_string_equal(s.at[0].ns, ns);
  assert_int_equal(s.at[0].of, of);
  assert_int_equal(s.at[0].min_holders, min_holders);
  assert_int_equal(xf_spaces_find(&s, ns), 0);
  assert_int_equal(xf_spaces_find(&s, "other"), 1);
}

static void test_namespaces(void **state) {
  (void)state;
  plans_load(&plan, gram, "");
  assert_true(xf_resolve_recommends(&plan));
  one_space("item", XF_SPACE_ITEMS, 2);
  plans_load(&plan, rows, "model.user_ns=person");
  one_space("person", XF_SPACE_USERS, 3);
  plans_load(&plan, plans_mf, "");
  assert_false(xf_resolve_recommends(&plan));
  one_space("user", XF_SPACE_USERS, 3);
  plans_load(&plan, plans_table, "");
  assert_int_equal(xf_resolve_spaces(&plan).n, 0);
  /* counts of overlapping users name items, and users to know which overlap; only items have a segment */
  plans_load(
      &plan,
      HEAD "  - {name: seen, kind: statistic, statistic: {of: overlap}, rows: {min_holders: 2}}\n",
      "");
  const struct xf_spaces s = xf_resolve_spaces(&plan);
  assert_true(s.n == 2 && s.at[0].of == XF_SPACE_ITEMS && s.at[1].of == XF_SPACE_USERS &&
              s.at[1].min_holders == 2);
  const struct xf_stage_sizes sizes = {.n_keys = {5, 9}};
  struct xf_layout l;
  assert_int_equal(xf_resolve_layout(&l, &plan, &sizes, NULL), XF_OK);
  assert_int_equal(l.n_seg, 1);
  assert_string_equal(l.seg[0].name, "seen/overlap");
  assert_true(l.seg[0].rows == 5 && l.seg[0].cols == 1 && l.seg[0].role == XF_ROLE_ALIGNED);
  xf_layout_deinit(&l);
}

/* Categories are a namespace of their own beside items and users: three directories, each stage in one of them. */
static void test_categories(void **state) {
  (void)state;
  enum { ITEMS = 7, USERS = 5, CATS = 4 };
  static struct xf_directory dir[XF_SPACES_MAX];
  uint32_t item[] = {1, 4}, user[] = {0, 3}, category[] = {0, 1, 3};
  const struct xf_member_rows held = {{item, user, category}, {2, 2, 3}};
  struct xf_global g;
  plans_load(&plan,
             HEAD "  - {name: gram, kind: statistic, rows: {min_holders: 2}}\n"
                  "  - {name: rows, kind: rows, fed: {rounds: 2}, rows: {dim: 3}}\n"
                  "  - {name: cats, kind: statistic, statistic: {of: categories}, "
                  "rows: {min_holders: 4}}\n",
             "");
  assert_int_equal(xf_resolve_check(&plan, NULL), XF_OK);
  const struct xf_spaces s = xf_resolve_spaces(&plan);
  assert_int_equal(s.n, 3);
  assert_true(s.at[0].of == XF_SPACE_ITEMS && s.at[1].of == XF_SPACE_USERS);
  assert_true(s.at[2].of == XF_SPACE_CATEGORIES && s.at[2].min_holders == 4);
  assert_string_equal(s.at[2].ns, XF_PLAN_CATEGORY_NS);
  assert_true(xf_resolve_keyed(&plan.stages[2], XF_SPACE_CATEGORIES));
  assert_false(xf_resolve_keyed(&plan.stages[2], XF_SPACE_ITEMS));
  assert_false(xf_resolve_keyed(&plan.stages[2], XF_SPACE_USERS));
  make_directory(&dir[0], ITEMS);
  make_directory(&dir[1], USERS);
  make_directory(&dir[2], CATS);
  assert_int_equal(xf_global_init(&g, &plan, dir, NULL), XF_OK);
  assert_int_equal(g.n_space, 3);
  assert_int_equal(g.n, ITEMS + ITEMS * (ITEMS - 1) / 2 + USERS * 3 + CATS + CATS * (CATS - 1) / 2);
  assert_true(g.stage[0].space == 0 && g.stage[1].space == 1 && g.stage[2].space == 2);
  assert_true(g.stage[2].sum && !g.stage[1].sum);
  const struct xf_plan_lens l = xf_global_lens(&g, &plan, &held);
  assert_int_equal(l.up[2], (3 + 3) * sizeof(float));
  assert_int_equal(l.down[2], 0);
  xf_global_deinit(&g);
  /* a silo's layout has a row for each of its categories, and pairs of those that the directory knows */
  const struct xf_stage_sizes silo = {
      .n_users = 9, .n_items = 8, .n_categories = 6, .n_keys = {2, 2, 3}, .silo = true};
  struct xf_layout layout;
  assert_int_equal(xf_resolve_layout(&layout, &plan, &silo, NULL), XF_OK);
  assert_int_equal(xf_layout_find(&layout, "cats/diagonal")->rows, 6);
  assert_int_equal(xf_layout_find(&layout, "gram/diagonal")->rows, 8);
  assert_int_equal(xf_layout_find(&layout, "cats/pairs")->rows, 3);
  xf_layout_deinit(&layout);
  for (int k = 0; k < XF_SPACES_MAX; k++) xf_directory_deinit(&dir[k]);
}

static const char both[] =
    HEAD "  - {name: rows, kind: rows, fed: {rounds: 3}, rows: {dim: 4}}\n"
         "  - {name: gram, kind: statistic, rows: {min_holders: 2}}\n"
         "  - {name: more, kind: rows, in: [rows, gram], fed: {rounds: 2}, rows: {dim: 2}}\n";

/* Items and users in one plan: each segment has its own directory's rows, and a member's runs lie in them. */
static void test_both_namespaces(void **state) {
  (void)state;
  enum { USERS = 5, ITEMS = 9 };
  uint32_t user[] = {1, 2, 4}, item[] = {0, 3, 4, 8};
  const struct xf_member_rows held = {{user, item}, {3, 4}};
  static struct xf_directory dir[XF_SPACES_MAX];
  struct xf_global g;
  plans_load(&plan, both, "");
  assert_int_equal(xf_resolve_check(&plan, NULL), XF_OK);
  const struct xf_spaces s = xf_resolve_spaces(&plan);
  assert_true(s.n == 2 && s.at[0].of == XF_SPACE_USERS &&
              s.at[1].of == XF_SPACE_ITEMS); /* as the stages need them */
  assert_true(s.at[0].min_holders == 3 && s.at[1].min_holders == 2);
  assert_int_equal(xf_spaces_find(&s, "item"), 1);
  make_directory(&dir[0], USERS);
  make_directory(&dir[1], ITEMS);
  assert_int_equal(xf_global_init(&g, &plan, dir, NULL), XF_OK);
  assert_int_equal(g.n_space, 2);
  assert_string_equal(g.ns[1], "item");
  assert_int_equal(g.n, USERS * 4 + ITEMS + ITEMS * (ITEMS - 1) / 2 + USERS * 2);
  assert_true(g.row_cols[0] == 6 && g.row_cols[1] == 1);
  assert_true(g.stage[0].space == 0 && g.stage[1].space == 1 && g.stage[2].space == 0);
  const struct xf_plan_lens l = xf_global_lens(&g, &plan, &held);
  assert_int_equal(l.up[0], 3 * 4 * sizeof(float));
  assert_int_equal(l.up[1], (4 + 6) * sizeof(float));
  assert_int_equal(l.in[2], l.up[0] + l.up[1]);
  /* more reads all that lies before it: rows, then the diagonal, then the pairs */
  const struct xf_global_view view = xf_global_view_of(&plan, true, 2);
  const uint64_t diagonal = USERS * 4, pairs = diagonal + ITEMS;
  for (uint64_t at = 0; at < 12; at++)
    assert_int_equal(xf_global_view_at(&g, view, &held, at).from, user[at / 4] * 4 + at % 4);
  for (uint64_t i = 0; i < 4; i++)
    assert_int_equal(xf_global_view_at(&g, view, &held, 12 + i).from, diagonal + item[i]);
  uint64_t at = 16;
  for (size_t a = 0; a < 4; a++)
    for (size_t b = a + 1; b < 4; b++, at++)
      assert_int_equal(xf_global_view_at(&g, view, &held, at).from,
                       pairs + xf_triangle_row(ITEMS, item[a]) + (item[b] - item[a] - 1));
  xf_global_deinit(&g);
  for (int k = 0; k < XF_SPACES_MAX; k++) xf_directory_deinit(&dir[k]);
}

static void test_refusals(void **state) {
  (void)state;
  static const char two[] = "name: t\ndata: {kind: interactions}\n"
                            "model: {kind: mf, loss: bpr, users: aligned}\nstages:\n"
                            "  - {name: a, fed: {rounds: 1}, local: {optimizer: {lr: 0.1}}}\n"
                            "  - {name: b, fed: {rounds: 1}, local: {optimizer: {lr: 0.1}}}\n";
  static const char overlap[] =
      HEAD "  - {name: r, kind: rows, fed: {rounds: 2}, rows: {min_holders: 2}}\n"
           "  - {name: seen, kind: statistic, statistic: {of: overlap}, rows: {min_holders: 3}}\n";
  static const struct {
    const char *text, *sets, *says;
  } row[] = {{overlap, "", "rows.min_holders: different ones"},
             {both, "stages[2].rows.min_holders=2", "rows.min_holders: different ones"},
             {rows, "stages[1].rows.min_holders=2", "rows.min_holders: different ones"},
             {two, "", "stages: more than one"}};
  struct xf_diag diag;
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    plans_load(&plan, row[i].text, row[i].sets);
    xf_diag_init(&diag);
    assert_int_equal(xf_resolve_check(&plan, &diag), XF_E_UNSUPPORTED);
    if (!strstr(diag.text, row[i].says)) fail_msg("%s", diag.text);
  }
  for (size_t i = 0; i < N_PLAN; i++) {
    plans_load(&plan, plans[i].text, plans[i].sets);
    if (xf_resolve_check(&plan, &diag)) fail_msg("%s", diag.text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_both_sides),
      cmocka_unit_test(test_segments),
      cmocka_unit_test(test_lens),
      cmocka_unit_test(test_view),
      cmocka_unit_test(test_namespaces),
      cmocka_unit_test(test_categories),
      cmocka_unit_test(test_both_namespaces),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
