/* Writing serve/serve.safetensors. */
#include "base/alloc.h"
#include "client/io/serve.h"
#include "crypto/sha256.h"
#include "rec/popularity.h"

#include <stdio.h>
#include <string.h>

enum { PARTS = 14 + 4 * XF_SILO_N_ARM };

struct part {
  struct xf_safetensors_tensor tensor;
  const void *p;
};

struct parts {
  struct part part[PARTS];
  size_t n;
};

static void add(struct parts *w, const char *name, enum xf_safetensors_dtype dtype, const void *p,
                uint64_t n) {
  struct part *part = &w->part[w->n];
  if (!p || !n) return; /* what is empty is left out */
  part->p = p;
  part->tensor = (struct xf_safetensors_tensor){
      .dtype = dtype, .n_dim = 1, .dim = {n}, .len = n * xf_safetensors_dtype_size(dtype)};
  (void)snprintf(part->tensor.name, sizeof part->tensor.name, "%s", name);
  w->n++;
}

static void add_interactions(struct parts *w, const struct xf_dataset *data,
                             const struct xf_popularity *popularity) {
  const struct xf_csr *train = &data->split.part[XF_PART_TRAIN];
  add(w, "users", XF_SAFETENSORS_U8, data->inter.users.text, data->inter.users.text_len);
  add(w, "items", XF_SAFETENSORS_U8, data->inter.items.text, data->inter.items.text_len);
  add(w, "train.start", XF_SAFETENSORS_U32, train->start, (uint64_t)train->n_row + 1);
  add(w, "train.item", XF_SAFETENSORS_U32, train->item, xf_csr_count(train));
  add(w, "popularity", XF_SAFETENSORS_F32, popularity->score, data->split.n_items);
}

static enum xf_rc write(const struct xf_fs *fs, const char *path, struct parts *w,
                        const struct xf_safetensors_meta *meta, size_t n_meta,
                        struct xf_diag *diag) {
  struct xf_safetensors_writer out = {0};
  struct xf_safetensors_tensor tensor[PARTS];
  char tmp[XF_PATH_MAX];
  const int len = snprintf(tmp, sizeof tmp, "%s.tmp", path);
  if (len < 0 || (size_t)len >= sizeof tmp) return XF_E_LIMIT;
  for (size_t i = 0; i < w->n; i++) tensor[i] = w->part[i].tensor;
  enum xf_rc rc = xf_safetensors_create(&out, fs, tmp, tensor, w->n, meta, n_meta, diag);
  if (rc) return rc;
  for (size_t i = 0; i < w->n && !rc; i++)
    rc = xf_safetensors_put(&out, w->part[i].p, (size_t)w->part[i].tensor.len, diag);
  if (rc) {
    xf_safetensors_abort(&out);
    return rc;
  }
  rc = xf_safetensors_finish(&out, NULL, diag);
  return rc ? rc : xf_fs_rename_durable(fs, tmp, path, diag);
}

static void digest(struct xf_digest *out, const struct parts *w) {
  struct xf_sha256_ctx sha;
  xf_sha256_init(&sha);
  for (size_t i = 0; i < w->n; i++)
    xf_sha256_feed(&sha, w->part[i].p, (size_t)w->part[i].tensor.len);
  xf_sha256_take(&sha, out);
  xf_sha256_deinit(&sha);
}

static enum xf_rc save(const struct xf_fs *fs, const char *dir, const struct xf_serve_source *s,
                       struct parts *w, struct xf_diag *diag) {
  char path[XF_PATH_MAX], hex[XF_DIGEST_HEX], committed[24], paths[12];
  struct xf_digest sum;
  enum xf_rc rc = xf_fs_join(path, dir, XF_SERVE_FILE);
  if (rc) return rc;
  digest(&sum, w);
  (void)snprintf(committed, sizeof committed, "%llu", (unsigned long long)s->committed);
  (void)snprintf(paths, sizeof paths, "%u", s->paths);
  const struct xf_safetensors_meta meta[] = {{"format", "crossfed-serve-1"},
                                             {"sha256", xf_digest_print(hex, &sum)},
                                             {"served", xf_silo_arm_name(s->served)},
                                             {"run", s->run},
                                             {"member", s->member},
                                             {"committed", committed},
                                             {"paths", paths},
                                             {"strangers", xf_serve_crowd_name(s->crowd)}};
  const size_t n_meta = sizeof meta / sizeof meta[0] - (s->strangers ? 0 : 1);
  return write(fs, path, w, meta, n_meta, diag);
}

static void add_kg(struct parts *w, const struct xf_kg_side *kg) {
  if (!kg) return;
  add(w, "kg.entities", XF_SAFETENSORS_U8, kg->kg.entities.text, kg->kg.entities.text_len);
  add(w, "kg.relations", XF_SAFETENSORS_U8, kg->kg.relations.text, kg->kg.relations.text_len);
  add(w, "kg.head", XF_SAFETENSORS_U32, kg->kg.head, kg->kg.n);
  add(w, "kg.relation", XF_SAFETENSORS_U32, kg->kg.relation, kg->kg.n);
  add(w, "kg.tail", XF_SAFETENSORS_U32, kg->kg.tail, kg->kg.n);
  add(w, "kg.entity", XF_SAFETENSORS_U32, kg->link.entity, kg->link.n_items);
}

enum xf_rc xf_serve_save(const struct xf_fs *fs, const char *state_dir,
                         const struct xf_serve_source *source, struct xf_diag *diag) {
  const struct xf_serve_source *s = source;
  char dir[XF_PATH_MAX], name[XF_SAFETENSORS_NAME_MAX];
  struct xf_popularity popularity = {0};
  struct parts w = {.n = 0};
  struct xf_buf plan;
  xf_buf_init(&plan, XF_PLAN_BYTES_MAX);
  enum xf_rc rc = xf_fs_join(dir, state_dir, XF_SERVE_DIR);
  if (!rc) rc = fs->mkdir(fs, dir, 0700);
  if (rc) rc = xf_diag_set(diag, rc, "cannot make \"%s\": %s", dir, xf_rc_text(rc));
  if (!rc) rc = xf_plan_encode(&plan, s->plan);
  if (!rc && s->data->kind == XF_DATASET_INTERACTIONS)
    rc = xf_popularity_init(&popularity, &s->data->split);
  add(&w, "plan", XF_SAFETENSORS_U8, plan.p, plan.len);
  for (int arm = 0; arm < XF_SILO_N_ARM; arm++) {
    (void)snprintf(name, sizeof name, "params.%s", xf_silo_arm_name((enum xf_silo_arm)arm));
    add(&w, name, XF_SAFETENSORS_F32, s->params[arm], s->n);
    const uint64_t n = s->item[arm] ? (uint64_t)s->data->split.n_users * XF_TOPLIST : 0;
    (void)snprintf(name, sizeof name, "item.%s", xf_silo_arm_name((enum xf_silo_arm)arm));
    add(&w, name, XF_SAFETENSORS_U32, s->item[arm], n);
    (void)snprintf(name, sizeof name, "score.%s", xf_silo_arm_name((enum xf_silo_arm)arm));
    add(&w, name, XF_SAFETENSORS_F32, s->score[arm], n);
    (void)snprintf(name, sizeof name, "category.%s", xf_silo_arm_name((enum xf_silo_arm)arm));
    add(&w, name, XF_SAFETENSORS_U32, s->category[arm], n);
  }
  if (s->data->kind == XF_DATASET_INTERACTIONS) add_interactions(&w, s->data, &popularity);
  add(&w, "strangers", XF_SAFETENSORS_F32, s->strangers, s->strangers ? s->data->split.n_items : 0);
  if (s->categories)
    add(&w, "categories", XF_SAFETENSORS_U8, s->categories->text, s->categories->text_len);
  add_kg(&w, s->kg);
  if (!rc) rc = save(fs, dir, s, &w, diag);
  xf_popularity_deinit(&popularity);
  xf_buf_deinit(&plan);
  return rc;
}
