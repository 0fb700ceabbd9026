/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a rule file finds as its globals: Lua's own libraries without ways
 * out, and ours. Everything shared is behind a read-only stand-in, an empty
 * table whose metatable leads to the real one, because a Lua table cannot be
 * made read-only. The globals themselves are such a stand-in: while files
 * load it takes new names, once sealed none.
 */
#include <lualib.h>
#include <string.h>

#include "script/flow_use.h"
#include "script/internal.h"

/* Key in a stand-in's metatable: the real table. */
static const char behind_key;
/* Registry: the names that are ours, as keys. */
static const char builtin_key;

bool sandbox_behind(lua_State *L, int i)
{
	if (!lua_getmetatable(L, i))
		return false;
	lua_rawgetp(L, -1, &behind_key);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 2);
		return false;
	}
	lua_remove(L, -2);
	return true;
}

/* ---- stand-ins --------------------------------------------------------- */

static int frozen_set(lua_State *L)
{
	return luaL_error(L, "'%s' is read-only",
			  lua_tostring(L, lua_upvalueindex(1)));
}

/* next() over a stand-in goes over what is behind it. */
static int sandbox_next(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 2);
	if (sandbox_behind(L, 1))
		lua_replace(L, 1);
	if (lua_next(L, 1))
		return 2;
	lua_pushnil(L);
	return 1;
}

static int frozen_pairs(lua_State *L)
{
	lua_pushcfunction(L, sandbox_next);
	lua_pushvalue(L, 1);
	lua_pushnil(L);
	return 3;
}

/* Real table at the top -> stand-in and its metatable on the top of it. */
static void push_stand_in(lua_State *L)
{
	lua_newtable(L);
	lua_createtable(L, 0, 6);
	lua_pushvalue(L, -3);
	lua_setfield(L, -2, "__index");
	lua_pushvalue(L, -3);
	lua_rawsetp(L, -2, &behind_key);
	lua_pushcfunction(L, frozen_pairs);
	lua_setfield(L, -2, "__pairs");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
}

void sandbox_freeze(lua_State *L, const char *what)
{
	push_stand_in(L);
	lua_pushstring(L, what);
	lua_pushcclosure(L, frozen_set, 1);
	lua_setfield(L, -2, "__newindex");
	/* A callable library (set) stays one. */
	if (luaL_getmetafield(L, -3, "__call"))
		lua_setfield(L, -2, "__call");
	lua_setmetatable(L, -2);
	lua_remove(L, -2);
}

/* ---- base library ------------------------------------------------------ */

static int sandbox_rawget(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_checkany(L, 2);
	lua_settop(L, 2);
	if (sandbox_behind(L, 1))
		lua_replace(L, 1);
	lua_rawget(L, 1);
	return 1;
}

static int sandbox_rawset(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_checkany(L, 2);
	luaL_checkany(L, 3);
	lua_settop(L, 3);
	if (sandbox_behind(L, 1))
		return luaL_error(L, "rawset: this table is read-only");
	lua_rawset(L, 1);
	return 1;
}

/* Lua runs finalizers with hooks disabled: an endless loop there could not
 * be cut off. It looks for __gc only when a metatable is set. */
static int sandbox_setmetatable(lua_State *L)
{
	if (lua_type(L, 2) == LUA_TTABLE) {
		lua_pushliteral(L, "__gc");
		if (lua_rawget(L, 2) != LUA_TNIL)
			return luaL_error(L, "setmetatable: __gc is not "
					     "available");
		lua_pop(L, 1);
		if (sandbox_behind(L, 2))
			return luaL_error(L, "setmetatable: a read-only table "
					     "cannot be a metatable");
	}
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, 1);
	return 1;
}

/* Text only: bytecode could be made to do anything. */
static int sandbox_load(lua_State *L)
{
	if (lua_gettop(L) < 3)
		lua_settop(L, 3);
	lua_pushliteral(L, "t");
	lua_replace(L, 3);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
	return lua_gettop(L);
}

static int finish(lua_State *L, int status, lua_KContext k)
{
	(void)status;
	(void)k;
	return lua_gettop(L);
}

/* Upvalue 1: the author's handler, which must not run once over budget. */
static int handler(lua_State *L)
{
	if (script_of(L)->over)
		return 1;
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, 1);
	return 1;
}

static int sandbox_xpcall(lua_State *L)
{
	luaL_checktype(L, 2, LUA_TFUNCTION);
	lua_pushvalue(L, 2);
	lua_pushcclosure(L, handler, 1);
	lua_replace(L, 2);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, finish);
	return lua_gettop(L);
}

static int sandbox_collect(lua_State *L)
{
	static const char *const names[] = {"collect", "count", "step", NULL};
	struct script *s = script_of(L);

	switch (luaL_checkoption(L, 1, "collect", names)) {
	case 1:
		lua_pushnumber(L, (lua_Number)s->memory / 1024);
		return 1;
	case 2:
		limit_spend(L, 1000);
		lua_pushboolean(L, lua_gc(L, LUA_GCSTEP, 0));
		return 1;
	}
	/* It visits everything, in one instruction. */
	limit_spend(L, 1000 + s->memory / 64);
	lua_gc(L, LUA_GCCOLLECT);
	lua_pushinteger(L, 0);
	return 1;
}

static void wrap(lua_State *L, const char *name, lua_CFunction f)
{
	lua_getfield(L, -1, name);
	lua_pushcclosure(L, f, 1);
	lua_setfield(L, -2, name);
}

static void remove_names(lua_State *L, const char *const *names)
{
	for (; *names; names++) {
		lua_pushnil(L);
		lua_setfield(L, -2, *names);
	}
}

static void open_base(lua_State *L)
{
	static const char *const gone[] = {"dofile", "loadfile", "print",
					   "warn", NULL};
	static const luaL_Reg ours[] = {
		{"next", sandbox_next},
		{"rawget", sandbox_rawget},
		{"rawset", sandbox_rawset},
		{"collectgarbage", sandbox_collect},
		{NULL, NULL},
	};

	luaL_requiref(L, LUA_GNAME, luaopen_base, 1);
	remove_names(L, gone);
	luaL_setfuncs(L, ours, 0);
	wrap(L, "setmetatable", sandbox_setmetatable);
	wrap(L, "load", sandbox_load);
	wrap(L, "xpcall", sandbox_xpcall);
	lua_pop(L, 1);
}

static void open_os(lua_State *L)
{
	static const char *const kept[] = {"time", "date", "clock", NULL};

	luaL_requiref(L, LUA_OSLIBNAME, luaopen_os, 0);
	lua_newtable(L);
	for (const char *const *name = kept; *name; name++) {
		lua_getfield(L, -2, *name);
		lua_setfield(L, -2, *name);
	}
	lua_setglobal(L, LUA_OSLIBNAME);
	lua_pop(L, 1);
}

static void open_libraries(lua_State *L)
{
	static const char *const no_dump[] = {"dump", NULL};

	open_base(L);
	open_os(L);
	luaL_requiref(L, LUA_TABLIBNAME, luaopen_table, 1);
	luaL_requiref(L, LUA_MATHLIBNAME, luaopen_math, 1);
	luaL_requiref(L, LUA_UTF8LIBNAME, luaopen_utf8, 1);
	luaL_requiref(L, LUA_COLIBNAME, luaopen_coroutine, 1);
	coroutine_open(L);
	luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 1);
	remove_names(L, no_dump);
	lua_pop(L, 5);
}

/* ---- globals ----------------------------------------------------------- */

/* Reached only where the real table of globals has no such name. */
static int global_missing(lua_State *L)
{
	char hint[100];
	struct nearest n;

	if (lua_type(L, 2) != LUA_TSTRING)
		return 0;
	/* A look at every name, in one instruction. */
	limit_spend(L, 500);
	nearest_start(&n, lua_tostring(L, 2));
	lua_pushnil(L);
	while (lua_next(L, 1)) {
		if (lua_type(L, -2) == LUA_TSTRING)
			nearest_try(&n, lua_tostring(L, -2));
		lua_pop(L, 1);
	}
	return luaL_error(L, "undefined global '%s'%s", lua_tostring(L, 2),
			  nearest_hint(&n, hint, sizeof(hint)));
}

static int global_set(lua_State *L)
{
	const char *name = luaL_tolstring(L, 2, NULL);

	if (script_of(L)->sealed)
		return luaL_error(L,
				  "assignment to global '%s' in an action; "
				  "declare it local at the top of the file",
				  name);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &builtin_key);
	lua_pushvalue(L, 2);
	if (lua_rawget(L, -2) != LUA_TNIL)
		return luaL_error(L, "'%s' is built in; choose another name",
				  name);
	if (lua_type(L, 3) >= LUA_TTABLE)
		script_of(L)->globals = true;
	lua_settop(L, 4);
	sandbox_behind(L, 1);
	lua_pushvalue(L, 2);
	lua_pushvalue(L, 3);
	lua_rawset(L, -3);
	return 0;
}

/* The tables among the globals at the top of the stack. */
static void freeze_libraries(lua_State *L)
{
	static const char *const names[] = {
		LUA_STRLIBNAME,	 LUA_TABLIBNAME, LUA_MATHLIBNAME,
		LUA_UTF8LIBNAME, LUA_COLIBNAME,	 LUA_OSLIBNAME,
		"args",		 "set",		 NULL,
	};

	for (const char *const *name = names; *name; name++) {
		lua_getfield(L, -1, *name);
		sandbox_freeze(L, *name);
		lua_setfield(L, -2, *name);
	}
	lua_pushliteral(L, "");
	lua_getmetatable(L, -1);
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 2);
}

static void remember_builtins(lua_State *L)
{
	lua_newtable(L);
	lua_pushnil(L);
	while (lua_next(L, -3)) {
		lua_pop(L, 1);
		lua_pushvalue(L, -1);
		lua_pushboolean(L, 1);
		lua_rawset(L, -4);
	}
	lua_rawsetp(L, LUA_REGISTRYINDEX, &builtin_key);
}

/* Real globals at the top, popped: the stand-in becomes what chunks see. */
static void stand_in_for_globals(lua_State *L)
{
	push_stand_in(L);
	lua_pushcfunction(L, global_set);
	lua_setfield(L, -2, "__newindex");
	lua_setmetatable(L, -2);
	lua_pushvalue(L, -1);
	lua_setfield(L, -3, LUA_GNAME);
	lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);

	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, global_missing);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
	lua_pop(L, 1);
}

/* The metatables of all userdata: their methods are for objects only. */
static void hide_metatables(lua_State *L)
{
	lua_pushnil(L);
	while (lua_next(L, LUA_REGISTRYINDEX)) {
		if (lua_type(L, -2) == LUA_TSTRING && lua_istable(L, -1)) {
			lua_pushliteral(L, "__name");
			if (lua_rawget(L, -2) != LUA_TNIL) {
				lua_pushboolean(L, 0);
				lua_setfield(L, -3, "__metatable");
			}
			lua_pop(L, 1);
		}
		lua_pop(L, 1);
	}
}

void sandbox_open(lua_State *L)
{
	struct script *s = script_of(L);

	open_libraries(L);
	verdict_open(L);
	rules_open(L);
	sets_open(L);
	world_open(L);
	timer_open(L);
	tasks_open(L);
	module_open(L);
	object_open(L, &s->env, &s->view);
	flow_object_open(L);
	if (s->test)
		test_open(L);

	lua_pushglobaltable(L);
	freeze_libraries(L);
	remember_builtins(L);
	stand_in_for_globals(L);
	hide_metatables(L);
}
