# SPDX-License-Identifier: GPL-2.0-or-later
#
# What goes wrong on the host, with the real mediator, workers and library.

FAULT_TESTS := $(patsubst %.c,$(B)/%,$(wildcard tests/faults/faults_*.c))
CFLAGS_tests_faults := -Iguest-lib -pthread -DTEST_MEDIATOR='"$(abspath $(B))/host/gpu_mediator"'

$(FAULT_TESTS): %: %.o $(B)/tests/faults/bed.o $(GUEST_A) $(COMMON_OBJS)
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) $(GUEST_LIBS) -lcmocka

check-faults: $(FAULT_TESTS) $(B)/host/gpu_mediator ## what goes wrong on the host, one fault after another
	$(Q)CMOCKA_MESSAGE_OUTPUT=TAP prove --exec tests/lib/run-cmocka.sh $(FAULT_TESTS)

.PHONY: check-faults
