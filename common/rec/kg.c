#include "rec/kg.h"

#include "base/alloc.h"
#include "data/lines.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const name_of[XF_N_KG_FINDING] = {
#define NAME(n, k, w, f) k,
    XF_KG_FINDING_LIST(NAME)
#undef NAME
};
static const char *const text_of[XF_N_KG_FINDING] = {
#define TEXT(n, k, w, f) w,
    XF_KG_FINDING_LIST(TEXT)
#undef TEXT
};
static const char *const fix_of[XF_N_KG_FINDING] = {
#define FIX(n, k, w, f) f,
    XF_KG_FINDING_LIST(FIX)
#undef FIX
};

const char *xf_kg_finding_name(enum xf_kg_finding_kind kind) { return name_of[kind]; }
const char *xf_kg_finding_text(enum xf_kg_finding_kind kind) { return text_of[kind]; }
const char *xf_kg_finding_fix(enum xf_kg_finding_kind kind) { return fix_of[kind]; }

void xf_kg_found(struct xf_kg *kg, enum xf_kg_finding_kind kind, uint64_t line, const char *fmt,
                 ...) {
  struct xf_finding *f = &kg->found[kind];
  if (f->count++) return;
  f->line = line;
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(f->example, sizeof f->example, fmt, ap);
  va_end(ap);
}

void xf_kg_deinit(struct xf_kg *kg) {
  xf_names_deinit(&kg->entities);
  xf_names_deinit(&kg->relations);
  xf_free(kg->head);
  xf_free(kg->relation);
  xf_free(kg->tail);
  *kg = (struct xf_kg){0};
}

static bool grow(struct xf_kg *kg) {
  if (kg->n < kg->cap) return true;
  const size_t cap = kg->cap ? 2 * kg->cap : 4096;
  uint32_t *head = xf_try_realloc_array(kg->head, cap, sizeof *head);
  if (head) kg->head = head;
  uint32_t *relation = xf_try_realloc_array(kg->relation, cap, sizeof *relation);
  if (relation) kg->relation = relation;
  uint32_t *tail = xf_try_realloc_array(kg->tail, cap, sizeof *tail);
  if (tail) kg->tail = tail;
  if (!head || !relation || !tail) return false;
  kg->cap = cap;
  return true;
}

struct loader {
  struct xf_kg *kg;
  struct xf_lines *lines;
  bool learn; /* relations of the file are the vocabulary */
  struct xf_map seen;
};

static enum xf_rc key(struct loader *l, struct xf_names *names, const struct xf_field *field,
                      size_t column, const char *what, uint32_t *id, struct xf_diag *diag) {
  char q[XF_LINES_QUOTE];
  const enum xf_rc rc = xf_names_add(names, id, field[column - 1].p, field[column - 1].len);
  if (!rc) return XF_OK;
  return xf_lines_fail(l->lines, column, rc == XF_E_INVAL ? XF_E_FORMAT : rc, diag,
                       "%s %s is not a key: 1 to %d bytes", what,
                       xf_lines_quote(q, field[column - 1].p, field[column - 1].len),
                       XF_NAMES_KEY_MAX);
}

static enum xf_rc one_triple(struct loader *l, const struct xf_field *f, size_t n,
                             struct xf_diag *diag) {
  struct xf_kg *kg = l->kg;
  uint32_t t[3] = {0, 0, 0}; /* head, relation, tail */
  char q[3][XF_LINES_QUOTE];
  const uint64_t line = xf_lines_get_number(l->lines);
  if (n != 3)
    return xf_lines_fail(l->lines, 0, XF_E_FORMAT, diag,
                         "%zu columns; a line is head, relation, tail, without a header", n);
  enum xf_rc rc = key(l, &kg->entities, f, 1, "the head", &t[0], diag);
  if (!rc) rc = key(l, &kg->entities, f, 3, "the tail", &t[2], diag);
  if (!rc && l->learn) rc = key(l, &kg->relations, f, 2, "the relation", &t[1], diag);
  if (rc) return rc;
  for (int k = 0; k < 3; k++) xf_lines_quote(q[k], f[k].p, f[k].len);
  if (!l->learn && (t[1] = xf_names_find(&kg->relations, f[1].p, f[1].len)) == XF_NO_ID) {
    xf_kg_found(kg, XF_KG_FINDING_RELATIONS, line, "relation %s between %s and %s", q[1], q[0],
                q[2]);
    return XF_OK;
  }
  if (t[0] == t[2]) {
    xf_kg_found(kg, XF_KG_FINDING_LOOPS, line, "%s %s %s", q[0], q[1], q[2]);
    return XF_OK;
  }
  uint32_t before = 0;
  if (xf_map_get(&l->seen, t, sizeof t, &before)) {
    xf_kg_found(kg, XF_KG_FINDING_REPEATS, line, "%s %s %s", q[0], q[1], q[2]);
    return XF_OK;
  }
  if (kg->n >= XF_KG_TRIPLES_MAX)
    return xf_lines_fail(l->lines, 0, XF_E_LIMIT, diag, "more than %d triples", XF_KG_TRIPLES_MAX);
  if (!grow(kg)) return xf_lines_fail(l->lines, 0, XF_E_NOMEM, diag, "no memory for more triples");
  xf_map_set(&l->seen, t, sizeof t, 1);
  kg->head[kg->n] = t[0];
  kg->relation[kg->n] = t[1];
  kg->tail[kg->n++] = t[2];
  return XF_OK;
}

static enum xf_rc copy_names(struct xf_names *out, const struct xf_names *from) {
  enum xf_rc rc = XF_OK;
  for (uint32_t i = 0; i < from->n && !rc; i++) {
    const char *text = xf_names_get(from, i);
    uint32_t id = 0;
    rc = xf_names_add(out, &id, text, strlen(text));
  }
  return rc;
}

enum xf_rc xf_kg_load(struct xf_kg *out, const char *path, const struct xf_names *vocabulary,
                      struct xf_diag *diag) {
  struct loader l = {.kg = out, .learn = !vocabulary};
  *out = (struct xf_kg){0};
  xf_names_init(&out->entities);
  xf_names_init(&out->relations);
  xf_map_init(&l.seen);
  enum xf_rc rc = vocabulary ? copy_names(&out->relations, vocabulary) : XF_OK;
  if (rc) rc = xf_diag_set(diag, rc, "no memory for %u relations", vocabulary->n);
  if (!rc) rc = xf_lines_open(&l.lines, path, 0, diag);
  while (!rc) {
    const struct xf_field *f = NULL;
    size_t n = 0;
    rc = xf_lines_next(l.lines, &f, &n, diag);
    if (!rc) rc = one_triple(&l, f, n, diag);
  }
  if (rc == XF_E_EOF)
    rc = out->n ? XF_OK
                : xf_diag_set(diag, XF_E_FORMAT,
                              "%s: no triple counts (%llu of relations outside the vocabulary); "
                              "expected lines of head, relation, tail",
                              path, (unsigned long long)out->found[XF_KG_FINDING_RELATIONS].count);
  xf_lines_close(l.lines);
  xf_map_deinit(&l.seen);
  if (rc) xf_kg_deinit(out);
  return rc;
}

/* ---- which entity an item is ---- */

void xf_kg_link_deinit(struct xf_kg_link *link) {
  xf_free(link->entity);
  *link = (struct xf_kg_link){0};
}

static enum xf_rc one_row(struct xf_kg_link *link, struct loader *l, const struct xf_names *items,
                          const struct xf_field *f, size_t n, uint32_t n_triple_entity,
                          struct xf_diag *diag) {
  const uint64_t line = xf_lines_get_number(l->lines);
  char q[2][XF_LINES_QUOTE];
  if (n != 2)
    return xf_lines_fail(l->lines, 0, XF_E_FORMAT, diag,
                         "%zu columns; a line is item, entity, without a header", n);
  for (int k = 0; k < 2; k++) xf_lines_quote(q[k], f[k].p, f[k].len);
  const uint32_t item = xf_names_find(items, f[0].p, f[0].len);
  if (item == XF_NO_ID) {
    xf_kg_found(l->kg, XF_KG_FINDING_FOREIGN, line, "item %s, entity %s", q[0], q[1]);
    return XF_OK;
  }
  if (link->entity[item] != XF_NO_ID) {
    xf_kg_found(l->kg, XF_KG_FINDING_REMAPPED, line, "item %s, entity %s", q[0], q[1]);
    return XF_OK;
  }
  const enum xf_rc rc = key(l, &l->kg->entities, f, 2, "the entity", &link->entity[item], diag);
  if (!rc && link->entity[item] >= n_triple_entity)
    xf_kg_found(l->kg, XF_KG_FINDING_DANGLING, line, "item %s, entity %s", q[0], q[1]);
  return rc;
}

static enum xf_rc read_map(struct xf_kg_link *link, struct xf_kg *kg, const struct xf_names *items,
                           const char *path, struct xf_diag *diag) {
  struct loader l = {.kg = kg};
  const uint32_t n_triple_entity = kg->entities.n;
  enum xf_rc rc = xf_lines_open(&l.lines, path, 0, diag);
  while (!rc) {
    const struct xf_field *f = NULL;
    size_t n = 0;
    rc = xf_lines_next(l.lines, &f, &n, diag);
    if (!rc) rc = one_row(link, &l, items, f, n, n_triple_entity, diag);
  }
  xf_lines_close(l.lines);
  return rc == XF_E_EOF ? XF_OK : rc;
}

/* Items that are the same entity, and items that are none. Returns how many are linked. */
static uint32_t judge(const struct xf_kg_link *link, struct xf_kg *kg, const struct xf_names *items,
                      uint32_t *owner) {
  uint32_t linked = 0;
  char q[2][XF_LINES_QUOTE];
  for (uint32_t i = 0; i < link->n_items; i++) {
    const char *text = xf_names_get(items, i);
    xf_lines_quote(q[0], text, strlen(text));
    const uint32_t e = link->entity[i];
    if (e == XF_NO_ID) {
      xf_kg_found(kg, XF_KG_FINDING_UNLINKED, 0, "item %s", q[0]);
      continue;
    }
    linked++;
    if (owner[e]++ != 1) continue; /* the second item of an entity says it */
    const char *entity = xf_names_get(&kg->entities, e);
    xf_kg_found(kg, XF_KG_FINDING_SHARED, 0, "entity %s, also of item %s",
                xf_lines_quote(q[1], entity, strlen(entity)), q[0]);
  }
  return linked;
}

enum xf_rc xf_kg_link_init(struct xf_kg_link *out, struct xf_kg *kg, const struct xf_names *items,
                           const char *map, struct xf_diag *diag) {
  *out = (struct xf_kg_link){.n_items = items->n};
  out->entity = xf_try_calloc((size_t)items->n + 1, sizeof *out->entity);
  if (!out->entity) return xf_diag_set(diag, XF_E_NOMEM, "no memory to link %u items", items->n);
  enum xf_rc rc = XF_OK;
  for (uint32_t i = 0; i < items->n; i++) {
    const char *text = xf_names_get(items, i);
    out->entity[i] = map ? XF_NO_ID : xf_names_find(&kg->entities, text, strlen(text));
  }
  if (map) rc = read_map(out, kg, items, map, diag);
  uint32_t *owner = xf_try_calloc((size_t)kg->entities.n + 1, sizeof *owner);
  if (!rc && !owner) rc = xf_diag_set(diag, XF_E_NOMEM, "no memory to link %u items", items->n);
  if (!rc && judge(out, kg, items, owner) == 0 && items->n && map)
    rc = xf_diag_set(diag, XF_E_FORMAT,
                     "%s: no row names an item of the data (%llu rows name others); the first "
                     "column must hold item keys as the data write them",
                     map, (unsigned long long)kg->found[XF_KG_FINDING_FOREIGN].count);
  xf_free(owner);
  if (rc) xf_kg_link_deinit(out);
  return rc;
}
