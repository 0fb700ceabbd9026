/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The match and rewrite tables of a rule{}. What a value means is the rule
 * room's business: here it only becomes text. */
#include <stdlib.h>
#include <string.h>

#include "script/internal.h"

/* An alternative of a match, a rewrite: outside the Lua heap, about. */
#define VALUE_COST ((size_t)192)

/* Refuses a list where names are expected. */
static const char *check_key(lua_State *L, int i, const char *what)
{
	if (lua_type(L, i) != LUA_TSTRING)
		luaL_error(L, "%s: keys are names such as dport, not '%s'",
			   what, luaL_tolstring(L, i, NULL));
	return lua_tostring(L, i);
}

/* The text of the number or string at i, which it may turn into a string
 * (never a key that is being iterated over). */
static const char *value_text(lua_State *L, int i, const char *key, size_t *n)
{
	lua_Integer whole;
	int is_whole;

	if (lua_type(L, i) == LUA_TNUMBER) {
		whole = lua_tointegerx(L, i, &is_whole);
		if (!is_whole)
			luaL_error(L, "%s = %f is not a whole number", key,
				   lua_tonumber(L, i));
		lua_pushinteger(L, whole);
		lua_replace(L, i);
	} else if (lua_type(L, i) != LUA_TSTRING) {
		luaL_error(L,
			   "%s: a value is a string, a number, a boolean, "
			   "a set or a list of them, not a %s",
			   key, luaL_typename(L, i));
	}
	return lua_tolstring(L, i, n);
}

static void add_value(lua_State *L, int i, struct match *m, enum match_key key)
{
	struct set *s = sets_test(L, i);
	struct error err;
	const char *text;
	size_t n = 0;
	int ret;

	if (s) {
		limit_charge(L, VALUE_COST);
		ret = match_add_set(m, key, s, &err);
	} else if (lua_isboolean(L, i)) {
		limit_charge(L, VALUE_COST);
		ret = match_add_bool(m, key, lua_toboolean(L, i), &err);
	} else {
		text = value_text(L, i, match_key_name(key), &n);
		limit_charge(L, VALUE_COST + n);
		ret = match_add(m, key, text, n, &err);
	}
	if (ret)
		luaL_error(L, "%s", err.text);
}

/* A list: any of them. Value at the top. */
static void add_list(lua_State *L, struct match *m, enum match_key key)
{
	int list = lua_gettop(L);
	bool any = false;

	lua_pushnil(L);
	while (lua_next(L, list)) {
		if (lua_type(L, -2) != LUA_TNUMBER)
			luaL_error(L,
				   "%s: a list has no names, but this one "
				   "has '%s'",
				   match_key_name(key),
				   luaL_tolstring(L, -2, NULL));
		add_value(L, lua_gettop(L), m, key);
		any = true;
		lua_settop(L, list + 1);
	}
	/* It would match everything. */
	if (!any)
		luaL_error(L, "%s: the list is empty", match_key_name(key));
}

void matches_read(lua_State *L, int i, struct rule *r)
{
	struct error err;
	int key;

	if (!lua_istable(L, i))
		luaL_error(L, "rule: match must be a table, not a %s",
			   luaL_typename(L, i));
	if (!r->match)
		r->match = match_new();
	if (!r->match)
		luaL_error(L, "match: no memory");
	lua_pushnil(L);
	while (lua_next(L, i)) {
		key = match_key_parse(check_key(L, -2, "match"), &err);
		if (key < 0)
			luaL_error(L, "%s", err.text);
		if (lua_istable(L, -1))
			add_list(L, r->match, (enum match_key)key);
		else
			add_value(L, lua_gettop(L), r->match,
				  (enum match_key)key);
		lua_pop(L, 1);
	}
}

/* Keeps them in the order of their keys: a table has none. */
static void insert(struct rule *r, struct rewrite *w)
{
	struct rewrite **at = &r->rewrite;

	while (*at && (*at)->key <= w->key)
		at = &(*at)->next;
	w->next = *at;
	*at = w;
}

static void add_rewrite(lua_State *L, struct rule *r, enum rewrite_key key)
{
	const char *name = rewrite_key_name(key), *text;
	struct rewrite *w, value = {.key = key};
	struct error err;
	size_t n;

	if (lua_isboolean(L, -1)) {
		text = lua_toboolean(L, -1) ? "true" : "false";
	} else {
		text = value_text(L, lua_gettop(L), name, &n);
		if (strlen(text) != n)
			luaL_error(L, "%s: a zero byte", name);
	}
	if (rewrite_parse(&value, text, &err))
		luaL_error(L, "%s", err.text);
	limit_charge(L, VALUE_COST);
	w = malloc(sizeof(*w));
	if (!w)
		luaL_error(L, "rewrite: no memory");
	*w = value;
	insert(r, w);
}

void rewrites_read(lua_State *L, int i, struct rule *r)
{
	struct error err;
	int key;

	if (!lua_istable(L, i))
		luaL_error(L, "rule: rewrite must be a table, not a %s",
			   luaL_typename(L, i));
	lua_pushnil(L);
	while (lua_next(L, i)) {
		key = rewrite_key_parse(check_key(L, -2, "rewrite"), &err);
		if (key < 0)
			luaL_error(L, "%s", err.text);
		add_rewrite(L, r, (enum rewrite_key)key);
		lua_pop(L, 1);
	}
	if (!r->rewrite)
		luaL_error(L, "rule: rewrite is empty");
}
