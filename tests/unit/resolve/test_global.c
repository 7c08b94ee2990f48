/* The coordinator's layout: runs of a member's wire vector against brute force, the first vector, the digest. */
#include "base/rng.h"
#include "crypto/sha256.h"
#include "plans.h"
#include "resolve/global.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { ROWS_MAX = 40, WIRE_MAX = 7 * ROWS_MAX * ROWS_MAX };

static struct xf_plan plan;

static void make_directory(struct xf_directory *out, uint32_t n) {
  struct xf_key key[ROWS_MAX] = {{{0}}};
  struct xf_manifest part;
  const struct xf_manifest *parts[] = {&part};
  for (uint32_t i = 0; i < n; i++) key[i].b[0] = (uint8_t)(3 * i + 1);
  assert_int_equal(xf_manifest_init(&part, key, n, NULL), XF_OK);
  assert_int_equal(xf_directory_init(out, parts, 1), XF_OK);
  xf_manifest_deinit(&part);
}

enum { STAGES = 3 };

/* A layout with random segments of every role in random stages. */
static void make_shape(struct xf_layout *layout, struct xf_global *g, struct xf_rng *rng,
                       uint32_t n_dir) {
  xf_layout_init(layout);
  const uint32_t n_seg = 2 + xf_rng_below(rng, 5);
  for (uint32_t k = 0; k < n_seg; k++) {
    const char name[] = {'a', (char)('0' + k), '\0'};
    const enum xf_role role = (enum xf_role)xf_rng_below(rng, XF_ROLE_PAIRED + 1);
    const uint32_t cols = role == XF_ROLE_PAIRED ? 1 : 1 + xf_rng_below(rng, 6);
    const bool keyed = role == XF_ROLE_ALIGNED || role == XF_ROLE_PAIRED;
    assert_int_equal(xf_layout_add(layout, name, k ? role : XF_ROLE_ALIGNED,
                                   keyed || !k ? "user" : "", n_dir, cols, NULL),
                     XF_OK);
    layout->seg[k].stage = k * STAGES / n_seg;
  }
  *g = (struct xf_global){0};
  assert_int_equal(xf_global_lay(g, layout, STAGES, NULL), XF_OK);
}

/* Where every wire float of some stages lies, one by one. */
static uint64_t expect(uint64_t *from, const struct xf_layout *layout, uint32_t stages,
                       const uint32_t *row, size_t n_row) {
  uint64_t at = 0, base = 0;
  for (int keyed = 0; keyed < 2; keyed++)
    for (size_t k = 0; k < layout->n_seg; k++) {
      const struct xf_segment *s = &layout->seg[k];
      if (!xf_segment_global(s) || xf_segment_keyed(s) != keyed) continue;
      const bool in = stages >> s->stage & 1;
      for (uint64_t i = 0; in && !keyed && i < xf_segment_len(s); i++) from[at++] = base + i;
      for (size_t i = 0; in && s->role == XF_ROLE_ALIGNED && i < n_row; i++)
        for (uint32_t c = 0; c < s->cols; c++) from[at++] = base + (uint64_t)row[i] * s->cols + c;
      for (size_t a = 0; in && s->role == XF_ROLE_PAIRED && a < n_row; a++)
        for (size_t b = a + 1; b < n_row; b++)
          from[at++] = base + xf_triangle_row(s->rows, row[a]) + (row[b] - row[a] - 1);
      base += xf_segment_len(s);
    }
  return at;
}

static void test_runs(void **state) {
  (void)state;
  struct xf_rng rng;
  xf_rng_init(&rng, 5, 0);
  for (int trial = 0; trial < 300; trial++) {
    struct xf_layout layout;
    struct xf_global g;
    uint32_t row[ROWS_MAX];
    uint64_t from[WIRE_MAX];
    size_t n_row = 0;
    const uint32_t n_dir = 1 + xf_rng_below(&rng, ROWS_MAX), dense = 1 + xf_rng_below(&rng, 4);
    make_shape(&layout, &g, &rng, n_dir);
    for (uint32_t r = 0; r < n_dir; r++)
      if (xf_rng_below(&rng, 4) < dense) row[n_row++] = r;
    if (trial % 20 == 0) n_row = 0;
    const uint32_t stages = trial % 3 ? 1 + xf_rng_below(&rng, (1u << STAGES) - 1) : XF_STAGE_ALL;
    const struct xf_member_rows held = xf_member_rows_one(row, n_row);
    const uint64_t n = expect(from, &layout, stages, row, n_row);
    assert_int_equal(xf_global_wire(&g, stages, &held), n);
    for (uint64_t at = 0; at < n; at++) {
      const struct xf_global_run r = xf_global_run_at(&g, stages, &held, at);
      assert_true(r.len >= 1 && r.len <= n - at);
      for (uint64_t i = 0; i < r.len; i++) assert_int_equal(r.from + i, from[at + i]);
    }
    xf_global_deinit(&g);
    xf_layout_deinit(&layout);
  }
}

static void test_first(void **state) {
  (void)state;
  struct xf_directory dir;
  struct xf_global g;
  float x[ROWS_MAX * 4 + 1], again[ROWS_MAX * 4 + 1];
  plans_load(&plan, plans_mf, "model.loss=bce");
  make_directory(&dir, 10);
  assert_int_equal(xf_global_init(&g, &plan, &dir, NULL), XF_OK);
  assert_int_equal(g.n, 1 + 10 * 4); /* bias, user [10 x 3], user_bias [10 x 1] */
  assert_int_equal(g.row_cols[0], 4);
  assert_int_equal(xf_global_first(&g, x, &plan, &dir, NULL), XF_OK);
  assert_int_equal(xf_global_first(&g, again, &plan, &dir, NULL), XF_OK);
  assert_memory_equal(x, again, g.n * sizeof *x);
  for (uint64_t i = 0; i < g.n; i++) assert_true(isfinite(x[i]));
  for (uint64_t i = 0; i < 30; i++) assert_true(x[1 + i] != 0);
  plan.seed++;
  assert_int_equal(xf_global_first(&g, again, &plan, &dir, NULL), XF_OK);
  assert_memory_not_equal(x, again, g.n * sizeof *x);
  plan.seed--;

  /* A row follows its key alone: another directory with the same key gives the same row. */
  struct xf_directory few;
  struct xf_global h;
  make_directory(&few, 4);
  assert_int_equal(xf_global_init(&h, &plan, &few, NULL), XF_OK);
  assert_int_equal(xf_global_first(&h, again, &plan, &few, NULL), XF_OK);
  assert_memory_equal(x + 1, again + 1, 4 * 3 * sizeof *x);
  xf_global_deinit(&h);
  xf_global_deinit(&g);
  xf_global_deinit(&g);
  xf_directory_deinit(&few);
  xf_directory_deinit(&dir);
}

static void test_no_directory(void **state) {
  (void)state;
  struct xf_global g;
  float x[64];
  plans_load(&plan, plans_table, "");
  assert_int_equal(xf_global_init(&g, &plan, NULL, NULL), XF_OK);
  assert_int_equal(g.n, 3); /* two weights and a bias */
  assert_int_equal(xf_global_first(&g, x, &plan, NULL, NULL), XF_OK);
  xf_global_deinit(&g);
  /* Aligned users before any member has shown a key: no rows yet. */
  plans_load(&plan, plans_mf, "model.loss=bce");
  assert_int_equal(xf_global_init(&g, &plan, NULL, NULL), XF_OK);
  assert_int_equal(g.n, 1);
  assert_int_equal(xf_global_first(&g, x, &plan, NULL, NULL), XF_OK);
  xf_global_deinit(&g);
}

static void test_shares_nothing(void **state) {
  (void)state;
  struct xf_global g;
  struct xf_diag diag;
  plans_load(&plan, plans_mf, "model.loss=bce model.users=user");
  plan.model.bias = false;
  xf_diag_init(&diag);
  assert_int_equal(xf_global_init(&g, &plan, NULL, &diag), XF_E_CONFIG);
  assert_non_null(strstr(diag.text, "shares nothing"));
  xf_global_deinit(&g);
}

static void test_digest(void **state) {
  (void)state;
  struct xf_directory dir;
  struct xf_global many, none;
  struct xf_digest a, b, c;
  struct xf_buf bytes;
  plans_load(&plan, plans_mf, "");
  make_directory(&dir, 9);
  assert_int_equal(xf_global_init(&many, &plan, &dir, NULL), XF_OK);
  assert_int_equal(xf_global_init(&none, &plan, NULL, NULL), XF_OK);
  assert_int_equal(xf_layout_digest(&a, many.layout), XF_OK);
  assert_int_equal(xf_layout_digest(&b, none.layout), XF_OK);
  assert_memory_equal(&a, &b, sizeof a); /* rows do not enter */
  xf_buf_init(&bytes, 4096);
  assert_int_equal(xf_layout_encode(&bytes, many.layout), XF_OK);
  xf_sha256(&b, bytes.p, bytes.len);
  assert_memory_equal(&a, &b, sizeof a);
  xf_buf_deinit(&bytes);
  xf_global_deinit(&none);
  plans_load(&plan, plans_mf, "model.dim=4");
  assert_int_equal(xf_global_init(&none, &plan, &dir, NULL), XF_OK);
  assert_int_equal(xf_layout_digest(&c, none.layout), XF_OK);
  assert_memory_not_equal(&a, &c, sizeof a);
  xf_global_deinit(&none);
  xf_global_deinit(&many);
  xf_directory_deinit(&dir);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_runs),         cmocka_unit_test(test_first),
      cmocka_unit_test(test_no_directory), cmocka_unit_test(test_shares_nothing),
      cmocka_unit_test(test_digest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
