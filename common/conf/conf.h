/*
 * conf.h - reading a config: built-in default < file < conf.d (lexical order) < environment < --set.
 *
 * Strict: unknown keys, duplicate keys, tags, anchors, aliases and further documents are errors; numbers
 * are whole texts (5x is refused); a list replaces the list below it. All errors are collected (at most
 * 20), each with its place and a hint. Every value remembers where it came from.
 * Not for: opening what the config names; that is the program's --check-config.
 * Owner: xf_conf_new / xf_conf_free; targets belong to the caller. Thread: one at a time.
 */
#ifndef XF_CONF_CONF_H
#define XF_CONF_CONF_H

#include "conf/schema.h"

struct xf_conf;

enum { XF_CONF_FILE_MAX = 1024 * 1024, XF_CONF_ERRORS_MAX = 20 };

/* Where values come from. All pointers are borrowed during xf_conf_read only. */
struct xf_conf_source {
  const char *path; /* main file; NULL: none (then `text` may be given) */
  const char *text; /* instead of a file; `name` stands for it in messages */
  size_t text_len;
  const char *name;
  bool with_dir;          /* also "<directory of path>/conf.d/" followed by names ending in .yaml */
  bool with_env;          /* CROSSFED__SECTION__KEY of `env` applies */
  const char *const *env; /* like environ, ends with NULL; also for ${VAR:-default} */
  const char *const *sets; /* "section.key=value" */
  size_t n_sets;
};

/* A reader for one schema. @own caller, release with xf_conf_free */
struct xf_conf *xf_conf_new(const struct xf_conf_schema *schema);
/* Releases; NULL is legal. @own takes conf */
void xf_conf_free(struct xf_conf *conf);
/* Reads all sources into target (defaults first). On error the target is deinitialised, diag holds
   the first error and xf_conf_errors all of them. One call per xf_conf.
   @own target: caller, xf_conf_deinit_target @err E_NOTFOUND E_CONFIG E_IO E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_conf_read(struct xf_conf *conf, void *target,
                                       const struct xf_conf_source *source, struct xf_diag *diag);
/* All errors of the last read, a line each; "" when there were none. @own conf */
const char *xf_conf_errors(struct xf_conf *conf);
/* Where the value of "fed.rounds" or "members[2].id" came from: "default", "server.yaml:3:5",
   "environment CROSSFED__FED__ROUNDS" or "--set". @own out @err E_NOTFOUND E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_conf_origin(struct xf_buf *out, struct xf_conf *conf,
                                         const char *path);
/* Every value as YAML that reads back to the same target. With conf, each line ends with a comment that
   tells its origin. @err E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_conf_print(struct xf_buf *out, const struct xf_conf_schema *schema,
                                        const void *target, const struct xf_conf *conf);

#endif
