/* Keys of aligned rows: collecting manifests, freezing the directory, telling a silo what became of its keys. */
#include "server/io/state.h"

#include "base/alloc.h"
#include "base/log.h"
#include "crypto/sha256.h"

#include <string.h>

/* Rows of a member's keys in the frozen directory, and how many hold each. Announced late, a member has none; a
   recommender's silo reads them all the same: it comes to fetch what the others made. */
static enum xf_rc find_rows(struct srv_state *st, uint32_t i, struct xf_diag *diag) {
  struct srv_member *m = &st->m[i];
  xf_free(m->row);
  m->row = xf_calloc(m->manifest.n ? m->manifest.n : 1, sizeof *m->row);
  m->n_row = 0;
  xf_free(m->holders);
  m->holders = xf_try_calloc(m->manifest.n + 1, sizeof *m->holders);
  if (!m->holders)
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for the %zu keys of member \"%s\"",
                       m->manifest.n, st->cfg->members[i].id);
  if (!m->late || xf_resolve_recommends(&st->plan))
    m->n_row = xf_directory_rows(m->row, m->holders, &st->directory, &m->manifest);
  return XF_OK;
}

static enum xf_rc make_union(struct srv_state *st, struct xf_diag *diag) {
  const struct xf_manifest **part = xf_calloc(st->n, sizeof *part);
  size_t n = 0;
  for (uint32_t i = 0; i < st->n; i++)
    if (st->m[i].aligned && !st->m[i].late) part[n++] = &st->m[i].manifest;
  xf_directory_deinit(&st->directory);
  enum xf_rc rc = xf_directory_init(&st->directory, part, n);
  xf_free(part);
  if (rc) return xf_diag_set(diag, rc, "the union of the members' keys: %s", xf_rc_text(rc));
  xf_directory_keep(&st->directory, xf_resolve_min_holders(&st->plan));
  xf_sha256(&st->directory_digest, st->directory.all.key, st->directory.all.n * XF_KEY_LEN);
  for (uint32_t i = 0; i < st->n && !rc; i++)
    if (st->m[i].aligned) rc = find_rows(st, i, diag);
  return rc;
}

enum xf_rc srv_align_load(struct srv_state *st, struct xf_diag *diag) {
  if (!st->ns) {
    for (uint32_t i = 0; i < st->n; i++) st->m[i].aligned = true;
    st->frozen = true;
    return XF_OK;
  }
  struct xf_digest digest;
  uint64_t n = 0;
  enum xf_rc rc = XF_OK;
  for (uint32_t i = 0; i < st->n && !rc; i++) {
    rc = xf_ledger_manifest_get(st->ledger, st->cfg->members[i].id, st->ns, &st->m[i].manifest,
                                &digest, diag);
    st->m[i].aligned = rc == XF_OK;
    if (rc == XF_E_NOTFOUND) rc = XF_OK;
  }
  if (rc) return rc;
  rc = xf_ledger_directory_get(st->ledger, st->ns, &digest, &n, diag);
  if (rc == XF_E_NOTFOUND) return XF_OK; /* not frozen yet */
  if (!rc) rc = make_union(st, diag);
  if (!rc && (n != st->directory.all.n || !xf_digest_equal(&digest, &st->directory_digest)))
    rc = xf_diag_set(diag, XF_E_CORRUPT,
                     "ledger: the stored keys make another directory than the one that was frozen "
                     "(a member that gave "
                     "keys is missing from `members`?)");
  st->frozen = rc == XF_OK;
  return rc;
}

static enum xf_rc store(struct srv_state *st, uint32_t i, struct xf_diag *diag) {
  struct srv_member *m = &st->m[i];
  struct xf_digest digest;
  struct xf_manifest manifest = {0};
  enum xf_rc rc = xf_manifest_decode(&manifest, m->keys.p, m->keys.len, diag);
  if (rc) return rc;
  xf_sha256(&digest, m->keys.p, m->keys.len);
  if (!st->frozen) {
    rc = xf_ledger_begin(st->ledger, xf_wall_now_us(), diag);
    if (!rc)
      rc = xf_ledger_manifest_put(st->ledger, st->cfg->members[i].id, st->ns, manifest.key,
                                  manifest.n, &digest, diag);
    if (!rc) rc = xf_ledger_commit(st->ledger, diag);
    if (rc) xf_ledger_rollback(st->ledger);
  }
  if (rc) {
    xf_manifest_deinit(&manifest);
    return rc;
  }
  xf_manifest_deinit(&m->manifest);
  m->manifest = manifest;
  m->aligned = true;
  m->late = st->frozen;
  if (m->late)
    xf_log(XF_LOG_WARN, "member_late", XF_S("client", st->cfg->members[i].id),
           XF_U("keys", manifest.n),
           XF_S("reason", "the directory was frozen without it: it takes part without aligned "
                          "rows, or as a reader of a recommender"));
  return m->late ? find_rows(st, i, diag) : XF_OK;
}

enum xf_rc srv_align_take(struct srv_state *st, uint32_t member, const struct xf_msg_manifest *msg,
                          bool *complete, struct xf_diag *diag) {
  struct srv_member *m = &st->m[member];
  *complete = false;
  if (!st->ns || strcmp(msg->ns, st->ns) != 0)
    return xf_diag_set(diag, XF_E_INVAL, "namespace \"%.63s\" was not asked for", msg->ns);
  if (m->aligned) return XF_OK; /* a repetition after it was stored */
  const uint64_t here = m->keys.len / XF_KEY_LEN, n = msg->keys_len / XF_KEY_LEN;
  if (msg->offset == 0) {
    xf_buf_reset(&m->keys);
    m->total = msg->total;
  } else if (msg->total != m->total || msg->offset != here) {
    return xf_diag_set(diag, XF_E_RANGE, "manifest part at key %llu of %llu, expected %llu of %llu",
                       (unsigned long long)msg->offset, (unsigned long long)msg->total,
                       (unsigned long long)here, (unsigned long long)m->total);
  }
  if (m->total > XF_MANIFEST_MAX)
    return xf_diag_set(diag, XF_E_LIMIT, "a manifest of %llu keys, the limit is %llu",
                       (unsigned long long)m->total, (unsigned long long)XF_MANIFEST_MAX);
  if (n == 0 && m->total) return xf_diag_set(diag, XF_E_FORMAT, "a manifest part without keys");
  enum xf_rc rc = xf_buf_put(&m->keys, msg->keys, msg->keys_len);
  if (rc)
    return xf_diag_set(diag, rc, "no room for a manifest of %llu keys",
                       (unsigned long long)m->total);
  if (m->keys.len / XF_KEY_LEN < m->total) return XF_OK;
  rc = store(st, member, diag);
  *complete = rc == XF_OK;
  srv_align_drop(st, member);
  return rc;
}

void srv_align_drop(struct srv_state *st, uint32_t member) {
  xf_buf_deinit(&st->m[member].keys);
  xf_buf_init(&st->m[member].keys, XF_MANIFEST_MAX * XF_KEY_LEN);
  st->m[member].total = 0;
}

enum xf_rc srv_align_freeze(struct srv_state *st, struct xf_diag *diag) {
  enum xf_rc rc = make_union(st, diag);
  if (!rc) rc = xf_ledger_begin(st->ledger, xf_wall_now_us(), diag);
  if (rc) return rc;
  rc = xf_ledger_directory_freeze(st->ledger, st->ns, &st->directory_digest, st->directory.all.n,
                                  diag);
  if (!rc) rc = srv_model_first(st, diag);
  if (!rc) rc = xf_ledger_commit(st->ledger, diag);
  if (rc) {
    xf_ledger_rollback(st->ledger);
    return rc;
  }
  st->frozen = true;
  xf_log(XF_LOG_INFO, "directory_frozen", XF_S("ns", st->ns), XF_U("keys", st->directory.all.n));
  return XF_OK;
}

size_t srv_align_part(const struct srv_state *st, uint32_t member, uint64_t at, struct xf_msg *msg,
                      uint8_t *buf, size_t cap) {
  const struct srv_member *m = &st->m[member];
  size_t n = m->manifest.n - (size_t)at;
  if (n > cap / sizeof(uint32_t)) n = cap / sizeof(uint32_t);
  for (size_t k = 0; k < n; k++) {
    const uint32_t holders = m->holders[at + k];
    for (int b = 0; b < 4; b++) buf[4 * k + (size_t)b] = (uint8_t)(holders >> (8 * b));
  }
  *msg = (struct xf_msg){.type = XF_MSG_DIRECTORY};
  msg->directory = (struct xf_msg_directory){.ns = st->ns,
                                             .digest = st->directory_digest,
                                             .n_all = st->directory.all.n,
                                             .total = m->manifest.n,
                                             .offset = at,
                                             .holders = buf,
                                             .holders_len = n * sizeof(uint32_t)};
  return n;
}
