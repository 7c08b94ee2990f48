/*
 * kgside.h - a silo's knowledge graph as its files say: triples, which entity each item is, which relations count.
 *
 * The files are the silo's own (client.yaml data.kg, a plan's sim.kg). What a person surely did not mean is an error here, with
 * file and line: a relation outside the given vocabulary, an item whose entity is in no triple, a graph that knows no item. The other
 * findings of kg.h stay findings: kg.found.
 * Owner: reference-counted; the last xf_kg_side_unref releases. Thread: immutable; ref and unref from any thread.
 */
#ifndef XF_REC_KGSIDE_H
#define XF_REC_KGSIDE_H

#include "rec/kggraph.h"

#include <stdatomic.h>
#include <stdbool.h>

enum { XF_KG_PATH_TEXT = 512, XF_KG_REASON_HOPS = 4 };

struct xf_kg_files {
  const char *triples;   /* lines of head, relation, tail */
  const char *items;     /* lines of item, entity; NULL: an item is the entity of its key */
  const char *relations; /* lines of a relation; NULL: all count */
};

struct xf_kg_side {
  atomic_uint refs;
  struct xf_kg kg;
  struct xf_kg_link link;
  struct xf_kg_graph graph;
};

/* Loads, links, builds. @own out: xf_kg_side_unref @err those of xf_kg_load, xf_kg_link_init and xf_kg_graph_init; E_FORMAT also for
   what is above */
XF_WARN_UNUSED enum xf_rc xf_kg_side_new(struct xf_kg_side **out, const struct xf_kg_files *files,
                                         const struct xf_names *items, struct xf_diag *diag);
/* From parts that were loaded before, contents taken. @own out: xf_kg_side_unref; kg, link taken, also after an error
   @err those of xf_kg_graph_init */
XF_WARN_UNUSED enum xf_rc xf_kg_side_of(struct xf_kg_side **out, struct xf_kg *kg,
                                        struct xf_kg_link *link, struct xf_diag *diag);
/* One more owner; NULL stays NULL. @own shared @thread any */
struct xf_kg_side *xf_kg_side_ref(struct xf_kg_side *side);
/* One owner less; NULL is legal. @own releases the last @thread any */
void xf_kg_side_unref(struct xf_kg_side *side);
/* The best path of at most XF_KG_REASON_HOPS from a history to an item, in words ("" without one): a reason of a score that the
   graph made. items: names of the data. @shape history[n] @own caller's buffer @err those of xf_kg_path_find */
XF_WARN_UNUSED enum xf_rc xf_kg_side_path(char out[XF_KG_PATH_TEXT], const struct xf_kg_side *side,
                                          const struct xf_names *items, const uint32_t *history,
                                          uint32_t n, uint32_t item, struct xf_diag *diag);

#endif
