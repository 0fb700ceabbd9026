/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/address.h"
#include "base/log.h"

static const struct {
	const char *text;
	int size; /* 0: refused */
	const char *canonical;
} addresses[] = {
	{"192.0.2.1", 4, "192.0.2.1"},
	{"0.0.0.0", 4, "0.0.0.0"},
	{"255.255.255.255", 4, "255.255.255.255"},
	{"2001:db8::1", 16, "2001:db8::1"},
	{"2001:DB8:0:0::1", 16, "2001:db8::1"},
	{"::", 16, "::"},
	{"::ffff:192.0.2.1", 16, "::ffff:192.0.2.1"},
	{"", 0, NULL},
	{"192.0.2", 0, NULL},
	{"192.0.2.256", 0, NULL},
	{"192.0.2.1.1", 0, NULL},
	{"192.0.2.01", 0, NULL},
	{" 192.0.2.1", 0, NULL},
	{"192.0.2.1 ", 0, NULL},
	{"192.0.2.1/32", 0, NULL},
	{"0x7f.0.0.1", 0, NULL},
	{"2001:db8:::1", 0, NULL},
	{"fe80::1%eth0", 0, NULL},
	{"localhost", 0, NULL},
};

static void an_address_is_read_whole_or_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(addresses) / sizeof(*addresses); i++) {
		char buf[ADDRESS_TEXT_MAX];
		struct address a;
		int ret = address_parse(&a, addresses[i].text);

		if (!addresses[i].size) {
			if (ret != -EINVAL)
				fail_msg("'%s' was read", addresses[i].text);
			continue;
		}
		if (ret || a.size != addresses[i].size)
			fail_msg("'%s': %d", addresses[i].text, ret);
		assert_string_equal(address_text(&a, buf, sizeof(buf)),
				    addresses[i].canonical);
		for (int k = a.size; k < 16; k++)
			assert_int_equal(a.byte[k], 0);
	}
}

static const struct {
	const char *text, *network; /* NULL: refused */
	int length;
	const char *says; /* in the error */
} prefixes[] = {
	{"10.0.0.0/8", "10.0.0.0", 8, NULL},
	{"0.0.0.0/0", "0.0.0.0", 0, NULL},
	{"192.0.2.1", "192.0.2.1", 32, NULL},
	{"192.0.2.1/32", "192.0.2.1", 32, NULL},
	{"192.0.2.128/25", "192.0.2.128", 25, NULL},
	{"2001:db8::/33", "2001:db8::", 33, NULL},
	{"2001:db8::1", "2001:db8::1", 128, NULL},
	{"::/0", "::", 0, NULL},
	{"10.1.0.0/8", NULL, 0, "did you mean 10.0.0.0/8?"},
	{"192.0.2.129/25", NULL, 0, "did you mean 192.0.2.128/25?"},
	{"2001:db8::1/64", NULL, 0, "did you mean 2001:db8::/64?"},
	{"10.0.0.0/33", NULL, 0, "must be 0 to 32"},
	{"2001:db8::/129", NULL, 0, "must be 0 to 128"},
	{"10.0.0.0/", NULL, 0, "must be 0 to 32"},
	{"10.0.0.0/-1", NULL, 0, "must be 0 to 32"},
	{"10.0.0.0/ 8", NULL, 0, "must be 0 to 32"},
	{"10.0.0.0/8x", NULL, 0, "must be 0 to 32"},
	{"10.0.0.0/255.0.0.0", NULL, 0, "must be 0 to 32"},
	{"10.0.0.0/99999999999999999999", NULL, 0, "must be 0 to 32"},
	{"10.0.0/8", NULL, 0, "not an address or a prefix"},
	{"/8", NULL, 0, "not an address or a prefix"},
	{"", NULL, 0, "not an address or a prefix"},
	{"1111111111111111111111111111111111111111111111111111111111111111",
	 NULL, 0, "not an address or a prefix"},
};

static void a_prefix_is_read_or_the_error_says_what_is_wrong(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
		const char *text = prefixes[i].text;
		char buf[ADDRESS_TEXT_MAX];
		struct error err = {""};
		struct prefix p;
		int ret = prefix_parse(&p, text, &err);

		if (!prefixes[i].network) {
			if (ret != -EINVAL ||
			    !strstr(err.text, prefixes[i].says))
				fail_msg("'%s': %d, %s", text, ret, err.text);
			continue;
		}
		if (ret)
			fail_msg("'%s': %s", text, err.text);
		address_text(&p.address, buf, sizeof(buf));
		assert_string_equal(buf, prefixes[i].network);
		assert_int_equal(p.length, prefixes[i].length);
	}
}

static void an_error_need_not_be_wanted(void **state)
{
	struct prefix p;

	(void)state;
	assert_int_equal(prefix_parse(&p, "10.0.0.1/8", NULL), -EINVAL);
}

static const struct {
	const char *prefix, *address;
	bool covered;
} covers[] = {
	{"10.0.0.0/8", "10.0.0.0", true},
	{"10.0.0.0/8", "10.255.255.255", true},
	{"10.0.0.0/8", "11.0.0.0", false},
	{"10.0.0.0/8", "9.255.255.255", false},
	{"192.0.2.128/25", "192.0.2.127", false},
	{"192.0.2.128/25", "192.0.2.128", true},
	{"192.0.2.1", "192.0.2.1", true},
	{"192.0.2.1", "192.0.2.0", false},
	{"0.0.0.0/0", "255.255.255.255", true},
	{"0.0.0.0/0", "::", false},
	{"::/0", "0.0.0.0", false},
	{"::/0", "2001:db8::1", true},
	{"2001:db8::/33", "2001:db8:7fff::", true},
	{"2001:db8::/33", "2001:db8:8000::", false},
};

static void a_prefix_covers_its_own_family_and_range(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(covers) / sizeof(*covers); i++) {
		struct prefix p;
		struct address a;

		assert_int_equal(prefix_parse(&p, covers[i].prefix, NULL), 0);
		assert_int_equal(address_parse(&a, covers[i].address), 0);
		if (prefix_covers(&p, &a) != covers[i].covered)
			fail_msg("%s, %s", covers[i].prefix, covers[i].address);
	}
}

static void addresses_are_ordered_by_family_then_value(void **state)
{
	static const char *const order[] = {
		"0.0.0.0", "9.255.0.0", "10.0.0.0",  "255.0.0.1",
		"::",	   "::1",	"2001:db8::"};
	int n = sizeof(order) / sizeof(*order);

	(void)state;
	for (int i = 0; i < n; i++) {
		for (int k = 0; k < n; k++) {
			struct address a, b;
			int c;

			address_parse(&a, order[i]);
			address_parse(&b, order[k]);
			c = address_compare(&a, &b);
			assert_int_equal((c > 0) - (c < 0), (i > k) - (i < k));
		}
	}
}

static void text_is_always_ended(void **state)
{
	static const uint8_t b[4] = {192, 0, 2, 200};
	struct address a = address_v4(b), none = {0};
	char buf[ADDRESS_TEXT_MAX];

	(void)state;
	assert_string_equal(address_text(&a, buf, sizeof(buf)), "192.0.2.200");
	assert_string_equal(address_text(&none, buf, sizeof(buf)), "-");
	for (size_t size = 1; size < 12; size++) {
		memset(buf, 'x', sizeof(buf));
		address_text(&a, buf, size);
		assert_true(strlen(buf) < size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_is_read_whole_or_refused),
		cmocka_unit_test(
			a_prefix_is_read_or_the_error_says_what_is_wrong),
		cmocka_unit_test(an_error_need_not_be_wanted),
		cmocka_unit_test(a_prefix_covers_its_own_family_and_range),
		cmocka_unit_test(addresses_are_ordered_by_family_then_value),
		cmocka_unit_test(text_is_always_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
