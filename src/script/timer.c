/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * after(), every(), and packets sent later. A timer is a userdata that holds
 * its function or packet and is itself held, by the registry, while it waits.
 * Must not know what time it is but by script_clock(), nor who waits for it.
 */
#include "script/timer.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "script/internal.h"

/* Longer than any program runs: ten years, in seconds. */
#define SECONDS_MAX 315360000.0
/* The shortest period: what wakes up more often does nothing else. */
#define PERIOD_MIN NSEC_PER_MSEC

/* What after, every and send make. Its user value is what it is for. */
struct entry {
	struct timer timer;
	int ref; /* of itself, while it waits */
	int64_t period;
	uint32_t left; /* times to come; UINT32_MAX: always */
	bool packet;
};

static const char entry_key; /* registry: the metatable of timers */

static void entry_fire(struct script *s, struct timer *t);

/* ---- the heap ---------------------------------------------------------- */

static bool before(const struct timer *a, const struct timer *b)
{
	return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void put(struct timers *h, uint32_t at, struct timer *t)
{
	h->heap[at - 1] = t;
	t->at = at;
}

static void up(struct timers *h, uint32_t at, struct timer *t)
{
	for (; at > 1 && before(t, h->heap[at / 2 - 1]); at /= 2)
		put(h, at, h->heap[at / 2 - 1]);
	put(h, at, t);
}

static void down(struct timers *h, uint32_t at, struct timer *t)
{
	uint32_t next;

	for (; (next = at * 2) <= h->used; at = next) {
		if (next < h->used && before(h->heap[next], h->heap[next - 1]))
			next++;
		if (!before(h->heap[next - 1], t))
			break;
		put(h, at, h->heap[next - 1]);
	}
	put(h, at, t);
}

static void heap_add(struct timers *h, struct timer *t)
{
	t->order = h->order++;
	up(h, ++h->used, t);
}

static void heap_remove(struct timers *h, struct timer *t)
{
	struct timer *last = h->heap[--h->used];
	uint32_t at = t->at;

	t->at = 0;
	if (last == t)
		return;
	if (at > 1 && before(last, h->heap[at / 2 - 1]))
		up(h, at, last);
	else
		down(h, at, last);
}

/* Room for one more, beside what is spared. */
static void heap_reserve(lua_State *L)
{
	struct timers *h = &script_of(L)->timers;
	uint32_t need = h->used - h->own + h->spare + 1, room = h->room;
	struct timer **heap;

	if (need <= room)
		return;
	for (room = room ? room : 64; room < need; room *= 2)
		;
	heap = lua_newuserdatauv(L, room * sizeof(struct timer *), 0);
	if (h->used)
		memcpy(heap, h->heap, h->used * sizeof(struct timer *));
	/* The slot is there: this replaces what it holds. */
	lua_rawseti(L, LUA_REGISTRYINDEX, h->ref);
	h->heap = heap;
	h->room = room;
}

void timers_spare(lua_State *L, uint32_t n)
{
	struct timers *h = &script_of(L)->timers;
	uint32_t was = h->spare;

	h->spare += n - 1;
	heap_reserve(L);
	h->spare = was + n;
}

static int64_t start_of(const struct script *s)
{
	return s->started ? script_clock(s) : 0;
}

void timer_set(struct script *s, struct timer *t, int64_t ns)
{
	timer_clear(s, t);
	t->due = start_of(s) + ns;
	s->timers.own++;
	heap_add(&s->timers, t);
}

void timer_clear(struct script *s, struct timer *t)
{
	if (!t->at)
		return;
	s->timers.own--;
	heap_remove(&s->timers, t);
}

/* ---- after, every, send ------------------------------------------------ */

/* Ends what holds e: the collector may have it. */
static void entry_release(struct script *s, struct entry *e)
{
	luaL_unref(s->L, LUA_REGISTRYINDEX, e->ref);
	e->ref = LUA_NOREF;
}

const char *timer_origin(lua_State *L, char *buf, size_t size)
{
	lua_Debug ar;

	lua_getinfo(L, ">S", &ar);
	if (ar.linedefined > 0)
		snprintf(buf, size, "%s:%d", ar.short_src, ar.linedefined);
	else
		snprintf(buf, size, "%s", ar.short_src);
	return buf;
}

/* The function of e, which the state's anchor holds. */
static void entry_call(struct script *s)
{
	lua_State *L = s->L;
	char where[LUA_IDSIZE + 16];
	struct error text;
	int status;

	s->usage.calls++;
	limit_arm(s, s->call_budget);
	lua_pushcfunction(L, limit_handler);
	lua_rawgeti(L, LUA_REGISTRYINDEX, s->anchor);
	lua_getiuservalue(L, 2, 1);
	lua_remove(L, 2);
	status = limit_call(s, 0, 0);
	if (status != LUA_OK) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, s->anchor);
		lua_getiuservalue(L, -1, 1);
		lua_remove(L, -2);
		timer_origin(L, where, sizeof(where));
		limit_message(s, status, where, &text);
		script_failed(s, "timer", where, text.text);
	}
	limit_disarm(s, status);
}

static void entry_send(struct script *s)
{
	lua_State *L = s->L;

	lua_rawgeti(L, LUA_REGISTRYINDEX, s->anchor);
	lua_getiuservalue(L, 1, 1);
	s->host.send(s->host.arg, object_test(L, 2));
}

static void entry_fire(struct script *s, struct timer *t)
{
	struct entry *e = (struct entry *)t;
	lua_State *L = s->L;

	lua_settop(L, 0);
	lua_rawgeti(L, LUA_REGISTRYINDEX, e->ref);
	lua_rawseti(L, LUA_REGISTRYINDEX, s->anchor);
	s->anchored = true;
	if (e->left != UINT32_MAX)
		e->left--;
	if (e->left) {
		int64_t now = script_clock(s);

		/* Times that were missed are not made up for. */
		t->due += e->period;
		if (t->due <= now)
			t->due = now + e->period;
		heap_add(&s->timers, t);
	} else {
		entry_release(s, e);
	}
	if (e->packet)
		entry_send(s);
	else
		entry_call(s);
	lua_settop(L, 0);
}

/* Pushes a timer for the value at absolute index i. */
static struct entry *entry_new(lua_State *L, int i, int64_t ns)
{
	struct script *s = script_of(L);
	struct entry *e;

	if (s->timers.used - s->timers.own >= TIMERS_MAX)
		luaL_error(L, "%d timers and delayed packets are waiting, more "
			      "is not possible", TIMERS_MAX);
	heap_reserve(L);
	e = lua_newuserdatauv(L, sizeof(*e), 1);
	*e = (struct entry){.timer.fire = entry_fire, .ref = LUA_NOREF};
	lua_rawgetp(L, LUA_REGISTRYINDEX, &entry_key);
	lua_setmetatable(L, -2);
	lua_pushvalue(L, i);
	lua_setiuservalue(L, -2, 1);
	lua_pushvalue(L, -1);
	e->ref = luaL_ref(L, LUA_REGISTRYINDEX);
	e->timer.due = start_of(s) + ns;
	heap_add(&s->timers, &e->timer);
	return e;
}

void timer_send(lua_State *L, int i, int64_t ns, uint32_t again)
{
	struct entry *e = entry_new(L, i, ns);

	e->packet = true;
	e->period = ns;
	e->left = again + 1;
	lua_pop(L, 1);
}

int64_t timer_seconds(lua_State *L, int i, const char *what)
{
	int is;
	lua_Number n = lua_tonumberx(L, i, &is);

	if (!is || !(n >= 0) || n > SECONDS_MAX)
		luaL_error(L, "%s: the time must be seconds from 0 to %d, "
			      "not %s", what, (int)SECONDS_MAX,
			   luaL_tolstring(L, i, NULL));
	return (int64_t)(n * (lua_Number)NSEC_PER_SEC);
}

static struct entry *call_later(lua_State *L, const char *what, int64_t least)
{
	int64_t ns = timer_seconds(L, 1, what);
	struct entry *e;

	if (!lua_isfunction(L, 2))
		luaL_error(L, "%s: what is to be called must be a function, "
			      "not a %s", what, luaL_typename(L, 2));
	e = entry_new(L, 2, ns < least ? least : ns);
	script_of(L)->view.kept = true;
	e->period = ns < least ? least : ns;
	return e;
}

static int after(lua_State *L)
{
	call_later(L, "after", 0)->left = 1;
	return 1;
}

static int every(lua_State *L)
{
	call_later(L, "every", PERIOD_MIN)->left = UINT32_MAX;
	return 1;
}

/* True: it will not be called any more, and would have been. */
static int cancel(lua_State *L)
{
	struct script *s = script_of(L);
	struct entry *e = lua_touserdata(L, 1);
	bool is = e && lua_getmetatable(L, 1);

	if (is) {
		lua_rawgetp(L, LUA_REGISTRYINDEX, &entry_key);
		is = lua_rawequal(L, -1, -2);
	}
	if (!is)
		return luaL_typeerror(L, 1, "timer");
	lua_pushboolean(L, e->timer.at != 0);
	if (e->timer.at) {
		heap_remove(&s->timers, &e->timer);
		entry_release(s, e);
	}
	return 1;
}

void timer_open(lua_State *L)
{
	struct script *s = script_of(L);

	lua_pushboolean(L, 0);
	s->timers.ref = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_newtable(L);
	lua_newtable(L);
	lua_pushcfunction(L, cancel);
	lua_setfield(L, -2, "cancel");
	lua_setfield(L, -2, "__index");
	lua_pushliteral(L, "timer");
	lua_setfield(L, -2, "__name");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_rawsetp(L, LUA_REGISTRYINDEX, &entry_key);
	lua_register(L, "after", after);
	lua_register(L, "every", every);
}

/* ---- from outside ------------------------------------------------------ */

void script_start(struct script *s, bool tasks)
{
	int64_t now = script_clock(s);

	if (s->started)
		return;
	s->started = true;
	/* All move by the same: their order stays. */
	for (uint32_t i = 0; i < s->timers.used; i++)
		s->timers.heap[i]->due += now;
	tasks_start(s, tasks);
}

int64_t script_timeout(const struct script *s)
{
	int64_t left;

	if (!s->started || !s->timers.used)
		return -1;
	left = s->timers.heap[0]->due - script_clock(s);
	return left > 0 ? left : 0;
}

bool script_tick(struct script *s)
{
	struct timer *t;

	if (script_timeout(s) != 0)
		return false;
	t = s->timers.heap[0];
	/* An entry counts itself: see entry_fire. */
	if (t->fire != entry_fire)
		s->timers.own--;
	heap_remove(&s->timers, t);
	t->fire(s, t);
	return true;
}
