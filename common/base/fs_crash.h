/*
 * fs_crash.h - a disk in memory that can lose power: storage code runs on it unchanged through struct xf_fs.
 *
 * What it promises is what POSIX promises and no more:
 *   - bytes are durable after fsync of their file; until then each write may be lost, kept or torn
 *     (sectors of 512 bytes; per sector, an older write survives whenever a newer one does), and a
 *     length may lag behind or run ahead of its bytes (which then read as zeros);
 *   - names are durable after syncdir of their directory (fsync of a file does not cover its name);
 *     until then, per directory, a prefix of the changes survives. A rename is one change;
 *   - a failed fsync is final: a later one that succeeds does not save the bytes of the first.
 * Everything random comes from one seed. Not for: permissions, links, ".." in paths, directories
 * removed. Missing parents are E_NOTFOUND as on POSIX: mkdir them ("/" exists).
 *
 * Owner: the caller; files opened through it must not outlive it. Thread: one at a time.
 */
#ifndef XF_BASE_FS_CRASH_H
#define XF_BASE_FS_CRASH_H

#include "base/fs.h"

#include <stddef.h>
#include <stdint.h>

struct xf_fs_crash;

enum { XF_FS_CRASH_SECTOR = 512 };
/* Default and largest capacity. @unit bytes */
#define XF_FS_CRASH_CAPACITY ((uint64_t)1 << 30)

/* An empty disk. @own caller: xf_fs_crash_free */
struct xf_fs_crash *xf_fs_crash_new(uint64_t seed);
/* Releases the disk. @own takes disk; NULL is legal */
void xf_fs_crash_free(struct xf_fs_crash *disk);
/* Back to an empty disk with a new seed, keeping memory: for many short schedules. @own disk */
void xf_fs_crash_reset(struct xf_fs_crash *disk, uint64_t seed);
/* The table of functions, valid as long as the disk. @own borrowed from disk */
const struct xf_fs *xf_fs_crash_as_fs(const struct xf_fs_crash *disk);

/* Power loss: keeps what is durable and, at random, some of the rest; all files are closed (their
   handles then fail with E_IO; closing them stays legal). Clears fail_at and cut_at. @own disk */
void xf_fs_crash_crash(struct xf_fs_crash *disk);
/* kill -9: all files are closed, nothing is lost (when the power is off: a crash). Clears fail_at and
   cut_at. @own disk */
void xf_fs_crash_kill(struct xf_fs_crash *disk);

/* Bytes all files together may hold; beyond, writes keep what fits and say E_NOSPACE. Clamped to
   XF_FS_CRASH_CAPACITY. @unit bytes */
void xf_fs_crash_set_capacity(struct xf_fs_crash *disk, uint64_t bytes);
/* The nth operation from now (1: the next) fails with rc, once: without effect, but a write may have
   written a part, and an fsync's bytes may never become durable. nth 0: none. @err rc */
void xf_fs_crash_fail_at(struct xf_fs_crash *disk, uint64_t nth, enum xf_rc rc);
/* The power goes during the nth operation from now: it fails, with or without effect, and every later one
   fails with E_IO until xf_fs_crash_crash. nth 0: none. @err E_IO */
void xf_fs_crash_cut_at(struct xf_fs_crash *disk, uint64_t nth);
/* Operations since new or reset; each call through the table but close counts, failed ones too.
   @unit operations */
uint64_t xf_fs_crash_ops(const struct xf_fs_crash *disk);
/* Whether cut_at has struck and the disk waits for xf_fs_crash_crash. @thread as disk */
bool xf_fs_crash_is_off(const struct xf_fs_crash *disk);

#endif
