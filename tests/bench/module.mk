# SPDX-License-Identifier: GPL-2.0-or-later
# Benchmarks. Numbers mean something on a quiet machine with cores to spare only.

BENCH_B := $(B)/tests/bench
CFLAGS_tests_bench := -Iguest-lib

$(BENCH_B)/round_trip: $(BENCH_B)/round_trip.o $(BENCH_B)/bench.o
$(BENCH_B)/coldstart: $(BENCH_B)/coldstart.o $(BENCH_B)/bench.o
$(BENCH_B)/coldstart_client: $(BENCH_B)/coldstart_client.o
BENCH_PROGRAMS := $(addprefix $(BENCH_B)/,round_trip coldstart coldstart_client)

# They find the library beside them in the build tree.
$(BENCH_PROGRAMS): | $(B)/libvgpuguest.so
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) -L$(B) -lvgpuguest -Wl,-rpath,'$$ORIGIN/../..'

# The same work in plain CUDA, to compare with.
$(BENCH_B)/native_coldstart: tests/bench/native_coldstart.cu $(B)/host/cuda_archs
	@mkdir -p $(@D)
	$(call say,NVCC)
	$(Q)$(NVCC) -O3 $(CUDA_GENCODE) -o $@ $<

bench-programs: $(BENCH_PROGRAMS) $(MEDIATOR) $(if $(NVCC),$(BENCH_B)/native_coldstart cuda)

bench: bench-programs ## round trips beside raw ones, and cold start; BENCH_ARGS=--json
	$(Q)$(BENCH_B)/round_trip $(BENCH_ARGS) $(MEDIATOR)
	$(Q)$(BENCH_B)/coldstart $(BENCH_ARGS) $(MEDIATOR) $(BENCH_B)/coldstart_client \
		$(BENCH_B)/native_coldstart

.PHONY: bench bench-programs
