# SPDX-License-Identifier: GPL-2.0-or-later
# The same errors from CUDA and from the library; needs nvcc to say much.

GPU_B := $(B)/tests/gpu
CFLAGS_tests_gpu := -Iguest-lib
ERRORS_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard tests/gpu/errors*.c))

# Empty without nvcc: the backend `cpu` needs no images. Any GPU from compute capability 8.0 on.
ERRORS_KERNELS := $(GPU_B)/errors_kernels.fatbin
$(ERRORS_KERNELS): tests/gpu/errors_kernels.cu tests/conformance/kernels.cu
	@mkdir -p $(@D)
	$(call say,$(if $(NVCC),NVCC,GEN))
	$(Q)$(if $(NVCC),$(NVCC) -O3 -gencode arch=compute_80$(comma)code=compute_80 -fatbin -o $@ $<,: >$@)

$(GPU_B)/errors_launch.o: $(ERRORS_KERNELS)
$(GPU_B)/errors_launch.o: ALL_CFLAGS += -DERRORS_FATBIN='"$(ERRORS_KERNELS)"'

# It finds the library beside it in the build tree.
$(GPU_B)/vgpu_errors: $(ERRORS_OBJS) $(GPU_B)/vgpu_errors.o | $(B)/libvgpuguest.so
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) -L$(B) -lvgpuguest -Wl,-rpath,'$$ORIGIN/../..'

$(GPU_B)/native_errors.o: ALL_CFLAGS += -isystem $(CUDA_HOME)/include
$(GPU_B)/native_errors: $(ERRORS_OBJS) $(GPU_B)/native_errors.o
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) -L$(CUDA_LIBDIR) -lcudart_static -lpthread -ldl -lrt

gpu-errors: $(GPU_B)/vgpu_errors $(if $(NVCC),$(GPU_B)/native_errors)

gpu-bundle: gpu-errors
check-gpu: $(if $(GPU_BUNDLE),,gpu-errors)

.PHONY: gpu-errors
