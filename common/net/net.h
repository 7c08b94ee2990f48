/*
 * net.h - what all connections of one loop share: limits, the read buffer, the decoding arena.
 *
 * Shared because a callback runs to its end before the next one starts: an idle connection then owns no
 * buffers. Not for: anything with a life of its own. Owner: the shell; outlives every connection and
 * listener of the loop. Thread: the loop's.
 */
#ifndef XF_NET_NET_H
#define XF_NET_NET_H

#include "base/arena.h"
#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

struct uv_loop_s;

/* 0 in any field: the default beside it. */
struct xf_net_limits {
  uint32_t handshake_ms;    /* 10000: resolving + connecting, and again for the handshake */
  uint32_t slow_window_ms;  /* 30000: while a frame is incomplete, in each window ... */
  uint32_t slow_bytes;      /* 245760: ... at least this many bytes arrive (8 KiB/s) */
  uint32_t preauth_bytes;   /* 16384: received before the handshake is done */
  uint32_t out_max;         /* 262144: bytes queued per connection that the kernel did not take */
  uint32_t user_timeout_ms; /* 30000: TCP_USER_TIMEOUT */
  uint32_t linger_ms;       /* 2000: for flushing and the peer's end of stream while closing */
};

enum { XF_NET_READ = 65536, XF_NET_PLAIN = 16384 };

struct xf_net {
  struct uv_loop_s *loop;
  struct xf_net_limits limits;
  struct xf_arena arena; /* of the message being delivered */
  struct xf_buf frame;   /* of the message being sent */
  struct xf_buf cipher;  /* TLS records on their way to the socket; empty between calls */
  uint8_t *read;         /* XF_NET_READ bytes */
  uint8_t *plain;        /* XF_NET_PLAIN bytes */
  size_t n_conns;        /* connections not yet freed */
};

/* Prepares; limits may be NULL. Ignoring SIGPIPE is the program's business.
   @own caller: xf_net_deinit after the loop has closed its handles; borrows loop */
void xf_net_init(struct xf_net *net, struct uv_loop_s *loop, const struct xf_net_limits *limits);
/* Releases the buffers; idempotent. No connection may be left. @own net's buffers */
void xf_net_deinit(struct xf_net *net);

#endif
