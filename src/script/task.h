/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tasks, and the probes they send and wait for. Internal to script/.
 */
#ifndef SLUICE_SCRIPT_TASK_H
#define SLUICE_SCRIPT_TASK_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "packet/packet.h"
#include "script/timer.h"

#define TASKS_MAX  256
#define PROBES_MAX 256

enum task_state {
	TASK_FRESH,
	TASK_RUNNING,
	TASK_SLEEPS,
	TASK_ASKS,     /* for its answer to be brought here */
	TASK_WAITS,    /* for the answer */
	TASK_ANSWERED, /* it is there, in user value TASK_PACKET */
	TASK_REFUSED,  /* the probe could not be sent: error says why */
};

/* User values of a task's userdata. */
enum { TASK_COROUTINE = 1, TASK_PACKET, TASK_VALUES = TASK_PACKET };

struct task {
	struct timer timer; /* the first member */
	struct task *next;
	lua_State *co;
	int ref; /* registry: its own userdata */
	enum task_state state;
	struct probe *probe;   /* ASKS, WAITS */
	struct packet *packet; /* ASKS: to be sent; in TASK_PACKET */
	int64_t timeout;       /* ns, from when it was sent */
	int error;	       /* -errno */
	char origin[LUA_IDSIZE + 16];
};

/* What sr1 sent, and so what answers it. For an echo request the ports are
 * id and sequence number. */
struct probe {
	struct timer timer; /* the first member; until it is forgotten */
	enum { PROBE_FREE, PROBE_ASKED, PROBE_WAITS, PROBE_OVER } state;
	uint32_t id;
	bool expected; /* unexpect has to be said */
	uint8_t proto;
	struct address src, dst;
	uint16_t sport, dport;
	struct task *task;
};

struct tasks {
	struct task *first;
	uint32_t count; /* that have not ended */
	uint32_t failed;
	struct task *current;
	struct probe *probe; /* PROBES_MAX of them, once there is a task */
	uint32_t probe_id;
};

/* The task that runs in L; raises where none does. what: "sleep()". */
struct task *task_current(lua_State *L, const char *what);

/* t, which WAITS or ASKS, goes on with its next turn. */
void task_wake(struct script *s, struct task *t, enum task_state state);

/* What t waited for has ended without an answer. */
void probe_over(struct script *s, struct task *t);

void tasks_open(lua_State *L);
void probes_open(lua_State *L);

#endif
