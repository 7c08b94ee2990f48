DEPS    := base param priv crypto pki plan json data fed store resolve tensor client/io tools/sim tools/bench
PKGS    :=
HEADERS :=
PROGRAMS := crossfed
