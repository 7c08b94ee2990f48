/* Connections over loopback: messages both ways, bounds of memory and time, and every way to part. */
#include "base/crc32c.h"
#include "net/connimpl.h"
#include "net/listener.h"
#include "unit/net/pems.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { PEERS = 4 };

static struct pems pems;

/* One side of a connection and what it heard. */
struct peer {
  struct xf_conn *conn;
  bool open, closed, pause_at_open, pump, drop_at_msg;
  char identity[XF_IDENTITY_CAP];
  unsigned n_msgs, n_drains, again;
  enum xf_msg_type last;
  char text[XF_DIAG_LEN]; /* of the last refusal, goodbye */
  uint32_t unsupported;
  uint64_t received, sent;
  enum xf_rc rc;
  struct xf_diag diag;
};

static uv_loop_t loop;
static struct xf_net net;
static struct xf_tls_ctx *hub, *alpha;
static struct xf_listener *listener;
static struct peer server[PEERS], client[PEERS];
static unsigned n_accepted;
static struct xf_digest task;

static void send_ok(struct peer *p, const struct xf_msg *msg) {
  assert_int_equal(xf_conn_send(p->conn, msg), XF_OK);
}

/* Sends 64 KiB chunks until the queue is full. */
static void pump(struct peer *p) {
  static uint8_t data[XF_CHUNK_MAX];
  for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 7 + i / 251);
  while (p->pump) {
    struct xf_msg m = {.type = XF_MSG_UPDATE_CHUNK,
                       .chunk = {.task_id = task,
                                 .offset = p->sent,
                                 .crc32c = xf_crc32c(0, data, sizeof data),
                                 .data = data,
                                 .data_len = sizeof data}};
    enum xf_rc rc = xf_conn_send(p->conn, &m);
    if (rc == XF_E_AGAIN) p->again++;
    if (rc == XF_E_AGAIN) break;
    assert_int_equal(rc, XF_OK);
    p->sent += sizeof data;
  }
}

static void on_open(void *arg, const struct xf_identity *id) {
  struct peer *p = arg;
  assert_false(p->open || p->closed);
  p->open = true;
  xf_identity_print(p->identity, id);
  if (p->pause_at_open) xf_conn_pause(p->conn);
}

static void on_msg(void *arg, const struct xf_msg *msg) {
  struct peer *p = arg;
  assert_true(p->open || msg->type == XF_MSG_REFUSED);
  assert_false(p->closed);
  p->n_msgs++;
  p->last = msg->type;
  if (msg->type == XF_MSG_PING) {
    struct xf_msg pong = {.type = XF_MSG_PONG, .ping = {msg->ping.nonce + 1}};
    send_ok(p, &pong);
  } else if (msg->type == XF_MSG_UPDATE_CHUNK) {
    assert_int_equal(msg->chunk.offset, p->received);
    assert_int_equal(msg->chunk.crc32c, xf_crc32c(0, msg->chunk.data, msg->chunk.data_len));
    p->received += msg->chunk.data_len;
  } else if (msg->type == XF_MSG_REFUSED) {
    snprintf(p->text, sizeof p->text, "%s", msg->refused.text);
  } else if (msg->type == XF_MSG_GOODBYE) {
    snprintf(p->text, sizeof p->text, "%s", msg->goodbye.text);
  } else if (msg->type == XF_MSG_UNSUPPORTED) {
    p->unsupported = msg->unsupported.type;
  }
  if (p->drop_at_msg) xf_conn_close(p->conn, true);
}

static void on_drain(void *arg) {
  struct peer *p = arg;
  p->n_drains++;
  assert_true(xf_conn_queued(p->conn) <= net.limits.out_max / 2);
  pump(p);
}

static void on_close(void *arg, enum xf_rc rc, const struct xf_diag *diag) {
  struct peer *p = arg;
  assert_false(p->closed);
  p->closed = true;
  p->rc = rc;
  p->diag = *diag;
  p->conn = NULL;
}

static const struct xf_conn_handler handler = {on_open, on_msg, on_drain, on_close};

static void *on_accept(void *arg, struct xf_conn *conn) {
  struct peer *p = arg;
  assert_true(n_accepted < PEERS);
  p += n_accepted++;
  p->conn = conn;
  assert_int_equal(xf_conn_state(conn), XF_CONN_CONNECTING);
  return p;
}

/* --- the stage --- */

static void begin_as(const struct xf_net_limits *limits, uint32_t max_conns,
                     struct xf_tls_ctx *hub_ctx, struct xf_tls_ctx *client_ctx) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  memset(server, 0, sizeof server);
  memset(client, 0, sizeof client);
  n_accepted = 0;
  hub = hub_ctx;
  alpha = client_ctx;
  assert_int_equal(uv_loop_init(&loop), 0);
  xf_net_init(&net, &loop, limits);
  struct xf_listener_options o = {.host = "127.0.0.1",
                                  .max_conns = max_conns,
                                  .ctx = hub,
                                  .handler = &handler,
                                  .on_accept = on_accept,
                                  .arg = server};
  assert_int_equal(xf_listener_open(&listener, &net, &o, &diag), XF_OK);
  assert_int_not_equal(xf_listener_port(listener), 0);
}

static void begin(const struct xf_net_limits *limits) {
  begin_as(limits, 0, pems_ctx(&pems, XF_PKI_ROLE_COORDINATOR, "hub", "ca", true, 0),
           pems_ctx(&pems, XF_PKI_ROLE_CLIENT, "alpha", "ca", true, 0));
}

static bool late;
static void on_late(uv_timer_t *timer) {
  (void)timer;
  late = true;
}
static void ignore_closed(uv_handle_t *handle) { (void)handle; }

/* Runs the loop until *done, at most `ms`. */
static void run_for(const bool *done, unsigned ms) {
  uv_timer_t timer;
  late = false;
  uv_timer_init(&loop, &timer);
  uv_timer_start(&timer, on_late, ms,
                 ms); /* again: expired before the first poll, it must still end that */
  while (!late && !(done && *done)) uv_run(&loop, UV_RUN_ONCE);
  uv_close((uv_handle_t *)&timer, ignore_closed);
  uv_run(&loop, UV_RUN_NOWAIT);
}

static void run(const bool *done) {
  run_for(done, 10000);
  assert_false(late);
}

static void end(void) {
  xf_listener_close(listener);
  for (int i = 0; i < PEERS; i++) {
    if (client[i].conn) xf_conn_close(client[i].conn, false);
    if (server[i].conn) xf_conn_close(server[i].conn, false);
  }
  run_for(NULL, 30);
  assert_int_equal(net.n_conns, 0);
  assert_int_equal(uv_loop_close(&loop), 0);
  xf_net_deinit(&net);
  xf_tls_ctx_free(hub);
  xf_tls_ctx_free(alpha);
}

static void dial(struct peer *p) {
  p->conn = xf_conn_dial(&net, alpha, "127.0.0.1", xf_listener_port(listener), &handler, p);
}

static void meet(void) {
  dial(&client[0]);
  run(&client[0].open);
  run(&server[0].open);
}

static void until_msg(struct peer *p, enum xf_msg_type type) {
  for (int i = 0; i < 10000 && p->last != type; i++) run_for(NULL, 1);
  assert_int_equal(p->last, type);
}

static void ended(const struct peer *p, enum xf_rc rc, const char *words) {
  if (!p->closed || p->rc != rc || (rc && !strstr(xf_diag_text(&p->diag, rc), words)))
    fail_msg("expected %s with \"%s\", got %s%s: %s", xf_rc_name(rc), words,
             p->closed ? "" : "(open) ", xf_rc_name(p->rc), xf_diag_text(&p->diag, p->rc));
}

/* Bytes inside the session that no message of ours would have. */
static void send_raw(struct peer *p, const void *bytes, size_t len) {
  struct xf_diag diag;
  assert_int_equal(xf_tls_write(p->conn->tls, bytes, len, &diag), XF_OK);
  xf_conn_flush(p->conn);
}

/* A plain TCP socket to the listener. */
static int tcp_socket(void) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(xf_listener_port(listener))};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
  return fd;
}

/* --- tests --- */

static void test_both_ways(void **state) {
  (void)state;
  begin(NULL);
  meet();
  assert_string_equal(server[0].identity, "crossfed://lab/client/alpha");
  assert_string_equal(client[0].identity, "crossfed://lab/coordinator/hub");
  assert_string_equal(xf_conn_peer_serial(server[0].conn), xf_tls_ctx_own(alpha)->serial);
  assert_int_equal(strncmp(xf_conn_address(server[0].conn), "127.0.0.1:", 10), 0);
  assert_string_equal(xf_conn_state_name(xf_conn_state(client[0].conn)), "open");
  struct xf_msg ping = {.type = XF_MSG_PING, .ping = {41}};
  send_ok(&client[0], &ping);
  until_msg(&client[0], XF_MSG_PONG);
  send_ok(&server[0], &ping);
  until_msg(&server[0], XF_MSG_PONG);
  assert_true(xf_conn_bytes_in(server[0].conn) > 500 && xf_conn_bytes_out(server[0].conn) > 500);
  assert_int_equal(xf_conn_bytes_in(server[0].conn), xf_conn_bytes_out(client[0].conn));
  struct xf_msg bye = {.type = XF_MSG_GOODBYE, .goodbye = {"E_CANCELLED", "stopping", 5}};
  send_ok(&client[0], &bye);
  xf_conn_close(client[0].conn, true);
  assert_int_equal(xf_conn_send(client[0].conn, &bye), XF_E_STATE);
  assert_false(client[0].closed); /* never from inside a call */
  run(&client[0].closed);
  run(&server[0].closed);
  assert_string_equal(server[0].text, "stopping");
  ended(&server[0], XF_E_EOF, "closed the connection");
  ended(&client[0], XF_OK, "");
  assert_int_equal(xf_listener_conns(listener), 0);
  end();
}

static void test_megabyte(void **state) {
  (void)state;
  begin(NULL);
  meet();
  client[0].pump = true;
  for (int i = 0; i < 16; i++) { /* 1 MiB, and the loop may take what the kernel does not */
    static uint8_t data[XF_CHUNK_MAX];
    memset(data, i, sizeof data);
    struct xf_msg m = {.type = XF_MSG_UPDATE_CHUNK,
                       .chunk = {.task_id = task,
                                 .offset = client[0].sent,
                                 .crc32c = xf_crc32c(0, data, sizeof data),
                                 .data = data,
                                 .data_len = sizeof data}};
    enum xf_rc rc = xf_conn_send(client[0].conn, &m);
    if (rc == XF_E_AGAIN) run_for(NULL, 5);
    if (rc == XF_E_AGAIN) i--;
    else assert_int_equal(rc, XF_OK);
    if (!rc) client[0].sent += sizeof data;
    client[0].pump = false;
  }
  for (int i = 0; i < 2000 && server[0].received < 1 << 20; i++) run_for(NULL, 1);
  assert_int_equal(server[0].received, 1 << 20);
  assert_int_equal(xf_frame_reader_held(&server[0].conn->reader), 0);
  assert_true(server[0].conn->reader.part.cap <= 4096); /* an idle connection holds no chunk */
  end();
}

static void test_bounded_queue(void **state) {
  (void)state;
  begin(NULL);
  server[0].pause_at_open = true;
  meet();
  client[0].pump = true;
  pump(&client[0]); /* nobody reads: the kernel's buffers fill, then ours */
  assert_int_equal(client[0].again, 1);
  assert_true(xf_conn_queued(client[0].conn) <= net.limits.out_max + 2048);
  assert_true(xf_conn_queued(client[0].conn) > 0);
  uint64_t first = client[0].sent;
  run_for(NULL, 50);
  assert_int_equal(client[0].n_drains, 0);
  assert_true(server[0].received <= 2 * XF_CHUNK_MAX); /* paused: at most what was read already */
  xf_conn_resume(server[0].conn);
  for (int i = 0; i < 2000 && client[0].n_drains < 3; i++) run_for(NULL, 1);
  assert_true(client[0].n_drains >= 3);
  client[0].pump = false;
  for (int i = 0; i < 2000 && server[0].received < client[0].sent; i++) run_for(NULL, 1);
  assert_int_equal(server[0].received, client[0].sent);
  assert_true(client[0].sent > first);
  assert_int_equal(xf_conn_queued(client[0].conn), 0);
  end();
}

static void test_close_delivers_queue(void **state) {
  (void)state;
  begin(NULL);
  server[0].pause_at_open = true;
  meet();
  client[0].pump = true;
  pump(&client[0]);
  xf_conn_close(client[0].conn, true);
  xf_conn_resume(server[0].conn);
  run(&server[0].closed);
  assert_int_equal(server[0].received, client[0].sent);
  ended(&server[0], XF_E_EOF, "closed");
  end();
}

static void test_bad_frames(void **state) {
  (void)state;
  /* A PING of 5000 bytes; its limit is 64. */
  static const uint8_t oversize[] = {0, 0, 0x13, 0x88, 0, 18, 0, 0, 1, 2, 3};
  /* A task reply whose body is no protobuf. */
  static const uint8_t garbage[] = {0, 0, 0, 4, 0, 9, 0, 0, 0xff, 0xff, 0xff, 0xff};
  static const uint8_t reserved[] = {0, 0, 0, 0, 0, 18, 0, 1};
  static const struct {
    const uint8_t *p;
    size_t len;
    enum xf_rc rc;
    const char *words;
  } rows[] = {{oversize, sizeof oversize, XF_E_LIMIT, "announces 5000 bytes, its limit is 64"},
              {garbage, sizeof garbage, XF_E_FORMAT, "TASK_REPLY: not a valid protobuf message"},
              {reserved, sizeof reserved, XF_E_FORMAT, "reserved bytes"}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    begin(NULL);
    meet();
    send_raw(&client[0], rows[i].p, rows[i].len);
    run(&server[0].closed);
    run(&client[0].closed);
    ended(&server[0], rows[i].rc, rows[i].words);
    assert_int_equal(server[0].n_msgs, 0);
    assert_non_null(strstr(client[0].text, rows[i].words)); /* the goodbye says why */
    ended(&client[0], XF_E_EOF, "closed");
    end();
  }
}

static void test_unknown_type(void **state) {
  (void)state;
  begin(NULL);
  meet();
  static uint8_t unknown[8 + 3000] = {0, 0, 0x0b, 0xb8, 0x03, 0xe7, 0, 0};
  send_raw(&client[0], unknown, sizeof unknown);
  until_msg(&client[0], XF_MSG_UNSUPPORTED);
  assert_int_equal(client[0].unsupported, 999);
  struct xf_msg ping = {.type = XF_MSG_PING, .ping = {1}};
  send_ok(&client[0], &ping);
  until_msg(&client[0], XF_MSG_PONG); /* the stream goes on */
  assert_int_equal(server[0].n_msgs, 1);
  end();
}

static void test_slow_sender(void **state) {
  (void)state;
  struct xf_net_limits limits = {.slow_window_ms = 80, .slow_bytes = 4000};
  begin(&limits);
  meet();
  static const uint8_t part[] = {0, 0, 0, 20, 0, 18, 0, 0, 1};
  run_for(NULL, 200); /* idle is not slow */
  assert_false(server[0].closed);
  send_raw(&client[0], part, 3);
  run(&server[0].closed);
  ended(&server[0], XF_E_TIMEOUT, "while a message was incomplete, the least is 4000");
  end();
  /* One that keeps the pace may take several windows. */
  begin(&limits);
  meet();
  static uint8_t chunk[8 + 60000] = {0, 0, 0xea, 0x60, 0x03, 0xe7, 0, 0};
  for (size_t at = 0; at < sizeof chunk; at += 6000) {
    send_raw(&client[0], chunk + at, sizeof chunk - at < 6000 ? sizeof chunk - at : 6000);
    run_for(NULL, 30);
  }
  assert_false(server[0].closed);
  until_msg(&client[0], XF_MSG_UNSUPPORTED);
  end();
}

static void test_before_the_handshake(void **state) {
  (void)state;
  struct xf_net_limits limits = {.handshake_ms = 80, .linger_ms = 100};
  begin(&limits);
  int silent = tcp_socket();
  run(&server[0].closed);
  ended(&server[0], XF_E_TIMEOUT, "did not finish the TLS handshake within 80 ms");
  int chatty = tcp_socket();
  static uint8_t record[5 + 16383] = {22, 3, 1, 0x40, 0x00, 1, 0, 0x3f, 0xfc, 3, 3};
  assert_int_equal(write(chatty, record, sizeof record), sizeof record);
  run(&server[1].closed);
  ended(&server[1], XF_E_LIMIT, "without finishing the handshake, the most is 16384");
  int wrong = tcp_socket();
  assert_int_equal(write(wrong, "GET / HTTP/1.0\r\n\r\n", 18), 18);
  run(&server[2].closed);
  ended(&server[2], XF_E_FORMAT, "does not speak TLS");
  int gone = tcp_socket();
  close(gone);
  run(&server[3].closed);
  ended(&server[3], XF_E_UNREACHABLE, "closed the connection during the TLS handshake");
  close(silent);
  close(chatty);
  close(wrong);
  end();
}

static void test_refused_certificate(void **state) {
  (void)state;
  static const char *const parts[] = {"ca/ca.pem", "other/ca.pem"};
  pems_ca(&pems, "other", "lab");
  pems_issue(&pems, "other", XF_PKI_ROLE_CLIENT, "alpha", "alien", NULL);
  pems_join(&pems, "both", parts, 2);
  begin_as(NULL, 0, pems_ctx(&pems, XF_PKI_ROLE_COORDINATOR, "hub", "ca", true, 0),
           pems_ctx(&pems, XF_PKI_ROLE_CLIENT, "alien", "both", false, 0));
  dial(&client[0]);
  run(&client[0].open); /* TLS 1.3: a client is done before it was judged */
  struct xf_msg ping = {.type = XF_MSG_PING, .ping = {1}};
  send_ok(&client[0], &ping);
  run(&client[0].closed);
  run(&server[0].closed);
  ended(&client[0], XF_E_AUTH, "the coordinator does not trust the CA of our certificate");
  ended(&server[0], XF_E_AUTH, "certificate of alpha was issued by a CA that is not trusted here");
  assert_false(server[0].open);
  end();
  pems_issue(&pems, "ca", XF_PKI_ROLE_OPERATOR, "ops", "ops", NULL);
  begin_as(NULL, 0, pems_ctx(&pems, XF_PKI_ROLE_COORDINATOR, "hub", "ca", true, 0),
           pems_ctx(&pems, XF_PKI_ROLE_OPERATOR, "ops", "ca", false, 0));
  dial(&client[0]);
  run(&client[0].closed);
  run(&server[0].closed);
  assert_int_equal(client[0].last, XF_MSG_REFUSED);
  assert_non_null(strstr(client[0].text, "crossfed://lab/operator/ops, expected one of a client"));
  ended(&server[0], XF_E_AUTH, "expected one of a client");
  assert_false(server[0].open);
  end();
}

/* A name where the machine knows one: a bare system without /etc/hosts does not. */
static const char *loopback_name(void) {
  struct addrinfo *found = NULL;
  if (getaddrinfo("localhost", NULL, NULL, &found) != 0) return "127.0.0.1";
  freeaddrinfo(found);
  return "localhost";
}

static void test_dialling(void **state) {
  (void)state;
  struct xf_net_limits limits = {.handshake_ms = 100};
  begin(&limits);
  int fd = socket(AF_INET, SOCK_STREAM, 0); /* a port that nobody listens on */
  struct sockaddr_in at = {.sin_family = AF_INET};
  socklen_t len = sizeof at;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
  struct peer *p = &client[0];
  p->conn = xf_conn_dial(&net, alpha, "127.0.0.1", ntohs(at.sin_port), &handler, p);
  run(&p->closed);
  ended(p, XF_E_UNREACHABLE, "connection refused; is the coordinator running there?");
  /* A host that takes the connection and says nothing. */
  assert_int_equal(listen(fd, 1), 0);
  p = &client[1];
  p->conn = xf_conn_dial(&net, alpha, loopback_name(), ntohs(at.sin_port), &handler, p);
  run(&p->closed);
  ended(p, XF_E_TIMEOUT, "did not finish the TLS handshake within 100 ms");
  close(fd);
  p = &client[2];
  dial(p);
  assert_int_equal(xf_conn_state(p->conn), XF_CONN_CONNECTING);
  xf_conn_close(p->conn, true);
  run(&p->closed);
  ended(p, XF_OK, "");
  end();
}

/* A name with two addresses, the first of them dead: the second is put in by hand while the first is tried. */
static void test_second_address(void **state) {
  (void)state;
  begin(NULL);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in dead = {.sin_family = AF_INET}, live = {.sin_family = AF_INET};
  socklen_t len = sizeof dead;
  live.sin_port = htons(xf_listener_port(listener));
  dead.sin_addr.s_addr = live.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  assert_int_equal(bind(fd, (struct sockaddr *)&dead, sizeof dead), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&dead, &len), 0);
  struct addrinfo second = {.ai_addr = (struct sockaddr *)&live, .ai_addrlen = sizeof live};
  for (int i = 0; i < 2; i++) {
    struct peer *p = &client[i];
    p->conn = xf_conn_dial(&net, alpha, "127.0.0.1", ntohs(dead.sin_port), &handler, p);
    while (!p->conn->dial->addresses) uv_run(&loop, UV_RUN_ONCE);
    p->conn->dial->next = &second;
    if (i == 0) continue;
    while (p->conn->tcp_open && p->conn->dial) uv_run(&loop, UV_RUN_ONCE);
    xf_conn_close(p->conn, false); /* wherever it is by now, also between the two sockets */
  }
  run(&client[0].open);
  run(&client[1].closed);
  ended(&client[1], XF_OK, "");
  close(fd);
  end();
}

static void test_too_many(void **state) {
  (void)state;
  begin_as(NULL, 1, pems_ctx(&pems, XF_PKI_ROLE_COORDINATOR, "hub", "ca", true, 0),
           pems_ctx(&pems, XF_PKI_ROLE_CLIENT, "alpha", "ca", true, 0));
  meet();
  dial(&client[1]);
  run(&client[1].closed);
  ended(&client[1], XF_E_UNREACHABLE, "");
  assert_int_equal(xf_listener_refused(listener), 1);
  assert_int_equal(xf_listener_conns(listener), 1);
  xf_conn_close(client[0].conn, true);
  run(&server[0].closed);
  dial(&client[2]);
  run(&client[2].open);
  run(&server[1].open);
  end();
}

static void test_sudden_ends(void **state) {
  (void)state;
  begin(NULL);
  meet();
  xf_conn_close(client[0].conn, false); /* as if it had been killed */
  run(&server[0].closed);
  ended(&server[0], XF_E_UNREACHABLE, "without a goodbye");
  ended(&client[0], XF_OK, "");
  dial(&client[1]);
  run(&server[1].open);
  server[1].drop_at_msg = true;
  struct xf_msg ping = {.type = XF_MSG_PING, .ping = {1}};
  send_ok(&client[1], &ping);
  send_ok(&client[1], &ping); /* in the same read: not delivered after close */
  run(&server[1].closed);
  run(&client[1].closed);
  assert_int_equal(server[1].n_msgs, 1);
  assert_int_equal(client[1].last, XF_MSG_PONG); /* flushed */
  ended(&client[1], XF_E_EOF, "closed");
  xf_listener_close(listener); /* a connection outlives its listener */
  dial(&client[2]);
  run(&client[2].closed);
  listener = NULL;
  end();
}

static void test_listen_errors(void **state) {
  (void)state;
  struct xf_diag diag;
  begin(NULL);
  struct xf_listener *l = NULL;
  struct xf_listener_options o = {.host = "127.0.0.1",
                                  .port = xf_listener_port(listener),
                                  .ctx = hub,
                                  .handler = &handler,
                                  .on_accept = on_accept,
                                  .arg = server};
  assert_int_equal(xf_listener_open(&l, &net, &o, &diag), XF_E_EXISTS);
  assert_non_null(strstr(diag.text, "another process has it"));
  o.host = "203.0.113.77";
  o.port = 0;
  assert_int_equal(xf_listener_open(&l, &net, &o, &diag), XF_E_NOTFOUND);
  o.host = "not a host name";
  assert_int_equal(xf_listener_open(&l, &net, &o, &diag), XF_E_NOTFOUND);
  assert_null(l);
  end();
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
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_both_ways),           cmocka_unit_test(test_megabyte),
      cmocka_unit_test(test_bounded_queue),       cmocka_unit_test(test_close_delivers_queue),
      cmocka_unit_test(test_bad_frames),          cmocka_unit_test(test_unknown_type),
      cmocka_unit_test(test_slow_sender),         cmocka_unit_test(test_before_the_handshake),
      cmocka_unit_test(test_refused_certificate), cmocka_unit_test(test_dialling),
      cmocka_unit_test(test_second_address),      cmocka_unit_test(test_too_many),
      cmocka_unit_test(test_sudden_ends),         cmocka_unit_test(test_listen_errors),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
