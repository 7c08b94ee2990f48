// Deep knowledge tracing on ASSISTments 2009 (decision 52): an LSTM over (skill, answer), trained on chunks of at most 200 steps of the
// train students of a cut, the epoch chosen by AUC on its validation students; every answer of the common test file is
// scored, the first of a student from the start state, the history carried over. Pooled AUC and accuracy.
//   CUT=1..5 (default 1; 0: all five, with mean and deviation), FINAL=1 reads the test file, VERBOSE=1 prints every epoch;
//   HIDDEN, EPOCHS, BATCH, LR, DECAY (of the rate per epoch), L2, SEED override the values below.
// Reads $CROSSFED_DATA/knowledge-tracing (default ../shared/data); exit status 77 without it.
// modules: train rec data model nn tensor base
#include "base/alloc.h"
#include "base/str.h"
#include "rec/evaluate.h"
#include "tensor/blas.h"
#include "train/train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SKILLS = 110, CUTS = 5, PATH = 1024 };

static struct xf_diag diag;

/* A number from the environment; one that is none ends the program. */
static double setting(const char *name, double value) {
  const char *text = getenv(name);
  if (!text || !*text) return value;
  if (!xf_str_double(&value, text, strlen(text))) return value;
  fprintf(stderr, "%s=%s is not a number\n", name, text);
  exit(1);
}

static int fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, diag.text);
  return 1;
}

static int add_file(struct xf_dataset *d, const char *file, uint8_t part) {
  char path[PATH];
  const char *root = getenv("CROSSFED_DATA");
  (void)snprintf(path, sizeof path, "%s/knowledge-tracing/assist2009_updated/%s.csv.gz",
                 root ? root : "../shared/data", file);
  const enum xf_rc rc = xf_seqset_load_answers(&d->seqs, path, part, &diag);
  if (rc) return fail("data") + (rc == XF_E_NOTFOUND ? 76 : 0);
  return 0;
}

static int load(struct xf_dataset *d, int cut, bool final) {
  char train[16], valid[16];
  (void)snprintf(train, sizeof train, "train%d", cut);
  (void)snprintf(valid, sizeof valid, "valid%d", cut);
  xf_dataset_init(d, XF_DATASET_SEQUENCES);
  int bad = add_file(d, train, XF_PART_TRAIN);
  if (!bad) bad = add_file(d, valid, XF_PART_VALID);
  if (!bad && final) bad = add_file(d, "test", XF_PART_TEST);
  return bad;
}

struct figures {
  double auc, acc;
  uint32_t n;
};

static int measure(struct figures *out, struct xf_evaluator *e, const float *x,
                   const struct xf_dataset *d, enum xf_part part) {
  const struct xf_measure m[2] = {{XF_MEASURE_AUC, 0}, {XF_MEASURE_ACC, 0}};
  const struct xf_rank_spec spec = {.part = part, .measure = m, .n_measure = 2};
  struct xf_measure_sum sum[2];
  if (xf_evaluator_run(e, x, d, &spec, sum, &diag)) return fail("evaluation");
  *out = (struct figures){xf_measure_value(XF_MEASURE_AUC, sum[0]),
                          xf_measure_value(XF_MEASURE_ACC, sum[1]), (uint32_t)sum[1].count};
  return 0;
}

struct run {
  struct xf_model *model;
  struct xf_evaluator *evaluator;
  float *x, *best;
  uint32_t n_param;
  uint64_t seed;
};

static int start(struct run *r) {
  const struct xf_model_config c = {.kind = XF_MODEL_DKT,
                                    .loss = XF_LOSS_BCE,
                                    .n_in = SKILLS,
                                    .n_out = 1,
                                    .hidden = {(uint32_t)setting("HIDDEN", 100)},
                                    .n_hidden = 1,
                                    .steps = 200};
  if (xf_model_new(&r->model, &c, (struct xf_model_size){0, 0}, &diag) ||
      xf_evaluator_new(&r->evaluator, r->model, &diag))
    return fail("model");
  r->n_param = (uint32_t)xf_model_get_layout(r->model)->n;
  r->x = xf_calloc(r->n_param, sizeof *r->x);
  r->best = xf_calloc(r->n_param, sizeof *r->best);
  struct xf_rng shared;
  xf_rng_init(&shared, r->seed, 1);
  return xf_model_init(r->model, r->x, &(struct xf_model_seed){.shared = &shared}, &diag)
             ? fail("start")
             : 0;
}

static int epoch(struct run *r, const struct xf_dataset *d, uint32_t e, double *loss) {
  const double lr = setting("LR", 0.003) * pow(setting("DECAY", 1), e);
  const struct xf_local_config local = {.epochs = 1,
                                        .batch = (uint32_t)setting("BATCH", 32),
                                        .l2 = setting("L2", 1e-4),
                                        .optimizer = xf_optim_default(XF_OPTIM_ADAM, (float)lr)};
  struct xf_train_job job = {.start = r->x, .out = r->x, .data = d};
  xf_rng_init(&job.shuffle, r->seed, 100 + e);
  if (xf_train_once(r->model, &local, &job, &diag)) return fail("training");
  *loss = job.loss;
  return 0;
}

// Trains, keeps the best epoch by validation; *out is its figure on validation, or on test when final.
static int one_cut(struct figures *out, int cut, bool final) {
  struct xf_dataset d;
  struct run r = {.seed = (uint64_t)setting("SEED", 1)};
  struct figures best = {0};
  uint32_t at = 0;
  int bad = load(&d, cut, final);
  if (!bad) bad = start(&r);
  for (uint32_t e = 0; e < (uint32_t)setting("EPOCHS", 16) && !bad; e++) {
    struct figures now = {0};
    double loss = 0;
    bad = epoch(&r, &d, e, &loss) || measure(&now, r.evaluator, r.x, &d, XF_PART_VALID);
    if (bad) break;
    if (setting("VERBOSE", 0) > 0)
      printf("  epoch %u: loss %.4f, validation AUC %.4f\n", e + 1, loss, now.auc);
    if (now.auc <= best.auc) continue;
    best = now;
    at = e + 1;
    memcpy(r.best, r.x, r.n_param * sizeof *r.x);
  }
  *out = best;
  if (!bad) printf("cut %d: epoch %u, validation AUC %.4f acc %.4f", cut, at, best.auc, best.acc);
  if (!bad && final) {
    bad = measure(out, r.evaluator, r.best, &d, XF_PART_TEST);
    printf(", test AUC %.4f acc %.4f over %u answers", out->auc, out->acc, out->n);
  }
  if (!bad) printf("\n");
  xf_evaluator_free(r.evaluator);
  xf_model_free(r.model);
  xf_free(r.x);
  xf_free(r.best);
  xf_dataset_deinit(&d);
  return bad;
}

int main(void) {
  xf_diag_init(&diag);
  if (xf_blas_start(NULL, &diag)) return fail("BLAS");
  const int cut = (int)setting("CUT", 1);
  const bool final = setting("FINAL", 0) > 0;
  const int from = cut ? cut : 1, to = cut ? cut : CUTS;
  double sum = 0, square = 0;
  for (int c = from; c <= to; c++) {
    struct figures f;
    const int bad = one_cut(&f, c, final);
    if (bad) return bad;
    sum += f.auc;
    square += f.auc * f.auc;
    fflush(stdout);
  }
  const int n = to - from + 1;
  if (n > 1)
    printf("%s AUC of %d cuts: %.4f +- %.4f\n", final ? "test" : "validation", n, sum / n,
           sqrt(fmax(0, (square - sum * sum / n) / (n - 1))));
  return 0;
}
