/* Row-sparse gradients: a stable radix sort of ids, then sums in a fixed order. */
#include "nn/planimpl.h"

#include <string.h>

enum { DIGIT = 11, BINS = 1 << DIGIT };

/* Stable sort of key[n] by its upper half, whose values are at most `top`. */
static void sort_keys(struct xf_rowset *set, uint32_t n, uint32_t top) {
  for (unsigned shift = 0; shift < 32 && (top >> shift) > 0; shift += DIGIT) {
    uint32_t at[BINS] = {0}, sum = 0;
    for (uint32_t i = 0; i < n; i++) at[(set->key[i] >> (32 + shift)) % BINS]++;
    for (size_t b = 0; b < BINS; b++) {
      const uint32_t count = at[b];
      at[b] = sum;
      sum += count;
    }
    for (uint32_t i = 0; i < n; i++)
      set->key2[at[(set->key[i] >> (32 + shift)) % BINS]++] = set->key[i];
    uint64_t *swap = set->key;
    set->key = set->key2;
    set->key2 = swap;
  }
}

void xf_rowset_build(struct xf_rowset *set, const int32_t *const *ids, const uint32_t *n) {
  uint32_t pos = 0, top = 0;
  for (int l = 0; l < set->n_leaf; l++) {
    set->leaf_start[l] = pos;
    for (uint32_t i = 0; i < n[l]; i++, pos++) {
      const uint32_t id = (uint32_t)ids[l][i];
      top = id > top ? id : top;
      set->key[pos] = (uint64_t)id << 32 | pos;
    }
  }
  set->leaf_start[set->n_leaf] = pos;
  sort_keys(set, pos, top);
  set->n_row = 0;
  for (uint32_t i = 0; i < pos; i++) {
    const uint32_t id = (uint32_t)(set->key[i] >> 32);
    if (i > 0 && set->row[set->n_row - 1] == id) continue;
    set->start[set->n_row] = i;
    set->row[set->n_row++] = id;
  }
  set->start[set->n_row] = pos;
}

void xf_rowset_sum(const struct xf_rowset *set, const struct xf_kern *k, float *g,
                   const float *const *x, size_t cols) {
  for (uint32_t u = 0; u < set->n_row; u++) {
    float *out = g + (size_t)u * cols;
    for (uint32_t i = set->start[u]; i < set->start[u + 1]; i++) {
      const uint32_t pos = (uint32_t)set->key[i];
      int l = set->n_leaf - 1;
      while (pos < set->leaf_start[l]) l--;
      const float *in = x[l] + (size_t)(pos - set->leaf_start[l]) * cols;
      if (i == set->start[u]) memcpy(out, in, cols * sizeof *out);
      else k->add(out, out, in, cols);
    }
  }
}
