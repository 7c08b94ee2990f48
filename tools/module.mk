DEPS    := base priv crypto pki plan json data
PKGS    :=
HEADERS :=
PROGRAMS := crossfed
