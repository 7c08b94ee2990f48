DEPS    := base conf json param tensor crypto data priv wire store plan pki model net train rec http client/core client/api resolve silo
PKGS    := libuv
HEADERS := uv.h
PROGRAMS := crossfed-client
