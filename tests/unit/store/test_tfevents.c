/* The event file: bytes worked out by hand, records read back by a reader that shares nothing with the writer but crc32c_ref,
   and what remains of a torn or damaged tail. */
#include "store/tfevents.h"

#include "base/crc32c.h"
#include "base/fs_crash.h"
#include "storetest.h"

#include <math.h>
#include <string.h>

enum { MOST = 4096 };

struct bytes {
  uint8_t p[MOST];
  size_t n;
};

static struct bytes read_all(const struct xf_fs *fs) {
  struct bytes b = {{0}, 0};
  struct xf_buf buf;
  xf_buf_init(&buf, MOST);
  assert_rc(xf_fs_read_file(fs, "/run.tfevents", &buf, NULL), XF_OK);
  b.n = buf.len;
  memcpy(b.p, buf.p, buf.len);
  xf_buf_deinit(&buf);
  return b;
}

static uint64_t little(const uint8_t *p, size_t n) {
  uint64_t v = 0;
  for (size_t i = n; i > 0; i--) v = v << 8 | p[i - 1];
  return v;
}

static uint32_t mask(uint32_t c) { return ((c >> 15) | (c << 17)) + 0xa282ead8u; }

/* Checks the frame at *at and gives its data. */
static const uint8_t *record(const struct bytes *b, size_t *at, size_t *n) {
  assert_true(*at + 16 <= b->n);
  *n = (size_t)little(b->p + *at, 8);
  assert_true(*at + 16 + *n <= b->n);
  const uint8_t *data = b->p + *at + 12;
  assert_int_equal(little(b->p + *at + 8, 4), mask(xf_crc32c_ref(0, b->p + *at, 8)));
  assert_int_equal(little(data + *n, 4), mask(xf_crc32c_ref(0, data, *n)));
  *at += 16 + *n;
  return data;
}

static void open_it(struct xf_tfevents *e, const struct xf_fs *fs, bool fresh) {
  assert_rc(xf_tfevents_open(e, fs, "/run.tfevents", fresh), XF_OK);
}

static void test_bytes(void **state) {
  (void)state;
  struct xf_fs_crash *disk = xf_fs_crash_new(1);
  const struct xf_fs *fs = xf_fs_crash_as_fs(disk);
  struct xf_tfevents e;
  const struct xf_tfevents_value v[] = {{"a/b", 1.5}, {"nan", NAN}, {"c", -2}};
  open_it(&e, fs, true);
  assert_rc(xf_tfevents_put(&e, 1.0, 300, v, 3), XF_OK);
  assert_rc(xf_tfevents_put(&e, 1.0, 301, &v[1], 1), XF_OK); /* nothing finite: no record */
  xf_tfevents_close(&e);
  xf_tfevents_close(&e);
  assert_rc(xf_tfevents_put(&e, 1.0, 300, v, 3), XF_E_STATE);
  const struct bytes b = read_all(fs);
  size_t at = 0, n = 0;
  const uint8_t *p = record(&b, &at, &n);
  /* wall_time (field 1, 64 bits) 0; file_version (field 3, bytes) */
  static const uint8_t version[] = "\x09\0\0\0\0\0\0\0\0\x1a\x0d"
                                   "brain.Event:2";
  assert_int_equal(n, sizeof version - 1);
  assert_memory_equal(p, version, n);
  p = record(&b, &at, &n);
  /* 1.0 = 3ff0...; step 300 = ac 02; summary (5) of 10 + 2 + 8 + 2 = 22 bytes: value (1) {tag (1), simple_value (2, 32 bits)} */
  static const uint8_t event[] = "\x09\0\0\0\0\0\0\xf0\x3f\x10\xac\x02\x2a\x16"
                                 "\x0a\x0a\x0a\x03"
                                 "a/b\x15\0\0\xc0\x3f"
                                 "\x0a\x08\x0a\x01"
                                 "c\x15\0\0\0\xc0";
  assert_int_equal(n, sizeof event - 1);
  assert_memory_equal(p, event, n);
  assert_int_equal(at, b.n);
  xf_fs_crash_free(disk);
}

static void test_tails_are_cut(void **state) {
  (void)state;
  struct xf_fs_crash *disk = xf_fs_crash_new(1);
  const struct xf_fs *fs = xf_fs_crash_as_fs(disk);
  const struct xf_tfevents_value v = {"x", 1};
  struct xf_tfevents e;
  struct xf_file file;
  open_it(&e, fs, true);
  assert_rc(xf_tfevents_put(&e, 1, 1, &v, 1), XF_OK);
  assert_rc(xf_tfevents_put(&e, 1, 2, &v, 1), XF_OK);
  xf_tfevents_close(&e);
  const struct bytes b = read_all(fs);
  size_t two = 0, n = 0;
  (void)record(&b, &two, &n);
  (void)record(&b, &two, &n);
  for (size_t cut = 0; cut <= b.n;
       cut++) { /* at every length, and every byte of the last record damaged */
    struct bytes now = b;
    if (cut < b.n) now.n = cut;
    assert_rc(fs->open(fs, &file, "/run.tfevents", XF_FS_CREATE), XF_OK);
    assert_rc(fs->pwrite(&file, now.p, now.n, 0), XF_OK);
    assert_rc(fs->close(&file), XF_OK);
    open_it(&e, fs, false);
    xf_tfevents_close(&e);
    const struct bytes left = read_all(fs);
    assert_true(left.n <= b.n && left.n > 0);
    assert_memory_equal(left.p, b.p, left.n);
    if (cut == b.n) assert_int_equal(left.n, b.n);
    else if (cut >= two) assert_int_equal(left.n, two);
    if (cut < two || cut == b.n) continue;
    now = b;
    now.p[cut] ^= 4;
    assert_rc(fs->open(fs, &file, "/run.tfevents", XF_FS_CREATE), XF_OK);
    assert_rc(fs->pwrite(&file, now.p, now.n, 0), XF_OK);
    assert_rc(fs->close(&file), XF_OK);
    open_it(&e, fs, false);
    assert_int_equal(e.len, two);
    xf_tfevents_close(&e);
  }
  open_it(&e, fs, true);
  xf_tfevents_close(&e);
  assert_true(read_all(fs).n < two);
  xf_fs_crash_free(disk);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bytes),
      cmocka_unit_test(test_tails_are_cut),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
