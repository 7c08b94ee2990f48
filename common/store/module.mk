DEPS    := base json param crypto
PKGS    := sqlite3
HEADERS := sqlite3.h
