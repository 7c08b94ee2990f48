DEPS    := base conf json param crypto fed wire store plan pki model net rec train resolve server/core
PKGS    := libuv
HEADERS := uv.h
PROGRAMS := crossfed-server
