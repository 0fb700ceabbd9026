/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "rule/match.h"

#define COUNT(x) (sizeof(x) / sizeof(*(x)))

/* ---- literal packets ---------------------------------------------------- */

/* 192.0.2.2:30732 > 34.194.149.67:80 [S], TTL 64 */
static const char syn[] = "45000028 00014000 40060000 c0000202 22c29543"
			  "780c0050 00000001 00000000 5002ffff 00000000";
/* The same, negotiating ECN */
static const char syn_ecn[] = "45000028 00014000 40060000 c0000202 22c29543"
			      "780c0050 00000001 00000000 50c2ffff 00000000";
/* The answer: [SA], 34.194.149.67:80 > 192.0.2.2:30732, TTL 50 */
static const char synack[] = "45000028 00004000 32060000 22c29543 c0000202"
			     "0050780c 00000009 00000002 5012ffff 00000000";
/* [PA] "GET / HTTP/1.1" */
static const char get[] = "45000036 00024000 40060000 c0000202 22c29543"
			  "780c0050 00000002 0000000a 5018ffff 00000000"
			  "47455420 2f204854 54502f31 2e31";
/* 192.0.2.2:5353 > 8.8.8.8:53, DSCP ef, TTL 1, four bytes "dns!" */
static const char dns[] = "45b80020 00030000 01110000 c0000202 08080808"
			  "14e90035 000c0000 646e7321";
/* An echo request to 10.0.0.1 */
static const char ping[] = "4500001c 00040000 40010000 c0000202 0a000001"
			   "08000000 00010001";
/* Unreachable, code 13 */
static const char prohibited[] =
	"4500001c 00050000 40010000 0a000001 c0000202 030d0000 00000000";
/* A fragmented UDP datagram to port 53: the first, a later one */
static const char first[] = "4500001c 00062000 40110000 c0000202 08080808"
			    "14e90035 05dc0000";
static const char later[] = "4500001c 000600b9 40110000 c0000202 08080808"
			    "14e90035 05dc0000";
/* TCP that ends after the ports */
static const char cut[] = "45000018 00014000 40060000 c0000202 22c29543"
			  "780c0050";
/* TCP that ends within them */
static const char shorter[] = "45000016 00014000 40060000 c0000202 22c29543"
			      "780c";
/* GRE */
static const char gre[] = "45000018 00014000 402f0000 c0000202 22c29543"
			  "00000800";
/* No IPv4 */
static const char odd[] = "60000000 00003b40 20010db8 00000000 00000000";

static uint8_t buffer[2048];

static struct packet load(const char *hex)
{
	struct packet p;
	uint8_t *data = buffer + 64;
	uint32_t n = 0;

	memset(buffer, 0xee, sizeof(buffer));
	for (; *hex; hex++) {
		unsigned v;

		if (*hex == ' ')
			continue;
		assert_int_equal(sscanf(hex, "%2x", &v), 1);
		data[n++] = (uint8_t)v;
		hex++;
	}
	packet_init(&p, buffer, sizeof(buffer), data, n, NULL);
	return p;
}

/* Adds "key=value". */
static int add(struct match *m, const char *text, struct error *err)
{
	const char *eq = strchr(text, '=');
	char name[32];
	int key;

	snprintf(name, sizeof(name), "%.*s", (int)(eq - text), text);
	key = match_key_parse(name, err);
	if (key < 0)
		return key;
	return match_add(m, (enum match_key)key, eq + 1, strlen(eq + 1), err);
}

static struct match *match_of(const char *const *conds, size_t n)
{
	struct match *m = match_new();
	struct error err;

	for (size_t i = 0; i < n && conds[i]; i++)
		if (add(m, conds[i], &err))
			fail_msg("%s: %s", conds[i], err.text);
	return m;
}

/* ---- what holds --------------------------------------------------------- */

static const struct {
	const char *packet;
	const char *conds[5];
	bool holds;
} cases[] = {
	{syn, {0}, true},
	{odd, {0}, true},
	/* proto */
	{syn, {"proto=tcp"}, true},
	{syn, {"proto=6"}, true},
	{syn, {"proto=udp"}, false},
	{syn, {"proto=!udp"}, true},
	{syn, {"proto=udp", "proto=tcp"}, true},
	{gre, {"proto=47"}, true},
	{gre, {"proto=40-50"}, true},
	{gre, {"proto=40-50", "proto=!47"}, false},
	{later, {"proto=udp"}, true},
	/* addresses */
	{syn, {"src=192.0.2.2"}, true},
	{syn, {"src=192.0.2.0/24"}, true},
	{syn, {"src=192.0.2.3-192.0.2.9"}, false},
	{syn, {"src=192.0.2.1 - 192.0.2.2"}, true},
	{syn, {"src=!192.0.2.2"}, false},
	{syn, {"src=192.0.2.0/24", "src=!192.0.2.2"}, false},
	{syn, {"src=192.0.2.0/24", "src=!192.0.2.3"}, true},
	{syn, {"dst=34.194.149.67"}, true},
	{syn, {"dst=192.0.2.2"}, false},
	{syn, {"dst=10.0.0.0/8", "dst=34.0.0.0/8"}, true},
	{syn, {"dst=::/0"}, false},
	{syn, {"dst=!::/0"}, true},
	{syn, {"dst=0.0.0.0/0"}, true},
	{later, {"dst=8.8.8.8"}, true},
	/* ports */
	{syn, {"dport=80"}, true},
	{syn, {"dport=0x50"}, true},
	{syn, {"dport=81"}, false},
	{syn, {"sport=80"}, false},
	{syn, {"sport=1024-65535"}, true},
	{syn, {"dport=!80"}, false},
	{syn, {"dport=!1-79"}, true},
	{syn, {"dport=!1-79", "dport=!81"}, true},
	{syn, {"dport=1-100", "dport=!80"}, false},
	{syn, {"dport=443", "dport=8080", "dport=80"}, true},
	{syn, {"dport=443", "dport=8080", "dport=82"}, false},
	{syn, {"dport=79-80", "dport=81"}, true},
	{dns, {"dport=53", "proto=udp"}, true},
	{dns, {"dport=53", "proto=tcp"}, false},
	{first, {"dport=53"}, true},
	{cut, {"dport=80"}, true},
	/* what is not there does not hold, negated or not */
	{ping, {"dport=!80"}, false},
	{later, {"dport=53"}, false},
	{later, {"dport=!53"}, false},
	{shorter, {"dport=!53"}, false},
	{gre, {"sport=!53"}, false},
	{syn, {"icmp_type=!8"}, false},
	{dns, {"tcp_flags=!S"}, false},
	{cut, {"tcp_flags=!S"}, false},
	{cut, {"payload=!x"}, false},
	{later, {"payload=!x"}, false},
	/* ICMP */
	{ping, {"icmp_type=echo-request"}, true},
	{ping, {"icmp_type=8", "icmp_code=0"}, true},
	{ping, {"icmp_type=echo-reply"}, false},
	{ping, {"icmp_type=!echo-reply"}, true},
	{prohibited, {"icmp_type=3", "icmp_code=admin-prohibited"}, true},
	{prohibited, {"icmp_code=13"}, true},
	{prohibited, {"icmp_code=port-unreachable"}, false},
	/* flags */
	{syn, {"tcp_flags=S"}, true},
	{syn, {"tcp_flags=SA"}, false},
	{syn, {"tcp_flags=S/SA"}, true},
	{syn, {"tcp_flags=/A"}, true},
	{synack, {"tcp_flags=S"}, false},
	{synack, {"tcp_flags=SA"}, true},
	{synack, {"tcp_flags=S/SA"}, false},
	{synack, {"tcp_flags=S/S"}, true},
	{synack, {"tcp_flags=S", "tcp_flags=SA"}, true},
	{synack, {"tcp_flags=!S"}, true},
	{synack, {"tcp_flags=/A"}, false},
	{syn_ecn, {"tcp_flags=S"}, true},
	{syn_ecn, {"tcp_flags=SEC"}, true},
	{syn, {"tcp_flags=SEC"}, false},
	{syn_ecn, {"tcp_flags=S/SE"}, false},
	{get, {"tcp_flags=PA"}, true},
	{get, {"tcp_flags=A/SA"}, true},
	/* the rest of the header */
	{dns, {"dscp=ef"}, true},
	{dns, {"dscp=46"}, true},
	{dns, {"dscp=cs1-ef"}, true},
	{dns, {"dscp=0"}, false},
	{dns, {"dscp=!ef"}, false},
	{dns, {"ttl=1"}, true},
	{dns, {"ttl=2-255"}, false},
	{synack, {"ttl=!64"}, true},
	{syn, {"len=40"}, true},
	{syn, {"len=41-65535"}, false},
	{odd, {"len=20"}, true},
	{first, {"fragment=true"}, true},
	{later, {"fragment=true"}, true},
	{syn, {"fragment=true"}, false},
	{syn, {"fragment=false"}, true},
	{syn, {"fragment=!true"}, true},
	/* payload */
	{get, {"payload=GET "}, true},
	{get, {"payload=GET / HTTP/1.1"}, true},
	{get, {"payload=GET / HTTP/1.1\xee"}, false},
	{get, {"payload=POST ", "payload=GET "}, true},
	{get, {"payload=!GET "}, false},
	{get, {"payload=!POST "}, true},
	{syn, {"payload=G"}, false},
	{syn, {"payload=!G"}, true},
	{dns, {"payload=dns!"}, true},
	/* an odd packet has neither header nor address */
	{odd, {"proto=!tcp"}, false},
	{odd, {"src=!10.0.0.0/8"}, false},
	{odd, {"fragment=false"}, false},
	{odd, {"ttl=0-255"}, false},
	{odd, {"dir=out", "len=0-100"}, true},
	{odd, {"dir=!out"}, false},
	/* several keys: all of them */
	{syn, {"proto=tcp", "dport=80", "tcp_flags=S", "src=192.0.2.2"}, true},
	{syn, {"proto=tcp", "dport=80", "tcp_flags=S", "src=192.0.2.3"}, false},
};

static void a_match_holds_for_what_it_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct packet p = load(cases[i].packet);
		struct match *m = match_of(cases[i].conds, 5);
		struct match_context ctx = {0};
		enum match_key failed = MATCH_KEYS;
		char buf[200];

		if (match_holds(m, &p, NULL) != cases[i].holds ||
		    match_holds(m, &p, &ctx) != cases[i].holds ||
		    match_explain(m, &p, &ctx, &failed) != cases[i].holds ||
		    (failed == MATCH_KEYS) != cases[i].holds)
			fail_msg("case %zu: %s", i,
				 match_text(m, buf, sizeof(buf)));
		match_free(m);
	}
}

/* DIR_FORWARD, taken where it leaves. */
#define LEAVES ((enum packet_dir)(DIR_FORWARD + 1))

static const struct {
	enum packet_dir dir;
	const char *iface;
	const char *cond[3];
	bool holds;
} ways[] = {
	{DIR_OUT, "eth0", {"dir=out"}, true},
	{DIR_OUT, "eth0", {"dir=in", "dir=forward"}, false},
	{DIR_IN, "eth0", {"dir=!out"}, true},
	{DIR_FORWARD, "eth0", {"dir=forward"}, true},
	{DIR_OUT, "eth0", {"oif=eth0"}, true},
	{DIR_OUT, "eth0", {"oif=eth1"}, false},
	{DIR_OUT, "eth0", {"oif=eth*"}, true},
	{DIR_OUT, "eth0", {"oif=*"}, true},
	{DIR_OUT, "eth0", {"oif=et"}, false},
	{DIR_OUT, "eth0", {"oif=!eth*"}, false},
	{DIR_OUT, "eth0", {"oif=!wg*", "oif=!ppp0"}, true},
	{DIR_OUT, "eth0", {"oif=eth*", "oif=!eth0"}, false},
	{DIR_OUT, "eth0", {"iif=eth0"}, false},
	{DIR_OUT, "eth0", {"iif=!eth1"}, false},
	{DIR_IN, "eth0", {"iif=eth0"}, true},
	{DIR_IN, "eth0", {"oif=eth0"}, false},
	{DIR_FORWARD, "eth0", {"iif=eth0"}, true},
	{DIR_FORWARD, "eth0", {"oif=eth0"}, false},
	{DIR_FORWARD, "eth0", {"oif=!eth1"}, false},
	{LEAVES, "eth0", {"iif=eth0"}, false},
	{LEAVES, "eth0", {"iif=!eth1"}, false},
	{LEAVES, "eth0", {"oif=eth0"}, true},
	{LEAVES, "eth0", {"oif=!eth1"}, true},
	{LEAVES, "eth0", {"dir=forward"}, true},
	{DIR_OUT, NULL, {"oif=eth0"}, false},
	{DIR_OUT, NULL, {"oif=!eth0"}, false},
};

static void direction_and_interface_go_together(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		struct packet p = load(syn);
		struct match *m = match_of(ways[i].cond, 3);

		p.leaving = ways[i].dir == LEAVES;
		p.dir = p.leaving ? DIR_FORWARD : ways[i].dir;
		p.iface = ways[i].iface;
		if (match_holds(m, &p, NULL) != ways[i].holds)
			fail_msg("case %zu: %s", i, ways[i].cond[0]);
		p = load(odd);
		p.leaving = ways[i].dir == LEAVES;
		p.dir = p.leaving ? DIR_FORWARD : ways[i].dir;
		p.iface = ways[i].iface;
		if (match_holds(m, &p, NULL) != ways[i].holds)
			fail_msg("case %zu, odd: %s", i, ways[i].cond[0]);
		match_free(m);
	}
}

static void resolve(struct packet *p, void *arg)
{
	++*(int *)arg;
	p->iface = "eth0";
}

static void the_uplink_is_asked_for_only_when_it_matters(void **state)
{
	const char *other[] = {"oif=eth0", "dport=81"};
	const char *this[] = {"oif=eth0", "dport=80"};
	struct match *a = match_of(other, 2), *b = match_of(this, 2);
	int asked = 0;
	struct match_context ctx = {0, resolve, &asked};
	struct packet p = load(syn);

	(void)state;
	assert_false(match_holds(a, &p, &ctx));
	assert_int_equal(asked, 0);
	assert_true(match_holds(b, &p, &ctx));
	assert_true(match_holds(b, &p, &ctx));
	assert_int_equal(asked, 1);
	p = load(syn);
	p.dir = DIR_IN;
	assert_false(match_holds(b, &p, &ctx));
	assert_int_equal(asked, 1);
	match_free(a);
	match_free(b);
}

static void a_set_is_a_value_beside_others(void **state)
{
	struct set *s = set_new("blocked");
	struct match *m = match_new();
	struct match_context ctx = {.now = 5};
	struct packet p = load(syn);
	char buf[100];
	struct error err;

	(void)state;
	assert_int_equal(set_add_text(s, "34.0.0.0/8", 10, NULL), 0);
	assert_int_equal(match_add_set(m, MATCH_DST, s, &err), 0);
	assert_int_equal(add(m, "dst=!10.0.0.0/8", &err), 0);
	assert_int_equal(add(m, "dst=8.8.8.8", &err), 0);
	assert_true(match_holds(m, &p, &ctx));
	assert_false(match_is_empty(m, &err));
	assert_string_equal(match_text(m, buf, sizeof(buf)),
			    "dst=@blocked,!10.0.0.0/8,8.8.8.8");
	ctx.now = 10;
	assert_false(match_holds(m, &p, &ctx));
	set_add_text(s, "34.194.149.67", 0, NULL);
	assert_true(match_holds(m, &p, &ctx));
	set_add_text(s, "!34.194.149.67", 0, NULL);
	assert_false(match_holds(m, &p, &ctx));
	p = load(dns);
	assert_true(match_holds(m, &p, &ctx));
	/* The match keeps the set alive. */
	set_unref(s);
	assert_true(match_holds(m, &p, &ctx));
	match_free(m);
}

static void a_boolean_is_for_fragment(void **state)
{
	struct match *m = match_new();
	struct packet p = load(later);
	struct error err;

	(void)state;
	assert_int_equal(match_add_bool(m, MATCH_FRAGMENT, true, &err), 0);
	assert_true(match_holds(m, &p, NULL));
	p = load(syn);
	assert_false(match_holds(m, &p, NULL));
	assert_int_equal(match_add_bool(m, MATCH_DPORT, true, &err), -EINVAL);
	assert_string_equal(err.text, "dport = 'true' is not a port from 0 to "
				      "65535 or a range such as 1024-65535");
	assert_int_equal(match_add_bool(m, MATCH_USER, true, &err), -EINVAL);
	match_free(m);
}

static void whose_packet_it_is_is_as_assumed_of_what_leaves(void **state)
{
	static const char *const conds[] = {"user=root", "group=!0",
					    "cgroup=/a/b/"};
	struct error err;

	(void)state;
	for (size_t i = 0; i < COUNT(conds); i++) {
		struct match *m = match_new();
		struct packet p = load(syn);

		assert_int_equal(match_asks_kernel(m), MATCH_KEYS);
		assert_int_equal(add(m, conds[i], &err), 0);
		assert_int_equal(match_asks_kernel(m), match_conds(m)->key);
		assert_false(match_holds(m, &p, NULL));
		match_assume(m, true);
		assert_true(match_holds(m, &p, NULL));
		p.dir = DIR_IN;
		assert_false(match_holds(m, &p, NULL));
		p.dir = DIR_FORWARD;
		assert_false(match_holds(m, &p, NULL));
		p.dir = DIR_OUT;
		match_assume(m, false);
		assert_false(match_holds(m, &p, NULL));
		match_free(m);
	}
	assert_int_equal(match_asks_kernel(NULL), MATCH_KEYS);
}

static void accounts_are_read_by_name_and_number(void **state)
{
	static const struct {
		const char *cond;
		uint32_t low, high;
		bool negate;
		const char *text;
	} known[] = {
		{"user=root", 0, 0, false, "user=root"},
		{"user=!root", 0, 0, true, "user=!root"},
		{"user=0", 0, 0, false, "user=0"},
		{"user=4294967294", 4294967294u, 4294967294u, false,
		 "user=4294967294"},
		{"user=1000-1999", 1000, 1999, false, "user=1000-1999"},
		{"user=root - 5", 0, 5, false, "user=root - 5"},
		/* The same on every Debian. */
		{"user=www-data", 33, 33, false, "user=www-data"},
		{"group=adm", 4, 4, false, "group=adm"},
		{"group=!www-data", 33, 33, true, "group=!www-data"},
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < COUNT(known); i++) {
		struct match *m = match_new();
		const struct match_value *v;
		char text[64];

		if (add(m, known[i].cond, &err))
			fail_msg("%s: %s", known[i].cond, err.text);
		v = match_conds(m)->value;
		assert_int_equal(v->low, known[i].low);
		assert_int_equal(v->high, known[i].high);
		assert_int_equal(v->negate, known[i].negate);
		assert_string_equal(match_text(m, text, sizeof(text)),
				    known[i].text);
		match_free(m);
	}
}

static void a_cgroup_is_a_path_without_slashes_at_its_ends(void **state)
{
	static const struct {
		const char *cond, *text;
	} known[] = {
		{"cgroup=system.slice/ssh.service",
		 "cgroup=system.slice/ssh.service"},
		{"cgroup=/system.slice/", "cgroup=system.slice"},
		{"cgroup=!/a/b", "cgroup=!a/b"},
		{"cgroup=..a/.b", "cgroup=..a/.b"},
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < COUNT(known); i++) {
		struct match *m = match_new();
		char text[64];

		if (add(m, known[i].cond, &err))
			fail_msg("%s: %s", known[i].cond, err.text);
		assert_string_equal(match_text(m, text, sizeof(text)),
				    known[i].text);
		match_free(m);
	}
}

/* ---- what is refused ---------------------------------------------------- */

static const struct {
	const char *cond;
	int ret;
	const char *says;
} wrong[] = {
	{"dprot=80", -ENOENT,
	 "unknown match key 'dprot'; did you mean 'dport'?"},
	{"icmptype=8", -ENOENT,
	 "unknown match key 'icmptype'; did you mean 'icmp_type'?"},
	{"colour=red", -ENOENT,
	 "unknown match key 'colour'; there are proto, src, dst, sport, "},
	{"=1", -ENOENT, "unknown match key ''; there are proto"},
	{"proto=tpc", -EINVAL,
	 "proto = 'tpc' is not a protocol: a name such as tcp, or 0 to 255"},
	{"proto=256", -EINVAL, "proto = '256' is not a protocol"},
	{"proto=", -EINVAL, "proto = '' is not a protocol"},
	{"dport=70000", -EINVAL, "dport = '70000' is not a port from 0"},
	{"dport=-1", -EINVAL, "dport = '-1' is not a port"},
	{"dport=80-", -EINVAL, "dport = '80-' is not a port"},
	{"dport=80x", -EINVAL, "dport = '80x' is not a port"},
	{"dport=0x", -EINVAL, "dport = '0x' is not a port"},
	{"dport=4294967376", -EINVAL, "is not a port"},
	{"dport=18446744073709551696", -EINVAL, "is not a port"},
	{"dport=90-80", -EINVAL,
	 "dport = '90-80' is backwards; did you mean '80-90'?"},
	{"dport=!!80", -EINVAL, "dport = '!80' is not a port"},
	{"dport=80,443", -EINVAL, "dport = '80,443' is not a port"},
	{"dport=8\n0", -EINVAL, "dport = '8?0' is not a port"},
	{"icmp_type=pongo", -EINVAL,
	 "icmp_type = 'pongo' is not an ICMP type: a name such as"},
	{"icmp_code=never", -EINVAL,
	 "icmp_code = 'never' is not an ICMP code: a name such as"},
	{"dscp=64", -EINVAL, "dscp = '64' is not a DSCP"},
	{"ttl=256", -EINVAL, "ttl = '256' is not a TTL"},
	{"len=65536", -EINVAL, "len = '65536' is not a length"},
	{"tcp_flags=", -EINVAL, "tcp_flags = '' is not flags of FSRPAUEC"},
	{"tcp_flags=SX", -EINVAL, "tcp_flags = 'SX' is not flags of"},
	{"tcp_flags=S/", -EINVAL, "tcp_flags = 'S/' is not flags of"},
	{"tcp_flags=S/X", -EINVAL, "tcp_flags = 'S/X' is not flags of"},
	{"tcp_flags=S/A", -EINVAL, "tcp_flags = 'S/A' never holds"},
	{"dir=outward", -EINVAL,
	 "dir = 'outward' is not a direction: out, in or forward"},
	{"dir=0", -EINVAL, "dir = '0' is not a direction"},
	{"fragment=yes", -EINVAL, "fragment = 'yes' is not true or false"},
	{"oif=", -EINVAL, "oif = '' is not an interface name"},
	{"oif=a*b", -EINVAL, "oif = 'a*b' is not an interface name"},
	{"oif=eth0 eth1", -EINVAL, "oif = 'eth0 eth1' is not an interface"},
	{"iif=abcdefghijklmnop", -EINVAL, "iif = 'abcdefghijklmnop' is not"},
	{"src=10.0.0.1/8", -EINVAL,
	 "src: '10.0.0.1/8' has bits set after its prefix; did you mean "
	 "10.0.0.0/8?"},
	{"src=example.org", -EINVAL,
	 "src: 'example.org' is not an address or a prefix"},
	{"src=10.0.0.2-10.0.0.1", -EINVAL,
	 "src: '10.0.0.2-10.0.0.1' is backwards"},
	{"payload=", -EINVAL, "payload = '' is not the first bytes"},
	{"payload=!", -EINVAL, "payload = '' is not the first bytes"},
	{"user=nobody-of-this-name", -EINVAL,
	 "user = 'nobody-of-this-name' is not a user of this host, a user id "
	 "or a range such as 1000-1999"},
	{"user=", -EINVAL, "user = '' is not a user"},
	{"user=4294967295", -EINVAL, "user = '4294967295' is not a user"},
	{"user=2000-1000", -EINVAL,
	 "user = '2000-1000' is backwards; did you mean '1000-2000'?"},
	{"group=nogroup-of-this-name", -EINVAL,
	 "group = 'nogroup-of-this-name' is not a group of this host"},
	{"cgroup=", -EINVAL, "cgroup = '' is not a path below the root"},
	{"cgroup=/", -EINVAL, "cgroup = '/' is not a path"},
	{"cgroup=a//b", -EINVAL, "cgroup = 'a//b' is not a path"},
	{"cgroup=a/../b", -EINVAL, "cgroup = 'a/../b' is not a path"},
	{"cgroup=.", -EINVAL, "cgroup = '.' is not a path"},
};

static void what_is_wrong_is_named_and_nothing_is_added(void **state)
{
	struct match *m = match_new();

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct error err = {""};
		int ret = add(m, wrong[i].cond, &err);

		if (ret != wrong[i].ret || !strstr(err.text, wrong[i].says) ||
		    strchr(err.text, '\n'))
			fail_msg("%s: %d, %s", wrong[i].cond, ret, err.text);
		assert_null(match_conds(m));
		assert_int_equal(add(m, wrong[i].cond, NULL), ret);
	}
	match_free(m);
	match_free(NULL);
}

static void a_value_may_not_hide_a_zero_byte(void **state)
{
	struct match *m = match_new();
	struct error err;

	(void)state;
	assert_int_equal(match_add(m, MATCH_DPORT, "80\0001", 4, &err),
			 -EINVAL);
	assert_int_equal(match_add(m, MATCH_PAYLOAD, "\0\1", 2, &err), 0);
	match_free(m);
}

static void a_set_is_refused_where_no_address_is(void **state)
{
	struct match *m = match_new();
	struct set *s = set_new("blocked");
	struct error err;

	(void)state;
	assert_int_equal(match_add_set(m, MATCH_DPORT, s, &err), -EINVAL);
	assert_string_equal(err.text, "dport = set blocked: a set holds "
				      "addresses and can only be a value of "
				      "src or dst");
	assert_int_equal(match_add_set(m, MATCH_USER, s, &err), -EINVAL);
	assert_null(match_conds(m));
	match_free(m);
	set_unref(s);
}

static void every_key_has_its_name_back(void **state)
{
	(void)state;
	for (int i = 0; i < MATCH_KEYS; i++)
		assert_int_equal(
			match_key_parse(match_key_name((enum match_key)i),
					NULL),
			i);
}

/* ---- what it says ------------------------------------------------------- */

static const struct {
	const char *conds[12];
	const char *text;
} texts[] = {
	{{0}, "any packet"},
	{{"icmp_type=echo-request", "proto=icmp"},
	 "proto=icmp icmp_type=echo-request"},
	{{"dport= ! 80 ", "dport=1-100"}, "dport=!80,1-100"},
	{{"payload=!a\"\x01\\", "dst=10.0.0.0/8"},
	 "dst=10.0.0.0/8 payload=!\"a\\\"\\x01\\\\\""},
	{{"payload=0123456789012345678901234567890123456789"},
	 "payload=\"01234567890123456789012345678901...\""},
	{{"dport=1", "dport=2", "dport=3", "dport=4", "dport=5", "dport=6",
	  "dport=7", "dport=8", "dport=9", "dport=10"},
	 "dport=1,2,3,4,5,6,7,8,(2 more)"},
	/* cheapest first */
	{{"payload=x", "oif=eth*", "src=10.0.0.1", "dst=10.0.0.2", "dport=80",
	  "tcp_flags=S/SA", "proto=tcp", "dir=out"},
	 "dir=out proto=tcp dport=80 tcp_flags=S/SA dst=10.0.0.2 src=10.0.0.1 "
	 "oif=eth* payload=\"x\""},
};

static void a_match_says_what_it_matches(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct match *m = match_of(texts[i].conds, 12);
		char buf[300], small[8];

		assert_string_equal(match_text(m, buf, sizeof(buf)),
				    texts[i].text);
		match_text(m, small, sizeof(small));
		assert_int_equal(strlen(small), sizeof(small) - 1);
		match_free(m);
	}
}

static void the_first_condition_that_fails_is_named(void **state)
{
	const char *conds[] = {"payload=POST", "dport=80", "src=10.0.0.0/8"};
	struct match *m = match_of(conds, 3);
	struct packet p = load(get);
	enum match_key failed;

	(void)state;
	assert_false(match_explain(m, &p, NULL, &failed));
	assert_int_equal(failed, MATCH_SRC);
	p = load(ping);
	assert_false(match_explain(m, &p, NULL, &failed));
	assert_int_equal(failed, MATCH_DPORT);
	match_free(m);
}

static const struct {
	const char *conds[4];
	const char *why; /* NULL: some packet can meet it */
} empties[] = {
	{{0}, NULL},
	{{"proto=tcp", "icmp_type=8"},
	 "the protocols that proto admits have no icmp_type"},
	{{"proto=icmp", "dport=80"},
	 "the protocols that proto admits have no dport"},
	{{"proto=!tcp", "tcp_flags=S"},
	 "the protocols that proto admits have no tcp_flags"},
	{{"proto=!tcp", "dport=80"}, NULL},
	{{"proto=1-10", "dport=80"}, NULL},
	{{"proto=udp", "proto=tcp", "tcp_flags=S"}, NULL},
	{{"icmp_type=8", "sport=1"}, "no packet has both icmp_type and sport"},
	{{"icmp_type=8", "icmp_code=0"}, NULL},
	{{"dport=80", "dport=!80"}, "the values of dport exclude each other"},
	{{"dport=80", "dport=!1-100"},
	 "the values of dport exclude each other"},
	{{"dport=80", "dport=!81"}, NULL},
	{{"dport=!0-65535"}, "the values of dport exclude each other"},
	{{"dport=!0-100", "dport=!101-65535"},
	 "the values of dport exclude each other"},
	{{"dport=!1-65535"}, NULL},
	{{"src=10.0.0.0/8", "src=!10.0.0.0/9"}, NULL},
	{{"src=10.0.0.0/9", "src=!10.0.0.0/8"},
	 "the values of src exclude each other"},
	{{"src=!0.0.0.0/0", "src=!::/0"},
	 "the values of src exclude each other"},
	{{"src=!0.0.0.0/0"}, NULL},
	{{"src=10.0.0.1", "dst=2001:db8::1"},
	 "src and dst are of different address families"},
	{{"src=10.0.0.1", "dst=!2001:db8::1"}, NULL},
	{{"tcp_flags=S", "tcp_flags=!S/SA"},
	 "the values of tcp_flags exclude each other"},
	{{"tcp_flags=SA", "tcp_flags=!S/SA"}, NULL},
	{{"fragment=!true", "fragment=!false"},
	 "the values of fragment exclude each other"},
	{{"dir=in", "oif=eth0"},
	 "oif is said of packets that go out or forward, and dir excludes "
	 "those"},
	{{"dir=!in", "oif=eth0"}, NULL},
	{{"dir=!in", "dir=!forward", "iif=eth0"},
	 "iif is said of packets that go in or forward, and dir excludes "
	 "those"},
	{{"iif=eth0", "oif=eth0"}, NULL},
	{{"dir=!forward", "iif=eth0", "oif=eth0"},
	 "oif is said of packets that go out or forward, and iif excludes "
	 "those"},
	{{"user=root", "dir=in"},
	 "user is said of packets that go out, and dir excludes those"},
	{{"dir=!out", "cgroup=a"},
	 "cgroup is said of packets that go out, and dir excludes those"},
	{{"group=0", "iif=eth0"},
	 "iif is said of packets that go in or forward, and group excludes "
	 "those"},
	{{"user=0", "oif=eth0", "dir=out", "group=1"}, NULL},
	{{"user=1000-1999", "user=!1000-2000"},
	 "the values of user exclude each other"},
	{{"user=!0-4294967294"}, "the values of user exclude each other"},
	{{"cgroup=a/b", "cgroup=!a"},
	 "the values of cgroup exclude each other"},
	{{"cgroup=a", "cgroup=!a/b"}, NULL},
	{{"cgroup=ab", "cgroup=!a"}, NULL},
	{{"oif=eth0", "oif=!eth*"}, "the values of oif exclude each other"},
	{{"oif=eth*", "oif=!eth0"}, NULL},
	{{"oif=!*"}, "the values of oif exclude each other"},
	{{"payload=GET", "payload=!GE"},
	 "the values of payload exclude each other"},
	{{"payload=GE", "payload=!GET"}, NULL},
	{{"payload=!GET"}, NULL},
};

static void what_cannot_be_met_is_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(empties); i++) {
		struct match *m = match_of(empties[i].conds, 4);
		struct error why = {""};
		bool empty = match_is_empty(m, &why);

		if (empty != !!empties[i].why ||
		    (empty && strcmp(why.text, empties[i].why)))
			fail_msg("case %zu: %s", i, why.text);
		match_free(m);
	}
}

/* ---- against an evaluation without any cleverness ----------------------- */

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint32_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 16);
}

static const enum match_key random_keys[] = {
	MATCH_PROTO, MATCH_SRC, MATCH_DST, MATCH_SPORT,	    MATCH_DPORT,
	MATCH_DSCP,  MATCH_TTL, MATCH_LEN, MATCH_TCP_FLAGS, MATCH_ICMP_TYPE,
};

static void random_value(struct match *m, enum match_key key)
{
	static const char *const flags[] = {"S",    "SA", "/A",
					    "S/SA", "PA", "A/SAE"};
	const char *no = next_random() % 3 ? "" : "!";
	uint32_t low = next_random() % 12, high = low + next_random() % 4;
	struct error err = {""};
	char text[80];

	if (key == MATCH_SRC || key == MATCH_DST)
		snprintf(text, sizeof(text), "%s10.0.0.%u-10.0.0.%u", no, low,
			 high);
	else if (key == MATCH_TCP_FLAGS)
		snprintf(text, sizeof(text), "%s%s", no,
			 flags[next_random() % COUNT(flags)]);
	else if (key == MATCH_LEN)
		snprintf(text, sizeof(text), "%s%u-%u", no, 36 + low,
			 36 + high);
	else
		snprintf(text, sizeof(text), "%s%u-%u", no, low, high);
	if (match_add(m, key, text, strlen(text), &err))
		fail_msg("%s: %s", match_key_name(key), err.text);
}

/* The bytes that key is about, read without the parser; false: not there. */
static bool naive_number(const struct packet *p, enum match_key key,
			 uint32_t *v)
{
	const uint8_t *b = p->data, *t = b + 20;
	bool tcp = b[9] == 6, ports = tcp || b[9] == 17;

	switch (key) {
	case MATCH_PROTO:
		return *v = b[9], true;
	case MATCH_SRC:
		return *v = get_be32(b + 12), true;
	case MATCH_DST:
		return *v = get_be32(b + 16), true;
	case MATCH_SPORT:
		return *v = get_be16(t), ports;
	case MATCH_DPORT:
		return *v = get_be16(t + 2), ports;
	case MATCH_DSCP:
		return *v = b[1] >> 2, true;
	case MATCH_TTL:
		return *v = b[8], true;
	case MATCH_LEN:
		return *v = get_be16(b + 2), true;
	case MATCH_TCP_FLAGS:
		return *v = t[13], tcp;
	case MATCH_ICMP_TYPE:
		return *v = t[0], b[9] == 1;
	default:
		return false;
	}
}

static bool naive_covers(const struct match_cond *c,
			 const struct match_value *v, uint32_t n)
{
	if (c->key == MATCH_TCP_FLAGS)
		return (n & v->high) == v->low;
	if (c->key == MATCH_SRC || c->key == MATCH_DST)
		return n >= get_be32(v->from.byte) && n <= get_be32(v->to.byte);
	return n >= v->low && n <= v->high;
}

static bool naive_holds(const struct match *m, const struct packet *p)
{
	for (const struct match_cond *c = match_conds(m); c; c = c->next) {
		bool any = false, only_negated = true, excluded = false;
		uint32_t n;

		if (!naive_number(p, c->key, &n))
			return false;
		for (uint32_t i = 0; i < c->count; i++) {
			bool covers = naive_covers(c, &c->value[i], n);

			if (c->value[i].negate)
				excluded |= covers;
			else
				any |= covers;
			only_negated &= c->value[i].negate;
		}
		if (excluded || !(any || only_negated))
			return false;
	}
	return true;
}

static struct packet random_packet(void)
{
	static const uint8_t protos[] = {1, 6, 6, 17, 17, 4};
	struct packet p;
	uint8_t *b = buffer + 64;
	uint32_t n = 40 + next_random() % 12;

	memset(b, 0, n);
	b[0] = 0x45;
	b[1] = (uint8_t)(next_random() % 16 << 2);
	put_be16(b + 2, (uint16_t)n);
	b[8] = (uint8_t)(next_random() % 16);
	b[9] = protos[next_random() % COUNT(protos)];
	put_be32(b + 12, 0x0a000000 + next_random() % 16);
	put_be32(b + 16, 0x0a000000 + next_random() % 16);
	put_be16(b + 20, (uint16_t)(next_random() % 16));
	put_be16(b + 22, (uint16_t)(next_random() % 16));
	if (b[9] == 1)
		b[20] = (uint8_t)(next_random() % 16);
	b[32] = 0x50;
	b[33] = (uint8_t)next_random();
	if (b[9] == 17)
		put_be16(b + 24, (uint16_t)(n - 20));
	packet_init(&p, buffer, sizeof(buffer), b, n, NULL);
	return p;
}

static void a_match_answers_like_its_definition(void **state)
{
	unsigned held = 0;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		struct match *m = match_new();
		unsigned values = 1 + next_random() % 8;
		struct error why;
		bool empty;

		for (unsigned i = 0; i < values; i++)
			random_value(
				m,
				random_keys[next_random() % (i % 2 ? 3 : 10)]);
		empty = match_is_empty(m, &why);
		for (int i = 0; i < 20; i++) {
			struct packet p = random_packet();
			bool holds = match_holds(m, &p, NULL);
			char buf[300];

			if (holds != naive_holds(m, &p))
				fail_msg("%s", match_text(m, buf, sizeof(buf)));
			assert_false(holds && empty);
			held += holds;
		}
		match_free(m);
	}
	/* Neither answer may be rare, or this proves little. */
	assert_in_range(held, 3000, 57000);
}

/* Long lists are searched, not walked; the answers must be the same. */
static void a_long_list_answers_like_its_values(void **state)
{
	struct match *m = match_new();
	struct packet p = load(syn);
	static bool listed[65536];
	struct error err;
	char text[40];

	(void)state;
	for (uint32_t i = 1; i < 20000; i++) {
		uint32_t port = i * 7919 % 20011 * 3;

		listed[port] = true;
		snprintf(text, sizeof(text), "%u", port);
		assert_int_equal(
			match_add(m, MATCH_DPORT, text, strlen(text), &err), 0);
	}
	for (uint32_t port = 0; port <= 65535; port++) {
		put_be16(p.data + 22, (uint16_t)port);
		if (match_holds(m, &p, NULL) != listed[port])
			fail_msg("port %u", port);
	}
	match_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_match_holds_for_what_it_says),
		cmocka_unit_test(direction_and_interface_go_together),
		cmocka_unit_test(the_uplink_is_asked_for_only_when_it_matters),
		cmocka_unit_test(a_set_is_a_value_beside_others),
		cmocka_unit_test(a_boolean_is_for_fragment),
		cmocka_unit_test(
			whose_packet_it_is_is_as_assumed_of_what_leaves),
		cmocka_unit_test(accounts_are_read_by_name_and_number),
		cmocka_unit_test(
			a_cgroup_is_a_path_without_slashes_at_its_ends),
		cmocka_unit_test(what_is_wrong_is_named_and_nothing_is_added),
		cmocka_unit_test(a_value_may_not_hide_a_zero_byte),
		cmocka_unit_test(a_set_is_refused_where_no_address_is),
		cmocka_unit_test(every_key_has_its_name_back),
		cmocka_unit_test(a_match_says_what_it_matches),
		cmocka_unit_test(the_first_condition_that_fails_is_named),
		cmocka_unit_test(what_cannot_be_met_is_found),
		cmocka_unit_test(a_match_answers_like_its_definition),
		cmocka_unit_test(a_long_list_answers_like_its_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
