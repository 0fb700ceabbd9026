/* SPDX-License-Identifier: GPL-2.0-or-later */
/* after(), every(), and packets that are sent later: what happens when. */
#include "script_world.h"

static const struct {
	const char *what, *text;
	const char *diary; /* after a packet at 0, and 1000 ms */
} cases[] = {
	{"a function is called once, when it is due",
	 "after(0.25, function() log('x') end)", "250:x|"},
	{"nothing is due at once but what has no delay",
	 "after(0, function() log('x') end)", "0:x|"},
	{"those due first go first, in the order they were set",
	 "after(0.2, function() log('c') end)"
	 "after(0.1, function() log('a') end)"
	 "after(0.1, function() log('b') end)",
	 "100:a|100:b|200:c|"},
	{"every goes on", "every(0.4, function() log('x') end)",
	 "400:x|800:x|"},
	{"a cancelled one is never called",
	 "local t = after(0.5, function() log('x') end)"
	 "after(0.4, function() log(t:cancel(), t:cancel()) end)",
	 "400:true false|"},
	{"every can end itself",
	 "local n, t = 0 t = every(0.1, function() n = n + 1 log(n) "
	 "if n == 2 then t:cancel() end end)",
	 "100:1|200:2|"},
	{"what was called can no longer be cancelled",
	 "local t = after(0.1, function() end)"
	 "after(0.2, function() log(t:cancel()) end)",
	 "200:false|"},
	{"a timer can set timers",
	 "after(0.1, function() after(0.1, function() log('x') end) end)",
	 "200:x|"},
	{"a rule can set timers",
	 "rule { action = function(pkt) local d = pkt.dport "
	 "after(0.3, function() log(d) end) end }",
	 "300:80|"},
	{"a packet is gone when the timer comes",
	 "rule { action = function(pkt) "
	 "after(0.3, function() log(pcall(function() return pkt.len end)) "
	 "end) end }",
	 "300:false t.lua:1: this packet is gone: it was only valid inside "
	 "the call that got it|"},
	{"an error is told, and every goes on",
	 "every(0.5, function() error('oops') end)", "500:failed|1000:failed|"},
	{"a packet is sent later, as it was",
	 "rule { action = function(pkt) send(pkt, { delay = 0.1 }) "
	 "pkt.dport = 81 return DROP end }",
	 "100:sent 198.51.100.7:80|"},
	{"repeats are sent after the first, as far apart",
	 "rule { action = function(pkt) "
	 "send(pkt, { delay = 0.1, repeats = 2 }) return DROP end }",
	 "100:sent 198.51.100.7:80|200:sent 198.51.100.7:80|"
	 "300:sent 198.51.100.7:80|"},
	{"repeats without a delay are sent at once",
	 "rule { action = function(pkt) send(pkt, { repeats = 1 }) end }",
	 "0:sent 198.51.100.7:80|0:sent 198.51.100.7:80|"},
	{"what is sent later is what it was when it was said",
	 "rule { action = function(pkt) local p = pkt:clone() "
	 "send(p, { delay = 0.1 }) p.dport = 99 end }",
	 "100:sent 198.51.100.7:80|"},
};

static void things_happen_when_they_are_due(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct script *s = begin(cases[i].text, NULL);

		run(s);
		pass(s, 1000);
		if (strcmp(world.diary, cases[i].diary))
			fail_msg("%s\n%s\n got: %s\nwant: %s", cases[i].what,
				 cases[i].text, world.diary, cases[i].diary);
		script_free(s);
	}
}

static void what_cannot_be_waited_for_is_said(void **state)
{
	static const struct {
		const char *body, *error;
	} wrong[] = {
		{"after('x', function() end)",
		 "after: the time must be seconds from 0 to 315360000, not x"},
		{"after(-1, function() end)", "not -1"},
		{"after(0/0, function() end)", "after: the time must be"},
		{"after(1e300, function() end)", "after: the time must be"},
		{"after(1)", "after: what is to be called must be a function, "
			     "not a no value"},
		{"every(1, 'x')", "every: what is to be called must be a "
				  "function, not a string"},
		{"send(pkt, { dely = 1 })",
		 "send: unknown option 'dely'; did you mean 'delay'?"},
		{"send(pkt, { repeats = -1 })",
		 "send: repeats must be a number from 0 to 65535, not -1"},
		{"send(pkt, 1)", "table expected, got number"},
		{"after(1, function() end).cancel()", "timer expected"},
		{"after(1, function() end).cancel(pkt)", "timer expected"},
		{"pcap(pkt, '../x.pcap')", "pcap: '../x.pcap' is no name"},
		{"pcap(pkt, 'x.txt')", "pcap: 'x.txt' is no name"},
		{"pcap(pkt, '.x.pcap')", "pcap: '.x.pcap' is no name"},
		{"pcap(pkt, 'x.pcap\\0')", "is no name"},
		{"pcap(pkt, 'x.pcap')", "pcap() is not available here"},
		{"send(pkt)", "send() is not available here"},
		{"local t = after(1, function() end) t.x = 1",
		 "attempt to index a timer value"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_action_fails(wrong[i].body, wrong[i].error, NULL);
}

static void an_error_names_the_timer_and_the_place(void **state)
{
	static const struct {
		const char *text, *error;
	} wrong[] = {
		{"\nafter(0, function()\n error('oops') end)",
		 "timer t.lua:2: t.lua:3: oops"},
		{"after(0, function() while true do end end)",
		 "timer t.lua:1: t.lua:1: ran over its budget of 10000 "
		 "instructions"},
		{"after(0, function() while true do pcall(function() while "
		 "true do end end) end end)",
		 "ran over its budget of 10000 instructions"},
		{"after(0, function() return pcall(function() while true do "
		 "end end) end)",
		 "ran over its budget of 10000 instructions"},
		{"after(0, function() local t = {} while true do t[#t + 1] = "
		 "('x'):rep(1 << 16) .. #t end end)",
		 "needs more than 400000 bytes of memory"},
		{"after(0, function() error({}) end)", "timer t.lua:1: "},
		{"local t t = after(0, function() t:cancel() t = nil "
		 "collectgarbage() error('oops') end)",
		 "timer t.lua:1: t.lua:1: oops"},
	};
	const struct script_limits limits = {.instructions = 10000,
					     .memory = 400000};

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct script *s = begin(wrong[i].text, &limits);
		struct script_usage u;

		pass(s, 1);
		assert_has(world.failed, wrong[i].error, wrong[i].text);
		script_usage(s, &u);
		assert_int_equal(u.errors, 1);
		assert_int_equal(script_timeout(s), -1);
		script_free(s);
	}
}

static void time_begins_at_the_start(void **state)
{
	struct script *s = load_script(
		"after(1, function() log('x') end)", NULL);

	(void)state;
	memset(&world, 0, sizeof(world));
	script_set_host(s, &host);
	world.clock = 5000 * MS;
	assert_int_equal(script_timeout(s), -1);
	assert_false(script_tick(s));
	script_start(s, true);
	assert_int_equal(script_timeout(s), 1000 * MS);
	pass(s, 2000);
	assert_string_equal(world.diary, "6000:x|");
	script_free(s);
}

static void missed_times_are_not_made_up_for(void **state)
{
	struct script *s = begin("every(0.1, function() log('x') end)", NULL);

	(void)state;
	world.clock = 1050 * MS;
	pass(s, 100);
	assert_string_equal(world.diary, "1050:x|1150:x|");
	script_free(s);
}

static void a_reply_with_a_delay_goes_later(void **state)
{
	static const char *const texts[] = {
		"rule { action = function(pkt) "
		"return pkt:echo_reply{ delay = 0.1 } end }",
		"rule { action = function(pkt) "
		"return { pkt:echo_reply{ delay = 0.1 } } end }",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct script *s = begin(texts[i], NULL);
		struct verdict v;
		struct packet p;

		make_packet(&p, 1);
		packet_set(&p, FIELD_ICMP_TYPE, 8);
		v = run_packet(s, &p);
		assert_int_equal(v.kind, VERDICT_REPLACE);
		assert_int_equal(v.count, 0);
		pass(s, 1000);
		assert_string_equal(world.diary, "100:sent 192.0.2.1|");
		script_free(s);
	}
}

static void of_a_list_only_what_has_a_delay_goes_later(void **state)
{
	struct script *s = begin(
		"rule { action = function(pkt) return { pkt:clone(), "
		"pkt:echo_reply{ delay = 0.1 }, pkt:clone() } end }", NULL);
	struct verdict v;
	struct packet p;

	(void)state;
	make_packet(&p, 1);
	packet_set(&p, FIELD_ICMP_TYPE, 8);
	v = run_packet(s, &p);
	assert_int_equal(v.kind, VERDICT_REPLACE);
	assert_int_equal(v.count, 2);
	pass(s, 1000);
	assert_string_equal(world.diary, "100:sent 192.0.2.1|");
	script_free(s);
}

static void timers_are_bounded_in_number(void **state)
{
	struct script *s = begin(
		"rule { name = 'r', action = function(pkt) "
		"for i = 1, 5000 do after(10, function() end) end end }",
		NULL);
	struct script_waiting w;
	int n = 0;

	(void)state;
	while (run(s) != VERDICT_ERROR)
		assert_true(++n < 100);
	assert_has(script_error(s), "65536 timers and delayed packets",
		   "timers");
	script_waiting(s, &w);
	assert_int_equal(w.timers, 65536);
	/* They all go, and then there is room again. */
	pass(s, 11000);
	script_waiting(s, &w);
	assert_int_equal(w.timers, 0);
	assert_int_equal(run(s), VERDICT_ACCEPT);
	script_free(s);
}

static int send_quietly(void *arg, struct packet *p)
{
	(void)arg;
	(void)p;
	world.used++;
	return 0;
}

static void delayed_packets_count_as_memory(void **state)
{
	struct script_host quiet = host;
	const struct script_limits limits = {.memory = 1 << 20};
	struct script *s = begin(
		"local p = packet{ dst = '192.0.2.9', udp = {}, "
		"payload = ('x'):rep(1000) }\n"
		"rule { name = 'r', action = function(pkt) "
		"for i = 1, 100 do send(p, { delay = 1 }) end end }",
		&limits);
	struct script_usage u;
	int n = 0;

	(void)state;
	while (run(s) != VERDICT_ERROR)
		assert_true(++n < 100);
	assert_has(script_error(s), "needs more than 1048576 bytes of memory",
		   "packets");
	script_usage(s, &u);
	assert_true(u.memory_peak <= 1 << 20);
	quiet.send = send_quietly;
	script_set_host(s, &quiet);
	pass(s, 2000);
	assert_in_range(world.used, 400, 1100);
	assert_int_equal(script_timeout(s), -1);
	script_free(s);
}

/* A thousand timers set, cancelled and fired, against a list kept here. */
static void the_order_holds_whatever_is_cancelled(void **state)
{
	struct script *s = begin(
		"local t, seed, last = {}, 7, -1\n"
		"local function rnd(n) seed = (seed * 1103515245 + 12345) % "
		"2147483648 return seed // 65536 % n end\n"
		"local gone, called, set = 0, 0, 0\n"
		"rule { action = function(pkt)\n"
		"  for i = 1, 1000 do local due = rnd(500)\n"
		"    set = set + 1\n"
		"    t[i] = after(due / 1000, function()\n"
		"      assert(due >= last, 'out of order') last = due\n"
		"      called = called + 1 end) end\n"
		"  for i = 1, 1000, 3 do if t[i]:cancel() then "
		"gone = gone + 1 end end\n"
		"end }\n"
		"after(0.9, function() log(set, gone, called) end)", NULL);

	(void)state;
	run(s);
	pass(s, 1000);
	assert_string_equal(world.failed, "");
	assert_string_equal(world.diary, "900:1000 334 666|");
	script_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(things_happen_when_they_are_due),
		cmocka_unit_test(what_cannot_be_waited_for_is_said),
		cmocka_unit_test(an_error_names_the_timer_and_the_place),
		cmocka_unit_test(time_begins_at_the_start),
		cmocka_unit_test(missed_times_are_not_made_up_for),
		cmocka_unit_test(a_reply_with_a_delay_goes_later),
		cmocka_unit_test(of_a_list_only_what_has_a_delay_goes_later),
		cmocka_unit_test(timers_are_bounded_in_number),
		cmocka_unit_test(delayed_packets_count_as_memory),
		cmocka_unit_test(the_order_holds_whatever_is_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
