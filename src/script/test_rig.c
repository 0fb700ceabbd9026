/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules under test as Lua values: load_rules(), load_text(), and what is done
 * with what they return. */
#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "base/clock.h"
#include "script/test_internal.h"

#define RIG_TYPE    "rules under test"
#define RESULT_TYPE "result"

/* What a state with its buffers is charged with, about. */
#define RIG_COST  ((size_t)512 << 10)
#define FILES_MAX 16
#define ARGS_MAX  64

struct holder {
	struct rig *rig;
	size_t charged;
};

static struct rig *check(lua_State *L)
{
	return ((struct holder *)luaL_checkudata(L, 1, RIG_TYPE))->rig;
}

/* ---- making ------------------------------------------------------------ */

/* Reads the table of arguments at i; their texts stay on the stack. */
static size_t read_args(lua_State *L, int i, struct script_arg args[ARGS_MAX])
{
	size_t n = 0;

	if (lua_isnoneornil(L, i))
		return 0;
	luaL_checktype(L, i, LUA_TTABLE);
	luaL_checkstack(L, 2 * ARGS_MAX + 8, "arguments");
	lua_pushnil(L);
	while (lua_next(L, i)) {
		if (lua_type(L, -2) != LUA_TSTRING)
			luaL_error(L, "load_rules: arguments have names, as "
				      "in { ttl = 3 }");
		if (n == ARGS_MAX)
			luaL_error(L, "load_rules: more than %d arguments",
				   ARGS_MAX);
		args[n].name = lua_tostring(L, -2);
		args[n++].value = luaL_tolstring(L, -1, NULL);
		/* key value text -> text key */
		lua_replace(L, -2);
		lua_insert(L, -2);
	}
	return n;
}

/* One path, or a list of them, at 1; their texts stay on the stack. */
static size_t read_files(lua_State *L, const char *files[FILES_MAX])
{
	size_t n;

	if (lua_type(L, 1) != LUA_TTABLE) {
		files[0] = test_path(L, luaL_checkstring(L, 1));
		return 1;
	}
	n = lua_rawlen(L, 1);
	if (!n || n > FILES_MAX)
		luaL_error(L, "load_rules: 1 to %d files, not %I", FILES_MAX,
			   (LUAI_UACINT)n);
	luaL_checkstack(L, 2 * FILES_MAX, "files");
	for (size_t i = 0; i < n; i++) {
		if (lua_rawgeti(L, 1, (lua_Integer)i + 1) != LUA_TSTRING)
			luaL_error(L, "load_rules: a file is a string, not "
				      "a %s", luaL_typename(L, -1));
		files[i] = test_path(L, lua_tostring(L, -1));
	}
	return n;
}

static int open_rig(lua_State *L, const struct test_rules *rules)
{
	struct test *t = test_of(L);
	struct holder *h = lua_newuserdatauv(L, sizeof(*h), 0);
	struct error err;

	*h = (struct holder){0};
	luaL_setmetatable(L, RIG_TYPE);
	limit_charge(L, RIG_COST);
	h->charged = RIG_COST;
	if (t->host.open(t->host.arg, rules, &h->rig, &err))
		return luaL_error(L, "%s", err.text);
	return 1;
}

/* load_rules(file or files, arguments) */
static int load_rules(lua_State *L)
{
	const char *files[FILES_MAX];
	struct script_arg args[ARGS_MAX];
	struct test_rules rules = {.files = files, .args = args};

	lua_settop(L, 2);
	rules.nfiles = read_files(L, files);
	rules.nargs = read_args(L, 2, args);
	return open_rig(L, &rules);
}

/* load_text(text, arguments): its name is where the call is. */
static int load_text(lua_State *L)
{
	struct script_arg args[ARGS_MAX];
	struct test_rules rules = {.args = args};

	lua_settop(L, 2);
	rules.text = luaL_checklstring(L, 1, &rules.n);
	rules.name = "text";
	rules.nargs = read_args(L, 2, args);
	return open_rig(L, &rules);
}

static int release(lua_State *L)
{
	struct holder *h = luaL_checkudata(L, 1, RIG_TYPE);

	if (h->rig)
		test_of(L)->host.close(h->rig);
	limit_discharge(script_of(L), h->charged);
	*h = (struct holder){0};
	return 0;
}

/* ---- results ----------------------------------------------------------- */

static const char *const result_names[] = {
	"verdict", "via", "rule", "error", "packet", "packets", "sent",
	"log", "notes",
};
#define NAMES (sizeof(result_names) / sizeof(*result_names))

/* Reached where the table has no such name. */
static int result_missing(lua_State *L)
{
	const char *name = luaL_tolstring(L, 2, NULL);
	char hint[100];
	struct nearest n;

	nearest_start(&n, name);
	for (size_t i = 0; i < NAMES; i++) {
		if (!strcmp(name, result_names[i]))
			return 0;
		nearest_try(&n, result_names[i]);
	}
	return luaL_error(L, "a result has no '%s'%s", name,
			  nearest_hint(&n, hint, sizeof(hint)));
}

static void set_packets(lua_State *L, const char *name,
			const struct test_packets *list)
{
	lua_createtable(L, (int)list->count, 0);
	for (size_t i = 0; i < list->count; i++) {
		test_push_packet(L, list->packet[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	lua_setfield(L, -2, name);
}

static void set_texts(lua_State *L, const char *name,
		      const struct test_texts *list)
{
	lua_createtable(L, (int)list->count, 0);
	for (size_t i = 0; i < list->count; i++) {
		lua_pushstring(L, list->text[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	lua_setfield(L, -2, name);
}

static int push_result(lua_State *L, const struct test_seen *seen)
{
	struct test *t = test_of(L);

	lua_createtable(L, 0, NAMES);
	luaL_setmetatable(L, RESULT_TYPE);
	lua_pushstring(L, seen->verdict); /* NULL pushes nil */
	lua_setfield(L, -2, "verdict");
	lua_pushstring(L, seen->via);
	lua_setfield(L, -2, "via");
	lua_pushstring(L, seen->rule);
	lua_setfield(L, -2, "rule");
	lua_pushstring(L, seen->error);
	lua_setfield(L, -2, "error");
	if (seen->packet) {
		test_push_packet(L, seen->packet);
		lua_setfield(L, -2, "packet");
	}
	set_packets(L, "packets", &seen->leaving);
	set_packets(L, "sent", &seen->sent);
	set_texts(L, "log", &seen->log);
	set_texts(L, "notes", &seen->notes);
	if (seen->error)
		error_set(&t->rule_error, 0, "%s", seen->error);
	return 1;
}

/* ---- a packet ---------------------------------------------------------- */

static int choose(lua_State *L, const char *what, const char *const *names,
		  int n)
{
	const char *text = luaL_tolstring(L, -1, NULL);
	char hint[100];
	struct nearest near;

	nearest_start(&near, text);
	for (int i = 0; i < n; i++) {
		if (!strcmp(names[i], text)) {
			lua_pop(L, 1);
			return i;
		}
		nearest_try(&near, names[i]);
	}
	return luaL_error(L, "feed: %s '%s' is not known%s", what, text,
			  nearest_hint(&near, hint, sizeof(hint)));
}

/* The options at 3; texts stay on the stack. */
static void read_options(lua_State *L, struct packet *p)
{
	static const char *const keys[] = {"dir", "iface", "way"};
	static const char *const dirs[] = {"out", "in", "forward"};
	static const char *const ways[] = {"route", "wire"};

	luaL_checktype(L, 3, LUA_TTABLE);
	lua_pushnil(L);
	while (lua_next(L, 3)) {
		lua_pushvalue(L, -2);
		switch (choose(L, "the option", keys, 3)) {
		case 0:
			lua_pop(L, 1);
			p->dir = (enum packet_dir)choose(L, "dir", dirs, 3);
			break;
		case 1:
			lua_pop(L, 1);
			if (lua_type(L, -1) == LUA_TSTRING)
				p->iface = lua_tostring(L, -1);
			if (!p->iface || !*p->iface ||
			    strlen(p->iface) >= IFNAMSIZ)
				luaL_error(L, "feed: iface must be an "
					      "interface's name");
			break;
		default:
			lua_pop(L, 1);
			p->way = (enum packet_way)choose(L, "way", ways, 2);
			break;
		}
		/* The value's text is the table's as well. */
		lua_pop(L, 1);
	}
}

/* rules:feed(packet or bytes, { dir =, iface =, way = }) */
static int feed(lua_State *L)
{
	struct rig *rig = check(L);
	struct test_seen seen;
	struct packet p;
	const char *b;
	size_t n;
	int ret;

	lua_settop(L, 3);
	if (lua_type(L, 2) == LUA_TSTRING) {
		b = lua_tolstring(L, 2, &n);
		if (!n || n > PACKET_MAX)
			return luaL_error(L, "feed: a packet has 1 to %d "
					     "bytes, not %I", (int)PACKET_MAX,
					  (LUAI_UACINT)n);
		packet_init(&p, (uint8_t *)b, (uint32_t)n, (uint8_t *)b,
			    (uint32_t)n, NULL);
	} else {
		p = *object_check(L, 2);
	}
	if (!lua_isnil(L, 3))
		read_options(L, &p);
	ret = test_of(L)->host.feed(rig, &p, &seen);
	if (ret)
		return luaL_error(L, "feed: %s", strerror(-ret));
	return push_result(L, &seen);
}

/* ---- time and counters ------------------------------------------------- */

/* The number of seconds at 2 as ns. */
static int64_t seconds(lua_State *L, const char *what)
{
	lua_Number s = luaL_checknumber(L, 2);

	if (!(s >= 0 && s <= 3.2e9))
		luaL_error(L, "%s: the seconds must be from 0 to 3.2e9", what);
	return (int64_t)(s * 1e9 + 0.5);
}

static int pass(lua_State *L, struct rig *rig, int64_t now)
{
	struct test_seen seen;
	int ret = test_of(L)->host.pass(rig, now, &seen);

	if (ret)
		return luaL_error(L, "time: %s", strerror(-ret));
	return push_result(L, &seen);
}

static int advance(lua_State *L)
{
	struct rig *rig = check(L);

	return pass(L, rig,
		    test_of(L)->host.now(rig) + seconds(L, "advance"));
}

static int at(lua_State *L)
{
	struct rig *rig = check(L);
	int64_t to = seconds(L, "at"), now = test_of(L)->host.now(rig);

	if (to < now)
		return luaL_error(L, "at: time does not go back; %f seconds "
				     "have passed",
				  (LUAI_UACNUMBER)now / NSEC_PER_SEC);
	return pass(L, rig, to);
}

static int now_seconds(lua_State *L)
{
	lua_pushnumber(L, (lua_Number)test_of(L)->host.now(check(L)) /
				  NSEC_PER_SEC);
	return 1;
}

static int count(lua_State *L)
{
	struct rig *rig = check(L);

	lua_pushinteger(L, (lua_Integer)test_of(L)->host.counted(
				   rig, luaL_checkstring(L, 2)));
	return 1;
}

static int hits(lua_State *L)
{
	struct rig *rig = check(L);
	const char *name = luaL_checkstring(L, 2);
	uint64_t n;

	if (test_of(L)->host.hits(rig, name, &n))
		return luaL_error(L, "hits: there is no rule named '%s'",
				  name);
	lua_pushinteger(L, (lua_Integer)n);
	return 1;
}

static int text(lua_State *L)
{
	check(L);
	lua_pushliteral(L, RIG_TYPE);
	return 1;
}

void test_rig_open(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{"feed", feed},	      {"at", at},
		{"advance", advance}, {"now", now_seconds},
		{"count", count},     {"hits", hits},
		{NULL, NULL},
	};
	static const luaL_Reg meta[] = {
		{"__gc", release},
		{"__tostring", text},
		{NULL, NULL},
	};

	luaL_newmetatable(L, RIG_TYPE);
	luaL_setfuncs(L, meta, 0);
	luaL_newlib(L, methods);
	lua_setfield(L, -2, "__index");
	luaL_newmetatable(L, RESULT_TYPE);
	lua_pushcfunction(L, result_missing);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 2);
	lua_register(L, "load_rules", load_rules);
	lua_register(L, "load_text", load_text);
}
