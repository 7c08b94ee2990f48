/* One fold for each domain, and their mean. */
#include "tools/sim/edges.h"

#include "base/alloc.h"
#include "fed/edges.h"
#include "server/core/coord.h"

#include <string.h>

void sim_edges_init(struct sim_edges *edges, const struct sim *sim) {
  *edges = (struct sim_edges){0};
  if (!sim->plan.stages[0].fed.edge_rounds) return;
  edges->of = xf_calloc(sim->n_client, sizeof *edges->of);
  for (uint32_t i = 0; i < sim->n_client; i++) {
    uint32_t j = 0;
    while (strcmp(sim->client[j].domain, sim->client[i].domain) != 0) j++;
    edges->of[i] = j < i ? edges->of[j] : edges->n++;
  }
  edges->x = xf_calloc(edges->n, sizeof *edges->x);
  edges->next = xf_calloc(edges->n, sizeof *edges->next);
  edges->w = xf_calloc(edges->n, sizeof *edges->w);
  edges->next_w = xf_calloc(edges->n, sizeof *edges->next_w);
  for (uint32_t e = 0; e < edges->n; e++) {
    edges->x[e] = xf_memdup(sim->x, (size_t)sim->global.n * sizeof *sim->x);
    edges->next[e] = xf_memdup(sim->x, (size_t)sim->global.n * sizeof *sim->x);
  }
}

void sim_edges_deinit(struct sim_edges *edges) {
  for (uint32_t e = 0; e < edges->n; e++) {
    xf_free(edges->x[e]);
    xf_free(edges->next[e]);
  }
  xf_free(edges->of);
  xf_free(edges->x);
  xf_free(edges->next);
  xf_free(edges->w);
  xf_free(edges->next_w);
  *edges = (struct sim_edges){0};
}

const float *sim_edges_base(const struct sim_edges *edges, const struct sim *sim, uint32_t i) {
  return edges->n ? edges->x[edges->of[i]] : sim->x;
}

/* The participants of one edge, in their order. */
static size_t pick(const struct sim_edges *edges, uint32_t e, const struct xf_coord_action *a,
                   uint32_t *who, uint64_t *weight) {
  size_t n = 0;
  for (size_t k = 0; k < a->n_participant; k++) {
    if (edges->of[a->participant[k]] != e) continue;
    who[n] = a->participant[k];
    weight[n++] = a->weight[k];
  }
  return n;
}

enum xf_rc sim_edges_fold(struct sim_edges *edges, struct sim *sim, const struct xf_coord_action *a,
                          uint32_t commits, const struct xf_buf *accepted, struct xf_diag *diag) {
  if (!edges->n) return sim_fold(sim, a, sim->x, commits, accepted, diag);
  const size_t len = (size_t)sim->global.n, bytes = len * sizeof *sim->x;
  uint32_t *who = xf_calloc(a->n_participant + 1, sizeof *who);
  uint64_t *weight = xf_calloc(a->n_participant + 1, sizeof *weight);
  enum xf_rc rc = XF_OK;
  for (uint32_t e = 0; e < edges->n && !rc; e++) {
    struct xf_coord_action mine = *a;
    mine.participant = who;
    mine.weight = weight;
    mine.n_participant = pick(edges, e, a, who, weight);
    memcpy(edges->next[e], edges->x[e], bytes);
    edges->next_w[e] = edges->w[e];
    for (size_t k = 0; k < mine.n_participant; k++) edges->next_w[e] += weight[k];
    if (!mine.n_participant) continue;
    rc = sim_fold(sim, &mine, edges->x[e], commits, accepted, diag);
    memcpy(edges->next[e], sim->next_x, bytes);
  }
  xf_free(who);
  xf_free(weight);
  if (rc) return rc;
  const float *const *const next = (const float *const *)edges->next;
  if (!xf_edges_mean(sim->next_x, next, edges->next_w, edges->n, len))
    return xf_diag_set(diag, XF_E_STATE, "no edge has an update");
  if ((commits + 1) % sim->plan.stages[0].fed.edge_rounds) return XF_OK;
  for (uint32_t e = 0; e < edges->n; e++) {
    memcpy(edges->next[e], sim->next_x, bytes);
    edges->next_w[e] = 0;
  }
  return XF_OK;
}

void sim_edges_commit(struct sim_edges *edges) {
  float **const x = edges->x;
  uint64_t *const w = edges->w;
  edges->x = edges->next;
  edges->next = x;
  edges->w = edges->next_w;
  edges->next_w = w;
}
