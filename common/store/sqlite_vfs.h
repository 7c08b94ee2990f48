/*
 * sqlite_vfs.h - SQLite on top of struct xf_fs, so that the ledger and the outbox run on the simulated disk that
 * loses power (base/fs_crash.h).
 *
 * For tests and the deterministic simulation only: there is no shared memory and no locking, so a database has one
 * connection at a time, in exclusive mode, with its WAL index on the heap. Daemons use the
 * operating system's VFS.
 * Owner: the caller; `fs` outlives the VFS, the VFS outlives its databases. Thread: that of the disk.
 */
#ifndef XF_STORE_SQLITE_VFS_H
#define XF_STORE_SQLITE_VFS_H

#include "base/fs.h"

struct xf_sqlite_vfs;

/* Registers a VFS under `name` (shorter than 32 characters), to be passed to xf_ledger_open and
   xf_outbox_open. @own caller: xf_sqlite_vfs_stop @err E_LIMIT E_EXISTS */
XF_WARN_UNUSED enum xf_rc xf_sqlite_vfs_start(struct xf_sqlite_vfs **out, const struct xf_fs *fs,
                                              const char *name);
/* Removes it; NULL is legal. @own takes vfs */
void xf_sqlite_vfs_stop(struct xf_sqlite_vfs *vfs);

#endif
