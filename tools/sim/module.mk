DEPS    := base json param tensor crypto data train rec fed priv wire store plan resolve silo server/core client/core tools/exper
PKGS    :=
HEADERS :=
