/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is noticed in the source of a rule file, and what is not. */
#include "script_test.h"

#include <unistd.h>

#include "script/lint.h"
#include "script/lint_source.h"

static char said[4096];

static void hear(void *arg, unsigned line, const char *text)
{
	size_t n = strlen(said);

	(void)arg;
	snprintf(said + n, sizeof(said) - n, "%u %s\n", line, text);
}

/* Lints text as a file that a state has loaded; load: it is. */
static struct lint lint_text(const char *text, bool load)
{
	char path[] = "/tmp/lint.XXXXXX";
	int fd = mkstemp(path);
	struct script *s = make_script(NULL);
	struct lint lint = {.warn = hear};
	struct error err = {.text = ""};

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	if (load && script_load(s, path, &err))
		fail_msg("%s", err.text);
	script_seal(s);
	said[0] = '\0';
	if (lint_file(s, path, &lint, &err))
		fail_msg("%s", err.text);
	unlink(path);
	script_free(s);
	return lint;
}

#define UNKNOWN(line, name) #line " unknown global '" name "'"
#define ASSIGNED(line, name)                                                   \
	#line " assignment to global '" name "' inside a function fails once " \
	      "packets come; declare it local at the top of the file\n"

static void names_are_told_apart(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"", ""},
		{"local a = 1; function f() return a, f, log, string end", ""},
		{"function f() return x end", UNKNOWN(1, "x") "\n"},
		{"function f() return (x) end", UNKNOWN(1, "x") "\n"},
		{"\n\nfunction f()\nreturn x end", UNKNOWN(4, "x") "\n"},
		/* Once is enough. */
		{"function f() return x, x end", UNKNOWN(1, "x") "\n"},
		/* What a local's own value is made of is not the local. */
		{"function f() local x = x end", UNKNOWN(1, "x") "\n"},
		{"function f() local function x() return x end end", ""},
		{"function f() for x in x do end end", UNKNOWN(1, "x") "\n"},
		{"function f() for x = 1, 2 do f(x) end f(x) end",
		 UNKNOWN(1, "x") "\n"},
		{"function f() repeat local x until x end", ""},
		{"function f() while f do local x end f(x) end",
		 UNKNOWN(1, "x") "\n"},
		{"function f() if f then local x else f(x) end end",
		 UNKNOWN(1, "x") "\n"},
		{"function f(x, ...) return x, ... end", ""},
		{"local t = {} function t.f() return self end",
		 UNKNOWN(1, "self") "\n"},
		{"local t = {} function t:f() return self end", ""},
		{"local t = { a = { b = {} } } function t.a.b:f() "
		 "return self end", ""},
		{"local x <const> = 1 local function f() return x end", ""},
		/* Names that are none. */
		{"local t = { x = 1, ['y'] = 2, [3] = 4 } local u = t.z", ""},
		{"local function f() goto x ::x:: end", ""},
		{"local function f() return 'x', [==[ y ]] ]==], \"\\\"z\" end",
		 ""},
		{"local function f() --[[ x\n y ]] end -- z", ""},
		{"local function f() return 0xffp+3, 1e-5, 3 .. 4, .5 end", ""},
		{"local function f() return a.b.c, d[e], g:h(i), j'k' end",
		 UNKNOWN(1, "a") "\n" UNKNOWN(1, "d") "\n" UNKNOWN(1, "e") "\n"
		 UNKNOWN(1, "g") "\n" UNKNOWN(1, "i") "\n"
		 UNKNOWN(1, "j") "\n"},
		/* The nearest name, local or not. */
		{"local total = 1 function f() return totl end",
		 UNKNOWN(1, "totl") "; did you mean 'total'?\n"},
		{"function f() return caputre end",
		 UNKNOWN(1, "caputre") "; did you mean 'capture'?\n"},
		{"function f() print(1) end",
		 UNKNOWN(1, "print") "; log(...) writes a line\n"},
		/* Assignments: at the top they are made, elsewhere refused. */
		{"x = 1 function f() return x end", ""},
		{"function f() return x end x = 1", ""},
		{"function f() x = 1 end", ASSIGNED(1, "x")},
		{"function f() x, f.y = 1, 2 return x end", ASSIGNED(1, "x")},
		{"function f() function x() end end", ASSIGNED(1, "x")},
		{"local x function f() x = 1 end", ""},
		{"do local y end if log then x = 1 end", ""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		lint_text(cases[i].text, true);
		if (strcmp(said, cases[i].want))
			fail_msg("%s\n said: %snot: %s", cases[i].text, said,
				 cases[i].want);
	}
}

static void what_grows_a_set_is_seen(void **state)
{
	(void)state;
	assert_true(lint_text("local s = set {} local function f(p) "
			      "s:add(p.src) end", true).sets_grow);
	assert_false(lint_text("local s = set {} local function f(p) "
			       "return s:has(p.src), s.add end -- s:add()",
			       true).sets_grow);
}

static void a_where_that_a_match_could_say(void **state)
{
	static const struct {
		const char *body, *match; /* NULL: no match says it */
	} cases[] = {
		{"return p.dport == 80", "{ dport = 80 }"},
		{"return p.dport == 0x50;", "{ dport = 80 }"},
		{"return 80 == p.dport", "{ dport = 80 }"},
		{"return p.dport ~= 80", "{ dport = \"!80\" }"},
		{"return p.ip.ttl < 5", "{ ttl = \"0-4\" }"},
		{"return p.ip.ttl <= 5", "{ ttl = \"0-5\" }"},
		{"return p.ip.ttl > 5", "{ ttl = \"6-255\" }"},
		{"return p.ip.ttl >= 5", "{ ttl = \"5-255\" }"},
		{"return 5 > p.ip.ttl", "{ ttl = \"0-4\" }"},
		{"return 5 <= p.ip.ttl", "{ ttl = \"5-255\" }"},
		{"return p.ip.ttl > 5 and p.ip.ttl < 9", "{ ttl = \"6-8\" }"},
		{"return p.ip.ttl > 253 and p.ip.ttl < 255", "{ ttl = 254 }"},
		{"return p.tcp.dport == 80 and p.tcp.sport == 1",
		 "{ proto = \"tcp\", dport = 80, sport = 1 }"},
		{"return p.src == '10.0.0.1' and p.ip.dst ~= \"10.0.0.2\"",
		 "{ src = '10.0.0.1', dst = \"!10.0.0.2\" }"},
		{"return p.proto == 'udp'", "{ proto = 'udp' }"},
		{"return p.dir == 'in'", "{ dir = 'in' }"},
		{"return p.len >= 1000", "{ len = \"1000-65535\" }"},
		{"return list:has(p.dst)", "{ dst = list }"},
		{"return list:has(p.src) and p.dport == 1",
		 "{ src = list, dport = 1 }"},
		{"return p.ip.ttl < 5 or p.dport == 1", NULL},
		{"return not (p.dport == 1)", NULL},
		{"return p.dport == port", NULL},
		{"return q.dport == 1", NULL},
		{"return p.dport == p.sport", NULL},
		{"return p.dport == 1.5", NULL},
		{"return p.dport == 010", NULL},
		{"return p.dport < 0", NULL},
		{"return p.ip.ttl > 255", NULL},
		{"return p.dport == 65536", NULL},
		{"return p.ip.ttl < 3 and p.ip.ttl > 5", NULL},
		{"return p.tcp.dport == 1 and p.udp.sport == 2", NULL},
		{"return p.src < '10.0.0.1'", NULL},
		{"return p.src == 1", NULL},
		{"return p.payload == 'x'", NULL},
		{"return p.tcp.flags == 'S'", NULL},
		{"return p.dport + 1 == 80", NULL},
		{"return p.dport == 80 + 1", NULL},
		{"return p:u8(1) == 80", NULL},
		{"return list:has(p.payload)", NULL},
		{"return p", NULL},
		{"log(p) return p.dport == 1", NULL},
		{"if p then return p.dport == 1 end", NULL},
		{"return p.dport == 1, 2", NULL},
		{"", NULL},
	};
	char text[256], match[256];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct reader r;
		bool could;

		snprintf(text, sizeof(text), "function(p) %s end, x = 1",
			 cases[i].body);
		r = (struct reader){text, text + strlen(text), 1};
		could = where_as_match(r, match, sizeof(match));
		if (could != !!cases[i].match ||
		    (could && strcmp(match, cases[i].match)))
			fail_msg("%s: %s", cases[i].body,
				 could ? match : "no match");
	}
}

static void nothing(void *arg, const struct token *name)
{
	(void)arg;
	(void)name;
}

static void nothing_depth(void *arg, const struct token *name, unsigned depth)
{
	(void)depth;
	nothing(arg, name);
}

static void nothing_field(void *arg, const struct token *name, struct reader r)
{
	(void)r;
	nothing(arg, name);
}

/* Whatever it is given: it ends, inside the text. */
static void no_text_confuses_it(void **state)
{
	static const char sample[] =
		"#!/x\nlocal a <const>, b = { x = 1, [2] = 'y'; \"z\\\"\" }, "
		"[==[ ]] ]==] function f(a, ...) for i = 1, #a do a[i]:b(c) "
		"end repeat goto x until not a.b .. 0x1p-3 ::x:: end "
		"--[[ c ]] rule { where = function(p) return p.dport == 1 "
		"and list:has(p.src) end }";
	static struct scope scope;

	(void)state;
	scope.events = (struct scope_events){NULL, nothing, nothing_depth,
					     nothing, nothing_field};
	for (size_t from = 0; from < sizeof(sample); from++)
		for (size_t n = 0; n < sizeof(sample) - from; n++) {
			char *text = malloc(n ? n : 1);
			char match[64];
			struct reader r = {text, text + n, 1};

			memcpy(text, sample + from, n);
			while (token_next(&r).kind != TOKEN_END)
				;
			assert_ptr_equal(r.at, text + n);
			where_as_match((struct reader){text, text + n, 1},
				       match, sizeof(match));
			scope_read(&scope, text, n);
			free(text);
		}
	assert_true(scope_read(&scope, sample, sizeof(sample) - 1));
	assert_false(scope_read(&scope, sample, sizeof(sample) - 3));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_told_apart),
		cmocka_unit_test(what_grows_a_set_is_seen),
		cmocka_unit_test(a_where_that_a_match_could_say),
		cmocka_unit_test(no_text_confuses_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
