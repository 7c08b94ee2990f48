DEPS    := base json plan store
PKGS    :=
HEADERS :=
