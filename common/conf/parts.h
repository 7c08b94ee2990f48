/*
 * parts.h - what the files of this folder share: the YAML tree, the collected errors, the origin of a
 * value, reading and writing one field. Not for other modules.
 * Owner: nodes and slots live in the arena of their xf_conf. Thread: one at a time.
 */
#ifndef XF_CONF_PARTS_H
#define XF_CONF_PARTS_H

#include "base/arena.h"
#include "conf/conf.h"

enum {
  XF_CONF_DEPTH_MAX = 16,
  XF_CONF_NODES_MAX = 65536,
  XF_CONF_PATH_TEXT = 256,
  XF_CONF_WHY = 400
};

struct xf_conf_errors {
  struct xf_buf text;
  size_t n;
};

enum xf_conf_from { XF_CONF_FROM_DEFAULT, XF_CONF_FROM_FILE, XF_CONF_FROM_ENV, XF_CONF_FROM_SET };

struct xf_conf_origin {
  enum xf_conf_from from;
  const char *name; /* file, variable or key of --set */
  uint32_t line, col;
};

enum xf_conf_node_kind { XF_CONF_SCALAR, XF_CONF_SEQUENCE, XF_CONF_MAPPING };

struct xf_conf_node {
  enum xf_conf_node_kind kind;
  bool plain;       /* scalar without quotes */
  const char *text; /* scalar, NUL-terminated, no NUL inside */
  struct xf_conf_origin at;
  const char *key; /* in a mapping */
  struct xf_conf_origin key_at;
  struct xf_conf_node *first, *last, *next;
  size_t n; /* children */
};

/* A value that was given: the node it came from, or the elements of a list of sections. */
struct xf_conf_slot {
  const struct xf_conf_node *node; /* NULL: not given */
  struct xf_conf_origin origin;
  struct xf_conf_slots *element; /* [n] */
  size_t n;
};

/* One section's slots, parallel to schema->key. */
struct xf_conf_slots {
  const struct xf_conf_schema *schema;
  struct xf_conf_slot *slot;
  struct xf_conf_origin at; /* where the element begins */
};

struct xf_conf {
  const struct xf_conf_schema *schema;
  struct xf_arena arena;
  struct xf_conf_errors errors;
  struct xf_conf_slots root;
  const char *const *env;
};

/* Records one error line. @thread one */
void xf_conf_error(struct xf_conf_errors *errors, const struct xf_conf_origin *at, const char *fmt,
                   ...) __attribute__((format(printf, 3, 4)));
/* "server.yaml:3:5", "environment NAME", "--set" or "default". @err E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_conf_origin_print(struct xf_buf *out, const struct xf_conf_origin *at);

/* Parses one YAML document; NULL root: empty document. Errors are recorded. @own arena
   @err E_CONFIG E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_conf_tree(struct xf_conf_node **root, struct xf_arena *arena,
                                       struct xf_conf_errors *errors,
                                       const struct xf_conf_origin *from, const char *text,
                                       size_t len);

/* Parses the text of one value into its field; why[] explains a refusal.
   @err E_CONFIG */
XF_WARN_UNUSED enum xf_rc xf_conf_value_parse(const struct xf_conf_key *key, void *field,
                                              const char *text, char why[XF_CONF_WHY]);
/* Checks a field that did not come from text. @err E_CONFIG */
XF_WARN_UNUSED enum xf_rc xf_conf_value_check(const struct xf_conf_key *key, const void *field,
                                              char why[XF_CONF_WHY]);
/* Appends a field as YAML. @err E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_conf_value_print(struct xf_buf *out, const struct xf_conf_key *key,
                                              const void *field);
/* Unsigned, signed or enumerated fields of any width. @unit as the field */
uint64_t xf_conf_value_bits(const struct xf_conf_key *key, const void *field);
void xf_conf_value_set_bits(const struct xf_conf_key *key, void *field, uint64_t bits);
/* Whether two values (lists with their elements) are equal. @thread any */
bool xf_conf_key_equal(const struct xf_conf_key *key, const void *a, const void *b);
/* Elements of a list and their number; NULL when there are none. @own target */
const void *xf_conf_list(const struct xf_conf_key *key, const void *target, uint32_t *n);
/* Makes room for n elements (n <= cap), zeroed, and sets the count. NULL: no memory. @own target */
void *xf_conf_list_make(const struct xf_conf_key *key, void *target, uint32_t n);

#endif
