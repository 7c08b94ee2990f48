// The decision on small synthetic silos: what helps is used, and three falsifications (permuted item keys, permuted
// pseudonyms, random interactions) in which nothing may be gained. Users of ten tastes; each taste has its own items.
// tsan
#include "base/buf.h"
#include "base/rng.h"
#include "base/worker.h"
#include "param/triangle.h"
#include "rec/gram.h"
#include "rec/inner.h"
#include "rec/joint.h"
#include "rec/metrics.h"
#include "rec/recommender.h"
#include "tensor/blas.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { TASTES = 10, ITEMS = 200, DIM = 8 };

struct silo {
  struct xf_interactions inter;
  struct xf_split split;
  struct xf_rec_data data;
};

// `taste` 1: everything from the own taste; 0: noise. Users first .. first + n; item names are common to all silos.
static void silo_init(struct silo *s, uint32_t first, uint32_t n, uint32_t history, double taste,
                      uint64_t seed, bool timed) {
  struct xf_diag diag = {0};
  struct xf_rng rng;
  xf_rng_init(&rng, seed, 0);
  xf_interactions_init(&s->inter);
  for (uint32_t u = first; u < first + n; u++) {
    bool has[ITEMS] = {false};
    for (uint32_t k = 0; k < history;) {
      const uint32_t group = xf_rng_double(&rng) < taste ? u % TASTES : xf_rng_below(&rng, TASTES);
      const uint32_t i = group + TASTES * xf_rng_below(&rng, ITEMS / TASTES);
      char user[16], item[16];
      if (has[i]) continue;
      has[i] = true;
      k++;
      (void)snprintf(user, sizeof user, "u%u", u);
      (void)snprintf(item, sizeof item, "i%u", i);
      assert_int_equal(xf_interactions_add(&s->inter, user, item, NULL, NAN,
                                           timed ? 1e9 + 86400.0 * (u % 50 + 10 * k) : NAN),
                       XF_OK);
    }
  }
  const struct xf_split_spec spec = {.kind = XF_SPLIT_LEAVE_ONE_OUT, .min = 5};
  assert_int_equal(xf_split_init(&s->split, &s->inter, &spec, NULL, &diag), XF_OK);
  s->data = (struct xf_rec_data){s->split.n_users, s->split.n_items, &s->split.part[XF_PART_TRAIN]};
}

static void silo_deinit(struct silo *s) {
  xf_split_deinit(&s->split);
  xf_interactions_deinit(&s->inter);
}

static struct xf_recommender_spec small(void) {
  struct xf_recommender_spec s = xf_recommender_defaults();
  s.als = (struct xf_als_grid){
      .dim = {DIM, 2 * DIM}, .n_dim = 2, .a = {.05, .1, .2}, .n_a = 3, .rho = {.3}, .n_rho = 1};
  s.als_seeds = 2;
  s.guard.n_neg = 40;
  return s;
}

static struct xf_recommender *decided(const struct xf_recommender_input *in,
                                      const struct xf_recommender_spec *spec) {
  struct xf_recommender *rec = NULL;
  struct xf_diag diag = {0};
  if (xf_recommender_fit(&rec, in, spec, &diag)) fail_msg("%s", diag.text);
  if (xf_recommender_decide(rec, NULL, &diag)) fail_msg("%s", diag.text);
  return rec;
}

// Guarded over alone on the test part: the guard's own users are its optimists.
static double test_gain(const struct xf_recommender *rec, double *se) {
  const uint32_t n = rec->split->n_users;
  const struct xf_heldout_spec held = {rec->split, XF_PART_TEST, NULL, true, 10, 40};
  float *a = calloc(n, sizeof *a), *b = calloc(n, sizeof *b);
  struct xf_diag diag = {0};
  double gain = 0;
  assert_int_equal(
      xf_heldout_eval(rec->arm[XF_RECOMMENDER_ARM_GUARDED].scorer, &held, NULL, a, &diag), XF_OK);
  assert_int_equal(
      xf_heldout_eval(rec->arm[XF_RECOMMENDER_ARM_ALONE].scorer, &held, NULL, b, &diag), XF_OK);
  (void)xf_measure_paired(a, b, n, &gain, se);
  free(a);
  free(b);
  return gain;
}

static char *report(const struct xf_recommender *rec) {
  struct xf_buf text;
  xf_buf_init(&text, 1 << 16);
  assert_int_equal(xf_recommender_print(rec, &text), XF_OK);
  char *out = strdup(xf_buf_cstr(&text));
  xf_buf_deinit(&text);
  return out;
}

// The others' Gram over the items both silos have, under the name of `permute`d items (0: right ones).
struct shared {
  uint32_t item[ITEMS];
  float *triangle, *diagonal;
  struct xf_recommender_gram gram;
};

static void shared_init(struct shared *s, const struct silo *own, const struct silo *other,
                        uint64_t permute) {
  uint32_t theirs[ITEMS], m = 0;
  struct xf_diag diag = {0};
  struct xf_gram gram;
  for (uint32_t i = 0; i < own->inter.items.n; i++) {
    const char *name = xf_names_get(&own->inter.items, i);
    theirs[m] = xf_names_find(&other->inter.items, name, strlen(name));
    s->item[m] = i;
    m += theirs[m] != XF_NO_ID;
  }
  const struct xf_gram_spec spec = {.beta = .5};
  assert_int_equal(xf_gram_build(&gram, &other->data, &spec, &diag), XF_OK);
  s->triangle = calloc(xf_triangle_count(m), sizeof *s->triangle);
  s->diagonal = calloc(m, sizeof *s->diagonal);
  assert_int_equal(xf_gram_pack(&gram, theirs, m, s->triangle, s->diagonal), XF_OK);
  xf_gram_deinit(&gram);
  struct xf_rng rng;
  xf_rng_init(&rng, permute, 7);
  if (permute) xf_rng_shuffle(&rng, s->item, m);
  s->gram = (struct xf_recommender_gram){s->item, m, s->triangle, s->diagonal, .5, 0};
}

static void shared_deinit(struct shared *s) {
  free(s->triangle);
  free(s->diagonal);
}

static void test_gram(void **state) {
  (void)state;
  struct silo own, other;
  struct shared s;
  silo_init(&own, 0, 120, 6, .9, 1, false);
  silo_init(&other, 5000, 900, 12, .9, 2, false);
  shared_init(&s, &own, &other, 0);
  struct xf_recommender_spec spec = small();
  const struct xf_recommender_input in = {.split = &own.split, .gram = &s.gram};
  struct xf_recommender *rec = decided(&in, &spec);
  const struct xf_recommender_candidate *c = xf_recommender_find(rec, "ease.pooled");
  assert_non_null(c);
  assert_true(c->lambda > 0 && c->flags == XF_RECOMMENDER_SHARED);
  assert_null(xf_recommender_find(rec, "decayed 30d")); // no times
  double se, gain = test_gain(rec, &se);
  assert_true(gain > 2 * se && rec->gain > 2 * rec->gain_se);
  char *text = report(rec);
  assert_non_null(strstr(text, "gain over alone on validation: +"));
  assert_non_null(strstr(text, "ease.pooled"));
  free(text);
  // no arm without its candidates; alone has no shared weight
  const struct xf_recommender_choice *alone = &rec->arm[XF_RECOMMENDER_ARM_ALONE];
  for (uint32_t k = 0; k < alone->guard.n_candidate; k++)
    assert_int_equal(rec->candidate[alone->index[k]].flags & XF_RECOMMENDER_SHARED, 0);
  assert_int_equal(rec->arm[XF_RECOMMENDER_ARM_FEDERATED].guard.n_step, 1);
  assert_ptr_equal(xf_recommender_served(rec), rec->arm[XF_RECOMMENDER_ARM_GUARDED].scorer);
  xf_recommender_free(rec);
  shared_deinit(&s);
  silo_deinit(&own);
  silo_deinit(&other);
}

// What noise leaves of a sum need not be positive definite, and EASE inverts: an odd cycle far above the noise.
static void test_noisy_gram(void **state) {
  (void)state;
  struct silo own, other;
  struct shared s;
  silo_init(&own, 0, 120, 6, .9, 1, false);
  silo_init(&other, 5000, 900, 12, .9, 2, false);
  shared_init(&s, &own, &other, 0);
  s.gram.noise_sd = .01;
  s.gram.diagonal = NULL;
  s.triangle[xf_triangle_row(s.gram.m, 0)] = s.triangle[xf_triangle_row(s.gram.m, 0) + 1] =
      s.triangle[xf_triangle_row(s.gram.m, 1)] = 1e4f;
  struct xf_recommender_spec spec = small();
  spec.families = XF_RECOMMENDER_POPULARITY | XF_RECOMMENDER_EASE;
  spec.lambda_se = 0;
  const struct xf_recommender_input in = {.split = &own.split, .gram = &s.gram};
  struct xf_recommender *rec = decided(&in, &spec);
  assert_non_null(xf_recommender_find(rec, "ease.pooled"));
  char *text = report(rec);
  assert_non_null(strstr(text, "the others' co-occurrence is noisy"));
  free(text);
  xf_recommender_free(rec);
  shared_deinit(&s);
  silo_deinit(&own);
  silo_deinit(&other);
}

// Decision 42: the others' items under permuted keys. Over ten permutations lambda is 0 in most, and nothing is gained.
static void test_permuted_items(void **state) {
  (void)state;
  struct silo own, other;
  silo_init(&own, 0, 300, 8, .9, 1, false);
  silo_init(&other, 5000, 900, 12, .9, 2, false);
  struct xf_recommender_spec spec = small();
  spec.families &= ~(uint32_t)XF_RECOMMENDER_ALS;
  uint32_t n_shared = 0;
  for (uint64_t p = 1; p <= 10; p++) {
    struct shared s;
    shared_init(&s, &own, &other, p);
    const struct xf_recommender_input in = {.split = &own.split, .gram = &s.gram};
    struct xf_recommender *rec = decided(&in, &spec);
    n_shared += xf_recommender_find(rec, "kernel.pooled") != NULL;
    n_shared += xf_recommender_find(rec, "ease.pooled") != NULL;
    double se, gain = test_gain(rec, &se);
    assert_true(fabs(gain) <= 2 * se || gain == 0);
    char *text = report(rec);
    if (!xf_recommender_find(rec, "ease.pooled")) assert_non_null(strstr(text, "lambda 0"));
    free(text);
    xf_recommender_free(rec);
    shared_deinit(&s);
  }
  assert_true(n_shared <= 6); // of 20; a gain of one standard error is luck in about a sixth
  silo_deinit(&own);
  silo_deinit(&other);
}

// Two domains with the same users, pulled to each other's rows; right or under permuted pseudonyms.
static struct xf_recommender *pulled(const struct silo *own, const struct silo *other,
                                     uint64_t permute, struct xf_worker *pool) {
  struct xf_diag diag = {0};
  const uint32_t n = own->split.n_users;
  uint64_t *key = calloc(n, sizeof *key);
  uint32_t *mine = calloc(n, sizeof *mine), *theirs = calloc(n, sizeof *theirs);
  for (uint32_t u = 0; u < n; u++) mine[u] = theirs[u] = u;
  struct xf_rng rng;
  xf_rng_init(&rng, permute, 9);
  if (permute) xf_rng_shuffle(&rng, mine, n);
  for (uint32_t u = 0; u < n; u++) key[u] = mine[u];
  const struct xf_joint_domain domain[] = {{&own->data, mine}, {&other->data, theirs}};
  const struct xf_joint_spec joint_spec = {{.dim = DIM, .w = {.1, .3, .5}, .seed = 3}, .5f, 8, 2};
  struct xf_joint joint;
  assert_int_equal(xf_joint_pull(&joint, domain, 2, n, &joint_spec, pool, &diag), XF_OK);
  assert_true(joint.bytes[0] == (uint64_t)9 * n * DIM * sizeof(float));
  const struct xf_recommender_rows rows = {
      .name = "pulled", .als = &joint.als[0], .pull = &joint.pull[0]};
  const struct xf_recommender_input in = {
      .split = &own->split, .rows = &rows, .n_rows = 1, .key = key, .pool = pool};
  struct xf_recommender_spec s = small();
  s.families = XF_RECOMMENDER_POPULARITY | XF_RECOMMENDER_ALS;
  struct xf_recommender *rec = decided(&in, &s);
  xf_joint_deinit(&joint);
  free(key);
  free(mine);
  free(theirs);
  return rec;
}

// Exact sums of one domain are its local ALS.
static void test_joint_sums(void **state) {
  (void)state;
  struct silo own;
  struct xf_diag diag = {0};
  struct xf_joint joint;
  struct xf_als als;
  silo_init(&own, 0, 150, 6, .8, 1, false);
  const uint32_t n = own.split.n_users;
  uint32_t *number = calloc(n, sizeof *number);
  for (uint32_t u = 0; u < n; u++) number[u] = u;
  const struct xf_joint_domain domain = {&own.data, number};
  const struct xf_joint_spec spec = {
      {.dim = DIM, .w = {.1, .3, .5}, .sweeps = 4, .seed = 3}, 0, 4, 2};
  assert_int_equal(xf_joint_sums(&joint, &domain, 1, n, &spec, NULL, &diag), XF_OK);
  assert_int_equal(xf_als_init(&als, &own.data, &spec.als, &diag), XF_OK);
  assert_int_equal(xf_als_fit(&als, &diag), XF_OK);
  for (size_t i = 0; i < (size_t)n * DIM; i++)
    assert_float_equal(joint.als[0].p[i], als.p[i], 2e-3f);
  xf_als_deinit(&als);
  xf_joint_deinit(&joint);
  free(number);
  silo_deinit(&own);
}

static void test_rows(void **state) {
  (void)state;
  struct silo own, other;
  silo_init(&own, 0, 400, 5, .8, 1, false);
  silo_init(&other, 0, 400, 20, .9, 2, false);
  struct xf_recommender *rec = pulled(&own, &other, 0, NULL);
  double se, gain = test_gain(rec, &se);
  assert_true(gain > 2 * se && rec->gain > 2 * rec->gain_se);
  assert_true(xf_recommender_find(rec, "pulled")->kappa == .5);
  xf_recommender_free(rec);
  uint32_t n_better = 0;
  for (uint64_t p = 1; p <= 4; p++) {
    rec = pulled(&own, &other, p, NULL);
    gain = test_gain(rec, &se);
    n_better += gain > 2 * se && gain > 0;
    xf_recommender_free(rec);
  }
  assert_int_equal(n_better, 0);
  silo_deinit(&own);
  silo_deinit(&other);
}

static void test_threads(void **state) {
  (void)state;
  struct silo own, other;
  silo_init(&own, 0, 200, 6, .8, 1, true);
  silo_init(&other, 0, 200, 12, .9, 2, true);
  struct xf_worker *pool;
  assert_int_equal(xf_worker_start(&pool, 3, NULL, NULL), XF_OK);
  struct xf_recommender *a = pulled(&own, &other, 0, NULL), *b = pulled(&own, &other, 0, pool);
  for (int i = 0; i < XF_RECOMMENDER_N_ARM; i++)
    assert_memory_equal(&a->arm[i].guard, &b->arm[i].guard, sizeof a->arm[i].guard);
  assert_memory_equal(a->arm[XF_RECOMMENDER_ARM_GUARDED].figure,
                      b->arm[XF_RECOMMENDER_ARM_GUARDED].figure, 200 * sizeof(float));
  xf_recommender_free(a);
  xf_recommender_free(b);
  xf_worker_stop(pool);
  silo_deinit(&own);
  silo_deinit(&other);
}

// Decision 42: on random interactions the served list is as good as chance.
static void test_chance(void **state) {
  (void)state;
  struct silo own, other;
  struct shared s;
  silo_init(&own, 0, 500, 8, 0, 5, true);
  silo_init(&other, 5000, 900, 12, 0, 6, true);
  shared_init(&s, &own, &other, 0);
  struct xf_recommender_spec spec = small();
  const struct xf_recommender_input in = {.split = &own.split, .gram = &s.gram};
  struct xf_recommender *rec = decided(&in, &spec);
  const struct xf_csr *test = &own.split.part[XF_PART_TEST];
  const struct xf_heldout_spec held = {&own.split, XF_PART_TEST, NULL, true, 10, 0};
  float row[ITEMS];
  uint32_t rival[ITEMS];
  struct xf_diag diag = {0};
  double hits = 0, want = 0, var = 0;
  for (uint32_t u = 0; u < own.split.n_users; u++) {
    if (test->start[u] == test->start[u + 1]) continue;
    const struct xf_query q = xf_heldout_query(&held, u);
    assert_int_equal(xf_scorer_score(xf_recommender_served(rec), &q, row, &diag), XF_OK);
    const uint32_t n = xf_heldout_rivals(&held, u, rival);
    uint32_t above = 0;
    for (uint32_t r = 0; r < n; r++) above += row[rival[r]] >= row[test->item[test->start[u]]];
    const double p = 10.0 / (n + 1);
    hits += above < 10;
    want += p;
    var += p * (1 - p);
  }
  assert_true(want > 20 && fabs(hits - want) <= 3 * sqrt(var));
  xf_recommender_free(rec);
  shared_deinit(&s);
  silo_deinit(&own);
  silo_deinit(&other);
}

static void test_inner(void **state) {
  (void)state;
  struct silo s;
  struct xf_split a;
  struct xf_diag diag = {0};
  silo_init(&s, 0, 100, 7, .8, 4, true);
  assert_int_equal(xf_inner_init(&a, &s.split, 0, 1, &diag), XF_OK);
  const struct xf_csr *all = &s.split.part[XF_PART_TRAIN], *keep = &a.part[XF_PART_TRAIN],
                      *held = &a.part[XF_PART_VALID];
  assert_int_equal(xf_csr_count(keep) + xf_csr_count(held), xf_csr_count(all));
  assert_int_equal(xf_csr_count(&a.part[XF_PART_TEST]), xf_csr_count(&s.split.part[XF_PART_VALID]));
  for (uint32_t u = 0; u < a.n_users; u++)
    for (uint32_t k = held->start[u]; k < held->start[u + 1]; k++) {
      assert_true(xf_csr_find(all, u, held->item[k]) && !xf_csr_find(keep, u, held->item[k]));
      assert_true(a.item_count[held->item[k]] > 0); // it can be found by others' events
      for (uint32_t j = keep->start[u]; j < keep->start[u + 1]; j++)
        assert_true(keep->time[j] <= held->time[k]); // the latest was taken
    }
  bool judge[100];
  assert_int_equal(xf_inner_judges(&a, 30, 2, judge), 30);
  uint32_t n = 0;
  for (int u = 0; u < 100; u++) n += judge[u];
  assert_int_equal(n, 30);
  xf_split_deinit(&a);
  assert_int_equal(xf_inner_init(&a, &s.split, 50, 1, &diag), XF_E_NOTFOUND);
  silo_deinit(&s);
}

// A guard whose table keeps a sample of the negatives decides by figures near those of all negatives.
static void test_table(void **state) {
  (void)state;
  struct silo s;
  silo_init(&s, 0, 300, 8, .8, 1, false);
  struct xf_recommender_spec spec = small();
  spec.families = XF_RECOMMENDER_POPULARITY | XF_RECOMMENDER_KERNEL;
  const struct xf_recommender_input in = {.split = &s.split};
  struct xf_recommender *rec = decided(&in, &spec);
  struct xf_guard_table all, some;
  struct xf_diag diag = {0};
  assert_int_equal(xf_recommender_table(&all, rec, NULL, &diag), XF_OK);
  assert_false(all.sampled);
  struct xf_guard_spec less = rec->guard;
  less.max_bytes = (uint64_t)all.n_user * all.n_candidate * 100 * sizeof(float);
  assert_int_equal(xf_recommender_table(&some, rec, &less, &diag), XF_OK);
  assert_true(some.sampled);
  struct xf_recommender_choice a, b;
  assert_int_equal(xf_recommender_choose(&a, rec, &all, NULL, NULL, &diag), XF_OK);
  assert_int_equal(xf_recommender_choose(&b, rec, &some, NULL, NULL, &diag), XF_OK);
  assert_true(fabs(a.guard.alone[1] - b.guard.alone[1]) < .02);
  // the table's figure of one candidate is heldout's
  float *figure = calloc(s.split.n_users, sizeof *figure);
  const struct xf_recommender_candidate *k = xf_recommender_find(rec, "kernel.own");
  assert_int_equal(xf_heldout_eval(k->scorer, &all.held, NULL, figure, &diag), XF_OK);
  assert_true(fabs(xf_heldout_mean(figure, s.split.n_users) - a.guard.alone[1]) < 1e-6);
  free(figure);
  xf_recommender_choice_deinit(&a);
  xf_recommender_choice_deinit(&b);
  less.n_neg = 0; // the full list's figure cannot be sampled
  xf_guard_table_deinit(&some);
  assert_int_equal(xf_recommender_table(&some, rec, &less, &diag), XF_E_LIMIT);
  xf_guard_table_deinit(&all);
  xf_recommender_free(rec);
  silo_deinit(&s);
}

static void test_add_and_refusals(void **state) {
  (void)state;
  struct silo s, o;
  silo_init(&s, 0, 150, 7, .8, 4, false);
  silo_init(&o, 0, 150, 4, .8, 4, false); // too short for a validation part
  struct xf_recommender_spec spec = small();
  spec.families = XF_RECOMMENDER_POPULARITY | XF_RECOMMENDER_KERNEL;
  spec.keep_inner = true;
  const struct xf_recommender_input in = {.split = &s.split};
  struct xf_recommender *rec = decided(&in, &spec);
  struct xf_diag diag = {0};
  assert_true(rec->inner.n_users == s.split.n_users);
  const struct xf_recommender_candidate *k = xf_recommender_find(rec, "kernel.own");
  assert_true(k->inner && k->scorer && k->tries == 2);
  struct xf_recommender_candidate extra = {
      .name = "extra", .scorer = k->scorer, .flags = XF_RECOMMENDER_SHARED, .owned = false};
  assert_int_equal(xf_recommender_add(rec, &extra, &diag), XF_OK);
  assert_int_equal(xf_recommender_decide(rec, NULL, &diag), XF_OK);
  const struct xf_guard *g = &rec->arm[XF_RECOMMENDER_ARM_GUARDED].guard;
  assert_true(g->weight[g->n_candidate - 1] == 0); // the local copy is named first
  assert_true(rec->gain == 0);
  assert_int_equal(xf_recommender_add(rec, &extra, &diag), XF_E_INVAL);
  xf_recommender_free(rec);
  // without validation: the local candidate that split A likes best is served
  const struct xf_recommender_input bare = {.split = &o.split};
  rec = decided(&bare, &spec);
  assert_non_null(xf_recommender_served(rec));
  char *text = report(rec);
  assert_non_null(strstr(text, "no validation"));
  free(text);
  xf_recommender_free(rec);
  spec.n_ridge = 0;
  assert_int_equal(xf_recommender_fit(&rec, &in, &spec, &diag), XF_E_INVAL);
  const float triangle[] = {NAN}, diagonal[] = {1, 1};
  const uint32_t item[] = {0, 1};
  const struct xf_recommender_gram bad = {item, 2, triangle, diagonal, .5, 0};
  const struct xf_recommender_input broken = {.split = &s.split, .gram = &bad};
  spec = small();
  assert_int_equal(xf_recommender_fit(&rec, &broken, &spec, &diag), XF_E_NAN);
  silo_deinit(&s);
  silo_deinit(&o);
}

// Counts among overlapping users, a noisy Gram, rows of other data: what each becomes, and what is said.
static void test_artifacts(void **state) {
  (void)state;
  struct silo own, other;
  struct shared g;
  struct xf_diag diag = {0};
  silo_init(&own, 0, 150, 7, .9, 4, false);
  silo_init(&other, 5000, 900, 12, .9, 2, false);
  shared_init(&g, &own, &other, 0);
  const double sd = .02; // entries of one pair are about .3 and more
  for (size_t k = 0; k < xf_triangle_count(g.gram.m); k++) {
    struct xf_rng rng;
    xf_rng_init(&rng, 3, k);
    g.triangle[k] += (float)(sd * xf_rng_normal(&rng));
  }
  g.gram.noise_sd = sd;
  g.gram.diagonal = NULL;
  float *count = calloc(own.split.n_items, sizeof *count);
  for (uint32_t i = 0; i < own.split.n_items; i++) count[i] = (float)own.split.item_count[i];
  struct xf_recommender_spec spec = small();
  spec.families = XF_RECOMMENDER_POPULARITY | XF_RECOMMENDER_EASE;
  const struct xf_recommender_input in = {.split = &own.split, .gram = &g.gram, .overlap = count};
  struct xf_recommender *rec = decided(&in, &spec);
  const struct xf_recommender_candidate *overlap = xf_recommender_find(rec, "overlap"),
                                        *popular = xf_recommender_find(rec, "popularity");
  assert_true(overlap && overlap->flags == XF_RECOMMENDER_SHARED);
  float a[ITEMS], b[ITEMS];
  const struct xf_query nobody = {XF_NO_ID, NULL, 0, NAN};
  assert_int_equal(xf_scorer_score(overlap->scorer, &nobody, a, &diag), XF_OK);
  assert_int_equal(xf_scorer_score(popular->scorer, &nobody, b, &diag), XF_OK);
  for (uint32_t i = 0; i < own.split.n_items; i++) assert_float_equal(a[i], b[i], 1e-6f);
  assert_non_null(xf_recommender_find(rec, "ease.pooled")); // its large entries are above 4 sd
  char *text = report(rec);
  assert_non_null(strstr(text, "noisy (sd 0.02 by the plan"));
  free(text);
  struct xf_als als;
  const struct xf_als_spec als_spec = {.dim = DIM, .w = {.1, .3, .5}};
  assert_int_equal(xf_als_init(&als, &other.data, &als_spec, &diag), XF_OK);
  const struct xf_recommender_rows rows = {.name = "foreign", .als = &als};
  assert_int_equal(xf_recommender_add_rows(rec, &rows, &diag), XF_E_SHAPE);
  assert_non_null(strstr(diag.text, "foreign"));
  xf_als_deinit(&als);
  xf_recommender_free(rec);
  count[3] = -1;
  assert_int_equal(xf_recommender_fit(&rec, &in, &spec, &diag), XF_E_NAN);
  count[3] = 1;
  g.gram.noise_sd = 0; // and still no diagonal
  assert_int_equal(xf_recommender_fit(&rec, &in, &spec, &diag), XF_E_INVAL);
  free(count);
  shared_deinit(&g);
  silo_deinit(&own);
  silo_deinit(&other);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_inner),          cmocka_unit_test(test_table),
      cmocka_unit_test(test_gram),           cmocka_unit_test(test_noisy_gram),
      cmocka_unit_test(test_permuted_items), cmocka_unit_test(test_rows),
      cmocka_unit_test(test_threads),        cmocka_unit_test(test_joint_sums),
      cmocka_unit_test(test_chance),         cmocka_unit_test(test_add_and_refusals),
      cmocka_unit_test(test_artifacts),
  };
  struct xf_diag diag = {0};
  if (xf_blas_start(NULL, &diag)) {
    (void)fprintf(stderr, "%s\n", diag.text);
    return 1;
  }
  return cmocka_run_group_tests(tests, NULL, NULL);
}
