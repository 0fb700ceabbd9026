/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is made up in answer to a packet, against literal packets that another
 * program built. A case without an answer says why there must be none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "packet/packet.h"

enum op { ECHO, REPLY, RST, UNREACHABLE, EXCEEDED };

struct reply_case {
	const char *name;
	enum op op;
	uint8_t code;
	uint16_t mtu;
	const char *from; /* an address, or NULL: the packet's destination */
	const char *in;	  /* hex */
	const char *want; /* hex; NULL: nothing */
	int rc;
};

static const struct reply_case cases[] = {
	{.name = "echo_reply_has_id_seq_data_and_service_class",
	 .op = ECHO,
	 .in =
		"45b9002b123400003d017ea8c0000202c63364070800b520000300016162"
		"636465666768696a6b6c6d6e6f",
	 .want =
		"45b8002b1234000040017ba9c6336407c00002020000bd20000300016162"
		"636465666768696a6b6c6d6e6f"},
	{.name = "echo_reply_leaves_out_ip_options",
	 .op = ECHO,
	 .in =
		"46000021123400003d01ea66c0000202c6336407940400000800fffeffff"
		"800078",
	 .want = "4500001d1234000040017c6fc6336407c0000202000007ffffff800078"},
	{.name = "echo_reply_needs_an_echo_request",
	 .op = ECHO, .rc = -ENOENT,
	 .in = "4500001c123400003d017f70c0000202c63364070000fffb00030001"},
	{.name = "echo_reply_needs_icmp",
	 .op = ECHO, .rc = -ENOENT,
	 .in =
		"45000024123400003d117f58c0000202c633640700080000001042b43132"
		"333435363738"},
	{.name = "echo_reply_needs_the_whole_request",
	 .op = ECHO, .rc = -ENOENT,
	 .in =
		"45000024123420003d015f68c0000202c633640708002727000300013132"
		"333435363738"},
	{.name = "echo_reply_needs_a_whole_header",
	 .op = ECHO, .rc = -ENOENT,
	 .in = "45000018123400003d017f74c0000202c633640708000000"},
	{.name = "reply_to_a_syn_acknowledges_the_syn",
	 .op = REPLY,
	 .in =
		"4500002c123400003d067f5bc0000202c633640704010050000003e80000"
		"00006002200083b00000020405b4",
	 .want =
		"450000281234000040067c5fc6336407c000020200500401000000000000"
		"03e95010ffffbb5d0000"},
	{.name = "reply_to_data_and_fin_acknowledges_both",
	 .op = REPLY,
	 .in =
		"4500008c123400003d067efbc0000202c633640704010050fffffff00000"
		"004d50192000767300007171717171717171717171717171717171717171"
		"717171717171717171717171717171717171717171717171717171717171"
		"717171717171717171717171717171717171717171717171717171717171"
		"7171717171717171717171717171717171717171",
	 .want =
		"450000281234000040067c5fc6336407c0000202005004010000004d0000"
		"00555010ffffbea40000"},
	{.name = "reply_to_udp_swaps_and_is_empty",
	 .op = REPLY,
	 .in =
		"45000024123400003d117f58c0000202c633640714e90035001043b27175"
		"657374696f6e",
	 .want = "4500001c1234000040117c60c6336407c0000202003514e90008fe82"},
	{.name = "reply_to_echo_is_without_data",
	 .op = REPLY,
	 .in =
		"45b9002b123400003d017ea8c0000202c63364070800b520000300016162"
		"636465666768696a6b6c6d6e6f",
	 .want = "45b8001c1234000040017bb8c6336407c00002020000fffb00030001"},
	{.name = "reply_to_another_protocol_is_a_bare_header",
	 .op = REPLY,
	 .in = "45000018123400003d2f7f46c0000202c633640731323334",
	 .want = "4500001412340000402f7c4ac6336407c0000202"},
	{.name = "reply_to_a_later_fragment_of_tcp_has_no_ports_to_swap",
	 .op = REPLY, .rc = -ENOENT,
	 .in =
		"4500003c1234000a3d067f41c0000202c63364077a7a7a7a7a7a7a7a7a7a"
		"7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a"},
	{.name = "reply_to_an_icmp_error_is_refused",
	 .op = REPLY, .rc = -ENOENT,
	 .in =
		"45000038123400003d017f54c0000202c63364070303e953000000004500"
		"001c1234000040117c60c6336407c00002020035003500081337"},
	{.name = "reply_needs_an_ip_header",
	 .op = REPLY, .rc = -ENOENT,
	 .in = "600000000000"},
	{.name = "rst_to_a_syn_acknowledges_it_from_sequence_zero",
	 .op = RST,
	 .in =
		"45000028123400003d067f5fc0000202c633640704010050000003e80000"
		"0000500220009b6c0000",
	 .want =
		"450000281234000040067c5fc6336407c000020200500401000000000000"
		"03e950140000bb590000"},
	{.name = "rst_to_data_without_ack_counts_data_and_fin",
	 .op = RST,
	 .in =
		"4500002d123400003d067f5ac0000202c633640704010050ffffffff0000"
		"00005001200005ea00003132333435",
	 .want =
		"450000281234000040067c5fc6336407c000020200500401000000000000"
		"000550140000bf3d0000"},
	{.name = "rst_to_an_ack_has_its_number_and_no_ack",
	 .op = RST,
	 .in =
		"4500002d123400003d067f5ac0000202c63364070401005000000005dead"
		"beef50122000683600003132333435",
	 .want =
		"450000281234000040067c5fc6336407c000020200500401deadbeef0000"
		"00005004000021b50000"},
	{.name = "rst_counts_data_behind_tcp_options",
	 .op = RST,
	 .in =
		"4500003d123400003d067f4ac0000202c633640704010050000000640000"
		"000090022000b5b10000020405b4080a0000000100000000000031323334"
		"35",
	 .want =
		"450000281234000040067c5fc6336407c000020200500401000000000000"
		"006a50140000bed80000"},
	{.name = "rst_is_not_answered_by_rst",
	 .op = RST, .rc = -EPERM,
	 .in =
		"45000028123400003d067f5fc0000202c633640700140050000000000000"
		"000050042000a33f0000"},
	{.name = "rst_ack_is_not_answered_by_rst",
	 .op = RST, .rc = -EPERM,
	 .in =
		"45000028123400003d067f5fc0000202c633640700140050000000000000"
		"000050142000a32f0000"},
	{.name = "no_rst_about_multicast",
	 .op = RST, .rc = -EPERM,
	 .in =
		"45000028123400003d06c89ec0000202e00000fb04010050000003e80000"
		"000050022000e4ab0000"},
	{.name = "no_rst_to_multicast",
	 .op = RST, .rc = -EPERM,
	 .in =
		"45000028123400003d06515fef010101c633640704010050000003e80000"
		"0000500220006d6c0000"},
	{.name = "rst_needs_tcp",
	 .op = RST, .rc = -ENOENT,
	 .in = "4500001c123400003d117f60c0000202c63364070035003500081337"},
	{.name = "rst_needs_a_whole_tcp_header",
	 .op = RST, .rc = -ENOENT,
	 .in =
		"45000020123400003d067f67c0000202c633640700010002000000000000"
		"0000"},
	{.name = "unreachable_quotes_the_packet_and_comes_from_its_destination",
	 .op = UNREACHABLE, .code = 3,
	 .in =
		"45000021123400003d117f5bc0000202c63364070401829a000d48267072"
		"6f6265",
	 .want =
		"45c0003d1234000040017b8fc6336407c00002020303e958000000004500"
		"0021123400003d117f5bc0000202c63364070401829a000d482670726f62"
		"65"},
	{.name = "unreachable_comes_from_where_it_is_told",
	 .op = UNREACHABLE, .code = 13, .from = "203.0.113.1",
	 .in =
		"45000021123400003d117f5bc0000202c63364070401829a000d48267072"
		"6f6265",
	 .want =
		"45c0003d12340000400169c8cb007101c0000202030de94e000000004500"
		"0021123400003d117f5bc0000202c63364070401829a000d482670726f62"
		"65"},
	{.name = "frag_needed_tells_the_mtu",
	 .op = UNREACHABLE, .code = 4, .mtu = 1400,
	 .in =
		"45000021123400003d117f5bc0000202c63364070401829a000d48267072"
		"6f6265",
	 .want =
		"45c0003d1234000040017b8fc6336407c00002020304e3df000005784500"
		"0021123400003d117f5bc0000202c63364070401829a000d482670726f62"
		"65"},
	{.name = "mtu_is_told_by_frag_needed_alone",
	 .op = UNREACHABLE, .code = 1, .mtu = 1400,
	 .in =
		"45000021123400003d117f5bc0000202c63364070401829a000d48267072"
		"6f6265",
	 .want =
		"45c0003d1234000040017b8fc6336407c00002020301e95a000000004500"
		"0021123400003d117f5bc0000202c63364070401829a000d482670726f62"
		"65"},
	{.name = "unreachable_is_576_bytes_at_most",
	 .op = UNREACHABLE, .code = 3,
	 .in =
		"450002d8123400003d117ca4c0000202c63364070401000902c440f90001"
		"02030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
		"202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d"
		"3e3f404142434445464748494a4b4c4d4e4f505152535455565758595a5b"
		"5c5d5e5f606162636465666768696a6b6c6d6e6f70717273747576777879"
		"7a7b7c7d7e7f808182838485868788898a8b8c8d8e8f9091929394959697"
		"98999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5"
		"b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3"
		"d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1"
		"f2f3f4f5f6f7f8f9fafbfcfdfeff000102030405060708090a0b0c0d0e0f"
		"101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d"
		"2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b"
		"4c4d4e4f505152535455565758595a5b5c5d5e5f60616263646566676869"
		"6a6b6c6d6e6f707172737475767778797a7b7c7d7e7f8081828384858687"
		"88898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5"
		"a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3"
		"c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1"
		"e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d"
		"1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b"
		"3c3d3e3f404142434445464748494a4b4c4d4e4f50515253545556575859"
		"5a5b5c5d5e5f606162636465666768696a6b6c6d6e6f7071727374757677"
		"78797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f909192939495"
		"969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3"
		"b4b5b6b7b8b9babb",
	 .want =
		"45c00240123400004001798cc6336407c0000202030328a6000000004500"
		"02d8123400003d117ca4c0000202c63364070401000902c440f900010203"
		"0405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021"
		"22232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
		"404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d"
		"5e5f606162636465666768696a6b6c6d6e6f707172737475767778797a7b"
		"7c7d7e7f808182838485868788898a8b8c8d8e8f90919293949596979899"
		"9a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7"
		"b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5"
		"d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3"
		"f4f5f6f7f8f9fafbfcfdfeff000102030405060708090a0b0c0d0e0f1011"
		"12131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f"
		"303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d"
		"4e4f505152535455565758595a5b5c5d5e5f606162636465666768696a6b"
		"6c6d6e6f707172737475767778797a7b7c7d7e7f80818283848586878889"
		"8a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7"
		"a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5"
		"c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3"
		"e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff0001"
		"020304050607"},
	{.name = "unreachable_quotes_ip_options",
	 .op = UNREACHABLE, .code = 3,
	 .in =
		"46000023123400003d11ea54c0000202c63364079404000000010002000b"
		"4f35616263",
	 .want =
		"45c0003f1234000040017b8dc6336407c00002020303e956000000004600"
		"0023123400003d11ea54c0000202c63364079404000000010002000b4f35"
		"616263"},
	{.name = "a_first_fragment_is_answered",
	 .op = UNREACHABLE, .code = 3,
	 .in =
		"45000024123420003d115f58c0000202c633640700010002001042b93132"
		"333435363738",
	 .want =
		"45c000401234000040017b8cc6336407c00002020303e95b000000004500"
		"0024123420003d115f58c0000202c633640700010002001042b931323334"
		"35363738"},
	{.name = "echo_may_be_answered_by_an_error",
	 .op = UNREACHABLE, .code = 1,
	 .in =
		"45b9002b123400003d017ea8c0000202c63364070800b520000300016162"
		"636465666768696a6b6c6d6e6f",
	 .want =
		"45c000471234000040017b85c6336407c00002020301fcfe0000000045b9"
		"002b123400003d017ea8c0000202c63364070800b5200003000161626364"
		"65666768696a6b6c6d6e6f"},
	{.name = "an_unknown_protocol_is_answered",
	 .op = UNREACHABLE, .code = 2,
	 .in = "45000018123400003d2f7f46c0000202c633640731323334",
	 .want =
		"45c000341234000040017b98c6336407c000020203029897000000004500"
		"0018123400003d2f7f46c0000202c633640731323334"},
	{.name = "no_error_from_an_ipv6_address",
	 .op = UNREACHABLE, .from = "2001:db8::1", .rc = -EAFNOSUPPORT,
	 .in =
		"45000021123400003d117f5bc0000202c63364070401829a000d48267072"
		"6f6265"},
	{.name = "no_error_about_unreachable",
	 .op = UNREACHABLE, .code = 3, .rc = -EPERM,
	 .in =
		"45000038123400003d017f54c0000202c63364070303e953000000004500"
		"001c1234000040117c60c6336407c00002020035003500081337"},
	{.name = "no_error_about_source_quench",
	 .op = UNREACHABLE, .code = 3, .rc = -EPERM,
	 .in =
		"45000038123400003d017f54c0000202c63364070400e856000000004500"
		"001c1234000040117c60c6336407c00002020035003500081337"},
	{.name = "no_error_about_redirect",
	 .op = UNREACHABLE, .code = 3, .rc = -EPERM,
	 .in =
		"45000038123400003d017f54c0000202c63364070500e756000000004500"
		"001c1234000040117c60c6336407c00002020035003500081337"},
	{.name = "no_error_about_time_exceeded",
	 .op = UNREACHABLE, .code = 3, .rc = -EPERM,
	 .in =
		"45000038123400003d017f54c0000202c63364070b00e156000000004500"
		"001c1234000040117c60c6336407c00002020035003500081337"},
	{.name = "no_error_about_parameter_problem",
	 .op = UNREACHABLE, .code = 3, .rc = -EPERM,
	 .in =
		"45000038123400003d017f54c0000202c63364070c00e056000000004500"
		"001c1234000040117c60c6336407c00002020035003500081337"},
	{.name = "no_error_about_an_unknown_icmp_type",
	 .op = UNREACHABLE, .code = 3, .rc = -EPERM,
	 .in = "4500001c123400003d017f70c0000202c6336407c800000000000000"},
	{.name = "no_error_about_an_icmp_without_type",
	 .op = UNREACHABLE, .code = 3, .rc = -EPERM,
	 .in = "45000014123400003d017f78c0000202c6336407"},
	{.name = "no_error_about_a_later_fragment",
	 .op = UNREACHABLE, .code = 3, .rc = -EPERM,
	 .in = "4500001c123400013d117f5fc0000202c63364073132333435363738"},
	{.name = "no_error_about_multicast",
	 .op = UNREACHABLE, .code = 3, .rc = -EPERM,
	 .in = "4500001c123400003d11c89fc0000202e00000fb0035003500085c76"},
	{.name = "no_error_about_broadcast",
	 .op = UNREACHABLE, .code = 3, .rc = -EPERM,
	 .in = "4500001c123400003d11a99bc0000202ffffffff0035003500083d72"},
	{.name = "no_error_to_nobody",
	 .op = UNREACHABLE, .code = 3, .rc = -EPERM,
	 .in = "4500001c123400003d11416300000000c6336407003500350008d539"},
	{.name = "no_error_to_loopback",
	 .op = UNREACHABLE, .code = 3, .rc = -EPERM,
	 .in = "4500001c123400003d11c2617f000001c63364070035003500085638"},
	{.name = "no_error_to_multicast",
	 .op = UNREACHABLE, .code = 3, .rc = -EPERM,
	 .in = "4500001c123400003d115160ef010101c6336407003500350008e536"},
	{.name = "no_error_to_a_reserved_address",
	 .op = UNREACHABLE, .code = 3, .rc = -EPERM,
	 .in = "4500001c123400003d115161f0000001c6336407003500350008e537"},
	{.name = "no_error_to_broadcast",
	 .op = UNREACHABLE, .code = 3, .rc = -EPERM,
	 .in = "4500001c123400003d114163ffffffffc6336407003500350008d539"},
	{.name = "an_error_needs_an_ip_header",
	 .op = UNREACHABLE, .code = 3, .rc = -ENOENT,
	 .in = "4400"},
	{.name = "time_exceeded_in_transit",
	 .op = EXCEEDED, .from = "10.0.0.1",
	 .in =
		"45000028123400000106bb5fc0000202c633640704010050000000090000"
		"0000500220009f4b0000",
	 .want =
		"45c000441234000040019bc20a000001c00002020b00e157000000004500"
		"0028123400000106bb5fc0000202c6336407040100500000000900000000"
		"500220009f4b0000"},
	{.name = "time_exceeded_in_reassembly",
	 .op = EXCEEDED, .code = 1,
	 .in =
		"45000028123400000106bb5fc0000202c633640704010050000000090000"
		"0000500220009f4b0000",
	 .want =
		"45c000441234000040017b88c6336407c00002020b01e156000000004500"
		"0028123400000106bb5fc0000202c6336407040100500000000900000000"
		"500220009f4b0000"},
	{.name = "no_time_exceeded_about_an_error",
	 .op = EXCEEDED, .rc = -EPERM,
	 .in =
		"45000038123400003d017f54c0000202c63364070b00e156000000004500"
		"001c1234000040117c60c6336407c00002020035003500081337"},
};

static uint32_t from_hex(uint8_t *b, const char *hex)
{
	uint32_t n = 0;

	for (; hex[0] && hex[1]; hex += 2) {
		char two[3] = {hex[0], hex[1], 0};

		b[n++] = (uint8_t)strtoul(two, NULL, 16);
	}
	return n;
}

/* A packet in memory of exactly its size, so that a sanitizer sees every
 * byte read beyond it. */
static void packet_from_hex(struct packet *p, const char *hex)
{
	uint32_t n = (uint32_t)strlen(hex) / 2;
	uint8_t *b = malloc(n ? n : 1);

	assert_non_null(b);
	from_hex(b, hex);
	packet_init(p, b, n, b, n, NULL);
}

static uint8_t buffer[PACKET_BUFFER];

static void buffer_packet(struct packet *out)
{
	memset(buffer, 0xaa, sizeof(buffer));
	*out = (struct packet){.head = buffer, .size = sizeof(buffer)};
}

static int run(const struct reply_case *c, struct packet *out,
	       const struct packet *in)
{
	struct address from = {0};

	if (c->from)
		assert_int_equal(address_parse(&from, c->from), 0);
	switch (c->op) {
	case ECHO:
		return packet_echo_reply(out, in);
	case REPLY:
		return packet_reply(out, in);
	case RST:
		return packet_rst(out, in);
	case UNREACHABLE:
		return packet_unreachable(out, in, c->code, &from, c->mtu);
	case EXCEEDED:
		return packet_time_exceeded(out, in, c->code, &from);
	}
	return -EINVAL;
}

static void replies_are_as_the_standards_say(void **state)
{
	uint8_t want[PACKET_MAX];
	unsigned failed = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct reply_case *c = &cases[i];
		struct packet in, out;
		uint32_t n;
		int rc;

		packet_from_hex(&in, c->in);
		buffer_packet(&out);
		rc = run(c, &out, &in);
		n = c->want ? from_hex(want, c->want) : 0;
		if (rc != c->rc) {
			print_error("%s: %d, not %d\n", c->name, rc, c->rc);
			failed++;
		} else if (!rc && (out.len != n || !out.header ||
				   memcmp(out.data, want, n))) {
			print_error("%s: another packet\n", c->name);
			failed++;
		}
		free(in.head);
	}
	assert_int_equal(failed, 0);
}

static void a_reply_knows_what_the_capture_knew(void **state)
{
	struct packet in, out;

	(void)state;
	packet_from_hex(&in, cases[0].in);
	in.dir = DIR_FORWARD;
	in.way = WAY_WIRE;
	in.ifindex = 7;
	in.iface = "eth7";
	in.time = 1234567890123456789;
	buffer_packet(&out);
	assert_int_equal(packet_echo_reply(&out, &in), 0);
	assert_int_equal(out.dir, DIR_FORWARD);
	assert_int_equal(out.way, WAY_WIRE);
	assert_int_equal(out.ifindex, 7);
	assert_string_equal(out.iface, "eth7");
	assert_true(out.time == in.time);
	assert_ptr_equal(out.data, buffer + PACKET_HEADROOM);
	assert_int_equal(out.link_len, 0);
	assert_int_equal(out.flags, 0);
	free(in.head);
}

static void a_new_packet_is_minimal_and_right(void **state)
{
	static const struct {
		uint8_t proto;
		const char *want;
	} fresh[] = {
		{1, "4500001c0000000040017ae200000000000000000000ffff00000000"},
		{6, "450000280000000040067ad1000000000000000000000000000000000"
		    "000000050000000afe50000"},
		{17, "4500001c0000000040117ad200000000000000000000000000"
		     "08ffde"},
		{47, "4500001400000000402f7abc0000000000000000"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(fresh) / sizeof(fresh[0]); i++) {
		uint8_t want[64];
		struct packet out;
		uint32_t n;

		buffer_packet(&out);
		assert_int_equal(packet_new(&out, fresh[i].proto), 0);
		n = from_hex(want, fresh[i].want);
		assert_int_equal(out.len, n);
		assert_memory_equal(out.data, want, n);
		assert_int_equal(out.proto, fresh[i].proto);
		assert_true(packet_ip_checksum_ok(&out));
		assert_true(packet_l4_checksum_ok(&out));
	}
}

static void a_clone_has_the_same_bytes_and_offload(void **state)
{
	const struct packet_offload offload = {
		.need_csum = true,
		.csum_start = 20,
		.csum_offset = 16,
		.gso_type = 1,
		.gso_size = 50,
		.hdr_len = 40,
	};
	/* The checksum field is left unfinished, as offload has it. */
	static const char hex[] =
		"45000090000100004006d1b6c0000202c6336407040100500000000100"
		"0000025010200012340000";
	uint8_t b[8 + 0x90 + 5] = {0}, was[sizeof(b)];
	struct packet_undo undo = {0};
	struct packet in, out;

	(void)state;
	from_hex(b + 8, hex);
	packet_init(&in, b, sizeof(b), b + 8, 0x90 + 5, &offload);
	in.link_len = 8;
	in.ifindex = 3;
	in.undo = &undo;
	in.flags |= PACKET_L4_CSUM_KEPT;
	memcpy(was, b, sizeof(b));
	buffer_packet(&out);
	assert_int_equal(packet_clone(&out, &in), 0);
	assert_int_equal(out.len, 0x90);
	assert_memory_equal(out.data, b + 8, 0x90);
	assert_memory_equal(b, was, sizeof(b));
	assert_true(out.offload.need_csum);
	assert_int_equal(out.offload.gso_size, 50);
	assert_int_equal(out.offload.csum_offset, 16);
	assert_int_equal(out.transport, 20);
	assert_int_equal(out.payload, 40);
	assert_int_equal(out.flags, in.flags);
	assert_int_equal(out.ifindex, 3);
	assert_ptr_equal(out.head, buffer);
	assert_int_equal(out.size, sizeof(buffer));
	/* A bare packet: what stood around it is not part of it. */
	assert_int_equal(out.link_len, 0);
	assert_int_equal(out.tail, 0);
	assert_null(out.undo);
}

static void a_clone_of_an_odd_packet_is_as_odd(void **state)
{
	struct packet in, out;

	(void)state;
	packet_from_hex(&in, "60ffee");
	buffer_packet(&out);
	assert_int_equal(packet_clone(&out, &in), 0);
	assert_int_equal(out.len, 3);
	assert_memory_equal(out.data, "\x60\xff\xee", 3);
	assert_true(out.flags & PACKET_ODD);
	free(in.head);
}

static void a_super_packet_is_answered_as_one(void **state)
{
	const struct packet_offload offload = {
		.need_csum = true,
		.csum_start = 20,
		.csum_offset = 16,
		.gso_type = 1,
		.gso_size = 1000,
		.hdr_len = 40,
	};
	static uint8_t b[40 + 30000];
	struct packet in, out;
	uint32_t ack;

	(void)state;
	from_hex(b, "45007558000100004006000ac0000202c6336407040100500000000100"
		    "000002501020001234");
	packet_init(&in, b, sizeof(b), b, sizeof(b), &offload);
	assert_int_equal(in.len, sizeof(b));
	buffer_packet(&out);
	assert_int_equal(packet_reply(&out, &in), 0);
	assert_int_equal(packet_get(&out, FIELD_TCP_ACK_SEQ, &ack), 0);
	assert_int_equal(ack, 30001);
	assert_false(out.offload.need_csum);
	assert_int_equal(out.offload.gso_type, 0);
	assert_true(packet_l4_checksum_ok(&out));
}

static void too_small_a_buffer_is_refused(void **state)
{
	const struct reply_case *c = &cases[0];
	uint32_t n = (uint32_t)strlen(c->want) / 2;
	struct packet in, out = {0};

	(void)state;
	packet_from_hex(&in, c->in);
	out.head = malloc(PACKET_HEADROOM + n);
	out.size = PACKET_HEADROOM + n - 1;
	assert_int_equal(packet_echo_reply(&out, &in), -EMSGSIZE);
	assert_int_equal(packet_clone(&out, &in), -EMSGSIZE);
	out.size++;
	assert_int_equal(packet_echo_reply(&out, &in), 0);
	assert_int_equal(packet_clone(&out, &in), 0);
	out.size = PACKET_HEADROOM - 1;
	assert_int_equal(packet_clone(&out, &in), -EMSGSIZE);
	assert_int_equal(packet_new(&out, 6), -EMSGSIZE);
	free(out.head);
	free(in.head);
}

static void the_largest_echo_request_gets_the_largest_reply(void **state)
{
	static uint8_t b[PACKET_MAX];
	struct packet in, out;

	(void)state;
	memset(b, 0x5a, sizeof(b));
	from_hex(b, "4500ffff0001000040010000c0000202c63364070800000000010002");
	packet_init(&in, b, sizeof(b), b, sizeof(b), NULL);
	buffer_packet(&out);
	assert_int_equal(packet_echo_reply(&out, &in), 0);
	assert_int_equal(out.len, PACKET_MAX);
	assert_memory_equal(out.data + 24, b + 24, PACKET_MAX - 24);
	assert_true(packet_ip_checksum_ok(&out));
	assert_true(packet_l4_checksum_ok(&out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_are_as_the_standards_say),
		cmocka_unit_test(a_reply_knows_what_the_capture_knew),
		cmocka_unit_test(a_new_packet_is_minimal_and_right),
		cmocka_unit_test(a_clone_has_the_same_bytes_and_offload),
		cmocka_unit_test(a_clone_of_an_odd_packet_is_as_odd),
		cmocka_unit_test(a_super_packet_is_answered_as_one),
		cmocka_unit_test(too_small_a_buffer_is_refused),
		cmocka_unit_test(
			the_largest_echo_request_gets_the_largest_reply),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
