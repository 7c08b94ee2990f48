DEPS    := base json tensor param crypto data nn model train rec http fed wire store pki plan net client/core client/api
PKGS    := libuv
HEADERS := uv.h
