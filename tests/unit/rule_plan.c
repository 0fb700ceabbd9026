/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rule/plan.h"
#include "rule_line.h"

#define COUNT(x) (sizeof(x) / sizeof(*(x)))

/* ---- a plan as text ------------------------------------------------------ */

static void print_term(const struct plan_term *t, FILE *f)
{
	fprintf(f, " %s", match_key_name(t->key));
	switch (t->kind) {
	case TERM_RANGES:
		for (uint32_t i = 0; i < t->ranges.count; i++) {
			unsigned low = (unsigned)t->ranges.range[i].low;
			unsigned high = (unsigned)t->ranges.range[i].high;

			fprintf(f, low == high ? "%c%u" : "%c%u-%u",
				i ? ',' : '=', low, high);
		}
		break;
	case TERM_SET:
		fprintf(f, "=@");
		break;
	case TERM_MASK:
		fprintf(f, "%s%x/%x", t->negate ? "!=" : "=", t->value,
			t->mask);
		break;
	case TERM_NAME:
	case TERM_BYTES:
	case TERM_CGROUP:
		fprintf(f, "%s%.*s", t->negate ? "!=" : "=", (int)t->text_len,
			t->text);
		break;
	}
}

static char *printed(const struct plan *p)
{
	static const char *const acts[] = {"hand over", "accept", "drop",
					   "via", "go on"};
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	for (uint32_t i = 0; i < p->steps; i++) {
		const struct plan_step *s = &p->step[i];

		fprintf(f, "%s", acts[s->act]);
		if (s->rewrite)
			fprintf(f, " rewritten");
		for (unsigned d = 0; s->dirs != 7 && d < 3; d++)
			if (s->dirs & 1u << d)
				fprintf(f, " %s",
					d ? d == 1 ? "in" : "forward" : "out");
		for (uint32_t k = 0; k < s->terms; k++)
			print_term(&s->term[k], f);
		fputs(i + 1 < p->steps ? " | " : "", f);
	}
	fclose(f);
	return text;
}

static const struct {
	const char *rules[4];
	const char *plan;
} plans[] = {
	{{"proto=tcp dport=23 : DROP"}, "drop proto=6 dport=23"},
	{{"dport=23 : ACCEPT"}, "accept proto=6,17,33,132,136 dport=23"},
	{{": DROP"}, "drop"},
	/* Words of many values. */
	{{"dport=!80 proto=udp : DROP"},
	 "drop proto=17 dport=0-79,81-65535"},
	{{"ttl=1-5,9,!3 : DROP"}, "drop ttl=1-2,4-5,9"},
	{{"src=10.0.0.0/8,!10.0.0.1 : DROP"},
	 "drop src=167772160,167772162-184549375"},
	{{"tcp_flags=S/SA : DROP"}, "drop proto=6 tcp_flags=2/12"},
	{{"tcp_flags=S,A : DROP"},
	 "drop proto=6 tcp_flags=2,16,66,80,130,144,194,208"},
	{{"tcp_flags=S,!S/SA : DROP"}, ""},
	{{"proto=udp icmp_type=8 oif=eth0,eth1 : DROP"}, ""},
	{{"fragment=true : DROP"}, "drop fragment=1"},
	{{"len=0-65535 : DROP"}, "drop"},
	{{"dport=0-65535 : DROP"},
	 "drop proto=6,17,33,132,136 dport=0-65535"},
	/* What has several alternatives is several steps. */
	{{"oif=eth0,wl*,!wlx : DROP"},
	 "drop out forward oif!=wlx oif=eth0 | "
	 "drop out forward oif!=wlx oif=wl*"},
	{{"dst=@ : DROP"}, "drop dst=@"},
	{{"dst=@,1.2.3.4 dir=out : DROP"},
	 "drop out dst=@ | drop out dst=16909060"},
	{{"payload=GET,PUT proto=tcp : DROP"},
	 "drop proto=6 payload=GET | drop proto=6 payload=PUT"},
	/* What has no words is left to us, with what it has words for. */
	{{"payload=GET : DROP"}, "hand over"},
	{{"payload=!GET dport=80 proto=tcp : DROP"},
	 "hand over proto=6 dport=80"},
	{{"dport=80 proto=tcp : REJECT"}, "hand over proto=6 dport=80"},
	{{"dport=80 proto=udp : dst=1.2.3.4"}, "hand over proto=17 dport=80"},
	{{"proto=udp dport=80 : dport=81 ACCEPT"},
	 "hand over proto=17 dport=80"},
	/* The order. */
	{{"dport=80 : function", "ttl=9 : DROP"},
	 "hand over proto=6,17,33,132,136 dport=80 | drop ttl=9"},
	{{": function", "ttl=9 : DROP"}, "hand over"},
	{{"dir=out : function", "ttl=9 : DROP"},
	 "hand over out | drop in forward ttl=9"},
	{{": ACCEPT", ": function"}, "accept"},
	{{"dir=in iif=x : DROP"}, "drop in iif=x"},
	{{"dir=out iif=x : DROP", "ttl=1 : DROP"}, "drop ttl=1"},
	/* A rewrite that ends all, and one that does not. */
	{{"proto=tcp : ttl=9 ACCEPT"}, "accept rewritten proto=6"},
	{{"proto=tcp : ttl=9"}, "go on rewritten proto=6"},
	{{"proto=tcp : ttl=9", "ttl=9 : DROP"},
	 "go on rewritten proto=6 | drop ttl=9"},
	{{"proto=tcp : ttl=9", "ttl=9 : function"},
	 "hand over proto=6 | hand over ttl=9"},
	{{"ttl=8 : ttl=9", "ttl=9 : function"},
	 "hand over ttl=8 | hand over ttl=9"},
	{{"proto=tcp ttl=8 : ttl=9", "proto=udp : function"},
	 "go on rewritten proto=6 ttl=8 | hand over proto=17"},
	/* What is only counted is counted once. */
	{{"ttl=8 :", "ttl=9 : function"},
	 "go on ttl=8 | hand over ttl=9"},
	{{"ttl=8 :", "proto=udp : function"},
	 "hand over ttl=8 | hand over proto=17"},
	{{"oif=a,b :"}, "hand over out forward oif=a | "
			"hand over out forward oif=b"},
	/* Whole connections. */
	{{"dport=80 proto=tcp tcp_flags=S : connection"},
	 "hand over proto=6 dport=80 | hand over proto=6 sport=80"},
	{{"dst=1.2.3.4 dir=out : connection"},
	 "hand over out dst=16909060 | hand over in src=16909060"},
	{{"tcp_flags=A : ACCEPT", "proto=tcp dport=80 : connection"},
	 "hand over proto=6 tcp_flags=10/3f | hand over proto=6 dport=80 | "
	 "hand over proto=6 sport=80"},
	{{"tcp_flags=A : DROP", "proto=tcp dport=80 : connection"},
	 "drop proto=6 tcp_flags=10/3f | hand over proto=6 dport=80 | "
	 "hand over proto=6 sport=80"},
	{{"proto=udp : ACCEPT", "proto=tcp dport=80 : connection"},
	 "accept proto=17 | hand over proto=6 dport=80 | "
	 "hand over proto=6 sport=80"},
	/* Who sends is known of what leaves. */
	{{"user=0,1000-1999 : DROP"}, "drop out user=0,1000-1999"},
	{{"group=!0 : DROP"}, "drop out group=1-4294967294"},
	{{"user=0-4294967294 : DROP"}, "drop out user=0-4294967294"},
	{{"cgroup=a/b,c proto=udp : DROP"},
	 "drop out proto=17 cgroup=a/b | drop out proto=17 cgroup=c"},
	{{"cgroup=!a,!b proto=udp : DROP"},
	 "drop out proto=17 cgroup!=a cgroup!=b"},
	{{"cgroup=a,!a/b : DROP"}, "drop out cgroup!=a/b cgroup=a"},
	{{"cgroup=!a :", "cgroup=a/b : function"},
	 "go on out cgroup!=a | hand over out cgroup=a/b"},
	{{"cgroup=!a/b :", "cgroup=a : function"},
	 "hand over out cgroup!=a/b | hand over out cgroup=a"},
	{{"user=7 : ttl=9", "user=8 : function"},
	 "go on rewritten out user=7 | hand over out user=8"},
	{{"cgroup=a/b :", "cgroup=a : function"},
	 "hand over out cgroup=a/b | hand over out cgroup=a"},
	{{"cgroup=ab :", "cgroup=a : function"},
	 "go on out cgroup=ab | hand over out cgroup=a"},
	{{"user=7 : DROP", "proto=tcp : mss=1200"},
	 "drop out user=7 | hand over proto=6"},
	/* Nothing meets it. */
	{{"dport=80 icmp_type=8 : DROP"}, ""},
	{{"dir=in user=0 : DROP"}, ""},
	{{"ttl=!0-255 : DROP"}, ""},
};

static void check(const char *const *rules, const struct plan_options *o,
		  const char *want)
{
	struct ruleset *rs = ruleset_new();
	struct plan *p;
	char *text;

	for (int k = 0; k < 4 && rules[k]; k++)
		rule_line(rs, rules[k]);
	assert_int_equal(plan_make(&p, rs, o), 0);
	text = printed(p);
	if (strcmp(text, want))
		fail_msg("%s: '%s', not '%s'", rules[0], text, want);
	free(text);
	plan_free(p);
	ruleset_free(rs);
}

static void rules_become_steps(void **state)
{
	const struct plan_options o = {.sets = true};

	(void)state;
	for (size_t i = 0; i < COUNT(plans); i++)
		check(plans[i].rules, &o, plans[i].plan);
}

/* All of a connection goes one way, so nobody of us may get a part of it. */
static void an_interface_is_chosen_in_the_kernel_or_by_us(void **state)
{
	static const char *const lines[][4] = {
		{"dst=10.0.0.0/8 : VIA", NULL, "via dst=167772160-184549375"},
		{"proto=tcp : VIA", "proto=udp : function",
		 "via proto=6 | hand over proto=17"},
		{"dst=1.1.1.1 : ACCEPT", "proto=tcp : VIA",
		 "accept dst=16843009 | via proto=6"},
		{"proto=udp : function", "proto=tcp : VIA",
		 "hand over proto=17 | via proto=6"},
		{"tcp_flags=S/SA : function", "proto=tcp : VIA",
		 "hand over proto=6 tcp_flags=2/12 | hand over proto=6"},
		{"proto=tcp : ttl=9 VIA", NULL, "hand over proto=6"},
	};
	const struct plan_options o = {.sets = true, .via = true};

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		const char *const rules[4] = {lines[i][0], lines[i][1]};

		check(rules, &o, lines[i][2]);
	}
}

static void what_differs_once_it_is_cut_is_left_out(void **state)
{
	static const char *const lines[][2] = {
		{"len=1-99 : DROP", "hand over"},
		{"proto=tcp len=1-99 : DROP", "hand over proto=6"},
		{"proto=icmp len=1-99 : DROP", "drop proto=1 len=1-99"},
		{"proto=udp payload=x : DROP", "hand over proto=17"},
		{"tcp_flags=F/F : DROP", "hand over proto=6"},
		{"tcp_flags=!S/SA : DROP", "hand over proto=6"},
		{"tcp_flags=S/SA : DROP", "drop proto=6 tcp_flags=2/12"},
		{"proto=tcp : id=0 ACCEPT", "hand over proto=6"},
		{"proto=tcp : ttl=9 ACCEPT", "accept rewritten proto=6"},
	};
	const struct plan_options o = {.cut = true};

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		const char *const rules[4] = {lines[i][0]};

		check(rules, &o, lines[i][1]);
	}
}

static void a_set_that_the_kernel_has_not_is_left_out(void **state)
{
	const char *const rules[4] = {"dst=@ dport=80 proto=tcp : DROP"};
	const struct plan_options o = {.sets = false};

	(void)state;
	check(rules, &o, "hand over proto=6 dport=80");
}

/* ---- who sends ----------------------------------------------------------- */

static const struct {
	const char *rules[3];
	const char *says; /* NULL: all is answered */
	char assumed[4];  /* of each rule: yes, no, or - if it does not ask */
} answers[] = {
	{{"user=1 : DROP"}, NULL, "n"},
	{{"user=1 : function"}, NULL, "y"},
	{{"user=1 : REJECT"}, NULL, "y"},
	{{"user=1 : dst=1.2.3.4 ACCEPT"}, NULL, "y"},
	{{"user=1 : DROP", ": function"}, NULL, "n-"},
	{{"user=1 dport=80 : function", "dport=81 : function"}, NULL, "y-"},
	{{"user=1 proto=udp : function", "user=2 proto=tcp : function"},
	 NULL,
	 "yy"},
	{{"user=1 dport=80 : function", "user=2 dport=81 : function"},
	 "before it may change packets of others", ""},
	{{"proto=tcp dport=81 : REJECT", "user=1 : function"}, NULL, "-y"},
	{{"dport=81 : function", "user=1 dport=80 : DROP"}, NULL, "-n"},
	{{"user=1 : function", "user=2 : DROP"}, NULL, "yn"},
	{{"user=1 : function", "dir=in : function"}, NULL, "y-"},
	{{"user=1 proto=udp : function", "proto=tcp : connection"},
	 NULL,
	 "y-"},
	{{"user=1 dport=80 icmp_type=8 : function", ": function"}, NULL, "n-"},
	{{"user=1 dport=80 : function", "dport=80 : function"},
	 "may have packets of others brought here", ""},
	{{"dport=80 : function", "user=1 dport=80 : function"},
	 "may have packets of others brought here", ""},
	{{"user=1 dport=80 : function", "user=2 dport=80 : function"},
	 "may have packets of others brought here", ""},
	{{"user=1 : function", "user=1 dport=80 : function"},
	 "may have packets of others brought here", ""},
	{{"dport=81 : function", "user=1 dport=80 : function"},
	 "before it may change packets of others", ""},
	{{"dport=80 : function", "user=1 : DROP"},
	 "before it may have the same packets brought here", ""},
	{{"payload=x dport=80 : REJECT", "user=1 : DROP"},
	 "before it may have the same packets brought here", ""},
	{{"user=1 : connection"}, "looks at connections", ""},
	{{"proto=tcp : mss=1200", "user=1 : DROP"},
	 "before it may have the same packets brought here", ""},
	{{"user=1 : VIA"}, NULL, "y"},
	{{"user=1 : VIA", "user=2 : DROP"}, NULL, "yn"},
	{{"user=1 : VIA", "proto=tcp : function"},
	 "may have packets of others brought here", ""},
	{{"cgroup=!a : DROP"}, NULL, "n"},
	{{"cgroup=!a : function"}, NULL, "y"},
};

/* Whether a condition on the sender holds; it is the first that is tried. */
static char assumed(const struct match *m)
{
	enum match_key key = match_asks_kernel(m), failed = MATCH_KEYS;
	struct packet p = {.dir = DIR_OUT, .flags = PACKET_ODD};

	if (key == MATCH_KEYS)
		return '-';
	match_explain(m, &p, NULL, &failed);
	return failed == key ? 'n' : 'y';
}

static void who_sends_follows_from_what_is_handed_over(void **state)
{
	const struct plan_options o = {.sets = true};

	(void)state;
	for (size_t i = 0; i < COUNT(answers); i++) {
		struct ruleset *rs = ruleset_new();
		struct error err = {""};
		struct plan *p;
		char got[4] = "";
		int r;

		for (int k = 0; k < 3 && answers[i].rules[k]; k++)
			rule_line(rs, answers[i].rules[k]);
		assert_int_equal(plan_make(&p, rs, &o), 0);
		r = plan_answer(p, rs, &err);
		if (r != (answers[i].says ? -EINVAL : 0) ||
		    (answers[i].says && !strstr(err.text, answers[i].says)))
			fail_msg("%s: %d '%s'", answers[i].rules[0], r,
				 err.text);
		for (const struct rule *u = rs->first; u && !r; u = u->next)
			got[u->index] = assumed(u->match);
		if (!r && strcmp(got, answers[i].assumed))
			fail_msg("%s: '%s', not '%s'", answers[i].rules[0],
				 got, answers[i].assumed);
		plan_free(p);
		ruleset_free(rs);
	}
}

static const struct {
	const char *rules[3];
	enum plan_place place; /* of the first */
	const char *why;
} reasons[] = {
	{{"dport=23 : DROP"},
	 PLAN_KERNEL,
	 "constant verdict DROP, decided by its match in the kernel"},
	{{"ttl=1 : ttl=9 ACCEPT"},
	 PLAN_KERNEL,
	 "constant verdict ACCEPT after a constant rewrite, decided by its "
	 "match in the kernel"},
	{{"ttl=1 :"}, PLAN_KERNEL,
	 "only counts packets, decided by its match in the kernel"},
	{{"dport=23 : REJECT"},
	 PLAN_MATCH,
	 "constant verdict REJECT, decided by its match in C: the kernel "
	 "leaves REJECT to us"},
	{{"payload=x : DROP"},
	 PLAN_MATCH,
	 "constant verdict DROP, decided by its match in C: nftables cannot "
	 "tell payload"},
	{{"ttl=1 : dst=1.2.3.4"},
	 PLAN_MATCH,
	 "constant rewrite, decided by its match in C: nftables cannot "
	 "rewrite that"},
	{{"ttl=1 : ttl=2", ": function"},
	 PLAN_MATCH,
	 "constant rewrite, decided by its match in C: a later rule may want "
	 "the packet too"},
	{{"ttl=1 : ACCEPT", ": connection"},
	 PLAN_MATCH,
	 "constant verdict ACCEPT, decided by its match in C: a later rule "
	 "looks at whole connections"},
	{{"payload=x : function"},
	 PLAN_LUA,
	 "function: Lua runs for packets that match payload=\"x\"; more "
	 "come, nftables cannot tell payload"},
	{{"ttl=1 : connection"},
	 PLAN_LUA,
	 "function: Lua runs for packets that match ttl=1; whole connections "
	 "come, since it looks at them"},
	{{": function"}, PLAN_LUA, "function: Lua runs for every packet"},
};

static void every_place_has_its_reason(void **state)
{
	const struct plan_options o = {.sets = true};

	(void)state;
	for (size_t i = 0; i < COUNT(reasons); i++) {
		struct ruleset *rs = ruleset_new();
		enum plan_place place;
		char why[300];
		struct plan *p;

		for (int k = 0; k < 3 && reasons[i].rules[k]; k++)
			rule_line(rs, reasons[i].rules[k]);
		assert_int_equal(plan_make(&p, rs, &o), 0);
		place = plan_place(p, rs, rs->first, why, sizeof(why));
		if (place != reasons[i].place || strcmp(why, reasons[i].why))
			fail_msg("%s: %d '%s', not '%s'", reasons[i].rules[0],
				 place, why, reasons[i].why);
		plan_free(p);
		ruleset_free(rs);
	}
}

/* The kernel tries its rules one by one: it gets no thousand of them. */
static void too_many_rules_are_handed_over(void **state)
{
	const struct plan_options o = {.sets = true};
	struct ruleset *rs = ruleset_new();
	char line[64], why[200];
	struct plan *p;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		snprintf(line, sizeof(line), "dst=10.0.%d.%d : DROP", i / 256,
			 i % 256);
		rule_line(rs, line);
	}
	assert_int_equal(plan_make(&p, rs, &o), 0);
	assert_true(p->steps < 300);
	for (uint32_t i = 0; i + 1 < p->steps; i++)
		assert_int_equal(p->step[i].act, STEP_DROP);
	assert_int_equal(p->step[p->steps - 1].act, STEP_HAND_OVER);
	assert_int_equal(p->step[p->steps - 1].terms, 0);
	assert_int_equal(plan_place(p, rs, rs->first, why, sizeof(why)),
			 PLAN_KERNEL);
	plan_free(p);
	ruleset_free(rs);
}

static void sets_are_named_once(void **state)
{
	const struct plan_options o = {.sets = true};
	struct ruleset *rs = ruleset_new();
	struct plan *p;

	(void)state;
	rule_line(rs, "dst=@ : DROP");
	rule_line(rs, "src=@ : DROP");
	assert_int_equal(plan_make(&p, rs, &o), 0);
	assert_int_equal(p->sets, 1);
	assert_ptr_equal(p->set[0], rule_line_set);
	assert_false(plan_hands_over_all(p, DIR_OUT));
	plan_free(p);
	ruleset_free(rs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_become_steps),
		cmocka_unit_test(an_interface_is_chosen_in_the_kernel_or_by_us),
		cmocka_unit_test(what_differs_once_it_is_cut_is_left_out),
		cmocka_unit_test(a_set_that_the_kernel_has_not_is_left_out),
		cmocka_unit_test(who_sends_follows_from_what_is_handed_over),
		cmocka_unit_test(every_place_has_its_reason),
		cmocka_unit_test(too_many_rules_are_handed_over),
		cmocka_unit_test(sets_are_named_once),
	};
	int failed;

	rule_line_set = set_new("list");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	set_unref(rule_line_set);
	return failed;
}
