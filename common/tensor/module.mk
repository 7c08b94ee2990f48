DEPS    := base
PKGS    := openblas
HEADERS := cblas.h openblas_config.h
