#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/eventq.h"
#include "base/rng.h"

static void test_order(void **state) {
  (void)state;
  static int value[500];
  struct xf_eventq q;
  struct xf_rng rng;
  xf_eventq_init(&q);
  xf_rng_init(&rng, 1, 0);
  assert_null(xf_eventq_take(&q, NULL));
  assert_int_equal(xf_eventq_next(&q).ns, INT64_MAX);
  for (int i = 0; i < 500; i++)
    xf_eventq_put(&q, (struct xf_time){(int64_t)xf_rng_below(&rng, 20)}, &value[i]);
  struct xf_time last = {-1}, at;
  const int *before = NULL;
  for (int i = 0; i < 500; i++) {
    assert_int_equal(xf_eventq_next(&q).ns >= last.ns, 1);
    const int *v = xf_eventq_take(&q, &at);
    assert_non_null(v);
    assert_true(at.ns >= last.ns);
    if (at.ns == last.ns) assert_true(v > before); /* equals in the order of putting */
    last = at;
    before = v;
  }
  assert_null(xf_eventq_take(&q, &at));
  xf_eventq_deinit(&q);
  xf_eventq_deinit(&q);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_order)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
