/*
 * topk.h - the k best items of a score vector, for serving.
 * Owner: caller's arrays. Thread: any.
 */
#ifndef XF_REC_TOPK_H
#define XF_REC_TOPK_H

#include <stddef.h>
#include <stdint.h>

struct xf_topk_item {
  uint32_t item;
  float score;
};

/* Best first, ties by smaller item id, without the (ascending) excluded items and without NaN; returns how many, at most
   k. @shape out[k], score[n_items], exclude[n_exclude] */
uint32_t xf_topk(struct xf_topk_item *out, uint32_t k, const float *score, uint32_t n_items,
                 const uint32_t *exclude, uint32_t n_exclude);

#endif
