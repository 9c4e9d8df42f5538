# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# For sourcing: a mediator of a test's own, backend cpu, on this machine.

MEDIATOR_PID=

# mediator_start PROGRAM DIR READY: sections [clients], [xen] and the like come from stdin; it has
# started when READY, a command, succeeds. Its log, and what it and its workers say on stderr, are
# in DIR, and are printed if it does not start.
mediator_start() {
	local program=$1 dir=$2 ready=$3 i
	{
		cat <<-END
			[mediator]
			log = $dir/log
			pid_file = $dir/pid
			pool_size = 2
			[backend]
			backend = cpu
			[devices]
			enabled = no
		END
		cat
	} >"$dir/config"
	"$program" --foreground --config "$dir/config" 2>"$dir/stderr" </dev/null &
	MEDIATOR_PID=$!
	for ((i = 0; i < 300; i++)); do
		"$ready" && return 0
		mediator_lives || break
		sleep 0.1
	done
	"$ready" && return 0
	sed 's/^/# /' "$dir/stderr" "$dir/log" >&2
	return 1
}

mediator_lives() {
	kill -0 "$MEDIATOR_PID" 2>/dev/null
}

mediator_stop() {
	if [ -n "$MEDIATOR_PID" ]; then
		kill "$MEDIATOR_PID" 2>/dev/null
		wait "$MEDIATOR_PID" 2>/dev/null
		MEDIATOR_PID=
	fi
}

# mediator_is_clean DIR: no sanitizer found anything in a worker or the supervisor.
mediator_is_clean() {
	! grep -qE 'ERROR: [A-Za-z]*Sanitizer|runtime error|WARNING: ThreadSanitizer|SUMMARY:' \
		"$1/stderr" "$1/log"
}

# mediator_tell DIR: the end of what it said.
mediator_tell() {
	local f
	for f in stderr log; do
		[ -s "$1/$f" ] && echo "# the mediator's $f:" >&2 && tail -n 60 "$1/$f" | sed 's/^/# /' >&2
	done
}
