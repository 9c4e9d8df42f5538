# SPDX-License-Identifier: GPL-2.0-or-later
# QEMU with our device, in the cache; see build-qemu.sh.

qemu: ## QEMU 7.2 with vgpu-stub, and its tests; in the cache
	$(Q)qemu-device/build-qemu.sh

# Or trixie, which has the same version, should the archive lack the backport's files.
QEMU10_SUITE ?= bookworm-backports
qemu-10: ## the same device in QEMU 10.0 of QEMU10_SUITE
	$(Q)qemu-device/build-qemu.sh --suite $(QEMU10_SUITE)

# A case that fails ends the program where it is, with its files.
check-qtest: ## the PCI device without a guest
	$(Q)result=$$(qemu-device/build-qemu.sh --print) && \
		TMPDIR=$$(mktemp -d) && export TMPDIR && \
		{ QTEST_QEMU_BINARY=$$result/bin/qemu-system-x86_64 timeout 300 \
			prove --exec '' $$result/bin/vgpu-stub-test :: --tap; rc=$$?; \
		rm -rf "$$TMPDIR"; exit $$rc; }

.PHONY: qemu qemu-10 check-qtest
