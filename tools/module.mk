DEPS    := base param priv crypto pki plan json data fed store resolve tensor model train rec silo client/io tools/exper tools/sim tools/bench
PKGS    :=
HEADERS :=
PROGRAMS := crossfed
