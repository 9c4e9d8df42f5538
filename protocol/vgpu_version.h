/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Version of the contract between guest and host.
 *
 * One number covers the registers, the channel layout, the commands and the
 * socket messages. Peers with the same major number work together; the minor
 * number rises when something is added that an older peer can ignore or refuse
 * cleanly. Wherever the versions of two peers do not fit, the one that notices
 * names both.
 */
#ifndef VGPU_VERSION_H
#define VGPU_VERSION_H

#define VGPU_PROTOCOL_MAJOR 2
#define VGPU_PROTOCOL_MINOR 0

/* Major in the upper 16 bits, minor in the lower: how registers show it. */
#define VGPU_PROTOCOL_VERSION ((VGPU_PROTOCOL_MAJOR << 16) | VGPU_PROTOCOL_MINOR)

#define VGPU_VERSION_MAJOR(v) (((v) >> 16) & 0xffff)
#define VGPU_VERSION_MINOR(v) ((v)&0xffff)

#endif
