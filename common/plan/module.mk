DEPS    := base conf json param crypto
PKGS    :=
HEADERS :=
