# Reads every module.mk. A module is a folder; its module.mk sets (all optional):
#   DEPS     := base param          modules it may include from; lint checks it, linking follows it transitively
#   PKGS     := libprotobuf-c       pkg-config packages to compile and link with
#   HEADERS  := protobuf-c/*.h      third-party headers its files may include (shell patterns; lint)
#   PROTO    := xf.proto            files below proto/ whose generated C belongs to this module's archive
#   PROGRAMS := crossfed-server     programs whose main() is main.c of this folder
# Every other *.c of the folder goes into lib/libxf_<name>.a. Common modules are named without "common/": base, wire,
# but server/core, tools/sim.

MODULE_MKS := $(sort $(wildcard common/*/module.mk server/module.mk server/*/module.mk client/module.mk \
	client/*/module.mk tools/module.mk tools/*/module.mk))
ALL_MODULES :=

define read_module
DEPS :=
PKGS :=
HEADERS :=
PROTO :=
PROGRAMS :=
include $(1)
m := $(patsubst common/%,%,$(patsubst %/module.mk,%,$(1)))
ALL_MODULES += $$(m)
DIR_$$(m) := $(patsubst %/module.mk,%,$(1))
DEPS_$$(m) := $$(strip $$(DEPS))
PKGS_$$(m) := $$(strip $$(PKGS))
PROTO_$$(m) := $$(strip $$(PROTO))
PROGRAMS_$$(m) := $$(strip $$(PROGRAMS))
endef
$(foreach f,$(MODULE_MKS),$(eval $(call read_module,$(f))))
ALL_MODULES := $(strip $(ALL_MODULES))

# closure(m): m and every module it depends on, each once. Remembered; a cycle ends here and is reported by lint.
closure = $(if $(filter undefined,$(origin CL_$(1))),$(eval CL_$(1) :=)$(eval CL_$(1) := $(sort $(filter $(ALL_MODULES),\
	$(1) $(foreach d,$(DEPS_$(1)),$(call closure,$(d)))))))$(CL_$(1))
closures = $(sort $(foreach m,$(1),$(call closure,$(m))))

flat = $(subst /,_,$(1))
archive = $(LIB)/libxf_$(call flat,$(1)).a
archives = $(foreach m,$(1),$(call archive,$(m)))
has_code = $(strip $(SRCS_$(1))$(PROTO_$(1)))

# pkg-config, asked once a package
pkg_cflags = $(foreach p,$(1),$(if $(filter undefined,$(origin PC_$(p))),$(eval PC_$(p) := $(patsubst -I%,-isystem%,\
	$(shell $(PKG_CONFIG) --cflags $(p)))))$(PC_$(p)))
pkg_libs = $(foreach p,$(sort $(1)),$(if $(filter undefined,$(origin PL_$(p))),$(eval PL_$(p) := \
	$(shell $(PKG_CONFIG) --libs $(p)))))$(foreach p,$(sort $(1)),$(PL_$(p)))
pkgs_of = $(sort $(foreach m,$(1),$(PKGS_$(m))))

# What a program made of the closure of modules $(1) is linked with.
link_libs = -Wl,--start-group $(call archives,$(1)) -Wl,--end-group $(call pkg_libs,$(call pkgs_of,$(1)))

MODULES ?= $(ALL_MODULES)
BAD_MODULES := $(filter-out $(ALL_MODULES),$(MODULES))
ifneq ($(BAD_MODULES),)
$(error no such module: $(BAD_MODULES); there are: $(ALL_MODULES))
endif
WANTED := $(call closures,$(MODULES))
