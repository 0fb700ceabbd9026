/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of script/ share. In functions that take a lua_State and
 * say so, a Lua error is raised (a longjmp): nothing that must be freed may
 * be held across them but what hangs on struct script.
 */
#ifndef SLUICE_SCRIPT_INTERNAL_H
#define SLUICE_SCRIPT_INTERNAL_H

#include <lauxlib.h>
#include <lua.h>

#include "script/object.h"
#include "script/script.h"
#include "script/task.h"
#include "script/timer.h"

#define LIMIT_INSTRUCTIONS	UINT64_C(1000000)
#define LIMIT_LOAD_INSTRUCTIONS UINT64_C(50000000)
#define LIMIT_MEMORY		((size_t)64 << 20)

/* The longest rule file or module, in bytes. */
#define SOURCE_MAX ((size_t)16 << 20)

struct script {
	lua_State *L;
	struct ruleset *rules;
	struct script_host host;
	struct object_env env;
	struct object_view view;
	bool globals; /* a rule file made some that can be changed */
	struct test *test;	       /* it runs a test file; or NULL */
	char *rules_dir;	       /* or NULL */
	const struct script_arg *args; /* while it is made */
	size_t nargs;

	/* While a file is loaded. */
	bool loading, sealed;
	bool modules_want_connections, modules_send_elsewhere;
	const char *name;     /* what messages call it */
	const char *folder;   /* where require and set.file look; or NULL */
	struct rule *pending; /* of a rule{} that is not complete yet */

	/* Memory: what the allocator gave, and what was charged for things
	 * outside the Lua heap (rules, members of sets). */
	size_t memory, memory_peak, memory_max;
	bool refused; /* in this call */
	bool starved; /* in this call, collecting took its budget */
	/* Bytes that were ever granted; of them before this call, and before
	 * the last refusal. */
	uint64_t granted, granted_before, granted_refused;

	/* Instructions. */
	uint64_t call_budget, load_budget, budget;
	int64_t left;
	int interval; /* instructions between two looks at it */
	bool over;    /* in this call */

	struct script_flows *flows; /* NULL: no rule asked for one */

	/* Calls. */
	struct ruleset_calls calls;
	int anchor; /* registry slot that keeps what was returned alive */
	bool anchored;
	struct packet **packets;
	uint32_t room; /* of packets */
	struct script_usage usage;
	struct error error;

	/* Time. */
	bool started;
	struct timers timers;
	struct tasks tasks;

	/* Files that rules write to. */
	char file[SCRIPT_FILES_MAX][SCRIPT_FILE_MAX];

	/* Interfaces that via() named; a name keeps its place. */
	char via[SCRIPT_VIAS_MAX][SCRIPT_VIA_MAX];
	unsigned vias;
};

struct script *script_of(lua_State *L);

/* script_new, for a test file where test is not NULL. */
int script_make(struct script **s, const struct script_limits *limits,
		const struct script_arg *args, size_t nargs,
		const char *rules_dir, struct test *test, struct error *err);

/* Runs f with arg in the state, protected, with the budget of loading. 0, or
 * -EINVAL and err; where: prefix if the text has no place. */
int script_enter(struct script *s, lua_CFunction f, void *arg,
		 const char *where, struct error *err);

/* Turns control characters into spaces, so that a text stays one line. */
void script_one_line(char *text);

/* The file's bytes, malloced, in *text; only_file: refuses what is no
 * regular file. -errno, err says "cannot read PATH: why". */
int script_read(const char *path, bool only_file, char **text, size_t *n,
		struct error *err);

/* Whether the functions of a source want all packets of a connection: they
 * name its flow, or what TCP carries. */
bool source_wants_connections(const char *text, size_t n);
/* Whether they may give a packet another destination or more bytes. */
bool source_sends_elsewhere(const char *text, size_t n);

/* Raises unless a file is being loaded. */
void script_check_loading(lua_State *L, const char *what);

/* What the world is asked for; raises where the host has none. */
int64_t script_now(const struct script *s);
int64_t script_clock(const struct script *s);

/* A timer or task (what) of that place ended with an error. */
void script_failed(struct script *s, const char *what, const char *where,
		   const char *text);

/* ---- limit.c ---------------------------------------------------------- */

void *limit_alloc(void *ud, void *ptr, size_t osize, size_t nsize);

/* Counts n bytes outside the Lua heap; raises above the ceiling. */
void limit_charge(lua_State *L, size_t n);
void limit_discharge(struct script *s, size_t n);

/* Installs the count hook, once; coroutines inherit it. */
void limit_install(struct script *s);

/* Around every entry into Lua. disarm also repairs the heap if the ceiling
 * was hit. */
void limit_arm(struct script *s, uint64_t budget);
void limit_disarm(struct script *s, int status);

/* Takes n instructions off the budget; raises if that was too much. */
void limit_spend(lua_State *L, uint64_t n);

/* Raises if the budget is overrun: for after calls that swallow errors. */
void limit_check(lua_State *L);

/* True for a coroutine that the hook cut off. Lua leaves its hooks disabled,
 * so none of its code (a __close) may ever run again. */
bool limit_was_cut(lua_State *co);

/* The message of a call that ended with status, its text at the top of the
 * stack if it has one; where: prefix if the text has none. Cannot raise. */
void limit_message(struct script *s, int status, const char *where,
		   struct error *err);

/* Message handler: makes any error a text that begins with file:line. */
int limit_handler(lua_State *L);

/* lua_pcall with the handler, which is at index 1; an overrun that a pcall
 * kept from being seen is one all the same. The status. */
int limit_call(struct script *s, int nargs, int nresults);

/* ---- sandbox.c -------------------------------------------------------- */

/* Fills the global table and freezes what is in it. Raises. */
void sandbox_open(lua_State *L);

/* Pushes a read-only stand-in for the table at the top and pops that. what:
 * its name in messages. Raises. */
void sandbox_freeze(lua_State *L, const char *what);

/* The table behind the stand-in at i, pushed; false (nothing pushed) if it
 * is none. */
bool sandbox_behind(lua_State *L, int i);

/* ---- coroutine.c ------------------------------------------------------ */

/* Replaces what the library at the top of the stack must not do. Raises. */
void coroutine_open(lua_State *L);

/* ---- rules.c, verdict.c, sets.c, world.c, module.c, test.c ------------- */

/* Each sets its globals. They raise. */
void rules_open(lua_State *L);
void verdict_open(lua_State *L);
void sets_open(lua_State *L);
void world_open(lua_State *L);
void module_open(lua_State *L);
void test_open(lua_State *L); /* where the state is a test file's */

/* Adds the value at i as an alternative of key. Raises. (matches.c) */
void matches_read(lua_State *L, int i, struct rule *r);
void rewrites_read(lua_State *L, int i, struct rule *r);

/* The constant verdict at i, if it is one. Cannot raise. */
bool verdict_constant(lua_State *L, int i, struct verdict *v);

/* What an action returned, at i: fills v and true; false and why. Packets
 * are kept in s until the next call. Cannot raise. */
bool verdict_read(struct script *s, int i, struct verdict *v,
		  struct error *why);

/* The set at i, or NULL. Cannot raise. */
struct set *sets_test(lua_State *L, int i);

/* ---- via.c ------------------------------------------------------------ */

/* The place in s->via of the interface whose name is at i. Raises. */
int via_place(lua_State *L, int i);

/* Keeps the names that a source has in its calls of via(). */
void via_read(struct script *s, const char *text, size_t n);

/* ---- call.c ----------------------------------------------------------- */

int call_where(void *arg, const struct rule *r, struct packet *p);
void call_action(void *arg, const struct rule *r, struct packet *p,
		 struct verdict *v);

/* ---- task.c ----------------------------------------------------------- */

/* script_start: they get their first turn, or are forgotten. */
void tasks_start(struct script *s, bool run);

/* ---- nearest.c -------------------------------------------------------- */

/* The candidate that a person who wrote word most likely meant. */
struct nearest {
	const char *word;
	char best[64];
	unsigned distance;
};
void nearest_start(struct nearest *n, const char *word);
void nearest_try(struct nearest *n, const char *candidate);
/* "; did you mean 'x'?", or "". Valid until the next call with buf. */
const char *nearest_hint(const struct nearest *n, char *buf, size_t size);

#endif
