DEPS    := base
PKGS    := zlib
HEADERS := zlib.h
