#include "priv/dgauss.h"

#include <stdbool.h>
#include <string.h>

typedef unsigned __int128 u128;

static inline uint64_t next_word(struct xf_dgauss *d) {
  if (d->at == XF_DGAUSS_WORDS) {
    d->source.fill(d->source.arg, d->word, XF_DGAUSS_WORDS);
    d->at = 0;
  }
  return d->word[d->at++];
}

static inline bool next_bit(struct xf_dgauss *d) {
  if (!d->n_bits) {
    d->bits = next_word(d);
    d->n_bits = 64;
  }
  const bool bit = d->bits & 1;
  d->bits >>= 1;
  d->n_bits--;
  return bit;
}

/* Uniform in [0, n), n > 0: Lemire's rejection. */
static inline uint64_t below(struct xf_dgauss *d, uint64_t n) {
  u128 m = (u128)next_word(d) * n;
  if ((uint64_t)m < n) {
    const uint64_t least = -n % n;
    while ((uint64_t)m < least) m = (u128)next_word(d) * n;
  }
  return (uint64_t)(m >> 64);
}

/* True with probability num/den <= 1: compares a uniform real, revealed 64 bits at a time, with num/den by
   products only. After the word u the real lies in [u, u + 1) / 2^64; if num/den does too, what is left of it
   decides against the next word. */
static inline bool bernoulli(struct xf_dgauss *d, uint64_t num, uint64_t den) {
  for (;;) {
    const u128 low = (u128)next_word(d) * den, mark = (u128)num << 64;
    if (low >= mark) return false;
    if (mark - low >= den) return true;
    num = (uint64_t)(mark - low);
  }
}

/* The same 32 bits at a time for den < 2^96. */
static bool bernoulli_wide(struct xf_dgauss *d, u128 num, u128 den) {
  for (;;) {
    const u128 low = (next_word(d) >> 32) * den, mark = num << 32;
    if (low >= mark) return false;
    if (mark - low >= den) return true;
    num = mark - low;
  }
}

/* Algorithm 1 needs coins of probability gamma / k, k = 1, 2, ...: that is a coin gamma and a coin 1/k. The
   coin 1/k is thrown first, it is the cheaper one. */
static inline bool one_in(struct xf_dgauss *d, uint64_t k) {
  return k == 1 || (k == 2 ? next_bit(d) : below(d, k) == 0);
}

/* True with probability exp(-num/den), num <= den: the first k whose coin fails is odd. */
static inline bool exp_coin(struct xf_dgauss *d, uint64_t num, uint64_t den) {
  uint64_t k = 1;
  while (one_in(d, k) && bernoulli(d, num, den)) k++;
  return k & 1;
}

static bool exp_coin_wide(struct xf_dgauss *d, u128 num, u128 den) {
  uint64_t k = 1;
  while (one_in(d, k) && bernoulli_wide(d, num, den)) k++;
  return k & 1;
}

static inline bool exp_coin_one(struct xf_dgauss *d) {
  uint64_t k = 1;
  while (one_in(d, k)) k++;
  return k & 1;
}

/* exp(-num/den) for any num: whole units first. */
static bool exp_coin_any(struct xf_dgauss *d, u128 num, u128 den) {
  for (; num >= den; num -= den)
    if (!exp_coin_one(d)) return false;
  return den >> 64 ? exp_coin_wide(d, num, den) : exp_coin(d, (uint64_t)num, (uint64_t)den);
}

/* Algorithm 2: discrete Laplace of scale t, as its magnitude and sign; (0, minus) is thrown again. */
static uint64_t laplace(struct xf_dgauss *d, bool *negative) {
  for (;;) {
    const uint64_t u = below(d, d->t);
    if (!exp_coin(d, u, d->t)) continue;
    uint64_t v = 0; /* P(v >= 2^20) is below e^(-2^20): products with it stay within 128 bits */
    while (exp_coin_one(d)) v++;
    const uint64_t x = u + d->t * v;
    *negative = next_bit(d);
    if (x || !*negative) return x;
  }
}

/* Algorithm 3: keep y with probability exp(-(|y| - sigma^2/t)^2 / (2 sigma^2)), which over integers is
   (|y| t b - a)^2 / (2 a b t^2). */
int64_t xf_dgauss_next(struct xf_dgauss *d) {
  for (;;) {
    bool negative = false;
    const uint64_t y = laplace(d, &negative);
    const u128 left = (u128)y * d->tb, right = d->a;
    const u128 gap = left > right ? left - right : right - left;
    if (exp_coin_any(d, gap * gap, d->den)) return negative ? -(int64_t)y : (int64_t)y;
  }
}

void xf_dgauss_fill(struct xf_dgauss *dgauss, int32_t *out, size_t n) {
  const int64_t most = (int64_t)1 << 30;
  for (size_t i = 0; i < n; i++) {
    const int64_t x = xf_dgauss_next(dgauss);
    out[i] = (int32_t)(x > most ? most : x < -most ? -most : x);
  }
}

enum xf_rc xf_dgauss_init(struct xf_dgauss *dgauss, uint64_t a, uint64_t b,
                          struct xf_dgauss_source source) {
  const uint64_t limit = (uint64_t)1 << 31;
  if (!a || !b || a >= limit || b >= limit || !source.fill) return XF_E_RANGE;
  memset(dgauss, 0, sizeof *dgauss);
  uint64_t t = 1; /* floor(sqrt(a/b)) + 1 */
  while (t * t <= a / b) t++;
  dgauss->source = source;
  dgauss->a = a;
  dgauss->b = b;
  dgauss->t = t;
  dgauss->tb = t * b;
  dgauss->den = (u128)(2 * a * b) * (t * t);
  dgauss->at = XF_DGAUSS_WORDS;
  return XF_OK;
}

void xf_dgauss_deinit(struct xf_dgauss *dgauss) { explicit_bzero(dgauss, sizeof *dgauss); }
