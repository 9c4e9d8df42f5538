# SPDX-License-Identifier: GPL-2.0-or-later
#
# gpu_mediator_cuda.so, where nvcc is. host/module.mk includes this.
#
#   CUDA_HOME=/usr/local/cuda
#   CUDA_ARCHS="75 80 90"    chips that get machine code; PTX of the last serves later ones

CUDA_HOME ?= $(firstword $(wildcard /usr/local/cuda) \
	$(patsubst %/bin/nvcc,%,$(shell command -v nvcc 2>/dev/null)))
NVCC ?= $(wildcard $(CUDA_HOME)/bin/nvcc)
CUDA_ARCHS ?= 90
CUDA_LIBDIR ?= $(firstword $(wildcard $(CUDA_HOME)/lib64 $(CUDA_HOME)/lib))

CUDA_SO := $(B)/host/gpu_mediator_cuda.so
CUDA_GENCODE = $(foreach a,$(CUDA_ARCHS),-gencode arch=compute_$(a),code=sm_$(a)) \
	-gencode arch=compute_$(lastword $(CUDA_ARCHS)),code=compute_$(lastword $(CUDA_ARCHS))

ifneq ($(NVCC),)
cuda: $(CUDA_SO) ## build the cuda backend (needs nvcc)
all: cuda
else
cuda: ## build the cuda backend (needs nvcc)
	@echo 'cuda: no nvcc in $(CUDA_HOME)/bin or PATH: the cuda backend is not built'
endif

CUDA_C_OBJS := $(CUDA_SRCS:%.c=$(B)/%.o)
$(CUDA_C_OBJS): ALL_CFLAGS += -isystem $(CUDA_HOME)/include

# What nvcc makes of a kernel's launcher is C++; without these it would want libstdc++.
CUDA_HOST_FLAGS := -fPIC,-fvisibility=hidden,-fno-exceptions,-fno-threadsafe-statics

# Rebuilt when the list of chips changes.
$(B)/host/cuda_archs: FORCE
	@mkdir -p $(@D)
	@echo '$(CUDA_ARCHS)' | cmp -s - $@ || echo '$(CUDA_ARCHS)' >$@

$(B)/host/cuda_kernels.o: host/cuda_kernels.cu $(B)/host/cuda_archs
	$(call say,NVCC)
	$(Q)$(NVCC) -O3 $(CUDA_GENCODE) -Xcompiler $(CUDA_HOST_FLAGS) -c -o $@ $<

CUDA_OBJS := $(CUDA_C_OBJS) $(B)/host/cuda_kernels.o $(B)/common/shm.o

# The runtime is static, so that only the driver must be there; its symbols stay inside.
$(CUDA_SO): $(CUDA_OBJS)
	$(call say,LD)
	$(Q)$(CC) -shared -Wl,-soname,$(@F) -o $@ $^ $(ALL_LDFLAGS) -Wl,--exclude-libs,ALL \
		-L$(CUDA_LIBDIR) -lcudart_static -lpthread -ldl -lrt

FORCE:

.PHONY: cuda FORCE
