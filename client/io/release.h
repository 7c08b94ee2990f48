/*
 * release.h - what makes an answer sendable: the charge, the personal state, the outbox; in this order of decision 8.
 *
 *   personal.<task> durable -> blob durable -> one transaction with row and charge -> now it may be sent
 *
 * A release that would exceed policy.max_epsilon is refused before anything is stored.
 * Not for: computing the answer (silo/silo.h), sending it (outbox.c). Owner: the caller's structs. Thread: one at a time.
 */
#ifndef XF_CLIENT_IO_RELEASE_H
#define XF_CLIENT_IO_RELEASE_H

#include "client/core/policy.h"
#include "priv/odometer.h"
#include "silo/silo.h"
#include "store/outbox.h"

/* What was released so far. */
struct client_account {
  struct xf_odometer spent; /* all training answers of this state directory, over all runs */
  uint64_t released;        /* of this run */
  double epsilon;           /* replace-one; infinite after a release without noise */
};

/* A silo's answer on its way into the outbox. */
struct client_release {
  const char *run;
  enum xf_task_kind kind;
  struct xf_silo_answer *answer; /* begin is completed here */
  const float *personal;         /* [n] tentative state; NULL for an evaluation */
  uint64_t n;
  const struct client_account *before;
  double delta;
  const struct xf_policy *policy;
};

/* Stores and charges; `after` gets the account with it. Failpoints C4_blob and C4 are in the outbox.
   @err E_POLICY (policy.max_epsilon; nothing stored) E_EXISTS and those of xf_outbox_put */
XF_WARN_UNUSED enum xf_rc client_release_put(struct xf_outbox *outbox, const struct xf_fs *fs,
                                             const struct client_release *r,
                                             struct client_account *after, struct xf_diag *diag);
/* The announcement of a stored item, as it was made. @err E_CORRUPT */
XF_WARN_UNUSED enum xf_rc client_release_begin(struct xf_msg_update_begin *out,
                                               const struct xf_outbox_item *item,
                                               struct xf_diag *diag);
/* The account of everything ever charged, and of this run. @err of the outbox */
XF_WARN_UNUSED enum xf_rc client_release_account(struct client_account *out,
                                                 struct xf_outbox *outbox, const char *run,
                                                 double delta, struct xf_diag *diag);

#endif
