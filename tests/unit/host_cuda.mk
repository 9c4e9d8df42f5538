# SPDX-License-Identifier: GPL-2.0-or-later
#
# What of the cuda backend needs no GPU.

CUDA_UNIT_TESTS := $(patsubst %,$(B)/tests/unit/host_%,cuda_image uvm)

$(B)/tests/unit/host_cuda_image: $(B)/host/cuda_image.o
$(B)/tests/unit/host_uvm: $(B)/host/worker_uvm.o
$(CUDA_UNIT_TESTS): %: %.o
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) -lcmocka

UNIT_TESTS += $(CUDA_UNIT_TESTS)
