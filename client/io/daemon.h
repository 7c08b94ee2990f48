/*
 * daemon.h - the silo's daemon: everything between a checked config and an exit status.
 * Not for: arguments (main.c). Owner: all it makes. Thread: main, before any other thread; do not fork afterwards.
 */
#ifndef XF_CLIENT_IO_DAEMON_H
#define XF_CLIENT_IO_DAEMON_H

#include "client/io/config.h"

/* Runs until the run is done, a signal or an error. source is kept for SIGHUP. @err exit status @thread main */
int xf_daemon_run(const struct xf_client_config *config, const struct xf_client_source *source);
/* Opens all that a start would open, without starting: certificates, identity, key, data, state. Changes nothing.
   @err E_CONFIG E_AUTH E_NOTFOUND E_CORRUPT E_VERSION E_IO */
XF_WARN_UNUSED enum xf_rc xf_daemon_check(const struct xf_client_config *config,
                                          struct xf_diag *diag);

#endif
