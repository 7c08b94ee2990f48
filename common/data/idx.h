/*
 * idx.h - IDX files of bytes (MNIST's format), gzipped or not: images and labels into a table, images alone into memory.
 *
 * Big-endian header: 0 0 8 n_dims, then the extents. Not for: other element types (refused).
 * Owner: caller. Thread: any. @source http://yann.lecun.com/exdb/mnist (file format)
 */
#ifndef XF_DATA_IDX_H
#define XF_DATA_IDX_H

#include "data/table.h"

/* Images (>= 2 dims, first is the number) and labels (1 dim) of the same number; x = byte / 255. All rows get `part`.
   out is empty after an error. @own out @err E_NOTFOUND E_FORMAT E_SHAPE E_LIMIT E_CORRUPT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_idx_load(struct xf_table *out, const char *images, const char *labels,
                                      enum xf_part part, struct xf_diag *diag);
/* Images alone, [dim[0] x dim[1] x dim[2]]; *out is NULL after an error. @own caller: xf_free @err as xf_idx_load */
XF_WARN_UNUSED enum xf_rc xf_idx_load_images(uint8_t **out, uint32_t dim[3], const char *path,
                                             struct xf_diag *diag);
/* The test rows, or all others, in their order, as two files that xf_idx_load reads. Bytes only; without rows no files.
   @err E_STATE E_IO E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_idx_save(const struct xf_table *table, bool test, const char *images,
                                      const char *labels, struct xf_diag *diag);
/* Appends the rows of `more` (same n_in, both bytes); takes nothing. @err E_SHAPE E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_idx_append(struct xf_table *table, const struct xf_table *more,
                                        struct xf_diag *diag);

#endif
