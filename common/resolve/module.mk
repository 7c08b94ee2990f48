DEPS    := base param crypto data nn model train rec fed plan
PKGS    :=
HEADERS :=
