/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Coroutines that cannot be used to leave the instruction budget. A new one
 * inherits the hook but counts on its own, so making one costs as much as it
 * may run uncounted; whoever resumes one that was cut off gets the error
 * itself and not a "false"; and one that was cut off is never closed.
 */
#include "script/internal.h"

/* Upvalue 1: the library's own function. Calls it with what is on the stack
 * and leaves its results there. */
static int call_library(lua_State *L)
{
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
	return lua_gettop(L);
}

static int create(lua_State *L)
{
	limit_spend(L, (uint64_t)script_of(L)->interval);
	script_of(L)->view.kept = true;
	return call_library(L);
}

static int resume(lua_State *L)
{
	int n = call_library(L);

	limit_check(L);
	return n;
}

static int close(lua_State *L)
{
	lua_State *co = lua_tothread(L, 1);

	limit_check(L);
	if (co && limit_was_cut(co))
		return luaL_error(L, "this coroutine was cut off: it ran over "
				     "its budget");
	return call_library(L);
}

/* Upvalues: the library's resume, its close, the coroutine. */
static int wrapped(lua_State *L)
{
	lua_State *co = lua_tothread(L, lua_upvalueindex(3));
	int status;

	lua_pushvalue(L, lua_upvalueindex(3));
	lua_insert(L, 1);
	call_library(L);
	limit_check(L);
	if (lua_toboolean(L, 1))
		return lua_gettop(L) - 1;
	status = lua_status(co);
	lua_settop(L, 2);
	if (status != LUA_OK && status != LUA_YIELD && !limit_was_cut(co)) {
		/* It died of an error: its to-be-closed variables. */
		lua_pushvalue(L, lua_upvalueindex(2));
		lua_pushvalue(L, lua_upvalueindex(3));
		lua_call(L, 1, 0);
	}
	if (lua_type(L, 2) == LUA_TSTRING && status != LUA_ERRMEM) {
		luaL_where(L, 1);
		lua_insert(L, 2);
		lua_concat(L, 2);
	}
	return lua_error(L);
}

/* Upvalues: the library's create, resume, close. */
static int wrap(lua_State *L)
{
	create(L);
	lua_pushvalue(L, lua_upvalueindex(2));
	lua_pushvalue(L, lua_upvalueindex(3));
	lua_pushvalue(L, 1);
	lua_pushcclosure(L, wrapped, 3);
	return 1;
}

static void replace(lua_State *L, const char *name, lua_CFunction f)
{
	lua_getfield(L, -1, name);
	lua_pushcclosure(L, f, 1);
	lua_setfield(L, -2, name);
}

void coroutine_open(lua_State *L)
{
	lua_getfield(L, -1, "create");
	lua_getfield(L, -2, "resume");
	lua_getfield(L, -3, "close");
	lua_pushcclosure(L, wrap, 3);
	lua_setfield(L, -2, "wrap");
	replace(L, "create", create);
	replace(L, "resume", resume);
	replace(L, "close", close);
}
