#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# xen_store.c's tests, with a xenstored around them.
cd "$(dirname "$0")/../.." || exit 1
. tests/unit/xenstored.sh
tmp=$(mktemp -d)
trap 'xenstored_stop; rm -rf "$tmp"' EXIT
xenstored_start "$tmp"
"${VGPU_BUILD:-build}/tests/unit/xen_store"
