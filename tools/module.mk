DEPS    := base priv crypto pki plan json data tools/sim
PKGS    :=
HEADERS :=
PROGRAMS := crossfed
