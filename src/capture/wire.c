/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The devices of one uplink: those that its packets are handed to, of which
 * one is also where packets are written that shall arrive by it; and packet
 * sockets by which packets leave. Must not know which uplinks there are.
 */
#include "capture/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The largest there is for a TAP: nothing is refused, nothing fragmented. */
#define WIRE_MTU       65521
#define WIRE_QUEUE_LEN 1000
/* Bytes; little, so that a full uplink is felt at once and the queue that
 * shares it out fairly is the worker's. */
#define WIRE_SEND_BUFFER 65536

/* Receives nothing: a socket that is bound with a protocol would. */
static int deafen(int fd)
{
	struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog prog = { .len = 1, .filter = &drop };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog,
			  sizeof(prog));
}

/*
 * With an Ethernet header the kernel reads the protocol there, and a socket
 * bound to none receives nothing. Without one it has to be told.
 */
static int sock_open(const struct uplink *u, uint32_t mark)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_protocol = u->link_len ? 0 : htons(ETH_P_IP),
		.sll_ifindex = u->ifindex,
	};
	int one = 1, size = WIRE_SEND_BUFFER, fd, r;

	fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!deafen(fd) &&
	    !setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) &&
	    !setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) &&
	    !setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) &&
	    !bind(fd, (struct sockaddr *)&to, sizeof(to)))
		return fd;
	r = -errno;
	close(fd);
	return r;
}

static int socks_open(struct capture *c, struct uplink *u, struct error *err)
{
	for (unsigned i = 0; i < c->cfg.workers; i++) {
		u->sock[i] = sock_open(u, capture_seen(&c->cfg));
		if (u->sock[i] < 0) {
			int r = u->sock[i];

			u->sock[i] = -1;
			return error_set(err, r, "packet socket on %s: %s",
					 u->name, strerror(-r));
		}
	}
	return 0;
}

static const char *const names[TAPS] = {
	[TAP_OUT] = NFT_OUT_DEVICE,
	[TAP_BACK] = NFT_IN_DEVICE,
	[TAP_PASSING] = NFT_PASSING_DEVICE,
	[TAP_LEAVING] = NFT_LEAVING_DEVICE,
};

static int *descriptors(struct port *p, enum tap_kind kind)
{
	switch (kind) {
	case TAP_OUT:
		return p->u.out;
	case TAP_BACK:
		return p->u.back;
	case TAP_PASSING:
		return p->u.passing;
	default:
		return p->u.leaving;
	}
}

void port_init(struct port *p)
{
	for (unsigned i = 0; i < CAPTURE_WORKERS_MAX; i++) {
		p->u.sock[i] = -1;
		for (unsigned k = 0; k < TAPS; k++)
			descriptors(p, k)[i] = -1;
	}
	for (unsigned k = 0; k < TAPS; k++) {
		p->tap[k].ifindex = 0;
		snprintf(p->tap[k].name, sizeof(p->tap[k].name), names[k],
			 p->u.ifindex);
	}
}

bool port_has(const struct port *p, int ifindex)
{
	for (unsigned i = 0; i < TAPS; i++)
		if (p->tap[i].ifindex == ifindex)
			return true;
	return false;
}

/* Whether this capture makes such a device. */
static bool is_wanted(const struct capture *c, enum tap_kind kind)
{
	return c->cfg.forward || kind == TAP_OUT || kind == TAP_BACK;
}

static int device_open(struct capture *c, struct port *p, enum tap_kind kind,
		       struct error *err)
{
	struct tap *t = &p->tap[kind];

	struct link_settings s = {
		.mac = p->u.link_len ? p->u.mac : NULL,
		.mtu = WIRE_MTU,
		.queue_len = WIRE_QUEUE_LEN,
		.noarp = true,
		.noipv6 = true,
	};
	/* What tun0 was not granted, they are not either. */
	bool offload = c->offload;
	int r = tun_open(t->name, p->u.link_len, c->cfg.workers, &offload,
			 descriptors(p, kind), &t->ifindex, err);

	if (!r)
		r = link_set(&c->rt, t->ifindex, &s, t->name, err);
	return r;
}

/*
 * What was handed back passes the ingress hook again and has to be told from
 * what is new: by its source MAC, or, where there is none, by the seen bit.
 */
static int back_connect(struct capture *c, struct port *p, struct error *err)
{
	uint32_t mark = p->u.link_len ? 0 : capture_seen(&c->cfg);
	int from = p->tap[TAP_BACK].ifindex, r;

	p->u.in = c->cfg.in || c->cfg.forward || c->cfg.probes;
	r = tc_hand_back(&c->rt, from, p->u.ifindex, mark, err);
	if (r != -EOPNOTSUPP || !mark)
		return r;
	if (p->u.in)
		log_warn("%s: what arrives is not captured there: this kernel "
			 "has no skbedit, and %s no Ethernet header",
			 p->u.name, p->u.name);
	p->u.in = false;
	return tc_hand_back(&c->rt, from, p->u.ifindex, 0, err);
}

int port_open(struct capture *c, struct port *p, struct error *err)
{
	static const struct link_settings up = { .up = true };
	unsigned i;
	int r = 0;

	for (i = 0; i < TAPS && !r; i++)
		if (is_wanted(c, i))
			r = device_open(c, p, i, err);
	if (!r)
		r = back_connect(c, p, err);
	for (i = 0; i < TAPS && !r; i++)
		if (p->tap[i].ifindex)
			r = link_set(&c->rt, p->tap[i].ifindex, &up,
				     p->tap[i].name, err);
	if (!r)
		r = socks_open(c, &p->u, err);
	if (r)
		port_close(c, p);
	return r;
}

void port_close(struct capture *c, struct port *p)
{
	for (unsigned i = 0; i < TAPS; i++) {
		/* A worker may still hold copies: the devices go all the
		 * same. */
		if (p->tap[i].ifindex)
			link_delete(&c->rt, p->tap[i].ifindex);
		p->tap[i].ifindex = 0;
		tun_close(descriptors(p, i));
	}
	tun_close(p->u.sock);
}

int port_update(struct capture *c, struct port *p, struct error *err)
{
	struct link_settings s = { .mac = p->u.mac };
	int r = 0;

	for (unsigned i = 0; i < TAPS && p->u.link_len && !r; i++)
		if (p->tap[i].ifindex)
			r = link_set(&c->rt, p->tap[i].ifindex, &s,
				     p->tap[i].name, err);
	return r;
}
