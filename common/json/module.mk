DEPS    := base
PKGS    := jansson
HEADERS := jansson.h
