// KGCN's Last.FM with its knowledge graph: labelled pairs 6:2:2, five random splits. Popularity, item kernel, PageRank and
// diffusion without and with the graph, stacks of them by logistic regression fitted on validation; and users in five silos whose
// Grams the coordinator's fold adds up. AUC, also within users and within items of one count; F1 with a threshold from validation.
// Judges validation (stacks by five folds of it); FINAL=1 judges test instead. One process, no network.
// Reads $CROSSFED_DATA/kg-lastfm (default ../shared/data); exit status 77 without it.
// modules: rec data fed tensor base
#include "base/alloc.h"
#include "bench.h"
#include "rec/item_model.h"
#include "rec/kgcontent.h"
#include "rec/pairmf.h"
#include "tensor/blas.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 64, MAX_COLUMN = 8 };

// What is judged: one column, or a stack of several.
static const struct arm {
  const char *name;
  enum column column[MAX_COLUMN];
  uint32_t n;
  bool products;
} arms[] = {
    {"popularity", {POP}, 1, false},
    {"user_count", {USER}, 1, false},
    {"item_kernel", {KERNEL}, 1, false},
    {"item_kernel_mean", {KERNEL_MEAN}, 1, false},
    {"kg_content", {CONTENT}, 1, false},
    {"mf", {MF}, 1, false},
    {"pagerank", {PPR}, 1, false},
    {"pagerank_kg", {PPR_KG}, 1, false},
    {"gram", {GRAM}, 1, false},
    {"gram_kg", {GRAM_KG}, 1, false},
    {"stack_without_kg", {POP, ODDS, KERNEL, PPR, MF, GRAM}, 6, false},
    {"stack", {POP, ODDS, KERNEL, CONTENT, PPR_KG, MF, GRAM_KG}, 7, false},
    {"stack_cold", {POP, ODDS, KERNEL, CONTENT, PPR_KG, MF, GRAM_KG, COLD}, 8, false},
    {"stack_cold_products", {POP, ODDS, KERNEL, CONTENT, PPR_KG, MF, GRAM_KG, COLD}, 8, true},
    {"silos_alone_gram_kg", {ALONE}, 1, false},
    {"silos_summed_gram_kg", {FED_GRAM}, 1, false},
    {"silos_summed_stack", {POP, ODDS, FED_KERNEL, CONTENT, FED_GRAM}, 5, false},
    {"silos_summed_stack_cold", {POP, ODDS, FED_KERNEL, CONTENT, FED_GRAM, COLD}, 6, false},
};
enum { N_ARM = sizeof arms / sizeof *arms };
static const char *const measure[N_MEASURE] = {"auc", "auc_same_user", "auc_same_count", "f1"};

static const struct {
  double kernel, content, pagerank, diffuse;
} EPS = {1e-3, 1e-2, 1e-6, 1e-3}; // in log(score + eps)

static struct xf_diag diag;
static char path[1024];

static int fail(const char *what) {
  fprintf(stderr, "kglastfm: %s: %s\n", what, diag.text);
  return 1;
}

static const char *file(const char *name) {
  const char *root = getenv("CROSSFED_DATA");
  snprintf(path, sizeof path, "%s/kg-lastfm/%s", root ? root : "../shared/data", name);
  return path;
}

static bool wanted(const struct bench *b, size_t i) {
  return b->pairs.part[i] == XF_PART_VALID || b->pairs.part[i] == b->judged;
}

int fill(struct bench *b, enum column column, const struct xf_scorer *scorer, double eps, int silo,
         struct xf_diag *d) {
  const uint32_t m = b->data.n_items;
  struct xf_query q[BLOCK];
  bool served[BLOCK];
  float *out = xf_calloc((size_t)BLOCK * m, sizeof *out);
  uint32_t *slot = xf_calloc(b->data.n_users + 1, sizeof *slot);
  int bad = 0;
  for (uint32_t from = 0; from < b->data.n_users && !bad; from += BLOCK) {
    uint32_t n = 0;
    for (uint32_t u = from; u < from + BLOCK && u < b->data.n_users; u++) {
      slot[u] = BLOCK;
      if (silo >= 0 && u % N_SILO != (uint32_t)silo) continue;
      slot[u] = n;
      q[n++] = (struct xf_query){u, b->train.item + b->train.start[u],
                                 b->train.start[u + 1] - b->train.start[u], (double)NAN};
    }
    bad = n && xf_scorer_score_many(scorer, q, n, out, served, d);
    for (size_t i = 0; i < b->pairs.n && !bad; i++) {
      const uint32_t u = b->pairs.user[i];
      if (u < from || u >= from + BLOCK || slot[u] == BLOCK || !wanted(b, i)) continue;
      const double s = (double)out[(size_t)slot[u] * m + b->pairs.item[i]];
      b->x[i * N_COLUMN + column] = eps > 0 ? log(fmax(s, 0) + eps) : s;
    }
  }
  xf_free(out);
  xf_free(slot);
  return bad;
}

// Columns that are counts of the train part.
static void count(struct bench *b) {
  double *pos = xf_calloc(b->data.n_items + 1, sizeof *pos);
  double *neg = xf_calloc(b->data.n_items + 1, sizeof *neg);
  for (size_t i = 0; i < b->pairs.n; i++)
    if (b->pairs.part[i] == XF_PART_TRAIN) (b->pairs.label[i] ? pos : neg)[b->pairs.item[i]]++;
  for (size_t i = 0; i < b->pairs.n; i++) {
    if (!wanted(b, i)) continue;
    double *x = b->x + i * N_COLUMN;
    const uint32_t item = b->pairs.item[i], u = b->pairs.user[i];
    x[POP] = log1p(pos[item]);
    x[ODDS] = log((pos[item] + 1) / (neg[item] + 1));
    x[COLD] = pos[item] == 0;
    x[USER] = -(double)(b->train.start[u + 1] - b->train.start[u]);
  }
  xf_free(pos);
  xf_free(neg);
}

// Fits and fills one column, then drops the scorer.
static int column(struct bench *b, enum column c, enum xf_rc rc, struct xf_scorer *s, double eps) {
  const int bad = rc || fill(b, c, s, eps, -1, &diag);
  xf_scorer_free(s);
  return bad;
}

static int columns(struct bench *b) {
  struct xf_gram gram;
  struct xf_scorer *s = NULL;
  const struct xf_gram_spec beta1 = {.beta = 1};
  const struct xf_diffuse_spec ppr = XF_PAGERANK_DEFAULTS, walk = XF_DIFFUSE_DEFAULTS;
  struct xf_pairmf_spec mf = XF_PAIRMF_DEFAULTS;
  enum xf_rc rc = xf_gram_build(&gram, &b->data, &beta1, &diag);
  if (rc) return 1;
  count(b);
  rc = xf_kernel_fit(&s, &gram, .5, .25, &diag);
  int bad = column(b, KERNEL, rc, s, EPS.kernel);
  rc = xf_kernel_fit(&s, &gram, .75, .25, &diag);
  bad = column(b, KERNEL_MEAN, rc, s, 0) || bad;
  for (size_t i = 0; i < b->pairs.n; i++) /* the columns USER are minus the counts */
    b->x[i * N_COLUMN + KERNEL_MEAN] /= fmax(-b->x[i * N_COLUMN + USER], 1);
  rc = xf_kgcontent_fit(&s, &b->graph, &diag);
  bad = column(b, CONTENT, rc, s, EPS.content) || bad;
  rc = xf_pagerank_fit(&s, &b->data, NULL, &ppr, &diag);
  bad = column(b, PPR, rc, s, EPS.pagerank) || bad;
  rc = xf_pagerank_fit(&s, &b->data, &b->graph, &ppr, &diag);
  bad = column(b, PPR_KG, rc, s, EPS.pagerank) || bad;
  rc = xf_diffuse_fit(&s, &gram, NULL, &walk, &diag);
  bad = column(b, GRAM, rc, s, EPS.diffuse) || bad;
  rc = xf_diffuse_fit(&s, &gram, &b->graph, &walk, &diag);
  bad = column(b, GRAM_KG, rc, s, EPS.diffuse) || bad;
  rc = xf_pairmf_fit(&s, &b->pairs, &mf, &diag);
  bad = column(b, MF, rc, s, 0) || bad;
  xf_gram_deinit(&gram);
  return bad || federated(b, &walk, EPS.diffuse, &diag);
}

static int one_split(struct bench *b, uint64_t seed, struct figure *out) {
  struct xf_rng rng;
  xf_rng_init(&rng, seed, 0);
  if (xf_pairs_split(&b->pairs, .2, .2, &rng, &diag) ||
      xf_pairs_positives(&b->train, &b->pairs, XF_PART_TRAIN))
    return fail("split");
  b->data = (struct xf_rec_data){b->pairs.n_users, b->pairs.n_items, &b->train};
  b->x = xf_calloc(b->pairs.n * N_COLUMN + 1, sizeof *b->x);
  if (columns(b)) return fail("scorers");
  for (size_t a = 0; a < N_ARM; a++)
    if (judge(&out[a], b, arms[a].column, arms[a].n, arms[a].products, &diag))
      return fail(arms[a].name);
  xf_free(b->x);
  xf_csr_deinit(&b->train);
  return 0;
}

// The graph beside the items; says what is odd about it.
static int load(struct bench *b) {
  struct xf_kg kg;
  struct xf_kg_link link;
  struct xf_names items;
  if (xf_pairs_load(&b->pairs, file("ratings_final.txt.gz"), &diag)) return fail("pairs");
  xf_names_init(&items);
  for (uint32_t i = 0; i < b->pairs.n_items; i++) {
    char key[16];
    uint32_t id;
    if (xf_names_add(&items, &id, key, (size_t)snprintf(key, sizeof key, "%u", i)))
      return fail("items");
  }
  if (xf_kg_load(&kg, file("kg_final.txt.gz"), NULL, &diag) ||
      xf_kg_link_init(&link, &kg, &items, NULL, &diag) ||
      xf_kg_graph_init(&b->graph, &kg, &link, NULL, &diag))
    return fail("knowledge graph");
  printf(
      "{\"pairs\":%zu,\"users\":%u,\"items\":%u,\"triples\":%zu,\"entities\":%u,\"relations\":%u",
      b->pairs.n, b->pairs.n_users, b->pairs.n_items, kg.n, kg.entities.n, kg.relations.n);
  for (int k = 0; k < XF_N_KG_FINDING; k++)
    if (kg.found[k].count)
      printf(",\"%s\":%llu", xf_kg_finding_name((enum xf_kg_finding_kind)k),
             (unsigned long long)kg.found[k].count);
  printf("}\n");
  xf_kg_link_deinit(&link);
  xf_kg_deinit(&kg);
  xf_names_deinit(&items);
  return 0;
}

static void mean_sd(double *mean, double *sd, const double *x) {
  double sum = 0, square = 0;
  for (int s = 0; s < N_SPLIT; s++) sum += x[s];
  *mean = sum / N_SPLIT;
  for (int s = 0; s < N_SPLIT; s++) square += (x[s] - *mean) * (x[s] - *mean);
  *sd = sqrt(square / (N_SPLIT - 1));
}

int main(void) {
  static struct figure figure[N_SPLIT][N_ARM];
  struct bench b = {0};
  FILE *there = fopen(file("ratings_final.txt.gz"), "rb");
  if (!there) {
    printf("no data at %s\n", path);
    return 77;
  }
  fclose(there);
  if (xf_blas_start(NULL, &diag)) return fail("BLAS");
  const char *final = getenv("FINAL");
  b.judged = final && strcmp(final, "1") == 0 ? XF_PART_TEST : XF_PART_VALID;
  if (load(&b)) return 1;
  for (uint64_t s = 0; s < N_SPLIT; s++)
    if (one_split(&b, s + 1, figure[s])) return 1;
  for (size_t a = 0; a < N_ARM; a++) {
    printf("{\"arm\":\"%s\",\"part\":\"%s\"", arms[a].name,
           b.judged == XF_PART_TEST ? "test" : "validation");
    for (int k = 0; k < N_MEASURE; k++) {
      double x[N_SPLIT], mean, sd;
      for (int s = 0; s < N_SPLIT; s++) x[s] = figure[s][a].value[k];
      mean_sd(&mean, &sd, x);
      printf(",\"%s\":%.4f,\"%s_sd\":%.4f", measure[k], mean, measure[k], sd);
    }
    printf("}\n");
  }
  xf_kg_graph_deinit(&b.graph);
  xf_pairs_deinit(&b.pairs);
  return 0;
}
