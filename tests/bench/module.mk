# SPDX-License-Identifier: GPL-2.0-or-later
# Benchmarks. Numbers mean something on a quiet machine with cores to spare only.

BENCH_B := $(B)/tests/bench
CFLAGS_tests_bench := -Iguest-lib

$(BENCH_B)/round_trip $(BENCH_B)/coldstart: %: %.o $(BENCH_B)/bench.o $(BENCH_B)/mediator.o
$(BENCH_B)/coldstart_client: $(BENCH_B)/coldstart_client.o
$(BENCH_B)/vgpu_gpu: $(addprefix $(BENCH_B)/,vgpu_gpu.o work.o work_gpu.o bench.o)
$(BENCH_B)/compare: $(addprefix $(BENCH_B)/,compare.o compare_copies.o compare_apart.o bench.o \
	mediator.o peer.o proc.o report.o)
BENCH_PROGRAMS := $(addprefix $(BENCH_B)/,round_trip coldstart coldstart_client vgpu_gpu compare)

# They find the library beside them in the build tree.
$(BENCH_PROGRAMS): | $(B)/libvgpuguest.so
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) -L$(B) -lvgpuguest -Wl,-rpath,'$$ORIGIN/../..'

# The same work with nothing between, to compare with.
$(BENCH_B)/raw_gpu: $(addprefix $(BENCH_B)/,raw_gpu.o work.o bench.o)
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS)

# And in plain CUDA.
$(BENCH_B)/native_coldstart: tests/bench/native_coldstart.cu $(B)/host/cuda_archs
	@mkdir -p $(@D)
	$(call say,NVCC)
	$(Q)$(NVCC) -O3 $(CUDA_GENCODE) -o $@ $<

$(BENCH_B)/native_gpu.o: ALL_CFLAGS += -isystem $(CUDA_HOME)/include
$(BENCH_B)/native_gpu: $(addprefix $(BENCH_B)/,native_gpu.o work.o work_gpu.o bench.o)
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) -L$(CUDA_LIBDIR) -lcudart_static -lpthread -ldl -lrt

BENCH_KERNELS := $(BENCH_B)/bench_kernels.fatbin
$(BENCH_KERNELS): tests/bench/bench_kernels.cu $(B)/host/cuda_archs
	@mkdir -p $(@D)
	$(call say,NVCC)
	$(Q)$(NVCC) -O3 $(CUDA_GENCODE) -fatbin -o $@ $<

BENCH_CUDA := $(addprefix $(BENCH_B)/,native_coldstart native_gpu) $(BENCH_KERNELS)

bench-programs: $(BENCH_PROGRAMS) $(BENCH_B)/raw_gpu $(MEDIATOR) $(if $(NVCC),$(BENCH_CUDA) cuda)

# The backend cpu has the kernels of its own: any file is an image.
bench: bench-programs ## round trips, cold start, requests and copies beside raw ones; BENCH_ARGS=--json
	$(Q)$(BENCH_B)/round_trip $(BENCH_ARGS) $(MEDIATOR)
	$(Q)$(BENCH_B)/coldstart $(BENCH_ARGS) $(MEDIATOR) $(BENCH_B)/coldstart_client \
		$(BENCH_B)/native_coldstart
	$(Q)$(BENCH_B)/compare --json $(BENCH_B)/cpu.json cpu $(MEDIATOR) $(BENCH_B)/vgpu_gpu \
		$(BENCH_B)/raw_gpu tests/bench/bench_kernels.cu

# With a bundle nothing is built here.
bench-gpu: $(if $(GPU_BUNDLE),,bench-programs) ## native CUDA and the mediator in turn, on a GPU; GPU_BUNDLE=PATH, BENCH_OUT=DIR, BENCH_ONLY=TEXT
	$(Q)GPU_BUNDLE='$(GPU_BUNDLE)' BENCH_OUT='$(BENCH_OUT)' BENCH_ONLY='$(BENCH_ONLY)' \
		timeout -k 5 580 tests/bench/bench-gpu.sh $(abspath $(B))

.PHONY: bench bench-gpu bench-programs
