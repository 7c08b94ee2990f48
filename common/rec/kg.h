/*
 * kg.h - a knowledge graph: triples (head, relation, tail) of a text file, and which entity each item of the data is.
 *
 * Entities are joined by their public keys: silos that name an entity alike share it, and an item is an entity either by
 * its own key or through a map file of rows "item entity". Nothing is dropped silently: what is left out or odd is a
 * finding with its count, the line of the first example and what happens to it; training goes on with every finding.
 *
 * Not for: the graph's matrix (kggraph.h), learned vectors of entities. Owner: caller, the deinit functions. Thread: one
 * writer while loading and linking; then immutable.
 */
#ifndef XF_REC_KG_H
#define XF_REC_KG_H

#include "data/findings.h"
#include "data/names.h"

/* X(NAME, key in JSON, what is counted, what happens and the fix) */
#define XF_KG_FINDING_LIST(X)                                                                    \
  X(REPEATS, "repeats", "repeated triples", "only the first of each counts; remove the others")  \
  X(LOOPS, "loops", "triples of an entity with itself",                                          \
    "they are left out; an entity says nothing about itself")                                    \
  X(RELATIONS, "unknown_relations", "triples whose relation is not in the vocabulary",           \
    "they are left out; add the relation to the vocabulary, or load without one")                \
  X(FOREIGN, "foreign_items", "rows of the item map whose item is not in the data",              \
    "they are left out; check that map and data write item keys alike")                          \
  X(REMAPPED, "remapped_items", "rows of the item map that repeat an item",                      \
    "the first row of an item counts; keep one row per item")                                    \
  X(DANGLING, "dangling", "items whose entity is in no triple",                                  \
    "the graph says nothing about them; add triples or correct the map")                         \
  X(UNLINKED, "unlinked", "items without entity",                                                \
    "the graph says nothing about them; add rows to the item map")                               \
  X(SHARED, "shared_entities", "entities that several items are",                                \
    "the entity stays apart from its items and joins them; give each item an entity of its own " \
    "if they are different things")                                                              \
  X(APART, "apart", "entities that no path joins to an item",                                    \
    "they change no score; leave them out, or link the items that they belong to")

enum xf_kg_finding_kind {
#define XF_KG_FINDING_ENUM(n, k, w, f) XF_KG_FINDING_##n,
  XF_KG_FINDING_LIST(XF_KG_FINDING_ENUM)
#undef XF_KG_FINDING_ENUM
      XF_N_KG_FINDING
};

/* Triples in file order, each once. */
struct xf_kg {
  struct xf_names entities, relations;
  size_t n, cap;
  uint32_t *head, *relation, *tail;         /* [n] */
  struct xf_finding found[XF_N_KG_FINDING]; /* filled by load, link and graph */
};

enum { XF_KG_TRIPLES_MAX = 1 << 27 };

/* Loads a file, gzipped or not, of lines "head relation tail" in any separator of data/lines.h. vocabulary: the relations
   that count, whose ids are kept; NULL: all, numbered as they appear. @own out: xf_kg_deinit, vocabulary is copied
   @err E_NOTFOUND E_IO E_CORRUPT E_FORMAT (with file:line:column; no triple) E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_kg_load(struct xf_kg *out, const char *path,
                                     const struct xf_names *vocabulary, struct xf_diag *diag);
/* Releases; idempotent. @own kg */
void xf_kg_deinit(struct xf_kg *kg);

struct xf_kg_link {
  uint32_t n_items;
  uint32_t *entity; /* [n_items] XF_NO_ID: none */
};

/* Finds the entity of each item: by the map file, or with map NULL by the item's own key. An entity that only the map names
   is added to the graph, so that two items of it are still joined. @own out: xf_kg_link_deinit
   @err as xf_kg_load; E_FORMAT also for a map none of whose rows fits an item */
XF_WARN_UNUSED enum xf_rc xf_kg_link_init(struct xf_kg_link *out, struct xf_kg *kg,
                                          const struct xf_names *items, const char *map,
                                          struct xf_diag *diag);
/* Releases; idempotent. @own link */
void xf_kg_link_deinit(struct xf_kg_link *link);

/* Counts one more; the first keeps its line (0: none) and text. @own copies text */
void xf_kg_found(struct xf_kg *kg, enum xf_kg_finding_kind kind, uint64_t line, const char *fmt,
                 ...) __attribute__((format(printf, 4, 5)));
/* JSON key, what is counted, what happens and the fix. @own static */
const char *xf_kg_finding_name(enum xf_kg_finding_kind kind);
const char *xf_kg_finding_text(enum xf_kg_finding_kind kind);
const char *xf_kg_finding_fix(enum xf_kg_finding_kind kind);

#endif
