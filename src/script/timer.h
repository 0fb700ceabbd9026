/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What waits for a time: a heap of timers. Internal to script/. Times are
 * those of script_clock(); until script_start() they count from there. The
 * heap and what hangs on it is Lua's memory, so the ceiling counts it.
 */
#ifndef SLUICE_SCRIPT_TIMER_H
#define SLUICE_SCRIPT_TIMER_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

/* Of after, every and send, at once. */
#define TIMERS_MAX 65536

struct script;

struct timer {
	int64_t due;	/* ns */
	uint64_t order; /* of those due at once the first set goes first */
	uint32_t at;	/* place in the heap, from 1; 0: it waits for nothing */
	/* Called once when due, outside any protected call: must not raise. */
	void (*fire)(struct script *s, struct timer *t);
};

struct timers {
	struct timer **heap;
	uint32_t used, room;
	uint32_t own;	/* of those, tasks' and probes' */
	uint32_t spare; /* places kept for these */
	uint64_t order;
	int ref; /* registry slot that holds the heap's memory */
};

/* Makes room so that n timers more can always be set. Raises. */
void timers_spare(lua_State *L, uint32_t n);

/* Sets one of the timers that room was spared for. Cannot raise. */
void timer_set(struct script *s, struct timer *t, int64_t ns);

/* Ends the wait, if it waits. Cannot raise. */
void timer_clear(struct script *s, struct timer *t);

/* Sends the packet object at index i (absolute; it must not be changed any
 * more) after ns, and then again times more, each ns later. Raises. */
void timer_send(lua_State *L, int i, int64_t ns, uint32_t again);

/* Seconds at index i in ns; raises for what is no time. what: the function
 * that was called. */
int64_t timer_seconds(lua_State *L, int i, const char *what);

/* Where the function on top of L is from, "file:line"; pops it. */
const char *timer_origin(lua_State *L, char *buf, size_t size);

void timer_open(lua_State *L);

#endif
