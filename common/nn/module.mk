DEPS    := base tensor param
PKGS    :=
HEADERS :=
