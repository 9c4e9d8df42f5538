#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# deps.sh build|test: install the Debian packages that building or testing needs, or, if not
# root, say which command does.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

build=(gcc make pkg-config libc6-dev libpci-dev libjson-c-dev libinih-dev libevent-dev
	libsystemd-dev libseccomp-dev libxen-dev zlib1g-dev)
test=(libcmocka-dev perl procps python3 util-linux clang-14 clang-format-14 libclang-rt-14-dev
	llvm-14 spin mandoc bash-completion)

case "${1:-}" in
build) need_packages "${build[@]}" ;;
test) need_packages "${build[@]}" "${test[@]}" ;;
*) die "usage: deps.sh build|test" ;;
esac
