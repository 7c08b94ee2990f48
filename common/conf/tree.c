/* YAML events -> a bounded tree. What YAML offers beyond maps, lists and scalars is refused. */
#include "base/alloc.h"
#include "base/assert.h"
#include "conf/parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

struct tree {
  struct xf_arena *arena;
  struct xf_conf_errors *errors;
  struct xf_conf_origin from;
  struct xf_conf_node *root;
  struct xf_conf_node *open[XF_CONF_DEPTH_MAX];
  const char *key[XF_CONF_DEPTH_MAX]; /* key of the mapping that waits for its value */
  struct xf_conf_origin key_at[XF_CONF_DEPTH_MAX];
  size_t depth, n_nodes, n_documents;
  bool done;
};

enum xf_rc xf_conf_origin_print(struct xf_buf *out, const struct xf_conf_origin *at) {
  switch (at->from) {
  case XF_CONF_FROM_FILE:
    if (at->line == 0) return xf_buf_put_str(out, at->name);
    return xf_buf_printf(out, "%s:%u:%u", at->name, at->line, at->col);
  case XF_CONF_FROM_ENV: return xf_buf_printf(out, "environment %s", at->name);
  case XF_CONF_FROM_SET: return xf_buf_put_str(out, "--set");
  case XF_CONF_FROM_DEFAULT: break;
  }
  return xf_buf_put_str(out, "default");
}

void xf_conf_error(struct xf_conf_errors *errors, const struct xf_conf_origin *at, const char *fmt,
                   ...) {
  errors->n++;
  if (errors->n > XF_CONF_ERRORS_MAX) return;
  struct xf_buf *b = &errors->text;
  char text[XF_DIAG_LEN];
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  XF_ASSERT(n >= 0);
  enum xf_rc rc = XF_OK;
  if (at) {
    rc = xf_conf_origin_print(b, at);
    if (!rc && at->from == XF_CONF_FROM_SET) rc = xf_buf_printf(b, " %s", at->name);
    if (!rc) rc = xf_buf_put_str(b, ": ");
  }
  if (!rc) rc = xf_buf_put_str(b, text);
  if (!rc) rc = xf_buf_put_str(b, "\n");
  if (!rc && errors->n == XF_CONF_ERRORS_MAX) rc = xf_buf_put_str(b, "too many errors; stopping\n");
  /* The buffer holds 20 lines of the longest kind; the count above tells that there were errors even
     if memory ran out for their text. */
  if (rc) errors->n = XF_CONF_ERRORS_MAX;
}

static struct xf_conf_origin place(const struct tree *t, const yaml_mark_t *mark) {
  struct xf_conf_origin at = t->from;
  if (at.from == XF_CONF_FROM_FILE) {
    at.line = (uint32_t)mark->line + 1;
    at.col = (uint32_t)mark->column + 1;
  }
  return at;
}

static enum xf_rc refuse(struct tree *t, const yaml_event_t *ev, const char *what) {
  struct xf_conf_origin at = place(t, &ev->start_mark);
  xf_conf_error(t->errors, &at, "%s", what);
  return XF_E_CONFIG;
}

static struct xf_conf_node *find_key(const struct xf_conf_node *map, const char *key) {
  for (struct xf_conf_node *c = map->first; c; c = c->next)
    if (strcmp(c->key, key) == 0) return c;
  return NULL;
}

/* A scalar in key position. */
static enum xf_rc take_key(struct tree *t, const yaml_event_t *ev, const char *text) {
  struct xf_conf_node *map = t->open[t->depth - 1];
  struct xf_conf_origin at = place(t, &ev->start_mark);
  const struct xf_conf_node *before = find_key(map, text);
  if (before) {
    xf_conf_error(t->errors, &at, "duplicate key \"%.60s\"; it was given before at line %u", text,
                  before->key_at.line);
    return XF_E_CONFIG;
  }
  t->key[t->depth - 1] = text;
  t->key_at[t->depth - 1] = at;
  return XF_OK;
}

static enum xf_rc add_node(struct tree *t, const yaml_event_t *ev, enum xf_conf_node_kind kind,
                           struct xf_conf_node **out) {
  if (++t->n_nodes > XF_CONF_NODES_MAX) return refuse(t, ev, "too many values (at most 65536)");
  struct xf_conf_node *n = xf_arena_calloc(t->arena, 1, sizeof *n);
  if (!n) return refuse(t, ev, "too large for a configuration");
  n->kind = kind;
  n->at = place(t, &ev->start_mark);
  *out = n;
  if (t->depth == 0) {
    t->root = n;
    return XF_OK;
  }
  struct xf_conf_node *up = t->open[t->depth - 1];
  if (up->kind == XF_CONF_MAPPING) {
    n->key = t->key[t->depth - 1];
    n->key_at = t->key_at[t->depth - 1];
    t->key[t->depth - 1] = NULL;
  }
  if (up->last) up->last->next = n;
  else up->first = n;
  up->last = n;
  up->n++;
  return XF_OK;
}

/* Whether the next node is a key of the innermost open mapping. */
static bool wants_key(const struct tree *t) {
  return t->depth > 0 && t->open[t->depth - 1]->kind == XF_CONF_MAPPING && !t->key[t->depth - 1];
}

static enum xf_rc on_scalar(struct tree *t, const yaml_event_t *ev) {
  const char *v = (const char *)ev->data.scalar.value;
  size_t len = ev->data.scalar.length;
  if (ev->data.scalar.anchor) return refuse(t, ev, "anchors (&name) are not supported");
  if (ev->data.scalar.tag) return refuse(t, ev, "tags (!name) are not supported");
  if (memchr(v, 0, len)) return refuse(t, ev, "a text may not contain a NUL character");
  char *text = xf_arena_alloc(t->arena, len + 1);
  if (!text) return refuse(t, ev, "too large for a configuration");
  memcpy(text, v, len);
  text[len] = '\0';
  if (wants_key(t)) return take_key(t, ev, text);
  struct xf_conf_node *n = NULL;
  enum xf_rc rc = add_node(t, ev, XF_CONF_SCALAR, &n);
  if (rc) return rc;
  n->text = text;
  n->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
  return XF_OK;
}

static enum xf_rc on_open(struct tree *t, const yaml_event_t *ev, enum xf_conf_node_kind kind) {
  bool map = kind == XF_CONF_MAPPING;
  if (map ? ev->data.mapping_start.anchor != NULL : ev->data.sequence_start.anchor != NULL)
    return refuse(t, ev, "anchors (&name) are not supported");
  if (map ? ev->data.mapping_start.tag != NULL : ev->data.sequence_start.tag != NULL)
    return refuse(t, ev, "tags (!name) are not supported");
  if (wants_key(t)) return refuse(t, ev, "a key must be a plain word");
  if (t->depth == XF_CONF_DEPTH_MAX) return refuse(t, ev, "nested too deeply (at most 16 levels)");
  struct xf_conf_node *n = NULL;
  enum xf_rc rc = add_node(t, ev, kind, &n);
  if (rc) return rc;
  t->open[t->depth] = n;
  t->key[t->depth] = NULL;
  t->depth++;
  return XF_OK;
}

static enum xf_rc on_event(struct tree *t, const yaml_event_t *ev) {
  switch (ev->type) {
  case YAML_SCALAR_EVENT: return on_scalar(t, ev);
  case YAML_SEQUENCE_START_EVENT: return on_open(t, ev, XF_CONF_SEQUENCE);
  case YAML_MAPPING_START_EVENT: return on_open(t, ev, XF_CONF_MAPPING);
  case YAML_SEQUENCE_END_EVENT:
  case YAML_MAPPING_END_EVENT: t->depth--; return XF_OK;
  case YAML_ALIAS_EVENT: return refuse(t, ev, "aliases (*name) are not supported");
  case YAML_DOCUMENT_START_EVENT:
    if (++t->n_documents > 1) return refuse(t, ev, "a second document (---) is not supported");
    if (ev->data.document_start.tag_directives.start != ev->data.document_start.tag_directives.end)
      return refuse(t, ev, "%TAG directives are not supported");
    return XF_OK;
  case YAML_STREAM_END_EVENT: t->done = true; return XF_OK;
  case YAML_NO_EVENT:
  case YAML_STREAM_START_EVENT:
  case YAML_DOCUMENT_END_EVENT: return XF_OK;
  }
  return XF_OK;
}

static void syntax_error(struct tree *t, const yaml_parser_t *p) {
  struct xf_conf_origin at = place(t, &p->problem_mark);
  const char *what = p->problem ? p->problem : "not readable as YAML";
  if (p->error == YAML_READER_ERROR) {
    at.line = at.col = 0;
    xf_conf_error(t->errors, &at, "byte %zu: %s; a configuration is UTF-8 text", p->problem_offset,
                  what);
  } else {
    xf_conf_error(t->errors, &at, "%s", what);
  }
}

enum xf_rc xf_conf_tree(struct xf_conf_node **root, struct xf_arena *arena,
                        struct xf_conf_errors *errors, const struct xf_conf_origin *from,
                        const char *text, size_t len) {
  struct tree t = {.arena = arena, .errors = errors, .from = *from};
  yaml_parser_t parser;
  if (!yaml_parser_initialize(&parser)) return XF_E_NOMEM;
  yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
  enum xf_rc rc = XF_OK;
  while (!rc && !t.done) {
    yaml_event_t ev;
    if (!yaml_parser_parse(&parser, &ev)) {
      syntax_error(&t, &parser);
      rc = XF_E_CONFIG;
      break;
    }
    rc = on_event(&t, &ev);
    yaml_event_delete(&ev);
  }
  yaml_parser_delete(&parser);
  *root = t.root;
  return rc;
}
