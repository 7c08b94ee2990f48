#include "base/eventq.h"

#include "base/alloc.h"

void xf_eventq_init(struct xf_eventq *q) { *q = (struct xf_eventq){0}; }

void xf_eventq_deinit(struct xf_eventq *q) {
  xf_free(q->heap);
  *q = (struct xf_eventq){0};
}

static bool item_before(const struct xf_eventq_item *a, const struct xf_eventq_item *b) {
  return a->at.ns != b->at.ns ? a->at.ns < b->at.ns : a->seq < b->seq;
}

void xf_eventq_put(struct xf_eventq *q, struct xf_time at, void *value) {
  if (q->n == q->cap) {
    q->cap = q->cap ? 2 * q->cap : 64;
    q->heap = xf_realloc_array(q->heap, q->cap, sizeof *q->heap);
  }
  const struct xf_eventq_item it = {at, q->seq++, value};
  size_t i = q->n++;
  for (; i > 0 && item_before(&it, &q->heap[(i - 1) / 2]); i = (i - 1) / 2)
    q->heap[i] = q->heap[(i - 1) / 2];
  q->heap[i] = it;
}

struct xf_time xf_eventq_next(const struct xf_eventq *q) {
  return q->n ? q->heap[0].at : XF_TIME_NEVER;
}

void *xf_eventq_take(struct xf_eventq *q, struct xf_time *at) {
  if (q->n == 0) return NULL;
  const struct xf_eventq_item top = q->heap[0], last = q->heap[--q->n];
  size_t i = 0;
  for (size_t k; (k = 2 * i + 1) < q->n; i = k) {
    if (k + 1 < q->n && item_before(&q->heap[k + 1], &q->heap[k])) k++;
    if (!item_before(&q->heap[k], &last)) break;
    q->heap[i] = q->heap[k];
  }
  if (q->n) q->heap[i] = last;
  if (at) *at = top.at;
  return top.value;
}
