/* Whole targets and whole tables: defaults, release, comparison, checks of a table, the reference. */
#include "base/alloc.h"
#include "base/assert.h"
#include "conf/parts.h"

#include <stdio.h>
#include <string.h>

/* Sets one key to its default; the target is zeroed. A table whose defaults are illegal is our own
   mistake (xf_conf_schema_check finds it in tests). */
static enum xf_rc set_default(const struct xf_conf_key *key, char *base, char why[XF_CONF_WHY]) {
  if (!key->def || key->type == XF_CONF_SECTIONS) return XF_OK;
  if (!key->list) return xf_conf_value_parse(key, base + key->at, key->def, why);
  uint32_t n = *key->def ? 1 : 0;
  for (const char *p = key->def; *p; p++) n += *p == ',';
  if (n > key->cap) return XF_E_LIMIT;
  if (n == 0) return XF_OK;
  char *p = xf_conf_list_make(key, base, n);
  XF_ASSERT(p != NULL); /* the size is the table's */
  const char *s = key->def;
  for (uint32_t i = 0; i < n; i++) {
    size_t len = strcspn(s, ",");
    char *word = xf_memdup(s, len + 1);
    word[len] = '\0';
    enum xf_rc rc = xf_conf_value_parse(key, p + i * key->size, word, why);
    xf_free(word);
    if (rc) return rc;
    s += len + 1;
  }
  return XF_OK;
}

void xf_conf_init_target(const struct xf_conf_schema *schema, void *target) {
  char why[XF_CONF_WHY];
  memset(target, 0, schema->size);
  for (size_t i = 0; i < schema->n_key; i++)
    XF_ASSERT(set_default(&schema->key[i], target, why) == XF_OK);
}

void xf_conf_deinit_target(const struct xf_conf_schema *schema, void *target) {
  for (size_t i = 0; i < schema->n_key; i++) {
    const struct xf_conf_key *key = &schema->key[i];
    if (!key->list) continue;
    uint32_t n = 0;
    memcpy(&n, (char *)target + key->at_n, sizeof n);
    void *p = (char *)target + key->at;
    if (key->heap) memcpy(&p, (char *)target + key->at, sizeof p);
    if (key->type == XF_CONF_SECTIONS)
      for (uint32_t j = 0; p && j < n; j++)
        xf_conf_deinit_target(key->sections, (char *)p + j * key->size);
    if (key->heap) xf_free(p);
  }
  memset(target, 0, schema->size);
}

bool xf_conf_diff(const struct xf_conf_schema *schema, const void *before, const void *after,
                  enum xf_conf_reload *strongest, xf_conf_changed changed, void *arg) {
  bool any = false;
  *strongest = XF_CONF_LIVE;
  for (size_t i = 0; i < schema->n_key; i++) {
    const struct xf_conf_key *key = &schema->key[i];
    if (xf_conf_key_equal(key, before, after)) continue;
    any = true;
    if (key->reload > *strongest) *strongest = key->reload;
    if (changed) changed(arg, key);
  }
  return any;
}

/* Length of the section part of a path: "fed.server." of "fed.server.lr". */
static size_t section_len(const char *path) {
  const char *dot = strrchr(path, '.');
  return dot ? (size_t)(dot - path) + 1 : 0;
}

/* Keys of one section (at any depth) must follow each other, or printing would open it twice. */
static enum xf_rc check_together(const struct xf_conf_schema *s, size_t i, struct xf_diag *diag) {
  const char *path = s->key[i].path;
  for (size_t len = section_len(path); len > 0;) {
    bool left = false;
    for (size_t j = i + 1; j < s->n_key; j++) {
      bool in = strncmp(s->key[j].path, path, len) == 0;
      if (in && left)
        return xf_diag_set(diag, XF_E_INVAL, "key \"%s\" is apart from its section",
                           s->key[j].path);
      left = left || !in;
    }
    size_t up = len - 1;
    while (up > 0 && path[up - 1] != '.') up--;
    len = up;
  }
  return XF_OK;
}

static enum xf_rc check_key(const struct xf_conf_schema *s, size_t i, struct xf_diag *diag) {
  const struct xf_conf_key *k = &s->key[i];
  size_t room = k->heap ? sizeof(void *) : k->size * (k->list ? k->cap : 1);
  if (!k->path || !k->help || !k->size || k->at + room > s->size)
    return xf_diag_set(diag, XF_E_INVAL, "row %zu lacks a path, help or field", i);
  if (k->type == XF_CONF_ENUM && (!k->names || k->size != sizeof(int)))
    return xf_diag_set(diag, XF_E_INVAL, "\"%s\" needs names and an int-sized enum", k->path);
  if (k->type == XF_CONF_SECTIONS && (!k->sections || !k->list || k->sections->size != k->size))
    return xf_diag_set(diag, XF_E_INVAL, "\"%s\" needs a schema of its elements", k->path);
  if ((k->type == XF_CONF_DOUBLE || k->type == XF_CONF_DURATION) && k->size != sizeof(double))
    return xf_diag_set(diag, XF_E_INVAL, "\"%s\" must be a double", k->path);
  if (k->type == XF_CONF_BOOL && k->size != sizeof(bool))
    return xf_diag_set(diag, XF_E_INVAL, "\"%s\" must be a bool", k->path);
  if ((k->type == XF_CONF_INT || k->type == XF_CONF_UINT || k->type == XF_CONF_SIZE) && k->size > 8)
    return xf_diag_set(diag, XF_E_INVAL, "\"%s\" must be an integer of at most 8 bytes", k->path);
  for (size_t j = 0; j < i; j++) {
    if (strcmp(s->key[j].path, k->path) == 0)
      return xf_diag_set(diag, XF_E_INVAL, "two rows for \"%s\"", k->path);
    if (k->tag && s->key[j].tag == k->tag)
      return xf_diag_set(diag, XF_E_INVAL, "\"%s\" and \"%s\" have the same tag", s->key[j].path,
                         k->path);
  }
  return k->sections ? xf_conf_schema_check(k->sections, diag) : check_together(s, i, diag);
}

enum xf_rc xf_conf_schema_check(const struct xf_conf_schema *schema, struct xf_diag *diag) {
  char why[XF_CONF_WHY] = "";
  enum xf_rc rc = XF_OK;
  for (size_t i = 0; i < schema->n_key && !rc; i++) rc = check_key(schema, i, diag);
  if (rc) return rc;
  void *scratch = xf_calloc(1, schema->size);
  for (size_t i = 0; i < schema->n_key && !rc; i++) {
    rc = set_default(&schema->key[i], scratch, why);
    if (rc) rc = xf_diag_set(diag, XF_E_INVAL, "default of \"%s\": %s", schema->key[i].path, why);
  }
  xf_conf_deinit_target(schema, scratch);
  xf_free(scratch);
  return rc;
}

static enum xf_rc help_type(struct xf_buf *out, const struct xf_conf_key *k) {
  enum xf_rc rc = XF_OK;
  if (k->list && k->type != XF_CONF_SECTIONS) rc = xf_buf_put_str(out, "list of ");
  if (!rc) rc = xf_buf_put_str(out, xf_conf_type_text(k->type));
  if (k->type == XF_CONF_ENUM) {
    const char *sep = " ";
    for (const struct xf_conf_name *w = k->names; w->text && !rc; w++) {
      if (w->later) continue;
      rc = xf_buf_printf(out, "%s`%s`", sep, w->text);
      sep = ", ";
    }
  }
  if (!rc && (k->min != 0 || k->max != 0))
    rc = xf_buf_printf(out, ", %s %.10g to %.10g", k->open_min ? "above" : "from", k->min, k->max);
  if (!rc && k->unit) rc = xf_buf_printf(out, " (%s)", k->unit);
  return rc;
}

static enum xf_rc help_rows(struct xf_buf *out, const struct xf_conf_schema *schema,
                            const char *prefix) {
  enum xf_rc rc = XF_OK;
  for (size_t i = 0; i < schema->n_key && !rc; i++) {
    const struct xf_conf_key *k = &schema->key[i];
    rc = xf_buf_printf(out, "| `%s%s` | ", prefix, k->path);
    if (!rc) rc = help_type(out, k);
    const char *def = k->required ? "required" : k->def ? k->def : "";
    const char *tick = k->required || !*def ? "" : "`";
    if (!rc)
      rc = xf_buf_printf(out, " | %s%s%s | %s | %s |\n", tick, def, tick,
                         xf_conf_reload_text(k->reload), k->help);
    if (rc || k->type != XF_CONF_SECTIONS) continue;
    char below[XF_CONF_PATH_TEXT];
    int n = snprintf(below, sizeof below, "%s%s[].", prefix, k->path);
    if (n < 0 || (size_t)n >= sizeof below) return XF_E_LIMIT;
    rc = help_rows(out, k->sections, below);
  }
  return rc;
}

enum xf_rc xf_conf_help(struct xf_buf *out, const struct xf_conf_schema *schema) {
  enum xf_rc rc = xf_buf_put_str(out, "| key | value | default | on reload | meaning |\n"
                                      "|---|---|---|---|---|\n");
  return rc ? rc : help_rows(out, schema, "");
}
