/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets as text: each line beside the bytes it stands for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "packet/packet.h"

static const struct {
	const char *name;
	const char *in; /* hex */
	const char *want;
} cases[] = {
	{"tcp_shows_flags",
	 "4500002c00010000400600c4c000020222c29543780c00500000000000000000"
	 "6002200085c20000020405b4",
	 "tcp  192.0.2.2:30732 > 34.194.149.67:80 [S] len 44"},
	{"tcp_shows_all_flags",
	 "45000028123400003d067f5fc0000202c6336407000100020000000000000000"
	 "50122000a3920000",
	 "tcp  192.0.2.2:1 > 198.51.100.7:2 [SA] len 40"},
	{"tcp_without_flags",
	 "45000028123400003d067f5fc0000202c6336407000100020000000000000000"
	 "50002000a3a40000",
	 "tcp  192.0.2.2:1 > 198.51.100.7:2 [none] len 40"},
	{"tcp_header_cut_off",
	 "4500001a123400003d067f6dc0000202c6336407000100020000",
	 "tcp  192.0.2.2:1 > 198.51.100.7:2 truncated len 26"},
	{"tcp_options_cut_off",
	 "45000028123400003d067f5fc0000202c6336407000100020000000000000000"
	 "8002000000000000",
	 "tcp  192.0.2.2:1 > 198.51.100.7:2 [S] truncated len 40"},
	{"tcp_without_ports",
	 "45000016123400003d067f71c0000202c63364070001",
	 "tcp  192.0.2.2 > 198.51.100.7 truncated len 22"},
	{"udp_has_no_detail",
	 "4500001f123400003d117f5dc0000202c63364070001ffff000b4f37616263",
	 "udp  192.0.2.2:1 > 198.51.100.7:65535 len 31"},
	{"echo_request",
	 "45000054123400003d017f38c0000202c63364070800cace0003000178787878"
	 "7878787878787878787878787878787878787878787878787878787878787878"
	 "7878787878787878787878787878787878787878",
	 "icmp 192.0.2.2 > 198.51.100.7 echo request id 3 seq 1 len 84"},
	{"echo_reply",
	 "4500001c123400003d017f70c0000202c633640700000000ffff0000",
	 "icmp 192.0.2.2 > 198.51.100.7 echo reply id 65535 seq 0 len 28"},
	{"unreachable",
	 "4500001c123400003d017f70c0000202c63364070303fcfc00000000",
	 "icmp 192.0.2.2 > 198.51.100.7 unreachable port-unreachable len 28"},
	{"frag_needed_tells_the_mtu",
	 "4500001c123400003d017f70c0000202c63364070304fcfb00000578",
	 "icmp 192.0.2.2 > 198.51.100.7 "
	 "unreachable frag-needed mtu 1400 len 28"},
	{"unreachable_of_an_unknown_code",
	 "4500001c123400003d017f70c0000202c63364070310fcef00000000",
	 "icmp 192.0.2.2 > 198.51.100.7 unreachable code 16 len 28"},
	{"redirect_tells_the_gateway",
	 "4500001c123400003d017f70c0000202c63364070501fafec0000201",
	 "icmp 192.0.2.2 > 198.51.100.7 redirect host to 192.0.2.1 len 28"},
	{"redirect_of_a_network",
	 "4500001c123400003d017f70c0000202c63364070500faffc0000201",
	 "icmp 192.0.2.2 > 198.51.100.7 redirect network to 192.0.2.1 len 28"},
	{"time_exceeded",
	 "4500001c123400003d017f70c0000202c63364070b00f4ff00000000",
	 "icmp 192.0.2.2 > 198.51.100.7 time exceeded in transit len 28"},
	{"time_exceeded_in_reassembly",
	 "4500001c123400003d017f70c0000202c63364070b01f4fe00000000",
	 "icmp 192.0.2.2 > 198.51.100.7 time exceeded in reassembly len 28"},
	{"timestamp",
	 "4500001c123400003d017f70c0000202c63364070d00528e00050006",
	 "icmp 192.0.2.2 > 198.51.100.7 timestamp request id 5 seq 6 len 28"},
	{"another_icmp_type",
	 "4500001c123400003d017f70c0000202c63364070a02f5fd00000000",
	 "icmp 192.0.2.2 > 198.51.100.7 router-solicitation code 2 len 28"},
	{"an_unknown_icmp_type",
	 "4500001c123400003d017f70c0000202c6336407c80237fd00000000",
	 "icmp 192.0.2.2 > 198.51.100.7 type 200 code 2 len 28"},
	{"icmp_header_cut_off",
	 "45000015123400003d017f77c0000202c633640708",
	 "icmp 192.0.2.2 > 198.51.100.7 truncated len 21"},
	{"icmp_cut_off_behind_the_code",
	 "45000018123400003d017f74c0000202c633640708000000",
	 "icmp 192.0.2.2 > 198.51.100.7 echo request truncated len 24"},
	{"first_fragment",
	 "4500002c123420003d115f50c0000202c6336407000700090bb8000078787878"
	 "787878787878787878787878",
	 "udp  192.0.2.2:7 > 198.51.100.7:9 frag 0+ len 44"},
	{"middle_fragment",
	 "4500001c123420b93d115ea7c0000202c63364077878787878787878",
	 "udp  192.0.2.2 > 198.51.100.7 frag 1480+ len 28"},
	{"last_fragment",
	 "4500001c123400b93d067eb2c0000202c63364077878787878787878",
	 "tcp  192.0.2.2 > 198.51.100.7 frag 1480 len 28"},
	{"a_protocol_without_ports",
	 "45000018123400003d2f7f46c0000202c633640731323334",
	 "gre  192.0.2.2 > 198.51.100.7 len 24"},
	{"sctp_has_ports",
	 "45000020123400003d847ee9c0000202c6336407000100020000000000000000",
	 "sctp 192.0.2.2:1 > 198.51.100.7:2 len 32"},
	{"a_protocol_without_a_name",
	 "45000014123400003dfd7e7cc0000202c6336407",
	 "253  192.0.2.2 > 198.51.100.7 len 20"},
	{"nothing",
	 "",
	 "odd  empty len 0"},
	{"another_version",
	 "6000000000003aff",
	 "odd  not IPv4 len 8"},
	{"a_header_length_too_small",
	 "4400001400000000400600000102030405060708",
	 "odd  header length 16 len 20"},
	{"a_header_cut_off",
	 "45000014000000",
	 "odd  header cut off len 7"},
	{"a_header_with_options_cut_off",
	 "4f00001400000000400600000102030405060708",
	 "odd  header cut off len 20"},
	{"a_total_length_too_small",
	 "4500001300000000400600000102030405060708",
	 "odd  total length 19 len 20"},
	{"a_packet_cut_off",
	 "450005dc00000000400600000102030405060708",
	 "odd  cut off, total length 1500 len 20"},
	{"dns_query",
	 "45000039123400003d117f43c0000202c63364070fa00035002522f012340000"
	 "0001000000000000076578616d706c6503636f6d0000010001",
	 "udp  192.0.2.2:4000 > 198.51.100.7:53 A? example.com len 57"},
	{"dns_query_for_the_root",
	 "4500002d123400003d117f4fc0000202c63364070fa000350019ee7412340000"
	 "00010000000000000000020001",
	 "udp  192.0.2.2:4000 > 198.51.100.7:53 NS? . len 45"},
	{"dns_query_of_an_unknown_type",
	 "45000039123400003d117f43c0000202c63364070fa0003500253cec12340000"
	 "0001000000000000076578616d706c6503636f6d0003e70001",
	 "udp  192.0.2.2:4000 > 198.51.100.7:53 TYPE999? example.com len 57"},
	{"dns_answer",
	 "45000039123400003d117f43c0000202c633640700350fa0002587ee12348000"
	 "0001000100000000076578616d706c6503636f6d00001c0001",
	 "udp  192.0.2.2:53 > 198.51.100.7:4000 "
	 "AAAA example.com 1 answer len 57"},
	{"dns_answers",
	 "45000039123400003d117f43c0000202c633640700350fa0002587ed12348000"
	 "0001000200000000076578616d706c6503636f6d00001c0001",
	 "udp  192.0.2.2:53 > 198.51.100.7:4000 "
	 "AAAA example.com 2 answers len 57"},
	{"dns_failure",
	 "45000039123400003d117f43c0000202c633640700350fa00025a2ec12348003"
	 "0001000000000000076578616d706c6503636f6d0000010001",
	 "udp  192.0.2.2:53 > 198.51.100.7:4000 A example.com NXDOMAIN len 57"},
	{"dns_failure_without_a_name",
	 "45000039123400003d117f43c0000202c633640700350fa00025a2e612348009"
	 "0001000000000000076578616d706c6503636f6d0000010001",
	 "udp  192.0.2.2:53 > 198.51.100.7:4000 A example.com rcode 9 len 57"},
	{"dns_elsewhere_is_not_looked_for",
	 "45000039123400003d117f43c0000202c63364070fa00036002522ef12340000"
	 "0001000000000000076578616d706c6503636f6d0000010001",
	 "udp  192.0.2.2:4000 > 198.51.100.7:54 len 57"},
	{"dns_update_is_no_query",
	 "45000039123400003d117f43c0000202c63364070fa000350025faef12342800"
	 "0001000000000000076578616d706c6503636f6d0000010001",
	 "udp  192.0.2.2:4000 > 198.51.100.7:53 len 57"},
	{"dns_without_a_question",
	 "45000039123400003d117f43c0000202c63364070fa00035002522f112340000"
	 "0000000000000000076578616d706c6503636f6d0000010001",
	 "udp  192.0.2.2:4000 > 198.51.100.7:53 len 57"},
	{"dns_name_cut_off",
	 "4500002d123400003d117f4fc0000202c63364070fa00035001904ae12340000"
	 "0001000000000000076578616d",
	 "udp  192.0.2.2:4000 > 198.51.100.7:53 len 45"},
	{"dns_name_without_an_end",
	 "45000034123400003d117f48c0000202c63364070fa00035002024fa12340000"
	 "0001000000000000076578616d706c6503636f6d",
	 "udp  192.0.2.2:4000 > 198.51.100.7:53 len 52"},
	{"dns_type_cut_off",
	 "45000037123400003d117f45c0000202c63364070fa00035002323f412340000"
	 "0001000000000000076578616d706c6503636f6d000001",
	 "udp  192.0.2.2:4000 > 198.51.100.7:53 len 55"},
	{"dns_pointer_in_a_question",
	 "4500002e123400003d117f4ec0000202c63364070fa00035001a316412340000"
	 "0001000000000000c00c00010001",
	 "udp  192.0.2.2:4000 > 198.51.100.7:53 len 46"},
	{"dns_name_with_an_escape",
	 "45000037123400003d117f45c0000202c63364070fa000350023298a12340000"
	 "000100000000000005611b5b324a03636f6d0000010001",
	 "udp  192.0.2.2:4000 > 198.51.100.7:53 len 55"},
	{"dns_name_with_a_dot_in_a_label",
	 "45000031123400003d117f4bc0000202c63364070fa00035001dbda912340000"
	 "000100000000000003612e620000010001",
	 "udp  192.0.2.2:4000 > 198.51.100.7:53 len 49"},
	{"dns_name_with_a_space",
	 "45000031123400003d117f4bc0000202c63364070fa00035001dcba912340000"
	 "0001000000000000036120620000010001",
	 "udp  192.0.2.2:4000 > 198.51.100.7:53 len 49"},
	{"dns_label_too_long",
	 "4500006e123400003d117f0ec0000202c63364070fa00035005a84c412340000"
	 "0001000000000000406161616161616161616161616161616161616161616161"
	 "6161616161616161616161616161616161616161616161616161616161616161"
	 "6161616161616161610000010001",
	 "udp  192.0.2.2:4000 > 198.51.100.7:53 len 110"},
	{"dns_name_too_long",
	 "4500016d123400003d117e0fc0000202c63364070fa000350159ba1812340000"
	 "00010000000000003f6161616161616161616161616161616161616161616161"
	 "6161616161616161616161616161616161616161616161616161616161616161"
	 "61616161616161613f6161616161616161616161616161616161616161616161"
	 "6161616161616161616161616161616161616161616161616161616161616161"
	 "61616161616161613f6161616161616161616161616161616161616161616161"
	 "6161616161616161616161616161616161616161616161616161616161616161"
	 "61616161616161613f6161616161616161616161616161616161616161616161"
	 "6161616161616161616161616161616161616161616161616161616161616161"
	 "61616161616161613f6161616161616161616161616161616161616161616161"
	 "6161616161616161616161616161616161616161616161616161616161616161"
	 "61616161616161610000010001",
	 "udp  192.0.2.2:4000 > 198.51.100.7:53 len 365"},
	{"dns_header_cut_off",
	 "45000027123400003d117f55c0000202c63364070fa000350013c8b031323334"
	 "35363738393031",
	 "udp  192.0.2.2:4000 > 198.51.100.7:53 len 39"},
	{"dns_without_payload",
	 "4500001c123400003d117f60c0000202c63364070fa00035000803cc",
	 "udp  192.0.2.2:4000 > 198.51.100.7:53 len 28"},
};
#define CASES (sizeof(cases) / sizeof(cases[0]))

/* The first n bytes of hex in memory of exactly that size, so that a
 * sanitizer sees every byte read beyond it. */
static void packet_from_hex(struct packet *p, const char *hex, uint32_t n)
{
	uint8_t *b = malloc(n ? n : 1);

	assert_non_null(b);
	for (uint32_t i = 0; i < n; i++) {
		char two[3] = {hex[2 * i], hex[2 * i + 1], 0};

		b[i] = (uint8_t)strtoul(two, NULL, 16);
	}
	packet_init(p, b, n, b, n, NULL);
}

static uint32_t hex_bytes(const char *hex)
{
	return (uint32_t)strlen(hex) / 2;
}

static void a_line_says_what_the_packet_is(void **state)
{
	unsigned failed = 0;

	(void)state;
	for (size_t i = 0; i < CASES; i++) {
		char line[1024];
		struct packet p;

		packet_from_hex(&p, cases[i].in, hex_bytes(cases[i].in));
		packet_print(&p, line, sizeof(line));
		if (strcmp(line, cases[i].want)) {
			print_error("%s:\n\t%s\n\t%s\n", cases[i].name, line,
				    cases[i].want);
			failed++;
		}
		free(p.head);
	}
	assert_int_equal(failed, 0);
}

/* Makes the total length that of the bytes there are. */
static void fit_total_length(struct packet *p)
{
	if (p->len >= 20) {
		p->data[2] = (uint8_t)(p->len >> 8);
		p->data[3] = (uint8_t)p->len;
		packet_parse(p);
	}
}

static void a_line_of_any_beginning_is_safe_and_printable(void **state)
{
	(void)state;
	for (size_t i = 0; i < CASES; i++) {
		for (uint32_t n = 0; n <= hex_bytes(cases[i].in); n++) {
			char line[1024];
			struct packet p;

			packet_from_hex(&p, cases[i].in, n);
			fit_total_length(&p);
			packet_print(&p, line, sizeof(line));
			for (char *c = line; *c; c++)
				assert_in_range(*c, ' ', '~');
			free(p.head);
		}
	}
}

static void a_line_is_cut_where_the_buffer_ends(void **state)
{
	char whole[256], line[256];
	struct packet p;

	(void)state;
	packet_from_hex(&p, cases[0].in, hex_bytes(cases[0].in));
	packet_print(&p, whole, sizeof(whole));
	for (size_t size = 1; size < sizeof(line); size++) {
		size_t n = strlen(whole) < size ? strlen(whole) : size - 1;

		memset(line, '#', sizeof(line));
		assert_ptr_equal(packet_print(&p, line, size), line);
		assert_int_equal(strlen(line), n);
		assert_memory_equal(line, whole, n);
		assert_int_equal(line[size], '#');
	}
	line[0] = '#';
	packet_print(&p, line, 0);
	assert_int_equal(line[0], '#');
	free(p.head);
}

static void the_parts_are_those_of_the_line(void **state)
{
	struct packet p;
	char text[128];

	(void)state;
	packet_from_hex(&p, cases[0].in, hex_bytes(cases[0].in));
	assert_string_equal(packet_endpoint(&p, false, text, sizeof(text)),
			    "192.0.2.2:30732");
	assert_string_equal(packet_endpoint(&p, true, text, sizeof(text)),
			    "34.194.149.67:80");
	assert_string_equal(packet_detail(&p, text, sizeof(text)), "[S]");
	free(p.head);
	packet_from_hex(&p, "60", 1);
	assert_string_equal(packet_endpoint(&p, true, text, sizeof(text)), "-");
	free(p.head);
}

/* What is shown can be written in a rule. */
static void names_shown_are_names_that_are_understood(void **state)
{
	(void)state;
	for (int i = 0; i < 256; i++) {
		const char *name = packet_proto_name((uint8_t)i);

		if (name[0] >= '0' && name[0] <= '9')
			assert_int_equal(atoi(name), i);
		else
			assert_int_equal(name_proto(name), i);
	}
	for (int code = 0; code < 16; code++) {
		char hex[128], text[128], name[64];
		struct packet p;

		if (code == 8) /* obsolete (RFC 1812): shown, never sent */
			continue;
		snprintf(hex, sizeof(hex),
			 "4500001c000000004001000001020304050607080"
			 "3%02x000000000000",
			 code);
		packet_from_hex(&p, hex, 28);
		packet_detail(&p, text, sizeof(text));
		assert_int_equal(sscanf(text, "unreachable %63s", name), 1);
		assert_int_equal(name_unreachable_code(name), code);
		free(p.head);
	}
}

static void a_dump_shows_offset_hex_and_text(void **state)
{
	static const char want[] =
		"\t0x0000:  4500 0015 0001 0000 40fd 000a 0102 0304"
		"  E.......@.......\n"
		"\t0x0010:  0506 0708 7e"
		"                             ....~\n";
	char buf[256];
	struct packet p;

	(void)state;
	packet_from_hex(&p, "450000150001000040fd000a01020304050607087e", 21);
	assert_int_equal(packet_dump(&p, buf, sizeof(buf)), strlen(want));
	assert_string_equal(buf, want);
	/* Cut, but ended, and it says how much it wanted. */
	memset(buf, '#', sizeof(buf));
	assert_int_equal(packet_dump(&p, buf, 60), strlen(want));
	assert_int_equal(strlen(buf), 59);
	assert_memory_equal(buf, want, 59);
	assert_int_equal(buf[60], '#');
	assert_int_equal(packet_dump(&p, NULL, 0), strlen(want));
	free(p.head);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_says_what_the_packet_is),
		cmocka_unit_test(a_line_of_any_beginning_is_safe_and_printable),
		cmocka_unit_test(a_line_is_cut_where_the_buffer_ends),
		cmocka_unit_test(the_parts_are_those_of_the_line),
		cmocka_unit_test(names_shown_are_names_that_are_understood),
		cmocka_unit_test(a_dump_shows_offset_hex_and_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
