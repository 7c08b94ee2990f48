DEPS    := base param
PKGS    := libprotobuf-c
HEADERS := protobuf-c/protobuf-c.h xf.pb-c.h
PROTO   := xf.proto
