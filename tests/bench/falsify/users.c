/* Ciao: rows exchanged under pseudonyms that name somebody else. */
#include "falsify.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "data/split.h"
#include "rec/joint.h"
#include "rec/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { D = 8, ROUNDS = 16, DIM = 96, MIN_HOLDERS = 2, N_JOINT = 2 };
static const char *const DOMAIN[D] = {"1", "2", "3", "4", "5", "6", "10", "12"};
static const char *const NAME[N_JOINT] = {"weak", "strong"};
static const struct xf_joint_spec SPEC[N_JOINT] = {
    {{.dim = DIM, .w = {.01, .3, .5}}, .25f, ROUNDS, MIN_HOLDERS},
    {{.dim = DIM, .w = {.02, .3, .5}}, .5f, ROUNDS, MIN_HOLDERS}};

struct category {
  struct xf_interactions inter;
  struct xf_split split;
  struct xf_rec_data data;
  uint32_t *name, *global; /* [n_users] among all users; as exchanged */
  struct xf_recommender *rec;
};

static struct category category[D];
static uint32_t n_global;
static struct xf_diag diag;

static int fail(const char *what) {
  (void)fprintf(stderr, "falsify: %s: %s\n", what, diag.text);
  return 1;
}

static int load(void) {
  static const struct xf_interactions_spec COLUMNS = {
      .user = 1, .item = 2, .domain = 3, .value = 4, .time = 6};
  static const struct xf_split_spec LEAVE_ONE_OUT = {.kind = XF_SPLIT_LEAVE_ONE_OUT, .min = 5};
  struct xf_interactions all;
  const char *root = getenv("CROSSFED_DATA");
  char path[4096];
  (void)snprintf(path, sizeof path, "%s/ciao/rating.tsv.gz", root ? root : "../shared/data");
  enum xf_rc rc = xf_interactions_load(&all, path, &COLUMNS, &diag);
  if (rc == XF_E_NOTFOUND) {
    printf("no Ciao data at %s\n", path);
    return 77;
  }
  n_global = all.users.n;
  for (int d = 0; d < D && !rc; d++) {
    struct category *c = &category[d];
    rc = xf_interactions_select(&c->inter, &all, all.domain,
                                xf_names_find(&all.domains, DOMAIN[d], strlen(DOMAIN[d])));
    if (!rc) rc = xf_split_init(&c->split, &c->inter, &LEAVE_ONE_OUT, NULL, &diag);
    if (rc) break;
    c->data =
        (struct xf_rec_data){c->split.n_users, c->split.n_items, &c->split.part[XF_PART_TRAIN]};
    c->name = xf_calloc(c->split.n_users + 1, sizeof *c->name);
    c->global = xf_calloc(c->split.n_users + 1, sizeof *c->global);
    for (uint32_t u = 0; u < c->split.n_users; u++) {
      const char *user = xf_names_get(&c->inter.users, u);
      c->name[u] = xf_names_find(&all.users, user, strlen(user));
    }
  }
  xf_interactions_deinit(&all);
  return rc ? fail(path) : 0;
}

static void unload(void) {
  for (int d = 0; d < D; d++) {
    struct category *c = &category[d];
    xf_recommender_free(c->rec);
    xf_split_deinit(&c->split);
    xf_interactions_deinit(&c->inter);
    xf_free(c->name);
    xf_free(c->global);
    *c = (struct category){0};
  }
}

/* Seed 0: who they are. Else which user of a category is which is shuffled; which pseudonyms a category holds stays as it is. */
static void pseudonyms(uint64_t seed) {
  struct xf_rng rng;
  xf_rng_init(&rng, seed, 0);
  for (int d = 0; d < D; d++) {
    struct category *c = &category[d];
    memcpy(c->global, c->name, c->split.n_users * sizeof *c->global);
    if (seed) xf_rng_shuffle(&rng, c->global, c->split.n_users);
  }
}

/* Which half of the users chooses for the other. */
static bool *half_of(const struct category *c, int half) {
  bool *out = xf_calloc(c->split.n_users + 1, sizeof *out);
  for (uint32_t u = 0; u < c->split.n_users; u++)
    out[u] = (int)((c->name[u] * UINT32_C(2654435761)) >> 31) == half;
  return out;
}

/* All categories' users in a row: one arm's figures, of users who did not choose it. */
struct figures {
  float *value; /* [n] */
  uint32_t shared, chosen;
};

/* Local candidates: everything with its settings, and mixes. Fitted once; every seed adds its rows beside the others'. */
static enum xf_rc fit(struct category *c, struct xf_worker *pool) {
  const struct xf_recommender_input in = {.split = &c->split, .key = NULL, .pool = pool};
  const struct xf_recommender_spec spec = xf_recommender_defaults();
  enum xf_rc rc = xf_recommender_fit(&c->rec, &in, &spec, &diag);
  if (!rc) rc = xf_recommender_mix(c->rec, &diag);
  if (!rc) xf_recommender_free_inner(c->rec);
  return rc;
}

static enum xf_rc exchange(uint64_t seed, struct xf_worker *pool) {
  struct xf_joint_domain domain[D];
  struct xf_joint joint = {0};
  enum xf_rc rc = XF_OK;
  pseudonyms(seed);
  for (int d = 0; d < D; d++)
    domain[d] = (struct xf_joint_domain){&category[d].data, category[d].global};
  for (int p = 0; p < N_JOINT && !rc; p++) {
    rc = xf_joint_pull(&joint, domain, D, n_global, &SPEC[p], pool, &diag);
    for (int d = 0; d < D && !rc; d++) {
      char name[XF_RECOMMENDER_NAME];
      (void)snprintf(name, sizeof name, "%s.%u", NAME[p], (unsigned)seed);
      const struct xf_recommender_rows rows = {
          .name = name, .als = &joint.als[d], .pull = &joint.pull[d]};
      rc = xf_recommender_add_rows(category[d].rec, &rows, &diag);
    }
    xf_joint_deinit(&joint);
  }
  return rc;
}

/* Local candidates, perhaps not those that read the instant, and the rows of a seed; SEEDS + 1: none. */
static bool uses(const struct xf_recommender_candidate *c, uint64_t seed, bool timed) {
  const char *dot = strrchr(c->name, '.');
  if (c->flags & XF_RECOMMENDER_TIMED && !timed) return false;
  return !(c->flags & XF_RECOMMENDER_SHARED) || (dot && (uint64_t)(dot[1] - '0') == seed);
}

/* The guard's blend by one half of the users, its figures of the others at `at`. */
static enum xf_rc judge(struct figures *f, size_t at, const struct category *c,
                        const struct xf_guard_table *table, uint64_t seed, bool timed, int half) {
  struct xf_recommender_choice choice;
  bool use[XF_BLEND_PARTS];
  bool *users = half_of(c, half);
  for (uint32_t i = 0; i < c->rec->n_candidate; i++)
    use[i] = uses(&c->rec->candidate[i], seed, timed);
  const enum xf_rc rc = xf_recommender_choose(&choice, c->rec, table, use, users, &diag);
  if (!rc) {
    for (uint32_t u = 0; u < c->split.n_users; u++)
      if (!users[u]) f->value[at + u] = choice.figure[u];
    f->shared += N_JOINT;
    f->chosen += brought(c->rec, &choice).chosen;
    xf_recommender_choice_deinit(&choice);
  }
  xf_free(users);
  return rc;
}

static enum xf_rc judge_all(struct figures f[2][SEEDS + 2]) {
  size_t at = 0;
  enum xf_rc rc = XF_OK;
  for (int d = 0; d < D && !rc; d++) {
    const struct category *c = &category[d];
    struct xf_guard_table table = {0};
    rc = xf_recommender_table(&table, c->rec, NULL, &diag);
    for (uint64_t seed = 0; seed <= SEEDS + 1; seed++)
      for (int side = 0; side < 4 && !rc; side++)
        rc = judge(&f[side / 2][seed], at, c, &table, seed, side / 2 == 1, side % 2);
    xf_guard_table_deinit(&table);
    at += c->split.n_users;
  }
  return rc;
}

/* Over the local arm; and of the data as they are over each permutation. */
static void print(const struct figures f[SEEDS + 2], bool timed, size_t n) {
  for (uint64_t seed = 0; seed <= SEEDS; seed++) {
    double mean, se;
    xf_measure_paired(f[seed].value, f[SEEDS + 1].value, n, &mean, &se);
    printf("{\"data\":\"%s\",\"domain\":\"eight categories%s\",\"seed\":%llu,\"shared\":%u,"
           "\"chosen\":%u,\"gain_ndcg_10\":%.4f,\"se\":%.4f",
           seed ? "permuted pseudonyms" : "as they are", timed ? ", with time" : "",
           (unsigned long long)seed, f[seed].shared, f[seed].chosen, mean, se);
    xf_measure_paired(f[0].value, f[seed].value, n, &mean, &se);
    if (seed) printf(",\"as_they_are_minus_this\":%.4f,\"minus_this_se\":%.4f", mean, se);
    printf("}\n");
  }
}

int falsify_ciao(struct xf_worker *pool) {
  struct figures f[2][SEEDS + 2] = {{{0}}};
  size_t n = 0;
  int status = load();
  if (status) return status;
  enum xf_rc rc = XF_OK;
  for (int d = 0; d < D && !rc; d++) {
    rc = fit(&category[d], pool);
    n += category[d].split.n_users;
  }
  for (uint64_t seed = 0; seed <= SEEDS && !rc; seed++) rc = exchange(seed, pool);
  for (int s = 0; s < 2 * (SEEDS + 2); s++)
    f[s / (SEEDS + 2)][s % (SEEDS + 2)].value = xf_calloc(n + 1, sizeof(float));
  if (!rc) rc = judge_all(f);
  for (int t = 0; t < 2 && !rc; t++) print(f[t], t == 1, n);
  for (int s = 0; s < 2 * (SEEDS + 2); s++) xf_free(f[s / (SEEDS + 2)][s % (SEEDS + 2)].value);
  unload();
  return rc ? fail("categories") : 0;
}
