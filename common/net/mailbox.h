/*
 * mailbox.h - wakes a loop from another thread: the wake callback of base/worker.h.
 *
 *   xf_mailbox_open(&box, loop, on_wake, arg);
 *   xf_worker_start(&pool, n, xf_mailbox_wake, &box);      on_wake: drain xf_worker_take until NULL
 *   xf_worker_stop(pool); xf_mailbox_close(&box, closed);  in this order
 *
 * Wake-ups coalesce. Not for: carrying anything (the queue is the worker's). Owner: the caller embeds it and
 * keeps it until on_closed. Thread: the loop's, but for xf_mailbox_wake.
 */
#ifndef XF_NET_MAILBOX_H
#define XF_NET_MAILBOX_H

#include "base/rc.h"

#include <uv.h>

struct xf_mailbox {
  uv_async_t async;
  void (*on_wake)(void *arg);
  void (*on_closed)(void *arg);
  void *arg;
};

/* Starts; the loop stays alive until close. @own caller's storage @err E_IO */
XF_WARN_UNUSED enum xf_rc xf_mailbox_open(struct xf_mailbox *box, uv_loop_t *loop,
                                          void (*on_wake)(void *arg), void *arg);
/* Makes the loop call on_wake once, soon. @thread any @own borrows the struct xf_mailbox */
void xf_mailbox_wake(void *box);
/* No on_wake any more; on_closed(arg) (may be NULL) when the storage may go. @own storage until then */
void xf_mailbox_close(struct xf_mailbox *box, void (*on_closed)(void *arg));

#endif
