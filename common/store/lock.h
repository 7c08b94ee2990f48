/*
 * lock.h - the state directory: one process at a time, on a local file system.
 *
 * "<dir>/lock" is held with flock and contains the holder's pid; it vanishes with the process, however
 * that ends, and the file may stay. Network file systems are refused: neither flock nor SQLite's WAL nor
 * fsync can be trusted there.
 * Owner: the caller embeds the struct. Thread: any, one at a time. Works on the real file system only.
 */
#ifndef XF_STORE_LOCK_H
#define XF_STORE_LOCK_H

#include "base/diag.h"

struct xf_lock {
  int fd; /* -1: not held */
};

/* Takes the lock; makes `dir` (mode 0750) when absent. diag names the holder's pid.
   @own lock: xf_lock_give @err E_LOCKED E_UNSUPPORTED (network file system) E_AUTH E_LIMIT E_IO */
XF_WARN_UNUSED enum xf_rc xf_lock_take(struct xf_lock *lock, const char *dir, struct xf_diag *diag);
/* Releases; idempotent after take or with fd -1. @own lock */
void xf_lock_give(struct xf_lock *lock);
/* The pid in the lock file when somebody holds it, else 0 (tools that only read ask first). @err 0 */
long xf_lock_find(const char *dir);
/* Whether SQLite and fsync can be trusted on the file system of `dir`. @err E_UNSUPPORTED E_IO */
XF_WARN_UNUSED enum xf_rc xf_lock_check_fs(const char *dir, struct xf_diag *diag);

#endif
