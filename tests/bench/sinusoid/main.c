// Regression of sinusoids (decision 51): the net 1-64-64-1 (`sine-mlp`) is trained over tasks a sin(x + p), a in [.1, 5], p in
// [0, 2 pi], x in [-5, 5], by MAML, FOMAML, Reptile and jointly; then 600 fixed tasks are fitted from 10 points by SGD .02,
// and the squared error on 50 grid points after k steps is printed: mean and half width of its 95 % interval.
//   MAML, FOMAML  10 support and 10 query points, K = 5, Adam 1e-3, 4 tasks an iteration
//   Reptile       5 steps of .02 on the 50 grid points in batches of 10, serial, eps .1 falling to 0
//   joint         the same batches, each of a task of its own, SGD .02 falling to 0
//   ITER=30000 outer iterations (joint: 5 steps each), SEED=1, ONLY=maml,fomaml,reptile,joint (all). With ITER >= 30000 the status is
//   1 when a figure after 4 steps misses its gate: upper end of Reptile below .25, FOMAML .15, MAML .08; lower end of joint above 3.
// modules: train model nn tensor base
#include "base/alloc.h"
#include "base/str.h"
#include "model/net.h"
#include "nn/optim.h"
#include "tensor/blas.h"
#include "train/meta.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GRID = 50, SHOTS = 10, STEPS = 5, TASKS = 600, META_BATCH = 4, AFTER = 32, FULL = 30000 };
#define INNER_LR .02

static struct xf_diag diag;

enum method { MAML, FOMAML, REPTILE, JOINT, N_METHOD };
static const struct {
  const char *name;
  double gate;
} METHODS[N_METHOD] = {{"maml", .08}, {"fomaml", .15}, {"reptile", .25}, {"joint", 3}};

struct bench {
  struct xf_model *model;
  struct xf_model_net net, twin;
  struct xf_nnplan *plan;
  struct xf_optim *adam;
  size_t n;
  float *w, *theta, *grad;
  double *start, *meta_grad, *sum;
  float x[GRID], y[GRID]; /* rows of the task at hand */
};

static int fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, diag.text);
  return 1;
}

static double setting(const char *name, double value) {
  const char *text = getenv(name);
  if (!text || !*text) return value;
  if (!xf_str_double(&value, text, strlen(text))) return value;
  fprintf(stderr, "%s=%s is not a number\n", name, text);
  exit(1);
}

/* A task's first n rows: random points, or the grid's. */
static void draw(struct bench *b, struct xf_rng *rng, uint32_t n, bool grid) {
  const double a = .1 + 4.9 * xf_rng_double(rng), p = 2 * acos(-1) * xf_rng_double(rng);
  for (uint32_t i = 0; i < n; i++) {
    const double x = grid ? -5 + 10. * i / (GRID - 1) : -5 + 10 * xf_rng_double(rng);
    b->x[i] = (float)x;
    b->y[i] = (float)(a * sin(x + p));
  }
}

static int open_bench(struct bench *b, uint64_t seed) {
  const struct xf_model_config config = {
      .kind = XF_MODEL_SINE_MLP, .loss = XF_LOSS_MSE, .bias = true, .n_in = 1, .n_out = 1};
  const struct xf_model_loss loss = {0};
  if (xf_model_new(&b->model, &config, (struct xf_model_size){0}, &diag)) return fail("model");
  if (xf_model_net_loss(&b->net, b->model, &loss, &diag) ||
      xf_model_net_loss(&b->twin, b->model, &loss, &diag))
    return fail("graph");
  const struct xf_layout *layout = xf_model_get_layout(b->model);
  struct xf_nnplan_spec spec = {.loss = b->net.loss, .train = true, .max = {[XF_SYM_B] = GRID}};
  spec.max[XF_SYM_ONE] = 1;
  if (xf_nnplan_new(&b->plan, b->net.graph, &spec, &diag)) return fail("plan");
  const struct xf_optim_config adam = xf_optim_default(XF_OPTIM_ADAM, 1e-3F);
  if (xf_optim_new(&b->adam, &adam, layout, &diag)) return fail("optimiser");
  b->n = (size_t)layout->n;
  b->w = xf_calloc(b->n, sizeof *b->w);
  b->theta = xf_calloc(b->n, sizeof *b->theta);
  b->grad = xf_calloc(b->n, sizeof *b->grad);
  b->start = xf_calloc(b->n, sizeof *b->start);
  b->meta_grad = xf_calloc(b->n, sizeof *b->meta_grad);
  b->sum = xf_calloc(b->n, sizeof *b->sum);
  struct xf_rng rng;
  xf_rng_init(&rng, seed, 1);
  const struct xf_model_seed init = {.shared = &rng};
  if (xf_model_init(b->model, b->w, &init, &diag)) return fail("initial values");
  return 0;
}

static void close_bench(struct bench *b) {
  xf_nnplan_free(b->plan);
  xf_optim_free(b->adam);
  xf_model_net_deinit(&b->net);
  xf_model_net_deinit(&b->twin);
  xf_model_free(b->model);
  void *const own[] = {b->w, b->theta, b->grad, b->start, b->meta_grad, b->sum};
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) xf_free(own[i]);
}

/* The loss of rows x, y at `params`, and a step of lr. */
static int step(struct bench *b, float *params, const float *x, const float *y, uint32_t n,
                double lr, double *loss) {
  const uint32_t extent[XF_N_SYM] = {[XF_SYM_ONE] = 1, [XF_SYM_B] = n};
  xf_nnplan_set_input(b->plan, b->net.feed[XF_FEED_X], x);
  xf_nnplan_set_input(b->plan, b->net.feed[XF_FEED_Y], y);
  if (xf_nnplan_run(b->plan, params, b->grad, extent, &diag)) return fail("step");
  if (loss) *loss = xf_nnplan_get_loss(b->plan);
  for (size_t i = 0; i < b->n; i++) params[i] -= (float)lr * b->grad[i];
  return 0;
}

static int by_gradient(struct bench *b, struct xf_rng *rng, enum method method, uint32_t iters) {
  struct xf_meta *meta;
  const struct xf_layout *layout = xf_model_get_layout(b->model);
  const struct xf_meta_spec spec = {.kind = method == MAML ? XF_META_MAML : XF_META_FOMAML,
                                    .inner_steps = STEPS,
                                    .inner_lr = INNER_LR,
                                    .max_rows = SHOTS};
  if (xf_meta_new(&meta, b->net.graph, b->twin.graph, b->net.loss, layout, &spec, &diag))
    return fail("meta-gradient");
  uint32_t row[2 * SHOTS];
  for (uint32_t i = 0; i < 2 * SHOTS; i++) row[i] = i;
  const struct xf_meta_feed feed[] = {{b->net.feed[XF_FEED_X], b->x, sizeof *b->x},
                                      {b->net.feed[XF_FEED_Y], b->y, sizeof *b->y}};
  struct xf_meta_job job = {.start = b->start, .feed = feed, .n_feed = 2, .n_rows = 2 * SHOTS};
  job.support = row;
  job.query = row + SHOTS;
  job.n_support = job.n_query = SHOTS;
  job.grad = b->meta_grad;
  int bad = 0;
  for (uint32_t t = 0; !bad && t < iters; t++) {
    memset(b->sum, 0, b->n * sizeof *b->sum);
    for (size_t i = 0; i < b->n; i++) b->start[i] = (double)b->w[i];
    for (int k = 0; !bad && k < META_BATCH; k++) {
      draw(b, rng, 2 * SHOTS, false);
      if (xf_meta_run(meta, &job, &diag)) bad = fail("task");
      for (size_t i = 0; i < b->n; i++) b->sum[i] += b->meta_grad[i] / META_BATCH;
    }
    for (size_t i = 0; i < b->n; i++) b->grad[i] = (float)b->sum[i];
    struct xf_grad_piece piece[XF_MODEL_HIDDEN_MAX * 2 + 2];
    for (size_t s = 0; s < layout->n_seg; s++)
      piece[s] = (struct xf_grad_piece){.seg = &layout->seg[s],
                                        .n_row = layout->seg[s].rows,
                                        .g = b->grad + layout->seg[s].offset};
    xf_optim_step(b->adam, b->w, piece, layout->n_seg);
  }
  xf_meta_free(meta);
  return bad;
}

/* Reptile, and joint training: the same batches, but each from a task of its own and the step kept whole. */
static int by_steps(struct bench *b, struct xf_rng *rng, enum method method, uint32_t iters) {
  uint32_t order[GRID];
  for (uint32_t i = 0; i < GRID; i++) order[i] = i;
  for (uint32_t t = 0; t < iters; t++) {
    const double left = 1 - (double)t / iters;
    float *to = method == JOINT ? b->w : b->theta;
    memcpy(b->theta, b->w, b->n * sizeof *b->theta);
    xf_rng_shuffle(rng, order, GRID);
    for (uint32_t k = 0; k < STEPS; k++) {
      float x[SHOTS], y[SHOTS];
      if (k == 0 || method == JOINT) draw(b, rng, GRID, true);
      for (uint32_t i = 0; i < SHOTS; i++) {
        x[i] = b->x[order[k * SHOTS + i]];
        y[i] = b->y[order[k * SHOTS + i]];
      }
      if (step(b, to, x, y, SHOTS, method == JOINT ? INNER_LR * left : INNER_LR, NULL)) return 1;
    }
    if (method == REPTILE)
      for (size_t i = 0; i < b->n; i++) b->w[i] += (float)(.1 * left) * (b->theta[i] - b->w[i]);
  }
  return 0;
}

/* Mean and half width over the fixed tasks after 0, 1, 2, 4 .. AFTER steps. */
static int test(struct bench *b, double mean[AFTER + 1], double half[AFTER + 1]) {
  struct xf_rng rng;
  xf_rng_init(&rng, 51, 2);
  double sum[AFTER + 1] = {0}, square[AFTER + 1] = {0};
  for (int t = 0; t < TASKS; t++) {
    float x[SHOTS], y[SHOTS];
    struct xf_rng same = rng;
    draw(b, &rng, SHOTS, false);
    memcpy(x, b->x, sizeof x);
    memcpy(y, b->y, sizeof y);
    draw(b, &same, GRID, true); /* the same amplitude and phase */
    memcpy(b->theta, b->w, b->n * sizeof *b->theta);
    for (int k = 0; k <= AFTER; k++) {
      double loss = 0;
      if ((k & (k - 1)) == 0) {
        if (step(b, b->theta, b->x, b->y, GRID, 0, &loss)) return 1;
        sum[k] += loss;
        square[k] += loss * loss;
      }
      if (step(b, b->theta, x, y, SHOTS, INNER_LR, NULL)) return 1;
    }
  }
  for (int k = 0; k <= AFTER; k++) {
    mean[k] = sum[k] / TASKS;
    half[k] = 1.96 * sqrt((square[k] / TASKS - mean[k] * mean[k]) / (TASKS - 1));
  }
  return 0;
}

static int run(enum method method, uint32_t iters, uint64_t seed, bool *missed) {
  struct bench b = {0};
  double mean[AFTER + 1], half[AFTER + 1];
  struct xf_rng rng;
  xf_rng_init(&rng, seed, 3);
  int bad = open_bench(&b, seed);
  if (!bad && method <= FOMAML) bad = by_gradient(&b, &rng, method, iters);
  else if (!bad) bad = by_steps(&b, &rng, method, iters);
  if (!bad) bad = test(&b, mean, half);
  close_bench(&b);
  if (bad) return bad;
  printf("%-8s seed %llu iterations %u:", METHODS[method].name, (unsigned long long)seed, iters);
  for (int k = 0; k <= AFTER; k++)
    if ((k & (k - 1)) == 0) printf("  %d %.3f+-%.3f", k, mean[k], half[k]);
  const bool ok = method == JOINT ? mean[4] - half[4] > METHODS[method].gate
                                  : mean[4] + half[4] < METHODS[method].gate;
  printf("  gate at 4 steps %s %g: %s\n", method == JOINT ? "above" : "below", METHODS[method].gate,
         ok ? "met" : "missed");
  (void)fflush(stdout);
  if (!ok && iters >= FULL) *missed = true;
  return 0;
}

int main(void) {
  if (xf_blas_start(NULL, &diag)) return fail("BLAS");
  const double iters = setting("ITER", FULL), seed = setting("SEED", 1);
  if (!(iters >= 1 && iters <= 1e7) || !(seed >= 0 && seed <= 1e9)) {
    fprintf(stderr, "ITER must be 1 to 1e7 and SEED 0 to 1e9\n");
    return 1;
  }
  const char *only = getenv("ONLY");
  bool missed = false;
  for (int m = 0; m < N_METHOD; m++) {
    if (only && *only) { /* whole names between commas */
      const char *at = only;
      const size_t len = strlen(METHODS[m].name);
      while (at && !(!strncmp(at, METHODS[m].name, len) && (!at[len] || at[len] == ','))) {
        at = strchr(at, ',');
        if (at) at++;
      }
      if (!at) continue;
    }
    if (run((enum method)m, (uint32_t)iters, (uint64_t)seed, &missed)) return 1;
  }
  return missed;
}
