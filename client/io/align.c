/* Alignment: this silo's keys go out sorted, per key the number of holders comes back; kept for restarts. A plan may align two
   namespaces, items and users: each has its own request, directory and file, and the silo is aligned when it has all. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cursor.h"
#include "base/fail.h"
#include "base/str.h"
#include "client/io/parts.h"
#include "crypto/sha256.h"

#include <string.h>

static const char *const directory_file[XF_SPACES_MAX] = {"directory.bin", "directory-2.bin",
                                                          "directory-3.bin"};

static const uint8_t magic[8] = {'X', 'F', 'D', 'I', 'R', '1', 0, 0};
enum { DIRECTORY_HEAD = 8 + 2 * XF_DIGEST_LEN + 2 * 8 };

/* What is known of a namespace; a new one takes the next place. NULL: there are too many, or no name. */
static struct client_space *space_of(struct client_align *a, const char *ns) {
  for (int k = 0; k < XF_SPACES_MAX; k++) {
    struct client_space *s = &a->space[k];
    if (s->ns[0] && strcmp(s->ns, ns) == 0) return s;
    if (s->ns[0]) continue;
    return ns[0] && xf_str_copy(s->ns, sizeof s->ns, ns) == XF_OK ? s : NULL;
  }
  return NULL;
}

/* --- sending the manifests --- */

void client_manifest(struct xf_client *c, const char *ns) {
  struct client_space *s = space_of(&c->align, ns);
  if (!s) {
    xf_log(XF_LOG_WARN, "manifest_unknown", XF_S("namespace", ns));
    return;
  }
  s->wanted = true;
  s->sent = 0;
  if (c->adopted) client_manifest_pump(c);
}

/* false: the connection takes no more for now */
static bool send_keys(struct xf_client *c, struct client_space *s) {
  const struct xf_spaces spaces = xf_resolve_spaces(c->plan);
  const uint32_t k = xf_spaces_find(&spaces, s->ns);
  if (k == spaces.n) {
    xf_log(XF_LOG_WARN, "manifest_unknown", XF_S("namespace", s->ns));
    s->wanted = false;
    return true;
  }
  const struct xf_manifest *m = xf_silo_manifest(c->silo, k);
  const uint64_t part = c->chunk_max / XF_KEY_LEN;
  do {
    const uint64_t left = m->n - s->sent, n = left < part ? left : part;
    const struct xf_msg msg = {.type = XF_MSG_MANIFEST,
                               .manifest = {.ns = s->ns,
                                            .total = m->n,
                                            .offset = s->sent,
                                            .keys = (const uint8_t *)(m->key + s->sent),
                                            .keys_len = (size_t)n * XF_KEY_LEN}};
    enum xf_rc rc = client_send_bulk(c, &msg);
    if (rc == XF_E_AGAIN) return false; /* on_drain goes on */
    if (rc) break;                      /* asked again on the next connection */
    s->sent += n;
  } while (s->sent < m->n);
  s->wanted = false;
  if (s->sent == m->n)
    xf_log(XF_LOG_INFO, "manifest_sent", XF_S("namespace", s->ns), XF_U("keys", m->n));
  return true;
}

void client_manifest_pump(struct xf_client *c) {
  for (int k = 0; k < XF_SPACES_MAX && c->adopted; k++)
    if (c->align.space[k].wanted && !send_keys(c, &c->align.space[k])) return;
}

/* --- the directories --- */

static enum xf_rc directory_save(struct xf_client *c, uint32_t space, const struct client_space *a,
                                 struct xf_diag *diag) {
  const struct xf_manifest *m = xf_silo_manifest(c->silo, space);
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
  if (!rc) rc = client_path(c, path, directory_file[space]);
  if (!rc) rc = xf_fs_replace(c->fs, path, out.p, out.len, diag);
  xf_buf_deinit(&out);
  return rc;
}

static uint64_t get_le(const uint8_t *p, size_t n) {
  uint64_t v = 0;
  for (size_t i = 0; i < n; i++) v |= (uint64_t)p[i] << (8 * i);
  return v;
}

static enum xf_rc directory_parse(struct xf_client *c, uint32_t space, struct client_space *a,
                                  const char *path, const struct xf_buf *in, struct xf_diag *diag) {
  const struct xf_manifest *m = xf_silo_manifest(c->silo, space);
  struct xf_digest keys;
  if (in->len < DIRECTORY_HEAD || memcmp(in->p, magic, sizeof magic) != 0 ||
      get_le(in->p + DIRECTORY_HEAD - 8, 8) != (in->len - DIRECTORY_HEAD) / 4)
    return xf_diag_set(diag, XF_E_CORRUPT, "\"%s\" is damaged", path);
  if (a->complete && memcmp(a->digest.b, in->p + 8, XF_DIGEST_LEN) != 0)
    return XF_OK; /* of another run */
  xf_sha256(&keys, m->key, m->n * XF_KEY_LEN);
  if (memcmp(keys.b, in->p + 8 + XF_DIGEST_LEN, XF_DIGEST_LEN) != 0)
    return xf_diag_set(
        diag, XF_E_CONFLICT,
        "the users or items of \"%s\" are not those this silo was aligned with: put the old "
        "data back, or start a new run with an empty state_dir",
        c->cfg.data.path);
  if (a->complete) return XF_OK;
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

/* What was received in this life goes before what was stored; they can only differ in another run. In the same one the silo
   must still have the keys it was aligned with. */
static enum xf_rc directory_load(struct xf_client *c, uint32_t space, struct client_space *a,
                                 struct xf_diag *diag) {
  const struct xf_manifest *m = xf_silo_manifest(c->silo, space);
  char path[XF_PATH_MAX];
  struct xf_buf in;
  enum xf_rc rc = client_path(c, path, directory_file[space]);
  if (rc) return rc;
  xf_buf_init(&in, DIRECTORY_HEAD + m->n * sizeof(uint32_t));
  rc = xf_fs_read_file(c->fs, path, &in, diag);
  if (!rc) rc = directory_parse(c, space, a, path, &in, diag);
  if (rc == XF_E_LIMIT)
    rc = xf_diag_set(diag, XF_E_CONFLICT,
                     "\"%s\" lists more keys than the data have: did the data change?", path);
  xf_buf_deinit(&in);
  return rc == XF_E_NOTFOUND ? XF_OK : rc;
}

static enum xf_rc align(struct xf_client *c, bool save, struct xf_diag *diag) {
  const struct xf_spaces spaces = xf_resolve_spaces(c->plan);
  const uint32_t *holders[XF_SPACES_MAX] = {0};
  uint64_t known = 0, total = 0, all = 0;
  enum xf_rc rc = XF_OK;
  for (uint32_t k = 0; k < spaces.n && !rc; k++) {
    const struct client_space *a = space_of(&c->align, spaces.at[k].ns);
    const struct xf_manifest *m = xf_silo_manifest(c->silo, k);
    if (a->total != m->n)
      return xf_diag_set(diag, XF_E_CONFLICT,
                         "the coordinator's directory answers %llu keys, this silo has %zu: did "
                         "the data change?",
                         (unsigned long long)a->total, m->n);
    for (uint64_t i = 0; i < a->total; i++) known += a->holders[i] > 0;
    total += a->total;
    all += a->n_all;
    holders[k] = a->holders;
    if (save) rc = directory_save(c, k, a, diag);
    if (save && !rc) XF_FAILPOINT("C8");
  }
  if (!rc) rc = xf_silo_align(c->silo, holders, diag);
  if (rc) return rc;
  c->align.aligned = true;
  xf_log(XF_LOG_INFO, "aligned", XF_U("keys", total), XF_U("known", known), XF_U("directory", all),
         XF_U("model_bytes", xf_silo_model_len(c->silo)));
  return XF_OK;
}

const uint32_t *client_holders(const struct xf_client *c, uint32_t space) {
  const struct xf_spaces spaces = xf_resolve_spaces(c->plan);
  for (int k = 0; k < XF_SPACES_MAX; k++)
    if (strcmp(c->align.space[k].ns, spaces.at[space].ns) == 0) return c->align.space[k].holders;
  return NULL; /* not of an aligned silo */
}

/* Whether all directories that the plan needs are whole. */
static bool complete(struct xf_client *c) {
  const struct xf_spaces spaces = xf_resolve_spaces(c->plan);
  for (uint32_t k = 0; k < spaces.n; k++) {
    const struct client_space *a = space_of(&c->align, spaces.at[k].ns);
    if (!a || !a->complete) return false;
  }
  return true;
}

enum xf_rc client_align_adopted(struct xf_client *c, struct xf_diag *diag) {
  const struct xf_spaces spaces = xf_resolve_spaces(c->plan);
  bool received = false;
  enum xf_rc rc = XF_OK;
  for (uint32_t k = 0; k < spaces.n && !rc; k++) {
    struct client_space *a = space_of(&c->align, spaces.at[k].ns);
    if (!a)
      return xf_diag_set(diag, XF_E_INVAL,
                         "the coordinator asks for keys of other namespaces "
                         "than the plan's");
    received = received || a->complete;
    rc = directory_load(c, k, a, diag);
  }
  return rc || spaces.n == 0 || !complete(c) ? rc : align(c, received, diag);
}

void client_align_ready(struct xf_client *c) {
  if (c->adopted) client_manifest_pump(c);
}

static void align_fail(struct xf_client *c, enum xf_rc rc, const char *text) {
  client_fail(c, rc, "alignment", text);
}

/* A first part begins anew; others must follow each other. false: nothing to do with it */
static bool take_part(struct client_space *a, const struct xf_msg_directory *part) {
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
  struct client_space *a = space_of(&c->align, part->ns);
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (!a) {
    align_fail(c, XF_E_INVAL,
               "the coordinator sends a directory of another namespace than the plan's");
    return;
  }
  if (part->total > XF_MANIFEST_MAX) {
    align_fail(c, XF_E_LIMIT, "the directory has more keys than any silo can");
    return;
  }
  if (c->align.aligned) { /* sent on every connection; it is frozen */
    if (!xf_digest_equal(&part->digest, &a->digest))
      align_fail(c, XF_E_CONFLICT, "the coordinator's directory is another than this silo knows");
    return;
  }
  if (!take_part(a, part)) {
    align_fail(c, XF_E_FORMAT, "the parts of the directory do not follow each other");
    return;
  }
  if (!a->complete || !c->adopted || !complete(c))
    return; /* aligned when all and the data are there */
  enum xf_rc rc = align(c, true, &diag);
  if (rc) {
    align_fail(c, rc, xf_diag_text(&diag, rc));
    return;
  }
  client_feed(
      c, &(struct xf_session_event){.type = XF_SESSION_EV_ALIGNED, .lens = *xf_silo_lens(c->silo)});
}
