# SPDX-License-Identifier: GPL-2.0-or-later
#
# For sourcing: the stand-in for Xen, from a shell. XENLIB_DIR is a private directory for it.

. "$(dirname "${BASH_SOURCE[0]}")/../lib/mediator.sh"

XENLIB_PID=

# xen_start BUILD: with domains 0, 1 and 2; this shell is of domain 0.
xen_start() {
	local i
	XENLIB_CTL=$1/tests/xenlib/xenlibctl
	XENLIB_DIR=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-xen.XXXXXX") || return 1
	export XENLIB_SOCKET=$XENLIB_DIR/xen XENLIB_CTL XENLIB_DIR
	"$1/tests/xenlib/xenlibd" "$XENLIB_SOCKET" 2>"$XENLIB_DIR/xenlibd.stderr" &
	XENLIB_PID=$!
	for ((i = 0; i < 100; i++)); do
		[ -S "$XENLIB_SOCKET" ] && break
		kill -0 "$XENLIB_PID" 2>/dev/null || break
		sleep 0.05
	done
	export XENLIB_DOMID=0 XENSTORED_PATH=$XENLIB_SOCKET.xs.0
	if ! "$XENLIB_CTL" create 1 guest1 11111111-1111-1111-1111-111111111111 ||
		! "$XENLIB_CTL" create 2 guest2 22222222-2222-2222-2222-222222222222; then
		sed 's/^/# /' "$XENLIB_DIR/xenlibd.stderr" >&2
		return 1
	fi
}

# xen_stop: 1, if the stand-in died or a sanitizer found something in it.
xen_stop() {
	local rc=0
	if [ -n "$XENLIB_PID" ]; then
		kill "$XENLIB_PID" 2>/dev/null || rc=1
		wait "$XENLIB_PID" || rc=1
		XENLIB_PID=
		[ $rc = 0 ] || sed 's/^/# xenlibd: /' "$XENLIB_DIR/xenlibd.stderr" >&2
		rm -rf "$XENLIB_DIR"
	fi
	return $rc
}

# as_domain N COMMAND...
as_domain() {
	local id=$1
	shift
	XENLIB_DOMID=$id XENSTORED_PATH=$XENLIB_SOCKET.xs.$id "$@"
}

# xen_serves: the mediator has device 0 of domain 1.
xen_serves() {
	"$XENLIB_CTL" dump | grep -q '^/local/domain/0/backend/vgpu/1/0/state = "2"'
}

# xen_mediator_start BUILD DIR: a mediator (tests/lib/mediator.sh) in domain 0, until it serves.
xen_mediator_start() {
	mediator_start "$1/tests/xenlib/gpu_mediator" "$2" xen_serves <<-END
		[clients]
		enabled = no
		[xen]
		enabled = yes
		[limits]
		open_rate = 0
	END
}
