/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which match lies within which, and what is made of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rule/match.h"
#include "rule/review.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct set *sets[2];

/* "key=value key=value ..."; "@0" is a set. */
static struct match *make(const char *text)
{
	struct match *m = match_new();
	char copy[256], *rest = copy, *word;
	struct error err = {.text = ""};

	assert_non_null(m);
	snprintf(copy, sizeof(copy), "%s", text);
	while ((word = strsep(&rest, " "))) {
		char *value = strchr(word, '=');
		int key, ret;

		if (!value)
			continue;
		*value++ = '\0';
		key = match_key_parse(word, &err);
		assert_true(key >= 0);
		if (*value == '@')
			ret = match_add_set(m, (enum match_key)key,
					    sets[value[1] - '0'], &err);
		else
			ret = match_add(m, (enum match_key)key, value,
					strlen(value), &err);
		if (ret)
			fail_msg("%s: %s", text, err.text);
	}
	return m;
}

static void a_match_lies_within_another(void **state)
{
	static const struct {
		const char *a, *b;
		bool within, back; /* a in b, b in a */
	} cases[] = {
		{"", "", true, true},
		{"dport=80", "", true, false},
		{"dport=80", "dport=80", true, true},
		{"dport=80", "sport=80", false, false},
		{"dport=80", "dport=79-81", true, false},
		{"dport=80 dport=90", "dport=80-90", true, false},
		{"dport=80-90", "dport=80-84 dport=85-90", true, true},
		{"dport=80-90", "dport=80-84 dport=86-90", false, true},
		{"dport=80-90 dport=!85", "dport=80-84 dport=86-90", true,
		 true},
		{"dport=!80", "dport=0-79 dport=81-65535", true, true},
		{"dport=81", "dport=!80", true, false},
		{"dport=80", "dport=!80", false, false},
		{"dport=80 ttl=5", "dport=80", true, false},
		{"dport=80 ttl=5", "ttl=1-9 dport=1-99", true, false},
		{"proto=tcp", "proto=!udp", true, false},
		{"src=10.1.0.0/16", "src=10.0.0.0/8", true, false},
		{"src=10.1.0.0/16", "src=10.0.0.0/8 src=!10.1.2.3", false,
		 false},
		{"src=10.1.0.0/16 src=!10.1.2.3",
		 "src=10.0.0.0/8 src=!10.1.2.3", true, false},
		{"src=10.0.0.0/8", "src=2001:db8::/32", false, false},
		{"src=!10.0.0.0/8", "src=!10.1.0.0/16", true, false},
		{"src=2001:db8::1", "src=!10.0.0.0/8", true, false},
		{"user=1000", "user=1000-1999", true, false},
		{"user=1000", "group=1000", false, false},
		{"group=!0", "group=1-4294967294", true, true},
		{"cgroup=a/b", "cgroup=a", true, false},
		{"cgroup=ab", "cgroup=a", false, false},
		{"cgroup=!a", "cgroup=!a/b", true, false},
		{"cgroup=a/b", "cgroup=!a", false, false},
		/* What a set has is not known, but that it is the same. */
		{"dst=@0", "dst=@0", true, true},
		{"dst=@0", "dst=@1", false, false},
		{"dst=@0", "dst=@0 dst=@1", true, false},
		{"dst=@0 dst=!10.0.0.1", "dst=@0", true, false},
		{"dst=@0", "dst=@0 dst=!10.0.0.1", false, true},
		{"dst=10.0.0.1", "dst=@0 dst=10.0.0.0/8", true, false},
		{"dst=@0", "dst=0.0.0.0-255.255.255.255", false, false},
		{"dst=@0", "dst=!10.0.0.1", false, false},
		{"dst=!10.0.0.1", "dst=@0", false, false},
		{"tcp_flags=S", "tcp_flags=S/SA", true, false},
		{"tcp_flags=S/SA", "tcp_flags=A/A", false, false},
		{"tcp_flags=SA", "tcp_flags=!R/R", true, false},
		{"oif=eth0", "oif=eth*", true, false},
		{"oif=eth0", "oif=!wlan0", false, false},
		{"oif=eth0 oif=!wlan0", "oif=!wlan0", true, false},
		{"oif=!wlan*", "oif=!wlan0", true, false},
		{"oif=!wlan0", "oif=eth0", false, false},
		{"payload=GET/x", "payload=GET", true, false},
		{"payload=POST", "payload=GET", false, false},
		{"payload=!GET", "payload=!GET", true, true},
		{"fragment=true", "fragment=false", false, false},
		/* A condition that only some protocols can meet. */
		{"tcp_flags=S", "proto=tcp", true, false},
		{"icmp_type=8", "proto=icmp", true, false},
		{"dport=80", "proto=tcp", false, false},
		{"dport=80", "proto=!icmp", true, false},
		{"icmp_type=8", "proto=!icmp", false, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct match *a = make(cases[i].a), *b = make(cases[i].b);

		if (match_within(a, b) != cases[i].within ||
		    match_within(b, a) != cases[i].back)
			fail_msg("'%s' and '%s': %d and %d", cases[i].a,
				 cases[i].b, match_within(a, b),
				 match_within(b, a));
		match_free(a);
		match_free(b);
	}
}

/* Against the definition: no packet tells a counterexample. */
static void what_lies_within_holds_for_no_packet_more(void **state)
{
	static const char *const texts[] = {
		"",	      "ttl=0-9",	"ttl=5",	 "ttl=!5",
		"ttl=3-7 ttl=!5", "len=20-28",	"len=28 ttl=5",	 "proto=udp",
		"dport=5",    "dport=!5 ttl=!3", "dport=1-9",	 "sport=5",
		"proto=!tcp", "proto=udp dport=3-6",
	};
	static uint8_t buffer[PACKET_BUFFER];
	struct packet p = {.head = buffer, .size = sizeof(buffer)};
	struct match *m[COUNT(texts)];

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++)
		m[i] = make(texts[i]);
	for (unsigned n = 0; n < 10 * 10 * 3; n++) {
		static const uint8_t proto[] = {17, 6, 1};

		p = (struct packet){.head = buffer, .size = sizeof(buffer)};
		assert_int_equal(packet_new(&p, proto[n / 100]), 0);
		packet_set(&p, FIELD_IP_TTL, n % 10);
		packet_set(&p, FIELD_UDP_DPORT, n / 10 % 10);
		packet_set(&p, FIELD_TCP_DPORT, n / 10 % 10);
		packet_parse(&p);
		for (size_t a = 0; a < COUNT(m); a++)
			for (size_t b = 0; b < COUNT(m); b++)
				if (match_within(m[a], m[b]) &&
				    match_holds(m[a], &p, NULL) &&
				    !match_holds(m[b], &p, NULL))
					fail_msg("'%s' is not within '%s'",
						 texts[a], texts[b]);
	}
	for (size_t i = 0; i < COUNT(texts); i++)
		match_free(m[i]);
}

/* ---- review --------------------------------------------------------------- */

static char said[2048];

static void hear(void *arg, const struct rule *r, const char *text)
{
	size_t n = strlen(said);

	(void)arg;
	snprintf(said + n, sizeof(said) - n, "%u %s\n", r->index, text);
}

struct line {
	const char *match; /* NULL: none */
	enum verdict_kind kind;
	bool rewrite, action, where;
};

static void review(const struct line *line, size_t n, unsigned dirs,
		   bool sets_grow, const char *want)
{
	struct ruleset *rs = ruleset_new();

	rs->dirs |= dirs;
	for (size_t i = 0; i < n && (line[i].match || line[i].kind ||
				     line[i].action); i++) {
		struct rule *r = calloc(1, sizeof(*r));
		char name[24];

		snprintf(name, sizeof(name), "r%zu", i);
		r->name = strdup(name);
		r->origin = strdup("f:1");
		r->match = line[i].match ? make(line[i].match) : NULL;
		r->constant.kind = line[i].kind;
		r->action = line[i].action;
		r->where = line[i].where;
		if (line[i].rewrite)
			r->rewrite = calloc(1, sizeof(*r->rewrite));
		ruleset_add(rs, r);
	}
	said[0] = '\0';
	ruleset_review(rs, sets_grow, hear, NULL);
	assert_string_equal(said, want);
	ruleset_free(rs);
}

static void a_rule_behind_one_that_decides_all_of_it_is_never_reached(
	void **state)
{
#define A VERDICT_ACCEPT
#define D VERDICT_DROP
#define REACHED(by, what)                                                      \
	"rule r2 is never reached: rule " by " (f:1) decides " what "\n"
	static const struct {
		struct line line[3];
		const char *want;
	} cases[] = {
		{{{.match = "dport=1-9", .kind = D}, {.match = "ttl=5", .kind = A}, {.match = "dport=5", .kind = A}},
		 "2 " REACHED("r0", "all that it matches")},
		{{{.match = NULL, .kind = A}, {.match = NULL, .action = true}, {.match = "dport=5", .kind = A}},
		 "1 rule r1 is never reached: rule r0 (f:1) decides every "
		 "packet before it\n"
		 "2 " REACHED("r0", "every packet before it")},
		/* It may have been another packet before. */
		{{{.match = "dport=1-9", .kind = D}, {.match = "ttl=5", .action = true}, {.match = "dport=5", .kind = A}},
		 ""},
		{{{.match = "dport=1-9", .kind = D}, {.match = "ttl=5", .kind = A, .where = true},
		  {.match = "dport=5", .kind = A}}, ""},
		{{{.match = "dport=1-9", .kind = D}, {.match = "ttl=5", .rewrite = true},
		  {.match = "dport=5", .kind = A}}, ""},
		/* A rewrite with a verdict lets nothing pass that it changed. */
		{{{.match = "dport=1-9", .kind = D}, {.match = "ttl=5", .kind = A, .rewrite = true},
		  {.match = "dport=5", .kind = A}}, "2 " REACHED("r0", "all that it matches")},
		/* Not every packet, no verdict, or one that is not constant. */
		{{{.match = "dport=1-9", .kind = D, .where = true}, {.match = "ttl=5", .kind = A},
		  {.match = "dport=5", .kind = A}}, ""},
		{{{.match = "dport=1-9"}, {.match = "ttl=5", .kind = A}, {.match = "dport=5", .kind = A}}, ""},
		{{{.match = "dport=1-4", .kind = D}, {.match = "dport=6-9", .kind = A}, {.match = "dport=4-6", .kind = A}}, ""},
		{{{.match = "dport=1-4", .kind = D}, {.match = "dport=6-9", .kind = A}, {.match = NULL, .kind = A}}, ""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		review(cases[i].line, 3, 0, false, cases[i].want);
}

static void other_slips_of_a_rule_are_noticed(void **state)
{
	static const struct line never[] = {
		{.match = "proto=udp icmp_type=8", .kind = VERDICT_DROP}};
	static const struct line in[] = {{.match = "dir=in", .kind = VERDICT_DROP},
					 {.match = "iif=eth0", .kind = VERDICT_DROP},
					 {.match = "dir=!in", .kind = VERDICT_DROP}};
	static const struct line empty[] = {{.match = "dst=@0", .kind = VERDICT_DROP},
					    {.match = "dst=@1", .kind = VERDICT_DROP}};

	(void)state;
	review(never, 1, 0, false,
	       "0 rule r0 can never hold: the protocols that proto admits "
	       "have no icmp_type\n");
#define GO_IN                                                                  \
	" speaks of packets that go in, and those are not captured; capture "  \
	"{ dir = { \"out\", \"in\" } } at the top of the file asks for them\n"
	review(in, 3, 0, false, "0 rule r0" GO_IN "1 rule r1" GO_IN);
	review(in, 3, 1u << DIR_IN, false, "");
	review(empty, 2, 0, false,
	       "0 rule r0: set s0 of dst is empty, and nothing adds to it\n");
	review(empty, 2, 0, true, "");
}

static int make_sets(void **state)
{
	struct error err;

	(void)state;
	sets[0] = set_new("s0");
	sets[1] = set_new("s1");
	return !sets[0] || !sets[1] ||
	       set_add_text(sets[1], "10.0.0.0/8", 0, &err);
}

static int free_sets(void **state)
{
	(void)state;
	set_unref(sets[0]);
	set_unref(sets[1]);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_match_lies_within_another),
		cmocka_unit_test(what_lies_within_holds_for_no_packet_more),
		cmocka_unit_test(
			a_rule_behind_one_that_decides_all_of_it_is_never_reached),
		cmocka_unit_test(other_slips_of_a_rule_are_noticed),
	};

	return cmocka_run_group_tests(tests, make_sets, free_sets);
}
