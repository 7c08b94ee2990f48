/*
 * jsonw.h - writing one line of JSON into a bounded buffer: reports, logs, file headers, the admin socket.
 *
 * Keys stay in the order written. NaN and infinities become null. Text that is not UTF-8 is written with U+FFFD.
 * Errors stick: the first one is returned by xf_jsonw_finish, everything after it writes nothing, so
 * a report is written straight down and checked once.
 * Owner: the writer is the caller's and borrows the buffer. Thread: one at a time.
 */
#ifndef XF_JSON_JSONW_H
#define XF_JSON_JSONW_H

#include "base/buf.h"
#include "base/digest.h"

enum { XF_JSONW_DEPTH = 32 };

struct xf_jsonw {
  struct xf_buf *out;
  enum xf_rc rc;
  uint32_t depth;
  char open[XF_JSONW_DEPTH]; /* '{' or '[' */
  bool some[XF_JSONW_DEPTH]; /* the level has a member: the next needs a comma */
  bool has_key, has_root;
};

/* Starts one value at the end of `out`. @own borrows out */
void xf_jsonw_init(struct xf_jsonw *w, struct xf_buf *out);
/* The sticky error, or E_STATE when the value is not complete. @err E_LIMIT E_NOMEM E_STATE */
XF_WARN_UNUSED enum xf_rc xf_jsonw_finish(struct xf_jsonw *w);

/* Opens and closes objects and arrays. @err sticky */
void xf_jsonw_object(struct xf_jsonw *w);
void xf_jsonw_object_end(struct xf_jsonw *w);
void xf_jsonw_array(struct xf_jsonw *w);
void xf_jsonw_array_end(struct xf_jsonw *w);
/* The key of the next value; only in an object. @err sticky */
void xf_jsonw_key(struct xf_jsonw *w, const char *key);

/* Values: alone, in an array, or after a key. NULL text is null. @err sticky */
void xf_jsonw_str(struct xf_jsonw *w, const char *s);
void xf_jsonw_text(struct xf_jsonw *w, const char *p, size_t len);
void xf_jsonw_int(struct xf_jsonw *w, int64_t v);
void xf_jsonw_uint(struct xf_jsonw *w, uint64_t v);
void xf_jsonw_double(struct xf_jsonw *w, double v);
void xf_jsonw_bool(struct xf_jsonw *w, bool v);
void xf_jsonw_null(struct xf_jsonw *w);
/* One JSON value that is text already; it is the caller's word that it is well-formed. @err sticky */
void xf_jsonw_raw(struct xf_jsonw *w, const char *p, size_t len);

/* Key and value in one. @err sticky */
void xf_jsonw_kstr(struct xf_jsonw *w, const char *key, const char *s);
void xf_jsonw_kint(struct xf_jsonw *w, const char *key, int64_t v);
void xf_jsonw_kuint(struct xf_jsonw *w, const char *key, uint64_t v);
void xf_jsonw_kdouble(struct xf_jsonw *w, const char *key, double v);
void xf_jsonw_kbool(struct xf_jsonw *w, const char *key, bool v);
/* A digest in hexadecimal; null for the digest of none. @err sticky */
void xf_jsonw_kdigest(struct xf_jsonw *w, const char *key, const struct xf_digest *d);

#endif
