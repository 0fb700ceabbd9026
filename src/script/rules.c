/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rule{}, capture{}, policy() and on_error(): from a table in a rule file to
 * a struct rule in the ruleset. A rule that is not complete yet hangs on the
 * state as pending, so that a Lua error in between leaks nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script/internal.h"

/* A rule outside the Lua heap, about. */
#define RULE_COST ((size_t)512)

void script_check_loading(lua_State *L, const char *what)
{
	if (!script_of(L)->loading)
		luaL_error(L,
			   "%s can only be called while the file is "
			   "loading, not in an action",
			   what);
}

/* The text of the key at i for a message, which must not be changed. */
static const char *key_text(lua_State *L, int i)
{
	return luaL_tolstring(L, i, NULL);
}

static char *copy(lua_State *L, const char *text)
{
	char *p = strdup(text);

	if (!p)
		luaL_error(L, "rule: no memory");
	return p;
}

/* ---- rule -------------------------------------------------------------- */

static void read_name(lua_State *L, int i, struct rule *r)
{
	const char *name;
	size_t n;

	if (lua_type(L, i) != LUA_TSTRING)
		luaL_error(L, "rule: name must be a string, not a %s",
			   luaL_typename(L, i));
	name = lua_tolstring(L, i, &n);
	if (!n || strlen(name) != n || strpbrk(name, "\n\r\t\033"))
		luaL_error(L, "rule: name must be a text of one line");
	limit_charge(L, n);
	free(r->name);
	r->name = NULL;
	r->name = copy(L, name);
}

static void read_where(lua_State *L, int i, struct rule *r)
{
	if (!lua_isfunction(L, i))
		luaL_error(L, "rule: where must be a function, not a %s",
			   luaL_typename(L, i));
	lua_pushvalue(L, i);
	r->where = luaL_ref(L, LUA_REGISTRYINDEX);
}

static void read_action(lua_State *L, int i, struct rule *r)
{
	if (lua_isfunction(L, i)) {
		lua_pushvalue(L, i);
		r->action = luaL_ref(L, LUA_REGISTRYINDEX);
		return;
	}
	if (verdict_constant(L, i, &r->constant))
		return;
	if (lua_type(L, i) == LUA_TSTRING)
		luaL_error(L,
			   "rule: action must be a function or a verdict, "
			   "not the string '%s'; ACCEPT, DROP and REJECT "
			   "are written without quotes",
			   lua_tostring(L, i));
	luaL_error(L, "rule: action must be a function or a verdict, not a %s",
		   luaL_typename(L, i));
}

static const struct {
	const char *name;
	void (*read)(lua_State *L, int i, struct rule *r);
} keys[] = {
	{"name", read_name},	 {"match", matches_read},
	{"where", read_where},	 {"rewrite", rewrites_read},
	{"action", read_action},
};
#define KEYS (sizeof(keys) / sizeof(keys[0]))

/* Value at the top, its key below it. */
static void read_key(lua_State *L, struct rule *r)
{
	int value = lua_gettop(L);
	const char *name = key_text(L, value - 1);
	char hint[100];
	struct nearest n;

	for (size_t k = 0; k < KEYS; k++)
		if (lua_type(L, value - 1) == LUA_TSTRING &&
		    !strcmp(name, keys[k].name)) {
			keys[k].read(L, value, r);
			lua_settop(L, value);
			return;
		}
	nearest_start(&n, name);
	for (size_t k = 0; k < KEYS; k++)
		nearest_try(&n, keys[k].name);
	luaL_error(L, "rule: unknown key '%s'%s", name,
		   nearest_hint(&n, hint, sizeof(hint)));
}

static struct rule *new_rule(lua_State *L)
{
	struct script *s = script_of(L);
	char origin[LUA_IDSIZE + 16];
	lua_Debug ar;

	/* What a rule{} inside a pcall left. */
	rule_free(s->pending);
	s->pending = NULL;
	limit_charge(L, RULE_COST);
	s->pending = calloc(1, sizeof(*s->pending));
	if (!s->pending)
		luaL_error(L, "rule: no memory");
	snprintf(origin, sizeof(origin), "%s", s->name);
	if (lua_getstack(L, 1, &ar) && lua_getinfo(L, "Sl", &ar) &&
	    ar.currentline > 0)
		snprintf(origin, sizeof(origin), "%s:%d", ar.short_src,
			 ar.currentline);
	s->pending->constant.reject_code = REJECT_DEFAULT;
	s->pending->origin = copy(L, origin);
	return s->pending;
}

static int rule(lua_State *L)
{
	struct script *s = script_of(L);
	struct rule *r;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	script_check_loading(L, "rule()");
	r = new_rule(L);
	lua_pushnil(L);
	while (lua_next(L, 1)) {
		read_key(L, r);
		lua_pop(L, 1);
	}
	if (!r->action && !r->rewrite && r->constant.kind == VERDICT_NONE)
		return luaL_error(L, "rule: neither action nor rewrite; give "
				     "it action = function(pkt) ... end, a "
				     "verdict such as DROP, or rewrite = "
				     "{ ... }");
	if (!r->name)
		r->name = copy(L, r->origin);
	ruleset_add(s->rules, r);
	s->pending = NULL;
	return 0;
}

/* ---- capture, policy, on_error ----------------------------------------- */

static unsigned read_dir(lua_State *L, int i)
{
	static const struct {
		const char *name;
		enum packet_dir dir;
	} dirs[] = {
		{"out", DIR_OUT},
		{"in", DIR_IN},
		{"forward", DIR_FORWARD},
	};

	for (size_t k = 0; k < sizeof(dirs) / sizeof(dirs[0]); k++)
		if (lua_type(L, i) == LUA_TSTRING &&
		    !strcmp(lua_tostring(L, i), dirs[k].name))
			return 1u << dirs[k].dir;
	return (unsigned)luaL_error(L,
				    "capture: dir is \"out\", \"in\" or "
				    "\"forward\", not '%s'",
				    key_text(L, i));
}

static int capture(lua_State *L)
{
	struct script *s = script_of(L);
	unsigned dirs = 0;

	luaL_checktype(L, 1, LUA_TTABLE);
	script_check_loading(L, "capture()");
	lua_settop(L, 1);
	lua_pushnil(L);
	while (lua_next(L, 1)) {
		if (lua_type(L, 2) != LUA_TSTRING ||
		    strcmp(lua_tostring(L, 2), "dir"))
			return luaL_error(L,
					  "capture: unknown key '%s'; did "
					  "you mean 'dir'?",
					  key_text(L, 2));
		if (lua_type(L, 3) != LUA_TTABLE) {
			dirs |= read_dir(L, 3);
			lua_pop(L, 1);
			continue;
		}
		lua_pushnil(L);
		while (lua_next(L, 3)) {
			dirs |= read_dir(L, 5);
			lua_pop(L, 1);
		}
		lua_pop(L, 1);
	}
	/* In addition to what the host sends. */
	s->rules->dirs |= dirs;
	return 0;
}

static enum verdict_kind accept_or_drop(lua_State *L, const char *what)
{
	struct verdict v = {.kind = VERDICT_NONE};

	script_check_loading(L, what);
	if (!verdict_constant(L, 1, &v) ||
	    (v.kind != VERDICT_ACCEPT && v.kind != VERDICT_DROP))
		luaL_error(L, "%s takes ACCEPT or DROP", what);
	return v.kind;
}

static int policy(lua_State *L)
{
	script_of(L)->rules->policy = accept_or_drop(L, "policy()");
	return 0;
}

static int on_error(lua_State *L)
{
	script_of(L)->rules->on_error = accept_or_drop(L, "on_error()");
	return 0;
}

void rules_open(lua_State *L)
{
	lua_register(L, "rule", rule);
	lua_register(L, "capture", capture);
	lua_register(L, "policy", policy);
	lua_register(L, "on_error", on_error);
}
