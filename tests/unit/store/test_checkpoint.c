/* Checkpoints: order and digest, round trip, damage, and power loss at every operation. */
#include "base/fs_crash.h"
#include "crypto/blake2b.h"
#include "storetest.h"

#include <string.h>

static const struct xf_key keys[5] = {{{1}}, {{2}}, {{3}}, {{3, 1}}, {{9}}};

static enum xf_rc save(const struct xf_fs *fs, const char *path, uint64_t seed,
                       struct xf_checkpoint_saved *out, struct xf_diag *diag) {
  struct xf_layout layout;
  float model[ST_FLOATS], momentum[ST_FLOATS];
  const struct xf_checkpoint_keys ns = {.ns = "user", .key = keys, .n = 5};
  struct xf_checkpoint_info info = {.run = "run-1",
                                    .round = seed,
                                    .plan = st_digest(1),
                                    .parent = st_digest(3),
                                    .layout = st_digest(2)};
  st_layout(&layout);
  st_model(model, seed);
  st_model(momentum, seed + 50);
  struct xf_checkpoint_src src = {
      .layout = &layout, .global = model, .state = {momentum}, .keys = &ns, .n_keys = 1};
  enum xf_rc rc = xf_checkpoint_save(fs, path, &info, &src, out, diag);
  xf_layout_deinit(&layout);
  return rc;
}

static void test_order(void **state) {
  (void)state;
  struct xf_layout layout;
  struct xf_digest got, want;
  struct xf_blake2b_ctx ctx;
  float model[ST_FLOATS];
  st_layout(&layout);
  st_model(model, 4);
  assert_int_equal(xf_checkpoint_floats(&layout), ST_FLOATS);
  assert_int_equal(xf_checkpoint_offset(&layout, 0), 0);       /* w: shared */
  assert_int_equal(xf_checkpoint_offset(&layout, 1), 16);      /* u: aligned, after all shared */
  assert_true(xf_checkpoint_offset(&layout, 2) == UINT64_MAX); /* d: domain, not there */
  assert_int_equal(xf_checkpoint_offset(&layout, 3), 12);      /* b: shared */
  /* layout order: w, u, b */
  xf_blake2b_init(&ctx, NULL);
  xf_blake2b_feed(&ctx, model, 12 * 4);
  xf_blake2b_feed(&ctx, model + 16, 10 * 4);
  xf_blake2b_feed(&ctx, model + 12, 4 * 4);
  xf_blake2b_take(&ctx, &want);
  xf_checkpoint_digest(&got, &layout, model);
  assert_true(xf_digest_equal(&got, &want));
  xf_layout_deinit(&layout);
}

static void test_round_trip(void **state) {
  (void)state;
  const struct xf_fs *fs = xf_fs_posix();
  const char *path = st_path(st_dir_new(), "m.safetensors");
  struct xf_checkpoint_saved saved;
  struct xf_checkpoint c;
  struct xf_layout layout;
  struct xf_manifest m;
  struct xf_diag diag;
  float model[ST_FLOATS], back[ST_FLOATS], momentum[ST_FLOATS];
  assert_ok(save(fs, path, 4, &saved, &diag), &diag);
  st_layout(&layout);
  st_model(model, 4);
  assert_ok(xf_checkpoint_open(&c, fs, path, &diag), &diag);
  assert_int_equal(c.info.round, 4);
  assert_string_equal(c.info.run, "run-1");
  assert_true(xf_digest_equal(&c.info.model, &saved.model));
  assert_int_equal(c.n, ST_FLOATS);
  assert_true(c.n_state == 1);
  assert_ok(xf_checkpoint_verify(&c, &diag), &diag);
  assert_ok(xf_checkpoint_check(&c, &layout, &diag), &diag);
  for (size_t at = 0; at <= ST_FLOATS; at++)
    for (size_t n = 0; n <= ST_FLOATS - at; n++) {
      memset(back, 0, sizeof back);
      assert_ok(xf_checkpoint_read(&c, back, at, n, &diag), &diag);
      assert_memory_equal(back, model + at, n * sizeof(float));
    }
  assert_rc(xf_checkpoint_read(&c, back, ST_FLOATS, 1, &diag), XF_E_RANGE);
  st_model(momentum, 54);
  assert_ok(xf_checkpoint_read_state(&c, 0, back, 3, 5, &diag), &diag);
  assert_memory_equal(back, momentum + 3, 5 * sizeof(float));
  assert_rc(xf_checkpoint_read_state(&c, 1, back, 0, 1, &diag), XF_E_NOTFOUND);
  assert_ok(xf_checkpoint_keys(&c, &m, "user", &diag), &diag);
  assert_int_equal(m.n, 5);
  assert_memory_equal(m.key, keys, sizeof keys);
  xf_manifest_deinit(&m);
  assert_rc(xf_checkpoint_keys(&c, &m, "item", &diag), XF_E_NOTFOUND);
  layout.seg[1].rows = 6;
  assert_rc(xf_checkpoint_check(&c, &layout, &diag), XF_E_SHAPE);
  assert_non_null(strstr(diag.text, "\"u\" is 5 x 2"));
  layout.seg[1].rows = 5;
  layout.n_seg = 3;
  assert_rc(xf_checkpoint_check(&c, &layout, &diag), XF_E_SHAPE);
  layout.n_seg = 4;
  xf_checkpoint_close(&c);
  xf_checkpoint_close(&c);
  xf_layout_deinit(&layout);
  st_dir_remove();
}

/* Several stages in one file: shared floats first, then keyed ones, pairs as their triangle; also where nobody shares a key. */
static void test_stages(void **state) {
  (void)state;
  const struct xf_fs *fs = xf_fs_posix();
  const char *path = st_path(st_dir_new(), "m.safetensors");
  for (uint32_t n_keys = 0; n_keys <= 5; n_keys++) {
    const uint64_t pairs = (uint64_t)n_keys * (n_keys ? n_keys - 1 : 0) / 2;
    const struct xf_checkpoint_keys ns = {.ns = "item", .key = keys, .n = n_keys};
    const struct xf_checkpoint_info info = {.run = "run-1", .round = n_keys};
    struct xf_checkpoint_saved saved;
    struct xf_checkpoint c;
    struct xf_layout layout;
    struct xf_diag diag;
    float model[64], back[64];
    xf_diag_init(&diag);
    xf_layout_init(&layout);
    assert_rc(xf_layout_add(&layout, "g/diagonal", XF_ROLE_ALIGNED, "item", n_keys, 1, NULL),
              XF_OK);
    assert_rc(xf_layout_add(&layout, "g/pairs", XF_ROLE_PAIRED, "item", n_keys, 1, NULL), XF_OK);
    assert_rc(xf_layout_add(&layout, "g/own", XF_ROLE_DOMAIN, NULL, 9, 2, NULL), XF_OK);
    assert_rc(xf_layout_add(&layout, "s/w", XF_ROLE_SHARED, NULL, 3, 2, NULL), XF_OK);
    layout.seg[3].stage = 1;
    const uint64_t n = 6 + n_keys + pairs;
    assert_int_equal(xf_checkpoint_floats(&layout), n);
    assert_int_equal(xf_checkpoint_offset(&layout, 3), 0);
    assert_int_equal(xf_checkpoint_offset(&layout, 0), 6);
    assert_int_equal(xf_checkpoint_offset(&layout, 1), 6 + n_keys);
    for (uint64_t i = 0; i < n; i++) model[i] = (float)i + 0.5f;
    const struct xf_checkpoint_src src = {
        .layout = &layout, .global = model, .keys = &ns, .n_keys = 1};
    assert_ok(xf_checkpoint_save(fs, path, &info, &src, &saved, &diag), &diag);
    assert_ok(xf_checkpoint_open(&c, fs, path, &diag), &diag);
    assert_ok(xf_checkpoint_verify(&c, &diag), &diag);
    assert_ok(xf_checkpoint_check(&c, &layout, &diag), &diag);
    assert_int_equal(c.n, n);
    assert_ok(xf_checkpoint_read(&c, back, 0, (size_t)n, &diag), &diag);
    assert_memory_equal(back, model, n * sizeof(float));
    layout.seg[1].rows += 2; /* of other keys */
    assert_rc(xf_checkpoint_check(&c, &layout, &diag), XF_E_SHAPE);
    assert_non_null(strstr(diag.text, "\"g/pairs\""));
    xf_checkpoint_close(&c);
    xf_layout_deinit(&layout);
  }
  st_dir_remove();
}

/* A flipped bit anywhere is either refused at open or found by verify, or lies outside the model. */
static void test_damage(void **state) {
  (void)state;
  struct xf_fs_crash *disk = xf_fs_crash_new(1);
  const struct xf_fs *fs = xf_fs_crash_as_fs(disk);
  struct xf_checkpoint_saved saved;
  struct xf_diag diag;
  struct xf_buf file;
  float model[ST_FLOATS], back[ST_FLOATS];
  st_model(model, 4);
  assert_ok(save(fs, "/m", 4, &saved, &diag), &diag);
  xf_buf_init(&file, 1 << 20);
  assert_rc(xf_fs_read_file(fs, "/m", &file, NULL), XF_OK);
  for (size_t i = 0; i < file.len; i++) {
    struct xf_checkpoint c;
    file.p[i] ^= 0x04;
    assert_rc(xf_fs_replace(fs, "/m", file.p, file.len, NULL), XF_OK);
    file.p[i] ^= 0x04;
    enum xf_rc rc = xf_checkpoint_open(&c, fs, "/m", &diag);
    if (rc) continue;
    rc = xf_checkpoint_verify(&c, &diag);
    if (rc == XF_OK) { /* then the model is whole, whatever else was hit */
      assert_int_equal(c.n, ST_FLOATS);
      assert_ok(xf_checkpoint_read(&c, back, 0, ST_FLOATS, &diag), &diag);
      assert_memory_equal(back, model, sizeof model);
    } else assert_rc(rc, XF_E_CORRUPT);
    xf_checkpoint_close(&c);
  }
  xf_buf_deinit(&file);
  xf_fs_crash_free(disk);
}

/* Power loss during each operation of a save over an older one: afterwards the old model or the new one is
   there, whole; and the new one for certain once save has said OK. */
static void test_power_loss(void **state) {
  (void)state;
  struct xf_fs_crash *disk = xf_fs_crash_new(1);
  const struct xf_fs *fs = xf_fs_crash_as_fs(disk);
  uint64_t n_old = 0, n_new = 0;
  for (uint64_t seed = 1; seed <= 40; seed++)
    for (uint64_t cut = 1; cut <= 12; cut++) {
      struct xf_checkpoint_saved old, fresh;
      struct xf_checkpoint c;
      struct xf_diag diag;
      xf_fs_crash_reset(disk, seed * 100 + cut);
      assert_rc(fs->mkdir(fs, "/ckpt", 0700), XF_OK);
      assert_rc(fs->syncdir(fs, "/"), XF_OK);
      assert_ok(save(fs, "/ckpt/m", 1, &old, &diag), &diag);
      xf_fs_crash_cut_at(disk, cut);
      enum xf_rc rc = save(fs, "/ckpt/m", 2, &fresh, &diag);
      xf_fs_crash_crash(disk);
      assert_ok(xf_checkpoint_open(&c, fs, "/ckpt/m", &diag), &diag);
      assert_ok(xf_checkpoint_verify(&c, &diag), &diag);
      bool is_new = c.info.round == 2;
      assert_true(xf_digest_equal(&c.info.model, is_new ? &fresh.model : &old.model));
      assert_true(rc != XF_OK || is_new);
      n_old += !is_new;
      n_new += is_new;
      xf_checkpoint_close(&c);
    }
  assert_true(n_old > 0 && n_new > 0);
  xf_fs_crash_free(disk);
}

static void test_no_space(void **state) {
  (void)state;
  struct xf_fs_crash *disk = xf_fs_crash_new(1);
  const struct xf_fs *fs = xf_fs_crash_as_fs(disk);
  struct xf_checkpoint_saved saved;
  struct xf_checkpoint c;
  struct xf_diag diag;
  assert_ok(save(fs, "/m", 1, &saved, &diag), &diag);
  xf_fs_crash_set_capacity(disk, saved.bytes + saved.bytes / 2);
  assert_rc(save(fs, "/m", 2, &saved, &diag), XF_E_NOSPACE);
  assert_false(xf_fs_exists(fs, "/m.tmp"));
  assert_ok(xf_checkpoint_open(&c, fs, "/m", &diag), &diag);
  assert_int_equal(c.info.round, 1);
  xf_checkpoint_close(&c);
  for (uint64_t nth = 1; nth <= 8;
       nth++) { /* each operation fails once: an error, and the old one stays */
    xf_fs_crash_set_capacity(disk, XF_FS_CRASH_CAPACITY);
    assert_ok(save(fs, "/m", 1, &saved, &diag), &diag);
    xf_fs_crash_fail_at(disk, nth, XF_E_IO);
    enum xf_rc rc = save(fs, "/m", 2, &saved, &diag);
    xf_fs_crash_fail_at(disk, 0, XF_OK);
    assert_ok(xf_checkpoint_open(&c, fs, "/m", &diag), &diag);
    assert_ok(xf_checkpoint_verify(&c, &diag), &diag);
    assert_true(rc == XF_OK ? c.info.round == 2 : c.info.round == 1 || c.info.round == 2);
    xf_checkpoint_close(&c);
  }
  xf_fs_crash_free(disk);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_order),    cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_damage),   cmocka_unit_test(test_power_loss),
      cmocka_unit_test(test_no_space), cmocka_unit_test(test_stages),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
