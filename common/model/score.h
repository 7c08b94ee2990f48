/*
 * score.h - running a model forward: scores of all items for a block of users, outputs for a block of rows.
 *
 * Owner: caller; the model must outlive the scorer. Thread: one at a time; one scorer per worker.
 */
#ifndef XF_MODEL_SCORE_H
#define XF_MODEL_SCORE_H

#include "model/model.h"

/* Users or rows in one call: a constant, because the shape of a product decides its bits (decision 35). */
enum { XF_SCORE_BLOCK = 64 };

struct xf_score;

/* Plans the scoring graph. @own caller: xf_score_free @err nn's */
XF_WARN_UNUSED enum xf_rc xf_score_new(struct xf_score **out, const struct xf_model *model,
                                       struct xf_diag *diag);
/* A scorer whose rows are what the head takes instead: *out [n x d]. @own as xf_score_new @err also E_UNSUPPORTED (no head) */
XF_WARN_UNUSED enum xf_rc xf_score_new_hidden(struct xf_score **out, const struct xf_model *model,
                                              struct xf_diag *diag);
/* Releases; NULL is legal. @own takes scorer */
void xf_score_free(struct xf_score *scorer);
/* Scores of every item for n <= 64 users. @shape params[layout.n], users[n], *out [n x n_items]
   @own out: scorer's, until the next call @err E_RANGE (user) E_STATE (not a ranking model) */
XF_WARN_UNUSED enum xf_rc xf_score_users(struct xf_score *scorer, const float *params,
                                         const uint32_t *users, uint32_t n, const float **out,
                                         struct xf_diag *diag);
/* Outputs for n <= 64 rows. @shape params[layout.n], x[n x n_in], *out [n x n_out]
   @own out: scorer's, until the next call @err E_STATE (a ranking model) */
XF_WARN_UNUSED enum xf_rc xf_score_rows(struct xf_score *scorer, const float *params,
                                        const float *x, uint32_t n, const float **out,
                                        struct xf_diag *diag);

#endif
