# SPDX-License-Identifier: GPL-2.0-or-later
#
# host_worker_*.c: each a program of its own, linked with all of the host's code but its main(),
# so that it can be its own worker.

WORKER_TEST_A := $(B)/tests/unit/host.a
WORKER_TESTS := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/host_worker_*.c))
UNIT_TESTS += $(WORKER_TESTS)

# An archive: the linker takes from it what a test needs.
$(WORKER_TEST_A): $(filter-out $(B)/host/mediator_main.o,$(HOST_OBJS)) $(COMMON_OBJS)
	@mkdir -p $(@D)
	$(call say,AR)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(WORKER_TESTS): %: %.o $(WORKER_TEST_A)
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) $(HOST_PKG_LIBS) -lpthread -ldl -lm -lcmocka

# Stand-ins for gpu_mediator_cuda.so: one that works, one of another release, one that is none.
FAKE_BACKEND_SO := $(B)/tests/unit/fake_backend.so
OLD_BACKEND_SO := $(B)/tests/unit/old_backend.so
OTHER_SO := $(B)/tests/unit/other.so
WORKER_TEST_SOS := $(FAKE_BACKEND_SO) $(OLD_BACKEND_SO) $(OTHER_SO)
# What a sanitizer needs is in the program that loads them.
WORKER_TEST_SO_LDFLAGS := $(if $(SAN),-fsanitize=$(SAN),-Wl$(comma)-z$(comma)defs)

CFLAGS_tests_unit += -DFAKE_BACKEND_SO='"$(abspath $(FAKE_BACKEND_SO))"' \
	-DOLD_BACKEND_SO='"$(abspath $(OLD_BACKEND_SO))"' -DOTHER_SO='"$(abspath $(OTHER_SO))"'

$(WORKER_TESTS): | $(WORKER_TEST_SOS)

$(FAKE_BACKEND_SO): $(B)/tests/unit/fake_backend.o
$(OLD_BACKEND_SO): $(B)/tests/unit/old_backend.o
$(OTHER_SO): $(B)/common/errors.o
$(WORKER_TEST_SOS):
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) -shared -o $@ $^ $(WORKER_TEST_SO_LDFLAGS)

$(B)/tests/unit/old_backend.o: tests/unit/fake_backend.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) -DFAKE_OLD_ABI -c -o $@ $<
