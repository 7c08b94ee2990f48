/* The spool: arrival, damage, power loss, recovery and collection. */
#include "base/fs_crash.h"
#include "crypto/sha256.h"
#include "store/spool.h"
#include "storetest.h"

#include <string.h>

enum { N = 1000 };
static uint8_t payload[N];

static struct xf_spool_head head_of(uint64_t round, const char *member) {
  struct xf_spool_head h = {.round = round,
                            .weight = 12,
                            .n_samples = 345,
                            .dtype = 3,
                            .payload_len = N,
                            .update_digest = st_digest(round + 9),
                            .charge = {true, true, 1.0, 0.8, 2.0, 3.5, 1.75},
                            .meta = "{\"loss_sum\":0.1}"};
  h.task_id = st_task(round, member);
  memcpy(h.member, member, strlen(member) + 1);
  for (int i = 0; i < N; i++) payload[i] = (uint8_t)(i * 7 + member[0]);
  xf_sha256(&h.payload_digest, payload, N);
  return h;
}

static enum xf_rc arrive(const struct xf_spool *s, uint64_t round, const char *member, char *name) {
  struct xf_spool_head h = head_of(round, member);
  struct xf_spool_in in;
  struct xf_diag diag;
  enum xf_rc rc = xf_spool_begin(&in, s, &h, &diag);
  for (size_t at = 0; at < N && !rc; at += 300)
    rc = xf_spool_write(&in, payload + at, at + 300 < N ? 300 : N - at, at, &diag);
  if (!rc) rc = xf_spool_finish(&in, name, &diag);
  xf_spool_abort(&in);
  return rc;
}

static void test_round_trip(void **state) {
  (void)state;
  struct xf_fs_crash *disk = xf_fs_crash_new(1);
  struct xf_spool s;
  struct xf_spool_entry e;
  struct xf_diag diag;
  char name[XF_SPOOL_NAME_MAX];
  uint8_t back[N];
  float f[4];
  assert_ok(xf_spool_init(&s, xf_fs_crash_as_fs(disk), "/spool", &diag), &diag);
  assert_rc(arrive(&s, 17, "a", name), XF_OK);
  assert_int_equal(strncmp(name, "r0000000017-", 12), 0);
  assert_ok(xf_spool_open(&e, &s, name, &diag), &diag);
  struct xf_spool_head h = head_of(17, "a");
  assert_memory_equal(&e.head.task_id, &h.task_id, 32);
  assert_string_equal(e.head.member, "a");
  assert_string_equal(e.head.meta, h.meta);
  assert_int_equal(e.head.weight, 12);
  assert_int_equal(e.head.n_samples, 345);
  assert_int_equal(e.head.dtype, 3);
  assert_true(e.head.charge.noised && e.head.charge.clipped);
  assert_true(e.head.charge.epsilon == 3.5 && e.head.charge.epsilon_zero_out == 1.75);
  assert_ok(xf_spool_verify(&e, &diag), &diag);
  assert_ok(xf_spool_read(&e, back, N - 10, 10, &diag), &diag);
  assert_memory_equal(back, payload + 10, N - 10);
  assert_ok(xf_spool_read_floats(&e, f, 4, 246, &diag), &diag);
  assert_memory_equal(f, payload + 246 * 4, 16);
  assert_rc(xf_spool_read_floats(&e, f, 4, 247, &diag), XF_E_RANGE);
  assert_rc(xf_spool_read_floats(&e, f, 1, UINT64_MAX / 2, &diag), XF_E_RANGE);
  xf_spool_close(&e);
  xf_spool_close(&e);
  xf_fs_crash_free(disk);
}

static void test_refuses(void **state) {
  (void)state;
  struct xf_fs_crash *disk = xf_fs_crash_new(1);
  const struct xf_fs *fs = xf_fs_crash_as_fs(disk);
  struct xf_spool s;
  struct xf_spool_in in;
  struct xf_diag diag;
  struct xf_spool_head h = head_of(1, "a");
  char name[XF_SPOOL_NAME_MAX];
  assert_ok(xf_spool_init(&s, fs, "/spool", &diag), &diag);
  assert_ok(xf_spool_begin(&in, &s, &h, &diag), &diag);
  assert_rc(xf_spool_write(&in, payload, 10, 5, &diag), XF_E_RANGE); /* not where it is */
  assert_rc(xf_spool_write(&in, payload, N + 1, 0, &diag), XF_E_RANGE);
  assert_ok(xf_spool_write(&in, payload, 10, 0, &diag), &diag);
  assert_rc(xf_spool_write(&in, payload, 10, 0, &diag), XF_E_RANGE);
  assert_rc(xf_spool_finish(&in, name, &diag), XF_E_SHAPE);
  assert_rc(xf_spool_finish(&in, name, &diag), XF_E_STATE);
  h.payload_digest.b[0] ^= 1;
  assert_ok(xf_spool_begin(&in, &s, &h, &diag), &diag);
  assert_ok(xf_spool_write(&in, payload, N, 0, &diag), &diag);
  assert_rc(xf_spool_finish(&in, name, &diag), XF_E_CORRUPT);
  h.payload_len = XF_SPOOL_PAYLOAD_MAX + 1;
  assert_rc(xf_spool_begin(&in, &s, &h, &diag), XF_E_LIMIT);
  h = head_of(1, "a");
  memcpy(h.member, "A!", 3);
  assert_rc(xf_spool_begin(&in, &s, &h, &diag), XF_E_INVAL);
  xf_fs_crash_set_capacity(disk, XF_SPOOL_HEADER + N - 1);
  assert_rc(arrive(&s, 1, "a", name), XF_E_NOSPACE);
  struct xf_spool_entry e;
  assert_rc(xf_spool_open(&e, &s, "../etc/passwd", &diag), XF_E_INVAL);
  struct xf_spool_scan scan;
  assert_ok(xf_spool_scan(&s, NULL, NULL, &scan, &diag), &diag); /* nothing was left behind */
  assert_int_equal(scan.temps + scan.kept + scan.strange, 0);
  xf_fs_crash_free(disk);
}

static void test_damage(void **state) {
  (void)state;
  struct xf_fs_crash *disk = xf_fs_crash_new(1);
  const struct xf_fs *fs = xf_fs_crash_as_fs(disk);
  struct xf_spool s;
  struct xf_spool_entry e;
  struct xf_diag diag;
  struct xf_buf file;
  char name[XF_SPOOL_NAME_MAX];
  assert_ok(xf_spool_init(&s, fs, "/spool", &diag), &diag);
  assert_rc(arrive(&s, 2, "b", name), XF_OK);
  const char *path = st_path("/spool", name);
  xf_buf_init(&file, 1 << 20);
  assert_rc(xf_fs_read_file(fs, path, &file, NULL), XF_OK);
  for (size_t i = 0; i < file.len; i++) {
    file.p[i] ^= 0x40;
    assert_rc(xf_fs_replace(fs, path, file.p, file.len, NULL), XF_OK);
    file.p[i] ^= 0x40;
    enum xf_rc rc = xf_spool_open(&e, &s, name, &diag);
    if (i < XF_SPOOL_HEADER) assert_rc(rc, XF_E_CORRUPT);
    else {
      assert_rc(rc, XF_OK);
      assert_rc(xf_spool_verify(&e, &diag), XF_E_CORRUPT);
    }
    xf_spool_close(&e);
  }
  for (size_t n = 0; n < file.len; n += 97) {
    assert_rc(xf_fs_replace(fs, path, file.p, n, NULL), XF_OK);
    assert_rc(xf_spool_open(&e, &s, name, &diag), XF_E_CORRUPT);
  }
  xf_buf_deinit(&file);
  xf_fs_crash_free(disk);
}

struct seen {
  uint64_t n, damaged;
  uint64_t delete_round;
};

static enum xf_spool_fate visit(void *arg, const char *name, const struct xf_spool_head *head,
                                const struct xf_diag *diag) {
  struct seen *s = arg;
  s->n++;
  assert_non_null(name);
  if (head) return head->round == s->delete_round ? XF_SPOOL_DELETE : XF_SPOOL_KEEP;
  assert_true(diag->text[0] != '\0');
  s->damaged++;
  return XF_SPOOL_DELETE;
}

static void test_scan_collect(void **state) {
  (void)state;
  struct xf_fs_crash *disk = xf_fs_crash_new(1);
  const struct xf_fs *fs = xf_fs_crash_as_fs(disk);
  struct xf_spool s;
  struct xf_spool_scan scan;
  struct xf_spool_in in;
  struct xf_diag diag;
  char name[XF_SPOOL_NAME_MAX];
  struct seen seen = {.delete_round = 3};
  assert_ok(xf_spool_init(&s, fs, "/spool", &diag), &diag);
  for (uint64_t r = 1; r <= 4; r++)
    for (int m = 0; m < ST_MEMBERS; m++) assert_rc(arrive(&s, r, st_member[m], name), XF_OK);
  assert_rc(xf_fs_replace(fs, st_path("/spool", name), "short", 5, NULL), XF_OK); /* damage 4/c */
  assert_rc(xf_fs_replace(fs, "/spool/notes.txt", "mine", 4, NULL), XF_OK);
  struct xf_spool_head h = head_of(5, "a");
  assert_ok(xf_spool_begin(&in, &s, &h, &diag), &diag);
  assert_ok(xf_spool_write(&in, payload, 10, 0, &diag), &diag);
  xf_fs_crash_kill(disk); /* the process dies with a temporary file */
  assert_ok(xf_spool_scan(&s, visit, &seen, &scan, &diag), &diag);
  assert_int_equal(seen.n, 12);
  assert_int_equal(seen.damaged, 1);
  assert_int_equal(scan.temps, 1);
  assert_int_equal(scan.strange, 1);
  assert_int_equal(scan.deleted, 4);
  assert_int_equal(scan.kept, 8);
  const uint64_t keep[] = {4, 2};
  uint64_t n = 0;
  assert_ok(xf_spool_collect(&s, keep, 2, &n, &diag), &diag);
  assert_int_equal(n, 3);
  assert_ok(xf_spool_collect(&s, keep, 2, &n, &diag), &diag);
  assert_int_equal(n, 0);
  assert_true(xf_fs_exists(fs, "/spool/notes.txt"));
  in.open = false; /* its file died with the process */
  xf_fs_crash_free(disk);
}

/* Power loss at every operation: what finish said OK for is there and whole; nothing half-way looks finished. */
static void test_power_loss(void **state) {
  (void)state;
  struct xf_fs_crash *disk = xf_fs_crash_new(1);
  const struct xf_fs *fs = xf_fs_crash_as_fs(disk);
  uint64_t lost = 0, kept = 0;
  for (uint64_t seed = 1; seed <= 30; seed++)
    for (uint64_t cut = 1; cut <= 14; cut++) {
      struct xf_spool s;
      struct xf_spool_scan scan;
      struct xf_spool_entry e;
      struct xf_diag diag;
      char name[XF_SPOOL_NAME_MAX] = "";
      struct seen seen = {0};
      xf_fs_crash_reset(disk, seed * 100 + cut);
      assert_ok(xf_spool_init(&s, fs, "/spool", &diag), &diag);
      assert_rc(fs->syncdir(fs, "/"), XF_OK);
      xf_fs_crash_cut_at(disk, cut);
      enum xf_rc rc = arrive(&s, 1, "a", name);
      xf_fs_crash_crash(disk);
      assert_ok(xf_spool_scan(&s, visit, &seen, &scan, &diag), &diag);
      assert_int_equal(seen.damaged, 0);
      assert_true(rc != XF_OK || scan.kept == 1);
      if (scan.kept) {
        assert_ok(xf_spool_open(&e, &s, name, &diag), &diag);
        assert_ok(xf_spool_verify(&e, &diag), &diag);
        xf_spool_close(&e);
      }
      lost += scan.kept == 0;
      kept += scan.kept;
    }
  assert_true(lost > 0 && kept > 0);
  xf_fs_crash_free(disk);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip), cmocka_unit_test(test_refuses),
      cmocka_unit_test(test_damage),     cmocka_unit_test(test_scan_collect),
      cmocka_unit_test(test_power_loss),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
