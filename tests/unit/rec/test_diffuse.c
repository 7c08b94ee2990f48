// Diffusion and PageRank: numbers by hand, both formulas as dense loops on random data with and without a graph, users that
// were never seen, silos' sum against the pooled Gram, exact explanations, refusals.
#include "base/alloc.h"
#include "base/rng.h"
#include "data/names.h"
#include "rec/diffuse.h"

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

enum { U = 40, I = 12, E = 9, V = I + E, N = V + U };

struct world {
  uint32_t start[U + 1], item[U * I];
  struct xf_csr csr;
  struct xf_rec_data data;
  uint64_t edge[V + 1];
  uint32_t node[V * V], relation[V * V], entity[V];
  float weight[V * V];
  struct xf_kg_graph graph;
};

// Item I - 1 has no event, user 0 no history; edges between any two nodes.
static void world_random(struct world *w, uint64_t seed) {
  struct xf_rng rng;
  xf_rng_init(&rng, seed, 0);
  uint32_t n = 0;
  for (uint32_t u = 0; u < U; u++) {
    w->start[u] = n;
    for (uint32_t i = 0; u && i + 1 < I; i++)
      if (xf_rng_double(&rng) < 0.1 + 0.03 * (double)i) w->item[n++] = i;
  }
  w->start[U] = n;
  w->csr = (struct xf_csr){.n_row = U, .start = w->start, .item = w->item};
  w->data = (struct xf_rec_data){U, I, &w->csr};
  float a[V][V] = {{0}};
  for (int i = 0; i < V; i++)
    for (int j = 0; j < i; j++)
      if (xf_rng_double(&rng) < .2) a[i][j] = a[j][i] = (float)(1 + xf_rng_below(&rng, 2));
  n = 0;
  for (uint32_t i = 0; i < V; i++) {
    w->edge[i] = n;
    for (uint32_t j = 0; j < V; j++)
      if (a[i][j] > 0) {
        w->node[n] = j;
        w->weight[n++] = a[i][j];
      }
  }
  w->edge[V] = n;
  w->graph = (struct xf_kg_graph){.n_items = I,
                                  .n_node = V,
                                  .start = w->edge,
                                  .node = w->node,
                                  .relation = w->relation,
                                  .weight = w->weight,
                                  .entity = w->entity};
}

static struct xf_query of_user(const struct world *w, uint32_t u) {
  return (struct xf_query){u, w->item + w->start[u], w->start[u + 1] - w->start[u], NAN};
}

static struct xf_gram gram_of(const struct xf_rec_data *data) {
  struct xf_gram g;
  struct xf_diag diag = {0};
  const struct xf_gram_spec spec = {.beta = 1};
  assert_int_equal(xf_gram_build(&g, data, &spec, &diag), XF_OK);
  return g;
}

static struct xf_scorer *diffuse(const struct xf_gram *gram, const struct xf_kg_graph *graph,
                                 struct xf_diffuse_spec spec) {
  struct xf_scorer *s = NULL;
  struct xf_diag diag = {0};
  if (xf_diffuse_fit(&s, gram, graph, &spec, &diag)) fail_msg("%s", diag.text);
  assert_int_equal(s->n_items, gram->n);
  assert_true(s->cost.memory > 0);
  return s;
}

static struct xf_scorer *pagerank(const struct world *w, const struct xf_kg_graph *graph,
                                  struct xf_diffuse_spec spec) {
  struct xf_scorer *s = NULL;
  struct xf_diag diag = {0};
  if (xf_pagerank_fit(&s, &w->data, graph, &spec, &diag)) fail_msg("%s", diag.text);
  return s;
}

static void ask(const struct xf_scorer *s, struct xf_query q, float *out) {
  struct xf_diag diag = {0};
  if (xf_scorer_score(s, &q, out, &diag)) fail_msg("%s", diag.text);
}

static void near(const float *got, const double *want, size_t n) {
  for (size_t k = 0; k < n; k++)
    if (!(fabs((double)got[k] - want[k]) <= 2e-6 * fmax(1, fabs(want[k]))))
      fail_msg("[%zu] is %.9g, not %.9g", k, (double)got[k], want[k]);
}

// The formulas, densely. m [n x n] becomes S; x becomes the sum; d the row sums.
static void spread(double *m, double *d, double *x, size_t n, double alpha, uint32_t steps) {
  double *y = xf_calloc(n, sizeof *y), *sum = xf_calloc(n, sizeof *sum);
  for (size_t i = 0; i < n; i++) {
    d[i] = 0;
    for (size_t j = 0; j < n; j++) d[i] += m[i * n + j];
  }
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++)
      if (m[i * n + j] > 0) m[i * n + j] /= sqrt(d[i] * d[j]);
  for (uint32_t k = 0; k < steps; k++) {
    for (size_t i = 0; i < n; i++) {
      y[i] = 0;
      for (size_t j = 0; j < n; j++) y[i] += alpha * m[i * n + j] * x[j];
    }
    for (size_t i = 0; i < n; i++) {
      x[i] = y[i];
      sum[i] += y[i];
    }
  }
  memcpy(x, sum, n * sizeof *x);
  xf_free(y);
  xf_free(sum);
}

static void add_graph(double *m, size_t n, const struct xf_kg_graph *g, double w) {
  for (uint32_t i = 0; g && i < V; i++)
    for (uint64_t e = g->start[i]; e < g->start[i + 1]; e++)
      m[i * n + g->node[e]] += w * (double)g->weight[e];
}

static void want_diffuse(double *out, const struct xf_gram *gram, const struct xf_kg_graph *g,
                         struct xf_diffuse_spec spec, struct xf_query q) {
  static double m[V * V];
  double d[V], x[V] = {0}, d0[V] = {0};
  memset(m, 0, sizeof m);
  for (uint32_t i = 0; i < I; i++)
    for (uint32_t j = 0; j < I; j++) m[i * V + j] = (double)xf_gram_get(gram, i, j);
  add_graph(m, V, g, spec.w);
  for (size_t i = 0; i < V; i++)
    for (size_t j = 0; j < V; j++) d0[i] += m[i * V + j];
  for (uint32_t k = 0; k < q.n; k++)
    if (d0[q.item[k]] > 0) x[q.item[k]] = 1 / sqrt((double)q.n * d0[q.item[k]]);
  spread(m, d, x, V, spec.alpha, spec.steps);
  for (uint32_t i = 0; i < I; i++) out[i] = x[i] * sqrt(d[i]);
}

static void test_diffuse(void **state) {
  (void)state;
  static struct world w;
  for (uint64_t seed = 1; seed <= 3; seed++) {
    world_random(&w, seed);
    struct xf_gram gram = gram_of(&w.data);
    for (int kg = 0; kg < 2; kg++) {
      const struct xf_kg_graph *g = kg ? &w.graph : NULL;
      const struct xf_diffuse_spec spec = {.w = .3, .alpha = .8, .steps = 1 + (uint32_t)seed};
      struct xf_scorer *s = diffuse(&gram, g, spec);
      assert_string_equal(s->kind->name, "diffuse");
      for (uint32_t u = 0; u < U; u++) {
        float got[I];
        double want[I];
        ask(s, of_user(&w, u), got);
        want_diffuse(want, &gram, g, spec, of_user(&w, u));
        near(got, want, I);
      }
      xf_scorer_free(s);
    }
    xf_gram_deinit(&gram);
  }
}

// Weight 0 is no graph; the graph reaches the item that has no event.
static void test_graph_counts(void **state) {
  (void)state;
  static struct world w;
  world_random(&w, 4);
  struct xf_gram gram = gram_of(&w.data);
  struct xf_diffuse_spec spec = XF_DIFFUSE_DEFAULTS;
  struct xf_scorer *with = diffuse(&gram, &w.graph, spec), *without = diffuse(&gram, NULL, spec);
  spec.w = 0;
  struct xf_scorer *zero = diffuse(&gram, &w.graph, spec);
  float a[I], b[I], c[I];
  ask(with, of_user(&w, 5), a);
  ask(without, of_user(&w, 5), b);
  ask(zero, of_user(&w, 5), c);
  assert_memory_equal(b, c, sizeof b);
  assert_float_equal(b[I - 1], 0, 0);
  assert_true(a[I - 1] > 0);
  xf_scorer_free(with);
  xf_scorer_free(without);
  xf_scorer_free(zero);
  xf_gram_deinit(&gram);
}

// Half the users in each of two silos: own + 1 x the other's release scores as the pooled Gram.
static void test_federated(void **state) {
  (void)state;
  static struct world w;
  world_random(&w, 6);
  const struct xf_csr a = {.n_row = U / 2, .start = w.start, .item = w.item};
  const struct xf_csr b = {.n_row = U / 2, .start = w.start + U / 2, .item = w.item};
  const struct xf_rec_data da = {U / 2, I, &a}, db = {U / 2, I, &b};
  struct xf_gram all = gram_of(&w.data), ga = gram_of(&da), gb = gram_of(&db), sum;
  uint32_t every[I];
  float t[I * (I - 1) / 2], d[I], x[I], y[I], own[I];
  for (uint32_t i = 0; i < I; i++) every[i] = i;
  struct xf_diag diag = {0};
  assert_int_equal(xf_gram_pack(&gb, every, I, t, d), XF_OK);
  assert_int_equal(xf_gram_combine(&sum, &ga, 1, every, I, t, d, 0, &diag), XF_OK);
  struct xf_scorer *pooled = diffuse(&all, &w.graph, XF_DIFFUSE_DEFAULTS);
  struct xf_scorer *federated = diffuse(&sum, &w.graph, XF_DIFFUSE_DEFAULTS);
  struct xf_scorer *local = diffuse(&ga, &w.graph, XF_DIFFUSE_DEFAULTS);
  bool differs = false;
  for (uint32_t u = 1; u < U; u++) {
    ask(pooled, of_user(&w, u), x);
    ask(federated, of_user(&w, u), y);
    ask(local, of_user(&w, u), own);
    for (uint32_t i = 0; i < I; i++) {
      assert_float_equal(x[i], y[i], 1e-6);
      differs |= fabsf(own[i] - x[i]) > 1e-3f;
    }
  }
  assert_true(differs);
  xf_scorer_free(pooled);
  xf_scorer_free(federated);
  xf_scorer_free(local);
  xf_gram_deinit(&all);
  xf_gram_deinit(&ga);
  xf_gram_deinit(&gb);
  xf_gram_deinit(&sum);
}

// x: a start vector over all nodes and what of it is the first step of the sum; steps: of the matrix.
static void want_pagerank(double *out, const struct world *w, const struct xf_kg_graph *g,
                          struct xf_diffuse_spec spec, struct xf_query q, bool outside) {
  static double m[N * N];
  static double d[N], x[N], first[N];
  memset(m, 0, sizeof m);
  memset(x, 0, sizeof x);
  memset(first, 0, sizeof first);
  add_graph(m, N, g, spec.w);
  for (uint32_t u = 0; u < U; u++)
    for (uint32_t k = w->start[u]; k < w->start[u + 1]; k++)
      m[(V + u) * N + w->item[k]] = m[w->item[k] * N + V + u] = 1;
  for (uint32_t k = 0; k < q.n && outside; k++) {
    double degree = 0;
    for (size_t j = 0; j < N; j++) degree += m[q.item[k] * N + j];
    first[q.item[k]] = x[q.item[k]] = degree > 0 ? spec.alpha / sqrt((double)q.n * degree) : 0;
  }
  if (!outside) x[V + q.user] = 1;
  spread(m, d, x, N, spec.alpha, spec.steps - outside);
  for (uint32_t i = 0; i < I; i++) out[i] = x[i] + first[i];
}

static void test_pagerank(void **state) {
  (void)state;
  static struct world w;
  for (uint64_t seed = 1; seed <= 2; seed++) {
    world_random(&w, seed);
    for (int kg = 0; kg < 2; kg++) {
      const struct xf_kg_graph *g = kg ? &w.graph : NULL;
      const struct xf_diffuse_spec spec = {.w = .3, .alpha = .9, .steps = seed == 1 ? 1 : 10};
      struct xf_scorer *s = pagerank(&w, g, spec);
      assert_string_equal(s->kind->name, "pagerank");
      for (uint32_t u = 0; u < U; u++) {
        float got[I];
        double want[I];
        struct xf_query q = of_user(&w, u);
        ask(s, q, got);
        want_pagerank(want, &w, g, spec, q, q.n == 0);
        near(got, want, I);
        q.user = XF_NO_ID; // the same history, of nobody we know
        ask(s, q, got);
        want_pagerank(want, &w, g, spec, q, true);
        near(got, want, I);
        const uint32_t other[] = {2, 5, I - 1}; // a known user with another history
        q = (struct xf_query){u, other, 3, NAN};
        ask(s, q, got);
        want_pagerank(want, &w, g, spec, q, true);
        near(got, want, I);
      }
      xf_scorer_free(s);
    }
  }
}

// More users than walk side by side, known, unknown and refused among each other.
static void test_many(void **state) {
  (void)state;
  static struct world w;
  world_random(&w, 3);
  struct xf_gram gram = gram_of(&w.data);
  struct xf_scorer *of[] = {diffuse(&gram, &w.graph, XF_DIFFUSE_DEFAULTS),
                            pagerank(&w, &w.graph, XF_PAGERANK_DEFAULTS)};
  const uint32_t foreign[] = {1, I};
  for (int k = 0; k < 2; k++) {
    struct xf_query q[U];
    static float out[U * I];
    float one[I];
    bool served[U];
    struct xf_diag diag = {0};
    for (uint32_t u = 0; u < U; u++) {
      q[u] = of_user(&w, u);
      if (u % 5 == 2) q[u].user = XF_NO_ID;
      if (u == 7) q[u] = (struct xf_query){XF_NO_ID, foreign, 2, NAN};
    }
    assert_int_equal(xf_scorer_score_many(of[k], q, U, out, served, &diag), XF_OK);
    for (uint32_t u = 0; u < U; u++) {
      assert_int_equal(served[u], u != 7);
      if (u == 7) {
        assert_int_equal(xf_scorer_score(of[k], &q[u], one, &diag), XF_E_NOTFOUND);
        memset(one, 0, sizeof one);
      } else {
        ask(of[k], q[u], one);
      }
      for (uint32_t i = 0; i < I; i++) assert_float_equal(out[u * I + i], one[i], 1e-6);
    }
    xf_scorer_free(of[k]);
  }
  xf_gram_deinit(&gram);
}

// Shares descend and add up to the score, whoever asks.
static void test_explain(void **state) {
  (void)state;
  static struct world w;
  world_random(&w, 9);
  struct xf_gram gram = gram_of(&w.data);
  struct xf_scorer *of[] = {diffuse(&gram, &w.graph, XF_DIFFUSE_DEFAULTS),
                            pagerank(&w, &w.graph, XF_PAGERANK_DEFAULTS),
                            pagerank(&w, NULL, XF_PAGERANK_DEFAULTS)};
  for (int k = 0; k < 3; k++) {
    for (uint32_t u = 1; u < U; u++) {
      struct xf_query q = of_user(&w, u);
      if (u % 3 == 0) q.user = XF_NO_ID;
      float score[I];
      ask(of[k], q, score);
      for (uint32_t i = 0; i < I; i++) {
        struct xf_why why[I];
        const uint32_t n = of[k]->kind->explain(of[k], &q, i, why, I);
        assert_int_equal(n, q.n);
        double sum = 0;
        for (uint32_t h = 0; h < n; h++) {
          sum += (double)why[h].share;
          if (h) assert_true(why[h].share <= why[h - 1].share);
        }
        assert_true(fabs(sum - (double)score[i]) <= 1e-5 * (1 + fabs(sum)));
        struct xf_why best;
        if (q.n) {
          assert_int_equal(of[k]->kind->explain(of[k], &q, i, &best, 1), 1);
          assert_float_equal(best.share, why[0].share, 0);
        }
      }
      struct xf_why none;
      assert_int_equal(of[k]->kind->explain(of[k], &q, I, &none, 1), 0);
    }
    xf_scorer_free(of[k]);
  }
  xf_gram_deinit(&gram);
}

static void test_refusals(void **state) {
  (void)state;
  static struct world w;
  world_random(&w, 1);
  struct xf_gram gram = gram_of(&w.data);
  struct xf_scorer *s = NULL;
  struct xf_diag diag = {0};
  const struct xf_diffuse_spec bad[] = {
      {.3, 0, 3}, {.3, 1.5, 3}, {.3, .8, 0}, {-1, .8, 3}, {NAN, .8, 3}};
  for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
    assert_int_equal(xf_diffuse_fit(&s, &gram, &w.graph, &bad[k], &diag), XF_E_RANGE);
    assert_int_equal(xf_pagerank_fit(&s, &w.data, &w.graph, &bad[k], &diag), XF_E_RANGE);
    assert_null(s);
  }
  const struct xf_diffuse_spec spec = XF_DIFFUSE_DEFAULTS;
  w.graph.n_items = I + 1;
  assert_int_equal(xf_diffuse_fit(&s, &gram, &w.graph, &spec, &diag), XF_E_SHAPE);
  assert_int_equal(xf_pagerank_fit(&s, &w.data, &w.graph, &spec, &diag), XF_E_SHAPE);
  w.graph.n_items = I;
  gram.value[0] = -.5f; // what noise does to a sum
  assert_int_equal(xf_diffuse_fit(&s, &gram, &w.graph, &spec, &diag), XF_E_RANGE);
  assert_non_null(strstr(diag.text, "xf_gram_threshold"));
  xf_gram_deinit(&gram);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_diffuse),   cmocka_unit_test(test_graph_counts),
      cmocka_unit_test(test_federated), cmocka_unit_test(test_pagerank),
      cmocka_unit_test(test_many),      cmocka_unit_test(test_explain),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
