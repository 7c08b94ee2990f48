/* A silo's file as the plan wants it. */
#include "base/fs.h"
#include "data/idx.h"
#include "plans.h"
#include "resolve/dataset.h"

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

static struct xf_plan plan;
static char dir[XF_PATH_MAX], data[XF_PATH_MAX + 16], split[XF_PATH_MAX + 16];

static int setup(void **state) {
  (void)state;
  const char *tmp = getenv("TMPDIR");
  (void)snprintf(dir, sizeof dir, "%s/xf-resolve-XXXXXX", tmp ? tmp : "/tmp");
  assert_non_null(mkdtemp(dir));
  (void)snprintf(data, sizeof data, "%s/data.csv", dir);
  (void)snprintf(split, sizeof split, "%s/split.csv", dir);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  (void)remove(data);
  (void)remove(split);
  return remove(dir);
}

static void put(const char *path, const char *text) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_true(fputs(text, f) >= 0);
  assert_int_equal(fclose(f), 0);
}

static void put_table(void) {
  char text[4096];
  size_t n = 0;
  for (int i = 0; i < 40; i++)
    n += (size_t)snprintf(text + n, sizeof text - n, "%d,%d,%d\n", i, i % 7, i % 2);
  put(data, text);
}

static void says(const struct xf_diag *diag, const char *text) {
  if (!strstr(diag->text, text)) fail_msg("\"%s\" lacks \"%s\"", diag->text, text);
}

/* Loads what must be refused. */
static void refused(const char *member, const struct xf_source *source, enum xf_rc want,
                    const char *text) {
  struct xf_dataset d;
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(xf_resolve_dataset(&d, &plan, member, source, &diag), want);
  says(&diag, text);
  xf_dataset_deinit(&d);
}

static void load(struct xf_dataset *out, const char *member, const struct xf_source *source) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_resolve_dataset(out, &plan, member, source, &diag)) fail_msg("%s", diag.text);
}

static void test_min_value(void **state) {
  (void)state;
  put(data, "u1,i1,5,1\nu1,i2,2,2\nu1,i3,3,3\nu2,i1,4,4\nu2,i4,1,5\n");
  const struct xf_source source = {.path = data, .user = 1, .item = 2, .value = 3, .time = 4};
  struct xf_dataset d;
  plans_load(&plan, plans_mf, "");
  load(&d, "a", &source);
  assert_int_equal(d.inter.n, 5);
  xf_dataset_deinit(&d);
  plans_load(&plan, plans_mf, "data.min_value=3");
  load(&d, "a", &source);
  assert_int_equal(d.inter.n, 3);
  assert_int_equal(d.inter.count.low_value, 2);
  assert_int_equal(d.split.n_users, 2);
  assert_int_equal(xf_dataset_count(&d, XF_PART_TRAIN), 3); /* too few events to give any away */
  xf_dataset_deinit(&d);
}

static void test_only_domain(void **state) {
  (void)state;
  put(data, "u1,i1,books\nu1,i2,films\nu2,i1,books\n");
  const struct xf_source source = {
      .path = data, .user = 1, .item = 2, .domain = 3, .only_domain = "books"};
  struct xf_dataset d;
  plans_load(&plan, plans_mf, "data.split.by=file");
  load(&d, "a", &source);
  assert_int_equal(d.inter.n, 2);
  assert_int_equal(d.inter.items.n, 1);
  xf_dataset_deinit(&d);
}

static void put_events(void) {
  char text[8192];
  size_t n = 0;
  for (int u = 0; u < 8; u++)
    for (int i = 0; i < 10; i++)
      n += (size_t)snprintf(text + n, sizeof text - n, "u%d\ti%d\t%d\n", u, (u + i) % 12, i);
  put(data, text);
}

static void test_random_split_by_member(void **state) {
  (void)state;
  put_events();
  const struct xf_source source = {.path = data, .user = 1, .item = 2, .time = 3};
  struct xf_dataset a, b, again;
  plans_load(&plan, plans_mf,
             "data.split.kind=random data.split.test_fraction=0.2 data.split.valid_fraction=0.2");
  load(&a, "silo-a", &source);
  load(&again, "silo-a", &source);
  load(&b, "silo-b", &source);
  const uint32_t n = xf_csr_count(&a.split.part[XF_PART_TEST]);
  assert_true(n > 0 && xf_csr_count(&a.split.part[XF_PART_VALID]) > 0);
  assert_int_equal(xf_csr_count(&again.split.part[XF_PART_TEST]), n);
  assert_memory_equal(a.split.part[XF_PART_TEST].item, again.split.part[XF_PART_TEST].item,
                      n * sizeof(uint32_t));
  assert_memory_equal(a.split.part[XF_PART_TEST].start, again.split.part[XF_PART_TEST].start,
                      9 * sizeof(uint32_t));
  assert_memory_not_equal(a.split.part[XF_PART_TEST].start, b.split.part[XF_PART_TEST].start,
                          9 * sizeof(uint32_t));
  xf_dataset_deinit(&again);
  plan.seed++;
  load(&again, "silo-a", &source);
  assert_memory_not_equal(a.split.part[XF_PART_TEST].start, again.split.part[XF_PART_TEST].start,
                          9 * sizeof(uint32_t));
  xf_dataset_deinit(&again);
  xf_dataset_deinit(&a);
  xf_dataset_deinit(&b);
}

static void test_predefined_interactions(void **state) {
  (void)state;
  put_events();
  const struct xf_source source = {.path = data, .user = 1, .item = 2, .time = 3};
  plans_load(&plan, plans_mf, "");
  plan.data.split.kind = XF_PLAN_SPLIT_PREDEFINED;
  refused("a", &source, XF_E_UNSUPPORTED, "data.split.kind: predefined");
}

// A folder of IDX files: train and test rows, some train rows to validation by the member's own stream.
static void test_images(void **state) {
  (void)state;
  enum { N = 200, PIXELS = 4 };
  struct xf_table t = {.n = N, .n_in = PIXELS};
  t.x8 = calloc(N * PIXELS, 1);
  t.y = calloc(N, sizeof *t.y);
  t.part = calloc(N, 1);
  for (int i = 0; i < N; i++) {
    t.x8[i * PIXELS] = (uint8_t)i;
    t.y[i] = (float)(i % 3);
    t.part[i] = i % 4 == 0 ? XF_PART_TEST : XF_PART_TRAIN;
  }
  char path[4][XF_PATH_MAX + 32];
  static const char *const name[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                     "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};
  for (int i = 0; i < 4; i++) (void)snprintf(path[i], sizeof path[i], "%s/%s", dir, name[i]);
  const struct xf_source source = {.path = dir};
  plans_load(&plan, plans_table, "");
  plan.data.kind = XF_PLAN_DATA_IDX;
  plan.data.split.valid_fraction = 0.2;
  plan.model.n_in = PIXELS;
  refused("a", &source, XF_E_NOTFOUND, "train-images-idx3-ubyte");
  assert_int_equal(xf_idx_save(&t, false, path[0], path[1], NULL), XF_OK);
  struct xf_dataset d, again;
  assert_int_equal(xf_resolve_dataset(&d, &plan, "a", &source, NULL), XF_OK);
  assert_int_equal(d.table.n, 150); // no test rows
  xf_dataset_deinit(&d);
  assert_int_equal(xf_idx_save(&t, true, path[2], path[3], NULL), XF_OK);
  assert_int_equal(xf_resolve_dataset(&d, &plan, "a", &source, NULL), XF_OK);
  assert_int_equal(xf_resolve_dataset(&again, &plan, "b", &source, NULL), XF_OK);
  int n[XF_N_PART] = {0};
  for (size_t i = 0; i < d.table.n; i++) n[d.table.part[i]]++;
  assert_int_equal(n[XF_PART_TEST], 50);
  assert_true(n[XF_PART_VALID] > 15 && n[XF_PART_VALID] < 50);
  assert_int_equal(d.table.x8[PIXELS], 2); // rows keep their order
  assert_true(d.table.y[1] == 2);
  assert_memory_not_equal(d.table.part, again.table.part, d.table.n);
  xf_dataset_deinit(&d);
  xf_dataset_deinit(&again);
  plan.model.n_in = 5;
  refused("a", &source, XF_E_SHAPE, "images of 4 pixels, model.n_in is 5");
  for (int i = 0; i < 4; i++) assert_int_equal(remove(path[i]), 0);
  free(t.x8);
  free(t.y);
  free(t.part);
}

static void test_loaded_contents_are_taken(void **state) {
  (void)state;
  struct xf_interactions inter;
  struct xf_dataset d;
  xf_interactions_init(&inter);
  assert_int_equal(xf_interactions_add(&inter, "u", "i", NULL, NAN, 1), XF_OK);
  plans_load(&plan, plans_mf, "");
  assert_int_equal(xf_resolve_interactions(&d, &plan, "a", &inter, NULL), XF_OK);
  assert_int_equal(inter.n, 0);
  assert_int_equal(d.inter.n, 1);
  xf_dataset_deinit(&d);
  xf_interactions_deinit(&inter);
}

static void test_missing_file(void **state) {
  (void)state;
  const struct xf_source source = {.path = "/nowhere/data.csv", .user = 1, .item = 2};
  plans_load(&plan, plans_mf, "");
  refused("a", &source, XF_E_NOTFOUND, "/nowhere/data.csv");
  plans_load(&plan, plans_table, "");
  refused("a", &source, XF_E_NOTFOUND, "/nowhere/data.csv");
}

static void test_table(void **state) {
  (void)state;
  const struct xf_source source = {.path = data};
  struct xf_dataset a, b, again;
  put_table();
  plans_load(&plan, plans_table, "data.table.scale=none");
  load(&a, "silo-a", &source);
  load(&again, "silo-a", &source);
  load(&b, "silo-b", &source);
  assert_int_equal(a.table.n, 40);
  assert_int_equal(xf_dataset_count(&a, XF_PART_TEST), 10);
  assert_memory_equal(a.table.part, again.table.part, 40);
  assert_memory_not_equal(a.table.part, b.table.part, 40);
  assert_true(a.table.x[2 * 9] == 9 && a.table.x[2 * 9 + 1] == 2);
  xf_dataset_deinit(&a);
  xf_dataset_deinit(&b);
  xf_dataset_deinit(&again);

  plans_load(&plan, plans_table, "data.table.scale=silo");
  load(&a, "silo-a", &source);
  double sum = 0;
  for (size_t i = 0; i < 40; i++)
    if (a.table.part[i] == XF_PART_TRAIN) sum += (double)a.table.x[2 * i];
  assert_true(fabs(sum) < 1e-4);
  xf_dataset_deinit(&a);
}

static void test_table_shape(void **state) {
  (void)state;
  const struct xf_source source = {.path = data};
  put_table();
  plans_load(&plan, plans_table, "model.n_in=3");
  refused("a", &source, XF_E_SHAPE, "has 2 inputs, model.n_in is 3");
  plans_load(&plan, plans_table, "data.table.drop=2 model.n_in=1");
  struct xf_dataset d;
  load(&d, "a", &source);
  assert_int_equal(d.table.n_in, 1);
  xf_dataset_deinit(&d);
}

static void test_table_predefined(void **state) {
  (void)state;
  struct xf_source source = {.path = data};
  struct xf_dataset d;
  put(data, "1,2,0\n3,4,1\n5,6,0\n");
  plans_load(&plan, plans_table, "data.split.kind=predefined data.split.by=file");
  refused("silo-a", &source, XF_E_CONFIG, "\"silo-a\"");
  source.split = "";
  refused("silo-a", &source, XF_E_CONFIG, "no file of the split");
  (void)remove(split);
  source.split = split;
  refused("silo-a", &source, XF_E_NOTFOUND, split);
  put(split, "row,set\n0,train\n1,train\n");
  refused("silo-a", &source, XF_E_NOTFOUND, "row 2");
  put(split, "row,set\n0,train\n1,sometimes\n2,test\n");
  refused("silo-a", &source, XF_E_FORMAT, "sometimes");
  put(split, "row,set\n0,train\n1,train\n1,test\n2,test\n");
  refused("silo-a", &source, XF_E_CONFLICT, "1");
  put(split, "row,set\n0,train\n1,train\n2,test\n");
  load(&d, "silo-a", &source);
  assert_int_equal(d.table.part[2], XF_PART_TEST);
  assert_int_equal(xf_dataset_count(&d, XF_PART_TRAIN), 2);
  xf_dataset_deinit(&d);
  /* Of a file for several silos only the own lines count. */
  put(split, "center,row,set\n0,0,test\n1,0,train\n0,1,test\n1,1,test\n1,2,train\n");
  source.center = "1";
  load(&d, "silo-a", &source);
  assert_int_equal(d.table.part[0], XF_PART_TRAIN);
  assert_int_equal(d.table.part[1], XF_PART_TEST);
  xf_dataset_deinit(&d);
  source.center = "0";
  refused("silo-a", &source, XF_E_NOTFOUND, "row 2");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_min_value),
      cmocka_unit_test(test_only_domain),
      cmocka_unit_test(test_random_split_by_member),
      cmocka_unit_test(test_predefined_interactions),
      cmocka_unit_test(test_loaded_contents_are_taken),
      cmocka_unit_test(test_images),
      cmocka_unit_test(test_missing_file),
      cmocka_unit_test(test_table),
      cmocka_unit_test(test_table_shape),
      cmocka_unit_test(test_table_predefined),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
