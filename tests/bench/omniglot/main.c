// Omniglot (decision 53): characters told apart from 1 drawing of each of five, 15 others of each asked; conv4, images of 28 x 28. An
// alphabet is a client, and a task's characters are of one alphabet. The last two alphabets by name are test, the two before
// them validation; four are learnt from. Nothing is transductive: batch norm uses the statistics of the support alone, so an
// answer does not depend on what else is asked.
// Arms: MAML, FOMAML and Reptile starts; the start of FedAvg (shared body, heads of the clients' own) with a fresh head, all of it
// fine-tuned or the head alone; scratch; the nearest drawing by pixels. Every arm tries the same adaptations on N_VALID validation
// episodes and takes its best; with FINAL=1 that one is read once on the 600 fixed test episodes. Arms are processes of their own.
//   SEED=1, SHOTS=1 (5: the same starts, adapted to five drawings), ONLY=maml,fedavg (arms; all), SCALE=1 (times the iterations of
//   `arms`); learn.c names more.
// Reads $CROSSFED_DATA/omniglot-small (default ../shared/data); exit status 77 without it.
// modules: train data model nn tensor param base
#include "base/alloc.h"
#include "base/str.h"
#include "omni.h"
#include "tensor/blas.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { N_VALID = 40 };
enum arm { MAML, FOMAML, REPTILE, FEDAVG, FEDAVG_HEAD, SCRATCH, PIXEL, N_ARM };

static const struct {
  const char *name;
  uint32_t iters;
} arms[N_ARM] = {{"maml", 800},      {"fomaml", 800}, {"reptile", 800}, {"fedavg", 75},
                 {"fedavg_head", 0}, {"scratch", 0},  {"pixels", 0}};
// What is tried on validation.
static const struct adapt tries[] = {
    {.lr = .05}, {.lr = .1}, {.lr = .2}, {.adam = true, .lr = 5e-3}};

// What the processes of the arms leave: accuracy of each test episode.
static struct result {
  bool done[N_ARM];
  double acc[N_ARM][EPISODES];
} * result;

struct xf_diag diag;

int fail(const char *what) {
  fprintf(stderr, "omniglot: %s: %s\n", what, diag.text);
  return 1;
}

double setting(const char *name, double value) {
  const char *text = getenv(name);
  if (!text || !*text) return value;
  if (!xf_str_double(&value, text, strlen(text))) return value;
  fprintf(stderr, "%s=%s is not a number\n", name, text);
  exit(1);
}

static double cpu(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Whether ONLY names it, or is not set. */
static bool wanted(const char *name) {
  const char *at = getenv("ONLY");
  const size_t len = strlen(name);
  if (!at || !*at) return true;
  for (; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
    if (!strncmp(at, name, len) && (!at[len] || at[len] == ',')) return true;
  return false;
}

/* Mean of acc[i * stride] and the half width of its 95 % interval. */
static double mean_of(const double *acc, uint32_t n, uint32_t stride, double *half) {
  double sum = 0, square = 0;
  for (uint32_t i = 0; i < n; i++) sum += acc[i * stride];
  for (uint32_t i = 0; i < n; i++) square += pow(acc[i * stride] - sum / n, 2);
  *half = 1.96 * sqrt(square / (n - 1) / n);
  return sum / n;
}

static int learn(struct world *w, enum arm arm, float *start) {
  const double before = cpu();
  const uint32_t iters = (uint32_t)(arms[arm].iters * setting("SCALE", 1));
  int bad = 0;
  memcpy(start, w->init, w->n * sizeof *start);
  if (arm == MAML || arm == FOMAML) bad = learn_maml(w, arm == MAML, iters, start);
  if (arm == REPTILE) bad = learn_reptile(w, iters, start);
  if (arm == FEDAVG) bad = learn_fedavg(w, iters, start);
  if (!bad && iters > 0)
    printf("{\"arm\":\"%s\",\"seed\":%llu,\"iterations\":%u,\"cpu_s\":%.0f}\n", arms[arm].name,
           (unsigned long long)w->seed, iters, cpu() - before);
  (void)fflush(stdout);
  return bad;
}

/* Tries all adaptations of a start on validation; the best goes to *best, among equal ones the first. */
static int choose(struct world *w, enum arm arm, const float *start, uint32_t shots,
                  struct adapt *best) {
  static double acc[N_VALID * N_RECORD];
  double half = 0, most = -1;
  for (size_t k = 0; k < sizeof tries / sizeof *tries; k++) {
    struct adapt how = tries[k];
    how.head = arm == FEDAVG_HEAD;
    how.n_record = N_RECORD;
    if (judge(w, start, &how, XF_PART_VALID, shots, N_VALID, false, acc)) return 1;
    printf("{\"part\":\"valid\",\"shots\":%u,\"arm\":\"%s\",\"by\":\"%s %g\"", shots,
           arms[arm].name, how.adam ? "adam" : "sgd", how.lr);
    for (uint32_t r = 0; r < N_RECORD; r++) {
      const double mean = mean_of(acc + r, N_VALID, N_RECORD, &half);
      printf(",\"acc_%u\":%.4f", RECORD[r], mean);
      if (mean <= most) continue;
      most = mean;
      *best = how;
      best->n_record = r + 1;
    }
    printf(",\"half\":%.4f}\n", half);
    (void)fflush(stdout);
  }
  return 0;
}

/* Chooses how a start is adapted, and measures that. */
static int measure(struct world *w, enum arm arm, const float *start, uint32_t shots, bool final) {
  double half = 0, *acc = result->acc[arm];
  struct adapt how = {0};
  const enum xf_part part = final ? XF_PART_TEST : XF_PART_VALID;
  const uint32_t n = final ? EPISODES : N_VALID;
  if (arm == PIXEL) {
    if (judge_pixels(w, part, shots, n, acc)) return 1;
  } else {
    if (choose(w, arm, start, shots, &how)) return 1;
    if (!final) return 0;
    if (judge(w, start, &how, part, shots, n, true, acc)) return 1;
  }
  const double mean = mean_of(acc, n, 1, &half);
  printf("{\"part\":\"%s\",\"shots\":%u,\"seed\":%llu,\"arm\":\"%s\",\"acc\":%.4f,\"half\":%.4f",
         final ? "test" : "valid", shots, (unsigned long long)w->seed, arms[arm].name, mean, half);
  if (arm != PIXEL)
    printf(",\"by\":\"%s %g\",\"steps\":%u", how.adam ? "adam" : "sgd", how.lr,
           RECORD[how.n_record - 1]);
  printf("}\n");
  (void)fflush(stdout);
  result->done[arm] = final;
  return 0;
}

/* The process of an arm; FedAvg's start serves two. */
static int run(struct world *w, enum arm arm, uint32_t shots, bool final) {
  float *start = xf_calloc(w->n, sizeof *start);
  int bad = learn(w, arm, start);
  if (!bad) bad = measure(w, arm, start, shots, final);
  if (!bad && arm == FEDAVG) bad = measure(w, FEDAVG_HEAD, start, shots, final);
  xf_free(start);
  return bad;
}

/* Mean and standard error of the difference of two arms over the same episodes. */
static double paired(enum arm a, enum arm b, double *se) {
  double d[EPISODES], half = 0;
  for (uint32_t e = 0; e < EPISODES; e++) d[e] = result->acc[a][e] - result->acc[b][e];
  const double mean = mean_of(d, EPISODES, 1, &half);
  *se = half / 1.96;
  return mean;
}

/* Differences, and whether the bounds of decision 53 hold, which are for one shot. */
static void compare(uint32_t shots) {
  static const enum arm other[] = {FEDAVG, FEDAVG_HEAD, SCRATCH, PIXEL};
  for (int a = MAML; a <= REPTILE; a++)
    for (size_t k = 0; k < sizeof other / sizeof *other; k++) {
      const enum arm b = other[k];
      double se = 0;
      if (!result->done[a] || !result->done[b]) continue;
      const double by = paired((enum arm)a, b, &se);
      const bool bound = shots == 1 && a != FOMAML && b != PIXEL && b != FEDAVG_HEAD;
      const bool ok = b == SCRATCH ? by > .1 : by > 2 * se;
      printf("{\"part\":\"test\",\"shots\":%u,\"arm\":\"%s\",\"minus\":\"%s\",\"by\":%.4f,\"se\":%."
             "4f%s}\n",
             shots, arms[a].name, arms[b].name, by, se,
             !bound ? ""
             : ok   ? ",\"bound\":\"met\""
                    : ",\"bound\":\"missed\"");
    }
}

int main(void) {
  static struct world w;
  const bool final = setting("FINAL", 0) > 0;
  const uint32_t shots = (uint32_t)setting("SHOTS", 1);
  pid_t child[N_ARM] = {0};
  if (xf_blas_start(NULL, &diag)) return fail("BLAS");
  if (shots != 1 && shots != 5) return fail("SHOTS must be 1 or 5");
  result = mmap(NULL, sizeof *result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (result == MAP_FAILED) return fail("memory");
  int bad = open_world(&w, (uint64_t)setting("SEED", 1));
  for (int a = 0; !bad && a < N_ARM; a++) {
    if (a == FEDAVG_HEAD || !wanted(arms[a].name)) continue;
    child[a] = fork();
    if (child[a] == 0) {
      bad = run(&w, (enum arm)a, shots, final);
      close_world(&w);
      return bad;
    }
    if (child[a] < 0) bad = fail("fork");
  }
  for (int a = 0; a < N_ARM; a++) {
    int status = 0;
    if (child[a] > 0 && (waitpid(child[a], &status, 0) < 0 || status != 0)) bad = 1;
  }
  if (!bad && final) compare(shots);
  close_world(&w);
  (void)munmap(result, sizeof *result);
  return bad;
}
