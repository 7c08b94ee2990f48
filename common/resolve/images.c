/* Images: a folder of IDX files as a silo's table. */
#include "base/fs.h"
#include "crypto/stream.h"
#include "data/idx.h"
#include "resolve/dataset.h"

#include <stdio.h>
#include <string.h>

/* Two files of the folder, with or without .gz: the first spelling whose images exist. */
static enum xf_rc load(struct xf_table *out, const char *folder, const char *images,
                       const char *labels, enum xf_part part, struct xf_diag *diag) {
  static const char *const ending[] = {"", ".gz"};
  enum xf_rc rc = XF_E_NOTFOUND;
  for (int i = 0; i < 2 && rc == XF_E_NOTFOUND; i++) {
    char a[XF_PATH_MAX], b[XF_PATH_MAX], name[XF_PATH_MAX];
    (void)snprintf(name, sizeof name, "%s%s", images, ending[i]);
    rc = xf_fs_join(a, folder, name);
    (void)snprintf(name, sizeof name, "%s%s", labels, ending[i]);
    if (!rc) rc = xf_fs_join(b, folder, name);
    if (!rc) rc = xf_idx_load(out, a, b, part, diag);
  }
  return rc;
}

enum xf_rc xf_resolve_load_images(struct xf_table *out, const char *path, struct xf_diag *diag) {
  char folder[XF_PATH_MAX];
  const char *name = strrchr(path, '/');
  (void)snprintf(folder, sizeof folder, "%s", path);
  if (name && strncmp(name + 1, "train-images-", 13) == 0) folder[name - path] = '\0';
  struct xf_table test;
  struct xf_diag other;
  enum xf_rc rc =
      load(out, folder, "train-images-idx3-ubyte", "train-labels-idx1-ubyte", XF_PART_TRAIN, diag);
  if (rc) return rc;
  xf_diag_init(&other);
  rc =
      load(&test, folder, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", XF_PART_TEST, &other);
  if (rc == XF_E_NOTFOUND) return XF_OK;
  if (rc) {
    xf_table_deinit(out);
    return xf_diag_set(diag, rc, "%s", other.text);
  }
  rc = xf_idx_append(out, &test, diag);
  xf_table_deinit(&test);
  if (rc) xf_table_deinit(out);
  return rc;
}

enum xf_rc xf_resolve_images(struct xf_dataset *out, const struct xf_plan *plan, const char *member,
                             struct xf_table *table, struct xf_diag *diag) {
  struct xf_rng rng;
  xf_dataset_init(out, XF_DATASET_TABLE);
  out->table = *table;
  xf_table_init(table);
  xf_stream_init(&rng, plan->seed, "split", 0, member);
  for (size_t i = 0; plan->data.split.valid_fraction > 0 && i < out->table.n; i++)
    if (out->table.part[i] == XF_PART_TRAIN &&
        xf_rng_double(&rng) < plan->data.split.valid_fraction)
      out->table.part[i] = XF_PART_VALID;
  if (out->table.n_in == plan->model.n_in) return XF_OK;
  return xf_diag_set(diag, XF_E_SHAPE, "images of %u pixels, model.n_in is %u", out->table.n_in,
                     plan->model.n_in);
}
