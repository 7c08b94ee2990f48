#include "base/fs_crash_disk.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <string.h>

enum { SECTOR = XF_FS_CRASH_SECTOR, KEEP_MAX = 64 * 1024 };

/* Makes room for one more element of an array. */
#define GROW(p, n, cap)                              \
  do {                                               \
    if ((n) < (cap)) break;                          \
    (cap) = (cap) ? (cap)*2 : 16;                    \
    (p) = xf_realloc_array((p), (cap), sizeof *(p)); \
  } while (0)

static bool coin(struct xf_fs_crash *disk) { return xf_rng_u32(&disk->rng) & 1; }

/* ---- bytes ---- */

static void bytes_reserve(struct xf_disk_bytes *b, size_t cap) {
  if (cap <= b->cap) return;
  size_t want = b->cap ? b->cap * 2 : 256;
  if (want < cap) want = cap;
  b->p = xf_realloc_array(b->p, want, 1);
  b->cap = want;
}

static void bytes_set_len(struct xf_disk_bytes *b, size_t len) {
  bytes_reserve(b, len);
  if (len > b->len) memset(b->p + b->len, 0, len - b->len);
  b->len = len;
}

static void bytes_write(struct xf_disk_bytes *b, const void *p, size_t len, size_t at) {
  if (len == 0) return;
  if (at > b->len) bytes_set_len(b, at);
  if (at + len > b->len) {
    bytes_reserve(b, at + len);
    b->len = at + len;
  }
  memcpy(b->p + at, p, len);
}

static void bytes_copy(struct xf_disk_bytes *to, const struct xf_disk_bytes *from) {
  to->len = 0;
  bytes_write(to, from->p, from->len, 0);
}

/* Empties; big blocks go back, small ones wait for the next file. */
static void bytes_clear(struct xf_disk_bytes *b) {
  b->len = 0;
  if (b->cap <= KEEP_MAX) return;
  xf_free(b->p);
  *b = (struct xf_disk_bytes){0};
}

/* ---- names ---- */

static void name_place(struct xf_fs_crash *disk, uint32_t number) {
  size_t mask = disk->cap_name * 2 - 1, at = disk->name_hash[number] & mask;
  while (disk->name_table[at]) at = (at + 1) & mask;
  disk->name_table[at] = number + 1;
}

static void names_grow(struct xf_fs_crash *disk) {
  disk->cap_name = disk->cap_name ? disk->cap_name * 2 : 256;
  disk->name = xf_realloc_array(disk->name, disk->cap_name, sizeof *disk->name);
  disk->name_hash = xf_realloc_array(disk->name_hash, disk->cap_name, sizeof *disk->name_hash);
  xf_free(disk->name_table);
  disk->name_table = xf_calloc(disk->cap_name * 2, sizeof *disk->name_table);
  for (size_t i = 0; i < disk->n_name; i++) name_place(disk, (uint32_t)i);
}

int64_t xf_disk_name(struct xf_fs_crash *disk, const char *s, size_t len, bool add) {
  uint32_t hash = 2166136261u; /* FNV-1a */
  for (size_t i = 0; i < len; i++) hash = (hash ^ (uint8_t)s[i]) * 16777619u;
  if (disk->cap_name) {
    size_t mask = disk->cap_name * 2 - 1;
    for (size_t at = hash & mask; disk->name_table[at]; at = (at + 1) & mask) {
      uint32_t number = disk->name_table[at] - 1;
      if (disk->name_hash[number] == hash && strncmp(disk->name[number], s, len) == 0 &&
          disk->name[number][len] == '\0')
        return number;
    }
  }
  if (!add) return XF_DISK_NONE;
  if (disk->n_name == disk->cap_name) names_grow(disk);
  char *copy = xf_arena_alloc(&disk->names, len + 1);
  XF_ASSERT(copy != NULL);
  memcpy(copy, s, len);
  copy[len] = '\0';
  uint32_t number = (uint32_t)disk->n_name++;
  disk->name[number] = copy;
  disk->name_hash[number] = hash;
  name_place(disk, number);
  return number;
}

/* ---- directories ---- */

static struct xf_disk_entry *dir_entry(const struct xf_disk_dir *dir, uint32_t name) {
  for (size_t i = 0; i < dir->n; i++)
    if (dir->e[i].name == name) return &dir->e[i];
  return NULL;
}

int32_t xf_disk_find(const struct xf_disk_dir *dir, uint32_t name) {
  const struct xf_disk_entry *e = dir_entry(dir, name);
  return e ? e->ino : XF_DISK_NONE;
}

/* Sets, replaces or (ino XF_DISK_NONE) removes an entry; gives what was there. */
static int32_t dir_set(struct xf_disk_dir *dir, uint32_t name, int32_t ino) {
  struct xf_disk_entry *e = dir_entry(dir, name);
  int32_t old = e ? e->ino : XF_DISK_NONE;
  if (ino == XF_DISK_NONE) {
    if (e) *e = dir->e[--dir->n];
    return old;
  }
  if (!e) {
    GROW(dir->e, dir->n, dir->cap);
    e = &dir->e[dir->n++];
  }
  *e = (struct xf_disk_entry){name, ino};
  return old;
}

/* ---- inodes ---- */

int32_t xf_disk_inode_new(struct xf_fs_crash *disk, bool is_dir) {
  int32_t number = 0;
  if (disk->n_spare) {
    number = disk->spare[--disk->n_spare];
  } else {
    GROW(disk->inode, disk->n_inode, disk->cap_inode);
    number = (int32_t)disk->n_inode++;
    disk->inode[number] = xf_calloc(1, sizeof(struct xf_disk_inode));
  }
  disk->inode[number]->used = true;
  disk->inode[number]->is_dir = is_dir;
  return number;
}

static void inode_free(struct xf_fs_crash *disk, int32_t number) {
  struct xf_disk_inode *ino = disk->inode[number], old = *ino;
  disk->taken -= old.charged;
  bytes_clear(&old.live);
  bytes_clear(&old.durable);
  bytes_clear(&old.log);
  *ino = (struct xf_disk_inode){
      .live = old.live,
      .durable = old.durable,
      .log = old.log,
      .write = old.write,
      .cap_write = old.cap_write,
      .live_dir = {.e = old.live_dir.e, .cap = old.live_dir.cap},
      .durable_dir = {.e = old.durable_dir.e, .cap = old.durable_dir.cap},
  };
  GROW(disk->spare, disk->n_spare, disk->cap_spare);
  disk->spare[disk->n_spare++] = number;
}

void xf_disk_inode_settle(struct xf_fs_crash *disk, int32_t number) {
  struct xf_disk_inode *ino = disk->inode[number];
  uint64_t charge = ino->n_live || ino->n_open ? ino->live.len : 0;
  disk->taken = disk->taken - ino->charged + charge;
  ino->charged = charge;
  if (number != XF_DISK_ROOT && !ino->n_live && !ino->n_durable && !ino->n_pending && !ino->n_open)
    inode_free(disk, number);
}

/* ---- bytes of a file ---- */

static struct xf_disk_write *write_new(struct xf_disk_inode *ino) {
  GROW(ino->write, ino->n_write, ino->cap_write);
  return &ino->write[ino->n_write++];
}

void xf_disk_write(struct xf_disk_inode *ino, const void *p, size_t len, size_t at) {
  if (len == 0) return;
  bytes_write(&ino->live, p, len, at);
  *write_new(ino) = (struct xf_disk_write){.at = at, .len = len, .from = ino->log.len};
  bytes_write(&ino->log, p, len, ino->log.len);
}

void xf_disk_set_len(struct xf_disk_inode *ino, size_t len) {
  bytes_set_len(&ino->live, len);
  *write_new(ino) = (struct xf_disk_write){.at = len, .is_length = true};
}

static void log_clear(struct xf_disk_inode *ino) {
  ino->n_write = ino->n_lost = 0;
  ino->log.len = 0;
}

void xf_disk_sync(struct xf_disk_inode *ino, bool failed) {
  if (failed) {
    ino->n_lost = ino->n_write;
    ino->differs = true;
    return;
  }
  for (size_t i = ino->n_lost; i < ino->n_write; i++) {
    const struct xf_disk_write *w = &ino->write[i];
    if (w->is_length) bytes_set_len(&ino->durable, w->at);
    else bytes_write(&ino->durable, ino->log.p + w->from, w->len, w->at);
  }
  log_clear(ino);
}

/* ---- changes of names ---- */

/* The live view counts as it changes; the log holds a reference of its own. */
void xf_disk_change_add(struct xf_fs_crash *disk, struct xf_disk_change c) {
  struct xf_disk_inode *ino = disk->inode[c.ino];
  GROW(disk->change, disk->n_change, disk->cap_change);
  disk->change[disk->n_change++] = c;
  ino->n_pending++;
  if (c.from_dir != XF_DISK_NONE) {
    dir_set(&disk->inode[c.from_dir]->live_dir, c.from, XF_DISK_NONE);
    ino->n_live--;
  }
  if (c.to_dir != XF_DISK_NONE) {
    ino->n_live++;
    ino->parent = c.to_dir;
    int32_t old = dir_set(&disk->inode[c.to_dir]->live_dir, c.to, c.ino);
    if (old != XF_DISK_NONE) {
      disk->inode[old]->n_live--;
      xf_disk_inode_settle(disk, old);
    }
  }
  xf_disk_inode_settle(disk, c.ino);
}

/* Applies a change to the durable view and drops the log's reference. */
static void change_apply(struct xf_fs_crash *disk, const struct xf_disk_change *c) {
  struct xf_disk_inode *ino = disk->inode[c->ino];
  int32_t old = XF_DISK_NONE;
  if (c->from_dir != XF_DISK_NONE &&
      dir_set(&disk->inode[c->from_dir]->durable_dir, c->from, XF_DISK_NONE) != XF_DISK_NONE)
    ino->n_durable--;
  if (c->to_dir != XF_DISK_NONE) {
    ino->n_durable++;
    old = dir_set(&disk->inode[c->to_dir]->durable_dir, c->to, c->ino);
  }
  ino->n_pending--;
  if (old != XF_DISK_NONE) {
    disk->inode[old]->n_durable--;
    if (old != c->ino) xf_disk_inode_settle(disk, old);
  }
  xf_disk_inode_settle(disk, c->ino);
}

static bool touches_marked(const struct xf_fs_crash *disk, const struct xf_disk_change *c) {
  return (c->from_dir != XF_DISK_NONE && disk->inode[c->from_dir]->mark) ||
         (c->to_dir != XF_DISK_NONE && disk->inode[c->to_dir]->mark);
}

static void mark_dirs(struct xf_fs_crash *disk, const struct xf_disk_change *c, bool mark) {
  if (c->from_dir != XF_DISK_NONE) disk->inode[c->from_dir]->mark = mark;
  if (c->to_dir != XF_DISK_NONE) disk->inode[c->to_dir]->mark = mark;
}

/* A rename between two directories needs the earlier changes of both: walking back from the end collects
   the directories whose changes have to go along. */
void xf_disk_change_sync(struct xf_fs_crash *disk, int32_t dir) {
  size_t kept = 0, n = disk->n_change;
  disk->inode[dir]->mark = true;
  bytes_reserve(&disk->scratch, n);
  for (size_t i = n; i-- > 0;) {
    disk->scratch.p[i] = touches_marked(disk, &disk->change[i]);
    if (disk->scratch.p[i]) mark_dirs(disk, &disk->change[i], true);
  }
  disk->inode[dir]->mark = false;
  for (size_t i = 0; i < n; i++) mark_dirs(disk, &disk->change[i], false);
  for (size_t i = 0; i < n; i++) {
    struct xf_disk_change c = disk->change[i];
    if (disk->scratch.p[i]) change_apply(disk, &c);
    else disk->change[kept++] = c;
  }
  disk->n_change = kept;
}

/* ---- power loss ---- */

/* How a crash treats what is pending: often all alike, which is the commonest and the easiest to reason
   about, else mixed. */
enum style { LOSE, KEEP, MIXED, MIXED_TOO, N_STYLES };

static enum style style_draw(struct xf_fs_crash *disk) {
  return (enum style)xf_rng_below(&disk->rng, N_STYLES);
}

/* Per directory a prefix of its changes survives: the first loss closes it (`mark`). */
static void crash_names(struct xf_fs_crash *disk) {
  enum style style = style_draw(disk);
  for (size_t i = 0; i < disk->n_change; i++) {
    struct xf_disk_change c = disk->change[i];
    bool keep = !touches_marked(disk, &c) && style != LOSE;
    if (keep && style >= MIXED) keep = xf_rng_below(&disk->rng, 4) != 0;
    if (keep) change_apply(disk, &c);
    else mark_dirs(disk, &c, true);
  }
  for (size_t i = 0; i < disk->n_change; i++) mark_dirs(disk, &disk->change[i], false);
  disk->n_change = 0;
}

/* The pieces of one write that reached the medium, sector by sector. `gone` tells for each sector whether an
   earlier write was lost; then this one is too. */
static void crash_write(struct xf_fs_crash *disk, struct xf_disk_inode *ino,
                        const struct xf_disk_write *w, enum style style, uint8_t *gone) {
  bool all = style == KEEP, none = style == LOSE;
  if (style >= MIXED) {
    uint32_t fate = xf_rng_below(&disk->rng, 4);
    all = fate == 0;
    none = fate == 1;
  }
  for (size_t at = w->at, end = w->at + w->len; at < end;) {
    size_t sector = at / SECTOR, next = (sector + 1) * SECTOR, to = next < end ? next : end;
    bool keep = !gone[sector] && !none && (all || coin(disk));
    if (keep) bytes_write(&ino->durable, ino->log.p + w->from + (at - w->at), to - at, at);
    else gone[sector] = 1;
    at = to;
  }
}

/* Lengths are metadata: a prefix of their changes survives, whatever became of the bytes. */
static void crash_file(struct xf_fs_crash *disk, struct xf_disk_inode *ino) {
  enum style style = style_draw(disk);
  size_t n = ino->n_write, n_meta = style == LOSE ? 0 : n, len = ino->durable.len, end = 0;
  if (style >= MIXED) n_meta = xf_rng_below(&disk->rng, (uint32_t)n + 1);
  for (size_t i = 0; i < n; i++)
    if (!ino->write[i].is_length && ino->write[i].at + ino->write[i].len > end)
      end = ino->write[i].at + ino->write[i].len;
  disk->scratch.len = 0;
  bytes_set_len(&disk->scratch, end / SECTOR + 1);
  for (size_t i = 0; i < n; i++) {
    const struct xf_disk_write *w = &ino->write[i];
    if (!w->is_length) {
      crash_write(disk, ino, w, style, disk->scratch.p);
      if (i < n_meta && w->at + w->len > len) len = w->at + w->len;
    } else if (i < n_meta) {
      len = w->at;
      if (ino->durable.len > len) bytes_set_len(&ino->durable, len);
    }
  }
  bytes_set_len(&ino->durable, len);
  bytes_copy(&ino->live, &ino->durable);
  ino->differs = false;
  log_clear(ino);
}

static void dir_copy(struct xf_disk_dir *to, const struct xf_disk_dir *from) {
  to->n = 0;
  for (size_t i = 0; i < from->n; i++) {
    GROW(to->e, to->n, to->cap);
    to->e[to->n++] = from->e[i];
  }
}

/* Makes the durable tree the live one, counting links from the root; what it does not reach is freed. */
static void crash_tree(struct xf_fs_crash *disk) {
  for (size_t i = 0; i < disk->n_inode; i++) {
    struct xf_disk_inode *ino = disk->inode[i];
    ino->n_live = ino->n_durable = ino->n_pending = ino->n_open = 0;
  }
  bytes_reserve(&disk->scratch, disk->n_inode * sizeof(int32_t));
  int32_t *queue = (int32_t *)(void *)disk->scratch.p; /* directories; each has one name */
  queue[0] = XF_DISK_ROOT;
  for (size_t at = 0, n = 1; at < n; at++) {
    struct xf_disk_inode *dir = disk->inode[queue[at]];
    dir_copy(&dir->live_dir, &dir->durable_dir);
    for (size_t i = 0; i < dir->live_dir.n; i++) {
      int32_t number = dir->live_dir.e[i].ino;
      struct xf_disk_inode *child = disk->inode[number];
      child->n_live++;
      child->n_durable++;
      child->parent = queue[at];
      if (!child->is_dir) continue;
      XF_ASSERT(n < disk->n_inode);
      queue[n++] = number;
    }
  }
  for (size_t i = 0; i < disk->n_inode; i++)
    if (disk->inode[i]->used) xf_disk_inode_settle(disk, (int32_t)i);
}

void xf_disk_crash(struct xf_fs_crash *disk) {
  crash_names(disk);
  for (size_t i = 0; i < disk->n_inode; i++) {
    struct xf_disk_inode *ino = disk->inode[i];
    if (ino->used && (ino->n_write || ino->differs)) crash_file(disk, ino);
  }
  crash_tree(disk);
}

/* ---- the whole ---- */

void xf_disk_clear(struct xf_fs_crash *disk) {
  disk->n_spare = 0;
  for (size_t i = disk->n_inode; i-- > 0;)
    inode_free(disk, (int32_t)i); /* number 0 is taken first */
  disk->n_change = 0;
  xf_arena_reset(&disk->names);
  disk->n_name = 0;
  if (disk->name_table) memset(disk->name_table, 0, disk->cap_name * 2 * sizeof *disk->name_table);
  XF_ASSERT(disk->taken == 0);
  XF_ASSERT(xf_disk_inode_new(disk, true) == XF_DISK_ROOT);
}

void xf_disk_deinit(struct xf_fs_crash *disk) {
  for (size_t i = 0; i < disk->n_inode; i++) {
    struct xf_disk_inode *ino = disk->inode[i];
    xf_free(ino->live.p);
    xf_free(ino->durable.p);
    xf_free(ino->log.p);
    xf_free(ino->write);
    xf_free(ino->live_dir.e);
    xf_free(ino->durable_dir.e);
    xf_free(ino);
  }
  xf_free(disk->inode);
  xf_free(disk->spare);
  xf_arena_deinit(&disk->names);
  xf_free(disk->name);
  xf_free(disk->name_hash);
  xf_free(disk->name_table);
  xf_free(disk->change);
  xf_free(disk->handle);
  xf_free(disk->scratch.p);
}
