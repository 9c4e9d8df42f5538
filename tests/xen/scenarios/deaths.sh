# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Programs, workers and mediators are killed, at any stage. A client in another guest looks on.

client beta loop
before=$(resources)

# A program, killed: idle, between commands, in a long command.
for mode in idle loop "loop 1000000"; do
	client alpha "$mode"
	guest_is alpha alice 'kill -9 $(cat /tmp/pid)' 0 '' "alpha: killed -9"
	pass "its channel is gone within 5 s, with all it cost" within 5 resources_are "$before" ||
		diag "before: $before; now: $(resources)"
done
# While it opens: whatever it had come to.
for ms in 20 60 150 300 600 1000; do
	guest_run alpha alice "vm-client idle >/dev/null 2>&1 & usleep ${ms}000; kill -9 \$!"
done
guest_is alpha alice "vgpu-cli nop" 0 'NOP' "alpha: killed -9 while opening, six times"
pass "nothing of them is left" within 10 resources_are "$before" || diag "before: $before; now: $(resources)"

# A worker.
client alpha loop
pass "two serve" within 5 workers_serving_are dom0 2
on dom0 "sed -n 's/.*\"alpha\".*: open: worker \\([0-9]*\\),.*/\\1/p' $MEDIATOR_LOG | tail -n 1"
on dom0 "kill -9 $VM_OUT"
guest_is alpha alice "$client_says" 0 'ended: VGPU_E(DEVLOST|WORKER) after' "alpha: its worker is killed: told"
like "$VM_OUT" 'opened again: nop: ok' "it opens again"

guest_is beta alice 'kill -0 $(cat /tmp/pid) && cat /tmp/said' 0 '^open$' "beta: the other guest's client runs on"
is "$VM_OUT" open "and said nothing"
guest_is beta alice 'kill $(cat /tmp/pid)' 0 '' "it is ended"

# The mediator.
client alpha "loop 1000000"
client beta idle
mediator_end dom0 KILL
mediator_start dom0
guest_is alpha alice "$client_says" 0 'ended: VGPU_EDEVLOST after' "alpha: mediator killed -9 in a command: VGPU_EDEVLOST"
like "$VM_OUT" 'opened again: nop: ok' "the same program opens again"
guest_is beta alice 'kill -0 $(cat /tmp/pid); kill $(cat /tmp/pid); vgpu-cli vector_add' 0 '0 errors' "beta works on with the new one"
pass "nothing is left of the old mediator's channels" within 10 workers_serving_are dom0 0
for guest in alpha beta; do
	pass "$guest: no channel node" within 10 channel_nodes_are $guest 0
done
