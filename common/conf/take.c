/* What was given, put into the target over the defaults; required keys that are missing. */
#include "base/alloc.h"
#include "conf/layer.h"

#include <stdio.h>
#include <string.h>

static enum xf_rc missing(struct xf_conf *conf, const struct xf_conf_slots *slots,
                          const struct xf_conf_key *key, const char *prefix) {
  const struct xf_conf_origin *at = slots->at.name ? &slots->at : NULL;
  char words[200] = "";
  size_t used = 0;
  for (const struct xf_conf_name *w = key->names; w && w->text; w++) {
    if (w->later) continue;
    int n = snprintf(words + used, sizeof words - used, "%s%s", used ? ", " : " (one of ", w->text);
    if (n > 0 && used + (size_t)n < sizeof words) used += (size_t)n;
  }
  xf_conf_error(&conf->errors, at, "missing key \"%s%s\"%s%s", prefix, key->path, words,
                used ? ")" : "");
  return XF_E_CONFIG;
}

static enum xf_rc take(struct xf_conf *conf, const struct xf_conf_slots *slots, const char *prefix,
                       void *target);

static enum xf_rc take_list(struct xf_conf *conf, const struct xf_conf_key *key,
                            const struct xf_conf_slot *slot, const char *prefix, void *target) {
  char why[XF_CONF_WHY], below[XF_CONF_PATH_TEXT];
  uint32_t n = (uint32_t)slot->node->n, had = 0;
  void *old = NULL; /* the default's elements */
  if (key->heap && xf_conf_list(key, target, &had))
    memcpy(&old, (char *)target + key->at, sizeof old);
  char *e = xf_conf_list_make(key, target, n);
  if (!e) return XF_E_NOMEM;
  if (old) xf_free(old);
  const struct xf_conf_node *c = slot->node->first;
  enum xf_rc rc = XF_OK;
  for (uint32_t i = 0; i < n; i++, c = c->next) {
    enum xf_rc one = XF_OK;
    if (key->type == XF_CONF_SECTIONS) {
      int m = snprintf(below, sizeof below, "%s%s[%u].", prefix, key->path, i);
      if (m < 0 || (size_t)m >= sizeof below) return XF_E_LIMIT;
      one = take(conf, &slot->element[i], below, e + i * key->size);
    } else {
      one = xf_conf_value_parse(key, e + i * key->size, c->text, why);
    }
    if (one) rc = one;
  }
  return rc;
}

static enum xf_rc take(struct xf_conf *conf, const struct xf_conf_slots *slots, const char *prefix,
                       void *target) {
  char why[XF_CONF_WHY];
  enum xf_rc rc = XF_OK;
  xf_conf_init_target(slots->schema, target);
  for (size_t i = 0; i < slots->schema->n_key; i++) {
    const struct xf_conf_key *key = &slots->schema->key[i];
    const struct xf_conf_slot *slot = &slots->slot[i];
    enum xf_rc one = XF_OK;
    if (!slot->node || (key->required && key->list && slot->node->n == 0)) {
      if (key->required) one = missing(conf, slots, key, prefix);
    } else if (key->list) {
      one = take_list(conf, key, slot, prefix, target);
    } else {
      one = xf_conf_value_parse(key, (char *)target + key->at, slot->node->text, why);
    }
    if (one) rc = one;
  }
  return rc;
}

enum xf_rc xf_conf_slots_take(struct xf_conf *conf, void *target) {
  enum xf_rc rc = take(conf, &conf->root, "", target);
  if (rc) xf_conf_deinit_target(conf->schema, target);
  return rc;
}

enum xf_rc xf_conf_origin(struct xf_buf *out, struct xf_conf *conf, const char *path) {
  static const struct xf_conf_origin none = {.from = XF_CONF_FROM_DEFAULT};
  const struct xf_conf_key *key = NULL;
  const struct xf_conf_slot *slot = xf_conf_slot_find(conf, path, &key);
  if (!key) return XF_E_NOTFOUND;
  return xf_conf_origin_print(out, slot && slot->node ? &slot->origin : &none);
}
