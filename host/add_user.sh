#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# After installing: the user that workers change to, see worker_user in gpu_mediator.conf(5).
getent passwd gpu_mediator >/dev/null && exit 0
if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers gpu_mediator.conf
else
	useradd --system --user-group --no-create-home --home-dir /nonexistent \
		--shell /usr/sbin/nologin gpu_mediator
fi || echo "user gpu_mediator: not created; workers will change to nobody" >&2
