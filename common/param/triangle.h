/*
 * triangle.h - where the entries of a symmetric matrix lie in its packed strict upper triangle, row after row.
 *
 *   entry (i, j), i < j < n, is float number  i (2n - i - 1) / 2 + (j - i - 1)
 *
 * It is how a statistic over pairs of items travels: rec/gram.h packs it, fed/trisum.h adds silos' triangles up.
 * Not for: the diagonal, which is apart. Owner: nobody, arithmetic only. Thread: any.
 */
#ifndef XF_PARAM_TRIANGLE_H
#define XF_PARAM_TRIANGLE_H

#include <stdint.h>

/* Entries of the triangle of n items: n (n - 1) / 2. @unit floats */
static inline uint64_t xf_triangle_count(uint32_t n) { return n ? (uint64_t)n * (n - 1u) / 2 : 0; }

/* Where row i of the triangle of n items begins; its length is n - i - 1. @unit floats */
static inline uint64_t xf_triangle_row(uint32_t n, uint32_t i) {
  return (uint64_t)i * (2ull * n - i - 1) / 2;
}

#endif
