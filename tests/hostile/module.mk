# SPDX-License-Identifier: GPL-2.0-or-later
#
# Guests that break every rule. Worth the most with SAN=address,undefined and SAN=thread.

HOSTILE_TESTS := $(patsubst %.c,$(B)/%,$(wildcard tests/hostile/hostile_*.c))

$(HOSTILE_TESTS): %: %.o $(B)/tests/unit/host.a
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) $(HOST_PKG_LIBS) -lpthread -ldl -lm -lcmocka

# A report counts at once: a worker does not end by exit().
check-hostile: export TSAN_OPTIONS := halt_on_error=1 atexit_sleep_ms=0 $(TSAN_OPTIONS)
check-hostile: $(HOSTILE_TESTS) ## a guest that writes garbage, HOSTILE_SECONDS (20) long; HOSTILE_SEED=N repeats
	$(Q)CMOCKA_MESSAGE_OUTPUT=TAP prove --exec tests/lib/run-cmocka.sh $(HOSTILE_TESTS)

.PHONY: check-hostile
