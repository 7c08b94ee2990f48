/*
 * serverrule.h - what a server rule in a file of its own gives: how the mean D of a round's updates moves w, coordinate by coordinate.
 *
 * The fold has summed in its order and reads and writes the model and up to two state vectors m and v, which checkpoints and the
 * ledger carry; m begins as 0, v as v0. A rule must give the same bits whatever range of coordinates it is called for: plain double
 * arithmetic and sqrt, nothing kept between calls, nothing random.
 * Not for: what a silo trains or sends.
 * Owner: constant data. Thread: any. @source the rule's own file
 */
#ifndef XF_FED_SERVERRULE_H
#define XF_FED_SERVERRULE_H

#include "fed/serveropt.h"

struct xf_server_rule {
  uint32_t states; /* vectors kept between commits: 0, m, or m and v */
  /* Whether b1, b2, tau and v0 can be worked with, as far as the rule reads them; eta is finite. */
  bool (*in_range)(const struct xf_server_step *step);
  /* As xf_server_apply. */
  bool (*apply)(const struct xf_server_step *step, const struct xf_server_part *part, double *lane,
                size_t n);
};

#define XF_SERVER_RULE_EXTERN(name, text) extern const struct xf_server_rule xf_server_rule_##name;
XF_SERVER_RULES(XF_SERVER_RULE_EXTERN)
#undef XF_SERVER_RULE_EXTERN

#endif
