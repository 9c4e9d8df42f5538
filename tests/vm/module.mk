# SPDX-License-Identifier: GPL-2.0-or-later

# What goes into the test image beside Debian's packages, FILE:PATH.
VM_LIBDIR := /usr/lib/x86_64-linux-gnu
VM_FILES = $(B)/vgpu-cli:/usr/bin/vgpu-cli \
	$(B)/libvgpuguest.so.0:$(VM_LIBDIR)/libvgpuguest.so.0 \
	$(B)/tests/conformance/vgpu-conformance:/usr/bin/vgpu-conformance \
	$(B)/tests/vm/vm-client:/usr/bin/vm-client \
	$(foreach f,$(EXAMPLE_PROGRAMS) $(if $(NVCC),$(EXAMPLE_IMAGES)),$(f):/usr/lib/vgpu/examples/$(notdir $(f))) \
	udev/60-vgpu.rules:/usr/lib/udev/rules.d/60-vgpu.rules \
	udev/vgpu-udev:/usr/lib/udev/vgpu-udev \
	udev/vgpu.sysusers.conf:/usr/lib/sysusers.d/vgpu.conf \
	udev/vgpu-gntalloc.conf:/usr/lib/modprobe.d/vgpu-gntalloc.conf
VM_NEEDS = $(filter $(B)/%,$(foreach f,$(VM_FILES),$(firstword $(subst :, ,$(f)))))
VM_TESTS := $(sort $(wildcard tests/vm/*.test))

CFLAGS_tests_vm := -Iguest-lib
$(B)/tests/vm/vm-client: $(B)/tests/vm/client.o | $(B)/libvgpuguest.so
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) -L$(B) -lvgpuguest

vm-image: $(VM_NEEDS) ## QEMU, kernel and image that the VM tests run
	$(Q)tests/vm/prepare.sh $(B) $(VM_FILES)

check-vm: vm-image $(B)/host/gpu_mediator ## the guest's side in booted VMs
	$(Q)LAB_ENV=$(abspath $(B))/vm/env prove --exec 'timeout 900 bash' $(VM_TESTS)

SOAK_SECONDS ?= 600
soak: vm-image $(B)/host/gpu_mediator ## two VMs in a loop for SOAK_SECONDS
	$(Q)LAB_ENV=$(abspath $(B))/vm/env SOAK_SECONDS=$(SOAK_SECONDS) prove --exec 'timeout $(shell expr $(SOAK_SECONDS) + 600) bash' \
		tests/vm/soak.sh

demo: ## boot a VM and run vector_add in it; DEMO_SHELL=1 gives a shell there
	$(Q)tests/vm/demo.sh

.PHONY: vm-image check-vm soak demo
