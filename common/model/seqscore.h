/*
 * seqscore.h - running a model over whole sequences: block by block of them, chunk by chunk, the state carried on.
 *
 * Owner: caller; the model must outlive the scorer. Thread: one at a time; one scorer per worker.
 */
#ifndef XF_MODEL_SEQSCORE_H
#define XF_MODEL_SEQSCORE_H

#include "model/score.h"

struct xf_seqscore;

/* Plans the scoring graph. @own caller: xf_seqscore_free @err nn's E_STATE (no model of sequences) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_seqscore_new(struct xf_seqscore **out, const struct xf_model *model,
                                          struct xf_diag *diag);
/* Releases; NULL is legal. @own takes scorer */
void xf_seqscore_free(struct xf_seqscore *scorer);
/* What a net is fed with for step `step` of a chunk in `row`: token, answer, mask. @shape item, mask, in [rows] */
void xf_seq_feed_step(const struct xf_model_config *config, const struct xf_seqset *set,
                      uint32_t step, int32_t *item, int32_t *in);
/* Logits of every step of n <= 64 sequences, each made from the steps before it and the first from the start state; give is
   called step by step of a sequence, sequences and chunks in an order of its own. @shape params[layout.n], seq[n],
   logits[n_out] @err E_SHAPE (tokens outside the model's) and nn's */
XF_WARN_UNUSED enum xf_rc
xf_seqscore_run(struct xf_seqscore *scorer, const float *params, const struct xf_seqset *set,
                const uint32_t *seq, uint32_t n,
                void (*give)(void *arg, uint32_t step, const float *logits), void *arg,
                struct xf_diag *diag);

#endif
