/*
 * checkpoint.h - a model on disk: the global vector as named float32 tensors in one safetensors file, with
 * the directory's keys and the server optimiser's state beside it, committed atomically.
 *
 * The *global vector* is the wire vector of somebody who holds every row of the directory: all shared
 * segments in layout order, then all keyed (aligned and paired) segments in layout order (whose `rows` in the given layout are the
 * directory's). Segments with role domain or user are skipped: they have no place in a checkpoint.
 * Tensors: one per shared or keyed segment, in layout order (name = segment name, shape [rows, cols], of a paired one
 * [pairs, 1]);
 * "server.momentum" and "server.second" [n] where the server optimiser keeps them; "keys.<ns>" U8 [rows, 16] per namespace.
 * A checkpoint whose digest does not match is E_CORRUPT, never used.
 * Owner: the caller. Thread: one at a time. Formats: docs/FORMATS.md.
 */
#ifndef XF_STORE_CHECKPOINT_H
#define XF_STORE_CHECKPOINT_H

#include "param/layout.h"
#include "param/manifest.h"
#include "store/safetensors.h"

enum { XF_CHECKPOINT_VERSION = 1, XF_RUN_ID_MAX = 64, XF_CHECKPOINT_NS_MAX = 16 };

struct xf_checkpoint_info {
  char run[XF_RUN_ID_MAX];
  uint64_t round;
  struct xf_digest plan;   /* plan digest */
  struct xf_digest parent; /* model_blake2b of the model before; zero: none */
  struct xf_digest model;  /* model_blake2b; computed by save */
  struct xf_digest layout; /* layout digest */
};

struct xf_checkpoint_keys {
  const char *ns;
  const struct xf_key *key; /* ascending */
  size_t n;
};

enum { XF_CHECKPOINT_STATES = 2 };

struct xf_checkpoint_src {
  const struct xf_layout *layout;
  const float *global; /* [xf_checkpoint_floats(layout)] */
  const float *state
      [XF_CHECKPOINT_STATES]; /* of the server optimiser, the same length; NULL: none, and none behind it */
  const struct xf_checkpoint_keys *keys;
  size_t n_keys; /* namespaces */
};

struct xf_checkpoint_saved {
  struct xf_digest model;  /* model_blake2b */
  struct xf_digest sha256; /* of the file */
  uint64_t bytes;
};

/* Length of the global vector. @unit floats */
uint64_t xf_checkpoint_floats(const struct xf_layout *layout);
/* Where a segment starts in the global vector; UINT64_MAX for one that is not in it. @unit floats */
uint64_t xf_checkpoint_offset(const struct xf_layout *layout, size_t segment);
/* model_blake2b: BLAKE2b-256 of the shared and aligned tensors, little-endian float32, layout order, no
   header. @shape global[xf_checkpoint_floats(layout)] @source RFC 7693 */
void xf_checkpoint_digest(struct xf_digest *out, const struct xf_layout *layout,
                          const float *global);
/* Writes "<path>.tmp", fsync, rename, fsync of the directory. `info->model` is ignored. After OK the file
   survives a crash; on error the old file, if any, is whole (or, only when syncing the directory failed,
   one of the two). Failpoints K10 (temp written), K11 (renamed, directory not synced), K12 (durable).
   @own borrows src @err E_SHAPE E_LIMIT E_NOSPACE E_IO */
XF_WARN_UNUSED enum xf_rc xf_checkpoint_save(const struct xf_fs *fs, const char *path,
                                             const struct xf_checkpoint_info *info,
                                             const struct xf_checkpoint_src *src,
                                             struct xf_checkpoint_saved *out, struct xf_diag *diag);

struct xf_checkpoint_part { /* a global tensor, in layout order */
  const struct xf_safetensors_tensor *tensor;
  char ns[XF_NAME_MAX]; /* "" : shared */
  uint64_t at;          /* first float in the global vector */
};

struct xf_checkpoint {
  struct xf_safetensors st;
  struct xf_checkpoint_info info;
  struct xf_checkpoint_part *part;
  size_t n_part;
  uint64_t n;       /* floats in the global vector */
  uint32_t n_state; /* vectors of the server optimiser */
};

/* Opens and checks header and metadata, not the data (xf_checkpoint_verify does).
   @own c: xf_checkpoint_close; on error nothing is left open
   @err E_NOTFOUND E_CORRUPT E_VERSION (a newer format) E_LIMIT E_IO */
XF_WARN_UNUSED enum xf_rc xf_checkpoint_open(struct xf_checkpoint *c, const struct xf_fs *fs,
                                             const char *path, struct xf_diag *diag);
/* Releases; idempotent, legal on a zeroed struct. @own c */
void xf_checkpoint_close(struct xf_checkpoint *c);
/* Recomputes model_blake2b from the data. @err E_CORRUPT E_IO */
XF_WARN_UNUSED enum xf_rc xf_checkpoint_verify(struct xf_checkpoint *c, struct xf_diag *diag);
/* Whether the checkpoint has exactly the shared and aligned segments of `layout`, names the first
   difference. @err E_SHAPE */
XF_WARN_UNUSED enum xf_rc xf_checkpoint_check(const struct xf_checkpoint *c,
                                              const struct xf_layout *layout, struct xf_diag *diag);
/* Floats [at, at+n) of the global vector, or of state k of the server optimiser. @shape out[n]
   @err E_RANGE E_NOTFOUND (no such state) E_IO */
XF_WARN_UNUSED enum xf_rc xf_checkpoint_read(struct xf_checkpoint *c, float *out, uint64_t at,
                                             size_t n, struct xf_diag *diag);
XF_WARN_UNUSED enum xf_rc xf_checkpoint_read_state(struct xf_checkpoint *c, uint32_t k, float *out,
                                                   uint64_t at, size_t n, struct xf_diag *diag);
/* The keys of a namespace. @own out: xf_manifest_deinit @err E_NOTFOUND E_CORRUPT E_NOMEM E_IO */
XF_WARN_UNUSED enum xf_rc xf_checkpoint_keys(struct xf_checkpoint *c, struct xf_manifest *out,
                                             const char *ns, struct xf_diag *diag);

#endif
