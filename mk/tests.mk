# Test programs.
#   tests/unit/<module>/test_*.c   one cmocka program each, linked only with the closure of that module (server/core: the
#                                  folder server_core); other *.c of the folder are linked into each of them
#   tests/{grad,prop,replay,bench,fuzz}/<name>.c, or <name>/main.c with more files beside it
#                                  a program each; the line "// modules: a b c" among its first names its archives, and
#                                  files that several programs share (tests/bench/common/x.c)

unit_dir = tests/unit/$(call flat,$(1))
CMOCKA_LIBS = $(call pkg_libs,cmocka)
FUZZ_LD := $(if $(filter fuzz,$(FLAVOUR)),-fsanitize=fuzzer)

define link_test
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D); $(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) $(filter %.o,$^) $(call link_libs,$(XF_MODULES)) \
		$(XF_LIBS) $(LDLIBS_ALL) -o $@.$$$$ && mv $@.$$$$ $@
endef

# unit_rules(m)
define unit_rules
UNIT_SRCS_$(1) := $(sort $(wildcard $(call unit_dir,$(1))/test_*.c))
UNIT_HELP_$(1) := $(sort $(filter-out $(wildcard $(call unit_dir,$(1))/test_*.c),$(wildcard $(call unit_dir,$(1))/*.c)))
UNIT_BINS_$(1) := $$(patsubst tests/%.c,$(TST)/%,$$(UNIT_SRCS_$(1)))
UNIT_BINS += $$(UNIT_BINS_$(1))
$$(patsubst %.c,$(OBJ)/%.o,$$(UNIT_SRCS_$(1)) $$(UNIT_HELP_$(1))): XF_CFLAGS = -Itests \
	$$(call pkg_cflags,cmocka $$(call pkgs_of,$$(call closure,$(1)))) $(if $(PROTO_$(1)),-isystem$(GEN)) $$(call isa_flags,$$<)
$$(patsubst %.c,$(OBJ)/%.o,$$(UNIT_SRCS_$(1)) $$(UNIT_HELP_$(1))): | $$(GENS_$(1))
$$(UNIT_BINS_$(1)): XF_MODULES = $$(call closure,$(1))
$$(UNIT_BINS_$(1)): XF_LIBS = $$(CMOCKA_LIBS)
$$(UNIT_BINS_$(1)): $(TST)/%: $(OBJ)/tests/%.o $$(patsubst %.c,$(OBJ)/%.o,$$(UNIT_HELP_$(1))) \
		$$(call archives,$$(call closure,$(1)))
	$$(link_test)
$(sort unit-$(1) unit-$(call flat,$(1))): $$(UNIT_BINS_$(1))
	$(Q)$(PYTHON) tests/run.py --units $$(UNIT_BINS_$(1))
.PHONY: $(sort unit-$(1) unit-$(call flat,$(1)))
endef
UNIT_BINS :=
$(foreach m,$(ALL_MODULES),$(eval $(call unit_rules,$(m))))

# Programs that name their modules: words "file|mod|mod".
TEST_KINDS := grad prop replay bench $(if $(filter fuzz,$(FLAVOUR)),fuzz)
TEST_SRCS := $(sort $(foreach k,$(TEST_KINDS),$(wildcard tests/$(k)/*.c tests/$(k)/*/main.c)))
TEST_WORDS := $(if $(TEST_SRCS),$(shell awk 'FNR == 1 { printf "%s%s", sep, FILENAME; sep = " "; seen = 0 } \
	!seen && sub(/^\/\/ modules:[ \t]*/, "") { n = split($$0, w, /[ \t]+/); \
	for (i = 1; i <= n; i++) if (w[i] != "") printf "|%s", w[i]; seen = 1 }' $(TEST_SRCS)))

# test_rules(source, modules, shared files): the program is tests/kind/name
test_name = $(patsubst %.c,%,$(patsubst %/main.c,%,$(1)))
test_srcs = $(if $(filter %/main.c,$(1)),$(sort $(wildcard $(dir $(1))*.c)),$(1))
test_objs = $(patsubst %.c,$(OBJ)/%.o,$(call test_srcs,$(1)) $(2))
test_bin = $(patsubst tests/%,$(TST)/%,$(call test_name,$(1)))
define test_rules
BINS_$(word 2,$(subst /, ,$(1))) += $(call test_bin,$(1))
$(call test_objs,$(1),$(3)): XF_CFLAGS = -Itests $$(call pkg_cflags,cmocka $$(call pkgs_of,$$(call closures,$(2)))) \
	-isystem$(GEN) $$(call isa_flags,$$<)
$(call test_objs,$(1),$(3)): | $(foreach m,$(call closures,$(2)),$(GENS_$(m)))
$(call test_bin,$(1)): XF_MODULES = $$(call closures,$(2))
$(call test_bin,$(1)): XF_LIBS = $(if $(filter tests/fuzz/%,$(1)),$(FUZZ_LD),$$(CMOCKA_LIBS))
$(call test_bin,$(1)): $(call test_objs,$(1),$(3)) $$(call archives,$$(call closures,$(2)))
	$$(link_test)
endef
$(foreach w,$(TEST_WORDS),$(eval $(call test_rules,$(firstword $(subst |, ,$(w))),\
	$(filter $(ALL_MODULES),$(wordlist 2,99,$(subst |, ,$(w)))),$(filter %.c,$(wordlist 2,99,$(subst |, ,$(w)))))))

.PHONY: tests unit-bins units $(foreach k,grad prop replay bench fuzz,$(k)-bins)
unit-bins: $(UNIT_BINS)
$(foreach k,grad prop replay bench fuzz,$(eval $(k)-bins: $(BINS_$(k))))
tests: unit-bins $(foreach k,$(TEST_KINDS),$(k)-bins)
units: unit-bins
	$(Q)$(PYTHON) tests/run.py --units $(UNIT_BINS)
