/* Recommending from a snapshot, as a call and over HTTP, against the product that it cannot do without: sgemv. */
#include "base/alloc.h"
#include "base/rng.h"
#include "client/api/api.h"
#include "rec/factors.h"
#include "tensor/blas.h"
#include "tools/bench/bench.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  DIM = 64,
  USERS = 1000,
  HISTORY = 20,
  K = 10,
  CLIENTS = 4,
  MODELS = 3,
  READ_MAX = 65536,
  AGAIN = 4
};
static const double limit_s = 1e-3, limit_products = 10;

struct site {
  uint32_t n_items;
  unsigned n_ask; /* requests of a repetition */
  double http_s;  /* seconds of a repetition */
  float *params;  /* of the model */
  struct xf_model *model;
  float *matrix, *x, *y; /* the probe's [n_items x DIM], [DIM], [n_items] */
  struct xf_catalog *catalog;
  struct xf_serving *one, *blend;
  struct xf_serving_answer *answer;
  struct xf_rng rng;
};

/* --- set-up --- */

static enum xf_rc make_catalog(struct site *s, struct xf_diag *diag) {
  struct xf_names users, items;
  struct xf_csr train = {.n_row = USERS};
  char key[16];
  uint32_t id = 0;
  enum xf_rc rc = XF_OK;
  xf_names_init(&users);
  xf_names_init(&items);
  train.start = xf_calloc(USERS + 1, sizeof *train.start);
  train.item = xf_calloc((size_t)USERS * HISTORY, sizeof *train.item);
  for (uint32_t u = 0; u < USERS && !rc; u++) {
    rc = xf_names_add(&users, &id, key, (size_t)snprintf(key, sizeof key, "u%u", u));
    train.start[u + 1] = train.start[u] + HISTORY;
    for (uint32_t h = 0; h < HISTORY; h++) /* ascending, spread over the catalogue */
      train.item[u * HISTORY + h] = (h * s->n_items + u % s->n_items) / HISTORY;
  }
  for (uint32_t i = 0; i < s->n_items && !rc; i++)
    rc = xf_names_add(&items, &id, key, (size_t)snprintf(key, sizeof key, "i%u", i));
  if (!rc) rc = xf_catalog_new(&s->catalog, &users, &items, &train, diag);
  xf_free(train.start);
  xf_free(train.item);
  xf_names_deinit(&users);
  xf_names_deinit(&items);
  return rc;
}

/* A factor model of seeded rows, and with `n` above 1 a blend of as many. */
static enum xf_rc make_serving(struct site *s, struct xf_serving **out, uint32_t n,
                               struct xf_diag *diag) {
  static const char *const names[MODELS] = {"one", "two", "three"};
  struct xf_blend_part part[MODELS];
  struct xf_serving_source source = {.catalog = s->catalog};
  struct xf_scorer *scorer = NULL;
  const uint64_t n_params = xf_model_get_layout(s->model)->n;
  enum xf_rc rc = XF_OK;
  for (uint32_t m = 0; m < n && !rc; m++) {
    for (uint64_t i = 0; i < n_params; i++) s->params[i] = (float)xf_rng_normal(&s->rng);
    part[m] = (struct xf_blend_part){names[m], NULL, 1.0 / n};
    rc = xf_factors_scorer(&part[m].scorer, s->model, s->params, diag);
  }
  if (!rc && n > 1) rc = xf_blend_new(&scorer, part, n, true, diag);
  source.scorer = n > 1 ? scorer : part[0].scorer;
  return rc ? rc : xf_serving_new(out, &source, diag);
}

static enum xf_rc site_init(struct site *s, struct bench *b) {
  const struct xf_model_config config = {
      .kind = XF_MODEL_MF, .loss = XF_LOSS_BPR, .bias = true, .dim = DIM};
  *s = (struct site){.n_items = b->quick ? 500 : 10000,
                     .n_ask = b->quick ? 20 : 2000,
                     .http_s = b->quick ? 0.02 : 0.7};
  xf_rng_init(&s->rng, 1, 0);
  s->answer = xf_calloc(1, sizeof *s->answer);
  s->matrix = xf_try_pages((size_t)s->n_items * DIM * sizeof(float));
  s->x = xf_calloc(DIM, sizeof *s->x);
  s->y = xf_calloc(s->n_items, sizeof *s->y);
  if (!s->matrix) return XF_E_NOMEM;
  for (size_t i = 0; i < (size_t)s->n_items * DIM; i++)
    s->matrix[i] = (float)xf_rng_normal(&s->rng);
  for (size_t i = 0; i < DIM; i++) s->x[i] = (float)xf_rng_normal(&s->rng);
  enum xf_rc rc = xf_blas_start(NULL, b->diag);
  if (!rc)
    rc = xf_model_new(&s->model, &config, (struct xf_model_size){USERS, s->n_items}, b->diag);
  if (!rc) s->params = xf_calloc(xf_model_get_layout(s->model)->n, sizeof *s->params);
  if (!rc) rc = make_catalog(s, b->diag);
  if (!rc) rc = make_serving(s, &s->one, 1, b->diag);
  return rc ? rc : make_serving(s, &s->blend, MODELS, b->diag);
}

static void site_deinit(struct site *s) {
  xf_serving_unref(s->one);
  xf_serving_unref(s->blend);
  xf_catalog_unref(s->catalog);
  xf_model_free(s->model);
  xf_serving_answer_deinit(s->answer);
  xf_free(s->answer);
  if (s->matrix) xf_free_pages(s->matrix, (size_t)s->n_items * DIM * sizeof(float));
  xf_free(s->params);
  xf_free(s->x);
  xf_free(s->y);
}

/* --- the call --- */

/* Seconds of a product, mean over as many as requests are asked. */
static double product(struct site *s) {
  const struct xf_time t = xf_time_now();
  for (unsigned i = 0; i < s->n_ask; i++) {
    xf_blas_gemv(s->y, s->matrix, s->x, s->n_items, DIM);
    s->x[i % DIM] += s->y[i % s->n_items] > 0 ? 1e-6f : -1e-6f;
  }
  return bench_since(t) / s->n_ask;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* How often the system took the processor away from this thread. */
static long interruptions(void) {
  struct rusage use;
  return getrusage(RUSAGE_THREAD, &use) ? 0 : use.ru_nivcsw;
}

/* Times of requests and of products in turns, both sorted. A pair during which the system ran something else is measured
   again, so that a busy machine's time slices are not taken for the tail. @shape call[n_ask], raw[n_ask] */
static enum xf_rc ask(struct site *s, const struct xf_serving *serving, uint32_t n_products,
                      double *call, double *raw, struct xf_diag *diag) {
  char user[16];
  const unsigned most = AGAIN * s->n_ask;
  for (unsigned i = 0, tried = 0; i < s->n_ask; tried++) {
    const long before = interruptions();
    struct xf_time t = xf_time_now();
    for (uint32_t m = 0; m < n_products; m++) xf_blas_gemv(s->y, s->matrix, s->x, s->n_items, DIM);
    raw[i] = bench_since(t);
    s->x[i % DIM] += s->y[i % s->n_items] > 0 ? 1e-6f : -1e-6f;
    (void)snprintf(user, sizeof user, "u%u", (unsigned)xf_rng_below(&s->rng, USERS));
    const struct xf_serving_request r = {.user = user, .k = K};
    t = xf_time_now();
    const enum xf_rc rc = xf_serving_recommend(serving, &r, s->answer, diag);
    call[i] = bench_since(t);
    if (rc) return rc;
    if (interruptions() == before || tried >= most) i++;
  }
  qsort(call, s->n_ask, sizeof *call, ascending);
  qsort(raw, s->n_ask, sizeof *raw, ascending);
  return XF_OK;
}

static enum xf_rc measure_calls(struct bench *b, struct site *s, const struct xf_serving *serving,
                                uint32_t n_models, const char *p50_name, const char *p99_name) {
  struct bench_pairs p50 = {.n = 0}, p99 = {.n = 0};
  double *call = xf_calloc(s->n_ask, sizeof *call), *raw = xf_calloc(s->n_ask, sizeof *raw);
  const size_t mid = s->n_ask / 2, tail = (size_t)s->n_ask * 99 / 100;
  enum xf_rc rc = ask(s, serving, n_models, call, raw, b->diag); /* warm */
  for (int r = 0; r < BENCH_PAIRS && !rc; r++) {
    rc = ask(s, serving, n_models, call, raw, b->diag);
    bench_pair(&p50, call[mid], raw[mid]);
    bench_pair(&p99, call[tail], limit_products * raw[tail] + limit_s);
  }
  xf_free(call);
  xf_free(raw);
  if (rc) return rc;
  struct bench_result res = {
      .bench = "serving", .name = p50_name, .unit = "s", .probe = "sgemv", .lower = true};
  bench_put_pairs(b, res, &p50);
  res.name = p99_name;
  res.probe = "10 p99(sgemv) + 1 ms";
  res.goal = 1;
  res.floor = 2;
  bench_put_pairs(b, res, &p99);
  return XF_OK;
}

/* --- over HTTP --- */

struct client {
  uint16_t port;
  uint64_t seed, answers;
  atomic_bool *over;
  bool failed;
};

static bool dial(int *fd, uint16_t port) {
  const struct sockaddr_in sa = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const int one = 1;
  *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return *fd >= 0 && setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0 &&
         connect(*fd, (const struct sockaddr *)&sa, sizeof sa) == 0;
}

/* Reads one answer whole, by its Content-Length; true for status 200. */
static bool hear(int fd, char *buf) {
  size_t n = 0, want = 0;
  while (!want || n < want) {
    const ssize_t got = recv(fd, buf + n, READ_MAX - 1 - n, 0);
    if (got <= 0) return false;
    n += (size_t)got;
    buf[n] = '\0';
    const char *end = want ? NULL : strstr(buf, "\r\n\r\n");
    const char *length = end ? strstr(buf, "Content-Length: ") : NULL;
    if (length) want = (size_t)(end + 4 - buf) + strtoul(length + 16, NULL, 10);
    if ((end && !length) || want >= READ_MAX) return false;
  }
  return strncmp(buf, "HTTP/1.1 200 ", 13) == 0;
}

static void *client_run(void *arg) {
  struct client *c = arg;
  struct xf_rng rng;
  char *buf = xf_alloc(READ_MAX), line[128];
  int fd = -1;
  xf_rng_init(&rng, c->seed, 0);
  c->failed = !dial(&fd, c->port);
  while (!c->failed && !atomic_load(c->over)) {
    const int n = snprintf(line, sizeof line,
                           "GET /v1/recommend?user=u%u&k=%d HTTP/1.1\r\nHost: localhost\r\n\r\n",
                           (unsigned)xf_rng_below(&rng, USERS), K);
    c->failed = send(fd, line, (size_t)n, MSG_NOSIGNAL) != n || !hear(fd, buf);
    c->answers += !c->failed;
  }
  if (fd >= 0) (void)close(fd); /* all was read */
  xf_free(buf);
  return NULL;
}

/* Answers a second of CLIENTS connections that ask without pause. */
static enum xf_rc ask_http(const struct site *s, uint16_t port, double *out, struct xf_diag *diag) {
  struct client client[CLIENTS];
  pthread_t thread[CLIENTS];
  atomic_bool over;
  uint64_t answers = 0;
  bool failed = false;
  unsigned n = 0;
  atomic_init(&over, false);
  const struct xf_time t = xf_time_now();
  for (; n < CLIENTS; n++) {
    client[n] = (struct client){.port = port, .seed = n + 1, .over = &over};
    if (pthread_create(&thread[n], NULL, client_run, &client[n])) break;
  }
  (void)usleep((useconds_t)(s->http_s * 1e6));
  atomic_store(&over, true);
  for (unsigned i = 0; i < n; i++) {
    failed |= pthread_join(thread[i], NULL) != 0 || client[i].failed;
    answers += client[i].answers;
  }
  *out = (double)answers / bench_since(t);
  if (n == CLIENTS && !failed && answers) return XF_OK;
  return xf_diag_set(diag, XF_E_IO, "serving: requests over loopback fail");
}

static enum xf_rc measure_http(struct bench *b, struct site *s) {
  struct xf_serving_slot slot;
  struct xf_api *api = NULL;
  struct xf_http *http = NULL;
  struct bench_pairs pairs = {.n = 0};
  double rate = 0;
  enum xf_rc rc = xf_serving_slot_init(&slot);
  if (rc) return rc;
  struct xf_http_options o = {.listen = "127.0.0.1:0"};
  o.route = xf_api_routes(&o.n_route);
  rc = xf_api_new(&api, &slot, "bench");
  o.arg = api;
  if (!rc) rc = xf_http_start(&http, &o, b->diag);
  if (!rc) {
    xf_serving_slot_set(&slot, xf_serving_ref(s->one));
    rc = ask_http(s, xf_http_port(http), &rate, b->diag); /* warm */
  }
  for (int r = 0; r < BENCH_PAIRS && !rc; r++) {
    const double raw = 1 / product(s);
    rc = ask_http(s, xf_http_port(http), &rate, b->diag);
    bench_pair(&pairs, rate, raw);
  }
  xf_http_stop(http, 1);
  xf_api_free(api);
  xf_serving_slot_deinit(&slot);
  if (rc) return rc;
  bench_put_pairs(b,
                  (struct bench_result){.bench = "serving",
                                        .name = "http",
                                        .unit = "1/s",
                                        .probe = "sgemv a second",
                                        .goal = 1.0 / 3,
                                        .floor = 0.2},
                  &pairs);
  return XF_OK;
}

enum xf_rc bench_serving(struct bench *b) {
  struct site s;
  enum xf_rc rc = site_init(&s, b);
  if (!rc) rc = measure_calls(b, &s, s.one, 1, "recommend_p50", "recommend_p99");
  if (!rc) rc = measure_calls(b, &s, s.blend, MODELS, "blend_p50", "blend_p99");
  if (!rc) rc = measure_http(b, &s);
  site_deinit(&s);
  return rc;
}
