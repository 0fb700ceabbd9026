/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the audit says of literal packets: its line, its JSON, what changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "daemon/event.h"
#include "daemon/original.h"

/* 192.0.2.2:30732 > 198.51.100.7:80, SYN; MSS 1460, window scale 7. */
static const uint8_t syn[] = {
	0x45, 0x00, 0x00, 0x30, 0x1c, 0x46, 0x40, 0x00, 0x40, 0x06, 0x32, 0x45,
	0xc0, 0x00, 0x02, 0x02, 0xc6, 0x33, 0x64, 0x07, 0x78, 0x0c, 0x00, 0x50,
	0x01, 0x02, 0x03, 0x04, 0x00, 0x00, 0x00, 0x00, 0x70, 0x02, 0x20, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x02, 0x04, 0x05, 0xb4, 0x01, 0x03, 0x03, 0x07};

/* 192.0.2.2:5353 > 198.51.100.7:53, "hello". */
static const uint8_t udp[] = {
	0x45, 0x00, 0x00, 0x21, 0x00, 0x01, 0x00, 0x00, 0x40, 0x11, 0x8e,
	0x8e, 0xc0, 0x00, 0x02, 0x02, 0xc6, 0x33, 0x64, 0x07, 0x14, 0xe9,
	0x00, 0x35, 0x00, 0x0d, 0xba, 0xa6, 0x68, 0x65, 0x6c, 0x6c, 0x6f};

/* 192.0.2.2 > 198.51.100.7, echo request, id 0x1234, seq 1, "abc". */
static const uint8_t echo[] = {
	0x45, 0x00, 0x00, 0x1f, 0x00, 0x02, 0x00, 0x00, 0x40, 0x01, 0x8e,
	0x9f, 0xc0, 0x00, 0x02, 0x02, 0xc6, 0x33, 0x64, 0x07, 0x08, 0x00,
	0x21, 0x68, 0x12, 0x34, 0x00, 0x01, 0x61, 0x62, 0x63};

/* Not an IPv4 header. */
static const uint8_t odd[] = {0x60, 0x00, 0x00, 0x00};

#define WHEN (INT64_C(1700000000) * NSEC_PER_SEC + 5933001)

/* One packet on its way through the rules. */
struct pass {
	uint8_t buffer[PACKET_BUFFER], kept[PACKET_BUFFER];
	struct packet p;
	struct original original;
	struct event e;
	struct verdict v;
};
static struct pass pass;

static struct packet *begin(const uint8_t *b, uint32_t n)
{
	memset(&pass, 0, sizeof(pass));
	memcpy(pass.buffer + PACKET_HEADROOM, b, n);
	packet_init(&pass.p, pass.buffer, sizeof(pass.buffer),
		    pass.buffer + PACKET_HEADROOM, n, NULL);
	pass.p.time = WHEN;
	pass.original.undo.bytes = pass.kept;
	original_keep(&pass.original, &pass.p);
	event_begin(&pass.e, &pass.p);
	pass.v.kind = VERDICT_ACCEPT;
	return &pass.p;
}
#define BEGIN(b) begin(b, sizeof(b))

static void end(void)
{
	struct packet before = original_view(&pass.original);

	event_end(&pass.e, &before, &pass.p, &pass.v);
}

static struct rule rule_of(char *name)
{
	return (struct rule){.name = name};
}

static void says_changes(const char *expected)
{
	char text[1024];

	end();
	assert_int_equal(event_changes(&pass.e, text, sizeof(text)),
			 strlen(expected));
	assert_string_equal(text, expected);
}

static void says_line(const struct ruleset *rs, const struct owner *owner,
		      const char *expected)
{
	char text[1024];
	size_t n = event_line(&pass.e, rs, owner, false, text, sizeof(text));

	assert_string_equal(text, expected);
	assert_int_equal(n, strlen(expected));
}

static void says_json(const struct ruleset *rs, const struct owner *owner,
		      const char *expected)
{
	char text[2048];
	size_t n = event_json(&pass.e, rs, owner, text, sizeof(text));

	assert_string_equal(text, expected);
	assert_int_equal(n, strlen(expected));
}

/* ---- the line ----------------------------------------------------------- */

static void the_line_has_its_columns(void **state)
{
	const struct owner curl = {.uid = 1000, .pid = 4711, .comm = "curl"};
	struct rule rule = rule_of("fake-echo");
	struct ruleset rs = {.first = &rule, .count = 1};

	(void)state;
	BEGIN(syn);
	end();
	says_line(&rs, &curl,
		  "22:13:20.005933 out  tcp  192.0.2.2:30732 > 198.51.100.7:80 "
		  "[S] len 48  ACCEPT   -          curl/4711\n");
	BEGIN(echo);
	pass.v = (struct verdict){.kind = VERDICT_DROP, .rule = &rule};
	end();
	says_line(&rs, NULL,
		  "22:13:20.005933 out  icmp 192.0.2.2 > 198.51.100.7 "
		  "echo request id 4660 seq 1 len 31  DROP     fake-echo  -\n");
}

static void a_packet_without_a_header_has_a_line(void **state)
{
	(void)state;
	BEGIN(odd)->dir = DIR_IN;
	event_begin(&pass.e, &pass.p);
	end();
	says_line(NULL, NULL, "22:13:20.005933 in   0    - > - not IPv4 len 4  "
			      "ACCEPT   -          -\n");
}

static void a_note_ends_the_line(void **state)
{
	(void)state;
	BEGIN(udp);
	strcpy(pass.e.note, "look here");
	end();
	says_line(NULL, NULL,
		  "22:13:20.005933 out  udp  192.0.2.2:5353 > 198.51.100.7:53 "
		  "len 33  ACCEPT   -          -  # look here\n");
}

static void colour_tells_changed_from_accepted_from_dropped(void **state)
{
	static const struct {
		enum verdict_kind kind;
		bool change;
		const char *colour;
	} cases[] = {
		{VERDICT_ACCEPT, false, "\033[32mACCEPT  \033[0m"},
		{VERDICT_ACCEPT, true, "\033[33mACCEPT  \033[0m"},
		{VERDICT_REPLACE, false, "\033[36mREPLACE \033[0m"},
		{VERDICT_DROP, true, "\033[31mDROP    \033[0m"},
		{VERDICT_REJECT, false, "\033[31mREJECT  \033[0m"},
	};
	char text[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct packet *p = BEGIN(udp);

		if (cases[i].change)
			packet_set(p, FIELD_IP_TTL, 3);
		pass.v.kind = cases[i].kind;
		end();
		event_line(&pass.e, NULL, NULL, true, text, sizeof(text));
		assert_non_null(strstr(text, cases[i].colour));
	}
}

static void a_line_never_leaves_its_buffer(void **state)
{
	char text[600];

	(void)state;
	BEGIN(syn);
	end();
	for (size_t size = 1; size < 200; size++) {
		memset(text, 'x', sizeof(text));
		assert_true(event_line(&pass.e, NULL, NULL, true, text, size) <
			    size);
		assert_non_null(memchr(text, '\0', size));
		assert_int_equal(text[size], 'x');
		memset(text, 'x', sizeof(text));
		assert_true(event_json(&pass.e, NULL, NULL, text, size) < size);
		assert_int_equal(text[size], 'x');
	}
}

/* ---- JSON --------------------------------------------------------------- */

static void json_has_the_same_and_what_changed(void **state)
{
	const struct owner dig = {.uid = 1000, .pid = 7, .comm = "d\"ig"};
	struct rule rule = rule_of("sink\\hole");
	struct ruleset rs = {.first = &rule, .count = 1};
	struct address to = address_v4((uint8_t[]){203, 0, 113, 9});
	struct packet *p = BEGIN(udp);

	(void)state;
	p->iface = "eth0";
	p->way = WAY_WIRE;
	event_begin(&pass.e, p);
	packet_set_address(p, FIELD_IP_DST, &to);
	packet_set(p, FIELD_UDP_DPORT, 5300);
	packet_write(p, p->payload, "HELLO", 5);
	pass.v = (struct verdict){
		.kind = VERDICT_REPLACE, .rule = &rule, .count = 2};
	strcpy(pass.e.note, "a \"note\"");
	end();
	says_json(&rs, &dig,
		  "{\"time\":1700000000.005933001,\"dir\":\"out\","
		  "\"way\":\"wire\",\"iface\":\"eth0\",\"proto\":\"udp\","
		  "\"src\":\"192.0.2.2\",\"dst\":\"198.51.100.7\","
		  "\"sport\":5353,\"dport\":53,\"detail\":\"\",\"len\":33,"
		  "\"verdict\":\"REPLACE\",\"rule\":\"sink\\\\hole\","
		  "\"made\":2,\"changed\":{\"ip.dst\":[\"198.51.100.7\","
		  "\"203.0.113.9\"],\"udp.dport\":[53,5300]},"
		  "\"payload_changed\":true,\"note\":\"a \\\"note\\\"\","
		  "\"process\":\"d\\\"ig\",\"pid\":7,\"uid\":1000}\n");
}

static void json_leaves_out_what_there_is_not(void **state)
{
	(void)state;
	BEGIN(odd);
	end();
	says_json(NULL, NULL,
		  "{\"time\":1700000000.005933001,\"dir\":\"out\","
		  "\"way\":\"route\",\"proto\":\"0\",\"src\":\"-\",\"dst\":\"-\","
		  "\"detail\":\"not IPv4\",\"len\":4,\"verdict\":\"ACCEPT\"}\n");
}

static void a_time_before_the_epoch_is_a_number_too(void **state)
{
	char text[1024];

	(void)state;
	BEGIN(udp)->time = -NSEC_PER_SEC / 4;
	event_begin(&pass.e, &pass.p);
	end();
	event_json(&pass.e, NULL, NULL, text, sizeof(text));
	assert_memory_equal(text, "{\"time\":-0.250000000,", 21);
	event_line(&pass.e, NULL, NULL, false, text, sizeof(text));
	assert_memory_equal(text, "23:59:59.750000 out", 19);
	pass.e.time = INT64_MIN;
	event_json(&pass.e, NULL, NULL, text, sizeof(text));
	assert_memory_equal(text, "{\"time\":-9223372036.854775807,", 30);
}

/* ---- what changed ------------------------------------------------------- */

static void nothing_changed_is_nothing_said(void **state)
{
	(void)state;
	BEGIN(syn);
	says_changes("");
	packet_set(BEGIN(udp), FIELD_IP_TTL, 64); /* as it was */
	says_changes("");
}

static void fields_are_named_with_both_values(void **state)
{
	struct address to = address_v4((uint8_t[]){203, 0, 113, 9});
	struct packet *p = BEGIN(syn);

	(void)state;
	packet_set(p, FIELD_IP_TTL, 63);
	packet_set_address(p, FIELD_IP_DST, &to);
	packet_set(p, FIELD_TCP_FLAGS, 0x12);
	says_changes("ip.ttl 64 > 63, ip.dst 198.51.100.7 > 203.0.113.9, "
		     "tcp.flags [S] > [SA]");
}

static void every_field_of_a_packet_fits(void **state)
{
	struct packet *p = BEGIN(syn);
	uint32_t v;
	int n = 0;

	(void)state;
	for (int f = FIELD_IP_DSCP; f < FIELD_UDP_SPORT; f++) {
		if (f == FIELD_IP_LEN || f == FIELD_IP_CHECKSUM ||
		    f == FIELD_TCP_CHECKSUM || f == FIELD_IP_PROTO ||
		    f == FIELD_IP_MF || f == FIELD_IP_FRAG_OFFSET ||
		    f == FIELD_TCP_DOFF)
			continue;
		assert_int_equal(packet_get(p, f, &v), 0);
		assert_int_equal(packet_set(p, f, v ^ 1), 0);
		n++;
	}
	end();
	assert_int_equal(n, 14);
	assert_int_equal(pass.e.changes, n);
}

static void an_mss_is_an_option_and_no_payload(void **state)
{
	struct packet *p = BEGIN(syn);

	(void)state;
	packet_write(p, 42, "\x05\x00", 2);
	says_changes("tcp.mss 1460 > 1280, options");
	assert_true(pass.e.options_changed);
	assert_false(pass.e.payload_changed);
}

static void options_that_go_are_options_changed(void **state)
{
	(void)state;
	assert_int_equal(packet_set_tcp_options(BEGIN(syn), NULL, 0), 0);
	says_changes("ip.len 48 > 40, tcp.doff 7 > 5, options");
	assert_false(pass.e.payload_changed);
	assert_int_equal(packet_set_ip_options(BEGIN(udp), "\1\1\1\1", 4), 0);
	says_changes("ip.ihl 5 > 6, ip.len 33 > 37, options");
	assert_false(pass.e.payload_changed);
}

static void payload_that_changes_is_said_beside_fields(void **state)
{
	struct packet *p = BEGIN(udp);

	(void)state;
	packet_write(p, p->payload + 4u, "O", 1);
	says_changes("payload");
	p = BEGIN(udp);
	packet_set(p, FIELD_IP_TTL, 1);
	packet_write(p, p->payload, "j", 1);
	says_changes("ip.ttl 64 > 1, payload");
	p = BEGIN(udp);
	packet_splice(p, p->payload, 5, "longer", 6);
	says_changes("ip.len 33 > 34, udp.len 13 > 14, payload");
}

static void the_second_word_of_icmp_is_read_by_its_type(void **state)
{
	struct packet *p = BEGIN(echo);

	(void)state;
	packet_set(p, FIELD_ICMP_ID, 7);
	packet_set(p, FIELD_ICMP_SEQ, 8);
	says_changes("icmp.id 4660 > 7, icmp.seq 1 > 8");
}

static void a_checksum_is_told_only_when_written_by_hand(void **state)
{
	struct packet *p = BEGIN(udp);

	(void)state;
	packet_set(p, FIELD_IP_TTL, 63);
	says_changes("ip.ttl 64 > 63");
	packet_set(BEGIN(udp), FIELD_UDP_CHECKSUM, 0x1234);
	says_changes("udp.checksum 47782 > 4660");
}

static void a_packet_given_back_has_not_changed(void **state)
{
	struct packet *p = BEGIN(udp);

	(void)state;
	packet_set(p, FIELD_IP_TTL, 1);
	packet_splice(p, p->payload, 5, "much longer than it was", 23);
	original_restore(&pass.original, p);
	assert_int_equal(p->len, sizeof(udp));
	assert_memory_equal(p->data, udp, sizeof(udp));
	says_changes("");
}

/* ---- from another process ----------------------------------------------- */

static void an_event_from_a_stranger_is_made_safe(void **state)
{
	char text[4096];
	struct event e;

	(void)state;
	memset(&e, 0xff, sizeof(e));
	event_sanitize(&e);
	assert_true(e.dir <= DIR_FORWARD && e.way <= WAY_WIRE);
	assert_true(e.verdict <= VERDICT_ERROR);
	assert_true(e.changes <= EVENT_CHANGES);
	assert_true(e.options_changed <= 1 && e.payload_changed <= 1);
	assert_int_equal(e.src.size, 0);
	assert_true(event_line(&e, NULL, NULL, true, text, sizeof(text)) > 0);
	for (const char *c = text; *c; c++)
		assert_true((*c >= ' ' && *c <= '~') || *c == '\n' ||
			    *c == '\033');
	assert_true(event_json(&e, NULL, NULL, text, sizeof(text)) > 0);
	event_changes(&e, text, sizeof(text));

	memset(&e, 0, sizeof(e));
	strcpy(e.note, "\033[2J\nforged line");
	e.changes = 1;
	e.change[0].field = EVENT_MSS + 1;
	event_sanitize(&e);
	assert_string_equal(e.note, "?[2J?forged line");
	assert_int_equal(e.changes, 0);
}

static void rules_are_named_by_their_index(void **state)
{
	struct rule b = {.index = 1, .name = "b"};
	struct rule a = {.index = 0, .name = "a", .next = &b};
	struct ruleset rs = {.first = &a, .count = 2};

	(void)state;
	assert_string_equal(event_rule_name(&rs, 1), "b");
	assert_string_equal(event_rule_name(&rs, 2), "-");
	assert_string_equal(event_rule_name(&rs, EVENT_RULE_NONE), "-");
	assert_string_equal(event_rule_name(NULL, 0), "-");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_line_has_its_columns),
		cmocka_unit_test(a_packet_without_a_header_has_a_line),
		cmocka_unit_test(a_note_ends_the_line),
		cmocka_unit_test(
			colour_tells_changed_from_accepted_from_dropped),
		cmocka_unit_test(a_line_never_leaves_its_buffer),
		cmocka_unit_test(json_has_the_same_and_what_changed),
		cmocka_unit_test(json_leaves_out_what_there_is_not),
		cmocka_unit_test(a_time_before_the_epoch_is_a_number_too),
		cmocka_unit_test(nothing_changed_is_nothing_said),
		cmocka_unit_test(fields_are_named_with_both_values),
		cmocka_unit_test(every_field_of_a_packet_fits),
		cmocka_unit_test(an_mss_is_an_option_and_no_payload),
		cmocka_unit_test(options_that_go_are_options_changed),
		cmocka_unit_test(payload_that_changes_is_said_beside_fields),
		cmocka_unit_test(the_second_word_of_icmp_is_read_by_its_type),
		cmocka_unit_test(a_checksum_is_told_only_when_written_by_hand),
		cmocka_unit_test(a_packet_given_back_has_not_changed),
		cmocka_unit_test(an_event_from_a_stranger_is_made_safe),
		cmocka_unit_test(rules_are_named_by_their_index),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
