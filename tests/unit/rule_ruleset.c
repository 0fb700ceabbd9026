/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rule/plan.h"
#include "rule/ruleset.h"

#define COUNT(x) (sizeof(x) / sizeof(*(x)))

/* 192.0.2.2:30732 > 34.194.149.67:80 [S], TTL 64, 40 bytes */
static const uint8_t syn[] = {0x45, 0x00, 0x00, 0x28, 0x00, 0x01, 0x40, 0x00,
			      0x40, 0x06, 0xc0, 0xc7, 0xc0, 0x00, 0x02, 0x02,
			      0x22, 0xc2, 0x95, 0x43, 0x78, 0x0c, 0x00, 0x50,
			      0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00,
			      0x50, 0x02, 0xff, 0xff, 0xbb, 0x7d, 0x00, 0x00};

static uint8_t buffer[2048];

static struct packet load(void)
{
	struct packet p;

	memcpy(buffer + 64, syn, sizeof(syn));
	packet_init(&p, buffer, sizeof(buffer), buffer + 64, sizeof(syn), NULL);
	return p;
}

/*
 * Functions stand for themselves: a handle is what it answers. The walk is
 * written down as it happens.
 */
enum { YES = 1, NO, FAILS, NOTHING, SAYS_DROP, SAYS_ACCEPT, LOWERS_TTL };

struct walk {
	char text[200];
	int ttl; /* as the last function saw it */
};

static void note(struct walk *w, const char *what, const struct rule *r,
		 struct packet *p)
{
	size_t n = strlen(w->text);
	uint32_t ttl = 0;

	packet_get(p, FIELD_IP_TTL, &ttl);
	w->ttl = (int)ttl;
	snprintf(w->text + n, sizeof(w->text) - n, "%s%u ", what, r->index);
}

static int run_where(void *arg, const struct rule *r, struct packet *p)
{
	note(arg, "where", r, p);
	return r->where == YES ? 1 : r->where == NO ? 0 : -5;
}

static void run_action(void *arg, const struct rule *r, struct packet *p,
		       struct verdict *v)
{
	/* A verdict of the rule before must not be left over. */
	assert_int_equal(v->kind, VERDICT_NONE);
	assert_int_equal(v->reject_code, REJECT_DEFAULT);
	assert_null(v->packets);
	note(arg, "action", r, p);
	switch (r->action) {
	case SAYS_DROP:
		v->kind = VERDICT_DROP;
		break;
	case SAYS_ACCEPT:
		v->kind = VERDICT_ACCEPT;
		break;
	case FAILS:
		v->kind = VERDICT_ERROR;
		break;
	case LOWERS_TTL:
		packet_set(p, FIELD_IP_TTL, 9);
		break;
	default:
		break;
	}
}

/* A rule as a line: what stands first in it, NULL or 0 for what is not. */
struct line {
	const char *dport; /* its match */
	int where;
	const char *ttl; /* its rewrite */
	int action;
	enum verdict_kind constant;
};

static void add_line(struct ruleset *rs, const struct line *l)
{
	struct rule *r = calloc(1, sizeof(*r));
	char name[32];

	snprintf(name, sizeof(name), "r%u", rs->count);
	r->name = strdup(name);
	r->origin = strdup("test.lua:1");
	if (l->dport) {
		r->match = match_new();
		assert_int_equal(match_add(r->match, MATCH_DPORT, l->dport,
					   strlen(l->dport), NULL),
				 0);
	}
	r->where = l->where;
	if (l->ttl) {
		r->rewrite = calloc(1, sizeof(*r->rewrite));
		r->rewrite->key = REWRITE_TTL;
		assert_int_equal(rewrite_parse(r->rewrite, l->ttl, NULL), 0);
	}
	r->action = l->action;
	r->constant = (struct verdict){.kind = l->constant,
				       .reject_code = REJECT_DEFAULT};
	ruleset_add(rs, r);
}

#define LINES 4
static const struct {
	struct line lines[LINES];
	enum verdict_kind policy;
	const char *walk;
	enum verdict_kind verdict;
	int rule; /* that decided; -1: the policy */
	uint32_t ttl;
	unsigned counts[LINES + 1]; /* packets a rule, then the policy */
	unsigned errors;
} runs[] = {
	/* no rule: the policy */
	{{{0}}, VERDICT_ACCEPT, "", VERDICT_ACCEPT, -1, 64, {1}, 0},
	/* constants, in order; what does not match is passed over */
	{{{.dport = "81", .constant = VERDICT_DROP},
	  {.dport = "80", .constant = VERDICT_REJECT},
	  {.constant = VERDICT_ACCEPT}},
	 VERDICT_DROP,
	 "",
	 VERDICT_REJECT,
	 1,
	 64,
	 {0, 1},
	 0},
	{{{.dport = "81", .constant = VERDICT_DROP},
	  {.dport = "82", .constant = VERDICT_DROP}},
	 VERDICT_DROP,
	 "",
	 VERDICT_DROP,
	 -1,
	 64,
	 {0, 0, 1},
	 0},
	/* a rewrite goes on */
	{{{.ttl = "7"}, {.ttl = "5"}, {.dport = "80", .action = NOTHING}},
	 VERDICT_ACCEPT,
	 "action2 ",
	 VERDICT_ACCEPT,
	 -1,
	 5,
	 {1, 1, 1, 1},
	 0},
	/* where, rewrite, action: in this order */
	{{{.where = YES, .ttl = "7", .action = SAYS_DROP}},
	 VERDICT_ACCEPT,
	 "where0 action0 ",
	 VERDICT_DROP,
	 0,
	 7,
	 {1},
	 0},
	{{{.where = NO, .ttl = "7", .action = SAYS_DROP},
	  {.constant = VERDICT_ACCEPT}},
	 VERDICT_DROP,
	 "where0 ",
	 VERDICT_ACCEPT,
	 1,
	 64,
	 {0, 1},
	 0},
	/* where is not asked if the match does not hold */
	{{{.dport = "81", .where = YES, .action = SAYS_DROP}},
	 VERDICT_ACCEPT,
	 "",
	 VERDICT_ACCEPT,
	 -1,
	 64,
	 {0, 1},
	 0},
	/* nothing said: on to the next, with what was changed */
	{{{.action = LOWERS_TTL},
	  {.action = SAYS_ACCEPT},
	  {.action = SAYS_DROP}},
	 VERDICT_DROP,
	 "action0 action1 ",
	 VERDICT_ACCEPT,
	 1,
	 9,
	 {1, 1},
	 0},
	/* an error ends the walk and is left to the caller */
	{{{.where = FAILS, .action = SAYS_DROP}, {.constant = VERDICT_DROP}},
	 VERDICT_ACCEPT,
	 "where0 ",
	 VERDICT_ERROR,
	 0,
	 64,
	 {1},
	 1},
	{{{.action = NOTHING}, {.action = FAILS}, {.constant = VERDICT_DROP}},
	 VERDICT_ACCEPT,
	 "action0 action1 ",
	 VERDICT_ERROR,
	 1,
	 64,
	 {1, 1},
	 1},
	/* a constant after a where and a rewrite */
	{{{.where = YES, .ttl = "3", .constant = VERDICT_DROP}},
	 VERDICT_ACCEPT,
	 "where0 ",
	 VERDICT_DROP,
	 0,
	 3,
	 {1},
	 0},
};

static const struct rule *rule_at(const struct ruleset *rs, int index)
{
	for (const struct rule *r = rs->first; r; r = r->next)
		if ((int)r->index == index)
			return r;
	return NULL;
}

static bool is_line(const struct line *l)
{
	return l->dport || l->where || l->ttl || l->action || l->constant;
}

static void a_packet_walks_the_rules_in_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(runs); i++) {
		struct rule_counter counters[LINES + 1] = {0};
		struct walk walk = {.ttl = -1};
		struct ruleset_calls calls = {run_where, run_action, &walk};
		struct ruleset *rs = ruleset_new();
		struct verdict v = {.kind = VERDICT_VIA, .reject_code = 3};
		struct packet p = load();
		unsigned errors = 0;
		uint32_t ttl;

		for (int k = 0; k < LINES && is_line(&runs[i].lines[k]); k++)
			add_line(rs, &runs[i].lines[k]);
		rs->policy = runs[i].policy;
		ruleset_run(rs, &p, NULL, &calls, counters, &v);
		packet_get(&p, FIELD_IP_TTL, &ttl);
		if (v.kind != runs[i].verdict || ttl != runs[i].ttl ||
		    v.rule != rule_at(rs, runs[i].rule) ||
		    strcmp(walk.text, runs[i].walk))
			fail_msg("case %zu: %s, %s, ttl %u", i,
				 verdict_name(v.kind), walk.text, ttl);
		for (unsigned k = 0; k <= rs->count; k++) {
			if (counters[k].packets != runs[i].counts[k] ||
			    counters[k].bytes != 40 * counters[k].packets)
				fail_msg("case %zu: counter %u is %d", i, k,
					 (int)counters[k].packets);
			errors += (unsigned)counters[k].errors;
		}
		assert_int_equal(errors, runs[i].errors);
		assert_int_equal(v.reject_code, REJECT_DEFAULT);
		/* Without counters all is the same. */
		p = load();
		ruleset_run(rs, &p, NULL, &calls, NULL, &v);
		assert_int_equal(v.kind, runs[i].verdict);
		ruleset_free(rs);
	}
}

static void a_rewrite_is_seen_by_the_action(void **state)
{
	const struct line l = {.where = YES, .ttl = "7", .action = NOTHING};
	struct walk walk = {.ttl = -1};
	struct ruleset_calls calls = {run_where, run_action, &walk};
	struct ruleset *rs = ruleset_new();
	struct packet p = load();
	struct verdict v;

	(void)state;
	add_line(rs, &l);
	ruleset_run(rs, &p, NULL, &calls, NULL, &v);
	assert_int_equal(walk.ttl, 7);
	assert_true(packet_ip_checksum_ok(&p));
	ruleset_free(rs);
}

static void a_function_that_nobody_runs_is_an_error(void **state)
{
	const struct line lines[] = {{.where = YES}, {.action = SAYS_DROP}};
	const struct ruleset_calls none = {0};

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		struct ruleset *rs = ruleset_new();
		struct packet p = load();
		struct verdict v;

		add_line(rs, &lines[i]);
		ruleset_run(rs, &p, NULL, NULL, NULL, &v);
		assert_int_equal(v.kind, VERDICT_ERROR);
		ruleset_run(rs, &p, NULL, &none, NULL, &v);
		assert_int_equal(v.kind, VERDICT_ERROR);
		assert_ptr_equal(v.rule, rs->first);
		ruleset_free(rs);
	}
}

static void a_ruleset_begins_open(void **state)
{
	struct ruleset *rs = ruleset_new();

	(void)state;
	assert_int_equal(rs->policy, VERDICT_ACCEPT);
	assert_int_equal(rs->on_error, VERDICT_ACCEPT);
	assert_int_equal(rs->dirs, 1 << DIR_OUT);
	assert_int_equal(rs->count, 0);
	ruleset_free(rs);
	ruleset_free(NULL);
	rule_free(NULL);
}

static void a_verdict_has_its_name(void **state)
{
	(void)state;
	assert_string_equal(verdict_name(VERDICT_NONE), "NONE");
	assert_string_equal(verdict_name(VERDICT_ACCEPT), "ACCEPT");
	assert_string_equal(verdict_name(VERDICT_DROP), "DROP");
	assert_string_equal(verdict_name(VERDICT_REJECT), "REJECT");
	assert_string_equal(verdict_name(VERDICT_REPLACE), "REPLACE");
	assert_string_equal(verdict_name(VERDICT_VIA), "VIA");
	assert_string_equal(verdict_name(VERDICT_ERROR), "ERROR");
}

static const struct {
	struct line lines[3]; /* the last one is asked about */
	enum plan_place place;
	const char *why;
} plans[] = {
	{{{.dport = "80", .constant = VERDICT_DROP}},
	 PLAN_MATCH,
	 "constant verdict DROP, decided by its match in C"},
	{{{.constant = VERDICT_REJECT}},
	 PLAN_MATCH,
	 "constant verdict REJECT, for every packet in C"},
	{{{.dport = "80", .ttl = "7"}},
	 PLAN_MATCH,
	 "constant rewrite, decided by its match in C"},
	{{{.dport = "80", .ttl = "7", .constant = VERDICT_ACCEPT}},
	 PLAN_MATCH,
	 "constant verdict ACCEPT after a constant rewrite, decided by its "
	 "match in C"},
	{{{.dport = "80"}},
	 PLAN_MATCH,
	 "only counts packets, decided by its match in C"},
	{{{.dport = "80", .action = NOTHING}},
	 PLAN_LUA,
	 "function: Lua runs for packets that match dport=80"},
	{{{.action = NOTHING}},
	 PLAN_LUA,
	 "function: Lua runs for every packet"},
	{{{.dport = "80", .where = YES, .constant = VERDICT_DROP}},
	 PLAN_LUA,
	 "where: Lua runs for packets that match dport=80"},
	{{{.constant = VERDICT_DROP}, {.dport = "80", .action = NOTHING}},
	 PLAN_LUA,
	 "never runs: rule r0 decides every packet before it"},
	{{{.where = YES, .constant = VERDICT_DROP}, {.action = NOTHING}},
	 PLAN_LUA,
	 "function: Lua runs for every packet"},
	{{{.ttl = "9"}, {.action = NOTHING}},
	 PLAN_LUA,
	 "function: Lua runs for every packet"},
	{{{.dport = "!0-65535", .constant = VERDICT_DROP}},
	 PLAN_MATCH,
	 "never runs: the values of dport exclude each other"},
};

static void the_plan_says_where_and_why(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(plans); i++) {
		struct ruleset *rs = ruleset_new();
		char why[200], small[8];
		enum plan_place place;

		for (int k = 0; k < 3; k++)
			if (is_line(&plans[i].lines[k]))
				add_line(rs, &plans[i].lines[k]);
		place = plan_place(NULL, rs, rule_at(rs, (int)rs->count - 1), why,
				   sizeof(why));
		if (place != plans[i].place || strcmp(why, plans[i].why))
			fail_msg("case %zu: %s", i, why);
		plan_place(NULL, rs, rule_at(rs, (int)rs->count - 1), small,
			   sizeof(small));
		assert_memory_equal(small, why, sizeof(small) - 1);
		ruleset_free(rs);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packet_walks_the_rules_in_order),
		cmocka_unit_test(a_rewrite_is_seen_by_the_action),
		cmocka_unit_test(a_function_that_nobody_runs_is_an_error),
		cmocka_unit_test(a_ruleset_begins_open),
		cmocka_unit_test(a_verdict_has_its_name),
		cmocka_unit_test(the_plan_says_where_and_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
