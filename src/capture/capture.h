/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel state that brings packets here, and its removal. The only room
 * that includes libmnl and libnftnl. Of the rules it knows the plan, of
 * packets and Lua nothing.
 *
 * By route: nft marks what a host sends, an ip rule sends the mark to table
 * T, table T to tun0. At the wire: the egress (and, on request, ingress) hook
 * of each uplink hands what carries no SEEN bit to a TAP of ours (a TUN where
 * the uplink has no Ethernet header). Everything here dies with the process
 * that opened it, but one ip rule (and an accept in FORWARD chains that
 * needed one; with cfg.only a cgroup), which capture_clean removes.
 */
#ifndef SLUICE_CAPTURE_CAPTURE_H
#define SLUICE_CAPTURE_CAPTURE_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/address.h"
#include "base/log.h"

enum capture_mode { CAPTURE_AUTO, CAPTURE_ROUTE, CAPTURE_WIRE };

#define CAPTURE_WORKERS_MAX 16
#define CAPTURE_VIAS_MAX    8

struct plan;

/* A connection of TCP or UDP over IPv4. */
struct capture_flow {
	uint8_t proto;
	bool hold; /* its packets do not come here, but are let by, or: */
	bool drop; /* dropped; without hold: if they were */
	struct address end[2];
	uint16_t port[2]; /* theirs */
};
struct ranges;
struct set;

struct capture_config {
	enum capture_mode mode;
	const char *dev; /* "tun0" */
	uint32_t table;	 /* 100 */
	uint32_t pref;	 /* 100 */
	uint32_t mark;	 /* the divert bit, 0x1000 */
	uint32_t mask;	 /* both bits, 0x3000; seen = mask & ~mark */
	unsigned workers; /* 1..CAPTURE_WORKERS_MAX: queues of every device */
	bool offload;
	bool in;      /* arrivals too */
	bool forward; /* what is only passing through, too */
	bool probes;  /* what capture_expect names, echo replies and ICMP
			 errors, too */
	bool elsewhere; /* rules send packets to other destinations: they are
			   forwarded by dev even where the rest goes at the
			   wire */
	/* What the kernel decides before a packet comes to us; NULL: nothing.
	 * Borrowed. */
	const struct plan *plan;
	bool only; /* nothing but what those send that called capture_join,
		      and what they started */
	/* Interfaces that rules send packets by, as far as they are known: see
	 * capture_via. The names are the caller's. */
	const char *via[CAPTURE_VIAS_MAX];
	unsigned vias;
	bool flows; /* capture_flows will be asked for */
	const char *fail_at; /* tests: the step that is made to fail, or NULL */
};
void capture_defaults(struct capture_config *cfg);

/* A device by which packets leave: up, not lo, not ours, with an IPv4 address
 * (where what passes through is captured, without one too). */
struct uplink {
	int ifindex;
	char name[IFNAMSIZ];
	uint8_t mac[6];	   /* zero without an Ethernet header */
	uint16_t link_len; /* bytes of its link header: 14 or 0 */
	uint32_t mtu;	   /* bytes */
	bool in;	   /* what arrives is captured here */
	bool bridge;
	/* One a worker; -1: none. All non-blocking, all with a
	 * virtio_net_hdr of 10 bytes in front of every packet. */
	int out[CAPTURE_WORKERS_MAX];  /* read: what leaves by the wire */
	int back[CAPTURE_WORKERS_MAX]; /* read: what arrives; written to:
					  arrives at the host from this uplink,
					  source MAC = capture_marker */
	int sock[CAPTURE_WORKERS_MAX]; /* packet socket: written to, leaves by
					  this uplink */
	/* What passes through, read only; -1 unless that is captured. */
	int passing[CAPTURE_WORKERS_MAX]; /* taken where it arrived */
	int leaving[CAPTURE_WORKERS_MAX]; /* taken where it leaves */
};

/*
 * An interface that rules send packets by. What is written to fd (one a
 * worker, as a TUN takes it, with a virtio_net_hdr) is forwarded by it, with
 * an address of it as the source, and what answers finds its way back; its
 * TTL loses one. Never by another interface: what cannot go is dropped.
 */
struct via {
	char name[IFNAMSIZ];
	int fd[CAPTURE_WORKERS_MAX]; /* the capture's */
	char why[128]; /* why it cannot be used now; "": it can */
};

/* What the owner is told, from capture_open and capture_handle. The uplink's
 * descriptors belong to the capture: hand on duplicates. */
struct capture_events {
	void *arg;
	void (*uplink_up)(void *arg, const struct uplink *u);
	void (*uplink_changed)(void *arg, const struct uplink *u); /* mtu, mac,
								      name */
	void (*uplink_down)(void *arg, int ifindex);
	/* The host's own addresses changed; list of all of them. */
	void (*locals)(void *arg, const struct address *list, unsigned n);
	/* Routes or routing rules changed: look-ups are stale. */
	void (*routes)(void *arg);
	/* It was decided (again) how packets are taken. */
	void (*mode)(void *arg, enum capture_mode mode, const char *why);
	/* An interface for via() is new, can be used, or no longer. */
	void (*via)(void *arg, const struct via *v);
};

struct capture;

/*
 * Looks at the host, decides the mode, makes the devices. Nothing is captured
 * yet. On error nothing is left behind. -EPERM: no privilege; -ENOENT: no
 * /dev/net/tun; -EEXIST: name, table, mark or pref taken, or an instance runs
 * in this network namespace. err is one line.
 */
int capture_open(struct capture **c, const struct capture_config *cfg,
		 const struct capture_events *ev, struct error *err);

/* Takes the packets: the ip rule, the route, one nftables transaction. On
 * error everything is as it was before. */
int capture_up(struct capture *c, struct error *err);

/* Names of the steps of capture_open, then capture_up, in order, for fail_at;
 * NULL behind the last. The step is done, then counts as failed. */
const char *capture_step(unsigned i);

/* Lets the packets go their old way. Never fails half-way: goes on and
 * reports the first error. */
int capture_down(struct capture *c, struct error *err);

/* Removes the devices. c may be NULL. Calls capture_down if needed. */
void capture_close(struct capture *c);

/* In a forked child that becomes the command: cfg.only is about it from here
 * on, and about all it starts. 0 (always, without cfg.only) or -errno. */
int capture_join(const struct capture *c);

/* In a forked child: closes what only the owner may hold (the netlink
 * sockets: the kernel removes our tables when the last copy is closed). */
void capture_forget(struct capture *c);

/* Netlink notifications: poll this one for reading, then call handle. */
int capture_fd(const struct capture *c);
int capture_handle(struct capture *c, struct error *err);
/* ns until handle wants to be called even without input; -1: never.
 * (Changes of the ruleset are looked at once they have settled.) */
int64_t capture_timeout(const struct capture *c);

/* What cfg.elsewhere says, once it turns out while packets are captured: lets
 * what dev forwards through FORWARD chains that would drop it. */
int capture_elsewhere(struct capture *c, struct error *err);

/* One more interface that rules send packets by, while packets are captured;
 * told by events. 0 if it is known. -ENOSPC: too many; -EEXIST: its table is
 * in use; -EINVAL: a device of ours, or no name. */
int capture_via(struct capture *c, const char *name, struct error *err);

/* While it is up, and was opened for probes: what arrives for this port of a
 * protocol with ports comes by the uplink's back descriptor (add), or no
 * longer. Tells apart no addresses: most of it may be the host's own. */
int capture_expect(struct capture *c, uint8_t proto, uint16_t port, bool add,
		   struct error *err);

/* While it is up: what the kernel decided by cfg.plan, for each rule (its
 * index; UINT32_MAX: the policy, or capture_flows), in several parts. */
int capture_counters(struct capture *c,
		     void (*f)(void *arg, uint32_t rule, uint64_t packets,
			       uint64_t bytes),
		     void *arg, struct error *err);

/* While it is up: the addresses of a set of the rules have changed, those in
 * within; NULL: any of them. What the kernel holds of it, if it does, becomes
 * what it has at now (ns, as set_has). */
int capture_set_changed(struct capture *c, const struct set *s,
			const struct ranges *within, int64_t now,
			struct error *err);

/*
 * While it is up, and was opened for flows: what becomes of packets of these
 * connections, but for TCP's SYN, FIN and RST, and fragments, which come in
 * any case. Each connection once, or once with drop and once without; one is
 * held in one way only. For want of place some may come all the
 * same.
 */
int capture_flows(struct capture *c, const struct capture_flow *list,
		  unsigned count, struct error *err);
/* All of them are forgotten. */
int capture_flows_clear(struct capture *c, struct error *err);
/* How many packets of one were decided so; 0 as well for one that is not
 * there. 0 or -errno. */
int capture_flow_count(struct capture *c, const struct capture_flow *f,
		       uint64_t *packets);

enum capture_mode capture_mode(const struct capture *c); /* ROUTE or WIRE */
const char *capture_mode_why(const struct capture *c);	 /* one line */
int capture_tun(const struct capture *c, unsigned worker); /* fd */
int capture_tun_ifindex(const struct capture *c);
const uint8_t *capture_marker(const struct capture *c); /* 6 bytes */
bool capture_offload(const struct capture *c);		/* what was granted */

/* The nftables rules that capture_up installs, as nft prints them, and the
 * ip rule and route; uplinks as they are now. Needs no privilege. */
int capture_print(const struct capture_config *cfg, FILE *f);

/* Removes what a killed instance left behind in this network namespace, and
 * cgroups of such wherever they ran.
 * Returns how many things were removed, or -errno. */
int capture_clean(struct error *err);

/* One finding a call: level as in log.h, one line. Returns the number of
 * LOG_ERROR findings. */
int capture_doctor(const struct capture_config *cfg,
		   void (*f)(void *arg, enum log_level level,
			     const char *text),
		   void *arg);

/* ---- look-ups (lookup.c): a netlink socket that needs no privilege ------ */

/* fd for route_lookup, to be opened before privileges go. -errno. */
int route_lookup_open(void);
/* The interface by which the main routing would send src -> dst.
 * >0: ifindex; 0: nothing known; -errno. Blocking, one round trip. */
int route_lookup(int fd, const struct address *src, const struct address *dst);

/* The host's own address from which it would send to dst. 0 or -errno. */
int route_source(int fd, const struct address *dst, struct address *source);

/* ---- owners (owner.c): whose socket is it ------------------------------- */

struct owner {
	uint32_t uid;
	int pid; /* 0: not found */
	char comm[16];
};
struct owner_lookup;
int owner_lookup_open(struct owner_lookup **o); /* -errno */
/* proto: IPPROTO_TCP or IPPROTO_UDP; 0 found, -ENOENT. Cached by socket. */
int owner_lookup(struct owner_lookup *o, uint8_t proto,
		 const struct address *src, uint16_t sport,
		 const struct address *dst, uint16_t dport,
		 struct owner *owner);
void owner_lookup_close(struct owner_lookup *o);

/* ---- lab (lab.c) -------------------------------------------------------- */

/* In a network namespace of our own that is still empty: brings lo up, makes
 * an uplink eth0 (a TAP nobody reads, arp off, 192.0.2.2/24) with the default
 * route by it. Returns its fd, which keeps it there, or -errno; a read of it
 * has a virtio_net_hdr of 10 bytes and an Ethernet header. */
int lab_uplink(struct error *err);

#endif
