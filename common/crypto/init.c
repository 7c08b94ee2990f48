#include "crypto/init.h"

#include "base/digest.h"
#include "crypto/blake2b.h"
#include "crypto/chacha.h"
#include "crypto/parts.h"
#include "crypto/sha256.h"

#include <stdbool.h>
#include <string.h>

static bool is_hex(const uint8_t *p, size_t n, const char *hex) {
  uint8_t want[64];
  return n <= sizeof want && !xf_hex_parse(want, n, hex, strlen(hex)) && !memcmp(p, want, n);
}

/* One known answer each, so that a library built or configured wrongly is found before it matters. */
static bool known_answers(void) {
  struct xf_digest d;
  xf_sha256(&d, "abc", 3); /* @source FIPS 180-4 */
  if (!is_hex(d.b, sizeof d.b, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"))
    return false;
  xf_blake2b(&d, "abc", 3); /* @source BLAKE2 reference implementation, 32-byte output */
  if (!is_hex(d.b, sizeof d.b, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"))
    return false;
  static const uint8_t zero[XF_CHACHA_KEY_LEN];
  uint8_t block[32];
  struct xf_chacha stream;
  xf_chacha_init(&stream, zero, zero, 0); /* @source RFC 8439 appendix A.1, test vector 1 */
  xf_chacha_fill(&stream, block, sizeof block);
  xf_chacha_deinit(&stream);
  return is_hex(block, sizeof block,
                "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7");
}

enum xf_rc xf_crypto_start(void) {
  enum xf_rc rc = xf_crypto_start_sodium();
  if (!rc) rc = xf_crypto_start_evp();
  if (!rc && !known_answers()) rc = XF_E_CRYPTO;
  return rc;
}
