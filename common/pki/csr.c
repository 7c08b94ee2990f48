#include "pki/csr.h"

#include "base/fs.h"
#include "pki/build.h"
#include "pki/key.h"
#include "pki/ossl.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

enum xf_rc xf_pki_csr_create(const struct xf_identity *id, const char *csr_path,
                             const char *key_path, const struct xf_leaf_options *options,
                             struct xf_diag *diag) {
  EVP_PKEY *key = NULL;
  X509_REQ *req = NULL;
  BIO *mem = NULL;
  bool made_key = false;
  enum xf_rc rc = xf_key_new(&key, options->key, diag);
  if (!rc) rc = xf_build_csr(&req, id, options->host, key, diag);
  if (!rc) rc = xf_key_save(key_path, key, options->replace, diag);
  made_key = !rc && !options->replace;
  if (!rc && (!(mem = BIO_new(BIO_s_mem())) || !PEM_write_bio_X509_REQ(mem, req)))
    rc = xf_ossl_fail(diag, XF_E_CRYPTO, "cannot encode \"%s\"", csr_path);
  if (!rc) rc = xf_pem_write(csr_path, mem, 0644, options->replace, diag);
  if (rc && made_key) (void)xf_fs_posix()->unlink(xf_fs_posix(), key_path); /* of no use alone */
  BIO_free(mem);
  X509_REQ_free(req);
  xf_key_free(key);
  return rc;
}
