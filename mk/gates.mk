# What people and CI call: lint, check, demo, format, clean.

.PHONY: lint lint-selftest check check-long demo format clean help
lint:
	$(Q)$(PYTHON) tests/lint/lint.py
lint-selftest:
	$(Q)$(PYTHON) tests/lint/selftest.py
format:
	$(Q)git ls-files -co --exclude-standard '*.c' '*.h' | xargs -r clang-format -i
clean:
	$(Q)rm -rf build
