#include "net/mailbox.h"

static void on_async(uv_async_t *async) {
  struct xf_mailbox *box = async->data;
  box->on_wake(box->arg);
}

static void on_box_closed(uv_handle_t *handle) {
  struct xf_mailbox *box = handle->data;
  if (box->on_closed) box->on_closed(box->arg);
}

enum xf_rc xf_mailbox_open(struct xf_mailbox *box, uv_loop_t *loop, void (*on_wake)(void *arg),
                           void *arg) {
  *box = (struct xf_mailbox){.on_wake = on_wake, .arg = arg};
  if (uv_async_init(loop, &box->async, on_async)) return XF_E_IO;
  box->async.data = box;
  return XF_OK;
}

void xf_mailbox_wake(void *box) {
  struct xf_mailbox *b = box;
  (void)uv_async_send(&b->async); /* fails only for a foreign handle */
}

void xf_mailbox_close(struct xf_mailbox *box, void (*on_closed)(void *arg)) {
  box->on_closed = on_closed;
  uv_close((uv_handle_t *)&box->async, on_box_closed);
}
