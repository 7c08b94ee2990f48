DEPS    := base param tensor crypto fed priv wire plan
PKGS    :=
HEADERS :=
