// Manifests in parts, the frozen directory, who has which rows, what a member is served.
#include "unit/server_io/iotest.h"

#include <string.h>

enum { KEYS = 4 };

/* Keys 10 * k + base, ascending. */
static void keys_of(uint8_t out[][XF_KEY_LEN], size_t n, uint8_t first, uint8_t step) {
  memset(out, 0, n * XF_KEY_LEN);
  for (size_t i = 0; i < n; i++) out[i][0] = (uint8_t)(first + i * step);
}

static struct xf_msg_manifest part(const uint8_t (*k)[XF_KEY_LEN], uint64_t at, uint64_t n,
                                   uint64_t total) {
  return (struct xf_msg_manifest){"user", total, at, k[at], n * XF_KEY_LEN};
}

static void announce(struct io *io, uint32_t member, uint8_t first, uint8_t step) {
  uint8_t k[KEYS][XF_KEY_LEN];
  struct xf_diag diag;
  bool complete = false;
  xf_diag_init(&diag);
  keys_of(k, KEYS, first, step);
  const struct xf_msg_manifest m = part((const uint8_t(*)[XF_KEY_LEN])k, 0, KEYS, KEYS);
  assert_ok(srv_align_take(&io->st, member, &m, &complete, &diag), &diag);
  assert_true(complete);
}

static void test_parts(void **state) {
  (void)state;
  struct io io;
  struct xf_diag diag;
  uint8_t k[KEYS][XF_KEY_LEN];
  bool complete = true;
  xf_diag_init(&diag);
  io_init(&io, io_plan_aligned);
  assert_false(io.recovery.r.frozen);
  keys_of(k, KEYS, 10, 10);
  const uint8_t(*c)[XF_KEY_LEN] = (const uint8_t(*)[XF_KEY_LEN])k;
  struct xf_msg_manifest m = part(c, 1, 1, KEYS);
  assert_rc(srv_align_take(&io.st, 0, &m, &complete, &diag),
            XF_E_RANGE); /* the first part is missing */
  m = part(c, 0, 2, KEYS);
  assert_ok(srv_align_take(&io.st, 0, &m, &complete, &diag), &diag);
  assert_false(complete);
  m = part(c, 3, 1, KEYS);
  assert_rc(srv_align_take(&io.st, 0, &m, &complete, &diag), XF_E_RANGE);
  srv_align_drop(&io.st, 0); /* a lost connection: from the start again */
  m = part(c, 0, 3, KEYS);
  assert_ok(srv_align_take(&io.st, 0, &m, &complete, &diag), &diag);
  m = part(c, 3, 1, KEYS);
  assert_ok(srv_align_take(&io.st, 0, &m, &complete, &diag), &diag);
  assert_true(complete);
  assert_true(io.st.m[0].aligned);
  k[3][0] = 1; /* not ascending */
  m = part(c, 0, KEYS, KEYS);
  assert_rc(srv_align_take(&io.st, 1, &m, &complete, &diag), XF_E_FORMAT);
  m.total = XF_MANIFEST_MAX + 1;
  assert_rc(srv_align_take(&io.st, 1, &m, &complete, &diag), XF_E_LIMIT);
  m.ns = "item";
  assert_rc(srv_align_take(&io.st, 1, &m, &complete, &diag), XF_E_INVAL);
  io_restart(&io);
  assert_true(io.st.m[0].aligned); /* from the ledger */
  assert_false(io.st.m[1].aligned);
  io_deinit(&io);
}

static uint32_t u32le(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

enum { SHARED = 2 }; /* keys that two members hold: 30 and 40 */

static void check_served(struct io *io) {
  float all[64], mine[16];
  struct xf_diag diag;
  const struct xf_global_view view = xf_global_view_of(&io->st.plan, true, 0);
  xf_diag_init(&diag);
  assert_int_equal(io->st.directory[0].all.n, SHARED); /* rows.min_holders is 2 */
  assert_ok(xf_checkpoint_read(&io->st.model, all, 0, (size_t)io->st.global.n, &diag), &diag);
  const uint64_t cols = io->st.global.row_cols[0];
  assert_int_equal(srv_model_lens(&io->st, 0).all, SHARED * cols * sizeof(float));
  assert_int_equal(srv_model_lens(&io->st, 0).up[0], SHARED * cols * sizeof(float));
  assert_ok(srv_model_read(&io->st, 1, &io->st.model_digest, view, 0, (uint8_t *)mine,
                           SHARED * cols * sizeof(float), &diag),
            &diag);
  assert_memory_equal(mine, all, SHARED * cols * sizeof(float)); /* bob holds both */
  uint8_t odd[7];                                                /* any bytes: cut inside floats */
  assert_ok(srv_model_read(&io->st, 1, &io->st.model_digest, view, 5, odd, sizeof odd, &diag),
            &diag);
  assert_memory_equal(odd, (const uint8_t *)mine + 5, sizeof odd);
  assert_rc(srv_model_read(&io->st, 1, &io->st.model_digest, view,
                           SHARED * cols * sizeof(float) - 2, odd, sizeof odd, &diag),
            XF_E_RANGE);
}

static void test_freeze(void **state) {
  (void)state;
  struct io io;
  struct xf_diag diag;
  struct xf_msg msg;
  uint8_t buf[64];
  xf_diag_init(&diag);
  io_init(&io, io_plan_aligned);
  announce(&io, 0, 10, 10);
  announce(&io, 1, 30, 10);
  assert_ok(srv_align_freeze(&io.st, &diag), &diag);
  assert_true(io.st.frozen);
  check_served(&io);
  const struct xf_digest model = io.st.model_digest, directory = io.st.directory_digest[0];
  assert_int_equal(srv_align_part(&io.st, 0, 0, 0, &msg, buf, sizeof buf), KEYS);
  assert_int_equal(msg.directory.n_all, SHARED);
  assert_int_equal(msg.directory.total, KEYS);
  const uint32_t want[KEYS] = {0, 0, 2, 2}; /* rows of one holder stay at the silo */
  for (int i = 0; i < KEYS; i++) assert_int_equal(u32le(buf + 4 * i), want[i]);
  assert_int_equal(srv_align_part(&io.st, 0, 0, 3, &msg, buf, 4), 1); /* the rest, in small parts */

  announce(&io, 2, 10, 10); /* late: its keys are known, yet it takes part without rows */
  assert_true(io.st.m[2].late);
  assert_int_equal(srv_model_lens(&io.st, 2).all, 0);
  assert_int_equal(srv_align_part(&io.st, 2, 0, 0, &msg, buf, sizeof buf), KEYS);
  assert_int_equal(u32le(buf), 0);

  io_restart(&io);
  assert_true(io.recovery.r.frozen);
  assert_memory_equal(&io.st.model_digest, &model, sizeof model);
  assert_memory_equal(&io.st.directory_digest[0], &directory, sizeof directory);
  assert_false(io.st.m[2].aligned); /* it announces again */
  check_served(&io);
  io_deinit(&io);
}

static bool take(struct io *io, uint32_t member, const char *ns, uint8_t first, uint64_t total) {
  uint8_t k[KEYS][XF_KEY_LEN];
  struct xf_diag diag;
  bool complete = true;
  xf_diag_init(&diag);
  keys_of(k, KEYS, first, 10);
  const struct xf_msg_manifest m = {ns, total, 0, k[0], (size_t)total * XF_KEY_LEN};
  assert_ok(srv_align_take(&io->st, member, &m, &complete, &diag), &diag);
  return complete;
}

static void check_both(struct io *io, const struct xf_digest digest[XF_SPACES_MAX]) {
  assert_true(io->st.frozen);
  assert_int_equal(io->st.directory[0].all.n, SHARED); /* items 30, 40 */
  assert_int_equal(io->st.directory[1].all.n, 3);      /* users 20, 30, 40 */
  assert_memory_equal(io->st.directory_digest, digest, sizeof(struct xf_digest[XF_SPACES_MAX]));
  const struct xf_plan_lens lens = srv_model_lens(&io->st, 0);
  assert_int_equal(lens.up[0], SHARED * sizeof(float));
  assert_int_equal(lens.up[1], 3 * 2 * sizeof(float));
  assert_int_equal(srv_model_lens(&io->st, 2).all, 0); /* has neither items nor users of others */
}

/* A member is aligned when its keys of both namespaces have come; half of them leave no trace. */
static void test_two_namespaces(void **state) {
  (void)state;
  struct io io;
  struct xf_diag diag;
  struct xf_msg msg;
  uint8_t buf[64];
  xf_diag_init(&diag);
  io_init(&io, io_plan_both);
  assert_int_equal(io.st.spaces.n, 2);
  assert_false(take(&io, 0, "item", 10, KEYS));
  io_restart(&io);
  assert_false(io.st.m[0].aligned || take(&io, 0, "user", 10, KEYS));
  assert_true(take(&io, 0, "item", 10, KEYS)); /* in any order */
  assert_false(take(&io, 1, "item", 30, KEYS));
  srv_align_drop(&io.st, 1); /* a lost connection: both again */
  assert_false(take(&io, 1, "user", 20, KEYS));
  assert_true(take(&io, 1, "item", 30, KEYS));
  assert_false(take(&io, 2, "user", 10, 0));
  assert_true(take(&io, 2, "item", 10, 0)); /* a silo without keys is aligned, too */
  assert_int_equal(srv_align_keys(&io.st, 0), 2 * KEYS);
  assert_ok(srv_align_freeze(&io.st, &diag), &diag);
  struct xf_digest digest[XF_SPACES_MAX];
  memcpy(digest, io.st.directory_digest, sizeof digest);
  assert_memory_not_equal(&digest[0], &digest[1], sizeof *digest);
  check_both(&io, digest);
  const uint32_t want[2][KEYS] = {{0, 0, 2, 2}, {0, 2, 2, 2}};
  for (uint32_t k = 0; k < 2; k++) {
    assert_int_equal(srv_align_part(&io.st, 0, k, 0, &msg, buf, sizeof buf), KEYS);
    assert_string_equal(msg.directory.ns, k ? "user" : "item");
    for (int i = 0; i < KEYS; i++) assert_int_equal(u32le(buf + 4 * i), want[k][i]);
  }
  io_restart(&io);
  assert_true(io.recovery.r.frozen);
  check_both(&io, digest);
  io_deinit(&io);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_parts), cmocka_unit_test(test_freeze),
                                     cmocka_unit_test(test_two_namespaces)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
