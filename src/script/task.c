/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * task() and sleep(): coroutines that begin once the capture is up and are
 * resumed by timers. Each turn has an instruction budget of its own. Must not
 * know what a probe is, but that a task may wait for one.
 */
#include "script/task.h"

#include <stdio.h>
#include <string.h>

#include "script/internal.h"

struct task *task_current(lua_State *L, const char *what)
{
	struct task *t = script_of(L)->tasks.current;

	if (!t)
		luaL_error(L, "%s can only be called in a task: "
			      "task(function() ... end)", what);
	if (t->co != L)
		luaL_error(L, "%s cannot be called in a coroutine inside a "
			      "task", what);
	if (!lua_isyieldable(L))
		luaL_error(L, "%s cannot be called in a function that a "
			      "library function calls", what);
	return t;
}

void task_wake(struct script *s, struct task *t, enum task_state state)
{
	t->state = state;
	timer_set(s, &t->timer, 0);
}

/* ---- a turn ------------------------------------------------------------ */

static void task_end(struct script *s, struct task *t)
{
	struct task **at = &s->tasks.first;

	timer_clear(s, &t->timer);
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	s->tasks.count--;
	luaL_unref(s->L, LUA_REGISTRYINDEX, t->ref);
}

static void task_fail(struct script *s, struct task *t, int status)
{
	struct error text;

	s->tasks.failed++;
	if (status == LUA_YIELD)
		error_set(&text, 0, "yielded; a task waits by sleep() or sr1()");
	else
		limit_message(s, status, t->origin, &text);
	script_failed(s, "task", t->origin, text.text);
}

/* Resumes it with the n values on its stack. */
static void task_resume(struct script *s, struct task *t, int n)
{
	lua_State *co = t->co;
	int results = 0, status;

	s->usage.calls++;
	limit_arm(s, s->call_budget);
	t->state = TASK_RUNNING;
	s->tasks.current = t;
	status = lua_resume(co, s->L, n, &results);
	s->tasks.current = NULL;
	if (status == LUA_YIELD && t->state != TASK_RUNNING && !s->over) {
		lua_pop(co, results);
		limit_disarm(s, LUA_OK);
		return;
	}
	/* "pcall(f)" at the very end: no instruction was left for the hook. */
	if (s->over && (status == LUA_OK || status == LUA_YIELD))
		status = LUA_ERRERR;
	if (status != LUA_OK) {
		if (status != LUA_YIELD && lua_gettop(co)) {
			lua_pushvalue(co, -1);
			lua_xmove(co, s->L, 1);
		}
		task_fail(s, t, status);
		/* Its to-be-closed variables. */
		if (!limit_was_cut(co) && !s->over)
			lua_resetthread(co);
	}
	limit_disarm(s, status == LUA_YIELD ? LUA_OK : status);
	task_end(s, t);
}

static void task_fire(struct script *s, struct timer *timer)
{
	struct task *t = (struct task *)timer;
	int n = 0;

	lua_settop(s->L, 0);
	switch (t->state) {
	case TASK_WAITS:
		probe_over(s, t);
		lua_pushnil(t->co);
		n = 1;
		break;
	case TASK_REFUSED:
		lua_pushnil(t->co);
		lua_pushinteger(t->co, t->error); /* see probe.c */
		n = 2;
		break;
	case TASK_ANSWERED:
		lua_rawgeti(s->L, LUA_REGISTRYINDEX, t->ref);
		lua_getiuservalue(s->L, 1, TASK_PACKET);
		lua_xmove(s->L, t->co, 1);
		lua_pushnil(s->L);
		lua_setiuservalue(s->L, 1, TASK_PACKET);
		n = 1;
		break;
	default:
		break;
	}
	task_resume(s, t, n);
	lua_settop(s->L, 0);
}

/* ---- task, sleep ------------------------------------------------------- */

void tasks_start(struct script *s, bool run)
{
	for (struct task *t = s->tasks.first, *next; t; t = next) {
		next = t->next;
		if (run)
			timer_set(s, &t->timer, 0);
		else
			task_end(s, t);
	}
}

static void make_probes(lua_State *L)
{
	struct tasks *tasks = &script_of(L)->tasks;
	size_t size = PROBES_MAX * sizeof(*tasks->probe);

	if (tasks->probe)
		return;
	timers_spare(L, TASKS_MAX + PROBES_MAX);
	tasks->probe = lua_newuserdatauv(L, size, 0);
	memset(tasks->probe, 0, size);
	luaL_ref(L, LUA_REGISTRYINDEX);
}

static int task(lua_State *L)
{
	struct script *s = script_of(L);
	struct task *t, **last = &s->tasks.first;

	script_check_loading(L, "task()");
	if (!lua_isfunction(L, 1))
		return luaL_error(L, "task: takes a function, not a %s",
				  luaL_typename(L, 1));
	if (s->tasks.count == TASKS_MAX)
		return luaL_error(L, "task: %d tasks are the most", TASKS_MAX);
	make_probes(L);
	t = lua_newuserdatauv(L, sizeof(*t), TASK_VALUES);
	*t = (struct task){.timer.fire = task_fire, .ref = LUA_NOREF};
	t->co = lua_newthread(L);
	lua_pushvalue(L, 1);
	timer_origin(L, t->origin, sizeof(t->origin));
	lua_pushvalue(L, 1);
	lua_xmove(L, t->co, 1);
	lua_setiuservalue(L, -2, TASK_COROUTINE);
	t->ref = luaL_ref(L, LUA_REGISTRYINDEX);
	while (*last)
		last = &(*last)->next;
	*last = t;
	s->tasks.count++;
	s->rules->probes = true;
	return 0;
}

static int sleep(lua_State *L)
{
	struct task *t = task_current(L, "sleep()");
	int64_t ns = timer_seconds(L, 1, "sleep");

	t->state = TASK_SLEEPS;
	timer_set(script_of(L), &t->timer, ns);
	return lua_yield(L, 0);
}

void tasks_open(lua_State *L)
{
	lua_register(L, "task", task);
	lua_register(L, "sleep", sleep);
	probes_open(L);
}
