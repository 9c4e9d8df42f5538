# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What workers do on the GPU, as NVIDIA's compute-sanitizer sees it. check-gpu.sh sources it.

# Conformance cases of each kind of work. Not those that are refused, or fault: CUDA's own
# checks of a wild copy would count as errors.
SANITIZER_CASES=(
	"vector_add of 1 to" "copies of 0 bytes" "copies around" "copies of host" "copies on the device"
	"rectangles to, on and from" "random copies and memsets" "memset of 0 bytes" "memset of rows"
	"modules of PTX" "a module larger" "kernel saxpy" "kernel matmul" "kernel reduce_sum"
	"kernel mandelbrot" "thousands of launches" "more parameters" "hundreds of streams"
	"two streams in order" "order around the default" "threads with a stream" "events become done"
	"thousands of events" "host functions run" "work around a host function" "graphs are replayed"
	"a graph of all kinds"
)

# The program; it need not be on PATH.
sanitizer_find() {
	local f
	for f in "$(command -v compute-sanitizer)" /usr/local/cuda*/bin/compute-sanitizer; do
		[ -x "$f" ] && echo "$f" && return
	done
	return 1
}

# sanitizer_start PROGRAM NAME: a mediator with its workers under it; logs are NAME.*.log.
sanitizer_start() {
	# The mediator itself never uses CUDA, and the first worker takes its time.
	LAB_MEDIATOR_WRAPPER=(env GPU_MEDIATOR_TEST_TOOL=1 "$1" --tool memcheck
		--target-processes all --report-api-errors no --require-cuda-init no
		--launch-timeout 120 --log-file "$VM_WORK/$2.%p.log")
	lab_mediator_start
}

sanitizer_stop() {
	lab_mediator_stop
	LAB_MEDIATOR_WRAPPER=()
}

# One log, or one a process.
sanitizer_said() { # NAME
	cat "$VM_WORK/$1".*.log 2>/dev/null
}

# A worker is up, and has its libraries.
sanitizer_in_worker() {
	local pid
	for pid in $(lab_workers); do
		grep -q "worker $pid: ready" "$LAB_LOG" &&
			grep -qE 'compute-sanitizer/|libsanitizer' "/proc/$pid/maps" && return
	done
	return 1
}

sanitizer_good_work() { # PROGRAM
	local out said
	sanitizer_start "$1" good
	out=$(cli vector_add)
	like "$out" '^Vector add passed: 1024 elements, 0 errors$' "under compute-sanitizer: vector_add"
	out=$(timeout 600 "$LAB_CONFORMANCE" --device "$VGPU_DEVICE" --quick "${SANITIZER_CASES[@]}" 2>&1)
	is "$?" 0 "under compute-sanitizer: $(grep -c '^ok ' <<<"$out") conformance cases" ||
		diag "$(grep -v '^ok ' <<<"$out")"
	# One that still came up would be killed, and the others are gone.
	pass "compute-sanitizer is in a worker" within 60 sanitizer_in_worker
	sanitizer_stop
	said=$(sanitizer_said good)
	like "$said" 'ERROR SUMMARY: 0 errors' "compute-sanitizer says what it found"
	unlike "$said" 'ERROR SUMMARY: [1-9]|Internal Sanitizer Error' "it found no error"
	diag "$(sort <<<"$said" | grep -E '^=+ (COMPUTE-SANITIZER|ERROR SUMMARY)' | uniq -c)"
}

# It would have found one: this error is the kernel's, and so in the worker.
sanitizer_bad_kernel() { # PROGRAM
	local out
	sanitizer_start "$1" bad
	out=$(timeout 120 "$(tool vgpu_errors)" -c "kernel: an illegal address" "$VGPU_DEVICE" 2>&1)
	like "$out" $'^kernel: an illegal address\t[1-9]' "under compute-sanitizer: a kernel's fault is told"
	sanitizer_stop
	like "$(sanitizer_said bad)" 'Invalid __global__ write' "compute-sanitizer saw it"
}

sanitizer_check() {
	local program
	if [ "$backend" != cuda ]; then
		tap_result 0 "workers under compute-sanitizer # SKIP backend $backend: no CUDA to look at"
		return
	fi
	program=$(sanitizer_find) || {
		tap_result 0 "workers under compute-sanitizer # SKIP compute-sanitizer: not installed"
		return
	}
	diag "$("$program" --version | grep -i version)"
	sanitizer_good_work "$program"
	sanitizer_bad_kernel "$program"
}
