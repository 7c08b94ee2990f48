/*
 * mhd.h - private to common/http: libmicrohttpd, loaded when the first server starts.
 *
 * It is not linked because it brings a second TLS library into the process, which a daemon without HTTP should not carry
 * (decision 20). XF_MHD_LIST is all of it that is used.
 * Owner: the process; never unloaded. Thread: xf_mhd_get any.
 */
#ifndef XF_HTTP_MHD_H
#define XF_HTTP_MHD_H

#include "base/diag.h"

#include <microhttpd.h>

/* X(name): a function MHD_name */
#define XF_MHD_LIST(X)                              \
  X(start_daemon)                                   \
  X(stop_daemon)                                    \
  X(quiesce_daemon)                                 \
  X(get_connection_info)                            \
  X(lookup_connection_value)                        \
  X(create_response_from_buffer_with_free_callback) \
  X(add_response_header)                            \
  X(queue_response)                                 \
  X(destroy_response)

struct xf_mhd {
#define XF_MHD_MEMBER(name) __typeof__(&MHD_##name) name;
  XF_MHD_LIST(XF_MHD_MEMBER)
#undef XF_MHD_MEMBER
};

/* The library's functions. @own *out static @err E_UNSUPPORTED (not installed, or too old) */
XF_WARN_UNUSED enum xf_rc xf_mhd_get(const struct xf_mhd **out, struct xf_diag *diag);

#endif
