# Compiler, flavour and flags. Nothing here depends on the modules.

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin CC),undefined)
CC := gcc
endif
# libFuzzer belongs to clang
ifeq ($(FLAVOUR),fuzz)
override CC := clang
endif
AR := $(if $(filter undefined default,$(origin AR)),ar,$(AR))
PKG_CONFIG ?= pkg-config
PROTOC_C ?= protoc-c
PYTHON ?= /usr/bin/python3

IS_CLANG := $(findstring clang,$(notdir $(CC)))
FLAVOUR_DIR := $(FLAVOUR)$(if $(IS_CLANG),$(if $(filter fuzz,$(FLAVOUR)),,-clang))
BUILD := build/$(FLAVOUR_DIR)
BIN := $(if $(filter release,$(FLAVOUR_DIR)),build/bin,$(BUILD)/bin)
OBJ := $(BUILD)/obj
LIB := $(BUILD)/lib
GEN := $(BUILD)/gen
TST := $(BUILD)/tests

# Quiet by default; make V=1 shows the commands.
Q := $(if $(V),,@)

WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	-Wvla -Wformat=2 -Wundef -Wpointer-arith -Wwrite-strings -Wcast-qual -Werror
WARN += $(if $(IS_CLANG),-Wno-gnu-zero-variadic-macro-arguments,-Wlogical-op -Wduplicated-cond)
# The fuzz flavour compiles at -O1, where loops marked for vectorising stay as they are; clang would call that an error.
WARN += $(if $(filter fuzz,$(FLAVOUR)),-Wno-pass-failed)
# Code that protoc-c wrote is not ours to warn about.
WARN_GEN := -w

# The same source gives the same bits: no contraction into FMA, no fast-math, no -march=native.
MACHINE := $(if $(filter x86_64 amd64,$(shell uname -m)),-march=x86-64-v2)
FP := -ffp-contract=off -fno-math-errno
AVX2 := -mavx2 -mfma -mf16c
AVX512 := $(AVX2) -mavx512f -mavx512bw -mavx512dq -mavx512vl

FORTIFY := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$(if $(IS_CLANG),2,3)
HARDEN := -fstack-protector-strong -fPIE -fno-common
LD_HARDEN := -pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed

OPT_release := -O3 -g $(FORTIFY) -fstack-clash-protection
OPT_faults := $(OPT_release) -DXF_FAULTS
OPT_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all -DXF_DEBUG -DXF_SANITIZED
OPT_tsan := -O1 -g -fno-omit-frame-pointer -fsanitize=thread -DXF_DEBUG -DXF_SANITIZED
OPT_fuzz := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
	-DXF_DEBUG -DXF_SANITIZED -DXF_FUZZING
LD_asan := -fsanitize=address,undefined
LD_tsan := -fsanitize=thread
LD_fuzz := -fsanitize=address,undefined

CPPFLAGS_ALL := -Icommon -I. -D_GNU_SOURCE $(CPPFLAGS)
CFLAGS_ALL := -std=gnu11 $(MACHINE) $(FP) $(OPT_$(FLAVOUR)) $(HARDEN) $(CFLAGS)
LDFLAGS_ALL := $(LD_HARDEN) $(LD_$(FLAVOUR)) $(LDFLAGS)
LDLIBS_ALL := -lm -lpthread $(LDLIBS)

# Objects depend on this stamp, which changes only when the flags do.
FLAGS_TEXT := $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(WARN)
FLAGS_STAMP := $(BUILD)/flags
$(shell mkdir -p $(BUILD) $(LIB); printf '%s\n' '$(FLAGS_TEXT)' | cmp -s - $(FLAGS_STAMP) || \
	printf '%s\n' '$(FLAGS_TEXT)' > $(FLAGS_STAMP))
