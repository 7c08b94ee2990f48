DEPS    := base tensor param nn model data
PKGS    :=
HEADERS :=
