#include "pki/key.h"

#include "base/buf.h"
#include "base/fs.h"
#include "crypto/secret.h"
#include "pki/ossl.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { KEY_MAX = 32 * 1024 };

enum xf_rc xf_key_new(EVP_PKEY **out, enum xf_pki_key kind, struct xf_diag *diag) {
  *out = kind == XF_PKI_ED25519 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                                : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
  return *out ? XF_OK : xf_ossl_fail(diag, XF_E_CRYPTO, "cannot generate a key");
}

enum xf_rc xf_key_save(const char *path, const EVP_PKEY *key, bool replace, struct xf_diag *diag) {
  BIO *mem = BIO_new(BIO_s_mem()); /* clears its memory on release */
  enum xf_rc rc = mem && PEM_write_bio_PKCS8PrivateKey(mem, key, NULL, NULL, 0, NULL, NULL)
                      ? xf_pem_write(path, mem, 0600, replace, diag)
                      : xf_ossl_fail(diag, XF_E_CRYPTO, "cannot encode \"%s\"", path);
  BIO_free(mem);
  return rc;
}

/* OpenSSL would ask on the terminal; a daemon has none. */
static int no_passphrase(char *buf, int size, int writing, void *arg) {
  (void)buf, (void)size, (void)writing, (void)arg;
  return 0;
}

enum xf_rc xf_key_load(EVP_PKEY **out, const char *path, struct xf_diag *diag) {
  struct xf_buf buf;
  BIO *bio = NULL;
  struct stat st;
  *out = NULL;
  if (stat(path, &st) != 0)
    return xf_diag_set(diag, xf_rc_from_errno(errno), "cannot open \"%s\": %s", path,
                       strerror(errno));
  if (st.st_mode & S_IRWXO)
    return xf_diag_set(diag, XF_E_AUTH,
                       "private key \"%s\" is open to every user (mode %04o); run: chmod 0600 %s",
                       path, (unsigned)(st.st_mode & 07777), path);
  xf_buf_init(&buf, KEY_MAX);
  enum xf_rc rc = XF_E_NOMEM;
  if (xf_buf_reserve(&buf, KEY_MAX)) /* it never moves, so no copy of the key stays behind */
    rc = xf_fs_read_file(xf_fs_posix(), path, &buf, diag);
  if (!rc && !(bio = BIO_new_mem_buf(buf.p, (int)buf.len)))
    rc = xf_ossl_fail(diag, XF_E_NOMEM, "\"%s\"", path);
  if (!rc && !(*out = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL)))
    rc = xf_ossl_fail(diag, XF_E_FORMAT, "\"%s\" holds no unencrypted private key in PEM form",
                      path);
  BIO_free(bio);
  if (buf.p) xf_secret_wipe(buf.p, buf.len);
  xf_buf_deinit(&buf);
  return rc;
}

void xf_key_free(EVP_PKEY *key) { EVP_PKEY_free(key); }

const EVP_MD *xf_key_md(const EVP_PKEY *key) {
  return EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448") ? NULL : EVP_sha256();
}

const char *xf_key_print(char out[32], const EVP_PKEY *key) {
  char group[16] = "";
  size_t n = 0;
  const char *type = key ? EVP_PKEY_get0_type_name(key) : NULL;
  if (!type) (void)snprintf(out, 32, "unknown");
  else if (EVP_PKEY_is_a(key, "ED25519")) (void)snprintf(out, 32, "ed25519");
  else if (EVP_PKEY_is_a(key, "RSA")) (void)snprintf(out, 32, "rsa-%d", EVP_PKEY_get_bits(key));
  else if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, &n))
    (void)snprintf(out, 32, "%s",
                   !strcmp(group, "prime256v1")  ? "p256"
                   : !strcmp(group, "secp384r1") ? "p384"
                                                 : group);
  else (void)snprintf(out, 32, "%.20s", type);
  return out;
}

enum xf_rc xf_key_check(const EVP_PKEY *key, const char *path, struct xf_diag *diag) {
  char text[32];
  xf_key_print(text, key);
  if (!strcmp(text, "p256") || !strcmp(text, "p384") || !strcmp(text, "ed25519")) return XF_OK;
  if (key && EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= 3072) return XF_OK;
  return xf_diag_set(
      diag, XF_E_AUTH,
      "the key in \"%s\" is %s; use p256, p384, ed25519 or RSA of at least 3072 bits", path, text);
}
