DEPS    := base tensor
PKGS    := zlib
HEADERS := zlib.h
