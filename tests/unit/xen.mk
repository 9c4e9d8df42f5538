# SPDX-License-Identifier: GPL-2.0-or-later
# vgpu-admin and the nodes in XenStore, with a real xenstored; not with XEN=no.

XEN_STORE_TEST := $(B)/tests/unit/xen_store
XENSTORED_HOST := $(B)/tests/unit/xenstored_host.so
XEN_UNIT_TESTS := tests/unit/xen_nodes.sh tests/unit/xen_admin.sh

$(XEN_STORE_TEST).o: CFLAGS_tests_unit += -Iprotocol -Icommon
$(XEN_STORE_TEST): $(XEN_STORE_TEST).o $(XEN_NODES_SRCS:%.c=$(B)/%.o)
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) -Wl,--wrap=xs_transaction_end -lxenstore -lcmocka

# Goes into a xenstored that is not instrumented, so neither is this.
$(XENSTORED_HOST): tests/unit/xenstored_host.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -O2 -fPIC $(WARNINGS) $(if $(WERROR),-Werror) -shared \
		-o $@ $< -ldl

ifneq ($(XEN),no)
UNIT_TESTS += $(XEN_UNIT_TESTS)
check-unit: $(XEN_STORE_TEST) $(XENSTORED_HOST) $(ADMIN) $(MEDIATOR)
endif
check-unit-xen: export VGPU_BUILD := $(B)
check-unit-xen: $(XEN_STORE_TEST) $(XENSTORED_HOST) $(ADMIN) $(MEDIATOR) ## unit tests of vgpu-admin
	$(Q)CMOCKA_MESSAGE_OUTPUT=TAP prove $(if $(V),-v) --exec tests/lib/run-cmocka.sh $(XEN_UNIT_TESTS)

.PHONY: check-unit-xen
