# SPDX-License-Identifier: GPL-2.0-or-later

CUDA_TEST := $(B)/tests/gpu/cuda_backend

# libseccomp is linked in: the machine with the GPU may not have it.
$(CUDA_TEST): $(CUDA_TEST).o $(B)/tests/unit/host.a
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) -l:libseccomp.a -lpthread -ldl -lm

cuda-test: $(CUDA_TEST) cuda ## build what check-cuda runs

check-cuda: $(CUDA_TEST) cuda ## the cuda backend alone against the CPU; skips without a GPU
	$(Q)prove --exec 'timeout -k 5 300' $(CUDA_TEST) :: $(B)/host/gpu_mediator_cuda.so

gpu-bundle: cuda-test bench-programs
check-gpu: $(if $(GPU_BUNDLE),,cuda-test bench-programs)

.PHONY: cuda-test check-cuda
