/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of this room share: the capture itself and the uplinks.
 * Included by nobody outside.
 */
#ifndef SLUICE_CAPTURE_INTERNAL_H
#define SLUICE_CAPTURE_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/capture.h"
#include "capture/netlink.h"

/* The tag (FRA_PROTOCOL, RTA_PROTOCOL) on the ip rule and the route. */
#define CAPTURE_PROTOCOL 83

/* An uplink and the devices made for it. Their names follow from its index,
 * so they are known before the devices are there. */
struct port {
	struct uplink u;
	uint16_t type;	     /* ARPHRD_* */
	bool alive;	     /* the devices are there, it was announced */
	char out[IFNAMSIZ];  /* "slo7": what leaves is forwarded to it */
	char back[IFNAMSIZ]; /* "sli7": what arrives is forwarded to it */
	int out_ifindex;     /* 0: none */
	int back_ifindex;
	bool fifo;	     /* its qdisc is a plain queue */
	char qdisc[IFNAMSIZ]; /* the one that says so */
};

#define PORTS_MAX 64

struct capture {
	struct capture_config cfg;
	char dev[IFNAMSIZ]; /* what cfg.dev points to */
	struct capture_events ev;

	struct netlink rt;	/* requests */
	struct netlink nf;	/* nftables; owns our tables: closing it is
				   what removes them */
	struct netlink rt_watch; /* notifications */
	struct netlink nf_watch;
	int epoll; /* capture_fd: both watches */

	enum capture_mode mode; /* what was decided: ROUTE or WIRE */
	char why[256];
	uint8_t marker[6];
	bool offload; /* granted */
	bool up;      /* packets are diverted */
	bool skbedit; /* the kernel can mark arrivals */

	int tun[CAPTURE_WORKERS_MAX];
	int tun_ifindex;

	struct port port[PORTS_MAX]; /* only those alive when capturing; all
					that are found for capture_print */
	unsigned ports;

	unsigned done;	     /* steps done, see capture.c */
	int64_t look_at;     /* ns; when to inspect again; -1: never */
	int64_t switched_at; /* ns; the last change of mode */
};

/* The bit that says: has been through, or is none of ours. */
static inline uint32_t capture_seen(const struct capture_config *cfg)
{
	return cfg->mask & ~cfg->mark;
}

/* ---- links.c ------------------------------------------------------------ */

/*
 * Fills c->port with the uplinks as they are now, with the names their
 * devices have or would get; makes nothing, needs no privilege, only
 * c->rt open. 0 or -errno.
 */
int links_find(struct capture *c, struct error *err);

/* The first uplink that queues first-in-first-out, or NULL. */
const struct port *links_fifo(const struct capture *c);

#endif
