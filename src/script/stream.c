/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flow:stream(dir, f): one direction's bytes through a function of a rule.
 * Called with data in its order, each byte once; what it answers is kept by
 * tcp_adjust until it has arrived. Must not know numbers or packets.
 */
#include <errno.h>
#include <string.h>

#include "script/flow_use.h"

struct call {
	struct script_flows *fs;
	struct flow *f;
	unsigned end;
	const uint8_t *b;
	size_t n;
};

/* Protected: pushes what the function makes of the bytes, or nil. */
static int call_function(lua_State *L)
{
	const struct call *c = lua_touserdata(L, 1);

	lua_rawgeti(L, LUA_REGISTRYINDEX, c->fs->objects);
	lua_rawgeti(L, -1, (lua_Integer)flow_place(c->fs->table, c->f) + 1);
	lua_getiuservalue(L, -1, FLOW_STREAM + (int)c->end);
	lua_pushlstring(L, (const char *)c->b, c->n);
	lua_call(L, 1, 1);
	if (lua_isnil(L, -1))
		return 1;
	if (lua_type(L, -1) != LUA_TSTRING)
		return luaL_error(L,
				  "stream: the function returned a %s; expected "
				  "a string or nil",
				  luaL_typename(L, -1));
	if (lua_rawlen(L, -1) > FLOWS_DATA_MAX)
		return luaL_error(L,
				  "stream: the function returned %I bytes in "
				  "place of %I; %d are the most",
				  (LUAI_UACINT)lua_rawlen(L, -1),
				  (LUAI_UACINT)c->n, (int)FLOWS_DATA_MAX);
	return 1;
}

int stream_run(struct script *s, struct flow *f, unsigned end,
	       const uint8_t **b, size_t *n)
{
	struct call c = {s->flows, f, end, *b, *n};
	lua_State *L = s->L;
	int status, ret = 0;

	s->usage.calls++;
	lua_settop(L, 0);
	limit_arm(s, s->call_budget);
	lua_pushcfunction(L, limit_handler);
	lua_pushcfunction(L, call_function);
	lua_pushlightuserdata(L, &c);
	status = limit_call(s, 1, 1);
	if (status != LUA_OK) {
		struct error text;

		limit_message(s, status, "flow:stream", &text);
		error_set(&s->error, 0, "%s", text.text);
		s->usage.errors++;
		ret = -EINVAL;
	} else if (lua_type(L, 2) == LUA_TSTRING) {
		/* Lua may collect it at any time. */
		const char *now = lua_tolstring(L, 2, n);

		memcpy(s->flows->scratch, now, *n);
		*b = s->flows->scratch;
		ret = 1;
	}
	limit_disarm(s, status);
	lua_settop(L, 0);
	return ret;
}
