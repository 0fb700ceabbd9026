/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "rule/set.h"

#define COUNT(x) (sizeof(x) / sizeof(*(x)))

static struct address addr(const char *text)
{
	struct address a;

	if (address_parse(&a, text))
		fail_msg("%s is no address", text);
	return a;
}

static struct prefix pfx(const char *text)
{
	struct prefix p;

	if (prefix_parse(&p, text, NULL))
		fail_msg("%s is no prefix", text);
	return p;
}

static bool has(const struct set *s, const char *text, int64_t now)
{
	struct address a = addr(text);

	return set_has(s, &a, now);
}

static struct set *set_of(const char *const members[], size_t n)
{
	struct set *s = set_new("test");
	struct error err;

	for (size_t i = 0; i < n && members[i]; i++)
		if (set_add_text(s, members[i], 0, &err))
			fail_msg("%s", err.text);
	return s;
}

static const struct {
	const char *members[6];
	const char *address;
	bool in;
} lookups[] = {
	{{0}, "10.0.0.1", false},
	{{"10.0.0.0/8"}, "10.0.0.1", true},
	{{"10.0.0.0/8"}, "11.0.0.1", false},
	{{"10.0.0.0/8", "!10.1.0.0/16"}, "10.1.2.3", false},
	{{"!10.1.0.0/16", "10.0.0.0/8"}, "10.1.2.3", false},
	{{"10.0.0.0/8", "!10.1.0.0/16"}, "10.2.2.3", true},
	{{"10.0.0.0/8", "!10.1.0.0/16", "10.1.2.0/24"}, "10.1.2.3", true},
	{{"10.0.0.0/8", "!10.1.0.0/16", "10.1.2.0/24"}, "10.1.3.3", false},
	{{"0.0.0.0/0", "!192.0.2.1"}, "192.0.2.1", false},
	{{"0.0.0.0/0", "!192.0.2.1"}, "192.0.2.0", true},
	{{"0.0.0.0/0"}, "::1", false},
	{{"::/0"}, "10.0.0.1", false},
	{{"2001:db8::/32", "!2001:db8::/64"}, "2001:db8::1", false},
	{{"2001:db8::/32", "!2001:db8::/64"}, "2001:db8:0:1::1", true},
	{{"2001:db8::1"}, "2001:db8::1", true},
	{{"2001:db8::1"}, "2001:db8::2", false},
	{{"2001:db8::/65"}, "2001:db8::8000:0:0:0", false},
	{{"2001:db8::/65"}, "2001:db8::7fff:0:0:0", true},
	{{"10.0.0.1-10.0.0.9"}, "10.0.0.0", false},
	{{"10.0.0.1-10.0.0.9"}, "10.0.0.1", true},
	{{"10.0.0.1-10.0.0.9"}, "10.0.0.9", true},
	{{"10.0.0.1-10.0.0.9"}, "10.0.0.10", false},
	{{"10.0.0.0/24", "! 10.0.0.1 - 10.0.0.9 "}, "10.0.0.5", false},
	{{"0.0.0.0-255.255.255.255"}, "255.255.255.255", true},
	{{"::1-::ffff"}, "::8000", true},
	{{"::1-::ffff"}, "::1:0", false},
	{{"::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}, "1::", true},
	{{"  192.0.2.1\t"}, "192.0.2.1", true},
};

static void the_longest_prefix_decides(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(lookups); i++) {
		struct set *s = set_of(lookups[i].members, 6);

		if (has(s, lookups[i].address, 0) != lookups[i].in)
			fail_msg("case %zu: %s", i, lookups[i].address);
		set_unref(s);
	}
}

static const struct {
	const char *range;
	size_t prefixes;
} ranges[] = {
	{"10.0.0.1-10.0.0.9", 4}, /* .1 .2/31 .4/30 .8/31 */
	{"10.0.0.0-10.0.0.255", 1},
	{"10.0.0.7-10.0.0.7", 1},
	{"0.0.0.1-255.255.255.254", 62},
	{"0.0.0.0-255.255.255.255", 1},
	{"::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", 254},
};

static void a_range_becomes_the_fewest_prefixes(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(ranges); i++) {
		struct set *s = set_of(&ranges[i].range, 1);

		if (set_count(s) != ranges[i].prefixes)
			fail_msg("%s: %zu", ranges[i].range, set_count(s));
		set_unref(s);
	}
}

static const struct {
	const char *text, *says;
} wrong[] = {
	{"", "not an address"},
	{"!", "not an address"},
	{"!!10.0.0.1", "not an address"},
	{"10.0.0.1 10.0.0.2", "not an address"},
	{"10.0.0.1/8", "did you mean 10.0.0.0/8?"},
	{"10.0.0.9-10.0.0.1", "did you mean '10.0.0.1-10.0.0.9'?"},
	{"10.0.0.1-::1", "another"},
	{"10.0.0.1-", "not a range"},
	{"10.0.0.0/8-11.0.0.0/8", "not a range"},
	{"10.0.0.1\n10.0.0.2", "10.0.0.1?10.0.0.2"},
	{"example.org", "'example.org' is not an address or a prefix"},
};

static void a_member_that_is_wrong_is_named_and_not_added(void **state)
{
	struct set *s = set_new(NULL);

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct error err = {""};

		if (set_add_text(s, wrong[i].text, 0, &err) != -EINVAL ||
		    !strstr(err.text, wrong[i].says))
			fail_msg("'%s': %s", wrong[i].text, err.text);
		assert_int_equal(set_count(s), 0);
	}
	set_unref(s);
}

static void a_member_expires_and_the_shorter_prefix_decides(void **state)
{
	struct set *s = set_new("test");
	struct prefix wide = pfx("10.0.0.0/8"), narrow = pfx("10.0.0.0/24");

	(void)state;
	assert_int_equal(set_add(s, &narrow, false, 100), 0);
	assert_true(has(s, "10.0.0.1", 99));
	assert_false(has(s, "10.0.0.1", 100));
	assert_int_equal(set_add(s, &narrow, true, 200), 0);
	assert_int_equal(set_add(s, &wide, false, 0), 0);
	assert_int_equal(set_count(s), 2);
	assert_false(has(s, "10.0.0.1", 150));
	assert_true(has(s, "10.0.0.1", 200));
	assert_int_equal(set_add(s, &narrow, true, 0), 0);
	assert_false(has(s, "10.0.0.1", INT64_MAX));
	set_unref(s);
}

static void what_is_removed_is_gone(void **state)
{
	const char *members[] = {"10.0.0.0/8", "10.1.0.0/16"};
	struct set *s = set_of(members, 2);
	struct prefix p = pfx("10.1.0.0/16"), q = pfx("10.0.0.0/8");
	struct prefix other = pfx("::/16");

	(void)state;
	assert_int_equal(set_remove(s, &q), 0);
	assert_int_equal(set_remove(s, &q), -ENOENT);
	assert_int_equal(set_remove(s, &other), -ENOENT);
	assert_true(has(s, "10.1.0.1", 0));
	assert_false(has(s, "10.2.0.1", 0));
	assert_int_equal(set_remove(s, &p), 0);
	assert_false(has(s, "10.1.0.1", 0));
	assert_int_equal(set_count(s), 0);
	set_unref(s);
}

/* What arrives can be made to add members: those that have expired must make
 * room for others. */
static void expired_members_do_not_pile_up(void **state)
{
	struct set *s = set_new("test");
	uint32_t v = 0;

	(void)state;
	for (int64_t now = 1; now < 1000; now++) {
		for (int k = 0; k < 100; k++) {
			uint8_t b[4] = {10, (uint8_t)(v >> 16),
					(uint8_t)(v >> 8), (uint8_t)v};
			struct prefix p = {address_v4(b), 32};

			v++;
			assert_int_equal(set_add(s, &p, false, now + 2), 0);
			assert_true(set_has(s, &p.address, now));
		}
		assert_true(set_count(s) <= 2000);
	}
	set_unref(s);
}

static void an_odd_prefix_is_refused(void **state)
{
	struct set *s = set_new("test");
	struct prefix none = {0}, far = pfx("10.0.0.1");
	struct address nobody = {0};

	(void)state;
	far.length = 33;
	assert_int_equal(set_add(s, &none, false, 0), -EINVAL);
	assert_int_equal(set_add(s, &far, false, 0), -EINVAL);
	assert_int_equal(set_remove(s, &far), -ENOENT);
	assert_false(set_has(s, &nobody, 0));
	set_unref(s);
	set_unref(NULL);
}

static void a_reference_keeps_it(void **state)
{
	struct set *s = set_new("blocked");

	(void)state;
	assert_ptr_equal(set_ref(s), s);
	set_unref(s);
	assert_string_equal(set_name(s), "blocked");
	set_unref(s);
}

struct seen {
	char text[256];
};

static void see(const struct prefix *p, bool exclude, int64_t until, void *arg)
{
	struct seen *seen = arg;
	size_t n = strlen(seen->text);
	char buf[ADDRESS_TEXT_MAX];

	snprintf(seen->text + n, sizeof(seen->text) - n, "%s%s/%d@%d ",
		 exclude ? "!" : "",
		 address_text(&p->address, buf, sizeof(buf)), p->length,
		 (int)until);
}

static void every_living_member_is_visited(void **state)
{
	struct set *s = set_new("test");
	struct seen seen = {""};
	struct prefix p = pfx("192.0.2.0/25");

	(void)state;
	set_add_text(s, "10.0.0.0/8", 0, NULL);
	set_add_text(s, "!2001:db8:1::/48", 60, NULL);
	set_add_text(s, "10.9.9.9", 50, NULL);
	set_add_text(s, "192.0.2.0/25", 0, NULL);
	set_add_text(s, "::1", 0, NULL);
	set_remove(s, &p);
	set_each(s, 50, see, &seen);
	assert_string_equal(seen.text,
			    "10.0.0.0/8@0 !2001:db8:1::/48@60 ::1/128@0 ");
	set_unref(s);
}

static const struct {
	const char *text;
	size_t size; /* 0: strlen */
	int ret;
	size_t count;
	const char *says;
} files[] = {
	{"", 0, 0, 0, NULL},
	{"# nothing\n\n   \n\t# here\n", 0, 0, 0, NULL},
	{"10.0.0.0/8\n!10.1.0.0/16 # not these\r\n::1", 0, 0, 3, NULL},
	{"10.0.0.0/8\n10.0.0.0/8\n", 0, 0, 1, NULL},
	{"10.0.0.0/8\n\nfoo\n10.9.0.0/16\n", 0, -EINVAL, 1,
	 ":3: 'foo' is not an address"},
	{"10.0.0.1/8\n", 0, -EINVAL, 0, ":1: '10.0.0.1/8' has bits set"},
	{"10.0.0.1\n10.0.\0.2\n", 19, -EINVAL, 1, ":2: a zero byte"},
};

static void a_file_is_read_line_by_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(files); i++) {
		size_t n =
			files[i].size ? files[i].size : strlen(files[i].text);
		char path[] = "/tmp/sluice-set-XXXXXX";
		struct set *s = set_new("test");
		struct error err = {""};
		int fd = mkstemp(path), ret;

		assert_true(fd >= 0);
		assert_int_equal(write(fd, files[i].text, n), n);
		close(fd);
		ret = set_add_file(s, path, &err);
		unlink(path);
		if (ret != files[i].ret || set_count(s) != files[i].count)
			fail_msg("case %zu: %d, %zu, %s", i, ret, set_count(s),
				 err.text);
		if (files[i].says && (strncmp(err.text, path, strlen(path)) ||
				      !strstr(err.text, files[i].says)))
			fail_msg("case %zu: %s", i, err.text);
		set_unref(s);
	}
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
	struct set *s = set_new("test");
	struct error err = {""};

	(void)state;
	assert_int_equal(set_add_file(s, "/nonexistent/x", &err), -ENOENT);
	assert_string_equal(err.text, "cannot open set file /nonexistent/x: "
				      "No such file or directory");
	assert_int_equal(set_add_file(s, "/", &err), -EISDIR);
	assert_string_equal(err.text, "cannot read set file /: Is a directory");
	set_unref(s);
}

/* ---- against a list that is searched from end to end ------------------- */

static uint64_t random_state = 0x2545f4914f6cdd1d;

static uint32_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 16);
}

struct naive {
	struct prefix prefix;
	bool exclude, used;
	int64_t until;
};

/* Few bits differ, so that prefixes nest and meet. */
static struct address random_address(void)
{
	struct address a = {.size = next_random() % 2 ? 4 : 16};

	a.byte[0] = (uint8_t)(next_random() % 2 ? 10 : 11);
	a.byte[1] = (uint8_t)(next_random() % 4);
	a.byte[a.size - 2] = (uint8_t)(next_random() % 4);
	a.byte[a.size - 1] = (uint8_t)(next_random() % 8);
	a.byte[a.size / 2] |= (uint8_t)(next_random() % 2 << 7);
	return a;
}

static struct prefix random_prefix(void)
{
	struct prefix p = {.address = random_address()};
	unsigned bits = p.address.size * 8u;

	p.length = (uint8_t)(next_random() % (bits + 1));
	for (unsigned i = p.length; i < bits; i++)
		p.address.byte[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
	return p;
}

static bool naive_has(const struct naive *list, size_t n,
		      const struct address *a, int64_t now)
{
	int longest = -1;
	bool in = false;

	for (size_t i = 0; i < n; i++) {
		const struct naive *x = &list[i];

		if (!x->used || (x->until && x->until <= now) ||
		    !prefix_covers(&x->prefix, a) ||
		    x->prefix.length <= longest)
			continue;
		longest = x->prefix.length;
		in = !x->exclude;
	}
	return in;
}

static struct naive *naive_find(struct naive *list, size_t n,
				const struct prefix *p)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].used && list[i].prefix.length == p->length &&
		    !address_compare(&list[i].prefix.address, &p->address))
			return &list[i];
	return NULL;
}

static void a_set_answers_like_a_list(void **state)
{
	enum { MOST = 400, ROUNDS = 20000 };
	static struct naive list[MOST];
	struct set *s = set_new("test");
	int64_t now = 1;
	size_t n = 0;

	(void)state;
	for (int round = 0; round < ROUNDS; round++, now += round % 8 == 0) {
		struct prefix p = random_prefix();
		struct naive *old = naive_find(list, n, &p);
		struct address a = random_address();

		if (next_random() % 3 == 0) {
			int ret = set_remove(s, &p);

			/* A dead one may have been swept already. */
			if (!old || !old->until || old->until > now)
				assert_int_equal(ret, old ? 0 : -ENOENT);
			if (old)
				*old = list[--n];
		} else if (old || n < MOST) {
			if (!old)
				old = &list[n++];
			*old = (struct naive){
				p, next_random() % 3 == 0, true,
				next_random() % 2 ? now + next_random() % 300
						  : 0};
			assert_int_equal(
				set_add(s, &p, old->exclude, old->until), 0);
		}
		assert_int_equal(set_has(s, &a, now),
				 naive_has(list, n, &a, now));
	}
	set_unref(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_prefix_decides),
		cmocka_unit_test(a_range_becomes_the_fewest_prefixes),
		cmocka_unit_test(a_member_that_is_wrong_is_named_and_not_added),
		cmocka_unit_test(
			a_member_expires_and_the_shorter_prefix_decides),
		cmocka_unit_test(what_is_removed_is_gone),
		cmocka_unit_test(expired_members_do_not_pile_up),
		cmocka_unit_test(an_odd_prefix_is_refused),
		cmocka_unit_test(a_reference_keeps_it),
		cmocka_unit_test(every_living_member_is_visited),
		cmocka_unit_test(a_file_is_read_line_by_line),
		cmocka_unit_test(a_file_that_cannot_be_read_is_named),
		cmocka_unit_test(a_set_answers_like_a_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
