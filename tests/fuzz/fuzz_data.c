// modules: data
// Files of a silo's data: the first byte chooses loader and columns, the rest is the file. Whatever the bytes, the loader
// returns, and what it accepted is consistent: ids below their counts, finite numbers, parts that do not overlap.
#include "base/assert.h"
#include "data/idx.h"
#include "data/partition.h"
#include "data/split.h"
#include "data/table.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

static void try_others(const char *path, uint8_t how) {
  struct xf_diag diag;
  struct xf_table t;
  struct xf_names names;
  uint32_t part[8];
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
