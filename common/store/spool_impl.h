/*
 * spool_impl.h - private to store: the spool header's bytes and paths.
 * Not for: other modules. Owner: the caller's buffers. Thread: any.
 */
#ifndef XF_STORE_SPOOL_IMPL_H
#define XF_STORE_SPOOL_IMPL_H

#include "store/spool.h"

/* The header as bytes, checksum included. @shape out[XF_SPOOL_HEADER] */
void xf_spool_head_encode(uint8_t out[XF_SPOOL_HEADER], const struct xf_spool_head *head);
/* Checks and reads it; `path` is for the message. @err E_CORRUPT E_VERSION */
XF_WARN_UNUSED enum xf_rc xf_spool_head_decode(struct xf_spool_head *out,
                                               const uint8_t in[XF_SPOOL_HEADER], const char *path,
                                               struct xf_diag *diag);
/* What the name of a file in the spool says it is. */
enum xf_spool_file { XF_SPOOL_FILE_STRANGE, XF_SPOOL_FILE_TEMP, XF_SPOOL_FILE_UPDATE };
/* Reads a name; round and task id of an update. @own out, may be NULL */
enum xf_spool_file xf_spool_name_parse(const char *name, uint64_t *round, struct xf_digest *task);

#endif
