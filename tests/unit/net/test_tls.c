/* Two TLS engines in one process, their bytes carried by hand: who gets in, who does not, and what both sides
   are told. */
#include "base/time.h"
#include "net/tls.h"
#include "unit/net/pems.h"

#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct pems pems;

struct end {
  struct xf_tls *tls;
  struct xf_buf out;  /* ciphertext to the other side */
  struct xf_buf text; /* plaintext received */
  bool open;
  enum xf_rc rc; /* E_AGAIN: alive */
  struct xf_diag diag;
};

static void end_init(struct end *e, struct xf_tls_ctx *ctx) {
  *e = (struct end){.rc = XF_E_AGAIN};
  xf_buf_init(&e->out, 1 << 20);
  xf_buf_init(&e->text, 1 << 20);
  xf_diag_init(&e->diag);
  assert_int_equal(xf_tls_new(&e->tls, ctx, &e->out), XF_OK);
}

static void end_deinit(struct end *e) {
  xf_tls_free(e->tls);
  xf_buf_deinit(&e->out);
  xf_buf_deinit(&e->text);
}

static void end_feed(struct end *e, const uint8_t *p, size_t len) {
  uint8_t plain[16384];
  size_t n = 0;
  xf_tls_feed(e->tls, p, len);
  while (e->rc == XF_E_AGAIN) {
    enum xf_rc rc = xf_tls_next(e->tls, plain, sizeof plain, &n, &e->diag);
    if (rc == XF_E_AGAIN) break;
    if (rc) e->rc = rc;
    else if (n == 0) e->open = true;
    else assert_int_equal(xf_buf_put(&e->text, plain, n), XF_OK);
  }
}

/* Carries bytes to and fro, `step` at a time, until both are silent. */
static void carry(struct end *a, struct end *b, size_t step) {
  while (a->out.len || b->out.len) {
    for (int side = 0; side < 2; side++) {
      struct end *from = side ? b : a, *to = side ? a : b;
      uint8_t moved[4096];
      size_t n = from->out.len < step ? from->out.len : step;
      if (n > sizeof moved) n = sizeof moved;
      if (n == 0) continue;
      memcpy(moved, from->out.p, n);
      xf_buf_consume(&from->out, n);
      if (to->rc == XF_E_AGAIN) end_feed(to, moved, n);
    }
  }
}

static void meet(struct end *client, struct end *server, struct xf_tls_ctx *cc,
                 struct xf_tls_ctx *sc, size_t step) {
  end_init(client, cc);
  end_init(server, sc);
  enum xf_rc rc = xf_tls_start(client->tls, &client->diag);
  assert_int_equal(rc, XF_OK);
  assert_int_equal(xf_tls_start(server->tls, &server->diag), XF_OK);
  carry(client, server, step);
}

static void has(const struct end *e, enum xf_rc rc, const char *words) {
  if (e->rc != rc || !strstr(xf_diag_text(&e->diag, e->rc), words))
    fail_msg("expected %s with \"%s\", got %s: %s", xf_rc_name(rc), words, xf_rc_name(e->rc),
             xf_diag_text(&e->diag, e->rc));
}

/* A meeting that must fail with these words on both sides. */
static void refused(struct xf_tls_ctx *cc, struct xf_tls_ctx *sc, enum xf_rc client_rc,
                    const char *client_words, enum xf_rc server_rc, const char *server_words) {
  struct end c, s;
  meet(&c, &s, cc, sc, 4096);
  has(&c, client_rc, client_words);
  has(&s, server_rc, server_words);
  end_deinit(&c);
  end_deinit(&s);
  xf_tls_ctx_free(cc);
  xf_tls_ctx_free(sc);
}

static struct xf_tls_ctx *hub(bool crl) {
  return pems_ctx(&pems, XF_PKI_ROLE_COORDINATOR, "hub", "ca", crl, 0);
}

static struct xf_tls_ctx *alpha(void) {
  return pems_ctx(&pems, XF_PKI_ROLE_CLIENT, "alpha", "ca", false, 0);
}

static void test_good(void **state) {
  (void)state;
  static const size_t steps[] = {4096, 1, 7};
  struct xf_tls_ctx *cc = alpha(), *sc = hub(true);
  for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
    struct end c, s;
    struct xf_identity id;
    char uri[XF_IDENTITY_CAP];
    meet(&c, &s, cc, sc, steps[i]);
    assert_true(c.open && s.open && xf_tls_is_open(c.tls) && xf_tls_is_open(s.tls));
    assert_int_equal(xf_tls_peer(s.tls, &id, &s.diag), XF_OK);
    assert_string_equal(xf_identity_print(uri, &id), "crossfed://lab/client/alpha");
    assert_int_equal(xf_tls_peer(c.tls, &id, &c.diag), XF_OK);
    assert_string_equal(xf_identity_print(uri, &id), "crossfed://lab/coordinator/hub");
    assert_string_equal(xf_tls_peer_serial(s.tls), xf_tls_ctx_own(cc)->serial);
    assert_int_equal(xf_tls_peer_not_after_s(c.tls), xf_tls_ctx_own(sc)->not_after_s);
    static uint8_t big[100000];
    for (size_t k = 0; k < sizeof big; k++) big[k] = (uint8_t)(k * 31 + k / 256);
    assert_int_equal(xf_tls_write(c.tls, big, sizeof big, &c.diag), XF_OK);
    assert_int_equal(xf_tls_write(s.tls, (const uint8_t *)"hello", 5, &s.diag), XF_OK);
    carry(&c, &s, 4096);
    assert_int_equal(s.text.len, sizeof big);
    assert_memory_equal(s.text.p, big, sizeof big);
    assert_int_equal(c.text.len, 5);
    xf_tls_close(c.tls);
    xf_tls_close(c.tls);
    carry(&c, &s, 4096);
    assert_int_equal(s.rc, XF_E_EOF);
    assert_int_equal(xf_tls_write(c.tls, big, 1, &c.diag), XF_E_STATE);
    end_deinit(&c);
    end_deinit(&s);
  }
  xf_tls_ctx_free(cc);
  xf_tls_ctx_free(sc);
}

static void test_write_bounds(void **state) {
  (void)state;
  struct xf_tls_ctx *cc = alpha(), *sc = hub(false);
  struct end c, s;
  end_init(&c, cc);
  assert_int_equal(xf_tls_write(c.tls, (const uint8_t *)"x", 1, &c.diag), XF_E_STATE);
  end_deinit(&c);
  meet(&c, &s, cc, sc, 4096);
  static uint8_t big[1 << 20];
  assert_int_equal(xf_tls_write(c.tls, big, sizeof big, &c.diag), XF_E_LIMIT);
  assert_int_equal(c.out.len, 0);
  assert_int_equal(xf_tls_write(c.tls, big, 1, &c.diag), XF_OK); /* still alive */
  end_deinit(&c);
  end_deinit(&s);
  xf_tls_ctx_free(cc);
  xf_tls_ctx_free(sc);
}

static void test_damage(void **state) {
  (void)state;
  struct xf_tls_ctx *cc = alpha(), *sc = hub(false);
  struct end c, s;
  meet(&c, &s, cc, sc, 4096);
  assert_int_equal(xf_tls_write(c.tls, (const uint8_t *)"hello", 5, &c.diag), XF_OK);
  c.out.p[c.out.len - 1] ^= 1;
  carry(&c, &s, 4096);
  has(&s, XF_E_CRYPTO, "the client");
  has(&c, XF_E_CRYPTO, "the coordinator broke off");
  assert_int_equal(s.text.len, 0);
  end_deinit(&c);
  end_deinit(&s);
  end_init(&s, sc);
  const char http[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  end_feed(&s, (const uint8_t *)http, sizeof http - 1);
  has(&s, XF_E_FORMAT, "does not speak TLS");
  end_deinit(&s);
  xf_tls_ctx_free(cc);
  xf_tls_ctx_free(sc);
}

/* --- certificates --- */

static void test_wrong_ca(void **state) {
  (void)state;
  pems_ca(&pems, "other", "lab");
  pems_issue(&pems, "other", XF_PKI_ROLE_CLIENT, "alpha", "alien", NULL);
  /* The server does not know the client's CA. The client trusts the server's: give it both lists. */
  static const char *const parts[] = {"ca/ca.pem", "other/ca.pem"};
  pems_join(&pems, "both", parts, 2);
  refused(pems_ctx(&pems, XF_PKI_ROLE_CLIENT, "alien", "both", false, 0), hub(false), XF_E_AUTH,
          "the coordinator does not trust the CA of our certificate", XF_E_AUTH,
          "the client was refused: certificate of alpha was issued by a CA that is not trusted");
  /* The client does not know the server's CA: it refuses first. */
  refused(pems_ctx(&pems, XF_PKI_ROLE_CLIENT, "alien", "other", false, 0), hub(false), XF_E_AUTH,
          "the coordinator was refused: certificate of hub", XF_E_AUTH,
          "the client does not trust the CA of our certificate");
}

static void test_expired(void **state) {
  (void)state;
  int64_t now = xf_wall_now_s();
  struct xf_leaf_options past = {.not_before_s = now - 7200, .not_after_s = now - 3600};
  pems_issue(&pems, "ca", XF_PKI_ROLE_CLIENT, "beta", "beta", &past);
  refused(pems_ctx(&pems, XF_PKI_ROLE_CLIENT, "beta", "ca", false, now - 5000), hub(false),
          XF_E_AUTH, "the coordinator refused our certificate as expired; renew it", XF_E_AUTH,
          "certificate of beta expired 2");
  struct xf_leaf_options soon = {.not_before_s = now + 3600, .not_after_s = now + 7200};
  pems_issue(&pems, "ca", XF_PKI_ROLE_CLIENT, "gamma", "gamma", &soon);
  refused(pems_ctx(&pems, XF_PKI_ROLE_CLIENT, "gamma", "ca", false, now + 5000), hub(false),
          XF_E_AUTH, "the coordinator refused our certificate as malformed or not valid yet",
          XF_E_AUTH, "certificate of gamma is not valid before 2");
  /* The other way round: the client refuses an old coordinator, and that one learns it. */
  pems_issue(&pems, "ca", XF_PKI_ROLE_COORDINATOR, "old", "old", &past);
  refused(alpha(), pems_ctx(&pems, XF_PKI_ROLE_COORDINATOR, "old", "ca", false, now - 5000),
          XF_E_AUTH, "the coordinator was refused: certificate of old expired", XF_E_AUTH,
          "the client refused our certificate as expired");
}

static void test_revoked_and_reload(void **state) {
  (void)state;
  struct xf_diag diag;
  xf_diag_init(&diag);
  size_t n = 0;
  struct xf_ca_options options = {0};
  pems_issue(&pems, "ca", XF_PKI_ROLE_CLIENT, "delta", "delta", NULL);
  struct xf_tls_ctx *cc = pems_ctx(&pems, XF_PKI_ROLE_CLIENT, "delta", "ca", false, 0);
  struct xf_tls_ctx *sc = hub(true);
  struct end c, s;
  meet(&c, &s, cc, sc, 4096);
  assert_true(c.open && s.open);
  assert_int_equal(xf_pki_revoke(&n, pems_path(&pems, "ca"), "delta", NULL, XF_PKI_KEY_COMPROMISE,
                                 &options, &diag),
                   XF_OK);
  assert_false(xf_pki_is_revoked(xf_tls_ctx_store(sc), xf_tls_peer_serial(s.tls)));
  assert_true(xf_pki_store_changed(xf_tls_ctx_store(sc)));
  assert_int_equal(xf_tls_ctx_reload(sc, &diag), XF_OK);
  assert_true(xf_pki_is_revoked(xf_tls_ctx_store(sc), xf_tls_peer_serial(s.tls)));
  /* The session that is open works on; its end is the shell's decision. */
  assert_int_equal(xf_tls_write(c.tls, (const uint8_t *)"x", 1, &diag), XF_OK);
  carry(&c, &s, 4096);
  assert_int_equal(s.text.len, 1);
  end_deinit(&c);
  end_deinit(&s);
  refused(cc, sc, XF_E_AUTH, "the coordinator refused our certificate as revoked", XF_E_AUTH,
          "certificate of delta is revoked");
}

static void test_context_errors(void **state) {
  (void)state;
  struct xf_diag diag;
  struct xf_tls_ctx *ctx = NULL;
  char cert[2 * PEMS_PATH], key[2 * PEMS_PATH], ca[2 * PEMS_PATH];
  snprintf(cert, sizeof cert, "%s/alpha.pem", pems.dir);
  snprintf(key, sizeof key, "%s/alpha.key", pems.dir);
  snprintf(ca, sizeof ca, "%s/ca/ca.pem", pems.dir);
  struct xf_tls_options o = {cert, key, ca, "/nonexistent/crl.pem", XF_PKI_ROLE_CLIENT, 0};
  xf_diag_init(&diag);
  assert_int_equal(xf_tls_ctx_new(&ctx, &o, &diag),
                   XF_E_NOTFOUND); /* configured, so it must be there */
  assert_non_null(strstr(diag.text, "/nonexistent/crl.pem"));
  o.crl_path = NULL;
  o.role = XF_PKI_ROLE_COORDINATOR;
  assert_int_equal(xf_tls_ctx_new(&ctx, &o, &diag), XF_E_AUTH);
  o.role = XF_PKI_ROLE_CLIENT;
  char other[2 * PEMS_PATH];
  snprintf(other, sizeof other, "%s/hub.key", pems.dir);
  o.key_path = other;
  assert_int_not_equal(xf_tls_ctx_new(&ctx, &o, &diag), XF_OK);
  o.key_path = key;
  assert_int_equal(xf_tls_ctx_new(&ctx, &o, &diag), XF_OK);
  /* A reload that fails leaves everything in force. */
  char serial[XF_SERIAL_CAP];
  snprintf(serial, sizeof serial, "%s", xf_tls_ctx_own(ctx)->serial);
  char away[2 * PEMS_PATH];
  snprintf(away, sizeof away, "%s/away.pem", pems.dir);
  assert_int_equal(rename(cert, away), 0);
  assert_int_equal(xf_tls_ctx_reload(ctx, &diag), XF_E_NOTFOUND);
  assert_string_equal(xf_tls_ctx_own(ctx)->serial, serial);
  struct xf_tls_ctx *sc = hub(false);
  struct end c, s;
  meet(&c, &s, ctx, sc, 4096);
  assert_true(c.open && s.open);
  end_deinit(&c);
  end_deinit(&s);
  assert_int_equal(rename(away, cert), 0);
  assert_int_equal(xf_tls_ctx_reload(ctx, &diag), XF_OK);
  xf_tls_ctx_free(ctx);
  xf_tls_ctx_free(sc);
  xf_tls_ctx_free(NULL);
}

/* Chain and purpose are right, the identity is not: open, but nobody we want. */
static void stranger(struct xf_tls_ctx *cc, const char *words) {
  struct xf_tls_ctx *sc = pems_ctx(&pems, XF_PKI_ROLE_COORDINATOR, "hub", "all", false, 0);
  struct end c, s;
  struct xf_identity id;
  meet(&c, &s, cc, sc, 4096);
  assert_true(s.open);
  assert_int_equal(xf_tls_peer(s.tls, &id, &s.diag), XF_E_AUTH);
  if (!strstr(s.diag.text, words)) fail_msg("%s", s.diag.text);
  end_deinit(&c);
  end_deinit(&s);
  xf_tls_ctx_free(cc);
  xf_tls_ctx_free(sc);
}

static void test_stranger(void **state) {
  (void)state;
  static const char *const parts[] = {"ca/ca.pem", "field/ca.pem"};
  pems_ca(&pems, "field", "field");
  pems_issue(&pems, "field", XF_PKI_ROLE_CLIENT, "alpha", "farmer", NULL);
  pems_join(&pems, "all", parts, 2);
  stranger(pems_ctx(&pems, XF_PKI_ROLE_CLIENT, "farmer", "all", false, 0),
           "the client belongs to federation \"field\", this one is \"lab\"");
  pems_issue(&pems, "ca", XF_PKI_ROLE_OPERATOR, "ops", "ops", NULL);
  stranger(pems_ctx(&pems, XF_PKI_ROLE_OPERATOR, "ops", "all", false, 0),
           "that of crossfed://lab/operator/ops, expected one of a client");
}

/* --- a client that plays by none of our rules --- */

static SSL_CTX *wild_ctx(const char *file, int version, bool alpn) {
  SSL_CTX *x = SSL_CTX_new(TLS_client_method());
  char name[PEMS_PATH];
  assert_non_null(x);
  SSL_CTX_set_max_proto_version(x, version);
  if (file) {
    snprintf(name, sizeof name, "%s.pem", file);
    assert_int_equal(SSL_CTX_use_certificate_chain_file(x, pems_path(&pems, name)), 1);
    snprintf(name, sizeof name, "%s.key", file);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(x, pems_path(&pems, name), SSL_FILETYPE_PEM), 1);
  }
  if (alpn) SSL_CTX_set_alpn_protos(x, (const unsigned char *)"\x0a" XF_TLS_ALPN, 11);
  return x;
}

static void wild(SSL_CTX *x, enum xf_rc rc, const char *words) {
  struct xf_tls_ctx *sc = hub(false);
  struct end s;
  end_init(&s, sc);
  SSL *ssl = SSL_new(x);
  BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
  assert_non_null(out);
  SSL_set_bio(ssl, in, out);
  SSL_set_connect_state(ssl);
  for (int turn = 0; turn < 6 && s.rc == XF_E_AGAIN; turn++) {
    uint8_t bytes[16384];
    (void)SSL_do_handshake(ssl);
    int n = BIO_read(out, bytes, sizeof bytes);
    if (n > 0) end_feed(&s, bytes, (size_t)n);
    if (s.out.len) BIO_write(in, s.out.p, (int)s.out.len);
    xf_buf_reset(&s.out);
  }
  has(&s, rc, words);
  assert_false(s.open);
  SSL_free(ssl);
  SSL_CTX_free(x);
  end_deinit(&s);
  xf_tls_ctx_free(sc);
}

static void test_wild_clients(void **state) {
  (void)state;
  wild(wild_ctx("alpha", TLS1_2_VERSION, true), XF_E_VERSION,
       "the client does not speak TLS 1.3, the only one accepted");
  wild(wild_ctx(NULL, TLS1_3_VERSION, true), XF_E_AUTH, "the client sent no certificate");
  wild(wild_ctx("hub", TLS1_3_VERSION, true), XF_E_AUTH,
       "certificate of hub is not meant for this side of a connection");
  wild(wild_ctx("alpha", TLS1_3_VERSION, false), XF_E_UNSUPPORTED,
       "the client does not offer the protocol crossfed/1");
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
      cmocka_unit_test(test_good),           cmocka_unit_test(test_write_bounds),
      cmocka_unit_test(test_damage),         cmocka_unit_test(test_wrong_ca),
      cmocka_unit_test(test_expired),        cmocka_unit_test(test_revoked_and_reload),
      cmocka_unit_test(test_stranger),       cmocka_unit_test(test_wild_clients),
      cmocka_unit_test(test_context_errors),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
