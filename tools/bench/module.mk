DEPS    := base json param crypto fed wire store pki plan net client/core
PKGS    := libuv
HEADERS := uv.h
