/*
 * data.h - between the files of the verb `data`: what was asked for, and the sub-verbs that answer.
 * Not for: libraries. Owner: texts are borrowed from argv. Thread: main.
 */
#ifndef XF_TOOLS_DATA_H
#define XF_TOOLS_DATA_H

#include "data/synth.h"
#include "data/table.h"
#include "plan/view.h"

enum { XF_DATA_DROP_MAX = 64, XF_DATA_ONE_HOT_MAX = 16 };

struct xf_data_request {
  const char *file, *out;
  bool json, help, table, random;
  uint64_t seed;
  struct xf_interactions_spec spec;
  struct xf_table_spec table_spec; /* without drop and one_hot, which are below */
  uint32_t drop[XF_DATA_DROP_MAX];
  size_t n_drop;
  struct xf_table_one_hot one_hot[XF_DATA_ONE_HOT_MAX];
  size_t n_one_hot;
  struct xf_split_spec split;
  const char *leaks[2]; /* --leaks A B: domains of `file`, or without it two files */
  const char *held[2];  /* --held A B: their held-out events */
  bool has_min_value;
  double min_value;
  bool *found; /* set when a check found what its exit status must tell */
  struct xf_synth_spec synth;
};

/* A member of a flat object behind "v". */
struct xf_data_fact {
  const char *key;
  uint64_t value;
  bool is_bool;
};
/* Prints them as one JSON object. @err E_LIMIT E_IO */
XF_WARN_UNUSED enum xf_rc xf_data_print(const struct xf_data_fact *fact, size_t n);
/* `check --leaks`. @err as reading, E_INVAL E_NOTFOUND */
XF_WARN_UNUSED enum xf_rc xf_data_leaks(const struct xf_data_request *r, struct xf_diag *diag);
/* Each prints its facts to stdout. @err what reading and writing give, E_INVAL */
XF_WARN_UNUSED enum xf_rc xf_data_check(const struct xf_data_request *r, struct xf_diag *diag);
XF_WARN_UNUSED enum xf_rc xf_data_stats(const struct xf_data_request *r, struct xf_diag *diag);
XF_WARN_UNUSED enum xf_rc xf_data_split(const struct xf_data_request *r, struct xf_diag *diag);
XF_WARN_UNUSED enum xf_rc xf_data_synth(const struct xf_data_request *r, struct xf_diag *diag);

#endif
