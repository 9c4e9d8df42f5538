# SPDX-License-Identifier: GPL-2.0-or-later

CONFORMANCE := $(B)/tests/conformance/vgpu-conformance
CONFORMANCE_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard tests/conformance/*.c))
CFLAGS_tests_conformance := -Iguest-lib -pthread

# It finds the library beside it in the build tree, or where the system has it.
$(CONFORMANCE): $(CONFORMANCE_OBJS) | $(B)/libvgpuguest.so
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) -L$(B) -lvgpuguest -pthread -lm \
		-Wl,-rpath,'$$ORIGIN/../..'

conformance: $(CONFORMANCE) ## build vgpu-conformance, which tests any device

# A worker under ThreadSanitizer takes long to start.
CONFORMANCE_ARGS ?= $(if $(findstring thread,$(SAN)),--quick)
check-conformance: $(CONFORMANCE) $(B)/host/gpu_mediator ## the public API over the unix transport
	$(Q)prove --exec 'timeout -k 5 600 bash' tests/conformance/unix.sh :: $(B) $(CONFORMANCE_ARGS)

.PHONY: conformance check-conformance
