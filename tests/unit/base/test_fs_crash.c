/* The crashing disk: what survives a power loss, what need not, and what must never be seen. */
#include "base/fs_crash.h"

#include "base/rng.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct world {
  struct xf_fs_crash *disk;
  const struct xf_fs *fs;
};

static void world_init(struct world *w, uint64_t seed) {
  w->disk = xf_fs_crash_new(seed);
  w->fs = xf_fs_crash_as_fs(w->disk);
}

static void world_deinit(struct world *w) { xf_fs_crash_free(w->disk); }

/* Writes a file, optionally with fsync and syncdir of "/". */
static void put(struct world *w, const char *path, const void *p, size_t len, bool sync, bool dir) {
  struct xf_file f;
  assert_int_equal(w->fs->open(w->fs, &f, path, XF_FS_CREATE), XF_OK);
  assert_int_equal(w->fs->pwrite(&f, p, len, 0), XF_OK);
  if (sync) assert_int_equal(w->fs->fsync(&f), XF_OK);
  assert_int_equal(w->fs->close(&f), XF_OK);
  if (dir) assert_int_equal(w->fs->syncdir(w->fs, "/"), XF_OK);
}

/* Content of a file in a static buffer, or NULL when it does not exist. */
static const uint8_t *get(struct world *w, const char *path, size_t *len) {
  static uint8_t bytes[64 * 1024];
  struct xf_file f;
  enum xf_rc rc = w->fs->open(w->fs, &f, path, XF_FS_READ);
  if (rc == XF_E_NOTFOUND) return NULL;
  assert_int_equal(rc, XF_OK);
  assert_int_equal(w->fs->pread(&f, bytes, sizeof bytes, 0, len), XF_OK);
  assert_int_equal(w->fs->close(&f), XF_OK);
  return bytes;
}

static bool has(struct world *w, const char *path, const void *p, size_t len) {
  size_t n = 0;
  const uint8_t *b = get(w, path, &n);
  return b && n == len && memcmp(b, p, len) == 0;
}

static void fill(uint8_t *p, size_t len, uint8_t v) { memset(p, v, len); }

/* replace() and a power cut at any of its operations: old or new, whole, and new once it said OK. */
static void test_replace_is_atomic(void **state) {
  (void)state;
  struct world w;
  world_init(&w, 0);
  uint8_t old[3000], new[5000];
  fill(old, sizeof old, 'o');
  fill(new, sizeof new, 'n');
  unsigned n_old = 0, n_new = 0;
  for (uint64_t seed = 0; seed < 4000; seed++) {
    xf_fs_crash_reset(w.disk, seed);
    assert_int_equal(xf_fs_replace(w.fs, "/model", old, sizeof old, NULL), XF_OK);
    uint64_t before = xf_fs_crash_ops(w.disk);
    xf_fs_crash_cut_at(w.disk, seed % 7);
    enum xf_rc rc = xf_fs_replace(w.fs, "/model", new, sizeof new, NULL);
    assert_int_equal(rc == XF_OK, seed % 7 == 0 || seed % 7 > xf_fs_crash_ops(w.disk) - before);
    xf_fs_crash_crash(w.disk);
    bool is_new = has(&w, "/model", new, sizeof new), is_old = has(&w, "/model", old, sizeof old);
    assert_true(is_new || is_old);
    if (rc == XF_OK) assert_true(is_new);
    n_new += is_new;
    n_old += is_old;
    /* A left-over .tmp does not disturb the next one. */
    assert_int_equal(xf_fs_replace(w.fs, "/model", old, sizeof old, NULL), XF_OK);
  }
  assert_true(n_old > 100 && n_new > 1000);
  world_deinit(&w);
}

/* The planted mistakes this disk exists to find: each must be seen to lose data for some seed. */
static void test_mistakes_are_found(void **state) {
  (void)state;
  struct world w;
  world_init(&w, 0);
  uint8_t old[2000], new[2000];
  fill(old, sizeof old, 'o');
  fill(new, sizeof new, 'n');
  unsigned no_fsync_lost = 0, no_fsync_torn = 0, no_fsync_kept = 0, no_syncdir_lost = 0,
           no_syncdir_kept = 0, in_place_torn = 0;
  for (uint64_t seed = 0; seed < 500; seed++) {
    xf_fs_crash_reset(w.disk, seed);
    put(&w, "/a", new, sizeof new, false,
        true); /* no fsync: the name is durable, the bytes are not */
    xf_fs_crash_crash(w.disk);
    size_t n = 0;
    const uint8_t *b = get(&w, "/a", &n);
    assert_non_null(b);
    if (n == 0) no_fsync_lost++;
    else if (n == sizeof new &&memcmp(b, new, n) == 0) no_fsync_kept++;
    else no_fsync_torn++;

    put(&w, "/b", old, sizeof old, true, true);
    put(&w, "/b.tmp", new, sizeof new, true, true);
    assert_int_equal(w.fs->rename(w.fs, "/b.tmp", "/b"), XF_OK);
    assert_true(has(&w, "/b", new, sizeof new)); /* seen before the crash, durable or not */
    xf_fs_crash_crash(w.disk);
    if (has(&w, "/b", old, sizeof old)) no_syncdir_lost++;
    else {
      assert_true(has(&w, "/b", new, sizeof new));
      assert_false(xf_fs_exists(w.fs, "/b.tmp"));
      no_syncdir_kept++;
    }

    struct xf_file f; /* overwriting in place mixes old and new by whole sectors */
    assert_int_equal(w.fs->open(w.fs, &f, "/b", XF_FS_RDWR), XF_OK);
    assert_int_equal(w.fs->pwrite(&f, old, sizeof old, 0), XF_OK);
    assert_int_equal(w.fs->fsync(&f), XF_OK);
    assert_int_equal(w.fs->pwrite(&f, new, sizeof new, 0), XF_OK);
    xf_fs_crash_crash(w.disk);
    b = get(&w, "/b", &n);
    assert_int_equal(n, sizeof old);
    for (size_t i = 1; i < n; i++)
      if (i % XF_FS_CRASH_SECTOR) assert_int_equal(b[i], b[i - 1]);
    if (memchr(b, 'o', n) && memchr(b, 'n', n)) in_place_torn++;
  }
  assert_true(no_fsync_lost > 50 && no_fsync_torn > 50 && no_fsync_kept > 50);
  assert_true(no_syncdir_lost > 100 && no_syncdir_kept > 100);
  assert_true(in_place_torn > 50);
  world_deinit(&w);
}

/* Within a sector a newer write never survives an older one: the sector has one version at a time. */
static void test_sector_holds_a_prefix(void **state) {
  (void)state;
  struct world w;
  world_init(&w, 0);
  unsigned partial = 0;
  uint8_t zero[300] = {0}, one[100];
  fill(one, sizeof one, 1);
  for (uint64_t seed = 0; seed < 500; seed++) {
    xf_fs_crash_reset(w.disk, seed);
    put(&w, "/f", zero, sizeof zero, true, true);
    struct xf_file f;
    assert_int_equal(w.fs->open(w.fs, &f, "/f", XF_FS_RDWR), XF_OK);
    for (uint64_t i = 0; i < 3; i++)
      assert_int_equal(w.fs->pwrite(&f, one, sizeof one, i * 100), XF_OK);
    xf_fs_crash_crash(w.disk);
    size_t n = 0;
    const uint8_t *b = get(&w, "/f", &n);
    assert_int_equal(n, 300);
    for (size_t i = 1; i < n; i++) assert_true(b[i] <= b[i - 1]);
    partial += b[0] && !b[299];
  }
  assert_true(partial > 30);
  world_deinit(&w);
}

static void test_name_needs_syncdir(void **state) {
  (void)state;
  struct world w;
  world_init(&w, 0);
  unsigned lost = 0;
  for (uint64_t seed = 0; seed < 200; seed++) {
    xf_fs_crash_reset(w.disk, seed);
    put(&w, "/x", "bytes", 5, true, false);
    xf_fs_crash_crash(w.disk);
    if (!xf_fs_exists(w.fs, "/x")) lost++;
    else assert_true(has(&w, "/x", "bytes", 5));
    xf_fs_crash_reset(w.disk, seed);
    put(&w, "/x", "bytes", 5, true, true);
    assert_int_equal(w.fs->unlink(w.fs, "/x"), XF_OK);
    assert_false(xf_fs_exists(w.fs, "/x"));
    xf_fs_crash_crash(w.disk);
    if (xf_fs_exists(w.fs, "/x")) assert_true(has(&w, "/x", "bytes", 5)); /* unlink undone, whole */
  }
  assert_true(lost > 50 && lost < 200);
  world_deinit(&w);
}

/* Per directory, what survives of creations is a prefix; two directories do not wait for each other. */
static void test_prefix_per_directory(void **state) {
  (void)state;
  struct world w;
  world_init(&w, 0);
  unsigned independent = 0, partial = 0;
  for (uint64_t seed = 0; seed < 500; seed++) {
    xf_fs_crash_reset(w.disk, seed);
    assert_int_equal(w.fs->mkdir(w.fs, "/a", 0700), XF_OK);
    assert_int_equal(w.fs->mkdir(w.fs, "/b/", 0700), XF_OK);
    assert_int_equal(w.fs->syncdir(w.fs, "/"), XF_OK);
    char path[32];
    for (int i = 0; i < 6; i++) {
      snprintf(path, sizeof path, "/%c/%d", i % 2 ? 'b' : 'a', i);
      put(&w, path, "1", 1, true, false);
    }
    xf_fs_crash_crash(w.disk);
    int seen[2] = {0, 0};
    for (int i = 0; i < 6; i++) {
      snprintf(path, sizeof path, "/%c/%d", i % 2 ? 'b' : 'a', i);
      if (!xf_fs_exists(w.fs, path)) continue;
      assert_int_equal(seen[i % 2], i / 2); /* no gap before it */
      seen[i % 2]++;
    }
    independent += seen[0] != seen[1];
    partial += seen[0] == 1 || seen[0] == 2;
  }
  assert_true(independent > 50 && partial > 50);
  world_deinit(&w);
}

/* A rename between directories is one change: never in both, never in neither. */
static void test_rename_across(void **state) {
  (void)state;
  struct world w;
  world_init(&w, 0);
  unsigned moved = 0, stayed = 0;
  for (uint64_t seed = 0; seed < 300; seed++) {
    xf_fs_crash_reset(w.disk, seed);
    assert_int_equal(w.fs->mkdir(w.fs, "/in", 0700), XF_OK);
    assert_int_equal(w.fs->mkdir(w.fs, "/out", 0700), XF_OK);
    assert_int_equal(w.fs->syncdir(w.fs, "/"), XF_OK);
    put(&w, "/in/f", "bytes", 5, true, false);
    bool synced = seed % 3 == 0;
    if (seed % 3) assert_int_equal(w.fs->syncdir(w.fs, "/in"), XF_OK);
    assert_int_equal(w.fs->rename(w.fs, "/in/f", "/out/f"), XF_OK);
    /* Syncing one side makes the whole change durable, and the creation it builds on. */
    if (synced) assert_int_equal(w.fs->syncdir(w.fs, "/out"), XF_OK);
    xf_fs_crash_crash(w.disk);
    bool in = has(&w, "/in/f", "bytes", 5), out = has(&w, "/out/f", "bytes", 5);
    assert_int_equal(in + out, 1);
    if (synced) assert_true(out);
    moved += out;
    stayed += in;
  }
  assert_true(moved > 100 && stayed > 20);
  world_deinit(&w);
}

static void test_failed_fsync_is_final(void **state) {
  (void)state;
  struct world w;
  world_init(&w, 0);
  unsigned lost = 0;
  for (uint64_t seed = 0; seed < 200; seed++) {
    xf_fs_crash_reset(w.disk, seed);
    struct xf_file f;
    assert_int_equal(w.fs->open(w.fs, &f, "/f", XF_FS_RDWR), XF_OK);
    assert_int_equal(w.fs->syncdir(w.fs, "/"), XF_OK);
    assert_int_equal(w.fs->pwrite(&f, "first", 5, 0), XF_OK);
    xf_fs_crash_fail_at(w.disk, 1, XF_E_IO);
    assert_int_equal(w.fs->fsync(&f), XF_E_IO);
    assert_int_equal(w.fs->fsync(&f), XF_OK); /* says OK and saves nothing */
    xf_fs_crash_crash(w.disk);
    lost += !has(&w, "/f", "first", 5);
  }
  assert_int_equal(lost, 200);
  world_deinit(&w);
}

static void test_fail_at_and_counting(void **state) {
  (void)state;
  struct world w;
  world_init(&w, 1);
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(xf_fs_crash_ops(w.disk), 0);
  assert_int_equal(xf_fs_replace(w.fs, "/m", "old", 3, NULL), XF_OK);
  assert_int_equal(xf_fs_crash_ops(w.disk), 5); /* open pwrite fsync rename syncdir */
  static const char *const says[] = {"create", "write", "sync", "rename", "sync directory"};
  for (uint64_t nth = 1; nth <= 5; nth++) {
    xf_fs_crash_fail_at(w.disk, nth, XF_E_NOSPACE);
    assert_int_equal(xf_fs_replace(w.fs, "/m", "new", 3, &diag), XF_E_NOSPACE);
    assert_non_null(strstr(diag.text, says[nth - 1]));
    assert_non_null(strstr(diag.text, "no space left"));
    if (nth < 5)
      assert_true(has(&w, "/m", "old", 3));    /* after an error the old file is untouched */
    else assert_true(has(&w, "/m", "new", 3)); /* renamed, but perhaps not for good */
  }
  xf_fs_crash_fail_at(w.disk, 3, XF_E_IO);
  xf_fs_crash_fail_at(w.disk, 0, XF_E_IO);
  assert_int_equal(xf_fs_replace(w.fs, "/m", "new", 3, NULL), XF_OK);
  world_deinit(&w);
}

static void test_cut_at(void **state) {
  (void)state;
  struct world w;
  world_init(&w, 0);
  unsigned happened = 0;
  for (uint64_t seed = 0; seed < 100; seed++) {
    xf_fs_crash_reset(w.disk, seed);
    struct xf_file f, g;
    assert_int_equal(w.fs->open(w.fs, &f, "/f", XF_FS_CREATE), XF_OK);
    xf_fs_crash_cut_at(w.disk, 1);
    assert_false(xf_fs_crash_is_off(w.disk));
    assert_int_equal(w.fs->syncdir(w.fs, "/"), XF_E_IO);
    assert_true(xf_fs_crash_is_off(w.disk));
    assert_int_equal(w.fs->pwrite(&f, "x", 1, 0), XF_E_IO);
    assert_int_equal(w.fs->open(w.fs, &g, "/f", XF_FS_READ), XF_E_IO);
    assert_int_equal(g.fd, -1);
    xf_fs_crash_crash(w.disk);
    assert_false(xf_fs_crash_is_off(w.disk));
    happened += xf_fs_exists(w.fs, "/f");
    /* The handle is of the time before: unusable, but closing it is legal and hits nobody else. */
    assert_int_equal(w.fs->open(w.fs, &g, "/g", XF_FS_CREATE), XF_OK);
    assert_int_equal(w.fs->pwrite(&f, "x", 1, 0), XF_E_IO);
    assert_int_equal(w.fs->close(&f), XF_OK);
    assert_int_equal(w.fs->close(&f), XF_OK);
    assert_int_equal(w.fs->pwrite(&g, "x", 1, 0), XF_OK);
    assert_int_equal(w.fs->close(&g), XF_OK);
  }
  assert_true(happened > 40 && happened < 100);
  world_deinit(&w);
}

static void test_kill_keeps_everything(void **state) {
  (void)state;
  struct world w;
  world_init(&w, 3);
  struct xf_file f;
  put(&w, "/f", "unsynced", 8, false, false);
  assert_int_equal(w.fs->open(w.fs, &f, "/gone", XF_FS_CREATE), XF_OK);
  assert_int_equal(w.fs->pwrite(&f, "12345", 5, 0), XF_OK);
  assert_int_equal(w.fs->unlink(w.fs, "/gone"), XF_OK);
  uint64_t before = 0, after = 0;
  assert_int_equal(w.fs->free_bytes(w.fs, "/", &before), XF_OK);
  xf_fs_crash_kill(w.disk);
  assert_int_equal(w.fs->free_bytes(w.fs, "/", &after), XF_OK);
  assert_int_equal(after - before, 5); /* the last handle of a removed file gives its bytes back */
  assert_true(has(&w, "/f", "unsynced", 8));
  assert_int_equal(w.fs->fsync(&f), XF_E_IO);
  assert_int_equal(w.fs->close(&f), XF_OK);
  /* Bytes written before the kill are still not durable. */
  xf_fs_crash_cut_at(w.disk, 1);
  assert_int_equal(w.fs->syncdir(w.fs, "/"), XF_E_IO);
  xf_fs_crash_kill(w.disk); /* power is off: this is a crash */
  assert_false(xf_fs_crash_is_off(w.disk));
  world_deinit(&w);
}

static void test_capacity(void **state) {
  (void)state;
  struct world w;
  world_init(&w, 1);
  struct xf_file f;
  uint8_t block[600];
  fill(block, sizeof block, 'b');
  xf_fs_crash_set_capacity(w.disk, 1000);
  assert_int_equal(w.fs->open(w.fs, &f, "/f", XF_FS_RDWR), XF_OK);
  assert_int_equal(w.fs->pwrite(&f, block, sizeof block, 0), XF_OK);
  assert_int_equal(w.fs->pwrite(&f, block, sizeof block, 600), XF_E_NOSPACE);
  uint64_t n = 0;
  assert_int_equal(w.fs->size(&f, &n), XF_OK);
  assert_int_equal(n, 1000); /* what fitted is written */
  assert_int_equal(w.fs->free_bytes(w.fs, "/f", &n), XF_OK);
  assert_int_equal(n, 0);
  assert_int_equal(w.fs->pwrite(&f, block, sizeof block, 100),
                   XF_OK); /* overwriting takes nothing */
  assert_int_equal(w.fs->pwrite(&f, block, 1, 1000), XF_E_NOSPACE);
  assert_int_equal(w.fs->reserve(&f, 1001), XF_E_NOSPACE);
  assert_int_equal(w.fs->truncate(&f, 1001), XF_E_NOSPACE);
  assert_int_equal(w.fs->truncate(&f, 100), XF_OK);
  assert_int_equal(w.fs->reserve(&f, 50), XF_OK); /* never shrinks */
  assert_int_equal(w.fs->reserve(&f, 300), XF_OK);
  assert_int_equal(w.fs->size(&f, &n), XF_OK);
  assert_int_equal(n, 300);
  size_t got = 0;
  uint8_t back[300];
  assert_int_equal(w.fs->pread(&f, back, sizeof back, 0, &got), XF_OK);
  assert_int_equal(got, 300);
  assert_int_equal(back[99], 'b');
  assert_int_equal(back[100], 0);
  assert_int_equal(w.fs->close(&f), XF_OK);
  assert_int_equal(w.fs->unlink(w.fs, "/f"), XF_OK);
  assert_int_equal(w.fs->free_bytes(w.fs, "/", &n), XF_OK);
  assert_int_equal(n, 1000);
  assert_int_equal(w.fs->free_bytes(w.fs, "/none", &n), XF_E_NOTFOUND);
  /* replace on a full disk fails cleanly and leaves no .tmp behind */
  put(&w, "/m", "old", 3, true, true);
  xf_fs_crash_set_capacity(w.disk, 500);
  assert_int_equal(xf_fs_replace(w.fs, "/m", block, sizeof block, NULL), XF_E_NOSPACE);
  assert_true(has(&w, "/m", "old", 3));
  assert_false(xf_fs_exists(w.fs, "/m.tmp"));
  world_deinit(&w);
}

static enum xf_rc visit_join(void *arg, const char *name) {
  char *all = arg; /* 64 bytes */
  size_t n = strlen(all);
  return xf_str_copy(all + n, 64 - n, name);
}

static enum xf_rc visit_stop(void *arg, const char *name) {
  (void)name;
  ++*(int *)arg;
  return XF_E_CANCELLED;
}

static void test_names_and_errors(void **state) {
  (void)state;
  struct world w;
  world_init(&w, 1);
  const struct xf_fs *fs = w.fs;
  struct xf_file f;
  uint64_t n = 0;
  size_t got = 0;
  uint8_t byte = 0;
  assert_int_equal(fs->open(fs, &f, "/d/f", XF_FS_CREATE), XF_E_NOTFOUND);
  assert_int_equal(f.fd, -1);
  assert_int_equal(fs->mkdir(fs, "/d/e", 0700), XF_E_NOTFOUND);
  assert_int_equal(fs->mkdir(fs, "/d", 0700), XF_OK);
  assert_int_equal(fs->mkdir(fs, "d/", 0700), XF_OK); /* the same; existing is fine */
  assert_int_equal(fs->mkdir(fs, "/", 0700), XF_OK);
  put(&w, "/d/./f", "f", 1, false, false);
  assert_true(has(&w, "d//f", "f", 1));
  assert_int_equal(fs->mkdir(fs, "/d/f", 0700), XF_E_EXISTS);
  assert_int_equal(fs->open(fs, &f, "/d/f", XF_FS_EXCL), XF_E_EXISTS);
  assert_int_equal(fs->open(fs, &f, "/d", XF_FS_CREATE), XF_E_IO);
  assert_int_equal(fs->open(fs, &f, "/d/f/g", XF_FS_READ), XF_E_IO);
  assert_int_equal(fs->open(fs, &f, "/d/../f", XF_FS_READ), XF_E_INVAL);
  assert_int_equal(fs->open(fs, &f, "/none", XF_FS_READ), XF_E_NOTFOUND);
  assert_true(xf_fs_exists(fs, "/d"));
  assert_true(xf_fs_exists(fs, "/"));
  assert_int_equal(fs->unlink(fs, "/none"), XF_E_NOTFOUND);
  assert_int_equal(fs->unlink(fs, "/d"), XF_E_IO);
  assert_int_equal(fs->rename(fs, "/none", "/x"), XF_E_NOTFOUND);
  assert_int_equal(fs->rename(fs, "/d", "/d/inside"), XF_E_IO);
  assert_int_equal(fs->rename(fs, "/d/f", "/d/f"), XF_OK);
  assert_int_equal(fs->rename(fs, "/d/f", "/d"), XF_E_EXISTS);
  assert_int_equal(fs->syncdir(fs, "/none"), XF_E_NOTFOUND);
  assert_int_equal(fs->syncdir(fs, "/d/f"), XF_E_IO);
  assert_int_equal(fs->list(fs, "/none", visit_stop, NULL), XF_E_NOTFOUND);
  put(&w, "/d/b", "b", 1, false, false);
  put(&w, "/d/a", "a", 1, false, false);
  char names[64] = "";
  assert_int_equal(fs->list(fs, "/d", visit_join, names), XF_OK);
  assert_string_equal(names, "abf");
  int visits = 0;
  assert_int_equal(fs->list(fs, "/d", visit_stop, &visits), XF_E_CANCELLED);
  assert_int_equal(visits, 1);
  /* A directory moves with its files. */
  assert_int_equal(fs->rename(fs, "/d", "/moved"), XF_OK);
  assert_true(has(&w, "/moved/a", "a", 1));
  /* Handles do only what they were opened for. */
  assert_int_equal(fs->open(fs, &f, "/moved/a", XF_FS_READ), XF_OK);
  assert_int_equal(fs->pwrite(&f, "x", 1, 0), XF_E_IO);
  assert_int_equal(fs->truncate(&f, 0), XF_E_IO);
  assert_int_equal(fs->reserve(&f, 9), XF_E_IO);
  assert_int_equal(fs->pread(&f, &byte, 1, 99, &got), XF_OK);
  assert_int_equal(got, 0);
  assert_int_equal(fs->close(&f), XF_OK);
  assert_int_equal(fs->pread(&f, &byte, 1, 0, &got), XF_E_IO);
  assert_int_equal(fs->fsync(&f), XF_E_IO);
  assert_int_equal(fs->size(&f, &n), XF_E_IO);
  xf_fs_crash_free(NULL);
  world_deinit(&w);
}

/* Same seed, same operations, same disk after the crash. */
static void test_seeded(void **state) {
  (void)state;
  struct world a, b;
  world_init(&a, 0);
  world_init(&b, 99);
  uint8_t bytes[4000];
  fill(bytes, sizeof bytes, 'x');
  unsigned differ = 0;
  for (uint64_t seed = 0; seed < 50; seed++) {
    xf_fs_crash_reset(a.disk, seed);
    xf_fs_crash_reset(b.disk, seed);
    struct world *w[2] = {&a, &b};
    uint8_t seen[2][4000] = {{0}};
    size_t n[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
      put(w[i], "/f", bytes, sizeof bytes, false, true);
      xf_fs_crash_crash(w[i]->disk);
      const uint8_t *p = get(w[i], "/f", &n[i]);
      memcpy(seen[i], p, n[i]);
    }
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(seen[0], seen[1], sizeof seen[0]);
    differ += n[0] != sizeof bytes;
  }
  assert_true(differ > 5);
  world_deinit(&a);
  world_deinit(&b);
}

/* Random operations against the rules: durable files are whole, capacity is accounted, nothing leaks. */
static void test_random_schedules(void **state) {
  (void)state;
  struct world w;
  world_init(&w, 0);
  struct xf_rng rng;
  xf_rng_init(&rng, 7, 0);
  uint8_t bytes[1500];
  for (uint64_t seed = 0; seed < 1500; seed++) {
    xf_fs_crash_reset(w.disk, seed);
    int durable[4] = {-1, -1, -1, -1};
    for (int step = 0; step < 30; step++) {
      uint32_t i = xf_rng_below(&rng, 4);
      char path[8] = "/0";
      path[1] = (char)('0' + i);
      uint8_t v = (uint8_t)(1 + xf_rng_below(&rng, 200));
      fill(bytes, sizeof bytes, v);
      if (xf_rng_below(&rng, 8) == 0) {
        xf_fs_crash_crash(w.disk);
      } else if (xf_rng_below(&rng, 6) == 0) {
        put(&w, "/noise", bytes, xf_rng_below(&rng, 1500), false, false);
      } else {
        assert_int_equal(xf_fs_replace(w.fs, path, bytes, v * 7u, NULL), XF_OK);
        durable[i] = v;
      }
      for (uint32_t k = 0; k < 4; k++) {
        path[1] = (char)('0' + k);
        if (durable[k] < 0) continue;
        fill(bytes, sizeof bytes, (uint8_t)durable[k]);
        assert_true(has(&w, path, bytes, (size_t)durable[k] * 7u));
      }
    }
    uint64_t n = 0, sum = 0;
    for (int k = 0; k < 4; k++) sum += durable[k] < 0 ? 0 : (uint64_t)durable[k] * 7u;
    if (xf_fs_exists(w.fs, "/noise")) assert_int_equal(w.fs->unlink(w.fs, "/noise"), XF_OK);
    for (int k = 0; k < 4; k++) {
      char path[24];
      snprintf(path, sizeof path, "/%d.tmp", k);
      if (xf_fs_exists(w.fs, path)) assert_int_equal(w.fs->unlink(w.fs, path), XF_OK);
    }
    assert_int_equal(w.fs->free_bytes(w.fs, "/", &n), XF_OK);
    assert_int_equal(XF_FS_CRASH_CAPACITY - n, sum);
  }
  world_deinit(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_replace_is_atomic),
      cmocka_unit_test(test_mistakes_are_found),
      cmocka_unit_test(test_sector_holds_a_prefix),
      cmocka_unit_test(test_name_needs_syncdir),
      cmocka_unit_test(test_prefix_per_directory),
      cmocka_unit_test(test_rename_across),
      cmocka_unit_test(test_failed_fsync_is_final),
      cmocka_unit_test(test_fail_at_and_counting),
      cmocka_unit_test(test_cut_at),
      cmocka_unit_test(test_kill_keeps_everything),
      cmocka_unit_test(test_capacity),
      cmocka_unit_test(test_names_and_errors),
      cmocka_unit_test(test_seeded),
      cmocka_unit_test(test_random_schedules),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
