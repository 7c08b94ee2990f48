DEPS    := base json data rec http
PKGS    :=
HEADERS :=
