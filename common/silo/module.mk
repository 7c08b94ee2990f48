DEPS    := base param crypto data model train rec fed priv wire plan resolve
PKGS    :=
HEADERS :=
