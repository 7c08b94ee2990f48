/*
 * interactions_push.h - between the files of data only: appending one event with explicit lengths.
 * Not for other modules (interactions.h). Owner: keys are copied. Thread: as interactions.h.
 */
#ifndef XF_DATA_INTERACTIONS_PUSH_H
#define XF_DATA_INTERACTIONS_PUSH_H

#include "data/interactions.h"

/* domain, client NULL, value, time NaN, line 0: absent. */
struct xf_event {
  const char *user, *item, *domain, *client;
  size_t user_len, item_len, domain_len, client_len;
  double value, time;
  uint64_t line;
};

/* Appends. @err E_INVAL (not the columns of the rows before, or a bad key) E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_interactions_push(struct xf_interactions *inter,
                                               const struct xf_event *event);

#endif
