/*
 * manifest.h - the sorted list of 128-bit keys that names the rows of an aligned segment, and the frozen
 * union (directory) over silos (decisions 13 and 45).
 *
 * A silo's manifest: its keys, ascending bytewise, no duplicates. The directory: the union of all
 * members' manifests with, per key, how many members hold it. Digests are computed elsewhere over
 * the raw key bytes. Owner: caller. Thread: immutable once built.
 */
#ifndef XF_PARAM_MANIFEST_H
#define XF_PARAM_MANIFEST_H

#include "base/diag.h"

#include <stddef.h>
#include <stdint.h>

enum { XF_KEY_LEN = 16 };
#define XF_MANIFEST_MAX ((size_t)1 << 24) /* keys in one manifest */

struct xf_key {
  uint8_t b[XF_KEY_LEN];
};

struct xf_manifest {
  struct xf_key *key; /* ascending */
  size_t n;
};

struct xf_directory {
  struct xf_manifest all;
  uint32_t *holders; /* [all.n] members that hold the key */
};

/* Copies and sorts n keys; duplicates are an error that names the position.
   @shape key[n] @own out owns its copy @err E_INVAL E_NOMEM E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_manifest_init(struct xf_manifest *out, const struct xf_key *key,
                                           size_t n, struct xf_diag *diag);
/* Takes bytes that must already be ascending and unique (a peer's message).
   @shape p[n * 16] @err E_FORMAT E_NOMEM E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_manifest_decode(struct xf_manifest *out, const uint8_t *p, size_t len,
                                             struct xf_diag *diag);
/* Releases; idempotent. @own manifest */
void xf_manifest_deinit(struct xf_manifest *manifest);
/* Index of a key by binary search, or SIZE_MAX. @unit row */
size_t xf_manifest_find(const struct xf_manifest *manifest, const struct xf_key *key);
/* Union of several manifests with holder counts. @own out @err E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_directory_init(struct xf_directory *out,
                                            const struct xf_manifest *const *parts, size_t n_parts);
/* Forgets keys that fewer than min_holders members hold: their rows never leave a silo. @own directory */
void xf_directory_keep(struct xf_directory *directory, uint32_t min_holders);
/* Releases; idempotent. @own directory */
void xf_directory_deinit(struct xf_directory *directory);
/* The directory's rows of those of part's keys that it has, ascending; returns how many. holders[i], when not NULL, is the
   number of holders of part's i-th key, 0 for a key that the directory has not. @shape rows[part->n], holders[part->n] */
size_t xf_directory_rows(uint32_t *rows, uint32_t *holders, const struct xf_directory *directory,
                         const struct xf_manifest *part);

#endif
