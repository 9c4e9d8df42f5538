# SPDX-License-Identifier: GPL-2.0-or-later

CUDA_TEST := $(B)/tests/gpu/cuda_backend

# Libraries that the machine with the GPU may not have are linked in.
CUDA_TEST_XEN = $(if $(XEN_PKGS),$(addprefix -l:lib,$(addsuffix .a,xengnttab xenevtchn xentoolcore xentoollog)))
CUDA_TEST_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard tests/gpu/cuda_*.c))
$(B)/tests/gpu/cuda_check_work.o: tests/gpu/kernels.ptx
$(CUDA_TEST): $(CUDA_TEST_OBJS) $(B)/tests/unit/host.a
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) $(EXPORT_IOCTL) -l:libseccomp.a $(CUDA_TEST_XEN) -lpthread -ldl -lm

cuda-test: $(CUDA_TEST) cuda ## build what check-cuda runs

# The kernels in the other forms that a module can have.
CUDA_TEST_IMAGES := $(if $(NVCC),$(B)/tests/gpu/kernels.cubin $(B)/tests/gpu/kernels.fatbin)
$(B)/tests/gpu/kernels.cubin: tests/gpu/kernels.ptx
	$(call say,NVCC)
	$(Q)$(NVCC) -cubin -arch=sm_$(lastword $(CUDA_ARCHS)) -o $@ $<
$(B)/tests/gpu/kernels.fatbin: tests/gpu/kernels.ptx
	$(call say,NVCC)
	$(Q)$(NVCC) -fatbin $(CUDA_GENCODE) -o $@ $<

check-cuda: $(CUDA_TEST) $(CUDA_TEST_IMAGES) cuda ## the cuda backend alone against the CPU; skips without a GPU
	$(Q)prove --exec 'timeout -k 5 300' $(CUDA_TEST) :: $(B)/host/gpu_mediator_cuda.so $(CUDA_TEST_IMAGES)

gpu-bundle: cuda-test bench-programs
check-gpu: $(if $(GPU_BUNDLE),,cuda-test bench-programs)

.PHONY: cuda-test check-cuda
