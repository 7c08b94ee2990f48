/* Chunks of sequences as a batch: time-major, the longest first, so that a recurrent step touches only those still going. */
#include "train/feed.h"

#include "model/seqscore.h"

#include <stdlib.h>
#include <string.h>

enum xf_rc xf_feeder_check_chunks(const struct xf_feeder *f, const struct xf_seqset *s,
                                  struct xf_diag *diag) {
  const struct xf_model_config *c = xf_model_get_config(f->model);
  if (s->n_token > c->n_in)
    return xf_diag_set(diag, XF_E_SHAPE, "the data have %u tokens, model.n_in is %u", s->n_token,
                       c->n_in);
  if (s->n > 0 && (c->kind == XF_MODEL_DKT) != (s->answer != NULL))
    return xf_diag_set(diag, XF_E_SHAPE, "model %s learns from %s, the silo's data are %s",
                       xf_model_kind_name(c->kind), s->answer ? "texts" : "answers",
                       s->answer ? "answers" : "texts");
  return XF_OK;
}

static int descending(const void *a, const void *b) {
  const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x < y) - (x > y);
}

void xf_feeder_fill_chunks(struct xf_feeder *f, const struct xf_seqset *s, const uint32_t *ids,
                           uint32_t n) {
  const struct xf_model_config *c = xf_model_get_config(f->model);
  const size_t rows = (size_t)c->steps * n;
  double steps = 0;
  for (uint32_t b = 0; b < n; b++) {
    f->order[b] = (uint64_t)f->chunk[ids[b]].n << 32 | ids[b]; /* equal lengths: by number */
    steps += f->chunk[ids[b]].n;
  }
  qsort(f->order, n, sizeof *f->order, descending);
  memset(f->item, 0, rows * sizeof *f->item);
  memset(f->mask, 0, rows * sizeof *f->mask);
  memset(f->weight, 0, rows * sizeof *f->weight);
  if (f->step) memset(f->step, 0, rows * sizeof *f->step);
  if (f->y) memset(f->y, 0, rows * sizeof *f->y);
  for (uint32_t b = 0; b < n; b++) {
    const struct xf_chunk chunk = f->chunk[(uint32_t)f->order[b]];
    for (uint32_t t = 0; t < chunk.n; t++) {
      const size_t row = (size_t)t * n + b;
      const uint32_t at = chunk.first + t;
      xf_seq_feed_step(c, s, at, &f->item[row], f->step ? &f->step[row] : NULL);
      if (f->y) f->y[row] = s->answer[at];
      f->mask[row] = 1;
      f->weight[row] = (float)(1 / steps);
    }
  }
}
