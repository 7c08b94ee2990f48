// Popularity of all time and of the recent past: numbers by hand, the definition on random events, no look into the
// future, requests for now, the search over tau, refusals.
#include "base/rng.h"
#include "data/names.h"
#include "rec/poptime.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { U = 30, I = 9, N_AT = 6 };
#define DAY XF_POPTIME_DAY
#define START 1.7e9 // seconds since 1970: sums must not lose their digits to it

struct world {
  uint32_t start[U + 1], item[U * I];
  double time[U * I];
  struct xf_csr csr;
  struct xf_rec_data data;
};

static void world_random(struct world *w, uint64_t seed) {
  struct xf_rng rng;
  xf_rng_init(&rng, seed, 0);
  uint32_t n = 0;
  for (uint32_t u = 0; u < U; u++) {
    w->start[u] = n;
    for (uint32_t i = 0; i + 1 < I; i++) // the last item has no event
      if (xf_rng_double(&rng) < 0.5) {
        w->time[n] = START + floor(40 * xf_rng_double(&rng)) * DAY; // many at the same instant
        w->item[n++] = i;
      }
  }
  w->start[U] = n;
  w->csr = (struct xf_csr){.n_row = U, .start = w->start, .item = w->item, .time = w->time};
  w->data = (struct xf_rec_data){U, I, &w->csr};
}

static struct xf_scorer *fit(const struct xf_rec_data *data, double tau) {
  struct xf_scorer *s = NULL;
  struct xf_diag diag = {0};
  assert_int_equal(xf_poptime_fit(&s, data, tau, &diag), XF_OK);
  assert_int_equal(s->n_items, data->n_items);
  return s;
}

static void ask(const struct xf_scorer *s, double at, float *out) {
  struct xf_diag diag = {0};
  const struct xf_query q = {.user = XF_NO_ID, .at = at};
  assert_int_equal(xf_scorer_score(s, &q, out, &diag), XF_OK);
}

static void test_popular(void **state) {
  (void)state;
  uint32_t start[] = {0, 2, 3}, item[] = {0, 2, 2};
  const struct xf_csr csr = {.n_row = 2, .start = start, .item = item};
  const struct xf_rec_data data = {2, 3, &csr};
  struct xf_diag diag = {0};
  struct xf_scorer *s = NULL;
  float out[3];
  assert_int_equal(xf_popular_fit(&s, &data, &diag), XF_OK);
  ask(s, NAN, out);
  assert_float_equal(out[0], log(2), 1e-6);
  assert_float_equal(out[1], 0, 0);
  assert_float_equal(out[2], log(3), 1e-6);
  assert_true(s->cost.memory > 0);
  xf_scorer_free(s);
}

// One item at day 0 and 10, one at day 10; tau 10 days.
static void test_by_hand(void **state) {
  (void)state;
  uint32_t start[] = {0, 2, 3}, item[] = {0, 1, 0};
  double time[] = {START + 10 * DAY, START + 10 * DAY, START};
  const struct xf_csr csr = {.n_row = 2, .start = start, .item = item, .time = time};
  const struct xf_rec_data data = {2, 2, &csr};
  struct xf_scorer *s = fit(&data, 10 * DAY);
  float out[2];
  ask(s, START, out); // nothing is before the first event, not even that event
  assert_float_equal(out[0], 0, 0);
  ask(s, START + 10 * DAY, out); // the events of day 10 do not count yet
  assert_float_equal(out[0], sqrt(exp(-1)), 1e-6);
  assert_float_equal(out[1], 0, 0);
  ask(s, START + 20 * DAY, out);
  assert_float_equal(out[0], sqrt(exp(-1) + exp(-2)), 1e-6);
  assert_float_equal(out[1], sqrt(exp(-1)), 1e-6);
  ask(s, NAN, out); // now: after the last event, which has its full weight
  assert_float_equal(out[0], sqrt(1 + exp(-1)), 1e-6);
  assert_float_equal(out[1], 1, 1e-6);
  xf_scorer_free(s);
}

// Against the definition, at instants before, between, on and after events.
static void test_definition(void **state) {
  (void)state;
  static struct world w;
  world_random(&w, 5);
  const double tau[] = {2 * DAY, 30 * DAY, 365 * DAY};
  const double day[N_AT] = {-1, 0.5, 7, 20, 39.5, 400};
  for (size_t k = 0; k < 3; k++) {
    struct xf_scorer *s = fit(&w.data, tau[k]);
    for (size_t a = 0; a < N_AT; a++) {
      const double t = START + day[a] * DAY;
      double want[I] = {0};
      float out[I];
      for (uint32_t e = 0; e < w.start[U]; e++)
        if (w.time[e] < t) want[w.item[e]] += exp((w.time[e] - t) / tau[k]);
      ask(s, t, out);
      for (uint32_t i = 0; i < I; i++)
        assert_true(fabs((double)out[i] - sqrt(want[i])) <= 1e-6 * (1 + sqrt(want[i])));
    }
    xf_scorer_free(s);
  }
}

// Removing or moving every event at or after the request changes no bit of its scores.
static void test_no_future(void **state) {
  (void)state;
  static struct world w, past;
  world_random(&w, 11);
  const double t = START + 20 * DAY;
  past = w;
  uint32_t n = 0, later = 0;
  for (uint32_t u = 0; u < U; u++) {
    past.start[u] = n;
    for (uint32_t e = w.start[u]; e < w.start[u + 1]; e++) {
      if (w.time[e] >= t) {
        later++;
        continue;
      }
      past.item[n] = w.item[e];
      past.time[n++] = w.time[e];
    }
  }
  past.start[U] = n;
  past.csr = (struct xf_csr){.n_row = U, .start = past.start, .item = past.item, .time = past.time};
  past.data.train = &past.csr;
  assert_true(later > 20);
  struct xf_scorer *a = fit(&w.data, 30 * DAY), *b = fit(&past.data, 30 * DAY);
  float of_all[I], of_past[I];
  ask(a, t, of_all);
  ask(b, t, of_past);
  assert_memory_equal(of_all, of_past, sizeof of_all);
  xf_scorer_free(a);
  for (uint32_t e = 0; e < w.start[U]; e++)
    if (w.time[e] >= t) w.time[e] += 1000 * DAY;
  a = fit(&w.data, 30 * DAY);
  ask(a, t, of_all);
  assert_memory_equal(of_all, of_past, sizeof of_all);
  xf_scorer_free(a);
  xf_scorer_free(b);
}

// Many requests, each with its instant, are those one by one.
static void test_many(void **state) {
  (void)state;
  static struct world w;
  world_random(&w, 2);
  struct xf_scorer *s = fit(&w.data, 90 * DAY);
  struct xf_query q[3];
  float out[3 * I], one[I];
  bool served[3];
  struct xf_diag diag = {0};
  for (int k = 0; k < 3; k++)
    q[k] = (struct xf_query){.user = XF_NO_ID, .at = k ? START + 9. * k * DAY : NAN};
  assert_int_equal(xf_scorer_score_many(s, q, 3, out, served, &diag), XF_OK);
  for (int k = 0; k < 3; k++) {
    ask(s, q[k].at, one);
    assert_true(served[k]);
    assert_memory_equal(one, out + k * I, sizeof one);
  }
  xf_scorer_free(s);
}

struct figure {
  int calls;
  const double *give;
};

static enum xf_rc give(void *arg, const struct xf_scorer *scorer, double *value,
                       struct xf_diag *diag) {
  struct figure *f = arg;
  (void)diag;
  assert_string_equal(scorer->kind->name, "poptime");
  *value = f->give[f->calls++];
  return XF_OK;
}

static void test_search(void **state) {
  (void)state;
  static struct world w;
  world_random(&w, 2);
  struct xf_diag diag = {0};
  uint32_t best = 9;
  double value[XF_POPTIME_TAUS];
  struct figure f = {.give = (const double[]){.1, .3, .3}};
  assert_int_equal(
      xf_poptime_search(&best, value, &w.data, xf_poptime_taus, XF_POPTIME_TAUS, give, &f, &diag),
      XF_OK);
  assert_int_equal(best, 1); // the first of equals
  assert_int_equal(f.calls, 3);
  assert_float_equal(value[2], .3, 0);
  f = (struct figure){.give = (const double[]){.1, NAN}};
  assert_int_equal(xf_poptime_search(&best, value, &w.data, xf_poptime_taus, 2, give, &f, &diag),
                   XF_E_NAN);
  assert_non_null(strstr(diag.text, "90 days"));
  assert_int_equal(xf_poptime_search(&best, value, &w.data, xf_poptime_taus, 0, give, &f, &diag),
                   XF_E_INVAL);
}

static void test_refusals(void **state) {
  (void)state;
  static struct world w;
  world_random(&w, 2);
  struct xf_scorer *s = NULL;
  struct xf_diag diag = {0};
  assert_int_equal(xf_poptime_fit(&s, &w.data, 0, &diag), XF_E_RANGE);
  assert_int_equal(xf_poptime_fit(&s, &w.data, NAN, &diag), XF_E_RANGE);
  w.time[4] = INFINITY;
  assert_int_equal(xf_poptime_fit(&s, &w.data, DAY, &diag), XF_E_NAN);
  assert_non_null(strstr(diag.text, "event 4"));
  w.csr.time = NULL;
  assert_int_equal(xf_poptime_fit(&s, &w.data, DAY, &diag), XF_E_INVAL);
  assert_non_null(strstr(diag.text, "time column"));
  assert_null(s);
}

// No event at all: everyone is served zeros.
static void test_empty(void **state) {
  (void)state;
  uint32_t start[] = {0, 0};
  const struct xf_csr csr = {.n_row = 1, .start = start};
  const struct xf_rec_data data = {1, 2, &csr};
  struct xf_scorer *s = fit(&data, DAY);
  float out[2] = {1, 1};
  ask(s, NAN, out);
  assert_float_equal(out[0] + out[1], 0, 0);
  ask(s, 5, out);
  assert_float_equal(out[0] + out[1], 0, 0);
  xf_scorer_free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_popular),    cmocka_unit_test(test_by_hand),
      cmocka_unit_test(test_definition), cmocka_unit_test(test_no_future),
      cmocka_unit_test(test_many),       cmocka_unit_test(test_search),
      cmocka_unit_test(test_refusals),   cmocka_unit_test(test_empty),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
