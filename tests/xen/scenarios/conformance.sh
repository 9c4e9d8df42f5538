# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The suite that runs over every transport. Its own lines are its report. A small window: opening
# costs time here by the page.
VM_RUN_TIMEOUT=1500 guest_run beta alice "vgpu-conformance --device xen --quick --window 524288"
is "$VM_RC" 0 "conformance suite over xen" || diag "$(grep -vE '^ok' <<<"$VM_OUT" | tail -n 30)" "$VM_ERR"
diag "conformance: $(grep -cE '^ok' <<<"$VM_OUT") cases ok"
