/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The limits of a state: an allocator that counts, and a hook that counts
 * instructions. Knows nothing of rules or packets.
 *
 * The hook must be sticky: once the budget is overrun it fires at every
 * instruction of the thread, so that a pcall in a loop cannot swallow the
 * error. Lua disables hooks while a hook runs, and an error raised by a hook
 * runs message handlers in that state; a coroutine that dies of it even stays
 * so. That is why xpcall's handlers are skipped once over budget, why such a
 * coroutine is marked and never closed, and why no __gc can be set.
 */
#include <stdlib.h>
#include <string.h>

#include "script/internal.h"

/* The longest way between two looks at the budget. */
#define INTERVAL_MAX 1000

/* In a thread's extra space, which Lua gives a pointer's room. */
static const char cut_mark;

struct script *script_of(lua_State *L)
{
	void *s;

	lua_getallocf(L, &s);
	return s;
}

static void hook(lua_State *L, lua_Debug *ar);

/*
 * Each refusal makes Lua look through all that it keeps. Where next to nothing
 * was granted since the last one, nearly every allocation would: that counts
 * as instructions, a word looked at as a quarter of one, and a call can have
 * few of them.
 */
static void refuse(struct script *s)
{
	uint64_t price = s->memory / 32, most = s->budget / 4;
	uint64_t since = (s->granted - s->granted_refused) / 4;

	s->refused = true;
	s->granted_refused = s->granted;
	if (s->left <= 0 || since >= price)
		return;
	price -= since;
	s->left -= (int64_t)(price < most ? price : most);
	if (s->left > 0)
		return;
	/* Nothing more is granted, and the hook comes at once. */
	s->starved = true;
	lua_sethook(s->L, hook, LUA_MASKCOUNT, 1);
}

static bool take(struct script *s, size_t n)
{
	if (s->starved || n > s->memory_max - s->memory) {
		refuse(s);
		return false;
	}
	s->memory += n;
	s->granted += n;
	if (s->memory > s->memory_peak)
		s->memory_peak = s->memory;
	return true;
}

void *limit_alloc(void *ud, void *ptr, size_t osize, size_t nsize)
{
	struct script *s = ud;
	size_t old = ptr ? osize : 0;
	void *p;

	if (!nsize) {
		free(ptr);
		s->memory -= old;
		return NULL;
	}
	if (nsize > old && !take(s, nsize - old))
		return NULL;
	p = realloc(ptr, nsize);
	if (!p && nsize > old) {
		s->memory -= nsize - old;
		s->refused = true;
		return NULL;
	}
	if (nsize < old)
		s->memory -= old - nsize;
	/* Lua counts on it that a block can always shrink. */
	return p ? p : ptr;
}

void limit_charge(lua_State *L, size_t n)
{
	struct script *s = script_of(L);

	if (take(s, n))
		return;
	/* What is garbage may have been charged for. */
	lua_gc(L, LUA_GCCOLLECT);
	if (!take(s, n))
		luaL_error(L, "needs more than %I bytes of memory (--memory)",
			   (LUAI_UACINT)s->memory_max);
}

void limit_discharge(struct script *s, size_t n)
{
	s->memory -= n;
}

/* level 0: the function that runs; 1: who called it. */
static int overrun(lua_State *L, int level)
{
	struct script *s = script_of(L);

	luaL_where(L, level);
	if (s->starved) {
		lua_pushfstring(L, "needs more than %I bytes of memory "
				   "(--memory)", (LUAI_UACINT)s->memory_max);
		lua_concat(L, 2);
		return lua_error(L);
	}
	lua_pushfstring(L, "ran over its budget of %I instructions%s",
			(LUAI_UACINT)s->budget,
			s->loading ? " while loading" : "");
	lua_concat(L, 2);
	return lua_error(L);
}

static void hook(lua_State *L, lua_Debug *ar)
{
	struct script *s = script_of(L);
	int count = lua_gethookcount(L);

	(void)ar;
	if (!s->over) {
		s->left -= count;
		if (s->left > 0) {
			/* A coroutine that survived an overrun. */
			if (count != s->interval)
				lua_sethook(L, hook, LUA_MASKCOUNT,
					    s->interval);
			return;
		}
		s->over = true;
	}
	if (count != 1)
		lua_sethook(L, hook, LUA_MASKCOUNT, 1);
	if (L != s->L)
		*(const void **)lua_getextraspace(L) = &cut_mark;
	overrun(L, 0);
}

bool limit_was_cut(lua_State *co)
{
	return *(const void **)lua_getextraspace(co) == &cut_mark;
}

void limit_install(struct script *s)
{
	uint64_t least = s->call_budget < s->load_budget ? s->call_budget
							 : s->load_budget;

	/* Precise to a hundredth of the smaller budget. */
	s->interval =
		least / 100 > INTERVAL_MAX ? INTERVAL_MAX : (int)(least / 100);
	if (!s->interval)
		s->interval = 1;
	/* New threads get a copy of the main thread's. */
	*(const void **)lua_getextraspace(s->L) = NULL;
	lua_sethook(s->L, hook, LUA_MASKCOUNT, s->interval);
}

void limit_arm(struct script *s, uint64_t budget)
{
	s->over = false;
	s->refused = false;
	s->starved = false;
	s->granted_before = s->granted;
	s->budget = budget;
	/* The hook's count goes on from the call before: up to one interval
	 * is not this call's. */
	s->left = budget > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)budget;
	s->left += s->interval;
}

void limit_disarm(struct script *s, int status)
{
	if (s->over || s->starved) {
		*(s->starved ? &s->usage.out_of_memory
			     : &s->usage.over_budget) += 1;
		s->over = false;
		s->starved = false;
		lua_sethook(s->L, hook, LUA_MASKCOUNT, s->interval);
	} else if (status == LUA_ERRMEM || (status != LUA_OK && s->refused)) {
		s->usage.out_of_memory++;
	}
	/* The next call starts with whatever can be had. */
	if (s->refused) {
		lua_settop(s->L, 0);
		/* Where it is the rules that keep it all, there is nothing
		 * to collect. */
		if (s->granted - s->granted_before > s->memory_max / 16)
			lua_gc(s->L, LUA_GCCOLLECT);
		s->refused = false;
	}
}

void limit_check(lua_State *L)
{
	struct script *s = script_of(L);

	if (!s->over)
		return;
	lua_sethook(L, hook, LUA_MASKCOUNT, 1);
	overrun(L, 1);
}

void limit_spend(lua_State *L, uint64_t n)
{
	struct script *s = script_of(L);

	if (n > INT64_MAX / 2)
		n = INT64_MAX / 2;
	s->left -= (int64_t)n;
	if (s->left <= 0)
		s->over = true;
	limit_check(L);
}

/* "file:12: text", as Lua itself begins its messages. */
static bool has_place(const char *text)
{
	const char *p = text;

	while ((p = strchr(p, ':'))) {
		size_t digits = strspn(++p, "0123456789");

		if (digits && p[digits] == ':')
			return true;
	}
	return false;
}

/* The innermost Lua function's file:line. */
static void push_place(lua_State *L)
{
	lua_Debug ar;

	for (int level = 0; lua_getstack(L, level, &ar); level++) {
		lua_getinfo(L, "Sl", &ar);
		if (ar.currentline > 0) {
			lua_pushfstring(L, "%s:%d: ", ar.short_src,
					ar.currentline);
			return;
		}
	}
	lua_pushliteral(L, "");
}

int limit_handler(lua_State *L)
{
	/* Over budget, nothing of the author's may run any more: an error
	 * object's __tostring would run without the hook. */
	if (lua_type(L, 1) != LUA_TSTRING) {
		if (script_of(L)->over)
			lua_pushliteral(L, "an error without a text");
		else
			luaL_tolstring(L, 1, NULL);
		lua_replace(L, 1);
	}
	lua_settop(L, 1);
	if (has_place(lua_tostring(L, 1)))
		return 1;
	push_place(L);
	lua_insert(L, 1);
	lua_concat(L, 2);
	return 1;
}

int limit_call(struct script *s, int nargs, int nresults)
{
	int status = lua_pcall(s->L, nargs, nresults, 1);

	/* "return pcall(f)": no instruction was left for the hook. */
	if (status == LUA_OK && s->over) {
		lua_settop(s->L, 1);
		status = LUA_ERRERR;
	}
	return status;
}

void script_one_line(char *text)
{
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
}

void limit_message(struct script *s, int status, const char *where,
		   struct error *err)
{
	const char *text = NULL;

	if (lua_gettop(s->L) && lua_type(s->L, -1) == LUA_TSTRING)
		text = lua_tostring(s->L, -1);
	if (s->over && status != LUA_ERRRUN && !s->starved)
		error_set(err, 0,
			  "%s: ran over its budget of %llu instructions", where,
			  (unsigned long long)s->budget);
	/* ERRERR: a message that could not be made for lack of memory. */
	else if (status == LUA_ERRMEM ||
		 (status == LUA_ERRERR && (s->refused || s->starved)))
		error_set(err, 0, "%s: needs more than %zu bytes of memory (--memory)",
			  where, s->memory_max);
	else if (!text)
		error_set(err, 0, "%s: an error without a text", where);
	else if (!has_place(text))
		error_set(err, 0, "%s: %s", where, text);
	else
		error_set(err, 0, "%s", text);
	script_one_line(err->text);
}
