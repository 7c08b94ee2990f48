DEPS    := base priv
PKGS    :=
HEADERS :=
