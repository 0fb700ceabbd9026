/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The payload: what follows the transport header, or the IP header where no
 * transport header is known. Offsets count from 1, as everywhere in Lua.
 */
#include <errno.h>
#include <lualib.h>
#include <string.h>

#include "base/bytes.h"
#include "script/flow_use.h"
#include "script/object_internal.h"

static uint32_t payload_at(const struct packet *p)
{
	return p->payload ? p->payload : p->header;
}

const uint8_t *payload_bytes(lua_State *L, const struct packet *p, uint32_t *n)
{
	*n = 0;
	if (!p->header)
		return NULL;
	if (!p->payload && (p->flags & PACKET_TRUNCATED))
		object_raise(L, MEMBER_PAYLOAD, -ENODATA);
	*n = p->len - payload_at(p);
	return packet_at(p, payload_at(p), *n);
}

/* The bytes of the payload of the packet at stack index 1. */
static const uint8_t *self_bytes(lua_State *L, const char *what, uint32_t *n)
{
	const struct packet *p = object_check(L, 1);
	const uint8_t *b = payload_bytes(L, p, n);

	if (!b)
		luaL_error(L, "%s: this packet has no payload to look into",
			   what);
	return b;
}

/* ---- setting --------------------------------------------------------- */

/* A segment of a stream that is not its maker's own. */
static bool is_segment(const struct object *o)
{
	return !o->owned && o->p->proto == 6 && o->p->transport;
}

/* n of the payload's bytes become those of s. */
static void splice(lua_State *L, int obj, struct object *o, uint32_t old,
		   const char *s, size_t n)
{
	uint32_t at = payload_at(o->p);
	int r;

	/* Less of the stream at once may fit: it is sent again in smaller
	 * pieces when this one gets lost. */
	if (at + n > PACKET_MAX && o->p->offload.gso_type && is_segment(o)) {
		script_of(L)->flows->drop = true;
		return;
	}
	if (at + n > PACKET_MAX)
		object_raise(L, MEMBER_PAYLOAD, -EMSGSIZE);
	if (n == old)
		r = packet_write(o->p, at, s, old);
	else
		r = packet_splice(o->p, at, old, s, (uint32_t)n);
	if (r == -EMSGSIZE && n > old &&
	    object_grow(L, obj, o, (uint32_t)n - old))
		r = packet_splice(o->p, at, old, s, (uint32_t)n);
	if (r)
		object_raise(L, MEMBER_PAYLOAD, r);
}

void payload_set(lua_State *L, int obj, struct object *o, int v)
{
	uint32_t old;
	size_t n;
	const char *s = lua_tolstring(L, v, &n);

	if (!s)
		luaL_error(L, "payload must be a string, not %s",
			   luaL_typename(L, v));
	if (!payload_bytes(L, o->p, &old))
		luaL_error(L, "payload: this packet has none to set");
	if (n != old && is_segment(o))
		flows_resize(L, o->p, "payload");
	splice(L, obj, o, old, s, n);
}

/* ---- numbers --------------------------------------------------------- */

/* The place of n bytes at offset (argument 2) of the payload. */
static const uint8_t *number_at(lua_State *L, const char *what, uint32_t n)
{
	uint32_t len;
	const uint8_t *b = self_bytes(L, what, &len);
	lua_Integer at = luaL_checkinteger(L, 2);

	if (at < 1 || at > (lua_Integer)len - n + 1)
		luaL_error(L, "%s(%I): the payload has %d bytes", what, at,
			   (int)len);
	return b + at - 1;
}

static int payload_u8(lua_State *L)
{
	lua_pushinteger(L, *number_at(L, "u8", 1));
	return 1;
}

static int payload_u16(lua_State *L)
{
	lua_pushinteger(L, get_be16(number_at(L, "u16", 2)));
	return 1;
}

static int payload_u32(lua_State *L)
{
	lua_pushinteger(L, get_be32(number_at(L, "u32", 4)));
	return 1;
}

static int set_number(lua_State *L, const char *what, uint32_t n)
{
	struct object *o = object_self(L, 1);
	const uint8_t *at = number_at(L, what, n);
	lua_Integer v = luaL_checkinteger(L, 3);
	lua_Integer max = (lua_Integer)(UINT32_MAX >> (32 - 8 * n));
	uint8_t b[4];
	int r;

	if (o->frozen)
		luaL_error(L, "%s: a quoted packet is for reading", what);
	if (v < 0 || v > max)
		luaL_error(L, "%s: the value must be 0 to %I, not %I", what,
			   max, v);
	put_be32(b, (uint32_t)v);
	r = packet_write(o->p, (uint32_t)(at - o->p->data), b + 4 - n, n);
	if (r)
		object_raise(L, MEMBER_PAYLOAD, r);
	return 0;
}

static int payload_set_u8(lua_State *L)
{
	return set_number(L, "set_u8", 1);
}

static int payload_set_u16(lua_State *L)
{
	return set_number(L, "set_u16", 2);
}

static int payload_set_u32(lua_State *L)
{
	return set_number(L, "set_u32", 4);
}

/* ---- text ------------------------------------------------------------ */

/* bytes(from, to): as string.sub counts. */
static int payload_sub(lua_State *L)
{
	uint32_t n;
	const uint8_t *b = self_bytes(L, "bytes", &n);
	lua_Integer len = n;
	lua_Integer from = luaL_optinteger(L, 2, 1);
	lua_Integer to = luaL_optinteger(L, 3, -1);

	if (from < 0)
		from = from < -len ? 1 : len + from + 1;
	else if (from == 0)
		from = 1;
	if (to > len)
		to = len;
	else if (to < 0)
		to = to < -len ? 0 : len + to + 1;
	if (from > to)
		lua_pushliteral(L, "");
	else
		lua_pushlstring(L, (const char *)b + from - 1,
				(size_t)(to - from) + 1);
	return 1;
}

/* Pushes the payload in place of argument 1, and string.find or gsub (the
 * upvalue) below it. */
static void as_string(lua_State *L, const char *what)
{
	uint32_t n;
	const uint8_t *b = self_bytes(L, what, &n);

	lua_pushlstring(L, (const char *)b, n);
	lua_insert(L, 2);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 2);
}

/* find(pattern, init, plain): what string.find returns. */
static int payload_find(lua_State *L)
{
	luaL_checkstring(L, 2);
	as_string(L, "find");
	lua_call(L, lua_gettop(L) - 2, LUA_MULTRET);
	return lua_gettop(L) - 1;
}

/* replace(pattern, text, times): how often it was replaced. */
static int payload_replace(lua_State *L)
{
	struct object *o;

	luaL_checkstring(L, 2);
	as_string(L, "replace");
	lua_call(L, lua_gettop(L) - 2, 2);
	/* text may be a function, which may do anything meanwhile */
	o = object_self(L, 1);
	if (lua_tointeger(L, 3) > 0)
		member_set(L, 1, o, MEMBER_PAYLOAD, 2);
	lua_settop(L, 3);
	return 1;
}

/* ---- opening --------------------------------------------------------- */

void payload_open(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{"u8", payload_u8},	      {"u16", payload_u16},
		{"u32", payload_u32},	      {"set_u8", payload_set_u8},
		{"set_u16", payload_set_u16}, {"set_u32", payload_set_u32},
		{"bytes", payload_sub},	      {NULL, NULL},
	};

	luaL_setfuncs(L, methods, 0);
	/* Held here, so that no rule can put another in their place. */
	luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 0);
	lua_getfield(L, -1, "find");
	lua_pushcclosure(L, payload_find, 1);
	lua_setfield(L, -3, "find");
	lua_getfield(L, -1, "gsub");
	lua_pushcclosure(L, payload_replace, 1);
	lua_setfield(L, -3, "replace");
	lua_pop(L, 1);
}
