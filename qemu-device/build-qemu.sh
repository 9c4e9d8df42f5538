#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Build QEMU from Debian's source package with vgpu-stub in it.
#
#   build-qemu.sh [--suite bookworm|bookworm-backports|trixie] [--print]
#
# bookworm has QEMU 7.2, the other two have 10.0.
#
# --print: nothing but the result's directory on stdout; progress goes to
# stderr. The result holds
#   bin/qemu-system-x86_64   stripped
#   bin/vgpu-stub-test       the device's qtest cases, TAP
#
# Two levels of cache. The tree (source and objects) is keyed by the package's
# version and configure's flags and kept, so that a change in qemu-device/ costs
# an incremental build. The result is keyed by the tree and by the content of
# everything of ours that goes in; when it is there, nothing is built.

set -euo pipefail
. "$(dirname "$0")/../scripts/lib.sh"

HERE=$VGPU_TOP/qemu-device
SUITE=bookworm
PRINT=no
while [ $# -gt 0 ]; do
	case $1 in
	--suite) SUITE=${2:?--suite needs a name}; shift ;;
	--print) PRINT=yes ;;
	*) die "unknown argument '$1'" ;;
	esac
	shift
done

case $SUITE in
bookworm | bookworm-backports | trixie) ;;
*) die "suite '$SUITE': not one of bookworm, bookworm-backports, trixie" ;;
esac

CACHE=$VGPU_CACHE/qemu
LOGS=$VGPU_CACHE/logs
APT=$CACHE/apt-$SUITE
# The package version that was fetched last; `make cache-clean` forgets it.
VERSION_FILE=$CACHE/version-$SUITE

FLAGS=(
	--target-list=x86_64-softmmu
	--without-default-features
	--enable-tcg --enable-kvm --enable-xen --enable-vnc
	--enable-fdt=system
	--disable-werror --disable-docs --disable-debug-info
	--firmwarepath=/usr/share/qemu:/usr/share/seabios:/usr/lib/ipxe/qemu
)

# There pixman is a choice, and the firmware that Debian took out is missed.
[ "$SUITE" = bookworm ] || FLAGS+=(--enable-pixman --disable-install-blobs)

# What of ours is copied into QEMU's tree; headers of protocol/ lie beside the sources.
device_files() {
	printf '%s\n' "$HERE"/*.c "$HERE"/*.h "$HERE"/meson.build "$HERE"/Kconfig \
		"$HERE"/trace-events "$VGPU_TOP"/protocol/vgpu_{version,errors,pci,socket,xenstore}.h \
		"$VGPU_TOP"/host/xen_{nodes,lookup}.c "$VGPU_TOP"/host/xen_nodes.h "$VGPU_TOP"/common/decimal.h
}

test_files() {
	printf '%s\n' "$HERE"/qtest/*.[ch] "$HERE"/qtest/meson.build
}

# Raised when the hooks below change: a tree made with others is not reused.
HOOKS=hooks-1

# One line each at the end of QEMU's own lists; all else is in our files.
add_hooks() {
	local tree=$1
	echo "subdir('vgpu')" >>"$tree/hw/meson.build"
	echo "source vgpu/Kconfig" >>"$tree/hw/Kconfig"
	sed -i "s|^\( *\)'hw/xen',|&\n\1'hw/vgpu',|" "$tree/meson.build"
	grep -q "'hw/vgpu'" "$tree/meson.build" || die "$tree/meson.build: no place for hw/vgpu's traces"
	echo "subdir('vgpu')" >>"$tree/tests/qtest/meson.build"
}

# apt with lists of its own, so that deb-src lines need not be in the user's
# configuration and no root is needed.
private_apt() {
	local tool=$1
	shift
	"$tool" -o Dir::Etc::sourcelist="$APT/sources.list" -o Dir::Etc::sourceparts=- \
		-o Dir::State::lists="$APT/lists" -o Dir::Cache="$APT/cache" \
		-o APT::Sandbox::User= -o Acquire::Languages=none -o Acquire::Retries=3 "$@"
}

# The configured archives of bookworm as deb-src lines; apt itself reads its
# configuration, in whichever format it is. Another suite lies on the same
# server. QEMU 10.0 is built by a newer meson than bookworm's, which is in
# bookworm-backports.
private_sources() {
	local lines server
	mkdir -p "$APT/lists/partial" "$APT/cache/archives/partial"
	# shellcheck disable=SC2016 # apt's own variables
	lines=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
		grep -E ' bookworm(-security|-updates)? main$' | sort -u)
	server=$(sed -n 's| bookworm main$||p' <<<"$lines" | head -n 1)
	[ -n "$server" ] || die "apt: no archive of bookworm is configured"
	if [ "$SUITE" = bookworm ]; then
		echo "deb-src ${lines//$'\n'/$'\n'deb-src }"
	else
		echo "deb-src $server $SUITE main"
		echo "deb $server bookworm-backports main"
	fi >"$APT/sources.list"
}

newest_version() {
	private_apt apt-cache showsrc --only-source qemu | sed -n 's/^Version: //p' | sort -Vr | head -n 1
}

tree_of() {
	echo "$CACHE/tree-$(content_key "$HOOKS" "$1" "${FLAGS[@]}")"
}

fetch_source() {
	local tmp=$1
	cd "$tmp"
	private_apt apt-get source --only-source "qemu=$VERSION" || {
		echo "The archive does not have what its own index names; another suite may."
		return 1
	}
	find . -maxdepth 1 -type f -delete
	mv -T qemu-* source
	if [ "$SUITE" != bookworm ]; then
		private_apt apt-get download meson
		dpkg -x meson_*.deb source/meson-of-debian
		rm meson_*.deb
	fi
}

# Find the version, fetch it, and put a hooked tree in place.
prepare_tree() {
	local tmp
	private_sources
	step "qemu: package lists of $SUITE" "$LOGS/qemu-$SUITE-apt.log" private_apt apt-get update
	VERSION=$(newest_version)
	[ -n "$VERSION" ] || die "qemu: no source package in $SUITE"
	TREE=$(tree_of "$VERSION")
	if [ ! -d "$TREE" ]; then
		tmp=$(mktemp -d "$CACHE/tmp-$SUITE.XXXXXX")
		step "qemu: source of $VERSION" "$LOGS/qemu-$SUITE-source.log" fetch_source "$tmp"
		add_hooks "$tmp/source"
		publish "$tmp/source" "$TREE"
		rmdir "$tmp"
	fi
	echo "$VERSION" >"$VERSION_FILE"
}

# Make DIR hold exactly these files; what is the same keeps its time stamp.
sync_files() {
	local dir=$1 f
	shift
	mkdir -p "$dir"
	for f in "$dir"/*; do
		case " ${*##*/} " in
		*" ${f##*/} "*) ;;
		*) rm -f "$f" ;;
		esac
	done
	for f in "$@"; do
		cmp -s "$f" "$dir/${f##*/}" || cp "$f" "$dir/"
	done
}

configure_qemu() {
	cd "$TREE/build"
	../configure "${FLAGS[@]}"
}

# QEMU's own warnings are not ours; ours are errors. The sources are taken out
# of the tree so that the next run compiles them again.
refuse_warnings() {
	local log=$LOGS/qemu-$SUITE-build.log
	if grep -E '(hw|tests/qtest)/vgpu/.*warning:' "$log" >&2; then
		rm -rf "$TREE/hw/vgpu" "$TREE/tests/qtest/vgpu"
		die "qemu: warnings in our sources, see $log"
	fi
}

build_result() {
	local tmp files tests
	mapfile -t files < <(device_files)
	mapfile -t tests < <(test_files)
	sync_files "$TREE/hw/vgpu" "${files[@]}"
	sync_files "$TREE/tests/qtest/vgpu" "${tests[@]}" "$VGPU_TOP"/protocol/vgpu_{version,errors,pci,socket}.h
	mkdir -p "$TREE/build"
	[ "$SUITE" = bookworm ] || export PYTHONPATH=$TREE/meson-of-debian/usr/lib/python3/dist-packages
	[ -f "$TREE/build/build.ninja" ] ||
		step "qemu: configure" "$LOGS/qemu-$SUITE-configure.log" configure_qemu
	step "qemu: build (minutes, the first time)" "$LOGS/qemu-$SUITE-build.log" \
		ninja -C "$TREE/build" -j "$(nproc)" qemu-system-x86_64 tests/qtest/vgpu/vgpu-stub-test
	refuse_warnings
	[ "$RESULT" = "$(result_of "$TREE")" ] || die "qemu: sources changed while they were built: run it again"

	tmp=$(mktemp -d "$CACHE/tmp-$SUITE.XXXXXX")
	mkdir "$tmp/bin"
	strip -o "$tmp/bin/qemu-system-x86_64" "$TREE/build/qemu-system-x86_64"
	cp "$TREE/build/tests/qtest/vgpu/vgpu-stub-test" "$tmp/bin/"
	chmod 755 "$tmp"
	publish "$tmp" "$RESULT"
}

result_of() {
	echo "$CACHE/result-$(content_key "$1" "${OURS[@]}")"
}

find_result() {
	VERSION=$(cat "$VERSION_FILE" 2>/dev/null || true)
	[ -n "$VERSION" ] || return 1
	TREE=$(tree_of "$VERSION")
	RESULT=$(result_of "$TREE")
	[ -d "$RESULT" ]
}

# Under the lock: another one may have finished it while we waited.
make_result() {
	find_result && return 0
	rm -rf "$CACHE/tmp-$SUITE".* # of runs that failed
	if [ -z "$VERSION" ] || [ ! -d "$TREE" ]; then
		prepare_tree
	fi
	find_result && return 0
	build_result
}

mapfile -t OURS < <(device_files; test_files)
mkdir -p "$CACHE" "$LOGS"
exec 3>&1
[ $PRINT = yes ] && exec 1>&2
if ! find_result; then
	need_packages build-essential pkg-config dpkg-dev meson ninja-build python3-venv flex bison \
		libglib2.0-dev libpixman-1-dev libfdt-dev libxen-dev seabios ipxe-qemu qemu-system-data
	with_lock "qemu-$SUITE" make_result
	find_result || die "qemu: built, but $RESULT is not there"
fi
[ $PRINT = yes ] && exec 1>&3
echo "$RESULT"
