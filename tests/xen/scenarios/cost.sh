# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What a request costs in events; it does not depend on how fast this processor is.

VM_RUN_TIMEOUT=600
guest_is beta alice "vgpu-cost pipelined 10000" 0 'events a request' "10,000 NOPs pipelined"
diag "$VM_OUT"
pass "at most 0.05 events a request" awk '/events a request/ { exit !($4 <= 0.05) }' <<<"$VM_OUT"
mediator_end dom0 TERM
mediator_start dom0 "[mediator]" "spin_us = 1000000"
guest_is beta alice "vgpu-cost sequential 1000" 0 'events a request' "1,000 NOPs one by one, both sides polling"
diag "$VM_OUT"
like "$VM_OUT" 'events to the host 0, to the guest 0, hypercalls of the guest 0' "no event, no hypercall"
mediator_end dom0 TERM
mediator_start dom0
VM_RUN_TIMEOUT=
