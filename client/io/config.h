/*
 * config.h - client.yaml: where a silo's coordinator, state, certificates and data are, and what it refuses.
 *
 * Not for: what the federation computes (the coordinator's plan says that). Reference: `crossfed-client --help` and
 * docs/internals/client-io.md. Owner: the caller's struct, all inline. Thread: main.
 */
#ifndef XF_CLIENT_IO_CONFIG_H
#define XF_CLIENT_IO_CONFIG_H

#include "base/fs.h"
#include "base/log.h"
#include "client/core/policy.h"
#include "conf/conf.h"

struct xf_client_config {
  char federation[64], member[64];
  char coordinator
      [256]; /* "host:port", "[::1]:7443"; without port when coordinator_port_file says it */
  char coordinator_port_file[XF_PATH_MAX];
  char state_dir[XF_PATH_MAX];
  struct {
    char cert[XF_PATH_MAX], key[XF_PATH_MAX], ca[XF_PATH_MAX], crl[XF_PATH_MAX];
  } tls;
  struct {
    char path[XF_PATH_MAX];
    struct {
      uint32_t user, item, domain, value, time; /* from 1; 0: absent */
    } columns;
    char only_domain[256];
    char split[XF_PATH_MAX], center[64];
    char align_key[XF_PATH_MAX];
    struct {
      char triples[XF_PATH_MAX], items[XF_PATH_MAX], relations[XF_PATH_MAX];
    } kg;
  } data;
  struct xf_policy policy;
  struct {
    double min_s, max_s;
  } backoff;
  struct {
    char categories[XF_PATH_MAX];
    struct {
      char listen[128], socket[XF_PATH_MAX], token_file[XF_PATH_MAX];
      bool socket_group, log;
      uint32_t threads, max_connections, per_address;
      double timeout_s;
    } http;
  } serve;
  struct {
    enum xf_log_level level;
    enum xf_log_format format;
  } log;
  bool exit_when_done;
};

/* Where a config comes from: kept for SIGHUP. All borrowed. */
struct xf_client_source {
  const char *path;
  const char *const *sets;
  size_t n_sets;
  const char *const *env; /* like environ; NULL: no environment */
};

/* All keys of client.yaml. @own static */
const struct xf_conf_schema *xf_client_config_schema(void);
/* Reads and checks. With `conf`, the reader is given to the caller (origins, xf_conf_errors), also after an error.
   @own *conf: xf_conf_free @err E_NOTFOUND E_CONFIG E_IO E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_client_config_load(struct xf_client_config *out,
                                                const struct xf_client_source *source,
                                                struct xf_conf **conf, struct xf_diag *diag);
/* What no single key shows: host and port, backoff, names of models. @err E_CONFIG */
XF_WARN_UNUSED enum xf_rc xf_client_config_check(const struct xf_client_config *config,
                                                 struct xf_diag *diag);
/* Host and port of `coordinator`; port 0: none given. @own host caller's buffer @err E_CONFIG */
XF_WARN_UNUSED enum xf_rc xf_client_config_address(char host[256], uint16_t *port,
                                                   const struct xf_client_config *config,
                                                   struct xf_diag *diag);

#endif
