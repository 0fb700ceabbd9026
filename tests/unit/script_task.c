/* SPDX-License-Identifier: GPL-2.0-or-later */
/* task(), sleep() and sr1(): who runs when, and which packet answers. */
#include "script_world.h"

#include <errno.h>

/* What was sent last, and what was asked for. */
static struct {
	uint8_t buffer[PACKET_BUFFER];
	struct packet sent;
	unsigned sents, expects, unexpects;
	uint32_t id;
	uint8_t proto;
	uint16_t port;
	bool any;
	int refuse;
} net;

static int net_send(void *arg, struct packet *p)
{
	(void)arg;
	net.sent = (struct packet){.head = net.buffer,
				   .size = sizeof(net.buffer)};
	assert_int_equal(packet_clone(&net.sent, p), 0);
	net.sents++;
	return 0;
}

static void net_source(void *arg, struct packet *p)
{
	static const uint8_t b[4] = {192, 0, 2, 1};
	struct address a = address_v4(b), none = {.size = 4};
	struct address src = packet_src(p);

	(void)arg;
	if (!address_compare(&src, &none))
		packet_set_address(p, FIELD_IP_SRC, &a);
}

static int net_expect(void *arg, uint32_t id, uint8_t proto, uint16_t port,
		      bool any)
{
	(void)arg;
	if (net.refuse)
		return net.refuse;
	net.expects++;
	net.id = id;
	net.proto = proto;
	net.port = port;
	net.any = any;
	return 0;
}

static void net_unexpect(void *arg, uint8_t proto, uint16_t port)
{
	(void)arg;
	assert_int_equal(proto, net.proto);
	assert_int_equal(port, net.port);
	net.unexpects++;
}

static struct script *begin_task(const char *text)
{
	struct script_host h = host;
	struct script *s = load_script(text, NULL);

	memset(&world, 0, sizeof(world));
	memset(&net, 0, sizeof(net));
	h.send = net_send;
	h.source = net_source;
	h.expect = net_expect;
	h.unexpect = net_unexpect;
	script_set_host(s, &h);
	script_start(s, true);
	pass(s, 0);
	return s;
}

static void assert_diary(const char *text)
{
	if (*world.failed)
		fail_msg("failed: %s", world.failed);
	assert_string_equal(world.diary, text);
}

static unsigned tasks_left(struct script *s)
{
	struct script_waiting w;

	script_waiting(s, &w);
	return w.tasks;
}

/* ---- task and sleep ---------------------------------------------------- */

static void tasks_take_turns_while_they_sleep(void **state)
{
	struct script *s = begin_task(
		"task(function() log('a1') sleep(0.2) log('a2') end)\n"
		"task(function() log('b1') sleep(0.1) log('b2') sleep(0.2) "
		"log('b3') end)");

	(void)state;
	assert_int_equal(tasks_left(s), 2);
	pass(s, 250);
	assert_int_equal(tasks_left(s), 1);
	pass(s, 250);
	assert_diary("0:a1|0:b1|100:b2|200:a2|300:b3|");
	assert_int_equal(tasks_left(s), 0);
	assert_int_equal(script_timeout(s), -1);
	script_free(s);
}

static void tasks_that_shall_not_run_are_forgotten(void **state)
{
	struct script *s = load_script("task(function() log('x') end)\n"
				       "after(0.1, function() log('y') end)",
				       NULL);

	(void)state;
	assert_true(script_ruleset(s)->probes);
	memset(&world, 0, sizeof(world));
	script_set_host(s, &host);
	script_start(s, false);
	pass(s, 1000);
	assert_diary("100:y|");
	assert_int_equal(tasks_left(s), 0);
	script_free(s);
}

static void a_ruleset_without_a_task_wants_no_probes(void **state)
{
	struct script *s = load_script("after(1, function() end)", NULL);

	(void)state;
	assert_false(script_ruleset(s)->probes);
	script_free(s);
}

static void sleep_works_inside_what_yields(void **state)
{
	struct script *s = begin_task(
		"task(function()\n"
		"  log(pcall(function() sleep(0.1) error('x', 0) end))\n"
		"  log(xpcall(function() sleep(0.1) return 7 end, "
		"tostring))\n"
		"  for _, v in ipairs{ 1, 2 } do sleep(0.1) log(v) end\n"
		"end)");

	(void)state;
	pass(s, 1000);
	assert_diary("100:false x|200:true 7|300:1|400:2|");
	script_free(s);
}

static void what_fails_in_a_task_is_told(void **state)
{
	static const struct {
		const char *text, *error;
	} wrong[] = {
		{"\ntask(function()\n error('oops') end)",
		 "task t.lua:2: t.lua:3: oops"},
		{"task(function() sleep(0.01) local x = nil + 1 end)",
		 "attempt to perform arithmetic on a nil value"},
		{"task(function() while true do end end)",
		 "t.lua:1: ran over its budget of 1000000 instructions"},
		{"task(function() while true do pcall(function() while true do "
		 "end end) end end)",
		 "ran over its budget of 1000000 instructions"},
		{"task(function() return pcall(function() while true do end "
		 "end) end)",
		 "ran over its budget of 1000000 instructions"},
		{"task(function() pcall(function() while true do end end) "
		 "sleep(1) end)",
		 "ran over its budget of 1000000 instructions"},
		{"task(function() error({}) end)", "an error without a text"},
		{"task(function() coroutine.yield() end)",
		 "task t.lua:1: yielded; a task waits by sleep() or sr1()"},
		{"task(function() coroutine.wrap(function() sleep(1) end)() "
		 "end)",
		 "sleep() cannot be called in a coroutine inside a task"},
		{"task(function() table.sort({ 2, 1 }, function() sleep(1) "
		 "end) end)",
		 "sleep() cannot be called in a function that a library "
		 "function calls"},
		{"task(function() sleep('x') end)",
		 "sleep: the time must be seconds"},
		{"task(function() task(function() end) end)",
		 "task() can only be called while the file is loading"},
		{"task(function() sr1(1) end)", "packet expected, got number"},
		{"task(function() sr1(packet{ dst = '192.0.2.9', proto = 47 }) "
		 "end)",
		 "sr1: only TCP, UDP and ICMP echo requests are answered"},
		{"after(0, function() sleep(1) end)",
		 "sleep() can only be called in a task: task(function() ... "
		 "end)"},
		{"local co task(function() co = coroutine.running() sleep(1) "
		 "end) after(0.5, function() error(select(2, "
		 "coroutine.resume(co)) or 'resumed') end)",
		 "cannot resume dead coroutine"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct script *s = begin_task(wrong[i].text);

		pass(s, 2000);
		if (!strstr(world.failed, wrong[i].error))
			fail_msg("%s\n   said: %s\nnot have: %s", wrong[i].text,
				 world.failed, wrong[i].error);
		assert_null(strchr(world.failed, '\n'));
		assert_int_equal(tasks_left(s), 0);
		script_free(s);
	}
}

static void a_task_that_failed_counts_and_the_others_go_on(void **state)
{
	struct script *s = begin_task(
		"local c <const> = setmetatable({}, { __close = function() "
		"log('closed') end })\n"
		"task(function() local x <close> = c error('oops') end)\n"
		"task(function() sleep(0.1) log('on') end)");
	struct script_waiting w;

	(void)state;
	pass(s, 1000);
	assert_string_equal(world.diary, "0:failed|0:closed|100:on|");
	script_waiting(s, &w);
	assert_int_equal(w.failed, 1);
	assert_int_equal(w.tasks, 0);
	script_free(s);
}

static void tasks_are_bounded_in_number(void **state)
{
	static const char text[] = "for i = 1, 257 do task(function() end) end";
	struct script *s = make_script(NULL);
	struct error err;

	(void)state;
	assert_int_equal(script_load_text(s, "t.lua", text, strlen(text), &err),
			 -EINVAL);
	assert_has(err.text, "task: 256 tasks are the most", "tasks");
	script_free(s);
}

/* ---- sr1: which packet answers ------------------------------------------ */

#define ASK(p, after)                                                          \
	"task(function() local p = " p "\n"                                    \
	"local a, why = sr1(p, 1) log(a and tostring(a) or 'nil', why or '') " \
	after " end)"
#define SYN "packet{ dst = '198.51.100.7', tcp = { sport = 5000, dport = 80 } }"
#define QUERY                                                                  \
	"packet{ dst = '198.51.100.7', udp = { sport = 5000, dport = 53 } }"
#define PING                                                                   \
	"packet{ dst = '198.51.100.7', icmp = { type = 8, id = 7, seq = 9 } }"

enum kind { REPLY, RST, ECHO, UNREACHABLE, EXCEEDED };

/* The packet of that kind that answers what was sent; change: made to answer
 * another. */
static bool inject(struct script *s, enum kind kind,
		   void (*change)(struct packet *p))
{
	static uint8_t b1[PACKET_BUFFER], b2[PACKET_BUFFER];
	struct packet sent = {.head = b1, .size = sizeof(b1)};
	struct packet p = {.head = b2, .size = sizeof(b2)};
	struct address router = address_v4((const uint8_t[]){203, 0, 113, 1});
	int r = packet_clone(&sent, &net.sent);

	if (change)
		change(&sent);
	if (kind == REPLY)
		r |= packet_reply(&p, &sent);
	else if (kind == RST)
		r |= packet_rst(&p, &sent);
	else if (kind == ECHO)
		r |= packet_echo_reply(&p, &sent);
	else if (kind == UNREACHABLE)
		r |= packet_unreachable(&p, &sent, 3, &router, 0);
	else
		r |= packet_time_exceeded(&p, &sent, 0, &router);
	assert_int_equal(r, 0);
	p.dir = DIR_IN;
	return script_answer(s, &p);
}

static void set(struct packet *p, const char *address, enum packet_field f,
		uint32_t value)
{
	struct address a;

	if (address) {
		address_parse(&a, address);
		packet_set_address(p, f, &a);
	} else {
		packet_set(p, f, value);
	}
}

static void other_host(struct packet *p)
{
	set(p, "198.51.100.8", FIELD_IP_DST, 0);
}

static void other_self(struct packet *p)
{
	set(p, "192.0.2.2", FIELD_IP_SRC, 0);
}

static void other_sport(struct packet *p)
{
	set(p, NULL, p->proto == 6 ? FIELD_TCP_SPORT : FIELD_UDP_SPORT, 5001);
}

static void other_dport(struct packet *p)
{
	set(p, NULL, p->proto == 6 ? FIELD_TCP_DPORT : FIELD_UDP_DPORT, 81);
}

static void other_id(struct packet *p)
{
	set(p, NULL, FIELD_ICMP_ID, 8);
}

static void other_seq(struct packet *p)
{
	set(p, NULL, FIELD_ICMP_SEQ, 8);
}

static void only_what_answers_is_given(void **state)
{
	static const struct {
		const char *what, *text;
		enum kind kind;
		void (*change)(struct packet *p);
		const char *line; /* NULL: it is no answer */
	} answer[] = {
		{"SYN-ACK or what looks like one", ASK(SYN, ""), REPLY, NULL,
		 "tcp  198.51.100.7:80 > 192.0.2.1:5000"},
		{"RST", ASK(SYN, ""), RST, NULL,
		 "tcp  198.51.100.7:80 > 192.0.2.1:5000 [RA]"},
		{"unreachable", ASK(SYN, ""), UNREACHABLE, NULL,
		 "icmp 203.0.113.1 > 192.0.2.1"},
		{"another's port", ASK(SYN, ""), REPLY, other_sport, NULL},
		{"from another port", ASK(SYN, ""), REPLY, other_dport, NULL},
		{"from another host", ASK(SYN, ""), REPLY, other_host, NULL},
		{"to another address", ASK(SYN, ""), REPLY, other_self, NULL},
		{"about another port", ASK(SYN, ""), UNREACHABLE, other_dport,
		 NULL},
		{"about another source port", ASK(SYN, ""), UNREACHABLE,
		 other_sport, NULL},
		{"about another host", ASK(SYN, ""), UNREACHABLE, other_host,
		 NULL},
		{"UDP", ASK(QUERY, ""), REPLY, NULL,
		 "udp  198.51.100.7:53 > 192.0.2.1:5000"},
		{"UDP unreachable", ASK(QUERY, ""), UNREACHABLE, NULL,
		 "icmp 203.0.113.1 > 192.0.2.1"},
		{"UDP, another's port", ASK(QUERY, ""), REPLY, other_sport,
		 NULL},
		{"echo", ASK(PING, ""), ECHO, NULL,
		 "icmp 198.51.100.7 > 192.0.2.1"},
		{"echo, time exceeded", ASK(PING, ""), EXCEEDED, NULL,
		 "icmp 203.0.113.1 > 192.0.2.1"},
		{"echo of another id", ASK(PING, ""), ECHO, other_id, NULL},
		{"echo of another number", ASK(PING, ""), ECHO, other_seq,
		 NULL},
		{"echo of another host", ASK(PING, ""), ECHO, other_host,
		 NULL},
		{"time exceeded of another echo", ASK(PING, ""), EXCEEDED,
		 other_seq, NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(answer); i++) {
		struct script *s = begin_task(answer[i].text);
		bool taken;

		if (net.expects) {
			/* Not before it is sure that no answer gets by. */
			assert_int_equal(net.sents, 0);
			script_expected(s, net.id, 0, net.port);
		}
		assert_int_equal(net.sents, 1);
		taken = inject(s, answer[i].kind, answer[i].change);
		if (taken != !!answer[i].line)
			fail_msg("%s: %s", answer[i].what,
				 taken ? "taken" : "not taken");
		pass(s, 2000);
		assert_has(world.diary,
			   answer[i].line ? answer[i].line : "1000:nil |",
			   answer[i].what);
		assert_int_equal(tasks_left(s), 0);
		script_free(s);
	}
}

static void an_answer_comes_once_and_repetitions_go_nowhere(void **state)
{
	struct script *s = begin_task(ASK(SYN, "log('on')"));

	(void)state;
	script_expected(s, net.id, 0, 5000);
	pass(s, 100);
	assert_true(inject(s, REPLY, NULL));
	assert_true(inject(s, REPLY, NULL));
	pass(s, 10);
	assert_true(inject(s, REPLY, NULL));
	assert_null(strstr(world.diary, "nil"));
	assert_non_null(strstr(world.diary, "100:on|"));
	assert_int_equal(net.unexpects, 0);
	/* As long as a SYN-ACK is repeated. */
	pass(s, 63000);
	assert_true(inject(s, REPLY, NULL));
	pass(s, 2000);
	assert_int_equal(net.unexpects, 1);
	assert_false(inject(s, REPLY, NULL));
	assert_int_equal(script_timeout(s), -1);
	script_free(s);
}

static void probes_that_linger_do_not_count_as_timers(void **state)
{
	struct script *s = begin_task(ASK(SYN, ""));
	struct script_waiting w;

	(void)state;
	script_expected(s, net.id, 0, 5000);
	assert_true(inject(s, REPLY, NULL));
	pass(s, 10);
	script_waiting(s, &w);
	assert_int_equal(w.tasks + w.timers, 0);
	script_free(s);
}

static void a_port_nobody_chose_may_be_another(void **state)
{
	static const struct {
		const char *packet;
		bool any;
	} cases[] = {
		{"packet{ dst = '198.51.100.7', tcp = { dport = 80 } }", true},
		{"packet{ dst = '198.51.100.7', udp = { dport = 80 } }", true},
		{"packet{ dst = '198.51.100.7', tcp = { sport = 0, dport = 80 "
		 "} }", true},
		{SYN, false},
		{"packet{ dst = '198.51.100.7', dport = 80, sport = 5000, "
		 "udp = {} }", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[1024];
		struct script *s;
		uint16_t sport, dport;

		snprintf(text, sizeof(text), ASK("%s", ""), cases[i].packet);
		s = begin_task(text);
		assert_int_equal(net.any, cases[i].any);
		if (!cases[i].any)
			assert_int_equal(net.port, 5000);
		net.port = 40000;
		script_expected(s, net.id, 0, 40000);
		assert_int_equal(packet_ports(&net.sent, &sport, &dport), 0);
		assert_int_equal(sport, 40000);
		assert_true(packet_l4_checksum_ok(&net.sent));
		assert_true(inject(s, REPLY, NULL));
		pass(s, 10);
		assert_has(world.diary, "192.0.2.1:40000", cases[i].packet);
		script_free(s);
	}
}

static void what_cannot_be_sent_is_nil_and_why(void **state)
{
	struct script *s = begin_task(ASK(SYN, ""));

	(void)state;
	script_expected(s, net.id, -EADDRINUSE, 0);
	pass(s, 10);
	assert_int_equal(net.sents, 0);
	assert_int_equal(net.unexpects, 0);
	assert_diary("0:nil the source port is in use on this host|");
	/* Nobody asked for that (any more). */
	script_expected(s, net.id, 0, 5000);
	script_expected(s, 4711, 0, 5000);
	assert_int_equal(net.sents, 0);
	script_free(s);
}

static void many_probes_at_once_and_then_again(void **state)
{
	struct script *s = begin_task(
		"for i = 1, 256 do task(function() sr1(packet{ dst = "
		"'198.51.100.7', icmp = { id = i, seq = 1 } }, 1) "
		"local a, why = sr1(packet{ dst = '198.51.100.7', icmp = { "
		"id = i, seq = 2 } }, 1) if why then error(why) end end) end");

	(void)state;
	assert_int_equal(net.sents, 256);
	pass(s, 1500);
	assert_int_equal(net.sents, 512);
	pass(s, 1000);
	assert_string_equal(world.failed, "");
	assert_int_equal(tasks_left(s), 0);
	script_free(s);
}

static void a_packet_that_is_none_answers_nothing(void **state)
{
	struct script *s = begin_task(ASK(PING, ""));
	uint8_t junk[PACKET_HEADROOM + 64] = {0};
	struct packet p;

	(void)state;
	for (uint32_t n = 0; n <= 64; n++)
		for (unsigned first = 0; first < 256; first += 17) {
			junk[PACKET_HEADROOM] = (uint8_t)first;
			junk[PACKET_HEADROOM + 9] = 1;
			junk[PACKET_HEADROOM + 20] = 3;
			packet_init(&p, junk, sizeof(junk),
				    junk + PACKET_HEADROOM, n, NULL);
			assert_false(script_answer(s, &p));
		}
	script_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tasks_take_turns_while_they_sleep),
		cmocka_unit_test(tasks_that_shall_not_run_are_forgotten),
		cmocka_unit_test(a_ruleset_without_a_task_wants_no_probes),
		cmocka_unit_test(sleep_works_inside_what_yields),
		cmocka_unit_test(what_fails_in_a_task_is_told),
		cmocka_unit_test(
			a_task_that_failed_counts_and_the_others_go_on),
		cmocka_unit_test(tasks_are_bounded_in_number),
		cmocka_unit_test(only_what_answers_is_given),
		cmocka_unit_test(
			an_answer_comes_once_and_repetitions_go_nowhere),
		cmocka_unit_test(probes_that_linger_do_not_count_as_timers),
		cmocka_unit_test(a_port_nobody_chose_may_be_another),
		cmocka_unit_test(what_cannot_be_sent_is_nil_and_why),
		cmocka_unit_test(many_probes_at_once_and_then_again),
		cmocka_unit_test(a_packet_that_is_none_answers_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
