DEPS    := base crypto
PKGS    := libcrypto
HEADERS := openssl/x509.h openssl/x509v3.h openssl/x509_vfy.h openssl/pem.h openssl/types.h openssl/crypto.h openssl/asn1.h openssl/bio.h openssl/err.h openssl/bn.h openssl/evp.h
