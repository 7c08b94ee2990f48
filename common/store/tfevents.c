#include "store/tfevents.h"

#include "base/crc32c.h"

#include <math.h>
#include <string.h>

enum { HEAD = 12, TAIL = 4, RECORD_MAX = 1 << 20 };
enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 }; /* wire types of protobuf */

static uint32_t masked(const void *p, size_t n) {
  const uint32_t c = xf_crc32c(0, p, n);
  return (c >> 15 | c << 17) + 0xa282ead8u;
}

static uint32_t u32(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static enum xf_rc put_varint(struct xf_buf *out, uint64_t v) {
  enum xf_rc rc = XF_OK;
  for (; v > 127 && !rc; v >>= 7) rc = xf_buf_put_u8(out, (uint8_t)(v | 128));
  return rc ? rc : xf_buf_put_u8(out, (uint8_t)v);
}

static enum xf_rc put_key(struct xf_buf *out, uint32_t field, uint32_t type) {
  return put_varint(out, field << 3 | type);
}

static enum xf_rc put_bytes(struct xf_buf *out, uint32_t field, const void *p, size_t n) {
  enum xf_rc rc = put_key(out, field, BYTES);
  if (!rc) rc = put_varint(out, n);
  return rc ? rc : xf_buf_put(out, p, n);
}

static enum xf_rc put_double(struct xf_buf *out, uint32_t field, double v) {
  uint64_t bits = 0;
  memcpy(&bits, &v, sizeof bits);
  const enum xf_rc rc = put_key(out, field, FIXED64);
  return rc ? rc : xf_buf_put_u64le(out, bits);
}

static enum xf_rc put_value(struct xf_buf *summary, const struct xf_tfevents_value *v) {
  struct xf_buf value;
  const float x = (float)v->value;
  uint32_t bits = 0;
  memcpy(&bits, &x, sizeof bits);
  xf_buf_init(&value, RECORD_MAX);
  enum xf_rc rc = put_bytes(&value, 1, v->tag, strlen(v->tag));
  if (!rc) rc = put_key(&value, 2, FIXED32);
  if (!rc) rc = xf_buf_put_u32le(&value, bits);
  if (!rc) rc = put_bytes(summary, 1, value.p, value.len);
  xf_buf_deinit(&value);
  return rc;
}

static enum xf_rc append(struct xf_tfevents *e, const struct xf_buf *data) {
  struct xf_buf record;
  xf_buf_init(&record, RECORD_MAX + HEAD + TAIL);
  enum xf_rc rc = xf_buf_put_u64le(&record, data->len);
  if (!rc) rc = xf_buf_put_u32le(&record, masked(record.p, 8));
  if (!rc) rc = xf_buf_put(&record, data->p, data->len);
  if (!rc) rc = xf_buf_put_u32le(&record, masked(data->p, data->len));
  if (!rc) rc = e->file.fs->pwrite(&e->file, record.p, record.len, e->len);
  if (!rc) e->len += record.len;
  xf_buf_deinit(&record);
  return rc;
}

/* Where the last whole record ends. */
static enum xf_rc whole_records(struct xf_file *file, uint64_t size, uint64_t *end) {
  struct xf_buf buf;
  enum xf_rc rc = XF_OK;
  xf_buf_init(&buf, RECORD_MAX + TAIL);
  *end = 0;
  while (size - *end >= HEAD + TAIL) {
    uint8_t head[HEAD];
    size_t got = 0;
    rc = file->fs->pread(file, head, HEAD, *end, &got);
    if (rc || got != HEAD || masked(head, 8) != u32(head + 8)) break;
    const uint64_t n = u32(head) | (uint64_t)u32(head + 4) << 32;
    if (n > RECORD_MAX || n + HEAD + TAIL > size - *end) break;
    xf_buf_reset(&buf);
    uint8_t *p = xf_buf_reserve(&buf, (size_t)n + TAIL);
    rc = p ? file->fs->pread(file, p, (size_t)n + TAIL, *end + HEAD, &got) : XF_E_NOMEM;
    if (rc || got != n + TAIL || masked(p, (size_t)n) != u32(p + n)) break;
    *end += n + HEAD + TAIL;
  }
  xf_buf_deinit(&buf);
  return rc;
}

static enum xf_rc put_version(struct xf_tfevents *e) {
  static const char version[] = "brain.Event:2";
  struct xf_buf event;
  xf_buf_init(&event, RECORD_MAX);
  enum xf_rc rc = put_double(&event, 1, 0);
  if (!rc) rc = put_bytes(&event, 3, version, strlen(version));
  if (!rc) rc = append(e, &event);
  xf_buf_deinit(&event);
  return rc;
}

enum xf_rc xf_tfevents_open(struct xf_tfevents *e, const struct xf_fs *fs, const char *path,
                            bool fresh) {
  uint64_t size = 0;
  *e = (struct xf_tfevents){0};
  enum xf_rc rc = fs->open(fs, &e->file, path, XF_FS_RDWR);
  if (rc) return rc;
  e->open = true;
  rc = fs->size(&e->file, &size);
  if (!rc && !fresh) rc = whole_records(&e->file, size, &e->len);
  if (!rc && e->len != size) rc = fs->truncate(&e->file, e->len);
  if (!rc && !e->len) rc = put_version(e);
  if (rc) xf_tfevents_close(e);
  return rc;
}

enum xf_rc xf_tfevents_put(struct xf_tfevents *e, double wall_s, uint64_t step,
                           const struct xf_tfevents_value *value, size_t n) {
  struct xf_buf event, summary;
  xf_buf_init(&event, RECORD_MAX);
  xf_buf_init(&summary, RECORD_MAX);
  enum xf_rc rc = e->open ? XF_OK : XF_E_STATE;
  for (size_t i = 0; i < n && !rc; i++)
    if (isfinite(value[i].value)) rc = put_value(&summary, &value[i]);
  if (!rc) rc = put_double(&event, 1, wall_s);
  if (!rc) rc = put_key(&event, 2, VARINT);
  if (!rc) rc = put_varint(&event, step);
  if (!rc) rc = put_bytes(&event, 5, summary.p, summary.len);
  if (!rc && summary.len) rc = append(e, &event);
  xf_buf_deinit(&event);
  xf_buf_deinit(&summary);
  return rc;
}

void xf_tfevents_close(struct xf_tfevents *e) {
  if (e->open) (void)e->file.fs->close(&e->file); /* nothing of it is needed again */
  e->open = false;
}
