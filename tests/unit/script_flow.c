/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Flows: which packets belong together, when one is dropped, and what a rule
 * sees of it. */
#include "script_test.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "script/flow.h"

#define SECOND NSEC_PER_SEC

/* ---- packets --------------------------------------------------------- */

static uint8_t buffer[PACKET_BUFFER];

/* proto a.b > c.d in short: "tcp 1:10 > 2:20", hosts 192.0.2.N. */
static struct packet packet_of(const char *text)
{
	struct packet p = {.head = buffer, .size = sizeof(buffer)};
	unsigned host[2], port[2];
	uint8_t b[2][4] = {{192, 0, 2, 0}, {192, 0, 2, 0}};
	struct address a;
	char proto[8];

	assert_int_equal(sscanf(text, "%7s %u:%u > %u:%u", proto, &host[0],
				&port[0], &host[1], &port[1]),
			 5);
	assert_int_equal(packet_new(&p, (uint8_t)name_proto(proto)), 0);
	for (int i = 0; i < 2; i++) {
		b[i][3] = (uint8_t)host[i];
		a = address_v4(b[i]);
		packet_set_address(&p, i ? FIELD_IP_DST : FIELD_IP_SRC, &a);
	}
	if (p.proto == 1) {
		packet_set(&p, FIELD_ICMP_TYPE, port[0] == port[1] ? 8 : 0);
		packet_set(&p, FIELD_ICMP_ID, port[0]);
	} else {
		packet_set(&p, p.proto == 6 ? FIELD_TCP_SPORT : FIELD_UDP_SPORT,
			   port[0]);
		packet_set(&p, p.proto == 6 ? FIELD_TCP_DPORT : FIELD_UDP_DPORT,
			   port[1]);
	}
	if (p.proto == 6)
		packet_set(&p, FIELD_TCP_FLAGS, 0x10);
	return p;
}

static struct flow_packet read_of(const struct packet *p)
{
	struct flow_packet fp;

	assert_true(flow_read(&fp, p->data, p->len));
	return fp;
}

static struct flow_packet read_text(const char *text)
{
	struct packet p = packet_of(text);

	return read_of(&p);
}

/* ---- keys ------------------------------------------------------------ */

static void both_directions_are_one_flow(void **state)
{
	static const char *const pairs[][2] = {
		{"tcp 1:10 > 2:20", "tcp 2:20 > 1:10"},
		{"tcp 9:10 > 2:20", "tcp 2:20 > 9:10"},
		{"udp 1:10 > 1:20", "udp 1:20 > 1:10"},
		{"icmp 1:7 > 2:7", "icmp 2:7 > 1:7"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(pairs); i++) {
		struct flow_packet a = read_text(pairs[i][0]);
		struct flow_packet b = read_text(pairs[i][1]);

		assert_memory_equal(&a.key, &b.key, sizeof(a.key));
		assert_int_not_equal(a.side, b.side);
	}
}

static void other_ports_ids_and_protocols_are_others(void **state)
{
	static const char *const texts[] = {
		"tcp 1:10 > 2:20",  "udp 1:10 > 2:20",	"tcp 1:11 > 2:20",
		"tcp 1:20 > 2:10",  "tcp 1:10 > 3:20",	"icmp 1:10 > 2:10",
		"icmp 1:11 > 2:11",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++)
		for (size_t k = 0; k < i; k++) {
			struct flow_packet a = read_text(texts[i]);
			struct flow_packet b = read_text(texts[k]);

			assert_memory_not_equal(&a.key, &b.key, sizeof(a.key));
		}
}

static void an_icmp_error_belongs_to_what_it_quotes(void **state)
{
	static uint8_t made[PACKET_BUFFER];
	struct packet p = packet_of("udp 1:10 > 2:20");
	struct packet e = {.head = made, .size = sizeof(made)};
	struct flow_packet a = read_of(&p), b;
	struct address router = address_v4((const uint8_t[]){10, 0, 0, 1});

	(void)state;
	assert_int_equal(packet_time_exceeded(&e, &p, 0, &router), 0);
	b = read_of(&e);
	assert_memory_equal(&a.key, &b.key, sizeof(a.key));
	assert_int_not_equal(a.side, b.side);
	assert_true(b.icmp_error);
	/* Cut off, it belongs to the two that it names. */
	assert_true(flow_read(&b, e.data, 30));
	assert_false(b.icmp_error);
	assert_false(flow_read(&b, e.data, 19));
}

static void fragments_go_by_their_addresses(void **state)
{
	struct packet p = packet_of("udp 1:10 > 2:20");
	struct flow_packet a, b;

	(void)state;
	packet_set(&p, FIELD_IP_MF, 1);
	a = read_of(&p);
	packet_set(&p, FIELD_IP_FRAG_OFFSET, 3);
	b = read_of(&p);
	assert_memory_equal(&a.key, &b.key, sizeof(a.key));
	assert_int_equal(a.key.end[0].port, 0);
}

/* ---- the table ------------------------------------------------------- */

static char dropped[256];

static void note_dropped(void *arg, struct flow *f)
{
	size_t n = strlen(dropped);

	(void)arg;
	snprintf(dropped + n, sizeof(dropped) - n, "%u ", f->key.end[0].port);
}

static struct flow *see(struct flow_table *t, const char *text, uint8_t flags,
			int64_t now)
{
	struct packet p = packet_of(text);
	struct flow_packet fp = read_of(&p);
	struct flow *f;

	fp.tcp_flags = flags;
	f = flow_get(t, &fp, DIR_OUT, now);
	flow_count(t, f, &fp, &p, now);
	return f;
}

static struct flow *find(struct flow_table *t, const char *text, int64_t now)
{
	struct flow_packet fp = read_text(text);

	return flow_find(t, &fp, now);
}

static void note_idle(void *arg, struct flow *f)
{
	(void)arg;
	fail_msg("port %u is held by nobody", f->key.end[0].port);
}

static struct flow_table *table(uint32_t size)
{
	struct flow_table *t = flow_table_new(size, note_dropped,
					       note_idle, NULL);

	assert_non_null(t);
	*dropped = '\0';
	return t;
}

static void a_full_table_drops_the_one_idle_longest(void **state)
{
	struct flow_table *t = table(3);

	(void)state;
	see(t, "tcp 1:1 > 9:9", 0x10, 1 * SECOND);
	see(t, "udp 1:2 > 9:9", 0, 2 * SECOND);
	see(t, "icmp 1:3 > 9:3", 0, 3 * SECOND);
	see(t, "tcp 9:9 > 1:1", 0x10, 4 * SECOND);
	assert_string_equal(dropped, "");
	see(t, "udp 1:4 > 9:9", 0, 5 * SECOND);
	assert_string_equal(dropped, "2 ");
	see(t, "udp 1:5 > 9:9", 0, 6 * SECOND);
	assert_string_equal(dropped, "2 3 ");
	assert_int_equal(flow_table_used(t), 3);
	assert_null(find(t, "udp 1:2 > 9:9", 6 * SECOND));
	assert_int_equal(find(t, "tcp 1:1 > 9:9", 6 * SECOND)->packets, 2);
	flow_table_free(t);
}

static void idle_flows_expire_by_protocol(void **state)
{
	static const struct {
		const char *text;
		uint8_t flags[4]; /* of its packets, every other back */
		int64_t seconds;
	} cases[] = {
		{"tcp 1:1 > 9:9", {2}, 120},
		{"tcp 1:1 > 9:9", {2, 0x12, 0x10}, 3600},
		{"tcp 1:1 > 9:9", {2, 0x14}, 30},
		{"tcp 1:1 > 9:9", {0x10, 0x11, 0x10}, 3600},
		{"tcp 1:1 > 9:9", {0x10, 0x11, 0x11}, 30},
		{"udp 1:1 > 9:9", {1}, 180},
		{"icmp 1:1 > 9:1", {1}, 30},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct flow_table *t = table(10);
		int64_t end = (1000 + cases[i].seconds) * SECOND;

		for (int k = 0; k < 4 && cases[i].flags[k]; k++)
			see(t, k & 1 && i < 6 ? "tcp 9:9 > 1:1" : cases[i].text,
			    cases[i].flags[k], 1000 * SECOND);
		assert_int_equal(flow_table_used(t), 1);
		assert_non_null(find(t, cases[i].text, end));
		assert_null(find(t, cases[i].text, end + 1));
		assert_int_equal(flow_table_used(t), 0);
		assert_string_equal(dropped, "1 ");
		flow_table_free(t);
	}
}

static void those_that_nobody_asks_for_expire_too(void **state)
{
	struct flow_table *t = table(10);

	(void)state;
	see(t, "udp 1:1 > 9:9", 0, 0);
	see(t, "icmp 1:2 > 9:2", 0, 0);
	for (int i = 0; i < 10; i++)
		see(t, "tcp 1:3 > 9:9", 0x10, 1000 * SECOND);
	assert_int_equal(flow_table_used(t), 1);
	flow_table_free(t);
}

static void a_syn_after_the_end_is_another_connection(void **state)
{
	struct flow_table *t = table(10);
	struct flow *f = see(t, "tcp 1:1 > 9:9", 2, SECOND);
	uint32_t place = flow_place(t, f), generation = f->generation;

	(void)state;
	see(t, "tcp 9:9 > 1:1", 0x12, SECOND);
	see(t, "tcp 1:1 > 9:9", 2, SECOND); /* again: still the same */
	assert_int_equal(f->packets, 3);
	see(t, "tcp 9:9 > 1:1", 0x04, SECOND);
	assert_ptr_equal(flow_at(t, place, generation), f);
	f = see(t, "tcp 1:1 > 9:9", 2, SECOND);
	assert_int_equal(f->packets, 1);
	assert_null(flow_at(t, place, generation));
	flow_table_free(t);
}

static void another_name_leads_to_the_same_flow(void **state)
{
	/* The redirected packet's key has its ends as they were, or not. */
	static const char *const as[] = {"tcp 1:1 > 10:9", "tcp 1:1 > 0:9"};

	(void)state;
	for (size_t i = 0; i < COUNT(as); i++) {
		struct flow_table *t = table(3);
		struct flow *f = see(t, "tcp 1:1 > 9:9", 0x10, SECOND);
		struct flow_packet there = read_text("tcp 1:1 > 9:9");
		struct flow_packet fp = read_text(as[i]), back = fp;

		flow_alias(t, f, there.side, &fp, SECOND);
		assert_ptr_equal(flow_find(t, &fp, SECOND), f);
		assert_int_equal(fp.side, there.side);
		back.side = !back.side; /* the answer */
		assert_ptr_equal(flow_find(t, &back, SECOND), f);
		assert_int_not_equal(back.side, there.side);
		/* It goes when the flow goes, and is nobody's then. */
		assert_null(flow_find(t, &fp, 4000 * SECOND));
		assert_int_equal(flow_table_used(t), 0);
		see(t, as[i], 0x10, 4000 * SECOND);
		assert_int_equal(flow_table_used(t), 1);
		flow_table_free(t);
	}
}

static void another_name_may_cost_the_place_of_its_own_flow(void **state)
{
	struct flow_table *t = table(1);
	struct flow *f = see(t, "tcp 1:1 > 9:9", 0x10, SECOND);
	struct flow_packet fp = read_text("tcp 1:1 > 10:9");

	(void)state;
	flow_alias(t, f, 0, &fp, SECOND);
	assert_string_equal(dropped, "1 ");
	assert_int_equal(see(t, "tcp 1:1 > 10:9", 0x10, SECOND)->packets, 1);
	flow_table_free(t);
}

/* ---- what a rule sees ------------------------------------------------ */

static int64_t now;
static char logged[512];

static int64_t host_now(void *arg)
{
	(void)arg;
	return now;
}

static void host_log(void *arg, const char *text)
{
	(void)arg;
	snprintf(logged, sizeof(logged), "%s", text);
}

static struct script *load_rules(const char *text)
{
	const struct script_host host = {.now = host_now, .log = host_log};
	struct script *s = load_script(text, NULL);

	script_set_host(s, &host);
	now = 5000 * SECOND;
	*logged = '\0';
	return s;
}

/* As the data path does it. */
static enum verdict_kind walk(struct script *s, const char *text, uint32_t size)
{
	static uint8_t before[PACKET_BUFFER], data[1000];
	struct packet_undo undo = {.bytes = before};
	struct match_context ctx = {0};
	struct packet p = packet_of(text);
	struct verdict v;

	memset(data, 'x', sizeof(data));
	assert_int_equal(packet_splice(&p, p.payload, 0, data, size), 0);
	p.flags = 0;
	p.undo = &undo;
	if (!script_flow_begin(s, &p, &v))
		ruleset_run(script_ruleset(s), &p, &ctx, script_calls(s), NULL,
			    &v);
	assert_int_equal(script_flow_end(s, &p, &v), 0);
	return v.kind;
}

static void packets_bytes_and_age_are_those_of_both_directions(void **state)
{
	struct script *s = load_rules(
		"rule { match = { dport = 20 }, action = function(pkt) "
		"local f = pkt.flow\n"
		"log(f.packets, f.bytes, f.age, f) end }");

	(void)state;
	walk(s, "udp 1:10 > 2:20", 2);
	assert_string_equal(
		logged, "1 30 0.0 flow udp 192.0.2.1:10 <> 192.0.2.2:20");
	now += SECOND / 2;
	walk(s, "udp 2:20 > 1:10", 100);
	walk(s, "udp 2:20 > 1:11", 100);
	walk(s, "udp 1:10 > 2:20", 3);
	assert_string_equal(
		logged, "3 189 0.5 flow udp 192.0.2.1:10 <> 192.0.2.2:20");
	script_free(s);
}

static void what_was_changed_before_is_still_its_flow(void **state)
{
	struct script *s = load_rules(
		"rule { action = function(pkt) pkt.dst = '192.0.2.77'\n"
		"pkt.dport = 7 pkt.ip.options = '\\1\\1\\1\\1'\n"
		"pkt.payload = '' log(pkt.flow, pkt.flow.bytes) end }");

	(void)state;
	walk(s, "udp 1:10 > 2:20", 100);
	assert_string_equal(logged,
			    "flow udp 192.0.2.1:10 <> 192.0.2.2:20 128");
	script_free(s);
}

static void data_stays_with_the_flow_and_goes_with_it(void **state)
{
	struct script *s = load_rules(
		"rule { action = function(pkt) local d = pkt.flow.data\n"
		"if not d.n then d.big = ('x'):rep(1 << 20) .. pkt.sport end\n"
		"d.n = (d.n or 0) + 1 log(d.n) end }");
	struct script_usage u;
	size_t least;

	(void)state;
	walk(s, "udp 1:10 > 2:20", 1);
	walk(s, "udp 2:20 > 1:10", 1);
	assert_string_equal(logged, "2");
	script_usage(s, &u);
	least = u.memory;
	/* Each of them expires before the next one comes. */
	for (int i = 0; i < 200; i++) {
		char text[64];

		now += 1000 * SECOND;
		snprintf(text, sizeof(text), "udp 1:%d > 2:20", 100 + i);
		assert_int_equal(walk(s, text, 1), VERDICT_ACCEPT);
		assert_string_equal(logged, "1");
	}
	script_usage(s, &u);
	assert_true(u.memory < least + (8 << 20));
	assert_int_equal(u.errors, 0);
	script_free(s);
}

static void a_flow_that_is_gone_says_so(void **state)
{
	struct script *s = load_rules(
		"local kept\n"
		"rule { action = function(pkt) kept = kept or pkt.flow\n"
		"kept.data.x = 1 log(kept.packets) end }");

	(void)state;
	assert_int_equal(walk(s, "udp 1:10 > 2:20", 1), VERDICT_ACCEPT);
	assert_int_equal(walk(s, "udp 1:11 > 2:20", 1), VERDICT_ACCEPT);
	now += 181 * SECOND;
	assert_int_equal(walk(s, "udp 1:10 > 2:20", 1), VERDICT_ERROR);
	assert_has(script_error(s),
		   "this flow is gone: it was idle for too long", "kept");
	script_free(s);
}

static void a_decided_flow_meets_no_rule(void **state)
{
	struct script *s = load_rules(
		"rule { match = { dport = 20 }, action = function(pkt) "
		"pkt.flow:drop() end }\n"
		"rule { match = { dport = 21 }, action = function(pkt) "
		"pkt.flow:bypass() end }\n"
		"rule { action = function(pkt) log('seen') return REJECT "
		"end }");

	(void)state;
	assert_int_equal(walk(s, "udp 1:10 > 2:20", 1), VERDICT_REJECT);
	assert_int_equal(walk(s, "udp 1:10 > 2:21", 1), VERDICT_REJECT);
	*logged = '\0';
	assert_int_equal(walk(s, "udp 1:10 > 2:20", 1), VERDICT_DROP);
	assert_int_equal(walk(s, "udp 2:20 > 1:10", 1), VERDICT_DROP);
	assert_int_equal(walk(s, "udp 2:21 > 1:10", 1), VERDICT_ACCEPT);
	assert_string_equal(logged, "");
	assert_int_equal(walk(s, "udp 1:10 > 2:22", 1), VERDICT_REJECT);
	script_free(s);
}

static void errors_say_what_would_be_right(void **state)
{
	static const struct {
		const char *text, *body, *says;
	} cases[] = {
		{"udp 1:1 > 2:2", "return pkt.flow.packet",
		 "a flow has no field 'packet'; did you mean 'packets'?"},
		{"udp 1:1 > 2:2", "pkt.flow.packets = 1",
		 "flow.packets can be read, not set"},
		{"udp 1:1 > 2:2", "pkt.flow.mine = 1",
		 "flow.mine cannot be set; flow.data is for what is yours"},
		{"udp 1:1 > 2:2", "pkt.flow.data = 1",
		 "flow.data is a table, not a number"},
		{"udp 1:1 > 2:2", "pkt.flow = nil", "flow can be read, not set"},
		{"udp 1:1 > 2:2", "pkt.flow.drop(1)", "flow expected"},
		{"udp 1:1 > 2:2", "pkt.flow.drop(pkt)", "flow expected"},
		{"udp 1:1 > 2:2", "pkt.flow:stream('out', tostring)",
		 "stream: this flow is not TCP"},
		{"tcp 1:1 > 2:2", "pkt.flow:stream('up', function() end)",
		 "invalid option 'up'"},
		{"tcp 1:1 > 2:2", "pkt.flow:stream('out', 1)",
		 "function expected"},
		{"tcp 1:1 > 2:2", "pkt.flow:stream('out', function() end)",
		 "stream: changing the length of a TCP payload needs the "
		 "answers as well: add capture { dir = {\"out\", \"in\"} }"},
		{"tcp 1:1 > 2:2", "pkt.payload = 'another length'",
		 "payload: changing the length of a TCP payload needs the "
		 "answers as well: add capture { dir = {\"out\", \"in\"} }"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[256];
		struct script *s;

		snprintf(text, sizeof(text),
			 "rule { action = function(pkt) %s\nend }",
			 cases[i].body);
		s = load_rules(text);
		if (walk(s, cases[i].text, 5) != VERDICT_ERROR)
			fail_msg("not an error: %s", cases[i].body);
		assert_has(script_error(s), cases[i].says, cases[i].body);
		script_free(s);
	}
}

static void what_has_no_data_cannot_get_any(void **state)
{
	struct script *s = load_rules(
		"capture { dir = { 'out', 'in' } }\n"
		"rule { action = function(pkt) pkt.payload = 'more' end }");

	(void)state;
	assert_int_equal(walk(s, "tcp 1:1 > 2:2", 0), VERDICT_ERROR);
	assert_has(script_error(s), "a TCP segment without data", "more");
	script_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_directions_are_one_flow),
		cmocka_unit_test(other_ports_ids_and_protocols_are_others),
		cmocka_unit_test(an_icmp_error_belongs_to_what_it_quotes),
		cmocka_unit_test(fragments_go_by_their_addresses),
		cmocka_unit_test(a_full_table_drops_the_one_idle_longest),
		cmocka_unit_test(idle_flows_expire_by_protocol),
		cmocka_unit_test(those_that_nobody_asks_for_expire_too),
		cmocka_unit_test(a_syn_after_the_end_is_another_connection),
		cmocka_unit_test(another_name_leads_to_the_same_flow),
		cmocka_unit_test(
			another_name_may_cost_the_place_of_its_own_flow),
		cmocka_unit_test(
			packets_bytes_and_age_are_those_of_both_directions),
		cmocka_unit_test(what_was_changed_before_is_still_its_flow),
		cmocka_unit_test(data_stays_with_the_flow_and_goes_with_it),
		cmocka_unit_test(a_flow_that_is_gone_says_so),
		cmocka_unit_test(a_decided_flow_meets_no_rule),
		cmocka_unit_test(errors_say_what_would_be_right),
		cmocka_unit_test(what_has_no_data_cannot_get_any),
	};

	return cmocka_run_group_tests_name("script_flow", tests, NULL, NULL);
}
