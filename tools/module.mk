DEPS    := base priv crypto pki plan
PKGS    :=
HEADERS :=
PROGRAMS := crossfed
