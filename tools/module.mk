DEPS    := base priv crypto pki plan json data tensor client/io tools/sim
PKGS    :=
HEADERS :=
PROGRAMS := crossfed
