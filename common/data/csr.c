/* Two stable counting sorts, by column and then by row; then repeats go. */
#include "data/csr.h"

#include "base/alloc.h"

/* Entries col[i] of rows row[i], taken in the order of `order` (NULL: as they come). */
static bool fill(struct xf_csr *out, uint32_t n_row, const uint32_t *row, const uint32_t *col,
                 const uint32_t *order, size_t n) {
  *out = (struct xf_csr){.n_row = n_row};
  out->start = xf_try_calloc((size_t)n_row + 2, sizeof *out->start);
  out->item = xf_try_calloc(n + 1, sizeof *out->item);
  if (!out->start || !out->item) return false;
  for (size_t i = 0; i < n; i++) out->start[row[i] + 2]++;
  for (uint32_t r = 0; r < n_row; r++) out->start[r + 2] += out->start[r + 1];
  for (size_t k = 0; k < n; k++) {
    const size_t i = order ? order[k] : k;
    out->item[out->start[row[i] + 1]++] = col[i];
  }
  return true;
}

static void unique(struct xf_csr *csr) {
  uint32_t at = 0, from = 0;
  for (uint32_t r = 0; r < csr->n_row; r++) {
    const uint32_t to = csr->start[r + 1], begin = at;
    for (uint32_t k = from; k < to; k++)
      if (at == begin || csr->item[at - 1] != csr->item[k]) csr->item[at++] = csr->item[k];
    from = to;
    csr->start[r + 1] = at;
  }
}

enum xf_rc xf_csr_init(struct xf_csr *out, uint32_t n_row, uint32_t n_col, const uint32_t *row,
                       const uint32_t *col, size_t n) {
  struct xf_csr by_col = {0};
  *out = (struct xf_csr){0};
  if (n > UINT32_MAX - 2) return XF_E_LIMIT;
  uint32_t *index = xf_try_calloc(n + 1, sizeof *index);
  for (size_t i = 0; index && i < n; i++) index[i] = (uint32_t)i;
  const bool ok = index && fill(&by_col, n_col, col, index, NULL, n) &&
                  fill(out, n_row, row, col, by_col.item, n);
  xf_csr_deinit(&by_col);
  xf_free(index);
  if (ok) unique(out);
  else xf_csr_deinit(out);
  return ok ? XF_OK : XF_E_NOMEM;
}

void xf_csr_deinit(struct xf_csr *csr) {
  xf_free(csr->start);
  xf_free(csr->item);
  xf_free(csr->value);
  xf_free(csr->time);
  *csr = (struct xf_csr){0};
}
