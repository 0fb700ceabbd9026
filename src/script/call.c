/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one place where packets meet Lua. Allocates nothing, and nothing here
 * can raise outside lua_pcall: the view was made when the state was.
 */
#include <stdio.h>

#include "script/internal.h"

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
	lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
	object_push_view(L, &s->view, p);
	*status = limit_call(s, 1, 1);
	if (*status == LUA_OK)
		return 0;
	limit_message(s, *status, r->origin, &text);
	error_set(&s->error, 0, "rule %s: %s", r->name, text.text);
	return -1;
}

static void end(struct script *s, int status)
{
	object_end_view(&s->view);
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
	end(s, status);
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
	end(s, status);
}
