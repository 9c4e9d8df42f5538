# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the build and test scripts share: packages, cache, progress. Source it.
#
# Everything expensive lives under $VGPU_CACHE, in entries named by a hash of
# all that went into them. An entry appears by a rename once it is complete, so
# it is either whole and right or not there: a stale or half-made one cannot be
# used. `make cache-clean` removes all of them.

VGPU_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VGPU_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/vgpu

die() {
	echo "$(basename "$0"): $*" >&2
	exit 1
}

# need_packages NAME...: install the missing ones, or say how and stop.
need_packages() {
	local missing=() p
	for p in "$@"; do
		dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed ||
			missing+=("$p")
	done
	[ ${#missing[@]} -eq 0 ] && return 0
	if [ "$(id -u)" != 0 ]; then
		echo "These packages are missing. As root, run:" >&2
		echo "    apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" >&2
		exit 1
	fi
	mkdir -p "$VGPU_CACHE/logs"
	step "apt-get update" "$VGPU_CACHE/logs/apt.log" apt-get update
	step "installing ${missing[*]}" "$VGPU_CACHE/logs/apt.log" \
		env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
		-o DPkg::Lock::Timeout=300 "${missing[@]}"
}

# step TEXT LOG COMMAND...: run it with its output in LOG, showing that it lives;
# where it fails, show the log's end and stop.
step() {
	local text=$1 log=$2 pid start rc=0 shown=0
	shift 2
	start=$SECONDS
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.2
		if [ $((SECONDS - start)) -ge $((shown + 5)) ]; then
			shown=$((SECONDS - start))
			if [ -t 1 ]; then
				printf '\r\033[K==> %s (%ds) %.60s' "$text" "$shown" \
					"$(tail -c 300 "$log" | tr '\r\t' '\n ' | grep -v '^$' | tail -n 1)"
			elif [ $((shown % 30)) -lt 5 ]; then
				printf '==> %s (%ds)\n' "$text" "$shown"
			fi
		fi
	done
	wait "$pid" || rc=$?
	[ -t 1 ] && printf '\r\033[K'
	if [ $rc -ne 0 ]; then
		echo "==> $text: failed (exit $rc); the end of $log:" >&2
		tail -n 25 "$log" >&2
		exit $rc
	fi
	printf '==> %s: done (%ds)\n' "$text" $((SECONDS - start))
}

# content_key WORD...: a hash of the words and, for each that is a file, of its content.
content_key() {
	local w
	for w in "$@"; do
		if [ -f "$w" ]; then
			printf 'file %s %s\n' "${w#"$VGPU_TOP"/}" "$(sha256sum <"$w")"
		else
			printf 'word %s\n' "$w"
		fi
	done | sha256sum | cut -c1-20
}

# with_lock NAME COMMAND...: one at a time for all users of the cache.
with_lock() {
	local name=$1
	shift
	mkdir -p "$VGPU_CACHE/locks"
	(
		flock 9
		"$@" 9>&-
	) 9>"$VGPU_CACHE/locks/$name"
}

# publish TEMPORARY FINAL: make a finished entry visible at once.
publish() {
	rm -rf "$2"
	mv -T "$1" "$2"
}
