/*
 * serve.h - what a silo answers from once the run is done: <state_dir>/serve/, written by the daemon (final.c), read by
 * `crossfed recommend`. Nothing else of the state directory is needed, and the private data file is not.
 *
 *   serve/serve.safetensors  parameters of each arm, names of users and items, train positives, popularity, the plan
 *   serve/report.json        each arm's measures on validation and test, and which arm is served
 *
 * Both hold the silo's own identifiers: directory 0700. Formats: docs/internals/client-io.md.
 * Owner: the caller. Thread: one at a time; xf_blas_start before the first xf_serve_top.
 */
#ifndef XF_CLIENT_IO_SERVE_H
#define XF_CLIENT_IO_SERVE_H

#include "base/fs.h"
#include "data/names.h"
#include "model/score.h"
#include "rec/topk.h"
#include "silo/silo.h"
#include "store/safetensors.h"

#define XF_SERVE_DIR "serve"
#define XF_SERVE_FILE "serve.safetensors"
#define XF_SERVE_REPORT "report.json"

enum { XF_SERVE_TOP_MAX = 10000 };

struct xf_serve_source {
  const struct xf_plan *plan;
  const struct xf_dataset *data;
  const float *params[XF_SILO_N_ARM]; /* [n] each; NULL: none (popularity) */
  uint64_t n;
  enum xf_silo_arm served;
  const char *run, *member;
  uint64_t committed;
};

/* Makes the directory and writes the file, durable and whole. @err E_NOSPACE E_IO E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_serve_save(const struct xf_fs *fs, const char *state_dir,
                                        const struct xf_serve_source *source, struct xf_diag *diag);

struct xf_serve {
  struct xf_safetensors file;
  struct xf_plan *plan;
  struct xf_model *model;
  struct xf_score *scorer;
  struct xf_names users, items;
  uint32_t *start, *item; /* train positives, as in data/split.h */
  float *popularity;      /* [items.n] */
  float *params;          /* [n] of arm `loaded` */
  uint64_t n;
  enum xf_silo_arm served, loaded;
  bool has_loaded, ranking;
};

/* @own serve: xf_serve_close, also after an error @err E_NOTFOUND (the run is not done) E_CORRUPT E_VERSION E_NOMEM E_IO */
XF_WARN_UNUSED enum xf_rc xf_serve_open(struct xf_serve *serve, const struct xf_fs *fs,
                                        const char *state_dir, struct xf_diag *diag);
/* Releases; idempotent, legal on a zeroed struct. @own serve */
void xf_serve_close(struct xf_serve *serve);
/* The k best items of an arm for a user, without the user's train positives; ties by lower id. An unknown user is answered
   by popularity: *used says so. @shape out[k], k <= XF_SERVE_TOP_MAX @err E_UNSUPPORTED (tables) E_RANGE E_CORRUPT E_IO
   @own texts of items: serve */
XF_WARN_UNUSED enum xf_rc xf_serve_top(struct xf_serve *serve, struct xf_topk_item *out,
                                       uint32_t *n, enum xf_silo_arm *used, enum xf_silo_arm arm,
                                       const char *user, uint32_t k, struct xf_diag *diag);

#endif
