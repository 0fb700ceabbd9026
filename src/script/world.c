/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a rule asks of the world, through struct script_host: send, log,
 * count, audit; and args, what the command line tells it. */
#include <string.h>

#include "base/clock.h"
#include "script/internal.h"

int64_t script_now(const struct script *s)
{
	return s->host.now ? s->host.now(s->host.arg) : clock_wall();
}

static int unavailable(lua_State *L, const char *what)
{
	return luaL_error(L, "%s is not available here", what);
}

/* true; or nil and why, since the network may be full at any time. */
static int send_packet(lua_State *L)
{
	struct script *s = script_of(L);
	struct packet *p = object_check(L, 1);
	int ret;

	if (!lua_isnoneornil(L, 2))
		return luaL_error(L, "send: options are not supported by this "
				     "version");
	if (!s->host.send)
		return unavailable(L, "send()");
	ret = s->host.send(s->host.arg, p);
	if (ret >= 0) {
		lua_pushboolean(L, 1);
		return 1;
	}
	lua_pushnil(L);
	lua_pushstring(L, strerror(-ret));
	return 2;
}

/* Its arguments with a space between them. */
static int log_text(lua_State *L)
{
	struct script *s = script_of(L);
	int n = lua_gettop(L);
	luaL_Buffer b;

	if (!s->host.log)
		return unavailable(L, "log()");
	luaL_buffinit(L, &b);
	for (int i = 1; i <= n; i++) {
		if (i > 1)
			luaL_addchar(&b, ' ');
		luaL_tolstring(L, i, NULL);
		luaL_addvalue(&b);
	}
	luaL_pushresult(&b);
	/* lua_tostring ends at a zero byte, so the text does. */
	s->host.log(s->host.arg, lua_tostring(L, -1));
	return 0;
}

static int count(lua_State *L)
{
	struct script *s = script_of(L);
	const char *name = luaL_checkstring(L, 1);
	lua_Integer n = luaL_optinteger(L, 2, 1);

	if (n < 0)
		return luaL_error(L, "count: a counter only goes up");
	if (!s->host.count)
		return unavailable(L, "count()");
	s->host.count(s->host.arg, name, (uint64_t)n);
	return 0;
}

static int audit(lua_State *L)
{
	struct script *s = script_of(L);
	struct packet *p = object_check(L, 1);
	const char *note = luaL_optstring(L, 2, "");

	if (!s->host.audit)
		return unavailable(L, "audit()");
	s->host.audit(s->host.arg, p, note);
	return 0;
}

void world_open(lua_State *L)
{
	struct script *s = script_of(L);

	lua_register(L, "send", send_packet);
	lua_register(L, "log", log_text);
	lua_register(L, "count", count);
	lua_register(L, "audit", audit);
	lua_newtable(L);
	for (size_t i = 0; i < s->nargs; i++) {
		lua_pushstring(L, s->args[i].value);
		lua_setfield(L, -2, s->args[i].name);
	}
	lua_setglobal(L, "args");
}
