/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interfaces that rules send packets by. For each there is a TUN of ours; an
 * ip rule sends what is written to it to a table of its own, in which all
 * goes by that interface, or nowhere; a chain of ours gives it the source
 * that belongs there. Such a packet may have been tracked before, so it is
 * tracked in a zone of its own; only as far as the way out goes: what answers
 * is found as anything that arrives is. Inside the room only.
 */
#ifndef SLUICE_CAPTURE_VIA_H
#define SLUICE_CAPTURE_VIA_H

#include "capture/internal.h"

/* An interface as it is now; ifindex 0: there is none. */
struct via_sight {
	int ifindex;
	bool up, addressed;
	bool arp;	/* it has neighbours that must be asked for */
	int rp_filter;	/* that counts: its own or that of all */
	struct via_route route[VIA_ROUTES_MAX];
	unsigned routes;
};

/* ---- via_route.c -------------------------------------------------------- */

/* 0 or -errno; no such interface is no error. */
int via_look(struct netlink *rt, const char *name, struct via_sight *s);

/* A route of a table of ours by ifindex; v NULL: the one that drops what no
 * other takes. Puts it in place of one to the same destination. */
int via_route_put(struct netlink *rt, uint32_t table, int ifindex,
		  const struct via_route *v, struct error *err);
int via_route_drop(struct netlink *rt, uint32_t table, int ifindex,
		   const struct via_route *v, struct error *err);

#endif
