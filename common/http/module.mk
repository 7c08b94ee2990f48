# libmicrohttpd is loaded at run time and only where HTTP is configured (mhd.c): the package is for its header.
DEPS    := base crypto json
PKGS    := libmicrohttpd
HEADERS := microhttpd.h
