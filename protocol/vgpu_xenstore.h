/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * XenStore nodes of a vGPU. <domid> is the guest, <backend-id> the domain in
 * which the mediator runs; the device number is 0 for now.
 *
 *   /local/domain/<domid>/device/vgpu/0/                 guest owns, backend reads
 *       backend, backend-id, state
 *       channel-<k>/ring-ref, event-channel, state
 *   /local/domain/<backend-id>/backend/vgpu/<domid>/0/   backend owns, guest reads
 *       frontend, frontend-id, online, state,
 *       protocol-version, max-channels, max-window-pages
 *       channel-<k>/state, error
 *
 * States are those of XenbusState: 1 initialising, 2 init-wait, 3 initialised,
 * 4 connected, 5 closing, 6 closed.
 */
#ifndef VGPU_XENSTORE_H
#define VGPU_XENSTORE_H

#define VGPU_XS_DEVICE_TYPE "vgpu"

#define VGPU_XS_BACKEND "backend"
#define VGPU_XS_BACKEND_ID "backend-id"
#define VGPU_XS_FRONTEND "frontend"
#define VGPU_XS_FRONTEND_ID "frontend-id"
#define VGPU_XS_ONLINE "online"
#define VGPU_XS_STATE "state"
#define VGPU_XS_PROTOCOL_VERSION "protocol-version"
#define VGPU_XS_MAX_CHANNELS "max-channels"
#define VGPU_XS_MAX_WINDOW_PAGES "max-window-pages"

#define VGPU_XS_CHANNEL_FMT "channel-%u"
#define VGPU_XS_RING_REF "ring-ref"
#define VGPU_XS_EVENT_CHANNEL "event-channel"
#define VGPU_XS_ERROR "error"

#endif
