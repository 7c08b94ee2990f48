# Objects, archives, generated code and programs. Everything is written under a temporary name and then renamed, so that
# an interrupted make, or two of them at once, never leave half a file behind.

compile = $(Q)mkdir -p $(@D); $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(XF_WARN) $(XF_CFLAGS) -MMD -MP -MT $@ \
	-MF $@.d.$$$$ -c $< -o $@.$$$$ && mv $@.d.$$$$ $(@:.o=.d) && mv $@.$$$$ $@ || { rm -f $@.$$$$ $@.d.$$$$; exit 1; }
say = $(if $(V),,@printf '  %-5s %s\n' $(1) '$(2)')
isa_flags = $(if $(filter %_avx512.c,$(1)),$(AVX512),$(if $(filter %_avx2.c,$(1)),$(AVX2)))

# An archive also depends on the list of its members, a file rewritten only when the list changes.
same_words = $(if $(filter-out $(1),$(2))$(filter-out $(2),$(1)),,$(if $(1),same))

# module_rules(m)
define module_rules
SRCS_$(1) := $(sort $(filter-out %/main.c,$(wildcard $(DIR_$(1))/*.c)))
GENS_$(1) := $(patsubst %.proto,$(GEN)/%.pb-c.c,$(PROTO_$(1)))
OBJS_$(1) := $$(patsubst %.c,$(OBJ)/%.o,$$(SRCS_$(1))) $$(patsubst %.c,%.o,$$(GENS_$(1)))
$$(patsubst %.c,$(OBJ)/%.o,$$(SRCS_$(1)) $(wildcard $(DIR_$(1))/main.c)): XF_CFLAGS = $$(call pkg_cflags,$(PKGS_$(1))) \
	$(if $(PROTO_$(1)),-isystem$(GEN)) $$(call isa_flags,$$<)
$$(patsubst %.c,$(OBJ)/%.o,$$(SRCS_$(1)) $(wildcard $(DIR_$(1))/main.c)): $(DIR_$(1))/module.mk | $$(GENS_$(1))
$$(patsubst %.c,%.o,$$(GENS_$(1))): XF_CFLAGS = $$(call pkg_cflags,$(PKGS_$(1))) -I$(GEN)
$(if $(filter clean,$(MAKECMDGOALS)),,$$(if $$(call same_words,$$(file <$(call archive,$(1)).objs),$$(OBJS_$(1))),,\
	$$(file >$(call archive,$(1)).objs,$$(OBJS_$(1)))))
$(call archive,$(1)): $$(OBJS_$(1)) $(call archive,$(1)).objs
	$$(call say,AR,$$@)
	$(Q)mkdir -p $$(@D); rm -f $$@.$$$$$$$$; $(AR) crsD $$@.$$$$$$$$ $$(OBJS_$(1)) && mv $$@.$$$$$$$$ $$@
endef
$(foreach m,$(ALL_MODULES),$(eval $(call module_rules,$(m))))

# program_rules(m,program)
define program_rules
PROGRAM_FILES += $(BIN)/$(2)
$(BIN)/$(2): $(OBJ)/$(DIR_$(1))/main.o $$(call archives,$$(call closure,$(1)))
	$$(call say,LD,$$@)
	$(Q)mkdir -p $$(@D); $(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) $$< $$(call link_libs,$$(call closure,$(1))) \
		$(LDLIBS_ALL) -o $$@.$$$$$$$$ && mv $$@.$$$$$$$$ $$@
endef
PROGRAM_FILES :=
$(foreach m,$(WANTED),$(if $(wildcard $(DIR_$(m))/main.c),$(foreach p,$(PROGRAMS_$(m)),\
	$(eval $(call program_rules,$(m),$(p))))))

# The compiler and the packages of the wanted modules are looked for once, with one sentence when they are missing.
TOOLS_STAMP := $(BUILD)/tools-found
$(TOOLS_STAMP): $(MODULE_MKS)
	@for tool in $(CC) $(AR) $(PKG_CONFIG) $(if $(foreach m,$(WANTED),$(PROTO_$(m))),$(PROTOC_C)); do \
		command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	if [ -z "$$missing" ]; then for package in $(call pkgs_of,$(WANTED)); do \
		$(PKG_CONFIG) --exists $$package || missing="$$missing $$package"; done; fi; \
	if [ -n "$$missing" ]; then \
		echo "not installed:$$missing; scripts/bootstrap demo installs what the build needs" >&2; exit 1; fi
	@touch $@

# It carries the file (.incbin), which no compiler lists as a dependency.
$(OBJ)/client/api/description.o: docs/openapi.yaml

$(OBJ)/%.o: XF_WARN = $(WARN)
$(GEN)/%.o: XF_WARN = $(WARN_GEN)
$(OBJ)/%.o: %.c $(FLAGS_STAMP) | $(TOOLS_STAMP)
	$(call say,CC,$<)
	$(compile)
$(GEN)/%.o: $(GEN)/%.c $(FLAGS_STAMP) | $(TOOLS_STAMP)
	$(call say,CC,$<)
	$(compile)
$(GEN)/%.pb-c.c: proto/%.proto | $(TOOLS_STAMP)
	$(call say,GEN,$<)
	$(Q)mkdir -p $(GEN).$$$$ $(@D) && $(PROTOC_C) -Iproto --c_out=$(GEN).$$$$ $< && \
		mv $(GEN).$$$$/$*.pb-c.h $(@:.c=.h) && mv $(GEN).$$$$/$*.pb-c.c $@; s=$$?; rm -rf $(GEN).$$$$; exit $$s

.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

.PHONY: all libs programs $(FLAVOURS)
all: libs programs
libs: $(foreach m,$(WANTED),$(if $(call has_code,$(m)),$(call archive,$(m))))
programs: $(PROGRAM_FILES)

# A flavour as a target is the whole of make with that flavour.
ifneq ($(filter-out $(FLAVOUR),$(FLAVOURS)),)
$(filter-out $(FLAVOUR),$(FLAVOURS)):
	+@$(MAKE) --no-print-directory FLAVOUR=$@ $(if $(filter command line,$(origin MODULES)),MODULES="$(MODULES)") all
endif
$(FLAVOUR): all
