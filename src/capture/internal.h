/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of this room share: the capture itself, the uplinks, and the
 * small verbs on devices, filters, rules and routes it is made of. Included
 * by nobody outside.
 */
#ifndef SLUICE_CAPTURE_INTERNAL_H
#define SLUICE_CAPTURE_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/capture.h"
#include "capture/cgroup.h"
#include "capture/netlink.h"
#include "capture/nft.h"

/* The tag (FRA_PROTOCOL, RTA_PROTOCOL) on the ip rule and the route. */
#define CAPTURE_PROTOCOL 83

/* The IPv4 dummy address (RFC 7600, 192.0.0.8), in network order: without an
 * address the reverse path check drops all that is written to tun0. */
#define TUN_ADDRESS { 192, 0, 0, 8 }

/* A device made for an uplink; its name follows from the uplink's index. */
struct tap {
	char name[IFNAMSIZ];
	int ifindex; /* 0: none */
};

enum tap_kind {
	TAP_OUT,     /* what leaves */
	TAP_BACK,    /* what arrives, and what is to arrive */
	TAP_PASSING, /* what passes through, taken where it arrives */
	TAP_LEAVING, /* and where it leaves */
	TAPS
};

/* An uplink and the devices made for it. */
struct port {
	struct uplink u;
	uint16_t type;	     /* ARPHRD_* */
	struct tap tap[TAPS];
	bool addressed;	     /* has an IPv4 address */
	bool enslaved;	     /* part of a bridge, a bond, … */
	bool fifo;	     /* one of its qdiscs is a plain queue: */
	char qdisc[IFNAMSIZ];
};

#define VIA_ROUTES_MAX 64

struct via_route {
	uint8_t dst[4], via[4]; /* network order */
	uint8_t len;
	bool gateway; /* via is one */
};

/* An interface that rules send packets by, and what was made for it. */
struct via_port {
	struct via pub;
	char dev[IFNAMSIZ]; /* NFT_VIA_DEVICE */
	int ifindex;	    /* of dev; 0: none */
	uint32_t table, mark;
	bool owned;	    /* the table was free */
	bool told;	    /* pub.why was */
	int target;	    /* by which the routes of the table go */
	struct via_route route[VIA_ROUTES_MAX];
	unsigned routes;
};

#define PORTS_MAX 128
#define REFUSED_MAX 32

struct capture {
	struct capture_config cfg;
	char dev[IFNAMSIZ]; /* what cfg.dev points to */
	struct capture_events ev;

	struct netlink rt;	/* requests */
	struct netlink watch;	/* notifications */
	struct netlink nf_watch;
	struct netlink policies; /* IPsec's */
	struct nft *nft; /* owns our tables */
	int epoll;	 /* capture_fd: both watches */

	struct cgroup cgroup; /* with cfg.only */
	uint64_t senders;     /* a picture of the cgroups that rules name */
	int64_t senders_at;   /* ns; when to look at them again */
	enum capture_mode mode; /* what was decided: ROUTE or WIRE */
	char why[NFT_WHY_MAX];
	struct nft_how how;
	bool offload; /* granted */
	bool up;      /* packets are diverted */
	bool quiet;   /* being opened: events are told at the end */

	int tun[CAPTURE_WORKERS_MAX];
	int tun_ifindex;

	struct port port[PORTS_MAX];
	unsigned ports;
	int refused[REFUSED_MAX]; /* ifindexes that were warned about */
	unsigned refusals;
	struct address *local;
	unsigned locals;
	struct via_port via[CAPTURE_VIAS_MAX];
	unsigned vias;

	unsigned opened, raised; /* steps done, see capture.c */
	/* What was notified, and not yet looked at. */
	bool stale_links, stale_routes, stale_ours, stale_nft, stale_conf;
	int64_t look_at;     /* ns; when to inspect again; -1: never */
	int64_t wraps_at;    /* likewise, for IPsec */
	int64_t switched_at; /* ns; the last change of mode */
};

/* The bit that says: has been through, or is none of ours. */
static inline uint32_t capture_seen(const struct capture_config *cfg)
{
	return cfg->mask & ~cfg->mark;
}

/* ---- scan.c: what is there ---------------------------------------------- */

struct scan {
	struct port port[PORTS_MAX]; /* up */
	unsigned ports;
	struct address *local; /* of devices that are not ours; free it */
	unsigned locals, locals_size;
	int *index; /* of all devices; free it */
	unsigned indexes, indexes_size;
	unsigned lost; /* candidates beyond PORTS_MAX */
	bool tunnels;  /* one of them sends packets inside others */
	bool forwards; /* what arrives by one that is not ours */
	const char *dev; /* not an uplink, whatever it has */
};

/* Looks at links, addresses, qdiscs and settings. Needs no privilege. What it
 * found is to be released with scan_free, also after an error. 0 or -errno. */
int scan_run(struct scan *s, struct netlink *rt, const char *dev);
bool scan_has(const struct scan *s, int ifindex);
void scan_free(struct scan *s);

/* Whether a qdisc of this kind shares the link, or waits for nobody. */
bool qdisc_is_fair(const char *kind);

/* Fills c->port with the uplinks as they are now; makes nothing and needs no
 * privilege, only c->rt open and c->dev set. 0 or -errno. */
int links_find(struct capture *c, struct error *err);

/* The first uplink that queues first-in-first-out, or NULL. */
const struct port *links_fifo(const struct capture *c);

/* ---- links.c: what changes ---------------------------------------------- */

/* Whether it shall be an uplink; one that is stays it for longer. */
bool links_wants(const struct capture *c, const struct port *found);

/* Compares the host with c->port, makes and removes devices, tells. */
int links_look(struct capture *c, struct error *err);
int links_close(struct capture *c, struct error *err);

/* ---- wraps.c: what leaves inside other packets -------------------------- */

/* Whether something may, as s has found the host; later changes make
 * c->stale_links or wraps_stale true. */
bool wraps_now(struct capture *c, const struct scan *s);
bool wraps_stale(struct capture *c);

/* ---- watch.c: what the kernel tells ------------------------------------- */

int watch_open(struct capture *c, struct error *err);
int watch_close(struct capture *c, struct error *err);
/* From now on also IPsec's policies; loads what it needs in the kernel. */
void watch_policies(struct capture *c);
/* Reads what is waiting and sets c->stale_*. */
void watch_read(struct capture *c);

/* ---- capture.c ----------------------------------------------------------- */

/* The ip rule, where the mode is one that needs it; and away with it. */
int selector_put(struct capture *c, struct error *err);
int selector_drop(struct capture *c, struct error *err);

/* ---- mode.c: by route or at the wire ------------------------------------ */

/* For what is wanted, what nftables has and which queues there are: fills
 * how and why. CAPTURE_ROUTE, CAPTURE_WIRE or -errno. */
int mode_choose(const struct capture *c, const struct nft_sight *sight,
		struct nft_how *how, char *why, struct error *err);
/* Looks at the host; when the answer changed and packets are diverted,
 * changes the rules in one transaction. */
int mode_decide(struct capture *c, struct error *err);
/* Something changed that the mode depends on: to be decided soon. */
void mode_stale(struct capture *c);
/* Decides if it is time to. */
int mode_handle(struct capture *c, struct error *err);

/* ---- senders.c: cgroups ------------------------------------------------- */

int senders_open(struct capture *c, struct error *err);
int senders_close(struct capture *c, struct error *err);
/* Looks at them if it is time to; ns until it is, -1: never. */
int senders_handle(struct capture *c, struct error *err);
int64_t senders_timeout(const struct capture *c);

/* ---- wire.c: the devices of one uplink ---------------------------------- */

/* Everything at its none value but the names: p->u.ifindex is known. */
void port_init(struct port *p);

int port_open(struct capture *c, struct port *p, struct error *err);
void port_close(struct capture *c, struct port *p);
/* Whether ifindex is one of its devices. */
bool port_has(const struct port *p, int ifindex);
/* Its MAC has changed to p->u.mac. */
int port_update(struct capture *c, struct port *p, struct error *err);

/* ---- tun.c: TUN and TAP devices, addresses and settings ------------------ */

/*
 * Makes the device name, which must be new, with so many queues, and asks for
 * offload (*offload: wanted, then granted). fd has CAPTURE_WORKERS_MAX places;
 * the rest become -1. -EEXIST: the name is taken.
 */
int tun_open(const char *name, bool tap, unsigned queues, bool *offload,
	     int *fd, int *ifindex, struct error *err);
void tun_close(int *fd); /* and sets them to -1 */

struct link_settings {
	const uint8_t *mac; /* NULL: as it is */
	uint32_t mtu, queue_len; /* 0: as it is */
	bool noarp, up;
	bool conf;   /* accept_local, forwarding, rp_filter */
	bool noipv6; /* no address of its own, no solicitations */
};
int link_set(struct netlink *rt, int ifindex, const struct link_settings *s,
	     const char *name, struct error *err);
int link_delete(struct netlink *rt, int ifindex); /* by an open socket */
int link_address(struct netlink *rt, int ifindex, const uint8_t address[4],
		 uint8_t prefix, uint8_t scope, struct error *err);
/* Whether link_settings.conf really took. */
int link_check(struct netlink *rt, int ifindex, const char *name,
	       struct error *err);

/* ---- tc.c --------------------------------------------------------------- */

/* All that is written to from (a TUN or TAP) arrives at to; mark != 0: with
 * that mark. -EOPNOTSUPP: the kernel cannot mark. */
int tc_hand_back(struct netlink *rt, int from, int to, uint32_t mark,
		 struct error *err);
int tc_noqueue(struct netlink *rt, int ifindex);

/* ---- route.c: the ip rule and table T ----------------------------------- */

int route_put(struct netlink *rt, int ifindex, uint32_t table,
	      struct error *err);
int route_drop(struct netlink *rt, int ifindex, uint32_t table,
	       struct error *err);
int rule_put(struct netlink *rt, const struct capture_config *cfg,
	     struct error *err);
int rule_drop(struct netlink *rt, const struct capture_config *cfg,
	      struct error *err);
/* Removes the rules with our tag. How many, or -errno. */
int rule_clean(struct netlink *rt, struct error *err);
/* -EEXIST: somebody uses the table, the preference or the bits. */
int route_check_free(struct netlink *rt, const struct capture_config *cfg,
		     struct error *err);

/* As route_check_free, of a table alone. */
int table_check_free(struct netlink *rt, uint32_t table, struct error *err);
/* Removes the routes with our tag. How many, or -errno. */
int route_clean(struct netlink *rt, struct error *err);
/* What comes from dev, a device of ours, or, if that is empty, has this mark,
 * looks there. -EEXIST: it does. */
int via_rule_put(struct netlink *rt, const struct capture_config *cfg,
		 const char *dev, uint32_t mark, uint32_t table,
		 struct error *err);
int via_rule_drop(struct netlink *rt, const struct capture_config *cfg,
		  const char *dev, uint32_t mark, uint32_t table,
		  struct error *err);

/* ---- via.c -------------------------------------------------------------- */

/* The table of the i-th. */
static inline uint32_t via_table(const struct capture_config *cfg, unsigned i)
{
	return cfg->table + 1 + i;
}

int vias_put(struct capture *c, struct error *err);
int vias_drop(struct capture *c, struct error *err);
/* Interfaces, addresses or routes may have changed; all: what is ours was
 * perhaps taken away. */
int vias_follow(struct capture *c, bool all, struct error *err);

/* ---- capture.c ---------------------------------------------------------- */

/* Everything at its none value; c is zeroed. */
void capture_init(struct capture *c, const struct capture_config *cfg);
/* Lets what our devices forward through FORWARD chains that would drop it. */
int accepts_put(struct capture *c, struct error *err);

/* ---- check.c ------------------------------------------------------------ */

/* Whether this host, this process and these settings can do it, now. */
int capture_check(struct capture *c, struct error *err);
/* 1: an instance owns our tables here; 0: none; -errno. */
int capture_alive(void);

#endif
