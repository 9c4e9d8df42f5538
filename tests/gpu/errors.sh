# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The same errors from CUDA and from the library (errors.h), a test a case. check-gpu.sh sources it.

# errors_compare NAME NUMBER NATIVE [DOCUMENTED WHY]: columns of one case.
errors_compare() {
	local native=$3
	# Where CUDA itself gives no number there is nothing to agree with.
	[[ $native =~ ^-?[0-9]+$ ]] || native="a number of CUDA's, not: $3"
	if [ $# -gt 3 ]; then
		is "$2" "$4" "error of $1: $4, and in CUDA $3 ($5)"
	else
		is "$2" "$native" "error of $1: as in CUDA"
	fi
}

errors_check() {
	local ours natives name number documented why native_name native

	ours=$(timeout 300 "$(tool vgpu_errors)" "$VGPU_DEVICE" 2>"$VM_WORK/vgpu_errors.log")
	is "$?" 0 "each error through the mediator: $(wc -l <<<"$ours") cases"
	unlike "$ours" $'\t(signal|hangs|no number)' "none of them ends or hangs the program"
	[ "$backend" = cuda ] || return
	if [ ! -x "$(tool native_errors)" ]; then
		tap_result 0 "each error as in CUDA # SKIP native_errors: built without nvcc"
		return
	fi
	natives=$(timeout 300 "$(tool native_errors)" 2>"$VM_WORK/native_errors.log")
	is "$?" 0 "each error in plain CUDA: $(wc -l <<<"$natives") cases"
	while IFS=$'\t' read -r name number documented why &&
		IFS=$'\t' read -r native_name native _ <&3; do
		[ "$name" = "$native_name" ] || bail "errors: $name against $native_name"
		errors_compare "$name" "$number" "$native" ${why:+"$documented" "$why"}
	done <<<"$ours" 3<<<"$natives"
	diag "what did not come as far as its case: $(cat "$VM_WORK"/{vgpu,native}_errors.log)"
}
