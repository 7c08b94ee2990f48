/*
 * layer.h - one source laid over those below it (layer.c), and the result put into the target. Not for
 * other modules. Owner: slots live in the arena of their xf_conf. Thread: one at a time.
 */
#ifndef XF_CONF_LAYER_H
#define XF_CONF_LAYER_H

#include "conf/parts.h"

/* Empty slots for a schema. @own the arena of conf @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_conf_slots_init(struct xf_conf *conf, struct xf_conf_slots *slots,
                                             const struct xf_conf_schema *schema);
/* Lays a whole document over. Errors are recorded. @err E_CONFIG E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_conf_layer_tree(struct xf_conf *conf, struct xf_conf_node *root);
/* Lays one value, given as text, over ("fed.rounds", "members[0].id"). @err E_CONFIG E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_conf_layer_value(struct xf_conf *conf, const char *path,
                                              const char *text, const struct xf_conf_origin *at);
/* Fills a target: defaults, then what was given; tells missing keys. @own target is deinitialised on
   error @err E_CONFIG E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_conf_slots_take(struct xf_conf *conf, void *target);
/* The slot of a full path, or NULL. @own borrowed */
const struct xf_conf_slot *xf_conf_slot_find(struct xf_conf *conf, const char *path,
                                             const struct xf_conf_key **key);

#endif
