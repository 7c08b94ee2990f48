// Diverse lists on MovieLens-100K: EASE (ridge 500, fixed beforehand) re-ranked by DPP, MMR, calibration and coverage, similarity
// by genres; one row also by common users. A user's event is ranked by a model of all events before it (of every user alike),
// against all items outside the history. Development: the five events before the last, each in a step of its own, and the last
// is not read. FINAL=1: the last. Per rule: NDCG@10 and HR@10 of the list of ten, its measures of diversity, the change of NDCG@10
// against "none" with its standard error, paired by user, and the lower end of a one-sided 95 % bootstrap interval.
// Reads $CROSSFED_DATA/ml-100k (default ../shared/data): u.data.gz, u.item.gz; exit status 77 without them.
// modules: rec data tensor base
#include "base/alloc.h"
#include "data/lines.h"
#include "rec/calibrate.h"
#include "rec/diversity.h"
#include "rec/item_model.h"
#include "rec/paired.h"
#include "rec/rerank.h"
#include "tensor/blas.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { K = 10, N_GENRE = 19, FIRST_FLAG = 5, STEPS = 5 };
static const double ridge = 500;
static const struct {
  const char *text;
  bool by_users; // similarity by common users instead of genres
} rule[] = {{"none", false},           {"dpp:0.99", false},       {"dpp:0.95", false},
            {"dpp:0.9", false},        {"dpp:0.85", false},       {"dpp:0.8", false},
            {"dpp:0.7", false},        {"dpp:0.5", false},        {"dpp:0.8", true},
            {"mmr:0.9", false},        {"mmr:0.7", false},        {"mmr:0.6", false},
            {"mmr:0.5", false},        {"mmr:0.3", false},        {"calibrated:0.9", false},
            {"calibrated:0.7", false}, {"calibrated:0.5", false}, {"cover:0.1", false},
            {"cover:0.15", false},     {"cover:0.2", false}};
enum { N_RULE = sizeof rule / sizeof rule[0] };

static struct xf_diag diag;
static char path[1024];
static struct xf_interactions inter;
static struct xf_categories genres;
static uint32_t *order;    // [events] by user, time, place in the file
static struct xf_csr seen; // what the model has
static uint32_t *label;    // [users] item to be ranked, or XF_NO_ID
static uint32_t *popular;  // [items] of seen
static struct xf_itemsim by_genre, by_users;
static struct xf_gram gram;
static struct xf_scorer *ease;

static int fail(const char *what) {
  fprintf(stderr, "diversity: %s: %s\n", what, diag.text);
  return 1;
}

static const char *file(const char *name) {
  const char *root = getenv("CROSSFED_DATA");
  snprintf(path, sizeof path, "%s/ml-100k/%s", root ? root : "../shared/data", name);
  return path;
}

// u.item: id|title|date|video date|address|19 flags.
static int load_genres(void) {
  struct xf_lines *lines;
  const struct xf_field *field;
  size_t n, n_pair = 0;
  const size_t room = (size_t)inter.items.n * N_GENRE + 1;
  uint32_t *item = xf_calloc(room, sizeof *item), *genre = xf_calloc(room, sizeof *genre);
  uint8_t *known = xf_calloc(inter.items.n + 1, 1);
  enum xf_rc rc = xf_lines_open(&lines, file("u.item.gz"), '|', &diag);
  while (!rc && !(rc = xf_lines_next(lines, &field, &n, &diag))) {
    const uint32_t id = xf_names_find(&inter.items, field[0].p, field[0].len);
    if (n != FIRST_FLAG + N_GENRE) rc = xf_lines_fail(lines, 0, XF_E_FORMAT, &diag, "not u.item");
    if (rc || id == XF_NO_ID || known[id]) continue;
    known[id] = 1;
    for (uint32_t g = 0; g < N_GENRE; g++) {
      if (strcmp(field[FIRST_FLAG + g].p, "1") != 0) continue;
      item[n_pair] = id;
      genre[n_pair++] = g;
    }
  }
  if (rc == XF_E_EOF) rc = xf_csr_init(&genres.of, inter.items.n, N_GENRE, item, genre, n_pair);
  genres.n = N_GENRE;
  xf_lines_close(lines);
  xf_free(item);
  xf_free(genre);
  xf_free(known);
  return rc ? fail(path) : 0;
}

static int by_time(const void *a, const void *b) {
  const uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
  if (inter.user[i] != inter.user[j]) return inter.user[i] < inter.user[j] ? -1 : 1;
  if (inter.time[i] < inter.time[j] || inter.time[j] < inter.time[i])
    return inter.time[i] < inter.time[j] ? -1 : 1;
  return (i > j) - (i < j);
}

static int load(void) {
  const struct xf_interactions_spec spec = {.user = 1, .item = 2, .value = 3, .time = 4};
  if (xf_interactions_load(&inter, file("u.data.gz"), &spec, &diag)) return fail(path);
  order = xf_calloc(inter.n + 1, sizeof *order);
  for (size_t i = 0; i < inter.n; i++) order[i] = (uint32_t)i;
  qsort(order, inter.n, sizeof *order, by_time);
  label = xf_calloc(inter.users.n + 1, sizeof *label);
  popular = xf_calloc(inter.items.n + 1, sizeof *popular);
  return load_genres();
}

// Ranks each user's event number `back` from the end (0: the last); those before it are seen. An item nobody was seen with has no
// score and is not asked for.
static int cut(uint32_t back) {
  uint32_t *user = xf_calloc(inter.n + 1, sizeof *user);
  uint32_t *item = xf_calloc(inter.n + 1, sizeof *item);
  size_t n = 0;
  memset(popular, 0, inter.items.n * sizeof *popular);
  for (size_t from = 0, to = 0; from < inter.n; from = to) {
    const uint32_t u = inter.user[order[from]];
    while (to < inter.n && inter.user[order[to]] == u) to++;
    label[u] = to - from > back ? inter.item[order[to - 1 - back]] : XF_NO_ID;
    for (size_t k = from; k + 1 + back < to; k++) {
      user[n] = u;
      item[n++] = inter.item[order[k]];
      popular[inter.item[order[k]]]++;
    }
  }
  for (uint32_t u = 0; u < inter.users.n; u++)
    if (label[u] != XF_NO_ID && popular[label[u]] == 0) label[u] = XF_NO_ID;
  const enum xf_rc rc = xf_csr_init(&seen, inter.users.n, inter.items.n, user, item, n);
  xf_free(user);
  xf_free(item);
  return rc ? fail("events") : 0;
}

static int fit(void) {
  const struct xf_rec_data data = {inter.users.n, inter.items.n, &seen};
  const struct xf_gram_spec spec = {.beta = 0};
  if (xf_gram_build(&gram, &data, &spec, &diag) || xf_ease_fit(&ease, &gram, ridge, 0, &diag))
    return fail("EASE");
  xf_itemsim_categories(&by_genre, &genres, inter.items.n);
  xf_itemsim_gram(&by_users, &gram);
  return 0;
}

struct result {
  struct xf_diversity lists;                          // of this step
  struct xf_measure_sum of[XF_N_DIVERSITY], ndcg, hr; // of all steps
  double coverage, gini, entropy;                     // sums over steps
  struct xf_measure_sum *user;                        // [users] ndcg
};
static struct result result[N_RULE];

// One user's list by one rule.
static int show(struct result *r, int which, uint32_t u, const float *score, const double *target) {
  const struct xf_rerank_source source = {rule[which].by_users ? &by_users : &by_genre, &genres};
  const struct xf_diversity_spec spec = {&by_genre, &genres, popular, inter.users.n};
  const uint32_t *history = seen.item + seen.start[u];
  const uint32_t n_history = seen.start[u + 1] - seen.start[u];
  const struct xf_rerank_row row = {score, inter.items.n, history, n_history, history, n_history};
  struct xf_topk_item out[K];
  struct xf_rerank how;
  uint32_t n = 0, item[K], at = K;
  double value[XF_N_DIVERSITY];
  if (xf_rerank_parse(&how, rule[which].text, strlen(rule[which].text), &diag) ||
      xf_rerank_top(out, &n, K, how, &source, &row, &diag))
    return fail(rule[which].text);
  for (uint32_t t = 0; t < n; t++) {
    item[t] = out[t].item;
    if (item[t] == label[u]) at = t;
  }
  if (xf_diversity_list(value, &spec, item, n, target)) return fail("measures");
  xf_diversity_add(&r->lists, item, n, value);
  const double ndcg = at < K ? 1 / log2(at + 2.0) : 0;
  r->user[u].sum += ndcg;
  r->user[u].count++;
  r->ndcg.sum += ndcg;
  r->ndcg.count++;
  r->hr.sum += at < K;
  r->hr.count++;
  return 0;
}

// One step: all users' lists by all rules.
static int step(uint32_t back) {
  float *score = xf_calloc(inter.items.n + 1, sizeof *score);
  double target[N_GENRE], gini = 0;
  if (cut(back) || fit()) return 1;
  for (int r = 0; r < N_RULE; r++)
    if (xf_diversity_init(&result[r].lists, inter.items.n)) return fail("measures");
  for (uint32_t u = 0; u < inter.users.n; u++) {
    if (label[u] == XF_NO_ID) continue;
    const uint32_t *history = seen.item + seen.start[u], n = seen.start[u + 1] - seen.start[u];
    const struct xf_query query = {u, history, n, NAN};
    if (xf_scorer_score(ease, &query, score, &diag)) return fail("scores");
    (void)xf_calibrate_shares(target, &genres, history, n);
    for (int r = 0; r < N_RULE; r++)
      if (show(&result[r], r, u, score, target)) return 1;
  }
  for (int r = 0; r < N_RULE; r++) {
    struct xf_diversity *lists = &result[r].lists;
    if (xf_diversity_gini(&gini, lists->shown, lists->n_items)) return fail("measures");
    result[r].gini += gini;
    result[r].coverage += xf_diversity_coverage(lists->shown, lists->n_items);
    result[r].entropy += xf_diversity_entropy(lists->shown, lists->n_items);
    for (int m = 0; m < XF_N_DIVERSITY; m++) {
      result[r].of[m].sum += lists->of[m].sum;
      result[r].of[m].count += lists->of[m].count;
    }
    xf_diversity_deinit(lists);
  }
  xf_scorer_free(ease);
  xf_gram_deinit(&gram);
  xf_csr_deinit(&seen);
  xf_free(score);
  return 0;
}

static float per_user(const struct result *r, uint32_t u) {
  return r->user[u].count > 0 ? (float)(r->user[u].sum / r->user[u].count) : NAN;
}

static double mean(struct xf_measure_sum sum) { return sum.sum / sum.count; }

static int print(int which, bool final, float *a, float *b) {
  const struct result *r = &result[which];
  struct xf_paired change;
  for (uint32_t u = 0; u < inter.users.n; u++) {
    a[u] = per_user(r, u);
    b[u] = per_user(&result[0], u);
  }
  if (xf_paired_bootstrap(&change, a, b, inter.users.n,
                          &(struct xf_paired_spec){.level = .9, .seed = 1}, &diag))
    return fail("figures");
  const double base = mean(result[0].ndcg), steps = final ? 1 : STEPS;
  printf("{\"part\":\"%s\",\"rule\":\"%s\",\"similarity\":\"%s\",\"lists\":%.0f,\"ndcg_10\":%.4f,"
         "\"hr_10\":%.3f,\"ild\":%.3f,\"genres\":%.2f,\"calibration_kl\":%.3f,\"novelty\":%.3f,"
         "\"coverage\":%.3f,\"gini\":%.3f,\"entropy\":%.2f,\"change\":%.4f,\"se\":%.4f,"
         "\"change_percent\":%.1f,\"lower_percent\":%.1f}\n",
         final ? "final" : "development", rule[which].text,
         rule[which].by_users ? "users" : "genres", r->ndcg.count, mean(r->ndcg), mean(r->hr),
         mean(r->of[XF_DIVERSITY_ILD]), mean(r->of[XF_DIVERSITY_CATEGORIES]),
         mean(r->of[XF_DIVERSITY_KL]), mean(r->of[XF_DIVERSITY_NOVELTY]), r->coverage / steps,
         r->gini / steps, r->entropy / steps, change.mean, change.se, 100 * change.mean / base,
         100 * change.low / base);
  return 0;
}

static int table(bool final) {
  float *a = xf_calloc(inter.users.n + 1, sizeof *a), *b = xf_calloc(inter.users.n + 1, sizeof *b);
  for (int r = 0; r < N_RULE; r++)
    result[r].user = xf_calloc(inter.users.n + 1, sizeof *result[r].user);
  if (final && step(0)) return 1;
  for (uint32_t back = 1; !final && back <= STEPS; back++)
    if (step(back)) return 1;
  for (int r = 0; r < N_RULE; r++)
    if (print(r, final, a, b)) return 1;
  for (int r = 0; r < N_RULE; r++) xf_free(result[r].user);
  xf_free(a);
  xf_free(b);
  return 0;
}

int main(void) {
  const char *say = getenv("FINAL");
  const bool final = say && strcmp(say, "1") == 0;
  FILE *there = fopen(file("u.item.gz"), "rb");
  if (!there) {
    printf("no MovieLens-100K at %s\n", path);
    return 77;
  }
  fclose(there);
  if (xf_blas_start(NULL, &diag)) return fail("BLAS");
  if (load() || table(final)) return 1;
  xf_csr_deinit(&genres.of);
  xf_free(order);
  xf_free(label);
  xf_free(popular);
  xf_interactions_deinit(&inter);
  return 0;
}
