/*
 * checkpoint_meta.h - private to store: the words of a checkpoint's metadata, for its writer and its reader.
 * Not for: other modules. Thread: constants.
 */
#ifndef XF_STORE_CHECKPOINT_META_H
#define XF_STORE_CHECKPOINT_META_H

#define XF_CHECKPOINT_FORMAT "crossfed-checkpoint"
#define XF_CHECKPOINT_MOMENTUM "server.momentum"
#define XF_CHECKPOINT_KEYS "keys."

#endif
