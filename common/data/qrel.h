/*
 * qrel.h - relevance files: which items are right for a user, apart from any train part (XMRec's `valid_qrel`).
 *
 * A line is user, item, rating (tab, comma or space; a header is found by the rating), the pair is relevant when its rating is
 * above 0. Keys are looked up in the names of the train part and, where it lacks them, appended behind: the catalogue
 * is then names.n, so load relevance and lists before models are sized.
 * Users are dealt to two halves by a hash of their key: figures are chosen on DEVELOPMENT, read once on FINAL (decision 40).
 * Not for: candidates (lists.h). Owner: caller. Thread: any; the names have one writer.
 */
#ifndef XF_DATA_QREL_H
#define XF_DATA_QREL_H

#include "data/csr.h"

enum xf_qrel_half { XF_QREL_ALL, XF_QREL_DEVELOPMENT, XF_QREL_FINAL };

struct xf_qrel_count {
  uint64_t lines;
  uint64_t irrelevant;           /* pairs whose rating is 0 or less: left out */
  uint32_t users;                /* users with a relevant item */
  uint32_t new_users, new_items; /* keys the names did not have */
};

struct xf_qrel {
  struct xf_csr relevant; /* rows are user ids, those of the names when loaded */
  struct xf_qrel_count count;
};

/* Reads. A pair may occur once. @own out; names get the new keys @err as xf_interactions_load, E_FORMAT (a pair twice) */
XF_WARN_UNUSED enum xf_rc xf_qrel_load(struct xf_qrel *out, const char *path,
                                       struct xf_names *users, struct xf_names *items,
                                       struct xf_diag *diag);
/* Releases; idempotent. @own qrel */
void xf_qrel_deinit(struct xf_qrel *qrel);
/* A key's 64-bit hash: FNV-1a, then MurmurHash3's finaliser. @source Fowler, Noll, Vo; A. Appleby */
uint64_t xf_qrel_hash(const char *key);
/* The half of a user: even hashes are DEVELOPMENT. @thread any */
enum xf_qrel_half xf_qrel_half(const char *key);

#endif
