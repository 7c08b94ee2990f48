DEPS    := base json tensor param crypto data model rec http fed wire store pki plan net client/core client/api
PKGS    := libuv
HEADERS := uv.h
