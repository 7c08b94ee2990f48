DEPS    := base wire pki
PKGS    := libuv openssl
HEADERS := uv.h openssl/ssl.h openssl/err.h openssl/x509.h openssl/x509_vfy.h openssl/x509v3.h openssl/bio.h
