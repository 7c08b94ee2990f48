/* What an idle connection costs: many of them in one process, both ends, by resident size. */
#include "net/listener.h"
#include "unit/net/pems.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

enum { PAIRS = 200, GOAL_BYTES = 28 * 1024 };

struct end {
  struct xf_conn *conn;
  bool client;
};

static uv_loop_t loop;
static struct xf_net net;
static struct pems pems;
static struct end server[PAIRS], client[PAIRS];
static unsigned n_server, n_open, n_closed, n_pong;

static void on_open(void *arg, const struct xf_identity *peer) {
  (void)peer;
  struct end *e = arg;
  n_open++;
  static uint8_t data[XF_CHUNK_MAX];
  struct xf_msg big = {.type = XF_MSG_UPDATE_CHUNK,
                       .chunk = {.data = data, .data_len = sizeof data}};
  if (e->client)
    assert_int_equal(xf_conn_send(e->conn, &big), XF_OK); /* it has worked before it rests */
}

static void on_msg(void *arg, const struct xf_msg *msg) {
  struct end *e = arg;
  if (msg->type == XF_MSG_UPDATE_CHUNK) {
    struct xf_msg pong = {.type = XF_MSG_PONG, .ping = {1}};
    assert_int_equal(xf_conn_send(e->conn, &pong), XF_OK);
  } else {
    n_pong++;
  }
}

static void on_close(void *arg, enum xf_rc rc, const struct xf_diag *diag) {
  struct end *e = arg;
  (void)rc;
  (void)diag;
  e->conn = NULL;
  n_closed++;
}

static const struct xf_conn_handler handler = {on_open, on_msg, NULL, on_close};

static void *on_accept(void *arg, struct xf_conn *conn) {
  (void)arg;
  struct end *e = &server[n_server++];
  e->conn = conn;
  return e;
}

static size_t resident(void) {
  unsigned long pages = 0, all = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (!f) return 0;
  if (fscanf(f, "%lu %lu", &all, &pages) != 2) pages = 0;
  fclose(f);
  return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Dials `n` more and lets them work and rest. */
static void add(struct xf_tls_ctx *alpha, uint16_t port, unsigned from, unsigned n) {
  for (unsigned i = from; i < from + n; i++) {
    client[i].client = true;
    client[i].conn = xf_conn_dial(&net, alpha, "127.0.0.1", port, &handler, &client[i]);
    while (n_pong <= i) uv_run(&loop, UV_RUN_ONCE);
  }
}

static void test_idle(void **state) {
  (void)state;
  struct xf_diag diag;
  struct xf_listener *listener = NULL;
  struct xf_tls_ctx *hub = pems_ctx(&pems, XF_PKI_ROLE_COORDINATOR, "hub", "ca", true, 0);
  struct xf_tls_ctx *alpha = pems_ctx(&pems, XF_PKI_ROLE_CLIENT, "alpha", "ca", true, 0);
  assert_int_equal(uv_loop_init(&loop), 0);
  xf_net_init(&net, &loop, NULL);
  struct xf_listener_options o = {.host = "127.0.0.1", .ctx = hub, .handler = &handler};
  o.on_accept = on_accept;
  assert_int_equal(xf_listener_open(&listener, &net, &o, &diag), XF_OK);
  uint16_t port = xf_listener_port(listener);
  add(alpha, port, 0, 20); /* what is needed once */
  size_t before = resident();
  add(alpha, port, 20, PAIRS - 20);
  size_t each = (resident() - before) / (2 * (PAIRS - 20));
  print_message("an idle connection: %zu bytes resident\n", each);
#ifndef XF_SANITIZED
  if (before) assert_true(each <= GOAL_BYTES);
#endif
  assert_int_equal(n_open, 2 * PAIRS);
  for (unsigned i = 0; i < PAIRS; i++) xf_conn_close(client[i].conn, true);
  xf_listener_close(listener);
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(n_closed, 2 * PAIRS);
  assert_int_equal(uv_loop_close(&loop), 0);
  xf_net_deinit(&net);
  xf_tls_ctx_free(hub);
  xf_tls_ctx_free(alpha);
}

static int setup(void **state) {
  (void)state;
  pems_init(&pems);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  pems_deinit(&pems);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_idle)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
