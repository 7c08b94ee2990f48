DEPS    := base param tensor crypto nn data model train rec fed priv wire plan server/core client/core
PKGS    :=
HEADERS :=
