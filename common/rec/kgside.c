#include "rec/kgside.h"

#include "base/alloc.h"
#include "data/lines.h"

#include <string.h>

static enum xf_rc read_relations(struct xf_names *out, const char *path, struct xf_diag *diag) {
  struct xf_lines *lines = NULL;
  enum xf_rc rc = xf_lines_open(&lines, path, '\t', diag);
  while (!rc) {
    const struct xf_field *f = NULL;
    size_t n = 0;
    uint32_t id = 0;
    rc = xf_lines_next(lines, &f, &n, diag);
    if (!rc && n != 1)
      rc = xf_lines_fail(lines, 0, XF_E_FORMAT, diag, "%zu columns; a line is one relation", n);
    if (!rc && xf_names_add(out, &id, f[0].p, f[0].len))
      rc = xf_lines_fail(lines, 1, XF_E_FORMAT, diag, "this is no key of a relation: 1 to %d bytes",
                         XF_NAMES_KEY_MAX);
  }
  xf_lines_close(lines);
  if (rc != XF_E_EOF) return rc;
  return out->n ? XF_OK : xf_diag_set(diag, XF_E_FORMAT, "%s: names no relation", path);
}

/* A finding that is an error here. */
static enum xf_rc refuse(const struct xf_kg *kg, enum xf_kg_finding_kind kind, const char *path,
                         struct xf_diag *diag) {
  const struct xf_finding *f = &kg->found[kind];
  if (f->count == 0) return XF_OK;
  return xf_diag_set(diag, XF_E_FORMAT, "%s:%llu: %s: %llu %s", path, (unsigned long long)f->line,
                     f->example, (unsigned long long)f->count, xf_kg_finding_text(kind));
}

static enum xf_rc check_linked(const struct xf_kg_side *s, const struct xf_kg_files *files,
                               struct xf_diag *diag) {
  for (uint32_t i = 0; i < s->link.n_items; i++)
    if (s->link.entity[i] != XF_NO_ID) return XF_OK;
  return xf_diag_set(diag, XF_E_FORMAT,
                     "%s: none of the %u items of the data is an entity of it; name entities by "
                     "item keys, or say which entity each item is in an item map",
                     files->triples, s->link.n_items);
}

enum xf_rc xf_kg_side_new(struct xf_kg_side **out, const struct xf_kg_files *files,
                          const struct xf_names *items, struct xf_diag *diag) {
  struct xf_kg_side *s = xf_calloc(1, sizeof *s);
  struct xf_names relations;
  *out = NULL;
  atomic_init(&s->refs, 1);
  xf_names_init(&relations);
  enum xf_rc rc = files->relations ? read_relations(&relations, files->relations, diag) : XF_OK;
  if (!rc) rc = xf_kg_load(&s->kg, files->triples, files->relations ? &relations : NULL, diag);
  if (!rc) rc = refuse(&s->kg, XF_KG_FINDING_RELATIONS, files->triples, diag);
  if (!rc) rc = xf_kg_link_init(&s->link, &s->kg, items, files->items, diag);
  if (!rc && files->items) rc = refuse(&s->kg, XF_KG_FINDING_DANGLING, files->items, diag);
  if (!rc) rc = check_linked(s, files, diag);
  if (!rc) rc = xf_kg_graph_init(&s->graph, &s->kg, &s->link, NULL, diag);
  xf_names_deinit(&relations);
  if (rc) {
    xf_kg_side_unref(s);
    return xf_diag_prefix(diag, rc, "knowledge graph");
  }
  *out = s;
  return XF_OK;
}

enum xf_rc xf_kg_side_of(struct xf_kg_side **out, struct xf_kg *kg, struct xf_kg_link *link,
                         struct xf_diag *diag) {
  struct xf_kg_side *s = xf_calloc(1, sizeof *s);
  *out = NULL;
  atomic_init(&s->refs, 1);
  s->kg = *kg;
  s->link = *link;
  *kg = (struct xf_kg){0};
  *link = (struct xf_kg_link){0};
  const enum xf_rc rc = xf_kg_graph_init(&s->graph, &s->kg, &s->link, NULL, diag);
  if (rc) xf_kg_side_unref(s);
  else *out = s;
  return rc;
}

struct xf_kg_side *xf_kg_side_ref(struct xf_kg_side *side) {
  if (side) atomic_fetch_add_explicit(&side->refs, 1, memory_order_relaxed);
  return side;
}

void xf_kg_side_unref(struct xf_kg_side *side) {
  if (!side || atomic_fetch_sub_explicit(&side->refs, 1, memory_order_acq_rel) > 1) return;
  xf_kg_graph_deinit(&side->graph);
  xf_kg_link_deinit(&side->link);
  xf_kg_deinit(&side->kg);
  xf_free(side);
}

enum xf_rc xf_kg_side_path(char out[XF_KG_PATH_TEXT], const struct xf_kg_side *side,
                           const struct xf_names *items, const uint32_t *history, uint32_t n,
                           uint32_t item, struct xf_diag *diag) {
  struct xf_kg_path path;
  out[0] = 0;
  const enum xf_rc rc =
      xf_kg_path_find(&path, &side->graph, NULL, history, NULL, n, item, XF_KG_REASON_HOPS, diag);
  if (!rc && path.n)
    (void)xf_kg_path_print(out, XF_KG_PATH_TEXT, &path, &side->graph, &side->kg, items);
  return rc;
}
