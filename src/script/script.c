/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a state: made, files loaded, sealed, freed. Knows nothing of
 * what a rule may do; every entry into Lua but those of call.c is here, and
 * each is protected and counted.
 */
#include "script/script.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "script/flow_use.h"
#include "script/internal.h"

/* Nothing may raise outside lua_pcall; if something does, say what. */
static int panic(lua_State *L)
{
	const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1)
							  : "no text";

	log_error("a Lua error outside a protected call (a bug): %s", text);
	abort();
}

static void resolve(struct packet *p, void *arg)
{
	struct script *s = arg;

	if (s->host.resolve)
		s->host.resolve(p, s->host.arg);
}

static int open_protected(lua_State *L)
{
	struct script *s = script_of(L);

	luaL_checkstack(L, LUA_MINSTACK, NULL);
	sandbox_open(L);
	lua_pushboolean(L, 0);
	s->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

int script_enter(struct script *s, lua_CFunction f, void *arg,
		 const char *where, struct error *err)
{
	lua_State *L = s->L;
	int status, ret = 0;

	limit_arm(s, s->load_budget);
	lua_settop(L, 0);
	lua_pushcfunction(L, limit_handler);
	lua_pushcfunction(L, f);
	lua_pushlightuserdata(L, arg);
	status = limit_call(s, 1, 0);
	if (status != LUA_OK) {
		struct error text;

		limit_message(s, status, where, &text);
		ret = error_set(err, -EINVAL, "%s", text.text);
	}
	limit_disarm(s, status);
	lua_settop(L, 0);
	return ret;
}

static int open_state(struct script *s, struct error *err)
{
	int ret;

	s->L = lua_newstate(limit_alloc, s);
	if (!s->L)
		return error_set(err, -ENOMEM,
				 "Lua needs more than %zu bytes of memory",
				 s->memory_max);
	lua_atpanic(s->L, panic);
	limit_install(s);
	ret = script_enter(s, open_protected, NULL, "Lua", err);
	return ret ? -ENOMEM : 0;
}

int script_new(struct script **out, const struct script_limits *limits,
	       const struct script_arg *args, size_t nargs,
	       const char *rules_dir, struct error *err)
{
	return script_make(out, limits, args, nargs, rules_dir, NULL, err);
}

int script_make(struct script **out, const struct script_limits *limits,
		const struct script_arg *args, size_t nargs,
		const char *rules_dir, struct test *test, struct error *err)
{
	static const struct script_limits none;
	const struct script_limits *l = limits ? limits : &none;
	struct script *s = calloc(1, sizeof(*s));
	int ret = -ENOMEM;

	if (!s)
		return error_set(err, -ENOMEM, "no memory for Lua");
	s->memory_max = l->memory ? l->memory : LIMIT_MEMORY;
	s->call_budget = l->instructions ? l->instructions : LIMIT_INSTRUCTIONS;
	s->load_budget = l->load_instructions ? l->load_instructions
					      : LIMIT_LOAD_INSTRUCTIONS;
	s->env = (struct object_env){.resolve = resolve, .arg = s};
	s->calls = (struct ruleset_calls){
		.where = call_where, .action = call_action, .arg = s};
	s->test = test;
	s->rules = ruleset_new();
	s->rules_dir = rules_dir ? strdup(rules_dir) : NULL;
	if (!s->rules || (rules_dir && !s->rules_dir)) {
		error_set(err, ret, "no memory for rules");
		goto out;
	}
	/* os.date must open no file later, when none may be opened. */
	tzset();
	s->args = args;
	s->nargs = nargs;
	ret = open_state(s, err);
	s->args = NULL;
	s->nargs = 0;
out:
	if (ret) {
		script_free(s);
		s = NULL;
	}
	*out = s;
	return ret;
}

void script_free(struct script *s)
{
	if (!s)
		return;
	if (s->L)
		lua_close(s->L);
	flows_free(s->flows);
	rule_free(s->pending);
	ruleset_free(s->rules);
	free(s->packets);
	free(s->rules_dir);
	free(s);
}

/* ---- loading ----------------------------------------------------------- */

struct chunk {
	const char *text;
	size_t n;
};

static int load_protected(lua_State *L)
{
	struct script *s = script_of(L);
	const struct chunk *c = lua_touserdata(L, 1);
	const char *text = c->text;
	size_t n = c->n;

	/* A byte order mark; a first line "#!". Its newline stays. */
	if (n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
		text += 3;
		n -= 3;
	}
	if (n && *text == '#') {
		const char *end = memchr(text, '\n', n);

		n -= end ? (size_t)(end - text) : n;
		text = end ? end : text;
	}
	lua_pushfstring(L, "@%s", s->name);
	if (luaL_loadbufferx(L, text, n, lua_tostring(L, -1), "t"))
		return lua_error(L);
	lua_call(L, 0, 0);
	return 0;
}

/* Of rules from here on that have functions. */
static void note_functions(struct script *s, uint32_t from, bool connection,
			   bool elsewhere)
{
	for (struct rule *r = s->rules->first; r; r = r->next) {
		if (r->index < from || !(r->action || r->where))
			continue;
		r->connection |= connection;
		r->elsewhere |= elsewhere;
	}
}

static int load(struct script *s, const char *name, const char *folder,
		const char *text, size_t n, struct error *err)
{
	struct chunk c = {.text = text, .n = n};
	uint32_t before = s->rules->count;
	int ret;

	if (s->sealed)
		return error_set(err, -EINVAL,
				 "%s: rules cannot be added any more", name);
	s->name = name;
	s->folder = folder;
	s->loading = true;
	via_read(s, text, n);
	ret = script_enter(s, load_protected, &c, name, err);
	s->loading = false;
	s->name = s->folder = NULL;
	rule_free(s->pending);
	s->pending = NULL;
	if (!ret)
		note_functions(s, before, source_wants_connections(text, n),
			       source_sends_elsewhere(text, n));
	return ret;
}

int script_load_text(struct script *s, const char *name, const char *text,
		     size_t n, struct error *err)
{
	return load(s, name, NULL, text, n, err);
}

static int read_all(int fd, char **text, size_t *n)
{
	size_t room = 16384;
	char *buf = malloc(room), *more;
	ssize_t got;
	int ret = 0;

	for (*n = 0; buf; *n += (size_t)got) {
		got = read(fd, buf + *n, room - *n);
		if (got < 0 && errno == EINTR)
			got = 0;
		else if (got <= 0)
			break;
		if (*n + (size_t)got < room)
			continue;
		ret = room >= SOURCE_MAX ? -EFBIG : -ENOMEM;
		more = ret == -EFBIG ? NULL : realloc(buf, room *= 2);
		if (!more)
			goto fail;
		buf = more;
	}
	if (buf && !got) {
		*text = buf;
		return 0;
	}
	ret = buf ? -errno : -ENOMEM;
fail:
	free(buf);
	return ret;
}

int script_read(const char *path, bool only_file, char **text, size_t *n,
		struct error *err)
{
	/* O_NONBLOCK: a pipe that stands for a module must not stop us. */
	int flags = O_RDONLY | O_CLOEXEC | (only_file ? O_NONBLOCK : 0);
	int fd = open(path, flags), ret = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		ret = -errno;
	else if (S_ISDIR(st.st_mode))
		ret = -EISDIR;
	else if (only_file && !S_ISREG(st.st_mode))
		ret = -EINVAL;
	else
		ret = read_all(fd, text, n);
	if (fd >= 0)
		close(fd);
	return ret ? error_set(err, ret, "cannot read %s: %s", path,
			       strerror(-ret))
		   : 0;
}

int script_load(struct script *s, const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	char *text = NULL, *folder = NULL;
	size_t n;
	int ret = script_read(path, false, &text, &n, err);

	if (ret)
		goto out;
	folder = slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
	if (!folder) {
		ret = error_set(err, -ENOMEM, "%s: no memory", path);
		goto out;
	}
	ret = load(s, path, folder, text, n, err);
out:
	free(folder);
	free(text);
	return ret;
}

void script_seal(struct script *s)
{
	s->sealed = true;
	/* A module's functions may be called by anybody. */
	note_functions(s, 0, s->modules_want_connections,
		       s->modules_send_elsewhere);
	ruleset_seal(s->rules);
	/* What loading left behind is not the first packet's business. */
	lua_gc(s->L, LUA_GCCOLLECT);
}

/* ---- the rest ---------------------------------------------------------- */

const struct ruleset *script_ruleset(const struct script *s)
{
	return s->rules;
}

void script_set_host(struct script *s, const struct script_host *host)
{
	s->host = *host;
}

const struct ruleset_calls *script_calls(struct script *s)
{
	return &s->calls;
}

void script_failed(struct script *s, const char *what, const char *where,
		   const char *text)
{
	struct error line;

	error_set(&line, 0, "%s %s: %s", what, where, text);
	s->usage.errors++;
	if (s->host.failed)
		s->host.failed(s->host.arg, line.text);
	else
		log_warn("%s", line.text);
}

void script_waiting(const struct script *s, struct script_waiting *w)
{
	*w = (struct script_waiting){
		.timers = s->timers.used - s->timers.own,
		.tasks = s->tasks.count,
		.failed = s->tasks.failed,
	};
}

const char *script_error(const struct script *s)
{
	return s->error.text;
}

void script_usage(const struct script *s, struct script_usage *u)
{
	*u = s->usage;
	u->memory = s->memory;
	u->memory_peak = s->memory_peak;
}
