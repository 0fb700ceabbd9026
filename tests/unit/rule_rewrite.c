/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rule/ruleset.h"

#define COUNT(x) (sizeof(x) / sizeof(*(x)))

static uint8_t buffer[2048], before[2048];

static struct packet load(const char *hex)
{
	struct packet p;
	uint8_t *data = buffer + 64;
	uint32_t n = 0;

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

/* Every one with its checksums right.
 * 192.0.2.2:30732 > 34.194.149.67:80 [S], MSS 1460, TTL 64, DF, id 1 */
static const char syn[] = "4500002c 00014000 4006c0c3 c0000202 22c29543"
			  "780c0050 00000001 00000000 6002ffff a5c10000"
			  "020405b4";
/* The same without SYN (it still carries the option), [A] */
static const char ack[] = "4500002c 00014000 4006c0c3 c0000202 22c29543"
			  "780c0050 00000001 00000000 6010ffff a5b30000"
			  "020405b4";
/* 192.0.2.2:5353 > 8.8.8.8:53, DSCP ef, ECN 1, TTL 1, no DF */
static const char dns[] = "45b90020 00030000 0111e6ff c0000202 08080808"
			  "14e90035 000c4116 646e7321";
static const char ping[] = "4500001c 00040000 4001aeda c0000202 0a000001"
			   "0800f7fd 00010001";
static const char odd[] = "60000000 00003b40 20010db8 00000000 00000000";

static const struct {
	const char *key, *text;
	uint32_t number;
	const char *address;
	const char *says; /* of what is refused */
} values[] = {
	{"ttl", "64", 64, NULL, NULL},
	{"ttl", " 255 ", 255, NULL, NULL},
	{"ttl", "0", 0, NULL, "ttl = '0' is not a TTL from 1 to 255"},
	{"ttl", "256", 0, NULL, "ttl = '256' is not a TTL"},
	{"ttl", "ef", 0, NULL, "ttl = 'ef' is not a TTL"},
	{"dscp", "ef", 46, NULL, NULL},
	{"dscp", "0", 0, NULL, NULL},
	{"dscp", "best", 0, NULL, "dscp = 'best' is not a DSCP: a name such"},
	{"ecn", "3", 3, NULL, NULL},
	{"ecn", "4", 0, NULL, "ecn = '4' is not"},
	{"df", "true", 1, NULL, NULL},
	{"df", "false", 0, NULL, NULL},
	{"df", "1", 1, NULL, NULL},
	{"df", "yes", 0, NULL, "df = 'yes' is not true or false"},
	{"id", "0xffff", 65535, NULL, NULL},
	{"mss", "1400", 1400, NULL, NULL},
	{"mss", "0", 0, NULL, "mss = '0' is not an MSS"},
	{"src", "10.0.0.9", 0, "10.0.0.9", NULL},
	{"dst", "2001:db8::1", 0, "2001:db8::1", NULL},
	{"dst", "10.0.0.0/8", 0, NULL, "dst = '10.0.0.0/8' is not an address"},
	{"dst", "", 0, NULL, "dst = '' is not an address"},
	{"sport", "1024", 1024, NULL, NULL},
	{"dport", "65536", 0, NULL, "dport = '65536' is not a port"},
	{"dport", "80-90", 0, NULL, "dport = '80-90' is not a port"},
};

static struct rewrite rewrite(const char *key, const char *text)
{
	struct rewrite r = {0};
	struct error err = {""};
	int k = rewrite_key_parse(key, &err);

	if (k < 0)
		fail_msg("%s", err.text);
	r.key = (enum rewrite_key)k;
	if (rewrite_parse(&r, text, &err))
		fail_msg("%s", err.text);
	return r;
}

static void a_value_is_read_or_refused_with_its_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(values); i++) {
		char buf[ADDRESS_TEXT_MAX];
		struct rewrite r = {0};
		struct error err = {""};
		int ret;

		r.key = (enum rewrite_key)rewrite_key_parse(values[i].key,
							    NULL);
		ret = rewrite_parse(&r, values[i].text, &err);
		if (ret != (values[i].says ? -EINVAL : 0) ||
		    (ret && !strstr(err.text, values[i].says)))
			fail_msg("case %zu: %d, %s", i, ret, err.text);
		if (ret)
			continue;
		assert_int_equal(r.number, values[i].number);
		if (values[i].address)
			assert_string_equal(
				address_text(&r.address, buf, sizeof(buf)),
				values[i].address);
	}
}

static void a_key_that_is_unknown_is_named(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(rewrite_key_parse("dprot", &err), -ENOENT);
	assert_string_equal(err.text, "unknown rewrite key 'dprot'; did you "
				      "mean 'dport'?");
	for (int i = 0; i < REWRITE_KEYS; i++)
		assert_int_equal(
			rewrite_key_parse(rewrite_key_name((enum rewrite_key)i),
					  NULL),
			i);
}

static const struct {
	const char *packet, *key, *text;
	/* the n bytes that become others, from off on; 0: no change at all */
	unsigned off, n;
	const char *becomes;
	bool redirected;
} applied[] = {
	{syn, "ttl", "32", 8, 1, "\x20", false},
	{syn, "ttl", "64", 0, 0, NULL, false},
	{syn, "dscp", "ef", 1, 1, "\xb8", false},
	{dns, "dscp", "cs1", 1, 1, "\x21", false}, /* ECN stays */
	{dns, "ecn", "2", 1, 1, "\xba", false},
	{dns, "df", "true", 6, 1, "\x40", false},
	{syn, "df", "false", 6, 1, "\x00", false},
	{syn, "id", "0x1234", 4, 2, "\x12\x34", false},
	{syn, "mss", "1400", 42, 2, "\x05\x78", false},
	{syn, "mss", "1460", 0, 0, NULL, false},
	{syn, "mss", "1500", 0, 0, NULL, false}, /* only ever lowered */
	{ack, "mss", "1400", 0, 0, NULL, false}, /* only on SYNs */
	{dns, "mss", "1400", 0, 0, NULL, false},
	{syn, "src", "10.0.0.9", 12, 4, "\x0a\x00\x00\x09", false},
	{syn, "dst", "10.0.0.9", 16, 4, "\x0a\x00\x00\x09", true},
	{dns, "dst", "9.9.9.9", 16, 4, "\x09\x09\x09\x09", true},
	{dns, "dst", "8.8.8.8", 0, 0, NULL, false},
	{dns, "dst", "2001:db8::1", 0, 0, NULL, false}, /* another family */
	{syn, "sport", "1024", 20, 2, "\x04\x00", false},
	{syn, "dport", "8080", 22, 2, "\x1f\x90", false},
	{dns, "dport", "8053", 22, 2, "\x1f\x75", false},
	{dns, "sport", "1", 20, 2, "\x00\x01", false},
	{ping, "dport", "80", 0, 0, NULL, false},
	{ping, "ttl", "7", 8, 1, "\x07", false},
	{odd, "ttl", "7", 0, 0, NULL, false},
	{odd, "dst", "10.0.0.9", 0, 0, NULL, false},
	{odd, "mss", "1", 0, 0, NULL, false},
};

/* Checksum fields are the packet's business: they are only looked at for
 * being right. */
static bool is_checksum(const struct packet *p, unsigned off)
{
	unsigned l4 = p->proto == 6 ? 36 : p->proto == 17 ? 26 : 22;

	return off / 2 == 5 || off / 2 == l4 / 2;
}

static void only_what_was_asked_for_changes(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(applied); i++) {
		struct packet p = load(applied[i].packet);
		struct rewrite r = rewrite(applied[i].key, applied[i].text);
		const char *now = applied[i].becomes;
		unsigned n = applied[i].n;

		if (!packet_ip_checksum_ok(&p) || !packet_l4_checksum_ok(&p))
			fail_msg("case %zu: a bad packet to begin with", i);
		memcpy(before, buffer, sizeof(before));
		if (rewrite_apply(&r, &p) != !!now)
			fail_msg("case %zu", i);
		assert_int_equal(!!(p.flags & PACKET_MODIFIED), !!now);
		assert_int_equal(!!(p.flags & PACKET_REDIRECTED),
				 applied[i].redirected);
		if (n && memcmp(p.data + applied[i].off, now, n))
			fail_msg("case %zu: other bytes", i);
		for (unsigned off = 0; off < p.len; off++) {
			if (off - applied[i].off < n ||
			    (n && is_checksum(&p, off)))
				continue;
			if (p.data[off] != before[64 + off])
				fail_msg("case %zu: byte %u changed", i, off);
		}
		if (!packet_ip_checksum_ok(&p) || !packet_l4_checksum_ok(&p))
			fail_msg("case %zu: a checksum is wrong", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_value_is_read_or_refused_with_its_reason),
		cmocka_unit_test(a_key_that_is_unknown_is_named),
		cmocka_unit_test(only_what_was_asked_for_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
