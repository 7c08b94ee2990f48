/* Laying one source over the others: which key a name means, whether its value is legal, who gave it. */
#include "conf/layer.h"

#include "base/alloc.h"
#include "base/str.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Where the walk is: `in` is the path within the schema ("fed."), `show` the full one ("stages[0].fed."). */
struct where {
  struct xf_conf_slots *slots;
  char in[XF_CONF_PATH_TEXT];
  char show[XF_CONF_PATH_TEXT];
};

enum xf_rc xf_conf_slots_init(struct xf_conf *conf, struct xf_conf_slots *slots,
                              const struct xf_conf_schema *schema) {
  slots->schema = schema;
  slots->slot = xf_arena_calloc(&conf->arena, schema->n_key, sizeof *slots->slot);
  return slots->slot ? XF_OK : XF_E_NOMEM;
}

static const struct xf_conf_key *find_key(const struct xf_conf_schema *schema, const char *path) {
  for (size_t i = 0; i < schema->n_key; i++)
    if (strcmp(schema->key[i].path, path) == 0) return &schema->key[i];
  return NULL;
}

/* Some key lies inside: its path goes on with a dot. */
static const struct xf_conf_key *find_in_section(const struct xf_conf_schema *schema,
                                                 const char *path) {
  size_t n = strlen(path);
  for (size_t i = 0; i < schema->n_key; i++)
    if (strncmp(schema->key[i].path, path, n) == 0 && schema->key[i].path[n] == '.')
      return &schema->key[i];
  return NULL;
}

/* A key or section by its last word, for keys written one level off. */
static const char *find_last_word(const struct xf_conf_schema *schema, const char *path) {
  const char *dot = strrchr(path, '.');
  const char *word = dot ? dot + 1 : path;
  for (size_t i = 0; i < schema->n_key; i++) {
    const char *p = schema->key[i].path, *d = strrchr(p, '.');
    if (d && strcmp(d + 1, word) == 0) return p;
  }
  return NULL;
}

/* The closest key or section name of the schema, into out. */
static bool closest(char out[XF_CONF_PATH_TEXT], const struct xf_conf_schema *schema,
                    const char *path) {
  size_t best = SIZE_MAX, limit = strlen(path) / 3 + 1;
  for (size_t i = 0; i < schema->n_key; i++) {
    const char *p = schema->key[i].path;
    for (const char *end = p; end; end = strchr(end + 1, '.')) {
      /* each prefix that ends before a dot is a section; the whole path comes last */
      const char *stop = strchr(end == p ? p : end + 1, '.');
      size_t n = stop ? (size_t)(stop - p) : strlen(p);
      char word[XF_CONF_PATH_TEXT];
      if (n >= sizeof word) break;
      memcpy(word, p, n);
      word[n] = '\0';
      size_t d = xf_str_distance(path, word);
      if (d <= limit && d < best) {
        best = d;
        memcpy(out, word, n + 1);
      }
    }
  }
  return best != SIZE_MAX;
}

static enum xf_rc unknown_key(struct xf_conf *conf, const struct where *w, const char *path,
                              const struct xf_conf_origin *at) {
  const struct xf_conf_schema *schema = w->slots->schema;
  int cut = (int)(strlen(w->show) - strlen(w->in)); /* length of "stages[0]." */
  char hint[XF_CONF_PATH_TEXT];
  const char *other = NULL, *list = NULL;
  if (closest(hint, schema, path)) other = hint;
  if (!other) other = find_last_word(schema, path);
  for (size_t i = 0; i < schema->n_key && !other; i++) {
    const struct xf_conf_schema *sub = schema->key[i].sections;
    if (!sub) continue;
    if (find_key(sub, path) || find_in_section(sub, path)) other = path;
    if (!other && closest(hint, sub, path)) other = hint;
    if (!other) other = find_last_word(sub, path);
    if (other) list = schema->key[i].path;
  }
  if (other && list)
    xf_conf_error(&conf->errors, at, "unknown key \"%.*s%s\"; did you mean \"%.*s%s[0].%s\"?", cut,
                  w->show, path, cut, w->show, list, other);
  else if (other)
    xf_conf_error(&conf->errors, at, "unknown key \"%.*s%s\"; did you mean \"%.*s%s\"?", cut,
                  w->show, path, cut, w->show, other);
  else xf_conf_error(&conf->errors, at, "unknown key \"%.*s%s\"", cut, w->show, path);
  return XF_E_CONFIG;
}

static const char *find_env(const struct xf_conf *conf, const char *name, size_t len) {
  for (const char *const *e = conf->env; *e; e++)
    if (strncmp(*e, name, len) == 0 && (*e)[len] == '=') return *e + len + 1;
  return NULL;
}

/* One ${NAME} or ${NAME:-default} at *s into out; *s moves behind it. */
static enum xf_rc expand_one(struct xf_conf *conf, struct xf_buf *out, const char **s,
                             char why[XF_CONF_WHY]) {
  const char *name = *s + 2, *end = strchr(name, '}');
  size_t n = 0;
  while (isalnum((unsigned char)name[n]) || name[n] == '_') n++;
  bool has_default = name[n] == ':' && name[n + 1] == '-';
  const char *value = n ? find_env(conf, name, n) : NULL;
  int m = 0;
  if (!end || n == 0 || (name + n != end && !has_default))
    m = snprintf(why, XF_CONF_WHY, "\"%.40s\": write ${NAME} or ${NAME:-default}", *s);
  else if (!value && !has_default)
    m = snprintf(why, XF_CONF_WHY, "${%.*s} is not set and has no default", (int)n, name);
  if (m) return XF_E_CONFIG;
  *s = end + 1;
  if (value && *value) return xf_buf_put_str(out, value);
  if (!has_default) return XF_OK;
  const char *def = name + n + 2;
  return xf_buf_put(out, def, (size_t)(end - def));
}

/* Replaces the node's text by its expansion; keys that do not expand refuse "${". */
static enum xf_rc expand(struct xf_conf *conf, const struct xf_conf_key *key,
                         struct xf_conf_node *node, char why[XF_CONF_WHY]) {
  const char *s = node->text;
  if (!strstr(s, "${")) return XF_OK;
  if (!key->expand) {
    int n = snprintf(why, XF_CONF_WHY, "\"%.60s\": ${...} is not expanded here", s);
    return n < 0 ? XF_E_FORMAT : XF_E_CONFIG;
  }
  struct xf_buf out;
  xf_buf_init(&out, 64 * 1024);
  enum xf_rc rc = XF_OK;
  while (*s && !rc) {
    if (s[0] == '$' && s[1] == '{') rc = expand_one(conf, &out, &s, why);
    else rc = xf_buf_put(&out, s++, 1);
  }
  const char *text = rc ? NULL : xf_arena_strdup(&conf->arena, xf_buf_cstr(&out));
  if (!rc && (!text || strstr(text, "${"))) {
    int n = snprintf(why, XF_CONF_WHY, "\"%.60s\" expands to a text with ${ in it", node->text);
    rc = n < 0 ? XF_E_FORMAT : XF_E_CONFIG;
  }
  if (!rc) node->text = text;
  xf_buf_deinit(&out);
  return rc;
}

static bool is_null(const struct xf_conf_node *node) {
  return node->kind == XF_CONF_SCALAR && node->plain &&
         (!*node->text || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}

/* One scalar that belongs to a key (the key itself, or an element of its list). */
static enum xf_rc check_scalar(struct xf_conf *conf, const struct xf_conf_key *key,
                               const char *show, struct xf_conf_node *node) {
  char why[XF_CONF_WHY] = "";
  const char *wrong = NULL;
  if (node->kind != XF_CONF_SCALAR) wrong = "must be a single value";
  else if (is_null(node)) wrong = "has no value; write \"\" for an empty text";
  if (wrong) {
    xf_conf_error(&conf->errors, &node->at, "%s: %s", show, wrong);
    return XF_E_CONFIG;
  }
  enum xf_rc rc = expand(conf, key, node, why);
  if (!rc) {
    void *scratch = xf_calloc(1, key->size);
    rc = xf_conf_value_parse(key, scratch, node->text, why);
    xf_free(scratch);
  }
  if (rc) xf_conf_error(&conf->errors, &node->at, "%s: %s", show, *why ? why : xf_rc_text(rc));
  return rc ? XF_E_CONFIG : XF_OK;
}

static enum xf_rc walk(struct xf_conf *conf, const struct where *w, struct xf_conf_node *map);

static enum xf_rc assign_sections(struct xf_conf *conf, const struct xf_conf_key *key,
                                  struct xf_conf_slot *slot, const char *show,
                                  struct xf_conf_node *node) {
  slot->element = xf_arena_calloc(&conf->arena, node->n, sizeof *slot->element);
  slot->n = slot->element ? node->n : 0;
  if (!slot->element) return XF_E_NOMEM;
  enum xf_rc rc = XF_OK;
  size_t i = 0;
  for (struct xf_conf_node *c = node->first; c; c = c->next, i++) {
    struct where w = {.slots = &slot->element[i]};
    enum xf_rc one = xf_conf_slots_init(conf, w.slots, key->sections);
    w.slots->at = c->at;
    int n = snprintf(w.show, sizeof w.show, "%s[%zu].", show, i);
    if (!one && (n < 0 || (size_t)n >= sizeof w.show)) one = XF_E_LIMIT;
    if (one) return one;
    if (c->kind == XF_CONF_MAPPING) one = walk(conf, &w, c);
    else {
      xf_conf_error(&conf->errors, &c->at, "%s[%zu]: must be a section (key: value)", show, i);
      one = XF_E_CONFIG;
    }
    if (one) rc = one;
  }
  return rc;
}

/* Gives a key its value; the value replaces what lower layers gave. */
static enum xf_rc assign(struct xf_conf *conf, struct xf_conf_slots *slots,
                         const struct xf_conf_key *key, const char *show,
                         struct xf_conf_node *node) {
  struct xf_conf_slot *slot = &slots->slot[key - slots->schema->key];
  *slot = (struct xf_conf_slot){.node = node, .origin = node->at};
  if (!key->list) return check_scalar(conf, key, show, node);
  if (node->kind != XF_CONF_SEQUENCE) {
    xf_conf_error(&conf->errors, &node->at, "%s: must be a list, e.g. [a, b]", show);
    return XF_E_CONFIG;
  }
  if (node->n > key->cap) {
    xf_conf_error(&conf->errors, &node->at, "%s: %zu elements, at most %u", show, node->n,
                  key->cap);
    return XF_E_CONFIG;
  }
  if (key->type == XF_CONF_SECTIONS) return assign_sections(conf, key, slot, show, node);
  enum xf_rc rc = XF_OK;
  for (struct xf_conf_node *c = node->first; c; c = c->next) {
    enum xf_rc one = check_scalar(conf, key, show, c);
    if (one) rc = one;
  }
  return rc;
}

static enum xf_rc walk_child(struct xf_conf *conf, const struct where *w, struct xf_conf_node *c) {
  struct where below = {.slots = w->slots};
  int n = snprintf(below.in, sizeof below.in, "%s%s", w->in, c->key);
  int m = snprintf(below.show, sizeof below.show, "%s%s", w->show, c->key);
  if (n < 0 || (size_t)n + 1 >= sizeof below.in || m < 0 || (size_t)m + 1 >= sizeof below.show) {
    xf_conf_error(&conf->errors, &c->key_at, "unknown key \"%s%.40s...\"", w->show, c->key);
    return XF_E_CONFIG;
  }
  if (strchr(c->key, '.')) {
    xf_conf_error(&conf->errors, &c->key_at, "unknown key \"%s\"; sections are nested, not dotted",
                  below.show);
    return XF_E_CONFIG;
  }
  const struct xf_conf_key *key = find_key(w->slots->schema, below.in);
  if (key) return assign(conf, w->slots, key, below.show, c);
  if (!*c->key || !find_in_section(w->slots->schema, below.in))
    return unknown_key(conf, w, below.in, &c->key_at);
  if (is_null(c)) return XF_OK; /* a section with nothing in it */
  if (c->kind != XF_CONF_MAPPING) {
    xf_conf_error(&conf->errors, &c->at, "%s: is a section; write its keys below it", below.show);
    return XF_E_CONFIG;
  }
  below.in[n] = '.';
  below.show[m] = '.';
  return walk(conf, &below, c);
}

static enum xf_rc walk(struct xf_conf *conf, const struct where *w, struct xf_conf_node *map) {
  enum xf_rc rc = XF_OK;
  for (struct xf_conf_node *c = map->first; c; c = c->next) {
    enum xf_rc one = walk_child(conf, w, c);
    if (one) rc = one;
  }
  return rc;
}

enum xf_rc xf_conf_layer_tree(struct xf_conf *conf, struct xf_conf_node *root) {
  struct where w = {.slots = &conf->root};
  if (is_null(root)) return XF_OK;
  if (root->kind == XF_CONF_MAPPING) return walk(conf, &w, root);
  xf_conf_error(&conf->errors, &root->at, "a configuration is a section: key: value");
  return XF_E_CONFIG;
}

/* "[12]" -> 12; *end behind it. */
static bool parse_index(const char *s, size_t *index, const char **end) {
  size_t n = *s == '[' ? strspn(s + 1, "0123456789") : 0;
  uint64_t v = 0;
  if (n == 0 || s[1 + n] != ']' || xf_str_u64(&v, s + 1, n)) return false;
  *index = (size_t)v;
  *end = s + n + 2;
  return true;
}

/* Steps into list[index] when `path` starts with it. 0: it does not, 1: stepped, -1: error told. */
static int step_into(struct xf_conf *conf, struct where *w, const char **path,
                     const struct xf_conf_origin *at) {
  const struct xf_conf_schema *schema = w->slots->schema;
  for (size_t i = 0; i < schema->n_key; i++) {
    const struct xf_conf_key *key = &schema->key[i];
    size_t len = strlen(key->path), index = 0;
    const char *rest = NULL;
    if (!key->sections || strncmp(*path, key->path, len) != 0) continue;
    if (!parse_index(*path + len, &index, &rest) || *rest != '.') continue;
    const struct xf_conf_slot *slot = &w->slots->slot[i];
    if (index >= slot->n) {
      if (at)
        xf_conf_error(&conf->errors, at, "\"%s%s\" has %zu elements (counted from 0)", w->show,
                      key->path, slot->n);
      return -1;
    }
    size_t used = strlen(w->show), more = (size_t)(rest + 1 - *path);
    if (used + more >= sizeof w->show) return -1;
    memcpy(w->show + used, *path, more);
    w->show[used + more] = '\0';
    w->slots = &slot->element[index];
    *path = rest + 1;
    return 1;
  }
  return 0;
}

/* "fed.rounds" means stages[0].fed.rounds when there is one stage. */
static enum xf_rc only_element(struct xf_conf *conf, struct where *w, const char *path,
                               const struct xf_conf_origin *at) {
  const struct xf_conf_schema *schema = w->slots->schema;
  for (size_t i = 0; i < schema->n_key; i++) {
    const struct xf_conf_key *key = &schema->key[i];
    if (!key->sections || !find_key(key->sections, path)) continue;
    const struct xf_conf_slot *slot = &w->slots->slot[i];
    if (slot->n != 1) {
      xf_conf_error(&conf->errors, at, "there are %zu %s; write %s[0].%s", slot->n, key->path,
                    key->path, path);
      return XF_E_CONFIG;
    }
    int n = snprintf(w->show, sizeof w->show, "%s[0].", key->path);
    if (n < 0 || (size_t)n >= sizeof w->show) return XF_E_LIMIT;
    w->slots = &slot->element[0];
    return XF_OK;
  }
  return unknown_key(conf, w, path, at);
}

/* "a, b" as the list [a, b]. */
static enum xf_rc split_list(struct xf_conf *conf, struct xf_conf_node *list, const char *text) {
  while (*text) {
    size_t len = strcspn(text, ","), skip = strspn(text, " ");
    if (skip > len) skip = len;
    struct xf_conf_node *c = xf_arena_calloc(&conf->arena, 1, sizeof *c);
    char *word = xf_arena_alloc(&conf->arena, len + 1);
    if (!c || !word) return XF_E_NOMEM;
    memcpy(word, text + skip, len - skip);
    word[len - skip] = '\0';
    *c = (struct xf_conf_node){.kind = XF_CONF_SCALAR, .text = word, .at = list->at};
    if (list->last) list->last->next = c;
    else list->first = c;
    list->last = c;
    list->n++;
    text += len + (text[len] == ',');
  }
  return XF_OK;
}

/* The text of a --set or variable as a node: scalars as they are, lists as YAML or comma-separated. */
static enum xf_rc text_node(struct xf_conf *conf, struct xf_conf_node **out,
                            const struct xf_conf_key *key, const char *text,
                            const struct xf_conf_origin *at) {
  if (key->list && *text == '[')
    return xf_conf_tree(out, &conf->arena, &conf->errors, at, text, strlen(text));
  struct xf_conf_node *node = xf_arena_calloc(&conf->arena, 1, sizeof *node);
  char *copy = xf_arena_strdup(&conf->arena, text);
  if (!node || !copy) return XF_E_NOMEM;
  *node = (struct xf_conf_node){.kind = XF_CONF_SCALAR, .text = copy, .at = *at};
  *out = node;
  if (!key->list) return XF_OK;
  if (key->type == XF_CONF_SECTIONS) {
    xf_conf_error(&conf->errors, at, "write a list of sections as [{key: value}, {key: value}]");
    return XF_E_CONFIG;
  }
  node->kind = XF_CONF_SEQUENCE;
  return split_list(conf, node, copy);
}

enum xf_rc xf_conf_layer_value(struct xf_conf *conf, const char *path, const char *text,
                               const struct xf_conf_origin *at) {
  struct where w = {.slots = &conf->root};
  int step = 1;
  while ((step = step_into(conf, &w, &path, at)) == 1) continue;
  if (step < 0) return XF_E_CONFIG;
  const struct xf_conf_key *key = find_key(w.slots->schema, path);
  const struct xf_conf_key *inside = find_in_section(w.slots->schema, path);
  if (!key && inside) {
    xf_conf_error(&conf->errors, at, "\"%s%s\" is a section; give one of its keys, e.g. \"%s%s\"",
                  w.show, path, w.show, inside->path);
    return XF_E_CONFIG;
  }
  enum xf_rc rc = key ? XF_OK
                      : (w.slots == &conf->root ? only_element(conf, &w, path, at)
                                                : unknown_key(conf, &w, path, at));
  if (rc) return rc;
  if (!key) key = find_key(w.slots->schema, path);
  char show[XF_CONF_PATH_TEXT];
  int n = snprintf(show, sizeof show, "%s%s", w.show, path);
  if (n < 0 || (size_t)n >= sizeof show) return XF_E_LIMIT;
  struct xf_conf_node *node = NULL;
  rc = text_node(conf, &node, key, text, at);
  return rc ? rc : assign(conf, w.slots, key, show, node);
}

const struct xf_conf_slot *xf_conf_slot_find(struct xf_conf *conf, const char *path,
                                             const struct xf_conf_key **key) {
  struct where w = {.slots = &conf->root};
  while (w.slots->slot && step_into(conf, &w, &path, NULL) == 1) continue;
  *key = find_key(w.slots->schema, path);
  return *key && w.slots->slot ? &w.slots->slot[*key - w.slots->schema->key] : NULL;
}
