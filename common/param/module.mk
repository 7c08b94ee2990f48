DEPS    := base
PKGS    :=
HEADERS :=
