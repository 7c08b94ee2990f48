/*
 * checkpoint_meta.h - private to store: the words of a checkpoint's metadata, for its writer and its reader.
 * Not for: other modules. Owner: the caller's arrays. Thread: any.
 */
#ifndef XF_STORE_CHECKPOINT_META_H
#define XF_STORE_CHECKPOINT_META_H

#include "store/safetensors.h"

#define XF_CHECKPOINT_FORMAT "crossfed-checkpoint"
#define XF_CHECKPOINT_STATE0 "server.momentum"
#define XF_CHECKPOINT_STATE1 "server.second"
#define XF_CHECKPOINT_KEYS "keys."
#define XF_CHECKPOINT_CHECK "metadata_blake2b"

/* BLAKE2b-256 over field(key) field(value) of all entries but XF_CHECKPOINT_CHECK, in order: the model digest
   covers the data, this the words that say what they are. @source docs/FORMATS.md "checkpoint" */
void xf_checkpoint_meta_digest(struct xf_digest *out, const struct xf_safetensors_meta *meta,
                               size_t n);

#endif
