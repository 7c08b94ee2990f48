// Cold raters, MovieLens-100K: what a start that others learned is worth to a user of whom 10 ratings are known. 943 users are split
// into 660 to learn from, 94 to choose rates and penalties by, and 189. The net 67-64-64-1 guesses a rating from attributes of user
// and item; it is adapted by full steps on the 10 ratings and judged on up to 40 others: root of the mean squared error over
// all rows of a split's users, then mean over splits. Differences to `joint` after as many steps are paired by split.
//   joint    400 iterations of the mean gradient of 32 users, Adam .001
//   ridge head   solved for from the 10 ratings, drawn to the learned one; centred: its inputs less their mean over the 660 users
//   fedavg, reptile   5 SGD steps of .03 on batches of 10 by each of 32 users, averaged; reptile: server rate falling from 1 to 0
//   fomaml, maml, anil   10 support and up to 40 query ratings, 3 inner steps of .03, Adam .001; anil: the last layer adapts
// Splits 1001, 1002 .. and the users to choose by, by default, the rates being chosen by the same; FINAL=1: splits 1, 2 .. and the
// last 189 users. SPLITS=20 with FINAL, else 4.
// Reads $CROSSFED_DATA/ml-100k (default ../shared/data): u.data.gz, u.item.gz, u.user.gz; exit status 77 without it.
// modules: train model nn data tensor base
#include "judge.h"

#include "base/alloc.h"
#include "base/str.h"
#include "tensor/blas.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPLITS_MAX = 100, AT_5 = 3, N_SHORT = 3 };
static const uint32_t SHORT[N_SHORT] = {1, 2, 5};
#define GATE_SHARED (-.05)
#define GATE_RIDGE .003
#define GATE_RMSE 1.015

static struct xf_diag diag;
static const struct recipe RECIPE = {.iterations = 400,
                                     .users = 32,
                                     .outer = 1e-3,
                                     .inner = .03,
                                     .meta_steps = 3,
                                     .local_steps = 5,
                                     .batch = 10};

/* Root mean squared errors of one split. */
struct figures {
  double steps[N_ARM][N_STEPS], few[N_ARM][N_SHORT]; /* few: 5 steps on 1, 2, 5 ratings */
};

static int fail(const char *what) {
  fprintf(stderr, "coldratings: %s: %s\n", what, diag.text);
  return 1;
}

/* Users' tasks, the same for all arms. @own caller: xf_free */
static struct task *tasks(const struct split *s, const uint32_t *user, size_t n) {
  struct task *t = xf_calloc(n + 1, sizeof *t);
  for (size_t k = 0; k < n; k++) {
    struct xf_rng rng;
    xf_rng_init(&rng, s->seed, 1000 + user[k]);
    split_task(s, user[k], &rng, &t[k]);
  }
  return t;
}

static enum xf_rc judge(enum arm arm, uint32_t choice, struct learner *l, const float *w,
                        struct task *t, size_t n, uint32_t n_support, double rmse[N_STEPS]) {
  double sum[N_STEPS] = {0}, rows = 0, sse[N_STEPS];
  enum xf_rc rc = XF_OK;
  for (size_t k = 0; !rc && k < n; k++) {
    t[k].n_support = n_support;
    rc = arm_judge(arm, choice, l, w, &t[k], sse, &diag);
    rows += t[k].n - SUPPORT;
    for (int at = 0; !rc && at < N_STEPS; at++) sum[at] += sse[at];
  }
  for (int at = 0; at < N_STEPS; at++) rmse[at] = sqrt(sum[at] / rows);
  return rc;
}

/* Chooses by `valid` after 5 steps, then judges by `judged`. */
static enum xf_rc figure(enum arm arm, struct learner *l, const float *w, struct task *valid,
                         struct task *judged, size_t n_judged, struct figures *f, uint64_t seed) {
  uint32_t best = 0;
  double least = INFINITY, rmse[N_STEPS];
  enum xf_rc rc = XF_OK;
  for (uint32_t c = 0; !rc && c < arm_choices(arm); c++) {
    rc = judge(arm, c, l, w, valid, VALID_USERS, SUPPORT, rmse);
    if (rmse[AT_5] < least) least = rmse[best = c, AT_5];
  }
  if (!rc) rc = judge(arm, best, l, w, judged, n_judged, SUPPORT, f->steps[arm]);
  for (int s = 0; !rc && s < N_SHORT; s++) {
    rc = judge(arm, best, l, w, judged, n_judged, SHORT[s], rmse);
    f->few[arm][s] = rmse[AT_5];
  }
  fprintf(stderr, "split %llu %s: choice %g, %.4f after 5 steps\n", (unsigned long long)seed,
          arm_name(arm), arm_choice(arm, best), f->steps[arm][AT_5]);
  return rc;
}

static int run_split(const struct world *world, uint64_t seed, bool final, struct figures *f) {
  struct split s;
  if (split_init(&s, world, seed, &diag)) return fail("split");
  const size_t first = META_USERS + (final ? VALID_USERS : 0);
  const size_t n = final ? world->inter.users.n - first : VALID_USERS;
  struct task *valid = tasks(&s, s.user + META_USERS, VALID_USERS);
  struct task *judged = tasks(&s, s.user + first, n);
  struct learner l = {0};
  float *w = NULL;
  enum xf_rc rc = XF_OK;
  for (int a = 0; !rc && a < N_ARM; a++) {
    const enum arm arm = (enum arm)a;
    if (a == 0 || arm_start(arm) != arm_start((enum arm)(a - 1))) {
      learner_deinit(&l);
      xf_free(w);
      w = NULL;
      rc = learner_init(&l, &diag);
      if (rc) break;
      w = xf_calloc(l.n, sizeof *w);
      rc = learner_start(&l, &s, arm_start(arm), &RECIPE, w, &diag);
    }
    if (!rc) rc = figure(arm, &l, w, valid, judged, n, f, seed);
  }
  learner_deinit(&l);
  xf_free(w);
  xf_free(valid);
  xf_free(judged);
  split_deinit(&s);
  return rc ? fail("arm") : 0;
}

struct mean {
  double mean, sd, half; /* half: of the 95 % interval of the mean by Student's t */
};

static struct mean mean_of(const double *x, size_t n) {
  struct mean m = {0};
  const double df = n > 1 ? (double)n - 1 : 1;
  for (size_t i = 0; i < n; i++) m.mean += x[i] / (double)n;
  for (size_t i = 0; i < n; i++) m.sd += (x[i] - m.mean) * (x[i] - m.mean) / df;
  m.sd = sqrt(m.sd);
  m.half = (1.96 + 2.372 / df + 2.822 / (df * df)) * m.sd / sqrt((double)n);
  return m;
}

/* The paired figures of an arm: steps[k], or few[k] where `few`. */
static double at(const struct figures *f, enum arm arm, bool few, int k) {
  return few ? f->few[arm][k] : f->steps[arm][k];
}

static void print_row(const struct figures *f, size_t n, enum arm arm, bool few, int k) {
  double own[SPLITS_MAX], diff[SPLITS_MAX];
  for (size_t s = 0; s < n; s++) {
    own[s] = at(&f[s], arm, few, k);
    diff[s] = own[s] - at(&f[s], ARM_JOINT, few, k);
  }
  const struct mean m = mean_of(own, n), d = mean_of(diff, n);
  printf("{\"ratings\":%u,\"steps\":%u,\"arm\":\"%s\",\"splits\":%zu,\"rmse\":%.4f,\"sd\":%.4f,"
         "\"minus_joint\":%.4f,\"low\":%.4f,\"high\":%.4f}\n",
         few        ? SHORT[k]
         : STEPS[k] ? SUPPORT
                    : 0,
         few ? 5 : STEPS[k], arm_name(arm), n, m.mean, m.sd, d.mean, d.mean - d.half,
         d.mean + d.half);
}

static bool gate(const char *what, const struct figures *f, size_t n, enum arm a, int b,
                 double bound) {
  double x[SPLITS_MAX];
  for (size_t s = 0; s < n; s++) x[s] = f[s].steps[a][AT_5] - (b < 0 ? 0 : f[s].steps[b][AT_5]);
  const struct mean m = mean_of(x, n);
  const bool met = m.mean <= bound;
  printf("{\"gate\":\"%s\",\"value\":%.4f,\"low\":%.4f,\"high\":%.4f,\"at_most\":%g,\"met\":%s}\n",
         what, m.mean, m.mean - m.half, m.mean + m.half, bound, met ? "true" : "false");
  return met;
}

static bool print(const struct figures *f, size_t n) {
  for (int k = 0; k < N_STEPS; k++)
    for (int a = 0; a < N_ARM; a++)
      if (STEPS[k] > 0 || arm_choices((enum arm)a) < CHOICES_MAX)
        print_row(f, n, (enum arm)a, false, k);
  for (int k = 0; k < N_SHORT; k++)
    for (int a = 0; a < N_ARM; a++) print_row(f, n, (enum arm)a, true, k);
  bool met = gate("joint - scratch", f, n, ARM_JOINT, ARM_SCRATCH, GATE_SHARED);
  met &= gate("centred ridge head - joint", f, n, ARM_CENTRED, ARM_JOINT, GATE_RIDGE);
  met &= gate("joint", f, n, ARM_JOINT, -1, GATE_RMSE);
  met &= gate("centred ridge head", f, n, ARM_CENTRED, -1, GATE_RMSE);
  return met;
}

int main(void) {
  const char *root = getenv("CROSSFED_DATA"), *text = getenv("FINAL");
  const bool final = text && strcmp(text, "1") == 0;
  double splits = final ? 20 : 4;
  char folder[900], path[1024];
  (void)snprintf(folder, sizeof folder, "%s/ml-100k", root ? root : "../shared/data");
  (void)snprintf(path, sizeof path, "%s/u.user.gz", folder);
  FILE *there = fopen(path, "rb");
  if (!there) {
    printf("no data at %s\n", path);
    return 77;
  }
  fclose(there);
  text = getenv("SPLITS");
  if (text &&
      (xf_str_double(&splits, text, strlen(text)) || !(splits >= 2 && splits <= SPLITS_MAX))) {
    fprintf(stderr, "SPLITS must be 2 to %d\n", SPLITS_MAX);
    return 1;
  }
  if (xf_blas_start(NULL, &diag)) return fail("BLAS");
  struct world world;
  if (world_load(&world, folder, &diag)) return fail("data");
  const size_t n = (size_t)splits;
  struct figures *f = xf_calloc(n, sizeof *f);
  int bad = 0;
  for (size_t s = 0; !bad && s < n; s++)
    bad = run_split(&world, s + (final ? 1 : 1001), final, &f[s]);
  const bool met = !bad && print(f, n);
  xf_free(f);
  world_deinit(&world);
  return bad || (final && !met);
}
