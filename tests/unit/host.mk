# SPDX-License-Identifier: GPL-2.0-or-later
#
# The supervisor's unit tests: all of it but main() and the real worker processes, in whose place
# fake_worker.c stands.

SUPERVISOR_OBJS := $(patsubst %.c,$(B)/%.o,host/log.c $(filter-out host/mediator_main.c \
	host/mediator_worker.c host/mediator_cuda.c,$(wildcard host/mediator*.c)))
SUPERVISOR_TESTS := $(patsubst %,$(B)/tests/unit/host_%,config log files limits protocol pool)

$(SUPERVISOR_TESTS): $(B)/tests/unit/%: $(B)/tests/unit/%.o $(B)/tests/unit/fake_worker.o $(B)/tests/unit/fake_peer.o \
		$(SUPERVISOR_OBJS) $(COMMON_OBJS)
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) $(HOST_PKG_LIBS) -lcmocka -lpthread

check-unit-host: $(SUPERVISOR_TESTS) ## unit tests of the mediator's supervisor
	$(Q)CMOCKA_MESSAGE_OUTPUT=TAP prove $(if $(V),-v) --exec tests/lib/run-cmocka.sh $^

UNIT_TESTS += $(SUPERVISOR_TESTS)

.PHONY: check-unit-host
