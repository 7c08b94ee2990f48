/*
 * partition.h - dealing samples (or users) to simulated clients: part[i] is the client of the i-th.
 *
 * By column or domain: the dense ids of the loaded column are the partition already (xf_interactions.domain,
 * .client, xf_table.client). Owner: caller's arrays. Thread: any.
 */
#ifndef XF_DATA_PARTITION_H
#define XF_DATA_PARTITION_H

#include "base/diag.h"
#include "base/rng.h"
#include "data/names.h"

/* A shuffle dealt into k parts whose sizes differ by at most one. @shape part[n] @err E_INVAL */
XF_WARN_UNUSED enum xf_rc xf_partition_uniform(uint32_t *part, size_t n, uint32_t k,
                                               struct xf_rng *rng, struct xf_diag *diag);
/* Samples sorted by label, cut into k * shards pieces, each part gets `shards` of them at random.
   @shape part[n], label[n] @err E_INVAL @source McMahan et al. 2017, section 3 */
XF_WARN_UNUSED enum xf_rc xf_partition_shards(uint32_t *part, const float *label, size_t n,
                                              uint32_t k, uint32_t shards, struct xf_rng *rng,
                                              struct xf_diag *diag);
/* Per label, shares of the k parts drawn from a symmetric Dirichlet(alpha). @shape part[n], label[n]
   @err E_INVAL @source Hsu et al. 2019, section 3 */
XF_WARN_UNUSED enum xf_rc xf_partition_dirichlet(uint32_t *part, const float *label, size_t n,
                                                 uint32_t k, double alpha, struct xf_rng *rng,
                                                 struct xf_diag *diag);
/* A file of lines "<sample> <client name>", sample from 0; every sample once. Clients get ids in order of appearance.
   @shape part[n] @own names initialised here @err E_FORMAT E_CONFLICT and what reading gives */
XF_WARN_UNUSED enum xf_rc xf_partition_load(uint32_t *part, size_t n, struct xf_names *names,
                                            const char *path, struct xf_diag *diag);

#endif
