# crossfed: build, test and check.  `make help` lists the targets; docs/HACKING.md explains them.
#
# There is one make and no recursion into folders: every module folder has a module.mk (see mk/modules.mk) and this file
# reads all of them. A flavour (release asan tsan fuzz faults) has its own tree below build/, so flavours never mix:
#   make                     release libraries and programs, programs in build/bin/
#   make asan                the same under ASan + UBSan, in build/asan/
#   make CC=clang            the same with clang, in build/release-clang/
#   make unit-wire           build and run the unit tests of common/wire   (FLAVOUR=asan make unit-wire: under ASan)
#   make MODULES="base wire" only these modules and what they depend on

.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
MAKEFLAGS += --no-builtin-rules --no-builtin-variables
SHELL := /bin/sh

FLAVOURS := release asan tsan fuzz faults
FLAVOUR ?= release
ifeq ($(filter $(FLAVOUR),$(FLAVOURS)),)
$(error unknown FLAVOUR "$(FLAVOUR)"; choose one of: $(FLAVOURS))
endif

include mk/flags.mk
include mk/modules.mk
include mk/rules.mk
include mk/tests.mk
include mk/gates.mk
