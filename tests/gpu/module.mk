# SPDX-License-Identifier: GPL-2.0-or-later

gpu-bundle: vm-image $(B)/host/gpu_mediator cuda ## all that check-gpu runs, for a machine without our libraries
	$(Q)scripts/gpu-bundle.sh $(B)

# With a bundle nothing is built here but, where nvcc is, what the bundle lacks.
check-gpu: $(if $(GPU_BUNDLE),,vm-image $(B)/host/gpu_mediator cuda) ## the main path on a real GPU; GPU_BUNDLE=PATH runs a bundle, CHECK_GPU_ONLY=PARTS some of it
	$(Q)GPU_BUNDLE='$(GPU_BUNDLE)' timeout 1800 tests/gpu/check-gpu.sh $(abspath $(B))

.PHONY: gpu-bundle check-gpu

include tests/gpu/cuda.mk
include tests/gpu/errors.mk
