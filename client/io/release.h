/*
 * release.h - what makes an answer sendable: the charge, the personal state, the outbox; in this order of decision 8.
 *
 *   personal.<task> durable -> blob durable -> one transaction with row and charge -> now it may be sent
 *
 * A release that would exceed policy.max_epsilon is refused before anything is stored, and so is one whose charge is of another unit
 * than the account's: an epsilon per record and one per update do not add up to anything.
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
  enum xf_plan_unit unit; /* of the charges: of training per unit; silo: of updates or statistics */
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
  enum xf_plan_unit unit; /* as in the account */
  const struct xf_policy *policy;
};

/* The unit that a plan's training answers are charged by. @thread any */
enum xf_plan_unit client_release_unit(const struct xf_plan *plan);
/* Whether charges of `unit` may join the account: there are none yet, or of this unit, or no figure is claimed any more.
   @err E_POLICY with diag */
XF_WARN_UNUSED enum xf_rc client_release_check(const struct client_account *account,
                                               enum xf_plan_unit unit, struct xf_diag *diag);

/* Stores and charges; `after` gets the account with it. Failpoints C4_blob and C4 are in the outbox.
   @err E_POLICY (policy.max_epsilon, another unit; nothing stored) E_EXISTS and those of xf_outbox_put */
XF_WARN_UNUSED enum xf_rc client_release_put(struct xf_outbox *outbox, const struct xf_fs *fs,
                                             const struct client_release *r,
                                             struct client_account *after, struct xf_diag *diag);
/* The announcement of a stored item, as it was made. @err E_CORRUPT */
XF_WARN_UNUSED enum xf_rc client_release_begin(struct xf_msg_update_begin *out,
                                               const struct xf_outbox_item *item,
                                               struct xf_diag *diag);
/* What a stored training answer was charged as, and per what. @err E_CORRUPT */
XF_WARN_UNUSED enum xf_rc client_release_charge(struct xf_odometer_charge *out,
                                                enum xf_plan_unit *unit,
                                                const struct xf_outbox_item *item,
                                                struct xf_diag *diag);
/* The account of everything ever charged, and of this run. @err of the outbox */
XF_WARN_UNUSED enum xf_rc client_release_account(struct client_account *out,
                                                 struct xf_outbox *outbox, const char *run,
                                                 double delta, struct xf_diag *diag);

#endif
