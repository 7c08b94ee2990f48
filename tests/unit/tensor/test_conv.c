// Convolutions: the plain loops against sums written by hand, the fast kernels against the plain loops on odd shapes.
#include "base/alloc.h"
#include "base/rng.h"
#include "tensor/kern.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

// n h w cin kh kw cout stride pad
static const struct xf_conv_shape shapes[] = {
    {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0},     {0, 4, 4, 3, 3, 3, 5, 1, 1, 1, 1},
    {2, 5, 7, 3, 3, 3, 4, 1, 1, 1, 1},     {3, 9, 8, 1, 5, 5, 32, 1, 1, 2, 2},
    {2, 14, 14, 32, 5, 5, 64, 1, 1, 2, 2}, {1, 28, 28, 1, 5, 5, 32, 1, 1, 2, 2},
    {2, 28, 28, 1, 3, 3, 64, 2, 2, 1, 1},  {2, 7, 7, 17, 3, 3, 33, 1, 1, 1, 1},
    {2, 11, 6, 5, 2, 4, 10, 2, 3, 1, 2},   {1, 6, 31, 2, 1, 7, 47, 1, 1, 0, 3},
    {2, 12, 1, 4, 5, 1, 3, 1, 1, 0, 0},    {1, 13, 12, 16, 3, 3, 16, 3, 2, 0, 2},
    {2, 4, 33, 64, 1, 1, 65, 1, 1, 0, 0},  {1, 5, 5, 2, 5, 5, 70, 1, 1, 4, 4},
    {2, 10, 10, 3, 3, 3, 20, 2, 2, 2, 2},  {1, 3, 3, 6, 3, 3, 7, 4, 4, 0, 0},
    {1, 1, 16, 8, 1, 3, 48, 1, 1, 0, 0},   {2, 2, 2, 40, 2, 2, 31, 1, 1, 1, 1},
    {1, 16, 15, 9, 4, 3, 15, 1, 2, 3, 1},  {5, 3, 5, 7, 2, 2, 17, 2, 2, 0, 0},
};
enum { N_SHAPE = sizeof shapes / sizeof *shapes, GUARD = 8 };
static const float canary = 12345.5f;

struct arrays {
  size_t n_x, n_y, n_w;
  float *x, *y, *w, *bias, *out, *first, *scratch;
  double *x64, *y64, *w64, *bias64, *out64;
};

static size_t largest(const struct arrays *a) {
  const size_t m = a->n_x > a->n_y ? a->n_x : a->n_y;
  return m > a->n_w ? m : a->n_w;
}

static void random_pair(struct xf_rng *rng, float **x, double **x64, size_t n) {
  *x = xf_calloc(n + 1, sizeof **x);
  *x64 = xf_calloc(n + 1, sizeof **x64);
  for (size_t i = 0; i < n; i++) {
    (*x)[i] = (float)(xf_rng_double(rng) * 2 - 1);
    (*x64)[i] = (double)(*x)[i];
  }
}

static void arrays_init(struct arrays *a, const struct xf_conv_shape *s) {
  struct xf_rng rng;
  xf_rng_init(&rng, 7, s->h * 100 + s->cout);
  a->n_x = (size_t)s->n * s->h * s->w * s->cin;
  a->n_y = (size_t)s->n * xf_conv_out_h(s) * xf_conv_out_w(s) * s->cout;
  a->n_w = (size_t)s->kh * s->kw * s->cin * s->cout;
  random_pair(&rng, &a->x, &a->x64, a->n_x);
  random_pair(&rng, &a->y, &a->y64, a->n_y);
  random_pair(&rng, &a->w, &a->w64, a->n_w);
  random_pair(&rng, &a->bias, &a->bias64, s->cout);
  a->out = xf_calloc(largest(a) + 2 * GUARD, sizeof *a->out);
  a->first = xf_calloc(largest(a) + 1, sizeof *a->first);
  a->out64 = xf_calloc(largest(a) + 1, sizeof *a->out64);
  a->scratch = xf_calloc(xf_conv_scratch(s) + GUARD, sizeof *a->scratch);
}

static void arrays_deinit(struct arrays *a) {
  xf_free(a->x);
  xf_free(a->y);
  xf_free(a->w);
  xf_free(a->bias);
  xf_free(a->out);
  xf_free(a->first);
  xf_free(a->scratch);
  xf_free(a->x64);
  xf_free(a->y64);
  xf_free(a->w64);
  xf_free(a->bias64);
  xf_free(a->out64);
}

enum pass { FWD, FWD_BIAS, DX, DW, N_PASS };
static const char *const pass_name[N_PASS] = {"forward", "forward with bias", "dx", "dw"};

static size_t run(const struct xf_kern *k, enum pass pass, struct arrays *a, float *out,
                  const struct xf_conv_shape *s) {
  if (pass == DX) k->conv_dx(out, a->y, a->w, a->scratch, s);
  else if (pass == DW) k->conv_dw(out, a->x, a->y, a->scratch, s);
  else k->conv_fwd(out, a->x, a->w, pass == FWD ? NULL : a->bias, a->scratch, s);
  return pass == DX ? a->n_x : pass == DW ? a->n_w : a->n_y;
}

static void run64(enum pass pass, struct arrays *a, const struct xf_conv_shape *s) {
  const struct xf_kern64 *k = &xf_kern_ref64;
  if (pass == DX) k->conv_dx(a->out64, a->y64, a->w64, NULL, s);
  else if (pass == DW) k->conv_dw(a->out64, a->x64, a->y64, NULL, s);
  else k->conv_fwd(a->out64, a->x64, a->w64, pass == FWD ? NULL : a->bias64, NULL, s);
}

// The longest sum decides what rounding may do.
static double tolerance(enum pass pass, const struct xf_conv_shape *s) {
  const double fan = pass == DW ? (double)s->n * xf_conv_out_h(s) * xf_conv_out_w(s)
                                : (double)s->kh * s->kw * (pass == DX ? s->cout : s->cin);
  return 4e-6 * sqrt(fan + 1);
}

static void check(const struct xf_kern *k, enum pass pass, struct arrays *a,
                  const struct xf_conv_shape *s) {
  const size_t room = largest(a) + 2 * GUARD, spare = xf_conv_scratch(s);
  for (size_t i = 0; i < room; i++) a->out[i] = canary;
  for (size_t i = 0; i < spare + GUARD; i++) a->scratch[i] = (float)NAN; // nothing may rely on it
  const size_t n = run(k, pass, a, a->out + GUARD, s);
  const double tol = tolerance(pass, s);
  for (size_t i = 0; i < n; i++)
    if (!(fabs((double)a->out[GUARD + i] - a->out64[i]) <= tol))
      fail_msg("%s %s, image %u x %u x %u, kernel %u x %u to %u: [%zu] = %.9g, reference %.9g",
               k->isa, pass_name[pass], s->h, s->w, s->cin, s->kh, s->kw, s->cout, i,
               (double)a->out[GUARD + i], a->out64[i]);
  if (strcmp(k->isa, "avx2") == 0) memcpy(a->first, a->out + GUARD, n * sizeof *a->out);
  if (strcmp(k->isa, "avx512") == 0) // the same chains of the same FMAs
    assert_memory_equal(a->first, a->out + GUARD, n * sizeof *a->out);
  for (size_t i = 0; i < GUARD; i++) {
    assert_true(a->out[i] == canary && a->out[GUARD + n + i] == canary);
    assert_true(isnan(a->scratch[spare + i]));
  }
}

static void test_against_reference(void **state) {
  (void)state;
  for (size_t i = 0; i < N_SHAPE; i++) {
    struct arrays a;
    struct xf_diag diag;
    xf_diag_init(&diag);
    assert_int_equal(xf_conv_check(&shapes[i], &diag), XF_OK);
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

// A 3 x 3 kernel over a 2 x 3 image, two channels to one, padding 1, by hand.
static void test_by_hand(void **state) {
  (void)state;
  const struct xf_conv_shape s = {1, 2, 3, 2, 3, 3, 1, 1, 1, 1, 1};
  double x[12], w[18], y[6], dw[18], dx[12];
  const double bias = .5, dy[6] = {0, 1, 0, 0, 0, 2};
  for (int i = 0; i < 12; i++) x[i] = i + 1;
  for (int i = 0; i < 18; i++) w[i] = i % 5 - 2;
  xf_kern_ref64.conv_fwd(y, x, w, &bias, NULL, &s);
  // output (0, 1) sees every pixel: image row 0 under kernel row 1, image row 1 under kernel row 2
  double sum = bias;
  for (int i = 0; i < 12; i++) sum += x[i] * w[6 + i];
  assert_true(fabs(y[1] - sum) < 1e-12);
  // output (1, 2) sees columns 1 and 2: kernel rows 0 and 1, kernel columns 0 and 1
  sum = bias;
  for (int r = 0; r < 2; r++)
    for (int c = 0; c < 4; c++) sum += x[r * 6 + 2 + c] * w[r * 6 + c];
  assert_true(fabs(y[5] - sum) < 1e-12);
  xf_kern_ref64.conv_dw(dw, x, dy, NULL, &s);
  assert_true(dw[6] == x[0] + 2 * x[8]); // tap (1, 0), channel 0
  xf_kern_ref64.conv_dx(dx, dy, w, NULL, &s);
  assert_true(dx[10] == w[16] + 2 * w[8]); // pixel (1, 2), channel 0
}

static void test_refuses(void **state) {
  (void)state;
  const struct xf_conv_shape good = {2, 8, 8, 3, 3, 3, 4, 1, 1, 1, 1};
  struct xf_conv_shape s;
  struct xf_diag diag;
#define REFUSED(rc, ...)                            \
  do {                                              \
    s = good;                                       \
    __VA_ARGS__;                                    \
    xf_diag_init(&diag);                            \
    assert_int_equal(xf_conv_check(&s, &diag), rc); \
  } while (0)
  REFUSED(XF_OK, s.n = 0);
  REFUSED(XF_E_SHAPE, s.h = 0);
  REFUSED(XF_E_SHAPE, s.w = 1 << 16);
  REFUSED(XF_E_SHAPE, s.cin = 0);
  REFUSED(XF_E_SHAPE, s.cout = 1 << 16);
  REFUSED(XF_E_SHAPE, s.kh = 0);
  REFUSED(XF_E_SHAPE, s.kw = 11);
  REFUSED(XF_E_SHAPE, s.pad_h = 3);
  REFUSED(XF_E_SHAPE, s.stride_w = 0);
  REFUSED(XF_E_LIMIT, s.n = 1u << 31);
  REFUSED(XF_E_LIMIT, s.h = s.w = 1 << 15; s.cin = 2);
  REFUSED(XF_E_LIMIT, s.cin = s.cout = 1 << 15);
#undef REFUSED
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_by_hand),
      cmocka_unit_test(test_refuses),
      cmocka_unit_test(test_against_reference),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
