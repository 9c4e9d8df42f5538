# SPDX-License-Identifier: GPL-2.0-or-later

# What goes into dom0 and into a driver domain beside Debian's packages, FILE:PATH.
XEN_FILES = $(B)/host/gpu_mediator:/usr/sbin/gpu_mediator \
	$(if $(wildcard host/admin),$(B)/host/vgpu-admin:/usr/sbin/vgpu-admin) \
	$(B)/vgpu-cli:/usr/bin/vgpu-cli \
	$(B)/libvgpuguest.so.0:$(VM_LIBDIR)/libvgpuguest.so.0 \
	$(B)/tests/conformance/vgpu-conformance:/usr/bin/vgpu-conformance \
	$(B)/tests/xen/xen-relay:/usr/bin/xen-relay \
	$(B)/tests/xen/vgpu-clone:/usr/bin/vgpu-clone \
	host/gpu_mediator.sysusers.conf:/usr/lib/sysusers.d/gpu_mediator.conf \
	udev/vgpu.sysusers.conf:/usr/lib/sysusers.d/vgpu.conf
# What a guest has beside what VMs of plain QEMU have.
XEN_GUEST_FILES = $(B)/tests/xen/vgpu-liar:/usr/bin/vgpu-liar $(B)/tests/xen/vgpu-cost:/usr/bin/vgpu-cost
XEN_NEEDS = $(filter $(B)/%,$(foreach f,$(XEN_FILES) $(XEN_GUEST_FILES),$(firstword $(subst :, ,$(f)))))
XEN_TESTS := $(sort $(wildcard tests/xen/*.test))

$(B)/tests/xen/xen-relay: $(B)/tests/xen/relay.o
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) -lxenstore

$(B)/tests/xen/hvm_start.bin: tests/xen/hvm_start.S
	@mkdir -p $(@D)
	$(call say,AS)
	$(Q)$(CC) -nostdlib -static -no-pie -Wl,-Ttext=0x100000,--oformat=binary,--build-id=none -o $@ $<

# It creates a domain under a number that xl would not take.
$(B)/tests/xen/vgpu-clone: $(B)/tests/xen/clone.o
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) -lxenlight -lxentoollog

# A guest that lies, without a line of the library.
$(B)/tests/xen/vgpu-liar: $(B)/tests/xen/liar.o
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) $(HOST_PKG_LIBS)

# The library's own objects, with the calls counted that reach Xen.
$(B)/tests/xen/vgpu-cost: $(B)/tests/xen/cost.o $(GUEST_OBJS) $(COMMON_OBJS)
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) $(addprefix -Wl$(comma)--wrap=xenevtchn_,notify pending unmask) $(GUEST_LIBS)

xen-image: vm-image $(B)/tests/xen/hvm_start.bin $(XEN_NEEDS) ## Xen, dom0 and guests that the Xen tests run
	$(Q)tests/xen/prepare.sh $(B) $(XEN_FILES) -- $(XEN_GUEST_FILES)

# Side by side: a Xen in emulation is one thread of work.
check-xen: xen-image ## real Xen, in emulation: dom0 and its guests
	$(Q)XEN_ENV=$(abspath $(B))/xen/env XEN_SCENARIOS='$(XEN_SCENARIOS)' prove -j2 --exec 'timeout 3000 bash' $(XEN_TESTS)

xen-lab: xen-image ## a shell in the dom0 of a Xen in emulation
	$(Q)tests/xen/shell.sh

soak-xen: xen-image ## two Xen guests in a loop for SOAK_SECONDS
	$(Q)XEN_ENV=$(abspath $(B))/xen/env XEN_SCENARIOS=together SOAK_SECONDS=$(SOAK_SECONDS) prove \
		--exec 'timeout $(shell expr $(SOAK_SECONDS) + 1500) bash' tests/xen/guests.test

.PHONY: soak-xen xen-image check-xen xen-lab
