/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The exits of the packet path: where a packet goes, by which descriptor,
 * with which link header and TTL. Internal to the path.
 */
#ifndef SLUICE_DAEMON_EXIT_H
#define SLUICE_DAEMON_EXIT_H

#include "daemon/path.h"

/* struct virtio_net_hdr without its later members, in host byte order. */
struct virtio_hdr {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
};
#define VIRTIO_HDR	  ((int)sizeof(struct virtio_hdr))
#define VIRTIO_NEEDS_CSUM 1

/* The packet in the rules, as they left it, to where it was going. */
void exit_onward(struct path *w, struct packet *p);

/* The packet in the rules, as they left it, by the interface of that name. */
void exit_via(struct path *w, struct packet *p, const char *name);

/* q, to the sender of the packet in the rules. Needs headroom. */
void exit_back(struct path *w, struct packet *q);

/* q, which a rule made or changed, by its own destination. q is copied. */
void exit_emit(struct path *w, const struct packet *q);

/* A source of 0.0.0.0 becomes the one this host would send from. */
void exit_source(struct path *w, struct packet *p);

#endif
