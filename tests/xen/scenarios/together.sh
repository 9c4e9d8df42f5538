# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# All guests at once, and four programs in one.

seconds=${SOAK_SECONDS:-60}
before=$(resources)
loop="n=0; end=\$((\$(date +%s) + $seconds)); while [ \$(date +%s) -lt \$end ]; do
	vgpu-cli vector_add 5000 >/tmp/out 2>&1 || { cat /tmp/out; exit 1; }
	grep -q '0 errors' /tmp/out || { cat /tmp/out; exit 1; }
	n=\$((n + 1)); done; echo \$n calls"
VM_RUN_TIMEOUT=$((seconds + 300))
for guest in $guests; do
	guest_send $guest alice "$loop"
done
for guest in $guests; do
	guest_receive $guest
	is "$VM_RC" 0 "$guest, all at once for $seconds s" || diag "$VM_OUT$VM_ERR"
	diag "$guest: $VM_OUT"
done
VM_RUN_TIMEOUT=
pass "workers, ports, nodes and grants are as before" within 10 resources_are "$before" || diag "before: $before; now: $(resources)"

guest_is alpha alice 'for i in 1 2 3 4; do vm-client idle >/tmp/said.$i 2>&1 & echo $!; done >/tmp/pids
	for i in $(seq 600); do [ "$(cat /tmp/said.* | grep -c ^open)" = 4 ] && exit 0; usleep 100000; done
	cat /tmp/said.*; exit 1' 0 '' "alpha: four programs, each with a channel"
pass "eight nodes in XenStore" within 5 channel_nodes_are alpha 8
guest_is alpha alice 'kill -9 $(head -n 1 /tmp/pids)' 0 '' "one is killed"
pass "its nodes go" within 5 channel_nodes_are alpha 6
guest_is alpha alice 'vgpu-cli nop && kill $(sed 1d /tmp/pids)' 0 'NOP command' "a fifth works; the others are ended"
pass "all nodes are gone" within 5 channel_nodes_are alpha 0
pass "workers, ports, nodes and grants are as before" within 10 resources_are "$before" || diag "before: $before; now: $(resources)"
