/* The noise generator; the CSPRNG itself is in crypto_sodium.c. */
#include "crypto/random.h"

#include "crypto/secret.h"
#include "crypto/stream.h"

#include <string.h>

_Static_assert((int)XF_STREAM_KEY_LEN == (int)XF_CHACHA_KEY_LEN, "a stream key is a ChaCha20 key");

static void start(struct xf_noise_rng *rng, uint8_t key[XF_CHACHA_KEY_LEN], bool seeded) {
  static const uint8_t nonce[XF_CHACHA_NONCE_LEN]; /* constant: each key serves one stream */
  xf_chacha_init(&rng->chacha, key, nonce, 0);
  xf_secret_wipe(key, XF_CHACHA_KEY_LEN);
  rng->at = sizeof rng->buf;
  rng->seeded = seeded;
}

void xf_noise_rng_init(struct xf_noise_rng *rng) {
  uint8_t key[XF_CHACHA_KEY_LEN];
  xf_random_bytes(key, sizeof key);
  start(rng, key, false);
}

void xf_noise_rng_init_seeded(struct xf_noise_rng *rng, uint64_t plan_seed, uint64_t round,
                              const char *member) {
  uint8_t key[XF_CHACHA_KEY_LEN];
  xf_stream_key(key, plan_seed, "noise_sim", round, member);
  start(rng, key, true);
}

/* Words are 4 or 8 bytes and the buffer a multiple of 8, so after a 32-bit word a 64-bit one may find
   only 4 bytes left: they are dropped. */
static void take(struct xf_noise_rng *rng, void *out, size_t len) {
  if (sizeof rng->buf - rng->at < len) {
    xf_chacha_fill(&rng->chacha, rng->buf, sizeof rng->buf);
    rng->at = 0;
  }
  memcpy(out, rng->buf + rng->at, len);
  memset(rng->buf + rng->at, 0, len);
  rng->at += len;
}

uint32_t xf_noise_rng_u32(struct xf_noise_rng *rng) {
  uint32_t v;
  take(rng, &v, sizeof v);
  return v;
}

uint64_t xf_noise_rng_u64(struct xf_noise_rng *rng) {
  uint64_t v;
  take(rng, &v, sizeof v);
  return v;
}

uint64_t xf_noise_rng_below(struct xf_noise_rng *rng, uint64_t n) {
  unsigned __int128 m = (unsigned __int128)xf_noise_rng_u64(rng) * n;
  if ((uint64_t)m < n) {
    uint64_t floor = (0 - n) % n;
    while ((uint64_t)m < floor) m = (unsigned __int128)xf_noise_rng_u64(rng) * n;
  }
  return (uint64_t)(m >> 64);
}

void xf_noise_rng_deinit(struct xf_noise_rng *rng) {
  xf_chacha_deinit(&rng->chacha);
  xf_secret_wipe(rng->buf, sizeof rng->buf);
  rng->at = sizeof rng->buf;
}
