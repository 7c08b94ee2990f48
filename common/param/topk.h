/*
 * topk.h - the k largest by magnitude, and what is left for the next round.
 *
 * With error feedback a sender keeps e, what it has not sent: a = D + e; the k largest of a travel, e = a - sent. Then sum(sent) + e is
 * sum(D) over all rounds, but for the rounding of D + e.
 * Owner: the caller's arrays. Thread: any.
 * @source Stich, Cordonnier, Jaggi 2018, "Sparsified SGD with Memory", algorithm 1
 */
#ifndef XF_PARAM_TOPK_H
#define XF_PARAM_TOPK_H

#include <stdint.h>

/* max(1, ceil(fraction n)), at most n. @unit floats */
uint64_t xf_topk_count(double fraction, uint64_t n);
/* Moves the k largest of a to sent (0 elsewhere); of equals the lower places first. Linear in n. @shape a[n], sent[n], finite */
void xf_topk_split(float *sent, float *a, uint64_t n, uint64_t k);

#endif
