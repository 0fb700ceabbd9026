/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets made from a packet: copies, answers, ICMP errors, quotations.
 * Each is an object of its own. What RFCs ask of them is packet/'s business;
 * where one must not be answered, the method returns nil and the reason.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "script/object_internal.h"
#include "script/timer.h"

/* What any answer without payload fits, and ICMP errors (RFC 1812). */
#define ROOM_BARE  64u
#define ROOM_ERROR 576u

enum { UNREACHABLE_PORT = 3, TYPE_REDIRECT = 5, ICMP_FIXED = 8, IP_FIXED = 20 };

/* Ends a method whose answer is the object o on top of the stack; r is what
 * packet/ said, needs what it asks for, never why it may have refused. */
static int made(lua_State *L, struct object *o, int r, const char *method,
		const char *needs, const char *never)
{
	switch (r) {
	case 0:
		object_settle(o);
		return 1;
	case -EPERM:
		lua_pushnil(L);
		lua_pushstring(L, never);
		return 2;
	case -ENOENT:
		return luaL_error(L, "%s: this packet is not %s", method,
				  needs);
	default:
		return luaL_error(L, "%s: %s", method, strerror(-r));
	}
}

/* The table of fields at argument 2, if there is one. */
static bool has_table(lua_State *L)
{
	if (lua_isnoneornil(L, 2))
		return false;
	luaL_checktype(L, 2, LUA_TTABLE);
	return true;
}

/* ---- copies ---------------------------------------------------------- */

struct packet *object_push_copy(lua_State *L, const struct packet *p)
{
	struct object *o = object_new(L, p->len);
	int r = packet_clone(&o->own, p);

	if (r)
		luaL_error(L, "a packet cannot be copied: %s", strerror(-r));
	object_settle(o);
	return o->p;
}

/* n bytes as a packet, also where its total length says there were more. */
static struct object *copy_bytes(lua_State *L, const uint8_t *b, uint32_t n)
{
	struct object *o = object_new(L, n);
	uint8_t *data = o->own.data;
	bool cut = n >= IP_FIXED && get_be16(b + 2) > n;

	memcpy(data, b, n);
	if (cut)
		put_be16(data + 2, (uint16_t)n);
	packet_init(&o->own, o->own.head, o->own.size, data, n, NULL);
	return o;
}

static int packet_clone_method(lua_State *L)
{
	const struct object *in = object_self(L, 1);
	struct object *o;

	if (!in->frozen) {
		o = object_new(L, in->p->len);
		return made(L, o, packet_clone(&o->own, in->p), "clone", "one",
			    NULL);
	}
	/* Of a quotation that was cut short: what is there is a packet. */
	o = copy_bytes(L, in->p->data, in->p->len);
	if (get_be16(in->p->data + 2) != in->p->len)
		packet_checksum(&o->own, false);
	return 1;
}

/* How many bytes an ICMP error quotes, of those there are: RFC 4884 lets a
 * length (of 32-bit words) stand before extensions. */
static uint32_t quoted(const uint8_t *icmp, uint32_t n)
{
	uint32_t words = icmp[0] == TYPE_REDIRECT ? 0 : icmp[5];

	n -= ICMP_FIXED;
	return words && words * 4 < n ? words * 4 : n;
}

int make_inner(lua_State *L, const struct packet *p)
{
	uint32_t n = p->len - p->transport;
	const uint8_t *b = packet_at(p, p->transport, n);
	struct object *o;

	if (!member_has_layer(p, LAYER_ICMP))
		return object_raise(L, MEMBER_ICMP_INNER, -ENOENT);
	if (!b || n < ICMP_FIXED + IP_FIXED ||
	    !(b[0] == 3 || b[0] == 4 || b[0] == 5 || b[0] == 11 ||
	      b[0] == 12)) {
		lua_pushnil(L);
		return 1;
	}
	n = quoted(b, n);
	b += ICMP_FIXED;
	o = copy_bytes(L, b, n);
	if (!o->own.header) {
		lua_pushnil(L);
		return 1;
	}
	/* Read as it was sent: the length goes back to what it said. */
	memcpy(o->own.data, b, o->own.len);
	o->frozen = true;
	o->own.dir = p->dir;
	o->own.way = p->way;
	o->own.leaving = p->leaving;
	o->own.ifindex = p->ifindex;
	o->own.iface = p->iface;
	o->own.time = p->time;
	object_settle(o);
	return 1;
}

/* ---- answers --------------------------------------------------------- */

static int packet_reply_method(lua_State *L)
{
	const struct object *in = object_self(L, 1);
	bool table = has_table(L);
	struct object *o = object_new(L, ROOM_BARE);

	made(L, o, packet_reply(&o->own, in->p), "reply",
	     "one that can be answered (TCP, UDP, an echo request, or of a "
	     "protocol without a header here)",
	     "not to be answered");
	if (table)
		build_apply(L, lua_gettop(L), 2, "reply", NULL);
	return 1;
}

static int packet_echo_reply_method(lua_State *L)
{
	static const char *const extra[] = {"delay", NULL};
	const struct object *in = object_self(L, 1);
	bool table = has_table(L);
	struct object *o;
	int64_t delay = 0;

	if (table && lua_getfield(L, 2, "delay") != LUA_TNIL)
		delay = timer_seconds(L, -1, "echo_reply");
	o = object_new(L, in->p->len);
	o->delay = delay;
	made(L, o, packet_echo_reply(&o->own, in->p), "echo_reply",
	     "a whole ICMP echo request", "not to be answered");
	if (table)
		build_apply(L, lua_gettop(L), 2, "echo_reply", extra);
	return 1;
}

static int packet_rst_method(lua_State *L)
{
	const struct object *in = object_self(L, 1);
	struct object *o = object_new(L, ROOM_BARE);

	return made(L, o, packet_rst(&o->own, in->p), "rst", "TCP",
		    "neither a RST nor a multicast is answered by a RST");
}

/* ---- ICMP errors ----------------------------------------------------- */

/* What an error's table says beyond the fields of the packet. */
struct error_options {
	struct address from; /* size 0: in's dst */
	int code;
	uint16_t mtu;
};

static int read_code(lua_State *L, int v, const char *method)
{
	int is, n;

	if (lua_type(L, v) == LUA_TSTRING && !lua_isnumber(L, v)) {
		n = name_unreachable_code(lua_tostring(L, v));
		if (n >= 0)
			return n;
		return luaL_error(L,
				  "%s: no code is called '%s'; try "
				  "\"port-unreachable\" or "
				  "\"admin-prohibited\"",
				  method, lua_tostring(L, v));
	}
	n = (int)lua_tointegerx(L, v, &is);
	if (!is || n < 0 || n > 255)
		return luaL_error(L,
				  "%s: the code must be a name or 0 to 255, "
				  "not %s",
				  method, luaL_tolstring(L, v, NULL));
	return n;
}

static void read_error_table(lua_State *L, struct error_options *opt,
			     const char *method)
{
	const char *from;

	if (lua_getfield(L, 2, "from") != LUA_TNIL) {
		from = lua_tostring(L, -1);
		if (!from || address_parse(&opt->from, from) ||
		    opt->from.size != 4)
			luaL_error(L,
				   "%s: from must be an IPv4 address, "
				   "not %s",
				   method, luaL_tolstring(L, -1, NULL));
	}
	if (lua_getfield(L, 2, "code") != LUA_TNIL)
		opt->code = read_code(L, -1, method);
	if (lua_getfield(L, 2, "mtu") != LUA_TNIL)
		opt->mtu =
			(uint16_t)member_number(L, FIELD_ICMP_MTU, -1, 65535);
	lua_pop(L, 3);
}

static int packet_unreachable_method(lua_State *L)
{
	static const char *const extra[] = {"from", "code", "mtu", NULL};
	struct error_options opt = {.code = UNREACHABLE_PORT};
	const struct object *in = object_self(L, 1);
	bool table = lua_istable(L, 2);
	struct object *o;

	if (table)
		read_error_table(L, &opt, "unreachable");
	else if (!lua_isnoneornil(L, 2))
		opt.code = read_code(L, 2, "unreachable");
	o = object_new(L, ROOM_ERROR);
	made(L, o,
	     packet_unreachable(&o->own, in->p, (uint8_t)opt.code, &opt.from,
				opt.mtu),
	     "unreachable", "IPv4", "no ICMP error may answer this packet");
	if (lua_isstring(L, -1))
		return 2;
	if (table)
		build_apply(L, lua_gettop(L), 2, "unreachable", extra);
	return 1;
}

static int packet_time_exceeded_method(lua_State *L)
{
	static const char *const extra[] = {"from", "code", NULL};
	struct error_options opt = {.code = 0};
	const struct object *in = object_self(L, 1);
	bool table = has_table(L);
	struct object *o;

	if (table)
		read_error_table(L, &opt, "time_exceeded");
	o = object_new(L, ROOM_ERROR);
	made(L, o,
	     packet_time_exceeded(&o->own, in->p, (uint8_t)opt.code, &opt.from),
	     "time_exceeded", "IPv4", "no ICMP error may answer this packet");
	if (lua_isstring(L, -1))
		return 2;
	if (table)
		build_apply(L, lua_gettop(L), 2, "time_exceeded", extra);
	return 1;
}

void make_open(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{"clone", packet_clone_method},
		{"reply", packet_reply_method},
		{"echo_reply", packet_echo_reply_method},
		{"rst", packet_rst_method},
		{"unreachable", packet_unreachable_method},
		{"time_exceeded", packet_time_exceeded_method},
		{NULL, NULL},
	};

	luaL_setfuncs(L, methods, 0);
}
