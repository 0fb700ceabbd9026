/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Flows that somebody else decides about, once a rule has: when he is told,
 * when no longer, and when a flow that he has is asked for. */
#include "script_test.h"

#include "base/clock.h"
#include "script/flow.h"

#define SECOND NSEC_PER_SEC
#define HOUR   (3600 * SECOND)

static struct {
	struct script *script;
	int64_t now;
	char diary[1024];
} w;

static void note(const char *text)
{
	strncat(w.diary, text, sizeof(w.diary) - strlen(w.diary) - 1);
}

static void note_flow(const char *what, const struct script_flow *f)
{
	char line[80];

	/* The lower end is the first. */
	snprintf(line, sizeof(line), "%s %u:%u-%u:%u|", what,
		 f->end[0].byte[3], f->port[0], f->end[1].byte[3], f->port[1]);
	note(line);
}

static void on_hold(void *arg, const struct script_flow *f, bool accept)
{
	(void)arg;
	note_flow(accept ? "bypass" : "drop", f);
}

static void on_release(void *arg, const struct script_flow *f, bool accept)
{
	(void)arg;
	note_flow(accept ? "release" : "undrop", f);
}

static void on_ask(void *arg, const struct script_flow *f)
{
	(void)arg;
	note_flow("ask", f);
}

static void on_log(void *arg, const char *text)
{
	(void)arg;
	note(text);
	note("|");
}

static int64_t on_now(void *arg)
{
	(void)arg;
	return w.now;
}

static const struct script_host host = {
	.log = on_log,
	.now = on_now,
	.hold = on_hold,
	.release = on_release,
	.ask = on_ask,
};

static void begin(const char *text)
{
	memset(&w, 0, sizeof(w));
	w.now = 1000 * SECOND;
	w.script = load_script(text, NULL);
	script_set_host(w.script, &host);
	script_start(w.script, true);
}

static const struct {
	char letter;
	uint8_t bit;
} flags[] = {{'F', 1}, {'S', 2}, {'R', 4}, {'P', 8}, {'A', 16}};

/* "tcp 1:10 > 2:20 SA": between hosts 192.0.2.N; host 1 is this one. */
static enum verdict_kind packet(const char *text)
{
	static uint8_t buffer[PACKET_BUFFER], before[PACKET_BUFFER];
	struct packet_undo undo = {.bytes = before};
	struct packet p = {.head = buffer, .size = sizeof(buffer)};
	uint8_t b[2][4] = {{192, 0, 2, 0}, {192, 0, 2, 0}};
	unsigned at[2], port[2], bits = 0;
	char proto[8], letters[8] = "";
	struct address a;
	struct verdict v;

	assert_true(sscanf(text, "%7s %u:%u > %u:%u %7s", proto, &at[0],
			   &port[0], &at[1], &port[1], letters) >= 5);
	assert_int_equal(packet_new(&p, (uint8_t)name_proto(proto)), 0);
	for (int i = 0; i < 2; i++) {
		b[i][3] = (uint8_t)at[i];
		a = address_v4(b[i]);
		packet_set_address(&p, i ? FIELD_IP_DST : FIELD_IP_SRC, &a);
	}
	for (size_t i = 0; i < COUNT(flags); i++)
		if (strchr(letters, flags[i].letter))
			bits |= flags[i].bit;
	if (p.proto == 1) {
		packet_set(&p, FIELD_ICMP_TYPE, 8);
		packet_set(&p, FIELD_ICMP_ID, port[0]);
	} else {
		packet_set(&p, p.proto == 6 ? FIELD_TCP_SPORT : FIELD_UDP_SPORT,
			   port[0]);
		packet_set(&p, p.proto == 6 ? FIELD_TCP_DPORT : FIELD_UDP_DPORT,
			   port[1]);
	}
	if (p.proto == 6)
		packet_set(&p, FIELD_TCP_FLAGS, bits);
	packet_parse(&p);
	p.dir = at[0] == 1 ? DIR_OUT : DIR_IN;
	p.undo = &undo;
	if (!script_flow_begin(w.script, &p, &v))
		v = run_packet(w.script, &p);
	if (v.kind == VERDICT_ERROR)
		fail_msg("%s", script_error(w.script));
	script_flow_end(w.script, &p, &v);
	return v.kind;
}

static void packets(const char *const list[], size_t n)
{
	for (size_t i = 0; i < n && list[i]; i++)
		packet(list[i]);
}

static void assert_diary(const char *want)
{
	assert_string_equal(w.diary, want);
	*w.diary = '\0';
}

#define BYPASS                                                               \
	"capture { dir = {'out', 'in'} }\n"                                  \
	"rule { action = function(pkt) log('rule') pkt.flow:bypass() end }\n"

static const char *const handshake[] = {
	"tcp 1:10 > 2:20 S", "tcp 2:20 > 1:10 SA", "tcp 1:10 > 2:20 A"};

static const struct {
	const char *packets[8];
	const char *diary;
} cases[] = {
	/* Not before it is a connection. */
	{{"tcp 1:10 > 2:20 S", "tcp 1:10 > 2:20 S"}, "rule|"},
	{{"tcp 1:10 > 2:20 S", "tcp 2:20 > 1:10 SA"}, "rule|"},
	{{"tcp 1:10 > 2:20 S", "tcp 2:20 > 1:10 SA", "tcp 1:10 > 2:20 A",
	  "tcp 2:20 > 1:10 PA"},
	 "rule|bypass 1:10-2:20|"},
	{{"tcp 1:10 > 2:20 S", "tcp 2:20 > 1:10 RA", "tcp 1:10 > 2:20 A"},
	 "rule|"},
	/* Whichever end ends it. */
	{{"tcp 1:10 > 2:20 PA", "tcp 1:10 > 2:20 PA", "tcp 2:20 > 1:10 FA",
	  "tcp 1:10 > 2:20 A", "tcp 1:10 > 2:20 FA", "tcp 2:20 > 1:10 A"},
	 "rule|bypass 1:10-2:20|release 1:10-2:20|"},
	{{"tcp 1:10 > 2:20 PA", "tcp 1:10 > 2:20 PA", "tcp 1:10 > 2:20 FA",
	  "tcp 2:20 > 1:10 A", "tcp 1:10 > 2:20 RA"},
	 "rule|bypass 1:10-2:20|release 1:10-2:20|"},
	{{"tcp 1:10 > 2:20 PA", "tcp 1:10 > 2:20 PA", "tcp 2:20 > 1:10 R",
	  "tcp 1:10 > 2:20 A"},
	 "rule|bypass 1:10-2:20|release 1:10-2:20|"},
	/* A new one between the same ports. */
	{{"tcp 1:10 > 2:20 PA", "tcp 1:10 > 2:20 PA", "tcp 1:10 > 2:20 S",
	  "tcp 2:20 > 1:10 SA", "tcp 1:10 > 2:20 A"},
	 "rule|bypass 1:10-2:20|release 1:10-2:20|rule|bypass 1:10-2:20|"},
	{{"tcp 2:20 > 1:10 PA", "tcp 2:20 > 1:10 PA", "tcp 2:20 > 1:10 FA",
	  "tcp 2:20 > 1:10 S"},
	 "rule|bypass 1:10-2:20|release 1:10-2:20|rule|"},
	/* Anybody can send a SYN that looks like one of the other end's. */
	{{"tcp 2:20 > 1:10 PA", "tcp 2:20 > 1:10 PA", "tcp 2:20 > 1:10 S"},
	 "rule|bypass 1:10-2:20|"},
	{{"udp 1:10 > 2:20", "udp 2:20 > 1:10", "udp 1:10 > 2:20"},
	 "rule|bypass 1:10-2:20|"},
	/* What has no ports. */
	{{"icmp 1:7 > 2:7", "icmp 1:7 > 2:7"}, "rule|"},
	{{"udp 1:10 > 2:0", "udp 1:10 > 2:0"}, "rule|"},
};

static void who_holds_a_flow_is_told_of_its_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		begin(BYPASS);
		packets(cases[i].packets, 8);
		if (strcmp(w.diary, cases[i].diary))
			fail_msg("case %zu: %s, not %s", i, w.diary,
				 cases[i].diary);
		script_free(w.script);
	}
}

static void what_comes_all_the_same_is_decided_and_told_again(void **state)
{
	(void)state;
	begin(BYPASS);
	packets(handshake, COUNT(handshake));
	assert_diary("rule|bypass 1:10-2:20|");
	assert_int_equal(packet("tcp 1:10 > 2:20 PA"), VERDICT_ACCEPT);
	assert_diary("");
	w.now += 6 * SECOND;
	assert_int_equal(packet("tcp 1:10 > 2:20 PA"), VERDICT_ACCEPT);
	assert_diary("bypass 1:10-2:20|");
	script_free(w.script);
}

static void a_later_decision_takes_the_place_of_the_first(void **state)
{
	(void)state;
	begin("capture { dir = {'out', 'in'} }\n"
	      "local f\n"
	      "rule { match = { dport = 20 }, action = function(pkt)\n"
	      "         f = pkt.flow f:bypass() end }\n"
	      "rule { match = { dport = 30 }, action = function(pkt)\n"
	      "         f:drop() end }\n"
	      "rule { match = { dport = 31 }, action = function(pkt)\n"
	      "         f:stream('out', function(t) end) end }\n");
	packets(handshake, COUNT(handshake));
	packet("udp 1:10 > 2:30");
	assert_int_equal(packet("tcp 1:10 > 2:20 PA"), VERDICT_DROP);
	assert_diary("bypass 1:10-2:20|release 1:10-2:20|drop 1:10-2:20|");
	/* Its bytes are wanted. */
	packet("udp 1:10 > 2:31");
	packet("tcp 1:10 > 2:20 PA");
	assert_diary("undrop 1:10-2:20|");
	script_free(w.script);
}

/* Where packets do not come, nothing can be said of their age. */
static void what_is_held_is_asked_for_when_it_seems_idle(void **state)
{
	struct script_flow f = {.proto = 6, .port = {10, 20}};

	(void)state;
	f.end[0] = address_v4((const uint8_t[]){192, 0, 2, 1});
	f.end[1] = address_v4((const uint8_t[]){192, 0, 2, 2});
	begin(BYPASS);
	packets(handshake, COUNT(handshake));
	assert_diary("rule|bypass 1:10-2:20|");
	w.now += HOUR + SECOND;
	packet("icmp 1:1 > 2:1"); /* any packet makes it look */
	assert_diary("ask 1:10-2:20|rule|");
	script_counted(w.script, &f, 100);
	w.now += HOUR + SECOND;
	packet("icmp 1:1 > 2:1");
	assert_diary("ask 1:10-2:20|rule|");
	/* It still lives, for it has counted more. */
	script_counted(w.script, &f, 101);
	packet("tcp 1:10 > 2:20 PA");
	assert_diary("bypass 1:10-2:20|");
	w.now += HOUR + SECOND;
	packet("icmp 1:1 > 2:1");
	assert_diary("ask 1:10-2:20|rule|");
	script_counted(w.script, &f, 101);
	assert_diary("release 1:10-2:20|");
	/* Then it is another. */
	packet("tcp 1:10 > 2:20 PA");
	assert_diary("rule|");
	/* And an answer to nobody is none. */
	script_counted(w.script, &f, 101);
	f.port[0] = 11;
	script_counted(w.script, &f, 0);
	f.end[0].size = 16;
	script_counted(w.script, &f, 0);
	assert_diary("");
	script_free(w.script);
}

static void without_a_holder_all_is_decided_here(void **state)
{
	const struct script_host none = {.log = on_log, .now = on_now};

	(void)state;
	begin(BYPASS);
	script_set_host(w.script, &none);
	packets(handshake, COUNT(handshake));
	assert_int_equal(packet("tcp 2:20 > 1:10 PA"), VERDICT_ACCEPT);
	assert_diary("rule|");
	script_free(w.script);
}

/* ---- the table ------------------------------------------------------------ */

static void no_note(void *arg, struct flow *f)
{
	(void)arg;
	(void)f;
}

static struct flow *flow_between(struct flow_table *t, uint16_t port,
				 int64_t now)
{
	struct flow_packet fp = {.key = {.proto = 17, .address_size = 4}};

	fp.key.end[0].port = port;
	fp.key.end[1].port = 80;
	return flow_get(t, &fp, DIR_OUT, now);
}

static void held_flows_are_the_last_to_lose_their_place(void **state)
{
	struct flow_table *t = flow_table_new(3, no_note, no_note, NULL);
	struct flow_key held[3];

	(void)state;
	for (uint16_t i = 0; i < 3; i++) {
		struct flow *f = flow_between(t, i + 1, SECOND * i);

		held[i] = f->key;
		if (i)
			flow_hold(t, f, true, SECOND * i);
	}
	/* The first one goes, then this one, and so on. */
	for (uint16_t i = 0; i < 5; i++)
		flow_between(t, 100 + i, SECOND * (10 + i));
	assert_null(flow_of(t, &held[0]));
	assert_non_null(flow_of(t, &held[1]));
	assert_non_null(flow_of(t, &held[2]));
	/* But bounded it is. */
	flow_hold(t, flow_between(t, 104, 20 * SECOND), true, 20 * SECOND);
	flow_between(t, 200, 21 * SECOND);
	assert_null(flow_of(t, &held[1]));
	assert_int_equal(flow_table_used(t), 3);
	flow_table_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_holds_a_flow_is_told_of_its_end),
		cmocka_unit_test(
			what_comes_all_the_same_is_decided_and_told_again),
		cmocka_unit_test(a_later_decision_takes_the_place_of_the_first),
		cmocka_unit_test(what_is_held_is_asked_for_when_it_seems_idle),
		cmocka_unit_test(without_a_holder_all_is_decided_here),
		cmocka_unit_test(held_flows_are_the_last_to_lose_their_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
