# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# beta lies, alpha works.

p99() { # of alpha's round trips, microseconds
	guest_run alpha alice "vgpu-cli --json -n 250 -m sleeping bench"
	is "$VM_RC" 0 "alpha: round trips while beta $1"
	p99_us=$(sed -n 's/.*"p99_us": *\([0-9.]*\).*/\1/p' <<<"$VM_OUT" | head -n 1)
}
median() {
	printf '%s\n' "$@" | sort -g | sed -n "$((($# + 1) / 2))p"
}

before=$(resources)
VM_RUN_TIMEOUT=600
client alpha loop

guest_run beta root "vgpu-liar"
cases=$(wc -l <<<"$VM_OUT")
lies=$VM_OUT
is "$VM_RC" 0 "beta: every lie is answered by an error node" || diag "$lies" "$VM_ERR"
unlike "$lies" 'ended without|not ended' "none of $cases is overlooked"
diag "$lies"
like "$lies" '^index-garbage: -1003 ' "a broken ring is called so"
like "$lies" '^ring-ref-changed: -1003 ' "changed nodes are called so"
like "$lies" '^version: -1004 ' "another version is called so"

VM_RUN_TIMEOUT=1500
guest_is beta root "vgpu-liar toggle 10000" 0 '' "beta: states toggled 10,000 times, and put right"
guest_is beta alice "vgpu-cli vector_add" 0 '0 errors' "beta: an honest program works there again"
guest_is alpha alice 'kill -0 $(cat /tmp/pid) && cat /tmp/said' 0 '^open$' "alpha: its client runs on"
is "$VM_OUT" open "and said nothing"
guest_is alpha alice 'kill $(cat /tmp/pid)' 0 '' "it is ended"

# All guests share one emulated processor, so quiet is a beta that computes as busily as it rings.
quiet=() stormy=()
for round in 1 2 3; do
	guest_send beta root "vgpu-liar compute 14"
	sleep 2
	p99 "computes"
	quiet+=("$p99_us")
	guest_receive beta
	guest_send beta root "vgpu-liar storm 14"
	sleep 2
	p99 "rings as fast as it can"
	stormy+=("$p99_us")
	guest_receive beta
	diag "beta $VM_OUT"
done
diag "p99 of alpha's round trips, us: quiet ${quiet[*]}, stormy ${stormy[*]}"
pass "the median of its p99 stays within 3 times" \
	awk "BEGIN { exit !($(median "${stormy[@]}") <= 3 * $(median "${quiet[@]}")) }"
VM_RUN_TIMEOUT=
place_is dom0 "kill -0 ${mediator_pid[dom0]}" 0 '' "the mediator lives"
pass "workers, ports, nodes and grants are as before" within 10 resources_are "$before" || diag "before: $before; now: $(resources)"
