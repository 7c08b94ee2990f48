DEPS    := base tensor param nn data
PKGS    :=
HEADERS :=
