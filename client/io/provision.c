#include "client/io/provision.h"

#include "base/time.h"
#include "client/io/parts.h"
#include "store/state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DAY_S = 86400, WARN_DAYS = 14 };

static enum xf_rc identity(const struct xf_tls_ctx *tls, const struct xf_client_config *config,
                           struct xf_diag *diag) {
  const struct xf_pki_own *own = xf_tls_ctx_own(tls);
  const struct xf_identity *id = &own->identity;
  const int64_t left_s = own->not_after_s - xf_wall_now_s();
  if (strcmp(id->federation, config->federation) != 0)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "federation is \"%s\", but the certificate \"%s\" speaks for \"%s\"",
                       config->federation, config->tls.cert, id->federation);
  if (strcmp(id->member, config->member) != 0)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "member is \"%s\", but the certificate \"%s\" speaks for \"%s\"",
                       config->member, config->tls.cert, id->member);
  if (left_s < WARN_DAYS * DAY_S)
    xf_log(XF_LOG_WARN, "certificate_expires", XF_I("left_s", left_s));
  return XF_OK;
}

static enum xf_rc data(const struct xf_client_config *config, struct xf_diag *diag) {
  struct stat st;
  if (access(config->data.path, R_OK) != 0)
    return xf_diag_set(diag, XF_E_CONFIG, "data.path: cannot read \"%s\": %s", config->data.path,
                       xf_rc_text(xf_rc_from_errno(errno)));
  if (stat(config->data.path, &st) != 0 || S_ISDIR(st.st_mode))
    return xf_diag_set(diag, XF_E_CONFIG, "data.path: \"%s\" is no file", config->data.path);
  if (!config->data.split[0] || access(config->data.split, R_OK) == 0) return XF_OK;
  char first[sizeof config->data
                 .split]; /* of "VALIDATION,TEST"; the other is found missing when it is read */
  (void)snprintf(first, sizeof first, "%s", config->data.split);
  first[strcspn(first, ",")] = '\0';
  if (access(first, R_OK) != 0)
    return xf_diag_set(diag, XF_E_CONFIG, "data.split: cannot read \"%s\": %s", first,
                       xf_rc_text(xf_rc_from_errno(errno)));
  return XF_OK;
}

enum xf_rc client_provision(struct xf_tls_ctx **tls, struct xf_secret *key,
                            const struct xf_client_config *config, struct xf_diag *diag) {
  const struct xf_tls_options options = {.cert_path = config->tls.cert,
                                         .key_path = config->tls.key,
                                         .ca_path = config->tls.ca,
                                         .crl_path = config->tls.crl[0] ? config->tls.crl : NULL,
                                         .role = XF_PKI_ROLE_CLIENT};
  enum xf_rc rc = xf_tls_ctx_new(tls, &options, diag);
  if (!rc) rc = identity(*tls, config, diag);
  if (!rc && config->data.align_key[0]) rc = client_key_load(key, config->data.align_key, diag);
  if (!rc) rc = data(config, diag);
  if (!rc) rc = client_http_check(config, diag);
  return rc;
}

static enum xf_rc database(const struct xf_client_config *config, struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  struct xf_outbox *outbox = NULL;
  enum xf_rc rc = xf_fs_join(path, config->state_dir, XF_STATE_CLIENT_DB);
  if (rc || access(path, F_OK) != 0) return rc;
  rc = xf_outbox_open_read(&outbox, xf_fs_posix(), config->state_dir, NULL, diag);
  xf_outbox_close(outbox);
  return rc == XF_E_VERSION ? xf_diag_prefix(diag, XF_E_CORRUPT, "state_dir") : rc;
}

enum xf_rc client_provision_state(const struct xf_client_config *config, struct xf_diag *diag) {
  char parent[XF_PATH_MAX];
  const char *dir = config->state_dir;
  const size_t n = strlen(dir);
  memcpy(parent, dir, n + 1);
  if (access(dir, F_OK) != 0) { /* it will be made: its parent counts */
    char *slash = strrchr(parent, '/');
    if (!slash) memcpy(parent, ".", 2);
    else slash[slash == parent] = '\0';
  }
  if (access(parent, R_OK | W_OK | X_OK) != 0)
    return xf_diag_set(diag, xf_rc_from_errno(errno), "state_dir: cannot write in \"%s\": %s",
                       parent, xf_rc_text(xf_rc_from_errno(errno)));
  enum xf_rc rc = xf_lock_check_fs(parent, diag);
  return rc ? rc : database(config, diag);
}
