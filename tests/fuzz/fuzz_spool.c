// modules: store json param crypto base
/* A file of the coordinator's spool, as found after a crash. The first byte: even, the header's checksum is made right (so that
   the fields behind it are reached); odd, the file is as it is. */
#include "base/assert.h"
#include "base/crc32c.h"
#include "base/fs_crash.h"
#include "crypto/init.h"
#include "store/spool.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_MAX = 1 << 15, CRC_AT = XF_SPOOL_HEADER - 4, ROUND_AT = 112, TASK_AT = 16 };

/* The name that goes with a header's round and task id. */
static void name_of(char name[XF_SPOOL_NAME_MAX], const uint8_t *head) {
  struct xf_spool_head h = {0};
  memcpy(h.task_id.b, head + TASK_AT, XF_DIGEST_LEN);
  for (unsigned i = 0; i < 8; i++) h.round |= (uint64_t)head[ROUND_AT + i] << 8 * i;
  xf_spool_name(name, &h);
}

static enum xf_spool_fate visit(void *arg, const char *name, const struct xf_spool_head *head,
                                const struct xf_diag *diag) {
  const struct xf_spool *spool = arg;
  struct xf_spool_entry e = {0};
  struct xf_diag why;
  uint8_t bytes[256];
  float x[16];
  xf_diag_init(&why);
  enum xf_rc rc = xf_spool_open(&e, spool, name, &why);
  XF_ASSERT((head == NULL) == (rc != XF_OK));
  if (rc) {
    XF_ASSERT(diag->text[0] && why.text[0]);
    return XF_SPOOL_DELETE;
  }
  char back[XF_SPOOL_NAME_MAX];
  xf_spool_name(back, &e.head);
  XF_ASSERT(strcmp(back, name) == 0);
  XF_ASSERT(memchr(e.head.member, 0, sizeof e.head.member));
  XF_ASSERT(memchr(e.head.meta, 0, sizeof e.head.meta));
  const uint64_t len = e.head.payload_len;
  const size_t n = len < sizeof bytes ? (size_t)len : sizeof bytes;
  XF_ASSERT(xf_spool_read(&e, bytes, n, len - n, &why) == XF_OK);
  XF_ASSERT(xf_spool_read(&e, bytes, 1, len, &why) != XF_OK);
  if (len >= sizeof x) XF_ASSERT(xf_spool_read_floats(&e, x, 16, len / 4 - 16, &why) == XF_OK);
  (void)!xf_spool_verify(&e, &why);
  xf_spool_close(&e);
  return XF_SPOOL_KEEP;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct xf_fs_crash *disk;
  static uint8_t bytes[FILE_MAX];
  struct xf_spool spool;
  struct xf_spool_scan scan;
  struct xf_diag diag;
  char name[XF_SPOOL_NAME_MAX], path[XF_PATH_MAX];
  xf_diag_init(&diag);
  if (size < 1 || size > FILE_MAX || xf_crypto_start()) return 0;
  if (!disk) disk = xf_fs_crash_new(1);
  xf_fs_crash_reset(disk, 1);
  const struct xf_fs *fs = xf_fs_crash_as_fs(disk);
  const size_t len = size - 1;
  memset(bytes, 0, XF_SPOOL_HEADER);
  memcpy(bytes, data + 1, len);
  if (data[0] % 2 == 0 && len >= XF_SPOOL_HEADER) {
    const uint32_t crc = xf_crc32c(0, bytes, CRC_AT);
    for (unsigned i = 0; i < 4; i++) bytes[CRC_AT + i] = (uint8_t)(crc >> 8 * i);
  }
  name_of(name, bytes);
  XF_ASSERT(xf_spool_init(&spool, fs, "/spool", &diag) == XF_OK);
  XF_ASSERT(xf_fs_join(path, "/spool", name) == XF_OK);
  XF_ASSERT(xf_fs_replace(fs, path, bytes, len, &diag) == XF_OK);
  XF_ASSERT(xf_spool_scan(&spool, visit, &spool, &scan, &diag) == XF_OK);
  XF_ASSERT(scan.kept + scan.deleted + scan.strange == 1);
  return 0;
}
