#include "crypto/stream.h"

#include "base/assert.h"
#include "crypto/blake2b.h"

#include <stdbool.h>
#include <string.h>

static bool is_purpose(const char *s) {
#define XF_STREAM_NAME(name) name,
  static const char *const names[] = {XF_STREAM_PURPOSES(XF_STREAM_NAME)};
#undef XF_STREAM_NAME
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (!strcmp(s, names[i])) return true;
  return false;
}

void xf_stream_key(uint8_t out[XF_STREAM_KEY_LEN], uint64_t plan_seed, const char *purpose,
                   uint64_t round, const char *member) {
  static const char label[] = "crossfed stream 1";
  XF_ASSERT(is_purpose(purpose)); /* a purpose is a word of our own code, never input */
  if (!member) member = "";
  struct xf_blake2b_ctx ctx;
  struct xf_digest d;
  xf_blake2b_init(&ctx, NULL);
  xf_blake2b_feed(&ctx, label, sizeof label - 1);
  xf_blake2b_feed_u64(&ctx, plan_seed);
  xf_blake2b_feed_field(&ctx, purpose, strlen(purpose));
  xf_blake2b_feed_u64(&ctx, round);
  xf_blake2b_feed_field(&ctx, member, strlen(member));
  xf_blake2b_take(&ctx, &d);
  memcpy(out, d.b, XF_STREAM_KEY_LEN);
}

static uint64_t u64le(const uint8_t *p) {
  uint64_t v = 0;
  for (int i = 0; i < 8; i++) v |= (uint64_t)p[i] << (8 * i);
  return v;
}

void xf_stream_init(struct xf_rng *rng, uint64_t plan_seed, const char *purpose, uint64_t round,
                    const char *member) {
  uint8_t key[XF_STREAM_KEY_LEN];
  xf_stream_key(key, plan_seed, purpose, round, member);
  xf_rng_init(rng, u64le(key), u64le(key + 8));
}
