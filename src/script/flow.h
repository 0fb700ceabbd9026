/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections: one struct flow for both directions, found by what stands in
 * a packet's headers as it arrived. TCP and UDP by addresses and ports, ICMP
 * queries by addresses and id, everything else (fragments too) by protocol
 * and addresses; an ICMP error belongs to the flow of the packet it quotes.
 *
 * A table has a fixed number of places. Idle flows are dropped after a time
 * that depends on the protocol, and when no place is free the one that has
 * been idle longest. Must not know Lua: whoever holds something for a flow is
 * told when it goes.
 */
#ifndef SLUICE_SCRIPT_FLOW_H
#define SLUICE_SCRIPT_FLOW_H

#include "packet/packet.h"
#include "rule/ruleset.h"

#define FLOW_TABLE_SIZE 65536u

struct tcp_adjust;

/* Both ends, the lower one first; no bytes between the members. */
struct flow_key {
	struct flow_end {
		uint8_t address[16];
		uint16_t port; /* or ICMP id; 0: none */
	} end[2];
	uint8_t proto;
	uint8_t address_size;
};

/* What a packet says about its flow. side: index of the end it comes from. */
struct flow_packet {
	struct flow_key key;
	uint8_t side;
	bool icmp_error;
	bool tcp;
	bool own; /* this host sent it */
	uint8_t tcp_flags;
};

/* How long a flow may be idle. */
enum flow_class {
	FLOW_TCP_OPENING, /* 120 s */
	FLOW_TCP,	  /* an hour */
	FLOW_TCP_CLOSED,  /* 30 s */
	FLOW_UDP,	  /* 180 s; other protocols too */
	FLOW_ICMP,	  /* 30 s */
	/* Those whose packets do not come any more: as the same others, but
	 * they are not dropped without being asked for. */
	FLOW_TCP_HELD,
	FLOW_UDP_HELD,
	FLOW_CLASSES
};

struct flow {
	struct flow_key key;
	int64_t created, last; /* ns */
	uint64_t packets, bytes;
	uint32_t generation; /* another one whenever the place is reused */
	uint8_t out;	     /* the end that sends what is "out" */
	uint8_t verdict;     /* NONE: to the rules; else ACCEPT or DROP */
	bool anchored;	     /* dropped() has something to free */

	/* TCP, by the end that sends: behind the last byte that passed, and
	 * the largest segment's payload. */
	bool known[2];
	uint32_t passed[2];
	uint16_t largest[2];
	uint8_t wscale[2]; /* 0: not known; else its window's shift + 1 */
	bool edged[2];
	uint32_t edge[2]; /* where the other's window ends for it */
	uint8_t streams; /* 1 << end: its bytes go through a function */
	struct tcp_adjust *adjust; /* NULL: no length was changed */

	/* The table's own. */
	uint32_t chain, newer, older; /* 0: none, else place + 1 */
	/* Another name of a flow: its place + 1, and whether its ends are
	 * the other way round. */
	uint32_t alias, alias_generation;
	bool flip;
	uint8_t class;
	uint8_t fin; /* 1 << end */
	bool used;
	int64_t held; /* ns: when it was last; 0: never, or no longer */
	uint64_t held_packets; /* when they were counted last */
};

struct flow_table;

/* size places, all allocated now. dropped is told before one is reused; idle,
 * that nothing was heard of a held one for as long as it may be idle. */
struct flow_table *flow_table_new(uint32_t size,
				  void (*dropped)(void *arg, struct flow *f),
				  void (*idle)(void *arg, struct flow *f),
				  void *arg);
void flow_table_free(struct flow_table *t);

/* Reads n bytes of an IP packet. False: it belongs to no flow. */
bool flow_read(struct flow_packet *fp, const uint8_t *b, uint32_t n);

/* The same of a packet as it arrived, whatever has been changed since. */
bool flow_read_packet(struct flow_packet *fp, const struct packet *p);

/* The flow of fp, or NULL. A SYN after the end of a connection is another
 * connection, and one of this host's own is where there is one already. Expired ones are dropped on the way. Where fp goes by another
 * name of the flow, its side becomes that of the flow's key. */
struct flow *flow_find(struct flow_table *t, struct flow_packet *fp,
		       int64_t now);

/* The same; made if it is not there, dir says which end is "out". */
struct flow *flow_get(struct flow_table *t, struct flow_packet *fp,
		      enum packet_dir dir, int64_t now);

/* From now on what `as` names belongs to f as well, unless it is a flow of its
 * own: a packet that side end of f sent is this one now. */
void flow_alias(struct flow_table *t, struct flow *f, unsigned end,
		struct flow_packet *as, int64_t now);

/* Counts p; a super-packet as the packets that it stands for. */
void flow_count(struct flow_table *t, struct flow *f,
		const struct flow_packet *fp, const struct packet *p,
		int64_t now);

/* Packets of f do not come any more, somebody else decides about them; on
 * false they do again. */
void flow_hold(struct flow_table *t, struct flow *f, bool held, int64_t now);

/* Drops f. */
void flow_end(struct flow_table *t, struct flow *f);

/* The flow of this key, whatever its age; no other name of one. NULL: none. */
struct flow *flow_of(struct flow_table *t, const struct flow_key *k);

/* Its place, which with its generation names it for good; and back, NULL
 * when it has gone. */
uint32_t flow_place(const struct flow_table *t, const struct flow *f);
struct flow *flow_at(const struct flow_table *t, uint32_t place,
		     uint32_t generation);

uint32_t flow_table_used(const struct flow_table *t);

#endif
