/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * packet{...}: a packet from a table of its fields, and the same tables laid
 * over an answer (reply{...}). The fields are set in an order of their own,
 * whatever order the table has them in: what can hide a header from the
 * parser, and what is kept although it is wrong, comes last.
 */
#include <errno.h>
#include <lualib.h>
#include <string.h>

#include "base/bytes.h"
#include "script/object_internal.h"

#define DEFAULT_WINDOW 64240 /* what Linux offers on Ethernet */

/* The ports a client takes (Linux's range). */
#define EPHEMERAL_FIRST 32768
#define EPHEMERAL_LAST	60999

/* One field that a table asks for. */
struct wish {
	uint8_t phase;
	uint8_t member;
	int table; /* stack index of the table it stands in */
};

struct build {
	const char *who; /* for errors: "packet", "reply" */
	const char *const *extra;
	struct wish wish[2 * MEMBER_COUNT];
	unsigned n;
};

/* ---- the order ------------------------------------------------------- */

static uint8_t phase_of(int m)
{
	switch (m) {
	case MEMBER_IP_OPTIONS:
	case MEMBER_TCP_OPTIONS:
	case FIELD_TCP_FLAGS: /* before the single ones */
		return 0;
	case MEMBER_PAYLOAD:
		return 2;
	case FIELD_UDP_LEN:
		return 3;
	case FIELD_TCP_CHECKSUM:
	case FIELD_UDP_CHECKSUM:
	case FIELD_ICMP_CHECKSUM:
		return 4;
	case FIELD_TCP_DOFF:
		return 5;
	case FIELD_IP_CHECKSUM:
		return 6; /* while there is a header; kept from then on */
	case FIELD_IP_MF:
	case FIELD_IP_FRAG_OFFSET:
	case FIELD_IP_PROTO:
		return 7;
	case FIELD_IP_LEN:
		return 8;
	case FIELD_IP_IHL:
		return 9;
	case FIELD_IP_VERSION:
		return 10;
	default:
		return 1;
	}
}

static void add_wish(lua_State *L, struct build *b, int m, int table)
{
	struct wish w = {phase_of(m), (uint8_t)m, table};
	unsigned i;

	if (b->n == sizeof(b->wish) / sizeof(b->wish[0]))
		luaL_error(L, "%s{}: too many fields", b->who);
	for (i = b->n++; i && b->wish[i - 1].phase > w.phase; i--)
		b->wish[i] = b->wish[i - 1];
	b->wish[i] = w;
}

/* ---- reading the tables ---------------------------------------------- */

static const char *field_key(lua_State *L, const struct build *b)
{
	if (lua_type(L, -2) != LUA_TSTRING)
		luaL_error(L, "%s{}: fields have names; there is no field %s",
			   b->who, luaL_tolstring(L, -2, NULL));
	return lua_tostring(L, -2);
}

/* The member that a layer calls by the key on the stack (at -2), or -1. */
static int layer_member(lua_State *L, enum packet_layer layer)
{
	int m = -1;

	lua_rawgetp(L, LUA_REGISTRYINDEX, &object_part_names_key[layer]);
	lua_pushvalue(L, -3);
	if (lua_rawget(L, -2) == LUA_TNUMBER)
		m = (int)lua_tointeger(L, -1);
	lua_pop(L, 2);
	return m;
}

static void read_layer(lua_State *L, struct build *b, enum packet_layer layer,
		       int t)
{
	for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1)) {
		const char *name = field_key(L, b);
		int m = layer_member(L, layer);

		if (m < 0) {
			lua_rawgetp(L, LUA_REGISTRYINDEX,
				    &object_part_names_key[layer]);
			object_unknown(L, object_layer_name[layer], -1, name);
		}
		add_wish(L, b, m, t);
	}
}

/* Raises for a name no table at the top has, with all that it could be. */
static void unknown_at_top(lua_State *L, const struct build *b,
			   const char *name)
{
	static const char *const more[] = {"tcp",   "udp",   "icmp",   "ip",
					   "sport", "dport", "payload"};

	lua_newtable(L);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &object_part_names_key[LAYER_IP]);
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
		lua_pushvalue(L, -2);
		lua_pushboolean(L, 1);
		lua_rawset(L, -6);
	}
	lua_pop(L, 1);
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		lua_pushboolean(L, 1);
		lua_setfield(L, -2, more[i]);
	}
	for (const char *const *e = b->extra; e && *e; e++) {
		lua_pushboolean(L, 1);
		lua_setfield(L, -2, *e);
	}
	object_unknown(L, lua_pushfstring(L, "%s{}", b->who), -2, name);
}

static int layer_named(const char *name)
{
	for (int layer = 0; layer < LAYERS; layer++)
		if (!strcmp(name, object_layer_name[layer]))
			return layer;
	return -1;
}

static bool is_extra(const struct build *b, const char *name)
{
	for (const char *const *e = b->extra; e && *e; e++)
		if (!strcmp(name, *e))
			return true;
	return false;
}

static void read_top(lua_State *L, struct build *b, int t)
{
	for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1)) {
		const char *name = field_key(L, b);
		int m = layer_member(L, LAYER_IP);

		if (is_extra(b, name) || layer_named(name) >= 0)
			continue;
		if (!strcmp(name, "payload"))
			m = MEMBER_PAYLOAD;
		else if (!strcmp(name, "sport"))
			m = MEMBER_SPORT;
		else if (!strcmp(name, "dport"))
			m = MEMBER_DPORT;
		if (m < 0)
			unknown_at_top(L, b, name);
		add_wish(L, b, m, t);
	}
}

/* Pushes the tables of the four layers, or nil. */
static void push_layers(lua_State *L, int t, const char *who)
{
	for (int layer = 0; layer < LAYERS; layer++) {
		int type = lua_getfield(L, t, object_layer_name[layer]);

		if (type != LUA_TNIL && type != LUA_TTABLE)
			luaL_error(L,
				   "%s{}: %s must be a table of fields, "
				   "not a %s",
				   who, object_layer_name[layer],
				   lua_typename(L, type));
	}
}

/* A length or version set by hand may leave nothing to parse, and so nobody
 * who keeps the IP checksum right: only what was set shall be wrong. */
static void checksum_unparsed(struct packet *p)
{
	uint32_t n = p->len ? (p->data[0] & 0xfu) * 4 : 0;

	if (p->header || (p->flags & PACKET_IP_CSUM_KEPT) || n < 20 ||
	    n > p->len)
		return;
	put_be16(p->data + 10, 0);
	put_be16(p->data + 10,
		 (uint16_t)~checksum_fold(checksum_add(0, p->data, n, false)));
}

void build_apply(lua_State *L, int obj, int t, const char *who,
		 const char *const *extra)
{
	struct build b = {.who = who, .extra = extra};
	struct object *o = lua_touserdata(L, obj);
	int first;

	luaL_checkstack(L, 16, NULL);
	first = lua_gettop(L) + 1;
	push_layers(L, t, who);
	read_top(L, &b, t);
	for (int layer = 0; layer < LAYERS; layer++)
		if (!lua_isnil(L, first + layer))
			read_layer(L, &b, (enum packet_layer)layer,
				   first + layer);
	for (unsigned i = 0; i < b.n; i++) {
		lua_getfield(L, b.wish[i].table, member_name(b.wish[i].member));
		member_set(L, obj, o, b.wish[i].member, lua_gettop(L));
		lua_pop(L, 1);
	}
	checksum_unparsed(o->p);
	lua_settop(L, first - 1);
}

/* ---- defaults -------------------------------------------------------- */

/* From Lua's own generator, so that a rule that seeds it gets the same
 * packets each time. It is the upvalue of packet(). */
static uint32_t random_below(lua_State *L, uint32_t n)
{
	lua_Integer r;

	lua_pushvalue(L, lua_upvalueindex(1));
	lua_pushinteger(L, 0);
	lua_call(L, 1, 1);
	r = lua_tointeger(L, -1);
	lua_pop(L, 1);
	return (uint32_t)((uint64_t)r >> 32) % n;
}

static void put(lua_State *L, struct object *o, int field, uint32_t value)
{
	int r = packet_set(&o->own, (enum packet_field)field, value);

	if (r)
		object_raise(L, field, r);
}

static uint16_t random_port(lua_State *L)
{
	return (uint16_t)(EPHEMERAL_FIRST +
			  random_below(L, EPHEMERAL_LAST -
						  EPHEMERAL_FIRST + 1));
}

/* A SYN, unless it acknowledges something. */
static const char *default_flags(lua_State *L, int tcp, bool payload)
{
	bool ack = false;

	if (lua_istable(L, tcp)) {
		ack = lua_getfield(L, tcp, "ack_seq") != LUA_TNIL;
		lua_pop(L, 1);
	}
	return !ack ? "S" : payload ? "PA" : "A";
}

/* Values a careful sender would choose, where the tables may say others. */
static void set_defaults(lua_State *L, struct object *o, int layers,
			 bool payload)
{
	const char *flags;

	put(L, o, FIELD_IP_ID, random_below(L, 65536));
	switch (o->own.proto) {
	case 6:
		flags = default_flags(L, layers + LAYER_TCP, payload);
		put(L, o, FIELD_TCP_FLAGS, (uint32_t)name_tcp_flags(flags));
		o->port = random_port(L);
		put(L, o, FIELD_TCP_SPORT, o->port);
		put(L, o, FIELD_TCP_SEQ, random_below(L, UINT32_MAX));
		put(L, o, FIELD_TCP_WINDOW, DEFAULT_WINDOW);
		break;
	case 17:
		o->port = random_port(L);
		put(L, o, FIELD_UDP_SPORT, o->port);
		break;
	case 1:
		put(L, o, FIELD_ICMP_TYPE,
		    (uint32_t)name_icmp_type("echo-request"));
		break;
	}
}

/* An echo without an id takes a random one; in other types that place has
 * other meanings. */
static void set_echo_id(lua_State *L, struct object *o, int icmp)
{
	uint32_t type;

	if (packet_get(&o->own, FIELD_ICMP_TYPE, &type) ||
	    (type != 8 && type != 0))
		return;
	if (lua_istable(L, icmp) && lua_getfield(L, icmp, "id") != LUA_TNIL)
		return;
	put(L, o, FIELD_ICMP_ID, random_below(L, 65536));
}

/* ---- packet() -------------------------------------------------------- */

/* The protocol: that of the layer's table, else what proto says. */
static uint8_t choose_proto(lua_State *L, int t, int layers)
{
	static const uint8_t proto[LAYERS] = {0, 6, 17, 1};
	uint8_t chosen = 0;
	int n;

	for (int layer = LAYER_TCP; layer < LAYERS; layer++) {
		if (lua_isnil(L, layers + layer))
			continue;
		if (chosen)
			luaL_error(L, "packet{}: only one of tcp, udp and icmp "
				      "can be given");
		chosen = proto[layer];
	}
	if (chosen)
		return chosen;
	switch (lua_getfield(L, t, "proto")) {
	case LUA_TNIL:
		luaL_error(L, "packet{}: say what it carries: tcp={}, udp={}, "
			      "icmp={} or proto=");
		break;
	case LUA_TSTRING:
		if (lua_isnumber(L, -1))
			break;
		n = name_proto(lua_tostring(L, -1));
		if (n >= 0) {
			lua_pop(L, 1);
			return (uint8_t)n;
		}
		break;
	}
	n = (int)member_number(L, FIELD_IP_PROTO, -1, 255);
	lua_pop(L, 1);
	return (uint8_t)n;
}

static int from_bytes(lua_State *L)
{
	size_t n;
	const char *b = lua_tolstring(L, 1, &n);
	struct object *o;

	if (!n || n > PACKET_MAX)
		return luaL_error(L,
				  "packet(bytes): a packet has 1 to %d "
				  "bytes, not %I",
				  (int)PACKET_MAX, (lua_Integer)n);
	o = object_new(L, (uint32_t)n);
	memcpy(o->own.data, b, n);
	packet_init(&o->own, o->own.head, o->own.size, o->own.data, (uint32_t)n,
		    NULL);
	return 1;
}

static int build_packet(lua_State *L)
{
	enum { T = 1, LAYER = 2, OBJECT = 6 };
	size_t payload = 0;
	struct object *o;
	uint8_t proto;
	int r;

	if (lua_type(L, 1) == LUA_TSTRING)
		return from_bytes(L);
	luaL_checktype(L, T, LUA_TTABLE);
	lua_settop(L, T);
	push_layers(L, T, "packet");
	if (lua_getfield(L, T, "dst") == LUA_TNIL &&
	    (lua_isnil(L, LAYER) || lua_getfield(L, LAYER, "dst") == LUA_TNIL))
		return luaL_error(L, "packet{}: dst is missing: where should "
				     "it go?");
	lua_settop(L, LAYER + LAYERS - 1);
	proto = choose_proto(L, T, LAYER);
	if (lua_getfield(L, T, "payload") == LUA_TSTRING)
		payload = lua_rawlen(L, -1);
	lua_pop(L, 1);
	o = object_new(L, payload < PACKET_MAX ? (uint32_t)payload + 40 : 40);
	r = packet_new(&o->own, proto);
	if (r)
		return luaL_error(L, "packet{}: %s", strerror(-r));
	set_defaults(L, o, LAYER, payload);
	build_apply(L, OBJECT, T, "packet", NULL);
	set_echo_id(L, o, LAYER + LAYER_ICMP);
	lua_settop(L, OBJECT);
	return 1;
}

void build_open(lua_State *L)
{
	luaL_requiref(L, LUA_MATHLIBNAME, luaopen_math, 0);
	lua_getfield(L, -1, "random");
	lua_pushcclosure(L, build_packet, 1);
	lua_setglobal(L, "packet");
	lua_pop(L, 1);
}
