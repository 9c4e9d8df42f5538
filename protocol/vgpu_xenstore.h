/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Transport `xen`: the nodes in XenStore through which a guest and the mediator's domain meet.
 * <domid> is the guest, <backend-id> the domain in which the mediator runs (any domain), <n> the
 * device's number, 0 unless a guest has several.
 *
 *   /local/domain/<domid>/device/vgpu/<n>/                 guest owns, backend's domain reads
 *       backend            path of the other directory          by whoever attaches
 *       backend-id         domain id                            by whoever attaches
 *       state              the device's, see below              1 by whoever attaches, then guest
 *       channel-<k>/                                            guest owns, backend's domain writes
 *           id             16 hex digits, random: this use of the number k
 *           pages          of the channel, all of them, header page included, presence page not
 *           ring-ref       grant reference of the header page (vgpu_channel.h)
 *           event-channel  port, unbound, for the backend's domain
 *           state          the channel's
 *   /local/domain/<backend-id>/backend/vgpu/<domid>/<n>/   backend's domain owns, guest reads
 *       frontend           path of the other directory          by whoever attaches
 *       frontend-id        domain id                            by whoever attaches
 *       domain             the guest's name, a label            by whoever attaches
 *       uuid               the guest's, 36 characters           by whoever attaches
 *       generation         16 hex digits, random                by whoever attaches
 *       online             1; 0: being detached                 by whoever attaches and detaches
 *       state              the device's                         1 by whoever attaches, then mediator
 *       protocol-version   VGPU_PROTOCOL_VERSION, decimal       mediator
 *       release            the mediator's                       mediator
 *       max-channels       that this guest may have; k < this   mediator
 *       max-window-pages   that `pages` may say                 mediator
 *       channel-<k>/
 *           id             repeats the guest's
 *           state          the channel's
 *           error          "<VGPU_E*> <text>", only when it ended with an error
 *
 * Numbers are decimal. All values but `error` and the paths fit 63 bytes; a longer one, one that is
 * no number, or a number out of range is the writer's error and counts as broken protocol. Each
 * side computes the other's paths from domain ids; the guest's `backend` is for people and tools.
 *
 * States are those of XenbusState (xen/include/public/io/xenbus.h).
 *
 * Device:
 *
 *   guest (kernel or library)              mediator
 *   1 Initialising, attached               1 Initialising: nobody serves it (or no longer)
 *                                          2 InitWait: served; limits are published
 *   3 Initialised: a program opens
 *                                          4 Connected
 *   4 Connected, and stays so
 *   5 Closing: the kernel resets it        5 Closing: all channels are being ended
 *     (boot, kexec)
 *   6 Closed                               6 Closed: all channels have ended
 *   1 Initialising                         2 InitWait
 *
 * The mediator follows the guest's state from whatever its own was: 1, 2 -> 2; 3, 4 -> 4; 5 -> 5;
 * 6, none, or no state -> 6. So a mediator that starts late or again finds its way. While `online`
 * is 0 it ends all channels and goes to 6, and stays there.
 *
 * Channel:
 *
 *   library                                mediator
 *   makes pages and port; in one
 *   transaction takes a number k that is
 *   free, and writes id, pages, ring-ref,
 *   event-channel, state 3
 *                                          id, state 3: seen, waits for a worker
 *                                          id, state 4: a worker serves it; or
 *                                          id, state 6, error: refused, and why
 *   state 4
 *   ... rings ...
 *   removes channel-<k>                    worker ends; removes its own channel-<k>
 *
 *                                          state 6, error: ended by the host
 *   removes channel-<k>                    removes its own channel-<k>
 *
 * A number is free if the guest's channel-<k> is not there, and so is the backend's.
 * A number may also be taken over if the backend's `id` is that of the guest's and its state is 6:
 * that use is over, whoever it was. The library gives the backend's domain write permission on its
 * channel-<k>, and when a guest process died, which the presence page tells, the mediator removes
 * both nodes. It does so in a transaction, and only while `id` is still that of the dead.
 *
 * A mediator that starts removes the channels of the one before: those whose guest's state is 4.
 * One in state 3 it serves.
 */
#ifndef VGPU_XENSTORE_H
#define VGPU_XENSTORE_H

#define VGPU_XS_DEVICE_TYPE "vgpu"

#define VGPU_XS_BACKEND "backend"
#define VGPU_XS_BACKEND_ID "backend-id"
#define VGPU_XS_FRONTEND "frontend"
#define VGPU_XS_FRONTEND_ID "frontend-id"
#define VGPU_XS_DOMAIN "domain"
#define VGPU_XS_UUID "uuid"
#define VGPU_XS_GENERATION "generation"
#define VGPU_XS_ONLINE "online"
#define VGPU_XS_STATE "state"
#define VGPU_XS_PROTOCOL_VERSION "protocol-version"
#define VGPU_XS_RELEASE "release"
#define VGPU_XS_MAX_CHANNELS "max-channels"
#define VGPU_XS_MAX_WINDOW_PAGES "max-window-pages"

#define VGPU_XS_CHANNEL_PREFIX "channel-"
#define VGPU_XS_CHANNEL_FMT VGPU_XS_CHANNEL_PREFIX "%u"
#define VGPU_XS_ID "id"
#define VGPU_XS_PAGES "pages"
#define VGPU_XS_RING_REF "ring-ref"
#define VGPU_XS_EVENT_CHANNEL "event-channel"
#define VGPU_XS_ERROR "error"

#define VGPU_XS_ID_CHARS 16u     /* of `id` and `generation` */
#define VGPU_XS_VALUE_MAX 63u    /* bytes of every value that is a number, an id or a label */
#define VGPU_XS_CHANNELS_MAX 64u /* most that max-channels can say */
#define VGPU_XS_DEVICES_MAX 8u   /* <n> is below this */

enum vgpu_xs_state {
	VGPU_XS_UNKNOWN = 0, /* no node */
	VGPU_XS_INITIALISING = 1,
	VGPU_XS_INIT_WAIT = 2,
	VGPU_XS_INITIALISED = 3,
	VGPU_XS_CONNECTED = 4,
	VGPU_XS_CLOSING = 5,
	VGPU_XS_CLOSED = 6,
};

#endif
