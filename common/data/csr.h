/*
 * csr.h - compressed rows (struct xf_csr of split.h) from pairs (row, column).
 * Not for: the parts of a split (split.h makes its own). Owner: caller. Thread: any.
 */
#ifndef XF_DATA_CSR_H
#define XF_DATA_CSR_H

#include "data/split.h"

/* Rows with ascending columns, each pair once; no value, no time. @shape row[n] < n_row, col[n] < n_col
   @own out: xf_csr_deinit @err E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_csr_init(struct xf_csr *out, uint32_t n_row, uint32_t n_col,
                                      const uint32_t *row, const uint32_t *col, size_t n);
/* Releases; idempotent. @own csr */
void xf_csr_deinit(struct xf_csr *csr);

#endif
