// Omniglot's two files: shrinking by hand, classes and alphabets, which alphabets are held out, every refusal with its place, and
// the real files.
#include "base/alloc.h"
#include "data/idx.h"
#include "data/omniglot.h"
#include "datatest.h"

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

#define HEAD "class_id\talphabet\tcharacter\tdrawer(1-20)\tset\n"
#define BODY \
  "0\tGreek\tcharacter01\t1\ts\n0\tGreek\tcharacter01\t20\ts\n1\tAramaic\tcharacter01\t1\ts\n"

static struct xf_diag diag;

// Three images of 2 x 2.
static const uint8_t IMAGES[] = {0, 0, 8, 3, 0, 0, 0,   3,   0,   0,   0, 2, 0,  0,
                                 0, 2, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 51, 153};

static enum xf_rc load(struct xf_table *t, const uint8_t *images, size_t len, const char *list,
                       uint32_t side) {
  char pi[XF_PATH_MAX], pl[XF_PATH_MAX];
  memcpy(pi, datatest_file("img", images, len), sizeof pi);
  memcpy(pl, datatest_gzip("a.tsv.gz", list, SIZE_MAX), sizeof pl);
  xf_diag_init(&diag);
  return xf_omniglot_load(t, pi, pl, side, &diag);
}

static void near(float is, double want) { assert_true(fabs((double)is - want) < 1e-6); }

static void test_shrink(void **state) {
  (void)state;
  static const uint8_t nine[9] = {0, 0, 255, 0, 255, 0, 0, 0, 51};
  float out[9];
  xf_omniglot_shrink(out, 1, nine, 3);
  near(out[0], (255 + 255 + 51) / 9.0 / 255);
  // halves of 1.5: the middle pixel is in all four, .5 x .5 of 1.5 x 1.5; an edge pixel .5 x 1
  xf_omniglot_shrink(out, 2, nine, 3);
  const double quarter = .25 / 2.25, whole = 1 / 2.25;
  near(out[0], quarter);
  near(out[1], quarter + whole);
  near(out[2], quarter);
  near(out[3], quarter + whole * .2);
  xf_omniglot_shrink(out, 3, nine, 3);
  for (int i = 0; i < 9; i++) near(out[i], nine[i] / 255.0);
}

static void test_table(void **state) {
  (void)state;
  struct xf_table t;
  assert_int_equal(load(&t, IMAGES, sizeof IMAGES, HEAD BODY, 1), XF_OK);
  assert_int_equal(t.n, 3);
  assert_int_equal(t.n_in, 1);
  assert_int_equal(t.n_class, 2);
  assert_int_equal(t.clients.n, 2);
  float x[3];
  xf_table_gather(&t, (uint32_t[]){0, 1, 2}, 3, x);
  near(x[0], 0);
  near(x[1], 1);
  near(x[2], .2);
  for (uint32_t i = 0; i < 3; i++) {
    near(t.y[i], i == 2);
    assert_int_equal(t.client[i], i == 2);
    assert_int_equal(t.row[i], i);
  }
  assert_int_equal(xf_omniglot_split(&t, 0, 1, &diag), XF_OK); // Greek, though it came first
  assert_int_equal(t.part[0], XF_PART_TEST);
  assert_int_equal(t.part[2], XF_PART_TRAIN);
  assert_int_equal(xf_omniglot_split(&t, 1, 0, &diag), XF_OK);
  assert_int_equal(t.part[1], XF_PART_VALID);
  assert_int_equal(xf_omniglot_split(&t, 1, 1, &diag), XF_E_INVAL);
  datatest_says(&diag, "leave none of the 2");
  xf_table_deinit(&t);
  xf_table_deinit(&t);
}

static void refused(const char *list, enum xf_rc rc, const char *says) {
  struct xf_table t;
  assert_int_equal(load(&t, IMAGES, sizeof IMAGES, list, 2), rc);
  assert_null(t.x);
  datatest_says(&diag, says);
}

static void test_lists_refused(void **state) {
  (void)state;
  refused("", XF_E_FORMAT, "the heading must be class_id");
  refused(BODY, XF_E_FORMAT, ":1: the heading");
  refused(HEAD "0\tGreek\tcharacter01\t1\n", XF_E_FORMAT, ":2: 4 columns");
  refused(HEAD "0\tGreek\t\t1\ts\n", XF_E_FORMAT, ":2:2: alphabet and character");
  refused(HEAD "1\tGreek\tc\t1\ts\n", XF_E_FORMAT,
          ":2:1: class_id is 1; the character is number 0");
  refused(HEAD "0\tGreek\tc\t1\ts\n0\tGreek\td\t1\ts\n", XF_E_FORMAT, ":3:1: class_id is 0");
  refused(HEAD "0\tGreek\tc\t1\ts\n1\tGreek\tc\t2\ts\n", XF_E_FORMAT, "number 0 in order");
  refused(HEAD "-1\tGreek\tc\t1\ts\n", XF_E_FORMAT, "class_id is -1");
  refused(HEAD "x\tGreek\tc\t1\ts\n", XF_E_FORMAT, ":2:1:");
  refused(HEAD "0\tGreek\tc\t0\ts\n", XF_E_FORMAT,
          "drawer is 0; expected a whole number of 1 to 20");
  refused(HEAD "0\tGreek\tc\t1.5\ts\n", XF_E_FORMAT, ":2:4: drawer is 1.5");
  refused(HEAD "0\tGreek\tc\t21\ts\n", XF_E_FORMAT, "drawer is 21");
  refused(HEAD "0\tGreek\tc\t7\ts\n0\tGreek\tc\t7\ts\n", XF_E_CONFLICT,
          ":3:4: drawer 7 has drawn class 0 before");
  refused(HEAD BODY "1\tAramaic\tcharacter01\t2\ts\n", XF_E_SHAPE, ":5: a line too many");
  refused(HEAD "0\tGreek\tc\t1\ts\n", XF_E_SHAPE, "1 lines for 3 images");
}

static void test_images_refused(void **state) {
  (void)state;
  struct xf_table t;
  assert_int_equal(load(&t, IMAGES, sizeof IMAGES, HEAD BODY, 3), XF_E_INVAL);
  datatest_says(&diag, "2 x 2 cannot be shrunk to 3 x 3");
  assert_int_equal(load(&t, IMAGES, sizeof IMAGES, HEAD BODY, 0), XF_E_INVAL);
  assert_int_equal(load(&t, IMAGES, sizeof IMAGES - 1, HEAD BODY, 2), XF_E_CORRUPT);
  const uint8_t wide[] = {0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 9, 9};
  assert_int_equal(load(&t, wide, sizeof wide, HEAD BODY, 1), XF_E_SHAPE);
  datatest_says(&diag, "1 x 2; squares");
  // 16 GB are promised: refused as the file ends, not for want of memory
  const uint8_t vast[] = {0, 0, 8, 3, 0, 0, 255, 255, 0, 0, 1, 255, 0, 0, 1, 255, 9};
  assert_int_equal(load(&t, vast, sizeof vast, HEAD BODY, 1), XF_E_CORRUPT);
  const uint8_t flat[] = {0, 0, 8, 1, 0, 0, 0, 1, 9};
  assert_int_equal(load(&t, flat, sizeof flat, HEAD BODY, 1), XF_E_SHAPE);
  datatest_says(&diag, "1 dimensions; images have 3");
  assert_int_equal(xf_omniglot_load(&t, "/nonexistent", "/nonexistent", 1, &diag), XF_E_NOTFOUND);
  assert_null(t.x);
}

// Larger than what is read at once: 17 images of a MB.
static void test_large(void **state) {
  (void)state;
  enum { LEN = 16 + (17 << 20) };
  const uint8_t head[] = {0, 0, 8, 3, 0, 0, 0, 17, 0, 0, 4, 0, 0, 0, 4, 0};
  uint8_t *bytes = calloc(LEN, 1), *got = NULL;
  uint32_t dim[3];
  memcpy(bytes, head, sizeof head);
  bytes[LEN - 1] = 7;
  assert_int_equal(xf_idx_load_images(&got, dim, datatest_file("img", bytes, LEN), &diag), XF_OK);
  assert_int_equal(dim[0], 17);
  assert_memory_equal(got, bytes + 16, LEN - 16);
  xf_free(got);
  assert_int_equal(xf_idx_load_images(&got, dim, datatest_file("img", bytes, LEN - 1), &diag),
                   XF_E_CORRUPT);
  assert_null(got);
  free(bytes);
}

static void test_real(void **state) {
  (void)state;
  char images[XF_PATH_MAX];
  const char *p = datatest_real("omniglot-small/omniglot-small-105.idx3-ubyte.gz");
  if (!p) {
    print_message("no data set omniglot-small: set CROSSFED_DATA\n");
    skip();
  }
  memcpy(images, p, sizeof images);
  struct xf_table t;
  if (xf_omniglot_load(&t, images, datatest_real("omniglot-small/omniglot-small-classes.tsv.gz"),
                       28, &diag))
    fail_msg("%s", diag.text);
  assert_int_equal(t.n, 4840);
  assert_int_equal(t.n_in, 784);
  assert_int_equal(t.n_class, 242);
  assert_int_equal(t.clients.n, 8);
  assert_int_equal(xf_omniglot_split(&t, 2, 2, &diag), XF_OK);
  size_t count[XF_N_PART] = {0}, named = 0;
  for (size_t i = 0; i < t.n; i++) {
    count[t.part[i]]++;
    const char *name = xf_names_get(&t.clients, t.client[i]);
    named += t.part[i] == XF_PART_TEST && (!strcmp(name, "Sanskrit") || !strcmp(name, "Tagalog"));
  }
  assert_int_equal(count[XF_PART_TEST], 59 * 20);
  assert_int_equal(named, 59 * 20);
  assert_int_equal(count[XF_PART_VALID], 66 * 20); // Korean, Latin
  xf_table_deinit(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_shrink),        cmocka_unit_test(test_table),
      cmocka_unit_test(test_lists_refused), cmocka_unit_test(test_images_refused),
      cmocka_unit_test(test_large),         cmocka_unit_test(test_real),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
