DEPS    := base param crypto priv wire plan
PKGS    :=
HEADERS :=
