DEPS    := base
PKGS    := libsodium libcrypto
HEADERS := sodium.h openssl/evp.h
