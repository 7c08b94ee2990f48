DEPS    := base param crypto
PKGS    :=
HEADERS :=
