#include "pki/ossl.h"

#include "base/fs.h"
#include "base/time.h"

#include <errno.h>
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum xf_rc xf_ossl_fail(struct xf_diag *diag, enum xf_rc rc, const char *fmt, ...) {
  char text[XF_DIAG_LEN];
  va_list ap;
  va_start(ap, fmt);
  if (vsnprintf(text, sizeof text, fmt, ap) < 0) text[0] = '\0';
  va_end(ap);
  const char *why = ERR_reason_error_string(ERR_peek_last_error());
  xf_diag_set(diag, rc, "%s%s%s", text, why ? ": " : "", why ? why : "");
  ERR_clear_error();
  return rc;
}

const char *xf_ossl_time_print(char out[XF_TIME_CAP], int64_t s) {
  _Static_assert((int)XF_TIME_CAP == (int)XF_WALL_LEN, "one buffer serves both");
  if (s > INT64_MAX / 1000000 || s < INT64_MIN / 1000000) s = 0;
  xf_wall_print(out, s * 1000000);
  char *dot = strchr(out, '.');
  if (dot) memcpy(dot, "Z", 2);
  return out;
}

int64_t xf_ossl_time_get(const ASN1_TIME *t) {
  struct tm tm;
  return t && ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : INT64_MIN;
}

ASN1_TIME *xf_ossl_time_new(int64_t s) {
  static const int64_t year_1950 = -631152000, year_10000 = 253402300800;
  return s >= year_1950 && s < year_10000 ? ASN1_TIME_set(NULL, (time_t)s) : NULL;
}

const char *xf_ossl_serial_print(char out[XF_SERIAL_CAP], const ASN1_INTEGER *serial) {
  BIGNUM *n = serial ? ASN1_INTEGER_to_BN(serial, NULL) : NULL;
  char *hex = n && !BN_is_negative(n) && BN_num_bytes(n) <= 20 ? BN_bn2hex(n) : NULL;
  size_t len = hex ? strlen(hex) : 0;
  out[0] = '\0';
  if (len && len < XF_SERIAL_CAP)
    for (size_t i = 0; i <= len; i++)
      out[i] = hex[i] >= 'A' && hex[i] <= 'F' ? (char)(hex[i] - 'A' + 'a') : hex[i];
  OPENSSL_free(hex);
  BN_free(n);
  return out;
}

bool xf_ossl_serial_check(const char *hex) {
  size_t n = strlen(hex);
  return n >= 1 && n <= 40 && strspn(hex, "0123456789abcdef") == n;
}

ASN1_INTEGER *xf_ossl_serial_parse(const char *hex) {
  BIGNUM *n = NULL;
  ASN1_INTEGER *serial = NULL;
  if (xf_ossl_serial_check(hex) && BN_hex2bn(&n, hex)) serial = BN_to_ASN1_INTEGER(n, NULL);
  BN_free(n);
  return serial;
}

enum xf_rc xf_pem_open(BIO **out, struct xf_buf *buf, const char *path, size_t max,
                       struct xf_diag *diag) {
  *out = NULL;
  xf_buf_init(buf, max);
  enum xf_rc rc = xf_fs_read_file(xf_fs_posix(), path, buf, diag);
  if (rc) return rc;
  *out = BIO_new_mem_buf(buf->len ? (const void *)buf->p : "", (int)buf->len);
  return *out ? XF_OK : xf_ossl_fail(diag, XF_E_NOMEM, "\"%s\"", path);
}

/* Creates the file itself, so that two programs cannot both believe they made it. */
static enum xf_rc write_new(const char *path, const void *p, size_t len, struct xf_diag *diag) {
  const struct xf_fs *fs = xf_fs_posix();
  struct xf_file file;
  errno = 0;
  enum xf_rc rc = fs->open(fs, &file, path, XF_FS_EXCL);
  if (rc == XF_E_EXISTS)
    return xf_diag_set(diag, rc,
                       "\"%s\" exists already and is not overwritten; choose another path, or "
                       "--replace to renew",
                       path);
  if (rc) return xf_diag_set(diag, rc, "cannot create \"%s\": %s", path, strerror(errno));
  rc = fs->pwrite(&file, p, len, 0);
  if (!rc) rc = fs->fsync(&file);
  enum xf_rc closed = fs->close(&file);
  if (!rc) rc = closed;
  /* Renaming a file to itself changes nothing; the directory's entry becomes durable. */
  if (!rc) return xf_fs_rename_durable(fs, path, path, diag);
  (void)fs->unlink(fs, path); /* ours, and incomplete */
  return xf_diag_set(diag, rc, "cannot write \"%s\": %s", path, strerror(errno));
}

enum xf_rc xf_pem_write(const char *path, BIO *mem, unsigned mode, bool replace,
                        struct xf_diag *diag) {
  const struct xf_fs *fs = xf_fs_posix();
  char *p = NULL, tmp[XF_PATH_MAX];
  long len = BIO_get_mem_data(mem, &p);
  if (len <= 0 || !p) return xf_ossl_fail(diag, XF_E_CRYPTO, "nothing to write to \"%s\"", path);
  enum xf_rc rc;
  if (replace) {
    int n = snprintf(tmp, sizeof tmp, "%s.tmp", path);
    if (n > 0 && n < XF_PATH_MAX) (void)fs->unlink(fs, tmp); /* a left-over may be open to others */
    rc = xf_fs_replace(fs, path, p, (size_t)len, diag);
  } else rc = write_new(path, p, (size_t)len, diag);
  if (!rc && chmod(path, mode) != 0)
    rc = xf_diag_set(diag, XF_E_IO, "cannot set the mode of \"%s\": %s", path, strerror(errno));
  return rc;
}

enum xf_rc xf_pem_load_cert(X509 **out, const char *path, struct xf_diag *diag) {
  struct xf_buf buf;
  BIO *bio;
  *out = NULL;
  enum xf_rc rc = xf_pem_open(&bio, &buf, path, XF_PEM_MAX, diag);
  if (!rc && !(*out = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
    rc = xf_ossl_fail(diag, XF_E_FORMAT, "\"%s\" holds no certificate in PEM form", path);
  BIO_free(bio);
  xf_buf_deinit(&buf);
  return rc;
}

enum xf_rc xf_pem_save_cert(const char *path, X509 *cert, bool replace, struct xf_diag *diag) {
  BIO *mem = BIO_new(BIO_s_mem());
  enum xf_rc rc = mem && PEM_write_bio_X509(mem, cert)
                      ? xf_pem_write(path, mem, 0644, replace, diag)
                      : xf_ossl_fail(diag, XF_E_CRYPTO, "cannot encode \"%s\"", path);
  BIO_free(mem);
  return rc;
}
