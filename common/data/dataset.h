/*
 * dataset.h - one silo's private data as training and evaluation see it: interactions with their split, a table, lists of
 * candidates, or sequences.
 *
 * Not for: loading from a plan (client/io and tools/sim do that). Owner: caller; the members are its own.
 * Thread: immutable once built; may be shared by readers.
 */
#ifndef XF_DATA_DATASET_H
#define XF_DATA_DATASET_H

#include "data/interactions.h"
#include "data/listset.h"
#include "data/seqset.h"
#include "data/split.h"
#include "data/table.h"

enum xf_dataset_kind {
  XF_DATASET_INTERACTIONS,
  XF_DATASET_TABLE,
  XF_DATASET_LISTS,
  XF_DATASET_SEQUENCES
};

struct xf_dataset {
  enum xf_dataset_kind kind;
  struct xf_interactions inter; /* INTERACTIONS: keys; may be empty when only the split is used */
  struct xf_split split;        /* INTERACTIONS */
  struct xf_table table;        /* TABLE */
  struct xf_listset lists;      /* LISTS */
  struct xf_seqset seqs;        /* SEQUENCES */
};

/* Empty. @own caller, release with xf_dataset_deinit */
void xf_dataset_init(struct xf_dataset *dataset, enum xf_dataset_kind kind);
/* Releases; idempotent. @own dataset */
void xf_dataset_deinit(struct xf_dataset *dataset);
/* "interactions", "a table", "lists of candidates", "sequences". @own static */
const char *xf_dataset_name(enum xf_dataset_kind kind);
/* Samples of a part: events, rows, lists or sequences. @unit samples */
size_t xf_dataset_count(const struct xf_dataset *dataset, enum xf_part part);

#endif
