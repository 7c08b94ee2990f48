/* The only file that knows BLAS: products and the start-up checks. */
#include "tensor/blas.h"

#include "base/alloc.h"
#include "tensor/fast.h"

#include <cblas.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void xf_fast_gemm(float *c, const float *a, const float *b, const struct xf_gemm *s) {
  if (s->m == 0 || s->n == 0) return;
  const float beta = (float)s->beta;
  if (s->k == 0) {
    for (size_t i = 0; i < s->m * s->n; i++) c[i] = s->beta == 0 ? 0 : beta * c[i];
    return;
  }
  const int m = (int)s->m, n = (int)s->n, k = (int)s->k;
  cblas_sgemm(CblasRowMajor, s->ta ? CblasTrans : CblasNoTrans, s->tb ? CblasTrans : CblasNoTrans,
              m, n, k, (float)s->alpha, a, s->ta ? m : k, b, s->tb ? k : n, beta, c, n);
}

void xf_blas_syrk(float *c, const float *a, size_t n, size_t k, bool ta, float beta) {
  /* BLAS refuses rows of length 0 and would leave c as it is */
  for (size_t i = 0; i < n && k == 0; i++)
    for (size_t j = i; j < n; j++) c[i * n + j] = beta == 0 ? 0 : beta * c[i * n + j];
  if (n == 0 || k == 0) return;
  cblas_ssyrk(CblasRowMajor, CblasUpper, ta ? CblasTrans : CblasNoTrans, (int)n, (int)k, 1, a,
              (int)(ta ? n : k), beta, c, (int)n);
}

void xf_blas_gemv(float *y, const float *a, const float *x, size_t m, size_t n) {
  cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)m, (int)n, 1, a, (int)n, x, 1, 0, y, 1);
}

/* --- self-check: products of small integers are exact in any order of summation */

enum { START_THREADS = 2, START_PRODUCTS = 160 };

struct check {
  uint32_t seed;
  unsigned products; /* to make */
  unsigned wrong;
  struct xf_gemm bad; /* one of the wrong ones */
  pthread_t thread;
};

/* Pseudo-random integers in [-3, 3]. */
static void fill_ints(float *x, size_t n, uint32_t *state) {
  for (size_t i = 0; i < n; i++) {
    *state = *state * 1664525u + 1013904223u;
    x[i] = (float)(int32_t)((*state >> 24) % 7) - 3;
  }
}

static void check_shape(struct check *check, const struct xf_gemm *s, unsigned products) {
  float *a = xf_alloc(s->m * s->k * sizeof *a), *b = xf_alloc(s->k * s->n * sizeof *b);
  float *want = xf_alloc(s->m * s->n * sizeof *want), *got = xf_alloc(s->m * s->n * sizeof *got);
  uint32_t state = check->seed;
  fill_ints(a, s->m * s->k, &state);
  fill_ints(b, s->k * s->n, &state);
  xf_kern_ref.gemm(want, a, b, s);
  for (unsigned i = 0; i < products; i++) {
    xf_fast_gemm(got, a, b, s);
    if (memcmp(got, want, s->m * s->n * sizeof *got) == 0) continue;
    check->wrong++;
    check->bad = *s;
  }
  xf_free(a);
  xf_free(b);
  xf_free(want);
  xf_free(got);
}

static void *check_thread(void *arg) {
  static const struct xf_gemm shape[] = {
      {.m = 16, .n = 16, .k = 16, .alpha = 1},
      {.m = 10, .n = 50, .k = 196, .alpha = 1},
      {.m = 48, .n = 64, .k = 33, .alpha = 1, .ta = true},
      {.m = 33, .n = 40, .k = 64, .alpha = 1, .tb = true},
  };
  enum { N_SHAPE = sizeof shape / sizeof *shape };
  struct check *check = arg;
  for (size_t i = 0; i < N_SHAPE; i++) check_shape(check, &shape[i], check->products / N_SHAPE);
  return NULL;
}

enum xf_rc xf_blas_check(unsigned n_threads, unsigned n_products, struct xf_diag *diag) {
  struct check *check = xf_calloc(n_threads, sizeof *check);
  enum xf_rc rc = XF_OK;
  unsigned started = 0, wrong = 0;
  struct xf_gemm bad = {.m = 0};
  for (; started < n_threads && !rc; started++) {
    check[started].seed = started + 1;
    check[started].products = n_products;
    if (pthread_create(&check[started].thread, NULL, check_thread, &check[started]) != 0) {
      rc = xf_diag_set(diag, XF_E_NOMEM, "BLAS check: cannot start a thread");
      break;
    }
  }
  for (unsigned i = 0; i < started; i++) {
    pthread_join(check[i].thread, NULL);
    wrong += check[i].wrong;
    if (check[i].wrong) bad = check[i].bad;
  }
  xf_free(check);
  if (rc || wrong == 0) return rc;
  return xf_diag_set(diag, XF_E_CORRUPT,
                     "%s (core %s) gives %u wrong products of %u (%zu x %zu x %zu for one) when %u "
                     "threads call it; "
                     "install libopenblas0-pthread, or set OPENBLAS_CORETYPE to another core",
                     openblas_get_config(), openblas_get_corename(), wrong, n_threads * n_products,
                     bad.m, bad.k, bad.n, n_threads);
}

static enum xf_rc check_forced(struct xf_diag *diag) {
  const char *forced = getenv(XF_KERN_ENV);
  if (!forced || xf_kern_find(forced)) return XF_OK;
  char have[64] = "";
  const struct xf_kern *k;
  for (size_t i = 0, at = 0; (k = xf_kern_next(i)) != NULL && at < sizeof have; i++)
    at += (size_t)snprintf(have + at, sizeof have - at, " %s", k->isa);
  return xf_diag_set(diag, XF_E_UNSUPPORTED,
                     XF_KERN_ENV
                     "=%s: this machine has no such kernels, but:%s; unset it for the fastest",
                     forced, have);
}

enum xf_rc xf_blas_start(struct xf_blas_info *info, struct xf_diag *diag) {
  enum xf_rc rc = check_forced(diag);
  if (rc) return rc;
  const int flavour = openblas_get_parallel();
  if (flavour != OPENBLAS_THREAD)
    return xf_diag_set(
        diag, XF_E_UNSUPPORTED,
        "%s is the %s flavour of OpenBLAS, which is not safe or not fast under several "
        "callers; install libopenblas0-pthread (update-alternatives --config "
        "libopenblas.so.0-x86_64-linux-gnu shows the choice)",
        openblas_get_config(), flavour == OPENBLAS_OPENMP ? "openmp" : "serial");
  openblas_set_num_threads(1);
  if (info) {
    snprintf(info->config, sizeof info->config, "%s", openblas_get_config());
    snprintf(info->core, sizeof info->core, "%s", openblas_get_corename());
    snprintf(info->isa, sizeof info->isa, "%s", xf_kern_get()->isa);
  }
  return xf_blas_check(START_THREADS, START_PRODUCTS, diag);
}
