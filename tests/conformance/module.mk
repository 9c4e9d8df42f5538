# SPDX-License-Identifier: GPL-2.0-or-later

CONFORMANCE := $(B)/tests/conformance/vgpu-conformance
CONFORMANCE_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard tests/conformance/*.c))
CONFORMANCE_KERNELS := $(B)/tests/conformance/kernels
CFLAGS_tests_conformance = -Iguest-lib -pthread \
	-DKERNELS_PTX='"$(CONFORMANCE_KERNELS).ptx"' -DKERNELS_FATBIN='"$(CONFORMANCE_KERNELS).fatbin"'

# Empty without nvcc: the backend `cpu` needs no images. Any GPU from compute capability 8.0 on.
$(CONFORMANCE_KERNELS).ptx $(CONFORMANCE_KERNELS).fatbin: tests/conformance/kernels.cu \
		$(wildcard examples/*.cu)
	@mkdir -p $(@D)
	$(call say,$(if $(NVCC),NVCC,GEN))
	$(Q)$(if $(NVCC),$(NVCC) -O3 -fmad=false -gencode arch=compute_80$(comma)code=compute_80 \
		-$(patsubst .%,%,$(suffix $@)) -o $@ $<,: >$@)

$(B)/tests/conformance/gpu.o: $(CONFORMANCE_KERNELS).ptx $(CONFORMANCE_KERNELS).fatbin

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
	$(Q)CONFORMANCE_LIMITS='deadline_ms = 2000' prove --exec 'timeout -k 5 600 bash' \
		tests/conformance/unix.sh :: $(B) 'never ends'

.PHONY: conformance check-conformance
