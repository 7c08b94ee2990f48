/* ADOPT: the plan is kept, the private data are loaded as it says, the silo is made and gets its personal state back. */
#include "base/alloc.h"
#include "base/str.h"
#include "client/io/parts.h"
#include "crypto/sha256.h"
#include "resolve/dataset.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLAN_FILE "plan.bin"

enum { KEY_FILE_MAX = 256 };

/* --- the plan's bytes: plan.bin, its digest in client.db --- */

enum xf_rc client_plan_load(struct xf_client *c, struct xf_diag *diag) {
  char hex[XF_OUTBOX_TEXT_MAX], path[XF_PATH_MAX];
  struct xf_digest said, got;
  struct xf_buf bytes;
  enum xf_rc rc = xf_outbox_meta_get(c->outbox, "plan_digest", hex, sizeof hex, diag);
  if (rc == XF_E_NOTFOUND) return XF_OK;
  if (!rc) rc = xf_digest_parse(&said, hex);
  if (rc) return xf_diag_set(diag, XF_E_CORRUPT, "client.db: the plan's digest is damaged");
  rc = client_path(c, path, PLAN_FILE);
  if (rc) return rc;
  xf_buf_init(&bytes, XF_PLAN_BYTES_MAX);
  rc = xf_fs_read_file(c->fs, path, &bytes, diag);
  if (!rc) {
    xf_sha256(&got, bytes.p, bytes.len);
    if (!xf_digest_equal(&said, &got))
      rc = xf_diag_set(diag, XF_E_CORRUPT, "\"%s\" does not match the digest in client.db", path);
  }
  if (!rc) {
    c->plan = xf_calloc(1, sizeof *c->plan);
    rc = xf_plan_decode(c->plan, bytes.p, bytes.len, diag);
    c->plan_digest = said;
    c->has_plan = rc == XF_OK;
  }
  xf_buf_deinit(&bytes);
  return rc == XF_E_NOTFOUND ? xf_diag_set(diag, XF_E_CORRUPT, "\"%s\" is missing", path) : rc;
}

static enum xf_rc plan_save(struct xf_client *c, const struct xf_plan *plan, struct xf_diag *diag) {
  char hex[XF_DIGEST_HEX], path[XF_PATH_MAX];
  struct xf_digest digest;
  struct xf_buf bytes;
  xf_buf_init(&bytes, XF_PLAN_BYTES_MAX);
  enum xf_rc rc = xf_plan_encode(&bytes, plan);
  if (!rc) rc = client_path(c, path, PLAN_FILE);
  if (!rc) rc = xf_fs_replace(c->fs, path, bytes.p, bytes.len, diag);
  if (!rc) {
    xf_sha256(&digest, bytes.p, bytes.len);
    rc = xf_outbox_meta_set(c->outbox, "plan_digest", xf_digest_print(hex, &digest), diag);
  }
  xf_buf_deinit(&bytes);
  return rc;
}

/* --- the silos' shared key --- */

static enum xf_rc key_parse(struct xf_secret *out, const char *path, char *text, size_t n,
                            struct xf_diag *diag) {
  while (n && (text[n - 1] == '\n' || text[n - 1] == '\r' || text[n - 1] == ' ')) n--;
  enum xf_rc rc = xf_secret_init(out, XF_SILO_ALIGN_KEY);
  if (!rc) rc = xf_hex_parse(out->p, XF_SILO_ALIGN_KEY, text, n);
  if (rc == XF_E_FORMAT)
    return xf_diag_set(diag, rc,
                       "data.align_key: \"%s\" must hold 64 hex digits (openssl rand -hex 32), the "
                       "same at every silo",
                       path);
  return rc;
}

enum xf_rc client_key_load(struct xf_secret *out, const char *path, struct xf_diag *diag) {
  char text[KEY_FILE_MAX];
  struct stat st;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return xf_diag_set(diag, xf_rc_from_errno(errno), "data.align_key: cannot open \"%s\": %s",
                       path, xf_rc_text(xf_rc_from_errno(errno)));
  enum xf_rc rc = XF_OK;
  ssize_t n = 0;
  if (fstat(fd, &st) != 0 || (n = read(fd, text, sizeof text)) < 0) rc = xf_rc_from_errno(errno);
  else if (!S_ISREG(st.st_mode) || (st.st_mode & 077))
    rc = xf_diag_set(diag, XF_E_AUTH,
                     "data.align_key: \"%s\" has mode %04o: others could read it; chmod 600", path,
                     (unsigned)(st.st_mode & 07777));
  (void)close(fd); /* read only */
  if (!rc) rc = key_parse(out, path, text, (size_t)n, diag);
  xf_secret_wipe(text, sizeof text);
  if (rc) xf_secret_deinit(out);
  return rc;
}

/* --- adoption --- */

struct adopting {
  struct client_job base;
  char run[64];
  struct xf_plan *plan;
  struct xf_policy_effect effect;
  struct client_account account;
};

static const char *given(const char *s) { return s[0] ? s : NULL; }

struct xf_source client_source(const struct xf_client *c) {
  return (struct xf_source){.path = c->cfg.data.path,
                            .user = c->cfg.data.columns.user,
                            .item = c->cfg.data.columns.item,
                            .domain = c->cfg.data.columns.domain,
                            .value = c->cfg.data.columns.value,
                            .time = c->cfg.data.columns.time,
                            .only_domain = given(c->cfg.data.only_domain),
                            .split = given(c->cfg.data.split),
                            .center = given(c->cfg.data.center)};
}

enum xf_rc client_kg(struct xf_kg_side **out, const struct xf_client *c, const struct xf_plan *plan,
                     const struct xf_names *items, struct xf_diag *diag) {
  const struct xf_kg_files files = {.triples = c->cfg.data.kg.triples,
                                    .items = given(c->cfg.data.kg.items),
                                    .relations = given(c->cfg.data.kg.relations)};
  *out = NULL;
  if (!files.triples[0] || !xf_resolve_recommends(plan)) return XF_OK;
  const enum xf_rc rc = xf_kg_side_new(out, &files, items, diag);
  if (rc) return xf_diag_prefix(diag, rc, "data.kg");
  for (int f = 0; f < XF_N_KG_FINDING; f++) {
    const struct xf_finding *x = &(*out)->kg.found[f];
    const enum xf_kg_finding_kind kind = (enum xf_kg_finding_kind)f;
    if (x->count)
      xf_log(XF_LOG_INFO, "kg_finding", XF_S("kind", xf_kg_finding_name(kind)),
             XF_U("count", x->count), XF_S("what", xf_kg_finding_text(kind)),
             XF_S("then", xf_kg_finding_fix(kind)));
  }
  xf_log(XF_LOG_INFO, "kg", XF_U("triples", (*out)->kg.n), XF_U("entities", (*out)->kg.entities.n),
         XF_U("nodes", (*out)->graph.n_node));
  return XF_OK;
}

/* A plan's stage sums over them. */
static enum xf_rc client_categories(struct xf_categories *out, const struct xf_client *c,
                                    const struct xf_dataset *data, struct xf_diag *diag) {
  const char *path = c->cfg.serve.categories;
  if (!path[0])
    return xf_diag_set(diag, XF_E_CONFIG,
                       "serve.categories: is missing, and the plan sums over the categories of "
                       "items; name the file of this silo's items' categories");
  const enum xf_rc rc = xf_categories_load(out, path, &data->inter.items, NULL, diag);
  return rc ? xf_diag_prefix(diag, rc, "serve.categories") : XF_OK;
}

static enum xf_rc make_silo(struct adopting *a) {
  struct xf_client *c = a->base.client;
  struct xf_diag *diag = &a->base.diag;
  const struct xf_source source = client_source(c);
  struct xf_dataset data;
  struct xf_kg_side *kg = NULL;
  struct xf_categories categories = {0};
  enum xf_rc rc = xf_resolve_dataset(&data, a->plan, c->cfg.member, &source, diag);
  if (!rc) rc = client_kg(&kg, c, a->plan, &data.inter.items, diag);
  if (!rc && xf_plan_categories(a->plan)) rc = client_categories(&categories, c, &data, diag);
  const struct xf_silo_config config = {.plan = a->plan,
                                        .kg = kg,
                                        .categories = &categories,
                                        .member = c->cfg.member,
                                        .data = &data,
                                        .align_key = c->align_key.p,
                                        .clip = a->effect.clip,
                                        .noise_multiplier = a->effect.noise_multiplier,
                                        .max_weight = a->effect.max_weight,
                                        .metrics = a->effect.metrics};
  if (!rc) rc = xf_silo_new(&c->silo, &config, diag);
  xf_kg_side_unref(kg);
  xf_categories_deinit(&categories);
  xf_dataset_deinit(&data);
  if (!rc) rc = client_outbox_restore(c, diag);
  return rc;
}

static void adopting_work(struct client_job *job) {
  struct adopting *a = (struct adopting *)job;
  struct xf_client *c = job->client;
  enum xf_rc rc = xf_resolve_check(a->plan, &job->diag);
  if (!rc) rc = make_silo(a);
  if (!rc) /* again: the delta is that of the plan in force */
    rc = client_release_account(&a->account, c->outbox, a->run, a->plan->privacy.delta, &job->diag);
  if (!rc) rc = client_release_check(&a->account, client_release_unit(a->plan), &job->diag);
  /* The run is recorded last: a plan that could not be adopted leaves nothing behind. */
  if (!rc) rc = xf_outbox_run(c->outbox, a->run, xf_wall_now_us(), &job->diag);
  if (!rc) rc = plan_save(c, a->plan, &job->diag);
  job->rc = rc;
  if (!rc) client_serving_adopted(c, a->run);
}

static void log_adopted(const struct xf_client *c) {
  const struct xf_dataset *data = xf_silo_data(c->silo);
  xf_log(XF_LOG_INFO, "plan_adopted", XF_S("plan", c->plan->name),
         XF_U("train", xf_dataset_count(data, XF_PART_TRAIN)),
         XF_U("valid", xf_dataset_count(data, XF_PART_VALID)),
         XF_U("test", xf_dataset_count(data, XF_PART_TEST)),
         XF_U("model_bytes", xf_silo_model_len(c->silo)), XF_F("clip", c->effect.clip),
         XF_F("noise_multiplier", c->effect.noise_multiplier));
}

static void adopting_done(struct client_job *job) {
  struct adopting *a = (struct adopting *)job;
  struct xf_client *c = job->client;
  struct xf_session_event e = {.type = XF_SESSION_EV_ADOPTED, .rc = job->rc};
  char text[XF_DIAG_LEN];
  struct xf_plan *old = c->plan;
  c->early.adopting = false;
  c->early.served = 0;
  c->plan = a->plan; /* the silo borrows it, if there is one */
  if (!e.rc) {
    c->effect = a->effect;
    c->account = a->account;
    e.rc = xf_str_copy(c->run, sizeof c->run, a->run);
    xf_log_set_run(c->run);
    c->adopted = true;
  }
  if (!e.rc) e.rc = client_align_adopted(c, &job->diag);
  (void)snprintf(text, sizeof text, "%s", xf_diag_text(&job->diag, e.rc));
  if (!e.rc) {
    e.layout_digest = *xf_silo_layout_digest(c->silo);
    e.lens = *xf_silo_lens(c->silo);
    log_adopted(c);
    client_privacy_print(c);
  } else {
    xf_log(XF_LOG_ERROR, "plan_not_adopted", XF_S("reason", text));
  }
  e.text = text;
  xf_free(old);
  xf_free(job);
  client_feed(c, &e);
  client_align_ready(c);
}

void client_adopt(struct xf_client *c, const struct xf_session_action *action) {
  struct adopting *a = xf_calloc(1, sizeof *a);
  a->plan = xf_memdup(action->plan, sizeof *action->plan);
  xf_policy_effect_get(&a->effect, &c->cfg.policy, a->plan);
  struct xf_session_event failed = {.type = XF_SESSION_EV_ADOPTED};
  failed.rc = xf_str_copy(a->run, sizeof a->run, action->text);
  if (!failed.rc) {
    client_early_yield(c);
    c->early.adopting = true;
    client_submit(c, &a->base, adopting_work, adopting_done);
    return;
  }
  failed.text = "the run's name is too long";
  xf_free(a->plan);
  xf_free(a);
  client_feed(c, &failed);
}
