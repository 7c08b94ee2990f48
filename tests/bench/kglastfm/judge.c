#include "base/alloc.h"
#include "bench.h"
#include "rec/logit.h"
#include "rec/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double L2 = 1;

// The pairs of one part, in file order.
struct rows {
  uint32_t n;
  uint32_t *user, *count; // count: train positives of the item
  uint8_t *label;
  double *x;    // [n x n_column]
  float *score; // [n]
};

// Logistic regression over standardised columns and, if asked, their products.
struct stack {
  const enum column *column;
  uint32_t n;
  bool products;
  double mean[N_COLUMN], unit[N_COLUMN];
  struct xf_logit logit;
};

static void gather(struct rows *r, const struct bench *b, enum xf_part part,
                   const enum column *column, uint32_t n) {
  *r = (struct rows){0};
  r->user = xf_calloc(b->pairs.n + 1, sizeof *r->user);
  r->count = xf_calloc(b->pairs.n + 1, sizeof *r->count);
  r->label = xf_calloc(b->pairs.n + 1, sizeof *r->label);
  r->x = xf_calloc(b->pairs.n * n + 1, sizeof *r->x);
  r->score = xf_calloc(b->pairs.n + 1, sizeof *r->score);
  for (size_t i = 0; i < b->pairs.n; i++) {
    if (b->pairs.part[i] != part) continue;
    for (uint32_t k = 0; k < n; k++) r->x[(size_t)r->n * n + k] = b->x[i * N_COLUMN + column[k]];
    r->user[r->n] = b->pairs.user[i];
    r->count[r->n] = (uint32_t)lround(expm1(b->x[i * N_COLUMN + POP]));
    r->label[r->n++] = b->pairs.label[i];
  }
}

static void drop(struct rows *r) {
  xf_free(r->user);
  xf_free(r->count);
  xf_free(r->label);
  xf_free(r->x);
  xf_free(r->score);
}

static uint32_t expand(const struct stack *s, const double *x, double *out) {
  uint32_t m = 0;
  for (uint32_t k = 0; k < s->n; k++) out[m++] = (x[k] - s->mean[k]) / s->unit[k];
  for (uint32_t k = 0; k < s->n && s->products; k++)
    for (uint32_t l = k; l < s->n; l++) out[m++] = out[k] * out[l];
  return m;
}

// Fits on the rows outside a fold; fold N_FOLD: on all.
static int fit(struct stack *s, const struct rows *r, uint32_t fold, struct xf_diag *diag) {
  uint32_t n = 0, width = s->n + (s->products ? s->n * (s->n + 1) / 2 : 0);
  double square[N_COLUMN] = {0};
  memset(s->mean, 0, sizeof s->mean);
  for (uint32_t i = 0; i < r->n; i++) {
    if (i % N_FOLD == fold) continue;
    for (uint32_t k = 0; k < s->n; k++) s->mean[k] += r->x[(size_t)i * s->n + k];
    n++;
  }
  for (uint32_t k = 0; k < s->n; k++) s->mean[k] /= n;
  for (uint32_t i = 0; i < r->n; i++)
    for (uint32_t k = 0; k < s->n && i % N_FOLD != fold; k++) {
      const double x = r->x[(size_t)i * s->n + k] - s->mean[k];
      square[k] += x * x;
    }
  for (uint32_t k = 0; k < s->n; k++) s->unit[k] = square[k] > 0 ? sqrt(square[k] / n) : 1;
  double *x = xf_calloc((size_t)n * width + 1, sizeof *x);
  uint8_t *label = xf_calloc(n + 1, sizeof *label);
  n = 0;
  for (uint32_t i = 0; i < r->n; i++) {
    if (i % N_FOLD == fold) continue;
    expand(s, r->x + (size_t)i * s->n, x + (size_t)n * width);
    label[n++] = r->label[i];
  }
  const enum xf_rc rc = xf_logit_fit(&s->logit, x, label, n, width, L2, diag);
  xf_free(x);
  xf_free(label);
  return rc != XF_OK;
}

// Scores the rows of a fold; fold N_FOLD: all.
static void run(const struct stack *s, struct rows *r, uint32_t fold) {
  double x[XF_LOGIT_MAX];
  for (uint32_t i = 0; i < r->n; i++) {
    if (fold < N_FOLD && i % N_FOLD != fold) continue;
    expand(s, r->x + (size_t)i * s->n, x);
    r->score[i] = (float)xf_logit_score(&s->logit, x);
  }
}

static const struct rows *sorting;
static const uint32_t *group_of;

static int by_group(const void *a, const void *b) {
  const uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
  if (group_of[i] != group_of[j]) return group_of[i] < group_of[j] ? -1 : 1;
  return (i > j) - (i < j);
}
static int by_score_down(const void *a, const void *b) {
  const float x = sorting->score[*(const uint32_t *)a], y = sorting->score[*(const uint32_t *)b];
  return (x < y) - (x > y);
}

// AUC over the pairs of all rows, or of rows of the same group only.
static double auc(const struct rows *r, const uint32_t *group) {
  uint32_t *order = xf_calloc(r->n + 1, sizeof *order),
           *scratch = xf_calloc(r->n + 1, sizeof *scratch);
  float *score = xf_calloc(r->n + 1, sizeof *score), *label = xf_calloc(r->n + 1, sizeof *label);
  for (uint32_t i = 0; i < r->n; i++) order[i] = i;
  group_of = group;
  if (group) qsort(order, r->n, sizeof *order, by_group);
  for (uint32_t i = 0; i < r->n; i++) {
    score[i] = r->score[order[i]];
    label[i] = r->label[order[i]];
  }
  struct xf_measure_sum all = {0};
  for (uint32_t from = 0, to; from < r->n; from = to) {
    for (to = from + 1; to < r->n; to++)
      if (group && group[order[to]] != group[order[from]]) break;
    const struct xf_measure_sum one =
        xf_measure_auc(score + from, label + from, to - from, scratch);
    all.sum += one.sum;
    all.count += one.count;
  }
  xf_free(order);
  xf_free(scratch);
  xf_free(score);
  xf_free(label);
  return xf_measure_value(XF_MEASURE_AUC, all);
}

// The score from which on "1" has the best F1 over the rows outside a fold; fold N_FOLD: all.
static float threshold(const struct rows *r, uint32_t fold) {
  uint32_t *order = xf_calloc(r->n + 1, sizeof *order), n = 0;
  double positive = 0, hit = 0, best = -1;
  float at = INFINITY;
  for (uint32_t i = 0; i < r->n; i++) {
    if (i % N_FOLD == fold) continue;
    order[n++] = i;
    positive += r->label[i];
  }
  sorting = r;
  qsort(order, n, sizeof *order, by_score_down);
  for (uint32_t k = 0; k < n; k++) {
    hit += r->label[order[k]];
    if (k + 1 < n && r->score[order[k + 1]] == r->score[order[k]]) continue;
    const double f1 = 2 * hit / (k + 1 + positive);
    if (f1 <= best) continue;
    best = f1;
    at = r->score[order[k]];
  }
  xf_free(order);
  return at;
}

static double f1(const struct rows *judged, const struct rows *valid) {
  double hit = 0, said = 0, positive = 0;
  for (uint32_t fold = 0; fold < N_FOLD; fold++) {
    const float at = judged == valid ? threshold(valid, fold) : threshold(valid, N_FOLD);
    for (uint32_t i = fold; i < judged->n; i += N_FOLD) {
      const bool one = judged->score[i] >= at;
      said += one;
      positive += judged->label[i];
      hit += one && judged->label[i];
    }
  }
  return 2 * hit / (said + positive);
}

static int scores(struct stack *s, struct rows *valid, struct rows *test, bool final,
                  struct xf_diag *diag) {
  if (s->n == 1) {
    for (uint32_t i = 0; i < valid->n; i++) valid->score[i] = (float)valid->x[i];
    for (uint32_t i = 0; i < test->n; i++) test->score[i] = (float)test->x[i];
    return 0;
  }
  if (final) {
    if (fit(s, valid, N_FOLD, diag)) return 1;
    run(s, valid, N_FOLD);
    run(s, test, N_FOLD);
    return 0;
  }
  for (uint32_t fold = 0; fold < N_FOLD; fold++) {
    if (fit(s, valid, fold, diag)) return 1;
    run(s, valid, fold);
  }
  return 0;
}

int judge(struct figure *out, const struct bench *b, const enum column *column, uint32_t n,
          bool products, struct xf_diag *diag) {
  struct rows valid, test = {0};
  struct stack s = {.column = column, .n = n, .products = products};
  const bool final = b->judged == XF_PART_TEST;
  gather(&valid, b, XF_PART_VALID, column, n);
  if (final) gather(&test, b, XF_PART_TEST, column, n);
  const int rc = scores(&s, &valid, &test, final, diag);
  const struct rows *judged = final ? &test : &valid;
  if (!rc)
    *out = (struct figure){{auc(judged, NULL), auc(judged, judged->user),
                            auc(judged, judged->count), f1(judged, &valid)}};
  drop(&valid);
  if (final) drop(&test);
  return rc;
}
