/* STORE_FINAL: the committed model is kept, the arms are made and measured, what is served is written. */
#include "base/alloc.h"
#include "base/fail.h"
#include "client/io/parts.h"
#include "client/io/serve.h"
#include "store/checkpoint.h"
#include "store/state.h"
#include "json/jsonw.h"

#include <math.h>
#include <string.h>

enum { REPORT_MAX = 256 * 1024 };

struct arm_result {
  bool made;
  struct xf_measure_sum sum[XF_N_PART][XF_RESOLVE_MEASURES];
};

struct finishing {
  struct client_job base;
  struct xf_msg_task_offer offer;
  struct arm_result arm[XF_SILO_N_ARM];
  float *params[XF_SILO_N_ARM];
  uint32_t *item[XF_SILO_N_ARM]; /* lists of a recommender's arms */
  float *score[XF_SILO_N_ARM];
  uint32_t
      *category[XF_SILO_N_ARM]; /* reasons of the lists, where categories have a part in them */
  float *strangers;             /* of a recommender: scores for unknown users */
  enum xf_recommender_crowd crowd;
  uint32_t paths; /* bit of each arm that a knowledge graph has a part in */
  enum xf_silo_arm served;
  bool chosen; /* by a figure */
};

/* --- model.safetensors: shared segments and this silo's own rows, with their keys --- */

static enum xf_rc own_layout(struct xf_layout *out, const struct xf_layout *from,
                             const struct xf_checkpoint_keys *keys, struct xf_diag *diag) {
  xf_layout_init(out);
  enum xf_rc rc = XF_OK;
  for (size_t i = 0; i < from->n_seg && !rc; i++) {
    const struct xf_segment *s = &from->seg[i];
    if (!xf_segment_global(s)) continue;
    const size_t k = xf_segment_keyed(s) && strcmp(keys[0].ns, s->ns) != 0 ? 1 : 0;
    const uint32_t rows = xf_segment_keyed(s) ? (uint32_t)keys[k].n : s->rows;
    rc = xf_layout_add(out, s->name, s->role, s->ns, rows, s->cols, diag);
  }
  return rc;
}

/* Those of a namespace that its directory knows. @own *key: caller */
static enum xf_rc own_keys(const struct xf_client *c, uint32_t k, struct xf_key **key, size_t *n) {
  const struct xf_manifest *m = xf_silo_manifest(c->silo, k);
  const uint32_t *holders = client_holders(c, k);
  *n = 0;
  *key = xf_try_calloc(m->n + 1, sizeof **key);
  if (!*key) return XF_E_NOMEM;
  for (size_t i = 0; i < m->n; i++)
    if (holders[i]) (*key)[(*n)++] = m->key[i];
  return XF_OK;
}

static enum xf_rc save_model(struct finishing *f) {
  struct xf_client *c = f->base.client;
  struct xf_diag *diag = &f->base.diag;
  const struct xf_spaces spaces = xf_resolve_spaces(c->plan);
  struct xf_checkpoint_keys known[XF_SPACES_MAX] = {{0}};
  struct xf_key *key[XF_SPACES_MAX] = {0};
  struct xf_checkpoint_info info = {
      .round = f->offer.round, .plan = f->offer.plan_digest, .layout = f->offer.layout_digest};
  struct xf_checkpoint_saved saved;
  struct xf_layout layout;
  char path[XF_PATH_MAX];
  enum xf_rc rc = XF_OK;
  xf_layout_init(&layout);
  memcpy(info.run, c->run, sizeof info.run);
  for (uint32_t k = 0; k < spaces.n && !rc; k++) {
    rc = own_keys(c, k, &key[k], &known[k].n);
    known[k].ns = spaces.at[k].ns;
    known[k].key = key[k];
  }
  if (!rc) rc = own_layout(&layout, xf_silo_layout(c->silo), known, diag);
  const struct xf_checkpoint_src src = {
      .layout = &layout, .global = c->base, .keys = known, .n_keys = spaces.n};
  if (!rc) rc = client_path(c, path, XF_STATE_MODEL);
  if (!rc) rc = xf_checkpoint_save(c->fs, path, &info, &src, &saved, diag);
  xf_layout_deinit(&layout);
  for (uint32_t k = 0; k < spaces.n; k++) xf_free(key[k]);
  return rc;
}

/* --- arms --- */

static enum xf_rc keep_lists(struct finishing *f, enum xf_silo_arm arm) {
  struct xf_client *c = f->base.client;
  const size_t n = (size_t)xf_silo_data(c->silo)->split.n_users * XF_TOPLIST;
  f->item[arm] = xf_try_calloc(n + 1, sizeof *f->item[arm]);
  f->score[arm] = xf_try_calloc(n + 1, sizeof *f->score[arm]);
  if (!f->item[arm] || !f->score[arm])
    return xf_diag_set(&f->base.diag, XF_E_NOMEM, "no memory for the lists of %zu users",
                       n / XF_TOPLIST);
  const enum xf_rc rc = xf_silo_lists(c->silo, f->item[arm], f->score[arm], &f->base.diag);
  if (rc || !xf_silo_categories(c->silo)) return rc;
  f->category[arm] = xf_try_calloc(n + 1, sizeof *f->category[arm]);
  if (!f->category[arm]) return XF_E_NOMEM;
  if (xf_silo_list_categories(c->silo, f->item[arm], f->category[arm])) return XF_OK;
  xf_free(f->category[arm]);
  f->category[arm] = NULL;
  return XF_OK;
}

static enum xf_rc make_arm(struct finishing *f, enum xf_silo_arm arm) {
  struct xf_client *c = f->base.client;
  struct arm_result *r = &f->arm[arm];
  if (!xf_silo_has_arm(c->silo, arm)) return XF_OK;
  enum xf_rc rc = xf_silo_arm_make(c->silo, arm, c->base, &f->base.diag);
  for (int part = xf_silo_first_part(c->silo); part <= XF_PART_TEST && !rc; part++)
    rc = xf_silo_measure(c->silo, (enum xf_part)part, r->sum[part], &f->base.diag);
  const bool recommends = xf_resolve_recommends(c->plan);
  if (rc == XF_E_NOTFOUND && recommends) return XF_OK; /* nothing came from the federation for it */
  if (rc) return rc;
  r->made = true;
  if (arm == XF_SILO_POPULARITY) return XF_OK;
  if (xf_silo_uses_kg(c->silo, arm)) f->paths |= 1u << arm;
  if (recommends) return keep_lists(f, arm);
  const size_t n = (size_t)xf_silo_params(c->silo);
  f->params[arm] = xf_try_calloc(n, sizeof(float));
  if (!f->params[arm]) return XF_E_NOMEM;
  memcpy(f->params[arm], xf_silo_arm_params(c->silo), n * sizeof(float));
  return XF_OK;
}

static double value(const struct finishing *f, int arm, enum xf_part part, size_t measure) {
  const struct xf_measures *m = xf_silo_measures(f->base.client->silo);
  if (!f->arm[arm].made || !m->n) return NAN;
  return xf_measure_value(m->measure[measure].kind, f->arm[arm].sum[part][measure]);
}

static void choose(struct finishing *f) {
  const struct xf_measures *m = xf_silo_measures(f->base.client->silo);
  double valid[XF_SILO_N_ARM];
  bool made[XF_SILO_N_ARM];
  for (int arm = 0; arm < XF_SILO_N_ARM; arm++) {
    valid[arm] = value(f, arm, XF_PART_VALID, xf_measures_main(m));
    made[arm] = f->arm[arm].made;
  }
  f->served = xf_silo_choose(m, valid, made, &f->chosen);
}

/* --- report.json --- */

static void report_part(struct xf_jsonw *w, const struct finishing *f, int arm, enum xf_part part) {
  const struct xf_measures *m = xf_silo_measures(f->base.client->silo);
  xf_jsonw_key(w, xf_silo_part_name(part));
  xf_jsonw_object(w);
  for (size_t i = 0; i < m->n; i++) xf_jsonw_kdouble(w, m->key[i], value(f, arm, part, i));
  xf_jsonw_object_end(w);
}

static enum xf_rc report(struct xf_buf *out, const struct finishing *f) {
  const struct xf_client *c = f->base.client;
  const struct xf_measures *m = xf_silo_measures(c->silo);
  char hex[XF_DIGEST_HEX];
  struct xf_jsonw w;
  xf_jsonw_init(&w, out);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  xf_jsonw_kstr(&w, "run", c->run);
  xf_jsonw_kstr(&w, "client", c->cfg.member);
  xf_jsonw_kuint(&w, "committed", f->offer.committed);
  xf_jsonw_kstr(&w, "model_blake2b", xf_digest_print(hex, &f->offer.base_digest));
  xf_jsonw_kstr(&w, "measure", m->n ? m->key[xf_measures_main(m)] : "");
  xf_jsonw_kstr(&w, "chosen_on",
                f->chosen ? "valid" : NULL); /* NULL: there are no validation data */
  xf_jsonw_kstr(&w, "served", xf_silo_arm_name(f->served));
  xf_jsonw_key(&w, "arms");
  xf_jsonw_object(&w);
  for (int arm = 0; arm < XF_SILO_N_ARM; arm++) {
    if (!f->arm[arm].made) continue;
    xf_jsonw_key(&w, xf_silo_arm_name((enum xf_silo_arm)arm));
    xf_jsonw_object(&w);
    for (int part = xf_silo_first_part(c->silo); part <= XF_PART_TEST; part++)
      report_part(&w, f, arm, (enum xf_part)part);
    xf_jsonw_object_end(&w);
  }
  xf_jsonw_object_end(&w);
  xf_jsonw_object_end(&w);
  enum xf_rc rc = xf_jsonw_finish(&w);
  return rc ? rc : xf_buf_put_u8(out, '\n');
}

static enum xf_rc save_text(struct finishing *f, const char *name, const struct xf_buf *text) {
  struct xf_client *c = f->base.client;
  char dir[XF_PATH_MAX], path[XF_PATH_MAX];
  enum xf_rc rc = client_path(c, dir, XF_SERVE_DIR);
  if (!rc) rc = xf_fs_join(path, dir, name);
  return rc ? rc : xf_fs_replace(c->fs, path, text->p, text->len, &f->base.diag);
}

static enum xf_rc save_report(struct finishing *f) {
  struct xf_buf text;
  xf_buf_init(&text, REPORT_MAX);
  enum xf_rc rc = report(&text, f);
  if (!rc) rc = save_text(f, XF_SERVE_REPORT, &text);
  xf_buf_reset(&text);
  if (!rc) rc = xf_silo_explain(f->base.client->silo, &text);
  if (!rc && text.len) rc = save_text(f, XF_SERVE_DECISION, &text);
  xf_buf_deinit(&text);
  return rc;
}

/* --- the job --- */

static enum xf_rc save_serve(struct finishing *f) {
  struct xf_client *c = f->base.client;
  struct xf_serve_source s = {
      .plan = c->plan,
      .data = xf_silo_data(c->silo),
      .n = xf_silo_params(c->silo),
      .strangers = f->crowd ? f->strangers : NULL,
      .crowd = f->crowd,
      .kg = f->paths ? xf_silo_kg(c->silo) : NULL,
      .paths = f->paths,
      .categories = xf_silo_categories(c->silo) ? &xf_silo_categories(c->silo)->names : NULL,
      .served = f->served,
      .run = c->run,
      .member = c->cfg.member,
      .committed = f->offer.committed};
  for (int arm = 0; arm < XF_SILO_N_ARM; arm++) {
    s.params[arm] = f->params[arm];
    s.item[arm] = f->item[arm];
    s.score[arm] = f->score[arm];
    s.category[arm] = f->category[arm];
  }
  return xf_serve_save(c->fs, c->cfg.state_dir, &s, &f->base.diag);
}

static enum xf_rc keep_strangers(struct finishing *f) {
  const struct xf_silo *silo = f->base.client->silo;
  if (!xf_silo_recommends(silo)) return XF_OK;
  f->strangers = xf_try_calloc((size_t)xf_silo_data(silo)->split.n_items + 1, sizeof *f->strangers);
  return f->strangers ? xf_silo_strangers(silo, f->strangers, &f->crowd, &f->base.diag)
                      : XF_E_NOMEM;
}

static void finishing_work(struct client_job *job) {
  static const enum xf_silo_arm order[] = {XF_SILO_POPULARITY, XF_SILO_FEDERATED, XF_SILO_ALONE,
                                           XF_SILO_GUARDED, XF_SILO_PERSONAL};
  struct finishing *f = (struct finishing *)job;
  struct xf_client *c = job->client;
  char hex[XF_DIGEST_HEX];
  enum xf_rc rc = client_fetch_read(c, &f->offer, &job->diag);
  if (!rc) rc = save_model(f);
  xf_silo_set_cancel(c->silo, &job->job.cancel);
  for (size_t i = 0; i < XF_SILO_N_ARM && !rc; i++) {
    XF_FAILPOINT("C7");
    rc = make_arm(f, order[i]);
    if (!rc && atomic_load(&job->job.cancel)) rc = XF_E_CANCELLED;
  }
  xf_silo_set_cancel(c->silo, NULL);
  if (!rc) rc = keep_strangers(f);
  if (!rc) choose(f);
  if (!rc) rc = save_serve(f);
  if (!rc) rc = save_report(f);
  if (!rc) /* last: from here on it counts as stored */
    rc =
        xf_outbox_meta_set(c->outbox, "final", xf_digest_print(hex, &f->offer.task_id), &job->diag);
  job->rc = rc;
  if (!rc) client_serving_final(c, f->served, f->params, f->offer.committed);
}

static void log_final(const struct finishing *f) {
  const struct xf_measures *m = xf_silo_measures(f->base.client->silo);
  const size_t main = xf_measures_main(m);
  xf_log(XF_LOG_INFO, "final_stored", XF_S("served", xf_silo_arm_name(f->served)),
         XF_S("measure", m->n ? m->key[main] : ""),
         XF_F("popularity", value(f, XF_SILO_POPULARITY, XF_PART_TEST, main)),
         XF_F("alone", value(f, XF_SILO_ALONE, XF_PART_TEST, main)),
         XF_F("federated", value(f, XF_SILO_FEDERATED, XF_PART_TEST, main)));
}

static void finishing_done(struct client_job *job) {
  struct finishing *f = (struct finishing *)job;
  struct xf_client *c = job->client;
  const enum xf_rc rc = job->rc;
  c->running = NULL;
  if (!rc) {
    c->final_stored = true;
    log_final(f);
  } else {
    xf_log(XF_LOG_ERROR, "final_not_stored", XF_S("reason", xf_diag_text(&job->diag, rc)));
  }
  client_feed(c, &(struct xf_session_event){
                     .type = XF_SESSION_EV_STORED, .rc = rc, .text = xf_diag_text(&job->diag, rc)});
  for (int arm = 0; arm < XF_SILO_N_ARM; arm++) {
    xf_free(f->params[arm]);
    xf_free(f->item[arm]);
    xf_free(f->score[arm]);
    xf_free(f->category[arm]);
  }
  xf_free(f->strangers);
  xf_free(job);
}

void client_final(struct xf_client *c, const struct xf_msg_task_offer *offer) {
  struct finishing *f = xf_calloc(1, sizeof *f);
  f->offer = *offer;
  client_early_yield(c);
  c->running = &f->base;
  xf_log(XF_LOG_INFO, "final_received", XF_U("committed", offer->committed));
  client_submit(c, &f->base, finishing_work, finishing_done);
}
