/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A packet kept past its call answers with an error in every later one, by
 * whatever way it was kept; and where it cannot have been kept, nothing is
 * allocated for the next.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "script/script.h"

static uint8_t buffer[PACKET_BUFFER];

static struct packet make(void)
{
	struct packet p = {.head = buffer, .size = sizeof(buffer)};

	assert_int_equal(packet_new(&p, 17), 0);
	return p;
}

static struct script *load(const char *text)
{
	struct script *s;
	struct error err;

	if (script_new(&s, NULL, NULL, 0, NULL, &err) ||
	    script_load_text(s, "t.lua", text, strlen(text), &err))
		fail_msg("%s: %s", text, err.text);
	script_seal(s);
	return s;
}

static enum verdict_kind run(struct script *s)
{
	struct packet p = make();
	struct verdict v;

	ruleset_run(script_ruleset(s), &p, NULL, script_calls(s), NULL, &v);
	return v.kind;
}

/* Each keeps its packet in the first call and reads it in the second. */
static const char *const keepers[] = {
	"local k rule { action = function(p)"
	" if k then local x = k.ip.ttl end k = p end }",
	"local k rule { action = function(p)"
	" if k then local x = k.src end k = p end }",
	"local k rule { action = function(p)"
	" if k then local x = k.ttl end k = p.ip end }",
	"local k rule { action = function(p)"
	" if k then local x = k() end k = function() return p.len end end }",
	"local k = {} rule { action = function(p)"
	" if k[1] then local x = k[1].len end k[1] = p end }",
	"k = {} rule { action = function(p)"
	" if k[1] then local x = k[1].len end k[1] = p end }",
	"local k = 0 rule { action = function(p)"
	" if k ~= 0 then local x = k.len end k = p end }",
	"local k = false rule { action = function(p)"
	" if k then local x = k.len end k = p end }",
	"local function same(p) return p end local k "
	"rule { action = function(p)"
	" if k then local x = k.len end k = same(p) end }",
	"rule { action = function(p) local d = p.flow.data"
	" if d.k then local x = d.k.len end d.k = p end }",
	"local k rule { where = function(p) k = k or p return true end,"
	" action = function(p) if k then local x = k.len end end }",
	"local co rule { action = function(p)"
	" if co then local ok, e = coroutine.resume(co)"
	" if not ok then error(e, 0) end return end"
	" co = coroutine.create(function(q) coroutine.yield()"
	" local x = q.len end) coroutine.resume(co, p) end }",
};

static void a_kept_packet_is_gone(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(keepers) / sizeof(*keepers); i++) {
		bool where = strstr(keepers[i], "where");
		struct script *s;

		s = load(keepers[i]);
		if (!where)
			assert_int_equal(run(s), VERDICT_ACCEPT);
		assert_int_equal(run(s), VERDICT_ERROR);
		if (!strstr(script_error(s), "this packet is gone"))
			fail_msg("%s: %s", keepers[i], script_error(s));
		script_free(s);
	}
}

static const char *const innocents[] = {
	"rule { action = function(p) p.ip.ttl = p.ip.ttl - 1 end }",
	"local n = 0 rule { action = function(p) n = n + p.len end }",
	"local ttl = 9 rule { action = function(p) p.ip.ttl = ttl end }",
	"local floor = math.floor rule { action = function(p)"
	" p.ip.ttl = floor(p.ip.ttl / 2) end }",
	"rule { action = function(p) p.ip.ttl = math.max(3, p.ip.ttl) end }",
};

static void what_keeps_nothing_costs_nothing(void **state)
{
	struct script_usage before, after;

	(void)state;
	for (size_t i = 0; i < sizeof(innocents) / sizeof(*innocents); i++) {
		struct script *s = load(innocents[i]);

		for (int k = 0; k < 100; k++)
			run(s);
		script_usage(s, &before);
		for (int k = 0; k < 1000; k++)
			assert_int_equal(run(s), VERDICT_ACCEPT);
		script_usage(s, &after);
		assert_int_equal(after.memory, before.memory);
		script_free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kept_packet_is_gone),
		cmocka_unit_test(what_keeps_nothing_costs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
