#include "base/fs_crash.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/fs_crash_disk.h"

#include <stdlib.h>
#include <string.h>

/* A file's fd is generation << HANDLE_BITS | handle, so one that outlived a crash is recognised. */
enum {
  HANDLE_BITS = 12,
  HANDLES_MAX = 1 << HANDLE_BITS,
  GENERATION_MASK = 0x3FFFF,
  NAME_LEN_MAX = 255
};

static struct xf_fs_crash *disk_of(const struct xf_fs *fs) { return fs->state; }

/* ---- faults: each operation passes both ---- */

enum verdict { GO, FAIL, OFF };

static enum verdict op_begin(struct xf_fs_crash *disk) {
  disk->ops++;
  if (disk->off) return OFF;
  if (disk->ops == disk->cut_at) {
    /* The caller will never learn whether it happened. */
    disk->off_after = xf_rng_u32(&disk->rng) & 1;
    disk->off = !disk->off_after;
    return disk->off ? OFF : GO;
  }
  return disk->ops == disk->fail_at ? FAIL : GO;
}

static enum xf_rc op_refused(const struct xf_fs_crash *disk, enum verdict v) {
  return v == OFF ? XF_E_IO : disk->fail_rc;
}

static enum xf_rc op_end(struct xf_fs_crash *disk, enum xf_rc rc) {
  if (!disk->off_after) return rc;
  disk->off_after = false;
  disk->off = true;
  return XF_E_IO;
}

/* ---- paths ---- */

struct place {
  int32_t dir, ino; /* XF_DISK_NONE when absent */
  const char *name;
  size_t len;
};

static const char *skip_slashes(const char *s) {
  while (*s == '/' || (s[0] == '.' && (s[1] == '/' || s[1] == '\0'))) s++;
  return s;
}

/* Walks to the last component. The root itself has dir XF_DISK_NONE. */
static enum xf_rc path_walk(struct xf_fs_crash *disk, const char *path, struct place *out) {
  *out = (struct place){.dir = XF_DISK_NONE, .ino = XF_DISK_ROOT};
  for (const char *s = skip_slashes(path); *s;) {
    size_t len = strcspn(s, "/");
    if (len > NAME_LEN_MAX || (len == 2 && memcmp(s, "..", 2) == 0)) return XF_E_INVAL;
    if (out->ino == XF_DISK_NONE) return XF_E_NOTFOUND;
    if (!disk->inode[out->ino]->is_dir) return XF_E_IO;
    int64_t name = xf_disk_name(disk, s, len, false);
    int32_t dir = out->ino;
    int32_t ino = name == XF_DISK_NONE ? XF_DISK_NONE
                                       : xf_disk_find(&disk->inode[dir]->live_dir, (uint32_t)name);
    *out = (struct place){dir, ino, s, len};
    s = skip_slashes(s + len);
  }
  return XF_OK;
}

static uint32_t place_name(struct xf_fs_crash *disk, const struct place *p) {
  return (uint32_t)xf_disk_name(disk, p->name, p->len, true);
}

static enum xf_rc path_dir(struct xf_fs_crash *disk, const char *path, int32_t *out) {
  struct place p;
  enum xf_rc rc = path_walk(disk, path, &p);
  if (rc) return rc;
  if (p.ino == XF_DISK_NONE) return XF_E_NOTFOUND;
  *out = p.ino;
  return disk->inode[p.ino]->is_dir ? XF_OK : XF_E_IO;
}

static int32_t place_create(struct xf_fs_crash *disk, const struct place *p, bool is_dir) {
  int32_t ino = xf_disk_inode_new(disk, is_dir);
  xf_disk_change_add(
      disk, (struct xf_disk_change){
                .ino = ino, .from_dir = XF_DISK_NONE, .to_dir = p->dir, .to = place_name(disk, p)});
  return ino;
}

/* ---- handles ---- */

static struct xf_disk_handle *handle_of(const struct xf_file *file) {
  struct xf_fs_crash *disk = disk_of(file->fs);
  if (file->fd < 0) return NULL;
  size_t i = (size_t)file->fd & (HANDLES_MAX - 1);
  if (i >= disk->n_handle) return NULL;
  struct xf_disk_handle *h = &disk->handle[i];
  return h->used && h->generation == (uint32_t)file->fd >> HANDLE_BITS ? h : NULL;
}

static enum xf_rc handle_new(struct xf_fs_crash *disk, int32_t ino, enum xf_fs_mode mode, int *fd) {
  size_t i = 0;
  while (i < disk->n_handle && disk->handle[i].used) i++;
  if (i == HANDLES_MAX) return XF_E_LIMIT;
  if (i == disk->n_handle) {
    size_t n = disk->n_handle ? disk->n_handle * 2 : 16;
    disk->handle = xf_realloc_array(disk->handle, n, sizeof *disk->handle);
    memset(disk->handle + disk->n_handle, 0, (n - disk->n_handle) * sizeof *disk->handle);
    disk->n_handle = n;
  }
  struct xf_disk_handle *h = &disk->handle[i];
  h->ino = ino;
  h->used = true;
  h->reads = mode == XF_FS_READ || mode == XF_FS_RDWR;
  h->writes = mode != XF_FS_READ;
  disk->inode[ino]->n_open++;
  *fd = (int)(h->generation << HANDLE_BITS | (uint32_t)i);
  return XF_OK;
}

static void handle_retire(struct xf_disk_handle *h) {
  h->used = false;
  h->generation = (h->generation + 1) & GENERATION_MASK;
}

static void handles_drop(struct xf_fs_crash *disk) {
  for (size_t i = 0; i < disk->n_handle; i++)
    if (disk->handle[i].used) handle_retire(&disk->handle[i]);
}

/* The inode behind a handle that may do this; NULL when closed, crashed or of the wrong kind. */
static struct xf_disk_inode *file_inode(const struct xf_file *file, bool reads, bool writes) {
  const struct xf_disk_handle *h = handle_of(file);
  if (!h || (reads && !h->reads) || (writes && !h->writes)) return NULL;
  struct xf_disk_inode *ino = disk_of(file->fs)->inode[h->ino];
  return ino->is_dir ? NULL : ino;
}

static void file_settle(const struct xf_file *file) {
  xf_disk_inode_settle(disk_of(file->fs), handle_of(file)->ino);
}

/* ---- the table ---- */

static enum xf_rc do_open(struct xf_fs_crash *disk, struct xf_file *file, const char *path,
                          enum xf_fs_mode mode) {
  struct place p;
  enum xf_rc rc = path_walk(disk, path, &p);
  if (rc) return rc;
  if (p.ino == XF_DISK_NONE && mode == XF_FS_READ) return XF_E_NOTFOUND;
  if (p.ino != XF_DISK_NONE && mode == XF_FS_EXCL) return XF_E_EXISTS;
  if (p.ino == XF_DISK_NONE) p.ino = place_create(disk, &p, false);
  struct xf_disk_inode *ino = disk->inode[p.ino];
  if (ino->is_dir && mode != XF_FS_READ) return XF_E_IO;
  rc = handle_new(disk, p.ino, mode, &file->fd);
  if (!rc && mode == XF_FS_CREATE && ino->live.len) {
    xf_disk_set_len(ino, 0);
    xf_disk_inode_settle(disk, p.ino);
  }
  return rc;
}

static enum xf_rc crash_open(const struct xf_fs *fs, struct xf_file *file, const char *path,
                             enum xf_fs_mode mode) {
  struct xf_fs_crash *disk = disk_of(fs);
  *file = (struct xf_file){.fs = fs, .fd = -1};
  enum verdict v = op_begin(disk);
  if (v != GO) return op_refused(disk, v);
  enum xf_rc rc = op_end(disk, do_open(disk, file, path, mode));
  if (rc) file->fd = -1;
  return rc;
}

static enum xf_rc crash_close(struct xf_file *file) {
  struct xf_disk_handle *h = handle_of(file);
  file->fd = -1;
  if (!h) return XF_OK;
  struct xf_fs_crash *disk = disk_of(file->fs);
  handle_retire(h);
  disk->inode[h->ino]->n_open--;
  xf_disk_inode_settle(disk, h->ino);
  return XF_OK;
}

static enum xf_rc crash_pread(struct xf_file *file, void *out, size_t len, uint64_t at,
                              size_t *n_read) {
  struct xf_fs_crash *disk = disk_of(file->fs);
  enum verdict v = op_begin(disk);
  if (v != GO) return op_refused(disk, v);
  const struct xf_disk_inode *ino = file_inode(file, true, false);
  if (!ino) return op_end(disk, XF_E_IO);
  size_t n = at < ino->live.len ? ino->live.len - (size_t)at : 0;
  if (n > len) n = len;
  if (n) memcpy(out, ino->live.p + at, n);
  *n_read = n;
  return op_end(disk, XF_OK);
}

static enum xf_rc do_pwrite(struct xf_file *file, const void *p, size_t len, uint64_t at) {
  struct xf_fs_crash *disk = disk_of(file->fs);
  struct xf_disk_inode *ino = file_inode(file, false, true);
  if (!ino) return XF_E_IO;
  if (len == 0) return XF_OK;
  uint64_t max = ino->live.len + (disk->capacity > disk->taken ? disk->capacity - disk->taken : 0);
  if (at >= max) return XF_E_NOSPACE;
  bool fits = len <= max - at;
  xf_disk_write(ino, p, fits ? len : (size_t)(max - at), (size_t)at);
  file_settle(file);
  return fits ? XF_OK : XF_E_NOSPACE;
}

static enum xf_rc crash_pwrite(struct xf_file *file, const void *p, size_t len, uint64_t at) {
  struct xf_fs_crash *disk = disk_of(file->fs);
  enum verdict v = op_begin(disk);
  if (v == FAIL && len <= UINT32_MAX - 1) {
    /* A failing write may have written a part, as a real one may. */
    size_t part = xf_rng_below(&disk->rng, (uint32_t)len + 1);
    if (do_pwrite(file, p, part, at) == XF_E_NOSPACE) return XF_E_NOSPACE;
  }
  if (v != GO) return op_refused(disk, v);
  return op_end(disk, do_pwrite(file, p, len, at));
}

static enum xf_rc do_set_len(struct xf_file *file, uint64_t len, bool only_grow) {
  struct xf_fs_crash *disk = disk_of(file->fs);
  struct xf_disk_inode *ino = file_inode(file, false, true);
  if (!ino) return XF_E_IO;
  uint64_t now = ino->live.len;
  if (len == now || (only_grow && len < now)) return XF_OK;
  uint64_t room = disk->capacity > disk->taken ? disk->capacity - disk->taken : 0;
  if (len > now && len - now > room) return XF_E_NOSPACE;
  xf_disk_set_len(ino, (size_t)len);
  file_settle(file);
  return XF_OK;
}

static enum xf_rc crash_truncate(struct xf_file *file, uint64_t len) {
  struct xf_fs_crash *disk = disk_of(file->fs);
  enum verdict v = op_begin(disk);
  if (v != GO) return op_refused(disk, v);
  return op_end(disk, do_set_len(file, len, false));
}

static enum xf_rc crash_reserve(struct xf_file *file, uint64_t len) {
  struct xf_fs_crash *disk = disk_of(file->fs);
  enum verdict v = op_begin(disk);
  if (v != GO) return op_refused(disk, v);
  return op_end(disk, do_set_len(file, len, true));
}

static enum xf_rc crash_fsync(struct xf_file *file) {
  struct xf_fs_crash *disk = disk_of(file->fs);
  enum verdict v = op_begin(disk);
  struct xf_disk_inode *ino = file_inode(file, false, false);
  if (v == FAIL && ino) xf_disk_sync(ino, true);
  if (v != GO) return op_refused(disk, v);
  if (ino) xf_disk_sync(ino, false);
  return op_end(disk, ino ? XF_OK : XF_E_IO);
}

static enum xf_rc crash_size(struct xf_file *file, uint64_t *len) {
  struct xf_fs_crash *disk = disk_of(file->fs);
  enum verdict v = op_begin(disk);
  if (v != GO) return op_refused(disk, v);
  const struct xf_disk_inode *ino = file_inode(file, false, false);
  if (ino) *len = ino->live.len;
  return op_end(disk, ino ? XF_OK : XF_E_IO);
}

static bool is_inside(const struct xf_fs_crash *disk, int32_t dir, int32_t of) {
  while (dir != of && dir != XF_DISK_ROOT) dir = disk->inode[dir]->parent;
  return dir == of;
}

static enum xf_rc do_rename(struct xf_fs_crash *disk, const char *from, const char *to) {
  struct place a, b;
  enum xf_rc rc = path_walk(disk, from, &a);
  if (!rc) rc = path_walk(disk, to, &b);
  if (rc) return rc;
  if (a.ino == XF_DISK_NONE) return XF_E_NOTFOUND;
  if (a.dir == XF_DISK_NONE || b.dir == XF_DISK_NONE) return XF_E_IO;
  if (a.ino == b.ino) return XF_OK;
  bool is_dir = disk->inode[a.ino]->is_dir;
  if (b.ino != XF_DISK_NONE && (is_dir || disk->inode[b.ino]->is_dir)) return XF_E_EXISTS;
  if (is_dir && is_inside(disk, b.dir, a.ino)) return XF_E_IO;
  xf_disk_change_add(disk, (struct xf_disk_change){.ino = a.ino,
                                                   .from_dir = a.dir,
                                                   .from = place_name(disk, &a),
                                                   .to_dir = b.dir,
                                                   .to = place_name(disk, &b)});
  return XF_OK;
}

static enum xf_rc crash_rename(const struct xf_fs *fs, const char *from, const char *to) {
  struct xf_fs_crash *disk = disk_of(fs);
  enum verdict v = op_begin(disk);
  if (v != GO) return op_refused(disk, v);
  return op_end(disk, do_rename(disk, from, to));
}

static enum xf_rc do_unlink(struct xf_fs_crash *disk, const char *path) {
  struct place p;
  enum xf_rc rc = path_walk(disk, path, &p);
  if (rc) return rc;
  if (p.ino == XF_DISK_NONE) return XF_E_NOTFOUND;
  if (disk->inode[p.ino]->is_dir) return XF_E_IO;
  xf_disk_change_add(disk, (struct xf_disk_change){.ino = p.ino,
                                                   .from_dir = p.dir,
                                                   .from = place_name(disk, &p),
                                                   .to_dir = XF_DISK_NONE});
  return XF_OK;
}

static enum xf_rc crash_unlink(const struct xf_fs *fs, const char *path) {
  struct xf_fs_crash *disk = disk_of(fs);
  enum verdict v = op_begin(disk);
  if (v != GO) return op_refused(disk, v);
  return op_end(disk, do_unlink(disk, path));
}

static enum xf_rc crash_syncdir(const struct xf_fs *fs, const char *dir) {
  struct xf_fs_crash *disk = disk_of(fs);
  enum verdict v = op_begin(disk);
  if (v != GO) return op_refused(disk, v);
  int32_t ino = XF_DISK_NONE;
  enum xf_rc rc = path_dir(disk, dir, &ino);
  if (!rc) xf_disk_change_sync(disk, ino);
  return op_end(disk, rc);
}

static enum xf_rc do_mkdir(struct xf_fs_crash *disk, const char *dir) {
  struct place p;
  enum xf_rc rc = path_walk(disk, dir, &p);
  if (rc) return rc;
  if (p.ino != XF_DISK_NONE) return disk->inode[p.ino]->is_dir ? XF_OK : XF_E_EXISTS;
  (void)place_create(disk, &p, true);
  return XF_OK;
}

static enum xf_rc crash_mkdir(const struct xf_fs *fs, const char *dir, unsigned mode) {
  struct xf_fs_crash *disk = disk_of(fs);
  (void)mode;
  enum verdict v = op_begin(disk);
  if (v != GO) return op_refused(disk, v);
  return op_end(disk, do_mkdir(disk, dir));
}

static int name_compare(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Collects the names before the first visit, so that the visitor may change the directory. */
static enum xf_rc do_list(struct xf_fs_crash *disk, const char *dir, xf_fs_visit visit, void *arg) {
  int32_t ino = XF_DISK_NONE;
  enum xf_rc rc = path_dir(disk, dir, &ino);
  if (rc) return rc;
  const struct xf_disk_dir *d = &disk->inode[ino]->live_dir;
  size_t n = d->n;
  const char **name = xf_calloc(n, sizeof *name);
  for (size_t i = 0; i < n; i++) name[i] = disk->name[d->e[i].name];
  qsort(name, n, sizeof *name, name_compare);
  for (size_t i = 0; i < n && !rc; i++) rc = visit(arg, name[i]);
  xf_free(name);
  return rc;
}

static enum xf_rc crash_list(const struct xf_fs *fs, const char *dir, xf_fs_visit visit,
                             void *arg) {
  struct xf_fs_crash *disk = disk_of(fs);
  enum verdict v = op_begin(disk);
  if (v != GO) return op_refused(disk, v);
  return op_end(disk, do_list(disk, dir, visit, arg));
}

static enum xf_rc crash_free_bytes(const struct xf_fs *fs, const char *path, uint64_t *n) {
  struct xf_fs_crash *disk = disk_of(fs);
  enum verdict v = op_begin(disk);
  if (v != GO) return op_refused(disk, v);
  struct place p;
  enum xf_rc rc = path_walk(disk, path, &p);
  if (!rc && p.ino == XF_DISK_NONE) rc = XF_E_NOTFOUND;
  if (!rc) *n = disk->capacity > disk->taken ? disk->capacity - disk->taken : 0;
  return op_end(disk, rc);
}

/* ---- the disk ---- */

struct xf_fs_crash *xf_fs_crash_new(uint64_t seed) {
  struct xf_fs_crash *disk = xf_calloc(1, sizeof *disk);
  disk->fs = (struct xf_fs){
      .open = crash_open,
      .close = crash_close,
      .pread = crash_pread,
      .pwrite = crash_pwrite,
      .truncate = crash_truncate,
      .fsync = crash_fsync,
      .size = crash_size,
      .reserve = crash_reserve,
      .rename = crash_rename,
      .unlink = crash_unlink,
      .syncdir = crash_syncdir,
      .mkdir = crash_mkdir,
      .list = crash_list,
      .free_bytes = crash_free_bytes,
      .state = disk,
  };
  xf_arena_init(&disk->names, SIZE_MAX);
  xf_fs_crash_reset(disk, seed);
  return disk;
}

void xf_fs_crash_free(struct xf_fs_crash *disk) {
  if (!disk) return;
  xf_disk_deinit(disk);
  xf_free(disk);
}

static void faults_clear(struct xf_fs_crash *disk) {
  disk->fail_at = disk->cut_at = 0;
  disk->off = disk->off_after = false;
}

void xf_fs_crash_reset(struct xf_fs_crash *disk, uint64_t seed) {
  handles_drop(disk);
  faults_clear(disk);
  xf_disk_clear(disk);
  xf_rng_init(&disk->rng, seed, 0);
  disk->capacity = XF_FS_CRASH_CAPACITY;
  disk->ops = 0;
}

const struct xf_fs *xf_fs_crash_as_fs(const struct xf_fs_crash *disk) { return &disk->fs; }

void xf_fs_crash_crash(struct xf_fs_crash *disk) {
  handles_drop(disk);
  faults_clear(disk);
  xf_disk_crash(disk);
}

void xf_fs_crash_kill(struct xf_fs_crash *disk) {
  if (disk->off) {
    xf_fs_crash_crash(disk);
    return;
  }
  for (size_t i = 0; i < disk->n_handle; i++) {
    struct xf_disk_handle *h = &disk->handle[i];
    if (!h->used) continue;
    handle_retire(h);
    disk->inode[h->ino]->n_open--;
    xf_disk_inode_settle(disk, h->ino);
  }
  faults_clear(disk);
}

void xf_fs_crash_set_capacity(struct xf_fs_crash *disk, uint64_t bytes) {
  disk->capacity = bytes < XF_FS_CRASH_CAPACITY ? bytes : XF_FS_CRASH_CAPACITY;
}

void xf_fs_crash_fail_at(struct xf_fs_crash *disk, uint64_t nth, enum xf_rc rc) {
  disk->fail_at = nth ? disk->ops + nth : 0;
  disk->fail_rc = rc;
}

void xf_fs_crash_cut_at(struct xf_fs_crash *disk, uint64_t nth) {
  disk->cut_at = nth ? disk->ops + nth : 0;
}

uint64_t xf_fs_crash_ops(const struct xf_fs_crash *disk) { return disk->ops; }

bool xf_fs_crash_is_off(const struct xf_fs_crash *disk) { return disk->off; }
