# SPDX-License-Identifier: GPL-2.0-or-later
#
# A stand-in for Xen, for sanitizers and for machines without: xenlibd, and XENLIB_OBJS in the
# place of libxenevtchn and libxengnttab. libxenstore is the real one; xenlibd speaks its protocol.

XENLIB := tests/xenlib
XENLIBD := $(B)/$(XENLIB)/xenlibd
XENLIBCTL := $(B)/$(XENLIB)/xenlibctl
XENLIB_OBJS := $(patsubst %,$(B)/$(XENLIB)/%.o,rpc lib_evtchn lib_gnttab)
XENLIBD_OBJS := $(patsubst %,$(B)/$(XENLIB)/%.o,daemon control domain grants ports xs_server xs_store)
XENLIB_TESTS := $(patsubst %,$(B)/$(XENLIB)/%,test_xenlib test_store)
CFLAGS_tests_xenlib := -pthread

# The programs under test, with the stand-in.
XENLIB_MEDIATOR := $(B)/$(XENLIB)/gpu_mediator
XENLIB_CONFORMANCE := $(B)/$(XENLIB)/vgpu-conformance
XENLIB_CLI := $(B)/$(XENLIB)/vgpu-cli
XENLIB_CLIENT := $(B)/$(XENLIB)/vm-client
XENLIB_PROGRAMS := $(XENLIBD) $(XENLIBCTL) $(XENLIB_MEDIATOR) $(XENLIB_CONFORMANCE) $(XENLIB_CLI) $(XENLIB_CLIENT)

xenlib_libs = $(filter-out -lxenevtchn -lxengnttab,$(1))

$(XENLIBD): $(XENLIBD_OBJS)
$(XENLIBCTL): $(B)/$(XENLIB)/xenlibctl.o $(XENLIB_OBJS)
$(XENLIBCTL): XENLIB_LIBS = -lxenstore
$(XENLIB_TESTS): %: %.o $(B)/$(XENLIB)/bed.o $(XENLIB_OBJS)
$(XENLIB_TESTS): XENLIB_LIBS = -lxenstore -lcmocka
$(XENLIB_MEDIATOR): $(HOST_OBJS) $(COMMON_OBJS) $(XENLIB_OBJS)
$(XENLIB_MEDIATOR): XENLIB_LIBS = $(call xenlib_libs,$(HOST_PKG_LIBS)) -ldl -lm
$(XENLIB_CONFORMANCE): $(CONFORMANCE_OBJS) $(GUEST_OBJS) $(COMMON_OBJS) $(XENLIB_OBJS)
$(XENLIB_CONFORMANCE): XENLIB_LIBS = $(call xenlib_libs,$(GUEST_LIBS)) -lm
$(XENLIB_CLI): $(CLI_OBJS) $(GUEST_OBJS) $(COMMON_OBJS) $(XENLIB_OBJS)
$(XENLIB_CLI): XENLIB_LIBS = $(call xenlib_libs,$(GUEST_LIBS)) -ljson-c

$(XENLIB_CLIENT): $(B)/tests/vm/client.o $(GUEST_OBJS) $(COMMON_OBJS) $(XENLIB_OBJS)
$(XENLIB_CLIENT): XENLIB_LIBS = $(call xenlib_libs,$(GUEST_LIBS))

$(XENLIB_PROGRAMS) $(XENLIB_TESTS):
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) $(XENLIB_LIBS) -lpthread

ifneq ($(XEN_PKGS),)
xenlib: $(XENLIB_PROGRAMS) ## build the mediator and its guests' programs with the stand-in for Xen

UNIT_TESTS += $(XENLIB_TESTS) $(XENLIB)/real_xenstored.sh $(XENLIB)/guest_ends.sh
check-unit: $(XENLIB_TESTS) $(XENSTORED_HOST) $(XENLIBCTL) $(XENLIB_MEDIATOR) $(XENLIB_CLIENT)
$(XENLIB_TESTS): | $(XENLIBD)
check-unit check-xenlib: export VGPU_BUILD := $(B)
check-xenlib: $(XENLIB_TESTS) $(XENSTORED_HOST) ## does the stand-in for Xen behave as Xen does?
	$(Q)CMOCKA_MESSAGE_OUTPUT=TAP prove $(if $(V),-v) --exec tests/lib/run-cmocka.sh \
		$(XENLIB_TESTS) $(XENLIB)/real_xenstored.sh

check-conformance: check-conformance-xen
check-conformance-xen: xenlib ## the public API over the xen transport, on the stand-in for Xen
	$(Q)prove --exec 'timeout -k 5 600 bash' tests/conformance/xen.sh :: $(B) $(CONFORMANCE_ARGS)
endif

.PHONY: xenlib check-xenlib check-conformance-xen
