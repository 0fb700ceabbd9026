/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a rule asks of the world, through struct script_host: send, log,
 * count, audit, pcap; and args, what the command line tells it. */
#include <string.h>

#include "base/clock.h"
#include "script/internal.h"

/* More repetitions than that are a slip. */
#define REPEATS_MAX 65535
/* Instructions that a packet sent at once counts as. */
#define SEND_COST 100

int64_t script_now(const struct script *s)
{
	return s->host.now ? s->host.now(s->host.arg) : clock_wall();
}

int64_t script_clock(const struct script *s)
{
	return s->host.clock ? s->host.clock(s->host.arg) : script_now(s);
}

static int unavailable(lua_State *L, const char *what)
{
	return luaL_error(L, "%s is not available here", what);
}

/* send()'s second argument. */
struct send_options {
	int64_t delay; /* ns */
	uint32_t repeats;
};

static void read_option(lua_State *L, struct send_options *o)
{
	const char *name = luaL_tolstring(L, -2, NULL);
	char hint[100];
	struct nearest n;
	lua_Number count;

	lua_pop(L, 1);
	if (!strcmp(name, "delay")) {
		o->delay = timer_seconds(L, lua_gettop(L), "send");
	} else if (!strcmp(name, "repeats")) {
		count = lua_tonumber(L, -1);
		if (!lua_isnumber(L, -1) || !(count >= 0) ||
		    count > REPEATS_MAX)
			luaL_error(L, "send: repeats must be a number from 0 "
				      "to %d, not %s", REPEATS_MAX,
				   luaL_tolstring(L, -1, NULL));
		o->repeats = (uint32_t)count;
	} else {
		nearest_start(&n, name);
		nearest_try(&n, "delay");
		nearest_try(&n, "repeats");
		luaL_error(L, "send: unknown option '%s'%s", name,
			   nearest_hint(&n, hint, sizeof(hint)));
	}
}

/* true; or nil and why, since the network may be full at any time. */
static int send_packet(lua_State *L)
{
	struct script *s = script_of(L);
	struct packet *p = object_check(L, 1);
	struct send_options o = {.delay = object_delay(L, 1)};
	int ret = 0;

	if (!lua_isnoneornil(L, 2)) {
		luaL_checktype(L, 2, LUA_TTABLE);
		lua_settop(L, 2);
		lua_pushnil(L);
		for (; lua_next(L, 2); lua_pop(L, 1))
			read_option(L, &o);
	}
	if (!s->host.send)
		return unavailable(L, "send()");
	if (o.delay) {
		object_push_copy(L, p);
		timer_send(L, lua_gettop(L), o.delay, o.repeats);
	} else {
		limit_spend(L, (uint64_t)o.repeats * SEND_COST);
		for (uint32_t i = 0; i <= o.repeats && ret >= 0; i++)
			ret = s->host.send(s->host.arg, p);
	}
	if (ret >= 0) {
		lua_pushboolean(L, 1);
		return 1;
	}
	lua_pushnil(L);
	lua_pushstring(L, strerror(-ret));
	return 2;
}

/* ---- pcap -------------------------------------------------------------- */

bool script_file_name_ok(const char *name)
{
	size_t n = strnlen(name, SCRIPT_FILE_MAX);
	const char *dot = strrchr(name, '.');

	return n < SCRIPT_FILE_MAX && *name != '.' && dot &&
	       (!strcmp(dot, ".pcap") || !strcmp(dot, ".pcapng")) &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"
			    "wxyz0123456789._+-") == n;
}

/* Whether a rule may (still) write to a file of that name. */
static bool file_known(struct script *s, const char *name)
{
	for (int i = 0; i < SCRIPT_FILES_MAX; i++) {
		if (!strcmp(s->file[i], name))
			return true;
		if (*s->file[i])
			continue;
		strcpy(s->file[i], name);
		return true;
	}
	return false;
}

/* true; or nil and why: what is written must not hold up the packets. */
static int pcap(lua_State *L)
{
	struct script *s = script_of(L);
	const struct packet *p = object_check(L, 1);
	size_t n;
	const char *name = luaL_checklstring(L, 2, &n);
	int ret;

	if (strlen(name) != n || !script_file_name_ok(name))
		return luaL_error(L, "pcap: '%s' is no name for the file; take "
				     "letters, digits, '.', '_', '+' and '-', "
				     "%d at most, and .pcap or .pcapng at the "
				     "end: it is made in the working directory",
				  name, SCRIPT_FILE_MAX - 1);
	if (!s->host.pcap)
		return unavailable(L, "pcap()");
	if (!file_known(s, name))
		return luaL_error(L, "pcap: %d files are the most",
				  SCRIPT_FILES_MAX);
	ret = s->host.pcap(s->host.arg, p, name);
	if (!ret) {
		lua_pushboolean(L, 1);
		return 1;
	}
	lua_pushnil(L);
	lua_pushstring(L, strerror(-ret));
	return 2;
}

/* Its arguments with a space between them. */
static int log_text(lua_State *L)
{
	struct script *s = script_of(L);
	int n = lua_gettop(L);
	luaL_Buffer b;

	if (!s->host.log)
		return unavailable(L, "log()");
	luaL_buffinit(L, &b);
	for (int i = 1; i <= n; i++) {
		if (i > 1)
			luaL_addchar(&b, ' ');
		luaL_tolstring(L, i, NULL);
		luaL_addvalue(&b);
	}
	luaL_pushresult(&b);
	/* lua_tostring ends at a zero byte, so the text does. */
	s->host.log(s->host.arg, lua_tostring(L, -1));
	return 0;
}

static int count(lua_State *L)
{
	struct script *s = script_of(L);
	const char *name = luaL_checkstring(L, 1);
	lua_Integer n = luaL_optinteger(L, 2, 1);

	if (n < 0)
		return luaL_error(L, "count: a counter only goes up");
	if (!s->host.count)
		return unavailable(L, "count()");
	s->host.count(s->host.arg, name, (uint64_t)n);
	return 0;
}

static int audit(lua_State *L)
{
	struct script *s = script_of(L);
	struct packet *p = object_check(L, 1);
	const char *note = luaL_optstring(L, 2, "");

	if (!s->host.audit)
		return unavailable(L, "audit()");
	s->host.audit(s->host.arg, p, note);
	return 0;
}

void world_open(lua_State *L)
{
	struct script *s = script_of(L);

	lua_register(L, "send", send_packet);
	lua_register(L, "log", log_text);
	lua_register(L, "count", count);
	lua_register(L, "audit", audit);
	lua_register(L, "pcap", pcap);
	lua_newtable(L);
	for (size_t i = 0; i < s->nargs; i++) {
		lua_pushstring(L, s->args[i].value);
		lua_setfield(L, -2, s->args[i].name);
	}
	lua_setglobal(L, "args");
}
