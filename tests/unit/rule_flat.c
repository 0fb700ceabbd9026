/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rule/set_flat.h"

#define COUNT(x) (sizeof(x) / sizeof(*(x)))

static struct set *set_of(const char *const members[], size_t n)
{
	struct set *s = set_new("test");
	struct error err;

	for (size_t i = 0; i < n && members[i]; i++)
		if (set_add_text(s, members[i], 0, &err))
			fail_msg("%s", err.text);
	return s;
}

static void text_of(const struct ranges *r, unsigned size, char *buf,
		    size_t n)
{
	size_t used = 0;

	*buf = '\0';
	for (uint32_t i = 0; i < r->count; i++) {
		struct address low = address_from_number(r->range[i].low, size);
		struct address high =
			address_from_number(r->range[i].high, size);
		char a[ADDRESS_TEXT_MAX], b[ADDRESS_TEXT_MAX];

		used += (size_t)snprintf(buf + used, n - used, "%s%s-%s",
					 i ? " " : "",
					 address_text(&low, a, sizeof(a)),
					 address_text(&high, b, sizeof(b)));
	}
}

static const struct {
	const char *members[6];
	const char *ranges;
	unsigned size;
} flats[] = {
	{{0}, "", 4},
	{{"10.0.0.0/8"}, "10.0.0.0-10.255.255.255", 4},
	{{"!10.0.0.0/8"}, "", 4},
	{{"10.0.0.0/8", "!10.1.0.0/16"},
	 "10.0.0.0-10.0.255.255 10.2.0.0-10.255.255.255", 4},
	{{"10.0.0.0/8", "!10.0.0.0/16"}, "10.1.0.0-10.255.255.255", 4},
	{{"10.0.0.0/8", "!10.255.0.0/16"}, "10.0.0.0-10.254.255.255", 4},
	{{"10.0.0.0/8", "!10.1.0.0/16", "10.1.2.0/24"},
	 "10.0.0.0-10.0.255.255 10.1.2.0-10.1.2.255 10.2.0.0-10.255.255.255",
	 4},
	{{"10.0.0.0/8", "10.1.0.0/16"}, "10.0.0.0-10.255.255.255", 4},
	{{"10.0.0.0/25", "10.0.0.128/25"}, "10.0.0.0-10.0.0.255", 4},
	{{"0.0.0.0/0"}, "0.0.0.0-255.255.255.255", 4},
	{{"0.0.0.0/0", "!255.255.255.255"}, "0.0.0.0-255.255.255.254", 4},
	{{"!0.0.0.0/0", "255.255.255.255"}, "255.255.255.255-255.255.255.255",
	 4},
	{{"0.0.0.0/0", "!128.0.0.0/1", "192.0.0.0/2", "!224.0.0.0/3",
	  "255.255.255.254/31"},
	 "0.0.0.0-127.255.255.255 192.0.0.0-223.255.255.255 "
	 "255.255.255.254-255.255.255.255", 4},
	{{"10.0.0.1-10.0.0.9", "10.0.0.10"}, "10.0.0.1-10.0.0.10", 4},
	{{"2001:db8::/32", "10.0.0.0/8"}, "10.0.0.0-10.255.255.255", 4},
	{{"2001:db8::/127", "10.0.0.0/8"}, "2001:db8::-2001:db8::1", 16},
	{{"::/0", "!8000::/1"}, "::-7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	 16},
	{{"::/0"}, "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 16},
};

static void a_set_becomes_the_fewest_ranges(void **state)
{
	char text[1000];

	(void)state;
	for (size_t i = 0; i < COUNT(flats); i++) {
		struct set *s = set_of(flats[i].members, 6);
		struct ranges r = RANGES_NONE;

		assert_int_equal(set_flatten(s, flats[i].size, 0, NULL, &r), 0);
		text_of(&r, flats[i].size, text, sizeof(text));
		if (strcmp(text, flats[i].ranges))
			fail_msg("case %zu: %s, not %s", i, text,
				 flats[i].ranges);
		ranges_free(&r);
		set_unref(s);
	}
}

static void only_what_was_asked_for_is_flattened(void **state)
{
	static const char *const members[] = {"10.0.0.0/8", "!10.1.0.0/16",
					      "10.1.2.0/24", "11.0.0.0/24"};
	struct ranges within = RANGES_NONE, r = RANGES_NONE;
	struct set *s = set_of(members, COUNT(members));
	char text[1000];

	(void)state;
	ranges_add(&within, 0x0a00ff00, 0x0a0102ff);
	ranges_add(&within, 0x0affff00, 0x0b000000);
	assert_int_equal(set_flatten(s, 4, 0, &within, &r), 0);
	text_of(&r, 4, text, sizeof(text));
	assert_string_equal(text,
			    "10.0.255.0-10.0.255.255 10.1.2.0-10.1.2.255 "
			    "10.255.255.0-11.0.0.0");
	ranges_free(&within);
	ranges_free(&r);
	set_unref(s);
}

static void expired_members_are_left_out(void **state)
{
	struct set *s = set_new("test");
	struct ranges r = RANGES_NONE;
	struct error err;

	(void)state;
	assert_int_equal(set_sweep(s, 0), 0);
	set_add_text(s, "10.0.0.0/8", 0, &err);
	set_add_text(s, "!10.1.0.0/16", 50, &err);
	set_add_text(s, "10.1.2.0/24", 30, &err);
	assert_int_equal(set_sweep(s, 0), 30);
	set_flatten(s, 4, 0, NULL, &r);
	assert_int_equal(r.count, 3);
	set_flatten(s, 4, 30, NULL, &r);
	assert_int_equal(r.count, 2);
	assert_int_equal(set_count(s), 3);
	assert_int_equal(set_sweep(s, 30), 50);
	assert_int_equal(set_count(s), 2);
	set_flatten(s, 4, 50, NULL, &r);
	assert_int_equal(r.count, 1);
	assert_int_equal(set_sweep(s, 50), 0);
	ranges_free(&r);
	set_unref(s);
}

struct heard {
	unsigned calls;
	struct set_change last;
};

static void hear(void *arg, struct set *s, const struct set_change *c)
{
	struct heard *h = arg;

	(void)s;
	h->calls++;
	h->last = *c;
}

static void who_watches_is_told_of_every_change(void **state)
{
	struct set *s = set_new("test");
	struct heard h = {0};
	struct prefix p;
	struct error err;
	const struct set_change *c = &h.last;

	(void)state;
	set_add_text(s, "10.0.0.0/8", 0, &err);
	set_watch(s, hear, &h);
	prefix_parse(&p, "10.0.0.0/8", &err);
	set_add(s, &p, true, 70);
	assert_int_equal(h.calls, 1);
	assert_true(c->was && !c->was_exclude && !c->was_until);
	assert_true(c->exclude && c->until == 70 && !c->gone);
	set_add_text(s, "192.0.2.1-192.0.2.2", 90, &err);
	assert_int_equal(h.calls, 3);
	assert_true(!c->was && c->until == 90 && c->prefix.length == 32 &&
		    c->prefix.address.byte[3] == 2);
	assert_int_equal(set_sweep(s, 70), 90);
	assert_int_equal(h.calls, 4);
	assert_true(c->gone && c->expired && c->was && c->was_until == 70 &&
		    c->prefix.length == 8);
	assert_int_equal(set_remove(s, &p), -ENOENT);
	assert_int_equal(h.calls, 4);
	prefix_parse(&p, "192.0.2.1", &err);
	set_remove(s, &p);
	assert_int_equal(h.calls, 5);
	assert_true(c->gone && !c->expired);
	set_watch(s, NULL, NULL);
	set_sweep(s, 1000);
	assert_int_equal(h.calls, 5);
	set_unref(s);
}

/* ---- against set_has ---------------------------------------------------- */

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 20) % below;
}

/* Few different ones, so that they lie in one another: 10 bits that are used,
 * wherever the address begins. */
static struct prefix draw_prefix(unsigned size, unsigned shift)
{
	struct prefix p = {.length = (uint8_t)(size * 8)};
	unsigned host = draw(11);
	u128 v = (u128)(draw(1024) >> host) << host;

	if (shift)
		v <<= shift;
	p.length = (uint8_t)(size * 8 - host - shift);
	if (draw(20) == 0) {
		p.length = 0;
		v = 0;
	}
	p.address = address_from_number(v, size);
	return p;
}

static void change(struct set *s, unsigned size, unsigned shift,
		   struct ranges *within)
{
	struct prefix p = draw_prefix(size, shift);
	struct range r = prefix_range(&p);

	if (draw(4))
		set_add(s, &p, draw(3) == 0, 0);
	else
		set_remove(s, &p);
	assert_int_equal(ranges_add(within, r.low, r.high), 0);
}

static void compare(const struct set *s, const struct ranges *r,
		    unsigned size, unsigned shift, uint64_t seed)
{
	for (uint32_t i = 1; i < r->count; i++)
		if (r->range[i].low <= r->range[i - 1].high + 1)
			fail_msg("seed %llu: ranges touch",
				 (unsigned long long)seed);
	/* The first and the last address of each that may differ. */
	for (u128 v = 0; v < 1030; v++) {
		u128 at[2] = {v << shift, (v << shift) - 1};

		for (int k = 0; k < 2; k++) {
			struct address a;

			if (at[k] > address_last(size))
				continue;
			a = address_from_number(at[k], size);
			if (set_has(s, &a, 0) != ranges_has(r, at[k]))
				fail_msg("seed %llu: address %u.%d",
					 (unsigned long long)seed,
					 (unsigned)v, k);
		}
	}
}

struct applied {
	struct ranges r;
	bool failed;
};

/* What a kernel does with a difference: takes away what is there, and adds
 * what overlaps with nothing. */
static int apply(void *arg, const struct range *r, bool gone)
{
	struct applied *a = arg;
	struct ranges *k = &a->r;

	for (uint32_t i = 0; i < k->count; i++) {
		struct range *x = &k->range[i];

		if (gone && x->low == r->low && x->high == r->high) {
			*x = k->range[--k->count];
			return 0;
		}
	}
	if (gone) {
		a->failed = true;
		return 1;
	}
	k->range = realloc(k->range, (k->count + 1) * sizeof(*k->range));
	k->range[k->count++] = *r;
	k->room = k->count;
	return 0;
}

static int by_low(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->low < y->low ? -1 : x->low > y->low;
}

static void random_set(uint64_t seed)
{
	unsigned size = seed % 2 ? 16 : 4;
	unsigned shift = seed % 3 ? 0 : size * 8 - 10;
	struct ranges have = RANGES_NONE, whole = RANGES_NONE;
	struct applied kernel = {.r = RANGES_NONE};
	struct set *s = set_new("random");

	random_state = seed * 2654435761u + 88172645463325252ull;
	for (int turn = 0; turn < 12; turn++) {
		struct ranges within = RANGES_NONE, part = RANGES_NONE;
		struct ranges now = RANGES_NONE;

		for (unsigned i = draw(6) + 1; i--;)
			change(s, size, shift, &within);
		assert_int_equal(set_flatten(s, size, 0, &within, &part), 0);
		assert_int_equal(ranges_update(&have, &within, &part, &now), 0);
		assert_int_equal(set_flatten(s, size, 0, NULL, &whole), 0);
		compare(s, &whole, size, shift, seed);
		if (whole.count != now.count ||
		    (now.count && memcmp(whole.range, now.range,
					 now.count * sizeof(*now.range))))
			fail_msg("seed %llu turn %d: an update differs",
				 (unsigned long long)seed, turn);
		ranges_compare(&have, &now, apply, &kernel);
		if (kernel.r.count)
			qsort(kernel.r.range, kernel.r.count,
			      sizeof(*kernel.r.range), by_low);
		if (kernel.failed || kernel.r.count != now.count ||
		    (now.count && memcmp(kernel.r.range, now.range,
					 now.count * sizeof(*now.range))))
			fail_msg("seed %llu turn %d: a difference",
				 (unsigned long long)seed, turn);
		ranges_free(&have);
		ranges_free(&within);
		ranges_free(&part);
		have = now;
	}
	ranges_free(&have);
	ranges_free(&whole);
	free(kernel.r.range);
	set_unref(s);
}

static void ranges_have_what_the_set_has(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 400; seed++)
		random_set(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_set_becomes_the_fewest_ranges),
		cmocka_unit_test(only_what_was_asked_for_is_flattened),
		cmocka_unit_test(expired_members_are_left_out),
		cmocka_unit_test(who_watches_is_told_of_every_change),
		cmocka_unit_test(ranges_have_what_the_set_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
