#include "data/dataset.h"

void xf_dataset_init(struct xf_dataset *dataset, enum xf_dataset_kind kind) {
  *dataset = (struct xf_dataset){.kind = kind};
  xf_interactions_init(&dataset->inter);
  xf_table_init(&dataset->table);
  xf_seqset_init(&dataset->seqs);
}

void xf_dataset_deinit(struct xf_dataset *dataset) {
  xf_interactions_deinit(&dataset->inter);
  xf_split_deinit(&dataset->split);
  xf_table_deinit(&dataset->table);
  xf_listset_deinit(&dataset->lists);
  xf_seqset_deinit(&dataset->seqs);
}

const char *xf_dataset_name(enum xf_dataset_kind kind) {
  switch (kind) {
  case XF_DATASET_INTERACTIONS: return "interactions";
  case XF_DATASET_TABLE: return "a table";
  case XF_DATASET_LISTS: return "lists of candidates";
  case XF_DATASET_SEQUENCES: return "sequences";
  }
  return "?";
}

size_t xf_dataset_count(const struct xf_dataset *dataset, enum xf_part part) {
  if (dataset->kind == XF_DATASET_INTERACTIONS) return xf_csr_count(&dataset->split.part[part]);
  size_t n = 0;
  if (dataset->kind == XF_DATASET_LISTS) {
    for (uint32_t i = 0; i < dataset->lists.n; i++) n += dataset->lists.part[i] == part;
    return n;
  }
  if (dataset->kind == XF_DATASET_SEQUENCES) {
    for (uint32_t i = 0; i < dataset->seqs.n; i++) n += dataset->seqs.part[i] == part;
    return n;
  }
  for (size_t i = 0; i < dataset->table.n; i++) n += dataset->table.part[i] == part;
  return n;
}
