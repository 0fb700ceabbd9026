/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of numbers, both ways. */
#include "packet_sample.h"

#include <errno.h>

struct name_case {
	int (*f)(const char *name);
	const char *name;
	int number;
};

static const struct name_case name_cases[] = {
	{name_proto, "tcp", 6},
	{name_proto, "TCP", 6},
	{name_proto, "udp", 17},
	{name_proto, "icmp", 1},
	{name_proto, "esp", 50},
	{name_proto, "sctp", 132},
	{name_proto, "tcpp", -ENOENT},
	{name_proto, "", -ENOENT},
	{name_icmp_type, "echo-request", 8},
	{name_icmp_type, "echo-reply", 0},
	{name_icmp_type, "destination-unreachable", 3},
	{name_icmp_type, "time-exceeded", 11},
	{name_icmp_type, "echo", -ENOENT},
	{name_unreachable_code, "admin-prohibited", 13},
	{name_unreachable_code, "port-unreachable", 3},
	{name_unreachable_code, "frag-needed", 4},
	{name_unreachable_code, "icmp-host-unreachable", 1},
	{name_unreachable_code, "icmp-", -ENOENT},
	{name_dscp, "ef", 46},
	{name_dscp, "af41", 34},
	{name_dscp, "cs7", 56},
	{name_dscp, "af44", -ENOENT},
	{name_tcp_flags, "SA", 0x12},
	{name_tcp_flags, "AS", 0x12},
	{name_tcp_flags, "FSRPAUEC", 0xff},
	{name_tcp_flags, "", 0},
	{name_tcp_flags, "S/SA", -EINVAL},
	{name_tcp_flags, "s", -EINVAL},
};

static void names_have_their_numbers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(name_cases) / sizeof(name_cases[0]); i++)
		if (name_cases[i].f(name_cases[i].name) != name_cases[i].number)
			fail_msg("%s: %d", name_cases[i].name,
				 name_cases[i].f(name_cases[i].name));
}

static void tcp_flags_survive_text(void **state)
{
	char buf[9];

	(void)state;
	for (int flags = 0; flags < 256; flags++)
		assert_int_equal(
			name_tcp_flags(tcp_flags_text((uint8_t)flags, buf)),
			flags);
	assert_string_equal(tcp_flags_text(0xff, buf), "FSRPAUEC");
	assert_string_equal(tcp_flags_text(0x12, buf), "SA");
}

static void shown_icmp_types_are_understood(void **state)
{
	unsigned known = 0;

	(void)state;
	for (int type = 0; type < 256; type++) {
		const char *name = icmp_type_name((uint8_t)type);

		if (!name)
			continue;
		assert_int_equal(name_icmp_type(name), type);
		known++;
	}
	assert_true(known >= 13);
	assert_string_equal(icmp_type_name(8), "echo-request");
	assert_null(icmp_type_name(200));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_have_their_numbers),
		cmocka_unit_test(tcp_flags_survive_text),
		cmocka_unit_test(shown_icmp_types_are_understood),
	};

	return cmocka_run_group_tests_name("packet_names", tests, NULL, NULL);
}
