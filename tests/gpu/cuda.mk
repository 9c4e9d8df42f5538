# SPDX-License-Identifier: GPL-2.0-or-later

CUDA_TEST := $(B)/tests/gpu/cuda_backend

# Libraries that the machine with the GPU may not have are linked in.
CUDA_TEST_XEN = $(if $(XEN_PKGS),$(addprefix -l:lib,$(addsuffix .a,xengnttab xenevtchn xentoolcore xentoollog)))
$(CUDA_TEST): $(CUDA_TEST).o $(B)/tests/unit/host.a
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) -l:libseccomp.a $(CUDA_TEST_XEN) -lpthread -ldl -lm

cuda-test: $(CUDA_TEST) cuda ## build what check-cuda runs

check-cuda: $(CUDA_TEST) cuda ## the cuda backend alone against the CPU; skips without a GPU
	$(Q)prove --exec 'timeout -k 5 300' $(CUDA_TEST) :: $(B)/host/gpu_mediator_cuda.so

gpu-bundle: cuda-test bench-programs
check-gpu: $(if $(GPU_BUNDLE),,cuda-test bench-programs)

.PHONY: cuda-test check-cuda
