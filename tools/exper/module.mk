DEPS    := base crypto json plan store
PKGS    :=
HEADERS :=
