#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# check-gpu.sh BUILD-DIR: the main path on a real GPU, TAP. GPU_BUNDLE=DIR or
# GPU_BUNDLE=FILE.tar.gz runs what scripts/gpu-bundle.sh made instead of BUILD-DIR's
# own programs. CHECK_GPU_BACKEND=cpu tries all of this out where there is no GPU.
# CHECK_GPU_ONLY="errors vm" runs these parts only.
set -u
build=$1
backend=${CHECK_GPU_BACKEND:-cuda}

if [ -n "${GPU_BUNDLE:-}" ]; then
	if [ -f "$GPU_BUNDLE" ]; then
		mkdir -p "$build"
		rm -rf "$build/gpu-bundle"
		tar -C "$build" -xzf "$GPU_BUNDLE" || exit 1
		GPU_BUNDLE=$build/gpu-bundle
	fi
	LAB_ENV=$GPU_BUNDLE/env
else
	LAB_ENV=$build/vm/env
fi
. "$(dirname "$0")/../vm/lab.sh"
LAB_BACKEND=$backend
if [ "$backend" = cuda ]; then
	# A bundle made where there was no nvcc lacks it.
	if [ ! -e "$LAB_CUDA" ]; then
		LAB_CUDA=$build/host/gpu_mediator_cuda.so
		make -C "$LAB_TOP" cuda | sed 's/^/# /'
		[ -e "$LAB_CUDA" ] || bail "$LAB_CUDA: not built"
	fi
	device='NVIDIA'
else
	device='cpu'
fi
diag "$(nvidia-smi --query-gpu=name,driver_version,compute_cap --format=csv,noheader 2>&1 || echo no GPU)"

tool() { # NAME: in the bundle, or where it was built
	local f
	for f in "$(dirname "$LAB_MEDIATOR")/$1" "$build/tests/gpu/$1" "$build/tests/bench/$1"; do
		[ -x "$f" ] && echo "$f" && return
	done
	echo "$1"
}
cli() {
	timeout 60 "$LAB_CLI" "$@" 2>&1
}
. "$(dirname "$0")/errors.sh"
. "$(dirname "$0")/sanitizer.sh"
export VGPU_DEVICE=unix:$VM_WORK/host/client.sock

part_self_test() {
	local out
	lab_mediator_config >"$VM_WORK/host/config.conf"
	out=$(timeout 60 "$LAB_MEDIATOR" --self-test --config "$VM_WORK/host/config.conf" 2>&1)
	is "$?" 0 "gpu_mediator --self-test"
	like "$out" 'Vector add passed: 1024 elements' "it verified 1,024 elements"
	like "$out" "$device" "it names the device"
	diag "$out"
}

# The backend by itself, and what it costs, while nobody else uses the GPU.
part_alone() {
	local out
	[ "$backend" = cuda ] || return
	out=$(timeout 300 "$(tool cuda_backend)" "$LAB_CUDA" 2>&1)
	is "$?" 0 "the cuda backend agrees with the CPU"
	diag "$out"
	out=$(timeout 200 "$(tool coldstart)" --cuda-library "$LAB_CUDA" "$LAB_MEDIATOR" \
		"$(tool coldstart_client)" "$(tool native_coldstart)" 2>&1)
	is "$?" 0 "cold start"
	diag "$out"
	out=$(timeout 200 "$(tool round_trip)" "$LAB_MEDIATOR" 2>&1)
	is "$?" 0 "round trips"
	diag "$out"
}

part_unix() {
	local out start
	lab_mediator_start
	out=$(cli vector_add)
	like "$out" '^Vector add passed: 1024 elements, 0 errors$' "a program on this machine: vector_add"
	like "$out" "backend $backend" "it ran on $backend"
	out=$(cli vector_add 20000000)
	like "$out" '^Vector add passed: 20000000 elements, 0 errors$' "of 20 million elements, in pieces"
	diag "$(cli status)"
	diag "$(cli bench --iterations 10000)"
	out=$(timeout 300 "$LAB_CONFORMANCE" --device "$VGPU_DEVICE" 2>&1)
	is "$?" 0 "conformance suite over unix"
	diag "$(grep -c '^ok ' <<<"$out") cases"
	grep -E '^not ok' <<<"$out" | sed 's/^/# /'

	# The first GPU context of this machine is past; a warm worker waits.
	sleep 2
	start=$(date +%s%N)
	cli vector_add >/dev/null
	diag "process start to verified vector_add through a warm worker: $((($(date +%s%N) - start) / 1000)) us"
	lab_mediator_stop
}

# Each case has a worker of its own.
part_errors() {
	LAB_POOL=4
	lab_mediator_start
	errors_check
	lab_mediator_stop
	unset LAB_POOL
}

# It makes all work slow.
part_sanitizer() {
	LAB_POOL=1
	LAB_LIMITS="deadline_ms = 300000"
	sanitizer_check
	unset LAB_POOL LAB_LIMITS
}

# A deadline that a test can wait for.
part_deadline() {
	local out
	LAB_LIMITS="deadline_ms = 3000"
	lab_mediator_start
	out=$(timeout 120 "$LAB_CONFORMANCE" --device "$VGPU_DEVICE" "never ends" 2>&1)
	is "$?" 0 "a kernel that never ends: its program is told, another's work goes on" || diag "$out"
	unlike "$out" 'SKIP' "it ran"
	like "$(cat "$LAB_LOG")" 'longer than 3000 ms' "the mediator's log says why"
	lab_mediator_stop
	unset LAB_LIMITS
}

part_vm() {
	lab_mediator_start
	lab_vm gpu
	diag "accelerator: $(vm_accel)"
	run_is gpu alice "vgpu-cli vector_add" 0 '^Vector add passed: 1024 elements, 0 errors$' "in a VM: vector_add"
	like "$VM_OUT" "backend $backend" "it ran on $backend"
	diag "$VM_OUT"
	run_is gpu alice "vgpu-cli vector_add 3000000" 0 '^Vector add passed: 3000000 elements, 0 errors$' \
		"more than fits the window"
	examples_run gpu
	run_is gpu alice "vgpu-cli status" 0 "$device" "status names the device"
	diag "$VM_OUT"
	run_is gpu alice 'pids=; for i in 1 2 3 4; do vgpu-cli vector_add 100000 & pids="$pids $!"; done
		for p in $pids; do wait $p || exit 1; done' 0 '' "four processes at once"
	vm_stop gpu
	lab_mediator_stop
}

for part in ${CHECK_GPU_ONLY:-self_test alone unix errors sanitizer deadline vm}; do
	declare -F "part_$part" >/dev/null || bail "CHECK_GPU_ONLY: $part: there is no such part"
	"part_$part"
done
done_testing
