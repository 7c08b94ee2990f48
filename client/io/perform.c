/* The core's actions, one by one. */
#include "client/io/parts.h"

void client_perform(struct xf_client *c, const struct xf_session_action *a) {
  switch (a->type) {
  case XF_SESSION_DIAL_ACTION: client_dial(c); return;
  case XF_SESSION_CLOSE_ACTION: client_hang_up(c); return;
  case XF_SESSION_SEND_ACTION: client_send(c, &a->msg); return;
  case XF_SESSION_ADOPT_ACTION: client_adopt(c, a); return;
  case XF_SESSION_MANIFEST_ACTION: client_manifest(c, a->text); return;
  case XF_SESSION_DIRECTORY_ACTION: client_directory(c, &a->directory); return;
  case XF_SESSION_OUTCOME_ACTION: client_outcome(c, &a->task_id, a->outcome); return;
  case XF_SESSION_FETCH_BEGIN_ACTION: client_fetch_begin(c, a->offer, a->offset); return;
  case XF_SESSION_FETCH_WRITE_ACTION:
    client_fetch_write(c, a->offset, a->data, a->data_len);
    return;
  case XF_SESSION_RUN_ACTION: client_run(c, a->offer); return;
  case XF_SESSION_CANCEL_ACTION: client_cancel(c); return;
  case XF_SESSION_UPLOAD_ACTION: client_upload(c, &a->task_id, a->offset); return;
  case XF_SESSION_STORE_FINAL_ACTION: client_final(c, a->offer); return;
  case XF_SESSION_SETTLE_ACTION: client_settle(c, &a->task_id, a->verdict); return;
  case XF_SESSION_EXIT_ACTION: client_exit(c, a->rc, a->text); return;
  }
}
