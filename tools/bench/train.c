/* Local training as a silo does it (train/train.h), samples a second of processor time, against what the multiply-adds of a
   sample would take at the rate of the FMA probe. Data are random: only their shape and their zeros matter. */
#include "train/train.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "base/worker.h"
#include "tensor/blas.h"
#include "tensor/kern.h"
#include "tools/bench/bench.h"

#include <string.h>
#include <sys/resource.h>

enum { IMAGE = 784, SHARE_LIT = 19 };

/* A network, and what its gates are. */
struct net {
  const char *name;
  struct xf_model_config model;
  struct xf_local_config local;
  double
      flop; /* of one sample: forward, gradients of weights and of all inputs but the first layer's */
  uint32_t samples, quick;
  bool
      sparse; /* of the inputs, 19 in 100 are not zero, and 55 in 100 columns never are: images of digits */
  double goal, floor;
};

/* One silo: data, parameters and a trainer. */
struct silo {
  struct xf_model *model;
  struct xf_dataset data;
  struct xf_trainer *trainer;
  float *params;
  struct xf_job job; /* for two at once */
  struct xf_train_job task;
  struct xf_diag diag;
  enum xf_rc rc;
  double cpu_s; /* of the last job */
};

static enum xf_rc fill_table(struct xf_table *t, const struct net *n, uint32_t samples) {
  struct xf_rng rng;
  const size_t numbers = (size_t)samples * n->model.n_in;
  xf_rng_init(&rng, 1, 0);
  t->n = t->cap = samples;
  t->n_in = n->model.n_in;
  t->n_class = n->model.n_out;
  t->x = xf_try_calloc(numbers, sizeof *t->x);
  t->y = xf_try_calloc(samples, sizeof *t->y);
  t->part = xf_try_calloc(samples, sizeof *t->part); /* all train */
  t->row = xf_try_calloc(samples, sizeof *t->row);
  if (!t->x || !t->y || !t->part || !t->row) return XF_E_NOMEM;
  for (size_t i = 0; i < numbers; i++) {
    const float x = (float)xf_rng_double(&rng) - .5f;
    const size_t column = i % IMAGE % 28;
    const bool dark = column < 8 || column >= 21 || xf_rng_below(&rng, 100) >= SHARE_LIT * 28 / 13;
    t->x[i] = n->sparse && dark ? 0 : x;
  }
  for (uint32_t i = 0; i < samples; i++) t->y[i] = (float)xf_rng_below(&rng, n->model.n_out);
  return XF_OK;
}

static enum xf_rc silo_init(struct silo *s, const struct net *n, bool quick, struct xf_diag *diag) {
  const uint32_t samples = quick ? n->quick : n->samples;
  *s = (struct silo){.rc = XF_OK};
  xf_diag_init(&s->diag);
  xf_dataset_init(&s->data, XF_DATASET_TABLE);
  enum xf_rc rc = fill_table(&s->data.table, n, samples);
  if (!rc) rc = xf_model_new(&s->model, &n->model, (struct xf_model_size){0, 0}, diag);
  if (!rc) rc = xf_trainer_new(&s->trainer, s->model, &n->local, samples, diag);
  if (rc) return rc;
  const size_t n_param = xf_model_get_layout(s->model)->n;
  struct xf_rng rng;
  xf_rng_init(&rng, 2, 0);
  s->params = xf_try_pages(n_param * sizeof *s->params);
  if (!s->params) return XF_E_NOMEM;
  for (size_t i = 0; i < n_param; i++) s->params[i] = ((float)xf_rng_double(&rng) - .5f) * .1f;
  s->task = (struct xf_train_job){.start = s->params, .data = &s->data, .out = s->params};
  xf_rng_init(&s->task.shuffle, 3, 0);
  return XF_OK;
}

static void silo_deinit(struct silo *s) {
  if (s->params) xf_free_pages(s->params, xf_model_get_layout(s->model)->n * sizeof *s->params);
  xf_trainer_free(s->trainer);
  xf_model_free(s->model);
  xf_dataset_deinit(&s->data);
}

/* Samples that a task trains. */
static double samples_of(const struct silo *s, const struct net *n) {
  return (double)n->local.epochs * (double)s->data.table.n;
}

static enum xf_rc measure(struct bench *b, const struct net *n) {
  struct bench_pairs pairs = {.n = 0};
  struct silo s;
  const char *isa = xf_kern_get()->isa;
  enum xf_rc rc = silo_init(&s, n, b->quick, b->diag);
  if (!rc) rc = xf_trainer_run(s.trainer, &s.task, b->diag); /* warm */
  for (int r = 0; r < BENCH_PAIRS && !rc; r++) {
    const double before = bench_fma(isa, b->quick ? .001 : .02), t = xf_time_cpu_s();
    rc = xf_trainer_run(s.trainer, &s.task, b->diag);
    const double spent = xf_time_cpu_s() - t, after = bench_fma(isa, b->quick ? .001 : .02);
    bench_pair(&pairs, samples_of(&s, n) / spent, (before + after) / 2 / n->flop);
  }
  silo_deinit(&s);
  if (!rc)
    bench_put_pairs(b,
                    (struct bench_result){.bench = "train",
                                          .name = n->name,
                                          .unit = "samples/s",
                                          .probe = "FMA loop",
                                          .goal = n->goal,
                                          .floor = n->floor},
                    &pairs);
  return rc;
}

/* --- several workers, page faults --- */

static void run_silo(struct xf_job *job) {
  struct silo *s = (struct silo *)(void *)((char *)job - offsetof(struct silo, job));
  const double t = xf_time_cpu_s();
  s->rc = xf_trainer_run(s->trainer, &s->task, &s->diag);
  s->cpu_s = xf_time_cpu_s() - t;
}

static void no_wake(void *arg) { (void)arg; }

/* Seconds of wall clock for the first n silos at once. */
static enum xf_rc run_silos(struct xf_worker *pool, struct silo *s, size_t n, double *out,
                            struct xf_diag *diag) {
  const struct xf_time t = xf_time_now();
  enum xf_rc rc = XF_OK;
  for (size_t i = 0; i < n; i++) {
    s[i].job = (struct xf_job){.run = run_silo};
    xf_worker_submit(pool, &s[i].job);
  }
  for (size_t i = 0; i < n; i++) (void)xf_worker_wait(pool);
  *out = bench_since(t);
  for (size_t i = 0; i < n; i++)
    if (s[i].rc) rc = xf_diag_set(diag, s[i].rc, "%s", xf_diag_text(&s[i].diag, s[i].rc));
  return rc;
}

/* Wall clock; and processor time, which says what the two take from each other however busy the machine is. */
static enum xf_rc measure_workers(struct bench *b, const struct net *n) {
  struct bench_pairs pairs = {.n = 0}, cpu = {.n = 0};
  struct silo s[2];
  struct xf_worker *pool = NULL;
  double alone = 0, both = 0;
  enum xf_rc rc = silo_init(&s[0], n, b->quick, b->diag);
  enum xf_rc other = silo_init(&s[1], n, b->quick, b->diag);
  if (!rc) rc = other;
  if (!rc) rc = xf_worker_start(&pool, 2, no_wake, NULL);
  if (!rc) rc = run_silos(pool, s, 2, &both, b->diag); /* warm */
  for (int r = 0; r < BENCH_PAIRS && !rc; r++) {
    rc = run_silos(pool, s, 1, &alone, b->diag);
    const double alone_cpu = samples_of(s, n) / s[0].cpu_s;
    if (!rc) rc = run_silos(pool, s, 2, &both, b->diag);
    bench_pair(&pairs, 2 * samples_of(s, n) / both, samples_of(s, n) / alone);
    bench_pair(&cpu, samples_of(s, n) / s[0].cpu_s + samples_of(s, n) / s[1].cpu_s, alone_cpu);
  }
  xf_worker_stop(pool);
  silo_deinit(&s[0]);
  silo_deinit(&s[1]);
  if (rc) return rc;
  struct bench_result result = {.bench = "train",
                                .name = "two_workers",
                                .unit = "samples/s",
                                .probe = "one worker",
                                .goal = 1.85,
                                .floor = 1.6};
  bench_put_pairs(b, result, &pairs);
  result.name = "two_workers_cpu";
  result.goal = result.floor = 0;
  bench_put_pairs(b, result, &cpu);
  return XF_OK;
}

static enum xf_rc measure_faults(struct bench *b, const struct net *n) {
  struct silo s;
  struct rusage before, after;
  double batches = 0;
  enum xf_rc rc = silo_init(&s, n, b->quick, b->diag);
  if (!rc) rc = xf_trainer_run(s.trainer, &s.task, b->diag); /* warm */
  if (!rc && getrusage(RUSAGE_SELF, &before)) rc = XF_E_IO;
  for (int r = 0; r < BENCH_PAIRS && !rc; r++) {
    rc = xf_trainer_run(s.trainer, &s.task, b->diag);
    batches += (double)s.task.n_steps;
  }
  if (!rc && getrusage(RUSAGE_SELF, &after)) rc = XF_E_IO;
  silo_deinit(&s);
  if (rc) return rc;
  const double faults = (double)(after.ru_minflt - before.ru_minflt);
  bench_put(b, &(struct bench_result){.bench = "train",
                                      .name = "page_faults",
                                      .value = faults,
                                      .unit = "faults",
                                      .probe = "batches",
                                      .probe_value = batches,
                                      .ratio = faults / batches,
                                      .lower = true,
                                      .goal = .01,
                                      .floor = .1});
  return XF_OK;
}

/* --- the networks --- */

static struct xf_model_config mlp(uint32_t n_hidden, uint32_t hidden) {
  struct xf_model_config c = {.kind = XF_MODEL_MLP,
                              .loss = XF_LOSS_SOFTMAX,
                              .bias = true,
                              .n_in = IMAGE,
                              .n_out = 10,
                              .n_hidden = n_hidden,
                              .activation = XF_ACT_RELU};
  for (uint32_t l = 0; l < n_hidden; l++) c.hidden[l] = hidden;
  return c;
}

/* Products of a sample: each layer forward and for its weights, and back through all but the first. */
static double mlp_flop(const struct xf_model_config *c) {
  double macs = 0;
  uint32_t in = c->n_in;
  for (uint32_t l = 0; l <= c->n_hidden; l++) {
    const uint32_t out = l < c->n_hidden ? c->hidden[l] : c->n_out;
    macs += (l == 0 ? 2.0 : 3.0) * in * out;
    in = out;
  }
  return 2 * macs;
}

/* McMahan et al. 2017: 5x5x32 and 5x5x64, each pooled, 512, 10. */
static double cnn_flop(void) {
  return 2 * (2.0 * IMAGE * 25 * 32 + 3 * (IMAGE / 4.0 * 25 * 32 * 64 + 3136.0 * 512 + 512 * 10));
}

enum xf_rc bench_train(struct bench *b) {
  const struct xf_model_config two = mlp(2, 200), one = mlp(1, 128);
  struct xf_model_config cnn = mlp(0, 0);
  cnn.kind = XF_MODEL_CNN;
  const struct xf_local_config sgd = {
      .epochs = 20, .batch = 10, .optimizer = xf_optim_default(XF_OPTIM_SGD, .01f)};
  const struct xf_local_config adam = {
      .epochs = 20, .batch = 64, .optimizer = xf_optim_default(XF_OPTIM_ADAM, 1e-4f)};
  struct xf_local_config twice = sgd;
  twice.epochs = 2;
  const struct net nets[] = {
      {"2nn_sgd_b10", two, sgd, mlp_flop(&two), 600, 40, false, .5, .3},
      {"2nn_sgd_b10_digits", two, sgd, mlp_flop(&two), 600, 40, true, 0, 0},
      {"784_128_10_adam_b64", one, adam, mlp_flop(&one), 1920, 128, false, .5, .25},
      {"cnn_sgd_b10", cnn, twice, cnn_flop(), 300, 20, false, .45, .25},
  };
  enum xf_rc rc = xf_blas_start(NULL, b->diag);
  for (size_t i = 0; i < sizeof nets / sizeof *nets && !rc; i++) rc = measure(b, &nets[i]);
  if (!rc) rc = bench_sparse(b);
  if (!rc) rc = measure_workers(b, &nets[0]);
  if (!rc) rc = measure_faults(b, &nets[0]);
  return rc;
}
