/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * expect(x).is(y) and what else can be expected. Each word is a function that
 * has the expectation as its upvalue, so that a dot calls it; a colon is
 * understood as well.
 */
#include <math.h>
#include <string.h>

#include "script/test_internal.h"

#define EXPECT_TYPE "expectation"

/* Its user value 1 is the value. */
struct expectation {
	bool checked;
};

/* Begins a word: its arguments are from 1 on, the value is pushed. */
static int begin(lua_State *L, int nargs, const char *word)
{
	struct test *t = test_of(L);
	struct expectation *e = lua_touserdata(L, lua_upvalueindex(1));

	if (lua_gettop(L) && lua_touserdata(L, 1) == e)
		lua_remove(L, 1);
	if (lua_gettop(L) < nargs)
		return luaL_error(L, "expect: .%s() wants %s", word,
				  nargs == 1 ? "a value" : "two values");
	lua_settop(L, 3);
	/* One that a pcall kept from ending the test. */
	if (t->failed)
		return luaL_error(L, "an expectation does not hold");
	if (!e->checked)
		t->checked++;
	e->checked = true;
	text_clear(&t->message);
	lua_getiuservalue(L, lua_upvalueindex(1), 1);
	return lua_gettop(L);
}

static int is(lua_State *L)
{
	int got = begin(L, 1, "is");

	if (diff_is_same(L, 1, got))
		return 0;
	diff_explain(L, 1, got, &test_of(L)->message);
	return test_fail(L);
}

static int is_not(lua_State *L)
{
	int got = begin(L, 1, "is_not");
	struct text *out = &test_of(L)->message;

	if (!diff_is_same(L, 1, got))
		return 0;
	text_add(out, "  expected anything but ");
	diff_value(L, 1, out);
	text_add(out, "\n");
	return test_fail(L);
}

/* True if n bytes are somewhere in s. */
static bool has_bytes(const char *s, size_t ns, const char *b, size_t n)
{
	return !n || (n <= ns && memmem(s, ns, b, n));
}

static bool list_has(lua_State *L, int list)
{
	size_t n = lua_rawlen(L, list);

	for (size_t i = 1; i <= n; i++) {
		lua_rawgeti(L, list, (lua_Integer)i);
		if (diff_is_same(L, 1, lua_gettop(L)))
			return true;
		lua_pop(L, 1);
	}
	return false;
}

static int contains(lua_State *L)
{
	int got = begin(L, 1, "contains");
	struct text *out = &test_of(L)->message;
	const char *s, *b;
	size_t ns, n;

	if (lua_type(L, got) == LUA_TSTRING && lua_type(L, 1) == LUA_TSTRING) {
		s = lua_tolstring(L, got, &ns);
		b = lua_tolstring(L, 1, &n);
		if (has_bytes(s, ns, b, n))
			return 0;
	} else if (lua_istable(L, got)) {
		if (list_has(L, got))
			return 0;
	} else if (!lua_isnil(L, got)) {
		return luaL_error(L, "expect: .contains() is about a text or "
				     "a list, not a %s", luaL_typename(L, got));
	}
	text_add(out, "  expected something with ");
	diff_value(L, 1, out);
	text_add(out, "\n  got      ");
	diff_value(L, got, out);
	text_add(out, "\n");
	return test_fail(L);
}

static int near(lua_State *L)
{
	int got = begin(L, 2, "near");
	struct text *out = &test_of(L)->message;
	lua_Number want = luaL_checknumber(L, 1);
	lua_Number off = luaL_checknumber(L, 2);

	if (lua_type(L, got) == LUA_TNUMBER &&
	    fabs(lua_tonumber(L, got) - want) <= off)
		return 0;
	text_add(out, "  expected %.14g, give or take %.14g\n  got      ",
		 want, off);
	diff_value(L, got, out);
	text_add(out, "\n");
	return test_fail(L);
}

static int raises(lua_State *L)
{
	int got = begin(L, 0, "raises");
	struct text *out = &test_of(L)->message;
	const char *part = lua_isnil(L, 1) ? "" : luaL_checkstring(L, 1);
	const char *said;

	if (!lua_isfunction(L, got))
		return luaL_error(L, "expect: .raises() is about a function, "
				     "not a %s", luaL_typename(L, got));
	lua_pushvalue(L, got);
	if (lua_pcall(L, 0, 0, 0) == LUA_OK) {
		limit_check(L);
		text_add(out, "  expected an error, and there was none\n");
		return test_fail(L);
	}
	limit_check(L);
	/* An expectation inside has said what is wrong. */
	if (test_of(L)->failed)
		return lua_error(L);
	said = luaL_tolstring(L, -1, NULL);
	if (strstr(said, part))
		return 0;
	text_add(out, "  expected an error with %s\n  got      %s\n", part,
		 said);
	return test_fail(L);
}

static const luaL_Reg words[] = {
	{"is", is},	  {"is_not", is_not}, {"contains", contains},
	{"near", near},	  {"raises", raises}, {NULL, NULL},
};

static int find_word(lua_State *L)
{
	const char *name = luaL_tolstring(L, 2, NULL);
	char hint[100];
	struct nearest n;

	luaL_checkudata(L, 1, EXPECT_TYPE);
	nearest_start(&n, name);
	for (const luaL_Reg *w = words; w->name; w++) {
		nearest_try(&n, w->name);
		if (strcmp(w->name, name))
			continue;
		lua_pushvalue(L, 1);
		lua_pushcclosure(L, w->func, 1);
		return 1;
	}
	return luaL_error(L, "expect: there is no '.%s()'%s", name,
			  nearest_hint(&n, hint, sizeof(hint)));
}

static int expect(lua_State *L)
{
	struct test *t = test_of(L);
	struct expectation *e;

	if (!t->running)
		return luaL_error(L, "expect() belongs in a test(\"name\", "
				     "function() ... end)");
	luaL_checkany(L, 1);
	lua_settop(L, 1);
	e = lua_newuserdatauv(L, sizeof(*e), 1);
	e->checked = false;
	lua_pushvalue(L, 1);
	lua_setiuservalue(L, 2, 1);
	luaL_setmetatable(L, EXPECT_TYPE);
	t->made++;
	return 1;
}

void test_expect_open(lua_State *L)
{
	luaL_newmetatable(L, EXPECT_TYPE);
	lua_pushcfunction(L, find_word);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
	lua_register(L, "expect", expect);
}
