#include "data/dataset.h"

void xf_dataset_init(struct xf_dataset *dataset, enum xf_dataset_kind kind) {
  *dataset = (struct xf_dataset){.kind = kind};
  xf_interactions_init(&dataset->inter);
  xf_table_init(&dataset->table);
}

void xf_dataset_deinit(struct xf_dataset *dataset) {
  xf_interactions_deinit(&dataset->inter);
  xf_split_deinit(&dataset->split);
  xf_table_deinit(&dataset->table);
}

size_t xf_dataset_count(const struct xf_dataset *dataset, enum xf_part part) {
  if (dataset->kind == XF_DATASET_INTERACTIONS) return xf_csr_count(&dataset->split.part[part]);
  size_t n = 0;
  for (size_t i = 0; i < dataset->table.n; i++) n += dataset->table.part[i] == part;
  return n;
}
