/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Verdicts as Lua values. A constant is a light userdata that points into an
 * array of ours, so that returning one allocates nothing, equal ones are
 * equal and nothing else can be mistaken for one.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "script/internal.h"

/* RFC 1812 5.2.7.1 ends at 15. */
#define CODE_MAX 15

enum tag {
	TAG_ACCEPT,
	TAG_DROP,
	TAG_REJECT,
	TAG_CODE,			/* one for each code */
	TAG_VIA = TAG_CODE + CODE_MAX + 1, /* one for each interface */
	TAG_COUNT = TAG_VIA + SCRIPT_VIAS_MAX
};
static const char tags[TAG_COUNT];

/* More packets than that in place of one is a slip. */
#define LIST_MAX 1024

static void push_tag(lua_State *L, int tag)
{
	lua_pushlightuserdata(L, (void *)(uintptr_t)&tags[tag]);
}

bool verdict_constant(lua_State *L, int i, struct verdict *v)
{
	uintptr_t at, first = (uintptr_t)tags;

	if (lua_type(L, i) != LUA_TLIGHTUSERDATA)
		return false;
	at = (uintptr_t)lua_touserdata(L, i);
	if (at < first || at >= first + sizeof(tags))
		return false;
	v->reject_code = REJECT_DEFAULT;
	if (at - first >= TAG_VIA) {
		v->kind = VERDICT_VIA;
		v->via = script_of(L)->via[at - first - TAG_VIA];
		return true;
	}
	switch (at - first) {
	case TAG_ACCEPT:
		v->kind = VERDICT_ACCEPT;
		break;
	case TAG_DROP:
		v->kind = VERDICT_DROP;
		break;
	case TAG_REJECT:
		v->kind = VERDICT_REJECT;
		break;
	default:
		v->kind = VERDICT_REJECT;
		v->reject_code = (int)(at - first) - TAG_CODE;
		break;
	}
	return true;
}

static int reject(lua_State *L)
{
	lua_Integer code;

	if (lua_isnoneornil(L, 1)) {
		push_tag(L, TAG_REJECT);
		return 1;
	}
	if (lua_type(L, 1) == LUA_TSTRING) {
		code = name_unreachable_code(lua_tostring(L, 1));
		if (code < 0)
			return luaL_error(L,
					  "reject: no unreachable code is "
					  "named '%s'; \"admin-prohibited\", "
					  "\"host-unreachable\" or "
					  "\"port-unreachable\" are some",
					  lua_tostring(L, 1));
	} else {
		code = luaL_checkinteger(L, 1);
	}
	if (code < 0 || code > CODE_MAX)
		return luaL_error(L, "reject: code %I is not in 0..%d",
				  (LUAI_UACINT)code, CODE_MAX);
	push_tag(L, TAG_CODE + (int)code);
	return 1;
}

static int via(lua_State *L)
{
	push_tag(L, TAG_VIA + via_place(L, 1));
	return 1;
}

static int tag_text(lua_State *L)
{
	struct verdict v;

	if (!verdict_constant(L, 1, &v))
		lua_pushliteral(L, "userdata");
	else if (v.kind == VERDICT_REJECT && v.reject_code >= 0)
		lua_pushfstring(L, "%s(%d)", verdict_name(v.kind),
				v.reject_code);
	else if (v.kind == VERDICT_VIA)
		lua_pushfstring(L, "%s(%s)", verdict_name(v.kind), v.via);
	else
		lua_pushstring(L, verdict_name(v.kind));
	return 1;
}

void verdict_open(lua_State *L)
{
	static const luaL_Reg meta[] = {
		{"__tostring", tag_text},
		{NULL, NULL},
	};

	push_tag(L, TAG_ACCEPT);
	luaL_newmetatable(L, "verdict");
	luaL_setfuncs(L, meta, 0);
	lua_setmetatable(L, -2); /* of every light userdata */
	lua_setglobal(L, "ACCEPT");
	push_tag(L, TAG_DROP);
	lua_setglobal(L, "DROP");
	push_tag(L, TAG_REJECT);
	lua_setglobal(L, "REJECT");
	lua_register(L, "reject", reject);
	lua_register(L, "via", via);
}

/* ---- what an action returned ------------------------------------------- */

static bool make_room(struct script *s, uint32_t n)
{
	struct packet **p;

	if (n <= s->room)
		return true;
	p = realloc(s->packets, n * sizeof(*p));
	if (!p)
		return false;
	s->packets = p;
	s->room = n;
	return true;
}

/* i is absolute. */
static bool read_list(struct script *s, int i, uint32_t *count,
		      struct error *why)
{
	lua_State *L = s->L;
	lua_Unsigned n = lua_rawlen(L, i);

	if (!n) {
		error_set(why, 0,
			  "returned an empty table; expected a verdict "
			  "(DROP to discard the packet)");
		return false;
	}
	if (n > LIST_MAX) {
		error_set(why, 0,
			  "returned a list of %llu packets; %d are the most",
			  (unsigned long long)n, LIST_MAX);
		return false;
	}
	if (!make_room(s, (uint32_t)n)) {
		error_set(why, 0, "no memory for a list of packets");
		return false;
	}
	for (uint32_t k = 0; k < n; k++) {
		int type = lua_rawgeti(L, i, k + 1);

		s->packets[k] = object_test(L, -1);
		lua_pop(L, 1);
		if (s->packets[k])
			continue;
		error_set(why, 0,
			  "returned a list whose item %u is a %s; expected a "
			  "packet",
			  k + 1,
			  type == LUA_TUSERDATA ? "packet that is gone, or "
						  "part of one"
						: lua_typename(L, type));
		return false;
	}
	*count = (uint32_t)n;
	return true;
}

/* Index 1: the packet object, or a list of them. */
static int defer(lua_State *L)
{
	bool list = lua_type(L, 1) == LUA_TTABLE;
	lua_Unsigned n = list ? lua_rawlen(L, 1) : 1;

	for (lua_Unsigned k = 1; k <= n; k++) {
		int64_t delay;

		if (list)
			lua_rawgeti(L, 1, (lua_Integer)k);
		else
			lua_pushvalue(L, 1);
		delay = object_delay(L, 2);
		if (delay)
			timer_send(L, 2, delay, 0);
		lua_settop(L, 1);
	}
	return 0;
}

/* Packets that are to go later are handed to timers, the others stay. */
static bool keep_for_now(struct script *s, int i, uint32_t *count,
			 struct error *why)
{
	lua_State *L = s->L;
	bool list = lua_type(L, i) == LUA_TTABLE;
	uint32_t now = 0;
	int status;

	for (uint32_t k = 0; k < *count; k++) {
		if (list)
			lua_rawgeti(L, i, k + 1);
		else
			lua_pushvalue(L, i);
		if (!object_delay(L, -1))
			s->packets[now++] = s->packets[k];
		lua_pop(L, 1);
	}
	if (now == *count)
		return true;
	*count = now;
	if (!s->host.send) {
		error_set(why, 0, "returned a packet with a delay, which is "
				  "not available here");
		return false;
	}
	lua_pushcfunction(L, defer);
	lua_pushvalue(L, i);
	status = lua_pcall(L, 1, 0, 0);
	if (status == LUA_OK)
		return true;
	error_set(why, 0, "%s", lua_type(L, -1) == LUA_TSTRING
					? lua_tostring(L, -1)
					: "no memory");
	lua_pop(L, 1);
	return false;
}

bool verdict_read(struct script *s, int i, struct verdict *v, struct error *why)
{
	lua_State *L = s->L;
	uint32_t count = 1;

	switch (lua_type(L, i)) {
	case LUA_TNIL:
		v->kind = VERDICT_NONE;
		return true;
	case LUA_TLIGHTUSERDATA:
		if (verdict_constant(L, i, v))
			return true;
		break;
	case LUA_TUSERDATA:
		if (!make_room(s, 1)) {
			error_set(why, 0, "no memory for a packet");
			return false;
		}
		s->packets[0] = object_test(L, i);
		if (s->packets[0])
			goto packets;
		break;
	case LUA_TTABLE:
		if (read_list(s, i, &count, why))
			goto packets;
		return false;
	}
	error_set(why, 0, "returned a %s; expected a verdict or a packet",
		  luaL_typename(L, i));
	return false;

packets:
	if (!keep_for_now(s, i, &count, why))
		return false;
	lua_pushvalue(L, i);
	lua_rawseti(L, LUA_REGISTRYINDEX, s->anchor);
	s->anchored = true;
	v->kind = VERDICT_REPLACE;
	v->packets = s->packets;
	v->count = count;
	return true;
}
