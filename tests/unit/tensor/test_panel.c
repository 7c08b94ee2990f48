// Products with weights in panels: against plain products in double on odd shapes, the same bits fused and not, with
// dark columns left out and not, and with AVX2 and AVX-512.
#include "base/alloc.h"
#include "base/rng.h"
#include "tensor/kern.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static const struct xf_panel_shape shapes[] = {
    {.B = 1, .K = 1, .N = 1},     {.B = 0, .K = 7, .N = 9},      {.B = 10, .K = 784, .N = 200},
    {.B = 10, .K = 200, .N = 10}, {.B = 64, .K = 100, .N = 128}, {.B = 64, .K = 128, .N = 10},
    {.B = 3, .K = 33, .N = 31},   {.B = 17, .K = 15, .N = 33},   {.B = 33, .K = 14, .N = 64},
    {.B = 13, .K = 29, .N = 47},  {.B = 5, .K = 3, .N = 2100},   {.B = 28, .K = 57, .N = 16},
    {.B = 7, .K = 97, .N = 17},   {.B = 14, .K = 28, .N = 8},    {.B = 2, .K = 40, .N = 65},
    {.B = 6, .K = 10, .N = 0},    {.B = 16, .K = 13, .N = 96},   {.B = 9, .K = 65, .N = 3},
};
enum { N_SHAPE = sizeof shapes / sizeof *shapes, GUARD = 8 };
static const float canary = 12345.5f;

enum pass { FWD, FWD_BIAS, DX, DW, SGD, N_PASS };
static const char *const pass_name[N_PASS] = {"forward", "forward with bias", "dx", "dw", "sgd"};

struct arrays {
  float *x, *g, *w, *bias, *packed, *out, *flat, *first, *scratch;
  double *want;
  size_t n_scratch, room;
};

static float *randoms(struct xf_rng *rng, size_t n) {
  float *x = xf_calloc(n + 1, sizeof *x);
  for (size_t i = 0; i < n; i++) x[i] = (float)(xf_rng_double(rng) * 2 - 1);
  return x;
}

// Stretches of the columns of x are dark, and one row ends in a negative zero.
static void darken(float *x, const struct xf_panel_shape *s) {
  for (size_t c = 0; c < s->K; c++)
    if (c % 23 < 9 || c % 7 == 2)
      for (size_t r = 0; r < s->B; r++) x[r * s->K + c] = r % 2 ? -0.0f : 0.0f;
}

static void arrays_init(struct arrays *a, const struct xf_panel_shape *s) {
  struct xf_rng rng;
  xf_rng_init(&rng, 11, s->B * 1000 + s->N);
  a->room = s->B * s->K + s->B * s->N + s->K * s->N + 2 * GUARD;
  a->x = randoms(&rng, s->B * s->K);
  a->g = randoms(&rng, s->B * s->N);
  a->w = randoms(&rng, s->K * s->N);
  a->bias = randoms(&rng, s->N);
  a->packed = randoms(&rng, s->K * s->N);
  a->out = xf_calloc(a->room, sizeof *a->out);
  a->flat = xf_calloc(a->room, sizeof *a->flat);
  a->first = xf_calloc(a->room, sizeof *a->first);
  a->want = xf_calloc(a->room, sizeof *a->want);
  a->n_scratch = xf_panel_scratch(s->B, s->N);
  a->scratch = xf_calloc(a->n_scratch + GUARD, sizeof *a->scratch);
}

static void arrays_deinit(struct arrays *a) {
  xf_free(a->x);
  xf_free(a->g);
  xf_free(a->w);
  xf_free(a->bias);
  xf_free(a->packed);
  xf_free(a->out);
  xf_free(a->flat);
  xf_free(a->first);
  xf_free(a->want);
  xf_free(a->scratch);
}

static size_t length(enum pass pass, const struct xf_panel_shape *s) {
  return pass == DX ? s->B * s->K : pass == DW || pass == SGD ? s->K * s->N : s->B * s->N;
}

static const float lr = .25f;

static void run64(enum pass pass, struct arrays *a, const struct xf_panel_shape *s) {
  const size_t B = s->B, K = s->K, N = s->N;
  for (size_t i = 0; i < length(pass, s); i++) {
    double v = 0;
    if (pass == DX)
      for (size_t n = 0; n < N; n++) v += (double)a->g[i / K * N + n] * (double)a->w[i % K * N + n];
    else if (pass == DW || pass == SGD)
      for (size_t b = 0; b < B; b++) v += (double)a->x[b * K + i / N] * (double)a->g[b * N + i % N];
    else
      for (size_t k = 0; k < K; k++) v += (double)a->x[i / N * K + k] * (double)a->w[k * N + i % N];
    if (pass == FWD_BIAS) v += (double)a->bias[i % N];
    a->want[i] = pass == SGD ? (double)a->w[i] - (double)lr * v : v;
  }
}

// Runs into a->out between canaries; a->flat is the row-major result.
static void run(const struct xf_kern *k, enum pass pass, struct arrays *a,
                const struct xf_panel_shape *s) {
  float *out = a->out + GUARD;
  for (size_t i = 0; i < a->room; i++) a->out[i] = canary;
  for (size_t i = 0; i < a->n_scratch + GUARD; i++) a->scratch[i] = (float)NAN;
  k->to_panels(a->packed, a->w, s->K, s->N);
  if (pass == DX) k->panel_dx(out, a->g, a->packed, a->scratch, s);
  else if (pass == DW) k->panel_dw(out, a->x, a->g, s);
  else if (pass == SGD) {
    memcpy(out, a->packed, s->K * s->N * sizeof *out);
    k->panel_sgd(out, a->x, a->g, lr, s);
  } else k->panel_fwd(out, a->x, a->packed, pass == FWD ? NULL : a->bias, s);
  const size_t n = length(pass, s);
  for (size_t i = 0; i < GUARD; i++) {
    assert_true(a->out[i] == canary && out[n + i] == canary);
    assert_true(isnan(a->scratch[a->n_scratch + i]));
  }
  if (pass == DW || pass == SGD) k->from_panels(a->flat, out, s->K, s->N);
  else memcpy(a->flat, out, n * sizeof *out);
}

static void check(const struct xf_kern *k, enum pass pass, struct arrays *a,
                  const struct xf_panel_shape *s) {
  const size_t n = length(pass, s);
  run(k, pass, a, s);
  const double tol = 4e-7 * sqrt((double)(pass == DX ? s->N : pass >= DW ? s->B : s->K) + 1) * 4;
  for (size_t i = 0; i < n; i++)
    if (!(fabs((double)a->flat[i] - a->want[i]) <= tol))
      fail_msg("%s %s, batch %zu, %zu x %zu: [%zu] = %.9g, reference %.9g", k->isa, pass_name[pass],
               s->B, s->K, s->N, i, (double)a->flat[i], a->want[i]);
  if (strcmp(k->isa, "avx2") == 0) memcpy(a->first, a->flat, n * sizeof *a->flat);
  if (strcmp(k->isa, "avx512") == 0) assert_memory_equal(a->first, a->flat, n * sizeof *a->flat);
}

static void test_against_reference(void **state) {
  (void)state;
  for (size_t i = 0; i < N_SHAPE; i++) {
    struct arrays a;
    arrays_init(&a, &shapes[i]);
    for (enum pass pass = 0; pass < N_PASS; pass++) {
      const struct xf_kern *k;
      run64(pass, &a, &shapes[i]);
      check(&xf_kern_ref, pass, &a, &shapes[i]);
      for (size_t t = 0; (k = xf_kern_next(t)) != NULL; t++) check(k, pass, &a, &shapes[i]);
    }
    arrays_deinit(&a);
  }
}

static void test_there_and_back(void **state) {
  (void)state;
  for (size_t i = 0; i < N_SHAPE; i++) {
    struct arrays a;
    const size_t n = shapes[i].K * shapes[i].N;
    arrays_init(&a, &shapes[i]);
    const struct xf_kern *k = &xf_kern_ref;
    for (size_t t = 0; k != NULL; k = xf_kern_next(t++)) {
      k->to_panels(a.packed, a.w, shapes[i].K, shapes[i].N);
      k->from_panels(a.flat, a.packed, shapes[i].K, shapes[i].N);
      assert_memory_equal(a.flat, a.w, n * sizeof *a.w);
    }
    arrays_deinit(&a);
  }
}

// w -= lr (x^T g) in one pass is dw, then sgd.
static void test_fused_is_exact(void **state) {
  (void)state;
  for (size_t i = 0; i < N_SHAPE; i++) {
    const struct xf_panel_shape *s = &shapes[i];
    struct arrays a;
    const struct xf_kern *k;
    arrays_init(&a, s);
    for (size_t t = 0; (k = xf_kern_next(t)) != NULL; t++) {
      k->to_panels(a.packed, a.w, s->K, s->N);
      k->panel_dw(a.flat, a.x, a.g, s);
      memcpy(a.out, a.packed, s->K * s->N * sizeof *a.out);
      k->sgd(a.out, a.flat, lr, s->K * s->N);
      k->panel_sgd(a.packed, a.x, a.g, lr, s);
      assert_memory_equal(a.packed, a.out, s->K * s->N * sizeof *a.out);
    }
    arrays_deinit(&a);
  }
}

static void check_spans(const struct xf_span *span, size_t n, const float *x, size_t R, size_t C) {
  assert_true(n <= XF_SPAN_MAX);
  for (size_t i = 0; i < n; i++) {
    assert_true(span[i].from < span[i].to && span[i].to <= C);
    if (i > 0) assert_true(span[i - 1].to < span[i].from);
  }
  for (size_t c = 0, at = 0; c < C; c++) {
    bool lit = false;
    for (size_t r = 0; r < R; r++) lit = lit || x[r * C + c] != 0;
    while (at < n && span[at].to <= c) at++;
    const bool in = at < n && span[at].from <= c;
    assert_true(!lit || in);
  }
}

static void test_dark_columns(void **state) {
  (void)state;
  size_t most = 0;
  for (size_t i = 0; i < N_SHAPE; i++) {
    struct xf_panel_shape s = shapes[i];
    struct xf_span span[XF_SPAN_MAX];
    struct arrays a;
    arrays_init(&a, &s);
    darken(a.x, &s);
    const struct xf_kern *k = &xf_kern_ref;
    for (size_t t = 0; k != NULL; k = xf_kern_next(t++)) {
      for (enum pass pass = 0; pass < N_PASS; pass++) {
        if (pass == DX) continue;
        s.span = NULL;
        run(k, pass, &a, &s);
        memcpy(a.first, a.flat, length(pass, &s) * sizeof *a.flat);
        s.span = span;
        s.n_span = k->lit(span, a.x, s.B, s.K);
        check_spans(span, s.n_span, a.x, s.B, s.K);
        if (s.n_span > most) most = s.n_span;
        run(k, pass, &a, &s);
        for (size_t j = 0; j < length(pass, &s); j++) // equal as numbers: a zero may lose its sign
          assert_true(a.first[j] == a.flat[j]);
      }
    }
    arrays_deinit(&a);
  }
  assert_true(most > 20); // several spans were met
}

// More stretches than there is room for: the last span takes the rest.
static void test_many_spans(void **state) {
  (void)state;
  enum { C = XF_SPAN_MAX * 16 };
  static float x[2 * C];
  struct xf_span span[XF_SPAN_MAX];
  const struct xf_kern *k;
  for (size_t c = 0; c < C; c += 8) x[C + c] = c % 16 ? 1e-40f : (float)NAN;
  for (size_t t = 0; (k = xf_kern_next(t)) != NULL; t++) {
    const size_t n = k->lit(span, x, 2, C);
    assert_int_equal(n, XF_SPAN_MAX);
    check_spans(span, n, x, 2, C);
    assert_int_equal(span[n - 1].to, C - 7);
    assert_int_equal(k->lit(span, x, 1, C), 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_against_reference), cmocka_unit_test(test_there_and_back),
      cmocka_unit_test(test_fused_is_exact),    cmocka_unit_test(test_dark_columns),
      cmocka_unit_test(test_many_spans),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
