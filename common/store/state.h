/*
 * state.h - where things are in a state directory, and who may read them.
 *
 *   coordinator            mode   client                 mode
 *   ledger/ledger.db       0750   client.db              0700 (the directory)
 *   ckpt/                  0750   outbox/, personal/     0700
 *   spool/                 0700   lock, model.safetensors
 *   lock, run directory files (rundir.h)
 * Owner: none. Thread: any.
 */
#ifndef XF_STORE_STATE_H
#define XF_STORE_STATE_H

#include "base/fs.h"

#define XF_STATE_LEDGER "ledger/ledger.db"
#define XF_STATE_CKPT "ckpt"
#define XF_STATE_SPOOL "spool"
#define XF_STATE_CLIENT_DB "client.db"
#define XF_STATE_OUTBOX "outbox"
#define XF_STATE_PERSONAL "personal"
#define XF_STATE_MODEL "model.safetensors"

enum { XF_STATE_CKPT_NAME = 40 };

/* Makes a coordinator's or a client's sub-directories with their modes. @err E_AUTH E_IO E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_state_init_server(const struct xf_fs *fs, const char *dir,
                                               struct xf_diag *diag);
XF_WARN_UNUSED enum xf_rc xf_state_init_client(const struct xf_fs *fs, const char *dir,
                                               struct xf_diag *diag);
/* "ckpt/round-0000000017.safetensors", relative to the state directory. @own caller's buffer */
void xf_state_checkpoint_name(char out[XF_STATE_CKPT_NAME], uint64_t round);
/* Before a round opens: whether `bytes` more are free on the directory's file system.
   @err E_NOSPACE (names both numbers) E_IO */
XF_WARN_UNUSED enum xf_rc xf_state_check_space(const struct xf_fs *fs, const char *dir,
                                               uint64_t bytes, struct xf_diag *diag);
/* Deletes the left-over temporary files of checkpoints ("*.tmp" below ckpt/). @err E_IO */
XF_WARN_UNUSED enum xf_rc xf_state_sweep(const struct xf_fs *fs, const char *dir,
                                         uint64_t *n_deleted, struct xf_diag *diag);

#endif
