/* The gate between a silo and the wire: over random layouts no float of a domain or user segment passes it,
   in either direction, and everything else passes it in the promised order. */
#include "param/wiremap.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_order(void **state) {
  (void)state;
  struct xf_layout l;
  struct xf_wire_map map;
  float full[50], wire[50], want[] = {0, 1, 2, 3, 34, 35, 16, 17, 12, 13, 14, 15, 22, 20, 21};
  xf_layout_init(&l);
  assert_int_equal(xf_layout_add(&l, "a", XF_ROLE_SHARED, NULL, 2, 2, NULL), XF_OK);  /* 0..3 */
  assert_int_equal(xf_layout_add(&l, "d", XF_ROLE_DOMAIN, NULL, 4, 2, NULL), XF_OK);  /* 4..11 */
  assert_int_equal(xf_layout_add(&l, "u", XF_ROLE_ALIGNED, "n", 4, 2, NULL), XF_OK);  /* 12..19 */
  assert_int_equal(xf_layout_add(&l, "ub", XF_ROLE_ALIGNED, "n", 4, 1, NULL), XF_OK); /* 20..23 */
  assert_int_equal(xf_layout_add(&l, "p", XF_ROLE_USER, NULL, 5, 2, NULL), XF_OK);    /* 24..33 */
  assert_int_equal(xf_layout_add(&l, "b", XF_ROLE_SHARED, NULL, 2, 1, NULL), XF_OK);  /* 34..35 */
  const uint32_t local[] = {2, 0, 1}; /* local rows of the manifest's sorted keys */
  const struct xf_wire_rows rows[] = {{"other", NULL, 0}, {"n", local, 3}};
  assert_int_equal(xf_wire_map_init(&map, &l, rows, 2, XF_STAGE_ALL, NULL), XF_OK);
  assert_int_equal(map.n_wire, 15);
  assert_int_equal(map.n_shared, 6);
  assert_int_equal(map.n_run, 6); /* rows that follow each other are one run */
  for (int i = 0; i < 50; i++) full[i] = (float)i;
  xf_wire_map_gather(&map, wire, full);
  assert_memory_equal(wire, want, sizeof want);
  for (int i = 0; i < 15; i++) wire[i] += 100;
  xf_wire_map_scatter(&map, full, wire);
  for (int i = 0; i < 50; i++) {
    bool on_wire = false;
    for (int k = 0; k < 15; k++) on_wire |= want[k] == (float)i;
    assert_true(full[i] == (float)(on_wire ? i + 100 : i));
  }
  xf_wire_map_deinit(&map);
  xf_wire_map_deinit(&map);
  xf_layout_deinit(&l);
}

static void test_errors(void **state) {
  (void)state;
  struct xf_layout l;
  struct xf_wire_map map;
  struct xf_diag diag;
  xf_layout_init(&l);
  assert_int_equal(xf_wire_map_init(&map, &l, NULL, 0, XF_STAGE_ALL, NULL),
                   XF_OK); /* nothing to send */
  assert_int_equal(map.n_wire, 0);
  xf_wire_map_gather(&map, NULL, NULL);
  xf_wire_map_deinit(&map);
  assert_int_equal(xf_layout_add(&l, "w", XF_ROLE_SHARED, NULL, 2, 2, NULL), XF_OK);
  assert_int_equal(xf_layout_add(&l, "u", XF_ROLE_ALIGNED, "users", 4, 2, NULL), XF_OK);
  assert_int_equal(xf_layout_add(&l, "v", XF_ROLE_ALIGNED, "users", 3, 2, NULL), XF_OK);
  xf_diag_init(&diag);
  const uint32_t good[] = {0, 2}, beyond[] = {1, 4}, in_first_only[] = {3}, twice[] = {1, 2, 1};
  const struct {
    struct xf_wire_rows rows;
    enum xf_rc rc;
    const char *says;
  } cases[] = {
      {{"users", good, 2}, XF_OK, ""},
      {{"users", NULL, 0}, XF_OK, ""},
      {{"items", good, 2}, XF_E_NOTFOUND, "no rows given for namespace \"users\""},
      {{"users", beyond, 2}, XF_E_RANGE, "key 1 is row 4 of segment \"u\", which has 4"},
      {{"users", in_first_only, 1}, XF_E_RANGE, "row 3 of segment \"v\", which has 3"},
      {{"users", twice, 3}, XF_E_INVAL, "key 2 names row 1"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    assert_int_equal(xf_wire_map_init(&map, &l, &cases[i].rows, 1, XF_STAGE_ALL, &diag),
                     cases[i].rc);
    assert_non_null(strstr(diag.text, cases[i].says));
    if (cases[i].rc) assert_null(map.run);
    xf_wire_map_deinit(&map);
  }
  assert_int_equal(xf_wire_map_init(&map, &l, NULL, 0, XF_STAGE_ALL, &diag), XF_E_NOTFOUND);
  xf_layout_deinit(&l);
}

enum { NS = 3, FULL_MAX = 20000 };

struct trial {
  struct xf_layout layout;
  struct xf_wire_rows rows[NS];
  uint32_t local[NS][32];
  float want[FULL_MAX]; /* the wire vector, from the definition in layout.h */
  size_t n_want, n_shared;
};

static const char *const ns_names[NS] = {"users", "items", "ads"};

static void trial_layout(struct trial *t, struct xf_rng *rng) {
  char name[16];
  uint32_t n_seg = xf_rng_below(rng, 20), ns_rows[NS];
  xf_layout_init(&t->layout);
  for (int k = 0; k < NS; k++) {
    ns_rows[k] = xf_rng_below(rng, 30);
    for (uint32_t i = 0; i < ns_rows[k]; i++) t->local[k][i] = i;
    xf_rng_shuffle(rng, t->local[k], ns_rows[k]);
    t->rows[k] = (struct xf_wire_rows){ns_names[k], t->local[k],
                                       ns_rows[k] ? xf_rng_below(rng, ns_rows[k] + 1) : 0};
  }
  for (uint32_t i = 0; i < n_seg; i++) {
    enum xf_role role = (enum xf_role)xf_rng_below(rng, 4);
    uint32_t k = xf_rng_below(rng, NS);
    bool aligned = role == XF_ROLE_ALIGNED;
    snprintf(name, sizeof name, "s%u", i);
    assert_int_equal(xf_layout_add(&t->layout, name, role, aligned ? ns_names[k] : NULL,
                                   aligned ? ns_rows[k] : xf_rng_below(rng, 30),
                                   1 + xf_rng_below(rng, 8), NULL),
                     XF_OK);
  }
}

static void want_run(struct trial *t, const float *full, uint64_t at, uint64_t n) {
  for (uint64_t i = 0; i < n; i++) t->want[t->n_want++] = full[at + i];
}

static void trial_want(struct trial *t, const float *full) {
  t->n_want = 0;
  for (size_t i = 0; i < t->layout.n_seg; i++) {
    const struct xf_segment *s = &t->layout.seg[i];
    if (s->role == XF_ROLE_SHARED) want_run(t, full, s->offset, (uint64_t)s->rows * s->cols);
  }
  t->n_shared = t->n_want;
  for (size_t i = 0; i < t->layout.n_seg; i++) {
    const struct xf_segment *s = &t->layout.seg[i];
    for (int k = 0; s->role == XF_ROLE_ALIGNED && k < NS; k++)
      for (size_t r = 0; strcmp(s->ns, ns_names[k]) == 0 && r < t->rows[k].n; r++)
        want_run(t, full, s->offset + (uint64_t)t->rows[k].local_row[r] * s->cols, s->cols);
  }
}

static bool stays(const struct xf_layout *l, uint64_t i) {
  for (size_t k = 0; k < l->n_seg; k++) {
    const struct xf_segment *s = &l->seg[k];
    if (i - s->offset < (uint64_t)s->rows * s->cols)
      return s->role == XF_ROLE_DOMAIN || s->role == XF_ROLE_USER;
  }
  return true;
}

static void test_private_floats_never_pass(void **state) {
  (void)state;
  static struct trial t;
  static float full[FULL_MAX], before[FULL_MAX], wire[FULL_MAX];
  struct xf_rng rng;
  size_t private_floats = 0, wire_floats = 0;
  xf_rng_init(&rng, 11, 0);
  for (int trial = 0; trial < 1000; trial++) {
    struct xf_wire_map map;
    trial_layout(&t, &rng);
    assert_true(t.layout.n <= FULL_MAX);
    /* Every float is its own value; those that stay are negative, so one on the wire would show. */
    for (uint64_t i = 0; i < t.layout.n; i++)
      full[i] = stays(&t.layout, i) ? -1 - (float)i : 1 + (float)i;
    memcpy(before, full, sizeof full);
    trial_want(&t, full);
    assert_int_equal(xf_wire_map_init(&map, &t.layout, t.rows, NS, XF_STAGE_ALL, NULL), XF_OK);
    assert_int_equal(map.n_wire, t.n_want);
    assert_int_equal(map.n_shared, t.n_shared);
    xf_wire_map_gather(&map, wire, full);
    for (size_t i = 0; i < map.n_wire; i++) {
      assert_true(wire[i] > 0);
      assert_true(wire[i] == t.want[i]);
      wire[i] = 0;
    }
    xf_wire_map_scatter(&map, full, wire);
    size_t changed = 0;
    for (uint64_t i = 0; i < t.layout.n; i++) {
      if (stays(&t.layout, i)) assert_true(full[i] == before[i]);
      private_floats += before[i] < 0;
      changed += full[i] != before[i];
    }
    assert_int_equal(changed, map.n_wire); /* each wire float has its own place */
    wire_floats += changed;
    xf_wire_map_deinit(&map);
    xf_layout_deinit(&t.layout);
  }
  assert_true(private_floats > 100000 && wire_floats > 100000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_order),
      cmocka_unit_test(test_errors),
      cmocka_unit_test(test_private_floats_never_pass),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
