/*
 * index.h - private to pki: index.txt, the record of every certificate a CA has issued.
 *
 * One line per fact, words separated by single spaces; replaced atomically:
 *   crossfed-pki-index 1
 *   federation <id>
 *   crl-number <n>
 *   cert <serial> <not-before-s> <not-after-s> <role> <member> valid
 *   cert <serial> <not-before-s> <not-after-s> <role> <member> revoked <s> <reason>
 * Owner: the caller. Thread: one at a time.
 */
#ifndef XF_PKI_INDEX_H
#define XF_PKI_INDEX_H

#include "base/diag.h"
#include "pki/ca.h"

struct xf_index {
  char federation[XF_ID_CAP];
  uint64_t crl_number;
  struct xf_pki_entry *v;
  size_t n, cap;
};

/* An empty index. @own caller, release with xf_index_deinit */
void xf_index_init(struct xf_index *index);
/* Releases; idempotent. @own takes the entries */
void xf_index_deinit(struct xf_index *index);
/* Appends a copy. @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_index_add(struct xf_index *index, const struct xf_pki_entry *entry);
/* Reads <dir>/index.txt into an initialised index. @err E_NOTFOUND E_FORMAT E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_index_load(struct xf_index *index, const char *dir,
                                        struct xf_diag *diag);
/* Replaces <dir>/index.txt durably. @err E_IO E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_index_save(const struct xf_index *index, const char *dir,
                                        struct xf_diag *diag);
/* A reason's name. @own static */
const char *xf_index_reason_name(enum xf_pki_reason reason);

#endif
