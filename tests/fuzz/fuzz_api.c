// modules: client/api http rec json data base
/* A target goes through the reader to the silo's routes: whatever the bytes, each answers with a status that docs/openapi.yaml
   knows and one whole JSON object. The first byte chooses what is served: nothing, popularity, a model, a blend. */
#include "base/alloc.h"
#include "base/assert.h"
#include "client/api/api.h"
#include "json/json.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { I = 7, U = 3, SNAPSHOTS = 4 };

/* Scores everybody; a history moves the scores. */
static enum xf_rc any_score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                            struct xf_diag *diag) {
  (void)diag;
  for (uint32_t i = 0; i < s->n_items; i++) out[i] = (float)(i * 3 % I) + (float)q->n;
  for (uint32_t h = 0; h < q->n; h++) out[q->item[h]] += 2;
  return XF_OK;
}
static void any_free(struct xf_scorer *s) { xf_free(s); }
static const struct xf_scorer_kind any_kind = {"any", any_score, NULL, any_free};

static struct xf_scorer *any_new(void) {
  struct xf_scorer *s = xf_calloc(1, sizeof *s);
  *s = (struct xf_scorer){.kind = &any_kind, .n_items = I};
  return s;
}

static struct xf_catalog *catalog_new(void) {
  static uint32_t start[U + 1] = {0, 2, 3, 3}, item[] = {1, 4, 4};
  const struct xf_csr train = {.n_row = U, .start = start, .item = item};
  struct xf_names users, items;
  struct xf_catalog *c = NULL;
  char key[] = "a";
  uint32_t id = 0;
  xf_names_init(&users);
  xf_names_init(&items);
  for (int u = 0; u < U; u++, key[0]++) XF_ASSERT(!xf_names_add(&users, &id, key, 1));
  for (int i = 0; i < I; i++, key[0]++) XF_ASSERT(!xf_names_add(&items, &id, key, 1));
  XF_ASSERT(!xf_catalog_new(&c, &users, &items, &train, NULL));
  xf_names_deinit(&users);
  xf_names_deinit(&items);
  return c;
}

static struct xf_serving *made[SNAPSHOTS];
static struct xf_serving_slot slot[SNAPSHOTS];
static struct xf_api *api[SNAPSHOTS];

static void make_all(void) {
  static const float vector[I][2] = {{1, 0}, {0, 1}, {1, 1}, {1, 2}, {2, 1}, {0, 0}, {1, 0}};
  static struct xf_itemsim sim;
  struct xf_catalog *c = catalog_new();
  struct xf_scorer *blend = NULL;
  const struct xf_blend_part part[] = {{"one", any_new(), 1}, {"two", any_new(), -.5}};
  XF_ASSERT(!xf_blend_new(&blend, part, 2, true, NULL));
  XF_ASSERT(!xf_itemsim_vectors(&sim, vector[0], I, 2, NULL));
  const struct xf_serving_source source[SNAPSHOTS] = {{.catalog = NULL},
                                                      {.catalog = c},
                                                      {.catalog = c, .scorer = any_new()},
                                                      {.catalog = c, .scorer = blend, .sim = &sim}};
  for (int i = 0; i < SNAPSHOTS; i++) {
    XF_ASSERT(!xf_serving_slot_init(&slot[i]) && !xf_api_new(&api[i], &slot[i], "m"));
    if (!i) continue;
    XF_ASSERT(!xf_serving_new(&made[i], &source[i], NULL));
    xf_serving_slot_set(&slot[i], made[i]);
  }
  xf_catalog_unref(c);
}

static bool known_status(unsigned status) {
  static const unsigned known[] = {200, 400, 404, 422, 503};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (known[i] == status) return true;
  return false;
}

static void judge(const struct xf_http_reply *reply) {
  struct xf_json *json = NULL;
  struct xf_diag diag;
  xf_diag_init(&diag);
  XF_ASSERT(known_status(reply->status));
  if (strcmp(reply->type, "application/json") != 0) return;
  XF_ASSERT(
      !xf_json_parse(&json, "reply", (const char *)reply->body.p, reply->body.len, NULL, &diag));
  XF_ASSERT((xf_json_find(xf_json_root(json), "error") != NULL) ==
            (reply->status != 200 && !xf_json_find(xf_json_root(json), "state")));
  xf_json_free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct xf_http_query query;
  size_t n = 0;
  const struct xf_http_route *route = xf_api_routes(&n);
  if (!made[1]) make_all();
  if (!size || xf_http_query_parse(&query, (const char *)data + 1, size - 1, NULL)) return 0;
  for (size_t i = 0; i < n; i++) {
    /* every route reads the parameters, whatever the path says */
    const struct xf_http_request request = {route[i].path, &query};
    struct xf_http_reply reply = {.status = 200, .type = "application/json"};
    xf_buf_init(&reply.body, XF_HTTP_REPLY_MAX);
    route[i].answer(api[data[0] % SNAPSHOTS], &request, &reply);
    judge(&reply);
    xf_buf_deinit(&reply.body);
  }
  return 0;
}
