/* SPDX-License-Identifier: GPL-2.0-or-later */
/* set{...} and set.file(): rule/set.h's sets as Lua values. Lua holds one
 * reference, every match that has the set as a value another. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "script/internal.h"

#define SET_TYPE "set"

/* What a set and a member of one cost outside the Lua heap, about. */
#define SET_COST    ((size_t)5000)
#define MEMBER_COST ((size_t)128)
/* A range of IPv6 addresses makes no more prefixes than this. */
#define RANGE_MAX 256

struct holder {
	struct set *set;
	size_t charged; /* bytes */
};

struct set *sets_test(lua_State *L, int i)
{
	struct holder *h = luaL_testudata(L, i, SET_TYPE);

	return h ? h->set : NULL;
}

static struct holder *check(lua_State *L)
{
	return luaL_checkudata(L, 1, SET_TYPE);
}

/* Charges for as many members as there ever were. */
static void settle(lua_State *L, struct holder *h)
{
	size_t cost = SET_COST + set_count(h->set) * MEMBER_COST;

	if (cost <= h->charged)
		return;
	limit_charge(L, cost - h->charged);
	h->charged = cost;
}

/* Pushes an empty set. */
static struct holder *new_set(lua_State *L, const char *name)
{
	struct holder *h = lua_newuserdatauv(L, sizeof(*h), 0);

	*h = (struct holder){0};
	luaL_setmetatable(L, SET_TYPE);
	limit_charge(L, SET_COST);
	h->charged = SET_COST;
	h->set = set_new(name);
	if (!h->set)
		luaL_error(L, "set: no memory");
	return h;
}

static void add(lua_State *L, struct holder *h, const char *text, int64_t until)
{
	size_t most = MEMBER_COST * (strchr(text, '-') ? RANGE_MAX : 1);
	struct error err;
	int ret;

	/* Asked for before it is used, and given back before it is charged
	 * for what it came to. */
	limit_charge(L, most);
	ret = set_add_text(h->set, text, until, &err);
	limit_discharge(script_of(L), most);
	if (ret)
		luaL_error(L, "set: %s", err.text);
	settle(L, h);
}

/* set{ "10.0.0.0/8", ... }: called with the library itself first. */
static int make(lua_State *L)
{
	char name[LUA_IDSIZE + 16];
	struct holder *h;
	lua_Debug ar;

	luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 2);
	snprintf(name, sizeof(name), "set");
	if (lua_getstack(L, 1, &ar) && lua_getinfo(L, "Sl", &ar) &&
	    ar.currentline > 0)
		snprintf(name, sizeof(name), "%s:%d", ar.short_src,
			 ar.currentline);
	h = new_set(L, name);
	lua_pushnil(L);
	while (lua_next(L, 2)) {
		if (lua_type(L, -2) != LUA_TNUMBER)
			return luaL_error(L, "set: a list of addresses is "
					     "expected, without names");
		if (lua_type(L, -1) != LUA_TSTRING)
			return luaL_error(L,
					  "set: an address is a string, "
					  "not a %s",
					  luaL_typename(L, -1));
		add(L, h, lua_tostring(L, -1), 0);
		lua_pop(L, 1);
	}
	return 1;
}

/* Beside the file that is being loaded; else, as a name from the command line
 * is meant, in the working directory. */
static int make_file(lua_State *L)
{
	struct script *s = script_of(L);
	const char *path = luaL_checkstring(L, 1);
	struct holder *h;
	struct error err;

	script_check_loading(L, "set.file()");
	if (*path != '/' && s->folder)
		lua_pushfstring(L, "%s/%s", s->folder, path);
	else
		lua_pushvalue(L, 1);
	if (access(lua_tostring(L, -1), F_OK)) {
		lua_pop(L, 1);
		lua_pushvalue(L, 1);
	}
	h = new_set(L, path);
	if (set_add_file(h->set, lua_tostring(L, -2), &err))
		return luaL_error(L, "%s", err.text);
	settle(L, h);
	return 1;
}

static int has(lua_State *L)
{
	struct holder *h = check(L);
	const char *text = luaL_checkstring(L, 2);
	struct address a;

	if (address_parse(&a, text))
		return luaL_error(L, "set:has: '%s' is not an address", text);
	lua_pushboolean(L, set_has(h->set, &a, script_now(script_of(L))));
	return 1;
}

static int add_method(lua_State *L)
{
	struct script *s = script_of(L);
	struct holder *h = check(L);
	const char *text = luaL_checkstring(L, 2);
	lua_Number seconds = luaL_optnumber(L, 3, 0);
	int64_t now, until = 0;

	if (!lua_isnoneornil(L, 3)) {
		/* A century is for ever. */
		if (!(seconds > 0 && seconds <= 3.2e9))
			return luaL_error(L, "set:add: the seconds must be "
					     "above 0 and below 3.2e9");
		now = script_now(s);
		until = now + (int64_t)(seconds * 1e9);
	}
	add(L, h, text, until);
	return 0;
}

static int remove_method(lua_State *L)
{
	struct holder *h = check(L);
	const char *text = luaL_checkstring(L, 2);
	struct prefix p;
	struct error err;

	if (*text == '!')
		text++;
	if (prefix_parse(&p, text, &err))
		return luaL_error(L, "set:remove: %s", err.text);
	lua_pushboolean(L, !set_remove(h->set, &p));
	return 1;
}

static int count(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)set_count(check(L)->set));
	return 1;
}

static int text(lua_State *L)
{
	lua_pushfstring(L, "set %s", set_name(check(L)->set));
	return 1;
}

static int release(lua_State *L)
{
	struct holder *h = check(L);

	limit_discharge(script_of(L), h->charged);
	set_unref(h->set);
	*h = (struct holder){0};
	return 0;
}

void sets_open(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{"has", has},
		{"add", add_method},
		{"remove", remove_method},
		{NULL, NULL},
	};
	static const luaL_Reg meta[] = {
		{"__len", count},
		{"__tostring", text},
		{"__gc", release},
		{NULL, NULL},
	};

	luaL_newmetatable(L, SET_TYPE);
	luaL_setfuncs(L, meta, 0);
	luaL_newlib(L, methods);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);

	lua_newtable(L);
	lua_pushcfunction(L, make_file);
	lua_setfield(L, -2, "file");
	lua_newtable(L);
	lua_pushcfunction(L, make);
	lua_setfield(L, -2, "__call");
	lua_setmetatable(L, -2);
	lua_setglobal(L, "set");
}
