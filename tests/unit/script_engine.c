/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls: verdicts, errors, what the world is asked for, modules, sets. */
#include "script_test.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static void what_an_action_returns_becomes_a_verdict(void **state)
{
	static const struct {
		const char *body;
		enum verdict_kind kind;
		int code;
		uint32_t count;
		const char *error;
	} cases[] = {
		{.body = "", .kind = VERDICT_ACCEPT}, /* the policy */
		{.body = "return nil", .kind = VERDICT_ACCEPT},
		{.body = "return ACCEPT", .kind = VERDICT_ACCEPT},
		{.body = "return DROP", .kind = VERDICT_DROP},
		{.body = "return DROP, ACCEPT", .kind = VERDICT_DROP},
		{.body = "return REJECT",
		 .kind = VERDICT_REJECT,
		 .code = REJECT_DEFAULT},
		{.body = "return reject()",
		 .kind = VERDICT_REJECT,
		 .code = REJECT_DEFAULT},
		{.body = "return reject('admin-prohibited')",
		 .kind = VERDICT_REJECT,
		 .code = 13},
		{.body = "return reject(0)", .kind = VERDICT_REJECT},
		{.body = "return reject(15)",
		 .kind = VERDICT_REJECT,
		 .code = 15},
		{.body = "return pkt", .kind = VERDICT_REPLACE, .count = 1},
		{.body = "return pkt:clone()",
		 .kind = VERDICT_REPLACE,
		 .count = 1},
		{.body = "return { pkt:rst(), pkt, pkt:clone() }",
		 .kind = VERDICT_REPLACE,
		 .count = 3},
		{.body = "return {}",
		 .kind = VERDICT_ERROR,
		 .error = "rule r: t.lua:1: returned an empty table; expected "
			  "a verdict (DROP to discard the packet)"},
		{.body = "return { pkt, 3 }",
		 .kind = VERDICT_ERROR,
		 .error = "rule r: t.lua:1: returned a list whose item 2 is a "
			  "number; expected a packet"},
		{.body = "return { x = 1 }",
		 .kind = VERDICT_ERROR,
		 .error = "rule r: t.lua:1: returned an empty table; expected "
			  "a verdict (DROP to discard the packet)"},
		{.body = "return 3",
		 .kind = VERDICT_ERROR,
		 .error = "rule r: t.lua:1: returned a number; expected a "
			  "verdict or a packet"},
		{.body = "return true",
		 .kind = VERDICT_ERROR,
		 .error = "rule r: t.lua:1: returned a boolean; expected a "
			  "verdict or a packet"},
		{.body = "return 'DROP'",
		 .kind = VERDICT_ERROR,
		 .error = "rule r: t.lua:1: returned a string; expected a "
			  "verdict or a packet"},
		{.body = "return pkt.ip",
		 .kind = VERDICT_ERROR,
		 .error = "rule r: t.lua:1: returned a userdata; expected a "
			  "verdict or a packet"},
		{.body = "return reject(16)",
		 .kind = VERDICT_ERROR,
		 .error = "rule r: t.lua:1: reject: code 16 is not in 0..15"},
		{.body = "\nerror('boom')",
		 .kind = VERDICT_ERROR,
		 .error = "rule r: t.lua:2: boom"},
		{.body = "\nerror('two\\nlines')",
		 .kind = VERDICT_ERROR,
		 .error = "rule r: t.lua:2: two lines"},
		{.body = "\nerror('bare', 0)",
		 .kind = VERDICT_ERROR,
		 .error = "rule r: t.lua:2: bare"},
		{.body = "\nerror({})",
		 .kind = VERDICT_ERROR,
		 .error = "rule r: t.lua:2: table: "},
		{.body = "\nerror()",
		 .kind = VERDICT_ERROR,
		 .error = "rule r: t.lua:2: nil"},
		{.body = "\n\nlocal x = nil + 1",
		 .kind = VERDICT_ERROR,
		 .error = "rule r: t.lua:3: attempt to perform arithmetic on "
			  "a nil value"},
		{.body = "rule {}",
		 .kind = VERDICT_ERROR,
		 .error = "rule() can only be called while the file is "
			  "loading, not in an action"},
		{.body = "policy(DROP)",
		 .kind = VERDICT_ERROR,
		 .error = "policy() can only be called while"},
		{.body = "on_error(DROP)",
		 .kind = VERDICT_ERROR,
		 .error = "on_error() can only be called while"},
		{.body = "capture { dir = 'in' }",
		 .kind = VERDICT_ERROR,
		 .error = "capture() can only be called while"},
		{.body = "require 'x'",
		 .kind = VERDICT_ERROR,
		 .error = "require() can only be called while"},
		{.body = "set.file('x')",
		 .kind = VERDICT_ERROR,
		 .error = "set.file() can only be called while"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct script_usage u;
		struct script *s;
		struct packet p;
		struct verdict v;
		char text[512];

		snprintf(text, sizeof(text),
			 "rule { name = 'r', action = function(pkt) %s end }",
			 cases[i].body);
		s = load_script(text, NULL);
		make_packet(&p, 6);
		v = run_packet(s, &p);
		if (v.kind != cases[i].kind)
			fail_msg("%s: %s: %s", cases[i].body,
				 verdict_name(v.kind), script_error(s));
		if (v.kind == VERDICT_REJECT)
			assert_int_equal(v.reject_code, cases[i].code);
		if (v.kind == VERDICT_REPLACE)
			assert_int_equal(v.count, cases[i].count);
		if (cases[i].error)
			assert_has(script_error(s), cases[i].error, text);
		script_usage(s, &u);
		assert_int_equal(u.calls, 1);
		assert_int_equal(u.errors, v.kind == VERDICT_ERROR);
		script_free(s);
	}
}

static void replacements_live_until_the_next_call(void **state)
{
	struct script *s = load_script("rule { action = function(pkt)\n"
				       "  local c = pkt:clone()\n"
				       "  c.ip.ttl = 9\n"
				       "  return { pkt, c }\n"
				       "end }",
				       NULL);
	struct packet p;
	struct verdict v;
	uint32_t ttl;

	(void)state;
	for (int i = 0; i < 100; i++) {
		make_packet(&p, 6);
		v = run_packet(s, &p);
		assert_int_equal(v.kind, VERDICT_REPLACE);
		assert_int_equal(v.count, 2);
		assert_ptr_equal(v.packets[0], &p);
		assert_int_equal(packet_get(v.packets[1], FIELD_IP_TTL, &ttl),
				 0);
		assert_int_equal(ttl, 9);
		assert_true(packet_ip_checksum_ok(v.packets[1]));
	}
	script_free(s);
}

static void where_is_a_condition(void **state)
{
	static const struct {
		const char *body;
		enum verdict_kind kind;
	} cases[] = {
		{"return true", VERDICT_DROP},
		{"return 1", VERDICT_DROP},
		{"return false", VERDICT_ACCEPT},
		{"return nil", VERDICT_ACCEPT},
		{"", VERDICT_ACCEPT},
		{"return pkt.dport == 80", VERDICT_DROP},
		{"return pkt.dport == 81", VERDICT_ACCEPT},
		{"error('x')", VERDICT_ERROR},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct script *s;
		char text[256];

		snprintf(text, sizeof(text),
			 "rule { where = function(pkt) %s end, action = DROP }",
			 cases[i].body);
		s = load_script(text, NULL);
		if (run(s) != cases[i].kind)
			fail_msg("%s: %s", cases[i].body, script_error(s));
		if (cases[i].kind == VERDICT_ERROR)
			assert_string_equal(script_error(s),
					    "rule t.lua:1: t.lua:1: x");
		script_free(s);
	}
}

/* Files may still be loaded after a call as long as nothing is sealed: the
 * one moment when Lua runs and there is no packet. */
static void a_kept_packet_says_that_it_is_gone(void **state)
{
	static const char first[] =
		"box = {}\n"
		"rule { action = function(pkt)\n"
		"  box.packet, box.ip, box.copy = pkt, pkt.ip, pkt:clone()\n"
		"end }";
	static const char *const gone[] = {
		"return box.packet.len",     "return box.ip.ttl",
		"box.packet.ip.ttl = 3",     "box.ip.ttl = 3",
		"return box.packet:clone()", "send(box.packet)",
		"audit(box.packet, 'x')",    "return tostring(box.packet)",
	};
	static const char lives[] = "assert(box.copy.dport == 80)";
	struct script *s = make_script(NULL);
	struct error err = {.text = ""};

	(void)state;
	assert_int_equal(
		script_load_text(s, "t.lua", first, sizeof(first) - 1, &err),
		0);
	assert_int_equal(run(s), VERDICT_ACCEPT);
	for (size_t i = 0; i < COUNT(gone); i++) {
		assert_int_equal(script_load_text(s, "t.lua", gone[i],
						  strlen(gone[i]), &err),
				 -EINVAL);
		assert_has(err.text,
			   "this packet is gone: it was only valid "
			   "inside the call that got it",
			   gone[i]);
	}
	assert_int_equal(
		script_load_text(s, "t.lua", lives, sizeof(lives) - 1, &err),
		0);
	script_free(s);
}

static int64_t test_now;
static char last_log[128], last_count[64], last_note[64];
static uint64_t counted;
static int sent, send_result;

static int host_send(void *arg, struct packet *p)
{
	(void)arg;
	assert_int_equal(p->proto, 6);
	sent++;
	return send_result;
}

static void host_log(void *arg, const char *text)
{
	(void)arg;
	snprintf(last_log, sizeof(last_log), "%s", text);
}

static void host_count(void *arg, const char *name, uint64_t n)
{
	(void)arg;
	snprintf(last_count, sizeof(last_count), "%s", name);
	counted += n;
}

static void host_audit(void *arg, struct packet *p, const char *note)
{
	(void)arg;
	assert_int_equal(p->proto, 6);
	snprintf(last_note, sizeof(last_note), "%s", note);
}

static void host_resolve(struct packet *p, void *arg)
{
	(void)arg;
	p->ifindex = 7;
	p->iface = "eth7";
}

static int64_t host_now(void *arg)
{
	(void)arg;
	return test_now;
}

static const struct script_host host = {
	.send = host_send,
	.log = host_log,
	.count = host_count,
	.audit = host_audit,
	.resolve = host_resolve,
	.now = host_now,
};

static void the_world_is_asked_through_the_host(void **state)
{
	struct script *s = load_script(
		"rule { action = function(pkt)\n"
		"  log('a', 1, nil, pkt.iface, DROP)\n"
		"  count('hits')\n"
		"  count('hits', 41)\n"
		"  audit(pkt, 'seen')\n"
		"  local ok, why = send(pkt:rst())\n"
		"  return ok and ACCEPT or why == 'No buffer space available'\n"
		"    and DROP\n"
		"end }",
		NULL);

	(void)state;
	script_set_host(s, &host);
	send_result = 0;
	assert_int_equal(run(s), VERDICT_ACCEPT);
	assert_string_equal(last_log, "a 1 nil eth7 DROP");
	assert_string_equal(last_count, "hits");
	assert_int_equal(counted, 42);
	assert_string_equal(last_note, "seen");
	assert_int_equal(sent, 1);
	send_result = -ENOBUFS;
	assert_int_equal(run(s), VERDICT_DROP);
	script_free(s);
}

static void without_a_host_the_error_says_so(void **state)
{
	static const char *const names[] = {"send", "log", "count", "audit"};
	static const char *const args[] = {"pkt:clone()", "'x'", "'x'",
					   "pkt, 'x'"};

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		char body[128], expected[128];

		snprintf(body, sizeof(body), "%s(%s)", names[i], args[i]);
		snprintf(expected, sizeof(expected),
			 "%s() is not available here", names[i]);
		assert_action_fails(body, expected, NULL);
	}
	assert_action_fails("send(pkt, { delay = 1 })",
			    "send() is not available here", NULL);
	assert_action_fails("count('x', -1)", "a counter only goes up", NULL);
	assert_action_fails("send(3)", "packet expected, got number", NULL);
}

static void sets_in_lua(void **state)
{
	struct script *s = load_script(
		"local s = set{ '10.0.0.0/8', '!10.1.0.0/16', '192.0.2.1' }\n"
		"local step = 0\n"
		"local function check(what) if not what then\n"
		"  error('step ' .. step, 2) end end\n"
		"rule { action = function(pkt)\n"
		"  step = step + 1\n"
		"  if step == 1 then\n"
		"    check(s:has('10.2.3.4')) check(not s:has('10.1.3.4'))\n"
		"    check(s:has(pkt.src)) check(not s:has('203.0.113.1'))\n"
		"    check(#s == 3) check(tostring(s) == 'set t.lua:1')\n"
		"    s:add('203.0.113.0/24', 10)\n"
		"    check(s:has('203.0.113.1'))\n"
		"    s:add('!203.0.113.2') check(not s:has('203.0.113.2'))\n"
		"    s:add('198.18.0.1-198.18.0.6')\n"
		"    check(s:has('198.18.0.6') and not s:has('198.18.0.7'))\n"
		"  elseif step == 2 then\n"
		"    check(not s:has('203.0.113.1'))\n"
		"    check(s:remove('10.0.0.0/8'))\n"
		"    check(not s:remove('10.0.0.0/8'))\n"
		"    check(s:remove('!10.1.0.0/16'))\n"
		"    check(not s:has('10.2.3.4'))\n"
		"  end\n"
		"  return ACCEPT\n"
		"end }",
		NULL);

	(void)state;
	script_set_host(s, &host);
	test_now = 1000000000;
	if (run(s) != VERDICT_ACCEPT)
		fail_msg("%s", script_error(s));
	test_now += 11000000000;
	if (run(s) != VERDICT_ACCEPT)
		fail_msg("%s", script_error(s));
	script_free(s);
}

static void sets_say_what_is_wrong(void **state)
{
	static const struct {
		const char *body, *error;
	} cases[] = {
		{"set{ 3 }", "set: an address is a string, not a number"},
		{"set{ src = '10.0.0.1' }", "without names"},
		{"set('10.0.0.1')", "table expected, got string"},
		{"set{ '10.0.0.1/8' }", "set: "},
		{"set{}:has('x')", "set:has: 'x' is not an address"},
		{"set{}:has()", "string expected, got no value"},
		{"set{}.has({}, '10.0.0.1')", "set expected, got table"},
		{"set{}:add('10.0.0.1', -1)", "seconds must be above 0"},
		{"set{}:add('10.0.0.1', 0/0)", "seconds must be above 0"},
		{"set{}:add('nonsense')", "set: "},
		{"set{}:remove('nonsense')", "set:remove: "},
		{"set{}.x = 1", "attempt to index a set value"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_action_fails(cases[i].body, cases[i].error, NULL);
}

static void a_set_in_a_match_is_the_script_s_own(void **state)
{
	struct script *s = load_script(
		"local blocked = set{}\n"
		"rule { match = { src = blocked }, action = DROP }\n"
		"rule { action = function(pkt)\n"
		"  blocked:add(pkt.src) return ACCEPT end }",
		NULL);

	(void)state;
	assert_int_equal(run(s), VERDICT_ACCEPT);
	assert_int_equal(run(s), VERDICT_DROP);
	script_free(s);
}

static void packets_allocate_nothing(void **state)
{
	struct script *s = load_script(
		"local n = 0\n"
		"rule { match = { proto = 'tcp' },\n"
		"  where = function(pkt) return pkt.tcp.syn end,\n"
		"  action = function(pkt)\n"
		"    n = n + pkt.len + pkt.ip.ttl + pkt.tcp.window\n"
		"    pkt.ip.ttl = pkt.ip.ttl - 1\n"
		"    pkt.tcp.window = n % 65536\n"
		"    pkt.ip.dscp = 46\n"
		"    pkt.tcp.ack = true\n"
		"    pkt.dport = pkt.dport + 1\n"
		"    if pkt.src == pkt.dst or pkt.tcp.flags == 'F' or\n"
		"       pkt.dir == pkt.way or pkt.proto ~= 'tcp' then\n"
		"      n = n + pkt:u8(1)\n"
		"    end\n"
		"    pkt.dst = '198.51.100.8'\n"
		"    if n % 3 == 0 then return reject(13) end\n"
		"    return DROP\n"
		"  end }",
		NULL);
	struct script_usage before, after;

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_int_not_equal(run(s), VERDICT_ERROR);
	script_usage(s, &before);
	for (int i = 0; i < 10000; i++)
		run(s);
	script_usage(s, &after);
	assert_int_equal(after.memory, before.memory);
	assert_int_equal(after.memory_peak, before.memory_peak);
	assert_int_equal(after.calls, before.calls + 20000);
	assert_int_equal(after.errors, 0);
	script_free(s);
}

/* ---- files ------------------------------------------------------------- */

static char folder[64];

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static const char *const files[] = {
	"rule/main.lua",      "rule/helper.lua",    "rule/sub/deep.lua",
	"rule/loop.lua",      "rule/broken.lua",    "rule/blocked.txt",
	"library/common.lua", "library/helper.lua", "outside.lua",
};
static const char *const folders[] = {"", "/rule", "/rule/sub", "/library"};

static int make_files(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/script-test-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	for (size_t i = 1; i < COUNT(folders); i++) {
		char path[128];

		snprintf(path, sizeof(path), "%s%s", folder, folders[i]);
		if (mkdir(path, 0700))
			return -1;
	}
	write_file("rule/helper.lua",
		   "local name = ... return { name = name, drop = DROP }");
	write_file("rule/sub/deep.lua", "loaded_deep = true");
	write_file("rule/loop.lua", "return require 'loop'");
	write_file("rule/broken.lua", "\n\nreturn +");
	write_file("rule/blocked.txt", "# nobody\n192.0.2.0/24 # here\n\n");
	write_file("library/common.lua", "return { x = 3 }");
	write_file("library/helper.lua", "return { drop = ACCEPT }");
	write_file("outside.lua", "return 1");
	return 0;
}

static int remove_files(void **state)
{
	char path[128];

	(void)state;
	for (size_t i = 0; i < COUNT(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
		unlink(path);
	}
	for (size_t i = COUNT(folders); i--;) {
		snprintf(path, sizeof(path), "%s%s", folder, folders[i]);
		rmdir(path);
	}
	return 0;
}

/* Loads rule/main.lua with that text. */
static struct script *load_main(const char *text, int expected,
				struct error *err)
{
	char path[128], library[128];
	struct script *s;

	write_file("rule/main.lua", text);
	snprintf(path, sizeof(path), "%s/rule/main.lua", folder);
	snprintf(library, sizeof(library), "%s/library", folder);
	err->text[0] = '\0';
	assert_int_equal(script_new(&s, NULL, NULL, 0, library, err), 0);
	if (script_load(s, path, err) != expected)
		fail_msg("%s: %s", text, err->text);
	return s;
}

static void modules_come_from_the_rule_s_folder_or_the_library(void **state)
{
	struct error err;
	struct script *s = load_main(
		"#!/usr/bin/env sluice\n"
		"local helper = require 'helper'\n"
		"assert(require 'helper' == helper)\n"
		"assert(helper.name == 'helper')\n"
		"assert(require('common').x == 3)\n"
		"assert(require('sub.deep') == true and loaded_deep)\n"
		"rule { match = { src = set.file('blocked.txt') },\n"
		"  action = helper.drop }",
		0, &err);

	(void)state;
	assert_int_equal(run(s), VERDICT_DROP);
	script_free(s);
}

static void no_module_comes_from_anywhere_else(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"require '../outside'", "a module's name is made of"},
		{"require '..outside'", "a module's name is made of"},
		{"require '...outside'", "a module's name is made of"},
		{"require '/etc/passwd'", "a module's name is made of"},
		{"require './helper'", "a module's name is made of"},
		{"require 'sub/deep'", "a module's name is made of"},
		{"require 'sub.'", "a module's name is made of"},
		{"require ''", "a module's name is made of"},
		{"require 'helper\\0x'", "a module's name is made of"},
		{"require 'outside'", "require 'outside': no outside.lua in"},
		{"require 'string'", "require 'string': no string.lua in"},
		{"require 'sub'", "no sub.lua in"},
		{"require 'loop'", "it is being loaded"},
		{"require 'broken'", "broken.lua:3: unexpected symbol"},
		{"require()", "string expected"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct error err;
		struct script *s = load_main(cases[i].text, -EINVAL, &err);

		assert_has(err.text, cases[i].error, cases[i].text);
		script_free(s);
	}
}

static void a_file_that_cannot_be_read_says_why(void **state)
{
	struct script *s = make_script(NULL);
	struct error err;

	(void)state;
	assert_int_equal(script_load(s, "no/such.lua", &err), -ENOENT);
	assert_string_equal(err.text,
			    "cannot read no/such.lua: No such file or "
			    "directory");
	assert_int_equal(script_load(s, folder, &err), -EISDIR);
	script_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_an_action_returns_becomes_a_verdict),
		cmocka_unit_test(replacements_live_until_the_next_call),
		cmocka_unit_test(where_is_a_condition),
		cmocka_unit_test(a_kept_packet_says_that_it_is_gone),
		cmocka_unit_test(the_world_is_asked_through_the_host),
		cmocka_unit_test(without_a_host_the_error_says_so),
		cmocka_unit_test(sets_in_lua),
		cmocka_unit_test(sets_say_what_is_wrong),
		cmocka_unit_test(a_set_in_a_match_is_the_script_s_own),
		cmocka_unit_test(packets_allocate_nothing),
		cmocka_unit_test(
			modules_come_from_the_rule_s_folder_or_the_library),
		cmocka_unit_test(no_module_comes_from_anywhere_else),
		cmocka_unit_test(a_file_that_cannot_be_read_says_why),
	};

	return cmocka_run_group_tests_name("script/engine", tests, make_files,
					   remove_files);
}
