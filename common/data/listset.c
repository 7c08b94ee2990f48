#include "data/listset.h"

#include "base/alloc.h"

enum xf_rc xf_listset_init(struct xf_listset *out, uint32_t n, uint32_t n_list, uint32_t n_in,
                           struct xf_diag *diag) {
  *out = (struct xf_listset){0};
  if (n_list < 2 || n_in == 0)
    return xf_diag_set(diag, XF_E_INVAL,
                       "lists of %u candidates with %u numbers each; there must be 2 or more "
                       "candidates and 1 or more numbers",
                       n_list, n_in);
  const double bytes = (double)n * n_list * n_in * (double)sizeof *out->x;
  if (bytes < (double)(SIZE_MAX / 2)) {
    out->x = xf_try_calloc((size_t)n * n_list + 1, n_in * sizeof *out->x);
    out->user = xf_try_calloc((size_t)n + 1, sizeof *out->user);
    out->part = xf_try_calloc((size_t)n + 1, 1);
  }
  if (!out->x || !out->user || !out->part) {
    xf_listset_deinit(out);
    return xf_diag_set(diag, XF_E_NOMEM,
                       "not enough memory for %u lists of %u candidates x %u numbers (%.0f MB)", n,
                       n_list, n_in, bytes / 1e6);
  }
  out->n = n;
  out->n_list = n_list;
  out->n_in = n_in;
  return XF_OK;
}

void xf_listset_deinit(struct xf_listset *listset) {
  xf_free(listset->x);
  xf_free(listset->user);
  xf_free(listset->part);
  *listset = (struct xf_listset){0};
}
