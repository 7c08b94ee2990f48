/*
 * vector.h - a silo's parameter vector in a file of its own (personal states), whole or refused.
 *
 * One safetensors file: "params" F32 [n], its SHA-256 in the metadata; written beside and renamed.
 * Owner: the caller's memory. Thread: one at a time.
 */
#ifndef XF_CLIENT_IO_VECTOR_H
#define XF_CLIENT_IO_VECTOR_H

#include "base/fs.h"

/* Durable once OK. @shape x[n] @err E_NOSPACE E_IO */
XF_WARN_UNUSED enum xf_rc xf_vector_save(const struct xf_fs *fs, const char *path, const float *x,
                                         uint64_t n, struct xf_diag *diag);
/* Parameters in a file. @unit floats @err E_NOTFOUND E_CORRUPT E_IO */
XF_WARN_UNUSED enum xf_rc xf_vector_len(const struct xf_fs *fs, const char *path, uint64_t *n,
                                        struct xf_diag *diag);
/* @shape x[n] @err E_NOTFOUND E_SHAPE (another length) E_CORRUPT E_IO */
XF_WARN_UNUSED enum xf_rc xf_vector_load(const struct xf_fs *fs, const char *path, float *x,
                                         uint64_t n, struct xf_diag *diag);

#endif
