/*
 * edges.h - hierarchical averaging: the mean of what edges have averaged, by the totals of their weights.
 *
 * In each of kappa_2 rounds an edge (a domain) averages its own members' updates into its own model; then the cloud averages the
 * edges, w_e the sum of weights of the updates that edge e took since the last time:
 *     cloud = sum_e w_e x_e / sum_e w_e
 * With kappa_2 = 1 that is FedAvg over all members, up to rounding to float32 twice.
 * Not for: an edge's own mean (fold.h). Owner: caller. Thread: any.
 * @source L. Liu, J. Zhang, S. Song, K. Letaief 2020, "Client-edge-cloud hierarchical federated learning", algorithm 1
 */
#ifndef XF_FED_EDGES_H
#define XF_FED_EDGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The mean of n vectors, summed in double in their order. Edges of weight 0 do not count; false, and out untouched, when all are.
   @shape x[n][len], weight[n], out[len]; out may be one of x */
bool xf_edges_mean(float *out, const float *const *x, const uint64_t *weight, uint32_t n,
                   size_t len);

#endif
