/* Fitting recommenders on seeded interactions with power-law degrees: ALS against sgemm of its dimension, EASE against the
   inversion it cannot do without, the Gram against memory. One thread each. */
#include "base/alloc.h"
#include "base/rng.h"
#include "rec/als.h"
#include "rec/item_model.h"
#include "tensor/blas.h"
#include "tensor/kern.h"
#include "tensor/lapack.h"
#include "tools/bench/bench.h"

#include <math.h>
#include <string.h>

enum { N_DIM = 3, DEGREE_MIN = 5, DEGREE_MAX = 500 };
static const uint32_t dims[N_DIM] = {64, 96, 192};
static const char *const als_name[N_DIM] = {"als_64", "als_96", "als_192"};
static const double ridge = 30, item_slope = .8, user_slope = 1.4;

struct world {
  uint32_t n_users, n_items, n_ease, degree_max;
  struct xf_csr train;
  struct xf_rec_data data;
  size_t n_stream; /* floats of each stream of the memory probe */
  float *x, *y;
};

/* --- data --- */

/* Histories of at least 5 items, tail exponent 1.4; items by Zipf's law, exponent .8, each at most once in a history.
   That is about 16 events a user. @source Zipf 1949 */
static enum xf_rc make_histories(struct world *w) {
  struct xf_rng rng;
  const size_t most = (size_t)w->n_users * w->degree_max;
  double *upto = xf_try_calloc(w->n_items, sizeof *upto), sum = 0;
  bool *has = xf_try_calloc(w->n_items, sizeof *has);
  w->train.start = xf_try_calloc((size_t)w->n_users + 1, sizeof *w->train.start);
  w->train.item = xf_try_calloc(most, sizeof *w->train.item);
  w->train.n_row = w->n_users;
  const bool made = upto && has && w->train.start && w->train.item;
  xf_rng_init(&rng, 1, 0);
  for (uint32_t i = 0; made && i < w->n_items; i++) upto[i] = sum += pow(i + 1.0, -item_slope);
  for (uint32_t u = 0, n = 0; made && u < w->n_users; u++) {
    const double d = DEGREE_MIN * pow(1 - xf_rng_double(&rng), -1 / user_slope);
    const uint32_t degree = d < w->degree_max ? (uint32_t)d : w->degree_max;
    memset(has, 0, w->n_items * sizeof *has);
    for (uint32_t k = 0; k < degree;) {
      const double at = xf_rng_double(&rng) * sum;
      uint32_t low = 0, high = w->n_items - 1;
      while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (upto[middle] < at) low = middle + 1;
        else high = middle;
      }
      k += !has[low];
      has[low] = true;
    }
    for (uint32_t i = 0; i < w->n_items; i++)
      if (has[i]) w->train.item[n++] = i;
    w->train.start[u + 1] = n;
  }
  xf_free(upto);
  xf_free(has);
  return made ? XF_OK : XF_E_NOMEM;
}

static enum xf_rc world_init(struct world *w, struct bench *b) {
  *w = (struct world){.n_users = b->quick ? 200 : 7000,
                      .n_items = b->quick ? 150 : 3000,
                      .n_ease = b->quick ? 100 : 2900,
                      .degree_max = b->quick ? 50 : DEGREE_MAX,
                      .n_stream = b->quick ? 10000 : 16000000};
  enum xf_rc rc = xf_blas_start(NULL, b->diag);
  if (!rc) rc = make_histories(w);
  w->data = (struct xf_rec_data){w->n_users, w->n_items, &w->train};
  w->x = xf_try_calloc(w->n_stream, sizeof *w->x);
  w->y = xf_try_calloc(w->n_stream, sizeof *w->y);
  if (!rc && (!w->x || !w->y)) rc = XF_E_NOMEM;
  for (size_t i = 0; !rc && i < w->n_stream; i++) w->x[i] = w->y[i] = 1; /* pages of their own */
  return rc;
}

static void world_deinit(struct world *w) {
  xf_free(w->train.start);
  xf_free(w->train.item);
  xf_free(w->x);
  xf_free(w->y);
}

/* --- ALS --- */

/* FLOP a second of products of d x d matrices for about `seconds`. @shape m[3 d d] */
static double products(float *m, uint32_t d, double seconds) {
  const struct xf_kern *k = xf_kern_get();
  const size_t dd = (size_t)d * d;
  const struct xf_time t = xf_time_now();
  double n = 0, s = 0;
  do {
    for (int i = 0; i < 16; i++, n++)
      k->gemm(m, m + dd, m + 2 * dd, &(struct xf_gemm){.m = d, .n = d, .k = d, .alpha = 1});
    s = bench_since(t);
  } while (s < seconds);
  return 2 * n * (double)dd * d / s;
}

/* One sweep: items, then users. */
static enum xf_rc sweep(struct xf_als *als, struct xf_diag *diag) {
  const enum xf_rc rc = xf_als_step_items(als, diag);
  return rc ? rc : xf_als_step_users(als, NULL, diag);
}

static enum xf_rc measure_als(struct bench *b, const struct world *w, uint32_t d,
                              const char *name) {
  struct bench_pairs pairs = {.n = 0};
  struct xf_als als;
  const struct xf_als_spec spec = {.dim = d, .w = {.01, .3, .5}, .seed = 1};
  float *m = xf_calloc(3 * (size_t)d * d, sizeof *m);
  for (size_t i = 0; i < 3 * (size_t)d * d; i++) m[i] = (float)(i % 7) - 3;
  enum xf_rc rc = xf_als_init(&als, &w->data, &spec, b->diag);
  if (rc) goto out;
  rc = sweep(&als, b->diag); /* warm */
  for (int r = 0; r < BENCH_PAIRS && !rc; r++) {
    const double flops = als.flops, seconds = als.seconds;
    rc = sweep(&als, b->diag);
    const double spent = als.seconds - seconds;
    bench_pair(&pairs, (als.flops - flops) / spent, products(m, d, spent));
  }
  xf_als_deinit(&als);
  if (!rc)
    bench_put_pairs(b,
                    (struct bench_result){.bench = "rec",
                                          .name = name,
                                          .unit = "FLOP/s",
                                          .probe = "sgemm d x d x d",
                                          .goal = .3,
                                          .floor = .2},
                    &pairs);
out:
  xf_free(m);
  return rc;
}

/* --- item models --- */

/* Seconds of the bare inversion of a matrix like EASE's. */
static enum xf_rc invert(double *a, uint32_t n, double *out, struct xf_diag *diag) {
  for (size_t i = 0; i < (size_t)n * n; i++) a[i] = 0.25;
  for (size_t i = 0; i < n; i++) a[i * n + i] += 30 + (double)(i % 11);
  const struct xf_time t = xf_time_now();
  const enum xf_rc rc = xf_lapack_invert_half(a, n, diag);
  *out = bench_since(t);
  return rc;
}

static enum xf_rc measure_ease(struct bench *b, const struct world *w) {
  struct bench_pairs pairs = {.n = 0};
  struct xf_csr part = {.n_row = w->n_users};
  struct xf_gram gram = {0};
  struct xf_scorer *scorer = NULL;
  double *a = xf_calloc((size_t)w->n_ease * w->n_ease, sizeof *a), raw = 0;
  part.start = xf_calloc((size_t)w->n_users + 1, sizeof *part.start);
  part.item = xf_calloc(xf_csr_count(&w->train) + 1, sizeof *part.item);
  for (uint32_t u = 0, n = 0; u < w->n_users; u++) {
    for (uint32_t k = w->train.start[u]; k < w->train.start[u + 1]; k++)
      if (w->train.item[k] < w->n_ease) part.item[n++] = w->train.item[k];
    part.start[u + 1] = n;
  }
  const struct xf_rec_data data = {w->n_users, w->n_ease, &part};
  const struct xf_gram_spec spec = {.beta = .5};
  enum xf_rc rc = xf_gram_build(&gram, &data, &spec, b->diag);
  for (int r = 0; r < BENCH_PAIRS && !rc; r++) {
    rc = invert(a, w->n_ease, &raw, b->diag);
    if (rc) break;
    const struct xf_time t = xf_time_now();
    rc = xf_ease_fit(&scorer, &gram, ridge, 0, b->diag);
    bench_pair(&pairs, bench_since(t), raw);
    xf_scorer_free(scorer);
    scorer = NULL;
  }
  xf_gram_deinit(&gram);
  xf_free(a);
  xf_free(part.start);
  xf_free(part.item);
  if (!rc)
    bench_put_pairs(b,
                    (struct bench_result){.bench = "rec",
                                          .name = "ease",
                                          .unit = "s",
                                          .probe = "dpotrf + dpotri",
                                          .lower = true,
                                          .goal = 2,
                                          .floor = 3},
                    &pairs);
  return rc;
}

/* A pair of a history's items, in either order, counts as an id read and a double read and written: 20 bytes. The matrix is
   symmetric and each pair is added once, so half of them are really moved; what else it takes is the matrix itself, eight
   bytes an entry into pages that the system hands out fresh. */
static enum xf_rc measure_gram(struct bench *b, const struct world *w) {
  struct bench_pairs pairs = {.n = 0};
  const struct xf_gram_spec spec = {.beta = .5};
  const uint32_t *start = w->train.start;
  double n_pairs = 0;
  enum xf_rc rc = XF_OK;
  for (uint32_t u = 0; u < w->n_users; u++)
    n_pairs += (double)(start[u + 1] - start[u]) * (start[u + 1] - start[u]);
  for (int r = -1; r < BENCH_PAIRS && !rc; r++) { /* the first is to warm */
    struct xf_gram gram;
    const double stream = bench_axpy(w->y, w->x, w->n_stream);
    const struct xf_time t = xf_time_now();
    rc = xf_gram_build(&gram, &w->data, &spec, b->diag);
    if (rc) break;
    if (r >= 0) bench_pair(&pairs, 20 * n_pairs / bench_since(t), stream);
    xf_gram_deinit(&gram);
  }
  if (!rc)
    bench_put_pairs(b,
                    (struct bench_result){.bench = "rec",
                                          .name = "gram",
                                          .unit = "B/s",
                                          .probe = "axpy",
                                          .goal = .13,
                                          .floor = .07},
                    &pairs);
  return rc;
}

enum xf_rc bench_rec(struct bench *b) {
  struct world w;
  enum xf_rc rc = world_init(&w, b);
  for (int i = 0; i < N_DIM && !rc; i++) rc = measure_als(b, &w, dims[i], als_name[i]);
  if (!rc) rc = measure_ease(b, &w);
  if (!rc) rc = measure_gram(b, &w);
  world_deinit(&w);
  return rc;
}
