/*
 * eventq.h - events of a virtual clock: a queue by time, first in first out among equals.
 *
 * The simulator and the deterministic tests drive the pure cores with it. Values are the caller's pointers; nothing
 * is freed here. Order depends on (time, order of putting) only, so the same puts give the same takes.
 * Owner: caller. Thread: one.
 */
#ifndef XF_BASE_EVENTQ_H
#define XF_BASE_EVENTQ_H

#include "base/time.h"

#include <stddef.h>
#include <stdint.h>

struct xf_eventq_item {
  struct xf_time at;
  uint64_t seq;
  void *value;
};

struct xf_eventq {
  struct xf_eventq_item *heap;
  size_t n, cap;
  uint64_t seq;
};

/* An empty queue. @own caller, release with xf_eventq_deinit */
void xf_eventq_init(struct xf_eventq *q);
/* Releases the queue, not the values: take them first. Idempotent. @own q */
void xf_eventq_deinit(struct xf_eventq *q);
/* Puts a value at an instant. @own borrows value until it is taken */
void xf_eventq_put(struct xf_eventq *q, struct xf_time at, void *value);
/* When the first is due; NEVER for an empty queue. @unit instant */
struct xf_time xf_eventq_next(const struct xf_eventq *q);
/* Takes the first; NULL for an empty queue. `at` (may be NULL) gets its instant. @own caller */
void *xf_eventq_take(struct xf_eventq *q, struct xf_time *at);

#endif
