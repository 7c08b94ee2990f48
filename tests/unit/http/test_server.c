// tsan
// The server over real sockets: routes and refusals, keep-alive, tokens, hosts, where it may listen, clients that dribble, and
// an end that lets answers out.
#include "crypto/init.h"
#include "http/bind.h"
#include "http/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { ANSWER_MAX = 64 * 1024 };
#define TOKEN "0123456789abcdef0123456789abcdef"

static char dir[96], token_file[128], socket_path[128];
static struct xf_diag diag;

static void on_echo(void *arg, const struct xf_http_request *request, struct xf_http_reply *reply) {
  const char *text = xf_http_query_find(request->query, "text");
  (void)arg;
  if (!text) xf_http_fail(reply, 400, "no_text", "text is missing", "give text=");
  else if (xf_buf_put_str(&reply->body, text)) reply->status = 500;
}
static void on_slow(void *arg, const struct xf_http_request *request, struct xf_http_reply *reply) {
  (void)arg;
  (void)request;
  (void)usleep(300000);
  if (xf_buf_put_str(&reply->body, "late")) reply->status = 500;
}
static atomic_bool let_go;
static void on_held(void *arg, const struct xf_http_request *request, struct xf_http_reply *reply) {
  (void)arg;
  (void)request;
  for (int i = 0; i < 2000 && !atomic_load(&let_go); i++) (void)usleep(10000);
  if (xf_buf_put_str(&reply->body, "late")) reply->status = 500;
}
static void on_open(void *arg, const struct xf_http_request *request, struct xf_http_reply *reply) {
  (void)request;
  reply->type = "text/plain";
  if (xf_buf_put_str(&reply->body, arg)) reply->status = 500;
}
static const struct xf_http_route routes[] = {{"/echo", on_echo, false},
                                              {"/slow", on_slow, false},
                                              {"/held", on_held, false},
                                              {"/healthz", on_open, true}};

static struct xf_http_options options(void) {
  static char arg[] = "fine";
  return (struct xf_http_options){
      .listen = "127.0.0.1:0", .route = routes, .n_route = 4, .arg = arg};
}

static struct xf_http *start(const struct xf_http_options *o) {
  struct xf_http *http = NULL;
  xf_diag_init(&diag);
  if (xf_http_start(&http, o, &diag)) fail_msg("%s", diag.text);
  return http;
}

static int dial(const struct xf_http *http) {
  const struct sockaddr_in sa = {.sin_family = AF_INET,
                                 .sin_port = htons(xf_http_port(http)),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const struct timeval limit = {.tv_sec = 20};
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
  assert_int_equal(connect(fd, (const struct sockaddr *)&sa, sizeof sa), 0);
  return fd;
}

static int dial_unix(void) {
  struct sockaddr_un sa = {.sun_family = AF_UNIX};
  snprintf(sa.sun_path, sizeof sa.sun_path, "%.107s", socket_path);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  assert_int_equal(connect(fd, (const struct sockaddr *)&sa, sizeof sa), 0);
  return fd;
}

static void say(int fd, const char *text) {
  assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

// One whole answer (by its Content-Length), or all until the end; returns the status, 0 when there was none.
static int hear(int fd, char *out, bool head) {
  size_t n = 0;
  out[0] = '\0';
  for (;;) {
    const char *end = strstr(out, "\r\n\r\n"), *length = strstr(out, "Content-Length: ");
    if (end && length && (head || n >= (size_t)(end + 4 - out) + strtoul(length + 16, NULL, 10)))
      break;
    const ssize_t got = recv(fd, out + n, ANSWER_MAX - 1 - n, 0);
    if (got <= 0) break;
    n += (size_t)got;
    out[n] = '\0';
  }
  return strncmp(out, "HTTP/1.1 ", 9) == 0 ? (int)strtol(out + 9, NULL, 10) : 0;
}

static int ask(const struct xf_http *http, const char *request, char *out) {
  const int fd = dial(http);
  say(fd, request);
  const int status = hear(fd, out, strncmp(request, "HEAD", 4) == 0);
  close(fd);
  return status;
}

#define GET(target) "GET " target " HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define GET_WITH(target, more) "GET " target " HTTP/1.1\r\nHost: localhost\r\n" more "\r\n\r\n"

static void test_routes(void **state) {
  (void)state;
  static char out[ANSWER_MAX];
  const struct xf_http_options o = options();
  struct xf_http *http = start(&o);
  assert_true(xf_http_port(http) > 0);
  // several requests over one connection
  const int fd = dial(http);
  for (int i = 0; i < 3; i++) {
    say(fd, GET("/echo?text=a%20b"));
    assert_int_equal(hear(fd, out, false), 200);
    assert_string_equal(strstr(out, "\r\n\r\n") + 4, "a b");
    assert_non_null(strstr(out, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(out, "Cache-Control: no-store\r\n"));
  }
  say(fd, "HEAD /echo?text=abc HTTP/1.1\r\nHost: localhost\r\n\r\n");
  assert_int_equal(hear(fd, out, true), 200);
  assert_non_null(strstr(out, "Content-Length: 3\r\n"));
  assert_string_equal(strstr(out, "\r\n\r\n") + 4, "");
  say(fd, GET("/healthz"));
  assert_int_equal(hear(fd, out, false), 200);
  assert_non_null(strstr(out, "Content-Type: text/plain\r\n"));
  close(fd);
  // two requests at once
  const int pipe_fd = dial(http);
  say(pipe_fd, GET("/echo?text=one") GET_WITH("/echo?text=two", "Connection: close"));
  while (recv(pipe_fd, out, 1, MSG_PEEK) > 0 && !strstr(out, "two")) {
    const ssize_t n = recv(pipe_fd, out, sizeof out - 1, MSG_PEEK);
    if (n > 0) out[n] = '\0';
  }
  assert_true(strstr(out, "one") && strstr(out, "two"));
  close(pipe_fd);
  xf_http_stop(http, 1);
}

static void test_refused(void **state) {
  (void)state;
  static char out[ANSWER_MAX], big[3 * XF_HTTP_TARGET_MAX];
  struct xf_http_options o = options();
  o.timeout_s = 1; // libmicrohttpd may see that the other side has ended only by it
  struct xf_http *http = start(&o);
  static const struct {
    const char *request, *text;
    int status;
  } bad[] = {
      {GET("/none"), "\"no_such_path\"", 404},
      {GET("/echo"), "\"fix\":\"give text=\"", 400},
      {GET("/echo?text=%zz"), "\"bad_address\"", 400},
      {GET("/echo?text=%ff"), "UTF-8", 400},
      {"GET http://localhost/echo HTTP/1.1\r\nHost: localhost\r\n\r\n", "slash", 400},
      {GET_WITH("/echo?text=a", "Content-Length: 3") "abc", "\"body_not_allowed\"", 400},
      {GET_WITH("/echo?text=a", "Transfer-Encoding: chunked") "0\r\n\r\n", "\"body_not_allowed\"",
       400},
      {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", "Allow: GET, HEAD",
       405},
      {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nabcd",
       "Allow: GET, HEAD", 405},
      {"DELETE /echo HTTP/1.1\r\nHost: localhost\r\n\r\n", "\"method_not_allowed\"", 405},
      {"OPTIONS /echo HTTP/1.1\r\nHost: localhost\r\n\r\n", "\"method_not_allowed\"", 405},
      {"GET /echo?text=a HTTP/1.1\r\nHost: rebound.example\r\n\r\n", "\"wrong_host\"", 421},
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    const int status = ask(http, bad[i].request, out);
    if (status != bad[i].status || !strstr(out, bad[i].text))
      fail_msg("%s\n%d\n%s", bad[i].request, status, out);
  }
  // too long for us, and too long for the library
  memset(big, 'a', sizeof big);
  snprintf(big, sizeof big, "GET /echo?text=%0*d HTTP/1.1\r\nHost: localhost\r\n\r\n",
           XF_HTTP_TARGET_MAX, 1);
  assert_int_equal(ask(http, big, out), 414);
  assert_non_null(strstr(out, "\"address_too_long\""));
  // rubbish is answered or hung up on, and the server goes on
  static const char *const rubbish[] = {"\x16\x03\x01\x02", "\r\n\r\n\r\n", "GET\r\n\r\n",
                                        "GET / HTTP/9.9\r\n\r\n", "\xff\xff\xff\xff\n\n"};
  for (size_t i = 0; i < sizeof rubbish / sizeof rubbish[0]; i++) {
    const int fd = dial(http);
    say(fd, rubbish[i]);
    shutdown(fd, SHUT_WR);
    assert_int_not_equal(hear(fd, out, false), 200);
    char more;
    const ssize_t left = recv(fd, &more, 1, 0);
    assert_true(left >= 0 || errno == ECONNRESET); // not the 20 s of dial()
    close(fd);
  }
  assert_int_equal(ask(http, GET("/echo?text=a"), out), 200);
  assert_int_equal(ask(http, "GET /echo?text=a HTTP/1.0\r\n\r\n", out), 200);
  xf_http_stop(http, 1);
}

static void write_token(const char *text, mode_t mode) {
  FILE *f = fopen(token_file, "w");
  assert_non_null(f);
  fputs(text, f);
  assert_int_equal(fclose(f), 0);
  assert_int_equal(chmod(token_file, mode), 0);
}

static void test_token(void **state) {
  (void)state;
  static char out[ANSWER_MAX];
  struct xf_http_options o = options();
  o.token_file = token_file;
  struct xf_http *http = start(&o);
  assert_int_equal(ask(http, GET("/echo?text=a"), out), 401);
  assert_non_null(strstr(out, "WWW-Authenticate: Bearer"));
  assert_int_equal(ask(http, GET("/none"), out), 401); // says nothing about paths
  assert_int_equal(ask(http, GET_WITH("/echo?text=a", "Authorization: Bearer " TOKEN "x"), out),
                   401);
  assert_int_equal(ask(http, GET_WITH("/echo?text=a", "Authorization: " TOKEN), out), 401);
  assert_int_equal(ask(http, GET_WITH("/echo?text=a", "Authorization: Bearer " TOKEN), out), 200);
  assert_int_equal(ask(http, GET_WITH("/echo?text=a", "authorization: bearer  " TOKEN), out), 200);
  assert_int_equal(ask(http, GET("/healthz"), out), 200);
  // with a token any host may be named: that is what a proxy does
  assert_int_equal(
      ask(http,
          "GET /echo?text=a HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Bearer " TOKEN
          "\r\n\r\n",
          out),
      200);
  // another token, and one that cannot be read
  write_token(TOKEN "2\n", 0600);
  assert_int_equal(xf_http_reload(http, &diag), XF_OK);
  assert_int_equal(ask(http, GET_WITH("/echo?text=a", "Authorization: Bearer " TOKEN), out), 401);
  assert_int_equal(ask(http, GET_WITH("/echo?text=a", "Authorization: Bearer " TOKEN "2"), out),
                   200);
  write_token(TOKEN "3\n", 0644);
  assert_int_equal(xf_http_reload(http, &diag), XF_E_AUTH);
  assert_int_equal(ask(http, GET_WITH("/echo?text=a", "Authorization: Bearer " TOKEN "2"), out),
                   200);
  write_token(TOKEN "\n", 0600);
  xf_http_stop(http, 1);
}

static void test_where(void **state) {
  (void)state;
  struct xf_http_options o = options();
  struct xf_http *http = NULL;
  struct xf_http_address a;
  static const char *const bad[] = {
      "8080",   "localhost:80", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536",
      "::1:80", "[::1:80",      "[]:80",     ":80",         "1.2.3:80"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_int_equal(xf_http_address_parse(&a, bad[i], &diag), XF_E_CONFIG);
  static const char *const local[] = {"127.0.0.1:0", "127.8.9.10:80", "[::1]:80",
                                      "[::ffff:127.0.0.1]:80"};
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(xf_http_address_parse(&a, local[i], &diag), XF_OK);
    assert_true(a.loopback);
  }
  static const char *const far[] = {"0.0.0.0:80", "[::]:80", "10.0.0.1:80", "[::ffff:10.0.0.1]:80"};
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(xf_http_address_parse(&a, far[i], &diag), XF_OK);
    assert_false(a.loopback);
    o.listen = far[i];
    assert_int_equal(xf_http_start(&http, &o, &diag), XF_E_AUTH);
    assert_int_equal(xf_http_check(&o, &diag), XF_E_AUTH);
    assert_non_null(strstr(diag.text, "token_file"));
  }
  o.token_file = token_file; // with a token it may listen anywhere
  assert_int_equal(xf_http_check(&o, &diag), XF_OK);
  o.listen = NULL;
  assert_int_equal(xf_http_start(&http, &o, &diag), XF_E_CONFIG);
  o = options();
  o.token_file = token_file;
  write_token(TOKEN "\n", 0604);
  assert_int_equal(xf_http_check(&o, &diag), XF_E_AUTH);
  write_token("short\n", 0600);
  assert_int_equal(xf_http_check(&o, &diag), XF_E_FORMAT);
  write_token(TOKEN " \n", 0600);
  assert_int_equal(xf_http_check(&o, &diag), XF_E_FORMAT);
  write_token(TOKEN "\n", 0600);
  // the same port twice
  o = options();
  http = start(&o);
  char taken[32];
  snprintf(taken, sizeof taken, "127.0.0.1:%u", xf_http_port(http));
  o.listen = taken;
  struct xf_http *second = NULL;
  assert_int_equal(xf_http_start(&second, &o, &diag), XF_E_EXISTS);
  xf_http_stop(http, 0);
}

static void test_hosts(void **state) {
  (void)state;
  static const char *const local[] = {"localhost", "LOCALHOST:80", "127.0.0.1:1",
                                      "127.1.1.1", "[::1]",        "[::1]:80"};
  static const char *const other[] = {
      "",     "example.org", "localhost.example.org",    "10.0.0.1", "[::2]:1",
      "[::1", "[::1]x",      "127.0.0.1.example.org:80", ":80"};
  assert_true(xf_http_host_is_local(NULL));
  for (size_t i = 0; i < sizeof local / sizeof local[0]; i++)
    assert_true(xf_http_host_is_local(local[i]));
  for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
    assert_false(xf_http_host_is_local(other[i]));
}

static void test_unix(void **state) {
  (void)state;
  static char out[ANSWER_MAX];
  struct stat st;
  struct xf_http_options o = options();
  o.listen = NULL;
  o.socket = socket_path;
  o.socket_mode = 0660;
  struct xf_http *http = start(&o), *second = NULL;
  assert_int_equal(xf_http_port(http), 0);
  assert_int_equal(stat(socket_path, &st), 0);
  assert_int_equal(st.st_mode & 07777, 0660);
  const int fd = dial_unix();
  say(fd, GET_WITH("/echo?text=a", "X: y"));
  assert_int_equal(hear(fd, out, false), 200);
  say(fd, "GET /echo?text=a HTTP/1.1\r\nHost: anything\r\n\r\n"); // its file says who may connect
  assert_int_equal(hear(fd, out, false), 200);
  close(fd);
  assert_int_equal(xf_http_start(&second, &o, &diag), XF_E_EXISTS);
  xf_http_stop(http, 1);
  assert_int_not_equal(stat(socket_path, &st), 0);
  // one that a dead process left is replaced, a file is not
  int left = -1;
  assert_int_equal(xf_http_listen_unix(&left, socket_path, 0600, &diag), XF_OK);
  close(left);
  http = start(&o);
  xf_http_stop(http, 0);
  FILE *f = fopen(socket_path, "w");
  assert_non_null(f);
  fclose(f);
  assert_int_equal(xf_http_start(&http, &o, &diag), XF_E_EXISTS);
  unlink(socket_path);
  o.socket = "/a/path/that/is/too/long/for/the/address/of/a/socket/which/has/one/hundred/and/eight/"
             "bytes/and/no/more/than/that";
  assert_int_equal(xf_http_start(&http, &o, &diag), XF_E_LIMIT);
}

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t); /* lint: allow clock_gettime, a test measures */
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// A client that sends a byte now and then keeps libmicrohttpd's own time-out from ever running off.
static void test_dribble(void **state) {
  (void)state;
  static char out[ANSWER_MAX];
  struct xf_http_options o = options();
  o.timeout_s = 1;
  struct xf_http *http = start(&o);
  const int fd = dial(http);
  const double begin = now_s();
  say(fd, "GET /echo?text=");
  while (now_s() - begin < 10) {
    if (send(fd, "a", 1, MSG_NOSIGNAL) != 1) break;
    (void)usleep(100000);
  }
  assert_true(now_s() - begin < 5);
  assert_int_equal(hear(fd, out, false), 0);
  close(fd);
  assert_int_equal(ask(http, GET("/echo?text=a"), out), 200);
  xf_http_stop(http, 1);
}

static void test_bounds(void **state) {
  (void)state;
  static char out[ANSWER_MAX];
  struct xf_http_options o = options();
  o.per_address = 3;
  struct xf_http *http = start(&o);
  int fd[8], open_ = 0;
  for (int i = 0; i < 8; i++) {
    fd[i] = dial(http);
    say(fd[i], GET("/healthz"));
    open_ += hear(fd[i], out, false) == 200;
  }
  assert_int_equal(open_, 3);
  for (int i = 0; i < 8; i++) close(fd[i]);
  xf_http_stop(http, 1);
}

static void *stop(void *http) {
  xf_http_stop(http, 5);
  return NULL;
}

// More threads than one serve, refuse and end in the same way.
static void test_threads(void **state) {
  (void)state;
  static char out[ANSWER_MAX];
  struct xf_http_options o = options();
  o.threads = 3;
  struct xf_http *http = start(&o);
  const int slow = dial(http), fd = dial(http);
  say(slow, GET("/slow"));
  for (int i = 0; i < 20; i++) {
    say(fd, GET("/echo?text=a"));
    assert_int_equal(hear(fd, out, false), 200);
  }
  assert_int_equal(ask(http, GET("/none"), out), 404);
  xf_http_stop(http, 5);
  assert_int_equal(hear(slow, out, false), 200);
  assert_int_equal(recv(fd, out, 1, 0), 0);
  close(slow);
  close(fd);
  o.max_connections = 1000000;
  assert_int_equal(xf_http_start(&http, &o, &diag), XF_E_LIMIT);
  assert_non_null(strstr(diag.text, "ulimit"));
}

static bool refused(uint16_t port) {
  const struct sockaddr_in sa = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  const bool no = connect(fd, (const struct sockaddr *)&sa, sizeof sa) && errno == ECONNREFUSED;
  close(fd);
  return no;
}

// The request under way is answered, and told that the connection ends; who comes meanwhile is refused.
static void test_drain(void **state) {
  (void)state;
  static char out[ANSWER_MAX];
  const struct xf_http_options o = options();
  struct xf_http *http = start(&o);
  const int fd = dial(http), idle = dial(http);
  pthread_t thread;
  say(fd, GET("/held"));
  (void)usleep(100000);
  const uint16_t port = xf_http_port(http);
  assert_int_equal(pthread_create(&thread, NULL, stop, http), 0);
  bool late_comer = false;
  for (int i = 0; i < 1000 && !late_comer; i++) {
    (void)usleep(10000);
    late_comer = refused(port);
  }
  assert_int_equal(recv(fd, out, 1, MSG_PEEK | MSG_DONTWAIT), -1); // it is still being answered
  atomic_store(&let_go, true);
  assert_true(late_comer);
  assert_int_equal(hear(fd, out, false), 200);
  assert_string_equal(strstr(out, "\r\n\r\n") + 4, "late");
  assert_non_null(strcasestr(out, "Connection: close"));
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_int_equal(recv(idle, out, 1, 0), 0);
  close(fd);
  close(idle);
}

static int set_up(void **state) {
  (void)state;
  const char *base = getenv("TMPDIR");
  snprintf(dir, sizeof dir, "%.60s/xf-http-XXXXXX", base ? base : "/tmp");
  if (!mkdtemp(dir) || xf_crypto_start()) return -1;
  snprintf(token_file, sizeof token_file, "%s/token", dir);
  snprintf(socket_path, sizeof socket_path, "%s/http.sock", dir);
  write_token(TOKEN "\n", 0600);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  unlink(token_file);
  return rmdir(dir);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_routes),  cmocka_unit_test(test_refused), cmocka_unit_test(test_token),
      cmocka_unit_test(test_where),   cmocka_unit_test(test_hosts),   cmocka_unit_test(test_unix),
      cmocka_unit_test(test_dribble), cmocka_unit_test(test_bounds),  cmocka_unit_test(test_drain),
      cmocka_unit_test(test_threads)};
  return cmocka_run_group_tests_name("server", tests, set_up, tear_down);
}
