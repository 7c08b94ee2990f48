/*
 * episode.h - few-shot tasks drawn from a table: some classes of one client, some rows of each to learn from and some to ask.
 *
 * A task's classes are numbered 0 .. ways-1 in the order drawn; its rows of the table are listed class by class, so that the row at
 * place i of `support` has label i / shots, the one at i of `query` label i / queries. No row is in both. Everything follows from
 * the stream, so the same stream gives the same tasks.
 * Not for: learning (train/meta.h). Owner: caller; the table may go. Thread: immutable once built; one stream per thread.
 * @source Vinyals et al. 2016, section 4.1 (N-way k-shot), with the classes of a task from one client
 */
#ifndef XF_DATA_EPISODE_H
#define XF_DATA_EPISODE_H

#include "data/table.h"

struct xf_episode_spec {
  uint32_t ways, shots, queries; /* > 0; shots and queries per class */
};

/* The rows of one part by client and class; both ascending, as their rows are. */
struct xf_episodes {
  uint32_t n_client, *client; /* [n_client] ids in the table */
  uint32_t *first_class;      /* [n_client + 1] */
  uint32_t *first_row;        /* [first_class[n_client] + 1] */
  uint32_t *row;              /* rows of the table */
};

/* Sorts a part's rows. Out is empty after an error. @own out: xf_episodes_deinit
   @err E_STATE (no clients, no classes, no such rows) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_episodes_init(struct xf_episodes *out, const struct xf_table *table,
                                           enum xf_part part, struct xf_diag *diag);
/* Releases; idempotent. @own episodes */
void xf_episodes_deinit(struct xf_episodes *episodes);
/* Whether every client has the classes and every class the rows for it. @err E_INVAL (a 0) E_RANGE (too few, says whose) */
XF_WARN_UNUSED enum xf_rc xf_episodes_check(const struct xf_episodes *episodes,
                                            const struct xf_episode_spec *spec,
                                            struct xf_diag *diag);
/* A task of the client at place `which` of episodes->client; xf_episodes_check must have been satisfied.
   @shape support[ways * shots], query[ways * queries] rows of the table */
void xf_episodes_draw(const struct xf_episodes *episodes, const struct xf_episode_spec *spec,
                      uint32_t which, struct xf_rng *rng, uint32_t *support, uint32_t *query);

#endif
