/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the packet object share; nobody else includes it.
 *
 * Everything a script can name of a packet is a member: a number, found by
 * one look-up in a Lua table. Below FIELD_COUNT it is an enum packet_field,
 * with a fixed place in the packet; the others are worked out.
 */
#ifndef SLUICE_SCRIPT_OBJECT_INTERNAL_H
#define SLUICE_SCRIPT_OBJECT_INTERNAL_H

#include <lauxlib.h>
#include <lua.h>
#include <net/if.h>

#include "packet/packet.h"
#include "script/object.h"

#define LAYERS 4

enum member {
	MEMBER_IP_OPTIONS = FIELD_COUNT,
	MEMBER_TCP_FIN, /* the eight in the order of their bits */
	MEMBER_TCP_SYN,
	MEMBER_TCP_RST,
	MEMBER_TCP_PSH,
	MEMBER_TCP_ACK,
	MEMBER_TCP_URG,
	MEMBER_TCP_ECE,
	MEMBER_TCP_CWR,
	MEMBER_TCP_MSS,
	MEMBER_TCP_WSCALE,
	MEMBER_TCP_SACK_PERMITTED,
	MEMBER_TCP_TSVAL,
	MEMBER_TCP_TSECR,
	MEMBER_TCP_OPTIONS,
	MEMBER_ICMP_INNER,
	/* of the packet as a whole */
	MEMBER_SPORT,
	MEMBER_DPORT,
	MEMBER_PAYLOAD,
	MEMBER_LEN,
	MEMBER_DIR,
	MEMBER_IFACE,
	MEMBER_WAY,
	MEMBER_TIME,
	MEMBER_PROTO,
	MEMBER_FLOW,
	MEMBER_CHECKSUM_OK,
	MEMBER_PART, /* + enum packet_layer: pkt.ip, pkt.tcp, ... */
	MEMBER_COUNT = MEMBER_PART + LAYERS
};

/* User values of a packet's userdata: its parts by layer, and the buffer it
 * moved to when it outgrew the bytes beside it. */
enum { SLOT_PART = 1, SLOT_BUFFER = SLOT_PART + LAYERS };

struct object {
	const void *tag; /* &object_packet_key: no other userdata has it */
	const struct names *names;
	struct packet *p; /* what it shows; NULL: it is gone */
	bool owned;	  /* p is own, the bytes are Lua's */
	bool frozen;	  /* a quotation: for reading only */
	uint16_t port;	  /* the source port that was drawn for it */
	int64_t delay;	  /* ns: it is to be sent later */
	struct packet own;
	char iface[IFNAMSIZ]; /* an owned one may outlive the uplink */
	uint8_t bytes[];
};

/* pkt.tcp and so on. Its user value 1 is the packet's userdata. */
struct part {
	const struct names *names;
	struct object *object;
	enum packet_layer layer;
};

/* Keys into Lua's registry: the address counts. */
extern const char object_packet_key;	   /* metatable of packets */
extern const char object_part_key[LAYERS]; /* metatables of parts */
extern const char object_names_key;	   /* name -> member or method */
extern const char object_part_names_key[LAYERS];

/* ---- object_names.c -------------------------------------------------- */

#define NAMES_SIZE 128u

enum { NAME_UNKNOWN = -1, NAME_METHOD = -2 };

struct names {
	struct {
		const char *text; /* Lua's own copy of it */
		int member;	  /* or NAME_METHOD */
	} slot[NAMES_SIZE];
};

/* Makes one from a table of names, which must stay, and registers it. */
void names_new(lua_State *L, int table, const void *key);

/* The member that text, a Lua string, names; NULL is unknown, too. */
int names_find(const struct names *n, const char *text);

/* ---- object.c -------------------------------------------------------- */

/* The object at stack index i; raises where there is none, or it is gone. */
struct object *object_self(lua_State *L, int i);

/* Pushes an owned object whose buffer takes room bytes of packet; own.head
 * and own.size are set, and nothing else of it. */
struct object *object_new(lua_State *L, uint32_t room);

/* After own was filled by a function of packet/: what it borrows is copied. */
void object_settle(struct object *o);

/* Moves an owned object's packet (o, at absolute index i) to a buffer with
 * room for more bytes. False: it would be longer than a packet can be. */
bool object_grow(lua_State *L, int i, struct object *o, uint32_t more);

/* ---- object_error.c -------------------------------------------------- */

/* Raises: "tcp has no field 'sprot'; did you mean 'sport'?". names is the
 * stack index of the table of what there is. */
int object_unknown(lua_State *L, const char *what, int names, const char *name);

/* The error of a packet/ function for writing to a member. */
int object_raise(lua_State *L, int m, int error);

/* ---- object_text.c --------------------------------------------------- */

void text_open(lua_State *L);

/* Each pushes a text that is kept for the next time, on top of what it
 * needed for that, and returns 1. */
int text_push_v4(lua_State *L, uint32_t v);
int text_push_flags(lua_State *L, uint8_t flags);

/* ---- object_fields.c ------------------------------------------------- */

extern const char *const object_layer_name[LAYERS];
const char *member_name(int m);

/* The layer it belongs to, -1: the packet. */
int member_layer(int m);

/* "tcp.sport", for messages; pushes the text it returns. */
const char *member_text(lua_State *L, int m);

/* Pushes a table of the names of a layer's members. */
void member_push_names(lua_State *L, enum packet_layer layer);

/* True where there is such a header, though it may be cut off. */
bool member_has_layer(const struct packet *p, enum packet_layer layer);

/* Pushes its value. */
int member_push(lua_State *L, struct object *o, int m);

/* Sets it to the value at v. obj: absolute index of the packet's userdata. */
void member_set(lua_State *L, int obj, struct object *o, int m, int v);

/* The number at index v, from 0 to max, or an error that names m. */
uint32_t member_number(lua_State *L, int m, int v, uint32_t max);

/* ---- object_options.c ------------------------------------------------ */

int option_push(lua_State *L, const struct packet *p, int m);
void option_set(lua_State *L, int obj, struct object *o, int m, int v);

/* ---- object_payload.c ------------------------------------------------ */

/* The payload's bytes, NULL: not a packet to look into. Raises where the
 * transport header is cut off. */
const uint8_t *payload_bytes(lua_State *L, const struct packet *p, uint32_t *n);
void payload_set(lua_State *L, int obj, struct object *o, int v);

/* Adds the methods to the table on top. */
void payload_open(lua_State *L);

/* ---- object_make.c, object_build.c ----------------------------------- */

void make_open(lua_State *L); /* likewise */

/* Pushes the packet that an ICMP error quotes, or nil. */
int make_inner(lua_State *L, const struct packet *p);

/*
 * Sets the fields that the table at index t names in the packet at index
 * obj, as packet{} takes them; a name in extra (NULL ends it, may be NULL)
 * is the caller's. who is named in errors.
 */
void build_apply(lua_State *L, int obj, int t, const char *who,
		 const char *const *extra);
void build_open(lua_State *L); /* the global packet() */

#endif
