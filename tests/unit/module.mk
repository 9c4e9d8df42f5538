# SPDX-License-Identifier: GPL-2.0-or-later
# Unit tests: each area's part adds its programs to UNIT_TESTS.

UNIT_TESTS :=
include $(filter-out tests/unit/module.mk,$(wildcard tests/unit/*.mk))

# A report counts at once: not every program under test comes to an orderly end.
check-unit: export TSAN_OPTIONS := halt_on_error=1 atexit_sleep_ms=0 $(TSAN_OPTIONS)
check-unit: $(UNIT_TESTS) ## unit tests
	$(Q)CMOCKA_MESSAGE_OUTPUT=TAP prove --exec tests/lib/run-cmocka.sh $(UNIT_TESTS)

.PHONY: check-unit
