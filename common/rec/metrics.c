#include "rec/metrics.h"

#include "base/assert.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_K = 1000000 };

static const struct {
  const char *name;
  bool k, interactions, tables, protocol;
} info[XF_N_MEASURE] = {
#define ROW(n, t, k, i, d, p) {t, k, i, d, p},
    XF_MEASURE_LIST(ROW)
#undef ROW
};

const char *xf_measure_name(enum xf_measure_kind kind) {
  return (unsigned)kind < XF_N_MEASURE ? info[kind].name : "?";
}

bool xf_measure_fits(enum xf_measure_kind kind, bool ranking) {
  return ranking ? info[kind].interactions : info[kind].tables;
}

enum xf_rc xf_measure_parse(struct xf_measure *out, const char *s, size_t len) {
  const char *at = memchr(s, '@', len);
  const size_t n = at ? (size_t)(at - s) : len;
  *out = (struct xf_measure){0};
  for (int kind = 0; kind < XF_N_MEASURE; kind++) {
    if (strlen(info[kind].name) != n || memcmp(info[kind].name, s, n)) continue;
    out->kind = (enum xf_measure_kind)kind;
    if (info[kind].k != (at != NULL)) return XF_E_FORMAT;
    if (!at) return XF_OK;
    uint64_t k = 0;
    if (xf_str_u64(&k, at + 1, len - n - 1)) return XF_E_FORMAT;
    if (k < 1 || k > MAX_K) return XF_E_RANGE;
    out->k = (uint32_t)k;
    return XF_OK;
  }
  return XF_E_FORMAT;
}

const char *xf_measure_key(char out[XF_MEASURE_KEY], struct xf_measure measure, bool ranking,
                           uint32_t n_neg) {
  char k[16] = "", protocol[16] = "";
  if (info[measure.kind].k) (void)snprintf(k, sizeof k, "_%u", measure.k);
  if (ranking && info[measure.kind].protocol) {
    if (n_neg) (void)snprintf(protocol, sizeof protocol, "_s%u", n_neg);
    else memcpy(protocol, "_full", sizeof "_full");
  }
  (void)snprintf(out, XF_MEASURE_KEY, "%s%s%s", info[measure.kind].name, k, protocol);
  return out;
}

double xf_measure_value(enum xf_measure_kind kind, struct xf_measure_sum sum) {
  if (!(sum.count > 0)) return (double)NAN;
  const double mean = sum.sum / sum.count;
  return kind == XF_MEASURE_RMSE ? sqrt(mean) : mean;
}

static double dcg_gain(uint32_t rank) { return 1.0 / log2((double)rank + 2.0); }

double xf_measure_ranks(struct xf_measure measure, const uint32_t *rank, uint32_t n) {
  uint32_t hits = 0;
  while (hits < n && rank[hits] < measure.k) hits++;
  switch (measure.kind) {
  case XF_MEASURE_HR: return hits > 0;
  case XF_MEASURE_RECALL: return (double)hits / n;
  case XF_MEASURE_PRECISION: return (double)hits / measure.k;
  case XF_MEASURE_MRR: return 1.0 / ((double)rank[0] + 1.0);
  default: break;
  }
  XF_ASSERT(measure.kind == XF_MEASURE_NDCG);
  double dcg = 0, ideal = 0;
  for (uint32_t i = 0; i < hits; i++) dcg += dcg_gain(rank[i]);
  for (uint32_t i = 0; i < n && i < measure.k; i++) ideal += dcg_gain(i);
  return dcg / ideal;
}

static int descending(const void *a, const void *b) {
  const float x = *(const float *)a, y = *(const float *)b;
  return (x < y) - (x > y);
}

void xf_measure_rank(uint32_t *rank, float *pos, uint32_t n_pos, const float *neg, uint32_t n_neg) {
  if (n_pos > 1) qsort(pos, n_pos, sizeof *pos, descending);
  for (uint32_t p = 0; p < n_pos; p++) {
    const float s = pos[p];
    uint32_t above = 0;
    for (uint32_t i = 0; i < n_neg; i++) above += neg[i] >= s;
    rank[p] = p + above;
  }
}

static int by_score(const void *a, const void *b, void *arg) {
  const float *score = arg;
  const uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
  if (score[i] != score[j]) return score[i] < score[j] ? -1 : 1;
  return (i > j) - (i < j);
}

struct xf_measure_sum xf_measure_auc(const float *score, const float *label, size_t n,
                                     uint32_t *scratch) {
  double won = 0, n_pos = 0, n_neg = 0;
  for (size_t i = 0; i < n; i++) scratch[i] = (uint32_t)i;
  qsort_r(scratch, n, sizeof *scratch, by_score, (void *)(uintptr_t)score);
  for (size_t from = 0, to = 0; from < n; from = to) { /* one group of equal scores */
    double pos = 0, neg = 0;
    for (; to < n && score[scratch[to]] == score[scratch[from]]; to++)
      if (label[scratch[to]] > 0.5f) pos++;
      else neg++;
    won += pos * (n_neg + 0.5 * neg);
    n_pos += pos;
    n_neg += neg;
  }
  return (struct xf_measure_sum){won, n_pos * n_neg};
}

size_t xf_measure_paired(const float *a, const float *b, size_t n, double *mean, double *se) {
  double sum = 0, sq = 0;
  size_t m = 0;
  for (size_t i = 0; i < n; i++) {
    if (isnan(a[i]) || isnan(b[i])) continue;
    sum += (double)a[i] - (double)b[i];
    m++;
  }
  *mean = m ? sum / (double)m : (double)NAN;
  for (size_t i = 0; i < n; i++) {
    if (isnan(a[i]) || isnan(b[i])) continue;
    const double d = (double)a[i] - (double)b[i] - *mean;
    sq += d * d;
  }
  *se = m > 1 ? sqrt(sq / (double)(m - 1) / (double)m) : (double)NAN;
  return m;
}
