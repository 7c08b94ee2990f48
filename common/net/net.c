#include "net/net.h"

#include "base/alloc.h"
#include "wire/codec.h"
#include "wire/frame.h"

/* Records of one frame: 22 bytes over each 16 KiB, and room for an alert. */
enum { CIPHER_MAX = XF_FRAME_MAX + 16384 };

void xf_net_init(struct xf_net *net, struct uv_loop_s *loop, const struct xf_net_limits *limits) {
  *net = (struct xf_net){.loop = loop};
  if (limits) net->limits = *limits;
  struct xf_net_limits *l = &net->limits;
  if (!l->handshake_ms) l->handshake_ms = 10000;
  if (!l->slow_window_ms) l->slow_window_ms = 30000;
  if (!l->slow_bytes) l->slow_bytes = 245760;
  if (!l->preauth_bytes) l->preauth_bytes = 16384;
  if (!l->out_max) l->out_max = 262144;
  if (!l->user_timeout_ms) l->user_timeout_ms = 30000;
  if (!l->linger_ms) l->linger_ms = 2000;
  xf_arena_init(&net->arena, XF_MSG_ARENA);
  xf_buf_init(&net->frame, XF_FRAME_MAX);
  xf_buf_init(&net->cipher, CIPHER_MAX);
  net->read = xf_alloc(XF_NET_READ);
  net->plain = xf_alloc(XF_NET_PLAIN);
}

void xf_net_deinit(struct xf_net *net) {
  xf_arena_deinit(&net->arena);
  xf_buf_deinit(&net->frame);
  xf_buf_deinit(&net->cipher);
  xf_free(net->read);
  xf_free(net->plain);
  net->read = NULL;
  net->plain = NULL;
}
