/*
 * fs_crash_disk.h - the inside of fs_crash: inodes, names, the pending changes and what a crash keeps of them.
 *
 * Each file has its live bytes (what reads see), its durable bytes (what the last fsync left) and the log of
 * writes in between. Each directory has live and durable entries; one log holds the pending changes of
 * names in order. Not for use outside fs_crash*.c. Thread: one at a time.
 */
#ifndef XF_BASE_FS_CRASH_DISK_H
#define XF_BASE_FS_CRASH_DISK_H

#include "base/arena.h"
#include "base/fs_crash.h"
#include "base/rng.h"

enum { XF_DISK_ROOT = 0, XF_DISK_NONE = -1 };

struct xf_disk_bytes {
  uint8_t *p;
  size_t len, cap;
};

/* A write of `len` bytes at `at` whose bytes lie at log[from], or a change of length to `at`. */
struct xf_disk_write {
  size_t at, len, from;
  bool is_length;
};

struct xf_disk_entry {
  uint32_t name;
  int32_t ino;
};

struct xf_disk_dir {
  struct xf_disk_entry *e;
  size_t n, cap;
};

struct xf_disk_inode {
  bool used, is_dir, mark;
  uint32_t n_live, n_durable, n_pending, n_open; /* who refers to it; free when all are 0 */
  uint64_t charged;                              /* bytes of the capacity it takes */
  struct xf_disk_bytes live, durable, log;
  struct xf_disk_write *write;
  size_t n_write, cap_write;
  bool differs;  /* live bytes that a later fsync will not save */
  size_t n_lost; /* the first writes of the log, whose fsync failed */
  struct xf_disk_dir live_dir, durable_dir;
  int32_t parent;
};

/* A pending change of names: `ino` gets name `to` in `to_dir` and loses `from` in `from_dir`. Creation has no
   `from_dir`, removal no `to_dir` (XF_DISK_NONE). */
struct xf_disk_change {
  int32_t ino, from_dir, to_dir;
  uint32_t from, to;
};

struct xf_disk_handle {
  int32_t ino;
  uint32_t generation;
  bool used, reads, writes;
};

struct xf_fs_crash {
  struct xf_fs fs;
  struct xf_rng rng;
  struct xf_disk_inode **inode;
  size_t n_inode, cap_inode;
  int32_t *spare; /* inode numbers to use again */
  size_t n_spare, cap_spare;
  struct xf_arena names; /* interned: equal names are equal numbers */
  const char **name;
  uint32_t *name_hash;
  size_t n_name, cap_name;
  uint32_t *name_table; /* open addressing, number + 1; 2 * cap_name slots */
  struct xf_disk_change *change;
  size_t n_change, cap_change;
  struct xf_disk_handle *handle;
  size_t n_handle;
  struct xf_disk_bytes scratch;
  uint64_t capacity, taken;
  uint64_t ops, fail_at, cut_at;
  enum xf_rc fail_rc;
  bool off, off_after;
};

/* Number of a name; `add` interns it, else XF_DISK_NONE when unknown. @own copies s */
int64_t xf_disk_name(struct xf_fs_crash *disk, const char *s, size_t len, bool add);
/* Entry of a directory, or XF_DISK_NONE. @own borrowed */
int32_t xf_disk_find(const struct xf_disk_dir *dir, uint32_t name);
/* A new inode without links. @own disk */
int32_t xf_disk_inode_new(struct xf_fs_crash *disk, bool is_dir);
/* Recomputes what the inode takes of the capacity and frees it when nothing refers to it. @own disk */
void xf_disk_inode_settle(struct xf_fs_crash *disk, int32_t ino);
/* Makes a change of names in the live view and records it as pending. @own disk */
void xf_disk_change_add(struct xf_fs_crash *disk, struct xf_disk_change change);
/* Makes the pending changes of a directory durable, and those they need. @own disk */
void xf_disk_change_sync(struct xf_fs_crash *disk, int32_t dir);
/* Writes into the live bytes and the log. @shape p[len] */
void xf_disk_write(struct xf_disk_inode *ino, const void *p, size_t len, size_t at);
/* Changes the length; new bytes are zeros. @unit bytes */
void xf_disk_set_len(struct xf_disk_inode *ino, size_t len);
/* Makes the logged writes durable (but for lost ones), or marks them lost. @own ino */
void xf_disk_sync(struct xf_disk_inode *ino, bool failed);
/* Power loss on everything but handles. @own disk */
void xf_disk_crash(struct xf_fs_crash *disk);
/* Frees all inodes, names and changes but keeps their memory, then makes the root. @own disk */
void xf_disk_clear(struct xf_fs_crash *disk);
/* Releases all memory. @own disk */
void xf_disk_deinit(struct xf_fs_crash *disk);

#endif
