/*
 * config.h - server.yaml: what the coordinator is told, read and checked; nothing is opened here.
 * Not for: the plan (plan/plan.h), what the config names (state.h opens it). Keys and reload classes: config.c and
 * docs/internals/server-io.md. Owner: the caller's struct, srv_config_deinit. Thread: the loop's.
 */
#ifndef XF_SERVER_IO_CONFIG_H
#define XF_SERVER_IO_CONFIG_H

#include "base/log.h"
#include "conf/conf.h"
#include "server/core/coord.h"

enum { SRV_PATH = 512, SRV_SOCKET_PATH = 108, SRV_HOST = 160 };

struct srv_config {
  char federation[XF_MEMBER_NAME];
  char plan[SRV_PATH];
  char state_dir[SRV_PATH];
  struct {
    char address[SRV_HOST];
    uint32_t max_connections;
  } listen;
  char port_file[SRV_PATH];
  struct {
    char cert[SRV_PATH], key[SRV_PATH], ca[SRV_PATH], crl[SRV_PATH];
  } tls;
  struct xf_coord_member *members; /* sorted by id */
  uint32_t n_members;
  char admin_socket[SRV_PATH]; /* resolved: never empty */
  struct {
    enum xf_log_level level;
    enum xf_log_format format;
  } log;
  struct {
    uint32_t max_transfers, min_rate;
    double drain_timeout_s, heartbeat_s, dead_after_s, handshake_s, stall_s;
  } limits;
  struct {
    uint32_t retain;
  } spool;
  struct {
    uint32_t keep, keep_old;
  } checkpoint;
  uint32_t workers;
  bool exit_when_done;
};

/* The table of server.yaml. */
extern const struct xf_conf_schema srv_config_schema;

/* Where it comes from; kept for reloads, so the pointers must outlive the daemon. */
struct srv_config_source {
  const char *path;
  const char *const *sets;
  size_t n_sets;
  const char *const *env;
};

/* Reads, checks across keys, sorts members. `errors` (may be NULL) gets all errors, a line each; `conf` (may be NULL)
   keeps the origins: release with xf_conf_free. On an error nothing is left to release. */
XF_WARN_UNUSED enum xf_rc srv_config_load(struct srv_config *out,
                                          const struct srv_config_source *source,
                                          struct xf_buf *errors, struct xf_conf **conf,
                                          struct xf_diag *diag);
void srv_config_deinit(struct srv_config *cfg);
/* "127.0.0.1:7443", "[::1]:0", ":7443" -> host ("" for all) and port. */
XF_WARN_UNUSED enum xf_rc srv_config_listen(const struct srv_config *cfg, char host[SRV_HOST],
                                            uint16_t *port, struct xf_diag *diag);

/* Whether `next` may replace `now` in a running daemon: E_CONFIG names the first key that needs a restart. `changed` gets
   the names of the keys that differ, separated by spaces. */
XF_WARN_UNUSED enum xf_rc srv_config_check_reload(const struct srv_config *now,
                                                  const struct srv_config *next,
                                                  struct xf_buf *changed, struct xf_diag *diag);
/* Takes over what a running daemon may change: limits of members (in place), log, spool, checkpoint. */
void srv_config_apply(struct srv_config *now, const struct srv_config *next);

#endif
