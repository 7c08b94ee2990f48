// Rounds of the three methods: every client trains, what is shared becomes the plain mean.
#include "pf.h"

#include "base/alloc.h"
#include "rec/metrics.h"

#include <math.h>
#include <string.h>

struct state {
  const struct pf_data *d;
  const struct pf_spec *spec;
  float *items, *local, *sum; // [n_items][PF_DIM]: the federation's, a client's, sum of differences
  struct pf_net net, net_sum;
  struct pf_own *own; // [n_users]
  uint32_t *id;       // one client's examples
  float *label;
  double hr[2], ndcg[2]; // of this round
  float *per_user;       // test HR of this round
};

// A client's examples: positives, four negatives each, shuffled; new in every round.
static uint32_t examples(struct state *s, uint32_t u, uint32_t round) {
  const struct pf_data *d = s->d;
  const struct xf_csr *avoid = s->spec->leaky ? &d->all : &d->train;
  struct xf_rng rng;
  uint32_t n = 0;
  xf_rng_init(&rng, s->spec->seed * 1000003 + round, u);
  for (uint32_t k = d->train.start[u]; k < d->train.start[u + 1]; k++) {
    s->id[n] = d->train.item[k];
    s->label[n++] = 1;
    for (int j = 0; j < PF_PER_POSITIVE; j++) {
      uint32_t i = xf_rng_below(&rng, d->n_items);
      while (xf_csr_find(avoid, u, i)) i = xf_rng_below(&rng, d->n_items);
      s->id[n] = i;
      s->label[n++] = 0;
    }
  }
  for (uint32_t k = n; k > 1; k--) {
    const uint32_t j = xf_rng_below(&rng, k), id = s->id[k - 1];
    const float label = s->label[k - 1];
    s->id[k - 1] = s->id[j];
    s->label[k - 1] = s->label[j];
    s->id[j] = id;
    s->label[j] = label;
  }
  return n;
}

static void measure(struct state *s, uint32_t u, const float *items, const struct pf_net *net) {
  const struct xf_measure hr = {XF_MEASURE_HR, 10}, ndcg = {XF_MEASURE_NDCG, 10};
  for (int part = 0; part < 2; part++) {
    float score[PF_NEG + 1];
    const uint32_t *negative = s->d->negative[part] + (size_t)u * PF_NEG;
    for (int k = 0; k <= PF_NEG; k++) {
      const uint32_t i = k ? negative[k - 1] : s->d->held[part][u];
      score[k] = pf_logit(s->spec->kind, &s->own[u], net, items + (size_t)i * PF_DIM);
    }
    const uint32_t rank = pf_rank(score);
    s->hr[part] += xf_measure_ranks(hr, &rank, 1);
    s->ndcg[part] += xf_measure_ranks(ndcg, &rank, 1);
    if (part == PF_TEST) s->per_user[u] = (float)xf_measure_ranks(hr, &rank, 1);
  }
}

// One client: from the federation's items to its own, the difference into the sum.
static void client(struct state *s, uint32_t u, uint32_t round) {
  const size_t size = (size_t)s->d->n_items * PF_DIM;
  const uint32_t n = examples(s, u, round);
  const float item_rate = s->spec->rate * s->spec->eta;
  struct pf_net net = s->net;
  memcpy(s->local, s->items, size * sizeof *s->local);
  for (uint32_t at = 0; at < n; at += PF_BATCH) {
    const uint32_t m = n - at < PF_BATCH ? n - at : PF_BATCH;
    pf_step(s->spec, &s->own[u], &net, s->local, s->id + at, s->label + at, m, item_rate);
  }
  for (size_t k = 0; k < size; k++) s->sum[k] += s->local[k] - s->items[k];
  float *sum = (float *)&s->net_sum;
  const float *now = (const float *)&net, *old = (const float *)&s->net;
  for (size_t k = 0; k < sizeof net / sizeof(float); k++) sum[k] += now[k] - old[k];
  if (s->spec->kind == PF_PFEDREC) measure(s, u, s->local, NULL); // with the items fitted to it
}

static void one_round(struct state *s, uint32_t round) {
  const size_t size = (size_t)s->d->n_items * PF_DIM;
  const float n = (float)s->d->n_users;
  memset(s->sum, 0, size * sizeof *s->sum);
  s->net_sum = (struct pf_net){0};
  memset(s->hr, 0, sizeof s->hr);
  memset(s->ndcg, 0, sizeof s->ndcg);
  for (uint32_t u = 0; u < s->d->n_users; u++) client(s, u, round);
  for (size_t k = 0; k < size; k++) s->items[k] += s->sum[k] / n;
  float *net = (float *)&s->net;
  const float *sum = (const float *)&s->net_sum;
  for (size_t k = 0; k < sizeof s->net / sizeof(float); k++) net[k] += sum[k] / n;
  if (s->spec->kind != PF_PFEDREC)
    for (uint32_t u = 0; u < s->d->n_users; u++) measure(s, u, s->items, &s->net);
}

static void uniform(float *w, size_t n, struct xf_rng *rng, int fan_in) {
  const double bound = 1 / sqrt(fan_in);
  for (size_t k = 0; k < n; k++) w[k] = (float)((2 * xf_rng_double(rng) - 1) * bound);
}

// Item rows normal; heads, user rows and layers uniform by fan-in; every client starts from the same own part but for user rows.
static void start(struct state *s) {
  struct xf_rng rng;
  xf_rng_init(&rng, s->spec->seed, UINT64_MAX);
  for (size_t k = 0; k < (size_t)s->d->n_items * PF_DIM; k++)
    s->items[k] = s->spec->spread * (float)xf_rng_normal(&rng);
  uniform(s->net.w1[0], sizeof s->net.w1 / sizeof(float), &rng, 2 * PF_DIM);
  uniform(s->net.w2[0], sizeof s->net.w2 / sizeof(float), &rng, PF_H1);
  uniform(s->net.w3[0], sizeof s->net.w3 / sizeof(float), &rng, PF_H2);
  uniform(s->net.w4, PF_H3, &rng, PF_H3);
  uniform(s->own[0].u, PF_DIM, &rng, PF_DIM);
  for (uint32_t u = 1; u < s->d->n_users; u++) {
    s->own[u] = s->own[0];
    if (s->spec->kind != PF_PFEDREC)
      for (int c = 0; c < PF_DIM; c++)
        s->own[u].u[c] = s->spec->spread * (float)xf_rng_normal(&rng);
  }
}

void pf_run(struct pf_result *out, const struct pf_data *d, const struct pf_spec *spec) {
  const size_t size = (size_t)d->n_items * PF_DIM;
  struct state s = {.d = d, .spec = spec};
  uint32_t longest = 0;
  for (uint32_t u = 0; u < d->n_users; u++) {
    const uint32_t n = d->train.start[u + 1] - d->train.start[u];
    if (n > longest) longest = n;
  }
  s.items = xf_calloc(size, sizeof *s.items);
  s.local = xf_calloc(size, sizeof *s.local);
  s.sum = xf_calloc(size, sizeof *s.sum);
  s.own = xf_calloc(d->n_users, sizeof *s.own);
  s.id = xf_calloc((size_t)longest * (1 + PF_PER_POSITIVE) + 1, sizeof *s.id);
  s.label = xf_calloc((size_t)longest * (1 + PF_PER_POSITIVE) + 1, sizeof *s.label);
  s.per_user = xf_calloc(d->n_users, sizeof *s.per_user);
  start(&s);
  *out = (struct pf_result){.valid_hr = -1, .per_user = out->per_user};
  for (uint32_t round = 1; round <= spec->rounds; round++) {
    one_round(&s, round);
    if (s.hr[PF_VALID] / d->n_users <= out->valid_hr) continue;
    out->round = round;
    out->valid_hr = s.hr[PF_VALID] / d->n_users;
    out->hr = s.hr[PF_TEST] / d->n_users;
    out->ndcg = s.ndcg[PF_TEST] / d->n_users;
    if (out->per_user) memcpy(out->per_user, s.per_user, d->n_users * sizeof *s.per_user);
  }
  xf_free(s.items);
  xf_free(s.local);
  xf_free(s.sum);
  xf_free(s.own);
  xf_free(s.id);
  xf_free(s.label);
  xf_free(s.per_user);
}
