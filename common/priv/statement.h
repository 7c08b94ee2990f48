/*
 * statement.h - the privacy of a run in words: what is claimed, at which unit, against whom, and what is not
 * covered. The only place that phrases it, so that logs, reports and `crossfed` say the same.
 *
 * The claim of this version: unit silo (noise on updates), a user of one silo (noise on statistics, release.h), or a user or record of
 * one silo's train part (each training step clipped and noised, unitsum.h); adversary coordinator. Every release is counted whole,
 * but steps whose sample is drawn by Poisson sampling. A silo prints its own statement; the coordinator prints only the maximum over silos.
 * Thread: any. Owner: borrowed strings.
 * @source tensorflow-privacy's printed statement (every assumption named); NIST SP 800-226
 */
#ifndef XF_PRIV_STATEMENT_H
#define XF_PRIV_STATEMENT_H

#include "base/buf.h"
#include "priv/odometer.h"

struct xf_statement {
  const char *silo; /* NULL: the coordinator's, over n_silos */
  uint64_t n_silos;
  double clip; /* L2 norm of one update; 0: not clipped */
  struct xf_odometer
      odometer; /* the silo's; the coordinator's: of the silo with the largest epsilon */
  double delta;
  const char *const
      *exports; /* "samples", "norm", "loss", "metrics": what policy lets out besides */
  size_t n_exports;
  bool rows;              /* aligned rows are exchanged */
  bool trusted_alignment; /* the pseudonym key is shared by all silos */
  bool seeded;            /* noise from a seeded stream */
  bool users;             /* charges are about a user of the silo, not about the silo */
  bool records;           /* about a record of the silo */
  bool
      steps; /* users or records: clip bounds a unit's gradient in a step; without, clip is not used */
  double rate; /* of steps: the probability with which a unit takes part */
};

/* Lines of text. @err E_LIMIT E_NOMEM E_RANGE (delta) */
XF_WARN_UNUSED enum xf_rc xf_statement_print(struct xf_buf *out,
                                             const struct xf_statement *statement);
/* The first line alone, for a log: "epsilon 3.2 (zero-out), 8.1 (replace-one) at delta 1e-05, ..."; of users, "(add-or-remove)".
   @err as xf_statement_print */
XF_WARN_UNUSED enum xf_rc xf_statement_print_short(struct xf_buf *out,
                                                   const struct xf_statement *statement);

#endif
