// Cold users, Amazon Games <-> Videos (CDRIB's files): people with a history in one domain are ranked items of the other, where
// they have none. Learned from the 1,736 people with train events in both.
//   popularity           train events of the target
//   overlap popularity   those of people in both domains only
//   cross Gram           W = sum |x_s|^-.5 x_s x_t^T over the common people, score |x|^-.5 x W
//   map                  EMCDR: ridge from source to target factors (implicit ALS, d = 32)
//   combined             map and cross Gram 1:1
// and overlap popularity with its many ties broken by popularity instead of counted against the held-out item. Gram, map and combined
// each with .3 x log(1 + overlap popularity); parts are standardised over the candidates. Map and cross Gram pair two rows of one
// person: between two silos they need paired computation, which no stage does; overlap popularity does not.
// Every held-out row is ranked among 999 random items of the target (none of the person's other held-out ones), rows averaged, three
// draws. Differences to overlap popularity are of people's means, standard error over people.
// The validation file by default; FINAL=1 reads the test file instead.
// Reads $CROSSFED_DATA/amazon-cdrib-coldstart (default ../shared/data); exit status 77 without it.
// modules: rec data tensor base
#include "base/alloc.h"
#include "base/rng.h"
#include "data/cold.h"
#include "rec/als.h"
#include "rec/crossmap.h"
#include "rec/metrics.h"
#include "tensor/blas.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_DRAW = 3, N_NEG = 999, N_COMMON = 2179, DIM = 32, SEED = 1 };
enum { POPULAR, OVERLAP, GRAM, MAP, N_BASE, COMBINED = N_BASE, TIED, N_ARM };
enum { NDCG, HR, MRR, N_MEASURE };
static const struct xf_measure measure[N_MEASURE] = {
    {XF_MEASURE_NDCG, 10}, {XF_MEASURE_HR, 10}, {XF_MEASURE_MRR, 0}};
static const char *const arm_name[N_ARM] = {"popularity", "overlap popularity",
                                            "cross Gram", "map",
                                            "combined",   "overlap popularity, ties by popularity"};
static const double ridge = .1, popularity_weight = .3;
static const struct xf_als_spec als_spec = {
    .dim = DIM, .w = {.a = .1, .rho = .003, .nu = 1}, .sweeps = 6, .seed = SEED};

struct direction {
  const char *name, *source, *target;
};
static const struct direction direction[2] = {{"videos", "game_video", "video_game"},
                                              {"games", "video_game", "game_video"}};

struct learned {
  float *popular, *overlap; // [target items] log(1 + count)
  struct xf_crossgram gram;
  struct xf_crossmap map;
  struct xf_als source, target;
};

static struct xf_diag diag;

static int fail(const char *what) {
  fprintf(stderr, "coldusers: %s: %s\n", what, diag.text);
  return 1;
}

static int load(struct xf_cold *cold, const struct direction *d) {
  static const char *const file[4] = {"train", "train", "valid", "test"};
  char path[4][1024];
  const char *root = getenv("CROSSFED_DATA");
  for (int i = 0; i < 4; i++)
    (void)snprintf(path[i], sizeof path[i], "%s/amazon-cdrib-coldstart/%s/%s.txt.gz",
                   root ? root : "../shared/data", i ? d->target : d->source, file[i]);
  FILE *there = fopen(path[0], "rb");
  if (!there) {
    printf("no data at %s\n", path[0]);
    return 77;
  }
  fclose(there);
  const struct xf_cold_files files = {path[0], path[1], path[2], path[3]};
  return xf_cold_load(cold, &files, N_COMMON, &diag) ? fail(d->name) : 0;
}

static enum xf_rc histories(struct xf_csr *out, const struct xf_interactions *x) {
  return xf_csr_init(out, x->users.n, x->items.n, x->user, x->item, x->n);
}

static enum xf_rc factors(struct xf_als *als, const struct xf_csr *train, uint32_t n_items) {
  const struct xf_rec_data data = {train->n_row, n_items, train};
  const enum xf_rc rc = xf_als_init(als, &data, &als_spec, &diag);
  return rc ? rc : xf_als_fit(als, &diag);
}

// What the common people teach; one at a time, so that each sum could be made where both rows are.
static enum xf_rc learn(struct learned *l, const struct xf_cold *c, const struct xf_csr *source,
                        const struct xf_csr *target) {
  const uint32_t ns = c->source.items.n, nt = c->target.items.n;
  struct xf_crossmap_sums sums = {0};
  l->popular = xf_calloc(nt + 1, sizeof *l->popular);
  l->overlap = xf_calloc(nt + 1, sizeof *l->overlap);
  enum xf_rc rc = factors(&l->source, source, ns);
  if (!rc) rc = factors(&l->target, target, nt);
  if (!rc) rc = xf_crossgram_init(&l->gram, ns, nt);
  if (!rc) rc = xf_crossmap_sums_init(&sums, DIM, DIM);
  for (uint32_t k = 0; k < xf_csr_count(target); k++) l->popular[target->item[k]]++;
  for (uint32_t t = 0; t < target->n_row && !rc; t++) {
    const char *key = xf_names_get(&c->target.users, t);
    const uint32_t s = xf_names_find(&c->source.users, key, strlen(key));
    if (s == XF_NO_ID) continue;
    const uint32_t *xs = source->item + source->start[s], *xt = target->item + target->start[t];
    const uint32_t n_s = source->start[s + 1] - source->start[s];
    const uint32_t n_t = target->start[t + 1] - target->start[t];
    for (uint32_t k = 0; k < n_t; k++) l->overlap[xt[k]]++;
    rc = xf_crossgram_add_user(&l->gram, xs, n_s, xt, n_t);
    if (!rc)
      rc =
          xf_crossmap_add_user(&sums, l->source.p + (size_t)s * DIM, l->target.p + (size_t)t * DIM);
  }
  if (!rc) rc = xf_crossmap_init(&l->map, &sums, ridge, &diag);
  for (uint32_t i = 0; i < nt; i++) {
    l->popular[i] = logf(1 + l->popular[i]);
    l->overlap[i] = logf(1 + l->overlap[i]);
  }
  xf_crossmap_sums_deinit(&sums);
  return rc;
}

static void forget(struct learned *l) {
  xf_free(l->popular);
  xf_free(l->overlap);
  xf_crossgram_deinit(&l->gram);
  xf_crossmap_deinit(&l->map);
  xf_als_deinit(&l->source);
  xf_als_deinit(&l->target);
}

// A person's scores of all target items by the two models, from the source history alone.
static enum xf_rc score(float *gram, float *map, const struct learned *l,
                        const struct xf_csr *source, uint32_t user) {
  float row[DIM];
  enum xf_rc rc = xf_crossgram_score(&l->gram, source->item + source->start[user],
                                     source->start[user + 1] - source->start[user], gram);
  if (!rc) rc = xf_crossmap_row(&l->map, l->source.p + (size_t)user * DIM, row);
  for (uint32_t i = 0; i < l->target.n_items && !rc; i++) {
    double dot = 0;
    for (int k = 0; k < DIM; k++)
      dot += (double)row[k] * (double)l->target.q[(size_t)i * DIM + (size_t)k];
    map[i] = (float)dot;
  }
  return rc;
}

// Candidates of a row: the held-out item first, then N_NEG others; `seen` marks what is drawn, all zeros before and after.
static void draw(uint32_t *candidate, uint8_t *seen, struct xf_rng *rng, uint32_t n_items,
                 uint32_t positive, const uint32_t *held, uint32_t n_held) {
  candidate[0] = positive;
  for (uint32_t k = 0; k < n_held; k++) seen[held[k]] = 1;
  for (uint32_t k = 1; k <= N_NEG;) {
    const uint32_t i = xf_rng_below(rng, n_items);
    if (seen[i]) continue;
    seen[i] = 1;
    candidate[k++] = i;
  }
  for (uint32_t k = 0; k <= N_NEG; k++) seen[candidate[k]] = 0;
  for (uint32_t k = 0; k < n_held; k++) seen[held[k]] = 0;
}

// out[k] += weight x the standardised score of candidate k.
static void add(double *out, const float *of, const uint32_t *candidate, double weight) {
  double mean = 0, sd = 0;
  for (int k = 0; k <= N_NEG; k++) mean += (double)of[candidate[k]] / (N_NEG + 1);
  for (int k = 0; k <= N_NEG; k++) sd += pow((double)of[candidate[k]] - mean, 2) / (N_NEG + 1);
  if (sd > 0)
    for (int k = 0; k <= N_NEG; k++)
      out[k] += weight * ((double)of[candidate[k]] - mean) / sqrt(sd);
}

// The measures of the held-out item, ties against it.
static void rank(double *value, int arm, const float *const base[N_BASE],
                 const uint32_t *candidate) {
  double s[N_NEG + 1] = {0};
  uint32_t above = 0;
  if (arm < COMBINED) add(s, base[arm], candidate, 1);
  if (arm == COMBINED) {
    add(s, base[GRAM], candidate, 1);
    add(s, base[MAP], candidate, 1);
  }
  if (arm == TIED) {
    add(s, base[OVERLAP], candidate, 1);
    add(s, base[POPULAR], candidate, .001);
  } else if (arm >= GRAM) {
    add(s, base[OVERLAP], candidate, popularity_weight);
  }
  for (int k = 1; k <= N_NEG; k++) above += s[k] >= s[0];
  for (int m = 0; m < N_MEASURE; m++) value[m] += xf_measure_ranks(measure[m], &above, 1);
}

struct table {
  double sum[N_ARM][N_MEASURE]; // over rows and draws
  uint64_t rows;                // of one draw
  float *person[N_ARM];         // mean NDCG of each cold person
  uint32_t people;
};

static enum xf_rc rank_all(struct table *t, const struct learned *l, const struct xf_csr *source,
                           const struct xf_csr *held) {
  const uint32_t n = l->target.n_items;
  float *gram = xf_calloc(n + 1, sizeof *gram), *map = xf_calloc(n + 1, sizeof *map);
  const float *const base[N_BASE] = {l->popular, l->overlap, gram, map};
  uint8_t *seen = xf_calloc(n + 1, 1);
  enum xf_rc rc = XF_OK;
  for (int a = 0; a < N_ARM; a++) t->person[a] = xf_calloc(held->n_row + 1, sizeof(float));
  for (uint32_t u = 0; u < held->n_row && !rc; u++) {
    const uint32_t n_held = held->start[u + 1] - held->start[u];
    const uint32_t *item = held->item + held->start[u];
    double own[N_ARM][N_MEASURE] = {{0}};
    if (!n_held) continue;
    rc = score(gram, map, l, source, u);
    for (int d = 0; d < N_DRAW && !rc; d++) {
      struct xf_rng rng;
      uint32_t candidate[N_NEG + 1];
      xf_rng_init(&rng, SEED + (uint64_t)d, u);
      for (uint32_t k = 0; k < n_held; k++) {
        draw(candidate, seen, &rng, n, item[k], item, n_held);
        for (int a = 0; a < N_ARM; a++) rank(own[a], a, base, candidate);
      }
    }
    for (int a = 0; a < N_ARM; a++) {
      for (int m = 0; m < N_MEASURE; m++) t->sum[a][m] += own[a][m];
      t->person[a][t->people] = (float)(own[a][NDCG] / (N_DRAW * n_held));
    }
    t->rows += n_held;
    t->people++;
  }
  xf_free(gram);
  xf_free(map);
  xf_free(seen);
  return rc;
}

static int run(const struct direction *d, enum xf_part part) {
  struct xf_cold cold;
  struct xf_csr source = {0}, target = {0};
  struct learned learned = {0};
  struct table t = {0};
  const int status = load(&cold, d);
  if (status) return status;
  enum xf_rc rc = histories(&source, &cold.source);
  if (!rc) rc = histories(&target, &cold.target);
  if (!rc) rc = learn(&learned, &cold, &source, &target);
  if (!rc) rc = rank_all(&t, &learned, &source, &cold.held[part]);
  for (int a = 0; a < N_ARM && !rc; a++) {
    const double n = (double)(t.rows * N_DRAW);
    double mean, se;
    xf_measure_paired(t.person[a], t.person[OVERLAP], t.people, &mean, &se);
    printf("{\"target\":\"%s\",\"file\":\"%s\",\"arm\":\"%s\",\"people\":%u,\"rows\":%llu,"
           "\"ndcg_10_s999\":%.4f,\"hr_10_s999\":%.4f,\"mrr_s999\":%.4f,"
           "\"minus_overlap_popularity\":%.4f,\"se\":%.4f%s}\n",
           d->name, part == XF_PART_TEST ? "test" : "valid", arm_name[a], t.people,
           (unsigned long long)t.rows, t.sum[a][NDCG] / n, t.sum[a][HR] / n, t.sum[a][MRR] / n,
           mean, se, a >= GRAM && a != TIED ? ",\"stamp\":\"needs paired computation\"" : "");
  }
  for (int a = 0; a < N_ARM; a++) xf_free(t.person[a]);
  forget(&learned);
  xf_csr_deinit(&source);
  xf_csr_deinit(&target);
  xf_cold_deinit(&cold);
  return rc ? fail(d->name) : 0;
}

int main(void) {
  const char *final = getenv("FINAL");
  const enum xf_part part = final && strcmp(final, "1") == 0 ? XF_PART_TEST : XF_PART_VALID;
  if (xf_blas_start(NULL, &diag)) return fail("BLAS");
  for (int d = 0; d < 2; d++) {
    const int status = run(&direction[d], part);
    if (status) return status;
  }
  return 0;
}
