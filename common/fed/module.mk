DEPS    := base param
PKGS    :=
HEADERS :=
