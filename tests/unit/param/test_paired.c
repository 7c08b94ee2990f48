/* Pairs of keyed rows, and sets of stages: lengths, canonical bytes, the wire vector from its definition in layout.h. */
#include "base/rng.h"
#include "param/wiremap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static void add(struct xf_layout *l, const char *name, enum xf_role role, uint32_t rows,
                uint32_t cols, uint32_t stage) {
  const bool keyed = role == XF_ROLE_ALIGNED || role == XF_ROLE_PAIRED;
  assert_int_equal(xf_layout_add(l, name, role, keyed ? "item" : NULL, rows, cols, NULL), XF_OK);
  l->seg[l->n_seg - 1].stage = stage;
}

static void test_lengths(void **state) {
  (void)state;
  static const uint32_t keys[] = {0, 1, 2, 3, 7, 1000};
  static const uint64_t pairs[] = {0, 0, 1, 3, 21, 499500};
  struct xf_layout l;
  char name[16];
  uint64_t n = 0;
  xf_layout_init(&l);
  for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
    (void)snprintf(name, sizeof name, "p%zu", i);
    add(&l, name, XF_ROLE_PAIRED, keys[i], 1, 0);
    assert_int_equal(xf_segment_len(&l.seg[i]), pairs[i]);
    assert_int_equal(l.seg[i].offset, n);
    n += pairs[i];
    assert_int_equal(l.n, n);
    assert_true(xf_segment_keyed(&l.seg[i]) && xf_segment_global(&l.seg[i]));
  }
  add(&l, "a", XF_ROLE_ALIGNED, 7, 2, 0);
  assert_int_equal(xf_layout_count(&l, XF_ROLE_PAIRED), n);
  assert_int_equal(xf_layout_row_cols(&l, "item"), 2); /* pairs have no floats of one row */
  xf_layout_deinit(&l);
}

static void test_refusals(void **state) {
  (void)state;
  static const struct {
    const char *ns;
    uint32_t rows, cols;
    enum xf_rc rc;
    const char *says;
  } row[] = {{"item", 5, 2, XF_E_INVAL, "pairs of rows have one column, not 2"},
             {NULL, 5, 1, XF_E_INVAL, "a keyed segment needs a namespace"},
             {"Item", 5, 1, XF_E_INVAL, "a keyed segment needs a namespace"},
             {"item", 70000, 1, XF_E_LIMIT, "exceed the limit"},
             {"item", UINT32_MAX, 1, XF_E_LIMIT, "exceed the limit"}};
  struct xf_layout l;
  struct xf_diag diag;
  xf_layout_init(&l);
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    xf_diag_init(&diag);
    assert_int_equal(
        xf_layout_add(&l, "p", XF_ROLE_PAIRED, row[i].ns, row[i].rows, row[i].cols, &diag),
        row[i].rc);
    if (!strstr(diag.text, row[i].says)) fail_msg("%s", diag.text);
    assert_int_equal(l.n_seg, 0);
    assert_int_equal(l.n, 0);
  }
  enum xf_role role = XF_ROLE_SHARED;
  assert_int_equal(xf_role_parse(&role, "paired", 6), XF_OK);
  assert_int_equal(role, XF_ROLE_PAIRED);
  assert_string_equal(xf_role_name(XF_ROLE_PAIRED), "paired");
  xf_layout_deinit(&l);
}

/* Canonical bytes of one keyed segment beside a shared one and the silo's own. */
static size_t encode(uint8_t *out, size_t cap, enum xf_role role, uint32_t keys, uint32_t own) {
  struct xf_layout l;
  struct xf_buf bytes;
  xf_layout_init(&l);
  xf_buf_init(&bytes, 4096);
  add(&l, "bias", XF_ROLE_SHARED, 3, 1, 0);
  add(&l, "g/own", XF_ROLE_DOMAIN, own, 4, 1);
  add(&l, "g/pairs", role, keys, 1, 1);
  assert_int_equal(xf_layout_encode(&bytes, &l), XF_OK);
  const size_t len = bytes.len;
  assert_true(len > 0 && len <= cap);
  memcpy(out, bytes.p, len);
  xf_buf_deinit(&bytes);
  xf_layout_deinit(&l);
  return len;
}

static void test_canonical(void **state) {
  (void)state;
  static const uint8_t want[] = {
      4,   0,   'b', 'i', 'a', 's', XF_ROLE_SHARED, 0, 0, 3,   0,   0,   0,   1, 0, 0, 0, 7, 0, 'g',
      '/', 'p', 'a', 'i', 'r', 's', XF_ROLE_PAIRED, 4, 0, 'i', 't', 'e', 'm', 0, 0, 0, 0, 1, 0, 0,
      0};
  uint8_t a[256], b[256];
  const size_t n = encode(a, sizeof a, XF_ROLE_PAIRED, 5, 9);
  assert_int_equal(n, sizeof want);
  assert_memory_equal(a, want, n);
  assert_int_equal(encode(b, sizeof b, XF_ROLE_PAIRED, 0, 0), n);
  assert_memory_equal(a, b, n); /* a silo's keys and own rows do not enter */
  assert_int_equal(encode(b, sizeof b, XF_ROLE_ALIGNED, 5, 9), n);
  assert_memory_not_equal(a, b, n); /* the role does */
}

static void test_map_errors(void **state) {
  (void)state;
  static const uint32_t local[] = {2, 0, 1};
  const struct xf_wire_rows three = {"item", local, 3}, two = {"item", local, 2};
  struct xf_layout l;
  struct xf_wire_map map;
  struct xf_diag diag;
  xf_layout_init(&l);
  add(&l, "w", XF_ROLE_SHARED, 2, 1, 0);
  add(&l, "p", XF_ROLE_PAIRED, 3, 1, 1);
  xf_diag_init(&diag);
  assert_int_equal(xf_wire_map_init(&map, &l, &three, 1, XF_STAGE_ALL, &diag), XF_OK);
  assert_int_equal(map.n_wire, 5);
  xf_wire_map_deinit(&map);
  assert_int_equal(xf_wire_map_init(&map, &l, &two, 1, XF_STAGE_ALL, &diag), XF_E_RANGE);
  assert_non_null(strstr(diag.text, "\"p\" pairs 3 rows, namespace \"item\" has 2 keys"));
  assert_int_equal(xf_wire_map_init(&map, &l, NULL, 0, 1u << 1, &diag), XF_E_NOTFOUND);
  /* The rows of a stage that is not asked for do not matter. */
  assert_int_equal(xf_wire_map_init(&map, &l, NULL, 0, 1u << 0, &diag), XF_OK);
  assert_int_equal(map.n_wire, 2);
  xf_wire_map_deinit(&map);
  assert_int_equal(xf_wire_map_init(&map, &l, &two, 1, 0, &diag), XF_OK);
  assert_int_equal(map.n_wire, 0);
  xf_wire_map_deinit(&map);
  xf_layout_deinit(&l);
}

enum { STAGES = 4, FULL_MAX = 8192, KEYS_MAX = 12, ROWS_MAX = 20 };

struct trial {
  struct xf_layout layout;
  uint32_t local[ROWS_MAX], n_rows, n_keys;
  uint64_t want[FULL_MAX]; /* places in the full vector */
  size_t n_want;
};

static void trial_make(struct trial *t, struct xf_rng *rng) {
  const uint32_t n_seg = 2 + xf_rng_below(rng, 9);
  xf_layout_init(&t->layout);
  t->n_rows = 1 + xf_rng_below(rng, ROWS_MAX);
  t->n_keys = xf_rng_below(rng, (t->n_rows < KEYS_MAX ? t->n_rows : KEYS_MAX) + 1);
  for (uint32_t i = 0; i < t->n_rows; i++) t->local[i] = i;
  xf_rng_shuffle(rng, t->local, t->n_rows);
  for (uint32_t i = 0; i < n_seg; i++) {
    char name[16];
    (void)snprintf(name, sizeof name, "s%u", i);
    const enum xf_role role = (enum xf_role)xf_rng_below(rng, XF_ROLE_PAIRED + 1);
    const bool paired = role == XF_ROLE_PAIRED, aligned = role == XF_ROLE_ALIGNED;
    add(&t->layout, name, role,
        paired    ? t->n_keys
        : aligned ? t->n_rows
                  : xf_rng_below(rng, 30),
        paired ? 1 : 1 + xf_rng_below(rng, 5), xf_rng_below(rng, STAGES));
  }
}

static void trial_want(struct trial *t, uint32_t stages) {
  t->n_want = 0;
  for (int keyed = 0; keyed < 2; keyed++)
    for (size_t i = 0; i < t->layout.n_seg; i++) {
      const struct xf_segment *s = &t->layout.seg[i];
      const bool in = (stages >> s->stage & 1) != 0;
      if (in && !keyed && s->role == XF_ROLE_SHARED)
        for (uint64_t k = 0; k < (uint64_t)s->rows * s->cols; k++)
          t->want[t->n_want++] = s->offset + k;
      if (in && keyed && s->role == XF_ROLE_ALIGNED)
        for (uint32_t r = 0; r < t->n_keys; r++)
          for (uint32_t c = 0; c < s->cols; c++)
            t->want[t->n_want++] = s->offset + (uint64_t)t->local[r] * s->cols + c;
      if (in && keyed && s->role == XF_ROLE_PAIRED)
        for (uint32_t a = 0, at = 0; a < t->n_keys; a++)
          for (uint32_t b = a + 1; b < t->n_keys; b++) t->want[t->n_want++] = s->offset + at++;
    }
}

/* Each set of stages: exactly its floats in their order, out and in; a domain's or user's never. Returns its length. */
static uint64_t check_set(struct trial *t, uint32_t stages) {
  static float full[FULL_MAX], wire[FULL_MAX];
  const struct xf_wire_rows rows = {"item", t->local, t->n_keys};
  struct xf_wire_map map;
  struct xf_diag diag;
  xf_diag_init(&diag);
  for (uint64_t i = 0; i < t->layout.n; i++) full[i] = (float)i;
  trial_want(t, stages);
  if (xf_wire_map_init(&map, &t->layout, &rows, 1, stages, &diag)) fail_msg("%s", diag.text);
  assert_int_equal(map.n_wire, t->n_want);
  xf_wire_map_gather(&map, wire, full);
  for (size_t i = 0; i < t->n_want; i++) assert_true(wire[i] == (float)t->want[i]);
  for (size_t i = 0; i < t->n_want; i++) wire[i] = -1 - (float)i;
  xf_wire_map_scatter(&map, full, wire);
  for (size_t i = 0; i < t->n_want; i++) {
    assert_true(full[t->want[i]] == -1 - (float)i);
    full[t->want[i]] = (float)t->want[i];
  }
  for (uint64_t i = 0; i < t->layout.n; i++) assert_true(full[i] == (float)i);
  const uint64_t n = map.n_wire;
  xf_wire_map_deinit(&map);
  return n;
}

static void test_sets_of_stages(void **state) {
  (void)state;
  static struct trial t;
  struct xf_rng rng;
  uint64_t passed = 0;
  xf_rng_init(&rng, 17, 0);
  for (int trial = 0; trial < 1000; trial++) {
    trial_make(&t, &rng);
    assert_true(t.layout.n <= FULL_MAX);
    uint64_t parts = 0;
    for (uint32_t s = 0; s < STAGES; s++) parts += check_set(&t, 1u << s);
    assert_int_equal(check_set(&t, XF_STAGE_ALL), parts); /* the slices make the whole */
    passed += check_set(&t, xf_rng_below(&rng, 1u << STAGES)) + parts;
    xf_layout_deinit(&t.layout);
  }
  assert_true(passed > 50000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_lengths),        cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_canonical),      cmocka_unit_test(test_map_errors),
      cmocka_unit_test(test_sets_of_stages),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
