/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The packet path: from a descriptor through the rules to another one. Read
 * this first. Allocates nothing (but what Lua does), makes no system call but
 * the read and the write, takes no lock.
 *
 * A packet remembers its way in; that names its exits: onward (to where it
 * was going, next hop unchanged) and back (to its sender). By route both are
 * tun0. At the wire one is the uplink's packet socket, and the other an
 * arrival from the uplink: which, depends on whether the packet was taken
 * where it leaves or where it arrives. What changed its destination, grew
 * beyond the MTU or was made up for elsewhere goes to tun0 and takes the main
 * table; what passes through and is still to be routed needs that not.
 */
#ifndef SLUICE_DAEMON_PATH_H
#define SLUICE_DAEMON_PATH_H

#include <net/if.h>
#include <stdatomic.h>

#include "daemon/event.h"
#include "daemon/original.h"
#include "daemon/queue.h"
#include "packet/packet.h"
#include "packet/pcap.h"
#include "rule/ruleset.h"
#include "script/script.h"

struct port;

/* How a packet came, and so how it goes on. */
struct way {
	enum packet_way kind;
	enum packet_dir dir;
	bool leaving;	   /* onward is out by port, not in from it */
	int fd;		   /* read here; -1: there is none */
	struct port *port; /* the uplink; NULL by route */
};

/* An uplink, as the path sees it. */
struct port {
	struct port *next;
	int ifindex;
	char name[IFNAMSIZ];
	uint8_t mac[6];
	uint16_t link_len;
	uint32_t mtu;
	/* in.fd is written to as well: it arrives from this uplink. */
	struct way out, in;
	struct way passing, leaving; /* DIR_FORWARD, taken where it arrives,
					and where it leaves */
	int sock;	     /* written to: leaves by this uplink */
	bool waiting;	     /* for sock to take more */
	bool no_gso;	     /* sock refused a super-packet once */
	struct queue *queue; /* what waits; made when it first has to */
};

/* Counts why packets ended, in memory shared with the supervisor. */
struct path_stats {
	uint64_t packets, bytes;
	uint64_t verdict[VERDICT_ERROR + 1];
	uint64_t short_read, no_room, refused, segmented, queue_full;
	uint64_t errors; /* rules that failed */
	uint64_t via_lost; /* packets for an interface that cannot be used */
	uint64_t events_lost, logs_lost;
	uint64_t files_lost; /* packets that pcap() could not hand on */
};

#define PATH_NAMED_MAX	64
#define PATH_LOCALS_MAX 256

/* count(name, n) of the rules. */
struct path_named {
	char name[40];
	uint64_t n;
};

/* Shared with the supervisor, which only reads it. Odd steps: in the rules. */
struct path_shared {
	atomic_uint_fast64_t step;
	atomic_uint_fast64_t beat; /* turns of the worker's loop */
	atomic_uint rule; /* index of the rule that runs, for the watchdog */
	struct path_stats stats;
	struct path_named named[PATH_NAMED_MAX];
	struct rule_counter rules[]; /* ruleset->count + 1 */
};

/* An interface that a rule sends packets by: what is written to fd is
 * forwarded by it, with its address as the source. */
struct path_via {
	char name[IFNAMSIZ];
	int fd;	     /* -1: not known yet */
	bool asked;
	bool usable; /* else packets are dropped, and not sent elsewhere */
	bool no_gso; /* fd refused a super-packet once */
};

#define PATH_ROUTES 256 /* look-ups remembered; a power of two */

struct path_route {
	struct address src, dst;
	int ifindex;
};

struct path {
	/* Set by the owner. */
	struct script *script;
	const struct ruleset *rules;
	struct path_shared *shared;
	struct way tun;
	int epoll;	  /* where a port waits for its sock */
	int route_lookup; /* fd */
	uint8_t marker[6];
	bool audit;
	const struct pcap_filter *filter;
	void (*event)(struct path *w, const struct event *e);
	/* Told once: tun0 has something to forward. */
	void (*elsewhere)(struct path *w);
	/* Asks for an interface, see path_via_is. */
	void (*via)(struct path *w, const char *name);
	void *event_arg;
	/* What only the owner can do for rules (expect, unexpect, pcap), with
	 * the path as their arg. */
	struct script_host host;

	/* The path's own. */
	struct port *ports;
	struct address locals[PATH_LOCALS_MAX];
	unsigned nlocals;
	struct path_route routes[PATH_ROUTES];
	struct path_via vias[SCRIPT_VIAS_MAX];
	unsigned nvias;
	bool tun_no_gso;
	bool told_elsewhere;
	int64_t clock; /* ns, monotonic; as context.now of the last look */
	struct match_context context;
	struct ruleset_calls calls;

	/* The packet that is in the rules now. */
	const struct way *way;
	struct address src, dst; /* as it arrived */
	uint32_t len;
	uint16_t ident; /* for packets that have to be cut */
	uint8_t link[18];	 /* its link header */
	uint16_t link_len;
	struct event seen;
	bool show;

	struct original original;
	uint8_t in[PACKET_BUFFER];   /* read into */
	uint8_t out[PACKET_BUFFER];  /* copies of what rules made */
	uint8_t made[PACKET_BUFFER]; /* answers, segments */
	uint8_t before[PACKET_BUFFER];
};

/* Adds to a counter of the rules, in the first place that is free; without
 * one it is not counted. */
void path_count(struct path_named named[PATH_NAMED_MAX], const char *name,
		uint64_t n);

/* Prepares w once its owner's part is set; calls of the script come here. */
void path_init(struct path *w);

/* Reads and handles what waits at way, a bounded number of packets. */
void path_read(struct path *w, const struct way *way);

/* Time begins for the rules, now that packets come. tasks: they run too. */
void path_start(struct path *w, bool tasks);

/* Does what is due, some of it if it is much. ns until there is more to do,
 * 0: at once; -1: nothing waits. */
int64_t path_tick(struct path *w);

/* What a probe's port was asked for is so: see script_expected. */
void path_expected(struct path *w, uint32_t id, int error, uint16_t port);

/* Sends what waits for port, as much as it takes now. */
void path_drain(struct path *w, struct port *port);

/* Packets for that interface are written to fd, which is w's from now on, or
 * dropped where it is not usable. */
void path_via_is(struct path *w, const char *name, int fd, bool usable);

/* A look-up of routes is stale. */
void path_routes_changed(struct path *w);

/* The port of an ifindex, or NULL. */
struct port *path_port(struct path *w, int ifindex);

#endif
