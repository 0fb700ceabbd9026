/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sets of addresses in our tables: that the kernel holds what the rules' set
 * has, as nft tells it. In a user and network namespace of its own; where that
 * or nft is missing it is skipped.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "capture/nft.h"
#include "capture_space.h"
#include "rule/plan.h"

static const struct nft_how how_wire = {
	.dev = "tun0", .divert = 0x1000, .seen = 0x2000,
	.marker = { 2, 3, 4, 5, 6, 7 },
};

/* What nft says of a table, without what it says of its owner. */
static char *listed(const char *family)
{
	char command[80];

	snprintf(command, sizeof(command), "nft list table %s sluice", family);
	return space_output(command);
}

static void same_in_both_tables(const struct nft_how *how)
{
	char *ours = space_printed(how, NULL, 0), *ip = listed("ip"), *wire = listed("netdev");
	char *theirs = NULL;

	assert_true(asprintf(&theirs, "%s%s", ip, wire) > 0);
	assert_string_equal(ours, theirs);
	free(theirs);
	free(wire);
	free(ip);
	free(ours);
}

static void add(struct set *s, const char *text)
{
	struct error err;

	if (set_add_text(s, text, 0, &err))
		fail_msg("%s", err.text);
}

static struct nft *up(const struct nft_how *how)
{
	struct error err = { "" };
	struct nft *n;

	assert_int_equal(nft_open(&n, &err), 0);
	if (nft_up(n, how, NULL, 0, &err))
		fail_msg("nft_up: %s", err.text);
	return n;
}

static void changed(struct nft *n, const struct set *s,
		    const struct ranges *within)
{
	struct error err = { "" };

	if (nft_set_changed(n, s, within, clock_wall(), &err))
		fail_msg("nft_set_changed: %s", err.text);
}

static void nft_prints_sets_as_we_do(void **state)
{
	struct set *s[4] = { set_new("list.txt"), set_new("a \"b\"\n"),
			     set_new("all"), set_new("rule.lua:3") };
	struct plan plan = { .set = s, .sets = 4, .policy = VERDICT_ACCEPT };
	struct nft_how how = how_wire;
	struct nft *n;

	(void)state;
	space_enter();
	add(s[0], "10.0.0.0/8");
	add(s[0], "!10.1.0.0/16");
	add(s[0], "192.0.2.1");
	add(s[0], "192.0.2.3-192.0.2.9");
	add(s[0], "0.0.0.0/32");
	add(s[0], "255.255.255.0/24");
	add(s[0], "2001:db8::/32");
	add(s[2], "0.0.0.0/0");
	add(s[3], "0.0.0.0/0");
	add(s[3], "!0.0.0.0/32");
	how.plan = &plan;
	n = up(&how);
	same_in_both_tables(&how);
	nft_close(n);
	for (int i = 0; i < 4; i++)
		set_unref(s[i]);
}

static uint32_t draw(uint32_t below)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 20) % below;
}

static void note(struct ranges *within, const struct prefix *p)
{
	struct range r = prefix_range(p);

	assert_int_equal(ranges_add(within, r.low, r.high), 0);
}

/* Prefixes within 10.0.0.0/26, so that most changes join and cut ranges. */
static void change(struct set *s, struct ranges *within)
{
	unsigned host = draw(4);
	uint32_t v = draw(64) >> host << host;
	struct prefix p = { .length = (uint8_t)(32 - host) };
	uint8_t b[4] = { 10, 0, 0, (uint8_t)v };

	p.address = address_v4(b);
	if (draw(3))
		set_add(s, &p, draw(2), 0);
	else
		set_remove(s, &p);
	note(within, &p);
}

static void the_kernel_follows_every_change(void **state)
{
	struct set *s[2] = { set_new("one"), set_new("two") };
	struct plan plan = { .set = s, .sets = 2, .policy = VERDICT_ACCEPT };
	struct nft_how how = how_wire;
	struct nft *n;

	(void)state;
	space_enter();
	how.plan = &plan;
	n = up(&how);
	for (int turn = 0; turn < 60; turn++) {
		struct ranges within = RANGES_NONE;

		for (unsigned i = 1 + draw(4); i--;)
			change(s[turn % 2], &within);
		changed(n, s[turn % 2], &within);
		ranges_free(&within);
		same_in_both_tables(&how);
	}
	nft_close(n);
	set_unref(s[0]);
	set_unref(s[1]);
}

static unsigned elements(const char *family)
{
	char *text = listed(family);
	unsigned n = 0;

	for (const char *c = strstr(text, "elements"); c && *c != '}'; c++)
		n += *c == ',' || *c == '{';
	free(text);
	return n;
}

/* One address in two, of count; in one transaction they would not fit. */
static void members(struct set *s, uint32_t count, bool there)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t v = 0x0a000000 + 2 * i;
		struct prefix p = { .length = 32 };

		p.address = address_from_number(v, 4);
		if (there)
			assert_int_equal(set_add(s, &p, false, 0), 0);
		else
			assert_int_equal(set_remove(s, &p), 0);
	}
}

static void large_sets_are_loaded_and_changed(void **state)
{
	struct set *s = set_new("large");
	struct plan plan = { .set = &s, .sets = 1, .policy = VERDICT_ACCEPT };
	struct nft_how how = how_wire;
	struct nft *n;

	(void)state;
	space_enter();
	members(s, 10000, true);
	how.plan = &plan;
	n = up(&how);
	assert_int_equal(elements("ip"), 10000);
	assert_int_equal(elements("netdev"), 10000);
	/* One range in place of all. */
	add(s, "0.0.0.0/0");
	changed(n, s, NULL);
	same_in_both_tables(&how);
	set_remove(s, &(struct prefix){ .address = { .size = 4 } });
	members(s, 5000, false);
	changed(n, s, NULL);
	assert_int_equal(elements("ip"), 5000);
	assert_int_equal(elements("netdev"), 5000);
	nft_close(n);
	set_unref(s);
}

static void what_cannot_be_loaded_leaves_nothing(void **state)
{
	struct set *s = set_new("one");
	struct plan plan = { .set = &s, .sets = 1, .policy = VERDICT_ACCEPT };
	struct nft_how how = how_wire;
	struct uplink gone = { .ifindex = 1, .name = "lo", .link_len = 14 };
	struct uplink *list[] = { &gone };
	struct error err = { "" };
	struct nft *n;

	(void)state;
	space_enter();
	add(s, "10.0.0.0/8");
	how.plan = &plan;
	assert_int_equal(nft_open(&n, &err), 0);
	/* Nothing stands for lo here. */
	assert_int_not_equal(nft_up(n, &how, list, 1, &err), 0);
	assert_non_null(strstr(err.text, "device"));
	assert_int_not_equal(system("nft list table ip sluice 2>/dev/null"), 0);
	assert_int_equal(nft_up(n, &how, NULL, 0, &err), 0);
	same_in_both_tables(&how);
	assert_int_equal(nft_down(n, &err), 0);
	assert_int_equal(nft_up(n, &how, NULL, 0, &err), 0);
	same_in_both_tables(&how);
	nft_close(n);
	set_unref(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nft_prints_sets_as_we_do),
		cmocka_unit_test(the_kernel_follows_every_change),
		cmocka_unit_test(large_sets_are_loaded_and_changed),
		cmocka_unit_test(what_cannot_be_loaded_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
