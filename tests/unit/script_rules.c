/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From rule{} to struct rule, and what is said when it does not load. */
#include "script_test.h"

#include <errno.h>

static const struct rule *rule_at(struct script *s, unsigned i)
{
	const struct rule *r = script_ruleset(s)->first;

	while (r && i--)
		r = r->next;
	assert_non_null(r);
	return r;
}

static void a_table_becomes_a_rule(void **state)
{
	struct script *s = load_script(
		"rule { name = 'first', match = { proto = 'tcp', dport = 80 },"
		" action = DROP }\n"
		"rule {\n"
		"  where = function() return true end,\n"
		"  rewrite = { ttl = 64, df = true, dscp = 'ef',\n"
		"    dst = '10.0.0.9', dport = 8080.0 },\n"
		"  action = function() end,\n"
		"}\n"
		"rule { rewrite = { mss = '1400' } }\n"
		"rule { action = reject('host-unreachable') }",
		NULL);
	static const enum rewrite_key keys[] = {REWRITE_TTL, REWRITE_DSCP,
						REWRITE_DF, REWRITE_DST,
						REWRITE_DPORT};
	static const uint32_t numbers[] = {64, 46, 1, 0, 8080};
	const struct rule *r = rule_at(s, 0);
	const struct rewrite *w;
	char text[128];

	(void)state;
	assert_int_equal(script_ruleset(s)->count, 4);
	assert_string_equal(r->name, "first");
	assert_string_equal(r->origin, "t.lua:1");
	assert_int_equal(r->where | r->action, 0);
	assert_int_equal(r->constant.kind, VERDICT_DROP);
	assert_string_equal(match_text(r->match, text, sizeof(text)),
			    "proto=tcp dport=80");

	r = rule_at(s, 1);
	assert_string_equal(r->name, "t.lua:2");
	assert_int_equal(r->index, 1);
	assert_null(r->match);
	assert_true(r->where > 0 && r->action > 0 && r->where != r->action);
	w = r->rewrite;
	for (size_t i = 0; i < COUNT(keys); i++, w = w->next) {
		assert_non_null(w);
		assert_int_equal(w->key, keys[i]);
		assert_int_equal(w->number, numbers[i]);
	}
	assert_null(w);

	r = rule_at(s, 2);
	assert_int_equal(r->constant.kind, VERDICT_NONE);
	assert_int_equal(r->action, 0);
	assert_int_equal(r->rewrite->number, 1400);
	r = rule_at(s, 3);
	assert_int_equal(r->constant.kind, VERDICT_REJECT);
	assert_int_equal(r->constant.reject_code, 1);
	script_free(s);
}

static void every_kind_of_match_value(void **state)
{
	static const struct {
		const char *match;
		bool holds; /* for 192.0.2.1:1234 > 198.51.100.7:80 [S] */
	} cases[] = {
		{"proto = 'tcp'", true},
		{"proto = 6", true},
		{"proto = 17", false},
		{"dport = 80", true},
		{"dport = '80'", true},
		{"dport = 80.0", true},
		{"dport = '1-1023'", true},
		{"dport = '!80'", false},
		{"dport = { 22, '79-81' }", true},
		{"dport = { 22, 443 }", false},
		{"src = '192.0.2.0/24'", true},
		{"src = { '10.0.0.0/8', '192.0.2.1-192.0.2.3' }", true},
		{"src = set{ '192.0.2.0/24' }", true},
		{"src = set{ '192.0.2.0/24', '!192.0.2.1' }", false},
		{"src = { '10.0.0.1', set{ '192.0.2.0/24' } }", true},
		{"fragment = false", true},
		{"fragment = true", false},
		{"tcp_flags = 'S/SA'", true},
		{"dir = { 'out', 'in' }", true},
		{"payload = 'GET \\0'", false},
		{"", true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct script *s;
		char text[256];

		snprintf(text, sizeof(text),
			 "rule { match = { %s }, action = DROP }",
			 cases[i].match);
		s = load_script(text, NULL);
		if ((run(s) == VERDICT_DROP) != cases[i].holds)
			fail_msg("%s", cases[i].match);
		script_free(s);
	}
}

static void what_does_not_load_says_where_and_why(void **state)
{
	static const struct {
		const char *text, *error; /* the whole of it */
	} cases[] = {
		{"rule { action = }", "t.lua:1: unexpected symbol near '}'"},
		{"\nx = = 3", "t.lua:2: unexpected symbol near '='"},
		{"\nrule { match = {\n dprot = 80 }, action = DROP }",
		 "t.lua:2: unknown match key 'dprot'; did you mean 'dport'?"},
		{"rule { match = { src = '10.0.0.0/33' }, action = DROP }",
		 NULL},
		{"rule { match = { dport = 70000 }, action = DROP }",
		 "t.lua:1: dport = '70000' is not a port from 0 to 65535 or "
		 "a range such as 1024-65535"},
		{"rule { match = { dport = true }, action = DROP }", NULL},
		{"rule { match = { dport = 1.5 }, action = DROP }",
		 "t.lua:1: dport = 1.5 is not a whole number"},
		{"rule { match = { dport = {} }, action = DROP }",
		 "t.lua:1: dport: the list is empty"},
		{"rule { match = { dport = { low = 3 } }, action = DROP }",
		 "t.lua:1: dport: a list has no names, but this one has "
		 "'low'"},
		{"rule { match = { dport = print_it }, action = DROP }",
		 "t.lua:1: undefined global 'print_it'"},
		{"rule { match = { dport = log }, action = DROP }",
		 "t.lua:1: dport: a value is a string, a number, a boolean, "
		 "a set or a list of them, not a function"},
		{"rule { match = { dport = { { 1 } } }, action = DROP }",
		 "t.lua:1: dport: a value is a string, a number, a boolean, "
		 "a set or a list of them, not a table"},
		{"rule { match = { dport = set{} }, action = DROP }", NULL},
		{"rule { match = { user = 'nobody-such' }, action = DROP }",
		 "t.lua:1: user = 'nobody-such' is not a user of this host, a "
		 "user id or a range such as 1000-1999"},
		{"rule { match = { 'tcp' }, action = DROP }",
		 "t.lua:1: match: keys are names such as dport, not '1'"},
		{"rule { match = 'tcp', action = DROP }",
		 "t.lua:1: rule: match must be a table, not a string"},
		{"rule { match = { dport = 80 } }",
		 "t.lua:1: rule: neither action nor rewrite; give it action = "
		 "function(pkt) ... end, a verdict such as DROP, or rewrite "
		 "= { ... }"},
		{"rule { where = function() end }",
		 "t.lua:1: rule: neither action nor rewrite; give it action = "
		 "function(pkt) ... end, a verdict such as DROP, or rewrite "
		 "= { ... }"},
		{"rule { actoin = DROP }",
		 "t.lua:1: rule: unknown key 'actoin'; did you mean "
		 "'action'?"},
		{"rule { DROP }", "t.lua:1: rule: unknown key '1'"},
		{"rule { action = 'DROP' }",
		 "t.lua:1: rule: action must be a function or a verdict, not "
		 "the string 'DROP'; ACCEPT, DROP and REJECT are written "
		 "without quotes"},
		{"rule { action = 3 }",
		 "t.lua:1: rule: action must be a function or a verdict, not "
		 "a number"},
		{"rule { action = REJCT }",
		 "t.lua:1: undefined global 'REJCT'; did you mean 'REJECT'?"},
		{"rule { action = reject('nonsense') }",
		 "t.lua:1: reject: no unreachable code is named 'nonsense'; "
		 "\"admin-prohibited\", \"host-unreachable\" or "
		 "\"port-unreachable\" are some"},
		{"rule { action = via('wg 0') }",
		 "t.lua:1: via: 'wg 0' is no name of an interface that packets "
		 "can leave by"},
		{"rule { action = via('lo') }",
		 "t.lua:1: via: 'lo' is no name of an interface that packets "
		 "can leave by"},
		{"rule { action = via('an-interface-too-long') }",
		 "t.lua:1: via: 'an-interface-too-long' is no name of an "
		 "interface that packets can leave by"},
		{"rule { action = via('wg0\\0') }",
		 "t.lua:1: via: 'wg0' is no name of an interface that packets "
		 "can leave by"},
		{"rule { action = via() }",
		 "t.lua:1: bad argument #1 to 'via' (string expected, got no "
		 "value)"},
		{"for i = 1, 9 do via('wg' .. i) end",
		 "t.lua:1: via: more than 8 interfaces"},
		{"rule { action = DROP, where = true }",
		 "t.lua:1: rule: where must be a function, not a boolean"},
		{"rule { action = DROP, name = 3 }",
		 "t.lua:1: rule: name must be a string, not a number"},
		{"rule { action = DROP, name = 'a\\nb' }",
		 "t.lua:1: rule: name must be a text of one line"},
		{"rule { rewrite = { tll = 3 } }",
		 "t.lua:1: unknown rewrite key 'tll'; did you mean 'ttl'?"},
		{"rule { rewrite = { ttl = 300 } }",
		 "t.lua:1: ttl = '300' is not a TTL from 1 to 255"},
		{"rule { rewrite = {} }", "t.lua:1: rule: rewrite is empty"},
		{"rule { rewrite = { 3 } }",
		 "t.lua:1: rewrite: keys are names such as dport, not '1'"},
		{"rule(3)", "t.lua:1: bad argument #1 to 'rule' (table "
			    "expected, got number)"},
		{"policy(REJECT)", "t.lua:1: policy() takes ACCEPT or DROP"},
		{"on_error('DROP')",
		 "t.lua:1: on_error() takes ACCEPT or DROP"},
		{"capture { dir = 'up' }",
		 "t.lua:1: capture: dir is \"out\", \"in\" or \"forward\", "
		 "not 'up'"},
		{"capture { dri = 'in' }",
		 "t.lua:1: capture: unknown key 'dri'; did you mean 'dir'?"},
		{"\n\nwhile true do end",
		 "t.lua:3: ran over its budget of 100000 instructions while "
		 "loading"},
		{"local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(9999) .. i "
		 "end",
		 "t.lua: needs more than 4194304 bytes of memory (--memory)"},
		{"error('told\\nyou')", "t.lua:1: told you"},
		{"error { 1 }", NULL},
		{"error()", "t.lua:1: nil"},
		{"\27Lua", NULL},
	};
	static const struct script_limits limits = {
		.load_instructions = 100000,
		.memory = 4 << 20,
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct script *s = make_script(&limits);
		struct error err = {.text = ""};

		if (script_load_text(s, "t.lua", cases[i].text,
				     strlen(cases[i].text), &err) != -EINVAL)
			fail_msg("loads: %s", cases[i].text);
		if (cases[i].error && strcmp(err.text, cases[i].error))
			fail_msg("%s\n  said: %s", cases[i].text, err.text);
		assert_has(err.text, "t.lua", cases[i].text);
		script_free(s);
	}
}

/* Whether the line can be told depends on what little memory is left. */
/* What a name needs is prepared before the first packet: it is known where a
 * source says it, wherever the call is. */
static void interfaces_are_known_when_the_source_is_read(void **state)
{
	static const char *const known[] = {"wg0", "wg1", "wg2", "wg3"};
	struct script *s = load_script(
		"rule { action = via('wg0') }\n"
		"local name = 'wg' .. 1\n"
		"local out = via(name)\n"
		"rule { action = function(pkt)\n"
		"  if pkt.len > 100 then return via 'wg2' end\n"
		"  if pkt.len > 10 then return via(\"wg3\") end\n"
		"  if pkt.len > 9 then return via('wg' .. pkt.len) end\n"
		"  -- via('wg4')\n"
		"  local s = \"via('wg5')\"\n"
		"  return out end }\n"
		"assert(tostring(out) == 'VIA(wg1)')",
		NULL);
	const char *name[SCRIPT_VIAS_MAX];
	const struct rule *r = rule_at(s, 0);
	unsigned n = script_vias(s, name);

	(void)state;
	assert_int_equal(n, COUNT(known));
	for (size_t i = 0; i < COUNT(known); i++) {
		bool found = false;

		for (unsigned k = 0; k < n; k++)
			found |= !strcmp(name[k], known[i]);
		if (!found)
			fail_msg("%s is not known", known[i]);
	}
	assert_int_equal(r->action, 0);
	assert_int_equal(r->constant.kind, VERDICT_VIA);
	assert_string_equal(r->constant.via, "wg0");
	script_free(s);
}

static void rules_without_end_meet_the_ceiling(void **state)
{
	static const char text[] = "for i = 1, 1e9 do rule { action = DROP } "
				   "end";
	static const struct script_limits limits = {.memory = 4 << 20};
	struct script *s = make_script(&limits);
	struct error err = {.text = ""};

	(void)state;
	assert_int_equal(script_load_text(s, "t.lua", text, sizeof(text) - 1,
					  &err),
			 -EINVAL);
	assert_has(err.text, "t.lua:", text);
	assert_has(err.text, "needs more than 4194304 bytes of memory", text);
	script_free(s);
}

static void a_rule_that_fails_in_a_pcall_leaves_nothing(void **state)
{
	struct script *s = load_script(
		"pcall(rule, { match = { dport = 80 }, name = 'x',\n"
		"  rewrite = { ttl = 3 } , action = 3 })\n"
		"pcall(rule, { match = { dport = 80 }, bad = 1 })\n"
		"rule { action = DROP }",
		NULL);

	(void)state;
	assert_int_equal(script_ruleset(s)->count, 1);
	assert_string_equal(rule_at(s, 0)->name, "t.lua:4");
	script_free(s);
}

static void policy_and_captures_are_set(void **state)
{
	struct script *s = load_script("", NULL);

	(void)state;
	assert_int_equal(script_ruleset(s)->policy, VERDICT_ACCEPT);
	assert_int_equal(script_ruleset(s)->on_error, VERDICT_ACCEPT);
	assert_int_equal(script_ruleset(s)->dirs, 1 << DIR_OUT);
	script_free(s);
	s = load_script("policy(DROP) on_error(DROP)\n"
			"capture { dir = { 'in', 'forward' } }",
			NULL);
	assert_int_equal(script_ruleset(s)->policy, VERDICT_DROP);
	assert_int_equal(script_ruleset(s)->on_error, VERDICT_DROP);
	assert_int_equal(script_ruleset(s)->dirs,
			 1 << DIR_OUT | 1 << DIR_IN | 1 << DIR_FORWARD);
	assert_int_equal(run(s), VERDICT_DROP);
	script_free(s);
	s = load_script("capture { dir = 'in' }", NULL);
	assert_int_equal(script_ruleset(s)->dirs, 1 << DIR_OUT | 1 << DIR_IN);
	script_free(s);
}

static void files_share_globals_and_keep_their_order(void **state)
{
	static const char *const names[] = {"a.lua", "b.lua"};
	static const char *const texts[] = {
		"shared = DROP rule { action = function() end }",
		"rule { action = function() return shared end }",
	};
	struct script *s = make_script(NULL);
	struct error err;

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++)
		assert_int_equal(script_load_text(s, names[i], texts[i],
						  strlen(texts[i]), &err),
				 0);
	script_seal(s);
	assert_string_equal(rule_at(s, 0)->name, "a.lua:1");
	assert_string_equal(rule_at(s, 1)->name, "b.lua:1");
	assert_int_equal(run(s), VERDICT_DROP);
	assert_int_equal(script_load_text(s, "c.lua", "", 0, &err), -EINVAL);
	assert_string_equal(err.text, "c.lua: rules cannot be added any more");
	script_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_becomes_a_rule),
		cmocka_unit_test(every_kind_of_match_value),
		cmocka_unit_test(what_does_not_load_says_where_and_why),
		cmocka_unit_test(interfaces_are_known_when_the_source_is_read),
		cmocka_unit_test(rules_without_end_meet_the_ceiling),
		cmocka_unit_test(a_rule_that_fails_in_a_pcall_leaves_nothing),
		cmocka_unit_test(policy_and_captures_are_set),
		cmocka_unit_test(files_share_globals_and_keep_their_order),
	};

	return cmocka_run_group_tests_name("script/rules", tests, NULL, NULL);
}
