/* What joins each gradient of a shared parameter, before momentum or Adam see it: the proximal term of FedProx, prox (u - w), and
   SCAFFOLD's c - c_k. */
#include "base/alloc.h"
#include "train/trainer.h"

#include <string.h>

enum xf_rc xf_trainer_prox_init(struct xf_trainer *t) {
  t->anchor = xf_try_calloc(xf_model_get_layout(t->model)->n + 1, sizeof *t->anchor);
  return t->anchor ? XF_OK : XF_E_NOMEM;
}

void xf_trainer_prox_deinit(struct xf_trainer *t) {
  xf_free(t->anchor);
  t->anchor = NULL;
}

void xf_trainer_prox_start(struct xf_trainer *t, const float *start) {
  memcpy(t->anchor, start, xf_model_get_layout(t->model)->n * sizeof *start);
}

void xf_trainer_prox_add(const struct xf_trainer *t, const float *params) {
  const float prox = (float)t->config.prox;
  size_t n_piece = 0;
  const struct xf_grad_piece *piece = xf_nnplan_get_pieces(t->plan, &n_piece);
  for (size_t i = 0; i < n_piece; i++) { /* all dense */
    const struct xf_segment *s = piece[i].seg;
    if (s->role != XF_ROLE_SHARED) continue;
    const float *u = params + s->offset, *w = t->anchor + s->offset;
    for (size_t j = 0; j < (size_t)s->rows * s->cols; j++) piece[i].g[j] += prox * (u[j] - w[j]);
  }
}

void xf_trainer_shift_add(const struct xf_trainer *t, const float *shift) {
  size_t n_piece = 0;
  const struct xf_grad_piece *piece = xf_nnplan_get_pieces(t->plan, &n_piece);
  for (size_t i = 0; i < n_piece; i++) { /* all dense */
    const struct xf_segment *s = piece[i].seg;
    if (s->role != XF_ROLE_SHARED) continue;
    for (size_t j = 0; j < (size_t)s->rows * s->cols; j++) piece[i].g[j] += shift[s->offset + j];
  }
}
