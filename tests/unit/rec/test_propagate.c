// Propagation: the worked example of the article's two formulas, the other forms by hand, nodes without neighbours.
#include "rec/propagate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { N = 3, D = 2 };

static void near(const double *got, const double *want, size_t n) {
  for (size_t k = 0; k < n; k++)
    if (!(fabs(got[k] - want[k]) <= 1e-12 * fmax(1, fabs(want[k]))))
      fail_msg("[%zu] is %.17g, not %.17g", k, got[k], want[k]);
}

// w: 0-1 .5, 0-2 2; h of vector seed_mean_aggregation.
static uint64_t start[] = {0, 2, 3, 4};
static uint32_t node[] = {1, 2, 0, 0};
static float weight[] = {.5, 2, .5, 2};
static const struct xf_kg_graph graph = {
    .n_items = N, .n_node = N, .start = start, .node = node, .weight = weight};
static const double h[] = {1, 2, 0, -1, 3, 1};

static void run(double *out, enum xf_propagate_form form, bool sigmoid, uint32_t steps) {
  struct xf_diag diag = {0};
  const struct xf_propagate_spec spec = {form, sigmoid, steps};
  assert_int_equal(xf_propagate(out, &graph, h, D, &spec, &diag), XF_OK);
}

// vectors: seed_mean_aggregation (H1 and H1_sigmoid_sum)
static void test_article(void **state) {
  (void)state;
  double out[N * D];
  run(out, XF_PROPAGATE_MEAN, false, 1);
  near(out, (const double[]){3, .75, .5, 1, 2, 4}, N * D);
  run(out, XF_PROPAGATE_SUM, true, 1);
  near(out,
       (const double[]){0.9975273768433653, 0.8175744761936437, 0.6224593312018546,
                        0.7310585786300049, 0.8807970779778823, 0.9820137900379085},
       N * D);
}

static void test_other_forms(void **state) {
  (void)state;
  double out[N * D];
  run(out, XF_PROPAGATE_WMEAN, false, 1);
  near(out, (const double[]){6 / 2.5, 1.5 / 2.5, 1, 2, 1, 2}, N * D);
  run(out, XF_PROPAGATE_SYM, false, 1); // degrees 2.5, .5, 2
  const double a = .5 / sqrt(1.25), b = 2 / sqrt(5);
  near(out, (const double[]){3 * b, -a + b, a, 2 * a, b, 2 * b}, N * D);
  run(out, XF_PROPAGATE_SYM, false, 0);
  near(out, h, N * D);
  run(out, XF_PROPAGATE_SUM, false, 2); // the square of w, by hand
  near(out, (const double[]){4.25, 8.5, 3, .75, 12, 3}, N * D);
}

// vector isolated_node: what comes from no neighbour is zero, in every form; a sigmoid makes it 1/2.
static void test_alone(void **state) {
  (void)state;
  uint64_t none[] = {0, 0};
  const struct xf_kg_graph one = {.n_items = 1, .n_node = 1, .start = none};
  const double x[] = {3, -3};
  for (int form = 0; form <= XF_PROPAGATE_SYM; form++)
    for (int s = 0; s < 2; s++) {
      const struct xf_propagate_spec spec = {(enum xf_propagate_form)form, s, 1};
      struct xf_diag diag = {0};
      double out[2];
      assert_int_equal(xf_propagate(out, &one, x, 2, &spec, &diag), XF_OK);
      near(out, (const double[]){s * .5, s * .5}, 2);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_article),
      cmocka_unit_test(test_other_forms),
      cmocka_unit_test(test_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
