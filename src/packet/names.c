/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names of numbers in headers, as nft and iptables spell them. Tables, and
 * looking things up in them; case does not matter.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "packet/packet.h"

struct name {
	const char *text;
	uint8_t number;
};

/* Where a number has several names, the first is the one that is shown. */
static const struct name protos[] = {
	{"icmp", 1},   {"igmp", 2},	 {"ipip", 4},	      {"ipencap", 4},
	{"tcp", 6},    {"egp", 8},	 {"udp", 17},	      {"dccp", 33},
	{"ipv6", 41},  {"rsvp", 46},	 {"gre", 47},	      {"esp", 50},
	{"ah", 51},    {"icmpv6", 58},	 {"ipv6-icmp", 58},   {"eigrp", 88},
	{"ospf", 89},  {"ospfigp", 89},	 {"etherip", 97},     {"pim", 103},
	{"comp", 108}, {"ipcomp", 108},	 {"vrrp", 112},	      {"l2tp", 115},
	{"sctp", 132}, {"udplite", 136}, {"mpls-in-ip", 137},
};

static const struct name icmp_types[] = {
	{"echo-reply", 0},
	{"pong", 0},
	{"destination-unreachable", 3},
	{"source-quench", 4},
	{"redirect", 5},
	{"echo-request", 8},
	{"ping", 8},
	{"router-advertisement", 9},
	{"router-solicitation", 10},
	{"time-exceeded", 11},
	{"ttl-exceeded", 11},
	{"parameter-problem", 12},
	{"timestamp-request", 13},
	{"timestamp-reply", 14},
	{"info-request", 15},
	{"info-reply", 16},
	{"address-mask-request", 17},
	{"address-mask-reply", 18},
};

static const struct name unreachable_codes[] = {
	{"net-unreachable", 0},
	{"network-unreachable", 0},
	{"host-unreachable", 1},
	{"prot-unreachable", 2},
	{"proto-unreachable", 2},
	{"protocol-unreachable", 2},
	{"port-unreachable", 3},
	{"frag-needed", 4},
	{"fragmentation-needed", 4},
	{"source-route-failed", 5},
	{"network-unknown", 6},
	{"host-unknown", 7},
	{"net-prohibited", 9},
	{"network-prohibited", 9},
	{"host-prohibited", 10},
	{"tos-network-unreachable", 11},
	{"tos-host-unreachable", 12},
	{"admin-prohibited", 13},
	{"communication-prohibited", 13},
	{"host-precedence-violation", 14},
	{"precedence-cutoff", 15},
};

/* RFC 2474, 2597, 3246, 5865, 8622 */
static const struct name dscps[] = {
	{"cs0", 0},   {"be", 0},    {"df", 0},	  {"le", 1},	{"lephb", 1},
	{"cs1", 8},   {"af11", 10}, {"af12", 12}, {"af13", 14}, {"cs2", 16},
	{"af21", 18}, {"af22", 20}, {"af23", 22}, {"cs3", 24},	{"af31", 26},
	{"af32", 28}, {"af33", 30}, {"cs4", 32},  {"af41", 34}, {"af42", 36},
	{"af43", 38}, {"cs5", 40},  {"va", 44},	  {"ef", 46},	{"cs6", 48},
	{"cs7", 56},
};

static int number_of(const struct name *names, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (!strcasecmp(names[i].text, text))
			return names[i].number;
	return -ENOENT;
}
#define NUMBER_OF(names, text)                                                 \
	number_of(names, sizeof(names) / sizeof((names)[0]), text)

int name_proto(const char *name)
{
	return NUMBER_OF(protos, name);
}

int name_icmp_type(const char *name)
{
	return NUMBER_OF(icmp_types, name);
}

int name_unreachable_code(const char *name)
{
	/* As iptables writes them after --reject-with. */
	if (!strncasecmp(name, "icmp-", 5))
		name += 5;
	return NUMBER_OF(unreachable_codes, name);
}

int name_dscp(const char *name)
{
	return NUMBER_OF(dscps, name);
}

/* From the lowest bit on (RFC 9293, 3168). */
static const char tcp_letters[] = "FSRPAUEC";

int name_tcp_flags(const char *text)
{
	int flags = 0;

	for (; *text; text++) {
		const char *at = strchr(tcp_letters, *text);

		if (!at)
			return -EINVAL;
		flags |= 1 << (at - tcp_letters);
	}
	return flags;
}

const char *tcp_flags_text(uint8_t flags, char buf[9])
{
	char *b = buf;

	for (unsigned i = 0; i < 8; i++)
		if (flags >> i & 1)
			*b++ = tcp_letters[i];
	*b = '\0';
	return buf;
}

const char *icmp_type_name(uint8_t type)
{
	for (size_t i = 0; i < sizeof(icmp_types) / sizeof(icmp_types[0]); i++)
		if (icmp_types[i].number == type)
			return icmp_types[i].text;
	return NULL;
}
