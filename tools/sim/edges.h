/*
 * edges.h - the models of a simulated hierarchy (fed.edge_rounds): one for each domain, beside the global vector.
 *
 * Silos of a domain train on its model. After each commit the global vector is the mean of the edges as they stand; after every
 * edge_rounds-th the edges take it over. Owner: the world. Thread: its loop.
 */
#ifndef XF_TOOLS_SIM_EDGES_H
#define XF_TOOLS_SIM_EDGES_H

#include "tools/sim/sim.h"

struct sim_edges {
  uint32_t n;           /* domains; 0: the plan is flat */
  uint32_t *of;         /* [n_client] */
  float **x, **next;    /* [n][global.n] now, and once the round commits */
  uint64_t *w, *next_w; /* [n] weight of the updates since the last cloud mean */
};

/* All edges at sim->x. @own edges: sim_edges_deinit */
void sim_edges_init(struct sim_edges *edges, const struct sim *sim);
/* Releases; idempotent. @own edges */
void sim_edges_deinit(struct sim_edges *edges);
/* The model that a training task of client i starts from. @own edges, or sim's */
const float *sim_edges_base(const struct sim_edges *edges, const struct sim *sim, uint32_t i);
/* As sim_fold: each domain's participants into its edge, the mean of the edges into sim->next_x. @err those of sim_fold */
XF_WARN_UNUSED enum xf_rc sim_edges_fold(struct sim_edges *edges, struct sim *sim,
                                         const struct xf_coord_action *a, uint32_t commits,
                                         const struct xf_buf *accepted, struct xf_diag *diag);
/* The round that was folded last has committed. @thread loop */
void sim_edges_commit(struct sim_edges *edges);

#endif
