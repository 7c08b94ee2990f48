// modules: server/io client/io
/* YAML of a person: the first byte chooses server.yaml, client.yaml or a plan, the rest is the file. What is accepted prints as
   YAML that reads back to the same; what is refused is refused in words. */
#include "base/assert.h"
#include "client/io/config.h"
#include "crypto/init.h"
#include "plan/plan.h"
#include "server/io/config.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 1024 * 1024 };

/* A file in memory that has a path. */
static int file(char path[64], const void *p, size_t len) {
  const int fd = memfd_create("fuzz", MFD_CLOEXEC);
  XF_ASSERT(fd >= 0 && write(fd, p, len) == (ssize_t)len);
  (void)snprintf(path, 64, "/proc/self/fd/%d", fd);
  return fd;
}

static enum xf_rc server(struct xf_buf *out, const char *path, struct xf_diag *diag) {
  const struct srv_config_source source = {.path = path};
  struct srv_config c;
  struct xf_conf *conf = NULL;
  enum xf_rc rc = srv_config_load(&c, &source, NULL, &conf, diag);
  xf_conf_free(conf);
  if (rc) return rc;
  for (uint32_t i = 1; i < c.n_members; i++)
    XF_ASSERT(strcmp(c.members[i - 1].id, c.members[i].id) < 0);
  rc = xf_conf_print(out, &srv_config_schema, &c, NULL);
  srv_config_deinit(&c);
  XF_ASSERT(rc == XF_OK || rc == XF_E_LIMIT);
  return rc;
}

static enum xf_rc client(struct xf_buf *out, const char *path, struct xf_diag *diag) {
  static struct xf_client_config c;
  const struct xf_client_source source = {.path = path};
  struct xf_conf *conf = NULL;
  enum xf_rc rc = xf_client_config_load(&c, &source, &conf, diag);
  xf_conf_free(conf);
  if (rc) return rc;
  rc = xf_conf_print(out, xf_client_config_schema(), &c, NULL);
  XF_ASSERT(rc == XF_OK || rc == XF_E_LIMIT);
  return rc;
}

static enum xf_rc plan(struct xf_buf *out, const char *path, struct xf_diag *diag) {
  static struct xf_plan p;
  struct xf_buf errors;
  xf_buf_init(&errors, TEXT_MAX);
  enum xf_rc rc = xf_plan_load(&p, path, NULL, 0, &errors, diag);
  xf_buf_deinit(&errors);
  if (rc) return rc;
  rc = xf_plan_print(out, &p);
  XF_ASSERT(rc == XF_OK || rc == XF_E_LIMIT);
  return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static enum xf_rc (*const read_one[3])(struct xf_buf *, const char *,
                                         struct xf_diag *) = {server, client, plan};
  char path[64];
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (size < 1 || size > 1 << 16 || xf_crypto_start()) return 0;
  const unsigned kind = data[0] % 3;
  struct xf_buf first, second;
  xf_buf_init(&first, TEXT_MAX);
  xf_buf_init(&second, TEXT_MAX);
  int fd = file(path, data + 1, size - 1);
  enum xf_rc rc = read_one[kind](&first, path, &diag);
  (void)close(fd);
  if (rc) {
    XF_ASSERT(rc == XF_E_LIMIT || diag.text[0]);
  } else {
    fd = file(path, first.p, first.len);
    rc = read_one[kind](&second, path, &diag);
    (void)close(fd);
    XF_ASSERT(rc == XF_OK && first.len == second.len && memcmp(first.p, second.p, first.len) == 0);
  }
  xf_buf_deinit(&first);
  xf_buf_deinit(&second);
  return 0;
}
