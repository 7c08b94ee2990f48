DEPS    :=
PKGS    :=
HEADERS := uthash.h
