/* A target as YAML that reads back to the same target, with or without the origin of each value. */
#include "conf/parts.h"

#include <string.h>

struct printer {
  struct xf_buf *out;
  const struct xf_conf *conf; /* NULL: no origins */
};

static enum xf_rc indent(struct xf_buf *out, size_t depth) {
  enum xf_rc rc = XF_OK;
  for (size_t i = 0; i < depth && !rc; i++) rc = xf_buf_put_str(out, "  ");
  return rc;
}

static enum xf_rc line_end(const struct printer *p, const struct xf_conf_slot *slot) {
  static const struct xf_conf_origin none = {.from = XF_CONF_FROM_DEFAULT};
  enum xf_rc rc = XF_OK;
  if (p->conf) {
    rc = xf_buf_put_str(p->out, "  # ");
    if (!rc) rc = xf_conf_origin_print(p->out, slot && slot->node ? &slot->origin : &none);
  }
  return rc ? rc : xf_buf_put_str(p->out, "\n");
}

/* Opens the sections of `path` that `before` was not in already; *depth counts them. */
static enum xf_rc open_sections(const struct printer *p, const char *path, const char *before,
                                size_t base, size_t *depth, const char **leaf) {
  enum xf_rc rc = XF_OK;
  const char *at = path;
  bool same = before != NULL;
  *depth = base;
  for (const char *dot = strchr(at, '.'); dot && !rc; dot = strchr(at, '.')) {
    size_t upto = (size_t)(dot - path) + 1;
    same = same && strncmp(path, before, upto) == 0;
    if (!same) {
      rc = indent(p->out, *depth);
      if (!rc) rc = xf_buf_put(p->out, at, (size_t)(dot - at));
      if (!rc) rc = xf_buf_put_str(p->out, ":\n");
    }
    at = dot + 1;
    (*depth)++;
  }
  *leaf = at;
  return rc;
}

static enum xf_rc print_section(const struct printer *p, const struct xf_conf_schema *schema,
                                const void *target, const struct xf_conf_slots *slots,
                                size_t depth);

static enum xf_rc print_list(const struct printer *p, const struct xf_conf_key *key,
                             const void *target, const struct xf_conf_slot *slot, size_t depth) {
  uint32_t n = 0;
  const char *e = xf_conf_list(key, target, &n);
  bool inner = key->type == XF_CONF_SECTIONS && n > 0;
  enum xf_rc rc = xf_buf_put_str(p->out, inner ? "" : " [");
  for (uint32_t i = 0; i < n && !inner && !rc; i++) {
    if (i) rc = xf_buf_put_str(p->out, ", ");
    if (!rc) rc = xf_conf_value_print(p->out, key, e + i * key->size);
  }
  if (!rc && !inner) rc = xf_buf_put_str(p->out, "]");
  if (!rc) rc = line_end(p, slot);
  for (uint32_t i = 0; i < n && inner && !rc; i++) {
    const struct xf_conf_slots *below = slot && i < slot->n ? &slot->element[i] : NULL;
    rc = indent(p->out, depth + 1);
    if (!rc) rc = xf_buf_put_str(p->out, "-\n");
    if (!rc) rc = print_section(p, key->sections, e + i * key->size, below, depth + 2);
  }
  return rc;
}

/* A number without default that was not given is zero, out of its range perhaps: a comment stands for it. */
static bool is_absent(const struct xf_conf_key *key, const void *field) {
  if (key->def || key->required || key->list || key->type == XF_CONF_STRING ||
      key->type == XF_CONF_PATH || key->type == XF_CONF_BOOL)
    return false;
  for (size_t i = 0; i < key->size; i++)
    if (((const char *)field)[i]) return false;
  return key->type != XF_CONF_ENUM;
}

static enum xf_rc print_section(const struct printer *p, const struct xf_conf_schema *schema,
                                const void *target, const struct xf_conf_slots *slots,
                                size_t depth) {
  enum xf_rc rc = XF_OK;
  const char *before = NULL;
  for (size_t i = 0; i < schema->n_key && !rc; i++) {
    const struct xf_conf_key *key = &schema->key[i];
    const struct xf_conf_slot *slot = slots ? &slots->slot[i] : NULL;
    const char *leaf = NULL;
    size_t at = 0;
    rc = open_sections(p, key->path, before, depth, &at, &leaf);
    before = key->path;
    if (!rc) rc = indent(p->out, at);
    const char *field = (const char *)target + key->at;
    if (!rc && is_absent(key, field)) {
      rc = xf_buf_printf(p->out, "# %s: not given\n", leaf);
      continue;
    }
    if (!rc) rc = xf_buf_printf(p->out, "%s:", leaf);
    if (!rc && key->list) {
      rc = print_list(p, key, target, slot, at);
      continue;
    }
    if (!rc) rc = xf_buf_put_str(p->out, " ");
    if (!rc) rc = xf_conf_value_print(p->out, key, field);
    if (!rc) rc = line_end(p, slot);
  }
  return rc;
}

enum xf_rc xf_conf_print(struct xf_buf *out, const struct xf_conf_schema *schema,
                         const void *target, const struct xf_conf *conf) {
  struct printer p = {.out = out, .conf = conf};
  return print_section(&p, schema, target, conf ? &conf->root : NULL, 0);
}
