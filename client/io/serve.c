/* Reading serve/. */
#include "client/io/serve.h"

#include "base/alloc.h"
#include "base/str.h"
#include "crypto/sha256.h"
#include "resolve/resolve.h"

#include <stdio.h>
#include <string.h>

static enum xf_rc damaged(const struct xf_serve *s, const char *what, struct xf_diag *diag) {
  (void)s;
  return xf_diag_set(diag, XF_E_CORRUPT, "serve/%s is damaged: %s", XF_SERVE_FILE, what);
}

/* A whole tensor, newly allocated. @own *out caller's */
static enum xf_rc read_part(struct xf_serve *s, const char *name, enum xf_safetensors_dtype dtype,
                            void **out, uint64_t *n, struct xf_diag *diag) {
  const struct xf_safetensors_tensor *t = xf_safetensors_find(&s->file, name);
  if (!t || t->dtype != dtype || t->n_dim != 1) return damaged(s, name, diag);
  *n = t->dim[0];
  *out = xf_try_calloc((size_t)t->len + 1, 1);
  if (!*out) return XF_E_NOMEM;
  return xf_safetensors_read(&s->file, t, *out, (size_t)t->len, 0, diag);
}

static enum xf_rc check_digest(struct xf_serve *s, struct xf_diag *diag) {
  enum { STEP = 65536 };
  struct xf_sha256_ctx sha;
  struct xf_digest got;
  char hex[XF_DIGEST_HEX];
  enum xf_rc rc = XF_OK;
  const char *said = xf_safetensors_get(&s->file, "sha256");
  uint8_t *step = xf_alloc(STEP);
  xf_sha256_init(&sha);
  for (size_t i = 0; i < s->file.n_tensor && !rc; i++) {
    const struct xf_safetensors_tensor *t = &s->file.tensor[i];
    for (uint64_t at = 0; at < t->len && !rc; at += STEP) {
      const size_t n = t->len - at < STEP ? (size_t)(t->len - at) : STEP;
      rc = xf_safetensors_read(&s->file, t, step, n, at, diag);
      if (!rc) xf_sha256_feed(&sha, step, n);
    }
  }
  xf_sha256_take(&sha, &got);
  xf_sha256_deinit(&sha);
  xf_free(step);
  if (!rc && (!said || strcmp(said, xf_digest_print(hex, &got)) != 0))
    rc = damaged(s, "its digest does not match", diag);
  return rc;
}

static enum xf_rc read_names(struct xf_serve *s, const char *what, struct xf_names *out,
                             struct xf_diag *diag) {
  void *text = NULL;
  uint64_t len = 0;
  enum xf_rc rc = read_part(s, what, XF_SAFETENSORS_U8, &text, &len, diag);
  const char *at = text, *end = at + len;
  while (!rc && at < end) {
    uint32_t id = 0;
    const size_t n = strnlen(at, (size_t)(end - at));
    if (at + n == end) rc = damaged(s, what, diag);
    if (!rc) rc = xf_names_add(out, &id, at, n);
    if (!rc && id + 1 != out->n) rc = damaged(s, what, diag);
    at += n + 1;
  }
  xf_free(text);
  return rc;
}

static enum xf_rc check_train(const struct xf_serve *s, uint64_t n_start, uint64_t n_item,
                              struct xf_diag *diag) {
  if (n_start != (uint64_t)s->users.n + 1 || s->start[0] != 0 || s->start[s->users.n] != n_item)
    return damaged(s, "train.start", diag);
  for (uint32_t u = 0; u < s->users.n; u++)
    if (s->start[u] > s->start[u + 1]) return damaged(s, "train.start", diag);
  for (uint64_t i = 0; i < n_item; i++)
    if (s->item[i] >= s->items.n) return damaged(s, "train.item", diag);
  return XF_OK;
}

const char *xf_serve_crowd_name(enum xf_recommender_crowd crowd) {
  switch (crowd) {
  case XF_RECOMMENDER_CROWD_POOLED: return "pooled";
  case XF_RECOMMENDER_CROWD_OVERLAP: return "overlap";
  case XF_RECOMMENDER_CROWD_OWN: break;
  }
  return "popularity";
}

static enum xf_rc read_strangers(struct xf_serve *s, struct xf_diag *diag) {
  const char *text = xf_safetensors_get(&s->file, "strangers");
  void *p = NULL;
  uint64_t n = 0;
  enum xf_rc rc = read_part(s, "strangers", XF_SAFETENSORS_F32, &p, &n, diag);
  s->strangers = p;
  if (!rc && (n != s->items.n || !text)) rc = damaged(s, "strangers", diag);
  if (rc) return rc;
  for (int crowd = 0; crowd <= XF_RECOMMENDER_CROWD_OVERLAP; crowd++) {
    s->crowd = (enum xf_recommender_crowd)crowd;
    if (strcmp(text, xf_serve_crowd_name(s->crowd)) == 0) return XF_OK;
  }
  return damaged(s, "strangers", diag);
}

static bool below(const uint32_t *x, uint64_t n, uint32_t end, bool none) {
  bool good = true;
  for (uint64_t i = 0; i < n; i++) good &= x[i] < end || (none && x[i] == XF_NO_ID);
  return good;
}

static enum xf_rc read_kg(struct xf_serve *s, struct xf_diag *diag) {
  struct xf_kg kg = {0};
  struct xf_kg_link link = {0};
  uint64_t n[4] = {0}, paths = 0;
  void *p[4] = {0};
  static const char *const name[] = {"kg.head", "kg.relation", "kg.tail", "kg.entity"};
  const char *text = xf_safetensors_get(&s->file, "paths");
  xf_names_init(&kg.entities);
  xf_names_init(&kg.relations);
  enum xf_rc rc = read_names(s, "kg.entities", &kg.entities, diag);
  if (!rc) rc = read_names(s, "kg.relations", &kg.relations, diag);
  for (int i = 0; i < 4 && !rc; i++)
    rc = read_part(s, name[i], XF_SAFETENSORS_U32, &p[i], &n[i], diag);
  kg.head = p[0];
  kg.relation = p[1];
  kg.tail = p[2];
  kg.n = kg.cap = (size_t)n[0];
  link.entity = p[3];
  link.n_items = s->items.n;
  if (!rc &&
      (n[1] != n[0] || n[2] != n[0] || n[3] != s->items.n || !text ||
       xf_str_u64(&paths, text, strlen(text)) || paths >> XF_SILO_N_ARM ||
       !below(kg.head, n[0], kg.entities.n, false) || !below(kg.tail, n[0], kg.entities.n, false) ||
       !below(kg.relation, n[0], kg.relations.n, false) ||
       !below(link.entity, n[3], kg.entities.n, true)))
    rc = damaged(s, "kg", diag);
  if (!rc) rc = xf_kg_side_of(&s->kg, &kg, &link, diag);
  s->paths = rc ? 0 : (uint32_t)paths;
  xf_kg_link_deinit(&link);
  xf_kg_deinit(&kg);
  return rc;
}

static enum xf_rc read_ranking(struct xf_serve *s, struct xf_diag *diag) {
  void *p = NULL;
  uint64_t n_start = 0, n_item = 0, n_popularity = 0;
  enum xf_rc rc = read_names(s, "users", &s->users, diag);
  if (!rc) rc = read_names(s, "items", &s->items, diag);
  if (!rc) rc = read_part(s, "train.start", XF_SAFETENSORS_U32, &p, &n_start, diag);
  s->start = p;
  p = NULL;
  if (!rc) rc = read_part(s, "train.item", XF_SAFETENSORS_U32, &p, &n_item, diag);
  s->item = p;
  p = NULL;
  if (!rc) rc = read_part(s, "popularity", XF_SAFETENSORS_F32, &p, &n_popularity, diag);
  s->popularity = p;
  if (!rc && n_popularity != s->items.n) rc = damaged(s, "popularity", diag);
  if (!rc && xf_safetensors_find(&s->file, "strangers")) rc = read_strangers(s, diag);
  if (!rc && xf_safetensors_find(&s->file, "kg.head")) rc = read_kg(s, diag);
  if (!rc && xf_safetensors_find(&s->file, "categories"))
    rc = read_names(s, "categories", &s->shelves, diag);
  return rc ? rc : check_train(s, n_start, n_item, diag);
}

static enum xf_rc read_plan(struct xf_serve *s, struct xf_diag *diag) {
  void *bytes = NULL;
  uint64_t len = 0;
  struct xf_model_config config;
  enum xf_rc rc = read_part(s, "plan", XF_SAFETENSORS_U8, &bytes, &len, diag);
  s->plan = xf_calloc(1, sizeof *s->plan);
  if (!rc) rc = xf_plan_decode(s->plan, bytes, (size_t)len, diag);
  xf_free(bytes);
  s->ranking = s->plan->data.kind == XF_PLAN_DATA_INTERACTIONS;
  if (rc || !s->ranking) return rc;
  rc = read_ranking(s, diag);
  if (rc || xf_resolve_recommends(s->plan)) return rc;
  rc = xf_resolve_model(&config, s->plan, diag);
  if (!rc)
    rc = xf_model_new(&s->model, &config, (struct xf_model_size){s->users.n, s->items.n}, diag);
  if (!rc) rc = xf_score_new(&s->scorer, s->model, diag);
  return rc;
}

static enum xf_rc read_served(struct xf_serve *s, struct xf_diag *diag) {
  const char *format = xf_safetensors_get(&s->file, "format");
  const char *served = xf_safetensors_get(&s->file, "served");
  if (!format || strcmp(format, "crossfed-serve-1") != 0)
    return xf_diag_set(diag, XF_E_VERSION, "serve/%s has format \"%s\", known is crossfed-serve-1",
                       XF_SERVE_FILE, format ? format : "");
  for (int arm = 0; arm < XF_SILO_N_ARM; arm++) {
    s->served = (enum xf_silo_arm)arm;
    if (served && strcmp(served, xf_silo_arm_name(s->served)) == 0) return XF_OK;
  }
  return damaged(s, "served", diag);
}

enum xf_rc xf_serve_open(struct xf_serve *serve, const struct xf_fs *fs, const char *state_dir,
                         struct xf_diag *diag) {
  struct xf_serve *s = serve;
  char dir[XF_PATH_MAX], path[XF_PATH_MAX];
  *s = (struct xf_serve){0};
  xf_names_init(&s->users);
  xf_names_init(&s->items);
  xf_names_init(&s->shelves);
  enum xf_rc rc = xf_fs_join(dir, state_dir, XF_SERVE_DIR);
  if (!rc) rc = xf_fs_join(path, dir, XF_SERVE_FILE);
  if (!rc) rc = xf_safetensors_open(&s->file, fs, path, diag);
  if (rc == XF_E_NOTFOUND)
    return xf_diag_set(diag, rc,
                       "there is no \"%s\": the silo writes it when its run is done (is \"%s\" the "
                       "state_dir of a client?)",
                       path, state_dir);
  if (!rc) rc = read_served(s, diag);
  if (!rc) rc = check_digest(s, diag);
  return rc ? rc : read_plan(s, diag);
}

void xf_serve_close(struct xf_serve *serve) {
  xf_score_free(serve->scorer);
  xf_model_free(serve->model);
  xf_scorer_free(serve->lists);
  xf_free(serve->listed);
  xf_free(serve->shelf);
  xf_names_deinit(&serve->shelves);
  xf_free(serve->row);
  xf_names_deinit(&serve->users);
  xf_names_deinit(&serve->items);
  xf_free(serve->start);
  xf_free(serve->item);
  xf_free(serve->popularity);
  xf_free(serve->strangers);
  xf_free(serve->params);
  xf_free(serve->plan);
  xf_itemsim_deinit(&serve->sim);
  xf_kg_side_unref(serve->kg);
  if (serve->has_gram) xf_gram_deinit(&serve->gram);
  if (serve->has_categories) xf_categories_deinit(&serve->categories);
  xf_safetensors_close(&serve->file);
  *serve = (struct xf_serve){0};
}

/* A recommender's arm: the best items of every user. */
static enum xf_rc load_lists(struct xf_serve *s, enum xf_silo_arm arm, struct xf_diag *diag) {
  char name[XF_SAFETENSORS_NAME_MAX];
  void *item = NULL, *score = NULL;
  uint64_t n_item = 0, n_score = 0;
  const uint64_t want = (uint64_t)s->users.n * XF_TOPLIST;
  xf_scorer_free(s->lists);
  s->lists = NULL;
  xf_free(s->listed);
  xf_free(s->shelf);
  s->listed = s->shelf = NULL;
  (void)snprintf(name, sizeof name, "item.%s", xf_silo_arm_name(arm));
  if (!xf_safetensors_find(&s->file, name))
    return xf_diag_set(diag, XF_E_NOTFOUND, "arm %s: the silo had no candidate for it",
                       xf_silo_arm_name(arm));
  enum xf_rc rc = read_part(s, name, XF_SAFETENSORS_U32, &item, &n_item, diag);
  (void)snprintf(name, sizeof name, "score.%s", xf_silo_arm_name(arm));
  if (!rc) rc = read_part(s, name, XF_SAFETENSORS_F32, &score, &n_score, diag);
  if (!rc && (n_item != want || n_score != want)) rc = damaged(s, name, diag);
  if (!rc) rc = xf_toplist_scorer(&s->lists, item, score, s->users.n, s->items.n, diag);
  xf_free(score);
  s->listed = item;
  (void)snprintf(name, sizeof name, "category.%s", xf_silo_arm_name(arm));
  if (rc || !xf_safetensors_find(&s->file, name)) return rc;
  void *shelf = NULL;
  uint64_t n = 0;
  rc = read_part(s, name, XF_SAFETENSORS_U32, &shelf, &n, diag);
  s->shelf = shelf;
  if (!rc && (n != want || !below(s->shelf, n, s->shelves.n, true))) rc = damaged(s, name, diag);
  return rc;
}

enum xf_rc xf_serve_load(struct xf_serve *serve, enum xf_silo_arm arm, struct xf_diag *diag) {
  struct xf_serve *s = serve;
  char name[XF_SAFETENSORS_NAME_MAX];
  void *p = NULL;
  if (s->has_loaded && s->loaded == arm) return XF_OK;
  s->has_loaded = false;
  xf_free(s->params);
  s->params = NULL;
  if (!s->model) {
    const enum xf_rc lists = load_lists(s, arm, diag);
    s->loaded = arm;
    s->has_loaded = lists == XF_OK;
    return lists;
  }
  (void)snprintf(name, sizeof name, "params.%s", xf_silo_arm_name(arm));
  enum xf_rc rc = read_part(s, name, XF_SAFETENSORS_F32, &p, &s->n, diag);
  s->params = p;
  if (!rc && s->n != xf_model_get_layout(s->model)->n) rc = damaged(s, name, diag);
  s->loaded = arm;
  s->has_loaded = rc == XF_OK;
  return rc;
}
