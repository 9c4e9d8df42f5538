#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What test_store.c says of XenStore, asked of Xen's own xenstored.
cd "$(dirname "$0")/../.." || exit 1
. tests/unit/xenstored.sh
tmp=$(mktemp -d)
trap 'xenstored_stop; rm -rf "$tmp"' EXIT
xenstored_start "$tmp" || exit 1
XENLIB_REAL=1 "${VGPU_BUILD:-build}/tests/xenlib/test_store"
