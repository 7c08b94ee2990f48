/* Keys of aligned rows: collecting manifests, freezing the directories, telling a silo what became of its keys. A plan has one
   directory for each namespace; a member is aligned when its keys of all of them are stored, in one transaction. */
#include "server/io/state.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/log.h"
#include "crypto/sha256.h"

#include <string.h>

/* Rows of a member's keys in a frozen directory, and how many hold each. Announced late, a member has none; a
   recommender's silo reads them all the same: it comes to fetch what the others made. */
static enum xf_rc find_rows(struct srv_state *st, uint32_t i, uint32_t space,
                            struct xf_diag *diag) {
  struct srv_member *m = &st->m[i];
  struct srv_keys *k = &m->keys[space];
  xf_free(m->rows.row[space]);
  m->rows.row[space] = xf_calloc(k->manifest.n ? k->manifest.n : 1, sizeof *m->rows.row[space]);
  m->rows.n[space] = 0;
  xf_free(k->holders);
  k->holders = xf_try_calloc(k->manifest.n + 1, sizeof *k->holders);
  if (!k->holders)
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for the %zu keys of member \"%s\"",
                       k->manifest.n, st->cfg->members[i].id);
  if (!m->late || xf_resolve_recommends(&st->plan))
    m->rows.n[space] =
        xf_directory_rows(m->rows.row[space], k->holders, &st->directory[space], &k->manifest);
  return XF_OK;
}

static enum xf_rc make_union(struct srv_state *st, uint32_t space, struct xf_diag *diag) {
  const struct xf_manifest **part = xf_calloc(st->n, sizeof *part);
  struct xf_directory *d = &st->directory[space];
  size_t n = 0;
  for (uint32_t i = 0; i < st->n; i++)
    if (st->m[i].aligned && !st->m[i].late) part[n++] = &st->m[i].keys[space].manifest;
  xf_directory_deinit(d);
  enum xf_rc rc = xf_directory_init(d, part, n);
  xf_free(part);
  if (rc) return xf_diag_set(diag, rc, "the union of the members' keys: %s", xf_rc_text(rc));
  xf_directory_keep(d, st->spaces.at[space].min_holders);
  xf_sha256(&st->directory_digest[space], d->all.key, d->all.n * XF_KEY_LEN);
  for (uint32_t i = 0; i < st->n && !rc; i++)
    if (st->m[i].aligned) rc = find_rows(st, i, space, diag);
  return rc;
}

/* A member's stored keys of all namespaces; they were stored together. */
static enum xf_rc load_member(struct srv_state *st, uint32_t i, struct xf_diag *diag) {
  struct srv_member *m = &st->m[i];
  enum xf_rc rc = XF_OK;
  for (uint32_t k = 0; k < st->spaces.n && !rc; k++) {
    struct xf_digest digest;
    rc = xf_ledger_manifest_get(st->ledger, st->cfg->members[i].id, st->spaces.at[k].ns,
                                &m->keys[k].manifest, &digest, diag);
    if (rc == XF_E_NOTFOUND && k)
      return xf_diag_set(diag, XF_E_CORRUPT, "ledger: member \"%s\" has keys of one namespace only",
                         st->cfg->members[i].id);
  }
  m->aligned = rc == XF_OK;
  return rc == XF_E_NOTFOUND ? XF_OK : rc;
}

/* A directory that was frozen is the union of what is stored. */
static enum xf_rc load_directory(struct srv_state *st, uint32_t space, bool *frozen,
                                 struct xf_diag *diag) {
  struct xf_digest digest;
  uint64_t n = 0;
  enum xf_rc rc = xf_ledger_directory_get(st->ledger, st->spaces.at[space].ns, &digest, &n, diag);
  *frozen = rc == XF_OK;
  if (rc == XF_E_NOTFOUND) return XF_OK; /* not yet */
  if (!rc) rc = make_union(st, space, diag);
  if (!rc &&
      (n != st->directory[space].all.n || !xf_digest_equal(&digest, &st->directory_digest[space])))
    rc = xf_diag_set(diag, XF_E_CORRUPT,
                     "ledger: the stored keys make another directory than the one that was frozen "
                     "(a member that gave "
                     "keys is missing from `members`?)");
  return rc;
}

enum xf_rc srv_align_load(struct srv_state *st, struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  bool frozen = true;
  for (uint32_t i = 0; i < st->n && !rc; i++) rc = load_member(st, i, diag);
  for (uint32_t k = 0; k < st->spaces.n && frozen && !rc; k++)
    rc = load_directory(st, k, &frozen, diag);
  st->frozen = frozen && rc == XF_OK;
  return rc;
}

static enum xf_rc decode(struct srv_state *st, const struct srv_member *m,
                         struct xf_manifest manifest[XF_SPACES_MAX], struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  for (uint32_t k = 0; k < st->spaces.n && !rc; k++)
    rc = xf_manifest_decode(&manifest[k], m->keys[k].arriving.p, m->keys[k].arriving.len, diag);
  return rc;
}

static enum xf_rc put(struct srv_state *st, uint32_t i, const struct xf_manifest *manifest,
                      struct xf_diag *diag) {
  enum xf_rc rc = xf_ledger_begin(st->ledger, xf_wall_now_us(), diag);
  for (uint32_t k = 0; k < st->spaces.n && !rc; k++) {
    struct xf_digest digest;
    xf_sha256(&digest, manifest[k].key, manifest[k].n * XF_KEY_LEN);
    rc = xf_ledger_manifest_put(st->ledger, st->cfg->members[i].id, st->spaces.at[k].ns,
                                manifest[k].key, manifest[k].n, &digest, diag);
  }
  if (!rc) rc = xf_ledger_commit(st->ledger, diag);
  if (rc) xf_ledger_rollback(st->ledger);
  return rc;
}

/* All keys of a member have come. */
static enum xf_rc store(struct srv_state *st, uint32_t i, struct xf_diag *diag) {
  struct srv_member *m = &st->m[i];
  struct xf_manifest manifest[XF_SPACES_MAX] = {{0}};
  enum xf_rc rc = decode(st, m, manifest, diag);
  if (!rc && !st->frozen) rc = put(st, i, manifest, diag);
  if (rc) {
    for (uint32_t k = 0; k < st->spaces.n; k++) xf_manifest_deinit(&manifest[k]);
    return rc;
  }
  for (uint32_t k = 0; k < st->spaces.n; k++) {
    xf_manifest_deinit(&m->keys[k].manifest);
    m->keys[k].manifest = manifest[k];
  }
  m->aligned = true;
  m->late = st->frozen;
  if (m->late)
    xf_log(XF_LOG_WARN, "member_late", XF_S("client", st->cfg->members[i].id),
           XF_U("keys", srv_align_keys(st, i)),
           XF_S("reason", "the directory was frozen without it: it takes part without aligned "
                          "rows, or as a reader of a recommender"));
  for (uint32_t k = 0; k < st->spaces.n && m->late && !rc; k++) rc = find_rows(st, i, k, diag);
  return rc;
}

/* One part of a namespace's keys. */
static enum xf_rc take(struct srv_keys *k, const struct xf_msg_manifest *msg,
                       struct xf_diag *diag) {
  const uint64_t here = k->arriving.len / XF_KEY_LEN, n = msg->keys_len / XF_KEY_LEN;
  if (msg->offset == 0) {
    xf_buf_reset(&k->arriving);
    k->total = msg->total;
    k->whole = false;
  } else if (msg->total != k->total || msg->offset != here) {
    return xf_diag_set(diag, XF_E_RANGE, "manifest part at key %llu of %llu, expected %llu of %llu",
                       (unsigned long long)msg->offset, (unsigned long long)msg->total,
                       (unsigned long long)here, (unsigned long long)k->total);
  }
  if (k->total > XF_MANIFEST_MAX)
    return xf_diag_set(diag, XF_E_LIMIT, "a manifest of %llu keys, the limit is %llu",
                       (unsigned long long)k->total, (unsigned long long)XF_MANIFEST_MAX);
  if (n == 0 && k->total) return xf_diag_set(diag, XF_E_FORMAT, "a manifest part without keys");
  enum xf_rc rc = xf_buf_put(&k->arriving, msg->keys, msg->keys_len);
  if (rc)
    return xf_diag_set(diag, rc, "no room for a manifest of %llu keys",
                       (unsigned long long)k->total);
  k->whole = k->arriving.len / XF_KEY_LEN >= k->total;
  return XF_OK;
}

enum xf_rc srv_align_take(struct srv_state *st, uint32_t member, const struct xf_msg_manifest *msg,
                          bool *complete, struct xf_diag *diag) {
  struct srv_member *m = &st->m[member];
  const uint32_t space = xf_spaces_find(&st->spaces, msg->ns);
  *complete = false;
  if (space == st->spaces.n)
    return xf_diag_set(diag, XF_E_INVAL, "namespace \"%.63s\" was not asked for", msg->ns);
  if (m->aligned) return XF_OK; /* a repetition after it was stored */
  enum xf_rc rc = take(&m->keys[space], msg, diag);
  for (uint32_t k = 0; k < st->spaces.n && !rc; k++)
    if (!m->keys[k].whole) return XF_OK;
  if (rc) return rc;
  rc = store(st, member, diag);
  *complete = rc == XF_OK;
  srv_align_drop(st, member);
  return rc;
}

void srv_align_drop(struct srv_state *st, uint32_t member) {
  for (int k = 0; k < XF_SPACES_MAX; k++) {
    struct srv_keys *keys = &st->m[member].keys[k];
    xf_buf_deinit(&keys->arriving);
    xf_buf_init(&keys->arriving, XF_MANIFEST_MAX * XF_KEY_LEN);
    keys->total = 0;
    keys->whole = false;
  }
}

enum xf_rc srv_align_freeze(struct srv_state *st, struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  for (uint32_t k = 0; k < st->spaces.n && !rc; k++) rc = make_union(st, k, diag);
  if (!rc) rc = xf_ledger_begin(st->ledger, xf_wall_now_us(), diag);
  if (rc) return rc;
  for (uint32_t k = 0; k < st->spaces.n && !rc; k++) {
    rc = xf_ledger_directory_freeze(st->ledger, st->spaces.at[k].ns, &st->directory_digest[k],
                                    st->directory[k].all.n, diag);
    XF_FAILPOINT("K15");
  }
  if (!rc) rc = srv_model_first(st, diag);
  if (!rc) rc = xf_ledger_commit(st->ledger, diag);
  if (rc) {
    xf_ledger_rollback(st->ledger);
    return rc;
  }
  st->frozen = true;
  for (uint32_t k = 0; k < st->spaces.n; k++)
    xf_log(XF_LOG_INFO, "directory_frozen", XF_S("ns", st->spaces.at[k].ns),
           XF_U("keys", st->directory[k].all.n));
  return XF_OK;
}

uint64_t srv_align_keys(const struct srv_state *st, uint32_t member) {
  uint64_t n = 0;
  for (uint32_t k = 0; k < st->spaces.n; k++) n += st->m[member].keys[k].manifest.n;
  return n;
}

size_t srv_align_part(const struct srv_state *st, uint32_t member, uint32_t space, uint64_t at,
                      struct xf_msg *msg, uint8_t *buf, size_t cap) {
  const struct srv_keys *m = &st->m[member].keys[space];
  size_t n = m->manifest.n - (size_t)at;
  if (n > cap / sizeof(uint32_t)) n = cap / sizeof(uint32_t);
  for (size_t k = 0; k < n; k++) {
    const uint32_t holders = m->holders[at + k];
    for (int b = 0; b < 4; b++) buf[4 * k + (size_t)b] = (uint8_t)(holders >> (8 * b));
  }
  *msg = (struct xf_msg){.type = XF_MSG_DIRECTORY};
  msg->directory = (struct xf_msg_directory){.ns = st->spaces.at[space].ns,
                                             .digest = st->directory_digest[space],
                                             .n_all = st->directory[space].all.n,
                                             .total = m->manifest.n,
                                             .offset = at,
                                             .holders = buf,
                                             .holders_len = n * sizeof(uint32_t)};
  return n;
}
