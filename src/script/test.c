/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a test file: loaded, its tests run one by one, freed. A test
 * ends at the first expectation that does not hold; one that expects nothing
 * has shown nothing, and fails.
 */
#include "script/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "script/test_internal.h"

struct test *test_of(lua_State *L)
{
	return script_of(L)->test;
}

/* ---- a text that grows ------------------------------------------------- */

void text_add(struct text *t, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		goto out;
	if (t->n + (size_t)n + 1 > t->room) {
		size_t room = (t->n + (size_t)n + 1) * 2;
		char *buf = realloc(t->buf, room);

		if (!buf)
			goto out;
		t->buf = buf;
		t->room = room;
	}
	vsnprintf(t->buf + t->n, (size_t)n + 1, fmt, again);
	t->n += (size_t)n;
out:
	va_end(again);
}

void text_clear(struct text *t)
{
	free(t->buf);
	*t = (struct text){0};
}

/* ---- globals ----------------------------------------------------------- */

static void check_name(lua_State *L, const char *name, size_t n)
{
	struct test *t = test_of(L);

	if (!n || strlen(name) != n || strpbrk(name, "\n\r\t\033"))
		luaL_error(L, "test: the name must be a text of one line");
	for (unsigned i = 0; i < t->count; i++)
		if (!strcmp(t->names[i], name))
			luaL_error(L, "test: there is a test named '%s' "
				      "already", name);
}

static void make_room(lua_State *L, struct test *t)
{
	unsigned room = t->room ? t->room * 2 : 16;
	char **names;
	int *functions;

	if (t->count < t->room)
		return;
	names = realloc(t->names, room * sizeof(*names));
	if (names)
		t->names = names;
	functions = realloc(t->functions, room * sizeof(*functions));
	if (functions)
		t->functions = functions;
	if (!names || !functions)
		luaL_error(L, "test: no memory");
	t->room = room;
}

/* test(name, function) */
static int add_test(lua_State *L)
{
	struct test *t = test_of(L);
	const char *name;
	size_t n;

	name = luaL_checklstring(L, 1, &n);
	luaL_checktype(L, 2, LUA_TFUNCTION);
	if (!script_of(L)->loading)
		return luaL_error(L, "test: a test cannot be made inside a "
				     "test");
	check_name(L, name, n);
	make_room(L, t);
	lua_settop(L, 2);
	t->functions[t->count] = luaL_ref(L, LUA_REGISTRYINDEX);
	t->names[t->count] = strdup(name);
	if (!t->names[t->count])
		return luaL_error(L, "test: no memory");
	t->count++;
	return 0;
}

/* hex("45 00 00 1c"): the bytes. */
static int hex(lua_State *L)
{
	size_t n, digits = 0;
	const char *text = luaL_checklstring(L, 1, &n);
	unsigned value = 0;
	luaL_Buffer b;

	luaL_buffinit(L, &b);
	for (size_t i = 0; i < n; i++) {
		static const char all[] = "0123456789abcdef";
		char c = text[i];
		const char *at;

		if (c == ' ' || c == '\n' || c == '\t')
			continue;
		at = strchr(all, c >= 'A' && c <= 'F' ? c + 32 : c);
		if (!c || !at)
			return luaL_error(L, "hex: byte %d of the text is no "
					     "hexadecimal digit", (int)i + 1);
		value = value << 4 | (unsigned)(at - all);
		if (++digits % 2 == 0)
			luaL_addchar(&b, (char)value);
	}
	if (digits % 2)
		return luaL_error(L, "hex: a digit is missing");
	luaL_pushresult(&b);
	return 1;
}

const char *test_path(lua_State *L, const char *path)
{
	const struct test *t = test_of(L);

	if (*path == '/' || !strcmp(t->folder, "."))
		return lua_pushstring(L, path);
	return lua_pushfstring(L, "%s/%s", t->folder, path);
}

void test_push_packet(lua_State *L, const struct packet *p)
{
	struct object *o = object_new(L, p->len);

	if (packet_clone(&o->own, p))
		luaL_error(L, "a packet of %I bytes cannot be copied",
			   (LUAI_UACINT)p->len);
	object_settle(o);
}

/* What a capture's frame without an IPv4 packet looks like. */
static bool is_other(const struct packet *p)
{
	const uint8_t *first = packet_at(p, 0, 1);

	return p->flags & PACKET_ODD && !p->link_len &&
	       (!first || *first >> 4 != 4);
}

/* capture_file(path): its IPv4 packets, a list. */
static int capture_file(lua_State *L)
{
	struct test *t = test_of(L);
	const char *path = test_path(L, luaL_checkstring(L, 1));
	lua_Integer n = 0;
	struct packet p;
	struct error err;
	int ret;

	/* One that an error left. */
	pcap_reader_close(t->reader);
	t->reader = NULL;
	if (pcap_reader_open(&t->reader, path, &err))
		return luaL_error(L, "%s", err.text);
	lua_newtable(L);
	while ((ret = pcap_reader_next(t->reader, &p, &err)) > 0) {
		if (is_other(&p))
			continue;
		test_push_packet(L, &p);
		lua_rawseti(L, -2, ++n);
	}
	pcap_reader_close(t->reader);
	t->reader = NULL;
	if (ret < 0)
		return luaL_error(L, "%s", err.text);
	return 1;
}

void test_open(lua_State *L)
{
	lua_register(L, "test", add_test);
	lua_register(L, "hex", hex);
	lua_register(L, "capture_file", capture_file);
	test_rig_open(L);
	test_expect_open(L);
}

/* ---- loading ----------------------------------------------------------- */

static void host_log(void *arg, const char *text)
{
	struct test *t = arg;

	t->host.log(t->host.arg, text);
}

/* Reads the source once more, to quote from. */
static void keep_source(struct test *t)
{
	char *text;
	size_t n;

	if (script_read(t->path, true, &text, &n, NULL))
		return;
	t->source = malloc(n + 1);
	if (t->source) {
		memcpy(t->source, text, n);
		t->source[n] = '\0';
	}
	free(text);
}

static int load(struct test *t, struct error *err)
{
	const struct script_host host = {.arg = t, .log = host_log};
	int ret;

	script_set_host(t->script, &host);
	ret = script_load(t->script, t->path, err);
	if (ret)
		return ret;
	script_seal(t->script);
	if (script_ruleset(t->script)->count)
		return error_set(err, -EINVAL,
				 "%s: a test file has no rules of its own; "
				 "load_rules(\"FILE.lua\") or "
				 "load_text(\"rule { ... }\") puts rules to "
				 "the test", t->path);
	if (!t->count)
		return error_set(err, -EINVAL,
				 "%s: there is no test in it; test(\"name\", "
				 "function() ... end) is one", t->path);
	keep_source(t);
	return 0;
}

int testfile_new(struct test **out, const char *path,
	     const struct script_limits *limits, const struct script_arg *args,
	     size_t nargs, const char *rules_dir, const struct test_host *host,
	     struct error *err)
{
	const char *slash = strrchr(path, '/');
	struct test *t = calloc(1, sizeof(*t));
	int ret = -ENOMEM;

	*out = NULL;
	if (!t)
		return error_set(err, ret, "%s: no memory", path);
	t->host = *host;
	t->path = path;
	t->folder = slash ? strndup(path, (size_t)(slash - path) +
						  (slash == path))
			  : strdup(".");
	if (!t->folder)
		error_set(err, ret, "%s: no memory", path);
	else
		ret = script_make(&t->script, limits, args, nargs, rules_dir,
				  t, err);
	if (!ret)
		ret = load(t, err);
	if (ret) {
		testfile_free(t);
		return ret;
	}
	*out = t;
	return 0;
}

void testfile_free(struct test *t)
{
	if (!t)
		return;
	script_free(t->script);
	pcap_reader_close(t->reader);
	for (unsigned i = 0; i < t->count; i++)
		free(t->names[i]);
	free(t->names);
	free(t->functions);
	free(t->folder);
	free(t->source);
	text_clear(&t->message);
	free(t);
}

unsigned testfile_count(const struct test *t)
{
	return t->count;
}

const char *testfile_name(const struct test *t, unsigned i)
{
	return t->names[i];
}

/* ---- running ----------------------------------------------------------- */

static int run_protected(lua_State *L)
{
	const int *function = lua_touserdata(L, 1);

	lua_rawgeti(L, LUA_REGISTRYINDEX, *function);
	lua_call(L, 0, 0);
	return 0;
}

/* A line of the test file, without what surrounds it; NULL: not there. */
static const char *source_line(const struct test *t, int line, int *n)
{
	const char *at = t->source, *end;

	for (; at && line > 1; line--) {
		at = strchr(at, '\n');
		at += at != NULL;
	}
	if (!at)
		return NULL;
	at += strspn(at, " \t");
	end = at + strcspn(at, "\r\n");
	while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*n = (int)(end - at);
	return at;
}

/* Where in the test file the call came from, and what is written there. */
static void quote(lua_State *L, struct test *t, struct text *out)
{
	const char *line;
	lua_Debug ar;
	int n;

	for (int level = 1; lua_getstack(L, level, &ar); level++) {
		lua_getinfo(L, "Sl", &ar);
		if (ar.currentline <= 0)
			continue;
		snprintf(t->at, sizeof(t->at), "%s:%d", ar.short_src,
			 ar.currentline);
		line = strcmp(ar.source + 1, t->path)
			       ? NULL
			       : source_line(t, ar.currentline, &n);
		if (line)
			text_add(out, "%.*s\n", n, line);
		return;
	}
}

int test_fail(lua_State *L)
{
	struct test *t = test_of(L);
	struct text why = t->message;

	t->message = (struct text){0};
	t->at[0] = '\0';
	quote(L, t, &t->message);
	text_add(&t->message, "%s", why.buf ? why.buf : "");
	text_clear(&why);
	if (*t->rule_error.text)
		text_add(&t->message, "the rules said: %s\n",
			 t->rule_error.text);
	t->failed = true;
	return luaL_error(L, "an expectation does not hold");
}

static void check_expectations(struct test *t)
{
	if (t->failed)
		return;
	if (!t->made)
		text_add(&t->message, "this test expects nothing; "
				      "expect(x).is(y) says what should be\n");
	else if (t->checked < t->made)
		text_add(&t->message,
			 "%u of %u expect() say nothing; write "
			 "expect(x).is(y)\n", t->made - t->checked, t->made);
	else
		return;
	t->failed = true;
}

void testfile_run(struct test *t, unsigned i, struct test_report *report)
{
	struct error err;
	int ret;

	text_clear(&t->message);
	t->failed = false;
	t->made = t->checked = 0;
	t->at[0] = '\0';
	t->rule_error.text[0] = '\0';
	t->running = true;
	ret = script_enter(t->script, run_protected, &t->functions[i],
			   t->names[i], &err);
	t->running = false;
	if (ret && !t->failed) {
		text_clear(&t->message);
		text_add(&t->message, "%s\n", err.text);
		t->failed = true;
	}
	check_expectations(t);
	*report = (struct test_report){
		.passed = !t->failed,
		.at = *t->at ? t->at : NULL,
		.text = t->message.buf ? t->message.buf : "",
	};
}
