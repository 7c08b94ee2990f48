/*
 * table.h - dense tables: one row of numbers per sample and a label, each row in train, validation or test.
 *
 * From CSV or TSV with a target column: leaving columns out, one-hot of named columns, rows with "?" or nothing
 * refused or dropped, standardising by the table's own train rows. Inputs are the plain columns in file
 * order, then the one-hot ones in the order given. From IDX images: idx.h.
 * Not for: interactions. Owner: caller. Thread: one writer; readers without a writer.
 */
#ifndef XF_DATA_TABLE_H
#define XF_DATA_TABLE_H

#include "base/rng.h"
#include "data/interactions.h"
#include "data/split.h"

enum { XF_TABLE_ONE_HOT_MAX = 32, XF_TABLE_COLUMNS = 4096 };

/* A column that takes one of n values; each but the first becomes a 0/1 input. */
struct xf_table_one_hot {
  uint32_t column; /* from 1 */
  uint32_t n;
  double value[XF_TABLE_ONE_HOT_MAX];
};

struct xf_table_spec {
  uint32_t label;  /* column from 1; 0: the last */
  uint32_t client; /* column that names the client; no input; 0: none */
  bool binary;     /* label = 1 if > 0, else 0 */
  bool drop_missing;
  enum xf_header header; /* AUTO: first field of an input column that is no number */
  char sep;
  const uint32_t *drop; /* [n_drop] columns left out */
  size_t n_drop;
  const struct xf_table_one_hot *one_hot;
  size_t n_one_hot;
  uint64_t max_rows; /* 0: 2^28 */
};

/* Floats, or bytes with x = (byte - shift) * scale (images). Exactly one of x and x8 is set. */
struct xf_table {
  size_t n, cap;
  uint32_t n_in;
  float *x; /* [n x n_in] */
  uint8_t *x8;
  float shift, scale;
  float *y;         /* [n] label */
  uint8_t *part;    /* [n] enum xf_part; all train after loading */
  uint32_t *row;    /* [n] row of the file, from 0, header not counted */
  uint32_t *client; /* [n] or NULL */
  struct xf_names clients;
  uint32_t n_class;    /* labels are 0 .. n_class-1; 0 when some label is no small integer */
  uint64_t n_missing;  /* rows dropped */
  uint32_t n_constant; /* inputs constant in train, found by xf_table_standardise */
};

/* Empty. @own caller, release with xf_table_deinit */
void xf_table_init(struct xf_table *table);
/* Releases; idempotent. @own table */
void xf_table_deinit(struct xf_table *table);
/* Reads a file; out is empty after an error. @own out @err as xf_interactions_load */
XF_WARN_UNUSED enum xf_rc xf_table_load(struct xf_table *out, const char *path,
                                        const struct xf_table_spec *spec, struct xf_diag *diag);
/* Deals rows to validation and test at random; by label (stratified) when n_class > 0.
   @err E_INVAL (fractions) */
XF_WARN_UNUSED enum xf_rc xf_table_split_random(struct xf_table *table, double valid_fraction,
                                                double test_fraction, struct xf_rng *rng,
                                                struct xf_diag *diag);
/* Deals rows by a file with a header: columns "set" (train, valid, test), "row" or "row_in_file" (xf_table.row) and, when
   `center` is not NULL, "center": only its lines count. Every row must be named once.
   @err E_NOTFOUND E_FORMAT E_CONFLICT and what reading gives @source FLamby's fed_heart_disease */
XF_WARN_UNUSED enum xf_rc xf_table_split_file(struct xf_table *table, const char *path,
                                              const char *center, struct xf_diag *diag);
/* x = (x - mean) / (std + 1e-9) by the train rows, std with n - 1 (decision 50); an input that is constant in train
   becomes 0 everywhere. Nothing with fewer than two train rows or byte inputs. @err E_STATE */
XF_WARN_UNUSED enum xf_rc xf_table_standardise(struct xf_table *table, struct xf_diag *diag);
/* The rows whose group[i] == which. @shape group[src->n] @own out @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_table_select(struct xf_table *out, const struct xf_table *src,
                                          const uint32_t *group, uint32_t which);
/* Ids of a part's rows, ascending; *n of them. @own caller: xf_free */
uint32_t *xf_table_rows(const struct xf_table *table, enum xf_part part, size_t *n);
/* Copies rows ids[0..n) as floats. @shape out[n x n_in] */
void xf_table_gather(const struct xf_table *table, const uint32_t *ids, size_t n, float *out);

#endif
