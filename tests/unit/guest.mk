# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_*.c: the guest library, what it shares with the host, and vgpu-cli. Each is a program of
# its own, linked with the library's objects, so that what is private can be tested, too.

GUEST_TEST_A := $(B)/tests/unit/guest.a
GUEST_TESTS := $(patsubst %.c,$(B)/%,$(filter-out $(if $(XEN_PKGS),,tests/unit/test_xen%), \
	$(wildcard tests/unit/test_*.c)))
CLI_HOST := $(B)/tests/unit/cli_host
CFLAGS_tests_unit += -Iguest-lib -pthread
GUEST_SCRIPTS := tests/unit/test_cli.sh tests/unit/test_prefetch.sh
UNIT_TESTS += $(GUEST_TESTS) $(GUEST_SCRIPTS)

# An archive: the linker takes from it what a test needs and does not have itself.
$(GUEST_TEST_A): $(GUEST_OBJS) $(COMMON_OBJS) $(B)/tests/unit/fake_host.o
	@mkdir -p $(@D)
	$(call say,AR)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(GUEST_TESTS): %: %.o $(GUEST_TEST_A)
	$(call say,LD)
	$(Q)$(CC) -o $@ $(filter %.o,$^) $(GUEST_TEST_A) $(ALL_LDFLAGS) $(GUEST_LIBS) -lcmocka

# Over the stand-in for Xen, with a scripted host.
TEST_XEN := $(B)/tests/unit/test_xen
$(TEST_XEN): $(B)/tests/unit/fake_xen_host.o $(B)/tests/xenlib/bed.o $(B)/tests/xenlib/rpc.o \
	$(B)/tests/xenlib/lib_evtchn.o $(B)/tests/xenlib/lib_gnttab.o
$(TEST_XEN): | $(B)/tests/xenlib/xenlibd
$(TEST_XEN): GUEST_PKG_LIBS = -lxenstore

# Its registers are the fake device's.
$(B)/tests/unit/test_pci: $(B)/tests/unit/fake_device.o

$(CLI_HOST): %: %.o $(GUEST_TEST_A)
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) $(GUEST_LIBS)

check-unit check-unit-guest: export VGPU_BUILD := $(B)
check-unit: $(CLI_HOST) $(CLI)
check-unit-guest: $(GUEST_TESTS) $(CLI_HOST) $(CLI) ## unit tests of library, shared code and vgpu-cli
	$(Q)CMOCKA_MESSAGE_OUTPUT=TAP prove --exec tests/lib/run-cmocka.sh $(GUEST_TESTS) $(GUEST_SCRIPTS)

.PHONY: check-unit-guest
