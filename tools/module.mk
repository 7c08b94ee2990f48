DEPS    := base priv crypto pki
PKGS    :=
HEADERS :=
