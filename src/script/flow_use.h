/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the flows of a state's packets are, shared by the files that use
 * them: flow_object.c (what a rule sees), flow_path.c (what the data path
 * asks), stream.c. Internal to script/.
 */
#ifndef SLUICE_SCRIPT_FLOW_USE_H
#define SLUICE_SCRIPT_FLOW_USE_H

#include "script/flow.h"
#include "script/internal.h"
#include "script/tcp_adjust.h"

/* Directions with changes on their way, at once (32 MiB of them); and what is
 * kept of new data until it is acknowledged: 32 MiB. What is never touched
 * takes no memory. */
#define FLOWS_BLOCKS 4096u
#define FLOWS_CHUNKS 65536u

/* The most bytes that the data of one packet may become. */
#define FLOWS_DATA_MAX (4 * PACKET_MAX)

/* Made when a rule first asks for a flow. */
struct script_flows {
	struct script *script;
	struct flow_table *table;
	struct tcp_pool *pool; /* NULL: no length was changed yet */
	int objects; /* registry slot: a table from place to flow object */

	/* The packet that is in the rules. */
	struct packet *p;
	struct flow_packet fp;
	struct flow *flow; /* NULL: none, or not asked for yet */
	bool drop;	   /* it must not go: it cannot be changed now */
	bool numbered;	   /* what is being sent has its numbers already */

	uint8_t scratch[FLOWS_DATA_MAX];
	uint8_t part[PACKET_BUFFER]; /* of what is too long for one packet */
};

/* Slots of a flow object: flow.data, and the functions of the streams that
 * end 0 and end 1 send. */
enum { FLOW_DATA = 1, FLOW_STREAM, FLOW_SLOTS = FLOW_STREAM + 1 };

/* Makes them if need be. Raises. */
struct script_flows *flows_need(lua_State *L);
void flows_free(struct script_flows *fs);

/* The flow of the packet in the rules, counted; NULL: it has none. */
struct flow *flows_current(struct script_flows *fs, struct packet *p);

/* p as it arrived, in full: its bytes are p's, or those that p->undo kept. */
struct packet flows_arrived(struct packet *p);

/* The number of its first byte of data (TCP). */
uint32_t flows_number(const struct packet *p);

/* ---- flow_hold.c ------------------------------------------------------ */

/* A packet of a flow that is decided has come: others may decide from now on,
 * or no longer. */
void hold_consider(struct script_flows *fs);

/* f's packets have to come again. */
void hold_end(struct script_flows *fs, struct flow *f);

/* flow.c's idle(). */
void hold_idle(void *arg, struct flow *f);

/* ---- flow_numbers.c --------------------------------------------------- */

#define TCP_FIN 0x01u
#define TCP_SYN 0x02u
#define TCP_ACK 0x10u

/* A field; 0 where there is none. */
uint32_t flows_field(const struct packet *p, enum packet_field f);

/* The number of a segment without data that end sent, which may be anywhere:
 * one that the receiver takes, though data before it was held back. */
uint32_t numbers_empty(const struct flow *f, unsigned end, uint32_t at);

/* The numbers of a packet that end sent: seq grows by more, what it
 * acknowledges is the other one's. */
void numbers_translate(const struct flow *f, unsigned end, struct packet *p,
		       uint32_t more);

/* An ICMP error quotes the numbers that the receiver would have seen; its
 * addressee knows the others. */
void numbers_quote(const struct tcp_side *theirs, struct packet *p);

/* The window that a packet opens: its end, in the numbers it speaks of. */
void numbers_window(struct script_flows *fs, const struct packet *was);

/* RFC 7323, 2.2: windows are scaled if both SYNs say so. */
void numbers_wscale(struct flow *f, unsigned end, const struct packet *syn,
		    bool answer);

/* ---- flow_object.c ---------------------------------------------------- */

/* Prepares the flow of the packet in the rules for a length that changes.
 * Raises with a reason where it cannot be done; what: who asks. */
void flows_resize(lua_State *L, struct packet *p, const char *what);

/* That side end of f has two numberings from number on. Raises. */
void flows_start(lua_State *L, struct flow *f, unsigned end, uint32_t number);

/* Raises where the answers would not be seen. */
void flows_check_dirs(lua_State *L, const char *what);

/* flow.c's dropped(): frees what Lua holds. */
void flow_object_dropped(void *arg, struct flow *f);

/* Pushes the flow object of p, or nil. view: p is the one in the rules. */
int flow_object_push(lua_State *L, struct packet *p, bool view);
void flow_object_open(lua_State *L);

/*
 * Puts n bytes that end `end` of f sent through the function of its stream.
 * 1: b and n are the bytes to go in their place, valid until the next entry
 * into Lua; 0: they stay; -EINVAL: it failed, script_error() says how.
 */
int stream_run(struct script *s, struct flow *f, unsigned end,
	       const uint8_t **b, size_t *n);

#endif
