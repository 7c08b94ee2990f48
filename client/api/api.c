#include "client/api/api.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/time.h"
#include "json/jsonw.h"

#include <string.h>

enum { DEFAULT_K = 10, SPARE = 16 };

/* Memory of an answer goes from request to request: a fresh one costs page faults. */
struct xf_api {
  struct xf_serving_slot *slot;
  const char *member;
  struct xf_time started;
  atomic_int state;
  pthread_mutex_t mutex; /* of the spare answers */
  struct xf_serving_answer *spare[SPARE];
  size_t n_spare;
};

enum xf_rc xf_api_new(struct xf_api **out, struct xf_serving_slot *slot, const char *member) {
  struct xf_api *api = xf_calloc(1, sizeof *api);
  api->slot = slot;
  api->member = member;
  api->started = xf_time_now();
  atomic_init(&api->state, XF_API_SERVING);
  *out = NULL;
  if (pthread_mutex_init(&api->mutex, NULL)) {
    xf_free(api);
    return XF_E_NOMEM;
  }
  *out = api;
  return XF_OK;
}

static void free_answer(struct xf_serving_answer *a) {
  if (a) xf_serving_answer_deinit(a);
  xf_free(a);
}

void xf_api_free(struct xf_api *api) {
  if (!api) return;
  for (size_t i = 0; i < api->n_spare; i++) free_answer(api->spare[i]);
  (void)pthread_mutex_destroy(&api->mutex); /* fails only for a mutex in use */
  xf_free(api);
}

void xf_api_set_state(struct xf_api *api, enum xf_api_state state) {
  atomic_store(&api->state, (int)state);
}

/* A mutex of the default kind that is held for a few instructions: locking cannot fail. */
static void lock(struct xf_api *api) {
  const int failed = pthread_mutex_lock(&api->mutex);
  XF_ASSERT(!failed);
}
static void unlock(struct xf_api *api) {
  const int failed = pthread_mutex_unlock(&api->mutex);
  XF_ASSERT(!failed);
}

static struct xf_serving_answer *take_answer(struct xf_api *api) {
  struct xf_serving_answer *a = NULL;
  lock(api);
  if (api->n_spare) a = api->spare[--api->n_spare];
  unlock(api);
  return a ? a : xf_calloc(1, sizeof *a);
}

static void give_answer(struct xf_api *api, struct xf_serving_answer *a) {
  lock(api);
  const bool kept = api->n_spare < SPARE;
  if (kept) api->spare[api->n_spare++] = a;
  unlock(api);
  if (!kept) free_answer(a);
}

/* --- errors --- */

static const char *const state_name[] = {
#define STATE_NAME(n, t, w) t,
    XF_API_STATE_LIST(STATE_NAME)
#undef STATE_NAME
};
static const char *const state_why[] = {
#define STATE_WHY(n, t, w) w,
    XF_API_STATE_LIST(STATE_WHY)
#undef STATE_WHY
};

/* SERVING means that nothing is in the way: whether anything is served, the slot says. */
static enum xf_api_state state_of(struct xf_api *api, const struct xf_serving *s) {
  const enum xf_api_state state = (enum xf_api_state)atomic_load(&api->state);
  return state == XF_API_SERVING && !s ? XF_API_STARTING : state;
}

static void not_ready(struct xf_api *api, struct xf_http_reply *reply) {
  const enum xf_api_state state = state_of(api, NULL);
  const char *why = state_why[state][0] ? state_why[state] : "nothing is served";
  xf_http_fail(reply, 503, "not_ready", why, "GET /v1/health says when it is");
}

static void failed(struct xf_http_reply *reply, enum xf_rc rc, const struct xf_diag *diag) {
  const char *text = xf_diag_text(diag, rc);
  switch (rc) {
  case XF_E_NOTFOUND:
    xf_http_fail(reply, 404, "no_such_item", text, "items are named as in the silo's data");
    return;
  case XF_E_STATE:
    xf_http_fail(reply, 503, "no_model", text,
                 "ask again after a committed round, or set serve.categories");
    return;
  case XF_E_UNSUPPORTED: xf_http_fail(reply, 422, "unsupported", text, NULL); return;
  case XF_E_INVAL:
  case XF_E_RANGE:
  case XF_E_FORMAT:
  case XF_E_LIMIT:
    xf_http_fail(reply, 400, "bad_parameter", text, "GET /openapi.yaml lists the parameters");
    return;
  case XF_E_NOMEM: xf_http_fail(reply, 503, "no_memory", text, "ask again later"); return;
  default: xf_http_fail(reply, 500, "internal", text, "the silo's log may say more"); return;
  }
}

/* --- JSON --- */

static void put_model(struct xf_jsonw *w, const struct xf_serving *s) {
  char when[XF_WALL_LEN];
  xf_jsonw_key(w, "model");
  if (!s) {
    xf_jsonw_null(w);
    return;
  }
  const struct xf_serving_meta *m = &s->meta;
  xf_jsonw_object(w);
  xf_jsonw_kuint(w, "version", m->version);
  xf_jsonw_kstr(w, "kind", m->kind);
  xf_jsonw_kstr(w, "run", m->run[0] ? m->run : NULL);
  xf_jsonw_kstr(w, "stage", m->stage[0] ? m->stage : NULL);
  xf_jsonw_kstr(w, "arm", m->arm[0] ? m->arm : NULL);
  xf_jsonw_kuint(w, "round", m->round);
  xf_jsonw_kstr(w, "digest", m->model[0] ? m->model : NULL);
  xf_jsonw_kstr(w, "made", xf_wall_print(when, m->made_us));
  xf_jsonw_object_end(w);
}

static void put_parts(struct xf_jsonw *w, const struct xf_serving *s,
                      const struct xf_serving_answer *a, const struct xf_serving_item *item) {
  const struct xf_names *items = &s->catalog->items;
  xf_jsonw_key(w, "parts");
  xf_jsonw_array(w);
  for (uint32_t p = 0; p < item->n_why; p++) {
    const struct xf_blend_why *why = &item->why[p];
    xf_jsonw_object(w);
    xf_jsonw_kstr(w, "part", xf_serving_part_name(s, a, why->part));
    xf_jsonw_kdouble(w, "share", (double)why->share);
    xf_jsonw_key(w, "from");
    xf_jsonw_array(w);
    for (uint32_t i = 0; i < why->n; i++) {
      xf_jsonw_object(w);
      const struct xf_names *shelves = &s->catalog->categories.names;
      uint32_t shelf = 0;
      if (!xf_why_category(&why->why[i], &shelf))
        xf_jsonw_kstr(w, "item",
                      why->why[i].item == XF_NO_ID ? NULL : xf_names_get(items, why->why[i].item));
      else
        xf_jsonw_kstr(
            w, "category",
            s->catalog->has_categories && shelf < shelves->n ? xf_names_get(shelves, shelf) : NULL);
      xf_jsonw_kdouble(w, "share", (double)why->why[i].share);
      xf_jsonw_object_end(w);
    }
    xf_jsonw_array_end(w);
    xf_jsonw_object_end(w);
  }
  xf_jsonw_array_end(w);
}

static void put_similar(struct xf_jsonw *w, const struct xf_serving *s,
                        const struct xf_serving_item *item) {
  xf_jsonw_key(w, "similar");
  xf_jsonw_array(w);
  for (uint32_t i = 0; i < item->n_like; i++) {
    xf_jsonw_object(w);
    xf_jsonw_kstr(w, "item", xf_names_get(&s->catalog->items, item->like[i].item));
    xf_jsonw_kdouble(w, "similarity", (double)item->like[i].similarity);
    xf_jsonw_object_end(w);
  }
  xf_jsonw_array_end(w);
}

static void put_items(struct xf_jsonw *w, const struct xf_serving *s,
                      const struct xf_serving_answer *a, bool explain) {
  xf_jsonw_key(w, "items");
  xf_jsonw_array(w);
  for (uint32_t i = 0; i < a->n; i++) {
    xf_jsonw_object(w);
    xf_jsonw_kstr(w, "item", xf_names_get(&s->catalog->items, a->item[i].item));
    xf_jsonw_kdouble(w, "score", (double)a->item[i].score);
    if (explain) {
      put_parts(w, s, a, &a->item[i]);
      put_similar(w, s, &a->item[i]);
      if (a->item[i].path) xf_jsonw_kstr(w, "path", a->item[i].path);
    }
    xf_jsonw_object_end(w);
  }
  xf_jsonw_array_end(w);
}

static void finish(struct xf_http_reply *reply, struct xf_jsonw *w) {
  const enum xf_rc rc = xf_jsonw_finish(w);
  if (rc) xf_http_fail(reply, 500, "internal", "the answer is too large", "ask for fewer items");
}

/* --- recommend --- */

struct asked {
  struct xf_serving_request r;
  const char *history[XF_HTTP_PAIRS];
};

static enum xf_rc read_recommend(struct asked *out, const struct xf_http_query *q,
                                 struct xf_diag *diag) {
  static const struct xf_http_param known[] = {{"user", false},    {"history", true},
                                               {"k", false},       {"diversity", false},
                                               {"explain", false}, {"seen", false}};
  struct xf_serving_request *r = &out->r;
  const char *diversity = xf_http_query_find(q, "diversity");
  *r = (struct xf_serving_request){.user = xf_http_query_find(q, "user")};
  for (size_t i = 0; i < q->n; i++)
    if (strcmp(q->pair[i].name, "history") == 0) out->history[r->n_history++] = q->pair[i].value;
  if (r->n_history) r->history = out->history;
  enum xf_rc rc = xf_http_query_check(q, known, sizeof known / sizeof known[0], diag);
  if (!rc && !r->user && !r->history)
    rc = xf_diag_set(diag, XF_E_INVAL, "give user=, or history= once for each item");
  if (!rc && r->user && !r->user[0]) rc = xf_diag_set(diag, XF_E_INVAL, "user is empty");
  if (!rc) rc = xf_http_query_uint(q, "k", &r->k, DEFAULT_K, 1, XF_SERVING_K_MAX, diag);
  if (!rc) rc = xf_http_query_bool(q, "explain", &r->explain, diag);
  if (!rc) rc = xf_http_query_bool(q, "seen", &r->seen, diag);
  if (!rc && diversity) rc = xf_rerank_parse(&r->rerank, diversity, strlen(diversity), diag);
  return rc;
}

static void put_recommend(struct xf_http_reply *reply, const struct xf_serving *s,
                          const struct xf_serving_request *r, const struct xf_serving_answer *a) {
  struct xf_jsonw w;
  char text[XF_RERANK_TEXT];
  xf_jsonw_init(&w, &reply->body);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  xf_jsonw_kstr(&w, "user", r->user);
  xf_jsonw_kbool(&w, "known", a->known);
  xf_jsonw_kstr(&w, "basis", xf_serving_basis_name(a->basis));
  xf_jsonw_kuint(&w, "ignored", a->ignored);
  xf_jsonw_kstr(&w, "diversity", xf_rerank_print(text, r->rerank));
  put_model(&w, s);
  put_items(&w, s, a, r->explain);
  xf_jsonw_object_end(&w);
  finish(reply, &w);
}

static void on_recommend(void *arg, const struct xf_http_request *request,
                         struct xf_http_reply *reply) {
  struct xf_api *api = arg;
  struct asked asked;
  struct xf_diag diag;
  xf_diag_init(&diag);
  enum xf_rc rc = read_recommend(&asked, request->query, &diag);
  if (rc) {
    failed(reply, rc, &diag);
    return;
  }
  struct xf_serving *s = xf_serving_slot_take(api->slot);
  if (!s) {
    not_ready(api, reply);
    return;
  }
  struct xf_serving_answer *a = take_answer(api);
  rc = xf_serving_recommend(s, &asked.r, a, &diag);
  if (rc) failed(reply, rc, &diag);
  else put_recommend(reply, s, &asked.r, a);
  give_answer(api, a);
  xf_serving_unref(s);
}

/* --- similar --- */

static void put_similar_items(struct xf_http_reply *reply, const struct xf_serving *s,
                              const char *item, const struct xf_serving_answer *a) {
  struct xf_jsonw w;
  xf_jsonw_init(&w, &reply->body);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  xf_jsonw_kstr(&w, "item", item);
  put_model(&w, s);
  put_items(&w, s, a, false);
  xf_jsonw_object_end(&w);
  finish(reply, &w);
}

static void on_similar(void *arg, const struct xf_http_request *request,
                       struct xf_http_reply *reply) {
  static const struct xf_http_param known[] = {{"item", false}, {"k", false}};
  const struct xf_http_query *q = request->query;
  struct xf_api *api = arg;
  struct xf_diag diag;
  uint32_t k = 0;
  xf_diag_init(&diag);
  const char *item = xf_http_query_find(q, "item");
  enum xf_rc rc = xf_http_query_check(q, known, sizeof known / sizeof known[0], &diag);
  if (!rc && (!item || !item[0])) rc = xf_diag_set(&diag, XF_E_INVAL, "give item=");
  if (!rc) rc = xf_http_query_uint(q, "k", &k, DEFAULT_K, 1, XF_SERVING_K_MAX, &diag);
  if (rc) {
    failed(reply, rc, &diag);
    return;
  }
  struct xf_serving *s = xf_serving_slot_take(api->slot);
  if (!s) {
    not_ready(api, reply);
    return;
  }
  struct xf_serving_answer *a = take_answer(api);
  rc = xf_serving_similar(s, item, k, a, &diag);
  if (rc) failed(reply, rc, &diag);
  else put_similar_items(reply, s, item, a);
  give_answer(api, a);
  xf_serving_unref(s);
}

/* --- health --- */

static void on_healthz(void *arg, const struct xf_http_request *request,
                       struct xf_http_reply *reply) {
  struct xf_api *api = arg;
  struct xf_serving *s = xf_serving_slot_take(api->slot);
  struct xf_jsonw w;
  (void)request;
  xf_jsonw_init(&w, &reply->body);
  xf_jsonw_object(&w);
  xf_jsonw_kbool(&w, "live", true);
  xf_jsonw_kbool(&w, "ready", state_of(api, s) == XF_API_SERVING);
  xf_jsonw_object_end(&w);
  finish(reply, &w);
  xf_serving_unref(s);
}

static void on_health(void *arg, const struct xf_http_request *request,
                      struct xf_http_reply *reply) {
  struct xf_api *api = arg;
  struct xf_serving *s = xf_serving_slot_take(api->slot);
  const enum xf_api_state state = state_of(api, s);
  struct xf_jsonw w;
  (void)request;
  xf_jsonw_init(&w, &reply->body);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  xf_jsonw_kbool(&w, "live", true);
  xf_jsonw_kbool(&w, "ready", state == XF_API_SERVING);
  xf_jsonw_kstr(&w, "state", state_name[state]);
  xf_jsonw_kstr(&w, "reason", state_why[state][0] ? state_why[state] : NULL);
  xf_jsonw_kstr(&w, "client", api->member);
  xf_jsonw_kdouble(&w, "uptime_s", xf_time_diff_s(xf_time_now(), api->started));
  put_model(&w, s);
  xf_jsonw_key(&w, "age_s");
  if (s) xf_jsonw_double(&w, (double)(xf_wall_now_us() - s->meta.made_us) / 1e6);
  else xf_jsonw_null(&w);
  xf_jsonw_kuint(&w, "users", s ? s->catalog->users.n : 0);
  xf_jsonw_kuint(&w, "items", s ? s->catalog->items.n : 0);
  xf_jsonw_object_end(&w);
  reply->status = state == XF_API_SERVING ? 200 : 503;
  finish(reply, &w);
  xf_serving_unref(s);
}

static void on_description(void *arg, const struct xf_http_request *request,
                           struct xf_http_reply *reply) {
  size_t len = 0;
  const char *text = xf_api_description(&len);
  (void)arg;
  (void)request;
  reply->type = "application/yaml";
  if (xf_buf_put(&reply->body, text, len))
    xf_http_fail(reply, 503, "no_memory", "not enough memory", "ask again later");
}

const struct xf_http_route *xf_api_routes(size_t *n) {
  static const struct xf_http_route routes[] = {{"/v1/recommend", on_recommend, false},
                                                {"/v1/similar", on_similar, false},
                                                {"/v1/health", on_health, false},
                                                {"/healthz", on_healthz, true},
                                                {"/openapi.yaml", on_description, false}};
  *n = sizeof routes / sizeof routes[0];
  return routes;
}
