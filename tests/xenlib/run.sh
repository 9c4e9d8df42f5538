#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# usage: run.sh BUILD COMMAND...: run a command with a stand-in for Xen around it: domains 0, 1
# (guest1) and 2 (guest2). It sees Xen as domain 0 does; `as_domain N COMMAND...`, from
# tests/xenlib/domains.sh, makes a command another domain's. All ends with it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$1
shift
. "$here/domains.sh"
trap xen_stop EXIT
xen_start "$build" || exit 1
"$@"
