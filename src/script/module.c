/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * require: Lua modules from the folder of the rule file that is being loaded,
 * else from the rule library, nothing else. A dot in a name leads into a
 * folder below; no name leads out. A module runs once, in the same globals.
 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "script/internal.h"

/* Registry: a table from path to what the module returned, and the paths by
 * number in the order in which they were loaded. */
static const char modules_key;
/* Its value while a module runs. */
static const char running;

static bool is_name(const char *name)
{
	bool begin = true;

	for (; *name; name++) {
		if (*name == '.') {
			if (begin)
				return false;
			begin = true;
			continue;
		}
		if (!isalnum((unsigned char)*name) && *name != '_' &&
		    *name != '-')
			return false;
		begin = false;
	}
	return !begin;
}

/* Text at the stack's top is the path. Runs the file and pushes its value;
 * false: there is no such file. */
static bool load(lua_State *L, const char *name)
{
	int path = lua_gettop(L), status;
	struct error err;
	char *text;
	size_t n;
	int ret;

	lua_pushfstring(L, "@%s", lua_tostring(L, path));
	ret = script_read(lua_tostring(L, path), true, &text, &n, &err);
	if (ret == -ENOENT) {
		lua_pop(L, 1);
		return false;
	}
	if (ret)
		luaL_error(L, "require '%s': %s", name, err.text);
	status = luaL_loadbufferx(L, text, n, lua_tostring(L, -1), "t");
	if (!status && source_wants_connections(text, n))
		script_of(L)->modules_want_connections = true;
	if (!status && source_sends_elsewhere(text, n))
		script_of(L)->modules_send_elsewhere = true;
	if (!status)
		via_read(script_of(L), text, n);
	free(text);
	if (status)
		lua_error(L);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &modules_key);
	lua_pushvalue(L, path);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &running);
	lua_rawset(L, -3);
	lua_pop(L, 1);
	lua_pushvalue(L, 1);
	lua_call(L, 1, 1);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		lua_pushboolean(L, 1);
	}
	lua_rawgetp(L, LUA_REGISTRYINDEX, &modules_key);
	lua_pushvalue(L, path);
	lua_pushvalue(L, -3);
	lua_rawset(L, -3);
	lua_pushvalue(L, path);
	lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
	lua_pop(L, 1);
	return true;
}

/* In one folder: true with the module's value pushed. */
static bool find(lua_State *L, const char *folder, const char *file,
		 const char *name)
{
	lua_pushfstring(L, "%s/%s.lua", folder, file);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &modules_key);
	lua_pushvalue(L, -2);
	lua_rawget(L, -2);
	lua_remove(L, -2);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &running);
	if (lua_rawequal(L, -1, -2))
		luaL_error(L, "require '%s': it is being loaded, or failed to",
			   name);
	lua_pop(L, 1);
	if (!lua_isnil(L, -1))
		return true;
	lua_pop(L, 1);
	return load(L, name);
}

static int require(lua_State *L)
{
	struct script *s = script_of(L);
	const char *name = luaL_checkstring(L, 1);
	const char *file;

	lua_settop(L, 1);
	script_check_loading(L, "require()");
	if (!is_name(name) || strlen(name) != lua_rawlen(L, 1))
		return luaL_error(L,
				  "require '%s': a module's name is made of "
				  "letters, digits, '_' and '-', with a "
				  "'.' for a folder",
				  name);
	file = luaL_gsub(L, name, ".", "/");
	if (s->folder && find(L, s->folder, file, name))
		return 1;
	if (s->rules_dir && find(L, s->rules_dir, file, name))
		return 1;
	return luaL_error(L, "require '%s': no %s.lua in %s%s%s", name, file,
			  s->folder ? s->folder : "no folder",
			  s->rules_dir ? " or " : "",
			  s->rules_dir ? s->rules_dir : "");
}

const char *script_module(struct script *s, unsigned i)
{
	const char *path = NULL;

	if (i >= INT_MAX || !lua_checkstack(s->L, 2))
		return NULL;
	lua_rawgetp(s->L, LUA_REGISTRYINDEX, &modules_key);
	if (lua_rawgeti(s->L, -1, (lua_Integer)i + 1) == LUA_TSTRING)
		path = lua_tostring(s->L, -1);
	lua_pop(s->L, 2);
	return path;
}

void module_open(lua_State *L)
{
	lua_newtable(L);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &modules_key);
	lua_newtable(L);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &running);
	lua_register(L, "require", require);
}
