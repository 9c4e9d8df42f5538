# SPDX-License-Identifier: GPL-2.0-or-later
#
# Programs that use libvgpuguest, and their kernels beside them.

EXAMPLES := mandelbrot matmul reduction saxpy
EXAMPLE_PROGRAMS := $(EXAMPLES:%=$(B)/examples/%)
EXAMPLE_IMAGES := $(EXAMPLES:%=$(B)/examples/%.fatbin)
# Deferred: `make deps` and the like must work where zlib is missing.
EXAMPLE_ZLIB = $(shell $(PKG_CONFIG) --$(1) zlib)
CFLAGS_examples = -Iguest-lib $(call EXAMPLE_ZLIB,cflags)

$(B)/examples/mandelbrot: EXAMPLE_LIBS = $(call EXAMPLE_ZLIB,libs)
$(EXAMPLE_PROGRAMS): %: %.o $(B)/examples/example.o | $(B)/libvgpuguest.so
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) -Wl,-rpath,'$$ORIGIN/..' -L$(B) -lvgpuguest $(EXAMPLE_LIBS)

# For any GPU from compute capability 8.0 on: its driver compiles the PTX in it.
$(B)/examples/%.fatbin: examples/%.cu
	@mkdir -p $(@D)
	$(call say,NVCC)
	$(Q)$(NVCC) -O3 -gencode arch=compute_80,code=compute_80 -fatbin -o $@ $<

examples: $(EXAMPLE_PROGRAMS) $(if $(NVCC),$(EXAMPLE_IMAGES)) ## build the example programs (their kernels need nvcc)

.PHONY: examples
