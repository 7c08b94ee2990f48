// modules: data
// Files of a silo's data: the first byte chooses loader and columns, the rest is the file. Whatever the bytes, the loader
// returns, and what it accepted is consistent: ids below their counts, finite numbers, parts that do not overlap.
#include "base/assert.h"
#include "data/categories.h"
#include "data/cold.h"
#include "data/findings.h"
#include "data/idx.h"
#include "data/lists.h"
#include "data/omniglot.h"
#include "data/pairs.h"
#include "data/partition.h"
#include "data/split.h"
#include "data/table.h"
#include "data/twins.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is said about events: counts that cannot exceed the events, and every domain is its own twin. */
static void try_judges(const struct xf_interactions *x) {
  struct xf_findings f;
  struct xf_twins t;
  struct xf_diag diag;
  const struct xf_twins_side side[2] = {{x, NULL}, {x, NULL}};
  if (!xf_findings_check(&f, x, &(struct xf_findings_spec){.min = 2, .now = 1e9}, &diag))
    for (int k = 0; k < XF_N_FINDING; k++)
      XF_ASSERT(k == XF_FINDING_OTHER_DOMAIN || f.of[k].count <= x->n);
  if (xf_twins_find(&t, side, &(struct xf_twins_spec){0}, &diag)) return;
  XF_ASSERT(t.shared_users == x->users.n && t.shared_pairs <= x->n);
  for (size_t k = 0; k < t.n; k++) XF_ASSERT(t.twin[k].both <= t.twin[k].n_a);
  xf_twins_deinit(&t);
}

static void try_interactions(const char *path, uint8_t how) {
  const struct xf_interactions_spec specs[4] = {
      {0},
      {.user = 1, .item = 2, .domain = 3, .value = 4, .time = 5},
      {.user = 2, .item = 1, .value = 3, .sep = ','},
      {.user = 1, .item = 2, .domain = 3, .time = 4, .only_domain = "A", .client = 3}};
  struct xf_interactions x;
  struct xf_split s;
  struct xf_diag diag;
  if (xf_interactions_load(&x, path, &specs[how % 4], &diag)) return;
  for (size_t i = 0; i < x.n; i++) {
    XF_ASSERT(x.user[i] < x.users.n && x.item[i] < x.items.n);
    XF_ASSERT(!x.value || isfinite(x.value[i]));
    XF_ASSERT(!x.time || isfinite(x.time[i]));
  }
  if (x.n < 4096) try_judges(&x);
  if (!xf_split_init(&s, &x, &(struct xf_split_spec){.min = 2}, NULL, &diag)) {
    size_t n = s.count.repeats;
    for (int p = 0; p < XF_N_PART; p++) n += xf_csr_count(&s.part[p]) + s.count.no_train[p];
    XF_ASSERT(n == x.n);
    xf_split_deinit(&s);
  }
  xf_interactions_deinit(&x);
}

static void try_table(const char *path, uint8_t how) {
  static const uint32_t drop[] = {2};
  static const struct xf_table_one_hot hot = {.column = 1, .n = 3, .value = {0, 1, 2}};
  const struct xf_table_spec specs[4] = {
      {0},
      {.label = 1, .binary = true, .drop_missing = true},
      {.drop = drop, .n_drop = 1, .one_hot = &hot, .n_one_hot = 1, .drop_missing = true},
      {.client = 1, .header = XF_HEADER_YES}};
  struct xf_table t;
  struct xf_diag diag;
  if (xf_table_load(&t, path, &specs[how % 4], &diag)) return;
  for (size_t i = 0; i < t.n * t.n_in; i++) XF_ASSERT(isfinite(t.x[i]));
  for (size_t i = 0; i < t.n; i++) XF_ASSERT(t.n_class == 0 || t.y[i] < (float)t.n_class);
  (void)!xf_table_standardise(&t, &diag);
  (void)!xf_table_split_file(&t, path, how & 4 ? "0" : NULL, &diag);
  xf_table_deinit(&t);
}

static void try_pairs(const char *path) {
  struct xf_diag diag;
  struct xf_pairs p;
  struct xf_cold c;
  const struct xf_cold_files files = {path, path, path, NULL};
  if (!xf_pairs_load(&p, path, &diag)) {
    for (size_t i = 0; i < p.n; i++)
      XF_ASSERT(p.user[i] < p.n_users && p.item[i] < p.n_items && p.label[i] <= 1);
    xf_pairs_deinit(&p);
  }
  XF_ASSERT(xf_cold_load(&c, &files, 5, &diag)); /* nobody is cold in their own domain */
}

/* One file as relevance, and as candidates of the users and items that follow from that. */
static void try_lists(const char *path) {
  static const char line[] = "u\ti\t1\n";
  struct xf_diag diag;
  struct xf_names users, items;
  struct xf_qrel q;
  struct xf_lists l;
  char fixed[64];
  const int fd = memfd_create("relevance", MFD_CLOEXEC);
  xf_names_init(&users);
  xf_names_init(&items);
  if (!xf_qrel_load(&q, path, &users, &items, &diag)) xf_qrel_deinit(&q);
  (void)snprintf(fixed, sizeof fixed, "/proc/self/fd/%d", fd);
  if (fd >= 0 && write(fd, line, sizeof line - 1) == (ssize_t)sizeof line - 1 &&
      !xf_qrel_load(&q, fixed, &users, &items, &diag)) {
    if (!xf_lists_load(&l, path, &q, XF_QREL_ALL, &users, &items, &diag)) {
      XF_ASSERT(l.n == 1 && l.start[1] > 0);
      for (uint32_t k = 0; k < l.start[1]; k++) XF_ASSERT(l.item[k] < items.n);
      xf_lists_deinit(&l);
    }
    xf_qrel_deinit(&q);
  }
  if (fd >= 0) (void)close(fd);
  xf_names_deinit(&users);
  xf_names_deinit(&items);
}

/* Categories of the items a and b. */
static void try_categories(const char *path) {
  struct xf_diag diag;
  struct xf_names items;
  struct xf_categories c;
  uint32_t id = 0;
  xf_names_init(&items);
  const bool named = !xf_names_add(&items, &id, "a", 1) && !xf_names_add(&items, &id, "b", 1);
  if (named && !xf_categories_load(&c, path, &items, NULL, &diag)) {
    XF_ASSERT(c.of.n_row == 2 && c.n == c.names.n && xf_csr_count(&c.of) > 0);
    XF_ASSERT(c.finding[XF_CATEGORY_MISSING].count < 2);
    for (uint32_t i = 0; i < 2; i++)
      for (uint32_t k = c.of.start[i]; k < c.of.start[i + 1]; k++)
        XF_ASSERT(c.of.item[k] < c.n && (k == c.of.start[i] || c.of.item[k - 1] < c.of.item[k]));
    xf_categories_deinit(&c);
  }
  xf_names_deinit(&items);
}

/* The file as a list of three images, and as images of a list of one. */
static void try_omniglot(const char *path) {
  static const uint8_t images[] = "\0\0\x08\x03\0\0\0\x03\0\0\0\x02\0\0\0\x02 abcdefghijk";
  static const char list[] = "class_id\talphabet\tcharacter\tdrawer\tset\n0\ta\tb\t1\tc\n";
  const struct {
    const void *bytes;
    size_t len;
  } other[2] = {{images, sizeof images - 1}, {list, sizeof list - 1}};
  for (int k = 0; k < 2; k++) {
    char fixed[64];
    struct xf_table t;
    struct xf_diag diag;
    const int fd = memfd_create("other", MFD_CLOEXEC);
    (void)snprintf(fixed, sizeof fixed, "/proc/self/fd/%d", fd);
    if (fd >= 0 && write(fd, other[k].bytes, other[k].len) == (ssize_t)other[k].len &&
        !xf_omniglot_load(&t, k ? path : fixed, k ? fixed : path, 2, &diag)) {
      XF_ASSERT(t.n == (k ? 1 : 3) && t.n_in == 4);
      for (size_t i = 0; i < t.n; i++)
        XF_ASSERT(t.client[i] < t.clients.n && t.y[i] < (float)t.n_class);
      for (size_t i = 0; i < t.n * t.n_in; i++) XF_ASSERT(t.x[i] >= 0 && t.x[i] <= 1.0001F);
      xf_table_deinit(&t);
    }
    if (fd >= 0) (void)close(fd);
  }
}

static void try_others(const char *path, uint8_t how) {
  struct xf_diag diag;
  struct xf_table t;
  struct xf_names names;
  uint32_t part[8];
  if (how & 4) {
    try_pairs(path);
    return;
  }
  if (how & 8) {
    try_lists(path);
    return;
  }
  if (how & 16) {
    try_categories(path);
    return;
  }
  if (how & 32) {
    try_omniglot(path);
    return;
  }
  if (how % 2) {
    if (!xf_idx_load(&t, path, path, XF_PART_TRAIN, &diag)) xf_table_deinit(&t);
    return;
  }
  if (xf_partition_load(part, 8, &names, path, &diag)) return;
  for (int i = 0; i < 8; i++) XF_ASSERT(part[i] < names.n);
  xf_names_deinit(&names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char path[64];
  if (size < 1 || size > 1 << 20) return 0;
  const int fd = memfd_create("fuzz", MFD_CLOEXEC);
  if (fd < 0) return 0;
  if (write(fd, data + 1, size - 1) == (ssize_t)(size - 1)) {
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const uint8_t how = (uint8_t)(data[0] / 3);
    if (data[0] % 3 == 0) try_interactions(path, how);
    else if (data[0] % 3 == 1) try_table(path, how);
    else try_others(path, how);
  }
  (void)close(fd);
  return 0;
}
