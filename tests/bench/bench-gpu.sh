#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# bench-gpu.sh BUILD-DIR: the mediator beside native CUDA. GPU_BUNDLE=DIR or
# GPU_BUNDLE=FILE.tar.gz runs what scripts/gpu-bundle.sh made instead of BUILD-DIR's own
# programs. Table, JSON and plots land in BENCH_OUT, else in BUILD-DIR/bench-gpu. BENCH_ONLY=TEXT
# measures only rows with TEXT in their names.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
build=$(cd "$1" && pwd)
out=${BENCH_OUT:-$build/bench-gpu}

if [ -n "${GPU_BUNDLE:-}" ]; then
	if [ -f "$GPU_BUNDLE" ]; then
		rm -rf "$build/gpu-bundle"
		tar -C "$build" -xzf "$GPU_BUNDLE"
		GPU_BUNDLE=$build/gpu-bundle
	fi
	programs=$GPU_BUNDLE/bin mediator=$GPU_BUNDLE/bin/gpu_mediator
	cuda=$GPU_BUNDLE/bin/gpu_mediator_cuda.so
	kernels=$GPU_BUNDLE/share/bench_kernels.fatbin
else
	programs=$build/tests/bench mediator=$build/host/gpu_mediator
	cuda=$build/host/gpu_mediator_cuda.so
	kernels=$programs/bench_kernels.fatbin
fi
for f in "$mediator" "$cuda" "$programs"/{compare,vgpu_gpu,native_gpu} "$kernels"; do
	[ -e "$f" ] || {
		echo "bench-gpu: $f: not there; it takes nvcc to build" >&2
		exit 1
	}
done

mkdir -p "$out"
rm -f "$out"/gpu.{json,txt} "$out"/*.svg
status=0
nvidia-smi --query-gpu=name,driver_version,compute_cap,memory.total --format=csv,noheader
"$programs/compare" --json "$out/gpu.json" --cuda-library "$cuda" ${BENCH_ONLY:+--only "$BENCH_ONLY"} \
	gpu "$mediator" "$programs/vgpu_gpu" "$programs/native_gpu" "$kernels" | tee "$out/gpu.txt" ||
	status=$?
python3 "$here/plot.py" "$out/gpu.json" "$out"
echo "==> $out: $(cd "$out" && echo *)"
exit "$status"
