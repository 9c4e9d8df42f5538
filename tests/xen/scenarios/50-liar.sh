# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# beta lies, alpha works.

p99() { # JSON of vgpu-cli bench
	sed -n 's/.*"p99_us": *\([0-9.]*\).*/\1/p' <<<"$1" | head -n 1
}

before=$(resources)
VM_RUN_TIMEOUT=300
guest_run alpha alice "vgpu-cli --json -n 2000 -m sleeping bench"
quiet=$(p99 "$VM_OUT")
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

guest_is beta root "vgpu-liar toggle 10000" 0 '' "beta: states toggled 10,000 times, and put right"
guest_is beta alice "vgpu-cli vector_add" 0 '0 errors' "beta: an honest program works there again"
guest_is alpha alice 'kill -0 $(cat /tmp/pid) && cat /tmp/said' 0 '^open$' "alpha: its client runs on"
is "$VM_OUT" open "and said nothing"
guest_is alpha alice 'kill $(cat /tmp/pid)' 0 '' "it is ended"

guest_send beta root "vgpu-liar storm 60"
sleep 2
guest_run alpha alice "vgpu-cli --json -n 2000 -m sleeping bench"
stormy=$(p99 "$VM_OUT")
is "$VM_RC" 0 "alpha: round trips while beta rings as fast as it can"
guest_receive beta
diag "beta $VM_OUT; p99 of alpha's round trips: quiet $quiet us, stormy $stormy us"
pass "its p99 stays within 3 times" awk "BEGIN { exit !($stormy <= 3 * $quiet) }"
VM_RUN_TIMEOUT=
place_is dom0 "kill -0 ${mediator_pid[dom0]}" 0 '' "the mediator lives"
pass "workers, ports, nodes and grants are as before" within 10 resources_are "$before" || diag "before: $before; now: $(resources)"
