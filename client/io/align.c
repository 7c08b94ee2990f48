/* Alignment: this silo's keys go out sorted, per key the number of holders comes back; kept for restarts. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cursor.h"
#include "base/str.h"
#include "client/io/parts.h"
#include "crypto/sha256.h"

#include <string.h>

#define DIRECTORY_FILE "directory.bin"

static const uint8_t magic[8] = {'X', 'F', 'D', 'I', 'R', '1', 0, 0};
enum { DIRECTORY_HEAD = 8 + 2 * XF_DIGEST_LEN + 2 * 8 };

/* --- sending the manifest --- */

void client_manifest(struct xf_client *c, const char *ns) {
  struct client_align *a = &c->align;
  if (xf_str_copy(a->ns, sizeof a->ns, ns)) return; /* the wire allows no longer one */
  a->manifest_wanted = true;
  a->sent = 0;
  if (c->adopted) client_manifest_pump(c);
}

void client_manifest_pump(struct xf_client *c) {
  struct client_align *a = &c->align;
  if (!a->manifest_wanted || !c->adopted) return;
  const char *ns = xf_resolve_ns(c->plan);
  if (!ns || strcmp(ns, a->ns) != 0) {
    xf_log(XF_LOG_WARN, "manifest_unknown", XF_S("namespace", a->ns));
    a->manifest_wanted = false;
    return;
  }
  const struct xf_manifest *m = xf_silo_manifest(c->silo);
  const uint64_t part = c->chunk_max / XF_KEY_LEN;
  do {
    const uint64_t left = m->n - a->sent, n = left < part ? left : part;
    const struct xf_msg msg = {.type = XF_MSG_MANIFEST,
                               .manifest = {.ns = a->ns,
                                            .total = m->n,
                                            .offset = a->sent,
                                            .keys = (const uint8_t *)(m->key + a->sent),
                                            .keys_len = (size_t)n * XF_KEY_LEN}};
    enum xf_rc rc = client_send_bulk(c, &msg);
    if (rc == XF_E_AGAIN) return; /* on_drain goes on */
    if (rc) break;                /* asked again on the next connection */
    a->sent += n;
  } while (a->sent < m->n);
  a->manifest_wanted = false;
  if (a->sent == m->n) xf_log(XF_LOG_INFO, "manifest_sent", XF_U("keys", m->n));
}

/* --- the directory --- */

static enum xf_rc directory_save(struct xf_client *c, struct xf_diag *diag) {
  const struct client_align *a = &c->align;
  const struct xf_manifest *m = xf_silo_manifest(c->silo);
  struct xf_digest keys;
  struct xf_buf out;
  char path[XF_PATH_MAX];
  xf_buf_init(&out, DIRECTORY_HEAD + (size_t)a->total * sizeof(uint32_t));
  xf_sha256(&keys, m->key, m->n * XF_KEY_LEN);
  enum xf_rc rc = xf_buf_put(&out, magic, sizeof magic);
  if (!rc) rc = xf_buf_put(&out, a->digest.b, XF_DIGEST_LEN);
  if (!rc) rc = xf_buf_put(&out, keys.b, XF_DIGEST_LEN);
  if (!rc) rc = xf_buf_put_u64le(&out, a->n_all);
  if (!rc) rc = xf_buf_put_u64le(&out, a->total);
  for (uint64_t i = 0; i < a->total && !rc; i++) rc = xf_buf_put_u32le(&out, a->holders[i]);
  if (!rc) rc = client_path(c, path, DIRECTORY_FILE);
  if (!rc) rc = xf_fs_replace(c->fs, path, out.p, out.len, diag);
  xf_buf_deinit(&out);
  return rc;
}

static uint64_t get_le(const uint8_t *p, size_t n) {
  uint64_t v = 0;
  for (size_t i = 0; i < n; i++) v |= (uint64_t)p[i] << (8 * i);
  return v;
}

static enum xf_rc directory_parse(struct xf_client *c, const char *path, const struct xf_buf *in,
                                  struct xf_diag *diag) {
  struct client_align *a = &c->align;
  const struct xf_manifest *m = xf_silo_manifest(c->silo);
  struct xf_digest keys;
  if (in->len < DIRECTORY_HEAD || memcmp(in->p, magic, sizeof magic) != 0 ||
      get_le(in->p + DIRECTORY_HEAD - 8, 8) != (in->len - DIRECTORY_HEAD) / 4)
    return xf_diag_set(diag, XF_E_CORRUPT, "\"%s\" is damaged", path);
  xf_sha256(&keys, m->key, m->n * XF_KEY_LEN);
  if (memcmp(keys.b, in->p + 8 + XF_DIGEST_LEN, XF_DIGEST_LEN) != 0)
    return xf_diag_set(diag, XF_E_CONFLICT,
                       "the users of \"%s\" are not those this silo was aligned with: put the old "
                       "data back, or start a new run with an empty state_dir",
                       c->cfg.data.path);
  memcpy(a->digest.b, in->p + 8, XF_DIGEST_LEN);
  a->n_all = get_le(in->p + DIRECTORY_HEAD - 16, 8);
  a->total = a->got = m->n;
  xf_free(a->holders);
  a->holders = xf_try_calloc(m->n, sizeof *a->holders);
  if (!a->holders) return XF_E_NOMEM;
  for (uint64_t i = 0; i < m->n; i++)
    a->holders[i] = (uint32_t)get_le(in->p + DIRECTORY_HEAD + 4 * i, 4);
  a->complete = true;
  return XF_OK;
}

/* What was received in this life goes before what was stored; they can only differ in another run. */
static enum xf_rc directory_load(struct xf_client *c, struct xf_diag *diag) {
  const struct xf_manifest *m = xf_silo_manifest(c->silo);
  char path[XF_PATH_MAX];
  struct xf_buf in;
  enum xf_rc rc = client_path(c, path, DIRECTORY_FILE);
  if (rc) return rc;
  xf_buf_init(&in, DIRECTORY_HEAD + m->n * sizeof(uint32_t));
  rc = xf_fs_read_file(c->fs, path, &in, diag);
  if (!rc) rc = directory_parse(c, path, &in, diag);
  if (rc == XF_E_LIMIT)
    rc = xf_diag_set(diag, XF_E_CONFLICT,
                     "\"%s\" lists more users than the data have: did the data change?", path);
  xf_buf_deinit(&in);
  return rc == XF_E_NOTFOUND ? XF_OK : rc;
}

static enum xf_rc align(struct xf_client *c, bool save, struct xf_diag *diag) {
  struct client_align *a = &c->align;
  const struct xf_manifest *m = xf_silo_manifest(c->silo);
  uint64_t known = 0;
  if (a->total != m->n)
    return xf_diag_set(diag, XF_E_CONFLICT,
                       "the coordinator's directory answers %llu keys, this silo has %zu: did the "
                       "data change?",
                       (unsigned long long)a->total, m->n);
  for (uint64_t i = 0; i < a->total; i++) known += a->holders[i] > 0;
  enum xf_rc rc = save ? directory_save(c, diag) : XF_OK;
  if (!rc) rc = xf_silo_align(c->silo, a->holders, diag);
  if (rc) return rc;
  a->aligned = true;
  xf_log(XF_LOG_INFO, "aligned", XF_U("keys", a->total), XF_U("known", known),
         XF_U("directory", a->n_all), XF_U("model_bytes", xf_silo_model_len(c->silo)));
  return XF_OK;
}

enum xf_rc client_align_adopted(struct xf_client *c, struct xf_diag *diag) {
  struct client_align *a = &c->align;
  if (!xf_resolve_ns(c->plan)) return XF_OK;
  const bool received = a->complete;
  enum xf_rc rc = received ? XF_OK : directory_load(c, diag);
  return rc || !a->complete ? rc : align(c, received, diag);
}

void client_align_ready(struct xf_client *c) {
  if (c->adopted) client_manifest_pump(c);
}

static void align_fail(struct xf_client *c, enum xf_rc rc, const char *text) {
  client_fail(c, rc, "alignment", text);
}

/* A first part begins anew; others must follow each other. false: nothing to do with it */
static bool take_part(struct client_align *a, const struct xf_msg_directory *part) {
  const uint64_t n = part->holders_len / 4;
  if (part->offset == 0) {
    xf_free(a->holders);
    a->holders = xf_try_calloc((size_t)(part->total ? part->total : 1), sizeof *a->holders);
    a->digest = part->digest;
    a->n_all = part->n_all;
    a->total = part->total;
    a->got = 0;
  }
  if (!a->holders || part->total != a->total || part->offset != a->got || n > a->total - a->got ||
      !xf_digest_equal(&part->digest, &a->digest))
    return false;
  for (uint64_t i = 0; i < n; i++)
    a->holders[a->got + i] = (uint32_t)get_le(part->holders + 4 * i, 4);
  a->got += n;
  a->complete = a->got == a->total;
  return true;
}

void client_directory(struct xf_client *c, const struct xf_msg_directory *part) {
  struct client_align *a = &c->align;
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (part->total > XF_MANIFEST_MAX) {
    align_fail(c, XF_E_LIMIT, "the directory has more keys than any silo can");
    return;
  }
  if (a->aligned) { /* sent on every connection; it is frozen */
    if (!xf_digest_equal(&part->digest, &a->digest))
      align_fail(c, XF_E_CONFLICT, "the coordinator's directory is another than this silo knows");
    return;
  }
  if (!take_part(a, part)) {
    align_fail(c, XF_E_FORMAT, "the parts of the directory do not follow each other");
    return;
  }
  if (!a->complete || !c->adopted) return; /* aligned when the data are there */
  enum xf_rc rc = align(c, true, &diag);
  if (rc) {
    align_fail(c, rc, xf_diag_text(&diag, rc));
    return;
  }
  client_feed(
      c, &(struct xf_session_event){.type = XF_SESSION_EV_ALIGNED, .lens = *xf_silo_lens(c->silo)});
}
