/*
 * interactions.h - events (user, item, domain, value, time): loading, filtering, selecting.
 *
 * Loads TSV, CSV and RecBole's .inter, gzipped or not. Columns are given by number (from 1); in a .inter file
 * (header "user_id:token ...") missing numbers are found by name: user_id, item_id, domain_id, rating, timestamp.
 * Keys get dense ids in order of appearance in the kept rows, so that one domain loaded from a combined
 * file and the same domain in a file of its own give the same ids.
 * Not for: train and test parts (split.h). Owner: caller. Thread: one writer; readers without a writer.
 */
#ifndef XF_DATA_INTERACTIONS_H
#define XF_DATA_INTERACTIONS_H

#include "base/diag.h"
#include "data/names.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum xf_header { XF_HEADER_AUTO, XF_HEADER_NO, XF_HEADER_YES };

struct xf_interactions_spec {
  uint32_t user, item, domain, value, time, client; /* columns from 1; 0: absent */
  char sep;                                         /* 0: found from the first line */
  enum xf_header header;   /* AUTO: .inter, or a number column whose first field is none */
  const char *only_domain; /* NULL: all; else rows of other domains are dropped */
  bool keep_lines;         /* remembers the line of each event */
  bool has_min_value;      /* rows below min_value are dropped */
  double min_value;
  uint64_t max_rows; /* 0: 2^28 */
};

/* What loading left out or noticed. */
struct xf_interactions_count {
  uint64_t lines;        /* data lines read */
  uint64_t other_domain; /* dropped by only_domain */
  uint64_t other_line;   /* line of the first of them; 0: none */
  uint64_t low_value;    /* dropped by min_value */
  bool header;           /* the first line was one */
};

/* Parallel arrays in file order. domain, value, time, client are NULL when the file has no such column, line unless
   it was asked for. */
struct xf_interactions {
  size_t n, cap;
  uint32_t *user, *item, *domain, *client; /* dense ids */
  float *value;
  double *time;   /* seconds, as in the file */
  uint64_t *line; /* from 1 */
  struct xf_names users, items, domains, clients;
  struct xf_interactions_count count;
};

/* Empty. @own caller, release with xf_interactions_deinit */
void xf_interactions_init(struct xf_interactions *inter);
/* Releases; idempotent. @own inter */
void xf_interactions_deinit(struct xf_interactions *inter);
/* Reads a file. `out` is initialised here and empty after an error. diag names file:line:column and the text found.
   @own out @err E_NOTFOUND E_IO E_CORRUPT E_FORMAT E_RANGE E_NAN E_LIMIT E_NOMEM E_INVAL (columns) */
XF_WARN_UNUSED enum xf_rc xf_interactions_load(struct xf_interactions *out, const char *path,
                                               const struct xf_interactions_spec *spec,
                                               struct xf_diag *diag);
/* Appends one event built by code (synth.h, tests). domain NULL, value NaN or time NaN: no such column, then in
   no row. @err E_INVAL (some rows have a column, some not; bad key) E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_interactions_add(struct xf_interactions *inter, const char *user,
                                              const char *item, const char *domain, double value,
                                              double time);
/* The rows whose group[i] == which, with fresh dense ids; group is inter->domain, inter->client or a
   partition (partition.h). @shape group[src->n] @own out @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_interactions_select(struct xf_interactions *out,
                                                 const struct xf_interactions *src,
                                                 const uint32_t *group, uint32_t which);
/* Writes user, item, domain, value, time (those present) as TSV without header. @err E_IO E_NOSPACE */
XF_WARN_UNUSED enum xf_rc xf_interactions_save(const struct xf_interactions *inter,
                                               const char *path, struct xf_diag *diag);

#endif
