# What people and CI call: lint, check, demo, format, clean, help.

.PHONY: lint lint-selftest check check-long demo bench-tables format clean help

lint:
	$(Q)$(PYTHON) tests/lint/lint.py
lint-selftest:
	$(Q)$(PYTHON) tests/lint/selftest.py

# Both install what Debian packages they miss (scripts/bootstrap says which; CROSSFED_NO_INSTALL=1 forbids it).
check:
	+@scripts/bootstrap check
	+@$(PYTHON) tests/run.py
check-long:
	+@scripts/bootstrap check
	+@$(PYTHON) tests/run.py --long
demo:
	+@scripts/bootstrap demo
	+@$(MAKE) --no-print-directory -j$$(nproc) FLAVOUR=release CC=gcc programs
	@scripts/demo $(DEMO_DATA)

# Figures on public data, resumable per cell; ONLY=cell,cell  FINAL=1 (reads test labels)  AGAIN=1; docs/BENCHMARKS.md.
bench-tables:
	+@$(MAKE) --no-print-directory FLAVOUR=release CC=gcc programs bench-bins
	@FINAL=$(FINAL) $(PYTHON) tests/bench/tables.py $(if $(ONLY),--only $(ONLY)) $(if $(AGAIN),--again)

format:
	$(Q)find common server client tools tests '(' -name '*.[ch]' -o -name '*.inc' ')' 2>/dev/null | xargs -r clang-format -i
clean:
	$(Q)rm -rf build

define HELP
make                  release libraries and programs (build/bin/)
make asan|tsan|fuzz|faults
                      the same in another flavour (build/<flavour>/); CC=clang builds with clang
make libs|programs    only the archives, only the programs;  MODULES="wire store" only these and what they need
make unit-<module>    build and run one module's unit tests (unit-wire, unit-server_core); FLAVOUR=asan is honoured
make units            build and run all unit tests
make tests            build every test program (unit grad prop replay bench; fuzz in its flavour)
make lint             the rules of the house; make lint-selftest proves that each can fail
make format           clang-format over the tree
make check            everything that must hold before a change lands (installs missing packages)
make check-long       the same under every sanitizer and longer; before an issue is closed
make demo             a federation on this machine; DEMO_DATA=DIR on real data
make bench-tables     figures on public data into bench-results/, cell by cell; ONLY=cell,cell FINAL=1 AGAIN=1
make clean            remove build/
Options: V=1 shows commands; FLAVOUR=, CC=, CFLAGS=, LDFLAGS= as usual.
endef
export HELP
help:
	@printf '%s\n' "$$HELP"
