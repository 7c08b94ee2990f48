DEPS    := base
PKGS    := yaml-0.1
HEADERS := yaml.h
