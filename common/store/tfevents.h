/*
 * tfevents.h - scalars as an event file that TensorBoard reads: events.out.tfevents.crossfed of a run directory.
 *
 * A file of TFRecords: length (u64), masked CRC-32C of those 8 bytes, the bytes, their masked CRC-32C, all little-endian;
 * mask(c) = (c >> 15 | c << 17) + 0xa282ead8. The first record is the version, each other an Event of one step with a
 * Summary of scalars (float32). A torn or damaged tail is cut off when the file is opened again: readers stop there.
 * Not for: anything we read ourselves (metrics.jsonl has the doubles).
 * Owner: the caller embeds the struct. Thread: one at a time.
 * @source TensorFlow core/lib/io/record_writer.cc and lib/hash/crc32c.h (framing), core/util/event.proto (wall_time 1, step 2,
 * file_version 3, summary 5), core/framework/summary.proto (value 1: tag 1, simple_value 2)
 */
#ifndef XF_STORE_TFEVENTS_H
#define XF_STORE_TFEVENTS_H

#include "base/fs.h"

#include <stddef.h>
#include <stdint.h>

struct xf_tfevents {
  struct xf_file file;
  uint64_t len;
  bool open;
};
struct xf_tfevents_value {
  const char *tag; /* "acc/test/federated": grouped by what stands before the first slash */
  double value;    /* NaN and infinities are not written */
};

/* Makes the file when absent; `fresh` empties it. @own events: xf_tfevents_close @err E_IO E_NOSPACE */
XF_WARN_UNUSED enum xf_rc xf_tfevents_open(struct xf_tfevents *events, const struct xf_fs *fs,
                                           const char *path, bool fresh);
/* One event; without a finite value none. @unit wall_s seconds since 1970 @err E_IO E_NOSPACE E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_tfevents_put(struct xf_tfevents *events, double wall_s, uint64_t step,
                                          const struct xf_tfevents_value *value, size_t n);
/* Idempotent, legal on a zeroed struct. @own events */
void xf_tfevents_close(struct xf_tfevents *events);

#endif
