/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one place where packets meet Lua. Nothing here can raise outside
 * lua_pcall. Allocates nothing, but another view where the last call may have
 * kept the one it got.
 */
#include <stdio.h>
#include <string.h>

#include "script/internal.h"

/*
 * Could function ref have put its packet where it outlives the call? A plain
 * value in a variable of its own shows that it is not there; the globals are
 * read-only, and hold nothing that can be changed unless a rule file put it
 * there. Timers, coroutines and flows say so themselves.
 */
static bool may_have_kept(struct script *s, int ref)
{
	lua_State *L = s->L;
	bool may = false;
	const char *name;

	lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
	for (int i = 1; !may && (name = lua_getupvalue(L, -1, i)); i++) {
		switch (lua_type(L, -1)) {
		case LUA_TBOOLEAN:
		case LUA_TNUMBER:
		case LUA_TSTRING:
			break;
		case LUA_TFUNCTION:
			may = !lua_iscfunction(L, -1);
			break;
		case LUA_TTABLE:
			may = s->globals || strcmp(name, "_ENV");
			break;
		default:
			may = true;
		}
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return may;
}

static int renew(lua_State *L)
{
	object_renew_view(L, lua_touserdata(L, 1));
	return 0;
}

/* LUA_OK, or why there is no view for this call. */
static int view_ready(struct script *s)
{
	if (!s->view.kept)
		return LUA_OK;
	lua_pushcfunction(s->L, renew);
	lua_pushlightuserdata(s->L, &s->view);
	return limit_call(s, 1, 0);
}

/* Runs function ref on p. 0 and its result at index 2, or -1. */
static int run(struct script *s, const struct rule *r, int ref,
	       struct packet *p, int *status)
{
	lua_State *L = s->L;
	struct error text;

	s->usage.calls++;
	lua_settop(L, 0);
	if (s->anchored) {
		lua_pushboolean(L, 0);
		lua_rawseti(L, LUA_REGISTRYINDEX, s->anchor);
		s->anchored = false;
	}
	limit_arm(s, s->call_budget);
	lua_pushcfunction(L, limit_handler);
	*status = view_ready(s);
	if (*status == LUA_OK) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
		object_push_view(L, &s->view, p);
		*status = limit_call(s, 1, 1);
	}
	if (*status == LUA_OK)
		return 0;
	limit_message(s, *status, r->origin, &text);
	error_set(&s->error, 0, "rule %s: %s", r->name, text.text);
	return -1;
}

static void end(struct script *s, int ref, int status)
{
	object_end_view(&s->view);
	if (!s->view.kept)
		s->view.kept = may_have_kept(s, ref);
	limit_disarm(s, status);
	lua_settop(s->L, 0);
}

int call_where(void *arg, const struct rule *r, struct packet *p)
{
	struct script *s = arg;
	int status, holds = -1;

	if (!run(s, r, r->where, p, &status))
		holds = lua_toboolean(s->L, 2);
	else
		s->usage.errors++;
	end(s, r->where, status);
	return holds;
}

void call_action(void *arg, const struct rule *r, struct packet *p,
		 struct verdict *v)
{
	struct script *s = arg;
	struct error why;
	int status;

	*v = (struct verdict){.kind = VERDICT_ERROR,
			      .reject_code = REJECT_DEFAULT,
			      .rule = r};
	if (!run(s, r, r->action, p, &status) && !verdict_read(s, 2, v, &why)) {
		v->kind = VERDICT_ERROR;
		error_set(&s->error, 0, "rule %s: %s: %s", r->name, r->origin,
			  why.text);
	}
	if (v->kind == VERDICT_ERROR)
		s->usage.errors++;
	end(s, r->action, status);
}
