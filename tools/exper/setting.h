/*
 * setting.h - what tells two plans apart: a resolved plan's text as keys and values, and the keys in which several differ.
 * The seed is no part of a setting.
 * Owner: the caller. Thread: any.
 */
#ifndef XF_EXPER_SETTING_H
#define XF_EXPER_SETTING_H

#include "base/rc.h"

#include <stddef.h>

struct xf_setting_entry {
  char *key, *value; /* "local.optimizer.lr", "0.1" */
};
struct xf_setting {
  struct xf_setting_entry *entry; /* in the order of the text */
  size_t n;
};

/* Reads the text that xf_plan_print writes (blocks by two spaces, one value a line). A plan of one stage has its keys without
   "stages[0].". @own out: xf_setting_deinit @err E_FORMAT E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_setting_read(struct xf_setting *out, const char *text, size_t len);
/* Releases; idempotent. @own setting */
void xf_setting_deinit(struct xf_setting *setting);
/* The value of a key, or NULL. @own borrowed */
const char *xf_setting_find(const struct xf_setting *setting, const char *key);
/* Whether both say the same. @thread any */
bool xf_setting_same(const struct xf_setting *a, const struct xf_setting *b);
/* "lr=0.1 rounds=4": the keys of s that are not the same in all n others, by their last word (whole where two would be the same);
   without any "". Cut to fit. @shape all[n], out[cap] */
void xf_setting_label(char *out, size_t cap, const struct xf_setting *s,
                      const struct xf_setting *const *all, size_t n);

#endif
