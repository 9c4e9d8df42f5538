# SPDX-License-Identifier: GPL-2.0-or-later
# The suites of tests/*/module.mk, put together.

# .proverc names a harness of ours; prove finds it only here.
export PERL5LIB := tests/lib$(if $(PERL5LIB),:$(PERL5LIB))

ifeq ($(SAN),)
check: ## all tests that need no GPU; installs what it needs. With SAN=: those that gain by it
	$(Q)scripts/check.sh
else
check: check-san
endif

# What sanitized builds run: everything that drives our code with untrusted input.
check-san: check-unit check-conformance check-hostile

deps: ## install the packages that building needs; check and demo see to theirs
	$(Q)scripts/deps.sh build

.PHONY: check check-san deps
